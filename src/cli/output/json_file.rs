//! File of `--json-into`: the event stream for programs, while people read text.
//!
//! The file contains only whole lines, even after write errors. A write error never stops a run.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::cli::output::command_error::Result;
use crate::cli::output::output_file::OutputKind;
use crate::render::json::JsonLines;
use crate::render::{Code, Diagnostic};

/// First bytes of every stream, which hardly any other file has.
const BEGINS: &[u8] = br#"{"type":"version","#;

/// The event stream as a file.
const EVENTS: OutputKind = OutputKind {
    noun: "an event file",
    attempt: "write events to",
    option: "--json-into",
    begins: |text| text.starts_with(BEGINS),
};

/// Event stream to a file.
#[derive(Debug)]
pub(crate) struct StreamFile {
    pub(crate) lines: JsonLines<WholeLines>,
    path: PathBuf,
}

impl StreamFile {
    /// Starts the stream, in the place of an earlier stream with this name.
    ///
    /// Returns an error, before the command does anything, if the file cannot be written. A file
    /// with other content, such as an install-config, is an error, too.
    pub(crate) fn create(path: &Path) -> Result<Self> {
        let begin = |file| {
            let mut lines = JsonLines::new(WholeLines { file, length: 0 }, Timestamp::now);
            lines.begin()?;
            Ok(lines)
        };
        let lines = EVENTS.begin(path, begin)?;
        Ok(Self { lines, path: path.to_owned() })
    }

    /// Returns the warning for a failed write.
    pub(crate) fn broken_off(&self, error: &io::Error) -> Diagnostic {
        let path = self.path.display();
        Diagnostic::warning(
            Code::EventsLost,
            format!("events are no longer written to {path}; the command continues"),
        )
        .with_detail(error.to_string())
    }
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
    use crate::cli::exit_code::Exit;

    #[test]
    fn a_stream_takes_the_place_of_an_earlier_one_and_of_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events");
        for _ in 0..2 {
            let mut stream = StreamFile::create(&path).unwrap();
            stream
                .lines
                .diagnostic(&Diagnostic::warning(Code::PlanWarning, "mind the gap"))
                .unwrap();
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
        for (path, exit) in
            [(folder.path().join("no/such"), Exit::Usage), ("/dev/full".into(), Exit::Failed)]
        {
            let failure = StreamFile::create(&path).unwrap_err();
            assert_eq!(failure.exit, exit, "{}", path.display());
            assert!(failure.diagnostics[0].summary.starts_with("could not write events to"));
        }
        assert_eq!(StreamFile::create(folder.path()).unwrap_err().exit, Exit::Usage);
    }
}
