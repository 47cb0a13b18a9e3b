//! Rules and defaults of the webhook for the provider config (openshift/machine-api-operator
//! `pkg/webhooks/machine_webhook.go`).

use std::collections::BTreeSet;

use super::{ObjectFinding, market, metadata, placement};
use crate::diagnostics::{Rule, did_you_mean, one_of, shown};
use crate::install_config::Architecture;
use crate::machine_api::types::{
    AwsMachineProviderConfig, BlockDevice, LocalReference, ResourceReference,
};

/// Defaults that a cluster fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// Region of the cluster, if known.
    pub region: Option<String>,
    /// Architecture of the control plane.
    pub architecture: Architecture,
}

impl Defaults {
    /// Returns the defaults of an unknown cluster, whose region stays a placeholder.
    pub(super) fn of_some_cluster() -> Self {
        Self { region: Some("the cluster's".into()), architecture: Architecture::Amd64 }
    }
}

/// Purpose of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Master of the control plane.
    ControlPlane,
    /// Any other machine.
    Other,
}

/// Returns the config with the defaults that the webhook fills in. The metadata options get no
/// defaults.
pub fn with_defaults(
    config: AwsMachineProviderConfig,
    defaults: &Defaults,
) -> AwsMachineProviderConfig {
    let mut config = config;
    if config.instance_type.is_empty() {
        config.instance_type = match defaults.architecture {
            Architecture::Amd64 => "m5.large".into(),
            Architecture::Arm64 => "m6g.large".into(),
        };
    }
    if config.user_data_secret.as_ref().is_none_or(|secret| secret.name.is_empty()) {
        config.user_data_secret = Some(LocalReference { name: "worker-user-data".into() });
    }
    if config.credentials_secret.is_none() {
        config.credentials_secret = Some(LocalReference { name: "aws-cloud-credentials".into() });
    }
    if config.placement.region.is_empty() {
        config.placement.region = defaults.region.clone().unwrap_or_default();
    }
    config
}

/// Returns all flaws that the webhook reports for a config with its [defaults](with_defaults).
pub fn judge(config: &AwsMachineProviderConfig, purpose: Purpose) -> Vec<ObjectFinding> {
    let mut findings = Vec::new();
    findings.extend(unexpected_kind(config));
    findings.extend(image(&config.ami));
    findings.extend(cpu(config));
    findings.extend(tags(config));
    findings.extend(profile(config.iam_instance_profile.as_ref()));
    findings.extend(interface(&config.network_interface_type));
    findings.extend(subnet(&config.subnet));
    findings.extend(placement::findings(&config.placement, purpose));
    findings.extend(placement::partition(config));
    findings.extend(config.block_devices.iter().enumerate().filter_map(throughput));
    findings.extend(market::findings(config));
    findings.extend(metadata::findings(&config.metadata_service_options));
    findings
}

/// Returns the finding about a config whose `apiVersion` and `kind` do not name its type. The webhook
/// warns, and the machine controllers use the config (openshift/machine-api-operator
/// `pkg/webhooks/machine_webhook.go`, `validateGVK`; openshift/machine-api-provider-aws
/// `pkg/actuators/machine/utils.go`, `ProviderSpecFromRawExtension`).
pub fn unexpected_kind(config: &AwsMachineProviderConfig) -> Option<ObjectFinding> {
    let named = format!("{}, {}", config.api_version, config.kind);
    let finding =
        ObjectFinding::new(Rule::ProviderConfigKind, "kind", format!("found {}", shown(&named)));
    let finding = finding.expected("`machine.openshift.io/v1beta1` and `AWSMachineProviderConfig`");
    (!config.is_named()).then_some(finding)
}

fn image(ami: &ResourceReference) -> Vec<ObjectFinding> {
    let missing = ObjectFinding::new(Rule::MachineImage, "ami", "has no id")
        .expected("`id: ami-…`; the webhook rejects other ways to name an image");
    let searched = ObjectFinding::new(
        Rule::MachineImageSearch,
        "ami",
        "has an arn or filters, which have no effect beside an id",
    );
    let is_searched = ami.arn.is_some() || !ami.filters.is_empty();
    let missing = ami.id.is_none().then_some(missing);
    missing.into_iter().chain(is_searched.then_some(searched)).collect()
}

fn cpu(config: &AwsMachineProviderConfig) -> Option<ObjectFinding> {
    const WORDS: [&str; 2] = ["Disabled", "AMDEncryptedVirtualizationNestedPaging"];
    let asked = config.cpu_options.as_ref()?.confidential_compute.as_deref();
    if asked.is_some_and(|asked| WORDS.contains(&asked)) {
        return None;
    }
    let (path, found) = match asked {
        None => ("cpuOptions", "is empty".to_owned()),
        Some(asked) => ("cpuOptions.confidentialCompute", format!("found {}", shown(asked))),
    };
    Some(ObjectFinding::new(Rule::MachineCpu, path, found).expected(one_of(&WORDS)))
}

/// Checks the tags. Each repeated name is reported once.
fn tags(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    let (mut seen, mut told) = (BTreeSet::new(), BTreeSet::new());
    let mut findings = Vec::new();
    for (index, tag) in config.tags.iter().enumerate() {
        if !seen.insert(&tag.name) && told.insert(&tag.name) {
            let found = format!("{} is set twice; the first value is used", shown(&tag.name));
            findings.push(ObjectFinding::new(
                Rule::MachineTag,
                format!("tags[{index}].name"),
                found,
            ));
        }
    }
    findings
}

fn profile(profile: Option<&ResourceReference>) -> Option<ObjectFinding> {
    let message = match profile {
        None => "is missing: the machine has no permissions in AWS",
        Some(given) if given.arn.is_some() || !given.filters.is_empty() => {
            "has an arn or filters, which have no effect"
        }
        Some(_) => return None,
    };
    let finding = ObjectFinding::new(Rule::MachineProfile, "iamInstanceProfile", message);
    Some(finding.expected("`id:` and the name of the profile"))
}

fn interface(interface: &str) -> Option<ObjectFinding> {
    word(Rule::MachineInterface, "networkInterfaceType", interface, &["ENA", "EFA"])
}

fn subnet(subnet: &ResourceReference) -> Option<ObjectFinding> {
    let message = if subnet.arn.is_some() {
        "has an arn, which has no effect"
    } else if subnet.id.is_none() && subnet.filters.is_empty() {
        "is missing: AWS uses a default subnet, if there is one"
    } else {
        return None;
    };
    Some(ObjectFinding::new(Rule::MachineSubnet, "subnet", message).expected("`id` or `filters`"))
}

/// Checks the throughput of a volume whose type is set. Only gp3 accepts a throughput.
fn throughput((index, device): (usize, &BlockDevice)) -> Option<ObjectFinding> {
    let ebs = device.ebs.as_ref()?;
    let (throughput, volume_type) = (ebs.throughput_mib?, ebs.volume_type.as_deref()?);
    let path = format!("blockDevices[{index}].ebs.throughputMib");
    let found = format!("found `{throughput}`");
    if volume_type != "gp3" {
        let found = format!("{found} for a volume of type {}", shown(volume_type));
        return Some(ObjectFinding::new(Rule::MachineThroughput, path, found).expected("gp3 only"));
    }
    let fits = (125..=2000).contains(&throughput);
    let finding =
        ObjectFinding::new(Rule::MachineThroughput, path, found).expected("from 125 to 2000");
    (!fits).then_some(finding)
}

/// Checks that a word is empty or one of `words`, in the same spelling.
pub(super) fn word(rule: Rule, path: &str, found: &str, words: &[&str]) -> Option<ObjectFinding> {
    if found.is_empty() || words.contains(&found) {
        return None;
    }
    let finding =
        ObjectFinding::new(rule, path, format!("found {}", shown(found))).expected(one_of(words));
    Some(ObjectFinding { hint: did_you_mean(found, words), ..finding })
}
