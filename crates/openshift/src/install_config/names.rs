//! `metadata.name` and `baseDomain`: the name of the cluster, and the form of DNS names.
//!
//! Rules: openshift/installer `pkg/validate/validate.go`, release-4.15.

use super::document::{Document, Spanned};
use crate::diagnostics::finding::{FieldSpan, FindingCollector, shown};
use crate::diagnostics::rules::Rule;

/// Maximum length of a DNS label (RFC 1035).
const LONGEST_LABEL: usize = 63;
const LONGEST_NAME: usize = 253;
/// Maximum length of a cluster name: the rest of a label after `*.apps.`, which renders as nine
/// characters.
const LONGEST_CLUSTER_NAME: usize = LONGEST_LABEL - "*.apps.".len() - 2;

/// Returns the name and the base domain after validation. The base domain has no trailing dot.
pub(super) fn names(
    document: &Document,
    report: &mut FindingCollector,
) -> Option<(String, String)> {
    let name = cluster_name(document, report);
    let base = base_domain(document, report);
    let (name, base) = (name?, base?);
    let whole = format!("{}.{}", name.value, domain(base));
    if !is_subdomain(&whole) {
        let found = format!("has {} characters with the cluster name before it", whole.len());
        report
            .breach(Rule::ClusterDomain, &base.spot, found)
            .expected(format!("at most {LONGEST_NAME} characters together"));
        return None;
    }
    Some((name.value.clone(), domain(base).to_owned()))
}

fn domain(at: &Spanned<String>) -> &str {
    at.value.strip_suffix('.').unwrap_or(&at.value)
}

fn cluster_name<'document>(
    document: &'document Document,
    report: &mut FindingCollector,
) -> Option<&'document Spanned<String>> {
    let metadata = document.metadata.require(&FieldSpan::file(), "metadata", report)?;
    let name = metadata.name.require(&metadata.spot, "name", report)?;
    if name.value.len() > LONGEST_CLUSTER_NAME {
        report
            .breach(Rule::ClusterName, &name.spot, format!("has {} characters", name.value.len()))
            .expected(format!("at most {LONGEST_CLUSTER_NAME} characters"));
        return None;
    }
    check_subdomain(Rule::ClusterName, name, &name.value, report).then_some(name)
}

fn base_domain<'document>(
    document: &'document Document,
    report: &mut FindingCollector,
) -> Option<&'document Spanned<String>> {
    let base = document.base_domain.require(&FieldSpan::file(), "baseDomain", report)?;
    check_subdomain(Rule::BaseDomain, base, domain(base), report).then_some(base)
}

fn check_subdomain(
    rule: Rule,
    at: &Spanned<String>,
    name: &str,
    report: &mut FindingCollector,
) -> bool {
    let fine = is_subdomain(name);
    if !fine {
        let lower = name.to_lowercase();
        let meant =
            (lower != name && is_subdomain(&lower)).then(|| format!("did you mean `{lower}`?"));
        report
            .breach(rule, &at.spot, format!("found {}", shown(&at.value)))
            .expected("lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit")
            .hint_if(meant);
    }
    fine
}

/// Returns true for a lower-case DNS subdomain (RFC 1123).
pub(super) fn is_subdomain(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let is_label = |label: &str| {
        let ends = [label.bytes().next(), label.bytes().last()];
        label.len() <= LONGEST_LABEL
            && ends.into_iter().all(|end| end.is_some_and(inner))
            && label.bytes().all(|byte| inner(byte) || byte == b'-')
    };
    name.len() <= LONGEST_NAME && name.split('.').all(is_label)
}
