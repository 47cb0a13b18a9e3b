//! The schema for editors agrees with the reader.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::Value;

use super::cases;
use super::*;
use crate::install_config::document::SECTIONS;

/// Returns the error of an independent JSON Schema validator. `None` if the text is valid.
fn complaint(text: &str) -> Option<String> {
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource("schema.json", json_schema()).unwrap();
    let schema = compiler.compile("schema.json", &mut schemas).expect("a schema of its draft");
    let value: Value = serde_saphyr::from_str(text).expect("YAML");
    schemas.validate(&value, schema).err().map(|error| error.to_string())
}

fn keys(section: &Value) -> BTreeSet<&str> {
    section["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_schema_has_the_fields_of_the_reader_and_no_others() {
    let schema = json_schema();
    let definitions = schema["$defs"].as_object().unwrap();
    for (name, fields) in SECTIONS {
        let section = definitions.get(*name).unwrap_or(&schema);
        assert_eq!(keys(section), fields.iter().copied().collect(), "{name}");
    }
    let names: BTreeSet<&str> = definitions.keys().map(String::as_str).collect();
    let sections: BTreeSet<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, sections.into_iter().filter(|name| *name != "Document").collect());
}

#[test]
fn every_field_is_described_and_a_choice_has_its_words() {
    let schema = json_schema();
    let sections = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for (name, field) in sections.flat_map(|section| section["properties"].as_object().unwrap()) {
        assert!(field["description"].as_str().is_some_and(|text| text.ends_with('.')), "{name}");
    }
    let authentication = &schema["$defs"]["MetadataService"]["properties"]["authentication"];
    assert_eq!(authentication["enum"], serde_json::json!(["Required", "Optional"]));
    assert!(authentication.get("default").is_none(), "left out, nothing is sent");
}

#[test]
fn the_examples_are_accepted() {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plans");
    let folders = fs::read_dir(plans).unwrap().map(|entry| entry.unwrap().path());
    let files =
        folders.map(|folder| folder.join("install-config.yaml")).filter(|file| file.exists());
    let texts = files.map(|file| fs::read_to_string(file).unwrap());
    let mut examples: Vec<String> = texts.collect();
    assert!(examples.len() >= 7, "{}", examples.len());
    examples.extend([TWO_POOLS.to_owned(), cases::SMALLEST.to_owned()]);
    for text in examples {
        assert_eq!(complaint(&text), None, "{text}");
    }
}

#[test]
fn typical_mistakes_are_refused() {
    for (from, to) in [
        ("authentication: Required", "authentication: required"),
        ("authentication: Required", "authentification: Required"),
        ("metadataService:", "metadataservice:"),
        ("controlPlane:", "controlplane:"),
        ("apiVersion: v1", "apiVersion: v2"),
        ("baseDomain: example.com\n", ""),
        ("    region: us-west-2\n", ""),
        ("publish: External", "publish: external"),
        ("fips: false", "fips: 'false'"),
        ("  replicas: 3", "  replicas: three"),
        ("  replicas: 3", "  replicas: -1"),
        ("type: io1", "type: gp4"),
        ("  - us-west-2b", "  - [us-west-2b]"),
        ("platform:\n  aws:\n    region", "platform:\n  gcp: {}\n  aws:\n    region"),
    ] {
        let text = with(&[(from, to)]);
        assert!(complaint(&text).is_some(), "{to:?} was accepted");
    }
}

/// An editor must not underline text that the reader accepts without a finding.
#[test]
fn what_the_reader_is_content_with_the_schema_accepts() {
    for (name, text) in cases::fine() {
        if text.contains("type: IO1") {
            continue; // the reader accepts any case; an editor may be stricter
        }
        assert_eq!(complaint(&text), None, "{name}");
    }
}
