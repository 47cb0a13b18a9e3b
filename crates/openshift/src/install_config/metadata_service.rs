//! `metadataService` of a machine pool: access to the instance metadata.
//!
//! `authentication` is a field of openshift-install. The other fields are an extension of
//! groundplan, named as planned for the Machine API (openshift/api PR 2654). openshift-install warns of
//! them up to 4.22 and rejects them since 5.0. Each field is independent, and an omitted field means
//! no opinion.

use groundplan_aws::model::metadata_options::{
    Authentication, HopLimit, MetadataService, Switch, WHY_ENABLED, WHY_FURTHER, WHY_NO_TAGS,
};

use super::choices::{Choices, choose};
use super::document::{self, FieldValue, Spanned};
use crate::diagnostics::finding::{FieldSpan, FindingCollector, did_you_mean, one_of, shown};
use crate::diagnostics::rules::Rule;

/// The only value of `httpEndpoint` with which machines can join a cluster.
pub(super) const ENDPOINT: &str = "Enabled";
/// The only value of `instanceMetadataTags` with which machines of a cluster can launch.
pub(super) const TAGS: &str = "Disabled";

/// Returns the settings, each from the first layer that has it.
pub(super) fn merge(layers: &[&Spanned<document::AwsMachinePool>]) -> MetadataService {
    let settings: Vec<_> =
        layers.iter().filter_map(|layer| layer.value.metadata_service.get()).map(read).collect();
    MetadataService {
        authentication: settings.iter().find_map(|one| one.authentication),
        endpoint: settings.iter().find_map(|one| one.endpoint),
        hop_limit: settings.iter().find_map(|one| one.hop_limit),
        instance_tags: settings.iter().find_map(|one| one.instance_tags),
    }
}

/// Returns the valid settings of one layer.
fn read(given: &Spanned<document::MetadataService>) -> MetadataService {
    let given = &given.value;
    MetadataService {
        authentication: meaning(&given.authentication, Authentication::WORDS),
        endpoint: meaning(&given.endpoint, Switch::WORDS),
        hop_limit: given.hop_limit.get().and_then(|at| HopLimit::new(at.value)),
        instance_tags: meaning(&given.instance_tags, Switch::WORDS),
    }
}

fn meaning<T: Copy>(given: &FieldValue<String>, choices: &Choices<T>) -> Option<T> {
    let asked = given.text()?;
    choices.iter().find(|(word, _)| *word == asked).map(|(_, meaning)| *meaning)
}

/// Validates each setting on its own.
pub(super) fn check(given: &document::AwsMachinePool, report: &mut FindingCollector) {
    let Some(service) = given.metadata_service.get() else { return };
    check_authentication(&service.authentication, report);
    check_hop_limit(&service.hop_limit, report);
    check_switch(Rule::MetadataEndpoint, &service.endpoint, (ENDPOINT, WHY_ENABLED), report);
    check_switch(Rule::MetadataTags, &service.instance_tags, (TAGS, WHY_NO_TAGS), report);
    check_extension(service, report);
}

/// Warns of fields that openshift-install of the given release rejects as unknown.
fn check_extension(service: &document::MetadataService, report: &mut FindingCollector) {
    let hop_limit = service.hop_limit.get().map(|at| &at.spot);
    let words = [&service.endpoint, &service.instance_tags];
    let spots = words.into_iter().filter_map(|given| given.get().map(|at| &at.spot));
    spots.chain(hop_limit).for_each(|spot| warn_of_extension(spot, report));
}

/// Warns of one field of groundplan if openshift-install of the given release rejects it as unknown.
pub(super) fn warn_of_extension(spot: &FieldSpan, report: &mut FindingCollector) {
    let rejects = |release| Rule::ExtensionField.releases().contains(release);
    let Some(release) = report.release().filter(|release| rejects(*release)) else { return };
    let message = format!(
        "is an extension of groundplan, which openshift-install {release} rejects as unknown"
    );
    report.breach(Rule::ExtensionField, spot, message).hint(
        "give openshift-install a copy without it: `groundplan config export --for \
         openshift-install --out FILE`",
    );
}

/// Validates `authentication`. An empty field means no opinion, and gets a warning because the user
/// may not have intended it.
fn check_authentication(given: &FieldValue<String>, report: &mut FindingCollector) {
    choose(Rule::Authentication, given, Authentication::WORDS, report);
    let empty = match given {
        FieldValue::Empty(spot) => Some(spot),
        FieldValue::Value(at) if at.value.is_empty() => Some(&at.spot),
        FieldValue::Missing | FieldValue::Unreadable | FieldValue::Value(_) => None,
    };
    if let Some(spot) = empty {
        report
            .breach(
                Rule::EmptyAuthentication,
                spot,
                "is empty and has no effect: the account, the image and AWS decide",
            )
            .expected(one_of(&Authentication::WORDS.map(|(word, _)| word)))
            .hint("write `Required` for only IMDSv2, or remove the field");
    }
}

fn check_hop_limit(given: &FieldValue<i64>, report: &mut FindingCollector) {
    let (least, most) = HopLimit::RANGE.into_inner();
    if let Some(at) = given.get().filter(|at| HopLimit::new(at.value).is_none()) {
        report
            .breach(Rule::MetadataHopLimit, &at.spot, format!("found `{}`", at.value))
            .expected(format!("from {least} to {most}, or nothing"));
    }
}

/// Validates a setting whose other EC2 value breaks a cluster. The finding explains the reason.
fn check_switch(
    rule: Rule,
    given: &FieldValue<String>,
    (right, why): (&str, &str),
    report: &mut FindingCollector,
) {
    let Some(at) = given.filled().filter(|at| at.value != right) else { return };
    let is_word = Switch::WORDS.iter().any(|(word, _)| *word == at.value);
    let why = if is_word { format!(": {why}") } else { String::new() };
    report
        .breach(rule, &at.spot, format!("found {}{why}", shown(&at.value)))
        .expected(format!("`{right}`, or nothing"))
        .hint_if(did_you_mean(&at.value, &[right]).filter(|_| !is_word));
}

/// Warns if the merged settings are valid and deny tokens to pods (IMDSv2 only, one hop). Warns
/// once, in the layer that sets one of the two fields.
pub(super) fn check_reach(
    given: Option<&Spanned<document::AwsMachinePool>>,
    default: Option<&Spanned<document::AwsMachinePool>>,
    report: &mut FindingCollector,
) {
    let layers: Vec<_> = given.into_iter().chain(default).collect();
    let own = layers.first().and_then(|layer| layer.value.metadata_service.get());
    let Some(own) = own.filter(|_| merge(&layers).shuts_out_pods()) else { return };
    let hop_limit = own.value.hop_limit.get().map(|at| &at.spot);
    let authentication = own.value.authentication.filled().map(|at| &at.spot);
    if let Some(spot) = hop_limit.or(authentication) {
        report
            .breach(
                Rule::MetadataReach,
                spot,
                format!("with only IMDSv2 and one hop, {WHY_FURTHER}"),
            )
            .expected("`httpPutResponseHopLimit: 2` or more, unless no such pod uses IMDS");
    }
}
