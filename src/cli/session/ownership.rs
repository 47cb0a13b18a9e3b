//! Ownership of the objects that a plan deletes or changes: a damaged or forged state can name
//! objects of others. Makes no calls.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::facts::PartOf;
use groundplan_aws::kinds::swept::UntrackedResource;
use groundplan_aws::registry::facts;
use groundplan_aws::{Aws, Tags};
use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::plan::decide::id;
use groundplan_engine::plan::{Op, Plan};
use groundplan_engine::state::{Record, RecordStatus, State};
use serde_json::Value;

use crate::cli::args::GuardArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// Returns an error if the plan deletes or changes an object that carries neither the tag of this
/// cluster nor the token of its record, or a part of such an object, unless the user forces the change of its address.
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
    /// Words for what the object carries in place of the proof.
    finding: String,
}

/// Returns the changes of objects without proof of ownership, by address. `unowned` returns the tags
/// of an object without proof, by the token of its record.
///
/// A part must name an object that the state records. Parts and settings of a resource have no tags;
/// the resource is judged in their place. Untracked
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
        let (address, generation, is_seen) = match &step.op {
            Op::Delete { address, generation, unseen } => (address, generation, !unseen),
            Op::Update { address, generation, .. } | Op::Finish { address, generation } => {
                (address, generation, true)
            }
            Op::Create { .. } => continue,
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
        // What refresh did not find is searched by its token before the deletion.
        let stray = is_seen.then(|| unrecorded_container(state, address, record)).flatten();
        let foreign = match (judged, stray) {
            (Some((owner, (id, tags))), _) => {
                Foreign { address, owner, id, finding: format!("found {}", listed(&tags)) }
            }
            (None, Some((id, finding))) => Foreign { address, owner: address, id, finding },
            (None, None) => continue,
        };
        found.entry(address).or_insert(foreign);
    }
    found.into_values().collect()
}

/// Returns the object that a part belongs to, and a finding, if the state does not record it.
fn unrecorded_container(
    state: &State,
    address: &Address,
    record: &Record,
) -> Option<(String, String)> {
    let PartOf { input, kind, arn_segments } = facts(address.kind())?.part_of?;
    let current = state.resources.iter();
    let deposed = state.deposed.iter();
    let records =
        current.chain(deposed.flat_map(|(address, all)| all.iter().map(move |one| (address, one))));
    let containers: BTreeSet<&str> = records
        .filter(|(address, _)| address.kind() == kind)
        .filter_map(|(_, container)| container.outputs.as_object())
        .flat_map(|outputs| outputs.values().filter_map(Value::as_str))
        .collect();
    let named = [&record.inputs, &record.outputs].map(|values| values.get(input)?.as_str());
    let stray = named.into_iter().flatten().find(|name| !containers.contains(name));
    let arn = record.outputs.get("arn").and_then(Value::as_str);
    let stray = stray.or_else(|| {
        let (arn, (of_container, of_part)) = (arn?, arn_segments?);
        let is_inside = |container: &&str| {
            let begins = format!("{}/", container.replacen(of_container, of_part, 1));
            arn.starts_with(&begins)
        };
        (!containers.iter().any(is_inside)).then_some(arn)
    })?;
    Some((stray.to_owned(), format!("no {kind} of this state is {stray}")))
}

fn listed(tags: &Tags) -> String {
    let tags: Vec<String> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if tags.is_empty() { "no tags".to_owned() } else { tags.join(", ") }
}

fn refusal(foreign: &[Foreign<'_>], cluster_tag: &str) -> CommandError {
    let mut diagnostic = Diagnostic::error(
        Code::ForeignObject,
        "the plan deletes or changes objects that do not carry the tag of this cluster",
    );
    diagnostic.detail.push(format!("expected the tag {cluster_tag}, or the creation token"));
    for one in foreign {
        let Foreign { address, owner, id, finding } = one;
        let what = match owner == address {
            true => format!("{address} ({id})"),
            false => format!("{address}, a part of {owner} ({id})"),
        };
        diagnostic.detail.push(format!("{what}: {finding}"));
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

    /// Returns a state with a container and its part, and their plan of a destroy.
    fn strays(container: (&str, Value), part: (&str, Value, Value)) -> Vec<String> {
        let mut state = State::new("l".into());
        for (address, inputs, outputs) in [(container.0, json!({}), container.1), part] {
            let address = Address::from(address);
            let (after, generation) = (Vec::new(), 1);
            let started =
                Entry::CreateStarted { address: address.clone(), generation, inputs, after };
            state.record(&started).unwrap();
            let status = RecordStatus::Ready;
            state.record(&Entry::Created { address, outputs, status }).unwrap();
        }
        let options = PlanOptions::default();
        let plan = plan_destroy(&state, &LiveState::new(), &groundplan_aws::schemas(), &options);
        foreign(&state, &plan, &|_| None).into_iter().map(|one| one.finding).collect()
    }

    #[test]
    fn a_part_that_names_an_unrecorded_object_is_foreign() {
        let rules = |group: &str| {
            let (group, address) = (json!({ "group": group }), "security_group_rules.worker");
            strays(
                ("security_group.worker", json!({"id": "sg-1"})),
                (address, group.clone(), group),
            )
        };
        assert_eq!(rules("sg-1"), Vec::<String>::new());
        assert_eq!(rules("sg-9"), ["no security_group of this state is sg-9"]);
        let listener = |balancer: &str, arn: &str| {
            strays(
                ("load_balancer.int", json!({"arn": "arn:aws:elb:loadbalancer/net/demo/1"})),
                ("listener.aint", json!({ "load_balancer": balancer }), json!({ "arn": arn })),
            )
        };
        let ours = "arn:aws:elb:loadbalancer/net/demo/1";
        assert_eq!(listener(ours, "arn:aws:elb:listener/net/demo/1/7"), Vec::<String>::new());
        for (balancer, arn) in [
            ("arn:aws:elb:loadbalancer/net/theirs/1", "arn:aws:elb:listener/net/demo/1/7"),
            (ours, "arn:aws:elb:listener/net/theirs/2/7"),
            (ours, "arn:aws:elb:listener/net/demo/11/7"),
        ] {
            assert_eq!(listener(balancer, arn).len(), 1, "{balancer} {arn}");
        }
    }
}
