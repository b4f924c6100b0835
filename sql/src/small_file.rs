//! A small file read whole: a config, passwords, certificates. Reads files only.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use nix::fcntl::OFlag;

/// Bytes of a plain file, at most `most` of them, and what the file is.
///
/// The metadata is that of the file that was read: metadata asked by name could be of another file. Opening does not
/// wait, because a pipe of that name would keep the program waiting for a writer for ever.
///
/// Errors: those of the system, and [`io::ErrorKind::Other`] for anything but a plain file of that size.
pub fn read(path: &Path, most: u64) -> io::Result<(Vec<u8>, Metadata)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Err(io::Error::other("is a directory"));
    }
    if !metadata.is_file() {
        return Err(io::Error::other("is not a plain file"));
    }
    let mut bytes = Vec::new();
    file.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("is larger than {most} bytes")));
    }
    Ok((bytes, metadata))
}

/// The same as [`read`], for a text.
///
/// Errors: those of [`read`], and [`io::ErrorKind::InvalidData`] for a file that is not UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<(String, Metadata)> {
    let (bytes, metadata) = read(path, most)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "is not UTF-8 text"))?;
    Ok((text, metadata))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(path: &Path, most: u64) -> String {
        read(path, most).unwrap_err().to_string()
    }

    #[test]
    fn a7_what_is_no_small_plain_file_is_refused_and_not_waited_for() {
        let pipe = std::env::temp_dir().join(format!("small-file-{}", std::process::id()));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(message(&pipe, 10), "is not a plain file");
        std::fs::remove_file(&pipe).unwrap();
        assert_eq!(message(&std::env::temp_dir(), 10), "is a directory");
        assert_eq!(message(Path::new("/dev/zero"), 10), "is not a plain file");
        std::fs::write(&pipe, "0123456789").unwrap();
        assert_eq!(read(&pipe, 10).unwrap().0, b"0123456789");
        assert_eq!(message(&pipe, 9), "is larger than 9 bytes");
        std::fs::remove_file(&pipe).unwrap();
    }
}
