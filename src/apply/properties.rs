//! The engine's promises over random graphs, random changes, random faults and random deaths.

use std::future::Future;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use crate::graph::Graph;
use crate::plan::Action;
use crate::provider::Class;
use crate::testing::When;
use crate::testing::lab::{Lab, RIGID_KINDS, node};

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

    /// Killed at any moment, on the way there or on the way back, and run again: the same world.
    #[test]
    fn killed_anywhere_and_run_again_it_ends_the_same(
        (before, after) in worlds(),
        deaths in prop::collection::vec(0..12_000u64, 1..4),
    ) {
        on_a_paused_clock(async {
            let (before, after) = (before.graph(), after.graph());
            let whole = undisturbed(&before, &after).await;
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.apply(&before).await;
            for death in deaths {
                let walk = lab.apply(&after);
                let _killed = tokio::time::timeout(Duration::from_millis(death), walk).await;
                lab.reread();
            }
            let outcome = lab.apply(&after).await;
            assert!(outcome.summary.complete(), "{:#?}", lab.tape.events);
            assert_eq!(lab.cloud.inventory(), whole.cloud.inventory());
            let plan = lab.plan(&after).await;
            assert!(plan.is_empty(), "{plan:#?}");
        });
    }

    /// The same for a destroy.
    #[test]
    fn a_destroy_killed_anywhere_is_finished_by_the_next(
        (before, _) in worlds(),
        deaths in prop::collection::vec(0..8_000u64, 1..4),
    ) {
        on_a_paused_clock(async {
            let mut lab = Lab::with_kinds(RIGID_KINDS);
            lab.apply(&before.graph()).await;
            for death in deaths {
                let _killed =
                    tokio::time::timeout(Duration::from_millis(death), lab.destroy()).await;
                lab.reread();
            }
            assert!(lab.destroy().await.summary.complete(), "{:#?}", lab.tape.events);
            assert!(lab.cloud.inventory().is_empty());
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
