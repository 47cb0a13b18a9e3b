//! An install-config becomes the Machine API manifests that openshift-install renders from it.
//!
//! The reference is openshift-install release-4.15 (`pkg/asset/machines`): the same files, names,
//! labels, zones and fields, down to the bytes, so that they can be laid over the output of
//! `openshift-install create manifests`. Never writes a file and never asks anybody.
//!
//! - `objects`: the Machines, the ControlPlaneMachineSet and the MachineSets.
//! - `provider`: what AWS is told of a machine.
//! - `user_data`: the Secrets that machines start from.

mod objects;
mod provider;
#[cfg(test)]
mod tests;
mod user_data;

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;

use super::yaml;
use crate::config::InstallConfig;
use crate::topology::Assets;
use crate::topology::fleet::Fleet;

/// One file of the folder `openshift/`.
#[derive(Debug)]
pub struct Manifest {
    /// Its name.
    pub name: String,
    /// What it says.
    pub content: Content,
}

/// What a file says.
pub enum Content {
    /// What everybody may read.
    Plain(String),
    /// What only its owner may read: it leads to the keys of the cluster.
    Secret(SecretString),
}

impl Content {
    /// The text, to be written to a file and nowhere else if it is secret.
    pub fn text(&self) -> &str {
        match self {
            Content::Plain(text) => text,
            Content::Secret(text) => text.expose_secret(),
        }
    }

    /// Whether only its owner may read it.
    pub fn is_secret(&self) -> bool {
        matches!(self, Content::Secret(_))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Plain(text) => write!(f, "{text:?}"),
            Content::Secret(_) => f.write_str("(secret)"),
        }
    }
}

/// What all manifests are rendered from.
#[derive(Clone, Copy)]
struct Site<'a> {
    config: &'a InstallConfig,
    infra_id: &'a str,
    fleet: &'a Fleet,
}

/// The manifests of this cluster's machines, in the order of their names. Without assets nobody knows
/// the authority that machines must trust, and the user-data Secrets are left out.
pub fn manifests(
    config: &InstallConfig,
    infra_id: &str,
    fleet: &Fleet,
    assets: &Assets,
) -> Vec<Manifest> {
    let site = Site { config, infra_id, fleet };
    let mut manifests = masters(&site);
    manifests.extend(workers(&site));
    manifests.extend(user_data::secrets(assets));
    manifests.sort_by(|one, other| one.name.cmp(&other.name));
    manifests
}

/// Whether openshift-install takes a file of this name for one of ours, so that one that is left over
/// would make machines, too.
pub fn is_ours(name: &str) -> bool {
    const PREFIXES: [&str; 2] = [
        "99_openshift-cluster-api_master-machines-",
        "99_openshift-cluster-api_worker-machineset-",
    ];
    name == CONTROL_PLANE
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && name.ends_with(".yaml")
}

const CONTROL_PLANE: &str = "99_openshift-machine-api_master-control-plane-machine-set.yaml";

fn masters(site: &Site) -> Vec<Manifest> {
    let machines = objects::masters(site);
    let digits = machines.len().to_string().len();
    let named = |(index, machine)| {
        plain(format!("99_openshift-cluster-api_master-machines-{index:0digits$}.yaml"), machine)
    };
    let set = objects::control_plane(site).map(|set| plain(CONTROL_PLANE.to_owned(), &set));
    machines.iter().enumerate().map(named).chain(set).collect()
}

/// Numbered across all pools.
fn workers(site: &Site) -> Vec<Manifest> {
    let sets: Vec<_> =
        site.fleet.workers.iter().flat_map(|pool| objects::workers(site, pool)).collect();
    let digits = sets.len().to_string().len();
    let named = |(index, set)| {
        plain(format!("99_openshift-cluster-api_worker-machineset-{index:0digits$}.yaml"), set)
    };
    sets.iter().enumerate().map(named).collect()
}

fn plain(name: String, object: &impl Serialize) -> Manifest {
    let value = serde_json::to_value(object).expect("BUG: plain data with names for keys");
    Manifest { name, content: Content::Plain(yaml::write(&value)) }
}
