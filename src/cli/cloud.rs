//! AWS as commands reach for it.

use std::sync::Arc;

use serde_json::Value;

use super::exit::Exit;
use super::failure::{Failure, Result};
use crate::aws::{Aws, Settings, lookups};
use crate::config::InstallConfig;
use crate::provider::ProviderError;
use crate::render::Diagnostic;
use crate::state::Cluster;
use crate::topology::Question;

/// Connects as the config says, and checks that AWS knows who we are.
pub(super) async fn connect(config: &InstallConfig, cluster: &Cluster) -> Result<Arc<Aws>> {
    let endpoints = config.aws.service_endpoints.iter();
    reach(Settings {
        region: config.aws.region.clone(),
        endpoints: endpoints.map(|one| (one.name.clone(), one.url.to_string())).collect(),
        cluster_tag: cluster.tag_key(),
        hosted_zone_role: config.aws.hosted_zone_role.clone(),
    })
    .await
}

/// Connects with what the state alone knows.
pub(super) async fn connect_without_config(cluster: &Cluster) -> Result<Arc<Aws>> {
    reach(Settings {
        region: cluster.region.clone(),
        cluster_tag: cluster.tag_key(),
        ..Settings::default()
    })
    .await
}

async fn reach(settings: Settings) -> Result<Arc<Aws>> {
    let aws = Aws::connect(settings).await;
    aws.check().await.map_err(|error| unreachable_aws(&error))?;
    Ok(Arc::new(aws))
}

fn unreachable_aws(error: &ProviderError) -> Failure {
    Failure::new(Exit::Failed, Diagnostic::call_failed("reach AWS", error))
}

/// Asks a question of the compiler.
pub(super) async fn answer(aws: &Aws, question: &Question) -> Result<Value> {
    lookups::answer(aws, question)
        .await
        .map_err(|error| Failure::call(&format!("find out {question}"), &error))
}
