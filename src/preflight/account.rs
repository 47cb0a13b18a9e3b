//! Findings about settings of the account that reject machines, or keep them from the internet.

use std::collections::BTreeMap;

use groundplan_aws::model::effective_metadata::{
    AccountDefaults, Decision, Enforcement, ImdsSupport, LaunchLayers, Layer, Manager, enforcement,
};
use groundplan_aws::model::metadata_options::{HttpTokens, Switch, WHY_ENABLED, WHY_NO_TAGS};
use groundplan_aws::preflight::account_settings::{BlockedTraffic, PublicAccessBlock};

use super::demands::{InternetAccess, Launch};
use crate::render::{Code, Diagnostic};

/// Layers that decide the metadata options of a launch beside its request.
#[derive(Clone, Copy, Debug)]
pub struct AccountLayers<'a> {
    /// Defaults of the account in the region.
    pub defaults: &'a AccountDefaults,
    /// `ImdsSupport` of the images that could be read.
    pub images: &'a BTreeMap<String, ImdsSupport>,
}

impl AccountLayers<'_> {
    fn layers<'l>(&'l self, launch: &'l Launch) -> LaunchLayers<'l> {
        let image = launch.image.as_ref().and_then(|image| self.images.get(image)).copied();
        LaunchLayers { request: &launch.request, account: Some(self.defaults), image }
    }

    /// Returns whether the account accepts the tokens of a launch, or of a change that sets them.
    fn enforcement(&self, launch: &Launch) -> Enforcement {
        match (launch.is_change, launch.request.http_tokens) {
            (true, None) => Enforcement::Accepted,
            (true, tokens) => enforcement(tokens, Some(self.defaults)),
            (false, _) => self.layers(launch).enforcement(),
        }
    }
}

/// Returns an error for each setting of the account that rejects machines of the plan, or keeps them
/// from starting.
pub fn metadata(launches: &[Launch], account: AccountLayers, region: &str) -> Vec<Diagnostic> {
    let findings = [
        tokens(launches, account, region),
        tags(launches, account, region),
        endpoint(launches, account, region),
    ];
    findings.into_iter().flatten().collect()
}

/// Returns the tokens of new machines whose request has no opinion on them, with the layer that decides.
pub fn decided(launches: &[Launch], account: AccountLayers) -> Vec<String> {
    let mut groups: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for launch in launches.iter().filter(|launch| launch.depends_on_image()) {
        let value = match account.layers(launch).effective().http_tokens {
            Decision::Known { value: HttpTokens::Required, by } => {
                format!("session tokens are required by the {by}")
            }
            Decision::Known { value: HttpTokens::Optional, by } => {
                format!("session tokens are optional by the {by}")
            }
            Decision::Unknown { unknown } => {
                format!("session tokens are unknown, because the {unknown} could not be read")
            }
        };
        groups.entry(value).or_default().push(&launch.subject);
    }
    let sentence = |(value, subjects): (String, Vec<&str>)| {
        format!("no `authentication` for {}: {value}", subjects.join(", "))
    };
    groups.into_iter().map(sentence).collect()
}

fn tokens(launches: &[Launch], account: AccountLayers, region: &str) -> Option<Diagnostic> {
    let mut rejected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for launch in launches {
        if account.enforcement(launch) != Enforcement::Rejected {
            continue;
        }
        let by = match account.layers(launch).effective().http_tokens {
            Decision::Known { value: HttpTokens::Optional, by } if !launch.is_change => by,
            _ => Layer::Launch,
        };
        let why = match by {
            Layer::Launch => "`authentication: Optional`".to_owned(),
            Layer::Account => "no `authentication`, and the account default is optional".to_owned(),
            Layer::Image | Layer::Ec2 => {
                "no `authentication`, and neither the account nor the image requires tokens"
                    .to_owned()
            }
        };
        rejected.entry(why).or_default().push(&launch.subject);
    }
    if rejected.is_empty() {
        return None;
    }
    let mut finding = Diagnostic::error(
        Code::TokensRequired,
        format!("the account accepts only machines that require IMDSv2 in {region}"),
    );
    for (why, subjects) in rejected {
        finding = finding.with_detail(format!("{}: {why}", subjects.join(", ")));
    }
    finding.detail.extend(manager(account.defaults, "HttpTokensEnforced", "enabled"));
    Some(finding.with_hint(
        "set `metadataService.authentication: Required` under `platform.aws` of these machine pools",
    ))
}

/// Every machine has the cluster tag, whose key has a `/`.
fn tags(launches: &[Launch], account: AccountLayers, region: &str) -> Option<Diagnostic> {
    let enabled = Decision::Known { value: Switch::Enabled, by: Layer::Account };
    let of = |launch: &Launch| account.layers(launch).effective().instance_metadata_tags;
    let rejected = subjects(launches, |launch| of(launch) == enabled)?;
    let mut finding = Diagnostic::error(
        Code::MetadataTagsEnabled,
        format!("the account default makes EC2 reject the tags of machines in {region}"),
    )
    .with_detail(format!("no `instanceMetadataTags`: {rejected}"))
    .with_detail(WHY_NO_TAGS);
    finding.detail.extend(manager(account.defaults, "InstanceMetadataTags", "enabled"));
    Some(finding.with_hint(by_manager(
        account.defaults,
        "set `metadataService.instanceMetadataTags: Disabled` for these machine pools; workers of the \
         cluster's own machine controller need another account default",
        &format!(
            "aws ec2 modify-instance-metadata-defaults --region {region} --instance-metadata-tags no-preference"
        ),
    )))
}

fn endpoint(launches: &[Launch], account: AccountLayers, region: &str) -> Option<Diagnostic> {
    let disabled = Decision::Known { value: Switch::Disabled, by: Layer::Account };
    let of = |launch: &Launch| account.layers(launch).effective().http_endpoint;
    let rejected = subjects(launches, |launch| of(launch) == disabled)?;
    let mut finding = Diagnostic::error(
        Code::MetadataEndpointDisabled,
        format!("the account default disables the metadata service of machines in {region}"),
    )
    .with_detail(format!("no `httpEndpoint`: {rejected}"))
    .with_detail(WHY_ENABLED);
    finding.detail.extend(manager(account.defaults, "HttpEndpoint", "disabled"));
    Some(finding.with_hint(by_manager(
        account.defaults,
        "set `metadataService.httpEndpoint: Enabled` for these machine pools; workers of the cluster's \
         own machine controller need another account default",
        &format!(
            "aws ec2 modify-instance-metadata-defaults --region {region} --http-endpoint no-preference"
        ),
    )))
}

/// Returns a hint with the way to another default: a command, or the organisation.
fn by_manager(defaults: &AccountDefaults, hint: &str, command: &str) -> String {
    match defaults.managed_by {
        Manager::Account => format!("{hint}: {command}"),
        Manager::DeclarativePolicy => format!("{hint}, which only the organisation can change"),
    }
}

/// Returns the new machines for which `is_meant`; `None` if there are none.
fn subjects(launches: &[Launch], is_meant: impl Fn(&Launch) -> bool) -> Option<String> {
    let meant = launches.iter().filter(|launch| !launch.is_change && is_meant(launch));
    let meant: Vec<&str> = meant.map(|launch| launch.subject.as_str()).collect();
    (!meant.is_empty()).then(|| meant.join(", "))
}

/// Returns who sets an option of the account, and the organisation's text.
fn manager(defaults: &AccountDefaults, option: &str, value: &str) -> Vec<String> {
    let who = match defaults.managed_by {
        Manager::Account => "the account",
        Manager::DeclarativePolicy => {
            "a declarative policy of the organisation; the account cannot change it"
        }
    };
    let text = defaults.exception_message.iter();
    let mut lines = vec![format!("{option} is {value}, set by {who}")];
    lines.extend(text.map(|text| format!("the organisation's message: {text}")));
    lines
}

/// Returns a finding about internet gateways that the account blocks: an error for a network that the
/// plan creates, and a warning for an existing one, which an exclusion may cover.
pub fn internet(
    access: InternetAccess,
    block: PublicAccessBlock,
    region: &str,
) -> Option<Diagnostic> {
    let InternetAccess { is_own, is_published } = access;
    let consequence = match block.blocked {
        BlockedTraffic::Both => "machines get no images and reach no API of AWS",
        BlockedTraffic::Ingress if is_published => {
            "the API and the applications of the cluster are not reachable from the internet"
        }
        BlockedTraffic::Ingress => return None,
    };
    let mode = match block.blocked {
        BlockedTraffic::Both => "block-bidirectional",
        BlockedTraffic::Ingress => "block-ingress",
    };
    let summary = format!("VPC Block Public Access blocks internet gateways in {region}");
    let finding = match is_own {
        true => Diagnostic::error(Code::InternetGatewayBlocked, summary),
        false => Diagnostic::warning(Code::InternetGatewayBlocked, summary)
            .with_detail("an exclusion may cover the existing network: exclusions are not read"),
    };
    let who = match block.managed_by {
        Manager::Account => "the account",
        Manager::DeclarativePolicy => {
            "a declarative policy of the organisation; the account cannot change it"
        }
    };
    let finding = finding
        .with_detail(consequence)
        .with_detail(format!("the block mode is {mode}, set by {who}"));
    Some(finding.with_hint(match block.blocked {
        BlockedTraffic::Ingress => {
            "set `publish: Internal`, or use an existing network with an exclusion: aws ec2 \
             create-vpc-block-public-access-exclusion"
        }
        BlockedTraffic::Both => {
            "use an existing network with an exclusion or with another way out, such as a transit \
             gateway: aws ec2 create-vpc-block-public-access-exclusion"
        }
    }))
}

#[cfg(test)]
mod tests {
    use groundplan_aws::model::metadata_options::{HopLimit, MetadataOptions};

    use super::*;
    use crate::render::DiagnosticSeverity;

    fn launch(subject: &str, tokens: Option<HttpTokens>) -> Launch {
        let request = MetadataOptions { http_tokens: tokens, ..MetadataOptions::default() };
        Launch { subject: subject.into(), image: Some("ami-1".into()), request, is_change: false }
    }

    fn codes(launches: &[Launch], defaults: &AccountDefaults, image: ImdsSupport) -> Vec<Code> {
        let images = BTreeMap::from([("ami-1".to_owned(), image)]);
        let account = AccountLayers { defaults, images: &images };
        metadata(launches, account, "us-west-2").into_iter().map(|one| one.code).collect()
    }

    fn enforced() -> AccountDefaults {
        AccountDefaults { is_enforced: true, ..AccountDefaults::default() }
    }

    #[test]
    fn an_account_that_enforces_tokens_refuses_what_would_not_have_them() {
        let unset = ImdsSupport::Unset;
        let refused = [Code::TokensRequired];
        let optional = [launch("instance.master-0", Some(HttpTokens::Optional))];
        let omitted = [launch("instance.master-0", None)];
        let required = [launch("instance.master-0", Some(HttpTokens::Required))];
        assert_eq!(codes(&optional, &enforced(), unset), refused);
        assert_eq!(codes(&omitted, &enforced(), unset), refused);
        assert_eq!(codes(&required, &enforced(), unset), []);
        assert_eq!(codes(&omitted, &enforced(), ImdsSupport::V2), [], "the image requires them");
        let default = AccountDefaults { http_tokens: Some(HttpTokens::Required), ..enforced() };
        assert_eq!(codes(&omitted, &default, unset), [], "the account requires them");
        assert_eq!(codes(&optional, &AccountDefaults::default(), unset), []);
    }

    #[test]
    fn an_image_that_could_not_be_read_refuses_nothing() {
        let account = AccountLayers { defaults: &enforced(), images: &BTreeMap::new() };
        assert_eq!(metadata(&[launch("instance.master-0", None)], account, "us-west-2"), []);
    }

    #[test]
    fn without_an_opinion_the_deciding_layer_is_said() {
        let machines = [
            launch("instance.master-0", None),
            launch("instance.master-1", Some(HttpTokens::Optional)),
            launch("workers of the pool `worker`", None),
        ];
        let defaults = AccountDefaults::default();
        let images = BTreeMap::from([("ami-1".to_owned(), ImdsSupport::V2)]);
        let account = AccountLayers { defaults: &defaults, images: &images };
        assert_eq!(
            decided(&machines, account),
            [
                "no `authentication` for instance.master-0, workers of the pool `worker`: session tokens \
              are required by the image"
            ]
        );
        let unread = AccountLayers { defaults: &defaults, images: &BTreeMap::new() };
        let words = decided(&machines, unread).join("\n");
        assert!(words.contains("unknown, because the image could not be read"), "{words}");
    }

    #[test]
    fn a_change_counts_only_for_what_it_sends() {
        let mut change = launch("instance.master-0", Some(HttpTokens::Optional));
        change.is_change = true;
        assert_eq!(
            codes(&[change.clone()], &enforced(), ImdsSupport::Unset),
            [Code::TokensRequired]
        );
        change.request.http_tokens = None;
        change.request.http_put_response_hop_limit = Some(HopLimit::TWO);
        let tags = AccountDefaults { instance_metadata_tags: Some(Switch::Enabled), ..enforced() };
        assert_eq!(codes(&[change], &tags, ImdsSupport::Unset), []);
    }

    #[test]
    fn defaults_that_no_machine_survives_are_refused_where_the_request_is_silent() {
        let tags = AccountDefaults {
            instance_metadata_tags: Some(Switch::Enabled),
            http_endpoint: Some(Switch::Disabled),
            ..AccountDefaults::default()
        };
        let mut machine = launch("instance.master-0", None);
        let unset = ImdsSupport::Unset;
        let both = [Code::MetadataTagsEnabled, Code::MetadataEndpointDisabled];
        assert_eq!(codes(&[machine.clone()], &tags, unset), both);
        machine.request.instance_metadata_tags = Some(Switch::Disabled);
        machine.request.http_endpoint = Some(Switch::Enabled);
        assert_eq!(codes(&[machine], &tags, unset), []);
    }

    #[test]
    fn the_text_names_machines_reason_and_organisation() {
        let defaults = AccountDefaults {
            managed_by: Manager::DeclarativePolicy,
            exception_message: Some("ask #cloud-security".into()),
            ..enforced()
        };
        let images = BTreeMap::from([("ami-1".to_owned(), ImdsSupport::Unset)]);
        let machines = [
            launch("instance.master-0", Some(HttpTokens::Optional)),
            launch("instance.master-1", Some(HttpTokens::Optional)),
            launch("workers of the pool `worker`", None),
        ];
        let account = AccountLayers { defaults: &defaults, images: &images };
        let findings = metadata(&machines, account, "us-west-2");
        assert_eq!(
            findings[0].detail,
            [
                "instance.master-0, instance.master-1: `authentication: Optional`",
                "workers of the pool `worker`: no `authentication`, and neither the account nor the \
                 image requires tokens",
                "HttpTokensEnforced is enabled, set by a declarative policy of the organisation; the \
                 account cannot change it",
                "the organisation's message: ask #cloud-security",
            ]
        );
    }

    #[test]
    fn blocked_gateways_stop_a_new_network_and_warn_about_an_existing_one() {
        let severity = |blocked, is_own, is_published| {
            let block = PublicAccessBlock { blocked, managed_by: Manager::Account };
            let finding = internet(InternetAccess { is_own, is_published }, block, "us-west-2");
            finding.map(|finding| finding.severity)
        };
        let (error, warning) = (DiagnosticSeverity::Error, DiagnosticSeverity::Warning);
        assert_eq!(severity(BlockedTraffic::Both, true, true), Some(error));
        assert_eq!(severity(BlockedTraffic::Both, true, false), Some(error));
        assert_eq!(severity(BlockedTraffic::Both, false, true), Some(warning));
        assert_eq!(severity(BlockedTraffic::Ingress, true, true), Some(error));
        assert_eq!(severity(BlockedTraffic::Ingress, false, true), Some(warning));
        assert_eq!(severity(BlockedTraffic::Ingress, true, false), None);
    }
}
