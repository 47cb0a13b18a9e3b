//! Judgement of lists. A list that is empty or truncated looks like the absence of resources, so each
//! list is compared with names that it must contain, or is read a second time.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::{PAUSE, incomplete};
use crate::Aws;
use crate::client::resource_type::Result;
use crate::model::untracked::UntrackedKind;

/// Items of a list, by name or ID.
pub(super) type Items<T> = BTreeMap<String, T>;

/// A list of all resources of one type.
#[derive(Clone, Copy, Debug)]
pub(super) struct List<'a> {
    /// Type of the listed resources.
    pub(super) kind: UntrackedKind,
    /// Call that returns the list.
    pub(super) call: &'static str,
    /// Names and IDs of recorded resources.
    pub(super) recorded: &'a BTreeSet<String>,
    /// Prefix of the names of the cluster. Listed resources without it belong to others and stay: a
    /// later list of this run is compared with them. `None` if the names do not show the owner.
    pub(super) prefix: Option<&'a str>,
}

impl List<'_> {
    /// Reads the list. A list that lacks a name that it must contain is read a second time after a
    /// pause, and so is one about which no such name is known. An item of either list counts.
    ///
    /// # Errors
    /// Returns an error if a read fails. Returns a retryable one if both lists lack a recorded
    /// resource that refresh has read, or all resources of others that this run has listed before.
    pub(super) async fn read<T, R>(self, aws: &Aws, read: impl Fn() -> R) -> Result<Items<T>>
    where
        R: Future<Output = Result<Items<T>>>,
    {
        let required = aws.watch.owned_names(self.kind, self.recorded);
        let others = aws.watch.listed(self.kind);
        let mut all = read().await?;
        let is_judged = !required.is_empty() || !others.is_empty();
        let is_complete = [&required, &others].into_iter().flatten().all(|n| all.contains_key(n));
        if !is_judged || !is_complete {
            tokio::time::sleep(PAUSE).await;
            all.extend(read().await?);
        }
        if let Some(name) = required.iter().find(|name| !all.contains_key(*name)) {
            return Err(incomplete(self.call, name));
        }
        if !others.is_empty() && !others.iter().any(|name| all.contains_key(name)) {
            return Err(emptied(self.call));
        }
        if let Some(prefix) = self.prefix {
            let others = all.keys().filter(|name| !name.starts_with(prefix));
            aws.watch.note_listed(self.kind, others.cloned().collect());
        }
        Ok(all)
    }
}

/// Returns the error for a list that lacks all resources of others that it contained before.
fn emptied(call: &str) -> ProviderError {
    let message = "the answer lacks every resource of others that an earlier answer contained";
    ProviderError::new(ErrorClass::Retryable, call, message)
        .with_hint("run the same command again in a minute")
}
