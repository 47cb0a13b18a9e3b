//! The registry: every kind, once, in one line. Generates the list of schemas, the provider's
//! dispatch, and the answer to every query about all kinds. Steps for a new kind:
//! docs/dev/adding-a-kind.md.

#[cfg(feature = "test-support")]
use groundplan_engine::graph::Resource;

use super::facts::Facts;
#[cfg(feature = "sdk")]
use crate::client::resource_type::{AnyKind, Of};

/// Proof that a kind has a line in the registry.
#[diagnostic::on_unimplemented(
    message = "the kind `{Self}` is not in the registry",
    label = "no line in the registry",
    note = "add `module::{Self},` to the list in crates/aws/src/registry.rs"
)]
pub trait Registered {}

macro_rules! kinds {
    ($($module:ident::$kind:ident,)*) => {
        $(impl Registered for crate::kinds::$module::$kind {})*

        /// The facts of every kind. The order has no meaning.
        pub static KINDS: &[Facts] = &[$(Facts::of::<crate::kinds::$module::$kind>(),)*];

        /// The operations of every kind.
        #[cfg(feature = "sdk")]
        pub(super) const CALLS: &[&dyn AnyKind] = &[$(&Of::<crate::kinds::$module::$kind>::NEW,)*];

        /// Returns inputs as their kind serializes them. The plan compares desired and live inputs
        /// in this form. For tests.
        ///
        /// # Panics
        ///
        /// For an unknown kind, and for inputs that are not the kind's.
        #[cfg(feature = "test-support")]
        pub fn normalised(kind: &str, inputs: &serde_json::Value) -> serde_json::Value {
            $(if kind == <crate::kinds::$module::$kind as Resource>::SCHEMA.kind {
                let typed: crate::kinds::$module::$kind = serde_json::from_value(inputs.clone()).unwrap();
                return serde_json::to_value(typed).unwrap();
            })*
            panic!("{kind} is no kind");
        }

        /// Returns every kind with the names of its inputs.
        #[cfg(test)]
        pub(super) fn inputs() -> Vec<(&'static Facts, Vec<&'static str>)> {
            let names = [$(crate::schemas::tests::fields::<crate::kinds::$module::$kind>(),)*];
            KINDS.iter().zip(names).collect()
        }
    };
}

/// Calls a macro with every kind as `module::Type,`, for test crates that check all kinds. Only
/// this list names all kinds; its order has no meaning.
#[macro_export]
macro_rules! for_each_kind {
    ($callback:ident) => {
        $callback! {
            ami_copy::AmiCopy,
            dhcp_options::DhcpOptions,
            elastic_ip::ElasticIp,
            hosted_zone::HostedZone,
            iam_instance_profile::IamInstanceProfile,
            iam_role::IamRole,
            iam_role_policy::IamRolePolicy,
            instance::Instance,
            internet_gateway::InternetGateway,
            listener::Listener,
            load_balancer::LoadBalancer,
            load_balancer_attachment::LoadBalancerAttachment,
            machine::Machine,
            nat_gateway::NatGateway,
            network_interface::NetworkInterface,
            record::Record,
            route_table::RouteTable,
            s3_bucket::S3Bucket,
            s3_object::S3Object,
            security_group::SecurityGroup,
            security_group_rules::SecurityGroupRules,
            shared_tags::SharedTags,
            subnet::Subnet,
            swept::Swept,
            target::Target,
            target_group::TargetGroup,
            vpc::Vpc,
            vpc_endpoint::VpcEndpoint,
        }
    };
}

for_each_kind!(kinds);

/// Returns the facts of a kind; `None` for a name of another version of groundplan.
pub fn facts(kind: &str) -> Option<&'static Facts> {
    KINDS.iter().find(|facts| facts.name() == kind)
}

/// Returns the operations of a kind; `None` for a name of another version of groundplan.
#[cfg(feature = "sdk")]
pub(super) fn calls(kind: &str) -> Option<&'static dyn AnyKind> {
    CALLS.iter().copied().find(|calls| calls.schema().kind == kind)
}
