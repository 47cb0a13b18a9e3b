//! Tests of the step machine: inputs in, effects out, without a runtime and without a provider.

use serde_json::json;

use super::*;
use crate::test_support::harness::KINDS;

const SETTLE: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(180);
/// Generation of the plan.
const NEW: u64 = 5;

/// A step with the state that its entries produce, and a clock that only the test moves.
struct Bench<'p> {
    state: State,
    machine: StepMachine<'p>,
    now: Duration,
    stopping: bool,
    /// Effects of the last input.
    effects: Vec<Effect>,
}

impl<'p> Bench<'p> {
    fn begin(op: &'p Op, state: State) -> Self {
        Self::begin_at(op, state, Duration::ZERO)
    }

    fn begin_at(op: &'p Op, state: State, now: Duration) -> Self {
        let schema = KINDS.iter().find(|schema| schema.kind == op.address().kind());
        let limits =
            Limits { patience: PATIENCE, wait: None, settle: SETTLE, plan_generation: NEW };
        let at = Context { state: &state, now, stopping: false };
        let (machine, effects) = StepMachine::begin(op, schema, limits, &at);
        let mut bench = Self { state, machine, now, stopping: false, effects: Vec::new() };
        bench.refuse_protected(effects);
        bench
    }

    /// Passes an input to the machine. Returns the names of the effects.
    fn on(&mut self, input: Input) -> Vec<String> {
        let at = Context { state: &self.state, now: self.now, stopping: self.stopping };
        let effects = self.machine.on(input, &at);
        self.refuse_protected(effects);
        self.names()
    }

    /// Applies the entries, as the executor does. An illegal history fails the test.
    fn refuse_protected(&mut self, effects: Vec<Effect>) {
        for effect in &effects {
            if let Effect::Append(entry) = effect {
                self.state.record(entry).unwrap();
            }
        }
        self.effects = effects;
    }

    fn names(&self) -> Vec<String> {
        self.effects.iter().map(name).collect()
    }

    fn call(&self) -> Call {
        self.machine.call(&self.state, &Arc::default())
    }

    fn replied(&mut self, id: &str) -> Vec<String> {
        self.on(Input::Replied(Reply::Outputs(json!({ "id": id }))))
    }

    fn found(&mut self, id: &str) -> Vec<String> {
        self.on(Input::Replied(Reply::Found(Some(json!({ "id": id })))))
    }

    fn not_found(&mut self) -> Vec<String> {
        self.on(Input::Replied(Reply::Found(None)))
    }

    fn deleted(&mut self) -> Vec<String> {
        self.on(Input::Replied(Reply::Deleted))
    }

    fn failed(&mut self, class: ErrorClass) -> Vec<String> {
        self.on(Input::Failed(error(class).into()))
    }

    fn failed_because(&mut self, class: ErrorClass, cause: Cause) -> Vec<String> {
        self.on(Input::Failed(error(class).with_cause(cause).into()))
    }

    fn pending(&mut self, status: &str) -> Vec<String> {
        self.on(Input::Polled(Poll::Pending(status.to_owned())))
    }

    fn ready(&mut self, id: &str) -> Vec<String> {
        self.on(Input::Polled(Poll::Ready(json!({ "id": id }))))
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now += Duration::from_secs(seconds);
        self
    }

    /// Repeats a search until the machine does something else. Returns that, and the time of it.
    fn search_in_vain(&mut self) -> (Vec<String>, Duration) {
        loop {
            let names = self.not_found();
            let [Effect::SendAfter(pause)] = self.effects[..] else { return (names, self.now) };
            self.now += pause;
        }
    }

    fn error(&self) -> &StepError {
        match self.effects.last() {
            Some(Effect::Fail(error)) => error,
            other => panic!("it did not fail: {other:?}"),
        }
    }

    fn id(&self) -> Option<&str> {
        self.effects.iter().find_map(|effect| match effect {
            Effect::Emit(Event::StepFinished { id, .. }) => id.as_deref(),
            _ => None,
        })
    }
}

fn name(effect: &Effect) -> String {
    match effect {
        Effect::Append(entry) => entry.name().to_owned(),
        Effect::Emit(Event::StepStarted { .. }) => "says it started".to_owned(),
        Effect::Emit(Event::StepRetrying { .. }) => "says it retries".to_owned(),
        Effect::Emit(Event::StepWaiting { .. }) => "says it waits".to_owned(),
        Effect::Emit(Event::StepFinished { .. }) => "says it finished".to_owned(),
        Effect::Emit(Event::StepFailed { .. }) => "says it failed".to_owned(),
        Effect::Emit(other) => panic!("a step does not emit {other:?}"),
        Effect::Send => "send".to_owned(),
        Effect::SendAfter(_) => "send later".to_owned(),
        Effect::Poll { wait: WaitFor::Ready, after } => format!("poll ready in {after:?}"),
        Effect::Poll { wait: WaitFor::Deleted, after } => format!("poll deleted in {after:?}"),
        Effect::ReleaseDependents => "release".to_owned(),
        Effect::Finish => "finish".to_owned(),
        Effect::Fail(_) => "fail".to_owned(),
    }
}

fn error(class: ErrorClass) -> ProviderError {
    ProviderError::new(class, "Call", "told to fail")
}

fn create(kind: &str, prior: PriorObject) -> Op {
    let generation = if prior == PriorObject::CreateInDoubt { 1 } else { NEW };
    let (address, inputs) = (Address::new(kind, "a"), json!({ "size": 1 }));
    Op::Create { address, generation, inputs, after: Vec::new(), prior, found: None }
}

fn update(kind: &str) -> Op {
    let (address, after) = (Address::new(kind, "a"), Vec::new());
    let (before, inputs) = (json!({ "size": 1 }), json!({ "size": 2 }));
    Op::Update { address, generation: 1, before, inputs, after, revert: vec![] }
}

fn finish(kind: &str) -> Op {
    Op::Finish { address: Address::new(kind, "a"), generation: 1 }
}

fn delete(kind: &str, unseen: bool) -> Op {
    Op::Delete { address: Address::new(kind, "a"), generation: 1, unseen }
}

fn nothing() -> State {
    State::new("bench".to_owned())
}

/// Returns a state with a creation in doubt of generation 1.
fn in_doubt(kind: &str, inputs: Value) -> State {
    let (address, after) = (Address::new(kind, "a"), Vec::new());
    let mut state = nothing();
    state.record(&Entry::CreateStarted { address, generation: 1, inputs, after }).unwrap();
    state
}

/// Returns a state with a resource of generation 1.
fn recorded(kind: &str, status: RecordStatus) -> State {
    let (address, outputs) = (Address::new(kind, "a"), json!({ "id": "old" }));
    let mut state = in_doubt(kind, json!({ "size": 1 }));
    state.record(&Entry::Created { address, outputs, status }).unwrap();
    state
}

fn protected(kind: &str) -> State {
    let mut state = recorded(kind, RecordStatus::Ready);
    state.record(&Entry::Protected { address: Address::new(kind, "a") }).unwrap();
    state
}

/// Returns the token that a call sends.
fn token(call: &Call) -> &str {
    match call {
        Call::Find(request)
        | Call::Remains(request)
        | Call::Create(request)
        | Call::Configure(request, _)
        | Call::Update(request, _) => &request.token,
        Call::Delete(known) => &known.token,
    }
}

// Creation.

#[test]
fn create_is_announced_before_its_call_is_queued() {
    let op = create("node", PriorObject::Nothing);
    let bench = Bench::begin(&op, nothing());
    assert_eq!(bench.names(), ["says it started", "create_started", "send"]);
    assert!(matches!(bench.call(), Call::Create(_)));
    assert_eq!(token(&bench.call()), bench.state.token(op.address(), NEW));
}

#[test]
fn create_that_is_answered_is_done_for_a_kind_without_further_calls() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    assert_eq!(bench.replied("n-1"), ["created", "release", "says it finished", "finish"]);
    assert_eq!(bench.id(), Some("n-1"));
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Ready);
}

#[test]
fn create_that_is_answered_is_configured_next() {
    let op = create("stepped", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    assert_eq!(bench.replied("n-1"), ["created", "release", "send"]);
    let Call::Configure(_, outputs) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!(outputs, json!({ "id": "n-1" }));
    assert_eq!(bench.replied("n-1"), ["advanced", "says it finished", "finish"]);
}

#[test]
fn create_waits_last_and_releases_its_dependents_first() {
    let op = create("early", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    assert_eq!(bench.replied("n-1"), ["created", "release", "send"]);
    assert_eq!(bench.replied("n-1"), ["advanced", "poll ready in 250ms"]);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Configured);
    assert_eq!(bench.ready("n-1"), ["advanced", "says it finished", "finish"]);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Ready);
}

#[test]
fn create_that_is_rejected_created_nothing() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    assert_eq!(bench.failed(ErrorClass::Permanent), ["create_refused", "says it failed", "fail"]);
    assert!(bench.state.resources.is_empty());
}

#[test]
fn create_before_destroy_deposes_the_old_object_and_gets_it_back_after_a_rejection() {
    let op = create("first", PriorObject::Deposed);
    let mut bench = Bench::begin(&op, recorded("first", RecordStatus::Ready));
    assert_eq!(bench.names(), ["says it started", "deposed", "create_started", "send"]);
    assert_eq!(bench.failed(ErrorClass::Permanent), ["create_refused", "says it failed", "fail"]);
    assert_eq!(bench.state.resources[op.address()].generation, 1);
}

/// Returns the operation and the state of a replacement of a creation in doubt.
fn replacement_of_one_in_doubt() -> (Op, State) {
    (create("first", PriorObject::Deposed), in_doubt("first", json!({ "size": 1 })))
}

#[test]
fn create_before_destroy_records_the_result_of_a_creation_in_doubt_before_it_deposes_it() {
    let (op, state) = replacement_of_one_in_doubt();
    let mut bench = Bench::begin(&op, state);
    assert_eq!(bench.names(), ["says it started", "send"]);
    let Call::Find(request) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!(request.token, bench.state.token(op.address(), 1));
    assert_eq!(bench.found("old"), ["created", "deposed", "create_started", "send"]);
    assert!(matches!(bench.call(), Call::Create(_)));
    assert_eq!(bench.state.deposed[op.address()][0].outputs, json!({ "id": "old" }));
}

#[test]
fn create_before_destroy_of_a_creation_in_doubt_that_disappears_records_nothing() {
    let (op, state) = replacement_of_one_in_doubt();
    let mut bench = Bench::begin(&op, state.clone());
    let (names, at) = bench.search_in_vain();
    assert_eq!((names.len(), at), (2, SETTLE));
    assert_eq!(*bench.error(), StepError::Disappeared);
    assert_eq!(bench.state, state);
}

#[test]
fn create_resolves_its_references_when_it_begins() {
    let (address, after) = (Address::from("node.a"), Vec::new());
    let inputs = json!({ "vpc": { "$ref": "first.a", "output": "id" } });
    let op = Op::Create {
        address,
        generation: NEW,
        inputs,
        after,
        prior: PriorObject::Nothing,
        found: None,
    };
    let bench = Bench::begin(&op, recorded("first", RecordStatus::Ready));
    let Call::Create(request) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!(request.inputs, json!({ "vpc": "old" }));
}

// Ambiguous results.

#[test]
fn lost_create_is_searched_and_found() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    assert_eq!(bench.failed(ErrorClass::Ambiguous), ["send later", "says it retries"]);
    assert!(matches!(bench.call(), Call::Find(_)));
    assert_eq!(token(&bench.call()), bench.state.token(op.address(), NEW));
    assert_eq!(bench.found("n-1"), ["created", "release", "says it finished", "finish"]);
}

#[test]
fn lost_create_is_repeated_at_once_where_two_calls_create_one_resource() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.failed(ErrorClass::Ambiguous);
    assert_eq!(bench.not_found(), ["send"], "the announcement of the first call still holds");
    assert!(matches!(bench.call(), Call::Create(_)));
}

#[test]
fn lost_create_is_searched_for_the_settle_time_where_two_calls_create_two() {
    let op = create("tagged", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.after(100).failed(ErrorClass::Ambiguous);
    let (names, at) = bench.search_in_vain();
    assert_eq!(names, ["send"]);
    assert_eq!(at, Duration::from_secs(100) + SETTLE, "from the lost answer, not the beginning");
    assert!(matches!(bench.call(), Call::Create(_)));
}

#[test]
fn lost_create_found_within_the_settle_time_is_not_repeated() {
    let op = create("tagged", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.failed(ErrorClass::Ambiguous);
    assert_eq!(bench.not_found(), ["send later"]);
    assert_eq!(bench.after(3).found("n-1")[0], "created");
}

#[test]
fn lost_create_is_never_recorded_as_rejected_by_a_later_answer() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.failed(ErrorClass::Ambiguous);
    bench.not_found();
    assert_eq!(bench.failed(ErrorClass::Permanent), ["says it failed", "fail"]);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Creating);
}

#[test]
fn lost_create_whose_search_is_rejected_stays_in_doubt() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.failed(ErrorClass::Ambiguous);
    assert_eq!(bench.failed(ErrorClass::Permanent), ["says it failed", "fail"]);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Creating);
}

#[test]
fn lost_create_keeps_its_first_deadline() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.after(170).failed(ErrorClass::Ambiguous);
    bench.after(5).not_found();
    assert_eq!(bench.after(5).failed(ErrorClass::Retryable), ["says it failed", "fail"]);
}

#[test]
fn ambiguous_results_end_after_six_attempts() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    for attempt in 1..6 {
        assert_eq!(
            bench.failed(ErrorClass::Ambiguous),
            ["send later", "says it retries"],
            "{attempt}"
        );
        bench.not_found();
    }
    assert_eq!(bench.failed(ErrorClass::Ambiguous), ["says it failed", "fail"]);
}

#[test]
fn a_panic_of_the_provider_is_ambiguous() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    let names = bench.on(Input::Failed(StepError::Panicked));
    assert_eq!(names, ["send later", "says it retries"]);
    assert!(matches!(bench.call(), Call::Find(_)));
}

#[test]
fn a_lost_update_is_repeated_without_a_search() {
    let op = update("node");
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.failed(ErrorClass::Ambiguous), ["send later", "says it retries"]);
    assert!(matches!(bench.call(), Call::Update(..)));
}

// Retries.

#[test]
fn a_retryable_error_repeats_the_same_call() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    for _ in 0..40 {
        assert_eq!(bench.after(4).failed(ErrorClass::Retryable), ["send later", "says it retries"]);
        assert!(matches!(bench.call(), Call::Create(_)));
    }
}

#[test]
fn a_retryable_error_after_the_deadline_fails_and_created_nothing() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.now = PATIENCE;
    assert_eq!(bench.failed(ErrorClass::Retryable), ["create_refused", "says it failed", "fail"]);
}

#[test]
fn a_retry_waits_as_long_as_the_cloud_suggests() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    let after = Some(Duration::from_secs(20));
    bench.on(Input::Failed(ProviderError { after, ..error(ErrorClass::Retryable) }.into()));
    assert_eq!(bench.effects[0], Effect::SendAfter(Duration::from_secs(20)));
    let Effect::Emit(Event::StepRetrying { after_ms, .. }) = bench.effects[1] else {
        panic!("{:?}", bench.effects);
    };
    assert_eq!(after_ms, 20_000);
}

#[test]
fn an_error_that_retries_do_not_end_is_repeated_within_its_own_limit() {
    let limited = || error(ErrorClass::Retryable).with_limit(Duration::from_secs(60));
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    for _ in 0..3 {
        bench.after(19).on(Input::Failed(limited().into()));
        assert!(matches!(bench.effects[0], Effect::SendAfter(_)), "{:?}", bench.effects);
    }
    // Another error between them: what they are about has changed.
    bench.after(19).failed(ErrorClass::Retryable);
    bench.after(19).on(Input::Failed(limited().into()));
    assert!(matches!(bench.effects[0], Effect::SendAfter(_)), "{:?}", bench.effects);
    bench.after(60).on(Input::Failed(limited().into()));
    assert_eq!(bench.error(), &StepError::Provider(limited()));
}

#[test]
fn polls_that_fail_for_ever_end_with_the_error_of_the_cloud() {
    let limited = || error(ErrorClass::Ambiguous).with_limit(Duration::from_secs(60));
    let op = create("slow", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.replied("s-1");
    bench.on(Input::PollFailed(limited().into()));
    bench.after(59).on(Input::PollFailed(limited().into()));
    assert!(!bench.names().contains(&"fail".to_owned()), "{:?}", bench.names());
    // One poll that succeeds begins the time anew.
    bench.after(1).pending("pending");
    bench.after(5).on(Input::PollFailed(limited().into()));
    bench.after(59).on(Input::PollFailed(limited().into()));
    assert!(!bench.names().contains(&"fail".to_owned()), "{:?}", bench.names());
    bench.after(1).on(Input::PollFailed(limited().into()));
    assert_eq!(bench.error(), &StepError::Provider(limited()));
}

#[test]
fn each_phase_has_a_retry_budget_of_its_own() {
    let op = create("stepped", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.after(179).replied("n-1");
    assert_eq!(bench.after(179).failed(ErrorClass::Retryable), ["send later", "says it retries"]);
    assert_eq!(bench.after(1).failed(ErrorClass::Retryable), ["says it failed", "fail"]);
}

#[test]
fn pauses_grow_to_a_bound_and_differ_between_steps() {
    let (a, b) = (Address::from("vpc.main"), Address::from("subnet.a"));
    assert_eq!(pause(&a, 3), pause(&a, 3));
    assert_ne!(pause(&a, 3), pause(&b, 3));
    for failures in 1..40 {
        let pause = pause(&a, failures);
        assert!(pause >= Duration::from_millis(750) && pause < Duration::from_millis(18_750));
    }
}

#[test]
fn deletions_have_a_retry_budget_of_their_own() {
    let (create, delete) = (create("node", PriorObject::Nothing), delete("node", false));
    let cloud = crate::test_support::FakeProvider::new(KINDS, Duration::ZERO);
    let options = crate::plan::PlanOptions::default();
    let none = crate::plan::LiveState::new();
    let plan = crate::plan::plan_destroy(&nothing(), &none, &cloud, &options);
    let wait = Some(Duration::from_secs(7));
    let settings = ApplySettings { wait, ..ApplySettings::default() };
    let limits = |op| Limits::new(op, &plan, &settings);
    assert_eq!((limits(&create).wait, limits(&delete).wait), (wait, wait));
    assert_eq!(limits(&create).patience, settings.patience);
    assert_eq!(limits(&delete).patience, settings.patience_to_delete);
}

#[test]
fn only_consecutive_failures_count() {
    let op = create("node", PriorObject::DeletedOutside);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    for _ in 0..2 {
        for _ in 1..6 {
            assert_eq!(bench.failed(ErrorClass::Ambiguous), ["send later", "says it retries"]);
        }
        assert_eq!(bench.not_found(), ["send later"]);
    }
}

// Consumed tokens.

#[test]
fn a_consumed_token_is_searched_at_once_and_its_resource_is_taken() {
    let op = create("machine", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    assert_eq!(bench.failed(ErrorClass::TokenConsumed), ["says it retries", "send"]);
    assert!(matches!(bench.call(), Call::Find(_)));
    assert_eq!(bench.found("i-1"), ["created", "release", "says it finished", "finish"]);
    assert_eq!(bench.state.resources[op.address()].generation, NEW);
}

#[test]
fn a_consumed_token_of_this_run_fails_with_a_hint_and_frees_the_address() {
    let op = create("machine", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.failed(ErrorClass::TokenConsumed);
    let (names, at) = bench.search_in_vain();
    assert_eq!(
        (names, at),
        (["vanished", "says it failed", "fail"].map(str::to_owned).into(), SETTLE)
    );
    let StepError::Provider(error) = bench.error() else { panic!("{:?}", bench.error()) };
    assert_eq!(error.class, ErrorClass::TokenConsumed);
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("run the same command again")));
    assert!(bench.state.resources.is_empty());
}

#[test]
fn a_consumed_token_of_an_earlier_run_begins_a_new_generation() {
    let op = create("machine", PriorObject::CreateInDoubt);
    let mut bench = Bench::begin(&op, in_doubt("machine", json!({ "size": 1 })));
    assert_eq!(bench.not_found(), ["send"], "the same token creates one resource");
    let first = token(&bench.call()).to_owned();
    assert_eq!(bench.failed(ErrorClass::TokenConsumed), ["says it retries", "send"]);
    assert_eq!(bench.search_in_vain().0, ["vanished", "create_started", "send"]);
    assert_ne!(token(&bench.call()), first);
    assert_eq!(bench.state.resources[op.address()].generation, NEW);
}

#[test]
fn a_new_generation_forgets_the_ambiguous_results_of_the_old_one() {
    let op = create("machine", PriorObject::CreateInDoubt);
    let mut bench = Bench::begin(&op, in_doubt("machine", json!({ "size": 1 })));
    bench.not_found();
    bench.failed(ErrorClass::Ambiguous);
    bench.not_found();
    bench.failed(ErrorClass::TokenConsumed);
    assert_eq!(bench.search_in_vain().0, ["vanished", "create_started", "send"]);
    assert_eq!(bench.failed(ErrorClass::Permanent), ["create_refused", "says it failed", "fail"]);
}

// Creations in doubt of an earlier run.

#[test]
fn in_doubt_is_searched_before_anything_is_recorded() {
    let op = create("tagged", PriorObject::CreateInDoubt);
    let bench = Bench::begin(&op, in_doubt("tagged", json!({ "size": 1 })));
    assert_eq!(bench.names(), ["says it started", "send"]);
    let Call::Find(request) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!(request.token, bench.state.token(op.address(), 1));
}

#[test]
fn in_doubt_is_brought_to_the_planned_inputs_in_the_same_step() {
    let op = create("stepped", PriorObject::CreateInDoubt);
    let mut bench = Bench::begin(&op, in_doubt("stepped", json!({ "size": 7 })));
    assert_eq!(bench.found("n-1"), ["created", "update_started", "send"]);
    let Call::Configure(request, outputs) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!((&request.inputs, &outputs), (&json!({ "size": 1 }), &json!({ "id": "n-1" })));
    assert_eq!(bench.replied("n-1"), ["send"]);
    let Call::Update(request, known) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!((request.inputs, known.inputs), (json!({ "size": 1 }), json!({ "size": 7 })));
    assert_eq!(bench.replied("n-1"), ["advanced", "says it finished", "finish"]);
    assert_eq!(bench.state.resources[op.address()].inputs, json!({ "size": 1 }));
}

#[test]
fn in_doubt_that_refresh_found_is_changed_from_its_live_inputs() {
    let op = Op::Create {
        address: "slow.a".into(),
        generation: 1,
        inputs: json!({ "size": 1 }),
        after: Vec::new(),
        prior: PriorObject::CreateInDoubt,
        found: Some(json!({ "size": 6 })),
    };
    let mut bench = Bench::begin(&op, in_doubt("slow", json!({ "size": 7 })));
    assert_eq!(bench.found("n-1"), ["created", "poll ready in 250ms"]);
    assert_eq!(bench.ready("n-1"), ["advanced", "update_started", "send"]);
    let Call::Update(_, known) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!(known.inputs, json!({ "size": 6 }));
    assert_eq!(bench.replied("n-1"), ["poll ready in 250ms"]);
    assert_eq!(bench.ready("n-1"), ["advanced", "says it finished", "finish"]);
}

#[test]
fn in_doubt_with_a_difference_that_cannot_be_made_in_place_fails_the_step() {
    for input in ["fixed", "image"] {
        let op = create("node", PriorObject::CreateInDoubt);
        let recorded = json!({ "size": 1, input: 1 });
        let Op::Create { inputs, .. } = &op else { unreachable!() };
        let mut wanted = inputs.clone();
        wanted[input] = 2.into();
        let op = Op::Create {
            address: op.address().clone(),
            generation: 1,
            inputs: wanted,
            after: Vec::new(),
            prior: PriorObject::CreateInDoubt,
            found: None,
        };
        let mut bench = Bench::begin(&op, in_doubt("node", recorded.clone()));
        assert_eq!(bench.found("n-1"), ["created", "says it failed", "fail"], "{input}");
        assert_eq!(*bench.error(), StepError::PlanOutdated);
        assert_eq!(bench.state.resources[op.address()].inputs, recorded, "{input}");
    }
}

#[test]
fn in_doubt_that_refresh_found_and_no_search_finds_gets_no_second_resource() {
    let op = Op::Create {
        address: "node.a".into(),
        generation: 1,
        inputs: json!({ "size": 1 }),
        after: Vec::new(),
        prior: PriorObject::CreateInDoubt,
        found: Some(json!({ "size": 7 })),
    };
    let mut bench = Bench::begin(&op, in_doubt("node", json!({ "size": 7 })));
    assert_eq!(bench.search_in_vain().0, ["says it failed", "fail"]);
    assert_eq!(*bench.error(), StepError::Disappeared);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Creating);
}

#[test]
fn in_doubt_with_other_dependencies_alone_gets_them_recorded() {
    let op = Op::Create {
        address: "node.a".into(),
        generation: 1,
        inputs: json!({ "size": 1 }),
        after: vec!["node.b".into()],
        prior: PriorObject::CreateInDoubt,
        found: None,
    };
    let mut bench = Bench::begin(&op, in_doubt("node", json!({ "size": 1 })));
    let names = bench.found("n-1");
    assert_eq!(names, ["relinked", "created", "release", "says it finished", "finish"]);
}

#[test]
fn an_update_records_the_create_only_inputs_that_the_resource_has() {
    let op = Op::Update {
        address: "node.a".into(),
        generation: 1,
        before: json!({ "size": 1, "image": 1 }),
        inputs: json!({ "size": 2, "image": 2 }),
        after: Vec::new(),
        revert: Vec::new(),
    };
    let mut state = in_doubt("node", json!({ "size": 1, "image": 1 }));
    let (address, outputs) = (op.address().clone(), json!({ "id": "n-1" }));
    state.record(&Entry::Created { address, outputs, status: RecordStatus::Ready }).unwrap();
    let bench = Bench::begin(&op, state);
    let record = &bench.state.resources[op.address()];
    assert_eq!(record.inputs, json!({ "size": 2, "image": 1 }));
}

#[test]
fn in_doubt_is_searched_from_the_start_of_the_run_on() {
    let op = create("tagged", PriorObject::CreateInDoubt);
    let state = in_doubt("tagged", json!({ "size": 1 }));
    let mut bench = Bench::begin_at(&op, state, SETTLE);
    assert_eq!(bench.not_found(), ["send"], "the call was sent before the run started");
    assert!(matches!(bench.call(), Call::Create(_)));
}

#[test]
fn in_doubt_with_other_inputs_begins_a_new_generation_after_the_settle_time() {
    let op = create("node", PriorObject::CreateInDoubt);
    let mut bench = Bench::begin(&op, in_doubt("node", json!({ "size": 7 })));
    let (names, at) = bench.search_in_vain();
    assert_eq!(names, ["vanished", "create_started", "send"]);
    assert_eq!(at, SETTLE);
    assert_eq!(token(&bench.call()), bench.state.token(op.address(), NEW));
}

// Resources that refresh did not find.

#[test]
fn a_missing_resource_is_searched_before_it_is_replaced() {
    let op = create("node", PriorObject::DeletedOutside);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.names(), ["says it started", "send"]);
    assert_eq!(token(&bench.call()), bench.state.token(op.address(), 1));
    let (names, at) = bench.search_in_vain();
    assert_eq!(names, ["vanished", "create_started", "send"]);
    assert_eq!(at, SETTLE);
    assert!(matches!(bench.call(), Call::Create(_)));
}

#[test]
fn a_missing_resource_that_is_there_after_all_keeps_its_generation() {
    let op = create("node", PriorObject::DeletedOutside);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.found("old"), ["release", "advanced", "says it finished", "finish"]);
    assert_eq!(bench.state.resources[op.address()].generation, 1);
    assert_eq!(bench.id(), Some("old"));
}

#[test]
fn a_missing_resource_that_is_there_after_all_continues_where_it_was() {
    let op = create("stepped", PriorObject::DeletedOutside);
    let mut bench = Bench::begin(&op, recorded("stepped", RecordStatus::Created));
    assert_eq!(bench.found("old"), ["release", "send"]);
    assert!(matches!(bench.call(), Call::Configure(..)));
    assert_eq!(token(&bench.call()), bench.state.token(op.address(), 1));
}

#[test]
fn a_missing_resource_that_is_there_after_all_is_not_ready_before_it_is() {
    let op = create("slow", PriorObject::DeletedOutside);
    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Configured));
    let names = bench.found("old");
    assert!(!names.iter().any(|name| name == "advanced" || name == "finish"), "{names:?}");
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Configured);
}

#[test]
fn a_missing_resource_whose_change_was_announced_outdates_the_plan() {
    let op = create("node", PriorObject::DeletedOutside);
    let mut state = recorded("node", RecordStatus::Ready);
    let record = &state.resources[op.address()];
    let (address, inputs) = (op.address().clone(), record.inputs.clone());
    let (after, revert) = (Vec::new(), Vec::new());
    state.record(&Entry::UpdateStarted { address, inputs, after, revert }).unwrap();
    let mut bench = Bench::begin(&op, state);
    assert_eq!(bench.found("old"), ["says it failed", "fail"]);
}

#[test]
fn a_missing_resource_that_is_there_after_all_and_differs_outdates_the_plan() {
    let op = create("node", PriorObject::DeletedOutside);
    let mut state = in_doubt("node", json!({ "size": 7 }));
    let (address, outputs) = (op.address().clone(), json!({ "id": "old" }));
    state.record(&Entry::Created { address, outputs, status: RecordStatus::Ready }).unwrap();
    let mut bench = Bench::begin(&op, state);
    assert_eq!(bench.found("old"), ["says it failed", "fail"]);
    assert_eq!(*bench.error(), StepError::PlanOutdated);
}

// Unfinished creations, and updates.

#[test]
fn finish_continues_with_the_calls_after_the_creation() {
    let op = finish("stepped");
    let mut bench = Bench::begin(&op, recorded("stepped", RecordStatus::Created));
    assert_eq!(bench.names(), ["says it started", "release", "send"]);
    assert!(matches!(bench.call(), Call::Configure(..)));
    assert_eq!(bench.replied("new"), ["advanced", "says it finished", "finish"]);
    assert_eq!(bench.id(), Some("new"));
}

#[test]
fn finish_of_a_configured_resource_only_waits() {
    let op = finish("slow");
    let bench = Bench::begin(&op, recorded("slow", RecordStatus::Configured));
    assert_eq!(bench.names(), ["says it started", "release", "poll ready in 250ms"]);
}

#[test]
fn finish_of_a_kind_without_a_wait_is_done_at_once() {
    let op = finish("node");
    let bench = Bench::begin(&op, recorded("node", RecordStatus::Created));
    let expected = ["says it started", "release", "advanced", "says it finished", "finish"];
    assert_eq!(bench.names(), expected);
    assert_eq!(bench.id(), Some("old"));
}

#[test]
fn update_is_announced_and_knows_the_live_inputs() {
    let op = update("node");
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.names(), ["says it started", "update_started", "send"]);
    let Call::Update(request, before) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!((request.inputs, before.inputs), (json!({ "size": 2 }), json!({ "size": 1 })));
    assert_eq!(bench.replied("old"), ["advanced", "says it finished", "finish"]);
    assert_eq!(bench.id(), Some("old"), "unchanged outputs are not recorded again");
}

#[test]
fn update_records_new_outputs_before_it_waits() {
    let op = update("slow");
    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Ready));
    assert_eq!(bench.replied("new"), ["advanced", "poll ready in 250ms"]);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Updating);
    assert_eq!(bench.ready("new"), ["advanced", "says it finished", "finish"]);

    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Ready));
    assert_eq!(bench.replied("old"), ["poll ready in 250ms"], "nothing to record");
}

#[test]
fn update_of_an_unconfigured_resource_configures_it_first() {
    let op = update("stepped");
    let mut bench = Bench::begin(&op, recorded("stepped", RecordStatus::Created));
    assert!(matches!(bench.call(), Call::Configure(..)));
    assert_eq!(bench.replied("old"), ["send"]);
    assert!(matches!(bench.call(), Call::Update(..)));
}

#[test]
fn update_of_a_configured_resource_does_not_configure_it_again() {
    let op = update("stepped");
    let bench = Bench::begin(&op, recorded("stepped", RecordStatus::Ready));
    assert!(matches!(bench.call(), Call::Update(..)));
}

// Deletion.

#[test]
fn delete_is_announced_and_recorded() {
    let op = delete("node", false);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.names(), ["says it started", "delete_started", "send"]);
    assert!(matches!(bench.call(), Call::Delete(_)));
    assert_eq!(bench.deleted(), ["deleted", "says it finished", "finish"]);
    assert_eq!(bench.id(), None);
    assert!(bench.state.resources.is_empty());
}

#[test]
fn delete_waits_until_the_resource_is_gone() {
    let op = delete("slow", false);
    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Ready));
    assert_eq!(bench.deleted(), ["poll deleted in 250ms"]);
    assert_eq!(bench.pending("deleting"), ["says it waits", "poll deleted in 5s"]);
    let gone = bench.on(Input::Polled(Poll::Ready(Value::Null)));
    assert_eq!(gone, ["deleted", "says it finished", "finish"]);
}

#[test]
fn delete_that_is_rejected_keeps_the_record() {
    let op = delete("node", false);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.failed(ErrorClass::Permanent), ["says it failed", "fail"]);
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Deleting);
}

#[test]
fn delete_of_a_protected_resource_announces_nothing_and_sends_nothing() {
    let op = delete("node", false);
    let bench = Bench::begin(&op, protected("node"));
    assert_eq!(bench.names(), ["says it started", "says it failed", "fail"]);
    assert_eq!(*bench.error(), StepError::Protected);
}

#[test]
fn protection_also_prevents_a_replacement_that_creates_first() {
    let op = create("first", PriorObject::Deposed);
    let bench = Bench::begin(&op, protected("first"));
    assert_eq!(bench.names(), ["says it started", "says it failed", "fail"]);
    assert_eq!(*bench.error(), StepError::Protected);
    assert!(bench.state.deposed.is_empty());
}

#[test]
fn protection_allows_an_update() {
    let op = update("node");
    let bench = Bench::begin(&op, protected("node"));
    assert_eq!(bench.names(), ["says it started", "update_started", "send"]);
}

#[test]
fn delete_of_an_unseen_resource_searches_for_the_settle_time_and_forgets_it() {
    let op = delete("node", true);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.names(), ["says it started", "send"]);
    assert!(matches!(bench.call(), Call::Remains(_)));
    let (names, at) = bench.search_in_vain();
    assert_eq!(names, ["vanished", "says it finished", "finish"]);
    assert_eq!(at, SETTLE);
}

#[test]
fn delete_of_an_unseen_resource_that_is_there_is_announced_after_the_search() {
    let op = delete("node", true);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    assert_eq!(bench.found("old"), ["delete_started", "send"]);
    assert!(matches!(bench.call(), Call::Delete(_)));
}

#[test]
fn delete_of_a_creation_in_doubt_records_the_found_resource_first() {
    let op = delete("node", false);
    let mut bench = Bench::begin(&op, in_doubt("node", json!({ "size": 1 })));
    assert_eq!(bench.found("n-1"), ["created", "delete_started", "send"]);
    let Call::Delete(known) = bench.call() else { panic!("{:?}", bench.call()) };
    assert_eq!(known.outputs, json!({ "id": "n-1" }));
}

#[test]
fn delete_of_a_resource_whose_name_another_creation_has_forgets_it() {
    let op = delete("node", true);
    let mut bench = Bench::begin(&op, recorded("node", RecordStatus::Ready));
    let names = bench.failed_because(ErrorClass::Permanent, Cause::NotOurs);
    assert_eq!(names, ["vanished", "says it finished", "finish"]);
}

#[test]
fn delete_that_an_earlier_run_announced_needs_no_search() {
    let op = delete("node", true);
    let mut state = recorded("node", RecordStatus::Ready);
    let address = op.address().clone();
    state.record(&Entry::DeleteStarted { address, generation: 1 }).unwrap();
    let bench = Bench::begin(&op, state);
    assert!(matches!(bench.call(), Call::Delete(_)));
}

#[test]
fn delete_of_an_unknown_kind_fails_with_the_error_of_the_provider() {
    let op = delete("unheard_of", false);
    let mut bench = Bench::begin(&op, recorded("unheard_of", RecordStatus::Ready));
    assert_eq!(bench.failed(ErrorClass::Permanent), ["says it failed", "fail"]);
}

// Fence and shutdown.

#[test]
fn fenced_create_stays_in_doubt() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    let names = bench.failed_because(ErrorClass::Permanent, Cause::Fenced);
    assert_eq!(names, ["says it failed", "fail"], "an earlier call may have been sent");
    assert!(matches!(bench.error(), StepError::Fenced(_)));
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Creating);
}

#[test]
fn fenced_create_with_an_earlier_attempt_is_ambiguous() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    let names = bench.failed_because(ErrorClass::Ambiguous, Cause::Fenced);
    assert_eq!(names, ["send later", "says it retries"]);
    assert!(matches!(bench.call(), Call::Find(_)));
}

#[test]
fn shutdown_leaves_a_withheld_call_to_the_next_run() {
    for class in [ErrorClass::Permanent, ErrorClass::Ambiguous] {
        let op = create("node", PriorObject::Nothing);
        let mut bench = Bench::begin(&op, nothing());
        assert_eq!(bench.failed_because(class, Cause::Shutdown), [""; 0]);
        assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Creating);
    }
}

#[test]
fn shutdown_turns_a_retry_into_a_failure() {
    for (class, expected) in [
        (ErrorClass::Retryable, &["create_refused", "says it failed", "fail"][..]),
        (ErrorClass::Ambiguous, &["says it failed", "fail"]),
        (ErrorClass::TokenConsumed, &["says it failed", "fail"]),
    ] {
        let op = create("node", PriorObject::Nothing);
        let mut bench = Bench::begin(&op, nothing());
        bench.stopping = true;
        assert_eq!(bench.failed(class), expected, "{class:?}");
    }
}

#[test]
fn shutdown_still_records_the_answer_of_a_call_in_flight() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.stopping = true;
    assert_eq!(bench.replied("n-1"), ["created", "release", "says it finished", "finish"]);
}

#[test]
fn withdrawn_first_create_has_created_nothing() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.stopping = true;
    assert_eq!(bench.on(Input::Withdrawn), ["create_refused"]);
    assert!(bench.state.resources.is_empty());
}

#[test]
fn withdrawn_second_create_stays_in_doubt() {
    let op = create("node", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.failed(ErrorClass::Ambiguous);
    bench.not_found();
    assert_eq!(bench.on(Input::Withdrawn), [""; 0]);

    let op = create("node", PriorObject::CreateInDoubt);
    let mut bench = Bench::begin(&op, in_doubt("node", json!({ "size": 1 })));
    bench.not_found();
    assert!(matches!(bench.call(), Call::Create(_)));
    assert_eq!(bench.on(Input::Withdrawn), [""; 0], "an earlier run may have sent it");
}

#[test]
fn withdrawn_delete_and_update_stay_announced() {
    let (delete, update) = (delete("node", false), update("node"));
    for (op, status) in [(&delete, RecordStatus::Deleting), (&update, RecordStatus::Updating)] {
        let mut bench = Bench::begin(op, recorded("node", RecordStatus::Ready));
        assert_eq!(bench.on(Input::Withdrawn), [""; 0]);
        assert_eq!(bench.state.resources[op.address()].status, status);
    }
}

// Waits.

#[test]
fn wait_reports_a_new_status_at_once_and_an_old_one_every_ten_seconds() {
    let op = finish("slow");
    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Configured));
    assert_eq!(bench.pending("pending"), ["says it waits", "poll ready in 5s"]);
    assert_eq!(bench.after(5).pending("pending"), ["poll ready in 5s"]);
    assert_eq!(bench.after(5).pending("pending"), ["says it waits", "poll ready in 5s"]);
    assert_eq!(bench.after(1).pending("starting"), ["says it waits", "poll ready in 5s"]);
}

#[test]
fn wait_that_lasts_too_long_fails_and_taints_nothing() {
    let op = create("slow", PriorObject::Nothing);
    let mut bench = Bench::begin_at(&op, nothing(), Duration::from_secs(30));
    bench.after(2).replied("n-1");
    assert_eq!(bench.after(599).pending("pending"), ["says it waits", "poll ready in 5s"]);
    assert_eq!(bench.after(1).pending("pending"), ["says it failed", "fail"]);
    let after = Duration::from_secs(602);
    assert_eq!(*bench.error(), StepError::TimedOut { status: "pending".into(), after });
    assert_eq!(bench.state.resources[op.address()].status, RecordStatus::Configured);
}

#[test]
fn wait_takes_the_outputs_of_the_poll() {
    let op = finish("slow");
    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Configured));
    bench.ready("new");
    assert_eq!(bench.state.resources[op.address()].outputs, json!({ "id": "new" }));
    assert_eq!(bench.id(), Some("new"));
}

#[test]
fn wait_ends_at_the_maximum_that_the_user_sets() {
    let op = create("slow", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.machine.limits.wait = Some(Duration::from_secs(30));
    bench.replied("n-1");
    assert_eq!(bench.after(29).pending("pending"), ["says it waits", "poll ready in 5s"]);
    assert_eq!(bench.after(1).pending("pending"), ["says it failed", "fail"]);
}

#[test]
fn wait_ends_with_the_failure_that_the_cloud_reports() {
    let op = create("slow", PriorObject::Nothing);
    let mut bench = Bench::begin(&op, nothing());
    bench.replied("n-1");
    let names = bench.on(Input::Polled(Poll::Failed(error(ErrorClass::Permanent))));
    assert_eq!(names, ["says it failed", "fail"], "it was created and is recorded as such");
}

#[test]
fn a_failed_poll_is_repeated_unless_it_is_rejected() {
    let op = finish("slow");
    let mut bench = Bench::begin(&op, recorded("slow", RecordStatus::Configured));
    for error in [
        error(ErrorClass::Ambiguous).into(),
        error(ErrorClass::Retryable).into(),
        StepError::Panicked,
    ] {
        let names = bench.after(1).on(Input::PollFailed(error));
        assert_eq!(names.last().map(String::as_str), Some("poll ready in 5s"));
    }
    let Effect::Emit(Event::StepWaiting { word, .. }) = &bench.effects[0] else {
        panic!("{:?}", bench.effects);
    };
    assert_eq!(word, "poll failed: provider: the provider panicked (a bug)");
    let names = bench.on(Input::PollFailed(error(ErrorClass::Permanent).into()));
    assert_eq!(names, ["says it failed", "fail"]);
}

#[test]
fn the_same_inputs_give_the_same_effects() {
    let run = || {
        let op = create("tagged", PriorObject::Nothing);
        let mut bench = Bench::begin(&op, nothing());
        let mut effects = bench.effects.clone();
        bench.failed(ErrorClass::Ambiguous);
        effects.append(&mut bench.effects);
        bench.search_in_vain();
        effects.append(&mut bench.effects);
        bench.replied("n-1");
        effects.append(&mut bench.effects);
        effects
    };
    assert_eq!(run(), run());
}

// Records that name another resource than the creation token.

#[test]
fn a_recorded_id_that_is_not_the_one_of_the_token_is_neither_deleted_nor_continued() {
    let create = create("node", PriorObject::DeletedOutside);
    for op in [&create, &delete("node", true)] {
        let mut bench = Bench::begin(op, recorded("node", RecordStatus::Ready));
        let before = bench.state.clone();
        assert_eq!(bench.found("another"), ["says it failed", "fail"], "{op:?}");
        let expected =
            StepError::AnotherResource { recorded: "old".into(), found: "another".into() };
        assert_eq!(*bench.error(), expected);
        assert_eq!(bench.state, before);
    }
}
