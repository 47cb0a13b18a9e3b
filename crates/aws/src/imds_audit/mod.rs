//! The metadata options of running machines, for clusters of any maker: actual and effective values, and
//! the use of IMDSv1. Changes nothing.
//!
//! `read` asks AWS, [`findings`] judges; the judgement is pure.
//!
//! Never: messages for people, or a decision about a change. What could not be read is never clean.

#[cfg(feature = "sdk")]
mod read;

use std::collections::BTreeMap;

use serde::Serialize;

#[cfg(feature = "sdk")]
pub use self::read::{Scope, read, uses};
use crate::model::effective_metadata::{
    AccountDefaults, Cause, EffectiveOptions, ImdsSupport, LaunchLayers, cause,
};
use crate::model::metadata_options::{HttpTokens, MetadataOptions, Switch};

/// Seconds of a day, the resolution of the metrics.
pub const DAY: i64 = 24 * 60 * 60;

/// Time that CloudWatch may take to publish a metric, in seconds (EC2 user guide: every five minutes).
/// A day that has just begun may have no value yet.
const PUBLISHED_WITHIN: i64 = 60 * 60;

/// Result of an audit in one region.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    /// The machines, sorted by cluster and name.
    pub machines: Vec<AuditedMachine>,
    /// Launch templates with a cluster tag: their default version.
    pub templates: Vec<AuditedTemplate>,
    /// Defaults of the account; `None` if they could not be read.
    pub account: Option<AccountDefaults>,
    /// `ImdsSupport` of the images that could be read.
    pub images: BTreeMap<String, ImdsSupport>,
    /// Period of the metrics.
    pub window: Window,
    /// Queries that failed: the permission, and the error.
    pub unread: Vec<UnreadPart>,
}

/// A query that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadPart {
    /// IAM action.
    pub action: String,
    /// Message of AWS.
    pub message: String,
}

/// Period of the metrics, in seconds since 1970. It begins at midnight UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Begin.
    pub from: i64,
    /// End: the time of the audit.
    pub until: i64,
}

impl Window {
    /// Returns the window of the last `days` whole days and of today.
    pub fn of_days(days: u32, now: i64) -> Self {
        let midnight = now - now.rem_euclid(DAY);
        Self { from: midnight - i64::from(days) * DAY, until: now }
    }

    /// Returns the begins of the days that must have a value for a machine launched at `since`.
    fn days_since(self, since: i64) -> impl Iterator<Item = i64> {
        let first = self.from.max(since - since.rem_euclid(DAY));
        let last = self.until - PUBLISHED_WITHIN;
        (first..=last).step_by(DAY as usize)
    }
}

/// A machine of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedMachine {
    /// Instance ID.
    pub id: String,
    /// Value of the tag `Name`.
    pub name: Option<String>,
    /// Infra ID of the cluster.
    pub cluster: String,
    /// Image.
    pub image: Option<String>,
    /// State of the instance, as EC2 names it.
    pub state: String,
    /// Time of the launch, in seconds since 1970.
    pub launched_at: Option<i64>,
    /// Options of the instance. `None` if EC2 did not return them.
    pub options: Option<MetadataOptions>,
    /// True until EC2 has applied a change of the options.
    pub is_pending: bool,
    /// Use of IMDSv1; `None` if it could not be read.
    pub use_of_v1: Option<UseOfV1>,
}

/// A launch template with a cluster tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditedTemplate {
    /// ID.
    pub id: String,
    /// Name.
    pub name: Option<String>,
    /// Infra ID of the cluster.
    pub cluster: String,
    /// Image of the default version.
    pub image: Option<String>,
    /// Options of the default version. `None` if the version could not be read.
    pub options: Option<MetadataOptions>,
}

/// Requests without a session token in the window (CloudWatch, namespace `AWS/EC2`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UseOfV1 {
    /// Answered requests by day (`MetadataNoToken`).
    pub answered: BTreeMap<i64, u64>,
    /// Rejected requests by day (`MetadataNoTokenRejected`).
    pub rejected: BTreeMap<i64, u64>,
}

/// Use of IMDSv1 by a machine, judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "use")]
pub enum Judged {
    /// A value for every day of the window since the launch, and all are zero.
    None,
    /// Requests were answered.
    Used {
        /// Number in the window.
        requests: u64,
        /// Begin of the last day with requests.
        last_day: i64,
    },
    /// No requests are known, and days without a value.
    Unknown,
}

impl UseOfV1 {
    /// Returns the use in the window, for a machine launched at `since`.
    pub fn judged(&self, window: Window, since: Option<i64>) -> Judged {
        if let Some(last_day) = self.answered.iter().rev().find(|(_, count)| **count > 0) {
            let requests = self.answered.values().sum();
            return Judged::Used { requests, last_day: *last_day.0 };
        }
        let Some(since) = since else { return Judged::Unknown };
        let mut days = window.days_since(since);
        match days.all(|day| self.answered.contains_key(&day)) {
            true if !self.answered.is_empty() => Judged::None,
            _ => Judged::Unknown,
        }
    }

    /// Returns the number of rejected requests in the window.
    pub fn rejections(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Finding about a machine or a launch template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// IMDSv1 is allowed.
    TokensOptional,
    /// EC2 has not applied the last change of the options.
    Pending,
    /// IMDSv1 is refused, and a program on the machine still uses it.
    V1Rejected,
    /// The options could not be read.
    OptionsUnknown,
    /// Tags are part of the metadata service.
    TagsEnabled,
    /// The metadata service is off: the machine could not join its cluster again.
    EndpointDisabled,
}

/// Returns the findings about a machine.
pub fn findings(machine: &AuditedMachine) -> Vec<Finding> {
    let mut findings = match &machine.options {
        Some(options) => of_options(options),
        None => vec![Finding::OptionsUnknown],
    };
    if machine.is_pending {
        findings.push(Finding::Pending);
    }
    if machine.use_of_v1.as_ref().is_some_and(|used| used.rejections() > 0) {
        findings.push(Finding::V1Rejected);
    }
    findings.sort();
    findings
}

/// Options of an existing machine. An absent value is unknown, and unknown is never clean.
fn of_options(options: &MetadataOptions) -> Vec<Finding> {
    let mut findings = Vec::new();
    if options.http_endpoint == Some(Switch::Disabled) {
        return vec![Finding::EndpointDisabled];
    }
    match options.http_tokens {
        Some(HttpTokens::Required) => {}
        Some(HttpTokens::Optional) => findings.push(Finding::TokensOptional),
        None => findings.push(Finding::OptionsUnknown),
    }
    if options.instance_metadata_tags == Some(Switch::Enabled) {
        findings.push(Finding::TagsEnabled);
    }
    findings
}

impl Audit {
    /// Returns the options that a launch of this machine would get now.
    pub fn at_launch(&self, image: Option<&str>, request: &MetadataOptions) -> EffectiveOptions {
        let image = image.and_then(|image| self.images.get(image)).copied();
        LaunchLayers { request, account: self.account.as_ref(), image }.effective()
    }

    /// Returns the cause of a machine's tokens, if its launch had no opinion of its own or the same
    /// one: EC2 does not keep the request.
    pub fn cause_of_tokens(&self, machine: &AuditedMachine) -> Option<Cause> {
        let actual = machine.options.as_ref()?.http_tokens?;
        let launch = self.at_launch(machine.image.as_deref(), &MetadataOptions::default());
        Some(cause(actual, launch.http_tokens))
    }

    /// Returns the findings about the default version of a launch template: what its next instance
    /// gets.
    pub fn findings_of_template(&self, template: &AuditedTemplate) -> Vec<Finding> {
        let Some(options) = &template.options else { return vec![Finding::OptionsUnknown] };
        let launch = self.at_launch(template.image.as_deref(), options);
        of_options(&MetadataOptions {
            http_tokens: launch.http_tokens.value(),
            http_endpoint: launch.http_endpoint.value(),
            instance_metadata_tags: launch.instance_metadata_tags.value(),
            ..MetadataOptions::default()
        })
    }

    /// Returns true if every machine and template is clean, and everything could be read.
    pub fn is_clean(&self) -> bool {
        self.unread.is_empty()
            && self.machines.iter().all(|machine| findings(machine).is_empty())
            && self.templates.iter().all(|one| self.findings_of_template(one).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::effective_metadata::Layer;

    const NOW: i64 = 1_764_590_400; // 2025-12-01T12:00:00Z

    fn machine(tokens: Option<HttpTokens>) -> AuditedMachine {
        AuditedMachine {
            id: "i-1".into(),
            name: Some("demo-master-0".into()),
            cluster: "demo".into(),
            image: Some("ami-1".into()),
            state: "running".into(),
            launched_at: Some(NOW - 30 * DAY),
            options: Some(MetadataOptions { http_tokens: tokens, ..MetadataOptions::default() }),
            is_pending: false,
            use_of_v1: None,
        }
    }

    fn days(window: Window, since: i64, count: u64) -> BTreeMap<i64, u64> {
        window.days_since(since).map(|day| (day, count)).collect()
    }

    #[test]
    fn a_machine_is_clean_only_if_everything_is_known() {
        assert_eq!(findings(&machine(Some(HttpTokens::Required))), []);
        assert_eq!(findings(&machine(Some(HttpTokens::Optional))), [Finding::TokensOptional]);
        assert_eq!(findings(&machine(None)), [Finding::OptionsUnknown]);
        let unread = AuditedMachine { options: None, ..machine(None) };
        assert_eq!(findings(&unread), [Finding::OptionsUnknown]);
        let pending = AuditedMachine { is_pending: true, ..machine(Some(HttpTokens::Required)) };
        assert_eq!(findings(&pending), [Finding::Pending]);
        let mut rejecting = machine(Some(HttpTokens::Required));
        let rejected = BTreeMap::from([(NOW - DAY, 3)]);
        rejecting.use_of_v1 = Some(UseOfV1 { rejected, ..UseOfV1::default() });
        assert_eq!(findings(&rejecting), [Finding::V1Rejected]);
    }

    #[test]
    fn no_use_needs_a_value_for_every_day() {
        let window = Window::of_days(7, NOW);
        assert_eq!(
            (window.until - window.from, window.from.rem_euclid(DAY)),
            (7 * DAY + DAY / 2, 0)
        );
        let judged = |answered: BTreeMap<i64, u64>, since| {
            UseOfV1 { answered, ..UseOfV1::default() }.judged(window, since)
        };
        let old = NOW - 30 * DAY;
        let all = days(window, old, 0);
        assert_eq!(all.len(), 8);
        assert_eq!(judged(all.clone(), Some(old)), Judged::None);
        for day in all.keys() {
            let mut gap = all.clone();
            gap.remove(day);
            assert_eq!(judged(gap, Some(old)), Judged::Unknown, "{day}");
        }
        assert_eq!(judged(BTreeMap::new(), Some(old)), Judged::Unknown);
        assert_eq!(judged(all.clone(), None), Judged::Unknown, "the launch is unknown");
        let young = NOW - DAY;
        assert_eq!(judged(days(window, young, 0), Some(young)), Judged::None, "since the launch");
        assert_eq!(judged(BTreeMap::new(), Some(NOW - 60)), Judged::Unknown, "too young to know");
        let mut used = all;
        used.insert(window.from + 2 * DAY, 5);
        let expected = Judged::Used { requests: 5, last_day: window.from + 2 * DAY };
        assert_eq!(judged(used, Some(old)), expected);
    }

    #[test]
    fn a_day_that_has_just_begun_needs_no_value_yet() {
        let midnight = NOW - NOW.rem_euclid(DAY);
        let window = Window::of_days(1, midnight + 600);
        let old = NOW - 30 * DAY;
        assert_eq!(days(window, old, 0).len(), 1, "yesterday");
    }

    #[test]
    fn a_template_is_judged_by_what_its_next_instance_gets() {
        let template = |tokens| AuditedTemplate {
            id: "lt-1".into(),
            name: None,
            cluster: "demo".into(),
            image: Some("ami-1".into()),
            options: Some(MetadataOptions { http_tokens: tokens, ..MetadataOptions::default() }),
        };
        let mut audit = Audit::default();
        audit.images.insert("ami-1".into(), ImdsSupport::Unset);
        let unknown = [Finding::OptionsUnknown];
        assert_eq!(audit.findings_of_template(&template(None)), unknown, "the account is unknown");
        audit.account = Some(AccountDefaults::default());
        assert_eq!(audit.findings_of_template(&template(None)), [Finding::TokensOptional]);
        assert_eq!(audit.findings_of_template(&template(Some(HttpTokens::Required))), []);
        let required = AccountDefaults {
            http_tokens: Some(HttpTokens::Required),
            ..AccountDefaults::default()
        };
        audit.account = Some(required);
        assert_eq!(audit.findings_of_template(&template(None)), []);
        let by_account = Cause::Layer(Layer::Account);
        assert_eq!(audit.cause_of_tokens(&machine(Some(HttpTokens::Required))), Some(by_account));
        let changed = Cause::ChangedSinceLaunch;
        assert_eq!(audit.cause_of_tokens(&machine(Some(HttpTokens::Optional))), Some(changed));
    }

    #[test]
    fn what_could_not_be_read_is_not_clean() {
        let mut audit =
            Audit { machines: vec![machine(Some(HttpTokens::Required))], ..Audit::default() };
        assert!(audit.is_clean());
        let message = "denied".to_owned();
        audit.unread.push(UnreadPart { action: "cloudwatch:GetMetricData".into(), message });
        assert!(!audit.is_clean());
    }
}
