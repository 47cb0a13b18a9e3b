//! The tags of a machine and its volumes.

use super::{Refusal, Result, Site};
use crate::aws::Tags;
use crate::machine_api::types::{AwsMachineProviderConfig, CLUSTER_LABEL, Labels};

/// What the label was called before there was OpenShift's group.
const OLD_CLUSTER_LABEL: &str = "sigs.k8s.io/cluster-api-cluster";
const CLUSTER_TAGS: &str = "kubernetes.io/cluster/";

/// The infra ID of the cluster that a machine says it belongs to.
pub fn cluster_of(labels: &Labels) -> Option<&str> {
    let given = |label: &str| labels.get(label).map(String::as_str).filter(|id| !id.is_empty());
    given(CLUSTER_LABEL).or_else(|| given(OLD_CLUSTER_LABEL))
}

/// The machine's own, then the cluster's, the first of a name; nobody else says `Name` or whose it is.
/// AWS keeps no order, so neither do we.
///
/// # Errors
/// When the machine does not say whose it is.
pub fn all(
    name: &str,
    labels: &Labels,
    config: &AwsMachineProviderConfig,
    site: &Site,
) -> Result<Tags> {
    let own = config.tags.iter().map(|tag| (&tag.name, &tag.value));
    let given = own.chain(site.resource_tags.iter().map(|(name, value)| (name, value)));
    let mut tags = Tags::new();
    for (key, value) in given.filter(|(key, _)| *key != "Name" && !key.starts_with(CLUSTER_TAGS)) {
        tags.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let cluster = cluster_of(labels).ok_or_else(|| Refusal::Invalid {
        field: "metadata.labels".to_owned(),
        message: format!("{CLUSTER_LABEL} is missing: it names the cluster's infra ID"),
    })?;
    tags.insert(format!("{CLUSTER_TAGS}{cluster}"), "owned".to_owned());
    tags.insert("Name".to_owned(), name.to_owned());
    Ok(tags)
}
