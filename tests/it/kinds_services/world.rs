//! Test bench for the service kinds: AWS as the provider in its own account, a network created
//! without groundplan, and inputs like the topology's.

use std::sync::Arc;

use groundplan_aws::kinds::hosted_zone::{HostedZone, HostedZoneOutputs};
use groundplan_aws::kinds::iam_instance_profile::IamInstanceProfile;
use groundplan_aws::kinds::iam_role::{IamRole, IamRoleOutputs};
use groundplan_aws::kinds::iam_role_policy::IamRolePolicy;
use groundplan_aws::kinds::listener::Listener;
use groundplan_aws::kinds::load_balancer::{LoadBalancer, LoadBalancerOutputs};
use groundplan_aws::kinds::record::{DnsRecord, DnsRecordData};
use groundplan_aws::kinds::s3_bucket::{S3Bucket, S3BucketOutputs};
use groundplan_aws::kinds::s3_object::S3Object;
use groundplan_aws::kinds::target::Target;
use groundplan_aws::kinds::target_group::{HealthCheck, TargetGroup, TargetGroupOutputs};
use groundplan_aws::model::ids::{BucketName, DnsName, PolicyArn, PrivateIp, SubnetId, VpcId};
use groundplan_aws::{Aws, AwsSettings, HostedZoneRole, Tags};
use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::provider::{
    ErrorClass, Observed, Provider, ProviderError, RecordedResource, Request,
};
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::fence::Fence;
use serde_json::{Value, json};

use crate::support::cloud::{Cloud, shared};
use crate::support::kinds::{self, Trial};

/// Key of the cluster tag.
pub(super) const CLUSTER: &str = "kubernetes.io/cluster/demo-x7k2p";

/// Creates three roles with policy and profile, two load balancers, three target groups with
/// listeners and twelve targets. Also creates two hosted zones, three records, a bucket and an
/// object.
pub(super) async fn standard_cluster() -> (Bench, Vec<(&'static str, Vec<RecordedResource>)>) {
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

/// Resources that a test has created, by kind.
#[derive(Default)]
pub(super) struct Made(Vec<(&'static str, Vec<RecordedResource>)>);

impl Made {
    pub(super) async fn add<R: Resource>(
        &mut self,
        bench: &Bench,
        name: &str,
        inputs: &R,
    ) -> R::Outputs {
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

impl kinds::Place for Bench {
    fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    fn kinds(&self) -> kinds::Bench<'_, Aws> {
        self.kinds()
    }
}

/// AWS as a provider, in an account of its own.
pub(super) struct Bench {
    pub(super) cloud: Cloud,
    pub(super) region: String,
    pub(super) aws: Aws,
    pub(super) secrets: Arc<Secrets>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let cloud = shared();
        let region = cloud.region();
        Self::of(cloud, region)
    }

    pub(super) fn in_region(region: &str) -> Self {
        Self::of(shared(), region)
    }

    pub(super) fn of(cloud: Cloud, region: &str) -> Self {
        Self::with(cloud, region, None)
    }

    /// Returns a bench whose calls about a hosted zone assume a role.
    pub(super) fn with_role(cloud: Cloud, region: &str, role: HostedZoneRole) -> Self {
        Self::with(cloud, region, Some(role))
    }

    fn with(cloud: Cloud, region: &str, hosted_zone_role: Option<HostedZoneRole>) -> Self {
        let settings = AwsSettings {
            region: region.to_owned(),
            cluster_tag: CLUSTER.to_owned(),
            hosted_zone_role,
            ..AwsSettings::default()
        };
        let aws = Aws::new(&cloud.sdk_config_in(region), settings).with_fence(Fence::open());
        Self { cloud, region: region.to_owned(), aws, secrets: Arc::default() }
    }

    pub(super) fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::config::Builder::from(&self.cloud.sdk_config_in(&self.region));
        aws_sdk_s3::Client::from_conf(config.force_path_style(true).build())
    }

    /// Checks the whole contract of a kind. Afterwards the resource is deleted.
    pub(super) async fn live_through<R: Resource>(
        &self,
        address: &'static str,
        wanted: &R,
        changed: &R,
    ) {
        let [inputs, changed] = [wanted, changed].map(|one| serde_json::to_value(one).unwrap());
        let changes = if changed == inputs { vec![] } else { vec![changed] };
        let trial = Trial { address, inputs, changes };
        self.kinds().keeps_its_promises(trial).await;
    }

    pub(super) fn kinds(&self) -> kinds::Bench<'_, Aws> {
        kinds::Bench::with_secrets(&self.aws, Arc::clone(&self.secrets))
    }

    pub(super) async fn make_known<R: Resource>(&self, name: &str, inputs: &R) -> RecordedResource {
        let Request { address, inputs, .. } = self.request(name, inputs);
        self.kinds().make(address.as_str(), &inputs).await
    }

    pub(super) async fn make<R: Resource>(&self, name: &str, inputs: &R) -> R::Outputs {
        serde_json::from_value(self.make_known(name, inputs).await.outputs).unwrap()
    }

    pub(super) async fn find<R: Resource>(
        &self,
        name: &str,
        inputs: &R,
    ) -> Result<Option<Value>, ProviderError> {
        self.aws.find(self.request(name, inputs)).await
    }

    /// Asserts that `create` and `find` fail permanently with a hint, and that refresh does not
    /// return a foreign resource.
    pub(super) async fn refuses<R: Resource>(&self, name: &str, inputs: &R) -> ProviderError {
        let request = self.request(name, inputs);
        let Request { address, token, inputs, .. } = request.clone();
        let found = self.aws.find(request.clone()).await.unwrap_err();
        let created = self.aws.create(request).await.unwrap_err();
        for error in [&found, &created] {
            assert_eq!(error.class, ErrorClass::Permanent, "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
        assert!(found.message.contains("is taken by"), "{found}");
        if !["s3_bucket", "record"].contains(&address.kind()) {
            let known = RecordedResource { address, token, inputs, outputs: Value::Null };
            assert!(!self.is_there(&known).await, "what is not ours is missing");
        }
        created
    }

    pub(super) async fn observed(&self, known: &RecordedResource) -> Value {
        match self.kinds().refresh(known).await {
            Observed::Present { inputs, .. } => inputs,
            Observed::Missing => panic!("{} is missing", known.address),
        }
    }

    pub(super) async fn is_there(&self, known: &RecordedResource) -> bool {
        matches!(self.kinds().refresh(known).await, Observed::Present { .. })
    }

    pub(super) fn request<R: Resource>(&self, name: &str, inputs: &R) -> Request {
        let address = Address::new(R::SCHEMA.kind, name);
        let inputs = serde_json::to_value(inputs).unwrap();
        kinds::request(address.as_str(), &inputs, &self.secrets)
    }
}

/// A VPC with two subnets, created without groundplan.
pub(super) struct Network {
    pub(super) ec2: aws_sdk_ec2::Client,
    pub(super) vpc: VpcId,
    pub(super) subnets: Vec<SubnetId>,
}

impl Network {
    pub(super) async fn make(cloud: &Cloud) -> Self {
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

pub(super) fn tags(pairs: &[(&str, &str)]) -> Tags {
    pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(super) fn named(name: &str) -> Tags {
    tags(&[("Name", name), (CLUSTER, "owned"), ("team", "a")])
}

pub(super) fn trust(service: &str) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Allow",
            "Principal": { "Service": service },
            "Action": "sts:AssumeRole",
        }],
    })
}

pub(super) fn role(name: &str) -> IamRole {
    IamRole {
        name: name.into(),
        trust: trust("ec2.amazonaws.com"),
        permissions_boundary: None,
        tags: named(name),
    }
}

/// Creates a managed policy, as an administrator of the account would, and returns its ARN.
pub(super) async fn managed_policy(bench: &Bench, name: &str) -> PolicyArn {
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
    ]});
    let iam = aws_sdk_iam::Client::new(&bench.cloud.sdk_config());
    let made = iam.create_policy().policy_name(name).policy_document(document.to_string());
    let made = made.send().await.expect("a policy").policy.expect("a policy");
    PolicyArn(made.arn.expect("an ARN"))
}

pub(super) fn policy(role: &IamRoleOutputs, actions: &[&str]) -> IamRolePolicy {
    IamRolePolicy {
        role: role.name.clone().into(),
        name: "demo-policy".to_owned(),
        document: json!({
            "Version": "2012-10-17",
            "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
        }),
    }
}

pub(super) fn profile(name: &str, role: &IamRoleOutputs) -> IamInstanceProfile {
    IamInstanceProfile { name: name.into(), role: role.name.clone().into(), tags: named(name) }
}

pub(super) fn balancer(name: &str, subnets: &[SubnetId]) -> LoadBalancer {
    LoadBalancer {
        addresses: Vec::new(),
        name: name.to_owned(),
        internal: true,
        subnets: subnets.iter().cloned().map(Into::into).collect(),
        security_groups: Vec::new(),
        cross_zone: true,
        tags: named(name),
    }
}

pub(super) fn group(name: &str, network: &Network, port: i32) -> TargetGroup {
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

pub(super) fn listener(
    balancer: &LoadBalancerOutputs,
    port: i32,
    group: &TargetGroupOutputs,
) -> Listener {
    Listener {
        load_balancer: balancer.arn.clone().into(),
        port,
        target_group: group.arn.clone().into(),
    }
}

pub(super) fn target(group: &TargetGroupOutputs, ip: &str) -> Target {
    Target { target_group: group.arn.clone().into(), ip: PrivateIp::from(ip).into(), port: 6443 }
}

pub(super) fn zone(bench: &Bench, network: &Network, name: &str) -> HostedZone {
    HostedZone {
        name: name.to_owned(),
        vpc: network.vpc.clone().into(),
        region: bench.region.clone(),
        tags: named(name),
    }
}

pub(super) fn alias(
    zone: &HostedZoneOutputs,
    name: &str,
    balancer: &LoadBalancerOutputs,
) -> DnsRecord {
    DnsRecord {
        zone: zone.id.clone().into(),
        name: name.to_owned(),
        data: DnsRecordData::Alias {
            dns_name: balancer.dns_name.clone().into(),
            hosted_zone: balancer.hosted_zone.clone().into(),
        },
    }
}

pub(super) fn cname(zone: &HostedZoneOutputs, name: &str, to: &str) -> DnsRecord {
    DnsRecord {
        zone: zone.id.clone().into(),
        name: name.to_owned(),
        data: DnsRecordData::Cname { dns_name: DnsName::from(to).into(), ttl_seconds: 10 },
    }
}

/// Returns a bucket. Bucket names are global, so the name contains the account number.
pub(super) fn bucket(bench: &Bench, name: &str) -> S3Bucket {
    let name = format!("demo-{name}-{}", bench.cloud.account());
    S3Bucket { tags: named(&name), name: BucketName(name) }
}
