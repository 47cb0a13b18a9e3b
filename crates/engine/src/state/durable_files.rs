//! Durable writes of folders and whole files, with permissions for the owner only. Never changes a
//! file in place.

use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use uuid::Uuid;

use super::error::StateError;
use super::regular_file;

const BACKUP: &str = ".backup";
/// Prefix of temporary files.
pub(super) const NEW: &str = ".new-";
const OLD: &str = ".old-";

/// Creates the folder and its missing parents, durably and for the owner only.
pub(super) fn make_folder(dir: &Path) -> Result<(), StateError> {
    if dir.is_dir() {
        return Ok(());
    }
    let refused =
        |source| StateError::Unwritable { action: "create", path: dir.to_owned(), source };
    let missing = dir.ancestors().take_while(|above| !above.as_os_str().is_empty());
    let missing: Vec<_> = missing.take_while(|above| !above.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(refused)?;
    for made in missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty());
        sync_folder(above.unwrap_or(Path::new("."))).map_err(refused)?;
    }
    Ok(())
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

pub(super) fn replace_file(dir: &Path, path: &Path, text: &[u8]) -> io::Result<File> {
    let mut file = NamedTempFile::with_prefix_in(NEW, dir)?; // for the owner alone: 0600
    file.write_all(text)?;
    file.as_file().sync_all()?;
    keep_backup(dir, path);
    let file = file.persist(path)?;
    sync_folder(dir)?;
    Ok(file)
}

/// Replaces the file by an empty file. Processes that have the old file open keep it.
pub(super) fn replace_for_good(dir: &Path, path: &Path) -> io::Result<()> {
    let file = NamedTempFile::with_prefix_in(NEW, dir)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_folder(dir)
}

/// Removes a file durably. A missing file is no error.
pub(super) fn remove_file(dir: &Path, path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.and_then(|()| sync_folder(dir)),
    }
}

/// Keeps the file under a second name with a hard link, at no cost. The first name always exists. A
/// file system without hard links results in no backup, and no other function depends on one.
fn keep_backup(dir: &Path, path: &Path) {
    let backup = backup_of(path);
    let passing = dir.join(format!("{OLD}{}", Uuid::new_v4()));
    if fs::hard_link(path, &passing).is_ok() {
        let _ = fs::rename(&passing, backup);
        let _ = fs::remove_file(&passing); // where both were the same file, or it was refused
    }
}

/// Keeps a copy of a file in its old format, as in `state.json.v1.backup`. The copy is never
/// overwritten, and an equal copy is not made twice.
pub(super) fn keep_original(dir: &Path, path: &Path, major: u32) -> io::Result<()> {
    let text = match regular_file::read(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        text => text?,
    };
    let mut copies = (1..).map(|copy| original_of(path, major, copy));
    // Another copy exists if the user went back to the older program in between.
    let fits = |kept: &PathBuf| !kept.exists() || fs::read(kept).is_ok_and(|there| there == text);
    let kept = copies.find(fits).expect("BUG: there are more names than files");
    if !kept.exists() {
        let mut file = NamedTempFile::with_prefix_in(NEW, dir)?;
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(kept)?;
    }
    sync_folder(dir)
}

/// Returns the path of the copy that [`keep_original`] makes.
pub(super) fn original_of(path: &Path, major: u32, copy: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".v{major}"));
    if copy > 1 {
        name.push(format!("-{copy}"));
    }
    name.push(BACKUP);
    name.into()
}

/// Removes temporary files of killed writers. The caller must hold the lock.
pub(super) fn tidy(dir: &Path) {
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NEW) || name.starts_with(OLD) {
            let _ = fs::remove_file(file.path()); // only untidy
        }
    }
}

pub(super) fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BACKUP);
    name.into()
}

/// Returns the content of a file; `None` if the file does not exist.
pub(super) fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match regular_file::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(StateError::Unreadable { path: path.to_owned(), source }),
    }
}
