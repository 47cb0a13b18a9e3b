//! `metadataService` of a machine pool: who may read an instance's metadata, and how.
//!
//! `authentication` is openshift-install's. The other fields are an extension of groundplan, by the
//! names that the Machine API is to have (openshift/api PR 2654): openshift-install ignores them with
//! a warning. Each is an opinion of its own; what is left out is never filled in.

use super::choices::{Choices, choose};
use super::document::{self, At, Given};
use super::finding::{Report, did_you_mean, one_of, shown};
use super::rules::Rule;
use crate::aws::metadata_options::{
    Authentication, HopLimit, MetadataService, Switch, WHY_ENABLED, WHY_FURTHER, WHY_NO_TAGS,
};

/// The one word of `httpEndpoint` that a cluster can live with.
pub(super) const ENDPOINT: &str = "Enabled";
/// The one word of `instanceMetadataTags` that a cluster can live with.
pub(super) const TAGS: &str = "Disabled";

/// The settings, each from the first layer that has it.
pub(super) fn merge(layers: &[&At<document::AwsMachinePool>]) -> MetadataService {
    let settings: Vec<_> =
        layers.iter().filter_map(|layer| layer.value.metadata_service.get()).map(read).collect();
    MetadataService {
        authentication: settings.iter().find_map(|one| one.authentication),
        endpoint: settings.iter().find_map(|one| one.endpoint),
        hop_limit: settings.iter().find_map(|one| one.hop_limit),
        instance_tags: settings.iter().find_map(|one| one.instance_tags),
    }
}

/// What is right in it.
fn read(given: &At<document::MetadataService>) -> MetadataService {
    let given = &given.value;
    MetadataService {
        authentication: meaning(&given.authentication, Authentication::WORDS),
        endpoint: meaning(&given.endpoint, Switch::WORDS),
        hop_limit: given.hop_limit.get().and_then(|at| HopLimit::new(at.value)),
        instance_tags: meaning(&given.instance_tags, Switch::WORDS),
    }
}

fn meaning<T: Copy>(given: &Given<String>, choices: &Choices<T>) -> Option<T> {
    let asked = given.text()?;
    choices.iter().find(|(word, _)| *word == asked).map(|(_, meaning)| *meaning)
}

/// Each setting by itself.
pub(super) fn check(given: &document::AwsMachinePool, report: &mut Report) {
    let Some(service) = given.metadata_service.get() else { return };
    check_authentication(&service.authentication, report);
    check_hop_limit(&service.hop_limit, report);
    check_switch(Rule::MetadataEndpoint, &service.endpoint, (ENDPOINT, WHY_ENABLED), report);
    check_switch(Rule::MetadataTags, &service.instance_tags, (TAGS, WHY_NO_TAGS), report);
}

/// One of two words. A field that is there and empty is no opinion, which whoever wrote it there may
/// not have meant.
fn check_authentication(given: &Given<String>, report: &mut Report) {
    choose(Rule::Authentication, given, Authentication::WORDS, report);
    let empty = match given {
        Given::Empty(spot) => Some(spot),
        Given::Value(at) if at.value.is_empty() => Some(&at.spot),
        Given::Missing | Given::Unreadable | Given::Value(_) => None,
    };
    if let Some(spot) = empty {
        report
            .breach(
                Rule::EmptyAuthentication,
                spot,
                "is empty, which is no opinion: the account, the image and AWS decide",
            )
            .expected(one_of(&Authentication::WORDS.map(|(word, _)| word)))
            .hint("write `Required` for IMDSv2 alone, or remove the field");
    }
}

fn check_hop_limit(given: &Given<i64>, report: &mut Report) {
    let (least, most) = HopLimit::RANGE.into_inner();
    if let Some(at) = given.get().filter(|at| HopLimit::new(at.value).is_none()) {
        report
            .breach(Rule::MetadataHopLimit, &at.spot, format!("found `{}`", at.value))
            .expected(format!("from {least} to {most}, or nothing"));
    }
}

/// Of the two words of EC2 one is the end of a cluster; whoever writes it is told why.
fn check_switch(
    rule: Rule,
    given: &Given<String>,
    (right, why): (&str, &str),
    report: &mut Report,
) {
    let Some(at) = given.filled().filter(|at| at.value != right) else { return };
    let is_word = Switch::WORDS.iter().any(|(word, _)| *word == at.value);
    let why = if is_word { format!(": {why}") } else { String::new() };
    report
        .breach(rule, &at.spot, format!("found {}{why}", shown(&at.value)))
        .expected(format!("`{right}`, or nothing"))
        .hint_if(did_you_mean(&at.value, &[right]).filter(|_| !is_word));
}

/// What is right by itself and shuts out pods together: told once, where one of both is written.
pub(super) fn check_reach(
    given: Option<&At<document::AwsMachinePool>>,
    default: Option<&At<document::AwsMachinePool>>,
    report: &mut Report,
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
                format!("with IMDSv2 alone and one hop, {WHY_FURTHER}"),
            )
            .expected("`httpPutResponseHopLimit: 2` or more, unless no such pod asks");
    }
}
