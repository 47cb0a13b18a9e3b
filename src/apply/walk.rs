//! The loop that owns the story.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::frontier::Frontier;
use super::run::{Call, Phase, Run, pause};
use super::{Observer, Outcome, Settings, Stop};
use crate::event::{Event, Fault, StepAction, Summary};
use crate::graph::{Address, Schema, resolve};
use crate::observe::known;
use crate::plan::decide::id;
use crate::plan::{Op, Plan, Prior};
use crate::provider::{Class, Known, Look, Provider, ProviderError, Request};
use crate::secret::Secrets;
use crate::state::{Entry, Record, State, Status};

/// How often a lost answer is asked for again.
const LOST_ANSWERS: u32 = 6;
/// First look at something that takes time: soon, and late enough to look at its siblings too.
const FIRST_LOOK: Duration = Duration::from_millis(250);
/// How often a wait is mentioned although nothing about it changed.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// What the tasks talk to.
pub(super) struct Cloud {
    pub(super) provider: Arc<dyn Provider>,
    pub(super) secrets: Arc<Secrets>,
}

/// A plan on its way.
pub(super) struct Walk<'a> {
    plan: &'a Plan,
    state: State,
    cloud: Cloud,
    settings: &'a Settings,
    observer: &'a mut dyn Observer,
    frontier: Frontier,
    /// Steps under way.
    runs: HashMap<usize, Run>,
    /// Steps under way whose next call has not left yet, the most urgent first.
    next: BinaryHeap<(u64, Reverse<usize>)>,
    /// Steps whose next call leaves after a pause.
    paused: BinaryHeap<Reverse<(Instant, usize)>>,
    /// Steps that wait, by kind and by what they wait for.
    watches: BTreeMap<(String, bool), Watch>,
    tasks: JoinSet<Answer>,
    /// What each task is about, for the case that it panics.
    about: HashMap<Id, Task>,
    calls_in_flight: usize,
    /// What must be on disk before anything else leaves, and what is said afterwards.
    entries: Vec<Entry>,
    events: Vec<Event>,
    summary: Summary,
    stopping: Option<Instant>,
}

/// Everything of one kind that waits for the same: one look serves all.
#[derive(Debug)]
struct Watch {
    steps: Vec<usize>,
    next_look: Instant,
    looking: bool,
}

#[derive(Clone, Debug)]
enum Task {
    Call(usize),
    Look { watch: (String, bool), steps: Vec<usize> },
}

struct Answer {
    task: Task,
    reply: Reply,
}

enum Reply {
    Call(Result<Value, ProviderError>),
    Look(Result<Vec<Look>, ProviderError>),
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        state: State,
        cloud: Cloud,
        settings: &'a Settings,
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
            entries: Vec::new(),
            events: Vec::new(),
            summary: Summary::default(),
            stopping: None,
        }
    }

    pub(super) async fn to_the_end(mut self, stop: &Stop) -> Outcome {
        self.events.push(Event::Started {
            operation: self.plan.operation,
            steps: self.plan.steps.len(),
            critical_path_seconds: self.frontier.critical_path(),
        });
        self.relink();
        let mut journal_error = None;
        loop {
            let calls = self.choose_calls();
            if let Err(error) = self.flush() {
                journal_error = Some(error);
                break;
            }
            calls.into_iter().for_each(|(step, call)| self.spawn_call(step, call));
            self.spawn_looks();
            if self.is_over() {
                break;
            }
            self.wait(stop).await;
        }
        self.end(journal_error)
    }

    /// Whether nothing is under way that is worth waiting for.
    fn is_over(&self) -> bool {
        match self.stopping {
            Some(until) => self.calls_in_flight == 0 || Instant::now() >= until,
            None => self.runs.is_empty() && !self.frontier.has_ready(),
        }
    }

    /// Until an answer comes, a pause ends, it is time for a look, or a stop is asked for.
    async fn wait(&mut self, stop: &Stop) {
        let wake = self.next_wake();
        tokio::select! {
            biased;
            () = stop.0.cancelled(), if self.stopping.is_none() => self.stop(),
            Some(joined) = self.tasks.join_next_with_id() => {
                self.joined(joined);
                while let Some(joined) = self.tasks.try_join_next_with_id() {
                    self.joined(joined);
                }
            }
            () = tokio::time::sleep_until(wake) => {}
        }
    }

    fn next_wake(&self) -> Instant {
        let paused = self.paused.peek().map(|Reverse((at, _))| *at);
        let looks = self.watches.values().filter(|watch| !watch.looking);
        let look = looks.map(|watch| watch.next_look).min();
        let never = Instant::now() + Duration::from_secs(3600);
        [paused, look, self.stopping].into_iter().flatten().min().unwrap_or(never)
    }

    fn end(mut self, journal_error: Option<std::io::Error>) -> Outcome {
        self.tasks.abort_all();
        let open: Vec<usize> = self.frontier.unfinished().collect();
        for step in open {
            self.summary.abandoned += 1;
            if self.frontier.is_running(step) {
                let step = self.plan.steps[step].op.name();
                self.events.push(Event::StepAbandoned { step });
            }
        }
        let (operation, summary) = (self.plan.operation, self.summary);
        self.events.push(Event::Finished { operation, summary });
        self.events.iter().for_each(|event| self.observer.event(event));
        let stopped = self.stopping.is_some();
        Outcome { state: self.state, summary, stopped, journal_error }
    }

    fn stop(&mut self) {
        self.stopping = Some(Instant::now() + self.settings.grace);
        self.watches.clear();
        self.paused.clear();
        self.next.clear();
        let (in_flight, within_seconds) = (self.calls_in_flight, self.settings.grace.as_secs());
        self.events.push(Event::Stopping { in_flight, within_seconds });
    }

    // What is written down.

    /// Moves the state; [`Walk::flush`] makes it durable before anything that follows leaves.
    fn record(&mut self, entry: Entry) {
        self.state.record(&entry).unwrap_or_else(|error| unreachable!("BUG: {error}"));
        self.entries.push(entry);
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if !self.entries.is_empty() {
            self.observer.journal(&std::mem::take(&mut self.entries))?;
        }
        for event in std::mem::take(&mut self.events) {
            self.observer.event(&event);
        }
        Ok(())
    }

    fn relink(&mut self) {
        for relink in &self.plan.relinks {
            let (address, after) = (relink.address.clone(), relink.after.clone());
            self.record(Entry::Relinked { address, after });
        }
    }

    // What leaves.

    /// The calls that may leave now, with what they announce recorded.
    fn choose_calls(&mut self) -> Vec<(usize, Call)> {
        let mut calls = Vec::new();
        if self.stopping.is_some() {
            return calls;
        }
        self.wake_paused();
        while self.calls_in_flight + calls.len() < self.settings.parallelism.max(1) {
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
            calls.push((step, self.call(step)));
        }
        calls
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

    /// The step's next call leaves as soon as there is room.
    fn proceed(&mut self, step: usize) {
        self.next.push((self.frontier.urgency(step), Reverse(step)));
    }

    /// Begins a step. Whether it has a call to make: one that only waits has none.
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
        let run = Run {
            address: name.address.clone(),
            generation: name.generation,
            inputs,
            started: now,
            phase: Phase::Create,
            failures: 0,
            lost: 0,
            deadline: now + self.settings.patience,
            sought: None,
            said: None,
        };
        self.events.push(Event::StepStarted { step: name });
        self.runs.insert(step, run);
        let phase = self.first_phase(step);
        if phase.waits() {
            self.enter(step, phase);
            return false;
        }
        self.run(step).phase = phase;
        true
    }

    /// Announces what the step begins with.
    fn first_phase(&mut self, step: usize) -> Phase {
        match &self.plan.steps[step].op {
            Op::Create { prior: Prior::Unanswered, .. } => Phase::Find,
            Op::Create { prior: Prior::Vanished, .. } => Phase::Recheck,
            Op::Create { address, prior, .. } => {
                if *prior == Prior::Deposed {
                    self.record(Entry::Deposed { address: address.clone() });
                }
                self.announce_creation(step);
                Phase::Create
            }
            Op::Finish { address, .. } => {
                let status = self.state.resources[address].status;
                self.frontier.created(step);
                let schema = self.schema(address);
                if status == Status::Configured || !schema.configures {
                    Phase::Ready
                } else {
                    Phase::Configure
                }
            }
            Op::Update { address, after, .. } => {
                let unconfigured = self.state.resources[address].status == Status::Created;
                let inputs = self.runs[&step].inputs.clone();
                let (address, after) = (address.clone(), after.clone());
                let configures = self.schema(&address).configures;
                self.record(Entry::UpdateStarted { address, inputs, after });
                if unconfigured && configures { Phase::Configure } else { Phase::Update }
            }
            Op::Delete { address, generation } => {
                let record = self.state.record_of(address, *generation);
                if record.is_some_and(|record| record.status == Status::Creating) {
                    return Phase::FindDoomed;
                }
                let (address, generation) = (address.clone(), *generation);
                self.record(Entry::DeleteStarted { address, generation });
                Phase::Delete
            }
        }
    }

    fn announce_creation(&mut self, step: usize) {
        let Op::Create { address, generation, after, .. } = &self.plan.steps[step].op else {
            unreachable!("BUG: only a creation announces one");
        };
        self.record(Entry::CreateStarted {
            address: address.clone(),
            generation: *generation,
            inputs: self.runs[&step].inputs.clone(),
            after: after.clone(),
        });
    }

    fn call(&self, step: usize) -> Call {
        let run = &self.runs[&step];
        let request = self.request(run);
        let outputs = || self.living(run).map_or(Value::Null, |record| record.outputs.clone());
        match run.phase {
            Phase::Recheck | Phase::FindDoomed => {
                let record = self.recorded(run);
                Call::Find(Request {
                    token: self.state.token(&run.address, record.generation),
                    inputs: record.inputs.clone(),
                    ..request
                })
            }
            Phase::Find => Call::Find(request),
            Phase::Create => Call::Create(request),
            Phase::Configure => Call::Configure(request, outputs()),
            Phase::Update => {
                let Op::Update { before, .. } = &self.plan.steps[step].op else {
                    unreachable!("BUG: only an update updates");
                };
                let before = Known { inputs: before.clone(), ..self.known(run) };
                Call::Update(request, before)
            }
            Phase::Delete => Call::Delete(self.known(run)),
            Phase::Ready | Phase::Gone => unreachable!("BUG: a wait makes no call of its own"),
        }
    }
}

/// What the answers mean.
impl Walk<'_> {
    fn joined(&mut self, joined: Result<(Id, Answer), JoinError>) {
        let (id, answer) = match joined {
            Ok((id, answer)) => (id, answer),
            Err(error) => {
                let Some(task) = self.about.get(&error.id()).cloned() else { return };
                (error.id(), Answer::panicked(task))
            }
        };
        self.about.remove(&id);
        match (answer.task, answer.reply) {
            (Task::Call(step), Reply::Call(result)) => {
                self.calls_in_flight -= 1;
                match result {
                    Ok(outputs) => self.answered(step, outputs),
                    Err(error) => self.refused(step, error),
                }
            }
            (Task::Look { watch, steps }, Reply::Look(looks)) => self.looked(&watch, &steps, looks),
            _ => unreachable!("BUG: a call was answered with a look"),
        }
    }

    /// A call went through.
    fn answered(&mut self, step: usize, outputs: Value) {
        let run = self.run(step);
        run.failures = 0;
        let (phase, address, generation) = (run.phase, run.address.clone(), run.generation);
        match phase {
            Phase::Recheck if outputs.is_null() => {
                self.record(Entry::Vanished { address });
                self.announce_creation(step);
                self.enter(step, Phase::Create);
            }
            Phase::Recheck => self.still_there(step),
            Phase::Find if outputs.is_null() => self.not_found(step),
            Phase::Find | Phase::Create => self.created(step, outputs),
            Phase::Configure => self.configured(step, outputs),
            Phase::Update => self.advanced(step, outputs),
            Phase::FindDoomed if outputs.is_null() => {
                self.record(Entry::CreateRefused { address });
                self.done(step);
            }
            Phase::FindDoomed => {
                let status = Status::Created;
                self.record(Entry::Created { address: address.clone(), outputs, status });
                self.record(Entry::DeleteStarted { address, generation });
                self.enter(step, Phase::Delete);
            }
            Phase::Delete if self.schema(&address).gone.is_some() => self.enter(step, Phase::Gone),
            Phase::Delete => {
                self.record(Entry::Deleted { address, generation });
                self.done(step);
            }
            Phase::Ready | Phase::Gone => unreachable!("BUG: a wait makes no call of its own"),
        }
    }

    /// What seemed to have vanished was only not visible yet: its old life goes on.
    fn still_there(&mut self, step: usize) {
        let address = self.runs[&step].address.clone();
        let record = &self.state.resources[&address];
        let (generation, inputs) = (record.generation, record.inputs.clone());
        let configured = record.status != Status::Created;
        let run = self.run(step);
        (run.generation, run.inputs) = (generation, inputs);
        self.frontier.created(step);
        if configured || !self.schema(&address).configures {
            self.settled(step, None);
        } else {
            self.enter(step, Phase::Configure);
        }
    }

    /// Nothing was found where a creation may have been made. Where asking twice makes two, it is
    /// looked for until the cloud must have made up its mind.
    fn not_found(&mut self, step: usize) {
        let settle = self.settings.settle;
        let run = &self.runs[&step];
        let since = run.sought.unwrap_or_else(Instant::now);
        let patient = !self.schema(&run.address).repeatable && since.elapsed() < settle;
        self.run(step).sought = Some(since);
        if patient {
            let pause = (settle / 5).max(Duration::from_millis(200));
            self.paused.push(Reverse((Instant::now() + pause, step)));
        } else {
            self.enter(step, Phase::Create);
        }
    }

    fn created(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let schema = self.schema(&address);
        let status = match (schema.configures, schema.ready) {
            (true, _) => Status::Created,
            (false, Some(_)) => Status::Configured,
            (false, None) => Status::Ready,
        };
        self.record(Entry::Created { address, outputs, status });
        self.frontier.created(step);
        match status {
            Status::Created => self.enter(step, Phase::Configure),
            Status::Configured => self.enter(step, Phase::Ready),
            _ => self.done(step),
        }
    }

    fn configured(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let changed = self.state.resources[&address].outputs != outputs;
        if matches!(self.plan.steps[step].op, Op::Update { .. }) {
            return self.enter(step, Phase::Update);
        }
        if self.schema(&address).ready.is_some() {
            let outputs = changed.then_some(outputs);
            self.record(Entry::Advanced { address, status: Status::Configured, outputs });
            self.enter(step, Phase::Ready);
        } else {
            self.settled(step, changed.then_some(outputs));
        }
    }

    fn advanced(&mut self, step: usize, outputs: Value) {
        let address = self.runs[&step].address.clone();
        let changed = self.state.resources[&address].outputs != outputs;
        if self.schema(&address).ready.is_none() {
            return self.settled(step, changed.then_some(outputs));
        }
        if changed {
            let (status, outputs) = (Status::Updating, Some(outputs));
            self.record(Entry::Advanced { address, status, outputs });
        }
        self.enter(step, Phase::Ready);
    }

    /// It is as it should be.
    fn settled(&mut self, step: usize, outputs: Option<Value>) {
        let address = self.runs[&step].address.clone();
        self.record(Entry::Advanced { address, status: Status::Ready, outputs });
        self.done(step);
    }

    fn done(&mut self, step: usize) {
        let Some(run) = self.runs.remove(&step) else { return };
        let name = self.plan.steps[step].op.name();
        match name.action {
            StepAction::Create | StepAction::Finish => self.summary.added += 1,
            StepAction::Update => self.summary.changed += 1,
            StepAction::Delete => self.summary.destroyed += 1,
        }
        let record = self.state.record_of(&run.address, run.generation);
        let id = record.and_then(|record| id(&record.outputs));
        self.frontier.done(step);
        self.events.push(Event::StepFinished { step: name, id, elapsed_ms: millis(run.started) });
    }

    // What fails.

    /// A call did not go through: again after a pause if that may help, else the step has failed.
    fn refused(&mut self, step: usize, error: ProviderError) {
        let now = Instant::now();
        let run = self.run(step);
        run.failures += 1;
        let lost = error.class == Class::Unknown;
        if lost && run.phase == Phase::Create {
            (run.phase, run.sought, run.lost) = (Phase::Find, Some(now), run.lost + 1);
        }
        let again = match error.class {
            Class::Refused => false,
            Class::Again => now < run.deadline,
            Class::Unknown => run.failures.max(run.lost) < LOST_ANSWERS && now < run.deadline,
        };
        if !again || self.stopping.is_some() {
            return self.failed(step, &error);
        }
        let run = &self.runs[&step];
        let after = error.after.unwrap_or_else(|| pause(&run.address, run.failures));
        self.paused.push(Reverse((now + after, step)));
        self.events.push(Event::StepRetrying {
            step: self.plan.steps[step].op.name(),
            error: Fault::from(&error),
            after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
        });
    }

    fn failed(&mut self, step: usize, error: &ProviderError) {
        let Some(run) = self.runs.remove(&step) else { return };
        if run.phase == Phase::Create && run.lost == 0 {
            self.record(Entry::CreateRefused { address: run.address.clone() });
        }
        self.summary.failed += 1;
        self.events.push(Event::StepFailed {
            step: self.plan.steps[step].op.name(),
            error: Fault::from(error),
            elapsed_ms: millis(run.started),
        });
        for skipped in self.frontier.failed(step) {
            self.summary.skipped += 1;
            let step = self.plan.steps[skipped].op.name();
            self.events.push(Event::StepSkipped { step, because: run.address.clone() });
        }
    }
}

/// What takes time.
impl Walk<'_> {
    /// Moves a step to its next phase; a wait joins the look of its kind.
    fn enter(&mut self, step: usize, phase: Phase) {
        let now = Instant::now();
        let patience = self.settings.patience;
        let run = self.run(step);
        (run.phase, run.failures) = (phase, 0);
        if run.lost == 0 {
            run.deadline = now + patience;
        }
        let address = run.address.clone();
        if !phase.waits() {
            return self.proceed(step);
        }
        let schema = self.schema(&address);
        let wait = if phase == Phase::Gone { schema.gone } else { schema.ready };
        let Some(wait) = wait else { return self.settled(step, None) };
        self.run(step).deadline = now + Duration::from_secs(wait.within_seconds.into());
        let key = (address.kind().to_owned(), phase == Phase::Gone);
        let first = now + FIRST_LOOK;
        let watch = self.watches.entry(key).or_insert_with(|| Watch {
            steps: Vec::new(),
            next_look: first,
            looking: false,
        });
        watch.steps.push(step);
        watch.next_look = watch.next_look.min(first);
    }

    fn spawn_looks(&mut self) {
        if self.stopping.is_some() {
            return;
        }
        let now = Instant::now();
        let due = self.watches.iter().filter(|(_, watch)| !watch.looking && watch.next_look <= now);
        let due: Vec<_> = due.map(|(key, _)| key.clone()).collect();
        for key in due {
            self.spawn_look(key);
        }
    }

    fn spawn_look(&mut self, key: (String, bool)) {
        let Some(watch) = self.watches.get_mut(&key) else { return };
        watch.looking = true;
        let steps = watch.steps.clone();
        let waiting: Vec<Known> = steps.iter().map(|step| self.known(&self.runs[step])).collect();
        let provider = Arc::clone(&self.cloud.provider);
        let (kind, gone) = key.clone();
        let task = Task::Look { watch: key, steps };
        let about = task.clone();
        let handle = self.tasks.spawn(async move {
            let looks = if gone {
                provider.gone(kind, waiting).await
            } else {
                provider.ready(kind, waiting).await
            };
            Answer { task, reply: Reply::Look(looks) }
        });
        self.about.insert(handle.id(), about);
    }

    fn looked(
        &mut self,
        key: &(String, bool),
        steps: &[usize],
        looks: Result<Vec<Look>, ProviderError>,
    ) {
        let now = Instant::now();
        let every = self.interval(key);
        if let Some(watch) = self.watches.get_mut(key) {
            watch.looking = false;
            watch.next_look = now + every;
            watch.steps.retain(|step| !steps.contains(step));
        }
        if self.stopping.is_some() {
            return;
        }
        match looks {
            Ok(looks) => {
                for (&step, look) in steps.iter().zip(looks) {
                    self.seen(key, step, look);
                }
            }
            Err(error) if error.class == Class::Refused => {
                steps.iter().for_each(|&step| self.failed(step, &error));
            }
            Err(error) => {
                let word = format!("could not look: {error}");
                steps.iter().for_each(|&step| self.still_waits(key, step, &word));
            }
        }
        if self.watches.get(key).is_some_and(|watch| watch.steps.is_empty()) {
            self.watches.remove(key);
        }
    }

    fn seen(&mut self, key: &(String, bool), step: usize, look: Look) {
        match look {
            Look::NotYet(word) => self.still_waits(key, step, &word),
            Look::Failed(error) => self.failed(step, &error),
            Look::Done(_) if key.1 => {
                let run = &self.runs[&step];
                let (address, generation) = (run.address.clone(), run.generation);
                self.record(Entry::Deleted { address, generation });
                self.done(step);
            }
            Look::Done(outputs) => {
                let known = &self.state.resources[&self.runs[&step].address].outputs;
                let changed = *known != outputs;
                self.settled(step, changed.then_some(outputs));
            }
        }
    }

    fn still_waits(&mut self, key: &(String, bool), step: usize, word: &str) {
        let now = Instant::now();
        let run = self.run(step);
        if now >= run.deadline {
            let error = too_long(run, word);
            return self.failed(step, &error);
        }
        let said = run.said.as_ref();
        if said.is_none_or(|(last, at)| last != word || now - *at >= HEARTBEAT) {
            run.said = Some((word.to_owned(), now));
            let elapsed_ms = millis(run.started);
            let (step, word) = (self.plan.steps[step].op.name(), word.to_owned());
            self.events.push(Event::StepWaiting { step, word, elapsed_ms });
        }
        let next_look = now + self.interval(key);
        let watch = self.watches.entry(key.clone()).or_insert_with(|| Watch {
            steps: Vec::new(),
            next_look,
            looking: false,
        });
        watch.steps.push(step);
    }

    fn interval(&self, (kind, gone): &(String, bool)) -> Duration {
        let schema = self.cloud.provider.schema(kind);
        let wait = schema.and_then(|schema| if *gone { schema.gone } else { schema.ready });
        Duration::from_secs(wait.map_or(5, |wait| wait.every_seconds).into())
    }
}

/// Small questions.
impl Walk<'_> {
    fn spawn_call(&mut self, step: usize, call: Call) {
        self.calls_in_flight += 1;
        let provider = Arc::clone(&self.cloud.provider);
        let task = Task::Call(step);
        let handle = self
            .tasks
            .spawn(async move { Answer { task, reply: Reply::Call(call.make(&*provider).await) } });
        self.about.insert(handle.id(), Task::Call(step));
    }

    fn run(&mut self, step: usize) -> &mut Run {
        self.runs
            .get_mut(&step)
            .unwrap_or_else(|| unreachable!("BUG: step {step} is not under way"))
    }

    fn schema(&self, address: &Address) -> &'static Schema {
        self.cloud
            .provider
            .schema(address.kind())
            .unwrap_or_else(|| unreachable!("BUG: {address} is of a kind that nobody knows"))
    }

    /// What the state has of the life that a step is about.
    fn living(&self, run: &Run) -> Option<&Record> {
        self.state.record_of(&run.address, run.generation)
    }

    /// What has the address of a step, whichever life it is.
    fn recorded(&self, run: &Run) -> &Record {
        self.living(run).unwrap_or_else(|| &self.state.resources[&run.address])
    }

    fn known(&self, run: &Run) -> Known {
        known(&self.state, &run.address, self.recorded(run))
    }

    fn request(&self, run: &Run) -> Request {
        Request {
            address: run.address.clone(),
            token: self.state.token(&run.address, run.generation),
            inputs: run.inputs.clone(),
            secrets: Arc::clone(&self.cloud.secrets),
        }
    }
}

impl Answer {
    fn panicked(task: Task) -> Self {
        let error = ProviderError::new(Class::Unknown, "provider", "it panicked (a bug of ours)");
        let reply = match task {
            Task::Call(_) => Reply::Call(Err(error)),
            Task::Look { .. } => Reply::Look(Err(error)),
        };
        Self { task, reply }
    }
}

fn too_long(run: &Run, word: &str) -> ProviderError {
    let seconds = (run.deadline - run.started).as_secs();
    let message = format!("still {word} after {seconds} s");
    ProviderError::new(Class::Refused, "wait", message)
        .with_hint("what was made is recorded: run the same command again to go on waiting")
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
