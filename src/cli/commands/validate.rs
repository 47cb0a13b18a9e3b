//! `groundplan validate`: validates the install-config offline and prints a summary of its machine
//! pools. Makes no AWS calls.

use groundplan_aws::model::metadata_options::Authentication;
use groundplan_openshift::install_config::{InstallConfig, MachinePool};
use serde_json::json;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::InputFiles;

/// Prints the summary of a valid install-config.
///
/// # Errors
/// Returns all findings if the install-config is invalid.
pub(crate) fn run(common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let inputs = InputFiles::read(common, ui)?;
    inputs.ensure_complete_assets()?;
    inputs.ensure_stream()?;
    let release = common.release.map(|release| release.to_string());
    let for_release = release.as_ref().map_or(String::new(), |release| format!(" for {release}"));
    ui.print_line(&format!("{} is valid{for_release}.\n", inputs.file))?;
    for line in summary(&inputs.config) {
        ui.print_line(&line)?;
    }
    let mut fields = json!({"file": inputs.file, "cluster": inputs.config.name});
    if let Some(release) = release {
        fields["release"] = release.into();
    }
    ui.print_json("valid", &fields)?;
    Ok(Exit::Done)
}

/// Returns one line for the cluster and one for each machine pool.
fn summary(config: &InstallConfig) -> Vec<String> {
    let domain = config.cluster_domain();
    let mut lines = vec![format!("  {:<10} {domain} in {}", "cluster", config.aws.region)];
    for pool in std::iter::once(&config.control_plane).chain(&config.compute) {
        lines.push(format!("  {:<10} {}", pool.name, pool_summary(pool)));
    }
    lines
}

fn pool_summary(pool: &MachinePool) -> String {
    let noun = if pool.replicas == 1 { "machine" } else { "machines" };
    let of_type = match &pool.aws.instance_type {
        Some(instance_type) => format!(" of type {instance_type}"),
        None => String::new(),
    };
    let authentication = match pool.aws.metadata_service.authentication {
        Some(Authentication::Required) => "authentication Required (IMDSv2 only)",
        Some(Authentication::Optional) => "authentication Optional (IMDSv1 and IMDSv2)",
        None => "authentication not set (the account, the image or AWS decides)",
    };
    let hops = match pool.aws.metadata_service.hop_limit {
        Some(limit) => format!(", hop limit {}", i64::from(limit)),
        None => String::new(),
    };
    format!("{} {noun}{of_type}, {authentication}{hops}", pool.replicas)
}
