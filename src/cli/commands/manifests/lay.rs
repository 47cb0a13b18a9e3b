//! Writes manifests to a folder: all of them, or none if a file with other content would be
//! overwritten.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use groundplan_engine::state::regular_file;
use groundplan_openshift::machine_api::manifests::Manifest;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::output_file::target;
use crate::render::{Code, Diagnostic};

/// File with its change.
#[derive(Debug)]
pub(super) struct OutputFile {
    pub(super) name: String,
    pub(super) fate: FileChange,
}

/// Change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileChange {
    /// File that did not exist.
    New,
    /// File that had other content.
    Changed,
    /// File that already has this content.
    Unchanged,
}

impl FileChange {
    pub(super) fn word(self) -> &'static str {
        match self {
            FileChange::New => "new",
            FileChange::Changed => "changed",
            FileChange::Unchanged => "unchanged",
        }
    }
}

/// Returns the manifests with the labels of existing files that groundplan does not know.
pub(super) fn keeping_labels(folder: &Path, manifests: Vec<Manifest>) -> Vec<Manifest> {
    let kept = |manifest: Manifest| match regular_file::read(&folder.join(&manifest.name)) {
        Ok(existing) => manifest.keeping_labels_of(&String::from_utf8_lossy(&existing)),
        Err(_) => manifest, // `over` reports the error
    };
    manifests.into_iter().map(kept).collect()
}

/// Writes the manifests. Without `force`, a file with other content is an error.
pub(super) fn over(folder: &Path, manifests: &[Manifest], force: bool) -> Result<Vec<OutputFile>> {
    let fates = manifests
        .iter()
        .map(|manifest| file_change(folder, manifest))
        .collect::<Result<Vec<_>>>()?;
    let laid: Vec<_> = manifests
        .iter()
        .zip(fates)
        .map(|(manifest, fate)| OutputFile { name: manifest.name.clone(), fate })
        .collect();
    let others: Vec<_> = laid.iter().filter(|one| one.fate == FileChange::Changed).collect();
    if !force && !others.is_empty() {
        return Err(refused(folder, &others));
    }
    let attempt = format!("write to {}", folder.display());
    let write = || {
        fs::create_dir_all(folder)?;
        let changing =
            manifests.iter().zip(&laid).filter(|(_, one)| one.fate != FileChange::Unchanged);
        changing.map(|(manifest, _)| manifest).try_for_each(|one| write(folder, one))
    };
    write().map_err(|error| CommandError::could_not(Code::OutputFailed, &attempt, &error))?;
    Ok(laid)
}

fn file_change(folder: &Path, manifest: &Manifest) -> Result<FileChange> {
    let path = folder.join(&manifest.name);
    match regular_file::read(&path) {
        Ok(found) if found != manifest.content.text().as_bytes() => Ok(FileChange::Changed),
        Ok(_) => tighten(&path, manifest).map(|()| FileChange::Unchanged),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(FileChange::New)
        }
        Err(error) => Err(CommandError::could_not(
            Code::FileUnreadable,
            &format!("read {}", path.display()),
            &error,
        )),
    }
}

/// Makes an existing secret readable by its owner only.
fn tighten(path: &Path, manifest: &Manifest) -> Result<()> {
    if !manifest.content.is_secret() {
        return Ok(());
    }
    let attempt = format!("restrict access to {}", path.display());
    fs::set_permissions(path, mode(manifest))
        .map_err(|error| CommandError::could_not(Code::OutputFailed, &attempt, &error))
}

fn refused(folder: &Path, others: &[&OutputFile]) -> CommandError {
    let summary = format!("{} has files with other content", folder.display());
    let mut diagnostic = Diagnostic::error(Code::ManifestsDiffer, summary);
    for other in others {
        diagnostic = diagnostic.with_detail(other.name.clone());
    }
    let hint = "compare them with the output in another folder, or pass --force to overwrite them";
    CommandError::new(Exit::Refused, diagnostic.with_hint(hint))
}

/// Writes a file atomically, so that its name never has partial content. A secret is never readable
/// by others.
fn write(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let target = target(&folder.join(&manifest.name))?; // a link stays
    let folder = target.parent().unwrap_or(folder);
    let mut file = tempfile::Builder::new().permissions(mode(manifest)).tempfile_in(folder)?;
    file.write_all(manifest.content.text().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(&target)?;
    Ok(())
}

/// Returns the mode of a file: 0600 for secrets, otherwise 0640 as openshift-install sets it.
fn mode(manifest: &Manifest) -> Permissions {
    Permissions::from_mode(if manifest.content.is_secret() { 0o600 } else { 0o640 })
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::manifests::FileContent;

    use super::*;

    fn manifests(text: &str) -> Vec<Manifest> {
        vec![
            Manifest { name: "a.yaml".into(), content: FileContent::Plain(text.into()) },
            Manifest { name: "b.yaml".into(), content: FileContent::Secret("secret\n".into()) },
        ]
    }

    fn fates(laid: &[OutputFile]) -> Vec<FileChange> {
        laid.iter().map(|one| one.fate).collect()
    }

    #[test]
    fn what_says_the_same_is_left_and_what_says_something_else_is_written_only_by_force() {
        let backend = tempfile::tempdir().unwrap();
        let folder = backend.path().join("new/folder");
        let laid = over(&folder, &manifests("one\n"), false).unwrap();
        assert_eq!(fates(&laid), [FileChange::New, FileChange::New]);
        let laid = over(&folder, &manifests("one\n"), false).unwrap();
        assert_eq!(fates(&laid), [FileChange::Unchanged, FileChange::Unchanged]);

        fs::remove_file(folder.join("b.yaml")).unwrap();
        let refused = over(&folder, &manifests("two\n"), false).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "one\n");
        assert!(!folder.join("b.yaml").exists(), "all or none");

        let laid = over(&folder, &manifests("two\n"), true).unwrap();
        assert_eq!(fates(&laid), [FileChange::Changed, FileChange::New]);
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "two\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
    }

    #[test]
    fn labels_of_an_existing_file_stay_and_are_no_other_content() {
        let folder = tempfile::tempdir().unwrap();
        let set = |labels: &str| format!("kind: MachineSet\nmetadata:\n  labels:\n{labels}");
        let content = FileContent::Plain(set("    b: c\n"));
        let ours = || {
            vec![Manifest {
                name: "a.yaml".into(),
                content: FileContent::Plain(content.text().into()),
            }]
        };
        let existing = set("    a: b\n    b: c\n");
        fs::write(folder.path().join("a.yaml"), &existing).unwrap();
        let kept = keeping_labels(folder.path(), ours());
        assert_eq!(kept[0].content.text(), existing);
        assert_eq!(fates(&over(folder.path(), &kept, false).unwrap()), [FileChange::Unchanged]);
    }

    #[test]
    fn a_secret_is_for_its_owner_alone_even_if_it_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.yaml");
        fs::write(&path, "secret\n").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        over(folder.path(), &manifests("one\n"), false).unwrap();
        let mode = |name: &str| {
            fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777
        };
        assert_eq!(mode("b.yaml"), 0o600);
        assert_eq!(mode("a.yaml") & 0o007, 0);
    }
}
