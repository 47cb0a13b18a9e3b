//! Manifests of machines inside the assets of openshift-install, compared with the plan of the
//! cluster. The machines of a cluster search for subnets, security groups and profiles by the names
//! of their release, so that assets of another layout leave a cluster without workers.
//!
//! - `ignition`: files that an Ignition config writes.
//! - `machines`: machines of both APIs in one form.
//! - `planned`: resources of the plan that machines reference.
//! - `fit`: the comparison; `difference`: its results.
//! - `folder`: the folder `openshift/` beside the assets.
//! - `credentials`: credentials of the operators, for `credentialsMode: Manual`.
//!
//! Never quotes a Secret, and never makes a lookup.

mod credentials;
mod difference;
mod fit;
mod folder;
mod ignition;
mod machines;
mod planned;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use groundplan_engine::graph::Graph;
use secrecy::ExposeSecret;

pub use self::difference::{Difference, DifferenceTopic};
pub use self::folder::{ClusterApiSetFile, cluster_api_sets};
use self::ignition::AssetFile;
pub use self::ignition::{AssetManifestError, AssetManifestProblem};
use self::machines::{AssetObjects, may_concern_machines};
use self::planned::PlannedCluster;
use crate::machine_api::validation::document;
use crate::release::Release;
use crate::topology::{Assets, ClusterSpec, IgnitionFile, Layout};

/// Result of the comparison of assets with a plan.
#[derive(Debug, Default)]
pub struct AssetFit {
    /// Differences with which the cluster lacks machines, or has machines with another metadata
    /// policy. One for each topic; empty if the assets fit.
    pub differences: Vec<Difference>,
    /// Warnings, as sentences without a full stop.
    pub warnings: Vec<String>,
    /// Release of openshift-install that made the assets, in words. `None` if it is not known.
    pub release: Option<String>,
}

/// Compares the manifests in assets with the plan of a cluster. Assets without `bootstrap.ign`, or
/// without manifests of machines, fit every plan.
///
/// # Errors
/// Returns an error for a manifest that cannot be read.
pub fn compare(
    assets: &Assets,
    spec: &ClusterSpec,
    graph: &Graph,
) -> Result<AssetFit, AssetManifestError> {
    let Some(config) = assets.ignition(IgnitionFile::Bootstrap) else {
        return Ok(AssetFit::default());
    };
    let files = ignition::manifests(IgnitionFile::Bootstrap.name(), config)?;
    let objects = objects(&files)?;
    let compared = fit::compare(&objects, &PlannedCluster::of(spec, graph));
    let mut warnings: Vec<String> = compared
        .minor
        .into_vec()
        .iter()
        .map(|difference| format!("bootstrap.ign: {difference}"))
        .collect();
    warnings.extend(not_compared(&compared.unknown));
    if spec.has_manual_credentials {
        warnings.extend(credentials::missing(&files));
    }
    warnings.extend(assets.folder().and_then(|folder| folder::differing(folder, &objects)));
    Ok(AssetFit {
        differences: compared.differences.into_vec(),
        warnings,
        release: release(assets, &objects),
    })
}

/// Returns the release of openshift-install that made the assets. Its version in `bootstrap.ign`
/// counts, or else the newest release of the family that the identifiers in `metadata.json` show.
/// `None` if both are missing.
pub fn release_of(assets: &Assets) -> Option<Release> {
    let version = || {
        let config = assets.ignition(IgnitionFile::Bootstrap)?;
        // A manifest that cannot be read is reported by the comparison.
        let files = ignition::manifests(IgnitionFile::Bootstrap.name(), config).ok()?;
        let version = objects(&files).ok()?.version?;
        version.trim_start_matches('v').parse().ok()
    };
    version().or_else(|| {
        let layout = match assets.has_cluster_api_identifier()? {
            true => Layout::of(Release::new(4, 16)),
            false => Layout::default(),
        };
        Some(layout.newest_release())
    })
}

/// Reads the objects of all files.
fn objects(files: &[AssetFile]) -> Result<AssetObjects, AssetManifestError> {
    let mut objects = AssetObjects::default();
    for file in files.iter().filter(|file| may_concern_machines(file.text.expose_secret())) {
        add(&mut objects, file)?;
    }
    Ok(objects.resolve())
}

/// Adds the objects of a file.
fn add(objects: &mut AssetObjects, file: &AssetFile) -> Result<(), AssetManifestError> {
    let documents = document::split(file.text.expose_secret());
    for (index, content) in documents.iter().enumerate() {
        let found = content.objects().map_err(|findings| {
            let line = findings.iter().find_map(|finding| finding.place).map_or(0, |at| at.line);
            let line = line.max(content.first_line());
            AssetManifestProblem::NotYaml { document: index + 1, line }.of(&file.path)
        })?;
        for object in found {
            objects.add(&object.value).map_err(|problem| problem.of(&file.path))?;
        }
    }
    Ok(())
}

/// Returns the warning about references that the plan cannot decide.
fn not_compared(unknown: &BTreeSet<String>) -> Option<String> {
    let all: Vec<&str> = unknown.iter().map(String::as_str).collect();
    (!all.is_empty()).then(|| {
        format!(
            "bootstrap.ign: not compared with AWS: {}; the machines that name them are created \
             only if they exist",
            all.join(", ")
        )
    })
}

/// Returns the release in words.
fn release(assets: &Assets, objects: &AssetObjects) -> Option<String> {
    let version = objects.version.as_ref().map(|version| format!("openshift-install {version}"));
    version.or_else(|| {
        let is_later = assets.has_cluster_api_identifier();
        is_later.unwrap_or_default().then(|| "openshift-install 4.16 or later".to_owned())
    })
}
