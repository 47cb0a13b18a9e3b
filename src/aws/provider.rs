//! AWS behind the one door: hands each question to its kind. Knows no kind but by the table.

use serde_json::Value;

use super::Aws;
use super::ami_copy::AmiCopy;
use super::dhcp_options::DhcpOptions;
use super::elastic_ip::ElasticIp;
use super::hosted_zone::HostedZone;
use super::iam_instance_profile::IamInstanceProfile;
use super::iam_role::IamRole;
use super::iam_role_policy::IamRolePolicy;
use super::instance::Instance;
use super::internet_gateway::InternetGateway;
use super::kind::{AnyKind, Of};
use super::listener::Listener;
use super::load_balancer::LoadBalancer;
use super::load_balancer_attachment::LoadBalancerAttachment;
use super::machine::Machine;
use super::nat_gateway::NatGateway;
use super::network_interface::NetworkInterface;
use super::record::Record;
use super::route_table::RouteTable;
use super::s3_bucket::S3Bucket;
use super::s3_object::S3Object;
use super::security_group::SecurityGroup;
use super::security_group_rules::SecurityGroupRules;
use super::shared_tags::SharedTags;
use super::subnet::Subnet;
use super::swept::Swept;
use super::target::Target;
use super::target_group::TargetGroup;
use super::vpc::Vpc;
use super::vpc_endpoint::VpcEndpoint;
use crate::graph::Schema;
use crate::provider::{
    Class, Known, Look, Observed, Provider, ProviderError, Reply, Request, Schemas,
};

/// Every kind that can be managed, one line each; the order means nothing.
const KINDS: &[&dyn AnyKind] = &[
    &Of::<AmiCopy>::NEW,
    &Of::<DhcpOptions>::NEW,
    &Of::<ElasticIp>::NEW,
    &Of::<HostedZone>::NEW,
    &Of::<IamInstanceProfile>::NEW,
    &Of::<IamRole>::NEW,
    &Of::<IamRolePolicy>::NEW,
    &Of::<Instance>::NEW,
    &Of::<InternetGateway>::NEW,
    &Of::<Listener>::NEW,
    &Of::<LoadBalancer>::NEW,
    &Of::<LoadBalancerAttachment>::NEW,
    &Of::<Machine>::NEW,
    &Of::<NatGateway>::NEW,
    &Of::<NetworkInterface>::NEW,
    &Of::<Record>::NEW,
    &Of::<RouteTable>::NEW,
    &Of::<S3Bucket>::NEW,
    &Of::<S3Object>::NEW,
    &Of::<SecurityGroup>::NEW,
    &Of::<SecurityGroupRules>::NEW,
    &Of::<SharedTags>::NEW,
    &Of::<Subnet>::NEW,
    &Of::<Swept>::NEW,
    &Of::<Target>::NEW,
    &Of::<TargetGroup>::NEW,
    &Of::<Vpc>::NEW,
    &Of::<VpcEndpoint>::NEW,
];

impl Schemas for Aws {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        managed(kind).map(AnyKind::schema)
    }
}

impl Provider for Aws {
    fn create(&self, request: Request) -> Reply<'_, Value> {
        of(request.kind(), |kind| kind.create(self, request.clone()))
    }

    fn find(&self, request: Request) -> Reply<'_, Option<Value>> {
        of(request.kind(), |kind| kind.find(self, request.clone()))
    }

    fn remains(&self, request: Request) -> Reply<'_, Option<Value>> {
        of(request.kind(), |kind| kind.remains(self, request.clone()))
    }

    fn configure(&self, request: Request, outputs: Value) -> Reply<'_, Value> {
        of(request.kind(), |kind| kind.configure(self, request.clone(), outputs))
    }

    fn ready(&self, kind: String, waiting: Vec<Known>) -> Reply<'_, Vec<Look>> {
        of(&kind, |kind| kind.ready(self, waiting))
    }

    fn update(&self, request: Request, before: Known) -> Reply<'_, Value> {
        of(request.kind(), |kind| kind.update(self, request.clone(), before))
    }

    fn delete(&self, known: Known) -> Reply<'_, ()> {
        of(known.address.kind(), |kind| kind.delete(self, known.clone()))
    }

    fn gone(&self, kind: String, waiting: Vec<Known>) -> Reply<'_, Vec<Look>> {
        of(&kind, |kind| kind.gone(self, waiting))
    }

    fn observe(&self, kind: String, known: Vec<Known>) -> Reply<'_, Vec<Observed>> {
        of(&kind, |kind| kind.observe(self, known))
    }
}

fn managed(name: &str) -> Option<&'static dyn AnyKind> {
    KINDS.iter().copied().find(|kind| kind.schema().kind == name)
}

/// The kind's answer, or a refusal where there is no such kind: a state may be older or newer.
fn of<'a, T: Send + 'a>(
    name: &str,
    ask: impl FnOnce(&'static dyn AnyKind) -> Reply<'a, T>,
) -> Reply<'a, T> {
    match managed(name) {
        Some(kind) => ask(kind),
        None => {
            let error = ProviderError::new(
                Class::Refused,
                "state",
                format!("there is no kind of resource called `{name}`"),
            )
            .with_hint("the state was written by another version of groundplan; use that one");
            Box::pin(async move { Err(error) })
        }
    }
}
