//! Checks of the resources that a plan deletes, before the first change: AWS may protect them, and
//! others may have attached something to them.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::Aws;
use groundplan_aws::adopt::known;
use groundplan_aws::before_deletion::{DENIED, Protections, attachments, protections};
use groundplan_aws::kinds::swept::UntrackedResource;
use groundplan_aws::model::attachment::Attachment;
use groundplan_aws::model::protection::DeletionProtection;
use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::plan::decide::id;
use groundplan_engine::plan::{Op, Plan};
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::State;
use serde_json::Value;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// Returns an error if AWS protects a resource that the plan deletes or replaces, or if the
/// credentials do not allow the search. Makes no calls if the plan deletes nothing that AWS can
/// protect.
pub(crate) async fn ensure_unprotected(aws: &Aws, state: &State, plan: &Plan) -> Result<()> {
    let doomed = doomed(state, plan);
    let Protections { found, unknown } = retry_reads(|| protections(aws, &doomed))
        .await
        .map_err(|error| CommandError::call("check for deletion protection", &error))?;
    let mut diagnostics = Vec::new();
    if !found.is_empty() {
        diagnostics.push(protected(&found, &doomed));
    }
    if !unknown.is_empty() {
        diagnostics.push(not_readable(&unknown, &doomed));
    }
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(CommandError { exit: Exit::Refused, diagnostics }),
    }
}

/// Returns a line for each attachment of others that the plan ends. Attachments with a record, and
/// inline policies of untracked roles, are left out. If the credentials do not allow the search, the
/// line says that.
pub(crate) async fn ended_attachments(
    aws: &Aws,
    state: &State,
    plan: &Plan,
) -> Result<Vec<String>> {
    let doomed = doomed(state, plan);
    let found = match retry_reads(|| attachments(aws, &doomed)).await {
        Ok(found) => found,
        Err(error) if error.is(DENIED) => {
            let action = &error.call;
            return Ok(vec![format!(
                "the credentials do not allow {action}: what others attached to the deleted roles \
                 is not known"
            )]);
        }
        Err(error) => return Err(CommandError::call("list what is attached to roles", &error)),
    };
    let known = known(state);
    let of_others = found.iter().filter(|(address, attachment)| {
        let is_part = address.kind() == UntrackedResource::SCHEMA.kind
            && matches!(attachment, Attachment::InlinePolicy(_));
        !is_part && !known.contains(attachment.id())
    });
    Ok(of_others.map(|(address, one)| format!("{address}: {}", one.end())).collect())
}

/// Returns the recorded outputs of the resources that the plan deletes. Resources whose creation is
/// in doubt have none and are left out.
fn doomed(state: &State, plan: &Plan) -> BTreeMap<Address, Value> {
    let deletions = plan.steps.iter().filter_map(|step| match &step.op {
        Op::Delete { address, generation, .. } => Some((address, *generation)),
        _ => None,
    });
    let outputs = deletions.filter_map(|(address, generation)| {
        let outputs = &state.record_of(address, generation)?.outputs;
        (!outputs.is_null()).then(|| (address.clone(), outputs.clone()))
    });
    outputs.collect()
}

/// Returns the error for resources whose protection the credentials may not read: a protection that
/// is not known is not taken for absent.
fn not_readable(
    unknown: &[(Address, &'static str)],
    doomed: &BTreeMap<Address, Value>,
) -> Diagnostic {
    let actions: BTreeSet<&str> = unknown.iter().map(|(_, action)| *action).collect();
    let actions = actions.into_iter().collect::<Vec<_>>().join(" and ");
    let mut diagnostic = Diagnostic::error(
        Code::ProtectionUnknown,
        format!(
            "{actions} is not allowed, so the protection of resources that the plan deletes or replaces \
         is not known"
        ),
    );
    for (address, action) in unknown {
        let id = doomed.get(address).and_then(id).unwrap_or_default();
        diagnostic.detail.push(format!("{address} ({id}): needs {action}"));
    }
    diagnostic
        .with_hint(format!("allow {actions}, or leave the resource out with `--exclude ADDRESS`"))
}

fn protected(
    found: &[(Address, DeletionProtection)],
    doomed: &BTreeMap<Address, Value>,
) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(
        Code::DeletionProtected,
        "AWS protects resources that the plan deletes or replaces",
    );
    let mut hint = String::from(
        "lift the protection with the command of each resource, or leave the resource out with \
         `--exclude ADDRESS`",
    );
    for (address, protection) in found {
        let id = doomed.get(address).and_then(id).unwrap_or_default();
        diagnostic.detail.push(format!("{address} ({id}): {}", protection.setting));
        hint.push('\n');
        hint.push_str(&protection.lifted_by);
    }
    diagnostic.with_hint(hint)
}

#[cfg(test)]
mod tests {
    use groundplan_engine::plan::{LiveState, PlanOptions, plan_destroy};
    use groundplan_engine::state::{Entry, RecordStatus};
    use serde_json::json;

    use super::*;

    fn recorded(names: &[&str]) -> State {
        let mut state = State::new("l".into());
        for name in names {
            let address = Address::from(*name);
            let (generation, inputs, after) = (1, json!({}), Vec::new());
            let started =
                Entry::CreateStarted { address: address.clone(), generation, inputs, after };
            state.record(&started).unwrap();
            let (outputs, status) = (json!({"id": format!("id-{name}")}), RecordStatus::Ready);
            state.record(&Entry::Created { address, outputs, status }).unwrap();
        }
        state
    }

    #[test]
    fn a_creation_in_doubt_has_nothing_to_protect() {
        let mut state = recorded(&["instance.a"]);
        let in_doubt = Entry::CreateStarted {
            address: "instance.c".into(),
            generation: 1,
            inputs: json!({}),
            after: Vec::new(),
        };
        state.record(&in_doubt).unwrap();
        let (live, options) = (LiveState::new(), PlanOptions::default());
        let plan = plan_destroy(&state, &live, &groundplan_aws::schemas(), &options);
        let expected = [(Address::from("instance.a"), json!({"id": "id-instance.a"}))];
        assert_eq!(doomed(&state, &plan), expected.into());
    }

    #[test]
    fn a_refusal_names_each_resource_its_protection_and_the_command_that_lifts_it() {
        let state = recorded(&["instance.a"]);
        let live = LiveState::new();
        let plan = plan_destroy(&state, &live, &groundplan_aws::schemas(), &PlanOptions::default());
        let found = [(Address::from("instance.a"), DeletionProtection::of_instance("i-1"))];
        let diagnostic = protected(&found, &doomed(&state, &plan));
        assert_eq!(
            diagnostic.detail,
            ["instance.a (id-instance.a): termination protection (disableApiTermination)"]
        );
        let hint = diagnostic.hint.as_deref().unwrap_or_default();
        assert!(hint.contains("--no-disable-api-termination --instance-id i-1"), "{hint}");
        assert!(hint.contains("--exclude"), "{hint}");
    }
}
