//! Property tests of the engine with random graphs, changes, faults and kills.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::{ApplyOutcome, Observer, Shutdown, apply};
use crate::event::Event;
use crate::graph::Graph;
use crate::plan::Action;
use crate::provider::ErrorClass;
use crate::state::backend::DurableWrite;
use crate::state::{Entry, State};
use crate::test_support::harness::{Harness, RIGID_KINDS, node};
use crate::test_support::{FakeProvider, RecordingObserver, When};

/// Random desired state. For each possible resource: presence, inputs, and dependencies among the
/// earlier resources.
#[derive(Clone, Debug)]
struct RandomGraph(Vec<RandomNode>);

#[derive(Clone, Debug)]
struct RandomNode {
    kind: usize,
    wanted: bool,
    fixed: u8,
    size: u8,
    needs: u16,
    tags: u8,
}

fn worlds() -> impl Strategy<Value = (RandomGraph, RandomGraph)> {
    // The kind belongs to the address; all other values may differ between before and after.
    let wish = || (any::<bool>(), 0..3u8, 0..3u8, any::<u16>(), 0..16u8);
    prop::collection::vec((0..RIGID_KINDS.len(), wish(), wish()), 1..10).prop_map(|wishes| {
        let world = |after: bool| {
            let wish = |(kind, a, b): &(usize, _, _)| {
                let &(wanted, fixed, size, needs, tags) = if after { b } else { a };
                RandomNode { kind: *kind, wanted, fixed, size, needs, tags }
            };
            RandomGraph(wishes.iter().map(wish).collect())
        };
        (world(false), world(true))
    })
}

impl RandomGraph {
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
            let tags = (0..2).filter_map(|key| match wish.tags >> (2 * key) & 3 {
                0 => None,
                value => Some((format!("tag-{key}"), value.into())),
            });
            let tags: Map<String, Value> = tags.collect();
            let mut inputs = json!({ "fixed": wish.fixed, "size": wish.size, "tags": tags });
            inputs["labels"] = inputs["tags"].clone();
            node(&mut graph, &address, inputs, &needs);
            names.push(address);
        }
        graph
    }
}

/// Random desired states before, during and after an interrupted run. The kind belongs to the
/// address; the other values of each state are independent.
fn edited_worlds() -> impl Strategy<Value = [RandomGraph; 3]> {
    let wish = || (any::<bool>(), 0..2u8, 0..3u8, any::<u16>(), 0..16u8);
    let wishes = prop::collection::vec((0..RIGID_KINDS.len(), [wish(), wish(), wish()]), 1..8);
    wishes.prop_map(|wishes| {
        [0, 1, 2].map(|moment: usize| {
            let wish = |(kind, states): &(usize, [_; 3])| {
                let (wanted, fixed, size, needs, tags) = states[moment];
                RandomNode { kind: *kind, wanted, fixed, size, needs, tags }
            };
            RandomGraph(wishes.iter().map(wish).collect())
        })
    })
}

/// Number of random histories of each property: 1,000, or `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000)
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
    recording: &'a mut RecordingObserver,
    cloud: &'a FakeProvider,
}

impl Auditor<'_> {
    fn audit(&self) {
        let mut durable = State::new("lab".into());
        for entry in self.recording.entries() {
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
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite {
        self.audit();
        self.recording.journal(entries)
    }

    fn event(&mut self, event: &Event) {
        self.audit();
        self.recording.event(event);
    }
}

/// Plans and applies (or destroys, without a graph) under the auditor.
async fn audited(harness: &mut Harness, wanted: Option<&Graph>) -> ApplyOutcome {
    let plan = match wanted {
        Some(graph) => harness.plan(graph).await,
        None => harness.plan_destroy().await,
    };
    let cloud = harness.cloud.clone();
    let mut auditor = Auditor { recording: &mut harness.recording, cloud: &cloud };
    let (state, stop) = (harness.state.clone(), Shutdown::default());
    let provider = cloud.clone();
    let secrets = Arc::default();
    let outcome =
        apply(&plan, state, provider, secrets, &harness.settings, &stop, &mut auditor).await;
    auditor.audit();
    harness.state = outcome.state.clone();
    outcome
}

/// Like `audited`, but killed after so many milliseconds. The next process starts from the durable
/// state.
async fn killed(harness: &mut Harness, wanted: Option<&Graph>, after: u64) {
    let walk = audited(harness, wanted);
    let _killed = tokio::time::timeout(Duration::from_millis(after), walk).await;
    harness.reread();
}

/// Returns the result of an undisturbed run.
async fn undisturbed(before: &Graph, after: &Graph) -> Harness {
    let mut harness = Harness::with_kinds(RIGID_KINDS);
    assert!(harness.apply(before).await.summary.complete(), "{:#?}", harness.recording.events);
    assert!(harness.apply(after).await.summary.complete(), "{:#?}", harness.recording.events);
    harness
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    /// After an apply the next plan is empty, and a destroy leaves no resource. The cloud rejects
    /// every call in the wrong order.
    #[test]
    fn after_an_apply_the_plan_is_empty((before, after) in worlds()) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let mut harness = undisturbed(&before, &after).await;
            let plan = harness.plan(&after).await;
            assert!(plan.is_empty(), "{plan:#?}");
            assert_eq!(harness.cloud.inventory().len(), after.nodes().len());
            assert!(harness.destroy().await.summary.complete(), "{:#?}", harness.recording.events);
            assert!(harness.cloud.inventory().is_empty());
            assert!(harness.state.resources.is_empty() && harness.state.deposed.is_empty());
        });
    }

    /// The same inputs give the same bytes.
    #[test]
    fn a_plan_is_deterministic((before, after) in worlds()) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let mut harness = Harness::with_kinds(RIGID_KINDS);
            harness.apply(&before).await;
            let one = serde_json::to_string(&harness.plan(&after).await).unwrap();
            harness.reread();
            assert_eq!(one, serde_json::to_string(&harness.plan(&after).await).unwrap());
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
            let mut harness = Harness::with_kinds(RIGID_KINDS);
            harness.cloud.hide_new(Duration::from_secs(unseen));
            harness.recording.latency = Duration::from_millis(latency);
            harness.apply(&before).await;
            for death in deaths {
                killed(&mut harness, Some(&after), death).await;
            }
            // If the cloud hid a resource from a refresh, one or two more runs are necessary.
            let mut runs = 0;
            while !audited(&mut harness, Some(&after)).await.summary.complete() {
                runs += 1;
                assert!(runs < 8, "{:#?}", harness.recording.events);
            }
            assert_eq!(harness.cloud.inventory(), whole.cloud.inventory());
            tokio::time::sleep(Duration::from_secs(12)).await;
            let plan = harness.plan(&after).await;
            assert!(plan.is_empty(), "{plan:#?}");
        });
    }

    /// A run that is killed at any moment, an edit of the configuration, and a run to the end: the
    /// first run that reports success has made what an undisturbed run of the edited configuration
    /// makes. No plan promises inputs that its run does not apply.
    #[test]
    fn killed_anywhere_edited_and_run_again_it_ends_as_the_edited_configuration(
        [before, during, after] in edited_worlds(),
        deaths in prop::collection::vec((any::<bool>(), 0..12_000u64), 1..4),
        unseen in 0..12u64,
        looks in 0..5u32,
        latency in prop::sample::select(vec![0u64, 0, 90, 700]),
    ) {
        on_a_paused_clock(async {
            let [before, during, after] = [before.graph(), during.graph(), after.graph()];
            let whole = undisturbed(&before, &after).await;
            let mut harness = Harness::with_kinds(RIGID_KINDS);
            harness.cloud.hide_new(Duration::from_secs(unseen));
            harness.recording.latency = Duration::from_millis(latency);
            RIGID_KINDS.iter().filter(|kind| kind.ready.is_some()).for_each(|kind| {
                harness.cloud.slow(kind.kind, looks);
            });
            harness.apply(&before).await;
            for (is_edited, death) in deaths {
                let wanted = if is_edited { &after } else { &during };
                killed(&mut harness, Some(wanted), death).await;
            }
            let mut runs = 0;
            while !audited(&mut harness, Some(&after)).await.summary.complete() {
                runs += 1;
                assert!(runs < 8, "{:#?}", harness.recording.events);
            }
            assert_eq!(harness.cloud.inventory(), whole.cloud.inventory());
            tokio::time::sleep(Duration::from_secs(12)).await;
            let plan = harness.plan(&after).await;
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
            let mut harness = Harness::with_kinds(RIGID_KINDS);
            harness.cloud.hide_new(Duration::from_secs(unseen));
            harness.recording.latency = Duration::from_millis(latency);
            killed(&mut harness, Some(&before.graph()), death).await;
            for death in deaths {
                killed(&mut harness, None, death).await;
            }
            let mut runs = 0;
            while !audited(&mut harness, None).await.summary.complete() {
                runs += 1;
                assert!(runs < 8, "{:#?}", harness.recording.events);
            }
            assert!(harness.cloud.inventory().is_empty(), "{:?}", harness.cloud.inventory());
            assert!(harness.state.resources.is_empty() && harness.state.deposed.is_empty());
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
            let mut harness = Harness::with_kinds(RIGID_KINDS);
            harness.recording.latency = Duration::from_millis(latency);
            let plan = harness.plan(&graph).await;
            let stop = Shutdown::default();
            let stopper = stop.clone();
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(moment)).await;
                stopper.stop();
            });
            let began = tokio::time::Instant::now();
            let outcome = harness.walk_until(&plan, &stop).await;
            let bound = Duration::from_millis(moment) + harness.settings.grace;
            assert!(!outcome.stopped || began.elapsed() <= bound, "{:?}", began.elapsed());
            harness.reread();
            assert_eq!(harness.state, outcome.state, "what is recorded is durable");
            assert!(harness.apply(&graph).await.summary.complete(), "{:#?}", harness.recording.events);
            let mut creates = harness.cloud.calls_of(&["create"]);
            creates.sort();
            let asked = creates.len();
            creates.dedup();
            assert_eq!(creates.len(), asked, "nothing is asked for twice: {:?}", harness.cloud.calls());
            assert_eq!(harness.cloud.inventory().len(), graph.nodes().len());
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
            let mut harness = Harness::with_kinds(RIGID_KINDS);
            harness.apply(&before).await;
            for (target, class, late) in faults {
                let class = [ErrorClass::Permanent, ErrorClass::Retryable, ErrorClass::Ambiguous][class];
                let Some(node) = after.nodes().get(target) else { continue };
                let when = if late && class == ErrorClass::Ambiguous { When::After } else { When::Before };
                harness.cloud.fail(&format!("create {}", node.address), 1, when, class);
            }
            let plan = harness.plan(&after).await;
            let steps = plan.steps.len();
            let summary = harness.walk(&plan).await.summary;
            assert_eq!(
                summary.added + summary.changed + summary.destroyed + summary.failed
                    + summary.skipped,
                steps
            );
            harness.cloud.clear_faults();
            assert!(harness.apply(&after).await.summary.complete(), "{:#?}", harness.recording.events);
            assert_eq!(harness.cloud.inventory(), whole.cloud.inventory());
            let keeps = harness.plan(&after).await.changes;
            assert!(keeps.iter().all(|change| change.action == Action::Keep), "{keeps:#?}");
        });
    }
}
