//! `groundplan machine-controller`: the provider of a cluster's Machine API.

mod log_lines;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use groundplan_aws::machine_calls::{Ec2, InstanceById};
use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::model::ids::InstanceId;
use groundplan_aws::{Aws, AwsSettings, ReportAccount};
use groundplan_controller::capacity::driver::InstanceTypeSource;
use groundplan_controller::ec2_batcher::Ec2Batcher;
use groundplan_controller::health::ControllerHealth;
use groundplan_controller::lease::{
    LeaderCandidate, Leadership, LeadershipLost, LeaseTerms, ORIGINALS,
};
use groundplan_controller::machine::driver::{ControllerSettings, MachineController};
use groundplan_controller::manager::{self, AwsControllers};
use groundplan_controller::report::{Log, LogLevel, LogLine, api_error, with_causes};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::state::fence::Fence;
use groundplan_node::http::probes;
use groundplan_node::kube_client;
use groundplan_openshift::machine_api::infrastructure::{
    ClusterFacts, Infrastructure, architecture,
};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, ResourceExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};

pub(crate) use self::log_lines::log_failure;
use self::log_lines::{CREDENTIALS, log_check, print, shutdown_begins, shutdown_ended};
use crate::cli::args::{MachineControllerArgs, MinimumLogLevel};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::{Code, Diagnostic};

/// Name of the Lease for leader election.
const LEASE: &str = "groundplan-machine-controller";
/// Action of the user after a rotation of the credentials to another account.
const ACCOUNT_HINT: &str =
    "set the credentials of the cluster's account (`groundplan explain account-mismatch`)";
/// Time between two checks of the account of the credentials.
const ACCOUNT_CHECK: Duration = Duration::from_secs(60);

pub(crate) async fn run(
    arguments: &MachineControllerArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let client = (kube_client::inferred())().await.map_err(|error| {
        CommandError::could_not(
            Code::ApiServerUnreachable,
            "configure access to the API server",
            &error,
        )
    })?;
    let health = Arc::<ControllerHealth>::default();
    let listener = match arguments.listen {
        Some(address) => Some(listen_on(address).await?),
        None => None,
    };
    let served = async {
        match listener {
            Some(listener) => probes::serve(listener, Arc::clone(&health)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        ended = controlled(arguments, &client, &health, ui, stop) => ended,
        never = served => match never {},
    }
}

/// Process that has read what it needs, and has checked its credentials.
struct Begun {
    aws: Arc<Aws>,
    settings: ControllerSettings,
    account: String,
    cluster: ClusterFacts,
}

async fn begun(
    arguments: &MachineControllerArgs,
    client: &Client,
    health: &Arc<ControllerHealth>,
    log: &Log,
) -> Result<Begun> {
    let (cluster, settings, masters) = asked(arguments, client).await?;
    let of_cluster = AwsSettings {
        region: cluster.region.clone(),
        endpoints: cluster.endpoints.clone(),
        cluster_tag: cluster_tag_key(&cluster.infra_id),
        hosted_zone_role: None,
    };
    let aws = Aws::connect(of_cluster.clone()).await;
    let caller = aws.check().await;
    let caller = caller.map_err(|error| {
        CommandError::new(Exit::Failed, Diagnostic::call_failed("reach AWS", &error))
    })?;
    check_cluster_account(&aws, &caller.account, masters).await?;
    let (health_of_account, log) = (Arc::clone(health), log.clone());
    let report: ReportAccount = Box::new(move |result| match result {
        Err(wrong) => {
            if !health_of_account.wrong_account(true) {
                let message = format!("{wrong}; hint: {ACCOUNT_HINT}");
                log.line(LogLevel::Error, "manager", CREDENTIALS, &message);
            }
        }
        Ok(()) => {
            if health_of_account.wrong_account(false) {
                let message = "the credentials belong to the account of the start again";
                log.line(LogLevel::Info, "manager", CREDENTIALS, message);
            }
        }
    });
    let account = caller.account.clone();
    let aws = Arc::new(Aws::connect_to_account(of_cluster, account, report).await);
    let counted = Arc::clone(&aws);
    health.metrics.count_calls_by(move || counted.calls());
    Ok(Begun { aws, settings, account: caller.account, cluster })
}

/// Checks that the account has an instance of the control plane. In another account no instance exists,
/// so that all Machines would count as gone.
async fn check_cluster_account(aws: &Aws, account: &str, masters: Vec<InstanceId>) -> Result<()> {
    let answers = aws.by_id(masters.clone()).await.map_err(|error| {
        let failed = Diagnostic::call_failed("look for the control plane in AWS", &error);
        CommandError::new(Exit::Failed, failed)
    })?;
    if !is_elsewhere(&answers) {
        return Ok(());
    }
    let masters: Vec<&str> = masters.iter().map(InstanceId::as_str).collect();
    let message = format!(
        "the AWS credentials belong to account {account}, which has no instance of the control \
         plane in this region: {}",
        masters.join(", ")
    );
    let hint = "set the credentials of the cluster's account (Secret `aws-cloud-credentials`)";
    Err(CommandError::new(
        Exit::Failed,
        Diagnostic::error(Code::AccountMismatch, message).with_hint(hint),
    ))
}

/// Returns true if EC2 rejected the IDs of all instances of the control plane. Without IDs nothing is
/// known.
fn is_elsewhere(answers: &[InstanceById]) -> bool {
    !answers.is_empty() && answers.iter().all(|one| *one == InstanceById::NotFound)
}

/// Returns the IDs of the instances of Nodes.
fn instances(nodes: &[Node]) -> Vec<InstanceId> {
    let ids = nodes.iter().filter_map(|node| {
        let id = node.spec.as_ref()?.provider_id.as_deref()?.strip_prefix("aws://")?;
        id.rsplit('/').next().filter(|id| id.starts_with("i-")).map(InstanceId::from)
    });
    ids.collect()
}

/// Runs the controllers, and prints their log up to its last line.
async fn controlled(
    arguments: &MachineControllerArgs,
    client: &Client,
    health: &Arc<ControllerHealth>,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let (log, mut lines) = log(arguments);
    let began = Cell::new(None);
    let printed = async {
        while let Some(line) = lines.recv().await {
            print(ui, &line);
        }
        std::future::pending().await
    };
    let announced = async {
        stop.stopped().await;
        began.set(Some(Instant::now()));
        log.line(LogLevel::Info, "manager", "", &shutdown_begins(health));
        std::future::pending().await
    };
    let ended = tokio::select! {
        biased;
        never = announced => never,
        ended = led(arguments, client, health, stop, &log) => ended,
        never = printed => never,
    };
    if let Some(began) = began.get() {
        log.line(LogLevel::Info, "manager", "", &shutdown_ended(health, began.elapsed()));
    }
    while let Ok(line) = lines.try_recv() {
        print(ui, &line);
    }
    ended
}

/// Runs the controllers in the leader, until shutdown.
async fn led(
    arguments: &MachineControllerArgs,
    client: &Client,
    health: &Arc<ControllerHealth>,
    stop: &Shutdown,
    log: &Log,
) -> Result<Exit> {
    // A shutdown during the start has nothing to finish, even if the API server is silent.
    let begun = tokio::select! {
        biased;
        () = stop.stopped() => return Ok(Exit::Done),
        begun = begun(arguments, client, health, log) => begun?,
    };
    let Begun { aws, settings, account, cluster } = begun;
    let begins = format!(
        "groundplan {} begins: cluster {} in {}, account {account}, namespace {}",
        env!("CARGO_PKG_VERSION"),
        cluster.infra_id,
        cluster.region,
        arguments.namespace
    );
    log.line(LogLevel::Info, "manager", "", &begins);
    let work = |client: Client| {
        work(client, Arc::clone(&aws), settings.clone(), health, stop, log.clone())
    };
    let ended = async {
        if arguments.no_leader_election {
            health.record_response(true);
            health.metrics.leads(true);
            aws.guard(Fence::open()); // the user makes sure that no other controller runs
            work(client.clone()).await;
            return Ok(Exit::Done);
        }
        let name = std::env::var("HOSTNAME").unwrap_or_else(|_| "groundplan".to_owned());
        let lease = (&*arguments.namespace, LEASE);
        let candidate = LeaderCandidate::new(
            client.clone(),
            lease,
            &name,
            LeaseTerms::default(),
            Arc::clone(health),
        )
        .in_place_of(&ORIGINALS)
        .logging(log.clone());
        let led = candidate.lead(stop.token(), |leadership: Leadership| {
            let leads = format!("this process is the leader ({})", candidate.identity());
            log.line(LogLevel::Info, "leader_election", &format!("Lease {LEASE}"), &leads);
            aws.guard(leadership.fence());
            work(leadership.guard(client))
        });
        match led.await {
            Ok(_) => Ok(Exit::Done),
            Err(lost) => Err(CommandError::new(Exit::Failed, leadership_lost(&lost))),
        }
    };
    tokio::select! {
        biased;
        ended = ended => ended,
        never = check_account(&aws, log) => never,
    }
}

/// Returns the error of a process that does not lead any more.
fn leadership_lost(lost: &LeadershipLost) -> Diagnostic {
    Diagnostic::error(Code::LeadershipLost, "could not stay the leader")
        .with_detail(with_causes(lost))
}

/// Makes a call every minute, so that credentials of another account or credentials that AWS rejects
/// are noticed in a process without other calls. The clients report another account.
async fn check_account<T>(aws: &Aws, log: &Log) -> T {
    loop {
        sleep(ACCOUNT_CHECK).await;
        log_check(log, aws.check().await);
    }
}

/// Returns the log, and its lines.
fn log(arguments: &MachineControllerArgs) -> (Log, UnboundedReceiver<LogLine>) {
    let (sender, lines) = unbounded_channel();
    let least = least(arguments.log_level);
    let log = Log::new(move |line: LogLine| {
        if line.level >= least {
            let _ = sender.send(line); // no receiver after the end
        }
    });
    (log, lines)
}

fn least(level: MinimumLogLevel) -> LogLevel {
    match level {
        MinimumLogLevel::Debug => LogLevel::Debug,
        MinimumLogLevel::Info => LogLevel::Info,
        MinimumLogLevel::Warning => LogLevel::Warning,
        MinimumLogLevel::Error => LogLevel::Error,
    }
}

/// Runs all controllers until shutdown.
async fn work(
    client: Client,
    aws: Arc<Aws>,
    settings: ControllerSettings,
    health: &Arc<ControllerHealth>,
    stop: &Shutdown,
    log: Log,
) {
    let tag = aws.settings().cluster_tag.clone();
    let types = InstanceTypeSource { ec2: aws.clone(), region: settings.region.clone() };
    let looks = Ec2Batcher::new(aws, &settings.region, &tag);
    let namespace = settings.namespace.clone();
    let machines = MachineController::new(client.clone(), looks, settings, Arc::clone(health));
    let of_aws = AwsControllers { machines, types };
    manager::look_after(&client, &namespace, health, stop.token(), &log, of_aws).await;
}

/// Returns the identity of the cluster, the settings and the instances of the control plane, from its
/// Infrastructure and its Nodes.
async fn asked(
    arguments: &MachineControllerArgs,
    client: &Client,
) -> Result<(ClusterFacts, ControllerSettings, Vec<InstanceId>)> {
    let kind = GroupVersionKind::gvk("config.openshift.io", "v1", "Infrastructure");
    let resource = ApiResource::from_gvk_with_plural(&kind, "infrastructures");
    let infrastructures: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let failed = |error: kube::Error| unreadable("read the Infrastructure `cluster`", &error);
    let infrastructure = infrastructures.get("cluster").await.map_err(failed)?;
    let cluster = Infrastructure::read(&infrastructure.data)
        .and_then(Infrastructure::of_a_running_cluster)
        .map_err(|unfit| {
            CommandError::new(
                Exit::Failed,
                Diagnostic::error(Code::InfrastructureUnfit, unfit.to_string()),
            )
        })?;
    let nodes: Api<Node> = Api::all(client.clone());
    let masters = ListParams::default().labels("node-role.kubernetes.io/master");
    let failed = |error: kube::Error| unreadable("list the Nodes of the control plane", &error);
    let nodes = nodes.list(&masters).await.map_err(failed)?;
    let label = nodes.items.first().and_then(|node| node.labels().get("kubernetes.io/arch"));
    let settings = ControllerSettings {
        namespace: arguments.namespace.clone(),
        region: cluster.region.clone(),
        architecture: architecture(label.map(String::as_str)),
        site: cluster.site.clone(),
    };
    Ok((cluster, settings, instances(&nodes.items)))
}

/// Returns the error for a failed request to the API server, with the remedy for its status.
fn unreadable(attempt: &str, error: &kube::Error) -> CommandError {
    let hint = match error {
        kube::Error::Api(status) if status.code == 401 => {
            "check the token of the ServiceAccount, or the kubeconfig"
        }
        kube::Error::Api(status) if status.code == 403 => {
            "apply deploy/machine-controller/base/cluster-role.yaml and its binding"
        }
        kube::Error::Api(status) if status.code == 404 => {
            "in a cluster without OpenShift, apply deploy/machine-controller/crds/infrastructure.yaml \
             and an Infrastructure as in deploy/machine-controller/example"
        }
        _ => "check the address of the API server and the network policies of this pod",
    };
    let diagnostic = Diagnostic::error(Code::ApiServerUnreachable, format!("could not {attempt}"));
    let diagnostic = diagnostic.with_detail(api_error(error)).with_hint(hint);
    CommandError::new(Exit::Failed, diagnostic)
}

async fn listen_on(address: std::net::SocketAddr) -> Result<TcpListener> {
    let failed = |error| {
        CommandError::could_not(Code::ListenFailed, &format!("listen on {address}"), &error)
    };
    TcpListener::bind(address).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::{InstanceById, Node, instances, is_elsewhere};
    use crate::cli::args::{CliArguments, Command};
    use groundplan_controller::lease::LeaseError;
    use serde_json::{Value, json};

    #[test]
    fn a_rejected_request_has_a_remedy_and_no_rust_value() {
        for (code, remedy) in
            [(401, "token"), (403, "cluster-role.yaml"), (404, "infrastructure.yaml")]
        {
            let status = kube::core::Status { code, ..kube::core::Status::failure("m", "r") };
            let error = super::unreadable("read it", &kube::Error::Api(status.boxed()));
            let said = &error.diagnostics[0];
            assert_eq!(said.detail, [format!("m (status {code})")]);
            assert!(said.hint.as_ref().unwrap().contains(remedy), "{said:?}");
        }
    }

    #[test]
    fn a_lost_leadership_has_the_words_of_the_api_server_and_no_rust_value() {
        let status = kube::core::Status::failure("etcdserver: timed out", "x").with_code(500);
        let lost = super::LeadershipLost::NotRenewed {
            lease: "l".to_owned(),
            for_long: std::time::Duration::from_secs(16),
            source: LeaseError::Api(Box::new(kube::Error::Api(status.boxed()))),
        };
        let said = super::leadership_lost(&lost).detail;
        let end = "the request to the API server failed: etcdserver: timed out (status 500)";
        assert!(said.len() == 1 && said[0].ends_with(end), "{said:?}");
    }

    #[test]
    fn an_account_without_any_instance_of_the_control_plane_is_another_one() {
        let nodes =
            ["aws:///us-west-2a/i-1", "aws:///us-west-2b/i-2", "kind://docker/k/m", "aws:///"];
        let node = |id: &str| serde_json::from_value(json!({"spec": {"providerID": id}})).unwrap();
        let nodes: Vec<Node> = nodes.into_iter().map(node).collect();
        assert_eq!(instances(&nodes), ["i-1".into(), "i-2".into()]);
        let (absent, unclear) = (InstanceById::NotFound, InstanceById::NotShown);
        assert!(is_elsewhere(&[absent.clone(), absent.clone()]));
        assert!(!is_elsewhere(&[absent, unclear]) && !is_elsewhere(&[]));
    }

    const DEPLOYMENT: &str =
        include_str!("../../../deploy/machine-controller/base/deployment.yaml");

    #[test]
    fn what_the_deployment_starts_is_understood() {
        let deployment: Value = serde_saphyr::from_str(DEPLOYMENT).unwrap();
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        let words = ["command", "args"].map(|field| container[field].as_array().unwrap());
        let line = words.into_iter().flatten().map(|word| word.as_str().unwrap());
        let parsed = CliArguments::parse_line(line).unwrap().command;
        let Command::MachineController(arguments) = parsed else { panic!("{parsed:?}") };
        assert!(!arguments.no_leader_election, "of two, one acts");
        let port = i64::from(arguments.listen.unwrap().port());
        assert_eq!(container["ports"][0]["containerPort"], port);
        assert_eq!(arguments.namespace, deployment["metadata"]["namespace"]);
    }
}
