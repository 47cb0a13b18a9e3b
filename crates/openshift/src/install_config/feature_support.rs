//! The remaining top-level fields: publishing, credentials mode, features, image sources.
//!
//! Most of these fields have no effect on AWS resources. Wrong values are reported because
//! openshift-install would reject them later. Rules: `pkg/types/validation/installconfig.go`,
//! release-4.15.

use super::choices::{Choices, check_release, choose, choose_word, words};
use super::document::{self, Document, FieldValue, Spanned};
use crate::diagnostics::finding::{FieldSpan, FindingCollector, one_of, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{CredentialsMode, Publish};
use crate::release::ReleaseRange;

pub(super) const PUBLISH: &Choices<Publish> =
    &[("External", Publish::External), ("Internal", Publish::Internal)];
pub(super) const CREDENTIALS_MODES: &Choices<CredentialsMode> = &[
    ("Mint", CredentialsMode::Mint),
    ("Passthrough", CredentialsMode::Passthrough),
    ("Manual", CredentialsMode::Manual),
];
pub(super) const CPU_PARTITIONING: &Choices<()> = &[("None", ()), ("AllNodes", ())];
/// openshift/api `config/v1/types_feature.go`, with the releases whose openshift-install accepts the
/// word. All releases reject the word `Default` for the default set, which has an empty name.
pub(super) const FEATURE_SETS: &Choices<ReleaseRange> = &[
    ("TechPreviewNoUpgrade", ReleaseRange::ALL),
    ("DevPreviewNoUpgrade", ReleaseRange::since(4, 16)),
    ("CustomNoUpgrade", ReleaseRange::ALL),
    ("LatencySensitive", ReleaseRange::until(4, 19)),
];

/// openshift/api `config/v1/types_image_digest_mirror_set.go`
pub(super) const SOURCE_POLICIES: &Choices<()> =
    &[("NeverContactSource", ()), ("AllowContactingSource", ())];
pub(super) const IMAGE_STREAMS: &Choices<()> = &[("rhel-9", ()), ("rhel-10", ())];

/// A set of capabilities: its releases, and its members that rules name.
#[derive(Clone, Copy)]
pub(super) struct CapabilitySet {
    releases: ReleaseRange,
    has: &'static [&'static str],
}

const fn set(releases: ReleaseRange, has: &'static [&'static str]) -> CapabilitySet {
    CapabilitySet { releases, has }
}

/// Members of the sets up to `v4.14`, which name `OperatorLifecycleManager` as no capability.
const EARLY: &[&str] = &["baremetal", "marketplace"];
const WITH_LIFECYCLE: &[&str] =
    &["baremetal", "marketplace", "MachineAPI", CLOUD_CREDENTIAL, "OperatorLifecycleManager"];
const WITH_INGRESS: &[&str] = &[
    "baremetal",
    "marketplace",
    "MachineAPI",
    CLOUD_CREDENTIAL,
    "OperatorLifecycleManager",
    CLOUD_CONTROLLER,
    INGRESS,
];

/// openshift/api `config/v1/types_cluster_version.go`; `v4.18` is the last one.
pub(super) const CAPABILITY_SETS: &Choices<CapabilitySet> = &[
    ("None", set(ReleaseRange::ALL, &[])),
    ("vCurrent", set(ReleaseRange::ALL, WITH_INGRESS)),
    ("v4.11", set(ReleaseRange::ALL, EARLY)),
    ("v4.12", set(ReleaseRange::ALL, EARLY)),
    ("v4.13", set(ReleaseRange::since(4, 13), EARLY)),
    ("v4.14", set(ReleaseRange::since(4, 14), EARLY)),
    ("v4.15", set(ReleaseRange::since(4, 15), WITH_LIFECYCLE)),
    ("v4.16", set(ReleaseRange::since(4, 16), WITH_INGRESS)),
    ("v4.17", set(ReleaseRange::since(4, 17), WITH_INGRESS)),
    ("v4.18", set(ReleaseRange::since(4, 18), WITH_INGRESS)),
];
const CLOUD_CREDENTIAL: &str = "CloudCredential";
const CLOUD_CONTROLLER: &str = "CloudControllerManager";
const INGRESS: &str = "Ingress";
/// Capabilities with the releases that know them (openshift/api, as above).
pub(super) const CAPABILITIES: &Choices<ReleaseRange> = &[
    ("baremetal", ReleaseRange::ALL),
    ("Build", ReleaseRange::since(4, 14)),
    ("CSISnapshot", ReleaseRange::ALL),
    (CLOUD_CONTROLLER, ReleaseRange::since(4, 16)),
    (CLOUD_CREDENTIAL, ReleaseRange::since(4, 15)),
    ("ClusterAPI", ReleaseRange::since(5, 0)),
    ("CompatibilityRequirements", ReleaseRange::since(5, 0)),
    ("Console", ReleaseRange::ALL),
    ("DeploymentConfig", ReleaseRange::since(4, 14)),
    ("ImageRegistry", ReleaseRange::since(4, 14)),
    (INGRESS, ReleaseRange::since(4, 16)),
    ("Insights", ReleaseRange::ALL),
    ("MachineAPI", ReleaseRange::since(4, 14)),
    ("NodeTuning", ReleaseRange::since(4, 13)),
    ("OperatorLifecycleManager", ReleaseRange::since(4, 15)),
    ("OperatorLifecycleManagerV1", ReleaseRange::since(4, 18)),
    ("Storage", ReleaseRange::ALL),
    ("marketplace", ReleaseRange::ALL),
    ("openshift-samples", ReleaseRange::ALL),
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
        report
            .breach(Rule::ArbiterPlatform, &at.spot, "is set, but the platform is aws")
            .expected("nothing; an arbiter is for the platforms baremetal, external and none")
            .hint("remove the field, and use three masters");
    }
    if let Some(at) = document.bootstrap_in_place.get() {
        report
            .breach(Rule::BootstrapInPlace, &at.spot, "is set")
            .expected("nothing, because it is for clusters without a bootstrap machine");
    }
    check_capabilities(document, report);
    check_features(document, report);
    check_image_sources(document, report);
    choose(Rule::ImageStream, &document.image_stream, IMAGE_STREAMS, report);
    super::pki::check(document, report);
}

fn check_capabilities(document: &Document, report: &mut FindingCollector) {
    let Some(given) = document.capabilities.get() else { return };
    let set = choose(Rule::CapabilitySet, &given.baseline, CAPABILITY_SETS, report);
    if let (Some(set), Some(at)) = (set, given.baseline.get()) {
        check_release(Rule::CapabilitySet, at, set.releases, report);
    }
    if given.baseline.text().is_none() && !matches!(given.baseline, FieldValue::Unreadable) {
        let at = given.baseline.get().map_or(&given.spot, |at| &at.spot);
        report
            .breach(Rule::CapabilitySet, at, "does not name a baselineCapabilitySet")
            .expected(one_of(&words(CAPABILITY_SETS)))
            .hint("write `baselineCapabilitySet: vCurrent` for all capabilities");
    }
    for item in given.additional.items() {
        check_capability(item, report);
    }
    // A set with a finding of its own is taken for the whole one.
    let of_set = set.map_or(WITH_INGRESS, |set| set.has);
    check_members(given, of_set, report);
}

fn check_capability(item: &Spanned<String>, report: &mut FindingCollector) {
    if let Some(releases) = choose_word(Rule::Capability, item, CAPABILITIES, report) {
        check_release(Rule::Capability, item, releases, report);
    }
    if item.value.is_empty() {
        report
            .breach(Rule::Capability, &item.spot, "is empty")
            .expected(one_of(&words(CAPABILITIES)))
            .hint("remove the item");
    }
}

/// Reports capabilities that are needed and neither in the set nor added. Reference:
/// openshift/installer `pkg/types/validation/installconfig.go`, `validateAdditionalCapabilities`.
fn check_members(
    given: &Spanned<document::Capabilities>,
    of_set: &[&str],
    report: &mut FindingCollector,
) {
    let added = given.additional.items();
    let is_added = |name: &str| added.iter().any(|item| item.value == name);
    let is_enabled = |name: &str| of_set.contains(&name) || is_added(name);
    let needs = [
        ("baremetal", "MachineAPI", ReleaseRange::until(4, 15)),
        ("marketplace", "OperatorLifecycleManager", ReleaseRange::ALL),
    ];
    for (needy, need, releases) in
        needs.into_iter().filter(|(needy, need, _)| is_enabled(needy) && !is_enabled(need))
    {
        // Up to 4.15, only the set `None` is checked.
        let releases = if of_set.is_empty() { releases } else { ReleaseRange::since(4, 16) };
        if needy == "baremetal" && !of_set.is_empty() {
            continue;
        }
        let item = added.iter().find(|item| item.value == needy);
        report
            .breach_in(
                releases,
                Rule::CapabilityNeeds,
                item.map_or(&given.spot, |item| &item.spot),
                format!("found `{needy}` without `{need}`"),
            )
            .expected(format!("`{need}` in additionalEnabledCapabilities"));
    }
    let required = [
        (Rule::CloudCredential, CLOUD_CREDENTIAL),
        (Rule::CapabilityRequired, CLOUD_CONTROLLER),
        (Rule::CapabilityRequired, INGRESS),
    ];
    for (rule, name) in required.into_iter().filter(|(_, name)| !is_enabled(name)) {
        report
            .breach(rule, &given.spot, format!("does not contain `{name}`, which aws requires"))
            .expected(format!("`{name}` in additionalEnabledCapabilities"));
    }
}

fn check_features(document: &Document, report: &mut FindingCollector) {
    let set = choose(Rule::FeatureSet, &document.feature_set, FEATURE_SETS, report);
    if let (Some(releases), Some(at)) = (set, document.feature_set.get()) {
        check_release(Rule::FeatureSet, at, releases, report);
    }
    let custom = document.feature_set.get().is_some_and(|at| at.value == "CustomNoUpgrade");
    if let (Some(at), false) = (document.feature_gates.get(), custom) {
        report
            .breach(Rule::FeatureGates, &at.spot, "is set")
            .expected("featureSet `CustomNoUpgrade` to be set");
    }
    let is_gate = |text: &str| text.split_once('=').is_some_and(|(_, word)| is_go_bool(word));
    for gate in document.feature_gates.items().iter().filter(|gate| !is_gate(&gate.value)) {
        report
            .breach(Rule::FeatureGate, &gate.spot, format!("found {}", shown(&gate.value)))
            .expected("a gate such as `Name=true` or `Name=false`");
    }
}

/// Returns true if the feature set, or a gate of a custom set, enables a feature of previews.
pub(super) fn is_enabled(document: &Document, gate: &str) -> bool {
    let on = |item: &Spanned<String>| {
        let word = item.value.strip_prefix(gate).and_then(|rest| rest.strip_prefix('='));
        word.is_some_and(|word| matches!(word, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    };
    match document.feature_set.text() {
        Some("TechPreviewNoUpgrade" | "DevPreviewNoUpgrade") => true,
        Some("CustomNoUpgrade") => document.feature_gates.items().iter().any(on),
        _ => false,
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
    let policy = choose(Rule::SourcePolicy, &given.source_policy, SOURCE_POLICIES, report);
    if let (Some(()), true, Some(at)) =
        (policy, given.mirrors.items().is_empty(), given.source_policy.get())
    {
        report
            .breach(Rule::SourcePolicy, &at.spot, "is set, but the source has no mirrors")
            .expected("`mirrors` with a repository");
    }
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
