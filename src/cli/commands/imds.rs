//! `groundplan imds`: metadata options of running machines, and their use of IMDSv1. Makes no change in
//! AWS, and takes no lock.

use std::collections::BTreeMap;

use groundplan_aws::configured_region;
use groundplan_aws::imds_audit::{Scope, Window, read};
use groundplan_aws::model::metadata_options::MetadataOptions;
use groundplan_aws::{AwsSettings, Caller, fails_every_call};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::provider::ProviderError;
use groundplan_engine::state::State;
use jiff::Timestamp;
use serde::Deserialize;

use crate::cli::args::{CommonArgs, ImdsArgs as Arguments, ImdsAudit, ImdsCommand};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::reach;
use crate::cli::session::destroyed_cluster::no_region;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::imds::{RegionAudit, Summary, WantedOptions, fields, write};
use crate::render::{Code, Diagnostic};

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let ImdsCommand::Audit(arguments) = &arguments.command;
    unless_stopped(stop, audit(arguments, common, ui)).await
}

/// Clusters to read, with what their state records.
struct Selected {
    scope: Scope,
    region: Option<String>,
    wanted: WantedOptions,
}

async fn audit(arguments: &ImdsAudit, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let selected = selected(arguments, common, ui).await?;
    let mut regions = arguments.region.clone();
    if regions.is_empty() {
        let region = match selected.region {
            Some(region) => Some(region),
            None => configured_region().await,
        };
        regions.push(region.ok_or_else(no_region)?);
    }
    regions.sort();
    regions.dedup();
    let window = Window::of_days(arguments.days, Timestamp::now().as_second());
    let mut summary = Summary::default();
    let is_one_of_many = regions.len() > 1;
    let places = regions.join(", ");
    for region in regions {
        let settings = AwsSettings { region: region.clone(), ..AwsSettings::default() };
        let connection = reach(settings, None, ui).await?;
        let audit = match read(connection.aws(), &selected.scope, window).await {
            Ok(audit) => audit,
            // Other regions are still worth reading.
            Err(error) if is_one_of_many && !fails_every_call(&error) => {
                ui.diagnostic(&unread_region(&region, &error))?;
                summary.unread += 1;
                continue;
            }
            Err(error) => {
                return Err(CommandError::call(&format!("list the machines in {region}"), &error));
            }
        };
        let Caller { account, .. } = connection.caller();
        let wanted = &selected.wanted;
        let one = RegionAudit { region: &region, account, audit: &audit, wanted };
        ui.text(|out| write(&one, out))?;
        for (kind, fields) in fields(&one) {
            ui.print_json(kind, &fields)?;
        }
        for unread in &audit.unread {
            ui.diagnostic(&one.unread(unread))?;
        }
        summary.add(&one);
    }
    if let (Scope::Cluster(infra_id), 0) = (&selected.scope, summary.machines) {
        // No machine is no proof: the infra ID or the region may be wrong.
        ui.diagnostic(&nothing_found(infra_id, &places))?;
        summary.unread += 1;
    }
    ui.text(|out| summary.write(out))?;
    ui.print_json("imds_summary", &summary)?;
    Ok(if summary.is_clean() { Exit::Done } else { Exit::Changes })
}

fn unread_region(region: &str, error: &ProviderError) -> Diagnostic {
    let summary = format!("the machines in {region} could not be listed");
    Diagnostic::warning(Code::AuditIncomplete, summary)
        .with_detail(error.to_string())
        .with_hint("allow ec2:DescribeInstances there, or run the audit again")
}

fn nothing_found(infra_id: &str, places: &str) -> Diagnostic {
    let summary = format!("cluster {infra_id} has no machine in {places}");
    Diagnostic::warning(Code::AuditIncomplete, summary)
        .with_detail("the infra ID or the region may be wrong: nothing was audited")
        .with_hint("list the clusters of a region with `groundplan imds audit --all-clusters`")
}

async fn selected(arguments: &ImdsAudit, common: &CommonArgs, ui: &mut Ui) -> Result<Selected> {
    let unrecorded = |scope| Selected { scope, region: None, wanted: BTreeMap::new() };
    if arguments.all_clusters {
        return Ok(unrecorded(Scope::AllClusters));
    }
    if let Some(infra_id) = &arguments.infra_id {
        return Ok(unrecorded(Scope::Cluster(infra_id.clone())));
    }
    let name = cluster_name(arguments.cluster.as_deref(), common, ui)?;
    let state = read_unlocked(common, &name, ui).await?;
    let known = state.as_ref().and_then(|state| Some((state, state.cluster.as_ref()?)));
    let (state, cluster) = known.ok_or_else(|| nothing_recorded(&name, &common.state))?;
    Ok(Selected {
        scope: Scope::Cluster(cluster.infra_id.clone()),
        region: Some(cluster.region.clone()),
        wanted: wanted(state),
    })
}

/// Returns the recorded options by instance ID.
fn wanted(state: &State) -> WantedOptions {
    let recorded = state.resources.values().filter_map(|record| {
        let id = record.outputs.get("id")?.as_str()?;
        let options = record.inputs.get("metadata_options")?;
        Some((id.to_owned(), MetadataOptions::deserialize(options).ok()?))
    });
    recorded.collect()
}
