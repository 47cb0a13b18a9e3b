//! What the metadata service and its settings are called elsewhere: by EC2, by Terraform, by
//! install-config in a manifest and by manifests in an install-config, or in short.
//!
//! Whoever writes such a name asks for a protection, and is told how to ask. Knows names alone.

use super::finding::nearest;

/// The settings by their own names, which are the same in an install-config and in a manifest.
const SETTINGS: [&str; 4] =
    ["authentication", "httpEndpoint", "httpPutResponseHopLimit", "instanceMetadataTags"];

/// Names that mean nothing else, wherever they stand.
const TELLING: [(&str, &str); 3] = [
    ("httpTokens", "authentication"),
    ("httpPutHopLimit", "httpPutResponseHopLimit"),
    ("httpHopLimit", "httpPutResponseHopLimit"),
];

/// Names that are telling among settings alone.
const SHORT: [(&str, &str); 9] = [
    ("tokens", "authentication"),
    ("imdsv2", "authentication"),
    ("auth", "authentication"),
    ("hopLimit", "httpPutResponseHopLimit"),
    ("responseHopLimit", "httpPutResponseHopLimit"),
    ("endpoint", "httpEndpoint"),
    ("instanceTags", "instanceMetadataTags"),
    ("metadataTags", "instanceMetadataTags"),
    ("tags", "instanceMetadataTags"),
];

/// What holds the settings: in an install-config, in a manifest, in EC2's calls.
const HOLDERS: [&str; 3] = ["metadataService", "metadataServiceOptions", "metadataOptions"];

/// What to write for the name of a setting that is none.
pub(crate) fn meant_among_settings(name: &str) -> String {
    let own = SETTINGS.map(|setting| (setting, setting));
    let meant = named(name, own).or_else(|| named(name, TELLING)).or_else(|| named(name, SHORT));
    match meant {
        Some("authentication") if named(name, own).is_none() => {
            format!("did you mean `authentication`? {REQUIRED}")
        }
        Some(meant) => format!("did you mean `{meant}`?"),
        // Somebody who thinks of names of their own is asking for a protection, too.
        None => REQUIRED.to_owned(),
    }
}

const REQUIRED: &str = "`authentication: Required` makes the machines answer IMDSv2 alone";

/// The setting that is meant by a name wherever it stands, also if it is misspelt.
pub(crate) fn setting(name: &str) -> Option<&'static str> {
    if SHORT.iter().any(|(short, _)| short.eq_ignore_ascii_case(name)) {
        return None;
    }
    named(name, SETTINGS.map(|setting| (setting, setting))).or_else(|| named(name, TELLING))
}

/// Whether this is what holds the settings, by whatever name, also if it is misspelt.
pub(crate) fn is_holder(name: &str) -> bool {
    nearest(&letters(name), &HOLDERS).is_some()
}

fn named<const N: usize>(
    name: &str,
    names: [(&'static str, &'static str); N],
) -> Option<&'static str> {
    let meant = nearest(&letters(name), &names.map(|(other, _)| other))?;
    names.into_iter().find(|(other, _)| *other == meant).map(|(_, setting)| setting)
}

/// Without what Terraform and the AWS CLI put between words.
fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_ec2_and_terraform_and_short_ones_lead_to_the_settings() {
        for (name, meant) in [
            ("hopLimit", "httpPutResponseHopLimit"),
            ("http_put_response_hop_limit", "httpPutResponseHopLimit"),
            ("endpoint", "httpEndpoint"),
            ("HttpEndpoint", "httpEndpoint"),
            ("instanceTags", "instanceMetadataTags"),
            ("instance_metadata_tags", "instanceMetadataTags"),
            ("authentification", "authentication"),
        ] {
            assert_eq!(meant_among_settings(name), format!("did you mean `{meant}`?"), "{name}");
        }
        for name in ["tokens", "httpTokens", "http_tokens"] {
            let hint = meant_among_settings(name);
            assert!(hint.starts_with("did you mean `authentication`? `authent"), "{name}: {hint}");
        }
        assert_eq!(meant_among_settings("whatever"), REQUIRED);
    }

    #[test]
    fn elsewhere_only_telling_names_are_taken_for_them() {
        assert_eq!(setting("HttpTokens"), Some("authentication"));
        assert_eq!(setting("authentification"), Some("authentication"));
        for other in ["tags", "endpoint", "tokens", "zones", "hosts"] {
            assert_eq!(setting(other), None, "{other}");
        }
        for holder in ["metadata_options", "MetadataOptions", "metadataServiceOption"] {
            assert!(is_holder(holder), "{holder}");
        }
        assert!(!is_holder("metadata") && !is_holder("cpuOptions"));
    }
}
