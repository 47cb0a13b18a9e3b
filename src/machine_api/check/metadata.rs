//! `metadataServiceOptions`: words that there are, and what a machine of a cluster cannot be told.
//!
//! The webhook looks at `authentication` alone; the other fields are those that openshift/api PR 2654
//! proposes, with its words and range. That two of the words are the end of a node is ours to say.

use super::Flaw;
use super::provider::word;
use crate::aws::metadata_options::{
    Authentication, HopLimit, Switch, WHY_ENABLED, WHY_FURTHER, WHY_NO_TAGS,
};
use crate::config::{Rule, shown};
use crate::machine_api::types::MetadataServiceOptions;

/// Everything that is wrong with them; a warning last.
pub(crate) fn flaws(options: &MetadataServiceOptions) -> Vec<Flaw> {
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
    found.into_iter().flatten().map(|flaw| flaw.within("metadataServiceOptions")).collect()
}

/// Of the two words of EC2 one is the end of a node; whoever writes it is told why.
fn switch(rule: Rule, path: &str, found: &str, right: &str, why: &str) -> Option<Flaw> {
    let expected = format!("`{right}`, or nothing");
    if Switch::WORDS.iter().all(|(word, _)| *word != found) {
        return word(rule, path, found, &[right]).map(|flaw| flaw.expected(expected));
    }
    let flaw = Flaw::new(rule, path, format!("found {}: {why}", shown(found)));
    (found != right).then(|| flaw.expected(expected))
}

fn hop_limit(options: &MetadataServiceOptions) -> Option<Flaw> {
    let found =
        options.http_put_response_hop_limit.filter(|hops| HopLimit::new(*hops).is_none())?;
    let (least, most) = HopLimit::RANGE.into_inner();
    let flaw =
        Flaw::new(Rule::MachineHopLimit, "httpPutResponseHopLimit", format!("found `{found}`"));
    Some(flaw.expected(format!("from {least} to {most}, or nothing")))
}

fn reach(options: &MetadataServiceOptions) -> Option<Flaw> {
    let message = format!("with IMDSv2 alone and one hop, {WHY_FURTHER}");
    let flaw = Flaw::new(Rule::MachineReach, "httpPutResponseHopLimit", message)
        .expected("2 or more, unless no such pod asks");
    options.asked().shuts_out_pods().then_some(flaw)
}
