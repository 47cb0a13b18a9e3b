//! Reading of `install-config.yaml`: text becomes an [`InstallConfig`], or findings with positions.
//!
//! Knows the v1 schema of platform aws. Never calls a cloud, never prints, and never quotes a
//! secret.
//!
//! ```text
//! text ─ yaml ─▶ tree with places ─ document ─▶ fields as written ─ sections ─▶ InstallConfig
//!                                        └────────── findings ◀────────┘
//! ```

mod aws;
mod aws_machine_pool;
mod choices;
mod credentials;
mod document;
mod export;
mod feature_support;
mod json_schema;
mod locate;
mod machine_pool;
mod metadata_service;
mod names;
mod networking;
mod ovn;
mod pki;
mod proxy;
mod redact;
mod render;
mod resolved;
mod subnet_roles;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;

pub(crate) use aws_machine_pool::{CONFIDENTIAL_COMPUTE, is_instance_type};
pub use export::{ExportError, for_openshift_install};
pub use json_schema::json_schema;
pub(crate) use locate::FieldLocator;
pub use locate::{Located, locate};
pub use render::render;
pub use resolved::*;

use crate::diagnostics::finding::{FieldSpan, FindingCollector};
use crate::diagnostics::yaml::Malformed;
use crate::diagnostics::{Finding, Rule, text, yaml};
use crate::release::Release;
use document::{Document, FromNode};

/// Result of reading a file.
#[derive(Debug)]
pub struct ParseOutcome {
    /// The config. `None` if any finding is an error.
    pub config: Option<InstallConfig>,
    /// All findings, in the order of the text.
    pub findings: Vec<Finding>,
}

/// Reads the bytes of a file for any living release, as [`read_bytes_for`] does.
pub fn read_bytes(bytes: &[u8]) -> (ParseOutcome, Cow<'_, str>) {
    read_bytes_for(bytes, None)
}

/// Reads the bytes of a file for a release, as [`read_for`] does. Also returns the text that may be
/// shown next to the findings.
pub fn read_bytes_for(bytes: &[u8], release: Option<Release>) -> (ParseOutcome, Cow<'_, str>) {
    match text::decode(bytes) {
        Ok(text) => (read_for(text, release), Cow::Borrowed(text)),
        Err((finding, shown)) => (ParseOutcome { config: None, findings: vec![finding] }, shown),
    }
}

/// Reads the text of an install-config for any living release, as [`read_for`] does.
pub fn read(text: &str) -> ParseOutcome {
    read_for(text, None)
}

/// Reads the text of an install-config for a release of openshift-install. Returns all findings at
/// once, in bounded time.
///
/// `None` means that the release is not known: a setting that any living release accepts is accepted.
/// If others reject it, a warning names them.
pub fn read_for(text: &str, release: Option<Release>) -> ParseOutcome {
    if text.len() > text::MOST_BYTES {
        return ParseOutcome { config: None, findings: vec![text::too_large()] };
    }
    let mut report = FindingCollector::new(text).for_release(release);
    let config = match yaml::parse(text) {
        Ok(node) => Document::read(&node, &FieldSpan::file(), &mut report)
            .and_then(|document| resolve(&document, &mut report)),
        Err(malformed) => {
            tell(malformed, &mut report);
            None
        }
    };
    let config = config.filter(|_| report.is_clean());
    ParseOutcome { config, findings: report.finish() }
}

fn tell(malformed: Malformed, report: &mut FindingCollector) {
    let Malformed { offset, rule, message, hint } = malformed;
    let spot = FieldSpan { path: String::new(), span: offset.map(|offset| offset..offset + 1) };
    report.breach(rule, &spot, message).hint_if(hint.map(str::to_owned));
}

/// Returns the findings for a manifest that the YAML parser rejected with `error`: all repeated
/// fields, or else the position of the syntax error. `lines_before` is the number of lines before
/// the manifest in its file.
pub(crate) fn unreadable_manifest(
    text: &str,
    lines_before: usize,
    error: &serde_saphyr::Error,
) -> Vec<Finding> {
    let mut report = FindingCollector::of_document(text, lines_before);
    if let Ok(node) = yaml::parse_up_to(text, yaml::MOST_VALUES_OF_MACHINES) {
        document::repeated(&node, &FieldSpan::file(), &mut report);
    }
    if report.is_clean() {
        let malformed = yaml::malformed(error, text);
        let message = match malformed.rule {
            Rule::FileSize => "the document is too large after the expansion of aliases".to_owned(),
            _ => malformed.message,
        };
        tell(Malformed { message, ..malformed }, &mut report);
    }
    report.finish()
}

/// Resolves every section, even if other sections have errors.
fn resolve(document: &Document, report: &mut FindingCollector) -> Option<InstallConfig> {
    if !feature_support::check_version(document, report) {
        return None;
    }
    let names = names::names(document, report);
    let publish = feature_support::publish(document, report);
    let credentials_mode = feature_support::credentials_mode(document, report);
    let networking = networking::networking(document, report);
    let platform = aws::platform(document, report);
    let aws = platform.and_then(|given| aws::resolve(document, given, credentials_mode, report));
    aws::check_images(document, report);
    let pools = pools(document, report);
    let fips = document.fips.get().is_some_and(|at| at.value);
    let pull_secret = credentials::pull_secret(document, report);
    let ssh_key = credentials::ssh_key(document, fips, report);
    let additional_trust_bundle = credentials::trust_bundle(document, report);
    let additional_trust_bundle_policy = credentials::trust_bundle_policy(document, report);
    let proxy = proxy::proxy(document, networking.as_ref(), report);
    feature_support::check(document, report);

    if let (Some(networking), Some(pools)) = (&networking, &pools) {
        networking::fits_zones(document, networking, zones(pools), report);
    }

    let (name, base_domain) = names?;
    let Pools { control_plane, compute, implied_edge } = pools?;
    Some(InstallConfig {
        name,
        base_domain,
        publish: publish?,
        networking: networking?,
        control_plane,
        compute,
        implied_edge,
        aws: aws?,
        credentials_mode,
        fips,
        pull_secret: pull_secret?,
        ssh_key,
        os_image_stream: document.image_stream.get().map(|at| at.value.clone()),
        additional_trust_bundle,
        additional_trust_bundle_policy,
        proxy,
    })
}

/// The machine pools.
struct Pools {
    control_plane: MachinePool,
    compute: Vec<MachinePool>,
    implied_edge: Option<MachinePool>,
}

fn pools(document: &Document, report: &mut FindingCollector) -> Option<Pools> {
    let around = aws_machine_pool::PoolContext::of(document);
    around.check(report);
    let control_plane = machine_pool::control_plane(document, &around, report);
    let architecture = control_plane.as_ref().map(|pool| pool.architecture);
    let compute = machine_pool::compute(document, architecture, &around, report);
    let (control_plane, compute) = (control_plane?, compute?);
    let implied_edge = machine_pool::implied_edge(&control_plane, &compute, &around);
    Some(Pools { control_plane, compute, implied_edge })
}

/// Returns the number of distinct availability zones that the pools name. Pools without zones do not
/// count, because their zones are not known yet.
fn zones(Pools { control_plane, compute, .. }: &Pools) -> usize {
    let pools = compute.iter().filter(|pool| !pool.is_edge()).chain([control_plane]);
    pools.flat_map(|pool| &pool.aws.zones).collect::<BTreeSet<_>>().len()
}
