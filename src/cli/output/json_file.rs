//! File of `--json-into`: the event stream for programs, while people read text.
//!
//! The file contains only whole lines, even after write errors. A write error never stops a run.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::Diagnostic;
use crate::render::json::JsonLines;

/// First bytes of every stream, which hardly any other file has.
const BEGINS: &[u8] = br#"{"type":"version","#;

/// Event stream to a file.
#[derive(Debug)]
pub(crate) struct StreamFile {
    pub(crate) lines: JsonLines<WholeLines>,
    path: PathBuf,
}

impl StreamFile {
    /// Starts the stream and overwrites an earlier stream in the file.
    ///
    /// Returns an error, before the command does anything, if the file cannot be written. A file
    /// with other content, such as an install-config, is an error, too.
    pub(crate) fn create(path: &Path) -> Result<Self> {
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
                Err(CommandError::could_not(&format!("write events to {}", path.display()), &error))
            }
        }
    }

    /// Returns the warning for a failed write.
    pub(crate) fn broken_off(&self, error: &io::Error) -> Diagnostic {
        let path = self.path.display();
        Diagnostic::warning(format!(
            "events are no longer written to {path}; the command continues"
        ))
        .with_detail(error.to_string())
    }
}

/// Opens the file for writing. A new file is readable by its owner only, from its first byte.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Returns true if the file has content other than an event stream. Pipes and devices return false,
/// because they have no content to lose.
fn has_something_else(path: &Path) -> bool {
    let is_file = path.metadata().is_ok_and(|known| known.is_file() && known.len() > 0);
    is_file && File::open(path).is_ok_and(|file| !begins_as_a_stream(file))
}

fn begins_as_a_stream(file: File) -> bool {
    let mut beginning = Vec::new();
    let read = file.take(BEGINS.len() as u64).read_to_end(&mut beginning);
    read.is_ok() && beginning == BEGINS
}

fn not_overwritten(path: &Path) -> CommandError {
    let path = path.display();
    let diagnostic = Diagnostic::error(format!(
        "{path} is not an event file, so it is not \
         overwritten"
    ))
    .with_detail("the file has other content than the events of an earlier run")
    .with_hint("pass another file with --json-into, or remove this one");
    CommandError::new(Exit::Usage, diagnostic)
}

/// File that contains a line completely or not at all, even if the disk is full.
#[derive(Debug)]
pub(crate) struct WholeLines {
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
