//! `groundplan machine-controller`: the provider of a cluster's Machine API.

use std::sync::Arc;

use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::{Aws, AwsSettings};
use groundplan_controller::capacity::driver::InstanceTypeSource;
use groundplan_controller::ec2_batcher::Ec2Batcher;
use groundplan_controller::health::ControllerHealth;
use groundplan_controller::lease::{LeaderCandidate, Leadership, LeaseTerms, ORIGINALS};
use groundplan_controller::machine::driver::{ControllerSettings, MachineController};
use groundplan_controller::manager::{self, AwsControllers};
use groundplan_controller::report::{Log, LogLevel, LogLine};
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
use tokio::sync::mpsc::unbounded_channel;

use crate::cli::args::{MachineControllerArgs, MinimumLogLevel};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::{Code, Diagnostic};

/// Name of the Lease for leader election.
const LEASE: &str = "groundplan-machine-controller";

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
) -> Result<Begun> {
    let (cluster, settings) = asked(arguments, client).await?;
    let aws = Arc::new(
        Aws::connect(AwsSettings {
            region: cluster.region.clone(),
            endpoints: cluster.endpoints.clone(),
            cluster_tag: cluster_tag_key(&cluster.infra_id),
            hosted_zone_role: None,
        })
        .await,
    );
    let caller = aws.check().await;
    let caller = caller.map_err(|error| {
        CommandError::new(Exit::Failed, Diagnostic::call_failed("reach AWS", &error))
    })?;
    let counted = Arc::clone(&aws);
    health.metrics.count_calls_by(move || counted.calls());
    Ok(Begun { aws, settings, account: caller.account, cluster })
}

async fn controlled(
    arguments: &MachineControllerArgs,
    client: &Client,
    health: &Arc<ControllerHealth>,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    // A shutdown during the start has nothing to finish, even if the API server is silent.
    let begun = tokio::select! {
        biased;
        () = stop.stopped() => return Ok(Exit::Done),
        begun = begun(arguments, client, health) => begun?,
    };
    let Begun { aws, settings, account, cluster } = begun;
    let (sender, mut lines) = unbounded_channel();
    let least = least(arguments.log_level);
    let log = Log::new(move |line: LogLine| {
        if line.level >= least {
            let _ = sender.send(line); // no receiver after the end
        }
    });
    let begins = format!(
        "cluster {} in {}, account {account}, namespace {}",
        cluster.infra_id, cluster.region, arguments.namespace
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
            Err(lost) => {
                Err(CommandError::could_not(Code::LeadershipLost, "stay the leader", &lost))
            }
        }
    };
    let saying = async {
        while let Some(line) = lines.recv().await {
            let (level, controller) = (line.level.name(), line.controller);
            let (object, message) = (&line.object, &line.message);
            let _ = ui.log(level, controller, object, message); // a closed output does not end it
        }
        std::future::pending().await
    };
    tokio::select! {
        biased;
        ended = ended => ended,
        never = saying => never,
    }
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

/// Returns the identity of the cluster and the settings, from its Infrastructure and its Nodes.
async fn asked(
    arguments: &MachineControllerArgs,
    client: &Client,
) -> Result<(ClusterFacts, ControllerSettings)> {
    let kind = GroupVersionKind::gvk("config.openshift.io", "v1", "Infrastructure");
    let resource = ApiResource::from_gvk_with_plural(&kind, "infrastructures");
    let infrastructures: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let failed = |error: kube::Error| {
        CommandError::could_not(
            Code::ApiServerUnreachable,
            "read the Infrastructure `cluster`",
            &error,
        )
    };
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
    let masters = ListParams::default().labels("node-role.kubernetes.io/master").limit(1);
    let failed = |error: kube::Error| {
        CommandError::could_not(
            Code::ApiServerUnreachable,
            "list the Nodes of the control plane",
            &error,
        )
    };
    let nodes = nodes.list(&masters).await.map_err(failed)?;
    let label = nodes.items.first().and_then(|node| node.labels().get("kubernetes.io/arch"));
    let settings = ControllerSettings {
        namespace: arguments.namespace.clone(),
        region: cluster.region.clone(),
        architecture: architecture(label.map(String::as_str)),
        site: cluster.site.clone(),
    };
    Ok((cluster, settings))
}

async fn listen_on(address: std::net::SocketAddr) -> Result<TcpListener> {
    let failed = |error| {
        CommandError::could_not(Code::ListenFailed, &format!("listen on {address}"), &error)
    };
    TcpListener::bind(address).await.map_err(failed)
}

#[cfg(test)]
mod tests {
    use crate::cli::args::{CliArguments, Command};
    use serde_json::Value;

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
