//! The loop of the executor.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::commit_queue::CommitQueue;
use super::frontier::Frontier;
use super::polling::PollGroup;
use super::step_run::{Call, Phase, StepRun};
use super::{ApplyOutcome, ApplySettings, Observer, Shutdown};
use crate::event::{Event, Summary};
use crate::graph::{Address, Schema, resolve};
use crate::plan::{Op, Plan, PriorObject};
use crate::provider::{
    ErrorClass, PROTECTED, Poll, Provider, ProviderError, RecordedResource, Request,
};
use crate::refresh::recorded_resource;
use crate::secret::Secrets;
use crate::state::error::StateError;
use crate::state::{Entry, Record, RecordStatus, State};

/// Arguments of the tasks that call the provider.
pub(super) struct TaskContext {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) secrets: Arc<Secrets>,
}

/// Plan in execution.
pub(super) struct Executor<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: State,
    pub(super) cloud: TaskContext,
    pub(super) settings: &'a ApplySettings,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) frontier: Frontier,
    /// Steps in progress.
    pub(super) runs: HashMap<usize, StepRun>,
    /// Steps in progress with a next call to send, the most urgent first.
    pub(super) next: BinaryHeap<(u64, Reverse<usize>)>,
    /// Steps with a next call to send after a pause.
    pub(super) paused: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Waiting steps, by kind and condition (true: waits for a deletion).
    pub(super) watches: BTreeMap<(String, bool), PollGroup>,
    pub(super) tasks: JoinSet<TaskResult>,
    /// Content of each task, for the case of a panic.
    pub(super) about: HashMap<Id, Task>,
    pub(super) calls_in_flight: usize,
    pub(super) commits: CommitQueue,
    pub(super) summary: Summary,
    /// Start of the execution. Calls of an earlier run were sent before it.
    pub(super) began: Instant,
    pub(super) stopping: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(super) enum Task {
    Call(usize),
    Poll { watch: (String, bool), steps: Vec<usize> },
}

pub(super) struct TaskResult {
    pub(super) task: Task,
    pub(super) reply: TaskOutput,
}

pub(super) enum TaskOutput {
    Call(Result<Value, ProviderError>),
    Poll(Result<Vec<Poll>, ProviderError>),
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
            runs: HashMap::new(),
            next: BinaryHeap::new(),
            paused: BinaryHeap::new(),
            watches: BTreeMap::new(),
            tasks: JoinSet::new(),
            about: HashMap::new(),
            calls_in_flight: 0,
            summary: Summary::default(),
            began: Instant::now(),
            stopping: None,
        }
    }

    pub(super) async fn finish(mut self, stop: &Shutdown) -> ApplyOutcome {
        self.commits.say(Event::Started {
            operation: self.plan.operation,
            steps: self.plan.steps.len(),
            critical_path_seconds: self.frontier.critical_path(),
        });
        self.update_dependencies();
        let ended = self.go(stop).await;
        self.end(ended.err())
    }

    async fn go(&mut self, stop: &Shutdown) -> Result<(), StateError> {
        loop {
            self.choose_calls();
            self.write()?;
            self.send()?;
            self.spawn_looks();
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
            None => self.runs.is_empty() && !self.frontier.has_ready() && self.commits.is_settled(),
        }
    }

    /// Waits until a result arrives, a group is durable, a pause ends, a poll is due, or a shutdown
    /// is requested.
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

    fn next_wake(&self) -> Instant {
        if let Some(until) = self.stopping {
            return until; // nothing that has paused goes on, so nothing else is due
        }
        let paused = self.paused.peek().map(|Reverse((at, _))| *at);
        let looks = self.watches.values().filter(|watch| !watch.looking);
        let look = looks.map(|watch| watch.next_look).min();
        let never = Instant::now() + Duration::from_secs(3600);
        [paused, look].into_iter().flatten().min().unwrap_or(never)
    }

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
        ApplyOutcome { state: self.state, summary, stopped, journal_error }
    }

    fn stop(&mut self) {
        self.stopping = Some(Instant::now() + self.settings.grace);
        self.watches.clear();
        self.paused.clear();
        self.next.clear();
        for step in self.commits.withdraw_waiting() {
            self.withdraw(step);
        }
        let (in_flight, within_seconds) = (self.calls_in_flight, self.settings.grace.as_secs());
        self.commits.say(Event::Stopping { in_flight, within_seconds });
    }

    /// Withdraws an announced call. A creation without an earlier call has certainly created
    /// nothing.
    fn withdraw(&mut self, step: usize) {
        let run = &self.runs[&step];
        let first = run.ambiguous_creates == 0 && !self.plan.steps[step].op.is_asked_for_already();
        if run.phase == Phase::Create && first {
            let address = run.address.clone();
            self.record(Entry::CreateRefused { address });
        }
    }

    // Journal.

    /// Changes the state. The entry is durable before any call that follows is sent.
    pub(super) fn record(&mut self, entry: Entry) {
        self.state.record(&entry).unwrap_or_else(|error| unreachable!("BUG: {error}"));
        self.commits.record(entry);
    }

    /// Hands the recorded entries to the journal, group by group while the writes complete at once.
    fn write(&mut self) -> Result<(), StateError> {
        while let Some(entries) = self.commits.next_group() {
            if !self.commits.begun(self.observer.journal(entries))? {
                break;
            }
        }
        Ok(())
    }

    /// Emits the events and sends the calls whose entries are durable.
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

    fn update_dependencies(&mut self) {
        for relink in &self.plan.dependency_updates {
            let (address, after) = (relink.address.clone(), relink.after.clone());
            self.record(Entry::DependenciesUpdated { address, after });
        }
    }

    // Calls.

    /// Chooses the next calls within the parallelism, and records their intents.
    fn choose_calls(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        self.wake_paused();
        let room = self.settings.parallelism.max(1);
        while self.calls_in_flight + self.commits.waiting_calls() < room {
            let step = if let Some((_, Reverse(step))) = self.next.pop() {
                step
            } else if let Some(step) = self.frontier.take() {
                if !self.start(step) {
                    continue;
                }
                step
            } else {
                break;
            };
            let call = self.call(step);
            self.commits.announce(step, call);
        }
    }

    fn wake_paused(&mut self) {
        let now = Instant::now();
        while let Some(Reverse((at, step))) = self.paused.peek().copied()
            && at <= now
        {
            self.paused.pop();
            self.proceed(step);
        }
    }

    /// Queues the next call of a step.
    pub(super) fn proceed(&mut self, step: usize) {
        self.next.push((self.frontier.urgency(step), Reverse(step)));
    }

    /// Begins a step. Returns true if the step has a call to make, and false if it only waits or
    /// has failed.
    fn start(&mut self, step: usize) -> bool {
        let op = &self.plan.steps[step].op;
        let name = op.name();
        let inputs = match op {
            Op::Create { inputs, .. } | Op::Update { inputs, .. } => {
                resolve(inputs, &|r| self.state.lookup(r).cloned())
            }
            Op::Finish { address, .. } => self.state.resources[address].inputs.clone(),
            Op::Delete { .. } => Value::Null,
        };
        let now = Instant::now();
        let run = StepRun {
            address: name.address.clone(),
            generation: name.generation,
            inputs,
            started: now,
            phase: Phase::Create,
            failures: 0,
            ambiguous_creates: 0,
            token_error: None,
            deadline: now + self.patience(step),
            searching_since: None,
            last_progress: None,
        };
        let kept = self.ends_something_protected(&self.plan.steps[step].op);
        self.commits.say(Event::StepStarted { step: name });
        self.runs.insert(step, run);
        if kept {
            self.refuse_protected(step);
            return false;
        }
        let phase = self.first_phase(step);
        if phase.waits() {
            self.enter(step, phase);
            return false;
        }
        self.run(step).phase = phase;
        true
    }

    /// Returns true if the operation ends a protected object. The plan reports protection before
    /// the user's confirmation, but the state decides at the time of the call.
    fn ends_something_protected(&self, op: &Op) -> bool {
        let ends = matches!(op, Op::Delete { .. } | Op::Create { prior: PriorObject::Deposed, .. });
        ends && self.state.protected.contains(op.address())
    }

    /// Fails the step without an announcement and without a call.
    fn refuse_protected(&mut self, step: usize) {
        let run = self.run(step);
        run.phase = Phase::Delete; // of a creation that begins it would be recorded that it failed
        let error = ProviderError::new(ErrorClass::Permanent, "delete", "it is protected")
            .with_code(PROTECTED);
        self.failed(step, &error);
    }

    /// Records the intent of the step's first call, and returns the first phase.
    fn first_phase(&mut self, step: usize) -> Phase {
        match &self.plan.steps[step].op {
            Op::Create { prior: PriorObject::CreateInDoubt, .. } => Phase::Find,
            Op::Create { prior: PriorObject::DeletedOutside, .. } => Phase::Recheck,
            Op::Create { address, prior, .. } => {
                if *prior == PriorObject::Deposed {
                    self.record(Entry::Deposed { address: address.clone() });
                }
                self.announce_creation(step);
                Phase::Create
            }
            Op::Finish { address, .. } => {
                let status = self.state.resources[address].status;
                self.frontier.created(step);
                let schema = self.schema(address);
                if status == RecordStatus::Configured || !schema.configures {
                    Phase::Ready
                } else {
                    Phase::Configure
                }
            }
            Op::Update { address, after, .. } => {
                let unconfigured = self.state.resources[address].status == RecordStatus::Created;
                let inputs = self.runs[&step].inputs.clone();
                let (address, after) = (address.clone(), after.clone());
                let configures = self.schema(&address).configures;
                self.record(Entry::UpdateStarted { address, inputs, after });
                if unconfigured && configures { Phase::Configure } else { Phase::Update }
            }
            Op::Delete { address, generation, unseen } => {
                let record = self.state.record_of(address, *generation);
                let in_doubt = |status| match status {
                    RecordStatus::Creating => true,
                    // An announced deletion means that the object was found before.
                    status => *unseen && status != RecordStatus::Deleting,
                };
                if record.is_some_and(|record| in_doubt(record.status)) {
                    return Phase::FindDoomed;
                }
                let (address, generation) = (address.clone(), *generation);
                self.record(Entry::DeleteStarted { address, generation });
                Phase::Delete
            }
        }
    }

    pub(super) fn announce_creation(&mut self, step: usize) {
        let Op::Create { address, after, .. } = &self.plan.steps[step].op else {
            unreachable!("BUG: only a creation announces one");
        };
        let run = &self.runs[&step];
        self.record(Entry::CreateStarted {
            address: address.clone(),
            generation: run.generation,
            inputs: run.inputs.clone(),
            after: after.clone(),
        });
    }

    fn call(&self, step: usize) -> Call {
        let run = &self.runs[&step];
        let request = self.request(run);
        let outputs = || self.own_record(run).map_or(Value::Null, |record| record.outputs.clone());
        match run.phase {
            Phase::Recheck | Phase::Find | Phase::FindDoomed => {
                let record = self.recorded(run);
                let recorded = Request {
                    token: self.state.token(&run.address, record.generation),
                    inputs: record.inputs.clone(),
                    ..request
                };
                match run.phase {
                    Phase::FindDoomed => Call::Remains(recorded),
                    _ => Call::Find(recorded),
                }
            }
            Phase::Create => Call::Create(request),
            Phase::Configure => Call::Configure(request, outputs()),
            Phase::Update => {
                let Op::Update { before, .. } = &self.plan.steps[step].op else {
                    unreachable!("BUG: only an update updates");
                };
                let before =
                    RecordedResource { inputs: before.clone(), ..self.recorded_resource(run) };
                Call::Update(request, before)
            }
            Phase::Delete => Call::Delete(self.recorded_resource(run)),
            Phase::Ready | Phase::Gone => unreachable!("BUG: a wait makes no call of its own"),
        }
    }
}

/// Accessors, and the start of calls.
impl Executor<'_> {
    pub(super) fn spawn_call(&mut self, step: usize, call: Call) {
        self.calls_in_flight += 1;
        let provider = Arc::clone(&self.cloud.provider);
        let task = Task::Call(step);
        let handle = self.tasks.spawn(async move {
            TaskResult { task, reply: TaskOutput::Call(call.make(&*provider).await) }
        });
        self.about.insert(handle.id(), Task::Call(step));
    }

    /// Returns the retry budget of the step's calls.
    pub(super) fn patience(&self, step: usize) -> Duration {
        match self.plan.steps[step].op {
            Op::Delete { .. } => self.settings.patience_to_delete,
            _ => self.settings.patience,
        }
    }

    pub(super) fn run(&mut self, step: usize) -> &mut StepRun {
        self.runs
            .get_mut(&step)
            .unwrap_or_else(|| unreachable!("BUG: step {step} is not under way"))
    }

    pub(super) fn schema(&self, address: &Address) -> &'static Schema {
        self.cloud
            .provider
            .schema(address.kind())
            .unwrap_or_else(|| unreachable!("BUG: {address} is of a kind that nobody knows"))
    }

    /// Returns the record of the step's generation.
    pub(super) fn own_record(&self, run: &StepRun) -> Option<&Record> {
        self.state.record_of(&run.address, run.generation)
    }

    /// Returns the record of the step's generation or, without one, the current record of its
    /// address.
    pub(super) fn recorded(&self, run: &StepRun) -> &Record {
        self.own_record(run).unwrap_or_else(|| &self.state.resources[&run.address])
    }

    pub(super) fn recorded_resource(&self, run: &StepRun) -> RecordedResource {
        recorded_resource(&self.state, &run.address, self.recorded(run))
    }

    pub(super) fn request(&self, run: &StepRun) -> Request {
        Request {
            address: run.address.clone(),
            token: self.state.token(&run.address, run.generation),
            inputs: run.inputs.clone(),
            secrets: Arc::clone(&self.cloud.secrets),
        }
    }
}

impl TaskResult {
    pub(super) fn panicked(task: Task) -> Self {
        let error =
            ProviderError::new(ErrorClass::Ambiguous, "provider", "it panicked (a bug of ours)");
        let reply = match task {
            Task::Call(_) => TaskOutput::Call(Err(error)),
            Task::Poll { .. } => TaskOutput::Poll(Err(error)),
        };
        Self { task, reply }
    }
}

pub(super) fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
