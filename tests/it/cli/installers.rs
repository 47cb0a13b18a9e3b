//! Destroy of clusters that openshift-install of 4.16 to 5.0 made, complete or interrupted, beside
//! the cluster of others.

mod cluster;

use std::fs;
use std::thread;

use serde_json::{Value, json};

use super::{Desk, Ran};
use crate::support::cloud::Cloud;
use cluster::{
    Cluster, Network, STAGES, Stage, form, network_of_the_user, query, record, tag_zone, text, zone,
};

/// An account with a public zone, and a folder without an install-config.
struct Place {
    desk: Desk,
    public_zone: String,
}

impl Place {
    fn new() -> Self {
        let desk = Desk::new();
        fs::remove_file(desk.path("install-config.yaml")).unwrap();
        let public_zone = zone(&desk.cloud, "example.com", None);
        record(&desk.cloud, &public_zone, "www.demo.example.com");
        Self { desk, public_zone }
    }

    fn cloud(&self) -> &Cloud {
        &self.desk.cloud
    }

    /// Returns the infra ID of a cluster with this name. The names of buckets are those of all
    /// accounts, so each account has its own.
    fn infra_id(&self, name: &str) -> String {
        let account = self.cloud().account();
        let letter = |digit: u8| char::from(b"bcdfghjklm"[usize::from(digit - b'0')]);
        let suffix: String =
            account.as_bytes()[account.len() - 5..].iter().copied().map(letter).collect();
        format!("{name}-{suffix}")
    }

    /// Returns the tag of the cluster to destroy.
    fn tag(&self) -> String {
        format!("kubernetes.io/cluster/{}", self.infra_id("demo"))
    }

    fn cluster<'a>(&'a self, name: &str, existing: Option<&'a Network>) -> Cluster<'a> {
        let range = if name == "demo" { "10.0" } else { "10.4" };
        let (cloud, infra_id) = (self.cloud(), self.infra_id(name));
        Cluster { cloud, infra_id, public_zone: &self.public_zone, existing, range }
    }

    /// Returns the cluster to destroy, whose metadata is in the folder.
    fn ours<'a>(&'a self, existing: Option<&'a Network>) -> Cluster<'a> {
        let ours = self.cluster("demo", existing);
        fs::write(self.desk.path("metadata.json"), ours.metadata()).unwrap();
        ours
    }

    fn destroy(&self, code: i32, by: By) -> Ran {
        let infra_id = self.infra_id("demo");
        let arguments = match by {
            By::InfraId => ["--infra-id", &infra_id, "--region", "us-west-2"],
            By::Metadata => ["--metadata", "metadata.json", "--parallelism", "10"],
        };
        self.desk.expect(code, &[&["destroy", "--auto-approve"], &arguments[..]].concat())
    }

    /// Destroys the cluster, and asserts that the account is as before. A second destroy changes
    /// nothing.
    fn destroys_exactly(&self, by: By, before: &Value, case: &str) -> Ran {
        let destroyed = self.destroy(0, by);
        let proof = format!("No resources with the tag {} remain.\n", self.tag());
        assert!(destroyed.out.ends_with(&proof), "{case}: {}", destroyed.out);
        assert_eq!(&self.cloud().inventory(), before, "{case}: {}", destroyed.out);
        self.cloud().clear_requests();
        let again = self.destroy(0, by);
        assert!(again.out.ends_with(&proof), "{case}: {}", again.out);
        assert_eq!(self.cloud().mutating_calls(), 0, "{case}");
        destroyed
    }

    fn ec2(&self, action: &str, pairs: &[(&str, &str)]) -> String {
        query(self.cloud(), "ec2", "2016-11-15", action, form(pairs))
    }

    fn elb(&self, action: &str, pairs: &[(&str, &str)]) -> String {
        query(self.cloud(), "elasticloadbalancing", "2015-12-01", action, form(pairs))
    }

    fn iam(&self, action: &str, pairs: &[(&str, &str)]) -> String {
        query(self.cloud(), "iam", "2010-05-08", action, form(pairs))
    }

    /// Returns the IDs of all resources of a type.
    fn ids(&self, kind: &str) -> Vec<String> {
        let ids = self.cloud().ids();
        let ids = ids[kind].as_array().expect("IDs").iter();
        ids.map(|id| id.as_str().expect("an ID").to_owned()).collect()
    }
}

/// The way in which a destroy without a state names its cluster.
#[derive(Clone, Copy)]
enum By {
    InfraId,
    Metadata,
}

#[test]
fn d9_an_interrupted_installation_goes_and_nothing_else() {
    let of_stage = |stage: Stage| {
        let place = Place::new();
        place.cluster("prod", None).make(Stage::Running);
        let before = place.cloud().inventory();
        for state in ["instance_pending", "nat_gateway_pending", "load_balancer_provisioning"] {
            place.cloud().delay(state, 3600.0); // the interrupted run waits for them
        }
        place.ours(None).make(stage);
        let by = if stage < Stage::Groups { By::InfraId } else { By::Metadata };
        place.destroys_exactly(by, &before, &format!("{stage:?}"));
    };
    thread::scope(|scope| {
        let of_stage = &of_stage;
        let stages = STAGES.map(|stage| scope.spawn(move || of_stage(stage)));
        for (stage, run) in STAGES.iter().zip(stages) {
            assert!(run.join().is_ok(), "{stage:?}");
        }
    });
}

/// Both clusters are in one network that neither owns. A profile of the cluster has a role of the
/// user, from which only the tag goes.
#[test]
fn d9_of_two_clusters_in_one_network_only_one_goes() {
    let place = Place::new();
    let network = network_of_the_user(place.cloud());
    place.cluster("prod", Some(&network)).make(Stage::Running);
    let role = ("RoleName", "team-nodes");
    place.iam("CreateRole", &[role, ("AssumeRolePolicyDocument", "{}")]);
    let group = [("Name", "team"), ("Protocol", "TCP"), ("Port", "80"), ("VpcId", &*network.vpc)];
    let targets = text(&place.elb("CreateTargetGroup", &group), "TargetGroupArn");
    let before = place.cloud().inventory();
    let ours = place.ours(Some(&network));
    ours.make(Stage::Running);
    let (tag, id) = (place.tag(), &ours.infra_id);
    let shared = [("Tags.member.1.Key", &*tag), ("Tags.member.1.Value", "shared")];
    place.iam("TagRole", &[&[role], &shared[..]].concat());
    let (profile, old) = (format!("{id}-worker-profile"), format!("{id}-worker-role"));
    let profile = ("InstanceProfileName", &*profile);
    place.iam("RemoveRoleFromInstanceProfile", &[profile, ("RoleName", &old)]);
    place.iam("AddRoleToInstanceProfile", &[profile, role]);
    let owned = [profile, ("Tags.member.1.Key", &*tag), ("Tags.member.1.Value", "owned")];
    place.iam("TagInstanceProfile", &owned);
    place.elb("AddTags", &[&[("ResourceArns.member.1", &*targets)], &shared[..]].concat());

    let destroyed = place.destroys_exactly(By::Metadata, &before, "a shared network");
    for line in [
        format!("  - swept.security-group:{id}-controlplane"), // has only the tag of Cluster API
        format!("  - swept.bucket:openshift-bootstrap-data-{id}"),
        format!("  - swept.bucket:backups-of-{id}"), // only its tag names the cluster
        "  - swept.shared-tag:team-nodes".to_owned(),
        "4 tags on shared resources".to_owned(), // two subnets, the role and the target group stay
    ] {
        assert!(destroyed.out.contains(&line), "{line}\n{}", destroyed.out);
    }
}

/// openshift-install ends such a destroy, too (openshift/installer #9942).
#[test]
fn d5_owned_subnets_that_another_cluster_shares_stop_a_destroy_that_names_both() {
    let place = Place::new();
    place.ours(None).make(Stage::Dns);
    let theirs = format!("kubernetes.io/cluster/{}", place.infra_id("prod"));
    let subnet = place.ids("subnet").remove(0);
    let tag = [("ResourceId.1", &*subnet), ("Tag.1.Key", &theirs), ("Tag.1.Value", "shared")];
    place.ec2("CreateTags", &tag);
    let mut zones = place.ids("hosted_zone").into_iter();
    let private = zones.find(|zone| *zone != place.public_zone).expect("a private zone");
    tag_zone(place.cloud(), &private, &theirs, "shared");
    place.cloud().clear_requests();
    let refused = place.destroy(7, By::InfraId);
    for id in [&subnet, &private] {
        let named = format!("{id} is tagged {theirs}=shared, besides {}", place.tag());
        assert!(refused.err.contains(&named), "{named}: {}", refused.err);
    }
    assert_eq!(place.cloud().mutating_calls(), 0);
}

/// The zone of a parent domain has records of several clusters. Those of this one go, from the public
/// zone, too.
#[test]
fn d9_in_a_zone_of_a_parent_domain_only_records_below_the_clusters_domain_go() {
    let place = Place::new();
    let cloud = place.cloud();
    let network = network_of_the_user(cloud);
    let shared = zone(cloud, "example.com", Some(&network.vpc));
    for name in ["api.prod", "api-int.prod"] {
        record(cloud, &shared, &format!("{name}.example.com"));
    }
    let before = cloud.inventory();
    for name in ["api.demo", "api-int.demo", "*.apps.demo"] {
        record(cloud, &shared, &format!("{name}.example.com"));
    }
    record(cloud, &place.public_zone, "api.demo.example.com");
    tag_zone(cloud, &shared, &place.tag(), "shared");
    place.ours(Some(&network));
    // Without the domain of the cluster, no record is its own.
    let infra_id = place.infra_id("demo");
    let by_id = ["destroy", "--infra-id", &infra_id, "--max-destroy", "0"];
    let shown = place.desk.expect(7, &by_id);
    assert!(shown.out.contains("swept.shared-tag"), "{}", shown.out);
    assert!(!shown.out.contains("swept.record"), "{}", shown.out);
    place.destroys_exactly(By::Metadata, &before, "a parent domain");
}

#[test]
fn d10_resources_of_unknown_services_are_named_and_never_reported_as_gone() {
    let place = Place::new();
    let (cloud, tag) = (place.cloud(), place.tag());
    place.ours(None).make(Stage::Roles);
    let api_tag =
        format!("sigs.k8s.io/cluster-api-provider-aws/cluster/{}", place.infra_id("demo"));
    let files = "arn:aws:elasticfilesystem:us-west-2:1:file-system/fs-0a1b";
    let key = "arn:aws:kms:us-west-2:1:key/5a";
    let backup = "arn:aws:backup:us-west-2:1:recovery-point:7b";
    cloud.report(backup, &json!({ &tag: "owned" }));
    cloud.report(files, &json!({ api_tag: "owned" }));
    cloud.report(key, &json!({ &tag: "shared" }));
    let ran = place.destroy(1, By::InfraId);
    let stays = format!("elasticfilesystem:file-system {files} (as the tagging API reports)");
    assert!(ran.out.contains(&stays) && ran.err.contains(&stays), "{ran:?}");
    assert!(ran.err.contains("error[resources-remain]"), "{}", ran.err);
    assert!(!ran.out.contains("No resources"), "{}", ran.out);
    let kept = format!("shared resources stay and keep the tag {tag}: kms:key {key}");
    assert!(ran.out.contains(&kept), "{}", ran.out);
    let stays = format!("only AWS Backup can delete them: backup:recovery-point {backup}");
    assert!(ran.out.contains(&stays), "{}", ran.out);

    cloud.report(files, &Value::Null); // deleted, and reported for an hour
    let stale = place.destroy(1, By::InfraId);
    assert!(stale.err.contains("reports a deleted resource for a while"), "{}", stale.err);
    cloud.advance(3601.0);
    let ran = place.destroy(0, By::InfraId);
    assert!(ran.out.contains("remain.") && ran.err.contains(&stays), "{ran:?}");
}

#[test]
fn d10_a_tagging_api_that_is_denied_or_fails_is_part_of_the_proof() {
    let calls = "GetResources in us-east-1, GetResources in us-west-2.\n";
    let denied = Place::new();
    denied.ours(None).make(Stage::Balancers);
    denied.cloud().deny(&["tag:GetResources"]);
    let ran = denied.destroy(0, By::InfraId);
    let end = format!(
        "No resources with the tag {} found. Not searched, because the credentials do not allow \
         it: {calls}",
        denied.tag()
    );
    assert!(ran.out.ends_with(&end), "{}", ran.out);
    let said = "the credentials do not allow GetResources in us-west-2";
    assert!(ran.out.contains(said) && ran.err.contains(said), "{ran:?}");
    denied.cloud().deny(&[]);
    assert!(denied.destroy(0, By::InfraId).out.contains("remain."));

    let failing = Place::new();
    failing.ours(None).make(Stage::Network);
    failing.cloud().fault(&json!({ "action": "GetResources", "status": 400, "times": null,
        "code": "InvalidParameterException", "message": "no such region" }));
    let ran = failing.destroy(0, By::InfraId);
    let end = format!("Not searched, because the call failed: {calls}");
    assert!(ran.out.ends_with(&end), "{}", ran.out);
    assert!(ran.err.contains("GetResources in us-west-2 failed (InvalidParameterException)"));
}

/// EC2 and the tagging API list a deleted NAT gateway and a terminated instance for a while.
#[test]
fn d6_what_is_remembered_of_deleted_resources_does_not_remain() {
    let place = Place::new();
    let before = place.cloud().inventory();
    place.ours(None).make(Stage::Machines);
    let nat = place.ids("nat_gateway").remove(0);
    let deleted = place.ec2("DeleteNatGateway", &[("NatGatewayId", &nat)]);
    assert_eq!(text(&deleted, "natGatewayId"), nat);
    let machine = place.ids("instance").remove(0);
    place.ec2("TerminateInstances", &[("InstanceId.1", &machine)]);
    place.cloud().fault(&json!({ "action": "GetResources", "kind": "empty", "times": 4 }));
    place.destroys_exactly(By::InfraId, &before, "remembered");
    assert!(place.cloud().calls("GetResources") >= 8, "before and after, both tags, two regions");
}
