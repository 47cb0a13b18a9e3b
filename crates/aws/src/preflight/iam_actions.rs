//! Queries about the IAM actions that kinds declare, and the test that each kind declares its own.
//!
//! Free of the SDK. A test reads the kinds' sources and compares the calls in them with
//! [`ACTIONS`](crate::facts::Kind::ACTIONS), so that neither can change without the other.

use crate::facts::Actions;
use crate::registry::{KINDS, facts};

/// Returns the actions of a kind; `None` for a name of another version of groundplan.
pub fn actions(kind: &str) -> Option<&'static Actions> {
    facts(kind).map(|facts| &facts.actions)
}

/// Returns the names of all kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().map(crate::facts::KindFacts::name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::facts::may_repeat;
    use crate::model::calls::{is_read, permission, tags_only};
    use crate::preflight::source_calls::calls_in;

    /// Permissions without a call of their own.
    const WITHOUT_CALL: &[&str] = &["PassRole", "DeleteObjectVersion"];
    /// Calls in a kind's source that belong to another kind: the presigned address that the
    /// bootstrap machine gets is for the object.
    const NOT_ITS_OWN: &[(&str, &str)] = &[("instance", "GetObject")];

    /// Calls of a kind that are in the source of another module: describing instances.
    const MADE_ELSEWHERE: &[(&str, &str)] =
        &[("load_balancer_attachment", "DescribeInstances"), ("target", "DescribeInstances")];
    /// Kinds whose calls are in the shared module `instances`.
    const INSTANCES: &[&str] = &["instance", "machine"];
    /// The kind of untracked resources of all types, deleted by the calls in other kinds' sources.
    const OF_ALL: &str = "swept";

    /// Returns the source files of a kind, or of a module that kinds share.
    fn sources(name: &str) -> Vec<PathBuf> {
        let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let rooms = ["kinds", "client"].map(|room| src.join(room));
        let folders = rooms.iter().filter_map(|room| fs::read_dir(room.join(name)).ok()).flatten();
        let inner = folders.filter_map(|entry| Some(entry.ok()?.path()));
        let files = rooms.iter().map(|room| room.join(format!("{name}.rs")));
        files.filter(|file| file.exists()).chain(inner).collect()
    }

    /// Returns the calls that a kind's source names.
    fn calls(name: &str) -> BTreeSet<String> {
        let is_instance = INSTANCES.contains(&name);
        let shared = if is_instance { sources("instances") } else { Vec::new() };
        sources(name).into_iter().chain(shared).flat_map(|path| calls_in(&path)).collect()
    }

    fn all(actions: &Actions) -> BTreeSet<&'static str> {
        let call = |action: &'static str| {
            action.split_once(':').unwrap_or_else(|| panic!("{action}: no `service:` before it")).1
        };
        actions.all().map(call).collect()
    }

    #[test]
    fn what_only_some_updates_need_is_an_action_of_the_update_and_names_inputs() {
        for (facts, names) in crate::registry::inputs() {
            for (inputs, actions) in facts.updates_of {
                let kind = facts.name();
                let is_known = |input| names.contains(input) || facts.unmanaged.contains(input);
                assert!(inputs.iter().all(is_known), "{kind}: {inputs:?}");
                let of = facts.actions.update;
                assert!(actions.iter().all(|action| of.contains(action)), "{kind}: {actions:?}");
            }
        }
    }

    #[test]
    fn every_call_that_a_kind_makes_is_among_its_actions() {
        for facts in KINDS {
            let (kind, known) = (facts.name(), all(&facts.actions));
            let made = calls(kind);
            assert!(!made.is_empty(), "crates/aws/src/kinds/{kind}.rs makes no call");
            for call in made {
                let is_known = known.contains(permission(&call));
                let not_its_own = NOT_ITS_OWN.contains(&(kind, &call));
                assert!(is_known || not_its_own, "{kind}: add {call} to its ACTIONS");
            }
        }
    }

    #[test]
    fn every_action_of_a_kind_is_a_call_that_it_makes() {
        let shared: BTreeSet<String> =
            ["ec2", "elb", "iam", "route53"].iter().flat_map(|name| calls(name)).collect();
        for one in KINDS {
            let made: BTreeSet<String> = match one.name() {
                OF_ALL => kinds().flat_map(calls).collect(),
                kind => calls(kind),
            };
            let made: BTreeSet<&str> =
                made.iter().chain(&shared).map(|call| permission(call)).collect();
            for action in all(&one.actions) {
                let elsewhere = MADE_ELSEWHERE.contains(&(one.name(), action));
                let known = made.contains(action) || WITHOUT_CALL.contains(&action) || elsewhere;
                assert!(known, "{}: no call for {action} of its ACTIONS", one.name());
            }
        }
    }

    #[test]
    fn the_sdk_repeats_only_what_every_kind_declares_repeatable() {
        let changing = KINDS.iter().flat_map(|facts| facts.actions.all());
        let changing: BTreeSet<_> = changing.filter(|action| !is_read(action)).collect();
        let refused = changing.into_iter().filter(|action| {
            let (service, call) = action.split_once(':').expect("service:Call");
            !may_repeat(KINDS, service, call)
        });
        let refused: Vec<&str> = refused.collect();
        let without_a_token = [
            "ec2:AllocateAddress",
            "ec2:CreateDhcpOptions",
            "ec2:CreateInternetGateway",
            "ec2:CreateSecurityGroup",
            "ec2:CreateSubnet",
            "ec2:CreateVpc",
        ];
        assert_eq!(refused, without_a_token);
    }

    #[test]
    fn the_sdk_repeats_reads_and_no_change_that_no_kind_declares() {
        assert!(may_repeat(KINDS, "ec2", "DescribeTransitGateways"));
        assert!(may_repeat(KINDS, "s3", "DeleteObjects"), "the permission is DeleteObject");
        for (service, call) in [
            ("ec2", "CreateUndeclared"),
            ("iam", "PutUndeclared"),
            ("elasticloadbalancing", "RunInstances"),
            ("unknown", "RunInstances"),
            ("unknown", ""),
        ] {
            assert!(!may_repeat(KINDS, service, call), "{service}:{call}");
        }
    }

    #[test]
    fn what_is_about_tags_only_is_known() {
        for action in ["ec2:CreateTags", "iam:TagRole", "iam:UntagInstanceProfile"] {
            assert!(tags_only(action), "{action}");
        }
        let others = [
            "ec2:CreateVpc",
            "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:ModifyTargetGroup",
        ];
        for action in others {
            assert!(!tags_only(action), "{action}");
        }
    }
}
