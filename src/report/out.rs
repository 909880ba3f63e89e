//! The one way out of the process: streams, and how texts are put on them.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use super::printed::Kind;
use super::{Printed, Wording};

/// How many columns the screen behind a stream has now; None: there is none.
pub type Columns = Arc<dyn Fn() -> Option<usize> + Send + Sync>;

/// Where process output goes; shared, because events come from everywhere.
#[derive(Clone)]
pub struct Out {
    stream: Arc<Mutex<dyn Write + Send>>,
    wording: Wording,
    screen: Option<Columns>,
    /// Documents stand there as YAML, else as JSON.
    yaml: bool,
}

impl Out {
    /// A stream, on which texts stand as they are.
    pub fn new(stream: impl Write + Send + 'static) -> Self {
        Arc::new(Mutex::new(stream)).into()
    }

    /// The same stream for whoever wants texts so.
    pub fn worded(&self, wording: &Wording) -> Self {
        Out { wording: wording.clone(), ..self.clone() }
    }

    /// The same stream for whoever wants documents as YAML.
    pub fn in_yaml(&self) -> Self {
        Out { yaml: true, ..self.clone() }
    }

    /// The stream, with the screen on which people read it.
    pub fn on(self, screen: Columns) -> Self {
        Out { screen: Some(screen), ..self }
    }

    /// As it is now: a window may be resized.
    pub fn columns(&self) -> Option<usize> {
        self.screen.as_ref().and_then(|screen| screen())
    }

    /// How a text stands there.
    pub fn put<'a>(&self, text: &'a str) -> Cow<'a, str> {
        self.wording.put(text)
    }

    /// How texts are put there.
    pub fn wording(&self) -> &Wording {
        &self.wording
    }

    /// Writes bytes as they are, at once.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(bytes).and_then(|()| stream.flush())
    }
}

impl<W: Write + Send + 'static> From<Arc<Mutex<W>>> for Out {
    fn from(stream: Arc<Mutex<W>>) -> Self {
        Out { stream, wording: Wording::default(), screen: None, yaml: false }
    }
}

impl fmt::Debug for Out {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Out").field("wording", &self.wording).finish_non_exhaustive()
    }
}

/// Writes at once.
pub fn write(out: &Out, printed: &Printed) -> io::Result<()> {
    match printed.kind() {
        Kind::Text => out.bytes(printed.on(out.columns(), out.wording()).as_bytes()),
        Kind::Document if out.yaml => out.bytes(printed.yaml()?.as_bytes()),
        Kind::Document | Kind::Data => out.bytes(printed.as_str().as_bytes()),
    }
}

/// The same on stderr. A write that fails (a closed pipe) must not stop an upgrade: there is nobody left to tell.
pub fn put(out: &Out, printed: &Printed) {
    write(out, printed).ok();
}
