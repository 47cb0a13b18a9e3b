//! The audit of metadata options: a table for people, and a line for each machine for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{self, Write};

use groundplan_aws::imds_audit::{
    Audit, AuditedMachine, AuditedTemplate, Finding, Judged, UnreadPart, UseOfV1, findings,
};
use groundplan_aws::model::effective_metadata::{Cause, Manager};
use groundplan_aws::model::metadata_options::{HttpTokens, MetadataOptions};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Code, Diagnostic, table};

/// Recorded options by instance ID.
pub type WantedOptions = BTreeMap<String, MetadataOptions>;

/// Audit of one region.
#[derive(Clone, Copy, Debug)]
pub struct RegionAudit<'a> {
    /// Region.
    pub region: &'a str,
    /// Account ID.
    pub account: &'a str,
    /// Result.
    pub audit: &'a Audit,
    /// Recorded options.
    pub wanted: &'a WantedOptions,
}

impl RegionAudit<'_> {
    /// Returns a warning about a query that failed.
    pub fn unread(&self, part: &UnreadPart) -> Diagnostic {
        Diagnostic::warning(
            Code::AuditIncomplete,
            format!("a part of the audit of {} could not be read", self.region),
        )
        .with_detail(part.message.clone())
        .with_hint(format!("allow {} to read it", part.action))
    }

    /// Returns true if the tokens of a machine are not the recorded ones.
    fn is_drifted(&self, machine: &AuditedMachine) -> bool {
        let wanted = self.wanted.get(&machine.id).and_then(|wanted| wanted.http_tokens);
        let actual = machine.options.as_ref().and_then(|options| options.http_tokens);
        wanted.is_some() && wanted != actual
    }
}

/// Counts of all regions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Machines.
    pub machines: usize,
    /// Clusters.
    pub clusters: usize,
    /// Machines that require tokens.
    pub required: usize,
    /// Machines that allow IMDSv1.
    pub optional: usize,
    /// Machines whose tokens could not be read.
    pub unknown: usize,
    /// Machines that answered requests without a token.
    pub used: usize,
    /// Machines with an unknown use.
    pub use_unknown: usize,
    /// Machines that rejected requests without a token.
    pub rejected: usize,
    /// Machines with other tokens than recorded.
    pub drifted: usize,
    /// Launch templates that allow IMDSv1, or are unknown.
    pub templates: usize,
    /// Parts that could not be read.
    pub unread: usize,
    /// Machines and templates with a finding.
    pub findings: usize,
}

impl Summary {
    /// Adds a region.
    pub fn add(&mut self, one: &RegionAudit<'_>) {
        let audit = one.audit;
        let clusters: BTreeSet<&str> =
            audit.machines.iter().map(|machine| machine.cluster.as_str()).collect();
        self.clusters += clusters.len();
        self.machines += audit.machines.len();
        self.unread += audit.unread.len();
        for machine in &audit.machines {
            match machine.options.as_ref().and_then(|options| options.http_tokens) {
                Some(HttpTokens::Required) => self.required += 1,
                Some(HttpTokens::Optional) => self.optional += 1,
                None => self.unknown += 1,
            }
            match judged(machine, audit) {
                Judged::None => {}
                Judged::Used { .. } => self.used += 1,
                Judged::Unknown => self.use_unknown += 1,
            }
            let rejections = machine.use_of_v1.as_ref().map_or(0, UseOfV1::rejections);
            self.rejected += usize::from(rejections > 0);
            let is_drifted = one.is_drifted(machine);
            self.drifted += usize::from(is_drifted);
            self.findings += usize::from(is_drifted || !findings(machine).is_empty());
        }
        let of_template = |template| !audit.findings_of_template(template).is_empty();
        let templates = audit.templates.iter().filter(|template| of_template(template)).count();
        self.templates += templates;
        self.findings += templates;
    }

    /// Returns true if there is no finding, and everything could be read.
    pub fn is_clean(&self) -> bool {
        self.findings == 0 && self.unread == 0
    }

    /// Writes the counts in a line or two.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self { machines, clusters, required, optional, unknown, .. } = self;
        let counted = |count: usize, one: &str| match count {
            1 => format!("1 {one}"),
            _ => format!("{count} {one}s"),
        };
        write!(
            out,
            "{} in {}: {required} require IMDSv2, {optional} allow IMDSv1",
            counted(*machines, "machine"),
            counted(*clusters, "cluster"),
        )?;
        if *unknown > 0 {
            write!(out, ", {unknown} unknown")?;
        }
        writeln!(out, ".")?;
        let Self { used, use_unknown, rejected, drifted, templates, .. } = self;
        let mut parts = vec![format!("IMDSv1 was used on {used}, use is unknown on {use_unknown}")];
        if *rejected > 0 {
            parts.push(format!("requests were rejected on {rejected}"));
        }
        if *drifted > 0 {
            parts.push(format!("{drifted} differ from the state"));
        }
        if *templates > 0 {
            let name = counted(*templates, "launch template");
            parts.push(format!("{name} with findings"));
        }
        writeln!(out, "{}.", parts.join("; "))
    }
}

/// Returns the use of IMDSv1 by a machine.
fn judged(machine: &AuditedMachine, audit: &Audit) -> Judged {
    let used = machine.use_of_v1.as_ref();
    used.map_or(Judged::Unknown, |used| used.judged(audit.window, machine.launched_at))
}

/// Writes the defaults of the account, and the machines and launch templates of each cluster.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn write(one: &RegionAudit<'_>, out: &mut dyn Write) -> io::Result<()> {
    let RegionAudit { region, account, audit, .. } = one;
    writeln!(out, "{region}, account {account}")?;
    writeln!(out, "{}", defaults(audit))?;
    writeln!(out)?;
    if audit.machines.is_empty() {
        writeln!(out, "No machines.")?;
    }
    let clusters: BTreeSet<&str> = audit.machines.iter().map(|one| one.cluster.as_str()).collect();
    for cluster in clusters {
        let of_cluster = audit.machines.iter().filter(|machine| machine.cluster == cluster);
        let rows: Vec<_> = of_cluster.map(|machine| row(one, machine)).collect();
        let header = ["machine", "tokens", "by", "hops", "v1 used", "rejected", "finding"];
        writeln!(out, "Cluster {cluster}")?;
        table::write(header, &rows, out)?;
        writeln!(out)?;
    }
    if !audit.templates.is_empty() {
        let rows: Vec<_> = audit.templates.iter().map(|one| template_row(audit, one)).collect();
        let header = ["launch template", "cluster", "tokens of the next machine", "finding"];
        table::write(header, &rows, out)?;
        writeln!(out)?;
    }
    Ok(())
}

fn defaults(audit: &Audit) -> String {
    let Some(account) = &audit.account else {
        return "Account defaults: unknown".to_owned();
    };
    let mut words = vec![format!("tokens {}", word(account.http_tokens, "without a preference"))];
    if let Some(hops) = account.http_put_response_hop_limit {
        words.push(format!("hop limit {}", i64::from(hops)));
    }
    words.extend(account.http_endpoint.map(|one| format!("endpoint {}", lower(one))));
    words.extend(account.instance_metadata_tags.map(|one| format!("tags {}", lower(one))));
    words.push(if account.is_enforced { "enforced" } else { "not enforced" }.to_owned());
    if account.managed_by == Manager::DeclarativePolicy {
        words.push("set by a declarative policy of the organisation".to_owned());
    }
    format!("Account defaults: {}", words.join(", "))
}

fn lower(value: impl Debug) -> String {
    format!("{value:?}").to_lowercase()
}

fn word(value: Option<impl Debug>, absent: &str) -> String {
    value.map_or_else(|| absent.to_owned(), lower)
}

fn row(one: &RegionAudit<'_>, machine: &AuditedMachine) -> [String; 7] {
    let options = machine.options.clone().unwrap_or_default();
    let hops = options.http_put_response_hop_limit.map(|hops| i64::from(hops).to_string());
    let rejections = machine.use_of_v1.as_ref().map(|used| used.rejections().to_string());
    let used = match judged(machine, one.audit) {
        Judged::None => "0".to_owned(),
        Judged::Used { requests, last_day } => format!("{requests}, last {}", day(last_day)),
        Judged::Unknown => "unknown".to_owned(),
    };
    let of = |text: Option<String>| text.unwrap_or_else(|| "unknown".to_owned());
    let mut found: Vec<&str> = findings(machine).into_iter().map(text).collect();
    if one.is_drifted(machine) {
        found.push("differs from the state");
    }
    [
        machine.name.clone().unwrap_or_else(|| machine.id.clone()),
        word(options.http_tokens, "unknown"),
        of(one.audit.cause_of_tokens(machine).map(by)),
        of(hops),
        used,
        of(rejections),
        if found.is_empty() { "-".to_owned() } else { found.join(", ") },
    ]
}

fn template_row(audit: &Audit, template: &AuditedTemplate) -> [String; 4] {
    let asked = template.options.clone();
    let launch = asked.map(|options| audit.at_launch(template.image.as_deref(), &options));
    let tokens = launch.and_then(|launch| launch.http_tokens.value());
    let found: Vec<&str> = audit.findings_of_template(template).into_iter().map(text).collect();
    [
        template.name.clone().unwrap_or_else(|| template.id.clone()),
        template.cluster.clone(),
        word(tokens, "unknown"),
        if found.is_empty() { "-".to_owned() } else { found.join(", ") },
    ]
}

fn by(cause: Cause) -> String {
    match cause {
        Cause::Layer(layer) => layer.to_string(),
        Cause::ChangedSinceLaunch => "machine".to_owned(),
        Cause::Unknown(layer) => format!("unknown: {layer}"),
    }
}

fn text(finding: Finding) -> &'static str {
    match finding {
        Finding::TokensOptional => "IMDSv1 allowed",
        Finding::Pending => "change not applied yet",
        Finding::V1Rejected => "a program still uses IMDSv1",
        Finding::OptionsUnknown => "options unknown",
        Finding::TagsEnabled => "tags in metadata",
        Finding::EndpointDisabled => "endpoint disabled",
    }
}

/// Returns the date of a time in seconds since 1970.
pub(crate) fn day(second: i64) -> String {
    let time = Timestamp::from_second(second).unwrap_or_default().to_string();
    time.split('T').next().unwrap_or_default().to_owned()
}

/// Returns the lines of a region for programs, with their types.
pub fn fields(one: &RegionAudit<'_>) -> Vec<(&'static str, Value)> {
    let RegionAudit { region, account, audit, .. } = one;
    let defaults = json!({
        "region": region, "account": account, "defaults": audit.account,
        "from": day(audit.window.from), "until": day(audit.window.until),
    });
    let machines = audit.machines.iter().map(|machine| {
        let used = judged(machine, audit);
        let (requests, last_day) = match used {
            Judged::None => (Some(0), None),
            Judged::Used { requests, last_day } => (Some(requests), Some(day(last_day))),
            Judged::Unknown => (None, None),
        };
        let fields = json!({
            "region": region, "account": account, "cluster": machine.cluster, "id": machine.id,
            "name": machine.name, "state": machine.state, "options": machine.options,
            "pending": machine.is_pending, "image": machine.image,
            "image_imds_support": machine.image.as_ref().and_then(|image| audit.images.get(image)),
            "tokens_by": audit.cause_of_tokens(machine).map(by),
            "recorded": one.wanted.get(&machine.id), "differs": one.is_drifted(machine),
            "v1_requests": requests, "v1_last_day": last_day,
            "v1_rejected": machine.use_of_v1.as_ref().map(UseOfV1::rejections),
            "findings": findings(machine),
        });
        ("imds_machine", fields)
    });
    let templates = audit.templates.iter().map(|template| {
        let asked = template.options.as_ref();
        let launch = asked.map(|options| audit.at_launch(template.image.as_deref(), options));
        let fields = json!({
            "region": region, "account": account, "cluster": template.cluster, "id": template.id,
            "name": template.name, "options": template.options, "effective": launch,
            "findings": audit.findings_of_template(template),
        });
        ("imds_template", fields)
    });
    [("imds_account", defaults)].into_iter().chain(machines).chain(templates).collect()
}

#[cfg(test)]
mod tests {
    use groundplan_aws::imds_audit::{DAY, Window};
    use groundplan_aws::model::effective_metadata::{AccountDefaults, ImdsSupport};
    use groundplan_aws::model::metadata_options::HopLimit;

    use super::*;

    const NOW: i64 = 1_796_083_200 + 3600 * 12; // 2026-12-01T12:00:00Z

    fn audit() -> Audit {
        let window = Window::of_days(2, NOW);
        let machine =
            |name: &str, tokens, answered: &[(i64, u64)], rejected: &[(i64, u64)]| AuditedMachine {
                id: format!("i-{name}"),
                name: Some(format!("demo-{name}")),
                cluster: "demo-x7k2p".into(),
                image: Some("ami-1".into()),
                state: "running".into(),
                launched_at: Some(NOW - 30 * DAY),
                options: Some(MetadataOptions {
                    http_tokens: Some(tokens),
                    http_put_response_hop_limit: Some(HopLimit::TWO),
                    ..MetadataOptions::default()
                }),
                is_pending: false,
                use_of_v1: Some(UseOfV1 {
                    answered: answered.iter().copied().collect(),
                    rejected: rejected.iter().copied().collect(),
                }),
            };
        let days = [window.from, window.from + DAY, window.from + 2 * DAY];
        let zero = days.map(|day| (day, 0));
        Audit {
            machines: vec![
                machine("master-0", HttpTokens::Required, &zero, &[(days[1], 4)]),
                machine("worker-a", HttpTokens::Optional, &[(days[0], 7), (days[1], 2)], &[]),
                machine("worker-b", HttpTokens::Optional, &[], &[]),
            ],
            templates: vec![AuditedTemplate {
                id: "lt-1".into(),
                name: Some("demo-nodes".into()),
                cluster: "demo-x7k2p".into(),
                image: Some("ami-1".into()),
                options: Some(MetadataOptions::default()),
            }],
            account: Some(AccountDefaults::default()),
            images: [("ami-1".to_owned(), ImdsSupport::Unset)].into(),
            window,
            unread: Vec::new(),
        }
    }

    #[test]
    fn the_table_names_machine_value_cause_use_and_finding() {
        let (audit, mut wanted) = (audit(), WantedOptions::new());
        let required = MetadataOptions {
            http_tokens: Some(HttpTokens::Required),
            ..MetadataOptions::default()
        };
        wanted.insert("i-worker-a".into(), required);
        let one = RegionAudit {
            region: "us-west-2",
            account: "123456789012",
            audit: &audit,
            wanted: &wanted,
        };
        let mut out = Vec::new();
        write(&one, &mut out).unwrap();
        let mut summary = Summary::default();
        summary.add(&one);
        summary.write(&mut out).unwrap();
        let expected = "\
us-west-2, account 123456789012
Account defaults: tokens without a preference, not enforced

Cluster demo-x7k2p
machine        tokens    by              hops  v1 used             rejected  finding
demo-master-0  required  machine         2     0                   4         a program still uses IMDSv1
demo-worker-a  optional  default of EC2  2     9, last 2026-11-30  0         IMDSv1 allowed, differs from the state
demo-worker-b  optional  default of EC2  2     unknown             0         IMDSv1 allowed

launch template  cluster     tokens of the next machine  finding
demo-nodes       demo-x7k2p  optional                    IMDSv1 allowed

3 machines in 1 cluster: 1 require IMDSv2, 2 allow IMDSv1.
IMDSv1 was used on 1, use is unknown on 1; requests were rejected on 1; 1 differ from the state; 1 launch template with findings.
";
        let plain = String::from_utf8(out).unwrap();
        let plain = plain.replace("\u{1b}[2m", "").replace("\u{1b}[0m", "");
        assert_eq!(plain, expected);
        assert!(!summary.is_clean());
    }

    #[test]
    fn lines_for_programs_leave_the_unknown_null() {
        let (audit, wanted) = (audit(), WantedOptions::new());
        let one = RegionAudit {
            region: "us-west-2",
            account: "123456789012",
            audit: &audit,
            wanted: &wanted,
        };
        let lines = fields(&one);
        let kinds: Vec<&str> = lines.iter().map(|(kind, _)| *kind).collect();
        let machine = "imds_machine";
        assert_eq!(kinds, ["imds_account", machine, machine, machine, "imds_template"]);
        assert_eq!(lines[1].1["v1_requests"], 0);
        assert_eq!(lines[2].1["v1_requests"], 9);
        assert_eq!(lines[2].1["v1_last_day"], "2026-11-30");
        assert_eq!(lines[3].1["v1_requests"], Value::Null);
        assert_eq!(lines[3].1["findings"], json!(["tokens-optional"]));
        assert_eq!(
            lines[4].1["effective"]["http_tokens"],
            json!({"value": "optional", "by": "ec2"})
        );
    }
}
