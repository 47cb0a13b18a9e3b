//! AWS as commands reach for it.

use std::sync::Arc;

use serde_json::Value;

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use crate::aws::{Aws, Settings, lookups};
use crate::config::InstallConfig;
use crate::provider::ProviderError;
use crate::render::Diagnostic;
use crate::state::Cluster;
use crate::topology::Question;

/// Connects as the config says, and checks that AWS knows who we are.
pub(super) async fn connect(
    config: &InstallConfig,
    cluster: &Cluster,
    screen: &mut Screen,
) -> Result<Arc<Aws>> {
    let endpoints = config.aws.service_endpoints.iter();
    let settings = Settings {
        region: config.aws.region.clone(),
        endpoints: endpoints.map(|one| (one.name.clone(), one.url.to_string())).collect(),
        cluster_tag: cluster.tag_key(),
        hosted_zone_role: config.aws.hosted_zone_role.clone(),
    };
    reach(settings, screen).await
}

/// Connects with what the state alone knows.
pub(super) async fn connect_without_config(
    cluster: &Cluster,
    screen: &mut Screen,
) -> Result<Arc<Aws>> {
    let settings = Settings {
        region: cluster.region.clone(),
        cluster_tag: cluster.tag_key(),
        ..Settings::default()
    };
    reach(settings, screen).await
}

async fn reach(settings: Settings, screen: &mut Screen) -> Result<Arc<Aws>> {
    let aws = Arc::new(Aws::connect(settings).await);
    screen.count_calls_of(&aws);
    aws.check().await.map_err(|error| unreachable_aws(&error))?;
    Ok(aws)
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
