//! Output folder for manifests, which can be a folder of openshift-install.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use groundplan_engine::state::regular_file;
use groundplan_openshift::machine_api::manifests::{Manifest, is_ours};
use serde::Deserialize;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// File of openshift-install that contains the infra ID.
const INFRASTRUCTURE: &str = "manifests/cluster-infrastructure-02-config.yml";
/// Folder of openshift-install that contains manifests of machines.
pub(super) const OPENSHIFT: &str = "openshift";

/// Output folder for manifests.
pub(super) struct ManifestFolder {
    /// Folder of the files.
    pub(super) files: PathBuf,
    /// Infra ID in openshift-install's manifests, if there are any.
    pub(super) infra_id: Option<String>,
}

impl ManifestFolder {
    /// Returns the folder: the `openshift` of an openshift-install folder, or the named folder.
    pub(super) fn of(named: &Path) -> Result<Self> {
        if let Some(infra_id) = infra_id(named)? {
            return Ok(Self { files: named.join(OPENSHIFT), infra_id: Some(infra_id) });
        }
        let is_openshift = named.file_name().is_some_and(|name| name == OPENSHIFT);
        let infra_id = if is_openshift { infra_id(&named.join(".."))? } else { None };
        Ok(Self { files: named.to_owned(), infra_id })
    }

    /// Returns existing files that openshift-install would use as machines and that are not written
    /// now.
    pub(super) fn left_over(&self, manifests: &[Manifest]) -> Result<Vec<String>> {
        let attempt = format!("list {}", self.files.display());
        let entries = fs::read_dir(&self.files)
            .and_then(Iterator::collect::<std::io::Result<Vec<_>>>)
            .map_err(|error| CommandError::could_not(Code::FileUnreadable, &attempt, &error))?;
        let names = entries.iter().filter_map(|entry| entry.file_name().into_string().ok());
        let is_known = |name: &String| manifests.iter().any(|one| one.name == *name);
        let mut left: Vec<_> = names.filter(|name| is_ours(name) && !is_known(name)).collect();
        left.sort();
        Ok(left)
    }
}

#[derive(Deserialize)]
struct InfrastructureFile {
    status: InfrastructureFileStatus,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InfrastructureFileStatus {
    infrastructure_name: String,
}

/// Returns the infra ID of an openshift-install folder; `None` for another folder.
fn infra_id(folder: &Path) -> Result<Option<String>> {
    let path = folder.join(INFRASTRUCTURE);
    let attempt = format!("read {}", path.display());
    let text = match regular_file::read(&path) {
        Ok(text) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(CommandError::could_not(Code::FileUnreadable, &attempt, &error)),
    };
    match serde_saphyr::from_str::<InfrastructureFile>(&text) {
        Ok(found) => Ok(Some(found.status.infrastructure_name)),
        Err(_) => {
            let diagnostic = Diagnostic::error(Code::FileInvalid, format!("could not {attempt}"))
                .with_detail("`status.infrastructureName` is missing")
                .with_hint("create the file again with `openshift-install create manifests`");
            Err(CommandError::new(Exit::Failed, diagnostic))
        }
    }
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::manifests::FileContent;

    use super::*;

    fn installers() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("manifests")).unwrap();
        fs::create_dir(folder.path().join("openshift")).unwrap();
        let text = "kind: Infrastructure\nstatus:\n  infrastructureName: demo-abcde\n";
        fs::write(folder.path().join(INFRASTRUCTURE), text).unwrap();
        folder
    }

    #[test]
    fn a_folder_of_the_installers_says_who_the_cluster_is_and_where_files_go() {
        let folder = installers();
        for named in [folder.path().to_owned(), folder.path().join("openshift")] {
            let found = ManifestFolder::of(&named).unwrap();
            assert_eq!(found.infra_id.as_deref(), Some("demo-abcde"));
            assert_eq!(found.files, folder.path().join("openshift"));
        }
        let other = folder.path().join("elsewhere");
        let found = ManifestFolder::of(&other).unwrap();
        assert_eq!((found.files, found.infra_id), (other, None));
    }

    #[test]
    fn a_folder_that_does_not_say_it_is_not_guessed_at() {
        let folder = installers();
        fs::write(folder.path().join(INFRASTRUCTURE), "kind: Infrastructure\n").unwrap();
        assert!(ManifestFolder::of(folder.path()).is_err());
    }

    #[test]
    fn what_is_left_over_would_make_machines() {
        let folder = installers();
        let found = ManifestFolder::of(folder.path()).unwrap();
        let file = |index| format!("99_openshift-cluster-api_worker-machineset-{index}.yaml");
        for name in [file(0), file(1), "99_openshift-machineconfig_99-master-ssh.yaml".into()] {
            fs::write(found.files.join(name), "").unwrap();
        }
        let ours = [Manifest { name: file(0), content: FileContent::Plain(String::new()) }];
        assert_eq!(found.left_over(&ours).unwrap(), [file(1)]);
    }
}
