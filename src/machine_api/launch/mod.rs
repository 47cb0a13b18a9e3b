//! A machine as its manifest has it becomes what AWS is told: the inputs of the kind
//! [`machine`](crate::aws::machine), and what it is registered with.
//!
//! The reference is openshift/machine-api-provider-aws `pkg/actuators/machine` (`instances.go`,
//! `utils.go`). It survives what no webhook has seen. Pure: what only AWS knows is asked for as
//! [`questions`] and comes in as answers.

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

use serde_json::Value;

use self::answers::Answers;
use super::types::{AwsMachineProviderConfig, Labels};
use crate::aws::load_balancer_attachment::LoadBalancerKind;
use crate::aws::machine::{ConfidentialCompute, DualStack, Machine};
use crate::aws::metadata_options::{MetadataOptions, metadata_options};
use crate::aws::questions::Question;
use crate::config::Severity;
use crate::graph::Input;
use crate::machine_api::check::{Flaw, metadata_flaws};
use crate::secret::Secret;

pub use self::tags::{all as tags, cluster_of};

/// What a machine takes from its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The region, where a machine says none.
    pub region: Option<String>,
    /// The tags that everything of the cluster gets; a machine's own come first.
    pub resource_tags: Vec<(String, String)>,
    /// The families of addresses; absent is IPv4 alone.
    pub dual_stack: Option<DualStack>,
}

/// A machine, ready to be launched.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// What one `RunInstances` is told.
    pub machine: Machine,
    /// What it is registered with: the names of load balancers, and what they are.
    pub attachments: Vec<(String, LoadBalancerKind)>,
    /// What is unusual about it, as sentences without a full stop.
    pub warnings: Vec<String>,
}

/// Why a machine cannot be launched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// What is asked for cannot be had, now or later: `InvalidConfiguration`.
    #[error("{field}: {message}")]
    Invalid {
        /// Where in the machine's spec.
        field: String,
        /// What is wrong with it, and what would be right.
        message: String,
    },
    /// What is asked for contradicts itself. Machines wait with it, as upstream's do.
    #[error("{field}: {message}")]
    Conflict {
        /// Where in the machine's spec.
        field: String,
        /// What contradicts what.
        message: String,
    },
    /// AWS has not answered a question that this needs, or with something else.
    #[error("not known yet: {question}")]
    Unanswered {
        /// The question's key.
        question: String,
    },
}

impl Refusal {
    fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self::Invalid { field: format!("providerSpec.value.{field}"), message: message.into() }
    }

    fn conflict(field: &str, message: impl Into<String>) -> Self {
        Self::Conflict { field: format!("providerSpec.value.{field}"), message: message.into() }
    }
}

type Result<T> = std::result::Result<T, Refusal>;

/// What AWS must be asked before this can be launched. One round is enough.
pub fn questions(config: &AwsMachineProviderConfig, site: &Site) -> Vec<Question> {
    let Some(region) = region(config, site) else { return Vec::new() };
    let mut questions = Vec::new();
    questions.extend(image::questions(config, region));
    questions.extend(network::questions(config, region));
    questions
}

/// The launch of the machine of this name and these labels, whose user data is known by its digest.
///
/// # Errors
/// The first thing that stands in the way.
pub fn launch(
    name: &str,
    labels: &Labels,
    config: &AwsMachineProviderConfig,
    site: &Site,
    answers: &BTreeMap<String, Value>,
    user_data: Secret,
) -> Result<Launch> {
    let missing = || Refusal::invalid("placement.region", "is missing, and the cluster has none");
    let answers = Answers { region: region(config, site).ok_or_else(missing)?, given: answers };
    let mut warnings: Vec<String> = warned(config).collect();
    if config.instance_type.is_empty() {
        return Err(Refusal::invalid("instanceType", "is missing"));
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
    Ok(Launch { machine, attachments, warnings })
}

/// What a machine is registered with.
pub fn attachments(config: &AwsMachineProviderConfig) -> Vec<(String, LoadBalancerKind)> {
    network::attachments(config, &mut Vec::new())
}

/// The region of a machine.
fn region<'a>(config: &'a AwsMachineProviderConfig, site: &'a Site) -> Option<&'a str> {
    let own = Some(config.placement.region.as_str()).filter(|region| !region.is_empty());
    own.or(site.region.as_deref())
}

/// The metadata options, by the one mapping. A word that nobody knows is no opinion to upstream's
/// actuator, and a machine that answers IMDSv1; to us it is a mistake.
///
/// # Errors
/// When a setting is none, or one that no machine of a cluster can have.
pub fn options(config: &AwsMachineProviderConfig) -> Result<MetadataOptions> {
    let asked = &config.metadata_service_options;
    let mut flaws = metadata_flaws(asked).into_iter();
    match flaws.find(|flaw| flaw.rule.severity() == Severity::Error) {
        Some(flaw) => Err(Refusal::invalid(&flaw.path.clone(), said(flaw))),
        None => Ok(metadata_options(asked.asked())),
    }
}

/// What will surprise whoever has pods on such a machine.
fn warned(config: &AwsMachineProviderConfig) -> impl Iterator<Item = String> {
    let flaws = metadata_flaws(&config.metadata_service_options).into_iter();
    let warnings = flaws.filter(|flaw| flaw.rule.severity() == Severity::Warning);
    warnings.map(|flaw| format!("{}: {}", flaw.path.clone(), said(flaw)))
}

fn said(flaw: Flaw) -> String {
    let expected = flaw.expected.map(|expected| format!(", expected {expected}"));
    flaw.message + &expected.unwrap_or_default()
}

/// The name of the instance profile.
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
        Some(other) => Err(Refusal::invalid(
            "cpuOptions.confidentialCompute",
            format!(
                "found `{other}`, expected `Disabled` or `AMDEncryptedVirtualizationNestedPaging`"
            ),
        )),
    }
}
