//! Property tests of the engine with random graphs, changes, faults and kills.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::{Observer, Outcome, Stop, apply};
use crate::event::Event;
use crate::graph::Graph;
use crate::plan::Action;
use crate::provider::Class;
use crate::state::backend::Written;
use crate::state::{Entry, State};
use crate::test_support::harness::{Lab, RIGID_KINDS, node};
use crate::test_support::{FakeCloud, Tape, When};

/// Random desired state. For each possible resource: presence, inputs, and dependencies among the
/// earlier resources.
#[derive(Clone, Debug)]
struct World(Vec<Wish>);

#[derive(Clone, Debug)]
struct Wish {
    kind: usize,
    wanted: bool,
    fixed: u8,
    size: u8,
    needs: u16,
}

fn worlds() -> impl Strategy<Value = (World, World)> {
    // The kind belongs to the address; all other values may differ between before and after.
    let wish = || (any::<bool>(), 0..3u8, 0..3u8, any::<u16>());
    prop::collection::vec((0..RIGID_KINDS.len(), wish(), wish()), 1..10).prop_map(|wishes| {
        let world = |after: bool| {
            let wish = |(kind, a, b): &(usize, _, _)| {
                let &(wanted, fixed, size, needs) = if after { b } else { a };
                Wish { kind: *kind, wanted, fixed, size, needs }
            };
            World(wishes.iter().map(wish).collect())
        };
        (world(false), world(true))
    })
}

impl World {
    fn graph(&self) -> Graph {
        let mut graph = Graph::default();
        let mut names: Vec<String> = Vec::new();
        for (i, wish) in self.0.iter().enumerate() {
            if !wish.wanted {
                continue;
            }
            let needs: Vec<&str> = names
                .iter()
                .enumerate()
                .filter(|(n, _)| wish.needs & (1 << n) != 0)
                .map(|(_, name)| &**name)
                .collect();
            let address = format!("{}.n{i}", RIGID_KINDS[wish.kind].kind);
            let inputs = json!({ "fixed": wish.fixed, "size": wish.size });
            node(&mut graph, &address, inputs, &needs);
            names.push(address);
        }
        graph
    }
}

fn on_a_paused_clock<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// Observer that checks the durable state at every distinguishable moment. Every existing object
/// must be recorded or announced, so that a run that starts at this moment finds all objects. No
/// generation may have a second object.
struct Auditor<'a> {
    tape: &'a mut Tape,
    cloud: &'a FakeCloud,
}

impl Auditor<'_> {
    fn audit(&self) {
        let mut durable = State::new("lab".into());
        for entry in self.tape.entries() {
            durable.record(&entry).unwrap_or_else(|error| panic!("{error}"));
        }
        let current = durable.resources.iter();
        let deposed = durable.deposed.iter();
        let lives = current.chain(deposed.flat_map(|(a, lives)| lives.iter().map(move |l| (a, l))));
        let known: BTreeSet<_> = lives
            .map(|(address, life)| (address.clone(), durable.token(address, life.generation)))
            .collect();
        let mut there = BTreeSet::new();
        for one in self.cloud.tokens() {
            assert!(known.contains(&one), "{one:?} exists and nothing durable says so");
            assert!(there.insert(one.clone()), "{one:?} exists twice");
        }
    }
}

impl Observer for Auditor<'_> {
    fn journal(&mut self, entries: Vec<Entry>) -> Written {
        self.audit();
        self.tape.journal(entries)
    }

    fn event(&mut self, event: &Event) {
        self.audit();
        self.tape.event(event);
    }
}

/// Plans and applies (or destroys, without a graph) under the auditor.
async fn audited(lab: &mut Lab, wanted: Option<&Graph>) -> Outcome {
    let plan = match wanted {
        Some(graph) => lab.plan(graph).await,
        None => lab.plan_destroy().await,
    };
    let cloud = lab.cloud.clone();
    let mut auditor = Auditor { tape: &mut lab.tape, cloud: &cloud };
    let (state, stop) = (lab.state.clone(), Stop::default());
    let provider = cloud.clone();
    let secrets = Arc::default();
    let outcome = apply(&plan, state, provider, secrets, &lab.settings, &stop, &mut auditor).await;
    auditor.audit();
    lab.state = outcome.state.clone();
    outcome
}

/// Like `audited`, but killed after so many milliseconds. The next process starts from the durable
/// state.
async fn killed(lab: &mut Lab, wanted: Option<&Graph>, after: u64) {
    let walk = audited(lab, wanted);
    let _killed = tokio::time::timeout(Duration::from_millis(after), walk).await;
    lab.reread();
}

/// Returns the result of an undisturbed run.
async fn undisturbed(before: &Graph, after: &Graph) -> Lab {
    let mut lab = Lab::with_kinds(RIGID_KINDS);
    assert!(lab.apply(before).await.summary.complete(), "{:#?}", lab.tape.events);
    assert!(lab.apply(after).await.summary.complete(), "{:#?}", lab.tape.events);
    lab
}

proptest! {
    /// After an apply the next plan is empty, and a destroy leaves no resource. The cloud rejects
    /// every call in the wrong order.
    #[test]
    fn after_an_apply_the_plan_is_empty((before, after) in worlds()) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let mut lab = undisturbed(&before, &after).await;
            let plan = lab.plan(&after).await;
            assert!(plan.is_empty(), "{plan:#?}");
            assert_eq!(lab.cloud.inventory().len(), after.nodes().len());
            assert!(lab.destroy().await.summary.complete(), "{:#?}", lab.tape.events);
            assert!(lab.cloud.inventory().is_empty());
            assert!(lab.state.resources.is_empty() && lab.state.deposed.is_empty());
        });
    }

    /// The same inputs give the same bytes.
    #[test]
    fn a_plan_is_deterministic((before, after) in worlds()) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.apply(&before).await;
            let one = serde_json::to_string(&lab.plan(&after).await).unwrap();
            lab.reread();
            assert_eq!(one, serde_json::to_string(&lab.plan(&after).await).unwrap());
        });
    }

    /// A run that is killed at any moment, with a partial journal, and repeated ends with the same
    /// resources. The same is true for an eventually consistent cloud. At every moment, the next
    /// run knows of each existing object.
    #[test]
    fn killed_anywhere_and_run_again_it_ends_the_same(
        (before, after) in worlds(),
        deaths in prop::collection::vec(0..12_000u64, 1..4),
        unseen in 0..12u64,
        latency in prop::sample::select(vec![0u64, 0, 90, 700]),
    ) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let whole = undisturbed(&before, &after).await;
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.cloud.hide_new(Duration::from_secs(unseen));
            lab.tape.latency = Duration::from_millis(latency);
            lab.apply(&before).await;
            for death in deaths {
                killed(&mut lab, Some(&after), death).await;
            }
            // If the cloud hid a resource from a refresh, one or two more runs are necessary.
            let mut runs = 0;
            while !audited(&mut lab, Some(&after)).await.summary.complete() {
                runs += 1;
                assert!(runs < 8, "{:#?}", lab.tape.events);
            }
            assert_eq!(lab.cloud.inventory(), whole.cloud.inventory());
            tokio::time::sleep(Duration::from_secs(12)).await;
            let plan = lab.plan(&after).await;
            assert!(plan.is_empty(), "{plan:#?}");
        });
    }

    /// The same property for a destroy, which may directly follow a killed apply.
    #[test]
    fn a_destroy_killed_anywhere_is_finished_by_the_next(
        (before, _) in worlds(),
        death in 0..20_000u64,
        deaths in prop::collection::vec(0..8_000u64, 1..4),
        unseen in 0..12u64,
        latency in prop::sample::select(vec![0u64, 0, 90, 700]),
    ) {
        on_a_paused_clock(async {
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.cloud.hide_new(Duration::from_secs(unseen));
            lab.tape.latency = Duration::from_millis(latency);
            killed(&mut lab, Some(&before.graph()), death).await;
            for death in deaths {
                killed(&mut lab, None, death).await;
            }
            let mut runs = 0;
            while !audited(&mut lab, None).await.summary.complete() {
                runs += 1;
                assert!(runs < 8, "{:#?}", lab.tape.events);
            }
            assert!(lab.cloud.inventory().is_empty(), "{:?}", lab.cloud.inventory());
            assert!(lab.state.resources.is_empty() && lab.state.deposed.is_empty());
        });
    }

    /// After a shutdown at any moment the run ends in time, all its entries are durable, and the
    /// next run completes the rest. No answered creation or deletion is repeated.
    #[test]
    fn stopped_anywhere_it_ends_in_time_and_the_next_run_does_the_rest(
        (before, _) in worlds(),
        moment in 0..12_000u64,
        latency in prop::sample::select(vec![0u64, 90, 700]),
    ) {
        on_a_paused_clock(async {
            let graph = before.graph();
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.tape.latency = Duration::from_millis(latency);
            let plan = lab.plan(&graph).await;
            let stop = Stop::default();
            let stopper = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(moment)).await;
                stopper.stop();
            });
            let began = tokio::time::Instant::now();
            let outcome = lab.walk_until(&plan, &stop).await;
            let bound = Duration::from_millis(moment) + lab.settings.grace;
            assert!(!outcome.stopped || began.elapsed() <= bound, "{:?}", began.elapsed());
            lab.reread();
            assert_eq!(lab.state, outcome.state, "what is recorded is durable");
            assert!(lab.apply(&graph).await.summary.complete(), "{:#?}", lab.tape.events);
            let mut creates = lab.cloud.calls_of(&["create"]);
            creates.sort();
            let asked = creates.len();
            creates.dedup();
            assert_eq!(creates.len(), asked, "nothing is asked for twice: {:?}", lab.cloud.calls());
            assert_eq!(lab.cloud.inventory().len(), graph.nodes().len());
        });
    }

    /// After a rejected call all independent steps are done, and the next run completes the rest.
    /// Ambiguous and retryable errors never create a second object.
    #[test]
    fn faults_cost_only_what_needed_them(
        (before, after) in worlds(),
        faults in prop::collection::vec((0..10usize, 0..3usize, any::<bool>()), 0..4),
    ) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let whole = undisturbed(&before, &after).await;
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.apply(&before).await;
            for (target, class, late) in faults {
                let class = [Class::Refused, Class::Again, Class::Unknown][class];
                let Some(node) = after.nodes().get(target) else { continue };
                let when = if late && class == Class::Unknown { When::After } else { When::Before };
                lab.cloud.fail(&format!("create {}", node.address), 1, when, class);
            }
            let plan = lab.plan(&after).await;
            let steps = plan.steps.len();
            let summary = lab.walk(&plan).await.summary;
            assert_eq!(
                summary.added + summary.changed + summary.destroyed + summary.failed
                    + summary.skipped,
                steps
            );
            lab.cloud.heal();
            assert!(lab.apply(&after).await.summary.complete(), "{:#?}", lab.tape.events);
            assert_eq!(lab.cloud.inventory(), whole.cloud.inventory());
            let keeps = lab.plan(&after).await.changes;
            assert!(keeps.iter().all(|change| change.action == Action::Keep), "{keeps:#?}");
        });
    }
}
