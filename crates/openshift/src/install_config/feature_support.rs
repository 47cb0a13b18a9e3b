//! The remaining top-level fields: publishing, credentials mode, features, image sources.
//!
//! Most of these fields have no effect on AWS resources. Wrong values are reported because
//! openshift-install would reject them later. Rules: `pkg/types/validation/installconfig.go`,
//! release-4.15.

use super::choices::{Choices, choose, choose_word, words};
use super::document::{self, Document, FieldValue, Spanned};
use super::machine_pool::unsupported;
use crate::diagnostics::finding::{FieldSpan, FindingCollector, one_of, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{CredentialsMode, Publish};

pub(super) const PUBLISH: &Choices<Publish> =
    &[("External", Publish::External), ("Internal", Publish::Internal)];
pub(super) const CREDENTIALS_MODES: &Choices<CredentialsMode> = &[
    ("Mint", CredentialsMode::Mint),
    ("Passthrough", CredentialsMode::Passthrough),
    ("Manual", CredentialsMode::Manual),
];
pub(super) const CPU_PARTITIONING: &Choices<()> = &[("None", ()), ("AllNodes", ())];
/// openshift/api `config/v1/types_feature.go`, up to 4.19. openshift-install rejects the word
/// `Default` for the default set, which has an empty name.
pub(super) const FEATURE_SETS: &Choices<()> = &[
    ("TechPreviewNoUpgrade", ()),
    ("DevPreviewNoUpgrade", ()),
    ("CustomNoUpgrade", ()),
    ("LatencySensitive", ()),
];
/// openshift/api `config/v1/types_cluster_version.go`; `v4.18` is the last one. The value is true if the set has
/// `CloudCredential`, which every cluster on a cloud needs.
pub(super) const CAPABILITY_SETS: &Choices<bool> = &[
    ("None", false),
    ("vCurrent", true),
    ("v4.11", false),
    ("v4.12", false),
    ("v4.13", false),
    ("v4.14", false),
    ("v4.15", true),
    ("v4.16", true),
    ("v4.17", true),
    ("v4.18", true),
];
const CLOUD_CREDENTIAL: &str = "CloudCredential";
pub(super) const CAPABILITIES: &Choices<()> = &[
    ("baremetal", ()),
    ("Build", ()),
    ("CSISnapshot", ()),
    ("CloudControllerManager", ()),
    (CLOUD_CREDENTIAL, ()),
    ("Console", ()),
    ("DeploymentConfig", ()),
    ("ImageRegistry", ()),
    ("Ingress", ()),
    ("Insights", ()),
    ("MachineAPI", ()),
    ("NodeTuning", ()),
    ("OperatorLifecycleManager", ()),
    ("OperatorLifecycleManagerV1", ()),
    ("Storage", ()),
    ("marketplace", ()),
    ("openshift-samples", ()),
];

/// Returns true if the schema version is known, so that the rest of the file can be read.
pub(super) fn check_version(document: &Document, report: &mut FindingCollector) -> bool {
    const VERSION: &str = "v1";
    const OLD: [&str; 2] = ["v1beta4", "v1beta3"]; // fields as in v1, some renamed
    let Some(at) = document.api_version.require(&FieldSpan::file(), "apiVersion", report) else {
        return false;
    };
    if OLD.contains(&at.value.as_str()) {
        report
            .breach(Rule::OldApiVersion, &at.spot, format!("found the old version `{}`", at.value))
            .hint("use `v1`");
    } else if at.value != VERSION {
        report
            .breach(Rule::ApiVersion, &at.spot, format!("found {}", shown(&at.value)))
            .expected("`v1`");
        return false;
    }
    true
}

/// Returns the networks from which the cluster is reachable.
pub(super) fn publish(document: &Document, report: &mut FindingCollector) -> Option<Publish> {
    if let Some(at) = document.operator_publishing_strategy.get() {
        report
            .breach(Rule::PublishingStrategy, &at.spot, "is set")
            .expected("nothing, because aws does not support `publish: Mixed`");
    }
    match &document.publish {
        FieldValue::Missing | FieldValue::Empty(_) => Some(Publish::default()),
        FieldValue::Value(at) if at.value.is_empty() => Some(Publish::default()),
        given => choose(Rule::Publish, given, PUBLISH, report),
    }
}

/// Returns the credentials of the operators for AWS calls.
pub(super) fn credentials_mode(
    document: &Document,
    report: &mut FindingCollector,
) -> Option<CredentialsMode> {
    choose(Rule::CredentialsMode, &document.credentials_mode, CREDENTIALS_MODES, report)
}

/// Validates all fields without effect on AWS resources.
pub(super) fn check(document: &Document, report: &mut FindingCollector) {
    choose(Rule::CpuPartitioning, &document.cpu_partitioning_mode, CPU_PARTITIONING, report);
    if let Some(at) = document.arbiter.get() {
        report.breach(Rule::Unsupported, &at.spot, unsupported("arbiter"));
    }
    if let Some(at) = document.bootstrap_in_place.get() {
        report
            .breach(Rule::BootstrapInPlace, &at.spot, "is set")
            .expected("nothing, because it is for clusters without a bootstrap machine");
    }
    check_capabilities(document, report);
    check_features(document, report);
    check_image_sources(document, report);
}

fn check_capabilities(document: &Document, report: &mut FindingCollector) {
    let Some(given) = document.capabilities.get() else { return };
    let set_has_it =
        choose(Rule::CapabilitySet, &given.baseline, CAPABILITY_SETS, report).unwrap_or(true);
    if given.baseline.text().is_none() && !matches!(given.baseline, FieldValue::Unreadable) {
        let at = given.baseline.get().map_or(&given.spot, |at| &at.spot);
        report
            .breach(Rule::CapabilitySet, at, "does not name a baselineCapabilitySet")
            .expected(one_of(&words(CAPABILITY_SETS)))
            .hint("write `baselineCapabilitySet: vCurrent` for all capabilities");
    }
    let items = given.additional.items();
    for item in items {
        choose_word(Rule::Capability, item, CAPABILITIES, report);
        if item.value.is_empty() {
            report
                .breach(Rule::Capability, &item.spot, "is empty")
                .expected(one_of(&words(CAPABILITIES)))
                .hint("remove the item");
        }
    }
    let is_added = |name: &str| items.iter().any(|item| item.value == name);
    if given.baseline.text() == Some("None") {
        for (needy, need) in NEEDS {
            check_need(items, needy, need, report);
        }
    }
    if !set_has_it && !is_added(CLOUD_CREDENTIAL) {
        report
            .breach(
                Rule::CloudCredential,
                &given.spot,
                format!("does not contain `{CLOUD_CREDENTIAL}`, which aws requires"),
            )
            .expected(format!("`{CLOUD_CREDENTIAL}` in additionalEnabledCapabilities"));
    }
}

/// openshift/installer `pkg/types/validation/installconfig.go`, `validateAdditionalCapabilities`
const NEEDS: [(&str, &str); 2] =
    [("baremetal", "MachineAPI"), ("marketplace", "OperatorLifecycleManager")];

/// Reports a capability without the other capability that it needs, on the set `None`.
fn check_need(items: &[Spanned<String>], needy: &str, need: &str, report: &mut FindingCollector) {
    let Some(at) = items.iter().find(|item| item.value == needy) else { return };
    if items.iter().all(|item| item.value != need) {
        report
            .breach(Rule::CapabilityNeeds, &at.spot, format!("found `{needy}` without `{need}`"))
            .expected(format!("`{need}` in additionalEnabledCapabilities"));
    }
}

fn check_features(document: &Document, report: &mut FindingCollector) {
    choose(Rule::FeatureSet, &document.feature_set, FEATURE_SETS, report);
    let custom = document.feature_set.get().is_some_and(|at| at.value == "CustomNoUpgrade");
    if let (Some(at), false) = (document.feature_gates.get(), custom) {
        report
            .breach(Rule::FeatureGates, &at.spot, "is set")
            .expected("featureSet `CustomNoUpgrade` to be set");
    }
    let is_gate = |text: &str| {
        text.split_once('=').is_some_and(|(name, word)| !name.is_empty() && is_go_bool(word))
    };
    for gate in document.feature_gates.items().iter().filter(|gate| !is_gate(&gate.value)) {
        report
            .breach(Rule::FeatureGate, &gate.spot, format!("found {}", shown(&gate.value)))
            .expected("a gate such as `Name=true` or `Name=false`");
    }
}

/// Returns true for a word that Go's `strconv.ParseBool` accepts, as openshift-install does.
fn is_go_bool(word: &str) -> bool {
    let words = ["1", "t", "T", "true", "TRUE", "True", "0", "f", "F", "false", "FALSE", "False"];
    words.contains(&word)
}

fn check_image_sources(document: &Document, report: &mut FindingCollector) {
    if let Some(old) = document.image_content_sources.get() {
        report
            .breach(Rule::Deprecated, &old.spot, "is deprecated in favour of `imageDigestSources`")
            .hint("use only `imageDigestSources`");
        if document.image_digest_sources.is_given() {
            report
                .breach(Rule::ImageSources, &old.spot, "is set together with `imageDigestSources`")
                .expected("only `imageDigestSources`");
        }
    }
    let old = document.image_content_sources.items();
    for source in old.iter().chain(document.image_digest_sources.items()) {
        check_image_source(source, report);
    }
}

fn check_image_source(given: &Spanned<document::ImageSource>, report: &mut FindingCollector) {
    let source = given.source.require(&given.spot, "source", report);
    for at in source.into_iter().chain(given.mirrors.items()) {
        if !is_repository(&at.value) {
            report
                .breach(Rule::ImageRepository, &at.spot, format!("found {}", shown(&at.value)))
                .expected(
                    "a repository such as `registry.example.com:5000/name`, without tag or digest",
                )
                .hint_if(lacks_host(&at.value).then(|| HOST_HINT.to_owned()));
        }
    }
}

const HOST_HINT: &str = "begin with the host of the registry, such as `quay.io/`";

/// Returns true if the first part of a path is not a registry: it has no dot, no port, and is not
/// `localhost`. Container tools take such a name for one of Docker Hub.
fn lacks_host(text: &str) -> bool {
    let first = text.split_once('/').map(|(first, _)| first);
    first.is_some_and(|first| {
        let has_upper_case = first.bytes().any(|b| b.is_ascii_uppercase());
        first != "localhost" && !first.contains(['.', ':']) && !has_upper_case
    })
}

/// Returns true for a host, an optional port and a path of names, without scheme, tag or digest. A
/// name with a path begins with the host of a registry. Reference: openshift/installer
/// `pkg/types/validation/installconfig.go`, `validateNamedRepository`.
fn is_repository(text: &str) -> bool {
    let (host, path) = text.split_once('/').unwrap_or((text, ""));
    let in_path = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-/".contains(&b);
    let (name, port) = host.split_once(':').unwrap_or((host, "0"));
    let in_host = |b: u8| b.is_ascii_alphanumeric() || b".-_".contains(&b);
    !name.is_empty()
        && name.bytes().all(in_host)
        && port.parse::<u16>().is_ok()
        && !lacks_host(text)
        && path.bytes().all(in_path)
        && path.split('/').all(|part| path.is_empty() || !part.is_empty())
}
