//! Synonyms of the metadata service and its settings: names of EC2 and Terraform, short names, and
//! names of manifests in an install-config or the reverse.
//!
//! A user who writes a synonym requests a protection. The hint of the finding names the right
//! field. Knows names only.

use super::finding::nearest;

/// Names of the settings, the same in an install-config and in a manifest.
const SETTINGS: [&str; 4] =
    ["authentication", "httpEndpoint", "httpPutResponseHopLimit", "instanceMetadataTags"];

/// Synonyms that are unambiguous in every section, with the setting that they mean.
const TELLING: [(&str, &str); 3] = [
    ("httpTokens", "authentication"),
    ("httpPutHopLimit", "httpPutResponseHopLimit"),
    ("httpHopLimit", "httpPutResponseHopLimit"),
];

/// Synonyms that are unambiguous only among the settings of the metadata service.
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

/// Sections that hold the settings: in an install-config, in a manifest, in EC2 calls.
const HOLDERS: [&str; 3] = ["metadataService", "metadataServiceOptions", "metadataOptions"];

/// Returns the hint for an unknown field among the settings of the metadata service.
pub(crate) fn meant_among_settings(name: &str) -> String {
    let own = SETTINGS.map(|setting| (setting, setting));
    let meant = named(name, own).or_else(|| named(name, TELLING)).or_else(|| named(name, SHORT));
    match meant {
        Some("authentication") if named(name, own).is_none() => {
            format!("did you mean `authentication`? {REQUIRED}")
        }
        Some(meant) => format!("did you mean `{meant}`?"),
        // A user who invents a name requests a protection, too.
        None => REQUIRED.to_owned(),
    }
}

const REQUIRED: &str = "`authentication: Required` makes the machines accept only IMDSv2";

/// Returns the setting that `name` means in any section, tolerating typos. `None` for names in
/// [`SHORT`], which have other meanings outside the settings.
pub(crate) fn setting(name: &str) -> Option<&'static str> {
    if SHORT.iter().any(|(short, _)| short.eq_ignore_ascii_case(name)) {
        return None;
    }
    named(name, SETTINGS.map(|setting| (setting, setting))).or_else(|| named(name, TELLING))
}

/// Returns true if `name` is one of [`HOLDERS`], in any case and spelling variant, or a typo of
/// one.
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

/// Returns `name` without the separators that Terraform and the AWS CLI put between words.
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
        assert_eq!(meant_among_settings("anything"), REQUIRED);
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
