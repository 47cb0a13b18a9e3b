//! State machine of one step: decides what follows from each result.
//!
//! Pure: no I/O, no clock, no provider, no task. The executor passes results in, with the time and
//! the state, and performs the returned effects in order.
//!
//! ```text
//!   Create, new                                        Create ─▶ Configure ─▶ Wait(Ready)
//!   Create, result lost or token consumed   Create ─▶ Find ─┬─▶ Configure or Wait(Ready)
//!                                                           ├─▶ as an update that is not finished
//!                                                           └─▶ Create
//!   Create, recorded and not seen           Recheck ─┬─▶ Configure, Wait(Ready), or done
//!                                                    └─▶ Create
//!   Create, replaces one in doubt           FindDeposed ─▶ Create
//!   Finish                                             Configure ─▶ Wait(Ready)
//!   Update                                                          Update ─▶ Wait(Ready)
//!   Update, not finished before       Configure ─▶ Wait(Ready) ─▶ Update ─▶ Wait(Ready)
//!   Delete                                  FindDoomed ─▶ Delete ─▶ Wait(Deleted)
//! ```
//!
//! Each operation skips the phases that its kind does not have.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::ApplySettings;
use super::call::{Call, Reply};
use super::error::StepError;
use crate::event::{Event, ReportedError};
use crate::graph::{Address, Schema, Wait, resolve};
use crate::plan::decide::{IDENTITY, id};
use crate::plan::diff::{FieldChange, diff};
use crate::plan::{Op, Plan, PriorObject};
use crate::provider::{Cause, ErrorClass, Poll, ProviderError, RecordedResource, Request};
use crate::refresh::recorded_resource;
use crate::secret::Secrets;
use crate::state::{Entry, Record, RecordStatus, State};

/// Maximum number of attempts that end with an ambiguous error.
const AMBIGUOUS_ATTEMPTS: u32 = 6;
/// Delay of the first poll: short, and long enough to include other resources of the kind.
const FIRST_POLL: Duration = Duration::from_millis(250);
/// Interval at which an unchanged wait is reported again.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Step in progress.
#[derive(Debug)]
pub(super) struct StepMachine<'p> {
    op: &'p Op,
    /// Schema of the kind; `None` for a kind that the provider does not know.
    schema: Option<&'static Schema>,
    limits: Limits,
    /// Generation of the object.
    generation: u64,
    /// Inputs with all references resolved; `null` for a deletion.
    inputs: Value,
    /// Live inputs of a resource that is changed in place; `None` for other steps.
    before: Option<Value>,
    /// True if the change in place is announced.
    is_update_announced: bool,
    /// Start of the step.
    started: Duration,
    /// Next phase, or the phase in progress.
    phase: Phase,
    /// Number of consecutive failures of the current call.
    failures: u32,
    /// Number of create calls with an ambiguous error: the object may exist without a response.
    ambiguous_creates: u32,
    /// Error that reported the token as consumed.
    token_error: Option<ProviderError>,
    /// End of the retry budget; during a wait, the time at which the wait fails.
    deadline: Duration,
    /// Time of the first of consecutive failures whose retries have a limit.
    limited_since: Option<Duration>,
    /// Start of the search for an object that was not found so far.
    searching_since: Option<Duration>,
    /// Last reported status of the wait, and the time of the report.
    last_progress: Option<(String, Duration)>,
    /// Effects of the current input.
    effects: Vec<Effect>,
}

/// Limits of one step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Retry budget of a call.
    patience: Duration,
    /// Maximum time of a wait; `None` means the maximum of the kind.
    wait: Option<Duration>,
    /// Time to search for a resource that may exist and is not visible yet.
    settle: Duration,
    /// Generation of all resources that the plan creates.
    plan_generation: u64,
}

impl Limits {
    /// Returns the limits of a step of this plan.
    pub(super) fn new(op: &Op, plan: &Plan, settings: &ApplySettings) -> Self {
        let patience = match op {
            Op::Delete { .. } => settings.patience_to_delete,
            _ => settings.patience,
        };
        let ApplySettings { wait, settle, .. } = *settings;
        Self { patience, wait, settle, plan_generation: plan.generation }
    }
}

/// Surroundings of an input.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'s> {
    /// State, with the entries of all earlier effects.
    pub(super) state: &'s State,
    /// Time since the start of the execution. Calls of an earlier run were sent before it.
    pub(super) now: Duration,
    /// True after a shutdown request: no further call is sent.
    pub(super) stopping: bool,
}

/// Input of a step.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// The call succeeded.
    Replied(Reply),
    /// The call failed.
    Failed(StepError),
    /// A poll succeeded. Contains the result for this step's resource.
    Polled(Poll),
    /// A poll failed as a whole.
    PollFailed(StepError),
    /// The announced call was withdrawn before it was sent, because of a shutdown.
    Withdrawn,
}

/// Effect that the executor performs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Effect {
    /// Record an entry. Calls and events of later effects wait until it is durable.
    Append(Entry),
    /// Emit an event.
    Emit(Event),
    /// Send the next call as soon as there is room for it.
    Send,
    /// Send the next call after a pause.
    SendAfter(Duration),
    /// Join the next poll of the kind.
    Poll {
        /// Condition to wait for.
        wait: WaitFor,
        /// Time until the poll.
        after: Duration,
    },
    /// Start the steps that need only the object of this one.
    ReleaseDependents,
    /// End the step as done.
    Finish,
    /// End the step as failed.
    Fail(StepError),
}

/// Condition that a step waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum WaitFor {
    /// The resource is ready.
    Ready,
    /// The resource does not exist any more.
    Deleted,
}

impl WaitFor {
    fn limits(self, schema: &Schema) -> Option<Wait> {
        match self {
            WaitFor::Ready => schema.ready,
            WaitFor::Deleted => schema.gone,
        }
    }

    /// Returns the interval between two polls of a kind.
    pub(super) fn interval(self, schema: Option<&Schema>) -> Duration {
        let limits = schema.and_then(|schema| self.limits(schema));
        Duration::from_secs(limits.map_or(5, |limits| limits.every_seconds).into())
    }
}

/// Phase of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Searches for a recorded resource that refresh did not find, before a replacement is created.
    Recheck,
    /// Searches for the result of a creation in doubt.
    Find,
    /// Searches for the result of a creation in doubt that a new resource replaces, because only a
    /// recorded result can be deposed.
    FindDeposed,
    /// Sends the create call.
    Create,
    /// Sends the calls that follow the create call.
    Configure,
    /// Sends the update call.
    Update,
    /// Searches for a resource of uncertain existence before its deletion.
    FindDoomed,
    /// Sends the delete call.
    Delete,
    /// Polls instead of sending a call.
    Wait(WaitFor),
    /// The step is done or has failed.
    Ended,
}

impl<'p> StepMachine<'p> {
    /// Begins a step. Returns the machine with its first effects.
    pub(super) fn begin(
        op: &'p Op,
        schema: Option<&'static Schema>,
        limits: Limits,
        at: &Context<'_>,
    ) -> (Self, Vec<Effect>) {
        let step = op.name();
        let mut machine = Self {
            op,
            schema,
            limits,
            generation: step.generation,
            inputs: inputs(op, schema, at.state),
            before: match op {
                Op::Update { before, .. } => Some(before.clone()),
                _ => None,
            },
            is_update_announced: false,
            started: at.now,
            phase: first_phase(op, schema, at.state),
            failures: 0,
            ambiguous_creates: 0,
            token_error: None,
            deadline: at.now + limits.patience,
            limited_since: None,
            searching_since: None,
            last_progress: None,
            effects: Vec::new(),
        };
        machine.emit(Event::StepStarted { step });
        if ends_protected(op, at.state) {
            machine.fail(StepError::Protected, at);
        } else {
            machine.announce();
            machine.enter(machine.phase, at);
        }
        let effects = std::mem::take(&mut machine.effects);
        (machine, effects)
    }

    /// Handles an input. Returns the effects, in order.
    pub(super) fn on(&mut self, input: Input, at: &Context<'_>) -> Vec<Effect> {
        match input {
            Input::Replied(reply) => self.replied(reply, at),
            Input::Failed(error) => self.call_failed(error, at),
            Input::Polled(look) => self.polled(look, at),
            Input::PollFailed(error) => self.poll_failed(error, at),
            Input::Withdrawn => self.withdrawn(),
        }
        std::mem::take(&mut self.effects)
    }

    // Calls.

    /// Returns the call of the current phase.
    pub(super) fn call(&self, state: &State, secrets: &Arc<Secrets>) -> Call {
        let address = self.address();
        let request = Request {
            address: address.clone(),
            token: state.token(address, self.generation),
            inputs: self.inputs.clone(),
            secrets: Arc::clone(secrets),
            revert: Vec::new(),
        };
        // The search for a recorded resource uses its own token and inputs.
        let recorded = |request: Request| {
            let record = self.recorded(state);
            let token = state.token(address, record.generation);
            Request { token, inputs: record.inputs.clone(), ..request }
        };
        match self.phase {
            Phase::Recheck | Phase::Find | Phase::FindDeposed => Call::Find(recorded(request)),
            Phase::FindDoomed => Call::Remains(recorded(request)),
            Phase::Create => Call::Create(request),
            Phase::Configure => {
                let record = state.record_of(address, self.generation);
                Call::Configure(request, record.map_or(Value::Null, |it| it.outputs.clone()))
            }
            Phase::Update => {
                let before = self.before.clone().unwrap_or_default();
                let known = RecordedResource { inputs: before, ..self.recorded_resource(state) };
                let revert = match self.op {
                    Op::Update { revert, .. } => revert.clone(),
                    _ => Vec::new(),
                };
                Call::Update(Request { revert, ..request }, known)
            }
            Phase::Delete => Call::Delete(self.recorded_resource(state)),
            Phase::Wait(_) | Phase::Ended => unreachable!("BUG: {address} has no call to send"),
        }
    }

    /// Returns the recorded resource, as polls and calls need it.
    pub(super) fn recorded_resource(&self, state: &State) -> RecordedResource {
        recorded_resource(state, self.address(), self.recorded(state))
    }

    // Results of calls.

    fn replied(&mut self, reply: Reply, at: &Context<'_>) {
        self.failures = 0;
        self.limited_since = None;
        match (self.phase, reply) {
            (Phase::Recheck, Reply::Found(None)) => self.recreate_or_skip(at),
            (Phase::Recheck, Reply::Found(Some(outputs))) => self.still_there(&outputs, at),
            (Phase::Find, Reply::Found(None)) => self.not_found(at),
            (Phase::Find, Reply::Found(Some(outputs))) => self.adopt(outputs, at),
            (Phase::FindDeposed, Reply::Found(None)) => {
                if !self.search_again(at) {
                    self.fail(StepError::Disappeared, at);
                }
            }
            (Phase::FindDeposed, Reply::Found(Some(outputs))) => {
                let (address, status) = (self.address().clone(), RecordStatus::Created);
                self.append(Entry::Created { address, outputs, status });
                self.announce_replacement();
                self.enter(Phase::Create, at);
            }
            (Phase::Create, Reply::Outputs(outputs)) => self.created(outputs, at),
            (Phase::Configure, Reply::Outputs(outputs)) => self.configured(outputs, at),
            (Phase::Update, Reply::Outputs(outputs)) => self.updated(outputs, at),
            (Phase::FindDoomed, Reply::Found(None)) => {
                if !self.search_again(at) {
                    self.finish_absent_delete(at);
                }
            }
            (Phase::FindDoomed, Reply::Found(Some(outputs))) => self.doomed_found(outputs, at),
            (Phase::Delete, Reply::Deleted) if self.schema().gone.is_some() => {
                self.enter(Phase::Wait(WaitFor::Deleted), at);
            }
            (Phase::Delete, Reply::Deleted) => self.deleted(at),
            (phase, reply) => unreachable!("BUG: {phase:?} was answered with {reply:?}"),
        }
    }

    /// Handles a resource that refresh missed and that is visible after all. With the planned
    /// inputs, its old generation continues. Otherwise the step fails, because the plan was made
    /// from incomplete live state.
    fn still_there(&mut self, outputs: &Value, at: &Context<'_>) {
        let record = &at.state.resources[self.address()];
        if let Some(error) = another_resource(&record.outputs, outputs) {
            return self.fail(error, at);
        }
        // An announced change may not have taken effect, and only a new plan can compare.
        if record.inputs != self.inputs || record.status == RecordStatus::Updating {
            return self.fail(StepError::PlanOutdated, at);
        }
        self.generation = record.generation;
        self.effects.push(Effect::ReleaseDependents);
        match record.status {
            RecordStatus::Created if self.schema().configures => self.enter(Phase::Configure, at),
            RecordStatus::Created | RecordStatus::Configured if self.schema().ready.is_some() => {
                self.enter(Phase::Wait(WaitFor::Ready), at);
            }
            _ => self.settled(None, at),
        }
    }

    /// Handles a recorded resource that is not found. A replacement is created only after the
    /// settle time, because a call with another token could create a duplicate.
    fn recreate_or_skip(&mut self, at: &Context<'_>) {
        if !self.search_again(at) {
            self.append(Entry::Vanished { address: self.address().clone() });
            self.announce_creation();
            self.enter(Phase::Create, at);
        }
    }

    /// Handles a search that found no resource of a creation in doubt. The search continues for the
    /// settle time if a repeated call could create a second resource, or if the next call has
    /// another token.
    fn not_found(&mut self, at: &Context<'_>) {
        let same = self.token_error.is_none() && self.recorded(at.state).inputs == self.inputs;
        if !(same && self.schema().identity.is_idempotent()) && self.search_again(at) {
            return;
        }
        if same {
            self.enter(Phase::Create, at);
        } else if matches!(self.op, Op::Create { found: Some(_), .. }) && self.token_error.is_none()
        {
            // Another token could create a duplicate of the resource that refresh has seen.
            self.fail(StepError::Disappeared, at);
        } else {
            self.start_new_generation(at);
        }
    }

    /// Continues with the resource of a creation in doubt. The resource has the recorded inputs of
    /// that creation, so planned inputs that differ from these are applied in the same step.
    ///
    /// A difference that cannot be applied in place fails the step, because the plan promised other
    /// inputs. The resource is recorded, and the next plan replaces it or shows the difference.
    fn adopt(&mut self, outputs: Value, at: &Context<'_>) {
        let record = self.recorded(at.state);
        let schema = self.schema();
        if matches!(self.op, Op::Create { found: Some(_), .. }) {
            // The plan has shown these differences as ignored.
            keep_create_only(&mut self.inputs, &record.inputs, schema);
        }
        let differences = diff(schema.comparison_rules(), Some(&record.inputs), Some(&self.inputs));
        let Op::Create { address, after, found, .. } = self.op else {
            unreachable!("BUG: only a creation searches for its result");
        };
        if differences.is_empty() {
            let is_relinked = record.after != *after;
            self.inputs = record.inputs.clone();
            if is_relinked {
                let (address, after) = (address.clone(), after.clone());
                self.append(Entry::DependenciesUpdated { address, after });
            }
            return self.created(outputs, at);
        }
        let status = status_of_new(schema);
        let is_outdated = differences
            .iter()
            .map(FieldChange::input)
            .any(|input| schema.force_new.contains(&input) || schema.create_only.contains(&input));
        self.before = Some(found.clone().unwrap_or_else(|| record.inputs.clone()));
        self.append(Entry::Created { address: address.clone(), outputs, status });
        if is_outdated {
            return self.fail(StepError::PlanOutdated, at);
        }
        let phase = first_phase_of_update(schema, status);
        self.announce_update(phase);
        self.enter(phase, at);
    }

    /// Starts a new generation with a new token. Other inputs must not use the old token, and a
    /// consumed token creates nothing.
    ///
    /// A creation that this run requested first already has this run's generation. Such a step
    /// fails, and the next run has another generation.
    fn start_new_generation(&mut self, at: &Context<'_>) {
        self.append(Entry::Vanished { address: self.address().clone() });
        let generation = self.limits.plan_generation;
        if let Some(error) = self.token_error.take()
            && self.generation == generation
        {
            let hint = "run the same command again, which repeats the creation with a new token";
            return self.fail(StepError::Provider(error.with_hint(hint)), at);
        }
        (self.generation, self.ambiguous_creates) = (generation, 0);
        self.announce_creation();
        self.enter(Phase::Create, at);
    }

    /// Schedules another search after a pause. Returns false after the settle time, which begins
    /// with the ambiguous error; for creations of an earlier run, it begins with this run.
    fn search_again(&mut self, at: &Context<'_>) -> bool {
        let settle = self.limits.settle;
        let since = *self.searching_since.get_or_insert(Duration::ZERO);
        let again = at.now.saturating_sub(since) < settle;
        if again {
            let pause = (settle / 5).max(Duration::from_millis(200));
            self.effects.push(Effect::SendAfter(pause));
        }
        again
    }

    fn created(&mut self, outputs: Value, at: &Context<'_>) {
        let status = status_of_new(self.schema());
        let id = id(&outputs);
        self.append(Entry::Created { address: self.address().clone(), outputs, status });
        self.effects.push(Effect::ReleaseDependents);
        match status {
            RecordStatus::Created => self.enter(Phase::Configure, at),
            RecordStatus::Configured => self.enter(Phase::Wait(WaitFor::Ready), at),
            _ => self.finish(id, at),
        }
    }

    fn configured(&mut self, outputs: Value, at: &Context<'_>) {
        if self.is_update_announced {
            return self.enter(Phase::Update, at);
        }
        let outputs = self.if_changed(outputs, at);
        if self.schema().ready.is_some() {
            self.advance(RecordStatus::Configured, outputs);
            self.enter(Phase::Wait(WaitFor::Ready), at);
        } else {
            self.settled(outputs, at);
        }
    }

    fn updated(&mut self, outputs: Value, at: &Context<'_>) {
        let outputs = self.if_changed(outputs, at);
        if self.schema().ready.is_none() {
            return self.settled(outputs, at);
        }
        if outputs.is_some() {
            self.advance(RecordStatus::Updating, outputs);
        }
        self.enter(Phase::Wait(WaitFor::Ready), at);
    }

    /// Handles a resource of uncertain existence that exists, so that a deletion is needed.
    fn doomed_found(&mut self, outputs: Value, at: &Context<'_>) {
        let address = self.address().clone();
        let record = self.recorded(at.state);
        if let Some(error) = another_resource(&record.outputs, &outputs) {
            return self.fail(error, at);
        }
        if record.status == RecordStatus::Creating {
            let (address, status) = (address.clone(), RecordStatus::Created);
            self.append(Entry::Created { address, outputs, status });
        }
        self.append(Entry::DeleteStarted { address, generation: self.generation });
        self.enter(Phase::Delete, at);
    }

    /// Handles a resource to delete that does not exist and that refresh did not find either.
    fn finish_absent_delete(&mut self, at: &Context<'_>) {
        self.append(Entry::Vanished { address: self.address().clone() });
        self.finish(None, at);
    }

    fn deleted(&mut self, at: &Context<'_>) {
        let (address, generation) = (self.address().clone(), self.generation);
        self.append(Entry::Deleted { address, generation });
        self.finish(None, at);
    }

    // Failures of calls.

    /// Schedules a retry if one can help, and fails the step otherwise.
    fn call_failed(&mut self, error: StepError, at: &Context<'_>) {
        match (&error, self.phase) {
            // The next run continues the step from this phase.
            (StepError::Shutdown(_), _) => return,
            (StepError::Provider(spent), Phase::Create)
                if spent.class == ErrorClass::TokenConsumed =>
            {
                return self.token_consumed(spent.clone(), at);
            }
            // Another resource has the name now, so the recorded resource is gone.
            (StepError::Provider(taken), Phase::FindDoomed) if taken.cause == Cause::NotOurs => {
                return self.finish_absent_delete(at);
            }
            _ => (),
        }
        self.failures += 1;
        let class = error.class();
        if class == ErrorClass::Ambiguous && self.phase == Phase::Create {
            self.phase = Phase::Find;
            self.searching_since = Some(at.now);
            self.ambiguous_creates += 1;
        }
        let attempts = self.failures.max(self.ambiguous_creates);
        let again = match class {
            ErrorClass::Permanent | ErrorClass::TokenConsumed => false,
            ErrorClass::Retryable => at.now < self.deadline,
            ErrorClass::Ambiguous => attempts < AMBIGUOUS_ATTEMPTS && at.now < self.deadline,
        };
        if self.is_within_limit(&error, at) && again && !at.stopping {
            let pause = error.retry_after().unwrap_or_else(|| pause(self.address(), self.failures));
            self.effects.push(Effect::SendAfter(pause));
            return self.retrying(&error, pause);
        }
        // A withheld call may be the second call of a creation, and the first call may have taken
        // effect.
        let is_withheld = matches!(error, StepError::Fenced(_));
        if self.phase == Phase::Create && self.ambiguous_creates == 0 && !is_withheld {
            self.append(Entry::CreateRefused { address: self.address().clone() });
        }
        self.fail(error, at);
    }

    /// Returns false after the maximum time for retries of this error.
    fn is_within_limit(&mut self, error: &StepError, at: &Context<'_>) -> bool {
        let Some(within) = error.retry_within() else {
            self.limited_since = None;
            return true;
        };
        let since = *self.limited_since.get_or_insert(at.now);
        at.now.saturating_sub(since) < within
    }

    /// Searches for the resource that the consumed token created. If none is found, a new
    /// generation begins.
    fn token_consumed(&mut self, error: ProviderError, at: &Context<'_>) {
        if at.stopping {
            return self.fail(StepError::Provider(error), at);
        }
        (self.phase, self.searching_since) = (Phase::Find, Some(at.now));
        self.retrying(&StepError::Provider(error.clone()), Duration::ZERO);
        self.token_error = Some(error);
        self.effects.push(Effect::Send);
    }

    /// Handles the withdrawal of an announced call. A creation without an earlier call has
    /// certainly created nothing.
    fn withdrawn(&mut self) {
        let is_first = self.ambiguous_creates == 0 && !self.op.is_asked_for_already();
        if self.phase == Phase::Create && is_first {
            self.append(Entry::CreateRefused { address: self.address().clone() });
        }
    }

    // Polls.

    fn polled(&mut self, look: Poll, at: &Context<'_>) {
        self.limited_since = None;
        match (look, self.phase) {
            (Poll::Pending(status), _) => self.still_waits(status, at),
            (Poll::Failed(error), _) => self.fail(error.into(), at),
            (Poll::Ready(_), Phase::Wait(WaitFor::Deleted)) => self.deleted(at),
            (Poll::Ready(outputs), _) if self.before.is_some() && !self.is_update_announced => {
                let outputs = self.if_changed(outputs, at);
                self.advance(RecordStatus::Ready, outputs);
                self.announce_update(Phase::Update);
                self.enter(Phase::Update, at);
            }
            (Poll::Ready(outputs), _) => {
                let outputs = self.if_changed(outputs, at);
                self.settled(outputs, at);
            }
        }
    }

    fn poll_failed(&mut self, error: StepError, at: &Context<'_>) {
        if error.class() == ErrorClass::Permanent || !self.is_within_limit(&error, at) {
            self.fail(error, at);
        } else {
            self.still_waits(format!("poll failed: {error}"), at);
        }
    }

    fn still_waits(&mut self, status: String, at: &Context<'_>) {
        if at.now >= self.deadline {
            let after = self.deadline.saturating_sub(self.started);
            return self.fail(StepError::TimedOut { status, after }, at);
        }
        let is_news = self.last_progress.as_ref().is_none_or(|(last, reported)| {
            *last != status || at.now.saturating_sub(*reported) >= HEARTBEAT
        });
        if is_news {
            self.last_progress = Some((status.clone(), at.now));
            let (step, elapsed_ms) = (self.op.name(), self.elapsed_ms(at));
            self.emit(Event::StepWaiting { step, word: status, elapsed_ms });
        }
        let Phase::Wait(wait) = self.phase else {
            unreachable!("BUG: a step in {:?} was polled", self.phase);
        };
        self.effects.push(Effect::Poll { wait, after: wait.interval(self.schema) });
    }

    // Transitions.

    /// Records the intent of the first call.
    fn announce(&mut self) {
        match (self.op, self.phase) {
            (Op::Create { prior: PriorObject::Deposed, .. }, Phase::Create) => {
                self.announce_replacement();
            }
            (Op::Create { .. }, Phase::Create) => self.announce_creation(),
            (Op::Finish { .. }, _) => self.effects.push(Effect::ReleaseDependents),
            (Op::Update { .. }, phase) => self.announce_update(phase),
            (Op::Delete { address, generation, .. }, Phase::Delete) => {
                let (address, generation) = (address.clone(), *generation);
                self.append(Entry::DeleteStarted { address, generation });
            }
            // A search changes nothing. Its result decides about the announcement.
            (Op::Create { .. } | Op::Delete { .. }, _) => {}
        }
    }

    /// Records that the new resource takes the address of the old one.
    fn announce_replacement(&mut self) {
        self.append(Entry::Deposed { address: self.address().clone() });
        self.announce_creation();
    }

    fn announce_creation(&mut self) {
        let Op::Create { address, after, .. } = self.op else {
            unreachable!("BUG: only a creation announces one");
        };
        self.append(Entry::CreateStarted {
            address: address.clone(),
            generation: self.generation,
            inputs: self.inputs.clone(),
            after: after.clone(),
        });
    }

    /// Records the intent of the change in place, unless the resource must be ready before it.
    ///
    /// The calls of [`Phase::Configure`] have the new inputs, too. Without a wait in between, the
    /// announcement precedes them.
    fn announce_update(&mut self, phase: Phase) {
        let (Op::Create { address, after, .. } | Op::Update { address, after, .. }) = self.op
        else {
            unreachable!("BUG: only a creation and an update change in place");
        };
        if phase == Phase::Update || self.schema().ready.is_none() {
            let (address, after, inputs) = (address.clone(), after.clone(), self.inputs.clone());
            let revert = match self.op {
                Op::Update { revert, .. } => revert.clone(),
                _ => Vec::new(),
            };
            self.append(Entry::UpdateStarted { address, inputs, after, revert });
            self.is_update_announced = true;
        }
    }

    /// Moves to the next phase. A kind without readiness is ready at once.
    fn enter(&mut self, phase: Phase, at: &Context<'_>) {
        self.phase = phase;
        if self.ambiguous_creates == 0 {
            self.deadline = at.now + self.limits.patience;
        }
        let Phase::Wait(wait) = phase else { return self.effects.push(Effect::Send) };
        let Some(limits) = wait.limits(self.schema()) else { return self.settled(None, at) };
        let within = Duration::from_secs(limits.within_seconds.into());
        self.deadline = at.now + self.limits.wait.unwrap_or(within);
        self.effects.push(Effect::Poll { wait, after: FIRST_POLL });
    }

    /// Records that the resource is ready, and ends the step.
    fn settled(&mut self, outputs: Option<Value>, at: &Context<'_>) {
        let recorded = || at.state.record_of(self.address(), self.generation);
        let id = outputs.as_ref().or_else(|| recorded().map(|it| &it.outputs)).and_then(id);
        self.advance(RecordStatus::Ready, outputs);
        self.finish(id, at);
    }

    fn finish(&mut self, id: Option<String>, at: &Context<'_>) {
        self.phase = Phase::Ended;
        let (step, elapsed_ms) = (self.op.name(), self.elapsed_ms(at));
        self.emit(Event::StepFinished { step, id, elapsed_ms });
        self.effects.push(Effect::Finish);
    }

    fn fail(&mut self, error: StepError, at: &Context<'_>) {
        self.phase = Phase::Ended;
        let (step, elapsed_ms) = (self.op.name(), self.elapsed_ms(at));
        self.emit(Event::StepFailed { step, error: ReportedError::from(&error), elapsed_ms });
        self.effects.push(Effect::Fail(error));
    }

    fn retrying(&mut self, error: &StepError, pause: Duration) {
        let (step, error) = (self.op.name(), ReportedError::from(error));
        self.emit(Event::StepRetrying { step, error, after_ms: millis(pause) });
    }

    fn advance(&mut self, status: RecordStatus, outputs: Option<Value>) {
        self.append(Entry::Advanced { address: self.address().clone(), status, outputs });
    }

    fn append(&mut self, entry: Entry) {
        self.effects.push(Effect::Append(entry));
    }

    fn emit(&mut self, event: Event) {
        self.effects.push(Effect::Emit(event));
    }

    // Accessors.

    fn address(&self) -> &'p Address {
        self.op.address()
    }

    fn schema(&self) -> &'static Schema {
        self.schema.unwrap_or_else(|| unreachable!("BUG: {} is of an unknown kind", self.address()))
    }

    /// Returns the record of the step's generation or, without one, the current record of its
    /// address.
    fn recorded<'s>(&self, state: &'s State) -> &'s Record {
        let address = self.address();
        state.record_of(address, self.generation).unwrap_or_else(|| &state.resources[address])
    }

    /// Returns the outputs if they differ from the recorded ones.
    fn if_changed(&self, outputs: Value, at: &Context<'_>) -> Option<Value> {
        (at.state.resources[self.address()].outputs != outputs).then_some(outputs)
    }

    fn elapsed_ms(&self, at: &Context<'_>) -> u64 {
        millis(at.now.saturating_sub(self.started))
    }
}

/// Returns an error if both outputs identify a resource and these differ. A search by token and name
/// must not end with a call about another, recorded ID.
fn another_resource(recorded: &Value, found: &Value) -> Option<StepError> {
    let differs = |name: &&str| {
        let (recorded, found) = (recorded.get(name)?.as_str()?, found.get(name)?.as_str()?);
        let another = || StepError::AnotherResource {
            recorded: recorded.to_owned(),
            found: found.to_owned(),
        };
        (recorded != found).then(another)
    };
    IDENTITY.iter().find_map(differs)
}

/// Returns the status of a resource of the kind after its create call.
fn status_of_new(schema: &Schema) -> RecordStatus {
    match (schema.configures, schema.ready) {
        (true, _) => RecordStatus::Created,
        (false, Some(_)) => RecordStatus::Configured,
        (false, None) => RecordStatus::Ready,
    }
}

/// Returns the inputs of an operation with all references resolved.
fn inputs(op: &Op, schema: Option<&Schema>, state: &State) -> Value {
    match op {
        Op::Create { inputs, .. } => resolve(inputs, &|r| state.lookup(r).cloned()),
        Op::Update { address, inputs, .. } => {
            let mut inputs = resolve(inputs, &|r| state.lookup(r).cloned());
            if let Some(schema) = schema {
                keep_create_only(&mut inputs, &state.resources[address].inputs, schema);
            }
            inputs
        }
        Op::Finish { address, .. } => state.resources[address].inputs.clone(),
        Op::Delete { .. } => Value::Null,
    }
}

/// Sets the create-only inputs to the recorded ones. A change in place does not apply them, and the
/// record must show what the resource has.
fn keep_create_only(inputs: &mut Value, recorded: &Value, schema: &Schema) {
    let (Some(inputs), Some(recorded)) = (inputs.as_object_mut(), recorded.as_object()) else {
        return;
    };
    for name in schema.create_only {
        if let (Some(input), Some(recorded)) = (inputs.get_mut(*name), recorded.get(*name)) {
            *input = recorded.clone();
        }
    }
}

/// Returns true if the operation ends a protected object. The plan reports protection before the
/// user's confirmation, but the state decides at the time of the call.
fn ends_protected(op: &Op, state: &State) -> bool {
    let ends = matches!(op, Op::Delete { .. } | Op::Create { prior: PriorObject::Deposed, .. });
    ends && state.protected.contains(op.address())
}

fn first_phase(op: &Op, schema: Option<&'static Schema>, state: &State) -> Phase {
    let configures = schema.is_some_and(|schema| schema.configures);
    match op {
        Op::Create { prior: PriorObject::CreateInDoubt, .. } => Phase::Find,
        Op::Create { prior: PriorObject::DeletedOutside, .. } => Phase::Recheck,
        Op::Create { prior: PriorObject::Deposed, address, .. }
            if state.resources[address].status == RecordStatus::Creating =>
        {
            Phase::FindDeposed
        }
        Op::Create { .. } => Phase::Create,
        Op::Finish { address, .. } => {
            if configures && state.resources[address].status != RecordStatus::Configured {
                Phase::Configure
            } else {
                Phase::Wait(WaitFor::Ready)
            }
        }
        Op::Update { address, .. } => match schema {
            Some(schema) => first_phase_of_update(schema, state.resources[address].status),
            None => Phase::Update,
        },
        Op::Delete { address, generation, unseen } => {
            let in_doubt = |record: &Record| match record.status {
                RecordStatus::Creating => true,
                // An announced deletion means that the object was found before.
                status => *unseen && status != RecordStatus::Deleting,
            };
            if state.record_of(address, *generation).is_some_and(in_doubt) {
                Phase::FindDoomed
            } else {
                Phase::Delete
            }
        }
    }
}

/// Returns the first phase of a change in place. A resource whose creation is not finished is
/// finished first: EC2 changes the metadata options of running and stopped instances only.
fn first_phase_of_update(schema: &Schema, status: RecordStatus) -> Phase {
    match status {
        RecordStatus::Created if schema.configures => Phase::Configure,
        RecordStatus::Created | RecordStatus::Configured if schema.ready.is_some() => {
            Phase::Wait(WaitFor::Ready)
        }
        _ => Phase::Update,
    }
}

/// Returns the pause before a retry, which doubles from one second up to fifteen. The pause also
/// varies by address, so that many failed calls are not repeated at the same moment. No randomness:
/// equal runs have equal pauses.
fn pause(address: &Address, failures: u32) -> Duration {
    let base = 1000u64 << failures.saturating_sub(1).min(4);
    let spread = address.as_str().bytes().fold(u64::from(failures), |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    Duration::from_millis(base.min(15_000) * 3 / 4 + spread % (base.min(15_000) / 2))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
