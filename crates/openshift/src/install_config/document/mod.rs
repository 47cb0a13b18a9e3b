//! The install-config as written: every field of the v1 schema, each with its position in the file.
//!
//! Reading is lenient: a field that cannot be read becomes a finding, and reading continues. The
//! sections validate the values. Unknown fields are warnings, as for openshift-install before 5.0, and
//! errors for a given release from 5.0 on.

use std::ops::{Deref, Range};

use secrecy::SecretString;

use crate::diagnostics::finding::{
    FieldSpan, Finding, FindingCollector, did_you_mean, is_credential, shown,
};
use crate::diagnostics::rules::Rule;
use crate::diagnostics::synonyms;
use crate::diagnostics::yaml::{YamlContent, YamlKey, YamlNode};
use crate::release::{Release, ReleaseRange};

mod schema;

pub(super) use schema::*;

/// A value and the field that contains it.
#[derive(Clone)]
pub(super) struct Spanned<T> {
    pub(super) value: T,
    pub(super) spot: FieldSpan,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

/// Result of reading a field.
pub(super) enum FieldValue<T> {
    /// The file does not have the field.
    Missing,
    /// The file has the name of the field and no value.
    Empty(FieldSpan),
    /// The value cannot be read; a finding explains the reason.
    Unreadable,
    /// The value was read.
    Value(Spanned<T>),
}

/// Sources of required values that a user cannot invent, by field.
const SOURCES: &[(&str, &str)] = &[(
    "pullSecret",
    "download it from https://console.redhat.com/openshift/install/pull-secret, and add it as \
     `pullSecret: '{\"auths\": ...}'`",
)];

impl<T> FieldValue<T> {
    /// Returns the value, or `None` without one.
    pub(super) fn get(&self) -> Option<&Spanned<T>> {
        match self {
            FieldValue::Value(at) => Some(at),
            FieldValue::Missing | FieldValue::Empty(_) | FieldValue::Unreadable => None,
        }
    }

    /// Returns the value. Reports a missing or empty field as an error.
    pub(super) fn require(
        &self,
        parent: &FieldSpan,
        name: &str,
        report: &mut FindingCollector,
    ) -> Option<&Spanned<T>> {
        let missing = match self {
            FieldValue::Missing => Some(parent.child(name)),
            FieldValue::Empty(spot) => Some(spot.clone()),
            FieldValue::Unreadable | FieldValue::Value(_) => None,
        };
        if let Some(spot) = missing {
            let expected = format!("`{name}` to be set");
            let finding = report.breach(Rule::Missing, &spot, "is missing").expected(expected);
            if let Some((_, source)) = SOURCES.iter().find(|(field, _)| *field == name) {
                finding.hint(*source);
            }
        }
        self.get()
    }

    /// Returns true if the file has the field with a value, readable or not.
    pub(super) fn is_given(&self) -> bool {
        !matches!(self, FieldValue::Missing | FieldValue::Empty(_))
    }
}

impl FieldValue<String> {
    /// Returns the value unless it is empty. The installer treats an empty string as a missing
    /// field.
    pub(super) fn filled(&self) -> Option<&Spanned<String>> {
        self.get().filter(|at| !at.value.is_empty())
    }

    /// Returns the text of the value unless it is empty.
    pub(super) fn text(&self) -> Option<&str> {
        self.filled().map(|at| at.value.as_str())
    }
}

impl<T> FieldValue<Vec<Spanned<T>>> {
    /// Returns the items, or an empty slice if there is no list.
    pub(super) fn items(&self) -> &[Spanned<T>] {
        self.get().map_or(&[], |list| &list.value)
    }
}

/// A type that can be read from a node.
pub(super) trait FromNode: Sized {
    /// Reads the value. Returns `None` and reports a finding if the node does not fit the type.
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self>;
}

/// A value that findings must not quote.
pub(super) type Sensitive = SecretString;

/// A value of any shape that groundplan does not read.
pub(super) struct Anything {
    is_empty_list: bool,
}

impl Anything {
    /// Returns true for a list without items, which counts as an omitted field.
    pub(super) fn is_empty_list(&self) -> bool {
        self.is_empty_list
    }
}

/// A mapping with keys chosen by the user.
pub(super) type Pairs = Vec<(Spanned<String>, Spanned<String>)>;

impl FromNode for Anything {
    fn read(node: &YamlNode, _: &FieldSpan, _: &mut FindingCollector) -> Option<Self> {
        let is_empty_list = matches!(&node.content, YamlContent::List(items) if items.is_empty());
        Some(Self { is_empty_list })
    }
}

impl FromNode for String {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        let Some(text) = scalar(node, report) else {
            return wrong(node, spot, report, "a string");
        };
        if is_credential(&text) {
            // Past this point the text would reach tags, plans and state.
            report
                .breach(Rule::MisplacedCredential, spot, "is a credential in the wrong place")
                .hint(MISPLACED);
            return None;
        }
        Some(text)
    }
}

const MISPLACED: &str =
    "move a pull secret to `pullSecret`, and remove private keys from this file";

impl FromNode for Sensitive {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        if let Some(text) = scalar(node, report) {
            return Some(text.into());
        }
        let found = format!("found {}", shape(&node.content));
        report
            .breach(Rule::WrongType, spot, found)
            .expected("a string")
            .hint("put the value in single quotes");
        None
    }
}

impl FromNode for bool {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        match node.content {
            YamlContent::Bool(value) => Some(value),
            _ => wrong(node, spot, report, "`true` or `false`"),
        }
    }
}

impl FromNode for i64 {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        let number = match node.content {
            YamlContent::Integer(value) => i64::try_from(value).ok(),
            _ => None,
        };
        number.or_else(|| wrong(node, spot, report, "a whole number"))
    }
}

impl<T: FromNode> FromNode for Vec<Spanned<T>> {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        let YamlContent::List(items) = &node.content else {
            return wrong(node, spot, report, "a list");
        };
        let mut list = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let spot = spot.item(index, mark(item, None));
            if let YamlContent::Null = item.content {
                report
                    .breach(Rule::EmptyItem, &spot, "is empty")
                    .hint("remove the item or give it a value");
                continue;
            }
            list.extend(T::read(item, &spot, report).map(|value| Spanned { value, spot }));
        }
        Some(list)
    }
}

impl FromNode for Pairs {
    fn read(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) -> Option<Self> {
        let entries = unique(node, spot, report)?;
        let pairs = entries.into_iter().filter_map(|(key, node)| {
            let name = spot.item(plain(&key.name), key.span.clone());
            let spot = FieldSpan { span: Some(mark(node, Some(&key.span))), ..name.clone() };
            let value = match node.content {
                YamlContent::Null => String::new(),
                _ => String::read(node, &spot, report)?,
            };
            Some((Spanned { value: key.name.clone(), spot: name }, Spanned { value, spot }))
        });
        Some(pairs.collect())
    }
}

/// The known entries of a mapping, from which [`Fields::take`] reads fields.
pub(super) struct Fields<'node> {
    entries: Vec<(&'node YamlKey, &'node YamlNode)>,
    spot: FieldSpan,
}

impl<'node> Fields<'node> {
    /// Opens a mapping and keeps its known entries. Reports repeated and unknown fields.
    pub(super) fn open(
        node: &'node YamlNode,
        spot: &FieldSpan,
        report: &mut FindingCollector,
        known: &[&str],
    ) -> Option<Self> {
        let mut entries = unique(node, spot, report)?;
        entries.retain(|(key, node)| {
            let is_known = known.contains(&key.name.as_str());
            if !is_known {
                unknown(key, node, spot, report, known);
            }
            is_known
        });
        Some(Self { entries, spot: spot.clone() })
    }

    /// Reads a field of all releases.
    pub(super) fn take<T: FromNode>(
        &self,
        name: &str,
        report: &mut FindingCollector,
    ) -> FieldValue<T> {
        self.take_in(ReleaseRange::ALL, name, report)
    }

    /// Reads a field of these releases. A release without the field does not read its value.
    pub(super) fn take_in<T: FromNode>(
        &self,
        releases: ReleaseRange,
        name: &str,
        report: &mut FindingCollector,
    ) -> FieldValue<T> {
        let found = self.entries.iter().find(|(key, _)| key.name == name);
        let Some((key, node)) = found else { return FieldValue::Missing };
        if let Some(release) = report.release().filter(|release| !releases.contains(*release)) {
            let spot = self.spot.field(name, key.span.clone());
            let hint = format!("remove the field; openshift-install {releases} has it");
            of_other_releases(node, &spot, release, report).hint(hint);
            return FieldValue::Missing;
        }
        let spot = self.spot.field(name, mark(node, Some(&key.span)));
        if let YamlContent::Null = node.content {
            return FieldValue::Empty(spot);
        }
        match T::read(node, &spot, report) {
            Some(value) => FieldValue::Value(Spanned { value, spot }),
            None => FieldValue::Unreadable,
        }
    }
}

/// Returns the entries of a mapping, each name once. Reports repeated names as errors.
fn unique<'node>(
    node: &'node YamlNode,
    spot: &FieldSpan,
    report: &mut FindingCollector,
) -> Option<Vec<(&'node YamlKey, &'node YamlNode)>> {
    let YamlContent::Mapping(mapping) = &node.content else {
        return wrong(node, spot, report, "a mapping");
    };
    let mut entries: Vec<(&YamlKey, &YamlNode)> = Vec::new();
    for (key, value) in mapping {
        match entries.iter().find(|(first, _)| first.name == key.name) {
            None => entries.push((key, value)),
            Some((first, _)) => {
                let line = report.line(first.span.start);
                let spot = spot.field(&plain(&key.name), key.span.clone());
                report.breach(
                    Rule::RepeatedField,
                    &spot,
                    format!("is set twice, first on line {line}"),
                );
            }
        }
    }
    Some(entries)
}

/// Reports all repeated fields, in a document with any schema.
pub(super) fn repeated(node: &YamlNode, spot: &FieldSpan, report: &mut FindingCollector) {
    match &node.content {
        YamlContent::Mapping(_) => {
            for (key, value) in unique(node, spot, report).unwrap_or_default() {
                repeated(value, &spot.field(&plain(&key.name), key.span.clone()), report);
            }
        }
        YamlContent::List(items) => {
            for (index, item) in items.iter().enumerate() {
                repeated(item, &spot.item(index, mark(item, None)), report);
            }
        }
        _ => (),
    }
}

/// Reports a field that the schema does not have.
fn unknown(
    key: &YamlKey,
    node: &YamlNode,
    parent: &FieldSpan,
    report: &mut FindingCollector,
    known: &[&str],
) {
    let spot = parent.field(&plain(&key.name), key.span.clone());
    let (rule, message, hint) = match belongs(&key.name) {
        _ if parent.path.ends_with(METADATA_SERVICE) => (
            Rule::LostMetadataService,
            "is not a field of the schema",
            Some(synonyms::meant_among_settings(&key.name)),
        ),
        // Continuing would launch machines without the protection that the user requested.
        Some((field, _)) if known.contains(&field) => (
            Rule::LostMetadataService,
            "is not a field of the schema",
            Some(format!("did you mean `{field}`?")),
        ),
        Some((field, place)) => (
            Rule::LostMetadataService,
            "is not a field of the schema",
            Some(format!("`{field}` belongs in {place}")),
        ),
        None if asks_for_metadata(node) => (
            Rule::LostMetadataService,
            "is not a field of the schema, so its `metadataService` would have no effect",
            did_you_mean(&key.name, known),
        ),
        None => (
            unknown_rule(report.release()),
            "is not a field of the schema; it has no effect",
            did_you_mean(&key.name, known),
        ),
    };
    let refused = format!("is not a field of the schema; {}", effect(rule));
    let message = if rule == Rule::RefusedField { &refused } else { message };
    let expected = match known {
        [only] => format!("`{only}`"),
        _ => format!("one of {}", known.join(", ")),
    };
    report.breach(rule, &spot, message).expected(expected).hint_if(hint);
}

/// Reports a field that the schema of the release does not have.
fn of_other_releases<'report>(
    node: &YamlNode,
    spot: &FieldSpan,
    release: Release,
    report: &'report mut FindingCollector,
) -> &'report mut Finding {
    let rule = match unknown_rule(Some(release)) {
        Rule::UnknownField if asks_for_metadata(node) => Rule::LostMetadataService,
        rule => rule,
    };
    let effect = effect(rule);
    report.breach(rule, spot, format!("is not a field of release {release}; {effect}"))
}

/// Returns the effect of a field that the schema does not have.
fn effect(rule: Rule) -> &'static str {
    match rule {
        Rule::RefusedField => "openshift-install rejects it",
        _ => "it has no effect",
    }
}

/// Returns the rule about unknown fields. openshift-install rejects them since pull request 10287
/// (2026-02-27), which is in 5.0 and not in 4.21, unless another program starts it.
fn unknown_rule(release: Option<Release>) -> Rule {
    let rejects = |release: Release| Rule::RefusedField.releases().contains(release);
    if release.is_some_and(rejects) { Rule::RefusedField } else { Rule::UnknownField }
}

/// Returns true if the node contains `metadataService`, a synonym or a typo of it, at any depth.
fn asks_for_metadata(node: &YamlNode) -> bool {
    match &node.content {
        YamlContent::Mapping(entries) => entries
            .iter()
            .any(|(key, value)| synonyms::is_holder(&key.name) || asks_for_metadata(value)),
        YamlContent::List(items) => items.iter().any(asks_for_metadata),
        _ => false,
    }
}

const METADATA_SERVICE: &str = "metadataService";

/// Returns the field that a misspelt or misplaced name means, and the place where it belongs. Only
/// for metadata fields, whose loss removes a protection.
fn belongs(name: &str) -> Option<(&'static str, &'static str)> {
    const POOLS: &str =
        "controlPlane.platform.aws, compute[].platform.aws or platform.aws.defaultMachinePlatform";
    const SETTINGS: &str = "metadataService of a machine pool's platform.aws";
    if synonyms::is_holder(name) {
        return Some((METADATA_SERVICE, POOLS));
    }
    synonyms::setting(name).map(|setting| (setting, SETTINGS))
}

/// Returns a key chosen by the user in a form that fits into a path.
fn plain(name: &str) -> String {
    shown(name).trim_matches('`').to_owned()
}

/// Returns the text of a scalar. Numbers and booleans keep their spelling, as in the installer's
/// reader for string fields.
fn scalar(node: &YamlNode, report: &FindingCollector) -> Option<String> {
    match &node.content {
        YamlContent::Text(text) => Some(text.clone()),
        YamlContent::Bool(_) | YamlContent::Integer(_) | YamlContent::Float => {
            Some(report.written(&node.span).trim().trim_matches(['"', '\'']).to_owned())
        }
        YamlContent::Null | YamlContent::List(_) | YamlContent::Mapping(_) => None,
    }
}

/// Reports a value of the wrong type. Always returns `None`.
fn wrong<T>(
    node: &YamlNode,
    spot: &FieldSpan,
    report: &mut FindingCollector,
    expected: &str,
) -> Option<T> {
    let found = match &node.content {
        YamlContent::Text(text) => shown(text),
        content => shape(content).to_owned(),
    };
    let hint = match (&node.content, expected) {
        (YamlContent::Text(text), "a whole number") if text.parse::<i64>().is_ok() => {
            Some("remove the quotes".to_owned())
        }
        (YamlContent::Text(text), "`true` or `false`") => boolean(text),
        (YamlContent::Text(_) | YamlContent::Mapping(_), "a list") => {
            Some("begin each item with `- `".to_owned())
        }
        _ => None,
    };
    report.breach(Rule::WrongType, spot, format!("found {found}")).expected(expected).hint_if(hint);
    None
}

fn boolean(text: &str) -> Option<String> {
    let meant = match text.to_lowercase().as_str() {
        "yes" | "y" | "on" | "true" => "true",
        "no" | "n" | "off" | "false" => "false",
        _ => return None,
    };
    Some(format!("write `{meant}`, without quotes"))
}

fn shape(content: &YamlContent) -> &'static str {
    match content {
        YamlContent::Null => "nothing",
        YamlContent::Bool(_) => "a boolean",
        YamlContent::Integer(_) | YamlContent::Float => "a number",
        YamlContent::Text(_) => "a string",
        YamlContent::List(_) => "a list",
        YamlContent::Mapping(_) => "a mapping",
    }
}

/// Returns the bytes to underline for a value: the value, or its key if the value is empty or spans
/// several lines.
pub(super) fn mark(node: &YamlNode, key: Option<&Range<usize>>) -> Range<usize> {
    match (&node.content, key) {
        (YamlContent::Mapping(_) | YamlContent::List(_) | YamlContent::Null, Some(key)) => {
            key.clone()
        }
        (YamlContent::Mapping(entries), None) => {
            entries.first().map_or(node.span.clone(), |(key, _)| key.span.clone())
        }
        _ if node.span.is_empty() => key.unwrap_or(&node.span).clone(),
        _ => node.span.clone(),
    }
}
