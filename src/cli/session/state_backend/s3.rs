//! State backends in S3 for commands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundplan_aws::{Encryption, StateBucket, StateBucketSettings};
use groundplan_engine::state::State;
use groundplan_engine::state::backend::Home;
use groundplan_engine::state::lock::Broken;
use groundplan_engine::state::remote::layout::Layout;
use groundplan_engine::state::remote::object_store::Bucket;
use groundplan_engine::state::remote::{self, RemoteGuard, RemoteHome};

use super::{Locked, Movable, tell_of_the_wait, unbroken};
use crate::cli::args::Common;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Screen;
use crate::cli::session::locked_state::{locked, unusable};

/// Location of a cluster's state in S3: the bucket and the names of the objects.
#[derive(Clone)]
pub(super) struct There {
    bucket: Arc<dyn Bucket>,
    layout: Layout,
}

/// S3 connections and locks of this process. Each bucket has one connection.
#[derive(Default)]
struct Ours {
    buckets: HashMap<String, Arc<dyn Bucket>>,
    locks: Vec<(There, String)>,
}

static OURS: Mutex<Option<Ours>> = Mutex::new(None);

fn ours() -> MutexGuard<'static, Option<Ours>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl There {
    /// Returns the location. Reuses the connection to the bucket, and makes no calls.
    pub(super) async fn reach(name: &str, prefix: &str, common: &Common) -> Self {
        let known = ours().as_ref().and_then(|ours| ours.buckets.get(name).cloned());
        let bucket = match known {
            Some(bucket) => bucket,
            None => connect(name, common).await,
        };
        Self { bucket, layout: Layout::new(name, prefix) }
    }

    pub(super) async fn is_there(&self) -> Result<bool> {
        remote::is_there(&self.bucket, &self.layout).await.map_err(|error| unusable(&error))
    }

    pub(super) async fn look(&self) -> Result<Option<(State, Vec<String>)>> {
        let glance = remote::read(&self.bucket, &self.layout).await;
        let glance = glance.map_err(|error| unusable(&error))?;
        Ok(glance.map(|glance| (glance.state, glance.warnings)))
    }

    pub(super) async fn read_back(&self) -> Result<Option<State>> {
        let glance = remote::read_even_if_moved(&self.bucket, &self.layout).await;
        Ok(glance.map_err(|error| unusable(&error))?.map(|glance| glance.state))
    }

    pub(super) async fn open(
        &self,
        operation: &str,
        common: &Common,
        screen: &mut Screen,
    ) -> Result<Locked> {
        let guard = self.lock(operation, common, screen).await?;
        let by = guard.holder().who();
        let opened = RemoteHome::open(&guard).await.map_err(|error| unusable(&error))?;
        let remote::Opened { mut home, state, warnings } = opened;
        home.hold(guard);
        Ok(Locked { home: Home::Remote(home), state, warnings, older: None, by })
    }

    pub(super) async fn open_to_move(
        &self,
        common: &Common,
        screen: &mut Screen,
    ) -> Result<Movable> {
        let guard = self.lock("state migrate", common, screen).await?;
        let moved_to = remote::moved_to(&self.bucket, &self.layout).await;
        let moved_to = moved_to.map_err(|error| unusable(&error))?;
        let opened = RemoteHome::open_even_if_moved(&guard).await;
        let remote::Opened { mut home, state, .. } = opened.map_err(|error| unusable(&error))?;
        home.hold(guard);
        Ok(Movable { home: Home::Remote(home), state, moved_to })
    }

    pub(super) async fn break_open(&self, id: &str, force: bool) -> Result<Option<Broken>> {
        let broken = remote::break_open(&self.bucket, &self.layout, id, force).await;
        broken.map_err(|error| unbroken(&error))
    }

    async fn lock(
        &self,
        operation: &str,
        common: &Common,
        screen: &mut Screen,
    ) -> Result<RemoteGuard> {
        let wait = common.lock_timeout;
        let take =
            |wait| RemoteHome::lock(&self.bucket, &self.layout, operation, wait, common.lease);
        let guard = match take(Duration::ZERO).await {
            Err(error) if error.is_held() && !wait.is_zero() => {
                tell_of_the_wait(wait, &error, screen)?;
                take(wait).await
            }
            done => done,
        };
        let guard = guard.map_err(|error| locked(&error))?;
        let id = guard.holder().id.clone();
        ours().get_or_insert_default().locks.push((self.clone(), id));
        Ok(guard)
    }
}

async fn connect(name: &str, common: &Common) -> Arc<dyn Bucket> {
    let encryption = match &common.state_kms_key {
        Some(key) => Encryption::Kms(key.clone()),
        None => Encryption::S3,
    };
    let name = name.to_owned();
    let settings = StateBucketSettings { name: name.clone(), encryption, ..Default::default() };
    let bucket: Arc<dyn Bucket> = Arc::new(StateBucket::connect(settings).await);
    ours().get_or_insert_default().buckets.insert(name, Arc::clone(&bucket));
    bucket
}

/// Releases every lock that this process still holds. A lock whose release fails expires with its
/// lease.
pub(super) async fn leave() {
    let locks = ours().as_mut().map(|ours| std::mem::take(&mut ours.locks)).unwrap_or_default();
    for (there, id) in locks {
        let _ = remote::break_open(&there.bucket, &there.layout, &id, true).await;
    }
}
