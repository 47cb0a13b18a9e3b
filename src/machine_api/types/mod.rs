//! The objects of the Machine API as their YAML has them.
//!
//! Reads what people and clusters write and writes what Go programs write: a field that Go marshals
//! though it is unset (`metadataServiceOptions: {}`, `deviceIndex: 0`) is there in ours, too. Plain
//! data: never validates, never fills anything in, knows no cluster.
//!
//! Sources: openshift/api `machine/v1beta1` and `machine/v1`, as release-4.15 has them; fields of
//! later releases are read, and written only where they say something.

mod control_plane_machine_set;
mod machine;
mod machine_set;
mod meta;
mod provider_config;
mod provider_status;

pub use control_plane_machine_set::*;
pub use machine::*;
pub use machine_set::*;
pub use meta::*;
pub use provider_config::*;
pub use provider_status::*;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The group and version of Machine and MachineSet, and of the provider config in them.
pub const MACHINE_API: &str = "machine.openshift.io/v1beta1";
/// The group and version of ControlPlaneMachineSet.
pub const CONTROL_PLANE_API: &str = "machine.openshift.io/v1";
/// Where all of them live.
pub const NAMESPACE: &str = "openshift-machine-api";

/// Reads an object as Go does: a field that is `null` is one that is absent.
///
/// # Errors
/// When a value has another type than its field. What a field's words mean is not looked at.
pub fn read<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    T::deserialize(without_nulls(value))
}

/// What is raw to the types here stays as it was written.
const RAW: [&str; 2] = ["providerSpec", "providerStatus"];

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let given = fields.iter().filter(|(_, value)| !value.is_null());
            let given = given.map(|(name, value)| match RAW.contains(&name.as_str()) {
                true => (name.clone(), value.clone()),
                false => (name.clone(), without_nulls(value)),
            });
            given.collect()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// The JSON Schema of a type, all in one piece.
pub fn schema<T: JsonSchema>() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

/// An object that is somebody else's to describe.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// What Go leaves out when it says `omitempty`: the type's nothing.
fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
