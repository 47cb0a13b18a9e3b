//! Fields that there are not: those that nobody misses, and those with which something is lost.
//!
//! A cluster keeps a field of the provider config that it does not know, ignores it, and says so in a
//! warning that few see; elsewhere its API server drops it without a word. To go on would launch machines
//! without what was asked for, so that what was plainly meant for a field that there is, is an error.

use serde_json::{Map, Value};

use super::Flaw;
use crate::config::{
    Rule, did_you_mean, is_metadata_holder, meant_among_metadata_settings, metadata_setting,
};

/// What holds the settings of the metadata service.
const OPTIONS: &str = "metadataServiceOptions";

/// What is to be said of a field at a path whose type does not have it.
pub(super) fn unknown(name: &str, value: &Value, path: &str, known: &Map<String, Value>) -> Flaw {
    let ignored = Flaw::new(Rule::UnknownField, path, "is unknown here, and has no effect");
    if path == "status" || path.starts_with("status.") {
        return ignored; // nobody is asked for anything there
    }
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    match lost(name, value, path, &known) {
        Some(hint) => Flaw::new(Rule::LostField, path, LOST).hint(hint),
        None => ignored,
    }
}

const LOST: &str =
    "is not a field: the cluster would ignore it, and what it asks for would be lost";

/// What to do, if something is lost without this field.
fn lost(name: &str, value: &Value, path: &str, known: &[&str]) -> Option<String> {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    if parent.ends_with(OPTIONS) {
        return Some(meant_among_metadata_settings(name));
    }
    let meant = if is_metadata_holder(name) { Some(OPTIONS) } else { metadata_setting(name) };
    match meant {
        Some(meant) if known.contains(&meant) => Some(format!("did you mean `{meant}`?")),
        Some(OPTIONS) => Some(format!("`{OPTIONS}` belongs in `providerSpec.value`")),
        Some(meant) => Some(format!("`{meant}` belongs in `providerSpec.value.{OPTIONS}`")),
        None => did_you_mean(name, known).or_else(|| {
            asks_for_metadata(value).then(|| format!("the `{OPTIONS}` in it would be lost, too"))
        }),
    }
}

fn asks_for_metadata(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_metadata_holder(name) || asks_for_metadata(value))
        }
        Value::Array(items) => items.iter().any(asks_for_metadata),
        _ => false,
    }
}
