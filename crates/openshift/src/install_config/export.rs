//! A copy of an install-config for openshift-install: without the fields that only groundplan reads.
//!
//! Comments, order and layout of the rest stay. The copy is read again and compared with the
//! original, so that it never differs in another field. It has the secrets of the original.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::diagnostics::yaml::{self, YamlContent, YamlKey, YamlNode};

/// Fields of groundplan that no release of openshift-install has, by section.
const EXTENSIONS: [(&str, &[&str]); 2] = [
    ("aws", &["permissionsBoundary"]),
    ("metadataService", &["httpEndpoint", "httpPutResponseHopLimit", "instanceMetadataTags"]),
];

/// Returns the fields of groundplan in a section with this name.
fn extensions(section: &str) -> &'static [&'static str] {
    EXTENSIONS.iter().find(|(name, _)| *name == section).map_or(&[], |(_, fields)| *fields)
}

/// A field of groundplan that cannot be cut out of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} has a field of groundplan that other fields share by an anchor or a merge")]
pub struct ExportError {
    /// Line of the first field of groundplan, counted from 1. 0 for a text that is not YAML.
    pub line: usize,
}

/// Returns the text without the fields of groundplan. A text without them is returned as it is.
///
/// # Errors
/// Fails if a field cannot be removed alone. The caller reports faults of the install-config.
pub fn for_openshift_install(text: &str) -> Result<String, ExportError> {
    let node = yaml::parse(text).map_err(|_| ExportError { line: 0 })?;
    let mut cuts = Cuts::default();
    cuts.collect(text, &node);
    let copy = cuts.apply(text);
    let is_same = |copy: &str| yaml::parse(copy).is_ok_and(|copy| is_copy(&node, &copy, &[]));
    if is_same(&copy) {
        return Ok(copy);
    }
    let first = cuts.0.iter().map(|(start, ..)| *start).min().unwrap_or_default();
    Err(ExportError { line: text[..first].matches('\n').count() + 1 })
}

/// Changes of the text: start, end and replacement.
#[derive(Default)]
struct Cuts(BTreeSet<(usize, usize, &'static str)>);

impl Cuts {
    fn collect(&mut self, text: &str, node: &YamlNode) {
        match &node.content {
            YamlContent::Mapping(entries) => {
                for (key, value) in entries {
                    if let YamlContent::Mapping(fields) = &value.content {
                        self.section(text, key, value, fields);
                    }
                    self.collect(text, value);
                }
            }
            YamlContent::List(items) => items.iter().for_each(|item| self.collect(text, item)),
            _ => (),
        }
    }

    /// Cuts the fields of groundplan out of one section.
    fn section(
        &mut self,
        text: &str,
        key: &YamlKey,
        section: &YamlNode,
        fields: &[(YamlKey, YamlNode)],
    ) {
        let extensions = extensions(&key.name);
        let is_ours = |(key, _): &&(YamlKey, YamlNode)| extensions.contains(&key.name.as_str());
        let ours = fields.iter().filter(is_ours);
        if text[section.span.start..].starts_with('{') {
            ours.for_each(|(key, value)| self.cut(within_braces(text, key, value), ""));
        } else {
            let all = !fields.is_empty() && fields.iter().all(|field| is_ours(&field));
            ours.for_each(|(key, value)| self.cut(lines(text, key, value), ""));
            let colon = text[key.span.end..].find(':').map(|at| key.span.end + at + 1);
            if let Some(colon) = colon.filter(|_| all) {
                self.cut(colon..colon, " {}");
            }
        }
    }

    fn cut(&mut self, range: Range<usize>, replacement: &'static str) {
        self.0.insert((range.start, range.end, replacement));
    }

    fn apply(&self, text: &str) -> String {
        let mut copy = String::with_capacity(text.len());
        let mut done = 0;
        for (start, end, replacement) in &self.0 {
            copy.push_str(text.get(done..*start).unwrap_or_default());
            copy.push_str(replacement);
            done = done.max(*end);
        }
        copy.push_str(&text[done..]);
        copy
    }
}

fn end(key: &YamlKey, value: &YamlNode) -> usize {
    match value.content {
        YamlContent::Null => key.span.end,
        _ => value.span.end.max(key.span.end),
    }
}

/// Returns the lines of a field, with a comment behind it.
fn lines(text: &str, key: &YamlKey, value: &YamlNode) -> Range<usize> {
    let start = text[..key.span.start].rfind('\n').map_or(0, |newline| newline + 1);
    let end = end(key, value);
    let end = text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1);
    start..end
}

/// Returns a field between braces, with one of the commas beside it.
fn within_braces(text: &str, key: &YamlKey, value: &YamlNode) -> Range<usize> {
    let (start, end) = (key.span.start, end(key, value));
    let after = text[end..].trim_start();
    if let Some(rest) = after.strip_prefix(',') {
        return start..text.len() - rest.trim_start().len();
    }
    let before = text[..start].trim_end();
    let start = before.strip_suffix(',').map_or(start, str::len);
    start..end
}

/// Returns true if a copy has all fields of the original except those of groundplan.
fn is_copy(original: &YamlNode, copy: &YamlNode, ours: &[&str]) -> bool {
    match (&original.content, &copy.content) {
        (YamlContent::Mapping(all), YamlContent::Mapping(theirs)) => {
            let is_kept = |name: &str| !ours.contains(&name);
            let kept: Vec<_> = all.iter().filter(|(key, _)| is_kept(&key.name)).collect();
            kept.len() == theirs.len()
                && kept.iter().zip(theirs).all(|((key, value), (name, copy))| {
                    key.name == name.name && is_copy(value, copy, extensions(&key.name))
                })
        }
        (YamlContent::List(ours), YamlContent::List(theirs)) => {
            let alike = |(ours, theirs)| is_copy(ours, theirs, &[]);
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(alike)
        }
        (YamlContent::Null, YamlContent::Null) | (YamlContent::Float, YamlContent::Float) => true,
        (YamlContent::Bool(ours), YamlContent::Bool(theirs)) => ours == theirs,
        (YamlContent::Integer(ours), YamlContent::Integer(theirs)) => ours == theirs,
        (YamlContent::Text(ours), YamlContent::Text(theirs)) => ours == theirs,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exported(text: &str) -> String {
        for_openshift_install(text).unwrap()
    }

    #[test]
    fn lines_of_the_fields_go_and_all_others_stay() {
        let text = "# mine\ncontrolPlane:   # masters\n  platform:\n    aws:\n      metadataService:\n        \
                    authentication: Required # IMDSv2\n        # two hops for pods\n        \
                    httpPutResponseHopLimit: 2 # ours\n        httpEndpoint: Enabled\n      type: m6i.xlarge\n\
                    pullSecret: 'a'\n";
        let copy = "# mine\ncontrolPlane:   # masters\n  platform:\n    aws:\n      metadataService:\n        \
                    authentication: Required # IMDSv2\n        # two hops for pods\n      type: m6i.xlarge\n\
                    pullSecret: 'a'\n";
        assert_eq!(exported(text), copy);
        assert_eq!(exported(copy), copy, "nothing to remove");
    }

    #[test]
    fn a_section_with_nothing_else_is_left_empty() {
        let text = "a:\n  metadataService: # ours\n    httpEndpoint: Enabled\n    instanceMetadataTags:\nb: 1\n";
        assert_eq!(exported(text), "a:\n  metadataService: {} # ours\nb: 1\n");
    }

    #[test]
    fn fields_between_braces_go_with_their_commas() {
        for (fields, copy) in [
            ("{httpEndpoint: Enabled}", "{}"),
            ("{authentication: Required, httpEndpoint: Enabled}", "{authentication: Required}"),
            (
                "{httpPutResponseHopLimit: 2, authentication: Required}",
                "{authentication: Required}",
            ),
            (
                "{httpEndpoint: Enabled, authentication: Required, instanceMetadataTags: Disabled}",
                "{authentication: Required}",
            ),
        ] {
            let text = |fields: &str| format!("aws: {{metadataService: {fields}, type: a}}\n");
            assert_eq!(exported(&text(fields)), text(copy), "{fields}");
        }
        let json = "{\n  \"metadataService\": {\n    \"authentication\": \"Required\",\n    \
                    \"httpEndpoint\": \"Enabled\"\n  },\n  \"a\": 1.5\n}\n";
        let copy = "{\n  \"metadataService\": {\n    \"authentication\": \"Required\"\n  },\n  \"a\": 1.5\n}\n";
        assert_eq!(exported(json), copy);
    }

    #[test]
    fn a_field_of_the_platform_goes_and_its_pools_stay() {
        let text = "platform:\n  aws:\n    region: us-west-2\n    # of the security team\n    \
                    permissionsBoundary: arn:aws:iam::123456789012:policy/b # ours\n    \
                    defaultMachinePlatform:\n      metadataService: {httpEndpoint: Enabled}\n";
        let copy = "platform:\n  aws:\n    region: us-west-2\n    # of the security team\n    \
                    defaultMachinePlatform:\n      metadataService: {}\n";
        assert_eq!(exported(text), copy);
    }

    #[test]
    fn fields_of_a_shared_section_go_once() {
        let text = "a:\n  metadataService: &imds\n    authentication: Required\n    httpEndpoint: Enabled\n\
                    b:\n  metadataService: *imds\n";
        let copy = text.replace("    httpEndpoint: Enabled\n", "");
        assert_eq!(exported(text), copy);
    }

    #[test]
    fn a_field_that_cannot_be_removed_alone_is_an_error_with_its_line() {
        let text = "a:\n  metadataService: &imds\n    httpEndpoint: Enabled\n\
                    b:\n  metadataService: *imds\nc: 1\n";
        assert_eq!(for_openshift_install(text), Err(ExportError { line: 2 }));
        let elsewhere = "a:\n  metadataService:\n    httpEndpoint: &on Enabled\nb: *on\n";
        assert!(for_openshift_install(elsewhere).is_err(), "the anchor goes with its field");
    }
}
