//! Machine API manifests that openshift-install renders from an install-config.
//!
//! The reference is openshift-install (`pkg/asset/machines`, release-4.15 and main). Files, names,
//! labels, zones and fields are the same, byte by byte. The manifests can replace those of
//! `openshift-install create manifests`. Never writes a file and never makes a lookup.
//!
//! - `details`: what differs between releases.
//! - `objects`: the Machines, the ControlPlaneMachineSet and the MachineSets.
//! - `provider`: the provider config of a machine.
//! - `labels`: labels of existing manifests that the rendered ones keep.
//! - `user_data`: the Secrets with the user data of machines.

mod details;
mod labels;
mod objects;
mod provider;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod upstream_tests;
mod user_data;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::yaml;
use crate::topology::Assets;
use crate::topology::layout::ManifestLayout;
use crate::topology::machine_pools::MachinePools;

/// File of the folder `openshift/`.
#[derive(Debug)]
pub struct Manifest {
    /// Name of the file.
    pub name: String,
    /// Content of the file.
    pub content: FileContent,
}

/// Content of a file.
pub enum FileContent {
    /// Content that all users may read.
    Plain(String),
    /// Content that only the owner of the file may read, because it leads to the keys of the
    /// cluster.
    Secret(SecretString),
}

impl FileContent {
    /// Returns the text. A secret text must be written to a file only.
    pub fn text(&self) -> &str {
        match self {
            FileContent::Plain(text) => text,
            FileContent::Secret(text) => text.expose_secret(),
        }
    }

    /// Returns true if only the owner of the file may read the content.
    pub fn is_secret(&self) -> bool {
        matches!(self, FileContent::Secret(_))
    }
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileContent::Plain(text) => write!(f, "{text:?}"),
            FileContent::Secret(_) => f.write_str("(secret)"),
        }
    }
}

/// Returns the manifests of the machines of a cluster, sorted by name. Without assets the
/// certificate authority that machines must trust is unknown, so the user data Secrets are omitted.
pub fn manifests(pools: &MachinePools, assets: &Assets) -> Vec<Manifest> {
    let mut manifests = masters(pools);
    manifests.extend(workers(pools));
    manifests.extend(user_data::secrets(assets));
    manifests.sort_by(|one, other| one.name.cmp(&other.name));
    manifests
}

/// Returns true if openshift-install treats a file with this name as a machine manifest. A leftover
/// file with such a name would also create machines.
pub fn is_ours(name: &str) -> bool {
    let is_master = name.starts_with(MASTER) && name.ends_with(".yaml");
    name == CONTROL_PLANE || is_master || is_worker_set(name)
}

/// Returns true if a file of this name has a MachineSet of workers.
pub fn is_worker_set(name: &str) -> bool {
    name.starts_with(WORKER_SET) && name.ends_with(".yaml")
}

const MASTER: &str = "99_openshift-cluster-api_master-machines-";
const WORKER_SET: &str = "99_openshift-cluster-api_worker-machineset-";

const CONTROL_PLANE: &str = "99_openshift-machine-api_master-control-plane-machine-set.yaml";

fn masters(pools: &MachinePools) -> Vec<Manifest> {
    let details = &pools.cluster.names.layout.manifests;
    let machines = objects::masters(pools);
    let digits = machines.len().to_string().len();
    let named = |(index, machine)| {
        let name = format!("{MASTER}{index:0digits$}.yaml");
        plain(details, name, machine)
    };
    let set =
        objects::control_plane(pools).map(|set| plain(details, CONTROL_PLANE.to_owned(), &set));
    machines.iter().enumerate().map(named).chain(set).collect()
}

/// Returns the manifests of the workers, numbered across all pools.
fn workers(pools: &MachinePools) -> Vec<Manifest> {
    let details = &pools.cluster.names.layout.manifests;
    let sets: Vec<_> =
        pools.workers.iter().flat_map(|pool| objects::workers(pools.cluster, pool)).collect();
    let digits = sets.len().to_string().len();
    let named = |(index, set)| {
        let name = format!("{WORKER_SET}{index:0digits$}.yaml");
        plain(details, name, set)
    };
    sets.iter().enumerate().map(named).collect()
}

fn plain(details: &ManifestLayout, name: String, object: &impl Serialize) -> Manifest {
    let mut value = serde_json::to_value(object).expect("BUG: plain data with names for keys");
    details::apply(details, &mut value);
    Manifest { name, content: FileContent::Plain(yaml::write(&value)) }
}
