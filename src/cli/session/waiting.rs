//! Wait for a stage of an installation, as commands use it: kubeconfig, recorded cluster, messages and
//! result. Changes nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use groundplan_aws::Aws;
use groundplan_engine::state::State;
use groundplan_node::kube_client;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde_json::{Value, json};

use crate::cli::args::{CommonArgs, WaitOptions, quoted};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::settings_without_config;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::late_causes::LateCauses;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::state_errors::nothing_recorded;
use crate::installation::outputs::outputs;
use crate::installation::reader::{Endpoint, KubeReader};
use crate::installation::stages::{Goal, Stage};
use crate::installation::wait::{INTERVAL, WaitEnd, WaitSettings, Waited, wait};
use crate::render::installation::{WaitLine, stage_fields, stage_lines};
use crate::render::{Code, Diagnostic, brief};

/// Access to the API server of a cluster.
struct ClusterAccess {
    client: Client,
    /// URL of the API server.
    url: String,
    /// Endpoint to measure; `None` if a proxy is in between.
    endpoint: Option<Endpoint>,
    kubeconfig: PathBuf,
}

/// Waits for a goal and prints messages and result.
///
/// # Errors
/// If the goal cannot be reached or the timeout expires.
pub(crate) async fn wait_for(
    goal: Goal,
    options: &WaitOptions,
    console_output: bool,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<()> {
    let access = access(options, common).await?;
    let state = recorded(options, common, ui).await?;
    if let Some(warning) = state.as_ref().and_then(|state| another_cluster(&access.url, state)) {
        ui.diagnostic(&warning)?;
    }
    let has_bootstrap = state.as_ref().is_some_and(has_bootstrap);
    let causes = LateCauses::new(match state {
        Some(state) => Some(with_clients(state, ui).await),
        None => None,
    });
    ui.text(|out| writeln!(out, "Waiting for {} of {}", goal.name(), access.url))?;
    if console_output {
        let lines = causes.console().await;
        ui.print_json("wait_console", &json!({"lines": lines}))?;
        lines.iter().try_for_each(|line| ui.print_line(line))?;
    }
    let settings = WaitSettings {
        goal,
        timeout: options.timeout,
        late_after: options.late_after,
        interval: INTERVAL,
    };
    let reader = KubeReader::new(access.client.clone(), access.endpoint.clone(), goal);
    let line = ui.is_live().then(WaitLine::begin);
    let waited = wait(&settings, &reader, &causes, |event| {
        ui.print_json("wait_stage", &stage_fields(goal, event))?;
        let mut print = || stage_lines(event).iter().try_for_each(|line| ui.print_line(line));
        let Some(line) = &line else { return print() };
        line.show(event);
        line.above(print)
    });
    let waited = waited.await?;
    drop(line);
    finish(goal, &access, &waited, has_bootstrap, ui)
}

/// Returns true if the state records a bootstrap machine.
fn has_bootstrap(state: &State) -> bool {
    state.resources.contains_key("instance.bootstrap")
}

/// Prints the result.
fn finish(
    goal: Goal,
    access: &ClusterAccess,
    waited: &Waited,
    has_bootstrap: bool,
    ui: &mut Ui,
) -> Result<()> {
    let took = brief(waited.took);
    ui.print_json("wait_finished", &finished(goal, access, waited))?;
    match &waited.end {
        WaitEnd::Complete { console_url } => {
            ui.print_line(&format!("{} after {took}.", goal.name()))?;
            if goal == Goal::InstallComplete {
                print_access(access, console_url.as_deref(), ui)?;
            }
            Ok(())
        }
        WaitEnd::Failed { stage, why } => Err(failed(goal, *stage, why)),
        WaitEnd::TimedOut { stage, reasons } => {
            Err(timed_out(goal, *stage, &took, reasons, has_bootstrap))
        }
    }
}

fn finished(goal: Goal, access: &ClusterAccess, waited: &Waited) -> Value {
    let console_url = match &waited.end {
        WaitEnd::Complete { console_url } => console_url.as_deref(),
        WaitEnd::Failed { .. } | WaitEnd::TimedOut { .. } => None,
    };
    json!({
        "goal": goal.name(),
        "complete": matches!(waited.end, WaitEnd::Complete { .. }),
        "elapsed_ms": u64::try_from(waited.took.as_millis()).unwrap_or(u64::MAX),
        "api_url": access.url,
        "console_url": console_url,
    })
}

/// Prints how to reach the cluster. The password stays in its file.
fn print_access(access: &ClusterAccess, console_url: Option<&str>, ui: &mut Ui) -> Result<()> {
    let kubeconfig = std::path::absolute(&access.kubeconfig)?;
    if let Some(url) = console_url {
        ui.print_line(&format!("  console     {url}"))?;
    }
    ui.print_line(&format!("  kubeconfig  export KUBECONFIG={}", quoted(&kubeconfig)))?;
    let password = access.kubeconfig.with_file_name("kubeadmin-password");
    if password.is_file() {
        ui.print_line(&format!("  password    of kubeadmin: {}", password.display()))?;
    }
    Ok(())
}

fn failed(goal: Goal, stage: Stage, why: &str) -> CommandError {
    let diagnostic = Diagnostic::error(
        Code::InstallationFailed,
        format!("{} cannot be reached: {why}", goal.name()),
    )
    .with_detail(format!("stage: {}", stage.title()))
    .with_hint(
        "the certificates of a bootstrap are valid for 24 hours: create the Ignition files \
                 again, destroy the cluster and apply anew; for an older cluster, renew its \
                 certificates as its documentation describes",
    );
    CommandError::new(Exit::Failed, diagnostic)
}

fn timed_out(
    goal: Goal,
    stage: Stage,
    took: &str,
    reasons: &[String],
    has_bootstrap: bool,
) -> CommandError {
    let mut diagnostic = Diagnostic::error(
        Code::InstallationLate,
        format!("{} is not reached after {took}", goal.name()),
    )
    .with_detail(format!("stage: {}", stage.title()));
    diagnostic.detail.extend(reasons.iter().cloned());
    let hint = match stage {
        Stage::Api | Stage::Bootstrap if !has_bootstrap => {
            "run the same command again to wait on; the logs of a bootstrap cannot be gathered, because \
             no bootstrap machine is recorded"
        }
        Stage::Api | Stage::Bootstrap => {
            "run the same command again to wait on; `groundplan gather bootstrap` prints the command \
             that gathers the logs"
        }
        Stage::Initialization | Stage::Operators | Stage::Console => {
            "run the same command again to wait on; gather logs with `oc adm must-gather`"
        }
    };
    CommandError::new(Exit::Failed, diagnostic.with_hint(hint))
}

/// Rejects a kubeconfig that cannot be used. Sends no request.
pub(crate) async fn usable_kubeconfig(options: &WaitOptions, common: &CommonArgs) -> Result<()> {
    access(options, common).await.map(drop)
}

/// Returns the access that the kubeconfig has. Its content never reaches a message.
async fn access(options: &WaitOptions, common: &CommonArgs) -> Result<ClusterAccess> {
    let path = kubeconfig_path(options, common)?;
    let unusable = |error: &KubeconfigError| unusable_kubeconfig(&path, error);
    let kubeconfig = Kubeconfig::read_from(&path).map_err(|error| unusable(&error))?;
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let config = config.map_err(|error| unusable(&error))?;
    let url = config.cluster_url.to_string();
    let url = url.trim_end_matches('/').to_owned();
    let host = config.cluster_url.host().map(|host| host.trim_matches(['[', ']']).to_owned());
    let default = if config.cluster_url.scheme_str() == Some("http") { 80 } else { 443 };
    let port = config.cluster_url.port_u16().unwrap_or(default);
    let endpoint = host.filter(|_| config.proxy_url.is_none()).map(|host| Endpoint { host, port });
    let client = kube_client::client(config).map_err(|error| {
        let detail = match error {
            kube::Error::ProxyProtocolUnsupported { .. }
            | kube::Error::ProxyProtocolDisabled { .. } => {
                "its proxy has another protocol than http or https"
            }
            _ => "its certificates, keys or tokens are damaged",
        };
        CommandError::new(Exit::ConfigInvalid, unusable_diagnostic(&path).with_detail(detail))
    })?;
    Ok(ClusterAccess { client, url, endpoint, kubeconfig: path })
}

fn kubeconfig_path(options: &WaitOptions, common: &CommonArgs) -> Result<PathBuf> {
    let of_assets = common.assets.as_ref().map(|folder| folder.join("auth").join("kubeconfig"));
    options.kubeconfig.clone().or(of_assets).ok_or_else(|| {
        let diagnostic = Diagnostic::error(Code::KubeconfigUnusable, "no kubeconfig is given")
            .with_hint(
                "pass the folder of openshift-install with --assets, or a file with --kubeconfig",
            );
        CommandError::new(Exit::Usage, diagnostic)
    })
}

fn unusable_diagnostic(path: &Path) -> Diagnostic {
    Diagnostic::error(Code::KubeconfigUnusable, format!("could not use the kubeconfig {}", path.display())).with_hint(
        "pass the kubeconfig that `openshift-install create ignition-configs` wrote to auth/kubeconfig",
    )
}

fn unusable_kubeconfig(path: &Path, error: &KubeconfigError) -> CommandError {
    let detail = match error {
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        // A parser quotes the text, which has keys.
        KubeconfigError::Parse(_) => "it is not the YAML of a kubeconfig".to_owned(),
        other => other.to_string(),
    };
    CommandError::new(Exit::ConfigInvalid, unusable_diagnostic(path).with_detail(detail))
}

/// Returns the recorded state of the cluster, if there is one. Only a cluster that the user names must
/// have one.
async fn recorded(
    options: &WaitOptions,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Option<State>> {
    let given = options.cluster.cluster.as_deref();
    let name = match given.map(str::to_owned).or_else(|| name_in_assets(common.assets.as_deref()?))
    {
        Some(name) => name,
        None if common.config.is_file() => cluster_name(None, common, ui)?,
        None => return Ok(None),
    };
    let state = read_unlocked(common, &name, ui).await?;
    match (given, state) {
        (Some(name), None) => Err(nothing_recorded(name, &common.state)),
        (_, state) => Ok(state),
    }
}

/// Returns the cluster name in the `metadata.json` of openshift-install.
fn name_in_assets(folder: &Path) -> Option<String> {
    let text = std::fs::read(folder.join("metadata.json")).ok()?;
    let metadata: Value = serde_json::from_slice(&text).ok()?;
    metadata["clusterName"].as_str().map(str::to_owned)
}

async fn with_clients(state: State, ui: &mut Ui) -> (State, Arc<Aws>) {
    let settings = state.cluster.as_ref().map(settings_without_config).unwrap_or_default();
    let aws = Arc::new(Aws::connect(settings).await);
    ui.count_calls_of(&aws);
    (state, aws)
}

/// Returns a warning if the kubeconfig names another API server than the state.
fn another_cluster(url: &str, state: &State) -> Option<Diagnostic> {
    let recorded = outputs(state).remove("api_url")?.lines().pop()?;
    (recorded != url).then(|| {
        Diagnostic::warning(
            Code::KubeconfigForeign,
            format!("the kubeconfig names {url}, but the state records {recorded}"),
        )
        .with_hint("check --assets, --kubeconfig and --cluster")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{CliArguments, Command, WaitForCommand};
    use crate::installation::outputs::tests::demo;

    fn parsed(line: &[&str]) -> (WaitOptions, CommonArgs) {
        let line = [&["groundplan", "wait-for", "install-complete"], line].concat();
        let arguments = CliArguments::parse_line(line).unwrap();
        let Command::WaitFor(wait) = arguments.command else { panic!("no wait") };
        let WaitForCommand::InstallComplete(install) = wait.command else { panic!("no install") };
        (install.wait, arguments.common)
    }

    #[test]
    fn the_kubeconfig_is_that_of_the_assets_or_the_given_one() {
        let path = |line: &[&str]| {
            let (options, common) = parsed(line);
            kubeconfig_path(&options, &common).map_err(|error| error.exit)
        };
        assert_eq!(path(&["--assets", "a"]), Ok(PathBuf::from("a/auth/kubeconfig")));
        assert_eq!(path(&["--assets", "a", "--kubeconfig", "k"]), Ok(PathBuf::from("k")));
        assert_eq!(path(&[]), Err(Exit::Usage));
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named_and_not_quoted() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("broken", "canary: [Y2FuYXJ5"),
            ("number", "users: [{name: u, user: {client-key-data: {canary: Y2FuYXJ5}}}]"),
            ("empty", ""),
            (
                "key",
                "clusters: [{name: c, cluster: {server: 'https://x'}}]\nusers: [{name: u, user: \
                     {client-certificate-data: 'Y2FuYXJ5!', client-key-data: 'Y2FuYXJ5!'}}]\n\
                     contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n",
            ),
        ] {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            let (options, common) = parsed(&["--kubeconfig", file.to_str().unwrap()]);
            let Err(error) = access(&options, &common).await else { panic!("{name} is usable") };
            let said = format!("{:?}", error.diagnostics);
            assert!(said.contains(name) && !said.contains("Y2FuYXJ5"), "{said}");
            assert_eq!(error.exit, Exit::ConfigInvalid, "{name}: an input file");
        }
    }

    #[test]
    fn a_kubeconfig_of_another_cluster_is_a_warning() {
        assert_eq!(another_cluster("https://api.demo.example.com:6443", &demo()), None);
        let warning = another_cluster("https://api.other.example.com:6443", &demo()).unwrap();
        assert!(warning.summary.contains("api.other") && warning.summary.contains("api.demo"));
    }

    #[test]
    fn a_timeout_has_the_reasons_and_the_next_command() {
        let reasons = ["operator dns is degraded: x".to_owned()];
        let error = timed_out(Goal::InstallComplete, Stage::Operators, "1h00m", &reasons, true);
        let diagnostic = &error.diagnostics[0];
        assert_eq!(diagnostic.summary, "install-complete is not reached after 1h00m");
        assert_eq!(diagnostic.detail, ["stage: operators", "operator dns is degraded: x"]);
        assert!(diagnostic.hint.as_ref().unwrap().contains("must-gather"));
        let error = timed_out(Goal::BootstrapComplete, Stage::Api, "1h00m", &[], false);
        let hint = error.diagnostics[0].hint.as_ref().unwrap();
        assert!(!hint.contains("groundplan gather bootstrap"), "{hint}");
        let error = timed_out(Goal::BootstrapComplete, Stage::Api, "1h00m", &[], true);
        let hint = error.diagnostics[0].hint.as_ref().unwrap();
        assert!(hint.contains("groundplan gather bootstrap"), "{hint}");
    }
}
