//! Types of the Machine API objects, as they appear in YAML.
//!
//! Reads objects that people and clusters write. Writes what Go programs write, which includes
//! unset fields that Go marshals (`metadataServiceOptions: {}`, `deviceIndex: 0`). Plain data:
//! never validates, never fills in a value, knows no cluster.
//!
//! Sources: openshift/api `machine/v1beta1` and `machine/v1` of release-4.15. Fields of later
//! releases are read, and written only if they are set.

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

/// Group and version of Machine and MachineSet, and of the provider config in both.
pub const MACHINE_API: &str = "machine.openshift.io/v1beta1";
/// Group and version of ControlPlaneMachineSet.
pub const CONTROL_PLANE_API: &str = "machine.openshift.io/v1";
/// Namespace of all Machine API objects.
pub const NAMESPACE: &str = "openshift-machine-api";

/// Reads an object as Go does: a `null` field counts as absent.
///
/// # Errors
/// Fails if a value has another type than its field. The meaning of a value is not validated.
pub fn read<T: DeserializeOwned>(value: &Value) -> serde_json::Result<T> {
    T::deserialize(without_nulls(value))
}

/// Fields that the types keep as raw JSON, and whose `null` values stay.
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

/// Returns the JSON Schema of a type, with all subschemas inlined.
pub fn schema<T: JsonSchema>() -> Schema {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    settings.into_generator().into_root_schema_for::<T>()
}

/// Returns the schema of an object whose fields another API describes.
fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object"})
}

/// Returns true if Go omits the value under `omitempty`: the value is the zero value of its type.
fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests;
