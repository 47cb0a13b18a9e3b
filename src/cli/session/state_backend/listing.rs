//! Clusters of a state location. Reads states and locks; takes no lock.

use groundplan_engine::state::State;
use groundplan_engine::state::local::LocalBackend;
use groundplan_engine::state::location::StateLocation;
use groundplan_engine::state::lock::LockHolder;

use super::s3::S3Location;
use super::{folder_is_there, holder, read_back};
use crate::cli::args::CommonArgs;
use crate::cli::output::command_error::Result;
use crate::cli::session::locked_state::unusable;
use groundplan_engine::state::error::StateError;

/// State of one cluster in a state location.
#[derive(Debug)]
pub(crate) struct ListedCluster {
    pub(crate) state: State,
    /// Process that has the lock; `None` if the lock is free.
    pub(crate) holder: Option<LockHolder>,
    /// New location of a moved state; `None` if it was not moved.
    pub(crate) moved_to: Option<String>,
}

/// Returns the names of the clusters with a state in this location, sorted. Empty for a missing folder.
pub(crate) async fn cluster_names(
    states: &StateLocation,
    common: &CommonArgs,
) -> Result<Vec<String>> {
    match states {
        StateLocation::Folder(root) if !folder_is_there(root)? => Ok(Vec::new()),
        StateLocation::Folder(root) => {
            let unreadable =
                |source| unusable(&StateError::Unreadable { path: root.clone(), source });
            let mut names = Vec::new();
            for entry in std::fs::read_dir(root).map_err(unreadable)? {
                let path = entry.map_err(unreadable)?.path();
                let name = path.file_name().and_then(|name| name.to_str()).map(str::to_owned);
                names.extend(name.filter(|_| LocalBackend::is_state(&path)));
            }
            names.sort();
            Ok(names)
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.cluster_names().await
        }
    }
}

/// Returns the state of a cluster, also if it was moved; `None` if there is none.
pub(crate) async fn listed(
    place: &StateLocation,
    common: &CommonArgs,
) -> Result<Option<ListedCluster>> {
    let Some(state) = read_back(place, common).await? else { return Ok(None) };
    let moved_to = match place {
        StateLocation::Folder(dir) => {
            LocalBackend::moved_to(dir).map_err(|error| unusable(&error))?
        }
        StateLocation::Bucket { bucket, prefix } => {
            S3Location::reach(bucket, prefix, common).await.moved_to().await?
        }
    };
    Ok(Some(ListedCluster { state, holder: holder(place, common).await?, moved_to }))
}
