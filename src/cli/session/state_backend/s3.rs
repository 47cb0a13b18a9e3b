//! State backends in S3 for commands.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundplan_aws::{Encryption, S3StateStore, S3StateStoreSettings};
use groundplan_engine::state::State;
use groundplan_engine::state::backend::StateBackend;
use groundplan_engine::state::lock::{BrokenLock, LockHolder};
use groundplan_engine::state::remote::layout::Layout;
use groundplan_engine::state::remote::object_store::ObjectStore;
use groundplan_engine::state::remote::{self, RemoteBackend, RemoteLockGuard};

use super::{MigrationEnd, OpenedState, tell_of_the_wait, unbroken};
use crate::cli::args::CommonArgs;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::locked_state::{locked, unusable};

/// Location of a cluster's state in S3: the bucket and the names of the objects.
#[derive(Clone)]
pub(super) struct S3Location {
    bucket: Arc<dyn ObjectStore>,
    layout: Layout,
}

/// S3 connections and locks of this process. Each bucket has one connection.
#[derive(Default)]
struct S3Connections {
    buckets: HashMap<String, Arc<dyn ObjectStore>>,
    locks: Vec<(S3Location, String)>,
}

static OURS: Mutex<Option<S3Connections>> = Mutex::new(None);

fn ours() -> MutexGuard<'static, Option<S3Connections>> {
    OURS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl S3Location {
    /// Returns the location. Reuses the connection to the bucket, and makes no calls.
    pub(super) async fn reach(name: &str, prefix: &str, common: &CommonArgs) -> Self {
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

    pub(super) async fn read_unlocked(&self) -> Result<Option<(State, Vec<String>)>> {
        let glance = remote::read(&self.bucket, &self.layout).await;
        let glance = glance.map_err(|error| unusable(&error))?;
        Ok(glance.map(|glance| (glance.state, glance.warnings)))
    }

    pub(super) async fn cluster_names(&self) -> Result<Vec<String>> {
        remote::cluster_names(&self.bucket, &self.layout).await.map_err(|error| unusable(&error))
    }

    pub(super) async fn moved_to(&self) -> Result<Option<String>> {
        remote::moved_to(&self.bucket, &self.layout).await.map_err(|error| unusable(&error))
    }

    pub(super) async fn holder(&self) -> Result<Option<LockHolder>> {
        remote::holder(&self.bucket, &self.layout).await.map_err(|error| unusable(&error))
    }

    pub(super) async fn read_back(&self) -> Result<Option<State>> {
        let glance = remote::read_even_if_moved(&self.bucket, &self.layout).await;
        Ok(glance.map_err(|error| unusable(&error))?.map(|glance| glance.state))
    }

    pub(super) async fn open(
        &self,
        operation: &str,
        common: &CommonArgs,
        ui: &mut Ui,
    ) -> Result<OpenedState> {
        let guard = self.lock(operation, common, ui).await?;
        let by = guard.holder().who();
        let opened = RemoteBackend::open(&guard).await.map_err(|error| unusable(&error))?;
        let remote::OpenedRemote { mut backend, state, warnings } = opened;
        backend.hold(guard);
        Ok(OpenedState { backend: StateBackend::Remote(backend), state, warnings, older: None, by })
    }

    pub(super) async fn open_to_move(
        &self,
        common: &CommonArgs,
        ui: &mut Ui,
    ) -> Result<MigrationEnd> {
        let guard = self.lock("state migrate", common, ui).await?;
        let moved_to = self.moved_to().await?;
        let opened = RemoteBackend::open_even_if_moved(&guard).await;
        let remote::OpenedRemote { mut backend, state, .. } =
            opened.map_err(|error| unusable(&error))?;
        backend.hold(guard);
        Ok(MigrationEnd { backend: StateBackend::Remote(backend), state, moved_to })
    }

    pub(super) async fn break_open(&self, id: &str, force: bool) -> Result<Option<BrokenLock>> {
        let broken = remote::break_open(&self.bucket, &self.layout, id, force).await;
        broken.map_err(|error| unbroken(&error))
    }

    async fn lock(
        &self,
        operation: &str,
        common: &CommonArgs,
        ui: &mut Ui,
    ) -> Result<RemoteLockGuard> {
        let wait = common.lock_timeout;
        let take =
            |wait| RemoteBackend::lock(&self.bucket, &self.layout, operation, wait, common.lease);
        let guard = match take(Duration::ZERO).await {
            Err(error) if error.is_held() && !wait.is_zero() => {
                tell_of_the_wait(wait, &error, ui)?;
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

async fn connect(name: &str, common: &CommonArgs) -> Arc<dyn ObjectStore> {
    let encryption = match &common.state_kms_key {
        Some(key) => Encryption::Kms(key.clone()),
        None => Encryption::S3,
    };
    let name = name.to_owned();
    let settings = S3StateStoreSettings { name: name.clone(), encryption, ..Default::default() };
    let bucket: Arc<dyn ObjectStore> = Arc::new(S3StateStore::connect(settings).await);
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
