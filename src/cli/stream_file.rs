//! The file of `--json-into`: the event stream for programs, while people read text.
//!
//! Whatever becomes of it, it has whole lines only. Never stops a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::exit::Exit;
use super::failure::{Failure, Result};
use crate::render::Diagnostic;
use crate::render::json::JsonLines;

/// What every stream begins with, and hardly anything else.
const BEGINS: &[u8] = br#"{"type":"version","#;

/// An event stream that goes into a file.
#[derive(Debug)]
pub(super) struct StreamFile {
    pub(super) lines: JsonLines<WholeLines>,
    path: PathBuf,
}

impl StreamFile {
    /// Begins the stream in the place of whatever stream the file has. That it cannot be written is
    /// found here, before anything is done; so is that it has something else, such as the config.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if has_something_else(path) {
            return Err(not_overwritten(path));
        }
        let begun = open(path).and_then(|file| {
            let mut lines = JsonLines::new(WholeLines { file, length: 0 }, Timestamp::now);
            lines.begin()?;
            Ok(lines)
        });
        match begun {
            Ok(lines) => Ok(Self { lines, path: path.to_owned() }),
            Err(error) => {
                Err(Failure::could_not(&format!("write events to {}", path.display()), &error))
            }
        }
    }

    /// What to tell when it cannot be written any more.
    pub(super) fn broken_off(&self, error: &io::Error) -> Diagnostic {
        let path = self.path.display();
        Diagnostic::warning(format!(
            "no more events are written to {path}; everything else goes on"
        ))
        .with_detail(error.to_string())
    }
}

/// Only its owner reads it, from the first byte on.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Whether there is a file with something in it that is no stream. What is no file (a pipe, a
/// device) has nothing to lose.
fn has_something_else(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|known| known.is_file() && known.len() > 0);
    is_file && File::open(path).is_ok_and(|file| !begins_as_a_stream(file))
}

fn begins_as_a_stream(file: File) -> bool {
    let mut beginning = Vec::new();
    let read = file.take(BEGINS.len() as u64).read_to_end(&mut beginning);
    read.is_ok() && beginning == BEGINS
}

fn not_overwritten(path: &Path) -> Failure {
    let path = path.display();
    let diagnostic = Diagnostic::error(format!("{path} is not overwritten with events"))
        .with_detail("it has something else than events of an earlier run")
        .with_hint("name another file with --json-into, or remove this one");
    Failure::new(Exit::Usage, diagnostic)
}

/// A file that has a line as a whole or not at all, even where the disk is full.
#[derive(Debug)]
pub(super) struct WholeLines {
    file: File,
    length: u64,
}

impl Write for WholeLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(error) = self.file.write_all(line) {
            let _ = self.file.set_len(self.length); // a pipe cannot, and has nothing to take back
            return Err(error);
        }
        self.length += line.len() as u64;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_stream_takes_the_place_of_an_earlier_one_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for _ in 0..2 {
            let mut stream = StreamFile::create(&path).unwrap();
            stream.lines.diagnostic(&Diagnostic::warning("mind the gap")).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2);
        }
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);

        fs::write(&path, "apiVersion: v1\n").unwrap();
        assert_eq!(StreamFile::create(&path).unwrap_err().exit, Exit::Usage);
        assert_eq!(fs::read_to_string(&path).unwrap(), "apiVersion: v1\n");
    }

    #[test]
    fn what_cannot_be_written_is_found_before_anything_is_done() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().to_owned(), folder.path().join("no/such"), "/dev/full".into()] {
            let failure = StreamFile::create(&path).unwrap_err();
            assert_eq!(failure.exit, Exit::Failed, "{}", path.display());
            assert!(failure.diagnostics[0].summary.starts_with("could not write events to"));
        }
    }
}
