//! Files that the user names for output: the only way to write them.
//!
//! - A missing file, an empty one, and one that groundplan wrote before (recognised by its first
//!   bytes) is replaced in one step: under its name there is never a part of it.
//! - A symbolic link is followed, and its target is judged. The link stays.
//! - Devices and pipes are written to: `/dev/null`, a named pipe, `>(process)`.
//! - `-` is the standard output, as are its names under `/dev` and `/proc`.
//! - Every other file is left alone: an install-config, a state, an Ignition file, a directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write, stdout};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use groundplan_engine::state::local::is_lock_of_state;
use groundplan_engine::state::regular_file;
use tempfile::NamedTempFile;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// A kind of output, with the option that names its file.
#[derive(Debug)]
pub(crate) struct OutputKind {
    /// Noun with an article, such as `a saved plan`.
    pub(crate) noun: &'static str,
    /// Attempt in messages, such as `save the plan to`.
    pub(crate) attempt: &'static str,
    /// Option, such as `--out`.
    pub(crate) option: &'static str,
    /// Returns true if the first bytes of a file are those of an earlier output of this kind.
    pub(crate) begins: fn(&[u8]) -> bool,
}

/// Number of bytes that suffice to recognise an output.
const BEGINNING: u64 = 256;
/// Longest chain of symbolic links, as in Linux.
const MOST_LINKS: usize = 40;
/// Names of the standard output.
const STANDARD_OUTPUT: [&str; 4] = ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"];

/// Place that an output goes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// Standard output.
    StandardOutput,
    /// Device, pipe or open descriptor, which is written to.
    Stream(PathBuf),
    /// File to create or replace, without symbolic links.
    File(PathBuf),
}

/// Returns true if the path means the standard output.
pub(crate) fn is_standard_output(path: &Path) -> bool {
    STANDARD_OUTPUT.iter().any(|name| Path::new(name) == path)
}

impl OutputKind {
    /// Returns the destination that a path means, without a change.
    ///
    /// # Errors
    /// Fails if the path is a directory or a file that groundplan has not written.
    pub(crate) fn destination(&self, path: &Path) -> Result<Destination> {
        if is_standard_output(path) {
            return Ok(Destination::StandardOutput);
        }
        let known = match fs::metadata(path) {
            Ok(known) => known,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let target = target(path).map_err(|error| self.failed(path, &error))?;
                if !folder_of(&target).is_dir() {
                    return Err(self.without_folder(path, folder_of(&target)));
                }
                return Ok(Destination::File(target));
            }
            Err(error) => return Err(self.failed(path, &error)),
        };
        if known.is_dir() {
            return Err(self.refused(path, "found a directory"));
        }
        if !known.is_file() || is_descriptor(path) {
            return Ok(Destination::Stream(path.to_owned()));
        }
        let mut beginning = Vec::new();
        let read = regular_file::open(path)
            .and_then(|file| file.take(BEGINNING).read_to_end(&mut beginning));
        read.map_err(|error| self.failed(path, &error))?;
        if beginning.is_empty() && is_lock_of_state(path) {
            return Err(self.refused(path, "found the lock of a state"));
        }
        if !beginning.is_empty() && !(self.begins)(&beginning) {
            return Err(self.refused(path, "found a file with other content"));
        }
        target(path).map(Destination::File).map_err(|error| self.failed(path, &error))
    }

    /// Writes a whole output and returns its destination. Waits for a reader if the path is a pipe.
    pub(crate) fn write(&self, path: &Path, content: &[u8]) -> Result<Destination> {
        let destination = self.destination(path)?;
        let written = match &destination {
            Destination::StandardOutput => {
                let mut out = stdout().lock();
                out.write_all(content).and_then(|()| out.flush())
            }
            Destination::Stream(stream) => {
                open_stream(stream).and_then(|mut file| file.write_all(content))
            }
            Destination::File(target) => replace(target, |file| file.write_all(content)),
        };
        written.map(|()| destination).map_err(|error| self.failed(path, &error))
    }

    /// Begins an output that grows: `begin` writes the part with which it becomes visible. Waits for
    /// a reader if the path is a pipe.
    pub(crate) fn begin<T>(
        &self,
        path: &Path,
        begin: impl FnOnce(File) -> io::Result<T>,
    ) -> Result<T> {
        let begun = match self.destination(path)? {
            Destination::StandardOutput => {
                stdout().as_fd().try_clone_to_owned().and_then(|out| begin(File::from(out)))
            }
            Destination::Stream(stream) => open_stream(&stream).and_then(begin),
            Destination::File(target) => {
                let mut begun = None;
                let replaced = replace(&target, |file| {
                    begun = Some(begin(file.try_clone()?)?);
                    Ok(())
                });
                replaced.map(|()| begun.expect("BUG: a replaced file was begun"))
            }
        };
        begun.map_err(|error| self.failed(path, &error))
    }

    fn failed(&self, path: &Path, error: &io::Error) -> CommandError {
        let mut failure = CommandError::could_not(
            Code::OutputFailed,
            &format!("{} {}", self.attempt, path.display()),
            error,
        );
        if error.kind() == ErrorKind::NotFound {
            let hint = format!("create the folder, or pass another path with {}", self.option);
            failure.diagnostics[0].hint = Some(hint);
        }
        failure
    }

    /// Returns the error for a file in a folder that does not exist.
    fn without_folder(&self, path: &Path, folder: &Path) -> CommandError {
        let diagnostic = Diagnostic::error(
            Code::OutputFileRefused,
            format!("could not {} {}", self.attempt, path.display()),
        )
        .with_detail(format!("the folder {} does not exist", folder.display()))
        .with_hint(format!("create the folder, or pass another path with {}", self.option));
        CommandError::new(Exit::Usage, diagnostic)
    }

    fn refused(&self, path: &Path, found: &str) -> CommandError {
        let (path, noun) = (path.display(), self.noun);
        let diagnostic = Diagnostic::error(
            Code::OutputFileRefused,
            format!("{path} is not {noun}, so it is not overwritten"),
        )
        .with_detail(format!(
            "{found}, expected {noun} of an earlier run, an empty file or no file"
        ))
        .with_hint(format!("pass another path with {}, or remove this one", self.option));
        CommandError::new(Exit::Usage, diagnostic)
    }
}

/// Returns true for the name of an open descriptor, such as `/dev/fd/3`. Opening it again would
/// write at the beginning of a file that another program is writing.
fn is_descriptor(path: &Path) -> bool {
    let own =
        ["/dev/fd", "/proc/self/fd"].iter().any(|folder| path.parent() == Some(Path::new(folder)));
    own || path == Path::new("/dev/stderr")
}

fn open_stream(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Returns the path at the end of all symbolic links, which may be missing.
pub(crate) fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = folder_of(&target).join(next),
            // InvalidInput: not a link.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::NotFound) => {
                return Ok(target);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(ErrorKind::InvalidInput, "too many symbolic links"))
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Replaces a file in one step by a file that only its owner can read.
fn replace(target: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // 0600 from the first byte. The error would name the temporary file, which the user has not
    // chosen.
    let created = NamedTempFile::new_in(folder_of(target));
    let mut file = created.map_err(|error| io::Error::from(error.kind()))?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(target)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::thread;

    use super::*;

    const KIND: OutputKind = OutputKind {
        noun: "a list",
        attempt: "write the list to",
        option: "--out",
        begins: |text| text.starts_with(b"LIST"),
    };

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        (folder, path)
    }

    #[test]
    fn a_folder_that_does_not_exist_is_named_before_anything_is_done() {
        let (_folder, dir) = folder();
        let path = dir.join("nosuch/list");
        for failure in
            [KIND.destination(&path).unwrap_err(), KIND.write(&path, b"LIST").unwrap_err()]
        {
            assert_eq!(failure.exit, Exit::Usage);
            let missing = format!("the folder {} does not exist", dir.join("nosuch").display());
            assert_eq!(failure.diagnostics[0].detail, [missing]);
        }
    }

    #[test]
    fn a_failed_write_does_not_name_a_temporary_file() {
        let (_folder, dir) = folder();
        let (gone, target) = (dir.join("gone"), dir.join("gone/list"));
        fs::create_dir(&gone).unwrap();
        fs::remove_dir(&gone).unwrap();
        let error = replace(&target, |_| Ok(())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(!error.to_string().contains(".tmp"), "{error}");
    }

    #[test]
    fn the_lock_of_a_state_is_not_replaced_though_it_is_empty() {
        let (_folder, dir) = folder();
        let lock = dir.join("lock");
        fs::write(&lock, "").unwrap();
        let is_refused = || {
            let refused = KIND.destination(&lock).unwrap_err();
            refused.diagnostics[0].detail[0].contains("the lock of a state")
        };
        assert!(is_refused(), "the state of a run that recorded nothing has only the lock");
        fs::write(dir.join("notes"), "").unwrap();
        assert!(KIND.destination(&lock).is_ok(), "a file of that name among others is no lock");
        fs::write(dir.join("journal"), "{}").unwrap();
        assert!(is_refused());
    }

    #[test]
    fn a_new_file_an_empty_one_and_an_earlier_output_are_replaced() {
        let (_folder, dir) = folder();
        let path = dir.join("list");
        KIND.write(&path, b"LIST 1").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let reader = File::open(&path).unwrap();
        KIND.write(&path, b"LIST 2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"LIST 2");
        assert_eq!(io::read_to_string(reader).unwrap(), "LIST 1", "an open file stays readable");
        fs::write(&path, "").unwrap();
        KIND.write(&path, b"LIST 3").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"LIST 3");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
    }

    #[test]
    fn what_is_of_others_is_left_alone() {
        let (_folder, dir) = folder();
        let config = dir.join("install-config.yaml");
        fs::write(&config, "apiVersion: v1\n").unwrap();
        let link = dir.join("link");
        symlink(&config, &link).unwrap();
        for path in [config.as_path(), &link, &dir] {
            let failure = KIND.write(path, b"LIST").unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{}", path.display());
            assert!(failure.diagnostics[0].hint.as_ref().unwrap().contains("--out"));
        }
        assert_eq!(fs::read(&config).unwrap(), b"apiVersion: v1\n");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn a_link_stays_and_its_target_is_written() {
        let (_folder, dir) = folder();
        fs::create_dir(dir.join("deep")).unwrap();
        for (link, to) in [("first", "second"), ("second", "deep/list")] {
            symlink(to, dir.join(link)).unwrap();
        }
        for text in ["LIST 1", "LIST 2"] {
            KIND.write(&dir.join("first"), text.as_bytes()).unwrap(); // at first it leads nowhere
            assert_eq!(fs::read_to_string(dir.join("deep/list")).unwrap(), text);
        }
        assert!(fs::symlink_metadata(dir.join("second")).unwrap().is_symlink());
        symlink("round", dir.join("round")).unwrap();
        assert!(KIND.write(&dir.join("round"), b"LIST").is_err());
    }

    #[test]
    fn devices_and_pipes_are_written_to() {
        let (_folder, dir) = folder();
        KIND.write(Path::new("/dev/null"), b"LIST").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(KIND.write(Path::new("/dev/full"), b"LIST").is_err());
        let pipe = dir.join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = thread::spawn({
            let pipe = pipe.clone();
            move || fs::read_to_string(pipe).unwrap()
        });
        KIND.write(&pipe, b"LIST").unwrap();
        assert_eq!(reader.join().unwrap(), "LIST");
        assert_eq!(KIND.destination(&pipe).unwrap(), Destination::Stream(pipe));
    }

    #[test]
    fn standard_output_has_several_names() {
        for name in STANDARD_OUTPUT {
            assert_eq!(KIND.destination(Path::new(name)).unwrap(), Destination::StandardOutput);
        }
        let (_folder, dir) = folder();
        let file = File::create(dir.join("open")).unwrap();
        let name = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let stream = Destination::Stream(name.clone().into());
        assert_eq!(KIND.destination(Path::new(&name)).unwrap(), stream, "never replaced");
    }

    #[test]
    fn a_growing_output_appears_with_its_beginning() {
        let (_folder, dir) = folder();
        let path = dir.join("list");
        fs::write(&path, "LIST of yesterday").unwrap();
        let mut file = KIND
            .begin(&path, |mut file| {
                file.write_all(b"LIST\n")?;
                assert_eq!(fs::read_to_string(&path)?, "LIST of yesterday");
                Ok(file)
            })
            .unwrap();
        file.write_all(b"more\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "LIST\nmore\n");
        let failed = KIND.begin(&path, |_| Err::<(), _>(io::Error::other("no")));
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "LIST\nmore\n", "and it stays");
    }
}
