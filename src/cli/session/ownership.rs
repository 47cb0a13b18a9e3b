//! Ownership of the objects that a plan deletes or changes: a damaged or forged state can name
//! objects of others. Makes no calls.

use std::collections::BTreeMap;

use groundplan_aws::kinds::swept::UntrackedResource;
use groundplan_aws::{Aws, Tags};
use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::plan::decide::id;
use groundplan_engine::plan::{Op, Plan};
use groundplan_engine::state::{Record, RecordStatus, State};

use crate::cli::args::GuardArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::Diagnostic;

/// Returns an error if the plan deletes or changes an object that carries neither the tag of this
/// cluster nor the token of its record, unless the user forces the change of its address.
pub(crate) fn ensure_owned(
    aws: &Aws,
    state: &State,
    plan: &Plan,
    guards: &GuardArgs,
) -> Result<()> {
    let is_forced =
        |address: &Address| guards.force_foreign.iter().any(|one| one == address.as_str());
    let foreign = foreign(state, plan, &|token| aws.unowned(token));
    let foreign: Vec<_> = foreign.into_iter().filter(|one| !is_forced(one.owner)).collect();
    match foreign.is_empty() {
        true => Ok(()),
        false => Err(refusal(&foreign, &aws.settings().cluster_tag)),
    }
}

/// A change of an object without proof of ownership.
#[derive(Debug)]
struct Foreign<'a> {
    /// Address that the plan deletes or changes.
    address: &'a Address,
    /// Address whose object lacks the proof: `address` itself, or the resource that it is a part of.
    owner: &'a Address,
    /// ID of the object that lacks the proof.
    id: String,
    /// Tags of that object.
    tags: Tags,
}

/// Returns the changes of objects without proof of ownership, by address. `unowned` returns the tags
/// of an object without proof, by the token of its record.
///
/// Parts and settings of a resource have no tags; the resource is judged in their place. Untracked
/// resources were found by their tag or stand in a network of the cluster. An unfinished creation
/// may lack its tags.
fn foreign<'a>(
    state: &'a State,
    plan: &'a Plan,
    unowned: &dyn Fn(&str) -> Option<Tags>,
) -> Vec<Foreign<'a>> {
    let proofless = |address: &'a Address, record: &Record| -> Option<(String, Tags)> {
        let tags = unowned(&state.token(address, record.generation))?;
        let is_unfinished = matches!(record.status, RecordStatus::Creating | RecordStatus::Created);
        let id = id(&record.outputs).unwrap_or_default();
        (!(is_unfinished && tags.is_empty())).then_some((id, tags))
    };
    let mut found = BTreeMap::new();
    for step in &plan.steps {
        let (Op::Delete { address, generation, .. }
        | Op::Update { address, generation, .. }
        | Op::Finish { address, generation }) = &step.op
        else {
            continue;
        };
        let Some(record) = state.record_of(address, *generation) else { continue };
        if address.kind() == UntrackedResource::SCHEMA.kind {
            continue;
        }
        let has_tags = record.inputs.get("tags").is_some();
        let judged = match has_tags {
            true => proofless(address, record).map(|proof| (address, proof)),
            false => record.after.iter().find_map(|owner| {
                let (owner, of_owner) = state.resources.get_key_value(owner)?;
                Some((owner, proofless(owner, of_owner)?))
            }),
        };
        if let Some((owner, (id, tags))) = judged {
            found.entry(address).or_insert(Foreign { address, owner, id, tags });
        }
    }
    found.into_values().collect()
}

fn refusal(foreign: &[Foreign<'_>], cluster_tag: &str) -> CommandError {
    let mut diagnostic = Diagnostic::error(
        "the plan deletes or changes objects that do not carry the tag of this cluster",
    );
    diagnostic.detail.push(format!("expected the tag {cluster_tag}, or the creation token"));
    for one in foreign {
        let Foreign { address, owner, id, tags } = one;
        let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let tags = if tags.is_empty() { "no tags".to_owned() } else { tags.join(", ") };
        let what = match owner == address {
            true => format!("{address} ({id})"),
            false => format!("{address}, a part of {owner} ({id})"),
        };
        diagnostic.detail.push(format!("{what}: found {tags}"));
    }
    let owner = foreign.first().map_or("ADDRESS", |one| one.owner.as_str());
    CommandError::new(
        Exit::Refused,
        diagnostic.with_hint(format!(
            "check that the state is the one of this cluster, and remove a wrong record with \
             `groundplan state rm {owner}`; if the object is the cluster's and has only lost its tags, \
             pass `--force-foreign {owner}`"
        )),
    )
}

#[cfg(test)]
mod tests {
    use groundplan_engine::plan::{LiveState, PlanOptions, plan_destroy};
    use groundplan_engine::state::Entry;
    use serde_json::json;

    use super::*;

    /// Returns a state with a role, its policy, and a zone, with this status of the zone.
    fn recorded(zone: RecordStatus) -> State {
        let mut state = State::new("l".into());
        let ready = RecordStatus::Ready;
        for (name, inputs, after, status) in [
            ("iam_role.master", json!({"tags": {}}), vec![], ready),
            ("iam_role_policy.master", json!({}), vec!["iam_role.master".into()], ready),
            ("hosted_zone.private", json!({"tags": {}}), vec![], zone),
        ] {
            let (address, generation) = (Address::from(name), 1);
            let started =
                Entry::CreateStarted { address: address.clone(), generation, inputs, after };
            state.record(&started).unwrap();
            let outputs = json!({"id": format!("id-{name}")});
            state.record(&Entry::Created { address, outputs, status }).unwrap();
        }
        state
    }

    fn found(state: &State, without: &[(&str, Tags)]) -> Vec<String> {
        let options = PlanOptions::default();
        let plan = plan_destroy(state, &LiveState::new(), &groundplan_aws::schemas(), &options);
        let tokens: BTreeMap<String, Tags> = without
            .iter()
            .map(|(address, tags)| (state.token(&Address::from(*address), 1), tags.clone()))
            .collect();
        let foreign = foreign(state, &plan, &|token| tokens.get(token).cloned());
        foreign.iter().map(|one| format!("{} by {}", one.address, one.owner)).collect()
    }

    #[test]
    fn what_carries_no_tags_is_judged_by_what_it_is_a_part_of() {
        let state = recorded(RecordStatus::Ready);
        let theirs = Tags::from([("Name".to_owned(), "prod".to_owned())]);
        assert_eq!(found(&state, &[]), Vec::<String>::new());
        assert_eq!(
            found(&state, &[("iam_role.master", theirs)]),
            ["iam_role.master by iam_role.master", "iam_role_policy.master by iam_role.master"]
        );
    }

    #[test]
    fn an_unfinished_creation_may_lack_its_tags_and_has_no_others() {
        let nothing = Tags::new();
        let theirs = Tags::from([("Name".to_owned(), "prod".to_owned())]);
        let unfinished = recorded(RecordStatus::Created);
        let zone = "hosted_zone.private";
        assert_eq!(found(&unfinished, &[(zone, nothing.clone())]), Vec::<String>::new());
        assert_eq!(found(&unfinished, &[(zone, theirs)]).len(), 1);
        assert_eq!(found(&recorded(RecordStatus::Ready), &[(zone, nothing)]).len(), 1);
    }
}
