//! `groundplan manifests`: writes the Machine API manifests of an install-config.
//!
//! - `folder`: the output folder, which can contain manifests of openshift-install.
//! - `doubled`: machine sets of the Cluster API in the folder.
//! - `lay`: writes all files or none.
//! - `check`: `groundplan manifests check`.

mod check;
mod doubled;
mod folder;
mod lay;

use std::path::Path;

use folder::ManifestFolder;
use groundplan_engine::apply::Shutdown;
use groundplan_engine::state::{Cluster, State};
use groundplan_openshift::machine_api::manifests::{Manifest, manifests};
use lay::{FileChange, OutputFile};
use serde_json::json;

use crate::cli::args::{CommonArgs, ManifestsArgs as Arguments, ManifestsCommand};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::output_file::is_standard_output;
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::InputFiles;
use crate::cli::session::install_config_source::{compile_preview, fits, known_cluster};
use crate::cli::session::signals::unless_stopped;
use crate::render::{Code, Diagnostic};

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    if let Some(ManifestsCommand::Check(arguments)) = &arguments.command {
        return check::run(arguments, ui);
    }
    let out = arguments.out.as_deref().unwrap_or(Path::new(".")); // the parser has seen to it
    if is_standard_output(out) {
        let diagnostic =
            Diagnostic::error(Code::StandardStream, "cannot write manifests to standard output")
                .with_detail("manifests are several files, some of them secret")
                .with_hint("pass a folder with --out");
        return Err(CommandError::new(Exit::Usage, diagnostic));
    }
    let folder = ManifestFolder::of(out)?;
    let identify = |inputs: &InputFiles, state: &State| {
        inputs.ensure_complete_assets()?;
        cluster(inputs, state, &folder)
    };
    let looking = compile_preview(common, Some(true), &identify, ui);
    let preview = unless_stopped(stop, looking).await?;
    let manifests = manifests(&preview.machine_pools(ui)?, &preview.inputs.assets);
    doubled::ensure_none(&folder.files, &preview.inputs.assets, &manifests)?;
    let manifests = lay::keeping_labels(&folder.files, manifests);
    let laid = lay::over(&folder.files, &manifests, arguments.force)?;
    print_files(&laid, &preview.cluster, &folder.files, ui)?;
    warn(&folder, &manifests, ui)?;
    Ok(Exit::Done)
}

/// Returns the identity of the cluster from recorded resources, the assets or the manifests in the
/// folder, which must agree, or else from a state without resources.
fn cluster(inputs: &InputFiles, state: &State, folder: &ManifestFolder) -> Result<Cluster> {
    match (known_cluster(inputs, state.fixed_cluster())?, &folder.infra_id) {
        (Some(known), Some(theirs)) if known.infra_id != *theirs => Err(of_another(&known, theirs)),
        (Some(known), _) => Ok(known),
        (None, Some(infra_id)) => Ok(Cluster {
            name: inputs.config.name.clone(),
            infra_id: infra_id.clone(),
            cluster_id: String::new(), // in no manifest of ours
            region: inputs.config.aws.region.clone(),
        }),
        (None, None) => {
            let free = state.cluster.clone().filter(|known| fits(known, inputs));
            free.ok_or_else(|| unknown_infra_id(inputs))
        }
    }
}

fn of_another(known: &Cluster, theirs: &str) -> CommandError {
    let summary = "the existing manifests belong to another cluster than the state or the assets";
    let diagnostic = Diagnostic::error(Code::AssetsForeign, summary)
        .with_detail(format!("infra ID in the manifests: {theirs}"))
        .with_detail(format!("infra ID in the state or the assets: {}", known.infra_id))
        .with_hint(
            "pass --out with the folder that this cluster was created with, or another --state",
        );
    CommandError::new(Exit::Failed, diagnostic)
}

/// Returns the error for an unknown infra ID. Names in manifests begin with the infra ID, so an
/// invented one would match no resource.
fn unknown_infra_id(inputs: &InputFiles) -> CommandError {
    let name = &inputs.config.name;
    let summary = format!("the infra ID of {name} is not known yet");
    let diagnostic = Diagnostic::error(Code::InfraIdUnknown, summary).with_hint(
        "use a folder written by `openshift-install create manifests`, or pass --assets; without \
         them, `groundplan apply` chooses the infra ID and records it",
    );
    CommandError::new(Exit::Failed, diagnostic)
}

fn print_files(laid: &[OutputFile], cluster: &Cluster, folder: &Path, ui: &mut Ui) -> Result<()> {
    for OutputFile { name, fate } in laid {
        let file = folder.join(name).display().to_string();
        ui.print_line(&format!("{:<9}  {file}", fate.word()))?;
        ui.print_json("manifest", &json!({"file": file, "fate": fate.word()}))?;
    }
    let written = laid.iter().filter(|one| one.fate != FileChange::Unchanged).count();
    let noun = if written == 1 { "file" } else { "files" };
    let (cluster, folder) = (&cluster.infra_id, folder.display());
    Ok(ui.print_line(&format!("\nWrote {written} {noun} of cluster {cluster} to {folder}."))?)
}

fn warn(folder: &ManifestFolder, manifests: &[Manifest], ui: &mut Ui) -> Result<()> {
    if !manifests.iter().any(|one| one.content.is_secret()) {
        let user_data = match folder.infra_id {
            Some(_) => "the user-data Secrets stay as openshift-install wrote them",
            None => "no user-data Secrets are written without --assets",
        };
        ui.talk(&format!("note: {user_data}"))?;
    }
    for name in folder.left_over(manifests)? {
        let file = folder.files.join(name);
        let summary =
            format!("{} belongs to machines that are not in the install-config", file.display());
        let diagnostic = Diagnostic::warning(Code::ManifestsLeftOver, summary)
            .with_hint("remove the file, otherwise the cluster also creates its machines");
        ui.diagnostic(&diagnostic)?;
    }
    Ok(())
}
