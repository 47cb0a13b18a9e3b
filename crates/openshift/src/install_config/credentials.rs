//! `pullSecret`, `sshKey` and `additionalTrustBundle`: credentials and trusted certificates.
//!
//! Findings of these fields never quote any part of the value.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::choices::{Choices, choose};
use super::document::{Document, Spanned};
use crate::diagnostics::finding::{FieldSpan, FindingCollector};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::TrustBundlePolicy;

pub(super) const POLICIES: &Choices<TrustBundlePolicy> =
    &[("Proxyonly", TrustBundlePolicy::ProxyOnly), ("Always", TrustBundlePolicy::Always)];

/// Returns the pull secret after validation: `{"auths": {host: {"auth": ..}}}`, as JSON in a
/// string.
pub(super) fn pull_secret(
    document: &Document,
    report: &mut FindingCollector,
) -> Option<SecretString> {
    let at = document.pull_secret.require(&FieldSpan::file(), "pullSecret", report)?;
    match pull_secret_fault(at.value.expose_secret()) {
        None => Some(at.value.clone()),
        Some(fault) => {
            report
                .breach(Rule::PullSecret, &at.spot, fault)
                .expected("JSON such as `{\"auths\": {\"<registry>\": {\"auth\": \"<base64>\"}}}`")
                .hint("copy it from https://console.redhat.com/openshift/install/pull-secret, in single quotes");
            None
        }
    }
}

/// Returns the first problem of a pull secret. Reference: openshift/installer
/// `pkg/validate/validate.go`, `ImagePullSecret`.
fn pull_secret_fault(text: &str) -> Option<String> {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return Some(format!("is not JSON: error at character {}", error.column()));
        }
    };
    let Some(registries) = value.get("auths").and_then(Value::as_object) else {
        return Some("has no `auths`".into());
    };
    if registries.is_empty() {
        return Some("has no registries in `auths`".into());
    }
    let has = |entry: &Value, name: &str| {
        entry.get(name).is_some_and(Value::is_string) // empty for a registry without credentials
    };
    let lacking =
        registries.values().position(|entry| !has(entry, "auth") && !has(entry, "credsStore"))?;
    Some(format!("has no `auth` for entry {} of its {} registries", lacking + 1, registries.len()))
}

/// Returns the line of authorised keys after validation.
pub(super) fn ssh_key(
    document: &Document,
    fips: bool,
    report: &mut FindingCollector,
) -> Option<SecretString> {
    let at = document.ssh_key.get().filter(|at| !at.value.expose_secret().is_empty())?;
    match ssh_key_type(at.value.expose_secret()) {
        Err(fault) => {
            report
                .breach(Rule::SshKey, &at.spot, fault)
                .expected("one public key, such as `ssh-ed25519 <base64> <comment>`")
                .hint("copy the content of a `.pub` file, such as ~/.ssh/id_ed25519.pub");
        }
        Ok(kind) if fips && !is_fips(&kind) => {
            report
                .breach(
                    Rule::SshKeyFips,
                    &at.spot,
                    format!("is a key of type `{kind}`, which `fips: true` does not allow"),
                )
                .expected("a key of the type `ssh-rsa` or `ecdsa-sha2-nistp256`, `384` or `521`");
        }
        Ok(_) => check_other_keys(at, report),
    }
    Some(at.value.clone())
}

/// Reports a line after the first key that is not a public key.
fn check_other_keys(at: &Spanned<SecretString>, report: &mut FindingCollector) {
    let wrong = key_lines(at.value.expose_secret()).skip(1).position(|l| key_type(l).is_none());
    if let Some(index) = wrong {
        report
            .breach(Rule::SshKeys, &at.spot, format!("has no public SSH key in line {}", index + 2))
            .expected("one public key in each line");
    }
}

fn is_fips(kind: &str) -> bool {
    kind == "ssh-rsa" || kind.starts_with("ecdsa-sha2-nistp")
}

/// Returns the type of the first key. A key line has the type twice: in clear text and at the start
/// of the encoded key.
fn ssh_key_type(text: &str) -> Result<String, &'static str> {
    if text.contains("PRIVATE KEY") {
        return Err("is a private key");
    }
    let kind = key_lines(text).next().and_then(key_type).ok_or("is not a public SSH key")?;
    Ok(kind.to_owned())
}

/// Returns the lines that may have keys: comments and empty lines have none.
fn key_lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Returns the type of the key in a line.
fn key_type(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let pairs = words.windows(2).filter(|pair| decodes_to(pair[1], pair[0]));
    pairs.map(|pair| pair[0]).next()
}

/// Returns true if the encoded key is a whole key of this type (RFC 4253, section 6.6): its fields
/// have their stated lengths, and nothing follows the last one.
fn decodes_to(encoded: &str, kind: &str) -> bool {
    let Some(key) = STANDARD.decode(encoded).or_else(|_| STANDARD_NO_PAD.decode(encoded)).ok()
    else {
        return false;
    };
    let Some((first, mut rest)) = ssh_field(&key) else { return false };
    if first != kind.as_bytes() {
        return false;
    }
    let Some(fields) = fields_of(kind) else { return rest.len() > LENGTH_BYTES };
    for _ in 0..fields {
        let Some((field, after)) = ssh_field(rest) else { return false };
        if field.is_empty() {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// Bytes of the length before each field of a key.
const LENGTH_BYTES: usize = 4;

/// Returns the first field of an encoded key and the bytes after it. `None` if the key ends before
/// the field does.
fn ssh_field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<LENGTH_BYTES>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Returns the number of fields after the type. `None` for types of another form, such as
/// certificates.
fn fields_of(kind: &str) -> Option<usize> {
    match kind {
        "ssh-ed25519" => Some(1),                        // the point
        "ssh-rsa" => Some(2),                            // exponent, modulus
        "ssh-dss" => Some(4),                            // p, q, g, y
        "sk-ssh-ed25519@openssh.com" => Some(2),         // the point, the application
        "sk-ecdsa-sha2-nistp256@openssh.com" => Some(3), // curve, point, application
        "ecdsa-sha2-nistp256" | "ecdsa-sha2-nistp384" | "ecdsa-sha2-nistp521" => Some(2), // curve, point
        _ => None,
    }
}

/// Returns the concatenated PEM certificates after validation.
pub(super) fn trust_bundle(document: &Document, report: &mut FindingCollector) -> Option<String> {
    let at = document.additional_trust_bundle.get().filter(|at| !at.value.trim().is_empty())?;
    if let Some(fault) = trust_bundle_fault(at) {
        report.breach(Rule::TrustBundle, &at.spot, fault).expected("certificates in PEM");
    }
    Some(at.value.clone())
}

/// Returns the first problem of a bundle. Text before and between the PEM blocks is skipped, such as
/// the `subject=` lines of `openssl` or comments. openshift-install skips it, too, and rejects text
/// after the last block (openshift/installer `pkg/validate/validate.go`, `CABundle`).
fn trust_bundle_fault(bundle: &Spanned<String>) -> Option<String> {
    const CERTIFICATE: &str = "CERTIFICATE";
    const SEQUENCE: u8 = 0x30; // first byte of a DER certificate
    let mut lines = bundle.value.lines().map(str::trim);
    let (mut number, mut has_text) = (0, false);
    while let Some(label) = lines.by_ref().find_map(|line| {
        let begin = boundary(line, "BEGIN");
        has_text |= begin.is_none() && !line.is_empty();
        begin
    }) {
        number += 1;
        has_text = false;
        if label != CERTIFICATE {
            return Some(format!("has a block {number} that is not a certificate"));
        }
        let mut body = String::new();
        let end = lines.by_ref().find_map(|line| {
            let end = boundary(line, "END");
            body.push_str(if end.is_some() { "" } else { line });
            end
        });
        if end != Some(CERTIFICATE) {
            return Some(format!("has a block {number} without an end"));
        }
        body.retain(|c| !c.is_whitespace());
        if STANDARD.decode(body).ok().and_then(|der| der.first().copied()) != Some(SEQUENCE) {
            return Some(format!("has a block {number} that cannot be decoded"));
        }
    }
    match number {
        0 => Some("has no certificate".to_owned()),
        _ if has_text => Some(format!("has text after its last certificate, number {number}")),
        _ => None,
    }
}

/// Returns the label of a line that begins or ends a PEM block.
fn boundary<'line>(line: &'line str, word: &str) -> Option<&'line str> {
    let label = line.strip_prefix("-----")?.strip_suffix("-----")?.strip_prefix(word)?;
    label.strip_prefix(' ')
}

/// Returns the condition under which the nodes trust the bundle.
pub(super) fn trust_bundle_policy(
    document: &Document,
    report: &mut FindingCollector,
) -> TrustBundlePolicy {
    choose(Rule::TrustBundlePolicy, &document.additional_trust_bundle_policy, POLICIES, report)
        .unwrap_or_default()
}
