//! Test harness for the engine: kinds with different schemas, and one call per operation.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::{FakeCloud, Tape};
use crate::apply::{Outcome, Settings, Stop, apply};
use crate::graph::{Address, Graph, Identity, Schema, Usable, Wait};
use crate::plan::{Options, Plan, plan, plan_destroy};
use crate::provider::Provider;
use crate::refresh::observe;
use crate::secret::Secrets;
use crate::state::State;

/// Kinds with different schemas. In each, `fixed` is force-new and `image` is a create-only input.
pub const KINDS: &[Schema] = &[
    plain("node"),
    Schema { create_first: true, ..plain("first") },
    Schema { configures: true, ..plain("stepped") },
    Schema { ready: Some(WAIT), gone: Some(WAIT), typical_seconds: 60, ..plain("slow") },
    Schema {
        usable: Usable::Created,
        configures: true,
        ready: Some(WAIT),
        typical_seconds: 60,
        ..plain("early")
    },
    Schema { identity: Identity::Tag, ..plain("tagged") },
    Schema { endures: true, identity: Identity::Token, ..plain("machine") },
    Schema { exclusive: &["range"], ..plain("range") },
    Schema { holds: &["needs"], ..plain("holder") },
];

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
    Schema { replaced_by: &["fixed", "needs"], ..schema }
}

const fn plain(kind: &'static str) -> Schema {
    Schema {
        replaced_by: &["fixed"],
        set_at_creation: &["image"],
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
pub struct Lab {
    /// The cloud.
    pub cloud: Arc<FakeCloud>,
    /// The state.
    pub state: State,
    /// Journal entries and events so far.
    pub tape: Tape,
    /// Settings of `apply`.
    pub settings: Settings,
}

impl Default for Lab {
    fn default() -> Self {
        Self {
            cloud: Arc::new(FakeCloud::new(KINDS, Duration::from_secs(1))),
            state: State::new("lab".into()),
            tape: Tape::default(),
            settings: Settings::default(),
        }
    }
}

impl Lab {
    /// Creates a harness whose cloud has these kinds.
    pub fn with_kinds(kinds: &'static [Schema]) -> Self {
        let cloud = Arc::new(FakeCloud::new(kinds, Duration::from_secs(1)));
        Self { cloud, ..Self::default() }
    }

    /// Replays the journal, as a new process would.
    ///
    /// # Panics
    /// Panics if the journal has an impossible history.
    pub fn reread(&mut self) {
        let mut state = State::new("lab".into());
        for entry in self.tape.entries() {
            state.record(&entry).unwrap_or_else(|error| panic!("{error}"));
        }
        self.state = state;
    }

    /// Refreshes and plans.
    pub async fn plan(&self, graph: &Graph) -> Plan {
        self.plan_with(graph, &Options::default()).await
    }

    /// Refreshes and plans with options.
    pub async fn plan_with(&self, graph: &Graph, options: &Options) -> Plan {
        let observed = observe(&self.state, &*self.cloud).await.unwrap_or_default();
        plan(graph, &self.state, &observed, &*self.cloud, options)
    }

    /// Plans and applies.
    pub async fn apply(&mut self, graph: &Graph) -> Outcome {
        let plan = self.plan(graph).await;
        self.walk(&plan).await
    }

    /// Refreshes and plans the deletion of all resources.
    pub async fn plan_destroy(&self) -> Plan {
        let observed = observe(&self.state, &*self.cloud).await.unwrap_or_default();
        plan_destroy(&self.state, &observed, &*self.cloud, &Options::default())
    }

    /// Plans and applies the deletion of all resources.
    pub async fn destroy(&mut self) -> Outcome {
        let plan = self.plan_destroy().await;
        self.walk(&plan).await
    }

    /// Applies a plan.
    pub async fn walk(&mut self, plan: &Plan) -> Outcome {
        self.walk_until(plan, &Stop::default()).await
    }

    /// Applies a plan until `stop` requests a shutdown.
    pub async fn walk_until(&mut self, plan: &Plan, stop: &Stop) -> Outcome {
        let cloud: Arc<dyn Provider> = self.cloud.clone();
        let (state, secrets) = (self.state.clone(), Arc::new(Secrets::default()));
        let outcome =
            apply(plan, state, cloud, secrets, &self.settings, stop, &mut self.tape).await;
        self.state = outcome.state.clone();
        outcome
    }
}
