//! Facts about resources that a plan deletes, read before the first change: protections of AWS, and
//! what others attached. Changes nothing.

use std::collections::BTreeMap;

use groundplan_engine::graph::Address;
use groundplan_engine::provider::{ProviderError, ProviderFuture, all};
use serde_json::Value;

use crate::Aws;
use crate::client::resource_type::{DynKind, Result};
use crate::model::attachment::Attachment;
use crate::model::protection::DeletionProtection;
use crate::registry::{calls, facts};

/// Error codes of AWS for a call that the credentials do not allow.
pub const DENIED: &[&str] = &["UnauthorizedOperation", "AccessDenied", "AccessDeniedException"];

/// Protections of resources, sorted by address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protections {
    /// The protected resources.
    pub found: Vec<(Address, DeletionProtection)>,
    /// The resources whose protection the credentials may not read, each with the IAM action that
    /// reads it.
    pub unknown: Vec<(Address, &'static str)>,
}

/// Returns the protections of these resources.
///
/// Kinds that AWS cannot protect need no call. The termination protection of each instance needs
/// one call; these calls are concurrent.
///
/// # Errors
/// If a protection cannot be read for another reason than a missing permission.
pub async fn protections(aws: &Aws, doomed: &BTreeMap<Address, Value>) -> Result<Protections> {
    let mut protections = Protections::default();
    for (address, one) in of_each(doomed, |kind, outputs| kind.protections(aws, outputs)).await? {
        match one {
            Ok(Some(protection)) => protections.found.push((address, protection)),
            Ok(None) => (),
            Err(error) => match permission(&address, &error) {
                Some(permission) => protections.unknown.push((address, permission)),
                None => return Err(error),
            },
        }
    }
    Ok(protections)
}

/// Returns the IAM action that a denied read of a resource lacks. `None` for another error.
fn permission(address: &Address, error: &ProviderError) -> Option<&'static str> {
    if !error.is(DENIED) {
        return None;
    }
    let mut actions = facts(address.kind())?.actions.delete.iter();
    let of_call = |action: &&&str| action.split_once(':').is_some_and(|(_, one)| one == error.call);
    actions.find(of_call).copied()
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
