//! The engine's promises over random graphs, random changes, random faults and random deaths.

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

/// A random wanted world: for each possible resource whether it is wanted, how it is set, and
/// which of the earlier ones it needs.
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
    // The kind belongs to the address; everything else may differ between before and after.
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

/// Sees to it at every moment that can be told apart that whatever exists is known, or was announced,
/// by what is durable then: whoever begins at this moment finds all of it. And that there is never a
/// second object of one life.
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

/// Plans and applies, or destroys, with the auditor watching; until it is killed.
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

/// The same, killed after so many milliseconds: what the next process finds is what is durable.
async fn killed(lab: &mut Lab, wanted: Option<&Graph>, after: u64) {
    let walk = audited(lab, wanted);
    let _killed = tokio::time::timeout(Duration::from_millis(after), walk).await;
    lab.reread();
}

/// The inventory of a run that nothing disturbed.
async fn undisturbed(before: &Graph, after: &Graph) -> Lab {
    let mut lab = Lab::with_kinds(RIGID_KINDS);
    assert!(lab.apply(before).await.summary.complete(), "{:#?}", lab.tape.events);
    assert!(lab.apply(after).await.summary.complete(), "{:#?}", lab.tape.events);
    lab
}

proptest! {
    /// Plan and apply end in a fixed point, whatever was there before; and destroy leaves nothing.
    /// The cloud refuses every call that comes in the wrong order.
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

    /// Killed at any moment, on the way there or on the way back, with the journal half written, and
    /// run again: the same world, also where the cloud takes a while to show what was made. At no
    /// moment does anything exist that the next run would not know of.
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
            // Where the cloud hid something while a plan was made, it takes another run or two.
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

    /// The same for a destroy, which may come right after an apply that was killed.
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

    /// Stopped at any moment it ends in time, with everything it has recorded durable, and the next
    /// run does the rest: no creation or deletion that was answered is asked for again.
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

    /// When something is refused, everything that did not need it is done, and the next run does
    /// the rest; lost answers and calls that pass never make a second object.
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
