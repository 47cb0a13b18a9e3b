//! Texts of inputs that the summaries of kinds share. A reference is the address of its target.

use std::fmt::Display;

use groundplan_engine::graph::Input;
use groundplan_engine::plan::values::ValuesAfter;

use crate::model::metadata_options::{HttpTokens, MetadataOptions, Switch};

/// Returns the target of an input: the address of a reference, or the value.
pub(crate) fn name<T: Display>(input: &Input<T>) -> String {
    match input {
        Input::Ref(reference) => reference.address.to_string(),
        Input::Known(value) => value.to_string(),
        Input::Absent => "(none)".to_owned(),
    }
}

/// Returns the targets of inputs as a phrase: `a`, `a and b`, `a, b and c`.
pub(crate) fn names<T: Display>(inputs: &[Input<T>]) -> String {
    phrase(inputs.iter().map(name).collect())
}

/// Returns texts as a phrase: `a`, `a and b`, `a, b and c`. Empty without texts.
pub(crate) fn phrase(mut texts: Vec<String>) -> String {
    match (texts.pop(), texts.is_empty()) {
        (None, _) => String::new(),
        (Some(only), true) => only,
        (Some(last), false) => format!("{} and {last}", texts.join(", ")),
    }
}

/// Returns the availability zone of a subnet; empty if the plan does not contain the subnet.
pub(crate) fn zone<T>(subnet: &Input<T>, values: &ValuesAfter<'_>) -> String {
    let Input::Ref(reference) = subnet else { return String::new() };
    let zone = values.get(&reference.address).and_then(|subnet| subnet["zone"].as_str());
    zone.unwrap_or_default().to_owned()
}

/// Returns the metadata options of a machine: always the session tokens, and each other option that
/// is set.
pub(crate) fn metadata_options(options: &MetadataOptions) -> String {
    let switch = |switch: Switch| match switch {
        Switch::Enabled => "enabled",
        Switch::Disabled => "disabled",
    };
    let tokens = match options.http_tokens {
        Some(HttpTokens::Required) => "http_tokens required",
        Some(HttpTokens::Optional) => "http_tokens optional",
        None => "http_tokens: no opinion",
    };
    let endpoint = options.http_endpoint.map(|one| format!("http_endpoint {}", switch(one)));
    let hops = options.http_put_response_hop_limit;
    let hops = hops.map(|hops| format!("hop limit {}", i64::from(hops)));
    let tags = options.instance_metadata_tags;
    let tags = tags.map(|one| format!("instance_metadata_tags {}", switch(one)));
    let options = [endpoint, hops, tags].into_iter().flatten();
    std::iter::once(tokens.to_owned()).chain(options).collect::<Vec<_>>().join(", ")
}

/// Returns a label with its text; empty if the text is empty.
pub(crate) fn labelled(label: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{label} {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::metadata_options::HopLimit;

    #[test]
    fn names_make_a_phrase() {
        let texts = |texts: &[&str]| phrase(texts.iter().map(|&text| text.to_owned()).collect());
        assert_eq!(texts(&[]), "");
        assert_eq!(texts(&["a"]), "a");
        assert_eq!(texts(&["a", "b"]), "a and b");
        assert_eq!(texts(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn no_opinion_on_tokens_is_said() {
        let none = MetadataOptions::default();
        assert_eq!(metadata_options(&none), "http_tokens: no opinion");
        let some = MetadataOptions {
            http_tokens: Some(HttpTokens::Required),
            http_endpoint: Some(Switch::Enabled),
            http_put_response_hop_limit: HopLimit::new(2),
            instance_metadata_tags: Some(Switch::Disabled),
        };
        assert_eq!(
            metadata_options(&some),
            "http_tokens required, http_endpoint enabled, hop limit 2, instance_metadata_tags \
             disabled"
        );
    }
}
