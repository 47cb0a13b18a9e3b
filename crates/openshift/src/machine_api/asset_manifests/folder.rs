//! Manifests in folders of files: the folder `openshift/` beside assets, and Cluster API sets in an
//! output folder.

use std::fs;
use std::io::Read;
use std::path::Path;

use groundplan_engine::state::regular_file;
use secrecy::ExposeSecret;
use serde_json::Value;

use super::ignition::{self, AssetFile, AssetManifestError, LARGEST, is_yaml};
use super::machines::{AssetObjects, is_cluster_api_set, may_concern_machines};
use crate::diagnostics::shown;
use crate::machine_api::validation::document;
use crate::topology::{Assets, IgnitionFile};

/// Folder that `openshift-install create manifests` writes, and that `create ignition-configs`
/// removes.
const OPENSHIFT: &str = "openshift";

/// Maximum number of files that are read.
const MOST_FILES: usize = 2_000;
/// Maximum number of files in a message.
const LISTED: usize = 3;

/// Returns the warning about manifests of machines in `openshift/` that differ from those in
/// `bootstrap.ign`. The cluster gets only the latter.
pub(super) fn differing(assets: &Path, objects: &AssetObjects) -> Option<String> {
    let differs = |file: &AssetFile| {
        let mut found = AssetObjects::default();
        // A file that cannot be read is no manifest that the cluster gets.
        super::add(&mut found, file).ok()?;
        let mut found = found.objects.iter();
        found.any(|(name, object)| objects.objects.get(name) != Some(object)).then_some(())
    };
    let files = files(&assets.join(OPENSHIFT));
    let names: Vec<&str> =
        files.iter().filter(|file| differs(file).is_some()).map(|file| &*file.path).collect();
    let first = names.iter().take(LISTED).copied().collect::<Vec<_>>().join(", ");
    let named = match names.len().saturating_sub(LISTED) {
        _ if names.is_empty() => return None,
        0 => first,
        more => format!("{first} and {more} more"),
    };
    Some(format!(
        "openshift/ beside the assets has manifests of machines that bootstrap.ign does not have \
         ({named}): the cluster gets those of bootstrap.ign, which `openshift-install create \
         ignition-configs` writes"
    ))
}

/// MachineSet of the Cluster API in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterApiSetFile {
    /// Path of the file.
    pub file: String,
    /// Name of the set, in backticks.
    pub set: String,
}

/// Returns the MachineSets of the Cluster API in a folder and in `bootstrap.ign` of the assets.
/// Unreadable files in the folder are skipped.
///
/// # Errors
/// Returns an error if `bootstrap.ign` cannot be read.
pub fn cluster_api_sets(
    folder: &Path,
    assets: &Assets,
) -> Result<Vec<ClusterApiSetFile>, AssetManifestError> {
    let mut all = files(folder);
    if let Some(config) = assets.ignition(IgnitionFile::Bootstrap) {
        all.extend(ignition::manifests(IgnitionFile::Bootstrap.name(), config)?);
    }
    Ok(all.iter().flat_map(sets).collect())
}

/// Returns the MachineSets of the Cluster API in a file.
fn sets(file: &AssetFile) -> Vec<ClusterApiSetFile> {
    let text = file.text.expose_secret();
    if !may_concern_machines(text) {
        return Vec::new();
    }
    let documents = document::split(text);
    let objects = documents.iter().flat_map(|one| one.objects().unwrap_or_default());
    let sets = objects.map(|object| object.value).filter(is_cluster_api_set);
    let name = |set: &Value| shown(set["metadata"]["name"].as_str().unwrap_or_default());
    sets.map(|set| ClusterApiSetFile { file: file.path.clone(), set: name(&set) }).collect()
}

/// Returns the manifests in a folder that may concern machines, by name.
fn files(folder: &Path) -> Vec<AssetFile> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_yaml(name)).take(MOST_FILES).collect();
    names.sort();
    let read = |path: String| {
        let file = regular_file::open(&folder.join(&path)).ok()?;
        let mut text = String::new();
        file.take(LARGEST as u64).read_to_string(&mut text).ok()?;
        may_concern_machines(&text).then(|| AssetFile { path, text: text.into() })
    };
    names.into_iter().filter_map(read).collect()
}
