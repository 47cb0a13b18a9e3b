//! Tags of a machine and its volumes.

use groundplan_aws::Tags;
use groundplan_aws::model::tags::{self, TagFault};
use groundplan_aws::model::{CLUSTER_TAG_PREFIX, cluster_tag_key};

use super::{ClusterDefaults, LaunchError, Result};
use crate::machine_api::types::{AwsMachineProviderConfig, CLUSTER_LABEL, Labels};

/// Name of the cluster label before the API group of OpenShift existed.
const OLD_CLUSTER_LABEL: &str = "sigs.k8s.io/cluster-api-cluster";

/// Returns the infra ID of the cluster in the labels of a machine.
pub fn cluster_of(labels: &Labels) -> Option<&str> {
    let given = |label: &str| labels.get(label).map(String::as_str).filter(|id| !id.is_empty());
    given(CLUSTER_LABEL).or_else(|| given(OLD_CLUSTER_LABEL))
}

/// Returns the tags: first those of the machine, then those of the cluster. Of two tags with one
/// key the first counts. `Name` and the cluster tag are always set here and cannot be overridden.
/// The tags are unordered, because AWS keeps no order.
///
/// # Errors
/// Fails if the labels do not name the cluster, or if EC2 would reject the tags.
pub fn all(
    name: &str,
    labels: &Labels,
    config: &AwsMachineProviderConfig,
    site: &ClusterDefaults,
) -> Result<Tags> {
    let own = config.tags.iter().map(|tag| (&tag.name, &tag.value));
    let given = own.chain(site.resource_tags.iter().map(|(name, value)| (name, value)));
    let mut tags = Tags::new();
    for (key, value) in
        given.filter(|(key, _)| *key != "Name" && !key.starts_with(CLUSTER_TAG_PREFIX))
    {
        tags.entry(key.clone()).or_insert_with(|| value.clone());
    }
    let cluster = cluster_of(labels).ok_or_else(|| LaunchError::Invalid {
        field: "metadata.labels".to_owned(),
        message: format!("{CLUSTER_LABEL} is missing, which is the infra ID of the cluster"),
    })?;
    tags.insert(cluster_tag_key(cluster), "owned".to_owned());
    tags.insert("Name".to_owned(), name.to_owned());
    check(&tags)?;
    Ok(tags)
}

/// Checks the tags of a machine against the limits of EC2, which rejects each launch otherwise.
fn check(all: &Tags) -> Result<()> {
    if all.len() > tags::MOST {
        let message = format!(
            "found {} tags with `Name`, the cluster tag and the tags of the cluster, expected at \
             most {}",
            all.len(),
            tags::MOST
        );
        return Err(LaunchError::invalid("tags", message));
    }
    let fault = all.iter().find_map(|(key, value)| Some((key, TagFault::of(key, value)?)));
    let Some((key, fault)) = fault else { return Ok(()) };
    let key: String = key.chars().take(tags::LONGEST_KEY).collect();
    let message = format!("the tag `{key}` {}, expected {}", fault.found(), fault.expected());
    Err(LaunchError::invalid("tags", message))
}
