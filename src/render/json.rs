//! Events, plans and diagnostics for programs: one JSON object per line.
//!
//! Every line has a `type` and a `time`. Lines about a resource have its `address` at the top
//! level. The first line contains the version of the stream. No line contains a secret or its
//! digest.

use std::io::{self, Write};

use groundplan_engine::event::{EVENTS_VERSION, Event};
use groundplan_engine::graph::{Ref, as_ref};
use groundplan_engine::plan::values::{Summary, Surroundings, ValuesAfter, known_value};
use groundplan_engine::plan::{Action, Change, FieldChange};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::plan::{
    Describe, ShownDrift, billed_for_programs, counts_by_kind, drift, drift_counts,
    estimate_for_programs, reason,
};
use super::screen::for_json;
use super::value::{is_secret, is_sensitive, is_unknown};
use super::{Code, Diagnostic, PlanView};

/// All line types. `docs/formats.md` explains each, and a test keeps that page complete.
pub const TYPES: &[&str] = &[
    "version",
    "diagnostic",
    "drift",
    "drift_summary",
    "selection",
    "planned_change",
    "unchanged",
    "change_summary",
    "started",
    "step_started",
    "step_retrying",
    "step_waiting",
    "step_finished",
    "step_failed",
    "step_skipped",
    "step_abandoned",
    "stopping",
    "warning",
    "finished",
    "leftovers",
    "calls",
    "valid",
    "manifest",
    "cluster",
    "imds_account",
    "imds_machine",
    "imds_template",
    "imds_summary",
    "setting",
    "resource",
    "run",
    "moved",
    "forgotten",
    "protected",
    "unprotected",
    "pushed",
    "migrated",
    "unlocked",
    "recovered",
    "missing",
    "unclaimed",
    "announced",
    "told",
    "log",
    "wait_console",
    "wait_stage",
    "wait_finished",
];

/// Writer of JSON lines, with a given clock.
#[derive(Debug)]
pub struct JsonLines<W> {
    out: W,
    clock: fn() -> Timestamp,
    begun: bool,
}

impl<W: Write> JsonLines<W> {
    /// Returns a stream whose first line will be its version.
    pub fn new(out: W, clock: fn() -> Timestamp) -> Self {
        Self { out, clock, begun: false }
    }

    /// Writes the version of the stream. Does nothing after the first call.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.begun, true) {
            return Ok(());
        }
        let program = concat!("groundplan ", env!("CARGO_PKG_VERSION"));
        self.write("version", &json!({"version": EVENTS_VERSION, "program": program}))
    }

    /// Writes an event of a run.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        let Value::Object(mut fields) = serde_json::to_value(event)? else {
            unreachable!("BUG: an event is an object with a type");
        };
        let kind = match fields.remove("type") {
            Some(Value::String(kind)) => kind,
            _ => unreachable!("BUG: an event is an object with a type"),
        };
        if let Some(Value::Object(step)) = fields.remove("step") {
            fields.extend(step);
        }
        self.line(&kind, &Value::Object(fields))
    }

    /// Writes an error or a warning.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn diagnostic(&mut self, diagnostic: &Diagnostic) -> io::Result<()> {
        self.line("diagnostic", diagnostic)
    }

    /// Writes a plan: warnings, drift, selection, changes, and the summary.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn plan(&mut self, view: &PlanView<'_>) -> io::Result<()> {
        for warning in view.warnings {
            self.diagnostic(&Diagnostic::warning(Code::PlanWarning, warning))?;
        }
        self.drift(view)?;
        if let Some(selection) = &view.plan.selection {
            self.line("selection", selection)?;
        }
        let values = ValuesAfter::of(view.plan);
        let changes = &view.plan.changes;
        for change in changes.iter().filter(|change| is_told(change)) {
            self.line("planned_change", &planned_for_programs(change, view.describe, &values))?;
        }
        for change in changes.iter().filter(|change| !is_told(change)) {
            self.line("unchanged", &planned_for_programs(change, view.describe, &values))?;
        }
        let counts = view.plan.counts();
        let mut summary = json!({
            "operation": view.plan.operation,
            "add": counts.add,
            "change": counts.change,
            "destroy": counts.destroy,
            "by_kind": counts_by_kind(view.plan),
        });
        if let Some(path) = critical_path(view) {
            summary["critical_path"] = path;
        }
        let bill = view.bill();
        summary["billed"] = billed_for_programs(&bill);
        if let Some(prices) = view.prices {
            summary["estimate"] = estimate_for_programs(prices, &bill);
        }
        if let Some(identity) = &view.identity {
            summary["identity"] = serde_json::to_value(identity)?;
        }
        let danger = view.danger();
        if !danger.is_empty() {
            summary["danger"] = danger.into();
        }
        if let Some(cluster) = &view.plan.cluster {
            summary["cluster"] = serde_json::to_value(cluster)?;
        }
        self.line("change_summary", &summary)
    }

    /// Writes only the drift and its counts, after warnings about parts that were not compared.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn drift_only(&mut self, view: &PlanView<'_>) -> io::Result<()> {
        for warning in view.warnings {
            self.diagnostic(&Diagnostic::warning(Code::PlanWarning, warning))?;
        }
        self.drift(view)?;
        self.line("drift_summary", &drift_counts(view.plan, view.classify))
    }

    fn drift(&mut self, view: &PlanView<'_>) -> io::Result<()> {
        for one in drift(view.plan, view.classify) {
            self.line("drift", &drift_for_programs(&one))?;
        }
        Ok(())
    }

    /// Writes one line: type and time first, then the fields.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn line(&mut self, kind: &str, fields: &impl Serialize) -> io::Result<()> {
        debug_assert!(TYPES.contains(&kind), "BUG: `{kind}` is not in TYPES and docs/formats.md");
        self.begin()?;
        self.write(kind, fields)
    }

    /// Writes a line in one piece, so that a concurrent reader never sees half of a line.
    fn write(&mut self, kind: &str, fields: &impl Serialize) -> io::Result<()> {
        #[derive(Serialize)]
        struct EventLine<'a, T> {
            r#type: &'a str,
            time: String,
            #[serde(flatten)]
            fields: &'a T,
        }
        let time = format!("{:.3}", (self.clock)());
        let line = serde_json::to_string(&EventLine { r#type: kind, time, fields })?;
        self.out.write_all(format!("{}\n", for_json(&line)).as_bytes())?;
        self.out.flush()
    }
}

/// Returns the longest path through the steps of a plan: typical seconds and addresses.
pub(super) fn critical_path(view: &PlanView<'_>) -> Option<Value> {
    view.critical_path(
        |critical| json!({"seconds": critical.duration.as_secs(), "addresses": critical.path}),
    )
}

/// Returns true if the change is an action or has ignored differences.
pub(super) fn is_told(change: &Change) -> bool {
    change.action != Action::Keep || !change.left.is_empty()
}

pub(super) fn drift_for_programs(one: &ShownDrift<'_>) -> Value {
    let mut fields = json!({"address": one.change.address, "class": one.class});
    match one.field {
        Some(field) => fields["field"] = field_for_programs(field),
        None => fields["deleted"] = true.into(),
    }
    if one.unmanaged {
        fields["unmanaged"] = true.into();
    }
    fields
}

/// Returns a change with the summary of its resource after the plan.
pub(super) fn planned_for_programs(
    change: &Change,
    describe: Describe,
    values: &ValuesAfter<'_>,
) -> Value {
    let mut fields = change_for_programs(change);
    let around = Surroundings { address: &change.address, values };
    let summary = change.after.as_ref().map(|after| (describe.summary)(after, &around));
    let Summary { facts, sentences } = summary.unwrap_or_default();
    let texts: Vec<String> = facts.into_iter().chain(sentences).collect();
    if !texts.is_empty() {
        fields["summary"] = texts.into();
    }
    let kind = change.address.kind();
    let volumes = change.after.as_ref().and_then(|after| (describe.volumes)(kind, after));
    if let Some(volumes) = volumes {
        fields["volumes"] = json!(volumes);
    }
    fields
}

fn change_for_programs(change: &Change) -> Value {
    let mut fields = json!({
        "address": change.address,
        "kind": change.address.kind(),
        "action": change.action,
        "reason": change.reason,
        "message": reason(&change.reason),
    });
    if let Some(id) = &change.id {
        fields["id"] = id.as_str().into();
    }
    if let Some(before) = &change.before {
        fields["before"] = marked(before);
    }
    if let Some(after) = &change.after {
        fields["after"] = marked(after);
    }
    if !change.fields.is_empty() {
        fields["fields"] = change.fields.iter().map(field_for_programs).collect();
    }
    if change.protected {
        fields["protected"] = true.into();
    }
    if !change.left.is_empty() {
        let left = change.left.iter().map(|left| {
            let mut field = field_for_programs(&left.field);
            field["because"] = json!(left.because);
            field
        });
        fields["left"] = left.collect();
    }
    fields
}

/// Returns inputs before or after a plan as nested objects and lists. A reference is an object with its target
/// and, if it is known, its value. A secret is an object without the digest.
pub(super) fn marked(after: &Value) -> Value {
    match after {
        Value::Object(fields) => match as_ref(after) {
            Some(reference) => {
                let mut target = json!({"reference": for_reference(&reference)});
                if let Some(value) = known_value(after) {
                    target["value"] = marked(value);
                }
                target
            }
            None if is_secret(after) => json!({"sensitive": true}),
            None => fields.iter().map(|(key, value)| (key.clone(), marked(value))).collect(),
        },
        Value::Array(items) => items.iter().map(marked).collect(),
        plain => plain.clone(),
    }
}

fn for_reference(reference: &Ref) -> Value {
    json!({"address": reference.address, "output": reference.output})
}

/// Returns a field, with unknown and secret values named instead of shown.
pub(super) fn field_for_programs(field: &FieldChange) -> Value {
    let mut fields = json!({"path": field.path});
    if let Some(item) = &field.item {
        fields["item"] = item.as_str().into();
    }
    for (name, value) in [("before", &field.before), ("after", &field.after)] {
        match value {
            None => (),
            Some(value) if is_sensitive(value) => fields[format!("{name}_sensitive")] = true.into(),
            Some(value) if is_unknown(value) => {
                fields[format!("{name}_unknown")] = true.into();
                if let Some(reference) = as_ref(value) {
                    fields[format!("{name}_reference")] = for_reference(&reference);
                }
            }
            Some(value) => fields[name] = value.clone(),
        }
    }
    if field.replaces {
        fields["replaces"] = true.into();
    }
    fields
}

#[cfg(test)]
mod tests {
    use groundplan_engine::event::{Operation, ReportedError, StepAction, StepName, Summary};
    use groundplan_engine::plan::{DriftClass, Op, Plan, Reason, Step};

    use super::*;

    fn noon() -> Timestamp {
        "2026-01-02T12:00:00.123456Z".parse().unwrap()
    }

    fn said(say: impl FnOnce(&mut JsonLines<&mut Vec<u8>>)) -> Vec<String> {
        let mut written = Vec::new();
        say(&mut JsonLines::new(&mut written, noon));
        String::from_utf8(written).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_version_is_said_first() {
        assert_eq!(said(|_| ()), [""; 0]);
        let lines = said(|out| out.line("valid", &json!({})).unwrap());
        assert_eq!(
            lines[..1],
            [format!(
                r#"{{"type":"version","time":"2026-01-02T12:00:00.123Z","program":"groundplan {}","version":"1.1"}}"#,
                env!("CARGO_PKG_VERSION")
            )]
        );
    }

    /// Returns one event of each variant.
    fn events() -> Vec<Event> {
        let step =
            StepName { address: "vpc.main".into(), generation: 3, action: StepAction::Create };
        let error = ReportedError {
            call: "CreateVpc".into(),
            code: None,
            message: "no".into(),
            request_id: None,
            hint: None,
            ..ReportedError::default()
        };
        let operation = Operation::Apply;
        let of = |step: &StepName| step.clone();
        let events = vec![
            Event::Started { operation, steps: 1, critical_path_seconds: 1 },
            Event::StepStarted { step: of(&step) },
            Event::StepRetrying { step: of(&step), error: error.clone(), after_ms: 1 },
            Event::StepWaiting { step: of(&step), word: "pending".into(), elapsed_ms: 1 },
            Event::StepFinished { step: of(&step), id: None, elapsed_ms: 1 },
            Event::StepFailed { step: of(&step), error, elapsed_ms: 1 },
            Event::StepSkipped { step: of(&step), because: "vpc.main".into() },
            Event::StepAbandoned { step },
            Event::Stopping { in_flight: 1, within_seconds: 1 },
            Event::Warning { message: "mind the gap".into() },
            Event::Finished { operation, summary: Summary::default() },
        ];
        for event in &events {
            match event {
                // A new variant belongs into the list above and into this match.
                Event::Started { .. }
                | Event::StepStarted { .. }
                | Event::StepRetrying { .. }
                | Event::StepWaiting { .. }
                | Event::StepFinished { .. }
                | Event::StepFailed { .. }
                | Event::StepSkipped { .. }
                | Event::StepAbandoned { .. }
                | Event::Stopping { .. }
                | Event::Warning { .. }
                | Event::Finished { .. } => {}
            }
        }
        events
    }

    #[test]
    fn every_type_and_every_field_of_an_event_is_documented() {
        let page = include_str!("../../docs/formats.md");
        let row = |kind: &str| {
            let begins = format!("| `{kind}` |");
            let row = page.lines().find(|line| line.starts_with(&begins));
            row.unwrap_or_else(|| panic!("docs/formats.md has no row for `{kind}`"))
        };
        for kind in TYPES {
            assert!(row(kind).split(" | ").count() >= 3, "{kind}");
        }
        assert!(page.contains(&format!("is {EVENTS_VERSION}")));
        let lines = said(|out| events().iter().try_for_each(|event| out.event(event)).unwrap());
        for line in &lines[1..] {
            let line: Value = serde_json::from_str(line).unwrap();
            let kind = line["type"].as_str().unwrap();
            let mut explained = row(kind).to_owned() + "`type` and `time`";
            if explained.contains("as `step_started`") {
                explained += row("step_started");
            }
            for key in line.as_object().unwrap().keys() {
                assert!(explained.contains(&format!("`{key}`")), "no word on `{key}` of {kind}");
            }
        }
    }

    #[test]
    fn an_event_about_a_step_has_its_address_at_the_top() {
        let step =
            StepName { address: "vpc.main".into(), generation: 3, action: StepAction::Create };
        let finished = Event::Finished { operation: Operation::Apply, summary: Summary::default() };
        let lines = said(|out| {
            out.event(&Event::StepStarted { step }).unwrap();
            out.event(&finished).unwrap();
        });
        assert_eq!(
            lines[1..],
            [
                r#"{"type":"step_started","time":"2026-01-02T12:00:00.123Z","action":"create","address":"vpc.main","generation":3}"#,
                r#"{"type":"finished","time":"2026-01-02T12:00:00.123Z","operation":"apply","summary":{"abandoned":0,"added":0,"changed":0,"destroyed":0,"failed":0,"skipped":0}}"#,
            ]
        );
    }

    #[test]
    fn the_values_before_a_deletion_are_shown_without_secrets() {
        let change = Change {
            before: Some(json!({"type": "gp3", "content": {"$secret": "sha256:aa"}})),
            ..crate::render::plan::tests::change(
                "instance.a",
                Action::Delete,
                Reason::NotInConfiguration,
            )
        };
        let fields = change_for_programs(&change);
        assert_eq!(fields["before"], json!({"type": "gp3", "content": {"sensitive": true}}));
        assert_eq!(fields.get("after"), None);
    }

    #[test]
    fn a_plan_names_what_is_unknown_and_what_is_secret_and_shows_neither() {
        let field = |path: &str, after: Value| FieldChange {
            path: path.into(),
            item: None,
            before: None,
            after: Some(after),
            replaces: false,
        };
        let change = Change {
            address: "instance.master-0".into(),
            action: Action::Create,
            reason: Reason::New,
            id: None,
            fields: vec![
                field("image", json!("ami-1")),
                field("network", json!({"$ref": "network_interface.m", "output": "id"})),
                field("user_data.content", json!({"$secret": "sha256:aa"})),
            ],
            drift: vec![],
            unmanaged: vec![],
            left: vec![],
            before: None,
            after: None,
            protected: false,
        };
        let kept = Change {
            action: Action::Keep,
            reason: Reason::UpToDate,
            fields: vec![],
            after: Some(json!({
                "zones": ["a"],
                "subnet": {"$ref": "subnet.a", "output": "id", "value": "subnet-1"},
                "group": {"$ref": "security_group.m", "output": "id"},
                "content": {"$secret": "sha256:aa"},
            })),
            ..change.clone()
        };
        let step = Op::Delete { address: change.address.clone(), generation: 1, unseen: false };
        let plan = Plan {
            operation: Operation::Apply,
            lineage: "l".into(),
            serial: 0,
            cluster: None,
            generation: 1,
            selection: None,
            changes: vec![change, kept],
            steps: vec![Step { op: step, after: vec![] }],
            dependency_updates: vec![],
        };
        let warnings = ["mind the gap".to_owned()];
        let classify = |_: &str, _: &str| DriftClass::Functional;
        let describe = crate::render::plan::tests::DESCRIBE;
        let view = PlanView {
            plan: &plan,
            full: false,
            warnings: &warnings,
            classify,
            describe,
            width: None,
            identity: None,
            notes: &[],
            prices: None,
        };
        let lines = said(|out| out.plan(&view).unwrap());
        let parsed: Vec<Value> =
            lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        let types: Vec<_> = parsed.iter().map(|line| line["type"].as_str().unwrap()).collect();
        assert_eq!(
            types,
            ["version", "diagnostic", "planned_change", "unchanged", "change_summary"]
        );
        assert_eq!(
            parsed[3]["after"],
            json!({
                "zones": ["a"],
                "subnet": {
                    "reference": {"address": "subnet.a", "output": "id"}, "value": "subnet-1",
                },
                "group": {"reference": {"address": "security_group.m", "output": "id"}},
                "content": {"sensitive": true},
            })
        );
        assert_eq!(
            parsed[2]["fields"],
            json!([
                {"path": "image", "after": "ami-1"},
                {"path": "network", "after_unknown": true,
                 "after_reference": {"address": "network_interface.m", "output": "id"}},
                {"path": "user_data.content", "after_sensitive": true},
            ])
        );
        assert_eq!((&parsed[4]["add"], &parsed[4]["change"]), (&json!(1), &json!(0)));
        assert_eq!(
            parsed[4]["by_kind"],
            json!({"instance": {"add": 1, "change": 0, "destroy": 0}})
        );
        assert!(!lines.concat().contains("sha256"));
    }
}
