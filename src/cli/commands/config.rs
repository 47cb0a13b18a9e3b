//! `groundplan config show`: prints the settings in effect, each with its origin.
//! `groundplan config export`: writes a copy of the install-config for another program.

use groundplan_openshift::install_config::{ExportError, for_openshift_install};
use serde_json::json;

use crate::cli::args::{
    CommonArgs, ConfigArgs as Arguments, ConfigCommand, ConfigExport, ExportTarget, SettingSource,
};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::output_file::{Destination, OutputKind};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::read_config;
use crate::render::{Code, Diagnostic, table};

/// Variables of AWS's tools that select the account, the region of a state in S3, and the trusted
/// certificate authorities.
const AWS: [&str; 4] = ["AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_CA_BUNDLE"];

pub(crate) fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    match &arguments.command {
        ConfigCommand::Show(_) => show(common, ui),
        ConfigCommand::Export(arguments) => export(arguments, common, ui),
    }
}

/// First line of a copy. It marks the file as one that the next export may replace.
const HEADER: &str = "# Written by groundplan config export. Edit the original instead.\n";
const COPY: OutputKind = OutputKind {
    noun: "a copy of the install-config",
    attempt: "write the install-config to",
    option: "--out",
    begins: |text| text.starts_with(HEADER.as_bytes()),
};

fn export(arguments: &ConfigExport, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let ExportTarget::OpenshiftInstall = arguments.program;
    let (_, text) = read_config(common, ui)?;
    let text = text.trim_start_matches('\u{feff}');
    let copy = for_openshift_install(text).map_err(|error| not_exported(&error))?;
    let header = if copy.starts_with(HEADER) { "" } else { HEADER };
    if let Destination::File(path) =
        COPY.write(&arguments.out, format!("{header}{copy}").as_bytes())?
    {
        ui.talk(&format!("Wrote {}.", path.display()))?;
    }
    Ok(Exit::Done)
}

fn not_exported(error: &ExportError) -> CommandError {
    let diagnostic =
        Diagnostic::could_not(Code::ConfigNotExported, "export the install-config", error)
            .with_hint("write the field out without an anchor or a merge, and export again");
    CommandError::new(Exit::Failed, diagnostic)
}

fn show(common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let settings = settings(common);
    let shown = settings.iter().map(|(name, value, source)| {
        let value = value.as_deref().unwrap_or("(not set)");
        [name.to_string(), value.to_owned(), source.to_string()]
    });
    let rows: Vec<_> = shown.collect();
    ui.text(|out| table::write(["setting", "value", "origin"], &rows, out))?;
    for (name, value, source) in settings {
        let (file, line) = match &source {
            SettingSource::ProjectFile(file, line) => (Some(file), Some(line)),
            _ => (None, None),
        };
        let kind = match &source {
            SettingSource::CommandLine => "command_line",
            SettingSource::Environment(_) => "environment",
            SettingSource::ProjectFile(..) => "project_file",
            SettingSource::Default => "default",
        };
        let variable = match &source {
            SettingSource::Environment(name) => Some(name),
            _ => None,
        };
        let mut fields = json!({"name": name, "value": value, "origin": kind});
        let more = [
            ("variable", variable.map(|name| json!(name))),
            ("file", file.map(|file| json!(file.display().to_string()))),
            ("line", line.map(|line| json!(line))),
        ];
        for (key, value) in more {
            fields
                .as_object_mut()
                .expect("BUG: an object")
                .extend(value.map(|v| (key.to_owned(), v)));
        }
        ui.print_json("setting", &fields)?;
    }
    Ok(Exit::Done)
}

fn machine_subnets(common: &CommonArgs) -> &'static str {
    if common.has_public_machines() { "public" } else { "private" }
}

type Setting = (&'static str, Option<String>, SettingSource);

fn settings(common: &CommonArgs) -> Vec<Setting> {
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|p| p.display().to_string());
    let values = [
        ("config", Some(common.config.display().to_string())),
        ("assets", path(&common.assets)),
        ("rhcos-stream", path(&common.rhcos_stream)),
        ("release", common.release.map(|release| release.to_string())),
        ("machine-subnets", Some(machine_subnets(common).to_owned())),
        ("prices", path(&common.prices)),
        ("state", Some(common.state.to_string())),
        ("state-kms-key", common.state_kms_key.clone()),
        ("parallelism", Some(common.parallelism.to_string())),
        ("lock-timeout", Some(format!("{}s", common.lock_timeout.as_secs()))),
        ("lease", Some(format!("{}s", common.lease.as_secs()))),
    ];
    let source = |name| common.sources.get(name).cloned().unwrap_or(SettingSource::Default);
    let ours = values.into_iter().map(|(name, value)| (name, value, source(name)));
    let aws = AWS.into_iter().filter_map(|name| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty())?;
        Some((name, Some(value), SettingSource::Environment(name.to_owned())))
    });
    ours.chain(aws).collect()
}
