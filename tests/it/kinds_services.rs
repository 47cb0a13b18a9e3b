//! Roles, load balancers, DNS and buckets live through what every kind must live through, against
//! the test cloud: created, found, configured, observed, updated, deleted, all of it twice.

use std::sync::Arc;

use groundplan::aws::hosted_zone::{HostedZone, HostedZoneOutputs};
use groundplan::aws::iam_instance_profile::{IamInstanceProfile, IamInstanceProfileOutputs};
use groundplan::aws::iam_role::{IamRole, IamRoleOutputs};
use groundplan::aws::iam_role_policy::IamRolePolicy;
use groundplan::aws::ids::{BucketName, DnsName, PrivateIp, SubnetId, TargetGroupArn, VpcId};
use groundplan::aws::listener::Listener;
use groundplan::aws::load_balancer::{LoadBalancer, LoadBalancerOutputs};
use groundplan::aws::record::{Record, RecordData};
use groundplan::aws::s3_bucket::{S3Bucket, S3BucketOutputs};
use groundplan::aws::s3_object::S3Object;
use groundplan::aws::shared_tags::SharedTags;
use groundplan::aws::target::Target;
use groundplan::aws::target_group::{HealthCheck, TargetGroup, TargetGroupOutputs};
use groundplan::aws::{Aws, Settings, Tags};
use groundplan::graph::{Address, Resource};
use groundplan::provider::{Class, Known, Look, Observed, Provider, ProviderError, Request};
use groundplan::secret::Secrets;
use serde_json::{Value, json};

use crate::support::cloud::{Cloud, shared};
use crate::support::kinds::{self, Trial};

const CLUSTER: &str = "kubernetes.io/cluster/demo-x7k2p";

#[tokio::test]
async fn a_role_lives_through_it_all() {
    let bench = Bench::new();
    let wanted = role("demo-role");
    let mut changed = wanted.clone();
    changed.trust = trust("ec2.amazonaws.com.cn");
    changed.tags = tags(&[("Name", "demo-role"), ("team", "b"), ("new", "1")]);
    bench.live_through("iam_role.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn an_inline_policy_lives_through_it_all() {
    let bench = Bench::new();
    let role = bench.make("demo", &role("demo-role")).await;
    let wanted = policy(&role, &["ec2:DescribeInstances", "ec2:DescribeRegions"]);
    bench.live_through("iam_role_policy.demo", &wanted, &policy(&role, &["ec2:Describe*"])).await;
}

#[tokio::test]
async fn an_instance_profile_lives_through_it_all() {
    let bench = Bench::new();
    let first = bench.make("first", &role("demo-first")).await;
    let second = bench.make("second", &role("demo-second")).await;
    let wanted = profile("demo-profile", &first);
    let mut changed = profile("demo-profile", &second);
    changed.tags.insert("new".to_owned(), "1".to_owned());
    bench.live_through("iam_instance_profile.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_load_balancer_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let wanted = balancer("demo-int", &network.subnets[..1]);
    let mut changed = balancer("demo-int", &network.subnets);
    changed.cross_zone = false;
    changed.tags.remove("team");
    bench.live_through("load_balancer.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_target_group_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let wanted = group("demo-aint", &network, 6443);
    let mut changed = wanted.clone();
    changed.health_check.path = "/healthz".to_owned();
    changed.health_check.unhealthy_threshold = 3;
    changed.tags.insert("new".to_owned(), "1".to_owned());
    bench.live_through("target_group.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_listener_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let balancer: LoadBalancerOutputs =
        bench.make("demo", &balancer("demo-int", &network.subnets)).await;
    let first: TargetGroupOutputs = bench.make("a", &group("demo-a", &network, 6443)).await;
    let second: TargetGroupOutputs = bench.make("b", &group("demo-b", &network, 6443)).await;
    let wanted = listener(&balancer, 6443, &first);
    bench.live_through("listener.demo", &wanted, &listener(&balancer, 6443, &second)).await;
}

#[tokio::test]
async fn a_target_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let group: TargetGroupOutputs = bench.make("a", &group("demo-a", &network, 6443)).await;
    let wanted = target(&group, "10.0.0.10");
    bench.live_through("target.demo", &wanted, &wanted.clone()).await;
}

#[tokio::test]
async fn a_hosted_zone_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let wanted = zone(&bench, &network, "demo.example.com");
    let mut changed = wanted.clone();
    // More than one call takes.
    changed.tags.extend((0..15).map(|number| (format!("tag-{number}"), "x".to_owned())));
    changed.tags.remove("team");
    bench.live_through("hosted_zone.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn an_alias_record_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let old = balancer("demo-old", &network.subnets);
    let new = balancer("demo-new", &network.subnets);
    let old: LoadBalancerOutputs = bench.make("old", &old).await;
    let new: LoadBalancerOutputs = bench.make("new", &new).await;
    let wanted = alias(&zone, "api.demo.example.com", &old);
    bench.live_through("record.demo", &wanted, &alias(&zone, "api.demo.example.com", &new)).await;
}

#[tokio::test]
async fn a_cname_lives_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let wanted = cname(&zone, "api.demo.example.com", "int.elb.example.net");
    let mut changed = cname(&zone, "api.demo.example.com", "ext.elb.example.net");
    changed.data = match changed.data {
        RecordData::Cname { dns_name, .. } => RecordData::Cname { dns_name, ttl_seconds: 60 },
        alias @ RecordData::Alias { .. } => alias,
    };
    bench.live_through("record.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_cname_becomes_an_alias_in_one_change() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let balancer: LoadBalancerOutputs =
        bench.make("demo", &balancer("demo-int", &network.subnets)).await;
    let wanted = cname(&zone, "api.demo.example.com", "int.elb.example.net");
    let changed = alias(&zone, "api.demo.example.com", &balancer);
    bench.live_through("record.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_bucket_lives_through_it_all() {
    let bench = Bench::new();
    let wanted = bucket(&bench, "life");
    let mut changed = wanted.clone();
    changed.tags.remove("team");
    changed.tags.insert("new".to_owned(), "1".to_owned());
    bench.live_through("s3_bucket.demo", &wanted, &changed).await;
}

#[tokio::test]
async fn a_bucket_in_the_default_region_lives_through_it_all() {
    let bench = Bench::in_region("us-east-1");
    let wanted = bucket(&bench, "default");
    bench.live_through("s3_bucket.demo", &wanted, &wanted.clone()).await;
}

#[tokio::test]
async fn an_object_lives_through_it_all() {
    let mut secrets = Secrets::default();
    let (old, new) = (secrets.keep(b"{\"old\": 1}".to_vec()), secrets.keep(b"{}".to_vec()));
    let bench = Bench { secrets: Arc::new(secrets), ..Bench::new() };
    let bucket: S3BucketOutputs = bench.make("demo", &bucket(&bench, "object")).await;
    let object = |content| S3Object {
        bucket: bucket.name.clone().into(),
        key: "bootstrap.ign".to_owned(),
        content,
        tags: tags(&[("Name", "demo x"), (CLUSTER, "owned")]),
    };
    bench.live_through("s3_object.demo", &object(old.clone()), &object(new)).await;
    let mut tagged = object(old.clone());
    tagged.tags.insert("new".to_owned(), "1".to_owned());
    bench.live_through("s3_object.tags", &object(old), &tagged).await;
}

#[tokio::test]
async fn shared_tags_live_through_it_all() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let shared = |subnets: &[SubnetId], hosted_zone| SharedTags {
        key: "kubernetes.io/cluster/other-abcde".to_owned(),
        subnets: subnets.to_vec(),
        hosted_zone,
    };
    let both = shared(&network.subnets, Some(zone.id.clone()));
    bench
        .live_through(
            "shared_tags.both",
            &shared(&network.subnets[..1], Some(zone.id.clone())),
            &both,
        )
        .await;
    bench.live_through("shared_tags.subnets", &both, &shared(&network.subnets[1..], None)).await;
    bench.live_through("shared_tags.zone", &shared(&[], Some(zone.id)), &both).await;
}

#[tokio::test]
async fn a_name_that_another_creation_took_is_refused_and_left_alone() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let role_of = role("demo-role");
    bench.make("theirs", &role_of).await;
    bench.refuses("ours", &role_of).await;

    let role_outputs: IamRoleOutputs = bench.make("theirs", &role_of).await;
    let profile = profile("demo-profile", &role_outputs);
    let _: IamInstanceProfileOutputs = bench.make("theirs", &profile).await;
    bench.refuses("ours", &profile).await;

    let balancer = balancer("demo-int", &network.subnets);
    bench.make("theirs", &balancer).await;
    bench.refuses("ours", &balancer).await;

    let group = group("demo-aint", &network, 6443);
    bench.make("theirs", &group).await;
    bench.refuses("ours", &group).await;
}

#[tokio::test]
async fn a_bucket_of_another_cluster_is_refused() {
    let bench = Bench::new();
    let mut theirs = bucket(&bench, "taken");
    theirs.tags = tags(&[("kubernetes.io/cluster/prod-abcde", "owned")]);
    bench.make("theirs", &theirs).await;
    let error = bench.refuses("ours", &bucket(&bench, "taken")).await;
    assert!(error.message.contains("prod-abcde"), "{error}");
}

#[tokio::test]
async fn a_bucket_with_somebodys_objects_in_it_is_refused() {
    let bench = Bench::new();
    let wanted = bucket(&bench, "untagged");
    let s3 = bench.s3();
    let place = aws_sdk_s3::types::CreateBucketConfiguration::builder()
        .location_constraint(bench.cloud.region().into())
        .build();
    let name = wanted.name.as_str();
    s3.create_bucket().bucket(name).create_bucket_configuration(place).send().await.unwrap();
    assert!(bench.find("ours", &wanted).await.unwrap().is_some(), "empty and untagged");
    s3.put_object().bucket(name).key("theirs").send().await.unwrap();
    bench.refuses("ours", &wanted).await;
}

#[tokio::test]
async fn a_record_that_points_elsewhere_is_neither_overwritten_nor_deleted() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let zone: HostedZoneOutputs =
        bench.make("demo", &zone(&bench, &network, "demo.example.com")).await;
    let theirs = cname(&zone, "api.demo.example.com", "prod.elb.example.net");
    let made = bench.make_known("theirs", &theirs).await;
    let ours = cname(&zone, "api.demo.example.com", "demo.elb.example.net");
    let error = bench.refuses("ours", &ours).await;
    assert!(error.message.contains("prod.elb.example.net"), "{error}");

    let mut known = made.clone();
    known.inputs = serde_json::to_value(&ours).unwrap();
    let error = bench.aws.delete(known).await.unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(bench.is_there(&made).await);
}

#[tokio::test]
async fn an_object_without_its_content_is_refused_with_what_to_pass() {
    let bench = Bench::new();
    let object = S3Object {
        bucket: BucketName::from("demo").into(),
        key: "bootstrap.ign".to_owned(),
        content: groundplan::secret::Secret::of(b"elsewhere"),
        tags: Tags::new(),
    };
    let error = bench.aws.create(bench.request("demo", &object)).await.unwrap_err();
    assert_eq!(error.class, Class::Refused);
    assert!(error.hint.is_some_and(|hint| hint.contains("--assets")));
}

#[tokio::test]
async fn a_bucket_goes_with_every_version_of_what_is_in_it() {
    let bench = Bench::new();
    let known = bench.make_known("demo", &bucket(&bench, "versions")).await;
    let name = known.outputs["name"].as_str().unwrap();
    let s3 = bench.s3();
    let versioning = aws_sdk_s3::types::VersioningConfiguration::builder()
        .status(aws_sdk_s3::types::BucketVersioningStatus::Enabled)
        .build();
    s3.put_bucket_versioning()
        .bucket(name)
        .versioning_configuration(versioning)
        .send()
        .await
        .unwrap();
    for _ in 0..3 {
        s3.put_object().bucket(name).key("bootstrap.ign").send().await.unwrap();
    }
    s3.delete_object().bucket(name).key("bootstrap.ign").send().await.unwrap();
    bench.aws.delete(known.clone()).await.unwrap();
    assert!(!bench.is_there(&known).await);
}

#[tokio::test]
async fn a_zone_goes_with_what_the_operators_wrote_into_it() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let known = bench.make_known("demo", &zone(&bench, &network, "demo.example.com")).await;
    let outputs: HostedZoneOutputs = serde_json::from_value(known.outputs.clone()).unwrap();
    bench.make("apps", &cname(&outputs, "*.apps.demo.example.com", "apps.elb.example.net")).await;
    bench.aws.delete(known.clone()).await.unwrap();
    assert!(!bench.is_there(&known).await);
}

#[tokio::test]
async fn a_profile_goes_whatever_role_somebody_put_into_it() {
    let bench = Bench::new();
    let ours: IamRoleOutputs = bench.make("ours", &role("demo-ours")).await;
    let theirs: IamRoleOutputs = bench.make("theirs", &role("demo-theirs")).await;
    let known = bench.make_known("demo", &profile("demo-profile", &ours)).await;
    let request = bench.request("demo", &profile("demo-profile", &theirs));
    bench.aws.update(request, known.clone()).await.unwrap();
    bench.aws.delete(known.clone()).await.unwrap();
    assert!(!bench.is_there(&known).await);
}

#[tokio::test]
async fn a_balancer_is_gone_when_its_interfaces_are() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    bench.cloud.delay("load_balancer_interfaces", 2.0);
    let known = bench.make_known("demo", &balancer("demo-int", &network.subnets)).await;
    bench.aws.delete(known.clone()).await.unwrap();
    let looks = bench.aws.gone(known.address.kind().to_owned(), vec![known.clone()]).await;
    assert!(matches!(&looks.unwrap()[..], [Look::NotYet(word)] if word.contains("interfaces")));
    bench.kinds().unmake(&known).await;
    let subnet = network.subnets[0].as_str();
    network.ec2.delete_subnet().subnet_id(subnet).send().await.expect("nothing holds the subnet");
}

#[tokio::test]
async fn what_refers_to_something_not_visible_yet_is_asked_again() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let role = IamRoleOutputs { name: "demo-unseen".into(), arn: String::new() };
    let zone = HostedZoneOutputs { id: "Z0UNSEEN".into() };
    let balancer: LoadBalancerOutputs =
        bench.make("demo", &balancer("demo-int", &network.subnets)).await;
    let arn = format!("arn:aws:elasticloadbalancing:us-west-2:{}:", bench.cloud.account());
    let group = TargetGroupOutputs { arn: TargetGroupArn(arn + "targetgroup/demo-unseen/0a1b2c") };
    for request in [
        bench.request("demo", &policy(&role, &["ec2:Describe*"])),
        bench.request("demo", &listener(&balancer, 6443, &group)),
        bench.request("demo", &target(&group, "10.0.0.10")),
        bench.request("demo", &cname(&zone, "api.demo.example.com", "int.elb.example.net")),
    ] {
        let address = request.address.clone();
        let error = bench.aws.create(request).await.unwrap_err();
        assert_eq!(error.class, Class::Again, "{address}: {error}");
    }
}

#[tokio::test]
async fn a_balancer_is_ready_when_it_is_active() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    bench.cloud.delay("load_balancer_provisioning", 1.0);
    let request = bench.request("demo", &balancer("demo-int", &network.subnets));
    let outputs = bench.aws.create(request.clone()).await.unwrap();
    let Request { address, token, inputs, .. } = request;
    let known = Known { address, token, inputs, outputs: outputs.clone() };
    let look = || bench.aws.ready("load_balancer".to_owned(), vec![known.clone()]);
    assert_eq!(look().await.unwrap(), [Look::NotYet("provisioning".to_owned())]);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(look().await.unwrap(), [Look::Done(outputs)]);
}

#[tokio::test]
async fn what_stands_is_seen_beside_what_is_missing() {
    let bench = Bench::new();
    let network = Network::make(&bench.cloud).await;
    let stays = bench.make_known("a", &balancer("demo-a", &network.subnets)).await;
    let goes = bench.make_known("b", &balancer("demo-b", &network.subnets)).await;
    bench.aws.delete(goes.clone()).await.unwrap();
    let seen = bench.aws.observe("load_balancer".to_owned(), vec![goes, stays]).await.unwrap();
    assert!(matches!(seen[..], [Observed::Missing, Observed::Present { .. }]), "{seen:?}");
}

#[tokio::test]
async fn a_drifted_trust_is_seen_and_mended() {
    let bench = Bench::new();
    let wanted = role("demo-role");
    let known = bench.make_known("demo", &wanted).await;
    let iam = aws_sdk_iam::Client::new(&bench.cloud.sdk_config());
    let theirs = trust("lambda.amazonaws.com");
    iam.update_assume_role_policy()
        .role_name("demo-role")
        .policy_document(theirs.to_string())
        .send()
        .await
        .unwrap();
    let inputs = bench.observed(&known).await;
    assert_eq!(inputs["trust"], theirs);
    let before = Known { inputs, ..known.clone() };
    bench.aws.update(bench.request("demo", &wanted), before).await.unwrap();
    assert_eq!(bench.observed(&known).await, known.inputs);
}

/// Observing a standard cluster stays within 25 calls: a figure of ours, so that a plan's cost does
/// not creep up.
#[tokio::test]
async fn observing_a_clusters_services_takes_at_most_25_calls() {
    let bench = standard_cluster().await;
    bench.0.cloud.clear_requests();
    for (kind, known) in &bench.1 {
        let seen = bench.0.aws.observe((*kind).to_owned(), known.clone()).await.unwrap();
        for (seen, known) in seen.iter().zip(known) {
            let Observed::Present { inputs, .. } = seen else { panic!("{known:?} is missing") };
            assert_eq!(*inputs, known.inputs, "{}", known.address);
        }
    }
    let calls = bench.0.cloud.requests();
    let names: Vec<_> = calls.iter().map(|call| &call["action"]).collect();
    assert!(calls.len() <= 25, "{}: {names:?}", calls.len());
}

/// Three roles with policy and profile, two balancers, three groups and listeners, twelve targets,
/// two zones, three records, a bucket and an object.
async fn standard_cluster() -> (Bench, Vec<(&'static str, Vec<Known>)>) {
    let mut secrets = Secrets::default();
    let content = secrets.keep(b"{}".to_vec());
    let bench = Bench { secrets: Arc::new(secrets), ..Bench::new() };
    let network = Network::make(&bench.cloud).await;
    let mut all = Made::default();
    for node in ["bootstrap", "master", "worker"] {
        let role: IamRoleOutputs = all.add(&bench, node, &role(&format!("demo-{node}-role"))).await;
        all.add(&bench, node, &policy(&role, &["ec2:Describe*"])).await;
        all.add(&bench, node, &profile(&format!("demo-{node}-profile"), &role)).await;
    }
    let int: LoadBalancerOutputs =
        all.add(&bench, "int", &balancer("demo-int", &network.subnets)).await;
    let ext: LoadBalancerOutputs =
        all.add(&bench, "ext", &balancer("demo-ext", &network.subnets)).await;
    for (name, balancer, port) in
        [("aint", &int, 6443), ("sint", &int, 22623), ("aext", &ext, 6443)]
    {
        let group: TargetGroupOutputs =
            all.add(&bench, name, &group(&format!("demo-{name}"), &network, port)).await;
        all.add(&bench, name, &listener(balancer, port, &group)).await;
        for host in 10..14 {
            let target = target(&group, &format!("10.0.0.{host}"));
            all.add(&bench, &format!("{name}-{host}"), &target).await;
        }
    }
    let private: HostedZoneOutputs =
        all.add(&bench, "int", &zone(&bench, &network, "demo.example.com")).await;
    let elsewhere = Network::make(&bench.cloud).await;
    let public: HostedZoneOutputs =
        bench.make("public", &zone(&bench, &elsewhere, "example.com")).await;
    all.add(&bench, "api", &alias(&private, "api.demo.example.com", &int)).await;
    all.add(&bench, "api-int", &alias(&private, "api-int.demo.example.com", &int)).await;
    all.add(&bench, "public", &alias(&public, "api.demo.example.com", &ext)).await;
    let bucket: S3BucketOutputs = all.add(&bench, "boot", &bucket(&bench, "cluster")).await;
    let object = S3Object {
        bucket: bucket.name.into(),
        key: "bootstrap.ign".to_owned(),
        content,
        tags: tags(&[("Name", "demo")]),
    };
    all.add(&bench, "boot", &object).await;
    (bench, all.0)
}

/// What a test has made, by kind.
#[derive(Default)]
struct Made(Vec<(&'static str, Vec<Known>)>);

impl Made {
    async fn add<R: Resource>(&mut self, bench: &Bench, name: &str, inputs: &R) -> R::Outputs {
        let known = bench.make_known(name, inputs).await;
        let outputs = serde_json::from_value(known.outputs.clone()).unwrap();
        let kind = R::SCHEMA.kind;
        match self.0.iter_mut().find(|(one, _)| *one == kind) {
            Some((_, all)) => all.push(known),
            None => self.0.push((kind, vec![known])),
        }
        outputs
    }
}

/// AWS as a provider, in an account of its own.
struct Bench {
    cloud: Cloud,
    region: String,
    aws: Aws,
    secrets: Arc<Secrets>,
}

impl Bench {
    fn new() -> Self {
        let cloud = shared();
        let region = cloud.region();
        Self::of(cloud, region)
    }

    fn in_region(region: &str) -> Self {
        Self::of(shared(), region)
    }

    fn of(cloud: Cloud, region: &str) -> Self {
        let settings = Settings {
            region: region.to_owned(),
            cluster_tag: CLUSTER.to_owned(),
            ..Settings::default()
        };
        let aws = Aws::new(&cloud.sdk_config_in(region), settings);
        Self { cloud, region: region.to_owned(), aws, secrets: Arc::default() }
    }

    fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.cloud.sdk_config_in(&self.region));
        aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
    }

    /// Everything that a kind promises; ends with nothing left of it.
    async fn live_through<R: Resource>(&self, address: &'static str, wanted: &R, changed: &R) {
        let [inputs, changed] = [wanted, changed].map(|one| serde_json::to_value(one).unwrap());
        let changes = if changed == inputs { vec![] } else { vec![changed] };
        let trial = Trial { address, inputs, changes, repeatable: true };
        self.kinds().keeps_its_promises(trial).await;
    }

    fn kinds(&self) -> kinds::Bench<'_, Aws> {
        kinds::Bench::with_secrets(&self.aws, Arc::clone(&self.secrets))
    }

    async fn make_known<R: Resource>(&self, name: &str, inputs: &R) -> Known {
        let Request { address, inputs, .. } = self.request(name, inputs);
        self.kinds().make(address.as_str(), &inputs).await
    }

    async fn make<R: Resource>(&self, name: &str, inputs: &R) -> R::Outputs {
        serde_json::from_value(self.make_known(name, inputs).await.outputs).unwrap()
    }

    async fn find<R: Resource>(
        &self,
        name: &str,
        inputs: &R,
    ) -> Result<Option<Value>, ProviderError> {
        self.aws.find(self.request(name, inputs)).await
    }

    /// Creating and finding it are refused with something to do, and nothing of it is ours.
    async fn refuses<R: Resource>(&self, name: &str, inputs: &R) -> ProviderError {
        let request = self.request(name, inputs);
        let Request { address, token, inputs, .. } = request.clone();
        let found = self.aws.find(request.clone()).await.unwrap_err();
        let created = self.aws.create(request).await.unwrap_err();
        for error in [&found, &created] {
            assert_eq!(error.class, Class::Refused, "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
        assert!(found.message.contains("is taken by"), "{found}");
        if !["s3_bucket", "record"].contains(&address.kind()) {
            let known = Known { address, token, inputs, outputs: Value::Null };
            assert!(!self.is_there(&known).await, "what is not ours is missing");
        }
        created
    }

    async fn observed(&self, known: &Known) -> Value {
        match self.kinds().observe(known).await {
            Observed::Present { inputs, .. } => inputs,
            Observed::Missing => panic!("{} is missing", known.address),
        }
    }

    async fn is_there(&self, known: &Known) -> bool {
        matches!(self.kinds().observe(known).await, Observed::Present { .. })
    }

    fn request<R: Resource>(&self, name: &str, inputs: &R) -> Request {
        let address = Address::new(R::SCHEMA.kind, name);
        let inputs = serde_json::to_value(inputs).unwrap();
        kinds::request(address.as_str(), &inputs, &self.secrets)
    }
}

/// A VPC with two subnets, made past us.
struct Network {
    ec2: aws_sdk_ec2::Client,
    vpc: VpcId,
    subnets: Vec<SubnetId>,
}

impl Network {
    async fn make(cloud: &Cloud) -> Self {
        let ec2 = aws_sdk_ec2::Client::new(&cloud.sdk_config());
        let made = ec2.create_vpc().cidr_block("10.0.0.0/16").send().await.unwrap();
        let vpc = VpcId(made.vpc.unwrap().vpc_id.unwrap());
        let gateway = ec2.create_internet_gateway().send().await.unwrap();
        let gateway = gateway.internet_gateway.unwrap().internet_gateway_id.unwrap();
        ec2.attach_internet_gateway()
            .internet_gateway_id(gateway)
            .vpc_id(vpc.as_str())
            .send()
            .await
            .unwrap();
        let mut subnets = Vec::new();
        for (zone, range) in [("a", "10.0.0.0/24"), ("b", "10.0.1.0/24")] {
            let made = ec2
                .create_subnet()
                .vpc_id(vpc.as_str())
                .cidr_block(range)
                .availability_zone(format!("{}{zone}", cloud.region()))
                .send()
                .await
                .unwrap();
            subnets.push(SubnetId(made.subnet.unwrap().subnet_id.unwrap()));
        }
        Self { ec2, vpc, subnets }
    }
}

fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn named(name: &str) -> Tags {
    tags(&[("Name", name), (CLUSTER, "owned"), ("team", "a")])
}

fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": "sts:AssumeRole",
        }],
    })
}

fn role(name: &str) -> IamRole {
    IamRole { name: name.into(), trust: trust("ec2.amazonaws.com"), tags: named(name) }
}

fn policy(role: &IamRoleOutputs, actions: &[&str]) -> IamRolePolicy {
    IamRolePolicy {
        role: role.name.clone().into(),
        name: "demo-policy".to_owned(),
        document: json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
        }),
    }
}

fn profile(name: &str, role: &IamRoleOutputs) -> IamInstanceProfile {
    IamInstanceProfile { name: name.into(), role: role.name.clone().into(), tags: named(name) }
}

fn balancer(name: &str, subnets: &[SubnetId]) -> LoadBalancer {
    LoadBalancer {
        name: name.to_owned(),
        internal: true,
        subnets: subnets.iter().cloned().map(Into::into).collect(),
        cross_zone: true,
        tags: named(name),
    }
}

fn group(name: &str, network: &Network, port: i32) -> TargetGroup {
    TargetGroup {
        name: name.to_owned(),
        vpc: network.vpc.clone().into(),
        port,
        health_check: HealthCheck {
            path: "/readyz".to_owned(),
            port,
            interval_seconds: 10,
            healthy_threshold: 2,
            unhealthy_threshold: 2,
        },
        tags: named(name),
    }
}

fn listener(balancer: &LoadBalancerOutputs, port: i32, group: &TargetGroupOutputs) -> Listener {
    Listener {
        load_balancer: balancer.arn.clone().into(),
        port,
        target_group: group.arn.clone().into(),
    }
}

fn target(group: &TargetGroupOutputs, ip: &str) -> Target {
    Target { target_group: group.arn.clone().into(), ip: PrivateIp::from(ip).into(), port: 6443 }
}

fn zone(bench: &Bench, network: &Network, name: &str) -> HostedZone {
    HostedZone {
        name: name.to_owned(),
        vpc: network.vpc.clone().into(),
        region: bench.region.clone(),
        tags: named(name),
    }
}

fn alias(zone: &HostedZoneOutputs, name: &str, balancer: &LoadBalancerOutputs) -> Record {
    Record {
        zone: zone.id.clone().into(),
        name: name.to_owned(),
        data: RecordData::Alias {
            dns_name: balancer.dns_name.clone().into(),
            hosted_zone: balancer.hosted_zone.clone().into(),
        },
    }
}

fn cname(zone: &HostedZoneOutputs, name: &str, to: &str) -> Record {
    Record {
        zone: zone.id.clone().into(),
        name: name.to_owned(),
        data: RecordData::Cname { dns_name: DnsName::from(to).into(), ttl_seconds: 10 },
    }
}

/// Buckets share one space of names: the account's number keeps tests apart.
fn bucket(bench: &Bench, name: &str) -> S3Bucket {
    let name = format!("demo-{name}-{}", bench.cloud.account());
    S3Bucket { tags: named(&name), name: BucketName(name) }
}
