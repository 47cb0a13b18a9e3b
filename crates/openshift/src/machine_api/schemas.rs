//! JSON Schemas of machines on AWS, for editors and validators.
//!
//! The provider config is any object to the Machine API. These schemas include its fields in place.

use serde_json::Value;

use super::types::{AwsMachineProviderConfig, ControlPlaneMachineSet, Machine, MachineSet, schema};

/// Returns the schema of a Machine on AWS.
pub fn machine() -> Value {
    on_aws(schema::<Machine>().to_value(), &["spec"])
}

/// Returns the schema of a MachineSet on AWS.
pub fn machine_set() -> Value {
    on_aws(schema::<MachineSet>().to_value(), &["spec", "template", "spec"])
}

/// Returns the schema of a ControlPlaneMachineSet on AWS.
pub fn control_plane_machine_set() -> Value {
    let template = super::types::CONTROL_PLANE_MACHINE_TYPE;
    on_aws(schema::<ControlPlaneMachineSet>().to_value(), &["spec", "template", template, "spec"])
}

/// Inserts the schema of the provider config, for the machine at this path.
fn on_aws(object: Value, path: &[&str]) -> Value {
    let mut object = object;
    let mut place = &mut object;
    for name in path.iter().chain(&["providerSpec", "value"]) {
        place = &mut present(place)["properties"][*name];
    }
    *place = schema::<AwsMachineProviderConfig>().to_value();
    object
}

/// Returns the schema of a present value, if absence has a separate schema.
fn present(schema: &mut Value) -> &mut Value {
    if schema.get("anyOf").is_some() { &mut schema["anyOf"][0] } else { schema }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(schema: &Value) -> impl Fn(&str) -> Option<String> {
        let mut compiler = boon::Compiler::new();
        compiler.add_resource("schema.json", schema.clone()).unwrap();
        let mut schemas = boon::Schemas::new();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        move |text| {
            let value: Value = serde_saphyr::from_str(text).unwrap();
            schemas.validate(&value, index).err().map(|error| error.to_string())
        }
    }

    /// Another JSON Schema implementation accepts the manifests of openshift-install, and rejects
    /// an invalid word.
    #[test]
    fn a_schema_takes_golden_manifests_and_refuses_another_word_for_authentication() {
        let plans =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../plans/two-pools-required/manifests");
        for (file, schema) in [
            ("99_openshift-cluster-api_master-machines-0.yaml", machine()),
            ("99_openshift-cluster-api_worker-machineset-0.yaml", machine_set()),
            (
                "99_openshift-machine-api_master-control-plane-machine-set.yaml",
                control_plane_machine_set(),
            ),
        ] {
            let text = std::fs::read_to_string(format!("{plans}/{file}")).unwrap();
            let refusal = compiled(&schema);
            assert_eq!(refusal(&text), None, "{file}");
            let odd = text.replace("authentication: Required", "authentication: required");
            assert_ne!(odd, text);
            let said = refusal(&odd).unwrap_or_default();
            assert!(said.contains("authentication"), "{file}: {said}");
        }
    }
}
