//! Launch spec of a machine: the conversion of a manifest into the inputs of the kind
//! [`machine`](groundplan_aws::kinds::machine), and into load balancer registrations.
//!
//! The reference is openshift/machine-api-provider-aws `pkg/actuators/machine` (`instances.go`,
//! `utils.go`). The conversion also handles configs that the webhook has not checked. Pure:
//! [`needed_lookups`] returns the lookups that only AWS can resolve, and their results are an argument.

mod answers;
mod devices;
mod image;
mod market;
mod network;
mod placement;
mod tags;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use groundplan_aws::kinds::load_balancer_attachment::LoadBalancerKind;
use groundplan_aws::kinds::machine::{ConfidentialCompute, DualStack, Machine};
use groundplan_aws::lookups::lookup::Lookup;
use groundplan_aws::model::metadata_options::{MetadataOptions, metadata_options};
use groundplan_engine::graph::Input;
use groundplan_engine::secret::Secret;
use serde_json::Value;

use self::answers::RegionLookups;
use super::types::{AwsMachineProviderConfig, Labels};
use crate::diagnostics::Severity;
use crate::machine_api::validation::{ObjectFinding, metadata_findings};

pub use self::network::{check_subnet_zone, subnet_zone_lookup};
pub use self::tags::{all as tags, cluster_of};

/// Defaults that a machine takes from its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterDefaults {
    /// Region of machines without a region.
    pub region: Option<String>,
    /// Tags of all resources of the cluster. The tags of a machine take precedence.
    pub resource_tags: Vec<(String, String)>,
    /// Address families. `None` means IPv4 only.
    pub dual_stack: Option<DualStack>,
}

/// Launch spec of a machine.
#[derive(Clone, Debug, PartialEq)]
pub struct LaunchSpec {
    /// Inputs of one `RunInstances` call.
    pub machine: Machine,
    /// Load balancers that the machine is registered with: name and type.
    pub attachments: Vec<(String, LoadBalancerKind)>,
    /// Warnings, as sentences without a full stop.
    pub warnings: Vec<String>,
}

/// Reason why a machine cannot be launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaunchError {
    /// The machine can never be launched with this spec (`InvalidConfiguration`).
    #[error("{field}: {message}")]
    Invalid {
        /// Field of the machine spec.
        field: String,
        /// Found value, and accepted values.
        message: String,
    },
    /// Two settings contradict each other. Such a machine waits for a change of its spec, as it
    /// does upstream.
    #[error("{field}: {message}")]
    Conflict {
        /// Field of the machine spec.
        field: String,
        /// Contradicting settings.
        message: String,
    },
    /// A required lookup has no result, or an unreadable one.
    #[error("no lookup result for: {lookup}")]
    Unanswered {
        /// Key of the lookup.
        lookup: String,
    },
}

impl LaunchError {
    fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid { field: format!("providerSpec.value.{field}"), message: message.into() }
    }

    fn conflict(field: &str, message: impl Into<String>) -> Self {
        Self::Conflict { field: format!("providerSpec.value.{field}"), message: message.into() }
    }
}

type Result<T> = std::result::Result<T, LaunchError>;

/// Returns the lookups that the launch needs. One round of lookups is enough.
pub fn needed_lookups(config: &AwsMachineProviderConfig, site: &ClusterDefaults) -> Vec<Lookup> {
    let Some(region) = region(config, site) else { return Vec::new() };
    let mut lookups = Vec::new();
    lookups.extend(image::needed_lookups(config, region));
    lookups.extend(network::needed_lookups(config, region));
    lookups
}

/// Returns the launch spec of the machine with this name and these labels. `user_data` contains
/// only the digest of the user data.
///
/// # Errors
/// Returns the first reason why the machine cannot be launched.
pub fn launch(
    name: &str,
    labels: &Labels,
    config: &AwsMachineProviderConfig,
    site: &ClusterDefaults,
    answers: &BTreeMap<String, Value>,
    user_data: Secret,
) -> Result<LaunchSpec> {
    let missing =
        || LaunchError::invalid("placement.region", "is missing, and the cluster has no region");
    let answers =
        RegionLookups { region: region(config, site).ok_or_else(missing)?, given: answers };
    let mut warnings: Vec<String> = warned(config).collect();
    if config.instance_type.is_empty() {
        return Err(LaunchError::invalid("instanceType", "is missing"));
    }
    let image = image::find(config, &answers)?;
    let machine = Machine {
        interface: network::interface(config, site, &answers, &mut warnings)?,
        block_devices: devices::all(config, &image, &answers)?,
        image: Input::Known(image.id),
        instance_type: config.instance_type.clone(),
        profile: profile(config).map(|name| Input::Known(name.into())),
        key_name: config.key_name.clone().filter(|name| !name.is_empty()),
        user_data,
        metadata_options: options(config)?,
        placement: placement::of(config)?,
        market: market::of(config)?,
        capacity_reservation: market::reservation(config)?,
        confidential_compute: confidential_compute(config)?,
        tags: tags::all(name, labels, config, site)?,
    };
    let attachments = network::attachments(config, &mut warnings);
    Ok(LaunchSpec { machine, attachments, warnings })
}

/// Returns the load balancers that a machine is registered with.
pub fn attachments(config: &AwsMachineProviderConfig) -> Vec<(String, LoadBalancerKind)> {
    network::attachments(config, &mut Vec::new())
}

/// Returns the region of a machine.
fn region<'a>(config: &'a AwsMachineProviderConfig, site: &'a ClusterDefaults) -> Option<&'a str> {
    let own = Some(config.placement.region.as_str()).filter(|region| !region.is_empty());
    own.or(site.region.as_deref())
}

/// Returns the metadata options, through the one mapping. The upstream actuator treats an unknown
/// word as no opinion, and so launches a machine that answers IMDSv1. Here an unknown word is an
/// error.
///
/// # Errors
/// Fails if a setting is invalid, or is one that no machine of a cluster can have.
pub fn options(config: &AwsMachineProviderConfig) -> Result<MetadataOptions> {
    let asked = &config.metadata_service_options;
    let mut flaws = metadata_findings(asked).into_iter();
    match flaws.find(|flaw| flaw.rule.severity() == Severity::Error) {
        Some(flaw) => Err(LaunchError::invalid(&flaw.path.clone(), said(flaw))),
        None => Ok(metadata_options(asked.asked())),
    }
}

/// Returns the warnings about settings that affect pods on the machine.
fn warned(config: &AwsMachineProviderConfig) -> impl Iterator<Item = String> {
    let flaws = metadata_findings(&config.metadata_service_options).into_iter();
    let warnings = flaws.filter(|flaw| flaw.rule.severity() == Severity::Warning);
    warnings.map(|flaw| format!("{}: {}", flaw.path.clone(), said(flaw)))
}

fn said(flaw: ObjectFinding) -> String {
    let expected = flaw.expected.map(|expected| format!(", expected {expected}"));
    flaw.message + &expected.unwrap_or_default()
}

/// Returns the name of the instance profile.
pub(in crate::machine_api) fn profile(config: &AwsMachineProviderConfig) -> Option<&str> {
    let name = config.iam_instance_profile.as_ref()?.id.as_deref()?;
    Some(name).filter(|name| !name.is_empty())
}

fn confidential_compute(config: &AwsMachineProviderConfig) -> Result<Option<ConfidentialCompute>> {
    let Some(asked) = &config.cpu_options else { return Ok(None) };
    match asked.confidential_compute.as_deref() {
        None => Ok(None),
        Some("Disabled") => Ok(Some(ConfidentialCompute::Disabled)),
        Some("AMDEncryptedVirtualizationNestedPaging") => Ok(Some(ConfidentialCompute::AmdSevSnp)),
        Some(other) => Err(LaunchError::invalid(
            "cpuOptions.confidentialCompute",
            format!(
                "found `{other}`, expected `Disabled` or `AMDEncryptedVirtualizationNestedPaging`"
            ),
        )),
    }
}
