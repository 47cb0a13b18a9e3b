//! Rules for `metadataServiceOptions`: valid words, and settings that a cluster machine cannot
//! have.
//!
//! The webhook checks only `authentication`. The other fields are those that openshift/api PR 2654
//! proposes, with its words and range. Two of those words would make a node unusable, so groundplan
//! rejects them.

use groundplan_aws::model::metadata_options::{
    Authentication, HopLimit, Switch, WHY_ENABLED, WHY_FURTHER, WHY_NO_TAGS,
};

use super::ObjectFinding;
use super::provider::word;
use crate::diagnostics::{Rule, shown};
use crate::machine_api::types::MetadataServiceOptions;

/// Returns all flaws in the metadata options. A warning comes last.
pub(crate) fn findings(options: &MetadataServiceOptions) -> Vec<ObjectFinding> {
    let words = Authentication::WORDS.map(|(word, _)| word);
    let authentication = &options.authentication;
    let found = [
        word(Rule::MachineAuthentication, "authentication", authentication, &words),
        switch(
            Rule::MachineEndpoint,
            "httpEndpoint",
            &options.http_endpoint,
            "Enabled",
            WHY_ENABLED,
        ),
        hop_limit(options),
        switch(
            Rule::MachineMetadataTags,
            "instanceMetadataTags",
            &options.instance_metadata_tags,
            "Disabled",
            WHY_NO_TAGS,
        ),
        reach(options),
    ];
    found.into_iter().flatten().map(|finding| finding.within("metadataServiceOptions")).collect()
}

/// Checks a field with the two words of EC2, one of which would make a node unusable. The flaw for
/// that word includes the reason.
fn switch(rule: Rule, path: &str, found: &str, right: &str, why: &str) -> Option<ObjectFinding> {
    let expected = format!("`{right}`, or nothing");
    if Switch::WORDS.iter().all(|(word, _)| *word != found) {
        return word(rule, path, found, &[right]).map(|finding| finding.expected(expected));
    }
    let finding = ObjectFinding::new(rule, path, format!("found {}: {why}", shown(found)));
    (found != right).then(|| finding.expected(expected))
}

fn hop_limit(options: &MetadataServiceOptions) -> Option<ObjectFinding> {
    let found =
        options.http_put_response_hop_limit.filter(|hops| HopLimit::new(*hops).is_none())?;
    let (least, most) = HopLimit::RANGE.into_inner();
    let finding = ObjectFinding::new(
        Rule::MachineHopLimit,
        "httpPutResponseHopLimit",
        format!("found `{found}`"),
    );
    Some(finding.expected(format!("from {least} to {most}, or nothing")))
}

fn reach(options: &MetadataServiceOptions) -> Option<ObjectFinding> {
    let message = format!("with only IMDSv2 and one hop, {WHY_FURTHER}");
    let finding = ObjectFinding::new(Rule::MachineReach, "httpPutResponseHopLimit", message)
        .expected("2 or more, unless no such pod uses IMDS");
    options.asked().shuts_out_pods().then_some(finding)
}
