//! The loop of the executor: performs the effects that the step machines return. Owns state,
//! journal and events; tasks only call the provider.
//!
//! Never decides what a step does next. A step is named by its index in the plan.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::call::{Call, Reply};
use super::commit_queue::CommitQueue;
use super::error::StepError;
use super::frontier::Frontier;
use super::gate::{GateDecision, GateStatus};
use super::polling::{PollGroup, PollKey};
use super::step_machine::{Context, Effect, Input, Limits, StepMachine};
use super::{ApplyOutcome, ApplySettings, Observer, Shutdown, StepFailure};
use crate::event::{Event, StepAction, Summary};
use crate::plan::{Op, Plan};
use crate::provider::{Poll, Provider};
use crate::secret::Secrets;
use crate::state::error::StateError;
use crate::state::{Entry, State};

/// Provider and secrets, which the tasks share.
pub(super) struct TaskContext {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) secrets: Arc<Secrets>,
}

/// A plan in execution.
pub(super) struct Executor<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: State,
    pub(super) cloud: TaskContext,
    settings: &'a ApplySettings,
    observer: &'a mut dyn Observer,
    frontier: Frontier,
    /// Step machines of the steps in progress.
    pub(super) machines: HashMap<usize, StepMachine<'a>>,
    /// Steps in progress whose next call can be sent now, with their urgency. The most urgent step
    /// is first.
    next: BinaryHeap<(u64, Reverse<usize>)>,
    /// Steps in progress whose next call is sent after a pause, with the end of the pause.
    paused: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Steps that wait for a condition. Steps with the same key are polled together.
    pub(super) polls: BTreeMap<PollKey, PollGroup>,
    tasks: JoinSet<Completion>,
    /// Step or steps of each task. A task that panics returns only its ID.
    about: HashMap<Id, Task>,
    calls_in_flight: usize,
    commits: CommitQueue,
    gate: GateStatus,
    summary: Summary,
    failures: Vec<StepFailure>,
    /// Start of the execution. Step machines measure time from here.
    began: Instant,
    /// Latest end of the execution after a shutdown request. `None` without a request.
    pub(super) stopping: Option<Instant>,
}

/// Work of a task: the call of one step, the poll of several, or the check of the gate.
#[derive(Debug)]
pub(super) enum Task {
    Call(usize),
    Gate,
    Poll { key: PollKey, steps: Vec<usize> },
}

/// Result of a task.
pub(super) enum Completion {
    Call { step: usize, reply: Result<Reply, StepError> },
    Gate(GateDecision),
    Poll { key: PollKey, steps: Vec<usize>, results: Result<Vec<Poll>, StepError> },
}

impl<'a> Executor<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        state: State,
        cloud: TaskContext,
        settings: &'a ApplySettings,
        observer: &'a mut dyn Observer,
    ) -> Self {
        let seconds = |op: &Op| match op {
            Op::Delete { .. } => 1,
            op => cloud.provider.schema(op.address().kind()).map_or(1, |s| s.typical_seconds),
        };
        let seconds: Vec<u64> =
            plan.steps.iter().map(|step| u64::from(seconds(&step.op))).collect();
        Self {
            frontier: Frontier::new(&plan.steps, &seconds),
            commits: CommitQueue::new(state.serial),
            plan,
            state,
            cloud,
            settings,
            observer,
            machines: HashMap::new(),
            next: BinaryHeap::new(),
            paused: BinaryHeap::new(),
            polls: BTreeMap::new(),
            tasks: JoinSet::new(),
            about: HashMap::new(),
            calls_in_flight: 0,
            gate: GateStatus::of(settings.gate.as_ref(), plan),
            summary: Summary::default(),
            failures: Vec::new(),
            began: Instant::now(),
            stopping: None,
        }
    }

    /// Executes the plan until all steps are finished, failed or skipped, or until a shutdown.
    pub(super) async fn finish(mut self, stop: &Shutdown) -> ApplyOutcome {
        self.commits.emit(Event::Started {
            operation: self.plan.operation,
            steps: self.plan.steps.len(),
            critical_path_seconds: self.frontier.critical_path(),
        });
        self.update_dependencies();
        let ended = self.run(stop).await;
        self.end(ended.err())
    }

    /// Runs the loop. Returns an error if an entry does not become durable, or if the fence rejects
    /// a call.
    async fn run(&mut self, stop: &Shutdown) -> Result<(), StateError> {
        loop {
            self.choose_calls();
            self.write()?;
            self.send()?;
            self.spawn_polls();
            if self.is_over() {
                return Ok(());
            }
            self.wait(stop).await?;
        }
    }

    /// Returns true if no work is in progress that the loop must wait for.
    fn is_over(&self) -> bool {
        match self.stopping {
            Some(until) => {
                (self.calls_in_flight == 0 && self.commits.is_settled()) || Instant::now() >= until
            }
            None => {
                let can_start = match self.gate {
                    GateStatus::Open | GateStatus::Ahead(_) => self.frontier.has_ready(),
                    GateStatus::Checking => true,
                    GateStatus::Closed => false,
                };
                self.machines.is_empty() && !can_start && self.commits.is_settled()
            }
        }
    }

    /// Waits for the first of these: a result of a task, a durable group of entries, the end of a
    /// pause, a poll that is due, a shutdown request, or the end of a shutdown.
    async fn wait(&mut self, stop: &Shutdown) -> Result<(), StateError> {
        let wake = self.next_wake();
        tokio::select! {
            biased;
            () = stop.0.cancelled(), if self.stopping.is_none() => self.stop(),
            written = self.commits.written(), if self.commits.is_writing() => written?,
            Some(joined) = self.tasks.join_next_with_id() => {
                self.joined(joined);
                while let Some(joined) = self.tasks.try_join_next_with_id() {
                    self.joined(joined);
                }
            }
            () = tokio::time::sleep_until(wake) => {}
        }
        Ok(())
    }

    /// Returns the time at which the loop continues without a result.
    fn next_wake(&self) -> Instant {
        if let Some(until) = self.stopping {
            return until; // after a shutdown request, no pause and no poll continues
        }
        let paused = self.paused.peek().map(|Reverse((at, _))| *at);
        let poll = self.polls.values().filter_map(PollGroup::next_poll).min();
        let never = Instant::now() + Duration::from_secs(3600);
        [paused, poll].into_iter().flatten().min().unwrap_or(never)
    }

    /// Ends the execution: emits the remaining events, and reports unfinished steps as abandoned.
    fn end(mut self, journal_error: Option<StateError>) -> ApplyOutcome {
        self.tasks.abort_all();
        while let Some(event) = self.commits.next_event() {
            self.observer.event(&event);
        }
        let open: Vec<usize> = self.frontier.unfinished().collect();
        for step in open {
            self.summary.abandoned += 1;
            if self.frontier.is_running(step) {
                let step = self.plan.steps[step].op.name();
                self.observer.event(&Event::StepAbandoned { step });
            }
        }
        let (operation, summary) = (self.plan.operation, self.summary);
        self.observer.event(&Event::Finished { operation, summary });
        let stopped = self.stopping.is_some();
        let closed = matches!(self.gate, GateStatus::Closed);
        let Self { state, failures, .. } = self;
        ApplyOutcome { state, summary, failures, stopped, closed, journal_error }
    }

    /// Begins the shutdown: drops pauses, polls and calls that are not sent yet.
    fn stop(&mut self) {
        self.stopping = Some(Instant::now() + self.settings.grace);
        self.polls.clear();
        self.paused.clear();
        self.next.clear();
        for step in self.commits.withdraw_waiting() {
            self.feed(step, Input::Withdrawn);
        }
        let (in_flight, within_seconds) = (self.calls_in_flight, self.settings.grace.as_secs());
        self.commits.emit(Event::Stopping { in_flight, within_seconds });
    }

    /// Begins a step: creates its step machine and performs the first effects.
    fn begin(&mut self, step: usize) {
        let op = &self.plan.steps[step].op;
        let schema = self.cloud.provider.schema(op.address().kind());
        let limits = Limits::new(op, self.plan, self.settings);
        let at = context(&self.state, self.began, self.stopping);
        let (machine, effects) = StepMachine::begin(op, schema, limits, &at);
        self.machines.insert(step, machine);
        self.perform(step, effects);
    }

    /// Passes an input to the machine of a step in progress, and performs the effects.
    pub(super) fn feed(&mut self, step: usize, input: Input) {
        let at = context(&self.state, self.began, self.stopping);
        let Some(machine) = self.machines.get_mut(&step) else {
            unreachable!("BUG: step {step} is not in progress");
        };
        let effects = machine.on(input, &at);
        self.perform(step, effects);
    }

    fn perform(&mut self, step: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Append(entry) => self.record(entry),
                Effect::Emit(event) => self.commits.emit(event),
                Effect::Send => self.queue(step),
                Effect::SendAfter(pause) => {
                    self.paused.push(Reverse((Instant::now() + pause, step)));
                }
                Effect::Poll { wait, after } => self.join_poll(step, wait, after),
                Effect::ReleaseDependents => {
                    self.frontier.created(step);
                    self.check_gate(step);
                }
                Effect::Finish => self.finished(step),
                Effect::Fail(error) => self.failed(step, error),
            }
        }
    }

    /// Queues the next call of a step.
    fn queue(&mut self, step: usize) {
        self.next.push((self.frontier.urgency(step), Reverse(step)));
    }

    fn finished(&mut self, step: usize) {
        self.machines.remove(&step);
        match self.plan.steps[step].op.name().action {
            StepAction::Create | StepAction::Finish => self.summary.added += 1,
            StepAction::Update => self.summary.changed += 1,
            StepAction::Delete => self.summary.destroyed += 1,
        }
        self.frontier.done(step);
    }

    /// Marks a step as failed, and its direct and indirect dependents as skipped.
    fn failed(&mut self, step: usize, error: StepError) {
        self.machines.remove(&step);
        let name = self.plan.steps[step].op.name();
        self.summary.failed += 1;
        for skipped in self.frontier.failed(step) {
            self.summary.skipped += 1;
            let (step, because) = (self.plan.steps[skipped].op.name(), name.address.clone());
            self.commits.emit(Event::StepSkipped { step, because });
        }
        self.failures.push(StepFailure { step: name, error });
    }

    /// Changes the state by one entry. Calls and events that are queued later wait until the entry
    /// is durable.
    fn record(&mut self, entry: Entry) {
        self.state.record(&entry).unwrap_or_else(|error| unreachable!("BUG: {error}"));
        self.commits.record(entry);
    }

    /// Passes the recorded entries to the journal as one group. If the write completes at once, the
    /// next group follows.
    fn write(&mut self) -> Result<(), StateError> {
        while let Some(entries) = self.commits.next_group() {
            if !self.commits.begun(self.observer.journal(entries))? {
                break;
            }
        }
        Ok(())
    }

    /// Emits the events and sends the calls whose entries are durable. The fence is checked before
    /// each call.
    fn send(&mut self) -> Result<(), StateError> {
        while let Some(event) = self.commits.next_event() {
            self.observer.event(&event);
        }
        while let Some((step, call)) = self.commits.next_call() {
            self.settings.fence.pass()?;
            self.spawn_call(step, call);
        }
        Ok(())
    }

    /// Records the dependency updates of the plan, which need no call of the provider.
    fn update_dependencies(&mut self) {
        for update in &self.plan.dependency_updates {
            let (address, after) = (update.address.clone(), update.after.clone());
            self.record(Entry::DependenciesUpdated { address, after });
        }
    }

    /// Fills the free slots of the parallelism: first with the next calls of steps in progress,
    /// then with new steps. After a shutdown request, does nothing.
    fn choose_calls(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        self.wake_paused();
        let slots = self.settings.parallelism.max(1);
        while self.calls_in_flight + self.commits.waiting_calls() < slots {
            if let Some((_, Reverse(step))) = self.next.pop() {
                let call = self.machines[&step].call(&self.state, &self.cloud.secrets);
                self.commits.announce(step, call);
            } else if let Some(step) = self.take_ready() {
                self.begin(step);
            } else {
                break;
            }
        }
    }

    /// Takes the next step that can start now.
    fn take_ready(&mut self) -> Option<usize> {
        match &self.gate {
            GateStatus::Open => self.frontier.take(),
            GateStatus::Ahead(_) if self.machines.is_empty() => {
                let (gate, plan) = (&self.gate, self.plan);
                self.frontier.take_first(|step| gate.due_after(&plan.steps[step].op).is_some())
            }
            GateStatus::Ahead(_) | GateStatus::Checking | GateStatus::Closed => None,
        }
    }

    /// Starts the check of the gate if the step has created a resource that the check can see.
    fn check_gate(&mut self, step: usize) {
        let Some(gate) = self.gate.due_after(&self.plan.steps[step].op) else { return };
        let check = gate.check(&self.state);
        self.gate = GateStatus::Checking;
        self.spawn(Task::Gate, async move { Completion::Gate(check.await) });
    }

    fn gate_checked(&mut self, decision: GateDecision) {
        match decision {
            GateDecision::Open { entries, warnings } => {
                self.gate = GateStatus::Open;
                entries.into_iter().for_each(|entry| self.record(entry));
                for message in warnings {
                    self.commits.emit(Event::Warning { message });
                }
            }
            GateDecision::Closed => self.gate = GateStatus::Closed,
        }
    }

    fn wake_paused(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, step))) = self.paused.peek().copied()
            && at <= now
        {
            self.paused.pop();
            self.queue(step);
        }
    }

    fn spawn_call(&mut self, step: usize, call: Call) {
        self.calls_in_flight += 1;
        let provider = Arc::clone(&self.cloud.provider);
        self.spawn(Task::Call(step), async move {
            let reply = call.send(&*provider).await.map_err(StepError::from);
            Completion::Call { step, reply }
        });
    }

    pub(super) fn spawn(
        &mut self,
        task: Task,
        work: impl Future<Output = Completion> + Send + 'static,
    ) {
        let handle = self.tasks.spawn(work);
        self.about.insert(handle.id(), task);
    }

    /// Handles the end of a task. A panic counts as a failed call or poll.
    fn joined(&mut self, joined: Result<(Id, Completion), JoinError>) {
        let completion = match joined {
            Ok((id, completion)) => {
                self.about.remove(&id);
                completion
            }
            Err(error) => match self.about.remove(&error.id()) {
                Some(task) => Completion::panicked(task),
                None => return,
            },
        };
        match completion {
            Completion::Call { step, reply } => {
                self.calls_in_flight -= 1;
                self.feed(step, reply.map_or_else(Input::Failed, Input::Replied));
            }
            Completion::Poll { key, steps, results } => self.polled(key, &steps, results),
            Completion::Gate(decision) => self.gate_checked(decision),
        }
    }
}

fn context(state: &State, began: Instant, stopping: Option<Instant>) -> Context<'_> {
    Context { state, now: began.elapsed(), stopping: stopping.is_some() }
}

impl Completion {
    fn panicked(task: Task) -> Self {
        let error = StepError::Panicked;
        match task {
            Task::Call(step) => Completion::Call { step, reply: Err(error) },
            Task::Gate => Completion::Gate(GateDecision::Closed),
            Task::Poll { key, steps } => Completion::Poll { key, steps, results: Err(error) },
        }
    }
}
