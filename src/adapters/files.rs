//! Files of the machine that the program runs on.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::SystemRandom;
use crate::world::{Files, Random};

pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let name = path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path names no file"))?;
        let temporary = path.with_file_name(format!(".{}.{:016x}", name.to_string_lossy(), SystemRandom.u64()));
        let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            // The error to tell is the first one.
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replaces_a_file_whole_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        SystemFiles.write(&path, b"old and longer", 0o644).unwrap();
        SystemFiles.write(&path, b"new", 0o600).unwrap();
        assert_eq!(SystemFiles.read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_failed_write_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("folder");
        fs::create_dir(&taken).unwrap();
        SystemFiles.write(&taken, b"x", 0o600).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        SystemFiles.write(&folder.path().join("absent/file"), b"x", 0o600).unwrap_err();
    }
}
