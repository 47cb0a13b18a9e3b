//! Search for resources that AWS protects from deletion, before a plan deletes them. Changes nothing.

use std::collections::BTreeMap;

use groundplan_engine::graph::Address;
use groundplan_engine::provider::all;
use serde_json::Value;

use crate::Aws;
use crate::client::resource_type::Result;
use crate::model::protection::DeletionProtection;
use crate::registry::calls;

/// Returns the protected ones of these resources, with their outputs, sorted by address.
///
/// Kinds that AWS cannot protect need no call. The termination protection of each instance needs
/// one call; these calls are concurrent.
///
/// # Errors
/// If a protection cannot be read.
pub async fn protections(
    aws: &Aws,
    doomed: &BTreeMap<Address, Value>,
) -> Result<Vec<(Address, DeletionProtection)>> {
    let mut kinds: BTreeMap<&str, Vec<(&Address, &Value)>> = BTreeMap::new();
    for (address, outputs) in doomed {
        kinds.entry(address.kind()).or_default().push((address, outputs));
    }
    let known = kinds.into_iter().filter_map(|(kind, some)| Some((calls(kind)?, some)));
    let known: Vec<_> = known.collect();
    let asked = known.iter().map(|(kind, some)| {
        kind.protections(aws, some.iter().map(|(_, outputs)| (*outputs).clone()).collect())
    });
    let mut found = Vec::new();
    for ((_, some), answer) in known.iter().zip(all(asked.collect()).await) {
        let protected = some.iter().zip(answer?);
        found.extend(protected.filter_map(|((address, _), one)| Some(((*address).clone(), one?))));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}
