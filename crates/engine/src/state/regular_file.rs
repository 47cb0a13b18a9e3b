//! Opening of files that must be regular: a state file, a lock, an earlier output.
//!
//! An open never waits. A pipe without a writer would hold up `open`, and a device may never end, so
//! each is opened with `O_NONBLOCK` and rejected before the first read or write.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

/// Opens a file for reading.
///
/// # Errors
/// Fails if the file cannot be opened or is not a regular file.
pub fn open(path: &Path) -> io::Result<File> {
    open_with(OpenOptions::new().read(true), path)
}

/// Opens a file with these options.
///
/// # Errors
/// Fails if the file cannot be opened or is not a regular file.
pub fn open_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    // A pipe without a reader answers ENXIO to a writer, which says less than its type.
    let file = options.custom_flags(libc::O_NONBLOCK).open(path).map_err(|error| {
        let known = path.metadata().ok().map(|metadata| metadata.file_type());
        known.and_then(irregular).unwrap_or(error)
    })?;
    match irregular(file.metadata()?.file_type()) {
        Some(error) => Err(error),
        None => Ok(file),
    }
}

/// Reads a whole file.
///
/// # Errors
/// Fails if the file cannot be read or is not a regular file.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    open(path)?.read_to_end(&mut text)?;
    Ok(text)
}

/// Returns the error for a file of another type. `None` for a regular file.
fn irregular(file_type: std::fs::FileType) -> Option<io::Error> {
    let kind = match file_type {
        regular if regular.is_file() => return None,
        folder if folder.is_dir() => return Some(io::ErrorKind::IsADirectory.into()),
        pipe if pipe.is_fifo() => "a pipe",
        socket if socket.is_socket() => "a socket",
        _ => "a device",
    };
    let message = format!("found {kind}, expected a regular file");
    Some(io::Error::new(io::ErrorKind::InvalidInput, message))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_refused_without_a_wait() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, found) in [
            (pipe.as_path(), "a pipe"),
            (Path::new("/dev/zero"), "a device"),
            (folder.path(), "is a directory"),
        ] {
            for options in [OpenOptions::new().read(true), OpenOptions::new().write(true)] {
                let error = open_with(options, path).unwrap_err();
                assert!(error.to_string().contains(found), "{}: {error}", path.display());
            }
            assert!(read(path).is_err(), "{}", path.display());
        }
        let file = folder.path().join("file");
        std::fs::write(&file, "text").unwrap();
        assert_eq!(read(&file).unwrap(), b"text");
        assert_eq!(open(&folder.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
