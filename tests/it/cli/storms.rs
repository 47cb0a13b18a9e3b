//! Faults: calls that are rejected, in doubt or not visible yet. Apply and destroy have the same
//! result, with at most 50 % more calls. `make storms` uses more seeds and prints the cost of each
//! storm.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use groundplan_aws::{Aws, AwsSettings};
use groundplan_engine::apply::{ApplySettings as Ways, Shutdown, apply};
use groundplan_engine::plan::{Plan, PlanOptions, plan, plan_destroy};
use groundplan_engine::provider::Provider;
use groundplan_engine::refresh::read_live_state;
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::fence::Fence;
use groundplan_engine::state::{Entry, State};
use groundplan_engine::test_support::RecordingObserver;
use groundplan_openshift::test_support::example_cluster::{ExampleCluster, image};
use serde_json::{Value, json};

use super::Desk;
use super::crash::comparable;
use crate::support::cloud::{Cloud, shared};

/// Results of an apply and a destroy without faults.
pub(super) struct Calm {
    /// Inventory after the apply.
    pub(super) built: Value,
    /// Number of calls of both runs.
    calls: usize,
    /// Mutating actions of the apply.
    making: BTreeSet<String>,
    /// Mutating actions of the destroy.
    unmaking: BTreeSet<String>,
}

pub(super) fn calm() -> &'static Calm {
    static CALM: OnceLock<Calm> = OnceLock::new();
    CALM.get_or_init(|| {
        let desk = Desk::new();
        desk.apply();
        let (calls, making) = (desk.cloud.requests().len(), changing(&desk));
        let built = comparable(&desk);
        desk.cloud.clear_requests();
        desk.expect(0, &["destroy", "--auto-approve"]);
        let calls = calls + desk.cloud.requests().len();
        Calm { built, calls, making, unmaking: changing(&desk) }
    })
}

/// Returns the mutating actions so far.
fn changing(desk: &Desk) -> BTreeSet<String> {
    let requests = desk.cloud.requests();
    let changing = requests.iter().filter(|call| call["mutating"] == true);
    changing.map(|call| call["action"].as_str().expect("an action").to_owned()).collect()
}

/// Runs an apply and a destroy with these faults.
fn ends_as_ever(desk: &Desk, weather: &[Value]) {
    let storm = || weather.iter().for_each(|fault| desk.cloud.fault(fault));
    let before = desk.cloud.inventory();
    storm();
    desk.apply();
    let mut calls = desk.cloud.requests().len();
    desk.cloud.clear_faults();
    assert_eq!(comparable(desk), calm().built);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    desk.cloud.clear_requests();
    storm();
    desk.expect(0, &["destroy", "--auto-approve"]);
    calls += desk.cloud.requests().len();
    assert_eq!(desk.cloud.inventory(), before);
    assert!(2 * calls <= 3 * calm().calls, "{calls} calls instead of {}", calm().calls);
}

/// Returns the fault with this probability, until it is cleared.
fn now_and_then(probability: f64, mut fault: Value) -> Value {
    fault["probability"] = probability.into();
    fault["times"] = Value::Null;
    fault
}

#[test]
fn a7_throttled_three_times_in_ten() {
    ends_as_ever(&Desk::new(), &[now_and_then(0.3, json!({"kind": "throttle"}))]);
}

#[test]
fn errors_of_aws_before_and_after_the_call_took_effect() {
    let error = |status: u16, code, when| {
        let fault = json!({"kind": "error", "status": status, "code": code, "when": when});
        now_and_then(0.05, fault)
    };
    let before = [error(503, "Unavailable", "before"), error(500, "InternalError", "before")];
    ends_as_ever(&Desk::new(), &[&before[..], &[error(500, "InternalError", "after")]].concat());
}

#[test]
fn connections_that_break_before_and_after_the_call_took_effect() {
    let broken = |when| now_and_then(0.05, json!({"kind": "drop", "when": when}));
    ends_as_ever(&Desk::new(), &[broken("before"), broken("after")]);
}

#[test]
fn a6_nothing_is_seen_for_ten_seconds_after_it_was_made() {
    let desk = Desk::new();
    desk.cloud.delay("visible", 10.0);
    ends_as_ever(&desk, &[]);
}

#[test]
fn a4_an_error_after_it_was_done_does_not_do_it_twice() {
    once_at_each(&json!({"when": "after", "status": 500, "code": "InternalError"}), 500);
}

#[test]
fn a_lost_answer_after_it_was_done_does_not_do_it_twice() {
    once_at_each(&json!({"when": "after", "kind": "drop"}), 0);
}

/// Runs an apply and a destroy in which every mutating action fails once.
fn once_at_each(fault: &Value, status: u16) {
    let desk = Desk::new();
    let before = desk.cloud.inventory();
    let hit = |actions: &BTreeSet<String>| {
        for action in actions {
            let mut fault = fault.clone();
            fault["action"] = action.as_str().into();
            desk.cloud.fault(&fault);
        }
    };
    let all_were_hit = |actions: &BTreeSet<String>| {
        let mut failed = desk.cloud.requests();
        failed.retain(|call| call["status"] == status);
        assert_eq!(failed.len(), actions.len(), "each once: {failed:?}");
        desk.cloud.clear_requests();
    };
    hit(&calm().making);
    desk.apply();
    all_were_hit(&calm().making);
    assert_eq!(comparable(&desk), calm().built);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    desk.cloud.clear_requests();
    hit(&calm().unmaking);
    desk.expect(0, &["destroy", "--auto-approve"]);
    all_were_hit(&calm().unmaking);
    assert_eq!(desk.cloud.inventory(), before);
}

#[test]
fn answers_that_never_come() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let calm = Walker::new(shared());
        calm.clone().lives_and_dies(&[]).await;
        let silent = |when| now_and_then(0.02, json!({"kind": "hang", "when": when}));
        let silence = Walker::new(shared());
        let took = silence.clone().lives_and_dies(&[silent("before"), silent("after")]).await;
        assert!(took > PATIENCE, "something was waited for");
        let (calls, usual) = (silence.cloud.requests().len(), calm.cloud.requests().len());
        assert!(2 * calls <= 3 * usual, "{calls} calls instead of {usual}");
    });
}

/// Timeout for responses. The timeouts of the program are too long for a test.
const PATIENCE: Duration = Duration::from_secs(5);

/// The engine and AWS, without the command line.
#[derive(Clone)]
struct Walker {
    cloud: Cloud,
    world: Arc<ExampleCluster>,
    aws: Arc<Aws>,
}

impl Walker {
    fn new(cloud: Cloud) -> Self {
        let mut world = ExampleCluster::internal();
        world.cloud.images = [("ami-0abcdef1234567890".into(), image())].into();
        world.config.control_plane.aws.ami_id = Some("ami-0abcdef1234567890".into());
        // Bucket names contain the infra ID and are unique in the whole cloud.
        world.cluster.infra_id = format!("demo-{}", &cloud.account()[7..]);
        let timeouts = TimeoutConfig::builder().read_timeout(PATIENCE).build();
        let config = cloud.sdk_config().into_builder().timeout_config(timeouts);
        let retries = RetryConfig::standard()
            .with_max_attempts(5)
            .with_initial_backoff(Duration::from_millis(200));
        let settings = AwsSettings {
            region: world.cluster.region.clone(),
            cluster_tag: groundplan_aws::model::cluster_tag_key(&world.cluster.infra_id),
            ..AwsSettings::default()
        };
        let aws =
            Aws::new(&config.retry_config(retries).build(), settings).with_fence(Fence::open());
        Self { cloud, world: Arc::new(world), aws: Arc::new(aws) }
    }

    /// Creates and destroys a cluster of three masters with these faults. Returns the duration of
    /// both.
    async fn lives_and_dies(self, weather: &[Value]) -> Duration {
        let mut state = State::new("storm".into());
        state
            .record(&Entry::ClusterIdentified { cluster: self.world.cluster.clone() })
            .expect("legal");
        let began = Instant::now();
        let before = self.cloud.inventory();
        weather.iter().for_each(|fault| self.cloud.fault(fault));
        let graph = self.world.graph();
        let observed = read_live_state(&state, &*self.aws).await.expect("observed");
        let wanted = plan(&graph, &state, &observed, &*self.aws, &PlanOptions::default());
        let state = self.walked(&wanted, state, graph.into_secrets()).await;
        let machines = self.cloud.ids()["instance"].as_array().map(Vec::len);
        assert_eq!(machines, Some(4), "three masters, and the machine they begin with");

        let observed = read_live_state(&state, &*self.aws).await.expect("observed");
        let wanted = plan_destroy(&state, &observed, &*self.aws, &PlanOptions::default());
        let state = self.walked(&wanted, state, Secrets::default()).await;
        assert!(state.resources.is_empty(), "{:?}", state.resources.keys());
        assert_eq!(self.cloud.inventory(), before);
        began.elapsed()
    }

    async fn walked(&self, plan: &Plan, state: State, secrets: Secrets) -> State {
        let aws: Arc<dyn Provider> = self.aws.clone();
        let (ways, stop, mut recording) =
            (Ways::default(), Shutdown::default(), RecordingObserver::default());
        let outcome =
            apply(plan, state, aws, Arc::new(secrets), &ways, &stop, &mut recording).await;
        assert!(outcome.summary.complete(), "{:?}", recording.events.last());
        outcome.state
    }
}
