//! The terminals that stdout and stderr are.

use std::os::fd::AsFd;

use crate::world::{Size, Terminal};

/// Of one that does not say how large it is.
const USUAL: Size = Size { rows: 24, columns: 80 };

/// Asks the kernel, at each call: a window may be resized.
pub struct Stdout;

impl Terminal for Stdout {
    fn size(&self) -> Option<Size> {
        size(rustix::stdio::stdout())
    }
}

/// The same for any stream; None if it is no terminal.
pub fn size(stream: impl AsFd) -> Option<Size> {
    let stream = stream.as_fd();
    if !rustix::termios::isatty(stream) {
        return None;
    }
    let size = rustix::termios::tcgetwinsize(stream).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
    Some(size.map_or(USUAL, |size| Size { rows: size.ws_row.into(), columns: size.ws_col.into() }))
}
