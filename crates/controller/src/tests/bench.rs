//! Test bench: a cluster, its EC2, and a controller that can be killed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use groundplan_node::test_support::fake_api_server::FakeApiServer;
use groundplan_openshift::install_config::Architecture;
use groundplan_openshift::machine_api::launch_spec::ClusterDefaults;
use groundplan_openshift::machine_api::types::{Machine, NAMESPACE, read};
use kube::Client;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::capacity::driver::InstanceTypeSource;
use crate::ec2_batcher::Ec2Batcher;
use crate::health::ControllerHealth;
use crate::machine::driver::{ControllerSettings, MachineController};
use crate::manager::{AwsControllers, look_after};
use crate::report::{Log, LogLevel};
use crate::test_support::FakeEc2;
use groundplan_aws::machine_calls::Ec2;

const ROLE: &str = include_str!("../../../../deploy/machine-controller/base/role.yaml");
const CLUSTER_ROLE: &str =
    include_str!("../../../../deploy/machine-controller/base/cluster-role.yaml");

pub(crate) const REGION: &str = "us-west-2";
/// Content of the user data, which must not appear in any other place.
pub(crate) const CANARY: &str = "canary-of-the-user-data";

pub(crate) struct Bench {
    pub(crate) cluster: FakeApiServer,
    pub(crate) ec2: Arc<FakeEc2>,
    pub(crate) health: Arc<ControllerHealth>,
    client: Client,
    reported: Arc<Mutex<Vec<String>>>,
    logged: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let cluster = FakeApiServer::default();
        for manifests in [ROLE, CLUSTER_ROLE] {
            cluster.apply(manifests);
        }
        cluster.restrict_to_account(NAMESPACE, "groundplan-machine-controller");
        let user_data = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, CANARY);
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "worker-user-data", "namespace": NAMESPACE},
            "data": {"userData": user_data},
        }));
        let ec2 = FakeEc2::new(Duration::from_millis(80));
        let client = cluster.client();
        let (reported, logged) = Default::default();
        Self { cluster, ec2, health: Arc::default(), client, reported, logged }
    }

    /// Replaces the client of the controllers.
    pub(super) fn with_client(mut self, change: impl FnOnce(Client) -> Client) -> Self {
        self.client = change(self.client);
        self
    }

    /// Returns the warnings and errors in the log of the controllers, in order.
    pub(super) fn reported(&self) -> Vec<String> {
        self.reported.lock().expect("no test panics with the lock").clone()
    }

    /// Returns the lines of the level `info` in the log of the controllers, in order.
    pub(super) fn logged(&self) -> Vec<String> {
        self.logged.lock().expect("no test panics with the lock").clone()
    }

    /// Adds a Machine with this name and these fields of the provider config.
    pub(crate) fn want(&self, name: &str, fields: &Value) {
        self.cluster.put(json!({
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
            "metadata": {"name": name, "namespace": NAMESPACE,
                         "labels": {"machine.openshift.io/cluster-api-cluster": "c"}},
            "spec": {"providerSpec": {"value": config(fields)}},
        }));
    }

    /// Adds a MachineSet with this name and without machines.
    pub(super) fn want_set(&self, name: &str) {
        let labels = json!({"machine.openshift.io/cluster-api-cluster": "c",
                            "machine.openshift.io/cluster-api-machineset": name});
        self.cluster.put(json!({
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels},
                                  "spec": {"providerSpec": {"value": config(&json!({}))}}}},
        }));
    }

    /// Sets the replicas of a MachineSet.
    pub(super) fn scale(&self, name: &str, replicas: usize) {
        let patch = json!({"spec": {"replicas": replicas}});
        self.cluster.change("machinesets", NAMESPACE, name, &patch);
    }

    /// Returns the source of instance type data.
    pub(crate) fn types(&self) -> InstanceTypeSource {
        InstanceTypeSource { ec2: Arc::clone(&self.ec2) as Arc<dyn Ec2>, region: REGION.to_owned() }
    }

    /// Starts everything that a process does: sets, links and machines. Aborting the handle ends
    /// all of it.
    pub(super) fn start_all(&self) -> JoinHandle<()> {
        self.start_all_until(CancellationToken::new())
    }

    /// Starts everything that a process does, with a shutdown token.
    pub(crate) fn start_all_until(&self, stop: CancellationToken) -> JoinHandle<()> {
        let (client, health) = (self.client.clone(), Arc::clone(&self.health));
        let (reported, logged) = (Arc::clone(&self.reported), Arc::clone(&self.logged));
        let of_aws = AwsControllers { machines: self.machines(), types: self.types() };
        tokio::spawn(async move {
            let log = Log::new(move |line| {
                let text = format!("{}: {}", line.object, line.message);
                let lines = match line.level {
                    LogLevel::Debug => return,
                    LogLevel::Info => &logged,
                    LogLevel::Warning | LogLevel::Error => &reported,
                };
                lines.lock().expect("no test panics with the lock").push(text);
            });
            look_after(&client, NAMESPACE, &health, &stop, &log, of_aws).await;
        })
    }

    /// Starts a Machine controller. Aborting the handle loses its whole memory.
    pub(crate) fn start(&self) -> JoinHandle<()> {
        self.start_until(CancellationToken::new())
    }

    /// Starts a Machine controller with a shutdown token.
    pub(super) fn start_until(&self, stop: CancellationToken) -> JoinHandle<()> {
        tokio::spawn(self.machines().run(stop.cancelled_owned()))
    }

    fn machines(&self) -> MachineController {
        let batcher = Ec2Batcher::new(self.ec2.clone(), REGION, "kubernetes.io/cluster/c");
        let settings = ControllerSettings {
            namespace: NAMESPACE.to_owned(),
            region: REGION.to_owned(),
            architecture: Architecture::Amd64,
            site: ClusterDefaults { region: Some(REGION.to_owned()), ..ClusterDefaults::default() },
        };
        MachineController::new(self.client.clone(), batcher, settings, Arc::clone(&self.health))
    }

    pub(crate) fn machine(&self, name: &str) -> Option<Machine> {
        let object = self.cluster.get("machines", NAMESPACE, name)?;
        Some(read(&object).expect("a Machine"))
    }

    pub(crate) fn phase(&self, name: &str) -> String {
        let machine = self.machine(name);
        machine.and_then(|machine| machine.status.phase).unwrap_or_default()
    }

    pub(crate) fn delete(&self, name: &str) {
        self.cluster.delete("machines", NAMESPACE, name);
    }

    /// Returns the number of Machines in a phase.
    pub(crate) fn in_phase(&self, phase: &str) -> usize {
        let machines = self.cluster.all("machines");
        machines.iter().filter(|one| one["status"]["phase"] == phase).count()
    }

    /// Waits for at most two hours of the paused clock.
    pub(crate) async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(
                began.elapsed() < Duration::from_secs(2 * 60 * 60),
                "{what} does not come: {:#?}\n{:#?}",
                self.ec2.calls().iter().rev().take(20).collect::<Vec<_>>(),
                self.cluster.all("machines").first(),
            );
            sleep(Duration::from_secs(1)).await;
        }
    }

    /// Returns the reasons of all Events, in order.
    pub(crate) fn told(&self) -> Vec<String> {
        let events = self.cluster.events();
        events.iter().map(|event| event["reason"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// Returns a provider config with these fields.
fn config(fields: &Value) -> Value {
    let mut config = json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "AWSMachineProviderConfig",
        "ami": {"id": "ami-1"}, "instanceType": "m5.large", "placement": {"region": REGION},
        "subnet": {"id": "subnet-1"}, "securityGroups": [{"id": "sg-1"}],
        "userDataSecret": {"name": "worker-user-data"},
        "metadataServiceOptions": {"authentication": "Required"},
    });
    for (field, value) in fields.as_object().expect("fields") {
        config[field] = value.clone();
    }
    config
}
