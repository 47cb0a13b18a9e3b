//! CustomResourceDefinitions of Machine and MachineSet, for clusters that do not have them.
//!
//! Generated from the types, in the structural subset of JSON Schema that the API server accepts.
//! In that subset each value has one type, and no schema references another. The provider config is
//! any object to the API server, like upstream. OpenShift has more complete definitions, which stay
//! in place there.
//!
//! Sources: the rules are in the Kubernetes documentation under "Specifying a structural schema";
//! the columns and subresources in openshift/api `machine/v1beta1`.

use serde_json::{Map, Value, json};

use super::types::{MACHINE_API, Machine, MachineSet, schema};

/// Returns the definition of Machine.
pub fn machine() -> Value {
    let name = |name: &str| format!(".metadata.labels['machine\\.openshift\\.io/{name}']");
    let state = ".metadata.annotations['machine\\.openshift\\.io/instance-state']";
    definition(CrdParts {
        kind: "Machine",
        schema: structural(&schema::<Machine>().to_value()),
        subresources: json!({"status": {}}),
        columns: vec![
            column("Phase", "string", ".status.phase"),
            column("Type", "string", &name("instance-type")),
            column("Region", "string", &name("region")),
            column("Zone", "string", &name("zone")),
            column("Age", "date", ".metadata.creationTimestamp"),
            wide(column("Node", "string", ".status.nodeRef.name")),
            wide(column("ProviderID", "string", ".spec.providerID")),
            wide(column("State", "string", state)),
        ],
    })
}

/// Returns the definition of MachineSet.
pub fn machine_set() -> Value {
    let mut schema = structural(&schema::<MachineSet>().to_value());
    let spec = &mut schema["properties"]["spec"]["properties"];
    spec["replicas"]["default"] = json!(1);
    spec["deletePolicy"]["enum"] = json!(["Random", "Newest", "Oldest"]);
    let scale = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.labelSelector",
    });
    definition(CrdParts {
        kind: "MachineSet",
        schema,
        subresources: json!({"status": {}, "scale": scale}),
        columns: vec![
            column("Desired", "integer", ".spec.replicas"),
            column("Current", "integer", ".status.replicas"),
            column("Ready", "integer", ".status.readyReplicas"),
            column("Available", "string", ".status.availableReplicas"),
            column("Age", "date", ".metadata.creationTimestamp"),
        ],
    })
}

/// Parts in which the definitions differ.
struct CrdParts {
    kind: &'static str,
    schema: Value,
    subresources: Value,
    columns: Vec<Value>,
}

fn definition(CrdParts { kind, schema, subresources, columns }: CrdParts) -> Value {
    let (group, version) = MACHINE_API.split_once('/').expect("BUG: a group and a version");
    let singular = kind.to_lowercase();
    let version = json!({
        "name": version,
        "served": true,
        "storage": true,
        "schema": {"openAPIV3Schema": schema},
        "subresources": subresources,
        "additionalPrinterColumns": columns,
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{singular}s.{group}")},
        "spec": {
            "group": group,
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": format!("{singular}s"),
                "singular": singular,
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    })
}

fn column(name: &str, kind: &str, path: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path})
}

/// Returns the column as one that `kubectl` shows only with `-o wide`.
fn wide(column: Value) -> Value {
    let mut column = column;
    column["priority"] = json!(1);
    column
}

/// Returns the schema in the structural subset. Null is not a type there: the API server drops a
/// null value where the schema does not allow null.
fn structural(schema: &Value) -> Value {
    if let Some(kinds) = schema["anyOf"].as_array() {
        let given = kinds.iter().find(|kind| kind["type"] != "null");
        return with_description(structural(given.unwrap_or(&Value::Null)), schema);
    }
    let kind = kind_of(schema);
    let mut result = json!({"type": kind});
    match kind {
        "object" => object(&mut result, schema),
        "array" => result["items"] = structural(&schema["items"]),
        _ => (),
    }
    for word in ["format", "minimum", "maximum", "enum", "pattern"] {
        if let Some(value) = schema.get(word) {
            result[word] = value.clone();
        }
    }
    with_description(result, schema)
}

fn kind_of(schema: &Value) -> &str {
    let kinds = schema["type"].as_array();
    let given = kinds.and_then(|kinds| kinds.iter().find(|kind| *kind != "null"));
    given.unwrap_or(&schema["type"]).as_str().unwrap_or("object")
}

/// Adds the fields of an object. An object without fields and without a value type is described by
/// another API, and keeps all its fields.
fn object(result: &mut Value, schema: &Value) {
    if let Some(fields) = schema["properties"].as_object() {
        let fields = fields.iter().map(|(name, field)| (name.clone(), structural(field)));
        let mut fields: Map<String, Value> = fields.collect();
        if fields.contains_key("apiVersion") {
            fields.insert("metadata".to_owned(), json!({"type": "object"}));
        }
        result["properties"] = fields.into();
    } else if let Some(values) = schema.get("additionalProperties").filter(|one| one.is_object()) {
        result["additionalProperties"] = structural(values);
    } else {
        result["x-kubernetes-preserve-unknown-fields"] = json!(true);
    }
}

fn with_description(result: Value, schema: &Value) -> Value {
    let mut result = result;
    if let Some(text) = schema.get("description") {
        result["description"] = text.clone();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine_api::yaml;

    fn schema_of(definition: &Value) -> &Value {
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    }

    /// Collects every schema within a schema, with its path.
    fn each<'a>(schema: &'a Value, path: &str, found: &mut Vec<(String, &'a Value)>) {
        found.push((path.to_owned(), schema));
        for (name, field) in schema["properties"].as_object().into_iter().flatten() {
            each(field, &format!("{path}.{name}"), found);
        }
        for inner in ["items", "additionalProperties"] {
            if let Some(inner_schema) = schema.get(inner) {
                each(inner_schema, &format!("{path}[{inner}]"), found);
            }
        }
    }

    /// Keywords of a structural schema. The API server rejects a definition with any other keyword.
    const WORDS: [&str; 11] = [
        "type",
        "properties",
        "additionalProperties",
        "items",
        "format",
        "minimum",
        "enum",
        "default",
        "description",
        "pattern",
        "x-kubernetes-preserve-unknown-fields",
    ];

    #[test]
    fn the_schemas_are_structural() {
        for definition in [machine(), machine_set()] {
            let mut schemas = Vec::new();
            each(schema_of(&definition), "", &mut schemas);
            assert!(schemas.len() > 40, "{}", schemas.len());
            for (path, schema) in schemas {
                let kind = schema["type"].as_str().unwrap_or_else(|| panic!("{path}: {schema}"));
                assert!(
                    ["object", "array", "string", "integer", "boolean"].contains(&kind),
                    "{path}: {kind}"
                );
                let fields = schema.as_object().unwrap();
                let odd = fields.keys().find(|word| !WORDS.contains(&word.as_str()));
                assert_eq!(odd, None, "{path}");
                let both =
                    ["properties", "additionalProperties"].map(|one| fields.contains_key(one));
                assert_ne!(both, [true, true], "{path}: fields are either known or not");
                assert_eq!(kind == "array", fields.contains_key("items"), "{path}");
            }
        }
    }

    #[test]
    fn metadata_is_the_api_server_s_to_describe() {
        for definition in [machine(), machine_set()] {
            let metadata = &schema_of(&definition)["properties"]["metadata"];
            assert_eq!(*metadata, json!({"type": "object"}));
        }
    }

    #[test]
    fn what_aws_is_told_and_says_is_kept_whole() {
        let (machine, set) = (machine(), machine_set());
        let whole = |schema: &Value| schema["x-kubernetes-preserve-unknown-fields"] == true;
        let of = |path: &str| schema_of(&machine).pointer(path).unwrap_or(&Value::Null).clone();
        let spec = "/properties/spec/properties/providerSpec/properties/value";
        assert!(whole(&of(spec)));
        assert!(whole(&of("/properties/status/properties/providerStatus")));
        let template = format!("/properties/spec/properties/template{spec}");
        assert!(whole(schema_of(&set).pointer(&template).unwrap()));
        let mut schemas = Vec::new();
        each(schema_of(&machine), "", &mut schemas);
        let kept: Vec<&str> =
            schemas.iter().filter(|(_, schema)| whole(schema)).map(|(path, _)| &**path).collect();
        let expected = [
            ".spec.metadata.ownerReferences[items]",
            ".spec.providerSpec.value",
            ".status.nodeRef",
            ".status.providerStatus",
        ];
        assert_eq!(kept, expected, "other unknown fields are dropped");
    }

    /// Values that the types write pass through the schema without loss, because the API server
    /// drops unknown fields.
    #[test]
    fn no_field_that_the_types_write_is_dropped() {
        let plans =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../plans/two-pools-required/manifests");
        for (file, definition) in [
            ("99_openshift-cluster-api_master-machines-0.yaml", machine()),
            ("99_openshift-cluster-api_worker-machineset-0.yaml", machine_set()),
        ] {
            let text = std::fs::read_to_string(format!("{plans}/{file}")).unwrap();
            let value: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(dropped(&value, schema_of(&definition), ""), Vec::<String>::new(), "{file}");
        }
        let odd = json!({"spec": {"replica": 3}});
        assert_eq!(dropped(&odd, schema_of(&machine_set()), ""), [".spec.replica"]);
    }

    fn dropped(value: &Value, schema: &Value, path: &str) -> Vec<String> {
        let known = |name: &str| {
            schema["properties"].get(name).or_else(|| schema.get("additionalProperties"))
        };
        let whole = schema["x-kubernetes-preserve-unknown-fields"] == true || path == ".metadata";
        match value {
            Value::Object(fields) if !whole => fields
                .iter()
                .flat_map(|(name, value)| match known(name) {
                    Some(schema) => dropped(value, schema, &format!("{path}.{name}")),
                    None => vec![format!("{path}.{name}")],
                })
                .collect(),
            Value::Array(items) => {
                items.iter().flat_map(|item| dropped(item, &schema["items"], path)).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn a_machine_set_is_scaled_through_its_subresource() {
        let set = machine_set();
        let scale = &set["spec"]["versions"][0]["subresources"]["scale"];
        for (path, kind) in [
            ("specReplicasPath", "integer"),
            ("statusReplicasPath", "integer"),
            ("labelSelectorPath", "string"),
        ] {
            let fields = scale[path].as_str().unwrap().replace('.', "/properties/");
            assert_eq!(schema_of(&set).pointer(&fields).unwrap()["type"], kind, "{path}");
        }
    }

    /// Rewritten by `GROUNDPLAN_BLESS=1 cargo test -p groundplan-openshift crds`.
    #[test]
    fn the_files_in_deploy_are_these() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/machine-controller/crds");
        for (file, definition) in [("machine.yaml", machine()), ("machine-set.yaml", machine_set())]
        {
            let (path, text) = (format!("{folder}/{file}"), yaml::write(&definition));
            if std::env::var_os("GROUNDPLAN_BLESS").is_some() {
                std::fs::write(&path, &text).unwrap();
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "{path}");
            let read: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(read, definition, "{path} says what the program means");
        }
    }
}
