//! The registry: every kind, once, in one line. Generates the list of schemas, the provider's
//! dispatch, and the answer to every query about all kinds. Steps for a new kind:
//! docs/dev/adding-a-kind.md.

#[cfg(feature = "test-support")]
use groundplan_engine::graph::Resource;

#[cfg(feature = "sdk")]
use crate::client::resource_type::{DynKind, ErasedKind, Registry};
use groundplan_engine::graph::Schema;
use groundplan_engine::provider::Schemas;

use crate::facts::{KindFacts, Registered};

macro_rules! kinds {
    ($($module:ident::$kind:ident,)*) => {
        $(impl Registered for crate::kinds::$module::$kind {})*

        /// The facts of every kind. The order has no meaning.
        pub static KINDS: &[KindFacts] = &[$(KindFacts::of::<crate::kinds::$module::$kind>(),)*];

        /// The operations of every kind.
        #[cfg(feature = "sdk")]
        pub(super) const CALLS: &[&dyn DynKind] = &[$(&ErasedKind::<crate::kinds::$module::$kind>::NEW,)*];

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
        pub(super) fn inputs() -> Vec<(&'static KindFacts, Vec<&'static str>)> {
            let names = [$(tests::fields::<crate::kinds::$module::$kind>(),)*];
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
            carrier_gateway::CarrierGateway,
            dhcp_options::DhcpOptions,
            egress_only_internet_gateway::EgressOnlyInternetGateway,
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
            record::DnsRecord,
            route_table::RouteTable,
            s3_bucket::S3Bucket,
            s3_object::S3Object,
            security_group::SecurityGroup,
            security_group_rules::SecurityGroupRules,
            shared_tags::SharedTags,
            subnet::Subnet,
            swept::UntrackedResource,
            target::Target,
            target_group::TargetGroup,
            vpc::Vpc,
            vpc_endpoint::VpcEndpoint,
        }
    };
}

for_each_kind!(kinds);

/// Returns the facts of a kind; `None` for a name of another version of groundplan.
pub fn facts(kind: &str) -> Option<&'static KindFacts> {
    KINDS.iter().find(|facts| facts.name() == kind)
}

/// Returns the operations of a kind; `None` for a name of another version of groundplan.
#[cfg(feature = "sdk")]
pub(super) fn calls(kind: &str) -> Option<&'static dyn DynKind> {
    CALLS.iter().copied().find(|calls| calls.schema().kind == kind)
}

/// All kinds, for the clients.
#[cfg(feature = "sdk")]
pub(crate) const REGISTRY: Registry = Registry { facts: KINDS, calls: CALLS };

/// Returns the schemas of all kinds, for the planner.
pub fn schemas() -> impl Schemas + Copy + 'static {
    SchemaTable
}

#[derive(Clone, Copy)]
struct SchemaTable;

impl Schemas for SchemaTable {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        facts(kind).map(|facts| facts.schema)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use groundplan_engine::graph::{Identity, SetInput};
    use serde::de::value::Error;
    use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
    use serde::forward_to_deserialize_any;

    use super::inputs;
    use super::*;

    /// Returns the field names that a struct requests from its deserializer.
    pub(crate) fn fields<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
        let mut names = Vec::new();
        let _ = T::deserialize(FieldNames(&mut names)); // an error always: there is no value
        names
    }

    struct FieldNames<'a>(&'a mut Vec<&'static str>);

    impl<'de> Deserializer<'de> for FieldNames<'_> {
        type Error = Error;

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _name: &'static str,
            fields: &'static [&'static str],
            _visitor: V,
        ) -> Result<V::Value, Error> {
            self.0.extend(fields);
            Err(Error::custom("there is no value"))
        }

        fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
            Err(Error::custom("not a struct"))
        }

        forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
            option unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier
            ignored_any
        }
    }

    #[test]
    fn every_input_that_a_schema_names_exists() {
        for (facts, inputs) in inputs() {
            let (schema, drift) = (facts.schema, facts.drift);
            assert!(!inputs.is_empty(), "{}", schema.kind);
            let lists = [
                schema.force_new,
                schema.blocks_deletion_of,
                schema.conflicting,
                schema.create_only,
                schema.write_only,
                schema.proves,
            ];
            let named = lists.into_iter().chain([drift.cosmetic]).flatten();
            let of_set = |set: &SetInput| set.path.split('.').next();
            let sets = schema.sets.iter().filter_map(of_set);
            for name in named.copied().chain(sets) {
                assert!(inputs.contains(&name), "{} has no input {name}: {inputs:?}", schema.kind);
            }
        }
    }

    #[test]
    fn no_two_kinds_have_one_name() {
        let names: BTreeSet<_> = KINDS.iter().map(KindFacts::name).collect();
        assert_eq!(names.len(), KINDS.len());
        for name in names {
            assert_eq!(schemas().schema(name).map(|schema| schema.kind), Some(name));
        }
        assert!(schemas().schema("virtual_machine").is_none());
    }

    #[test]
    fn what_is_waited_for_is_looked_at_before_the_wait_ends() {
        for schema in KINDS.iter().map(|facts| facts.schema) {
            for wait in [schema.ready, schema.gone].into_iter().flatten() {
                assert!(0 < wait.every_seconds, "{}", schema.kind);
                assert!(wait.every_seconds < wait.within_seconds, "{}", schema.kind);
            }
        }
    }

    #[test]
    fn the_page_on_durability_says_how_each_kind_is_found_again() {
        let page = include_str!("../../../docs/durability.md");
        let (_, table) = page.split_once("| kind | identity |").expect("the table is there");
        let (_, table) = table.split_once("|---|\n").expect("the table has a head");
        let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with("| ")).collect();
        for schema in KINDS.iter().map(|facts| facts.schema) {
            let identity = match schema.identity {
                Identity::Token => "token",
                Identity::Tag => "tag",
                Identity::Name => "name",
                Identity::Parent => "parent",
            };
            let row = format!("| {} | {identity} | ", schema.kind);
            assert!(
                rows.iter().any(|line| line.starts_with(&row)),
                "docs/durability.md: no row `{row}..`"
            );
        }
        assert_eq!(rows.len(), KINDS.len(), "{rows:#?}");
    }
}
