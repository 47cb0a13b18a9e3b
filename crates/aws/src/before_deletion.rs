//! Facts about resources that a plan deletes, read before the first change: protections of AWS, and
//! what others attached. Changes nothing.

use std::collections::BTreeMap;

use groundplan_engine::graph::Address;
use groundplan_engine::provider::{ProviderFuture, all};
use serde_json::Value;

use crate::Aws;
use crate::client::resource_type::{DynKind, Result};
use crate::model::attachment::Attachment;
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
    let found = of_each(doomed, |kind, outputs| kind.protections(aws, outputs)).await?;
    Ok(found.into_iter().filter_map(|(address, one)| Some((address, one?))).collect())
}

/// Returns the attachments that the deletion of these resources ends, sorted by address. Each role
/// needs three calls; other kinds need none.
///
/// # Errors
/// If the attachments of a resource cannot be read.
pub async fn attachments(
    aws: &Aws,
    doomed: &BTreeMap<Address, Value>,
) -> Result<Vec<(Address, Attachment)>> {
    let found = of_each(doomed, |kind, outputs| kind.attachments(aws, outputs)).await?;
    let each = |(address, some): (Address, Vec<Attachment>)| {
        some.into_iter().map(move |one| (address.clone(), one))
    };
    Ok(found.into_iter().flat_map(each).collect())
}

/// Asks each kind once about its resources. Returns the answers, sorted by address.
async fn of_each<'a, T>(
    doomed: &BTreeMap<Address, Value>,
    ask: impl Fn(&'static dyn DynKind, Vec<Value>) -> ProviderFuture<'a, Vec<T>>,
) -> Result<Vec<(Address, T)>> {
    let mut kinds: BTreeMap<&str, Vec<&Address>> = BTreeMap::new();
    for address in doomed.keys() {
        kinds.entry(address.kind()).or_default().push(address);
    }
    let known: Vec<_> =
        kinds.into_iter().filter_map(|(kind, some)| Some((calls(kind)?, some))).collect();
    let asked = known.iter().map(|(kind, some)| {
        ask(*kind, some.iter().map(|address| doomed[*address].clone()).collect())
    });
    let mut found = Vec::new();
    for ((_, some), answers) in known.iter().zip(all(asked.collect()).await) {
        found.extend(some.iter().map(|address| (*address).clone()).zip(answers?));
    }
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(found)
}
