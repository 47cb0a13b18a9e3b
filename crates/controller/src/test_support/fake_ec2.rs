//! EC2 for machines of the Machine API, in memory. Has instance states that take time, kept
//! ClientTokens, delayed visibility, throttling, lost responses and a simulated crash of the
//! caller.
//!
//! Implements [`Ec2`] in Tokio time.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use groundplan_aws::Tags;
use groundplan_aws::kinds::load_balancer_attachment::LoadBalancerAttachment;
use groundplan_aws::kinds::machine::{InstanceDetails, Machine, MachineOutputs};
use groundplan_aws::lookups::lookup::{InstanceTypes, InstancesNamed, Lookup};
use groundplan_aws::machine_calls::{Ec2, InstanceById, LaunchRequest, LiveMachine};
use groundplan_aws::model::ids::InstanceId;
use groundplan_engine::provider::{ErrorClass, Poll, ProviderError, ProviderFuture};
use groundplan_engine::test_support::When;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

/// Time that an instance is pending.
const PENDING: Duration = Duration::from_secs(8);
/// Time that a terminated instance is shutting down.
const SHUTTING_DOWN: Duration = Duration::from_secs(12);
/// Time that EC2 reports a terminated instance (EC2 user guide, "Terminate instances": an hour).
const REMEMBERED: Duration = Duration::from_secs(60 * 60);

/// EC2 in memory.
#[derive(Debug)]
pub struct FakeEc2 {
    latency: Duration,
    world: Mutex<FakeEc2State>,
    reached: Arc<Notify>,
}

#[derive(Debug, Default)]
struct FakeEc2State {
    instances: BTreeMap<String, Launched>,
    by_token: HashMap<String, String>,
    targets: BTreeSet<(String, String)>,
    /// Names of load balancers that do not exist.
    absent_balancers: BTreeSet<String>,
    answers: BTreeMap<String, Value>,
    calls: Vec<String>,
    faults: Vec<(String, u32, When, ProviderError)>,
    /// Number of injected failures so far.
    failures: u32,
    /// Number of changes until the caller is killed, and the moment of the kill.
    kill: Option<(usize, When)>,
    /// Time that a new instance is not visible.
    hidden: Duration,
    began: Option<Instant>,
    /// End of the time during which queries about instances have empty results.
    empty_until: Option<Instant>,
    /// True if queries by ID have empty results, too.
    empty_by_id: bool,
}

#[derive(Debug)]
struct Launched {
    inputs: Machine,
    launched: Instant,
    at: i64,
    terminated: Option<Instant>,
    stopped: bool,
    /// True if EC2 no longer knows the ID.
    erased: bool,
}

impl Launched {
    fn state(&self) -> &'static str {
        match self.terminated {
            Some(at) if at.elapsed() < SHUTTING_DOWN => "shutting-down",
            Some(_) => "terminated",
            None if self.stopped => "stopped",
            None if self.launched.elapsed() < PENDING => "pending",
            None => "running",
        }
    }

    fn lives(&self) -> bool {
        self.terminated.is_none()
    }

    fn name(&self) -> &str {
        self.inputs.tags.get("Name").map_or("", String::as_str)
    }

    fn outputs(&self, id: &str, number: usize) -> MachineOutputs {
        let ip = format!("10.0.{}.{}", number / 250, number % 250 + 4);
        MachineOutputs {
            id: id.into(),
            private_ip: Some(ip.as_str().into()),
            seen: InstanceDetails {
                state: self.state().to_owned(),
                zone: "us-west-2a".to_owned(),
                instance_type: self.inputs.instance_type.clone(),
                spot: self.inputs.market.is_some(),
                launched: self.at,
                addresses: vec![("InternalIP".to_owned(), ip)],
                tags: self.inputs.tags.clone(),
            },
        }
    }
}

impl FakeEc2 {
    /// Creates an empty EC2. `latency` is the time from a call to its response.
    pub fn new(latency: Duration) -> Arc<Self> {
        Arc::new(Self { latency, world: Mutex::default(), reached: Arc::default() })
    }

    fn world(&self) -> MutexGuard<'_, FakeEc2State> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Injects a failure into the next `times` calls that start with `call`.
    pub fn fail(&self, call: &str, times: u32, when: When, class: ErrorClass, code: &str) {
        let error = ProviderError::new(class, call, "told to fail").with_code(code);
        self.world().faults.push((call.to_owned(), times, when, error));
    }

    /// Removes all injected failures.
    pub fn clear_faults(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.kill = None;
    }

    /// Makes new instances invisible for this time.
    pub fn hide_new(&self, time: Duration) {
        self.world().hidden = time;
    }

    /// Makes all results of filtered queries about instances empty for this time; with `by_id`, those
    /// of queries by ID, too.
    pub fn show_nothing(&self, time: Duration, by_id: bool) {
        let mut world = self.world();
        world.empty_until = Some(Instant::now() + time);
        world.empty_by_id = by_id;
    }

    /// Removes an instance, as if it had been terminated long ago.
    pub fn erase(&self, name: &str) {
        for one in self.world().instances.values_mut().filter(|one| one.name() == name) {
            one.terminated.get_or_insert_with(Instant::now);
            one.erased = true;
        }
    }

    /// Sets the result of a lookup. The default result is empty.
    pub fn answer_with(&self, lookup: &Lookup, answer: Value) {
        self.world().answers.insert(lookup.key(), answer);
    }

    /// Simulates a crash of the caller: the `call`th change from now gets no response, before or
    /// after its effect. See [`reached`](Self::reached).
    pub fn kill_at(&self, call: usize, when: When) {
        self.world().kill = Some((call, when));
    }

    /// Waits until the call of [`kill_at`](Self::kill_at) arrives.
    pub async fn reached(&self) {
        self.reached.notified().await;
    }

    /// Terminates an instance as another person would.
    pub fn terminate(&self, name: &str) {
        for one in self.world().instances.values_mut().filter(|one| one.name() == name) {
            one.terminated.get_or_insert_with(Instant::now);
        }
    }

    /// Changes a tag of an instance as another person would.
    pub fn retag(&self, name: &str, key: &str, value: &str) {
        for one in self.world().instances.values_mut().filter(|one| one.name() == name) {
            one.inputs.tags.insert(key.to_owned(), value.to_owned());
        }
    }

    /// Launches an instance with the tags of a machine, as another person would. Returns the ID.
    pub fn launch_by_hand(&self, inputs: &Machine) -> String {
        self.world().launch(String::new(), inputs.clone())
    }

    /// Makes a load balancer missing.
    pub fn without_balancer(&self, name: &str) {
        self.world().absent_balancers.insert(name.to_owned());
    }

    /// Returns the names of all instances that are not terminated, sorted.
    pub fn names(&self) -> Vec<String> {
        let world = self.world();
        let living = world.instances.values().filter(|one| one.lives());
        let mut names: Vec<String> = living.map(|one| one.name().to_owned()).collect();
        names.sort_unstable();
        names
    }

    /// Returns the inputs of the instance with this name, with later changes. `None` if it is
    /// terminated.
    pub fn inputs(&self, name: &str) -> Option<Machine> {
        let world = self.world();
        let mut living = world.instances.values().filter(|one| one.lives());
        living.find(|one| one.name() == name).map(|one| one.inputs.clone())
    }

    /// Returns the number of launches so far.
    pub fn launches(&self) -> usize {
        self.world().instances.len()
    }

    /// Returns all load balancer registrations: load balancer name and instance ID.
    pub fn targets(&self) -> Vec<(String, String)> {
        self.world().targets.iter().cloned().collect()
    }

    /// Returns all calls in the order of arrival, including failed ones: `create m`, `observe
    /// machine 20`.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    /// Returns the number of calls that start with `call`.
    pub fn count(&self, call: &str) -> usize {
        self.world().calls.iter().filter(|one| one.starts_with(call)).count()
    }

    /// Clears the list of calls.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    async fn act<T>(
        &self,
        call: String,
        changes: bool,
        act: impl FnOnce(&mut FakeEc2State) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        self.wait_half_latency().await;
        if changes && self.world().is_killed(When::Before) {
            self.end().await;
        }
        let (done, killed) = {
            let mut world = self.world();
            let done = world.take_effect(&call, act);
            world.calls.push(call);
            (done, changes && world.is_killed(When::After))
        };
        if killed {
            self.end().await;
        }
        if changes {
            self.world().count_down();
        }
        self.wait_half_latency().await;
        done
    }

    /// Waits half of the latency: once before the effect, and once after it.
    async fn wait_half_latency(&self) {
        if !self.latency.is_zero() {
            sleep(self.latency / 2).await;
        }
    }

    async fn end(&self) {
        self.world().kill = None;
        self.reached.notify_one();
        std::future::pending::<()>().await;
    }
}

impl FakeEc2State {
    fn is_killed(&self, when: When) -> bool {
        self.kill == Some((1, when))
    }

    fn count_down(&mut self) {
        if let Some((left, _)) = &mut self.kill {
            *left = left.saturating_sub(1).max(1);
        }
    }

    fn take_effect<T>(
        &mut self,
        call: &str,
        act: impl FnOnce(&mut FakeEc2State) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let fault =
            self.faults.iter_mut().find(|(one, times, ..)| *times > 0 && call.starts_with(&**one));
        let fault = fault.map(|(_, times, when, error)| {
            *times -= 1;
            // Each response has a request ID of its own.
            self.failures += 1;
            let request_id = Some(format!("request-{}", self.failures));
            (*when, ProviderError { request_id, ..error.clone() })
        });
        match fault {
            Some((When::Before, error)) => Err(error),
            Some((When::After, error)) => act(self).and(Err(error)),
            None => act(self),
        }
    }

    fn launch(&mut self, token: String, inputs: Machine) -> String {
        let began = *self.began.get_or_insert_with(Instant::now);
        let at = i64::try_from(began.elapsed().as_secs()).unwrap_or_default();
        let id = format!("i-{:017x}", self.instances.len() + 1);
        let launched = Instant::now();
        self.by_token.insert(token, id.clone());
        let one =
            Launched { inputs, launched, at, terminated: None, stopped: false, erased: false };
        self.instances.insert(id.clone(), one);
        id
    }

    fn run(&mut self, request: LaunchRequest) -> Result<MachineOutputs, ProviderError> {
        let LaunchRequest { token, machine, secrets } = request;
        if secrets.reveal(&machine.user_data).is_none() {
            return Err(refused(
                "RunInstances",
                "MissingUserData",
                "the user data is not available",
            ));
        }
        if let Some(id) = self.by_token.get(&token) {
            let known = &self.instances[id];
            return match (known.lives(), known.inputs == machine) {
                (true, true) => Ok(self.outputs(id)),
                (true, false) => Err(spent("IdempotentParameterMismatch")),
                (false, _) => Err(spent("IdempotentInstanceTerminated")),
            };
        }
        let id = self.launch(token, machine);
        Ok(self.outputs(&id))
    }

    fn outputs(&self, id: &str) -> MachineOutputs {
        let number = self.instances.keys().position(|one| one == id).unwrap_or_default();
        self.instances[id].outputs(id, number)
    }

    /// Returns the name of an instance, for the list of calls; the ID if there is no such instance.
    fn name_of(&self, id: &InstanceId) -> String {
        self.instances.get(id.as_str()).map_or(id.as_str(), Launched::name).to_owned()
    }

    /// Returns the instance if it is visible now.
    fn visible(&self, id: &str) -> Option<&Launched> {
        self.known(id).filter(|_| !self.is_empty())
    }

    fn is_empty(&self) -> bool {
        self.empty_until.is_some_and(|until| until > Instant::now())
    }

    fn by_id(&self, id: &InstanceId) -> InstanceById {
        if self.is_empty() && self.empty_by_id {
            return InstanceById::NotShown;
        }
        let Some(one) = self.known(id.as_str()) else { return InstanceById::NotFound };
        let metadata_options = one.inputs.metadata_options.clone();
        let outputs = self.outputs(id.as_str());
        InstanceById::Shown(Box::new(LiveMachine { outputs, metadata_options }))
    }

    /// Returns the instance if EC2 knows its ID now.
    fn known(&self, id: &str) -> Option<&Launched> {
        let one = self.instances.get(id)?;
        let remembered = !one.erased && one.terminated.is_none_or(|at| at.elapsed() < REMEMBERED);
        (remembered && one.launched.elapsed() >= self.hidden).then_some(one)
    }

    fn describe(&self, id: &InstanceId) -> Option<LiveMachine> {
        let one = self.visible(id.as_str()).filter(|one| one.lives())?;
        let metadata_options = one.inputs.metadata_options.clone();
        Some(LiveMachine { outputs: self.outputs(id.as_str()), metadata_options })
    }

    fn poll_running(&self, id: &InstanceId) -> Poll<MachineOutputs> {
        match self.visible(id.as_str()).map(Launched::state) {
            None => Poll::Pending("not visible yet".to_owned()),
            Some("pending") => Poll::Pending("pending".to_owned()),
            Some("running" | "stopped") => Poll::Ready(self.outputs(id.as_str())),
            Some(_) => {
                let message = format!("{id} was terminated: user request");
                Poll::Failed(ProviderError::new(ErrorClass::Permanent, "RunInstances", message))
            }
        }
    }

    fn poll_terminated(&self, id: &InstanceId) -> Poll<()> {
        match self.visible(id.as_str()).map(Launched::state) {
            Some("terminated") => Poll::Ready(()),
            state => Poll::Pending(state.unwrap_or("not shown").to_owned()),
        }
    }

    fn instances_named(&self, names: &[String]) -> InstancesNamed {
        let mut found = InstancesNamed::new();
        for (id, one) in &self.instances {
            let fits = names.iter().any(|name| name == one.name());
            if fits && one.lives() && self.visible(id).is_some() {
                found.entry(one.name().to_owned()).or_default().push(id.as_str().into());
            }
        }
        found
    }

    fn instance_types(&self, region: String, types: Vec<String>) -> InstanceTypes {
        let answer = types_that_there_are(&types);
        let set = self.answers.get(&Lookup::InstanceTypes { region, types }.key());
        let answer = set.cloned().unwrap_or(answer);
        serde_json::from_value(answer).expect("BUG: a test set another type of result")
    }

    /// Returns an error if the load balancer is missing.
    fn must_have(&self, balancer: &str) -> Result<(), ProviderError> {
        match self.absent_balancers.contains(balancer) {
            true => Err(refused("DescribeLoadBalancers", "LoadBalancerNotFound", balancer)),
            false => Ok(()),
        }
    }
}

/// Returns a small instance type for every name.
fn types_that_there_are(names: &[String]) -> Value {
    let fact = json!({"vcpus": 2, "memory_mib": 8192, "architectures": ["x86_64"]});
    names.iter().map(|name| (name.clone(), fact.clone())).collect::<serde_json::Map<_, _>>().into()
}

fn refused(call: &str, code: &str, message: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Permanent, call, message).with_code(code)
}

fn spent(code: &str) -> ProviderError {
    ProviderError::new(ErrorClass::TokenConsumed, "RunInstances", "the token was used before")
        .with_code(code)
}

fn pair(attachment: &LoadBalancerAttachment) -> (String, String) {
    (attachment.load_balancer.clone(), attachment.instance.get().to_string())
}

impl FakeEc2 {
    /// Returns the name of a call about an instance in the list of calls.
    fn call(&self, verb: &str, id: &InstanceId) -> String {
        format!("{verb} machine.{}", self.world().name_of(id))
    }

    /// Returns the name of a call about a registration in the list of calls.
    fn registration(&self, verb: &str, attachment: &LoadBalancerAttachment) -> String {
        let name = self.world().name_of(attachment.instance.get());
        format!("{verb} load_balancer_attachment.{name}-{}", attachment.load_balancer)
    }
}

impl Ec2 for FakeEc2 {
    fn launch(&self, request: LaunchRequest) -> ProviderFuture<'_, MachineOutputs> {
        let name = request.machine.tags.get("Name").cloned().unwrap_or_default();
        Box::pin(self.act(format!("create machine.{name}"), true, |world| world.run(request)))
    }

    fn describe(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Option<LiveMachine>>> {
        let call = format!("observe machine {}", ids.len());
        Box::pin(
            self.act(call, false, move |world| {
                Ok(ids.iter().map(|id| world.describe(id)).collect())
            }),
        )
    }

    fn poll_running(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Poll<MachineOutputs>>> {
        let call = format!("ready machine {}", ids.len());
        Box::pin(self.act(call, false, move |world| {
            Ok(ids.iter().map(|id| world.poll_running(id)).collect())
        }))
    }

    fn poll_terminated(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<Poll<()>>> {
        let call = format!("gone machine {}", ids.len());
        Box::pin(self.act(call, false, move |world| {
            Ok(ids.iter().map(|id| world.poll_terminated(id)).collect())
        }))
    }

    fn by_id(&self, ids: Vec<InstanceId>) -> ProviderFuture<'_, Vec<InstanceById>> {
        let call = format!("find machine {}", ids.len());
        Box::pin(
            self.act(call, false, move |world| Ok(ids.iter().map(|id| world.by_id(id)).collect())),
        )
    }

    fn retag(&self, id: InstanceId, _live: Tags, wanted: Tags) -> ProviderFuture<'_, ()> {
        let call = self.call("update", &id);
        Box::pin(self.act(call, true, move |world| {
            let one = world.instances.get_mut(id.as_str()).filter(|one| one.lives());
            let missing = || refused("CreateTags", "InvalidInstanceID.NotFound", id.as_str());
            one.ok_or_else(missing)?.inputs.tags.extend(wanted);
            Ok(())
        }))
    }

    fn terminate(&self, id: InstanceId) -> ProviderFuture<'_, ()> {
        let call = self.call("delete", &id);
        Box::pin(self.act(call, true, move |world| {
            // An instance that is not yet visible is "not found", which counts as a successful
            // deletion.
            if world.known(id.as_str()).is_some()
                && let Some(one) = world.instances.get_mut(id.as_str())
            {
                one.terminated.get_or_insert_with(Instant::now);
            }
            Ok(())
        }))
    }

    fn is_registered(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, bool> {
        let call = "observe load_balancer_attachment 1".to_owned();
        Box::pin(self.act(call, false, move |world| {
            world.must_have(&attachment.load_balancer)?;
            Ok(world.targets.contains(&pair(&attachment)))
        }))
    }

    fn register(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, ()> {
        let call = self.registration("create", &attachment);
        Box::pin(self.act(call, true, move |world| {
            world.targets.insert(pair(&attachment));
            Ok(())
        }))
    }

    fn deregister(&self, attachment: LoadBalancerAttachment) -> ProviderFuture<'_, ()> {
        let call = self.registration("delete", &attachment);
        Box::pin(self.act(call, true, move |world| {
            world.targets.remove(&pair(&attachment));
            Ok(())
        }))
    }

    fn instances_named(
        &self,
        _region: String,
        _cluster_tag: String,
        names: Vec<String>,
    ) -> ProviderFuture<'_, InstancesNamed> {
        let call = "answer instances_named".to_owned();
        Box::pin(self.act(call, false, move |world| Ok(world.instances_named(&names))))
    }

    fn instance_types(
        &self,
        region: String,
        types: Vec<String>,
    ) -> ProviderFuture<'_, InstanceTypes> {
        let call = "answer instance_types".to_owned();
        Box::pin(self.act(call, false, move |world| Ok(world.instance_types(region, types))))
    }

    fn answer(&self, lookup: Lookup) -> ProviderFuture<'_, Value> {
        let key = lookup.key();
        let kind = key.split('/').next().unwrap_or_default();
        let call = format!("answer {kind}");
        Box::pin(self.act(call, false, move |world| {
            Ok(world.answers.get(&key).cloned().unwrap_or_else(|| json!([])))
        }))
    }
}
