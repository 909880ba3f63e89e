//! Files of the machine that the program runs on. Whatever a path leads to, reading has an end, and nothing is replaced but a regular file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;

use super::SystemRandom;
use crate::world::{Files, Random};

/// A FIFO or a device that is silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(10);
/// As many links as Linux follows.
const LINKS: usize = 40;

/// Files of the machine that the program runs on.
pub struct SystemFiles;

impl Files for SystemFiles {
    fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        read(path, limit)
    }

    fn write(&self, path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
        let exists = fs::metadata(path).ok();
        // The links of /dev/stdout and its like lead to what is open, not to a name.
        let is_open = path.starts_with("/dev") || path.starts_with("/proc");
        if exists.as_ref().is_some_and(|there| !there.is_file() && !there.is_dir()) || is_open {
            return pour(path, content);
        }
        replace(&resolve(path)?, content, mode)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn is_file(&self, path: &Path) -> io::Result<bool> {
        match fs::metadata(path) {
            Ok(there) => Ok(there.is_file()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A whole file of at most `limit` bytes.
///
/// # Errors
/// Those of the file; it is larger; it is no regular file and says nothing for [`SILENCE`].
pub(super) fn read(path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    // Without waiting: a FIFO has perhaps nobody at its other end.
    let file = OpenOptions::new().read(true).custom_flags(NONBLOCK).open(path)?;
    let is_regular = file.metadata()?.is_file();
    let mut bytes = Vec::new();
    let mut bite = [0; 64 << 10];
    loop {
        if !is_regular {
            ready(&file, PollFlags::IN)?;
        }
        match (&file).read(&mut bite) {
            Ok(0) => return Ok(bytes),
            Ok(count) if bytes.len() + count > limit => {
                return Err(io::Error::new(
                    ErrorKind::FileTooLarge,
                    format!("it is larger than {limit} bytes, which is the limit"),
                ));
            }
            Ok(count) => bytes.extend_from_slice(&bite[..count]),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error),
        }
    }
}

const NONBLOCK: i32 = OFlags::NONBLOCK.bits() as i32;

/// Until it can be read or written.
fn ready(file: &File, wish: PollFlags) -> io::Result<()> {
    let silence = Timespec { tv_sec: i64::try_from(SILENCE.as_secs()).unwrap_or(i64::MAX), tv_nsec: 0 };
    loop {
        match poll(&mut [PollFd::from_borrowed_fd(file.as_fd(), wish)], Some(&silence)) {
            Ok(0) => {
                return Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("whoever is at its other end is silent for {SILENCE:?}"),
                ));
            }
            Ok(_) => return Ok(()),
            // A signal says nothing of the file: whoever read a FIFO now would find nothing in it, and take that for all.
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Writes to what is no regular file: it stays what it is.
fn pour(path: &Path, content: &[u8]) -> io::Result<()> {
    // Without waiting: a FIFO that nobody reads is an error.
    let file = OpenOptions::new().write(true).custom_flags(NONBLOCK).open(path)?;
    let mut rest = content;
    while !rest.is_empty() {
        match (&file).write(rest) {
            Ok(count) => rest = &rest[count..],
            Err(error) if error.kind() == ErrorKind::WouldBlock => ready(&file, PollFlags::OUT)?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Where a path leads, even if nothing is there yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        match fs::symlink_metadata(&path) {
            Ok(there) if there.is_symlink() => {
                let to = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "its symbolic links lead in a circle"))
}

fn replace(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the path names no file"))?;
    let temporary = path.with_file_name(format!(".{}.{:016x}", name.to_string_lossy(), SystemRandom.u64()));
    let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // The error to tell is the first one.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    const LIMIT: usize = 1 << 20;

    #[test]
    fn replaces_a_file_whole_with_its_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_hosts");
        SystemFiles.write(&path, b"old and longer", 0o644).unwrap();
        SystemFiles.write(&path, b"new", 0o600).unwrap();
        assert_eq!(SystemFiles.read(&path, LIMIT).unwrap(), b"new");
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

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("inner")).unwrap();
        symlink("inner/file", at("link")).unwrap();
        symlink("link", at("again")).unwrap();
        for content in [b"new", b"two"] {
            SystemFiles.write(&at("again"), content, 0o600).unwrap();
            assert_eq!(fs::read(at("inner/file")).unwrap(), content);
            assert!(at("again").is_symlink() && at("link").is_symlink());
        }
        symlink("b", at("a")).unwrap();
        symlink("a", at("b")).unwrap();
        SystemFiles.write(&at("a"), b"x", 0o600).unwrap_err();
        assert!(at("a").is_symlink() && at("b").is_symlink());
    }

    #[test]
    fn what_is_no_file_is_written_to_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        SystemFiles.write(Path::new("/dev/null"), b"x", 0o600).unwrap();
        let full = SystemFiles.write(Path::new("/dev/full"), b"x", 0o600).unwrap_err();
        assert_eq!(full.kind(), ErrorKind::StorageFull);
        for device in ["/dev/null", "/dev/full"] {
            assert!(fs::symlink_metadata(device).unwrap().file_type().is_char_device());
        }
        symlink("/dev/full", at("device")).unwrap();
        SystemFiles.write(&at("device"), b"x", 0o600).unwrap_err();
        assert!(at("device").is_symlink());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        SystemFiles.write(&at("socket"), b"x", 0o600).unwrap_err();
        assert!(fs::symlink_metadata(at("socket")).unwrap().file_type().is_socket());
        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        SystemFiles.write(&at("fifo"), b"nobody reads", 0o600).unwrap_err();
        let content = vec![b'x'; 300_000];
        let reader = std::thread::spawn({
            let path = at("fifo");
            move || fs::read(path).unwrap()
        });
        while SystemFiles.write(&at("fifo"), &content, 0o600).is_err() {
            std::thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), content);
        assert!(fs::symlink_metadata(at("fifo")).unwrap().file_type().is_fifo());
    }

    #[test]
    fn reading_has_an_end_whatever_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let kind = |path: &Path| read(path, 1000).unwrap_err().kind();
        fs::write(at("full"), [b'x'; 1000]).unwrap();
        assert_eq!(read(&at("full"), 1000).unwrap().len(), 1000);
        fs::write(at("large"), [b'x'; 1001]).unwrap();
        assert_eq!(kind(&at("large")), ErrorKind::FileTooLarge);
        assert_eq!(kind(Path::new("/dev/zero")), ErrorKind::FileTooLarge);
        assert_eq!(read(Path::new("/dev/null"), 1000).unwrap(), b"");
        assert_eq!(kind(folder.path()), ErrorKind::IsADirectory);
        assert_eq!(kind(&at("absent")), ErrorKind::NotFound);
        // A FIFO is read like `<(…)` of a shell.
        assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
        let path = at("fifo");
        let writer = std::thread::spawn(move || fs::write(path, b"from a pipe").unwrap());
        assert_eq!(read(&at("fifo"), 1000).unwrap(), b"from a pipe");
        writer.join().unwrap();
    }

    #[test]
    fn a_fifo_that_nobody_writes_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert_eq!(read(&path, 1000).unwrap_err().kind(), ErrorKind::TimedOut);
    }
}
