//! The terminal that stdout is.

use crate::world::{Size, Terminal};

/// Of one that does not say how large it is.
const USUAL: Size = Size { rows: 24, columns: 80 };

/// Asks the kernel, at each call: a window may be resized.
pub struct Stdout;

impl Terminal for Stdout {
    fn size(&self) -> Option<Size> {
        let stdout = rustix::stdio::stdout();
        if !rustix::termios::isatty(stdout) {
            return None;
        }
        let size = rustix::termios::tcgetwinsize(stdout).ok().filter(|size| size.ws_row > 0 && size.ws_col > 0);
        Some(size.map_or(USUAL, |size| Size { rows: size.ws_row.into(), columns: size.ws_col.into() }))
    }
}
