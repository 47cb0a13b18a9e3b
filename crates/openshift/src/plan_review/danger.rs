//! Dangers: changes of a plan that an installed cluster does not survive. A plan of a cluster without
//! masters has none.

use groundplan_engine::event::Operation;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::{Action, Change, Plan, Reason};

use super::{in_turns, names};
use crate::topology::is_control_plane;

/// Returns the dangers of a plan, in words with addresses.
///
/// The plan alone is the input: a saved plan has the same dangers in each run. Groundplan does not
/// look into etcd, so each master that exists counts as a member.
pub fn danger(plan: &Plan) -> Vec<String> {
    let masters = Masters::of(plan);
    if masters.existing == 0 {
        return Vec::new();
    }
    let all_go = masters.going.len() == masters.existing;
    if all_go && plan.operation == Operation::Destroy {
        return vec![destroyed(plan, &masters)];
    }
    let of_masters = masters.danger(plan);
    let with_masters = of_masters.is_some();
    of_masters
        .into_iter()
        .chain(network(plan, with_masters))
        .chain(hosted_zones(plan))
        .chain(internal_api(plan))
        .collect()
}

/// Masters of a cluster, and those that a plan deletes or replaces.
struct Masters<'a> {
    /// Number of masters that exist before the plan.
    existing: usize,
    /// Number of masters that an earlier run or another program has already deleted.
    lost: usize,
    /// Masters that the plan deletes or replaces.
    going: Vec<&'a Address>,
    /// Replaced masters among these.
    replaced: Vec<&'a Address>,
}

impl<'a> Masters<'a> {
    fn of(plan: &'a Plan) -> Self {
        let is_master = |change: &&Change| {
            is_control_plane(&change.address) && change.reason != Reason::Superseded
        };
        let changes: Vec<&Change> = plan.changes.iter().filter(is_master).collect();
        let chosen = |goes: fn(Action) -> bool| -> Vec<&'a Address> {
            let chosen = changes.iter().filter(|change| goes(change.action));
            chosen.map(|change| &change.address).collect()
        };
        let is_made = |change: &&&Change| matches!(change.action, Action::Create | Action::Finish);
        let made: Vec<_> = changes.iter().filter(is_made).collect();
        // The deletion of these belongs to another plan.
        let left_out = plan.selection.iter().flat_map(|selection| &selection.left_out);
        let left_out = left_out.filter(|address| {
            is_control_plane(address) && !changes.iter().any(|change| change.address == **address)
        });
        Self {
            existing: changes.len() - made.len() + left_out.count(),
            lost: made.iter().filter(|change| change.reason != Reason::New).count(),
            going: chosen(Action::destroys),
            replaced: chosen(Action::replaces),
        }
    }

    /// Returns the danger of a plan that takes the majority of the members of etcd.
    fn danger(&self, plan: &Plan) -> Option<String> {
        let (going, members) = (self.going.len(), self.existing + self.lost);
        let stay = self.existing - going;
        let first = self.going.first()?;
        if stay > members / 2 {
            return None;
        }
        let masters = names(&self.going);
        let becomes = match (self.replaced.len(), going) {
            (0, _) => "deleted",
            (replaced, going) if replaced == going => "replaced",
            _ => "deleted or replaced",
        };
        let are_in_turns = self.replaced.len() == going && in_turns(plan, &self.replaced);
        if stay == 0 && (going == 1 || !are_in_turns) {
            let these = if going == 1 { "the only master is" } else { "all masters are" };
            let at_once = if going == 1 { "" } else { " at the same time" };
            return Some(format!(
                "{these} {becomes}{at_once} ({masters}): etcd and everything that the cluster stores \
                 in it are lost"
            ));
        }
        let are = if going == 1 { "is" } else { "are" };
        let lost = match self.lost {
            0 => String::new(),
            lost => format!(", and {lost} of them do not exist at present"),
        };
        Some(format!(
            "{going} of {members} masters {are} {becomes} in one run ({masters}){lost}: etcd loses \
             its quorum, and the API of the cluster stops; change one master at a time (--target \
             {first}) and wait until its member of etcd is healthy"
        ))
    }
}

fn destroyed(plan: &Plan, masters: &Masters<'_>) -> String {
    let cluster = plan.cluster.as_ref().map_or("", |cluster| &*cluster.name);
    format!(
        "the cluster {cluster} is destroyed with its masters ({}): etcd and everything that the cluster \
         stores in it are lost",
        names(&masters.going)
    )
}

/// Returns the addresses of these changes, and the word for their actions.
fn gone(plan: &Plan, is_meant: impl Fn(&Change) -> bool) -> Option<(Vec<&Address>, &'static str)> {
    let gone: Vec<_> = plan
        .changes
        .iter()
        .filter(|change| change.action.destroys() && change.reason != Reason::Superseded)
        .filter(|change| is_meant(change))
        .collect();
    let is_replaced = gone.first()?.action.replaces();
    let word = match gone.iter().all(|change| change.action.replaces() == is_replaced) {
        true if is_replaced => "replaced",
        true => "deleted",
        false => "deleted or replaced",
    };
    Some((gone.into_iter().map(|change| &change.address).collect(), word))
}

/// Returns the danger of a plan that takes the network of the masters. Subnets without a VPC are one
/// only together with the masters in them.
fn network(plan: &Plan, with_masters: bool) -> Option<String> {
    let kinds: &[&str] = if with_masters { &["vpc", "subnet"] } else { &["vpc"] };
    let (gone, word) = gone(plan, |change| kinds.contains(&change.address.kind()))?;
    Some(format!(
        "the network of the masters is {word} ({}): their addresses are those of the members of etcd",
        names(&gone)
    ))
}

/// Returns the danger of a plan that takes a hosted zone: a replacement has another ID, and lacks the
/// records of the cluster's own operators.
fn hosted_zones(plan: &Plan) -> Option<String> {
    let (gone, word) = gone(plan, |change| change.address.kind() == "hosted_zone")?;
    Some(format!(
        "the hosted zone of the cluster is {word} ({}): the records in it are lost, also those that \
         the cluster has made itself, and the configuration of the cluster names the ID of the zone",
        names(&gone)
    ))
}

/// Load balancer and record by which the nodes reach the API.
const INTERNAL_API: [&str; 2] = ["load_balancer.int", "record.api-int"];

/// Returns the danger of a plan that deletes the internal API. A replacement is an interruption only,
/// and the nodes do not use the external API.
fn internal_api(plan: &Plan) -> Option<String> {
    let is_meant = |change: &Change| {
        change.action == Action::Delete && INTERNAL_API.contains(&change.address.as_str())
    };
    let (gone, word) = gone(plan, is_meant)?;
    let is = if gone.len() == 1 { "is" } else { "are" };
    Some(format!("{} {is} {word}: the nodes reach the API of the cluster through it", names(&gone)))
}

#[cfg(test)]
mod tests {
    use groundplan_engine::plan::Action::{
        Create, CreateThenDelete, Delete, DeleteThenCreate, Finish, Keep, Update,
    };
    use groundplan_engine::plan::{Dependency, Milestone, Op, PriorObject, Selection, Step};
    use groundplan_engine::state::Cluster;
    use serde_json::Value;

    use super::*;

    fn change(address: &str, action: Action, reason: Reason) -> Change {
        Change {
            address: address.into(),
            action,
            reason,
            id: None,
            fields: vec![],
            drift: vec![],
            unmanaged: vec![],
            left: vec![],
            before: None,
            after: None,
            protected: false,
        }
    }

    fn reason(action: Action) -> Reason {
        match action {
            Keep => Reason::UpToDate,
            Create => Reason::New,
            Finish => Reason::Unfinished,
            Delete => Reason::NotInConfiguration,
            _ => Reason::Requested,
        }
    }

    fn plan(changes: &[(&str, Action)]) -> Plan {
        let steps = changes.iter().flat_map(|&(one, action)| {
            let made = action.replaces().then(|| create(one.into()));
            made.into_iter().chain(action.destroys().then(|| delete(one.into())))
        });
        let steps = steps.map(|op| Step { op, after: vec![] }).collect();
        let changes = changes.iter().map(|&(one, action)| change(one, action, reason(action)));
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: "demo-x7k2p".into(),
            cluster_id: "0".into(),
            region: "us-west-2".into(),
        };
        Plan {
            operation: Operation::Apply,
            lineage: "l".into(),
            serial: 1,
            cluster: Some(cluster),
            generation: 2,
            selection: None,
            changes: changes.collect(),
            dependency_updates: vec![],
            steps,
        }
    }

    fn create(address: Address) -> Op {
        let (generation, inputs) = (2, Value::Null);
        let (after, prior, found) = (vec![], PriorObject::Deposed, None);
        Op::Create { address, generation, inputs, after, prior, found }
    }

    fn delete(address: Address) -> Op {
        Op::Delete { address, generation: 1, unseen: false }
    }

    /// Returns three masters with these actions.
    fn three(actions: [Action; 3]) -> Vec<(&'static str, Action)> {
        ["instance.master-0", "instance.master-1", "instance.master-2"]
            .into_iter()
            .zip(actions)
            .collect()
    }

    #[test]
    fn what_a_cluster_survives_is_no_danger() {
        let with = |more: &[(&'static str, Action)]| [&three([Keep; 3]), more].concat();
        for changes in [
            vec![],
            three([Keep; 3]),
            three([Update; 3]),
            three([Create; 3]),
            three([Finish, Create, Create]),
            three([Keep, DeleteThenCreate, Keep]),
            three([Keep, Keep, Delete]),
            with(&[("instance.worker-0", CreateThenDelete), ("instance.worker-1", Delete)]),
            with(&[("machine.c-worker-a-0", DeleteThenCreate), ("instance.bootstrap", Delete)]),
            with(&[("subnet.public-a", DeleteThenCreate), ("nat_gateway.a", DeleteThenCreate)]),
            with(&[("load_balancer.ext", Delete), ("record.api-public", Delete)]),
            with(&[("load_balancer.int", DeleteThenCreate)]),
            [&three([Keep, Keep, Delete])[..], &[("subnet.private-c", Delete)]].concat(),
            [&three([Delete, Delete, Keep])[..], &[("instance.master-3", Keep)]]
                .concat()
                .into_iter()
                .chain([("instance.master-4", Keep)])
                .collect(),
            // A new cluster, whose network an earlier run has begun.
            vec![("vpc.main", DeleteThenCreate), ("hosted_zone.int", Delete)],
            [&three([Create; 3])[..], &[("vpc.main", DeleteThenCreate)]].concat(),
        ] {
            assert_eq!(danger(&plan(&changes)), [""; 0], "{changes:?}");
        }
    }

    #[test]
    fn all_masters_at_once_and_the_majority_are_a_danger() {
        let all = danger(&plan(&three([DeleteThenCreate; 3])));
        assert_eq!(
            all,
            ["all masters are replaced at the same time (instance.master-0, instance.master-1, \
              instance.master-2): etcd and everything that the cluster stores in it are lost"]
        );
        let only = danger(&plan(&[("instance.master-0", Delete)]));
        assert!(
            only[0].starts_with("the only master is deleted (instance.master-0): "),
            "{only:?}"
        );
        let two = danger(&plan(&three([Keep, Delete, DeleteThenCreate])));
        assert!(
            two[0].starts_with(
                "2 of 3 masters are deleted or replaced in one run (instance.master-1, \
                 instance.master-2): etcd loses its quorum"
            ),
            "{two:?}"
        );
        assert!(two[0].contains("(--target instance.master-1)"), "{two:?}");
        let machines = ["machine.c-master-0", "machine.c-master-1", "machine.c-master-2"];
        let machines = danger(&plan(&machines.map(|one| (one, Delete))));
        assert!(machines[0].starts_with("all masters are deleted"), "{machines:?}");
    }

    #[test]
    fn a_master_that_is_already_lost_counts() {
        for (action, reason) in [(Create, Reason::Missing), (Finish, Reason::Unfinished)] {
            let mut one = plan(&three([Keep, Keep, DeleteThenCreate]));
            one.changes[0] = change("instance.master-0", action, reason);
            let lost = danger(&one);
            assert!(lost[0].starts_with("1 of 3 masters is replaced"), "{lost:?}");
            assert!(lost[0].contains("1 of them do not exist at present"), "{lost:?}");
        }
        let mut gone = plan(&three([Create; 3]));
        gone.changes.iter_mut().for_each(|change| change.reason = Reason::Missing);
        assert_eq!(danger(&gone), [""; 0], "there is nothing left to lose");
    }

    #[test]
    fn a_deposed_object_is_no_master() {
        let mut one = plan(&three([Keep; 3]));
        for name in ["instance.master-0", "instance.master-1"] {
            one.changes.push(change(name, Delete, Reason::Superseded));
        }
        assert_eq!(danger(&one), [""; 0]);
    }

    #[test]
    fn masters_in_turns_lose_the_quorum_but_not_all_at_once() {
        let mut turns = plan(&three([CreateThenDelete; 3]));
        turns.steps.clear();
        for (number, change) in turns.changes.iter().enumerate() {
            let address = change.address.clone();
            let after = |step: usize| Dependency { step: step as u32, until: Milestone::Done };
            let before = (number > 0).then(|| after(2 * number - 1));
            turns
                .steps
                .push(Step { op: create(address.clone()), after: before.into_iter().collect() });
            turns.steps.push(Step { op: delete(address), after: vec![after(2 * number)] });
        }
        let dangers = danger(&turns);
        assert!(dangers[0].starts_with("3 of 3 masters are replaced in one run"), "{dangers:?}");
    }

    #[test]
    fn network_zone_and_internal_api_are_dangers() {
        let all = [&three([Keep; 3])[..], &[("vpc.main", DeleteThenCreate)]].concat();
        let network = danger(&plan(&all));
        assert!(
            network[0].starts_with("the network of the masters is replaced (vpc.main)"),
            "{network:?}"
        );
        let subnets =
            [&three([DeleteThenCreate; 3])[..], &[("subnet.private-a", DeleteThenCreate)]];
        let subnets = danger(&plan(&subnets.concat()));
        assert_eq!(subnets.len(), 2, "{subnets:?}");
        assert!(subnets[1].contains("(subnet.private-a)"), "{subnets:?}");
        let zone = [&three([Keep; 3])[..], &[("hosted_zone.int", Delete)]].concat();
        let zone = danger(&plan(&zone));
        assert!(zone[0].starts_with("the hosted zone of the cluster is deleted (hosted_zone.int)"));
        for name in INTERNAL_API {
            let api = danger(&plan(&[&three([Keep; 3])[..], &[(name, Delete)]].concat()));
            assert!(api[0].starts_with(&format!("{name} is deleted")), "{api:?}");
        }
    }

    #[test]
    fn a_destroy_is_a_danger_while_masters_exist() {
        let mut destroy = plan(&three([Delete; 3]));
        destroy.operation = Operation::Destroy;
        destroy.changes.push(change("vpc.main", Delete, Reason::Destroy));
        let dangers = danger(&destroy);
        assert_eq!(dangers.len(), 1, "{dangers:?}");
        assert!(dangers[0].starts_with("the cluster demo is destroyed with its masters"));
        let mut network = plan(&[("vpc.main", Delete)]);
        network.operation = Operation::Destroy;
        assert_eq!(danger(&network), [""; 0]);
        // A part of a destroy: the other masters are left out.
        let mut part = plan(&[("instance.master-0", Delete)]);
        part.operation = Operation::Destroy;
        let left_out = ["instance.master-1", "instance.master-2", "vpc.main"];
        let left_out = left_out.into_iter().map(Address::from).collect();
        part.selection = Some(Selection { left_out, ..Selection::default() });
        assert_eq!(danger(&part), [""; 0]);
    }
}
