//! The schemas of all kinds, free of the SDK: the planner's knowledge about AWS.

use groundplan_engine::graph::Schema;
use groundplan_engine::provider::Schemas;

use super::registry::facts;

/// Returns the schemas of all kinds, for the planner.
pub fn schemas() -> impl Schemas + Copy + 'static {
    Table
}

#[derive(Clone, Copy)]
struct Table;

impl Schemas for Table {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        facts(kind).map(|facts| facts.schema)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use groundplan_engine::graph::Identity;
    use serde::de::value::Error;
    use serde::de::{Deserialize, Deserializer, Error as _, Visitor};
    use serde::forward_to_deserialize_any;

    use super::*;
    use crate::registry::{KINDS, inputs};

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
            let lists =
                [schema.replaced_by, schema.holds, schema.exclusive, schema.set_at_creation];
            let named = lists.into_iter().chain([drift.cosmetic, drift.always_shown]).flatten();
            for name in named {
                assert!(inputs.contains(name), "{} has no input {name}: {inputs:?}", schema.kind);
            }
        }
    }

    #[test]
    fn no_two_kinds_have_one_name() {
        let names: BTreeSet<_> = KINDS.iter().map(crate::facts::Facts::name).collect();
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
