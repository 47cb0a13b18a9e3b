//! Recorded state and plan for programs: one JSON document each, with the same structure.
//!
//! Keys are stable. A minor version adds keys; a change of an existing key requires a new major
//! version. No document contains a secret or its digest. `docs/formats.md` explains every key, and
//! a test keeps that page complete.

use std::collections::BTreeMap;

use groundplan_engine::graph::{Address, Schema, as_ref};
use groundplan_engine::plan::decide::id;
use groundplan_engine::plan::diff::diff;
use groundplan_engine::plan::values::{ValuesAfter, known_value};
use groundplan_engine::plan::{Action, Change, FieldChange, Step};
use groundplan_engine::provider::Schemas;
use groundplan_engine::state::{Record, State};
use serde_json::{Value, json};

use super::PlanView;
use super::json::{critical_path, drift_for_programs, field_for_programs, planned_for_programs};
use super::plan::{billed_for_programs, counts_by_kind, drift, estimate_for_programs};
use super::state::rows;
use crate::installation::outputs::OutputValue;

/// Version of the documents' format, the first key of each document.
pub const DOCUMENTS_VERSION: &str = "1.1";

/// Returns the whole recorded state of a cluster.
pub fn state(state: &State, schemas: &dyn Schemas) -> Value {
    let resources =
        rows(state).map(|(address, record, old)| resource(address, record, old, schemas));
    json!({
        "format_version": DOCUMENTS_VERSION,
        "document": "state",
        "lineage": state.lineage,
        "serial": state.serial,
        "generation": state.generation,
        "cluster": state.cluster,
        "facts": state.lookup_cache,
        "protected": state.protected,
        "resources": resources.collect::<Vec<_>>(),
    })
}

/// Returns all records of one address: the current object and the deposed ones.
pub fn lives(state: &State, address: &Address, schemas: &dyn Schemas) -> Value {
    let lives = rows(state).filter(|(known, ..)| *known == address);
    let lives = lives.map(|(address, record, old)| resource(address, record, old, schemas));
    json!({
        "format_version": DOCUMENTS_VERSION,
        "document": "resource",
        "lineage": state.lineage,
        "serial": state.serial,
        "resources": lives.collect::<Vec<_>>(),
    })
}

/// Returns a plan: all resources with their values after it, reasons and the order of the steps.
pub fn plan(view: &PlanView<'_>, schemas: &dyn Schemas) -> Value {
    let plan = view.plan;
    let counts = plan.counts();
    let bill = view.bill();
    let values = ValuesAfter::of(plan);
    let changes = plan.changes.iter().map(|change| {
        planned(change, planned_for_programs(change, view.describe, &values), schemas)
    });
    json!({
        "format_version": DOCUMENTS_VERSION,
        "document": "plan",
        "lineage": plan.lineage,
        "serial": plan.serial,
        "generation": plan.generation,
        "cluster": plan.cluster,
        "operation": plan.operation,
        "summary": {
            "add": counts.add,
            "change": counts.change,
            "destroy": counts.destroy,
            "by_kind": counts_by_kind(plan),
        },
        "warnings": view.warnings,
        "danger": view.danger(),
        "critical_path": critical_path(view),
        "billed": billed_for_programs(&bill),
        "estimate": view.prices.map(|prices| estimate_for_programs(prices, &bill)),
        "selection": plan.selection,
        "drift": drift(plan, view.classify).iter().map(drift_for_programs).collect::<Vec<_>>(),
        "resources": changes.collect::<Vec<_>>(),
        "steps": plan.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

/// Returns one resource of a plan. Its fields are the changed ones, then the unchanged ones.
fn planned(change: &Change, mut resource: Value, schemas: &dyn Schemas) -> Value {
    let unchanged = unchanged(change, schemas);
    if !unchanged.is_empty() {
        let fields = resource["fields"].as_array().cloned().unwrap_or_default();
        resource["fields"] = fields.into_iter().chain(unchanged).collect();
    }
    resource
}

/// Returns the fields that an existing resource has before and after the plan.
fn unchanged(change: &Change, schemas: &dyn Schemas) -> Vec<Value> {
    let is_kept = matches!(change.action, Action::Keep | Action::Update | Action::Finish);
    let Some(after) = change.after.as_ref().filter(|_| is_kept && change.id.is_some()) else {
        return Vec::new();
    };
    let schema = schemas.schema(change.address.kind());
    let rules = schema.map(Schema::comparison_rules).unwrap_or_default();
    let is_part = |one: &str, of: &str| one.strip_prefix(of).is_some_and(is_end);
    let is_changed = |path: &str| {
        let changed = change.fields.iter().map(|field| field.path.as_str());
        changed.into_iter().any(|other| is_part(path, other) || is_part(other, path))
    };
    let all = diff(rules, None, Some(&with_known_values(after))).into_iter();
    let unchanged = all.filter(|field| !is_changed(&field.path)).map(|field| {
        let field = FieldChange { before: field.after.clone(), ..field };
        let mut field = field_for_programs(&field);
        field["unchanged"] = true.into();
        field
    });
    unchanged.collect()
}

/// Returns true at the end of a path's step.
fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['.', '['])
}

/// Returns inputs with the value of each reference that is known.
fn with_known_values(after: &Value) -> Value {
    match after {
        Value::Object(_) if known_value(after).is_some() => {
            known_value(after).cloned().unwrap_or_default()
        }
        Value::Object(fields) if as_ref(after).is_none() => {
            fields.iter().map(|(key, value)| (key.clone(), with_known_values(value))).collect()
        }
        Value::Array(items) => items.iter().map(with_known_values).collect(),
        plain => plain.clone(),
    }
}

/// Returns the outputs of a cluster by name. An absent text is null.
pub fn outputs(outputs: &BTreeMap<&'static str, OutputValue>) -> Value {
    json!({"format_version": DOCUMENTS_VERSION, "document": "outputs", "outputs": outputs})
}

/// Returns the command that gathers the logs of a bootstrap, with its addresses.
pub fn gather(command: &str, bootstrap: &str, masters: &[&str]) -> Value {
    json!({
        "format_version": DOCUMENTS_VERSION,
        "document": "gather",
        "command": command,
        "bootstrap": bootstrap,
        "masters": masters,
    })
}

/// Returns one record. Its fields have only `before`: the value that a plan would change.
fn resource(address: &Address, record: &Record, superseded: bool, schemas: &dyn Schemas) -> Value {
    let schema = schemas.schema(address.kind());
    let rules = schema.map(Schema::comparison_rules).unwrap_or_default();
    let inputs = diff(rules, None, Some(&record.inputs)).into_iter();
    let fields = inputs.map(|field| FieldChange { before: field.after, after: None, ..field });
    json!({
        "address": address,
        "kind": address.kind(),
        "id": id(&record.outputs),
        "generation": record.generation,
        "status": record.status,
        "superseded": superseded,
        "needs": record.after,
        "fields": fields.map(|field| field_for_programs(&field)).collect::<Vec<_>>(),
        "outputs": record.outputs,
    })
}

fn step(step: &Step) -> Value {
    let mut fields = json!(step.op.name());
    fields["after"] = json!(step.after);
    fields
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use groundplan_engine::event::Operation;
    use groundplan_engine::graph::Schema;
    use groundplan_engine::plan::{DriftClass, Op, Plan, Reason, UnmanagedDrift};
    use groundplan_engine::state::{Cluster, Entry, RecordStatus};

    use super::*;

    /// A cloud whose kinds have no sets.
    struct Kinds;

    impl Schemas for Kinds {
        fn schema(&self, _kind: &str) -> Option<&'static Schema> {
            None
        }
    }

    fn recorded() -> State {
        let mut state = State::new("l".into());
        let (address, generation) = (Address::from("instance.master-0"), 1);
        let inputs = json!({"image": "ami-1", "user_data": {"content": {"$secret": "sha256:aa"}}});
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: "demo-x7k2p".into(),
            cluster_id: "b0a4".into(),
            region: "us-west-2".into(),
        };
        let after = vec!["subnet.a".into()];
        for entry in [
            Entry::ClusterIdentified { cluster },
            Entry::CreateStarted { address: address.clone(), generation, inputs, after },
            Entry::Created { address, outputs: json!({"id": "i-1"}), status: RecordStatus::Ready },
        ] {
            state.record(&entry).unwrap();
        }
        state
    }

    fn planned() -> Value {
        let address = Address::from("instance.master-0");
        let change = Change {
            address: address.clone(),
            action: Action::Delete,
            reason: Reason::NotInConfiguration,
            id: Some("i-1".into()),
            fields: vec![],
            drift: vec![FieldChange {
                path: "monitoring".into(),
                item: None,
                before: Some(json!(false)),
                after: Some(json!(true)),
                replaces: false,
            }],
            unmanaged: vec![UnmanagedDrift::change(
                DriftClass::Functional,
                "state",
                json!("running"),
                json!("stopped"),
            )],
            left: vec![],
            before: None,
            after: None,
            protected: false,
        };
        let op = Op::Delete { address, generation: 1, unseen: false };
        let plan = Plan {
            operation: Operation::Apply,
            lineage: "l".into(),
            serial: 3,
            cluster: None,
            generation: 2,
            selection: None,
            changes: vec![change],
            steps: vec![Step { op, after: vec![] }],
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
        super::plan(&view, &Kinds)
    }

    #[test]
    fn a_state_is_its_resources_and_what_is_secret_is_named_and_not_shown() {
        let document = state(&recorded(), &Kinds);
        assert_eq!(document["format_version"], "1.1");
        assert_eq!(
            document["resources"],
            json!([{
                "address": "instance.master-0", "kind": "instance", "id": "i-1", "generation": 1,
                "status": "ready", "superseded": false, "needs": ["subnet.a"],
                "fields": [
                    {"path": "image", "before": "ami-1"},
                    {"path": "user_data.content", "before_sensitive": true},
                ],
                "outputs": {"id": "i-1"},
            }])
        );
        let one = lives(&recorded(), &"instance.master-0".into(), &Kinds);
        assert_eq!(one["resources"], document["resources"]);
        assert!(!document.to_string().contains("sha256"));
    }

    #[test]
    fn a_plan_says_what_is_done_to_the_same_resources_and_in_which_order() {
        let document = planned();
        assert_eq!(document["summary"]["destroy"], 1);
        let resource = &document["resources"][0];
        assert_eq!((&resource["action"], &resource["id"]), (&json!("delete"), &json!("i-1")));
        assert_eq!(document["drift"][0]["class"], "functional");
        let step = json!({"address": "instance.master-0", "generation": 1, "action": "delete", "after": []});
        assert_eq!(document["steps"], json!([step]));
        assert_eq!(document["warnings"], json!(["mind the gap"]));
    }

    #[test]
    fn a_plan_has_what_stays_and_the_unchanged_fields_of_what_changes() {
        let field = |path: &str| FieldChange {
            path: path.into(),
            item: None,
            before: Some(json!("a")),
            after: Some(json!("b")),
            replaces: false,
        };
        let change = Change {
            address: "instance.master-0".into(),
            action: Action::Update,
            reason: Reason::Changed,
            id: Some("i-1".into()),
            fields: vec![field("tags.team")],
            drift: vec![],
            unmanaged: vec![],
            left: vec![],
            before: None,
            after: Some(json!({
                "subnet": {"$ref": "subnet.a", "output": "id", "value": "subnet-1"},
                "metadata_options": {"http_tokens": "required"},
                "tags": {"team": "b", "team2": "c"},
            })),
            protected: false,
        };
        let unchanged = |change: &Change| unchanged(change, &Kinds);
        assert_eq!(
            unchanged(&change),
            [
                json!({"path": "metadata_options.http_tokens", "before": "required",
                       "after": "required", "unchanged": true}),
                json!({"path": "subnet", "before": "subnet-1", "after": "subnet-1",
                       "unchanged": true}),
                json!({"path": "tags.team2", "before": "c", "after": "c", "unchanged": true}),
            ]
        );
        let created = Change { action: Action::Create, id: None, ..change };
        assert_eq!(unchanged(&created), [Value::Null; 0]);
    }

    #[test]
    fn every_key_of_a_document_is_documented() {
        let page = include_str!("../../docs/formats.md");
        let (_, page) = page.split_once("\n## Documents").expect("a section on documents");
        let mut keys = BTreeSet::new();
        for document in
            [state(&recorded(), &Kinds), lives(&recorded(), &"instance.master-0".into(), &Kinds)]
        {
            collect(&document, &mut keys);
        }
        collect(&planned(), &mut keys);
        collect(&outputs(&BTreeMap::new()), &mut keys);
        collect(&gather("openshift-install", "10.0.0.1", &[]), &mut keys);
        assert!(keys.len() > 25, "{keys:?}");
        for key in keys {
            assert!(page.contains(&format!("`{key}`")), "docs/formats.md does not explain `{key}`");
        }
        assert!(page.contains(&format!("is {DOCUMENTS_VERSION}")));
    }

    /// Collects the documented keys: all except those inside outputs, lookup results and kind
    /// counts.
    fn collect(value: &Value, keys: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    keys.insert(key.clone());
                    if !["outputs", "facts", "by_kind", "before", "after"].contains(&&**key) {
                        collect(value, keys);
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
            _ => {}
        }
    }
}
