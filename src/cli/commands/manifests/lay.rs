//! Writes manifests to a folder: all of them, or none if a file with other content would be
//! overwritten.

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use groundplan_openshift::machine_api::manifests::Manifest;

use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::render::Diagnostic;

/// File with its change.
#[derive(Debug)]
pub(super) struct Laid {
    pub(super) name: String,
    pub(super) fate: Fate,
}

/// Change of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// File that did not exist.
    New,
    /// File that had other content.
    Changed,
    /// File that already has this content.
    Unchanged,
}

impl Fate {
    pub(super) fn word(self) -> &'static str {
        match self {
            Fate::New => "new",
            Fate::Changed => "changed",
            Fate::Unchanged => "unchanged",
        }
    }
}

/// Writes the manifests. Without `force`, a file with other content is an error.
pub(super) fn over(folder: &Path, manifests: &[Manifest], force: bool) -> Result<Vec<Laid>> {
    let fates =
        manifests.iter().map(|manifest| fate(folder, manifest)).collect::<Result<Vec<_>>>()?;
    let laid: Vec<_> = manifests
        .iter()
        .zip(fates)
        .map(|(manifest, fate)| Laid { name: manifest.name.clone(), fate })
        .collect();
    let others: Vec<_> = laid.iter().filter(|one| one.fate == Fate::Changed).collect();
    if !force && !others.is_empty() {
        return Err(refused(folder, &others));
    }
    let attempt = format!("write to {}", folder.display());
    let write = || {
        fs::create_dir_all(folder)?;
        let changing = manifests.iter().zip(&laid).filter(|(_, one)| one.fate != Fate::Unchanged);
        changing.map(|(manifest, _)| manifest).try_for_each(|one| write(folder, one))
    };
    write().map_err(|error| Failure::could_not(&attempt, &error))?;
    Ok(laid)
}

fn fate(folder: &Path, manifest: &Manifest) -> Result<Fate> {
    let path = folder.join(&manifest.name);
    match fs::read(&path) {
        Ok(found) if found != manifest.content.text().as_bytes() => Ok(Fate::Changed),
        Ok(_) => tighten(&path, manifest).map(|()| Fate::Unchanged),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            Ok(Fate::New)
        }
        Err(error) => Err(Failure::could_not(&format!("read {}", path.display()), &error)),
    }
}

/// Makes an existing secret readable by its owner only.
fn tighten(path: &Path, manifest: &Manifest) -> Result<()> {
    if !manifest.content.is_secret() {
        return Ok(());
    }
    let attempt = format!("keep {} from others", path.display());
    fs::set_permissions(path, mode(manifest)).map_err(|error| Failure::could_not(&attempt, &error))
}

fn refused(folder: &Path, others: &[&Laid]) -> Failure {
    let summary = format!("{} has files that say something else", folder.display());
    let mut diagnostic = Diagnostic::error(summary);
    for other in others {
        diagnostic = diagnostic.with_detail(other.name.clone());
    }
    let hint = "compare them with those in another folder; --force writes over them";
    Failure::new(Exit::Refused, diagnostic.with_hint(hint))
}

/// Writes a file atomically, so that its name never has partial content. A secret is never readable
/// by others.
fn write(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut file = tempfile::Builder::new().permissions(mode(manifest)).tempfile_in(folder)?;
    file.write_all(manifest.content.text().as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(folder.join(&manifest.name))?;
    Ok(())
}

/// Returns the mode of a file: 0600 for secrets, otherwise 0640 as openshift-install sets it.
fn mode(manifest: &Manifest) -> Permissions {
    Permissions::from_mode(if manifest.content.is_secret() { 0o600 } else { 0o640 })
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::manifests::Content;

    use super::*;

    fn manifests(text: &str) -> Vec<Manifest> {
        vec![
            Manifest { name: "a.yaml".into(), content: Content::Plain(text.into()) },
            Manifest { name: "b.yaml".into(), content: Content::Secret("secret\n".into()) },
        ]
    }

    fn fates(laid: &[Laid]) -> Vec<Fate> {
        laid.iter().map(|one| one.fate).collect()
    }

    #[test]
    fn what_says_the_same_is_left_and_what_says_something_else_is_written_only_by_force() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("new/folder");
        let laid = over(&folder, &manifests("one\n"), false).unwrap();
        assert_eq!(fates(&laid), [Fate::New, Fate::New]);
        let laid = over(&folder, &manifests("one\n"), false).unwrap();
        assert_eq!(fates(&laid), [Fate::Unchanged, Fate::Unchanged]);

        fs::remove_file(folder.join("b.yaml")).unwrap();
        let refused = over(&folder, &manifests("two\n"), false).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "one\n");
        assert!(!folder.join("b.yaml").exists(), "all or none");

        let laid = over(&folder, &manifests("two\n"), true).unwrap();
        assert_eq!(fates(&laid), [Fate::Changed, Fate::New]);
        assert_eq!(fs::read_to_string(folder.join("a.yaml")).unwrap(), "two\n");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 2);
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
