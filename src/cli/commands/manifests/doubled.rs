//! Machine sets of the Cluster API in the output folder or in the assets. The cluster would create
//! the workers of both APIs.

use std::path::Path;

use groundplan_openshift::machine_api::asset_manifests::{ClusterApiSetFile, cluster_api_sets};
use groundplan_openshift::machine_api::manifests::{Manifest, is_worker_set};
use groundplan_openshift::topology::Assets;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::session::asset_fit;
use crate::render::{Code, Diagnostic};

/// Maximum number of files of one API in the message.
const LISTED: usize = 3;

/// Rejects manifests of workers beside machine sets of the Cluster API.
pub(super) fn ensure_none(folder: &Path, assets: &Assets, manifests: &[Manifest]) -> Result<()> {
    let theirs = cluster_api_sets(folder, assets).map_err(|error| asset_fit::unreadable(&error))?;
    let ours: Vec<&str> =
        manifests.iter().map(|one| &*one.name).filter(|name| is_worker_set(name)).collect();
    match theirs.is_empty() || ours.is_empty() {
        true => Ok(()),
        false => Err(CommandError::new(Exit::Refused, refusal(folder, &theirs, &ours))),
    }
}

fn refusal(folder: &Path, theirs: &[ClusterApiSetFile], ours: &[&str]) -> Diagnostic {
    let summary = format!(
        "{} has Cluster API machine sets for the same workers, and nothing was written",
        folder.display()
    );
    let theirs: Vec<String> =
        theirs.iter().map(|one| format!("MachineSet {} in {}", one.set, one.file)).collect();
    let ours: Vec<String> = ours.iter().map(|name| (*name).to_owned()).collect();
    Diagnostic::error(Code::WorkersDoubled, summary)
        .with_detail(format!("Cluster API: {}", listed(&theirs)))
        .with_detail(format!("Machine API, to be written: {}", listed(&ours)))
        .with_hint(
            "remove `management: ClusterAPI` from the install-config, run `openshift-install create \
             manifests` in a new folder, and pass that folder with --out",
        )
}

fn listed(values: &[String]) -> String {
    let first = values.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match values.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}
