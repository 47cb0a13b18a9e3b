//! Input files: install-config, assets, RHCOS stream. Read, validated and digested.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use groundplan_engine::plan::saved::{Digests, digest};
use groundplan_openshift::diagnostics;
use groundplan_openshift::install_config::{self, InstallConfig};
use groundplan_openshift::topology::{
    Assets, AssetsError, CompileOptions, IgnitionFile, Layout, PUBLIC_ONLY, RecordedImage, Stream,
};
use secrecy::SecretString;
use serde_json::Value;

use crate::cli::args::{CommonArgs, SettingSource};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::bootstrap::BootstrapChoice;
use crate::render::{Code, Diagnostic};

/// Valid input files.
#[derive(Debug)]
pub(crate) struct InputFiles {
    /// Name of the install-config, for messages.
    pub(crate) file: String,
    /// Text of the install-config, for findings that need AWS.
    pub(crate) text: SecretString,
    pub(crate) config: InstallConfig,
    pub(crate) assets: Assets,
    /// Missing folder of assets that the environment or the project file names. Only a cluster whose
    /// Ignition files are not recorded needs it.
    lost_assets: Option<LostFile>,
    /// Missing stream file that the environment or the project file names. Only a cluster without
    /// another image needs it.
    lost_stream: Option<LostFile>,
    /// Name of the metadata.json of the assets, for messages.
    pub(crate) metadata_file: String,
    pub(crate) stream: Option<Stream>,
    /// True if the machines of a new cluster have public subnets.
    pub(crate) has_public_machines: bool,
    pub(crate) digests: Digests,
}

/// File or folder that a setting names and that does not exist.
#[derive(Debug)]
struct LostFile {
    path: PathBuf,
    /// Variable, or line of the project file.
    source: SettingSource,
}

impl LostFile {
    /// Adds the origin of the path to an error about it.
    fn explained(&self, mut error: CommandError) -> CommandError {
        for diagnostic in &mut error.diagnostics {
            diagnostic.detail.push(format!("set by {}", self.source));
        }
        error
    }
}

/// Digest of an input that is not given.
pub(crate) const NONE: &str = "none";

impl InputFiles {
    /// Reads all input files. Reports all findings of the install-config at once.
    pub(crate) fn read(common: &CommonArgs, ui: &mut Ui) -> Result<Self> {
        let file = name_of(&common.config);
        let (config, text) = read_config(common, ui)?;
        let lost_assets = lost("assets", common.assets.as_ref(), common);
        let given = common.assets.as_deref().filter(|_| lost_assets.is_none());
        let (assets, assets_digest) = read_assets(given)?;
        let lost_stream = lost("rhcos-stream", common.rhcos_stream.as_ref(), common);
        let given = common.rhcos_stream.as_deref().filter(|_| lost_stream.is_none());
        let (stream, stream_digest) = read_stream(given)?;
        let config_digest = digest([text.as_bytes()]);
        let digests =
            Digests { config: config_digest, assets: assets_digest, stream: stream_digest };
        let folder = common.assets.as_deref().unwrap_or(Path::new(""));
        let metadata_file = folder.join("metadata.json").display().to_string();
        let text = text.into();
        Ok(Self {
            file,
            text,
            config,
            assets,
            lost_assets,
            lost_stream,
            metadata_file,
            stream,
            has_public_machines: common.has_public_machines(),
            digests,
        })
    }

    /// Returns an error if files of the assets are missing, as a new cluster needs all.
    pub(crate) fn ensure_complete_assets(&self) -> Result<()> {
        if let Some(lost) = &self.lost_assets {
            read_assets(Some(&lost.path)).map_err(|error| lost.explained(error))?;
        }
        self.assets.ensure_complete().map_err(|error| unusable_assets(&error))
    }

    /// Returns an error if a setting names a stream file that does not exist.
    pub(crate) fn ensure_stream(&self) -> Result<()> {
        match &self.lost_stream {
            Some(lost) => {
                read_stream(Some(&lost.path)).map(drop).map_err(|error| lost.explained(error))
            }
            None => Ok(()),
        }
    }

    /// Returns the decisions of the user about a new cluster, which are recorded beside the lookup
    /// results.
    pub(crate) fn decisions(&self) -> BTreeMap<String, Value> {
        let decided = self.has_public_machines.then(|| (PUBLIC_ONLY.to_owned(), Value::Bool(true)));
        decided.into_iter().collect()
    }

    /// Returns the compile options that are not part of the install-config.
    pub(crate) fn options(
        &self,
        bootstrap: &BootstrapChoice,
        layout: Layout,
        recorded_image: Option<&RecordedImage>,
    ) -> CompileOptions {
        CompileOptions {
            bootstrap: bootstrap.wanted(),
            bootstrap_removed_at: bootstrap.removed_at().map(str::to_owned),
            layout,
            stream: self.stream.clone(),
            recorded_image: recorded_image.cloned(),
        }
    }
}

/// Returns the name of an input file in messages. `-` is standard input.
fn name_of(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// Returns true for `-`.
fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads the install-config for the given release and prints all its findings.
pub(crate) fn read_config(common: &CommonArgs, ui: &mut Ui) -> Result<(InstallConfig, String)> {
    let path = common.config.as_path();
    let file = name_of(path);
    let bytes = contents(path).map_err(|error| {
        let hint = if is_standard_input(path) {
            "redirect a file or a pipe with the install-config to `groundplan validate --config -`"
        } else if path.is_dir() {
            "pass a file with --config, such as the install-config.yaml in this folder"
        } else {
            "create it with `openshift-install create install-config`, or pass its path with \
             --config"
        };
        let diagnostic =
            Diagnostic::could_not(Code::FileUnreadable, &format!("read {file}"), &error)
                .with_hint(hint);
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    })?;
    let (outcome, text) = install_config::read_bytes_for(&bytes, common.release);
    ui.findings(&outcome.findings, &file, &text)?;
    match outcome.config {
        Some(config) => Ok((config, text.into_owned())),
        None => Err(CommandError::already_printed(Exit::ConfigInvalid)),
    }
}

/// Maximum time to read a pipe. The command does nothing else meanwhile.
const SILENT: Duration = Duration::from_secs(30);

/// Returns the contents of a file. A pipe (`--config <(...)`) is read in a thread of its own,
/// because a read without a writer never ends, not even by a signal.
fn contents(path: &Path) -> io::Result<Vec<u8>> {
    let read = |path: &Path| File::open(path).and_then(diagnostics::read_bounded);
    if is_standard_input(path) {
        if io::stdin().is_terminal() {
            return Err(io::Error::other("standard input is a terminal"));
        }
        return in_time(|| diagnostics::read_bounded(io::stdin().lock()));
    }
    if fs::metadata(path)?.is_file() {
        return read(path);
    }
    let path = path.to_owned();
    in_time(move || read(&path))
}

/// Runs a read in a thread of its own, for a limited time.
fn in_time(read: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static) -> io::Result<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || sender.send(read()));
    let silent = |_| io::Error::new(io::ErrorKind::TimedOut, "no input within 30 seconds");
    receiver.recv_timeout(SILENT).map_err(silent)?
}

/// Returns the given cluster name, or the name in the install-config.
pub(crate) fn cluster_name(
    given: Option<&str>,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<String> {
    match given {
        Some(name) => Ok(name.to_owned()),
        None => Ok(read_config(common, ui)?.0.name),
    }
}

/// Returns the path of a setting if it does not exist and the command line does not name it: a setting
/// for all commands must not stop those that need no files.
fn lost(setting: &str, path: Option<&PathBuf>, common: &CommonArgs) -> Option<LostFile> {
    let source = common.sources.get(setting)?.clone();
    let missing = |path: &&PathBuf| matches!(path.try_exists(), Ok(false));
    let path = path.filter(|_| source != SettingSource::CommandLine).filter(missing)?;
    Some(LostFile { path: path.clone(), source })
}

fn read_assets(folder: Option<&Path>) -> Result<(Assets, String)> {
    let Some(folder) = folder else { return Ok((Assets::none(), NONE.to_owned())) };
    let assets = Assets::read(folder).map_err(|error| unusable_assets(&error))?;
    let cluster = serde_json::to_vec(&assets.cluster()).unwrap_or_default(); // plain strings
    let named = |file: IgnitionFile| Some([file.name().as_bytes(), assets.ignition(file)?]);
    let files = IgnitionFile::ALL.into_iter().filter_map(named).flatten();
    let digest = digest(files.chain([&*cluster]));
    Ok((assets, digest))
}

fn unusable_assets(error: &AssetsError) -> CommandError {
    let diagnostic =
        Diagnostic::error(Code::AssetsUnusable, error.to_string()).with_hint(error.hint());
    CommandError::new(Exit::ConfigInvalid, diagnostic)
}

fn read_stream(path: Option<&Path>) -> Result<(Option<Stream>, String)> {
    let Some(path) = path else { return Ok((None, NONE.to_owned())) };
    let hint = "create the file with `openshift-install coreos print-stream-json`";
    let unusable = |error: &(dyn std::error::Error + 'static)| {
        let diagnostic = Diagnostic::could_not(Code::StreamUnusable, "use the RHCOS stream", error)
            .with_hint(hint);
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    };
    let stream = Stream::read(path).map_err(|error| unusable(&error))?;
    let text = fs::read(path).map_err(|error| unusable(&error))?;
    Ok((Some(stream), digest([&*text])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::CliArguments;

    #[test]
    fn a_missing_stream_of_a_setting_stops_only_what_needs_it() {
        let config =
            concat!(env!("CARGO_MANIFEST_DIR"), "/plans/optional-to-required/install-config.yaml");
        let line = ["groundplan", "plan", "--config", config, "--rhcos-stream", "gone.json"];
        let mut common = CliArguments::parse_line(line).unwrap().common;
        let mut ui = Ui::new(&common);
        let given = InputFiles::read(&common, &mut ui).unwrap_err();
        assert_eq!(given.diagnostics[0].code, Code::StreamUnusable);

        let source = SettingSource::ProjectFile("groundplan.toml".into(), 3);
        common.sources.insert("rhcos-stream", source);
        let inputs = InputFiles::read(&common, &mut ui).unwrap();
        assert!(inputs.stream.is_none());
        let needed = inputs.ensure_stream().unwrap_err();
        let detail = &needed.diagnostics[0].detail;
        assert!(detail.iter().any(|line| line.contains("gone.json")), "{detail:?}");
        assert_eq!(detail.last().unwrap(), "set by groundplan.toml:3");
    }
}
