//! Estimate of the remaining time of a run: the longest path through the unfinished steps.
//!
//! The duration of a step is the mean of its kind and action in this run. Without one, the estimate
//! uses the typical duration of the kind.

use std::collections::HashMap;
use std::time::Duration;

use groundplan_engine::event::{StepAction, StepName};
use groundplan_engine::graph::Address;
use groundplan_engine::plan::{Milestone, Op, Plan};
use groundplan_engine::provider::Schemas;

/// Steps of a plan with their measured and typical durations.
#[derive(Debug, Default)]
pub struct Estimate {
    steps: Vec<EstimatedStep>,
    index: HashMap<(Address, u64, StepAction), usize>,
    /// Measurements of a kind and action in this run: number and total seconds.
    seen: HashMap<(String, StepAction), (f64, f64)>,
}

#[derive(Debug)]
struct EstimatedStep {
    address: Address,
    kind: (String, StepAction),
    /// Typical duration in seconds.
    typical: f64,
    after: Vec<(usize, Milestone)>,
    progress: StepProgress,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum StepProgress {
    Waiting,
    Running { since: Duration },
    Over,
}

/// Seconds until an object of any kind exists: the creating call without the wait after it.
const UNTIL_CREATED: f64 = 1.0;

/// Longest path through the steps of a plan.
#[derive(Debug, PartialEq, Eq)]
pub struct CriticalPath<'a> {
    /// Typical duration.
    pub duration: Duration,
    /// Addresses in the order of their steps.
    pub path: Vec<&'a Address>,
}

impl Estimate {
    /// Returns the estimate of a plan that is not started.
    pub fn new(plan: &Plan, schemas: &dyn Schemas) -> Self {
        let mut estimate = Self::default();
        for (number, step) in plan.steps.iter().enumerate() {
            let name = step.op.name();
            let kind = name.address.kind().to_owned();
            let typical = typical(&step.op, &kind, schemas);
            let after = step.after.iter().map(|on| (on.step as usize, on.until)).collect();
            let address = name.address.clone();
            estimate.index.insert((name.address, name.generation, name.action), number);
            let kind = (kind, name.action);
            estimate.steps.push(EstimatedStep {
                address,
                kind,
                typical,
                after,
                progress: StepProgress::Waiting,
            });
        }
        estimate
    }

    /// Records the start of a step. `now` is the time since the start of the run.
    pub fn started(&mut self, step: &StepName, now: Duration) {
        self.move_on(step, StepProgress::Running { since: now });
    }

    /// Records that a step is done.
    pub fn finished(&mut self, step: &StepName, now: Duration) {
        if let Some((kind, StepProgress::Running { since })) =
            self.move_on(step, StepProgress::Over)
        {
            let (times, seconds) = self.seen.entry(kind).or_default();
            *times += 1.0;
            *seconds += now.saturating_sub(since).as_secs_f64();
        }
    }

    /// Records that this run will not complete a step.
    pub fn given_up(&mut self, step: &StepName) {
        self.move_on(step, StepProgress::Over);
    }

    /// Returns the remaining time; `None` if no step is left.
    pub fn left(&self, now: Duration) -> Option<Duration> {
        let mut tail = vec![0.0_f64; self.steps.len()]; // the longest path after each milestone
        let mut tail_of_created = vec![0.0_f64; self.steps.len()];
        let mut longest = 0.0_f64;
        for (number, step) in self.steps.iter().enumerate().rev() {
            let (whole, gone) = (self.duration(step), elapsed(step, now));
            let own = match step.progress {
                StepProgress::Over => 0.0,
                _ => {
                    let to_end = (whole - gone).max(0.0) + tail[number];
                    let to_created = (UNTIL_CREATED - gone).max(0.0) + tail_of_created[number];
                    to_end.max(to_created)
                }
            };
            longest = longest.max(own);
            for &(earlier, until) in &step.after {
                let tail = match until {
                    Milestone::Created => &mut tail_of_created[earlier],
                    Milestone::Done => &mut tail[earlier],
                };
                *tail = tail.max(own);
            }
        }
        let unfinished = self.steps.iter().any(|step| step.progress != StepProgress::Over);
        unfinished.then(|| Duration::from_secs_f64(longest.ceil()))
    }

    /// Returns the longest path through the steps and its duration; `None` without steps.
    pub fn critical_path(&self) -> Option<CriticalPath<'_>> {
        // Duration of the longest path after each milestone of a step, and its first step.
        let mut after_end = vec![(0.0_f64, None); self.steps.len()];
        let mut after_created = after_end.clone();
        let mut followers = vec![None; self.steps.len()];
        let mut longest = (0.0_f64, None);
        for (number, step) in self.steps.iter().enumerate().rev() {
            let (end, created) = (after_end[number], after_created[number]);
            let (whole, until_created) = (self.duration(step) + end.0, UNTIL_CREATED + created.0);
            let (own, follower) = match until_created > whole {
                true => (until_created, created.1),
                false => (whole, end.1),
            };
            followers[number] = follower;
            let keep_longest = |known: &mut (f64, Option<usize>)| {
                if own > known.0 {
                    *known = (own, Some(number));
                }
            };
            keep_longest(&mut longest);
            for &(earlier, until) in &step.after {
                match until {
                    Milestone::Created => keep_longest(&mut after_created[earlier]),
                    Milestone::Done => keep_longest(&mut after_end[earlier]),
                }
            }
        }
        let mut path = Vec::new();
        let mut next = longest.1;
        while let Some(number) = next {
            path.push(&self.steps[number].address);
            next = followers[number];
        }
        path.dedup(); // a replacement deletes and creates at one address
        let duration = Duration::from_secs_f64(longest.0.ceil());
        (!path.is_empty()).then_some(CriticalPath { duration, path })
    }

    fn duration(&self, step: &EstimatedStep) -> f64 {
        match self.seen.get(&step.kind) {
            Some((times, seconds)) => seconds / times,
            None => step.typical,
        }
    }

    fn move_on(
        &mut self,
        step: &StepName,
        to: StepProgress,
    ) -> Option<((String, StepAction), StepProgress)> {
        let key = (step.address.clone(), step.generation, step.action);
        let step = &mut self.steps[*self.index.get(&key)?];
        let from = std::mem::replace(&mut step.progress, to);
        Some((step.kind.clone(), from))
    }
}

fn elapsed(step: &EstimatedStep, now: Duration) -> f64 {
    match step.progress {
        StepProgress::Running { since } => now.saturating_sub(since).as_secs_f64(),
        _ => 0.0,
    }
}

fn typical(op: &Op, kind: &str, schemas: &dyn Schemas) -> f64 {
    let Some(schema) = schemas.schema(kind) else { return 1.0 };
    let waits = match op {
        Op::Create { .. } | Op::Finish { .. } => true,
        Op::Delete { .. } => schema.gone.is_some(),
        Op::Update { .. } => false,
    };
    if waits { f64::from(schema.typical_seconds) } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::event::Operation;
    use groundplan_engine::graph::{Identity, Schema};
    use groundplan_engine::plan::{Dependency, PriorObject, Step};
    use serde_json::json;

    use super::*;

    struct Table;
    static SLOW: Schema = Schema { typical_seconds: 100, ..Schema::of("slow", Identity::Name) };
    static QUICK: Schema = Schema { typical_seconds: 2, ..Schema::of("quick", Identity::Name) };
    impl Schemas for Table {
        fn schema(&self, kind: &str) -> Option<&'static Schema> {
            [&SLOW, &QUICK].into_iter().find(|schema| schema.kind == kind)
        }
    }

    fn create(address: &str, after: &[(u32, Milestone)]) -> Step {
        let op = Op::Create {
            address: address.into(),
            generation: 1,
            inputs: json!({}),
            after: vec![],
            prior: PriorObject::Nothing,
            found: None,
        };
        let after = after.iter().map(|&(step, until)| Dependency { step, until }).collect();
        Step { op, after }
    }

    fn estimate(steps: Vec<Step>) -> Estimate {
        let plan = Plan {
            operation: Operation::Apply,
            lineage: String::new(),
            serial: 0,
            cluster: None,
            generation: 1,
            selection: None,
            changes: vec![],
            steps,
            dependency_updates: vec![],
        };
        Estimate::new(&plan, &Table)
    }

    fn step(address: &str) -> StepName {
        StepName { address: address.into(), generation: 1, action: StepAction::Create }
    }

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn the_longest_path_counts_and_what_is_only_needed_to_exist_is_short() {
        let chain = vec![
            create("quick.a", &[]),
            create("slow.b", &[(0, Milestone::Done)]),
            create("slow.c", &[(1, Milestone::Created)]),
            create("quick.d", &[(0, Milestone::Done)]),
        ];
        let estimate = estimate(chain);
        assert_eq!(estimate.left(at(0)), Some(at(2 + 1 + 100)));
        let critical = estimate.critical_path().unwrap();
        assert_eq!(critical.duration, at(2 + 1 + 100));
        let path: Vec<_> = critical.path.iter().map(|address| address.as_str()).collect();
        assert_eq!(path, ["quick.a", "slow.b", "slow.c"]);
    }

    #[test]
    fn the_critical_path_of_any_plan_takes_as_long_as_its_run() {
        // Every graph of six steps in which a step follows some of the earlier ones.
        for edges in 0..1_u32 << 15 {
            let mut bits = 0;
            let steps = (0..6_u32).map(|step| {
                let after = (0..step).filter(|_| {
                    bits += 1;
                    edges >> (bits - 1) & 1 == 1
                });
                let milestone = |on| match (on + step) % 3 {
                    0 => (on, Milestone::Created),
                    _ => (on, Milestone::Done),
                };
                let after: Vec<_> = after.map(milestone).collect();
                let kind = if step % 2 == 0 { "slow" } else { "quick" };
                create(&format!("{kind}.s{step}"), &after)
            });
            let estimate = estimate(steps.collect());
            let critical = estimate.critical_path().unwrap();
            assert_eq!(Some(critical.duration), estimate.left(at(0)), "{edges:b}");
            assert!(critical.path.windows(2).all(|pair| pair[0] != pair[1]), "{edges:b}");
        }
        assert_eq!(estimate(vec![]).critical_path(), None);
    }

    #[test]
    fn what_is_running_has_less_left_and_what_is_over_nothing() {
        let mut estimate =
            estimate(vec![create("quick.a", &[]), create("slow.b", &[(0, Milestone::Done)])]);
        estimate.started(&step("quick.a"), at(0));
        assert_eq!(estimate.left(at(1)), Some(at(101)));
        estimate.finished(&step("quick.a"), at(2));
        estimate.started(&step("slow.b"), at(2));
        assert_eq!(estimate.left(at(42)), Some(at(60)));
        estimate.finished(&step("slow.b"), at(50));
        assert_eq!(estimate.left(at(50)), None);
    }

    #[test]
    fn what_was_seen_beats_what_is_typical() {
        let mut estimate =
            estimate(vec![create("slow.a", &[]), create("slow.b", &[(0, Milestone::Done)])]);
        estimate.started(&step("slow.a"), at(0));
        estimate.finished(&step("slow.a"), at(10));
        assert_eq!(estimate.left(at(10)), Some(at(10)));
    }
}
