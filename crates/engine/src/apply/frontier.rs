//! Steps that can start: plain data, tested without a runtime.
//!
//! A step becomes ready when all its dependencies have reached their milestones. Among ready steps
//! the one with the longest remaining path starts first. The cost of an operation is proportional
//! to the steps that it changes.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::plan::{Milestone, Step};

/// Progress of the steps of a plan.
#[derive(Debug)]
pub(super) struct Frontier {
    /// Number of milestones that each step still waits for.
    missing: Vec<u32>,
    /// Dependents of each step with their milestones, at `edges[starts[i]..starts[i + 1]]`.
    edges: Vec<(u32, Milestone)>,
    starts: Vec<u32>,
    status: Vec<StepStatus>,
    /// Seconds from the start of each step to the end of the longest chain of its dependents.
    remaining: Vec<u64>,
    ready: BinaryHeap<(u64, Reverse<u32>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepStatus {
    Waiting,
    Running,
    Created,
    Done,
    Failed,
    Skipped,
}

impl Frontier {
    /// Returns the frontier of a plan in which step `i` usually takes `seconds[i]`.
    pub(super) fn new(steps: &[Step], seconds: &[u64]) -> Self {
        let (edges, starts) = successors(steps);
        let missing: Vec<u32> = steps.iter().map(|step| count(step.after.len())).collect();
        let mut frontier = Self {
            remaining: longest_paths(steps, seconds, &edges, &starts),
            ready: BinaryHeap::new(),
            status: vec![StepStatus::Waiting; steps.len()],
            missing,
            edges,
            starts,
        };
        (0..steps.len()).filter(|&step| frontier.missing[step] == 0).for_each(|step| {
            frontier.ready.push((frontier.remaining[step], Reverse(count(step))));
        });
        frontier
    }

    /// Takes the ready step with the longest remaining path.
    pub(super) fn take(&mut self) -> Option<usize> {
        let (_, Reverse(step)) = self.ready.pop()?;
        self.status[step as usize] = StepStatus::Running;
        Some(step as usize)
    }

    /// Takes the ready step with the longest remaining path among those that `preferred` accepts;
    /// among all, if it accepts none.
    pub(super) fn take_first(&mut self, preferred: impl Fn(usize) -> bool) -> Option<usize> {
        let chosen = self.ready.iter().filter(|(_, Reverse(step))| preferred(*step as usize)).max();
        let Some(chosen) = chosen.copied() else { return self.take() };
        self.ready.retain(|one| *one != chosen);
        let (_, Reverse(step)) = chosen;
        self.status[step as usize] = StepStatus::Running;
        Some(step as usize)
    }

    /// Returns true if a step can start now.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns the length of the longest chain of the whole plan in seconds.
    pub(super) fn critical_path(&self) -> u64 {
        self.remaining.iter().copied().max().unwrap_or_default()
    }

    /// Returns the seconds of the longest chain that starts with this step.
    pub(super) fn urgency(&self, step: usize) -> u64 {
        self.remaining[step]
    }

    /// Marks the object of a step as created, and releases dependents that need only the object.
    pub(super) fn created(&mut self, step: usize) {
        if self.status[step] == StepStatus::Running {
            self.status[step] = StepStatus::Created;
            self.release(step, Milestone::Created);
        }
    }

    /// Marks a step as done.
    pub(super) fn done(&mut self, step: usize) {
        self.created(step);
        if self.status[step] == StepStatus::Created {
            self.status[step] = StepStatus::Done;
            self.release(step, Milestone::Done);
        }
    }

    /// Marks a step as failed. Returns all direct and indirect dependents that cannot start any
    /// more.
    pub(super) fn failed(&mut self, step: usize) -> Vec<usize> {
        let created = self.status[step] == StepStatus::Created;
        self.status[step] = StepStatus::Failed;
        let mut lost = Vec::new();
        // Dependents that need only the object can still start.
        self.skip_behind(step, |until| !created || until == Milestone::Done, &mut lost);
        let mut next = 0;
        while next < lost.len() {
            self.skip_behind(lost[next], |_| true, &mut lost);
            next += 1;
        }
        lost
    }

    /// Returns the steps that have not ended and are not skipped.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = usize> + '_ {
        let open = |status: StepStatus| {
            matches!(status, StepStatus::Waiting | StepStatus::Running | StepStatus::Created)
        };
        (0..self.status.len()).filter(move |&step| open(self.status[step]))
    }

    /// Returns true if a step has started and not ended.
    pub(super) fn is_running(&self, step: usize) -> bool {
        matches!(self.status[step], StepStatus::Running | StepStatus::Created)
    }

    fn behind(&self, step: usize) -> std::ops::Range<usize> {
        self.starts[step] as usize..self.starts[step + 1] as usize
    }

    fn release(&mut self, step: usize, milestone: Milestone) {
        for edge in self.behind(step) {
            let (other, until) = self.edges[edge];
            if until != milestone {
                continue;
            }
            let other = other as usize;
            self.missing[other] -= 1;
            if self.missing[other] == 0 && self.status[other] == StepStatus::Waiting {
                self.ready.push((self.remaining[other], Reverse(count(other))));
            }
        }
    }

    fn skip_behind(
        &mut self,
        step: usize,
        needed: impl Fn(Milestone) -> bool,
        lost: &mut Vec<usize>,
    ) {
        for edge in self.behind(step) {
            let (other, until) = self.edges[edge];
            let other = other as usize;
            if needed(until) && self.status[other] == StepStatus::Waiting {
                self.status[other] = StepStatus::Skipped;
                lost.push(other);
            }
        }
    }
}

/// Returns the dependents of all steps as one list, with the index at which each step's part
/// starts.
fn successors(steps: &[Step]) -> (Vec<(u32, Milestone)>, Vec<u32>) {
    let mut starts = vec![0u32; steps.len() + 1];
    for dependency in steps.iter().flat_map(|step| &step.after) {
        starts[dependency.step as usize + 1] += 1;
    }
    for step in 0..steps.len() {
        starts[step + 1] += starts[step];
    }
    let mut next = starts.clone();
    let mut edges = vec![(0, Milestone::Done); starts[steps.len()] as usize];
    for (index, step) in steps.iter().enumerate() {
        for dependency in &step.after {
            let place = &mut next[dependency.step as usize];
            edges[*place as usize] = (count(index), dependency.until);
            *place += 1;
        }
    }
    (edges, starts)
}

/// Returns the seconds from the start of each step to the end of its longest chain, in one pass in
/// reverse topological order.
fn longest_paths(
    steps: &[Step],
    seconds: &[u64],
    edges: &[(u32, Milestone)],
    starts: &[u32],
) -> Vec<u64> {
    let mut open: Vec<u32> = (0..steps.len()).map(|i| starts[i + 1] - starts[i]).collect();
    let mut leaves: Vec<usize> = (0..steps.len()).filter(|&step| open[step] == 0).collect();
    let mut remaining = vec![0; steps.len()];
    while let Some(step) = leaves.pop() {
        let behind = &edges[starts[step] as usize..starts[step + 1] as usize];
        let longest = behind.iter().map(|&(other, _)| remaining[other as usize]).max();
        remaining[step] = seconds[step] + longest.unwrap_or_default();
        for dependency in &steps[step].after {
            let needed = dependency.step as usize;
            open[needed] -= 1;
            if open[needed] == 0 {
                leaves.push(needed);
            }
        }
    }
    remaining
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("BUG: a plan of four thousand million steps")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Address;
    use crate::plan::{Dependency, Op};

    fn steps(after: &[&[(u32, Milestone)]]) -> Vec<Step> {
        let step = |(i, after): (usize, &&[(u32, Milestone)])| Step {
            op: Op::Delete {
                address: Address::new("node", &i.to_string()),
                generation: 1,
                unseen: false,
            },
            after: after.iter().map(|&(step, until)| Dependency { step, until }).collect(),
        };
        after.iter().enumerate().map(step).collect()
    }

    #[test]
    fn the_longest_remaining_path_goes_first() {
        let steps = steps(&[&[], &[], &[(1, Milestone::Done)]]);
        let mut frontier = Frontier::new(&steps, &[5, 1, 10]);
        assert_eq!(frontier.critical_path(), 11);
        assert_eq!((frontier.take(), frontier.take(), frontier.take()), (Some(1), Some(0), None));
    }

    #[test]
    fn who_needs_only_the_object_starts_when_it_exists() {
        let steps = steps(&[&[], &[(0, Milestone::Created)], &[(0, Milestone::Done)]]);
        let mut frontier = Frontier::new(&steps, &[1, 1, 1]);
        assert_eq!(frontier.take(), Some(0));
        frontier.created(0);
        assert_eq!((frontier.take(), frontier.take()), (Some(1), None));
        frontier.done(0);
        assert_eq!(frontier.take(), Some(2));
    }

    #[test]
    fn a_failure_skips_what_needed_it_and_nothing_else() {
        let steps = steps(&[&[], &[(0, Milestone::Done)], &[(1, Milestone::Created)], &[]]);
        let mut frontier = Frontier::new(&steps, &[1; 4]);
        frontier.take();
        assert_eq!(frontier.failed(0), [1, 2]);
        assert_eq!(frontier.unfinished().collect::<Vec<_>>(), [3]);
    }

    #[test]
    fn a_failed_wait_spares_those_who_needed_only_the_object() {
        let steps = steps(&[&[], &[(0, Milestone::Created)], &[(0, Milestone::Done)]]);
        let mut frontier = Frontier::new(&steps, &[1; 3]);
        frontier.take();
        frontier.created(0);
        assert_eq!(frontier.failed(0), [2]);
        assert_eq!(frontier.take(), Some(1));
    }

    #[test]
    fn a_step_that_waits_twice_for_one_is_released_once() {
        let steps = steps(&[&[], &[(0, Milestone::Created), (0, Milestone::Done)]]);
        let mut frontier = Frontier::new(&steps, &[1; 2]);
        frontier.take();
        frontier.created(0);
        assert_eq!(frontier.take(), None);
        frontier.done(0);
        assert_eq!(frontier.take(), Some(1));
    }
}
