//! Partial plans (target, exclude), expectations, protection, and plans of drift only.

use aws_sdk_ec2::types::{
    Filter, IpPermission, IpRange, ResourceType, SecurityGroup, Tag, TagSpecification,
    UserIdGroupPair,
};
use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use serde_json::Value;

use super::Desk;

/// Returns the smallest cluster after an apply.
fn made() -> Desk {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.clear_requests();
    desk
}

/// Changes the install-config by hand.
fn rewrite(desk: &Desk, old: &str, new: &str) {
    let path = desk.path("install-config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old}");
    std::fs::write(path, text.replace(old, new)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_another_root_volume_replaces_exactly_that_machine_and_its_targets_stay() {
    let desk = made();
    let machine = desk.machine("master-0").await;
    let pool = "type: m5.2xlarge\n";
    rewrite(&desk, pool, &format!("{pool}      rootVolume: {{type: gp3, size: 200}}\n"));
    let ran = desk.expect(2, &["plan", "--detailed-exitcode", "--expect", "+1 ~0 -1"]);
    assert!(ran.out.contains("-/+ instance.master-0  replaced, because `root_volume.size` cannot"));
    assert!(ran.out.contains("root_volume.size: 120 -> 200 (forces replacement)"), "{}", ran.out);
    assert!(ran.out.contains("removes an etcd member"), "{}", ran.out);
    assert!(ran.out.contains("\nDANGER: the only master is replaced (instance.master-0)"));
    // An option that approves any plan does not accept a danger, and neither does a saved plan.
    desk.expect(0, &["plan", "--out", "danger.plan"]);
    for (command, hint) in [
        (&["apply", "--auto-approve"][..], "pass --auto-approve --accept-danger demo"),
        (&["apply", "danger.plan"], "pass --accept-danger demo"),
        (&["apply", "--auto-approve", "--accept-danger", "prod"], "pass --accept-danger demo,"),
    ] {
        let refused = desk.expect(7, command);
        assert!(refused.err.contains(hint), "{}", refused.err);
        assert!(refused.out.contains("DANGER: "), "{}", refused.out);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
    desk.expect(0, &["apply", "danger.plan", "--accept-danger", "demo"]);
    assert_eq!(desk.cloud.calls("RunInstances"), 1);
    assert_eq!(desk.cloud.calls("DeregisterTargets"), 0);
    assert_eq!(desk.cloud.calls("DeleteNetworkInterface"), 0);
    desk.cloud.settle("");
    assert_ne!(desk.machine_running("master-0").await, machine);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn p12_a_plan_that_is_not_as_expected_ends_before_any_call() {
    let desk = made();
    desk.expect(0, &["plan", "--out", "kept.plan", "--exclude", "instance.master-0"]);
    desk.write_config("Optional", "a");
    for (command, said) in [
        (
            &["plan", "--expect", "+0 ~0 -0"][..],
            "the plan has +0 ~2 -0, but --expect requires +0 \
             ~0 -0",
        ),
        (&["plan", "--expect", "-1", "--out", "no.plan"], "--expect requires -1"),
        (&["apply", "--auto-approve", "--expect", "+12"], "--expect requires +12"),
        (&["destroy", "--auto-approve", "--max-destroy", "7"], "but --max-destroy allows 7"),
    ] {
        let ran = desk.expect(7, command);
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(!ran.out.is_empty(), "what it would do is shown all the same");
    }
    assert!(!desk.path("no.plan").exists());
    assert_eq!(desk.cloud.mutating_calls(), 0);
    let ran = desk.expect(64, &["plan", "--expect", "12"]);
    assert!(ran.err.contains("+N, ~N and -N"), "{}", ran.err);
    desk.expect(0, &["apply", "--auto-approve", "--expect", "+0 ~2 -0", "--max-destroy", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_tags_of_others_are_no_drift() {
    let desk = made();
    let machine = desk.machine("master-0").await;
    let autoscaler = Tag::builder().key("k8s.io/cluster-autoscaler/enabled").value("true").build();
    let owner = Tag::builder().key("aws-backup:owner").value("somebody").build();
    let request = desk.ec2().create_tags().resources(machine).tags(autoscaler).tags(owner);
    request.send().await.expect("tagged");
    let ran = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(ran.out.contains("No changes."), "{}", ran.out);
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_what_somebody_deleted_is_made_anew_and_says_why() {
    let desk = made();
    let machine = desk.machine("master-0").await;
    desk.ec2().terminate_instances().instance_ids(machine).send().await.expect("terminated");
    desk.cloud.settle("");
    let ran = desk.expect(2, &["plan", "--detailed-exitcode", "--expect", "+1 ~0 -0"]);
    assert!(ran.out.contains("  functional  instance.master-0  deleted"), "{}", ran.out);
    assert!(ran.out.contains("  + instance.master-0  deleted outside groundplan"), "{}", ran.out);
    let only = desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    assert!(
        only.out.ends_with("Drift: 0 security, 1 functional, 0 cosmetic. Nothing was changed.\n")
    );
    let lines = desk.expect(0, &["plan", "--refresh-only", "--json"]).lines();
    let drift: Vec<&Value> = lines.iter().filter(|line| line["type"] == "drift").collect();
    assert_eq!((drift.len(), &drift[0]["deleted"]), (1, &true.into()));
    assert_eq!(lines.last().unwrap()["functional"], 1);
    assert_eq!(desk.cloud.calls("RunInstances"), 0, "a look makes nothing");
    let unseen = desk.expect(0, &["plan", "--refresh=false", "--detailed-exitcode"]);
    assert!(unseen.out.contains("No changes."), "what is recorded is taken to be true");
}

/// A cluster with one master, and what others add to it.
struct Others<'d> {
    desk: &'d Desk,
    ec2: aws_sdk_ec2::Client,
    iam: aws_sdk_iam::Client,
    master: String,
    vpc: String,
    groups: Vec<SecurityGroup>,
}

impl<'d> Others<'d> {
    async fn of(desk: &'d Desk) -> Self {
        let ec2 = desk.ec2();
        let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
        let master = desk.machine("master-0").await;
        let described = ec2.describe_instances().instance_ids(&master).send().await.unwrap();
        let vpc = described.reservations()[0].instances()[0].vpc_id().unwrap().to_owned();
        let of_vpc = Filter::builder().name("vpc-id").values(&vpc).build();
        let groups = ec2.describe_security_groups().filters(of_vpc).send().await.unwrap();
        let groups = groups.security_groups.unwrap_or_default();
        Self { desk, ec2, iam, master, vpc, groups }
    }

    /// Returns the group of the masters.
    fn group(&self) -> &str {
        let of_masters = |one: &&SecurityGroup| {
            let name = one.tags().iter().find(|tag| tag.key() == Some("Name"));
            name.and_then(|tag| tag.value()).is_some_and(|name| name.contains("master"))
        };
        self.groups.iter().find(of_masters).and_then(SecurityGroup::group_id).expect("a group")
    }

    async fn role(&self) -> String {
        let roles = self.iam.list_roles().send().await.unwrap();
        let mut names = roles.roles().iter().map(|role| role.role_name().to_owned());
        names.find(|name| name.contains("master")).expect("the masters' role")
    }

    async fn allow(&self, permission: IpPermission) {
        let call = self.ec2.authorize_security_group_ingress().group_id(self.group());
        call.ip_permissions(permission).send().await.expect("authorised");
    }

    fn ports(from: i32, to: i32, range: &str, description: &str) -> IpPermission {
        let range = IpRange::builder().cidr_ip(range).description(description).build();
        IpPermission::builder()
            .ip_protocol("tcp")
            .from_port(from)
            .to_port(to)
            .ip_ranges(range)
            .build()
    }

    /// Creates the group of a Classic Load Balancer, as the cloud provider does.
    async fn group_of_service(&self, key: &str) -> String {
        let tag = Tag::builder().key(key).value("owned").build();
        let tags = TagSpecification::builder()
            .resource_type(ResourceType::SecurityGroup)
            .tags(tag)
            .build();
        let call = self.ec2.create_security_group().vpc_id(&self.vpc).group_name(key);
        let made = call.description("of a service").tag_specifications(tags).send().await;
        made.expect("a group").group_id().unwrap().to_owned()
    }

    async fn allow_group(&self, group: &str) {
        let pair = UserIdGroupPair::builder().group_id(group).build();
        let permission = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(pair);
        self.allow(permission.build()).await;
    }

    /// Does what the reviewers did by hand, and a little more. Returns the ARN of the attached policy.
    async fn interfere(&self) -> String {
        self.allow(Self::ports(22, 22, "0.0.0.0/0", "by hand")).await;
        let role = self.role().await;
        let document = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;
        let put = self.iam.put_role_policy().role_name(&role).policy_name("by-hand");
        put.policy_document(document).send().await.expect("put");
        let policy = self.iam.create_policy().policy_name("of-another-team");
        let policy = policy.policy_document(document).send().await.expect("a policy");
        let arn = policy.policy().and_then(|policy| policy.arn()).expect("an ARN").to_owned();
        let attach = self.iam.attach_role_policy().role_name(&role).policy_arn(&arn);
        attach.send().await.expect("attached");
        let tables = self.ec2.describe_route_tables().send().await.unwrap();
        let table = tables.route_tables().iter().find(|table| {
            table.vpc_id() == Some(&self.vpc)
                && table.tags().iter().any(|tag| tag.key() == Some("Name"))
        });
        let gateways = self.ec2.describe_internet_gateways().send().await.unwrap();
        let gateway = gateways.internet_gateways()[0].internet_gateway_id().unwrap();
        let route =
            self.ec2.create_route().route_table_id(table.unwrap().route_table_id().unwrap());
        let route = route.destination_cidr_block("10.99.0.0/16").gateway_id(gateway);
        route.send().await.expect("a route");
        self.ec2.stop_instances().instance_ids(&self.master).send().await.expect("stopped");
        self.desk.cloud.settle("");
        self.desk.cloud.clear_requests();
        arn
    }
}

/// Returns the lines of that interference: class, address and text.
fn interference(policy: &str) -> [String; 4] {
    let attached = format!("+ attached policy {policy}");
    [
        ("security", "iam_role.master", &*attached),
        ("security", "iam_role_policy.master", "+ inline policy by-hand"),
        ("security", "security_group_rules.master", "+ ingress tcp 22 from 0.0.0.0/0"),
        ("functional", "instance.master-0", "state: \"running\" -> \"stopped\""),
    ]
    .map(|(class, address, what)| format!("  {class:<10}  {address:<27}  {what}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_what_others_added_is_shown_and_counts_and_stays() {
    let desk = made();
    let others = Others::of(&desk).await;
    let policy = others.interfere().await;
    let only = desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    for line in interference(&policy) {
        assert!(only.out.contains(&line), "{line}{}", only.out);
    }
    assert!(only.out.contains("+ route 10.99.0.0/16 via igw-"), "{}", only.out);
    let end = "Drift: 3 security, 2 functional, 0 cosmetic. Nothing was changed.\n";
    assert!(only.out.ends_with(end), "{}", only.out);
    let plan = desk.expect(2, &["plan", "--detailed-exitcode", "--expect", "+0 ~0 -0"]);
    assert!(plan.out.contains("5 of these are outside the configuration and stay"), "{}", plan.out);
    assert!(plan.out.contains("No changes. The drift above is outside"), "{}", plan.out);
    let lines = desk.expect(0, &["plan", "--json"]).lines();
    let drift: Vec<&Value> = lines.iter().filter(|line| line["type"] == "drift").collect();
    assert_eq!(drift.len(), 5);
    let rule = drift.iter().find(|one| one["address"] == "security_group_rules.master").unwrap();
    assert_eq!((&rule["class"], &rule["unmanaged"]), (&"security".into(), &true.into()));
    assert_eq!(rule["field"]["path"], "ingress[\"tcp 22 from 0.0.0.0/0\"]");
    assert_eq!(rule["field"]["item"], "ingress tcp 22 from 0.0.0.0/0");
    desk.apply();
    assert_eq!(desk.cloud.mutating_calls(), 0, "{:#?}", desk.cloud.requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_what_others_added_is_reverted_on_request() {
    let desk = made();
    let others = Others::of(&desk).await;
    let policy = others.interfere().await;
    let plan = desk.expect(2, &["plan", "--revert-drift", "--detailed-exitcode"]);
    for change in [
        "      - ingress tcp 22 from 0.0.0.0/0\n",
        "      - inline policy by-hand\n",
        &format!("      - attached policy {policy}\n"),
        "      - route 10.99.0.0/16 via igw-",
        "      state: \"stopped\" -> \"running\"\n",
    ] {
        assert!(plan.out.contains(change), "{change}{}", plan.out);
    }
    assert!(plan.out.contains("\nPlan: 0 to add, 5 to change, 0 to destroy.\n"), "{}", plan.out);
    desk.expect(64, &["plan", "--revert-drift", "--refresh=false"]);
    desk.expect(0, &["plan", "--revert-drift", "--out", "revert.plan"]);
    desk.expect(64, &["apply", "revert.plan", "--revert-drift"]);
    desk.expect(0, &["apply", "revert.plan", "--auto-approve"]);
    for call in [
        "RevokeSecurityGroupIngress",
        "DeleteRolePolicy",
        "DetachRolePolicy",
        "DeleteRoute",
        "StartInstances",
    ] {
        assert_eq!(desk.cloud.calls(call), 1, "{call}");
    }
    desk.cloud.settle("");
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

/// Policies of older versions of groundplan lack these permissions.
#[tokio::test(flavor = "multi_thread")]
async fn policies_that_the_credentials_may_not_list_are_not_compared_and_that_is_said_once() {
    let desk = made();
    desk.cloud.deny(&["iam:ListRolePolicies", "iam:ListAttachedRolePolicies"]);
    let warning = "warning: not compared: policies that others added to roles; allow \
                   iam:ListAttachedRolePolicies and iam:ListRolePolicies to compare them";
    let plan = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(plan.out.matches(warning).count(), 1, "{}", plan.out);
    let drift = desk.expect(0, &["plan", "--refresh-only"]);
    assert_eq!(drift.out.matches(warning).count(), 1, "{}", drift.out);
    assert!(!drift.out.contains("No drift."), "{}", drift.out);
    desk.cloud.deny(&[]);
    let drift = desk.expect(0, &["plan", "--refresh-only"]);
    assert!(drift.out.contains("No drift."), "{}", drift.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_source_destination_check_others_disabled_is_security_drift() {
    let desk = made();
    let id = desk.machine("master-0").await;
    let disabled = aws_sdk_ec2::types::AttributeBooleanValue::builder().value(false).build();
    let modify = desk.ec2().modify_instance_attribute().instance_id(&id);
    modify.source_dest_check(disabled).send().await.expect("disabled");
    let drift = desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    let line = "  security    instance.master-0  source_dest_check: true -> false  (stays)\n";
    assert!(drift.out.contains(line), "{}", drift.out);
    desk.expect(0, &["apply", "--revert-drift", "--auto-approve"]);
    assert_eq!(desk.cloud.calls("StartInstances"), 0);
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
}

/// Rules that the cloud provider adds for services of the cluster.
#[tokio::test(flavor = "multi_thread")]
async fn r8_what_a_healthy_cluster_adds_is_no_drift() {
    let desk = made();
    let others = Others::of(&desk).await;
    let tags = others.groups.iter().flat_map(SecurityGroup::tags);
    let keys = tags.filter_map(Tag::key).find(|key| key.starts_with("kubernetes.io/cluster/"));
    let of_service = others.group_of_service(keys.expect("the cluster tag")).await;
    others.allow_group(&of_service).await;
    let client = "kubernetes.io/rule/nlb/client=a0123";
    others.allow(Others::ports(31977, 31977, "0.0.0.0/0", client)).await;
    let clean = desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
    assert!(clean.out.contains("No drift."), "{}", clean.out);

    let strange = others.group_of_service("kubernetes.io/cluster/prod-abcde").await;
    others.allow_group(&strange).await;
    others.allow(Others::ports(22, 22, "0.0.0.0/0", client)).await;
    let drift = desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    assert!(
        drift.out.contains(&format!("+ ingress all from {strange}  (stays)\n")),
        "{}",
        drift.out
    );
    assert!(drift.out.contains("+ ingress tcp 22 from 0.0.0.0/0  (stays)\n"), "{}", drift.out);
    assert!(drift.out.contains("Drift: 2 security, 0 functional"), "{}", drift.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn r8_targets_of_others_get_the_traffic_of_the_api_and_machines_of_the_cluster_may() {
    let desk = made();
    let others = Others::of(&desk).await;
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&desk.cloud.sdk_config());
    let groups = elb.describe_target_groups().send().await.unwrap();
    let group = groups.target_groups()[0].target_group_arn().unwrap().to_owned();
    let register = async |ip: &str| {
        let target = TargetDescription::builder().id(ip).port(6443).build();
        let call = elb.register_targets().target_group_arn(&group).targets(target);
        call.send().await.expect("registered");
    };
    let described = others.ec2.describe_instances().instance_ids(&others.master).send().await;
    let described = described.unwrap();
    let master = &described.reservations()[0].instances()[0];
    let key = master
        .tags()
        .iter()
        .find(|tag| tag.key().is_some_and(|key| key.starts_with("kubernetes.io/cluster/")));
    let launched = others.ec2.run_instances().image_id("ami-0abcdef1234567890").min_count(1);
    let tags = TagSpecification::builder()
        .resource_type(ResourceType::Instance)
        .tags(key.unwrap().clone())
        .build();
    let launched = launched.max_count(1).subnet_id(master.subnet_id().unwrap());
    let launched = launched.tag_specifications(tags).send().await.expect("a machine");
    register(launched.instances()[0].private_ip_address().unwrap()).await;
    desk.cloud.settle("");
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);

    register("10.0.250.250").await;
    let drift = desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    assert!(drift.out.contains("+ target 10.0.250.250:6443  (stays)\n"), "{}", drift.out);
    assert!(drift.out.contains("Drift: 1 security, 0 functional"), "{}", drift.out);
    desk.expect(0, &["apply", "--revert-drift", "--auto-approve"]);
    assert_eq!(desk.cloud.calls("DeregisterTargets"), 1);
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
}

#[test]
fn u1_in_a_pipe_there_is_no_colour_and_one_line_for_each_event() {
    let desk = Desk::new();
    let ran = desk.apply();
    assert!(!(ran.out.clone() + &ran.err).contains(['\u{1b}', '\r']), "{}", ran.out);
    let walk: Vec<&str> = ran.out.lines().filter(|line| line.contains(": ")).collect();
    let begun = walk.iter().filter(|line| line.ends_with(": Creating...")).count();
    let ended = walk.iter().filter(|line| line.contains(": Creation complete after ")).count();
    let added = ran.out.lines().find_map(|line| line.strip_prefix("Plan: ")).unwrap();
    let added: usize = added.split(' ').next().unwrap().parse().unwrap();
    assert_eq!((begun, ended), (added, added), "{}", ran.out);
}

#[test]
fn u3_results_go_to_standard_output_and_errors_to_standard_error() {
    let desk = Desk::new();
    let good = desk.expect(0, &["plan"]);
    assert!(good.out.contains("Plan: ") && !good.err.contains("Plan: "));
    for (code, command) in [
        (3, &["plan", "--config", "nowhere.yaml"][..]),
        (64, &["plan", "--target", "instance.mastr-0"]),
        (1, &["state", "list"]),
        (3, &["show", "nowhere.plan"]),
    ] {
        let bad = desk.expect(code, command);
        assert!(bad.out.is_empty(), "{command:?}: {}", bad.out);
        assert!(bad.err.starts_with("error["), "{command:?}: {}", bad.err);
        assert!(bad.err.contains("hint: "), "{command:?}: {}", bad.err);
    }
    let bad = desk.expect(64, &["plan", "--target", "instance.mastr-0"]);
    assert!(bad.err.contains("did you mean `instance.master-0`?"), "{}", bad.err);
}

#[test]
fn u5_without_a_yes_nothing_is_done() {
    let desk = Desk::new();
    let ran = desk.expect(7, &["apply"]);
    assert!(ran.err.contains("cannot ask for confirmation without a terminal"), "{}", ran.err);
    assert!(ran.err.contains("--auto-approve"), "{}", ran.err);
    assert!(ran.out.contains("\nPlan: "), "the plan is shown: {}", ran.out);
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[test]
fn a_part_is_applied_and_the_rest_is_what_the_next_plan_has() {
    let desk = Desk::new();
    let whole = desk.expect(0, &["plan"]);
    let total = |text: &str| -> usize {
        let line = text.lines().find_map(|line| line.strip_prefix("Plan: ")).unwrap();
        line.split(' ').next().unwrap().parse().unwrap()
    };
    let part = desk.expect(0, &["apply", "--auto-approve", "--target", "subnet.private-*"]);
    assert!(part.out.contains("  target        subnet.private-us-west-2a\n"), "{}", part.out);
    assert!(part.out.contains("vpc.main"), "{}", part.out);
    let rest = desk.expect(0, &["plan"]);
    assert_eq!(total(&part.out) + total(&rest.out), total(&whole.out));
    desk.expect(0, &["plan", "--exclude", "instance", "--out", "rest.plan"]);
    let ran = desk.expect(0, &["apply", "rest.plan", "--auto-approve"]);
    assert!(ran.out.contains("  exclude       instance.bootstrap"), "{}", ran.out);
    assert_eq!(desk.cloud.calls("RunInstances"), 0);
    let last = desk.expect(0, &["plan"]);
    assert!(last.out.contains("  + instance.master-0"), "{}", last.out);
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn d7_what_is_protected_is_not_deleted_by_any_run_until_somebody_allows_it() {
    let desk = made();
    let ran = desk.expect(0, &["protect", "hosted_zone.int", "instance.master-*"]);
    assert!(ran.out.starts_with("hosted_zone.int is protected"), "{}", ran.out);
    let ran = desk.expect(64, &["protect", "hosted_zone.nit"]);
    assert!(ran.err.contains("did you mean `hosted_zone.int`?"), "{}", ran.err);
    let ran = desk.expect(7, &["destroy", "--auto-approve"]);
    assert!(ran.out.contains("[protected]"), "{}", ran.out);
    assert!(ran.err.contains(
        "deletes or replaces protected resources\n  hosted_zone.int\n  instance.master-0"
    ));
    let ran = desk.expect(7, &["apply", "--auto-approve", "--replace", "instance.master-0"]);
    assert!(ran.err.contains("groundplan unprotect instance.master-0"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);

    desk.expect(0, &["unprotect", "instance.*"]);
    desk.expect(0, &["destroy", "--auto-approve", "--exclude", "hosted_zone.int"]);
    let left = desk.expect(0, &["state", "list"]);
    assert_eq!(left.out, "dhcp_options.main\nhosted_zone.int  (protected)\nvpc.main\n");
    desk.expect(7, &["destroy", "--auto-approve"]);
    desk.expect(0, &["unprotect", "hosted_zone.int"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

/// A resource whose conflicting inputs collide with its replacement is deleted first, together with
/// the resources that reference it. The plan shows an order that AWS accepts.
#[test]
fn another_network_and_another_zone_are_planned_as_aws_lets_them_be_made() {
    let desk = made();
    rewrite(
        &desk,
        "platform:\n  aws:\n    region",
        "networking:\n  machineNetwork: [{cidr: 10.1.0.0/16}]\nplatform:\n  aws:\n    region",
    );
    let ran = desk.apply_in_danger();
    let reason =
        "replaced, because it references `subnet.private-us-west-2a`, which must be deleted first";
    assert!(ran.out.contains(reason), "{}", ran.out);
    desk.expect(0, &["plan", "--detailed-exitcode"]);

    rewrite(&desk, "zones: [us-west-2a]", "zones: [us-west-2b]");
    let ran = desk.apply_in_danger();
    assert!(ran.out.contains("  - subnet.private-us-west-2a"), "{}", ran.out);
    desk.expect(0, &["plan", "--detailed-exitcode"]);

    rewrite(&desk, "zones: [us-west-2b]", "zones: [us-west-2b, us-west-2c]");
    desk.apply_in_danger();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    rewrite(&desk, "zones: [us-west-2b, us-west-2c]", "zones: [us-west-2b]");
    desk.apply_in_danger();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_gone_is_made_anew_and_the_running_machines_get_it() {
    let desk = made();
    let before = desk.machine("master-0").await;
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let profiles = iam.list_instance_profiles().send().await.unwrap();
    let profile = profiles.instance_profiles().iter();
    let profile =
        profile.clone().find(|one| one.instance_profile_name().ends_with("master-profile"));
    let profile = profile.expect("the masters have a profile");
    let (name, role) = (profile.instance_profile_name(), profile.roles()[0].role_name());
    let call = iam.remove_role_from_instance_profile().instance_profile_name(name).role_name(role);
    call.send().await.unwrap();
    iam.delete_instance_profile().instance_profile_name(name).send().await.unwrap();
    desk.cloud.clear_requests();

    let plan = desk.expect(2, &["plan", "--detailed-exitcode"]).out;
    assert!(plan.contains("+ iam_instance_profile.master"), "{plan}");
    assert!(plan.contains("~ instance.master-0"), "{plan}");
    assert!(!plan.contains("instance.master-0  replaced"), "{plan}");
    desk.apply();
    assert_eq!(desk.cloud.calls("RunInstances") + desk.cloud.calls("TerminateInstances"), 0);
    assert_eq!(desk.machine("master-0").await, before);
    let found = desk.ec2().describe_iam_instance_profile_associations().send().await.unwrap();
    let id = iam.get_instance_profile().instance_profile_name(name).send().await.unwrap();
    let id = id.instance_profile().unwrap().instance_profile_id().to_owned();
    let associated = found.iam_instance_profile_associations().iter().any(|one| {
        one.instance_id() == Some(&before)
            && one.iam_instance_profile().and_then(|profile| profile.id()) == Some(&id)
    });
    assert!(associated, "{found:?}");
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_with_a_profile_of_the_user_are_never_associated_anew() {
    let desk = Desk::new();
    // The field is of release 4.17 and later.
    let apply = || desk.expect(0, &["apply", "--auto-approve", "--release", "4.20"]);
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let (name, role) = ("ours", "masters");
    let call = iam.create_role().role_name(role).assume_role_policy_document("{}");
    call.send().await.unwrap();
    iam.create_instance_profile().instance_profile_name(name).send().await.unwrap();
    let call = iam.add_role_to_instance_profile().instance_profile_name(name).role_name(role);
    call.send().await.unwrap();
    let pool = "type: m5.2xlarge\n";
    rewrite(&desk, pool, &format!("{pool}      iamProfile: {name}\n"));
    apply();
    // Credentials that may not associate profiles can change everything else.
    desk.cloud.deny(&[
        "ec2:AssociateIamInstanceProfile",
        "ec2:DescribeIamInstanceProfileAssociations",
        "ec2:ReplaceIamInstanceProfileAssociation",
    ]);
    desk.cloud.clear_requests();
    rewrite(&desk, "authentication: Required", "authentication: Optional");
    apply();
    assert!(desk.cloud.calls("ModifyInstanceMetadataOptions") > 0);
    assert_eq!(desk.cloud.calls("DescribeIamInstanceProfileAssociations"), 0);
    desk.expect(0, &["plan", "--detailed-exitcode", "--release", "4.20"]);
}
