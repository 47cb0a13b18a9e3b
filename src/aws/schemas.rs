//! The facts about every kind, free of the SDK: what the planner knows of AWS.

use super::ami_copy::AmiCopy;
use super::dhcp_options::DhcpOptions;
use super::elastic_ip::ElasticIp;
use super::hosted_zone::HostedZone;
use super::iam_instance_profile::IamInstanceProfile;
use super::iam_role::IamRole;
use super::iam_role_policy::IamRolePolicy;
use super::instance::Instance;
use super::internet_gateway::InternetGateway;
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
use crate::graph::{Resource, Schema};
use crate::provider::Schemas;

/// Every kind, as the planner may know it.
pub fn schemas() -> impl Schemas + Copy + 'static {
    Table
}

#[derive(Clone, Copy)]
struct Table;

impl Schemas for Table {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        SCHEMAS.iter().copied().find(|schema| schema.kind == kind)
    }
}

macro_rules! kinds {
    ($($kind:ident,)*) => {
        /// One line per kind; the order means nothing.
        pub(crate) const SCHEMAS: &[&Schema] = &[$(&$kind::SCHEMA,)*];

        /// Inputs as they come back from their kind: both what is wanted and what is observed are
        /// written by it, so that they are compared in one form.
        #[cfg(test)]
        pub(crate) fn normalised(kind: &str, inputs: &serde_json::Value) -> serde_json::Value {
            $(if kind == $kind::SCHEMA.kind {
                let typed: $kind = serde_json::from_value(inputs.clone()).unwrap();
                return serde_json::to_value(typed).unwrap();
            })*
            panic!("{kind} is no kind");
        }

        #[cfg(test)]
        fn inputs() -> Vec<(&'static Schema, Vec<&'static str>)> {
            vec![$((&$kind::SCHEMA, tests::fields::<$kind>()),)*]
        }
    };
}

kinds! {
    AmiCopy,
    DhcpOptions,
    ElasticIp,
    HostedZone,
    IamInstanceProfile,
    IamRole,
    IamRolePolicy,
    Instance,
    InternetGateway,
    Listener,
    LoadBalancer,
    LoadBalancerAttachment,
    Machine,
    NatGateway,
    NetworkInterface,
    Record,
    RouteTable,
    S3Bucket,
    S3Object,
    SecurityGroup,
    SecurityGroupRules,
    SharedTags,
    Subnet,
    Swept,
    Target,
    TargetGroup,
    Vpc,
    VpcEndpoint,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::de::value::Error;
    use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
    use serde::forward_to_deserialize_any;

    use super::*;
    use crate::graph::Identity;

    /// The fields that a struct asks its format for.
    pub(super) fn fields<T: for<'de> Deserialize<'de>>() -> Vec<&'static str> {
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
        for (schema, inputs) in inputs() {
            assert!(!inputs.is_empty(), "{}", schema.kind);
            for name in schema.replaced_by.iter().chain(schema.set_at_creation) {
                assert!(inputs.contains(name), "{} has no input {name}: {inputs:?}", schema.kind);
            }
        }
    }

    #[test]
    fn no_two_kinds_have_one_name() {
        let names: BTreeSet<_> = SCHEMAS.iter().map(|schema| schema.kind).collect();
        assert_eq!(names.len(), SCHEMAS.len());
        for name in names {
            assert_eq!(schemas().schema(name).map(|schema| schema.kind), Some(name));
        }
        assert!(schemas().schema("virtual_machine").is_none());
    }

    #[test]
    fn what_is_waited_for_is_looked_at_before_the_wait_ends() {
        for schema in SCHEMAS {
            for wait in [schema.ready, schema.gone].into_iter().flatten() {
                assert!(0 < wait.every_seconds, "{}", schema.kind);
                assert!(wait.every_seconds < wait.within_seconds, "{}", schema.kind);
            }
        }
    }

    #[test]
    fn the_page_on_durability_says_how_each_kind_is_found_again() {
        let page = include_str!("../../docs/durability.md");
        let (_, table) = page.split_once("| kind | identity |").expect("the table is there");
        let (_, table) = table.split_once("|---|\n").expect("the table has a head");
        let rows: Vec<&str> = table.lines().take_while(|line| line.starts_with("| ")).collect();
        for schema in SCHEMAS {
            let identity = match schema.identity {
                Identity::Token => "token",
                Identity::Tag => "tag",
                Identity::Name => "name",
                Identity::Parent => "parent",
            };
            let row = format!("| {} | {identity} | ", schema.kind);
            assert!(rows.iter().any(|line| line.starts_with(&row)), "no row `{row}..`");
        }
        assert_eq!(rows.len(), SCHEMAS.len(), "{rows:#?}");
    }
}
