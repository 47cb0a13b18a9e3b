//! Resources that AWS protects from deletion reject a plan before its first change.

use std::fs;

use aws_sdk_ec2::types::AttributeBooleanValue;
use aws_sdk_elasticloadbalancingv2::types::LoadBalancerAttribute;
use serde_json::Value;

use super::{Desk, Ran};

impl Desk {
    /// Switches the termination protection of an instance.
    async fn protect_instance(&self, id: &str, on: bool) {
        let value = AttributeBooleanValue::builder().value(on).build();
        let call = self.ec2().modify_instance_attribute().instance_id(id);
        call.disable_api_termination(value).send().await.expect("protected");
    }

    /// Switches the deletion protection of a load balancer.
    async fn protect_balancer(&self, arn: &str, on: bool) {
        let elb = aws_sdk_elasticloadbalancingv2::Client::new(&self.cloud.sdk_config());
        let attribute = LoadBalancerAttribute::builder().key("deletion_protection.enabled");
        let attribute = attribute.value(on.to_string()).build();
        let call = elb.modify_load_balancer_attributes().load_balancer_arn(arn);
        call.attributes(attribute).send().await.expect("protected");
    }

    fn shown(&self) -> Value {
        serde_json::from_str(&self.expect(0, &["show", "--json"]).out).expect("JSON")
    }
}

/// Asserts that a run was refused before its first change, and named all of these.
fn refused(desk: &Desk, ran: &Ran, named: &[&str]) {
    assert!(ran.err.contains("AWS protects resources that the plan deletes"), "{}", ran.err);
    for text in named {
        assert!(ran.err.contains(text), "{text}: {}", ran.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_termination_protection_stops_every_plan_that_ends_it() {
    let desk = Desk::new();
    desk.apply();
    let id = desk.machine("master-0").await;
    let infra_id = desk.shown()["cluster"]["infra_id"].as_str().expect("an ID").to_owned();
    desk.protect_instance(&id, true).await;
    desk.cloud.clear_requests();
    let lift = format!(
        "aws ec2 modify-instance-attribute --no-disable-api-termination --instance-id {id}"
    );
    let row = format!("instance.master-0 ({id}): termination protection (disableApiTermination)");
    let replace = ["--replace", "instance.master-0"];
    for command in [
        &["destroy", "--auto-approve"][..],
        &["destroy", "--auto-approve", "--preflight=false"],
        &["plan", replace[0], replace[1]],
        &["apply", "--auto-approve", replace[0], replace[1]],
    ] {
        refused(&desk, &desk.expect(7, command), &[&row, &lift]);
    }
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(desk.cloud.calls("DescribeInstanceAttribute"), 6, "only machines that a plan ends");

    fs::rename(desk.path("state"), desk.path("away")).unwrap();
    let stateless = ["destroy", "--auto-approve", "--infra-id", &infra_id];
    let row = format!("({id}): termination protection");
    refused(&desk, &desk.expect(7, &stateless), &["swept.instance:", &row, &lift]);
    desk.protect_instance(&id, false).await;
    desk.expect(0, &stateless);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_with_deletion_protection_stops_a_destroy_without_a_read_of_its_own() {
    let desk = Desk::new();
    desk.apply();
    let state = desk.shown();
    let resources = state["resources"].as_array().expect("resources").iter();
    let balancers = resources.filter(|one| {
        one["kind"] == "load_balancer"
            || one["address"].as_str().is_some_and(|a| a.starts_with("load_balancer."))
    });
    let arns: Vec<String> =
        balancers.map(|one| one["id"].as_str().expect("an ARN").to_owned()).collect();
    let infra_id = state["cluster"]["infra_id"].as_str().expect("an ID").to_owned();
    desk.protect_balancer(&arns[0], true).await;
    desk.cloud.clear_requests();
    let lift =
        format!("Key=deletion_protection.enabled,Value=false --load-balancer-arn {}", arns[0]);
    let destroy = ["destroy", "--auto-approve"];
    let setting = "deletion protection (deletion_protection.enabled)";
    refused(&desk, &desk.expect(7, &destroy), &["load_balancer.", setting, &lift]);
    // Refresh has read the attributes of each.
    assert_eq!(desk.cloud.calls("DescribeLoadBalancerAttributes"), arns.len());

    fs::rename(desk.path("state"), desk.path("away")).unwrap();
    let stateless = ["destroy", "--auto-approve", "--infra-id", &infra_id];
    refused(&desk, &desk.expect(7, &stateless), &["swept.load-balancer:", setting, &lift]);
    desk.protect_balancer(&arns[0], false).await;
    desk.expect(0, &stateless);
}

/// A protection that is not known is not taken for absent.
#[tokio::test(flavor = "multi_thread")]
async fn protections_that_the_credentials_may_not_read_stop_a_plan_that_ends_machines() {
    let desk = Desk::new();
    desk.apply();
    let id = desk.machine("master-0").await;
    desk.cloud.deny(&["ec2:DescribeInstanceAttribute"]);
    desk.cloud.clear_requests();
    let row = format!("instance.master-0 ({id}): needs ec2:DescribeInstanceAttribute");
    let summary = "error[protection-unknown]: ec2:DescribeInstanceAttribute is not allowed, so the protection of";
    for command in [
        &["destroy", "--auto-approve"][..],
        &["destroy", "--auto-approve", "--preflight=false"],
        &["apply", "--auto-approve", "--replace", "instance.master-0"],
    ] {
        let refused = desk.expect(7, command);
        for text in [summary, &row, "--exclude ADDRESS"] {
            assert!(refused.err.contains(text), "{text}: {}", refused.err);
        }
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}
