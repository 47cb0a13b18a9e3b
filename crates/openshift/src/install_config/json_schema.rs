//! JSON Schema (draft 2020-12) of the install-config, for editors.
//!
//! The fields come from the reader's own table, and the words from the lists that validation uses.
//! An editor therefore offers exactly what the reader accepts. Rules that a schema cannot express,
//! such as overlapping networks or zones of another region, are left to `groundplan validate`.

use groundplan_aws::model::metadata_options::{Authentication, HopLimit};
use serde_json::{Map, Value, json};

use super::choices::words;
use super::document::{Anything, Document, Pairs, Sensitive, Spanned};
use super::{aws, aws_machine_pool, credentials, machine_pool, metadata_service, networking};
use crate::install_config::feature_support;

/// Schemas of the sections so far, by name.
pub(super) type Definitions = Map<String, Value>;

/// A type with a schema.
pub(super) trait HasSchema {
    /// Returns the schema. For a section, returns a reference to its definition in `definitions`.
    fn describe(definitions: &mut Definitions) -> Value;
}

/// Returns the schema of the whole file.
pub fn json_schema() -> Value {
    let mut definitions = Definitions::new();
    Document::describe(&mut definitions);
    refine(&mut definitions);
    let mut root = definitions.remove("Document").expect("BUG: it has just been described");
    root["$schema"] = "https://json-schema.org/draft/2020-12/schema".into();
    root["title"] = "install-config.yaml for platform aws, as groundplan reads it".into();
    root["$defs"] = Value::Object(definitions);
    root
}

/// Describes a section once, however often it is used. Each field is a name, a description and a
/// schema.
pub(super) fn section(
    definitions: &mut Definitions,
    name: &str,
    fields: impl FnOnce(&mut Definitions) -> Vec<(&'static str, &'static str, Value)>,
) -> Value {
    if !definitions.contains_key(name) {
        let fields = fields(definitions).into_iter().map(|(key, about, mut schema)| {
            schema["description"] = about.trim().into();
            if about.trim().starts_with("Use `") {
                schema["deprecated"] = true.into();
            }
            (key.to_owned(), schema)
        });
        let properties: Map<String, Value> = fields.collect();
        let section =
            json!({"type": "object", "properties": properties, "additionalProperties": false});
        definitions.insert(name.to_owned(), section);
    }
    json!({"$ref": format!("#/$defs/{name}")})
}

impl HasSchema for String {
    fn describe(_: &mut Definitions) -> Value {
        json!({"type": "string"})
    }
}

impl HasSchema for Sensitive {
    fn describe(_: &mut Definitions) -> Value {
        json!({"type": "string"})
    }
}

impl HasSchema for bool {
    fn describe(_: &mut Definitions) -> Value {
        json!({"type": "boolean"})
    }
}

impl HasSchema for i64 {
    fn describe(_: &mut Definitions) -> Value {
        json!({"type": "integer"})
    }
}

impl<T: HasSchema> HasSchema for Vec<Spanned<T>> {
    fn describe(definitions: &mut Definitions) -> Value {
        json!({"type": "array", "items": T::describe(definitions)})
    }
}

impl HasSchema for Pairs {
    fn describe(_: &mut Definitions) -> Value {
        // The reader accepts numbers and booleans and keeps their spelling.
        let value = json!({"type": ["string", "number", "boolean", "null"]});
        json!({"type": "object", "additionalProperties": value})
    }
}

impl HasSchema for Anything {
    fn describe(_: &mut Definitions) -> Value {
        json!({})
    }
}

/// Adds the facts that a type alone does not express: words, defaults, bounds and required fields.
fn refine(definitions: &mut Definitions) {
    let mut of = |section: &str, field: &str, more: Value| {
        let known = definitions.get_mut(section).map(|section| &mut section["properties"]);
        let known = known.and_then(|fields| fields.get_mut(field)).and_then(Value::as_object_mut);
        let (Some(known), Value::Object(more)) = (known, more) else {
            unreachable!("BUG: {section} has no field {field}");
        };
        known.extend(more);
    };
    let one_of = |words: Vec<&str>| json!({"enum": words});
    let or = |words: Vec<&str>, default: &str| json!({"enum": words, "default": default});

    of("Document", "apiVersion", one_of(vec!["v1"]));
    of("Document", "publish", or(words(feature_support::PUBLISH), "External"));
    of("Document", "credentialsMode", one_of(words(feature_support::CREDENTIALS_MODES)));
    of("Document", "cpuPartitioningMode", or(words(feature_support::CPU_PARTITIONING), "None"));
    of("Document", "featureSet", one_of(words(feature_support::FEATURE_SETS)));
    of("Document", "fips", json!({"default": false}));
    let policies = words(credentials::POLICIES);
    of("Document", "additionalTrustBundlePolicy", or(policies, "Proxyonly"));
    of("Document", "osImageStream", one_of(words(feature_support::IMAGE_STREAMS)));
    let mut policies = words(feature_support::SOURCE_POLICIES);
    policies.push(""); // the zero value of Go
    of("ImageSource", "sourcePolicy", one_of(policies));
    of("MachinePool", "management", one_of(words(machine_pool::MANAGEMENT)));
    let encryption = one_of(words(aws_machine_pool::CONFIDENTIAL_COMPUTE));
    of("CpuOptions", "confidentialCompute", encryption);
    of("Capabilities", "baselineCapabilitySet", one_of(words(feature_support::CAPABILITY_SETS)));
    let capabilities = json!({"type": "string", "enum": words(feature_support::CAPABILITIES)});
    of("Capabilities", "additionalEnabledCapabilities", json!({"items": capabilities}));

    of("Networking", "networkType", json!({"default": networking::NETWORK_TYPE}));
    let mtu = networking::MTU;
    of("Networking", "clusterNetworkMTU", json!({"minimum": mtu.start(), "maximum": mtu.end()}));
    let (_, prefix) = networking::CLUSTER_NETWORK;
    of("ClusterNetwork", "hostPrefix", json!({"minimum": 0, "maximum": 32, "default": prefix}));

    let replicas = json!({
        "minimum": 0, "maximum": machine_pool::MOST, "default": machine_pool::REPLICAS
    });
    of("MachinePool", "replicas", replicas);
    of("MachinePool", "hyperthreading", or(words(machine_pool::HYPERTHREADING), "Enabled"));
    of("MachinePool", "architecture", or(words(machine_pool::ARCHITECTURES), "amd64"));
    of("AwsPlatform", "lbType", or(words(aws::LOAD_BALANCERS), "Classic"));
    of("AwsPlatform", "propagateUserTags", json!({"default": false}));
    let (volume_type, size) = (aws_machine_pool::VOLUME_TYPE, aws_machine_pool::VOLUME_SIZE);
    let mut volume_types = words(&aws_machine_pool::volume_types());
    volume_types.push(""); // the zero value of Go
    of("RootVolume", "type", or(volume_types, volume_type));
    of("RootVolume", "size", json!({"minimum": 0, "default": size}));
    of("RootVolume", "iops", json!({"minimum": 0}));
    // Without a default, because groundplan sends nothing for an omitted field.
    of("MetadataService", "authentication", one_of(words(Authentication::WORDS)));
    of("MetadataService", "httpEndpoint", one_of(vec![metadata_service::ENDPOINT]));
    let (least, most) = HopLimit::RANGE.into_inner();
    let hops = json!({"minimum": least, "maximum": most});
    of("MetadataService", "httpPutResponseHopLimit", hops);
    of("MetadataService", "instanceMetadataTags", one_of(vec![metadata_service::TAGS]));

    for (section, needed) in NEEDED {
        let section = definitions.get_mut(*section).expect("BUG: a section of the reader");
        section["required"] = json!(needed);
    }
}

/// Required fields by section: those that the reader `require`s.
const NEEDED: &[(&str, &[&str])] = &[
    ("Document", &["apiVersion", "baseDomain", "metadata", "platform", "pullSecret"]),
    ("Metadata", &["name"]),
    ("MachineNetwork", &["cidr"]),
    ("ClusterNetwork", &["cidr"]),
    ("AwsPlatform", &["region"]),
    ("VpcSubnet", &["id"]),
    ("ServiceEndpoint", &["name", "url"]),
    ("ImageSource", &["source"]),
    ("Capabilities", &["baselineCapabilitySet"]),
];
