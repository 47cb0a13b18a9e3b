//! An account of the test cloud for the network kinds, with helpers that create resources.

use groundplan_aws::kinds::internet_gateway::InternetGateway;
use groundplan_aws::kinds::security_group::SecurityGroup;
use groundplan_aws::kinds::security_group_rules::{Peer, Ports, SecurityGroupRule};
use groundplan_aws::kinds::subnet::Subnet;
use groundplan_aws::kinds::vpc::Vpc;
use groundplan_aws::model::ids::{InternetGatewayId, SecurityGroupId, SubnetId, VpcId};
use groundplan_aws::{Aws, AwsSettings, Tags};
use groundplan_engine::graph::Resource;
use groundplan_engine::provider::{RecordedResource, Request};
use groundplan_engine::state::fence::Fence;
use serde_json::Value;

use crate::support::cloud::{Cloud, shared};
use crate::support::kinds::{Bench, Place};

pub(super) const CLUSTER_TAG: &str = "kubernetes.io/cluster/demo-x7k2p";

/// An account of the test cloud, with AWS as the provider.
pub(super) struct Account {
    pub(super) cloud: Cloud,
    pub(super) aws: Aws,
    pub(super) ec2: aws_sdk_ec2::Client,
}

impl Account {
    pub(super) fn new() -> Self {
        let cloud = shared();
        let settings = AwsSettings {
            region: cloud.region().to_owned(),
            cluster_tag: CLUSTER_TAG.to_owned(),
            ..AwsSettings::default()
        };
        let aws = Aws::new(&cloud.sdk_config(), settings).with_fence(Fence::open());
        Self { aws, ec2: aws_sdk_ec2::Client::new(&cloud.sdk_config()), cloud }
    }

    pub(super) fn bench(&self) -> Bench<'_, Aws> {
        Bench::new(&self.aws)
    }

    pub(super) async fn vpc(&self) -> VpcId {
        VpcId(id(&self.bench().make("vpc.main", &inputs(&vpc())).await))
    }

    pub(super) async fn subnet(&self, vpc: &VpcId, name: &str, cidr: &str) -> SubnetId {
        let address = format!("subnet.{name}");
        SubnetId(id(&self.bench().make(&address, &inputs(&subnet(vpc, cidr, name))).await))
    }

    pub(super) async fn gateway(&self, vpc: &VpcId) -> (RecordedResource, InternetGatewayId) {
        let wanted = InternetGateway { vpc: vpc.clone().into(), tags: tags("igw") };
        let made = self.bench().make("internet_gateway.main", &inputs(&wanted)).await;
        let gateway = InternetGatewayId(id(&made));
        (made, gateway)
    }

    pub(super) async fn group(
        &self,
        vpc: &VpcId,
        name: &str,
    ) -> (RecordedResource, SecurityGroupId) {
        let wanted = inputs(&security_group(vpc, name));
        let made = self.bench().make(&format!("security_group.{name}"), &wanted).await;
        let group = SecurityGroupId(id(&made));
        (made, group)
    }
}

impl Place for Account {
    fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    fn kinds(&self) -> Bench<'_, Aws> {
        self.bench()
    }
}

pub(super) fn inputs<R: Resource>(resource: &R) -> Value {
    serde_json::to_value(resource).expect("plain data")
}

pub(super) fn id(known: &RecordedResource) -> String {
    known.outputs["id"].as_str().expect("an id").to_owned()
}

pub(super) fn request<R: Resource>(address: &str, resource: &R) -> Request {
    Request {
        address: address.into(),
        token: "token".to_owned(),
        inputs: inputs(resource),
        secrets: std::sync::Arc::default(),
        revert: Vec::new(),
    }
}

pub(super) fn tags(name: &str) -> Tags {
    [("Name", name), (CLUSTER_TAG, "owned"), ("team", "red")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

/// Returns other tags: one changed, one removed, one added.
pub(super) fn other_tags(name: &str) -> Tags {
    let mut tags = tags(name);
    tags.insert("Name".to_owned(), format!("{name}-renamed"));
    tags.remove("team");
    tags.insert("cost".to_owned(), "42".to_owned());
    tags
}

pub(super) fn vpc() -> Vpc {
    Vpc {
        cidr: "10.0.0.0/16".parse().unwrap(),
        dhcp_options: None,
        dns_hostnames: true,
        dns_support: true,
        tags: tags("vpc"),
    }
}

pub(super) fn subnet(vpc: &VpcId, cidr: &str, name: &str) -> Subnet {
    Subnet {
        vpc: vpc.clone().into(),
        cidr: cidr.parse().unwrap(),
        zone: "us-west-2a".to_owned(),
        tags: tags(name),
    }
}

pub(super) fn security_group(vpc: &VpcId, name: &str) -> SecurityGroup {
    SecurityGroup {
        vpc: vpc.clone().into(),
        name: format!("demo-x7k2p-{name}"),
        description: "what it is for".to_owned(),
        tags: tags(name),
    }
}

pub(super) fn rule(protocol: &str, ports: Option<(i32, i32)>, peer: Peer) -> SecurityGroupRule {
    let ports = ports.map(|(from, to)| Ports { from, to });
    SecurityGroupRule {
        protocol: protocol.to_owned(),
        ports,
        peer,
        description: "made by us".to_owned(),
    }
}

pub(super) fn from(ranges: &[&str]) -> Peer {
    Peer::Cidrs(ranges.iter().map(|range| range.parse().unwrap()).collect())
}

pub(super) fn who(group: &SecurityGroupId) -> Peer {
    Peer::Group(group.clone().into())
}
