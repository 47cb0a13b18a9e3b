//! Test harness for the engine: kinds with different schemas, and one call per operation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{FakeProvider, RecordingObserver};
use crate::apply::{ApplyOutcome, ApplySettings, Shutdown, apply};
use crate::graph::{Address, DependentsStart, Graph, Identity, Schema, SetInput, Wait};
use crate::plan::{Plan, PlanOptions, plan, plan_destroy};
use crate::provider::Provider;
use crate::refresh::read_live_state;
use crate::secret::Secrets;
use crate::state::State;

/// Kinds with different schemas. In each, `fixed` is force-new, `image` is a create-only input and
/// `rules` is a set.
pub const KINDS: &[Schema] = &[
    plain("node"),
    Schema { create_before_destroy: true, ..plain("first") },
    Schema { configures: true, write_only: &["labels"], ..plain("stepped") },
    Schema { ready: Some(WAIT), gone: Some(WAIT), typical_seconds: 60, ..plain("slow") },
    Schema {
        dependents_start: DependentsStart::Created,
        configures: true,
        ready: Some(WAIT),
        typical_seconds: 60,
        ..plain("early")
    },
    Schema { identity: Identity::Tag, ..plain("tagged") },
    Schema { ignores_drift: true, identity: Identity::Token, ..plain("machine") },
    Schema { conflicting: &["range"], ..plain("range") },
    Schema { blocks_deletion_of: &["needs"], ..plain("holder") },
];

const RULES: &[SetInput] = &[SetInput::of_values("rules", "rule")];
const WAIT: Wait = Wait { every_seconds: 5, within_seconds: 600 };

/// The same kinds with references as force-new inputs, as in most of AWS.
pub const RIGID_KINDS: &[Schema] = &[
    rigid(KINDS[0]),
    rigid(KINDS[1]),
    rigid(KINDS[2]),
    rigid(KINDS[3]),
    rigid(KINDS[4]),
    rigid(KINDS[5]),
    rigid(KINDS[6]),
    rigid(KINDS[7]),
    rigid(KINDS[8]),
];

const fn rigid(schema: Schema) -> Schema {
    Schema { force_new: &["fixed", "needs"], ..schema }
}

const fn plain(kind: &'static str) -> Schema {
    Schema {
        force_new: &["fixed"],
        create_only: &["image"],
        sets: RULES,
        ..Schema::of(kind, Identity::Name)
    }
}

/// Adds a resource with references: `node(&mut graph, "node.a", json!({..}), &["node.b"])`.
pub fn node(graph: &mut Graph, address: &str, mut inputs: Value, needs: &[&str]) {
    let refs = needs.iter().map(|needed| json!({ "$ref": needed, "output": "id" }));
    inputs["needs"] = refs.collect();
    graph.push(Address::from(address), inputs);
}

/// A cloud, a state, and the operations on them.
#[derive(Debug)]
pub struct Harness {
    /// The cloud.
    pub cloud: Arc<FakeProvider>,
    /// The state.
    pub state: State,
    /// Journal entries and events so far.
    pub recording: RecordingObserver,
    /// Settings of `apply`.
    pub settings: ApplySettings,
}

impl Default for Harness {
    fn default() -> Self {
        Self {
            cloud: Arc::new(FakeProvider::new(KINDS, Duration::from_secs(1))),
            state: State::new("lab".into()),
            recording: RecordingObserver::default(),
            settings: ApplySettings::default(),
        }
    }
}

impl Harness {
    /// Creates a harness whose cloud has these kinds.
    pub fn with_kinds(kinds: &'static [Schema]) -> Self {
        let cloud = Arc::new(FakeProvider::new(kinds, Duration::from_secs(1)));
        Self { cloud, ..Self::default() }
    }

    /// Replays the journal, as a new process would.
    ///
    /// # Panics
    /// Panics if the journal has an impossible history.
    pub fn reread(&mut self) {
        let mut state = State::new("lab".into());
        for entry in self.recording.entries() {
            state.record(&entry).unwrap_or_else(|error| panic!("{error}"));
        }
        self.state = state;
    }

    /// Refreshes and plans.
    pub async fn plan(&self, graph: &Graph) -> Plan {
        self.plan_with(graph, &PlanOptions::default()).await
    }

    /// Refreshes and plans with options.
    pub async fn plan_with(&self, graph: &Graph, options: &PlanOptions) -> Plan {
        let observed = read_live_state(&self.state, &*self.cloud).await.unwrap_or_default();
        plan(graph, &self.state, &observed, &*self.cloud, options)
    }

    /// Plans and applies.
    pub async fn apply(&mut self, graph: &Graph) -> ApplyOutcome {
        let plan = self.plan(graph).await;
        self.walk(&plan).await
    }

    /// Refreshes and plans the deletion of all resources.
    pub async fn plan_destroy(&self) -> Plan {
        let observed = read_live_state(&self.state, &*self.cloud).await.unwrap_or_default();
        plan_destroy(&self.state, &observed, &*self.cloud, &PlanOptions::default())
    }

    /// Plans and applies the deletion of all resources.
    pub async fn destroy(&mut self) -> ApplyOutcome {
        let plan = self.plan_destroy().await;
        self.walk(&plan).await
    }

    /// Applies a plan.
    pub async fn walk(&mut self, plan: &Plan) -> ApplyOutcome {
        self.walk_until(plan, &Shutdown::default()).await
    }

    /// Applies a plan until `stop` requests a shutdown.
    pub async fn walk_until(&mut self, plan: &Plan, stop: &Shutdown) -> ApplyOutcome {
        let cloud: Arc<dyn Provider> = self.cloud.clone();
        let (state, secrets) = (self.state.clone(), Arc::new(Secrets::default()));
        let outcome =
            apply(plan, state, cloud, secrets, &self.settings, stop, &mut self.recording).await;
        self.state = outcome.state.clone();
        outcome
    }
}
