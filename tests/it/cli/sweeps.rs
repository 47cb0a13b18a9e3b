//! Untracked resources in a destroy, and foreign resources that a destroy keeps.

use std::fs;

use aws_sdk_ec2::types::{
    IpPermission, ResourceType, Tag, TagSpecification, UserIdGroupPair, VolumeType,
};
use serde_json::{Value, json};

use super::{Desk, Ran};

/// A running cluster whose account also has other users.
struct Grown {
    desk: Desk,
    infra_id: String,
}

impl Grown {
    /// Creates a cluster with its records in a public hosted zone.
    async fn new() -> Self {
        let desk = Desk::new();
        let zone = desk.route53().create_hosted_zone().name("example.com").caller_reference("1");
        zone.send().await.expect("a public zone");
        let config = desk.path("install-config.yaml");
        let text = fs::read_to_string(&config).unwrap().replace("publish: Internal\n", "");
        fs::write(config, text).unwrap();
        desk.apply();
        let state: Value = serde_json::from_str(&desk.expect(0, &["show", "--json"]).out).unwrap();
        let infra_id = state["cluster"]["infra_id"].as_str().expect("an infra ID").to_owned();
        Self { desk, infra_id }
    }

    fn tag(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.infra_id)
    }

    fn tags(&self, of: ResourceType, name: &str) -> TagSpecification {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
        let owned = tag(&self.tag(), "owned");
        TagSpecification::builder().resource_type(of).tags(owned).tags(tag("Name", name)).build()
    }

    /// Returns the ID of the recorded resource at an address.
    fn id(&self, address: &str) -> String {
        let state: Value =
            serde_json::from_str(&self.desk.expect(0, &["show", "--json"]).out).unwrap();
        let resources = state["resources"].as_array().expect("resources");
        let found = resources.iter().find(|one| one["address"] == address);
        found.expect(address)["id"].as_str().expect("an id").to_owned()
    }

    /// Adds a carrier gateway with the cluster tag, as openshift-install creates it for Wavelength Zones,
    /// and an egress-only internet gateway without any tag.
    async fn gateways(&self) {
        let (ec2, vpc) = (self.desk.ec2(), self.id("vpc.main"));
        let carrier = ec2.create_carrier_gateway().vpc_id(&vpc);
        let tags = self.tags(ResourceType::CarrierGateway, "demo-cagw");
        carrier.tag_specifications(tags).send().await.expect("a carrier gateway");
        let egress_only = ec2.create_egress_only_internet_gateway().vpc_id(&vpc);
        egress_only.send().await.expect("an egress-only internet gateway");
        self.desk.cloud.delay("carrier_gateway_deleting", 0.5);
    }

    /// Adds resources that a running cluster creates: a worker, a volume of a claim, the registry's
    /// bucket and an operator's user. For a router, adds a load balancer, its security group, a
    /// rule for that group in the workers' group, and DNS records.
    async fn lives(&self) {
        let ec2 = self.desk.ec2();
        let (subnet, vpc) = (self.id("subnet.private-us-west-2a"), self.id("vpc.main"));
        let worker =
            ec2.run_instances().image_id("ami-0abcdef1234567890").min_count(1).max_count(1);
        let worker = worker.instance_type("m5.large".into()).subnet_id(&subnet);
        let name = format!("{}-worker-us-west-2a-8fj2k", self.infra_id);
        let tags = self.tags(ResourceType::Instance, &name);
        worker.tag_specifications(tags).send().await.expect("a worker");
        let volume = ec2.create_volume().availability_zone("us-west-2a").size(8);
        let tags = self.tags(ResourceType::Volume, "dynamic-pvc-1");
        volume
            .volume_type(VolumeType::Gp3)
            .tag_specifications(tags)
            .send()
            .await
            .expect("a volume");
        self.router(&subnet, &vpc).await;
        self.registry_and_user().await;
    }

    async fn router(&self, subnet: &str, vpc: &str) {
        let ec2 = self.desk.ec2();
        let group = ec2.create_security_group().group_name("k8s-elb-a1b2").description("router's");
        let tags = self.tags(ResourceType::SecurityGroup, "k8s-elb-a1b2");
        let group = group.vpc_id(vpc).tag_specifications(tags).send().await.expect("a group");
        let group = group.group_id().unwrap();
        let from = UserIdGroupPair::builder().group_id(group).build();
        let rule = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(from).build();
        let nodes = self.id("security_group.worker");
        let allow = ec2.authorize_security_group_ingress().group_id(&nodes).ip_permissions(rule);
        allow.send().await.expect("a rule in the nodes' group");

        let elb = aws_sdk_elasticloadbalancing::Client::new(&self.desk.cloud.sdk_config());
        let listener = aws_sdk_elasticloadbalancing::types::Listener::builder();
        let listener = listener.protocol("TCP").load_balancer_port(443).instance_port(30443);
        let tag =
            aws_sdk_elasticloadbalancing::types::Tag::builder().key(self.tag()).value("owned");
        let balancer = elb.create_load_balancer().load_balancer_name("a1b2").subnets(subnet);
        let balancer = balancer.listeners(listener.build().unwrap()).security_groups(group);
        balancer.tags(tag.build().unwrap()).send().await.expect("a classic balancer");
        for zone in self.zones().await {
            self.record(&zone, "*.apps.demo.example.com").await;
        }
        // A foreign record in the same domain.
        self.record(&self.zones().await[0], "www.demo.example.com").await;
    }

    /// Returns the hosted zones, the public one first.
    async fn zones(&self) -> Vec<String> {
        let listed = self.desk.route53().list_hosted_zones().send().await.unwrap();
        let mut zones: Vec<_> = listed.hosted_zones().iter().collect();
        zones.sort_by_key(|zone| zone.name().len());
        zones.iter().map(|zone| zone.id().rsplit('/').next().unwrap().to_owned()).collect()
    }

    async fn record(&self, zone: &str, name: &str) {
        use aws_sdk_route53::types::{
            Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
        };
        let value = ResourceRecord::builder().value("10.0.0.9").build().unwrap();
        let record = ResourceRecordSet::builder().name(name).r#type(RrType::A).ttl(30);
        let record = record.resource_records(value).build().unwrap();
        let change = Change::builder().action(ChangeAction::Create).resource_record_set(record);
        let batch = ChangeBatch::builder().changes(change.build().unwrap()).build().unwrap();
        let call = self.desk.route53().change_resource_record_sets().hosted_zone_id(zone);
        call.change_batch(batch).send().await.expect("a record");
    }

    async fn registry_and_user(&self) {
        let s3 = self.desk.s3();
        let bucket = format!("{}-image-registry-us-west-2-x1", self.infra_id);
        let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
            .location_constraint("us-west-2".into())
            .build();
        let create = s3.create_bucket().bucket(&bucket).create_bucket_configuration(place);
        create.send().await.expect("a bucket");
        let tag = aws_sdk_s3::types::Tag::builder().key(self.tag()).value("owned").build().unwrap();
        let tagging = aws_sdk_s3::types::Tagging::builder().tag_set(tag).build().unwrap();
        let tags = s3.put_bucket_tagging().bucket(&bucket).tagging(tagging);
        tags.send().await.expect("tags");
        let object = s3.put_object().bucket(&bucket).key("docker/registry/v2/blob");
        object.body(b"layers".to_vec().into()).send().await.expect("an object");

        let iam = self.desk.iam();
        let user = format!("{}-openshift-image-registry-8fj2k", self.infra_id);
        let tag =
            aws_sdk_iam::types::Tag::builder().key(self.tag()).value("owned").build().unwrap();
        iam.create_user().user_name(&user).tags(tag).send().await.expect("a user");
        let policy = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        ]});
        let put = iam.put_user_policy().user_name(&user).policy_name("p");
        put.policy_document(policy.to_string()).send().await.expect("a policy");
        iam.create_access_key().user_name(&user).send().await.expect("a key");
    }

    /// Adds foreign resources: an IAM user whose name begins with the infra ID, and a volume
    /// without tags.
    async fn strangers(&self) {
        let user = format!("{}-backup", self.infra_id);
        self.desk.iam().create_user().user_name(user).send().await.expect("a user");
        let volume = self.desk.ec2().create_volume().availability_zone("us-west-2a").size(8);
        volume.send().await.expect("a volume");
    }

    fn destroy(&self, code: i32, besides: &[&str]) -> Ran {
        self.desk.expect(code, &[&["destroy", "--auto-approve"], besides].concat())
    }
}

impl Desk {
    pub(super) fn route53(&self) -> aws_sdk_route53::Client {
        aws_sdk_route53::Client::new(&self.cloud.sdk_config())
    }

    fn iam(&self) -> aws_sdk_iam::Client {
        aws_sdk_iam::Client::new(&self.cloud.sdk_config())
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.cloud.sdk_config());
        aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
    }
}

/// Returns the type and name of every resource of an account.
fn labels(desk: &Desk) -> Vec<String> {
    let inventory = desk.cloud.inventory();
    let objects = inventory.as_object().expect("objects").values();
    let rows = objects.flat_map(|rows| rows.as_array().expect("rows"));
    rows.map(|row| row["label"].as_str().expect("a label").to_owned()).collect()
}

const STRANGERS: usize = 4; // the zone, www in it, the user, the volume

#[tokio::test(flavor = "multi_thread")]
async fn d3_what_the_cluster_made_for_itself_is_shown_and_goes_in_an_order_that_works() {
    let grown = Grown::new().await;
    grown.lives().await;
    grown.strangers().await;
    let destroyed = grown.destroy(0, &[]);
    let worker = format!("  - swept.instance:{}-worker-us-west-2a-8fj2k", grown.infra_id);
    for line in [
        worker.as_str(),
        "  - swept.classic-load-balancer:a1b2",
        "  - swept.security-group:k8s-elb-a1b2",
        "  - swept.volume:dynamic-pvc-1",
        "  - swept.record:*.apps.demo.example.com",
        "1 instance, 1 classic load balancer, 1 volume, 1 security group, 1 DNS record, 1 bucket, 1 IAM user",
        "with the data of the cluster's users",
    ] {
        assert!(destroyed.out.contains(line), "{line}\n{}", destroyed.out);
    }
    assert!(
        destroyed.out.ends_with(&format!("No resources with the tag {} remain.\n", grown.tag()))
    );
    let left = labels(&grown.desk);
    assert_eq!(left.len(), STRANGERS, "{left:?}");
    assert_eq!(refused(&grown.desk), Vec::<String>::new());
}

/// Returns the delete, detach and release calls that AWS rejected.
fn refused(desk: &Desk) -> Vec<String> {
    let calls = desk.cloud.requests().into_iter();
    let refused = calls.filter(|call| call["status"].as_u64().is_some_and(|status| status >= 400));
    let named = refused.map(|call| call["action"].as_str().expect("an action").to_owned());
    named
        .filter(|action| ["Delete", "Detach", "Release"].iter().any(|v| action.starts_with(v)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn d1_and_d8_destroyed_in_order_and_destroyed_again() {
    let grown = Grown::new().await;
    grown.desk.cloud.clear_requests();
    let destroyed = grown.destroy(0, &[]);
    assert!(!destroyed.out.contains("swept."), "{}", destroyed.out);
    assert_eq!(refused(&grown.desk), Vec::<String>::new());
    grown.desk.cloud.clear_requests();
    let again = grown.destroy(0, &[]);
    assert!(again.out.contains("No resources with the tag"), "{}", again.out);
    assert_eq!(grown.desk.cloud.mutating_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_with_the_state_lost_the_infra_id_is_enough() {
    let grown = Grown::new().await;
    grown.lives().await;
    grown.strangers().await;
    fs::remove_dir_all(grown.desk.path("state")).unwrap();
    fs::remove_file(grown.desk.path("install-config.yaml")).unwrap();
    let wrong = grown.destroy(1, &["--infra-id", "demo-zzzzz", "--region", "us-west-2"]);
    assert!(wrong.err.contains("no resources of demo-zzzzz found in us-west-2"), "{}", wrong.err);
    let destroyed = grown.destroy(0, &["--infra-id", &grown.infra_id]);
    assert!(
        destroyed.out.ends_with(&format!("No resources with the tag {} remain.\n", grown.tag()))
    );
    let left = labels(&grown.desk);
    assert_eq!(left.len(), STRANGERS, "{left:?}");
    grown.destroy(0, &["--cluster", "demo"]); // the state records that nothing is left
}

#[tokio::test(flavor = "multi_thread")]
async fn d2_so_is_the_metadata_of_an_installer() {
    let grown = Grown::new().await;
    grown.gateways().await;
    fs::remove_dir_all(grown.desk.path("state")).unwrap();
    let metadata = json!({
        "clusterName": "demo", "clusterID": "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
        "infraID": grown.infra_id, "aws": {"region": "us-west-2"},
    });
    let file = grown.desk.path("metadata.json");
    fs::write(&file, metadata.to_string()).unwrap();
    let shown = grown.destroy(7, &["--metadata", "metadata.json", "--max-destroy", "0"]);
    for kind in ["vpc", "carrier-gateway", "egress-only-internet-gateway"] {
        assert!(shown.out.contains(&format!("  - swept.{kind}:")), "{kind}: {}", shown.out);
    }
    let theirs = grown.desk.ec2().create_vpc().cidr_block("10.9.0.0/16");
    let shared = |cluster: &str| {
        Tag::builder().key(format!("kubernetes.io/cluster/{cluster}")).value("shared").build()
    };
    let tags = TagSpecification::builder().resource_type(ResourceType::Vpc);
    let tags = tags.tags(shared(&grown.infra_id)).tags(shared("prod-abcde")).build();
    theirs.tag_specifications(tags).send().await.expect("a network that both use");
    grown.destroy(0, &["--metadata", "metadata.json"]);
    assert_eq!(labels(&grown.desk), ["hosted_zone:example.com.", "vpc:10.9.0.0/16"]);
    fs::write(&file, json!({"infraID": "demo-x7k2p"}).to_string()).unwrap();
    let mut odd = metadata.clone();
    odd["clusterName"] = json!("../elsewhere");
    odd["infraID"] = json!("demo");
    fs::write(grown.desk.path("odd.json"), odd.to_string()).unwrap();
    let refused = grown.destroy(3, &["--metadata", "odd.json"]).err;
    assert!(refused.contains("invalid `clusterName`"), "{refused}");
    assert!(refused.contains("invalid `infraID`"), "{refused}");
    assert!(!grown.desk.path("elsewhere").exists());
    let refused = grown.destroy(3, &["--metadata", "metadata.json"]);
    assert!(refused.err.contains("`clusterName` is missing"), "{}", refused.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn d5_what_another_cluster_uses_stops_a_destroy_before_its_first_call() {
    let grown = Grown::new().await;
    let subnet = grown.id("subnet.private-us-west-2a");
    let theirs = Tag::builder().key("kubernetes.io/cluster/prod-abcde").value("shared").build();
    let tag = grown.desk.ec2().create_tags().resources(&subnet).tags(theirs.clone());
    tag.send().await.expect("a tag");
    grown.desk.cloud.clear_requests();
    let refused = grown.destroy(7, &[]);
    let named = format!("{subnet} is tagged kubernetes.io/cluster/prod-abcde=shared");
    assert!(refused.err.contains(&named), "{}", refused.err);
    assert_eq!(grown.desk.cloud.mutating_calls(), 0);
    let untag = grown.desk.ec2().delete_tags().resources(&subnet).tags(theirs);
    untag.send().await.expect("no tag");
    grown.destroy(0, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_destroy_stays_and_is_not_recorded() {
    let grown = Grown::new().await;
    grown.lives().await;
    let part = grown.destroy(0, &["--exclude", "swept.volume:*"]);
    assert!(part.out.contains("swept.volume:dynamic-pvc-1"), "{}", part.out);
    let left = labels(&grown.desk);
    assert!(left.contains(&"volume:dynamic-pvc-1".to_owned()), "{left:?}");
    assert!(!left.iter().any(|one| one.starts_with("vpc:")), "{left:?}");
    let listed = grown.desk.expect(0, &["state", "list"]).out;
    assert!(!listed.contains("swept."), "{listed}");
    let rest = grown.destroy(0, &[]);
    assert!(rest.out.contains("1 destroyed."), "{}", rest.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_with_an_excluded_resource_stays() {
    let desk = Desk::new();
    desk.apply();
    let networks = desk.ec2().describe_vpcs().send().await.expect("VPCs");
    let ours = networks.vpcs().iter().find(|vpc| !vpc.is_default.unwrap_or_default());
    let network = ours.and_then(|vpc| vpc.vpc_id()).expect("the network");
    let group = desk.ec2().create_security_group().vpc_id(network);
    group.group_name("left").description("left").send().await.expect("a group");
    let ran = desk.expect(0, &["destroy", "--auto-approve", "--exclude", "swept"]);
    assert!(!ran.out.contains("- vpc.main"), "{}", ran.out);
    let listed = desk.expect(0, &["state", "list"]).out;
    assert!(listed.contains("vpc.main"), "{listed}");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[test]
fn a_run_that_fails_ends_with_two_lines() {
    let desk = Desk::new();
    desk.cloud.fault(&json!({
        "action": "CreateVpc", "status": 400, "code": "InvalidParameterValue", "message": "no",
    }));
    let ran = desk.expect(1, &["apply", "--auto-approve"]);
    assert!(
        ran.out.contains("left for the next run.\nCompleted steps are recorded"),
        "{}",
        ran.out
    );
}

/// The destroy is killed at several calls, one after another.
#[tokio::test(flavor = "multi_thread")]
async fn k9_a_destroy_killed_in_its_sweep_ends_with_nothing_left() {
    let grown = Grown::new().await;
    grown.lives().await;
    for call in [1, 3, 6, 10, 15] {
        let mut destroy = grown.desk.start(&["destroy", "--auto-approve"]);
        let before = grown.desk.cloud.mutating_calls();
        let deadline = std::time::Instant::now() + crate::support::cloud::PATIENCE;
        while grown.desk.cloud.mutating_calls() < before + call
            && destroy.try_wait().expect("a child").is_none()
        {
            assert!(std::time::Instant::now() < deadline, "it makes no calls");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        destroy.kill().expect("killed");
        destroy.wait().expect("gone");
    }
    grown.destroy(0, &[]);
    assert_eq!(labels(&grown.desk), ["hosted_zone:example.com.", "record:www.demo.example.com."]);
}

/// A rule in a foreign security group blocks the deletion of a group of the cluster. The rule
/// stays.
#[tokio::test]
async fn rules_of_foreign_groups_are_not_taken_away() {
    use groundplan_aws::{Aws, AwsSettings};
    use groundplan_engine::provider::{Provider, RecordedResource};
    use groundplan_engine::state::fence::Fence;
    let cloud = crate::support::cloud::shared();
    let ec2 = aws_sdk_ec2::Client::new(&cloud.sdk_config());
    let made = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.expect("a VPC");
    let network = made.vpc().unwrap().vpc_id().unwrap().to_owned();
    let group = async |name: &str| {
        let make = ec2.create_security_group().group_name(name).description(name);
        let made = make.vpc_id(&network).send().await.expect("a group");
        made.group_id().unwrap().to_owned()
    };
    let (ours, theirs) = (group("k8s-elb-a").await, group("bastion").await);
    let from = UserIdGroupPair::builder().group_id(&ours).build();
    let rule = IpPermission::builder().ip_protocol("-1").user_id_group_pairs(from).build();
    let allow = ec2.authorize_security_group_ingress().group_id(&theirs).ip_permissions(rule);
    allow.send().await.expect("a rule");
    let cluster_tag = "kubernetes.io/cluster/demo-x7k2p".to_owned();
    let settings =
        AwsSettings { region: "us-west-2".into(), cluster_tag, ..AwsSettings::default() };
    let known = RecordedResource {
        address: "swept.security-group:k8s-elb-a".into(),
        token: String::new(),
        inputs: json!({"what": "security-group", "name": "k8s-elb-a"}),
        outputs: json!({"id": ours, "what": "security-group"}),
    };
    let aws = Aws::new(&cloud.sdk_config(), settings).with_fence(Fence::open());
    let refused = aws.delete(known).await.expect_err("it is named");
    assert!(refused.message.contains(&format!("{theirs} (a rule in it references")), "{refused}");
    assert_eq!(cloud.calls("RevokeSecurityGroupIngress"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_credentials_may_not_delete_stops_a_destroy_before_its_first_call() {
    let grown = Grown::new().await;
    grown.lives().await;
    grown.desk.cloud.deny(&["ec2:DeleteSubnet", "iam:DeleteUser"]);
    grown.desk.cloud.clear_requests();
    let refused = grown.destroy(7, &[]).err;
    for action in ["ec2:DeleteSubnet", "iam:DeleteUser"] {
        assert!(refused.contains(action), "{action}: {refused}");
    }
    assert_eq!(grown.desk.cloud.mutating_calls(), 0);
    grown.desk.cloud.deny(&[]);
    grown.destroy(0, &[]);
}

/// AWS Backup copies the cluster tag to its images and snapshots, and EC2 deletes neither. A destroy
/// names them, and ends with success.
#[tokio::test(flavor = "multi_thread")]
async fn backups_of_aws_backup_stay_and_are_named() {
    let grown = Grown::new().await;
    let made = grown.desk.cloud.back_up(&grown.id("instance.master-0"));
    assert!(made.len() >= 2, "{made:?}");
    let destroyed = grown.destroy(0, &[]);
    let stays = "backups of the cluster stay, because only AWS Backup can delete them: ";
    for id in &made {
        let is_named = |text: &str| {
            let mut lines = text.lines();
            lines.any(|line| line.contains(stays) && line.contains(id))
        };
        assert!(is_named(&destroyed.out) && is_named(&destroyed.err), "{id}\n{destroyed:?}");
    }
    assert_eq!(refused(&grown.desk), Vec::<String>::new());
    assert!(grown.destroy(0, &[]).out.contains(stays), "it is said as long as they are there");
}

/// The credentials may not list IAM users and carrier gateways. The destroy deletes the resources it
/// finds and reports that.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_credentials_may_not_look_is_said() {
    let grown = Grown::new().await;
    grown.desk.cloud.deny(&["iam:ListUsers"]);
    grown.desk.cloud.fault(&json!({"action": "DescribeCarrierGateways", "kind": "error",
        "status": 403, "code": "UnauthorizedOperation", "times": null}));
    let destroyed = grown.destroy(0, &[]);
    let said = "the credentials do not allow ListUsers";
    assert!(destroyed.out.contains(said), "{}", destroyed.out);
    assert!(destroyed.err.contains(said), "{}", destroyed.err);
    // The networks are gone at the end, and with them all that could be in the list.
    let said = "the credentials do not allow DescribeCarrierGateways";
    assert!(destroyed.out.contains(said), "{}", destroyed.out);
    let end = "Not searched, because the credentials do not allow it: ListUsers.\n";
    assert!(destroyed.out.ends_with(end), "{}", destroyed.out);
    assert!(!destroyed.out.contains("remain."), "{}", destroyed.out);
}
