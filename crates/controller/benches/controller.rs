//! Measures the machine controller with many Machines, with an API server and an EC2 in memory.
//!
//! The figures are the time until all Machines are instances and the number of EC2 calls. Prints a
//! table and one JSON line per phase.
//!
//! `cargo bench -p groundplan-controller --features test-support -- 100` measures
//! another number of Machines.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use groundplan_controller::ec2_batcher::Ec2Batcher;
use groundplan_controller::health::ControllerHealth;
use groundplan_controller::machine::driver::{ControllerSettings, MachineController};
use groundplan_controller::test_support::FakeEc2;
use groundplan_node::test_support::fake_api_server::FakeApiServer;
use groundplan_openshift::install_config::Architecture;
use groundplan_openshift::machine_api::launch_spec::ClusterDefaults;
use groundplan_openshift::machine_api::types::NAMESPACE;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

const MACHINES: usize = 1_000;
const REGION: &str = "us-west-2";
/// Round trip of an EC2 call, as long as a typical launch.
const LATENCY: Duration = Duration::from_millis(1_500);

#[tokio::main]
async fn main() {
    let words = env::args().skip(1).filter(|word| !word.starts_with("--"));
    let machines = words.filter_map(|word| word.parse().ok()).next().unwrap_or(MACHINES);
    let bench = Bench { cluster: FakeApiServer::default(), ec2: FakeEc2::new(LATENCY), machines };
    bench.prepare();
    println!(
        "{:<28} {:>8} {:>7} {:>9} {:>9} {:>13} {:>12} {:>8}",
        "phase", "wall s", "cpu s", "EC2 calls", "launches", "/ machine", "API requests", "peak MB"
    );
    let controller = bench.start();
    let nothing = |_: &Bench| ();
    bench.phase("launched and running", nothing, |bench| bench.running() == machines).await;
    controller.abort();
    let controller = bench.start();
    let is_observed = |bench: &Bench| bench.ec2.count("observe machine") > 0;
    bench.phase("reconciled again", nothing, is_observed).await;
    let is_empty = |bench: &Bench| bench.cluster.all("machines").is_empty();
    bench.phase("terminated and deleted", Bench::delete_all, is_empty).await;
    controller.abort();
    assert_eq!(bench.ec2.launches(), machines, "each was launched once");
    assert!(bench.ec2.names().is_empty(), "nothing is left");
}

struct Bench {
    cluster: FakeApiServer,
    ec2: Arc<FakeEc2>,
    machines: usize,
}

impl Bench {
    fn prepare(&self) {
        self.cluster.put(json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "worker-user-data", "namespace": NAMESPACE},
            "data": {"userData": "e30="},
        }));
        for number in 0..self.machines {
            self.cluster.put(json!({
                "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
                "metadata": {"name": format!("c-worker-{number:05}"), "namespace": NAMESPACE,
                             "labels": {"machine.openshift.io/cluster-api-cluster": "c"}},
                "spec": {"providerSpec": {"value": provider_config()}},
            }));
        }
    }

    fn start(&self) -> JoinHandle<()> {
        let looks = Ec2Batcher::new(self.ec2.clone(), REGION, "kubernetes.io/cluster/c");
        let settings = ControllerSettings {
            namespace: NAMESPACE.to_owned(),
            region: REGION.to_owned(),
            architecture: Architecture::Amd64,
            site: ClusterDefaults { region: Some(REGION.to_owned()), ..ClusterDefaults::default() },
        };
        let health = Arc::<ControllerHealth>::default();
        let machines = MachineController::new(self.cluster.client(), looks, settings, health);
        tokio::spawn(machines.run(std::future::pending()))
    }

    fn running(&self) -> usize {
        let running = |one: &&Value| {
            one["metadata"]["annotations"]["machine.openshift.io/instance-state"] == "running"
        };
        self.cluster.all("machines").iter().filter(running).count()
    }

    fn delete_all(&self) {
        for one in self.cluster.all("machines") {
            let name = one["metadata"]["name"].as_str().expect("a name");
            self.cluster.delete("machines", NAMESPACE, name);
        }
    }

    /// Calls `begin`, runs until `done` returns true, then counts the calls for three more seconds.
    async fn phase(&self, name: &str, begin: impl Fn(&Self), done: impl Fn(&Self) -> bool) {
        self.ec2.forget_calls();
        self.cluster.forget_requests();
        let (began, cpu) = (Instant::now(), cpu_seconds());
        begin(self);
        while !done(self) {
            assert!(began.elapsed() < Duration::from_secs(1_800), "{name} does not come");
            sleep(Duration::from_millis(200)).await;
        }
        let wall = began.elapsed().as_secs_f64();
        sleep(Duration::from_secs(3)).await;
        let (calls, requests) = (self.ec2.calls(), self.cluster.requests());
        let launches = calls.iter().filter(|call| call.starts_with("create machine")).count();
        let (machines, cpu) =
            (f64::from(u32::try_from(self.machines).expect("few")), cpu_seconds() - cpu);
        let each = f64::from(u32::try_from(calls.len()).expect("few")) / machines;
        let peak = peak_mb();
        println!(
            "{name:<28} {wall:>8.1} {cpu:>7.1} {:>9} {launches:>9} {each:>13.3} {:>12} {peak:>8}",
            calls.len(),
            requests.len(),
        );
        println!(
            "{}",
            json!({"phase": name, "machines": self.machines, "wall_s": wall, "cpu_s": cpu,
                   "ec2_calls": calls.len(), "launches": launches, "ec2_calls_per_machine": each,
                   "api_requests": requests.len(), "peak_rss_mb": peak})
        );
    }
}

fn provider_config() -> Value {
    json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "AWSMachineProviderConfig",
        "ami": {"id": "ami-1"}, "instanceType": "m5.large",
        "placement": {"region": REGION, "availabilityZone": "us-west-2a"},
        "subnet": {"id": "subnet-1"},
        "securityGroups": [{"id": "sg-1"}],
        "userDataSecret": {"name": "worker-user-data"},
        "metadataServiceOptions": {"authentication": "Required"},
        "blockDevices": [{"deviceName": "/dev/xvda",
                          "ebs": {"volumeSize": 120, "volumeType": "gp3"}}],
        "iamInstanceProfile": {"id": "c-worker-profile"},
        "tags": [{"name": "team", "value": "a"}],
    })
}

/// Returns the CPU time of this process in seconds, from `/proc/self/stat` (ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: u32 =
        [fields[11], fields[12]].iter().map(|t| t.parse::<u32>().expect("ticks")).sum();
    f64::from(ticks) / 100.0
}

fn peak_mb() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM")).expect("a peak");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).expect("kB") / 1024
}
