//! Wrong answers of single reads of an up-to-date plan: nothing is changed.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Desk;

/// Number of wrong answers that one account gets, one after the other.
const FAULTS_OF_A_DESK: usize = 13;

/// Returns a desk with a cluster and kept answers from before its last update.
fn up_to_date() -> Desk {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.settle("");
    desk.cloud.fault(&json!({ "kind": "keep", "mutating": false }));
    desk.apply();
    desk.cloud.clear_faults();
    desk.write_config("Optional", "b");
    desk.apply();
    desk.cloud.settle("");
    desk.cloud.clear_requests();
    desk.apply();
    desk
}

fn changes_nothing(desk: &Desk, faults: &[Value]) {
    for fault in faults {
        desk.cloud.clear_requests();
        desk.cloud.fault(fault);
        let ran = desk.run(&["apply", "--auto-approve"]);
        assert_eq!(desk.cloud.mutating_calls(), 0, "{fault}: {}{}", ran.out, ran.err);
        assert!(ran.code == Some(0) || !ran.err.is_empty(), "{fault}");
        desk.cloud.clear_faults();
    }
    let ran = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(ran.out.contains("No changes."), "{}", ran.out);
}

/// Reads of one service, each with the error that says "not found" there.
struct Reads {
    service: &'static str,
    /// Returns the error code for a missing resource.
    missing: fn(action: &str) -> &'static str,
}

impl Reads {
    /// Applies a cluster with each wrong answer of each read: none changes anything.
    fn sweep(&self) {
        let reads = self.actions(&up_to_date());
        assert!(!reads.is_empty(), "{}: no reads", self.service);
        let faults: Vec<Value> = reads.iter().flat_map(|action| self.faults(action)).collect();
        // Each wrong answer costs a pause before the second read, so several accounts share them.
        std::thread::scope(|scope| {
            for faults in faults.chunks(FAULTS_OF_A_DESK) {
                scope.spawn(move || changes_nothing(&up_to_date(), faults));
            }
        });
    }

    fn actions(&self, desk: &Desk) -> BTreeSet<String> {
        let requests = desk.cloud.requests();
        let ours = requests.iter().filter(|one| one["service"] == self.service);
        ours.filter_map(|one| one["action"].as_str()).map(str::to_owned).collect()
    }

    fn faults(&self, action: &str) -> [Value; 4] {
        let base = json!({ "service": self.service, "action": action });
        let with = |more: &Value| {
            let mut fault = base.clone();
            for (field, value) in more.as_object().into_iter().flatten() {
                fault[field] = value.clone();
            }
            fault
        };
        [
            with(&json!({ "kind": "empty" })),
            with(&json!({ "kind": "truncate" })),
            with(&json!({ "kind": "stale" })),
            with(&json!({ "status": 404, "code": (self.missing)(action), "message": "not found" })),
        ]
    }
}

#[test]
fn a_wrong_answer_of_iam_changes_nothing() {
    Reads { service: "iam", missing: |_| "NoSuchEntity" }.sweep();
}

#[test]
fn a_wrong_answer_of_load_balancing_changes_nothing() {
    let missing = |action: &str| match action {
        "DescribeTargetGroups" | "DescribeTargetGroupAttributes" | "DescribeTargetHealth" => {
            "TargetGroupNotFound"
        }
        "DescribeListeners" => "ListenerNotFound",
        _ => "LoadBalancerNotFound",
    };
    Reads { service: "elbv2", missing }.sweep();
}

#[test]
fn a_wrong_answer_of_route_53_changes_nothing() {
    Reads { service: "route53", missing: |_| "NoSuchHostedZone" }.sweep();
}

#[test]
fn a_wrong_answer_of_s3_changes_nothing() {
    let missing =
        |action: &str| if action.contains("Object") { "NoSuchKey" } else { "NoSuchBucket" };
    Reads { service: "s3", missing }.sweep();
}

#[test]
fn a_wrong_answer_of_ec2_changes_nothing() {
    let missing = |action: &str| match action {
        "DescribeInstances" => "InvalidInstanceID.NotFound",
        "DescribeVpcs" | "DescribeVpcAttribute" => "InvalidVpcID.NotFound",
        "DescribeSubnets" => "InvalidSubnetID.NotFound",
        "DescribeSecurityGroups" => "InvalidGroup.NotFound",
        "DescribeSecurityGroupRules" => "InvalidSecurityGroupRuleId.NotFound",
        "DescribeRouteTables" => "InvalidRouteTableID.NotFound",
        "DescribeNatGateways" => "NatGatewayNotFound",
        "DescribeInternetGateways" => "InvalidInternetGatewayID.NotFound",
        "DescribeAddresses" => "InvalidAllocationID.NotFound",
        "DescribeNetworkInterfaces" => "InvalidNetworkInterfaceID.NotFound",
        "DescribeVpcEndpoints" => "InvalidVpcEndpointId.NotFound",
        "DescribeDhcpOptions" => "InvalidDhcpOptionID.NotFound",
        _ => "InvalidParameterValue",
    };
    Reads { service: "ec2", missing }.sweep();
}

/// Every answer of one action is empty, for as long as a refresh looks. Other resources of the same
/// refresh refer to what seems to be gone.
#[test]
fn agreeing_wrong_answers_that_other_answers_disprove_change_nothing() {
    let actions = [
        "DescribeAddresses",
        "DescribeLoadBalancers",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcs",
    ];
    let desk = Desk::new();
    desk.apply();
    desk.cloud.settle("");
    for action in actions {
        desk.cloud.clear_requests();
        desk.cloud.fault(&json!({ "action": action, "kind": "empty", "times": 10 }));
        let ran = desk.expect(1, &["apply", "--auto-approve"]);
        assert_eq!(desk.cloud.mutating_calls(), 0, "{action}: {}", ran.err);
        assert!(ran.err.contains("one of the answers is wrong"), "{action}: {}", ran.err);
        desk.cloud.clear_faults();
    }
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

/// A second read costs three seconds and is for what seems gone, changed or added.
#[test]
fn an_up_to_date_plan_reads_each_list_once() {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.settle("");
    desk.cloud.clear_requests();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    let lists =
        ["DescribeRouteTables", "DescribeSecurityGroups", "DescribeInstances", "DescribeVpcs"];
    for list in lists {
        assert_eq!(desk.cloud.calls(list), 1, "{list}");
    }
}
