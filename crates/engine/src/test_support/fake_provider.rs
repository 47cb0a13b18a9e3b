//! A cloud in memory: no network, configurable latency and failures, and stricter than a real
//! cloud.
//!
//! The cloud rejects inputs that name a missing or not yet visible object, and deletions of objects
//! that others reference. A repeated creation returns the same object for kinds with a token or
//! name as identity. With only a tag, a second object is created. A token whose object was deleted
//! is consumed and creates nothing. A deletion of an object that is not yet visible returns success
//! without effect. Other programs may set `tags`, so only those in the recorded inputs are
//! reported. Schemas define the kinds. The cloud keeps a list of calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::apply::Observer;
use crate::event::Event;
use crate::graph::{Address, Identity, Schema, each_ref};
use crate::plan::UnmanagedDrift;
use crate::provider::{
    Cause, ErrorClass, Observed, Poll, Provider, ProviderError, ProviderFuture, RecordedResource,
    Request, Schemas,
};
use crate::state::Entry;
use crate::state::backend::DurableWrite;

/// A cloud in memory.
#[derive(Debug)]
pub struct FakeProvider {
    schemas: &'static [Schema],
    latency: Duration,
    world: Mutex<FakeProviderState>,
    busy: AtomicUsize,
    busiest: AtomicUsize,
}

#[derive(Debug, Default)]
struct FakeProviderState {
    objects: BTreeMap<String, FakeResource>,
    /// The last object that each token created, also after its deletion.
    by_token: HashMap<String, String>,
    /// Number of references to each object.
    referrers: HashMap<String, usize>,
    next: u64,
    calls: Vec<String>,
    faults: Vec<PlannedFault>,
    /// Number of polls that find a new object not ready, by kind.
    slowness: HashMap<String, u32>,
    log_calls: bool,
    /// Time after the creation during which an object is not visible.
    hidden: Duration,
    /// Wrong answers of the next reads: address, number of reads, and kind of answer.
    lies: Vec<(String, u32, Lie)>,
    /// Unmanaged drift by address.
    unmanaged: BTreeMap<String, Vec<UnmanagedDrift>>,
}

#[derive(Debug)]
struct FakeResource {
    address: Address,
    token: String,
    inputs: Value,
    looks: u32,
    /// Time from which the object is visible. `None` means at once.
    seen_from: Option<Instant>,
}

impl FakeResource {
    fn is_seen(&self) -> bool {
        self.seen_from.is_none_or(|from| Instant::now() >= from)
    }
}

/// A failure of the next `times` matching calls.
#[derive(Debug, Clone)]
pub struct PlannedFault {
    /// Prefix of the matching calls, such as `create vpc.main`.
    pub call: String,
    /// Number of failures.
    pub times: u32,
    /// Moment of the failure: before or after the call takes effect.
    pub when: When,
    /// Error class.
    pub class: ErrorClass,
    /// Error code.
    pub code: &'static str,
    /// Cause of the error.
    pub cause: Cause,
}

/// Wrong answer of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// The object seems deleted.
    Missing,
    /// The input is missing: an empty, truncated or old answer.
    Input(&'static str),
    /// The input has another value in each read.
    Unsteady(&'static str),
}

/// Moment of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The call has no effect.
    Before,
    /// The call takes effect, and the response is lost.
    After,
}

impl FakeProvider {
    /// Creates a cloud with these kinds. `latency` is the time from a call to its response.
    pub fn new(schemas: &'static [Schema], latency: Duration) -> Self {
        let world = FakeProviderState { log_calls: true, ..FakeProviderState::default() };
        Self {
            schemas,
            latency,
            world: Mutex::new(world),
            busy: AtomicUsize::new(0),
            busiest: AtomicUsize::new(0),
        }
    }

    /// Disables the list of calls, for very large runs.
    #[must_use]
    pub fn silent(self) -> Self {
        self.world().log_calls = false;
        self
    }

    /// Injects a failure into the next `times` calls that start with `call`.
    pub fn fail(&self, call: &str, times: u32, when: When, class: ErrorClass) {
        let (call, code, cause) = (call.to_owned(), "Injected", Cause::Cloud);
        self.world().faults.push(PlannedFault { call, times, when, class, code, cause });
    }

    /// Injects a single failure with this code, before the call takes effect.
    pub fn fail_with(&self, call: &str, class: ErrorClass, code: &'static str) {
        let (call, when, cause) = (call.to_owned(), When::Before, Cause::Cloud);
        self.world().faults.push(PlannedFault { call, times: 1, when, class, code, cause });
    }

    /// Makes the provider withhold a single call for this cause.
    pub fn withhold(&self, call: &str, cause: Cause) {
        let (call, when, class) = (call.to_owned(), When::Before, ErrorClass::Permanent);
        self.world().faults.push(PlannedFault {
            call,
            times: 1,
            when,
            class,
            code: "Withheld",
            cause,
        });
    }

    /// Gives a wrong answer about an object in the next `times` reads.
    pub fn lie(&self, address: &str, times: u32, lie: Lie) {
        self.world().lies.push((address.to_owned(), times, lie));
    }

    /// Removes all injected failures.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Makes new objects of a kind need `looks` polls until they are ready.
    pub fn slow(&self, kind: &str, looks: u32) {
        self.world().slowness.insert(kind.to_owned(), looks);
    }

    /// Makes new objects invisible for this time.
    pub fn hide_new(&self, time: Duration) {
        self.world().hidden = time;
    }

    /// Changes an input of an object as another person would (drift).
    pub fn change_outside(&self, address: &str, input: &str, value: &Value) {
        for object in self.world().objects.values_mut().filter(|o| o.address.as_str() == address) {
            object.inputs[input] = value.clone();
        }
    }

    /// Changes a part of an object that no input configures, as another person would.
    pub fn add_outside(&self, address: &str, drift: UnmanagedDrift) {
        self.world().unmanaged.entry(address.to_owned()).or_default().push(drift);
    }

    /// Drops all references to an object, so that the cloud accepts its deletion.
    pub fn release(&self, address: &str) {
        let mut world = self.world();
        let named = world.objects.iter().filter(|(_, object)| object.address.as_str() == address);
        let ids: Vec<String> = named.map(|(id, _)| id.clone()).collect();
        for id in ids {
            world.referrers.remove(&id);
        }
    }

    /// Makes all existing objects ready.
    pub fn make_all_ready(&self) {
        self.world().objects.values_mut().for_each(|object| object.looks = 0);
    }

    /// Removes an object, and all creation tokens without an object, as if the creation had never
    /// been sent.
    pub fn unmake(&self, address: &str) {
        self.lose(address);
        let mut world = self.world();
        let FakeProviderState { objects, by_token, .. } = &mut *world;
        by_token.retain(|_, id| objects.contains_key(id));
    }

    /// Deletes an object as another person would.
    pub fn lose(&self, address: &str) {
        let mut world = self.world();
        let id = world.objects.iter().find(|(_, o)| o.address.as_str() == address);
        if let Some(id) = id.map(|(id, _)| id.clone()) {
            world.remove(&id);
        }
    }

    /// Returns the successful calls in the order of their effects: `create vpc.main`, `look subnet
    /// 2`. Includes calls whose response was lost.
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    /// Returns the calls that begin with one of these words.
    pub fn calls_of(&self, verbs: &[&str]) -> Vec<String> {
        let of = |call: &String| verbs.iter().any(|verb| call.starts_with(verb));
        self.calls().into_iter().filter(of).collect()
    }

    /// Clears the list of calls.
    pub fn forget_calls(&self) {
        self.world().calls.clear();
    }

    /// Returns all objects: address and inputs, with IDs replaced by addresses.
    pub fn inventory(&self) -> Vec<(Address, Value)> {
        let world = self.world();
        let name = |id: &str| world.objects.get(id).map(|object| object.address.to_string());
        let mut inventory: Vec<_> = world
            .objects
            .values()
            .map(|object| (object.address.clone(), renamed(&object.inputs, &name)))
            .collect();
        inventory.sort_by(|a, b| a.0.cmp(&b.0));
        inventory
    }

    /// Returns the IDs of all visible objects.
    pub fn visible_ids(&self) -> Vec<String> {
        let world = self.world();
        let visible = world.objects.iter().filter(|(_, object)| object.is_seen());
        visible.map(|(id, _)| id.clone()).collect()
    }

    /// Returns all objects: address and creation token.
    pub fn tokens(&self) -> Vec<(Address, String)> {
        let world = self.world();
        let objects = world.objects.values();
        objects.map(|object| (object.address.clone(), object.token.clone())).collect()
    }

    /// Returns the maximum number of concurrent calls so far.
    pub fn busiest(&self) -> usize {
        self.busiest.load(SeqCst)
    }

    fn world(&self) -> MutexGuard<'_, FakeProviderState> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn act<T>(
        &self,
        call: String,
        act: impl FnOnce(&mut FakeProviderState) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        self.busiest.fetch_max(self.busy.fetch_add(1, SeqCst) + 1, SeqCst);
        // Half of the latency comes before the effect and half after it. A caller killed in the
        // second half has changed the cloud without a response.
        self.wait_half_latency().await;
        let result = self.world().take_effect(call, act);
        self.wait_half_latency().await;
        self.busy.fetch_sub(1, SeqCst);
        result
    }

    async fn wait_half_latency(&self) {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency / 2).await;
        }
    }
}

impl FakeProviderState {
    fn take_effect<T>(
        &mut self,
        call: String,
        act: impl FnOnce(&mut FakeProviderState) -> Result<T, ProviderError>,
    ) -> Result<T, ProviderError> {
        let fault = self.fault(&call);
        if let Some((When::Before, error)) = fault {
            return Err(error);
        }
        let done = act(self)?;
        if self.log_calls {
            self.calls.push(call);
        }
        match fault {
            Some((_, error)) => Err(error),
            None => Ok(done),
        }
    }

    fn fault(&mut self, call: &str) -> Option<(When, ProviderError)> {
        let fault = self.faults.iter_mut().find(|f| f.times > 0 && call.starts_with(&*f.call))?;
        fault.times -= 1;
        let error = ProviderError::new(fault.class, call, "told to fail");
        Some((fault.when, error.with_code(fault.code).with_cause(fault.cause)))
    }

    fn create(&mut self, request: Request, identity: Identity) -> Result<Value, ProviderError> {
        if let Some(id) = self.by_token.get(&request.token).filter(|_| identity.is_idempotent()) {
            match self.objects.get(id) {
                Some(object) if object.inputs == request.inputs => return Ok(json!({ "id": id })),
                Some(_) => return Err(spent("IdempotentParameterMismatch", &request.address)),
                None if identity == Identity::Token => {
                    return Err(spent("IdempotentObjectDeleted", &request.address));
                }
                None => (), // its name is free again
            }
        }
        self.check(&request)?;
        self.next += 1;
        let id = format!("fake-{}-{}", request.kind(), self.next);
        each_id(&request.inputs, &mut |needed| {
            *self.referrers.entry(needed.to_owned()).or_default() += 1;
        });
        let Request { address, token, inputs, .. } = request;
        self.by_token.insert(token.clone(), id.clone());
        let looks = self.slowness.get(address.kind()).copied().unwrap_or_default();
        let seen_from = (!self.hidden.is_zero()).then(|| Instant::now() + self.hidden);
        self.objects.insert(id.clone(), FakeResource { address, token, inputs, looks, seen_from });
        Ok(json!({ "id": id }))
    }

    /// Rejects inputs with an ID whose object is missing or not visible.
    fn check(&self, request: &Request) -> Result<(), ProviderError> {
        let (mut unknown, mut unseen) = (None, None);
        each_ref(&request.inputs, &mut |r| unknown = Some(r.address.to_string()));
        each_id(&request.inputs, &mut |id| match self.objects.get(id) {
            None => unknown = Some(id.to_owned()),
            Some(object) if !object.is_seen() => unseen = Some(id.to_owned()),
            Some(_) => (),
        });
        if let Some(id) = unknown {
            return Err(refuse(&format!("NotFound({id})"), &request.address));
        }
        unseen.map_or(Ok(()), |id| Err(not_yet(&id, &request.address)))
    }

    fn seen(&self, id: &str, address: &Address) -> Result<(), ProviderError> {
        match self.objects.get(id) {
            Some(object) if object.is_seen() => Ok(()),
            Some(_) => Err(not_yet(id, address)),
            None => Err(refuse("NotFound", address)),
        }
    }

    fn update(
        &mut self,
        request: Request,
        before: &RecordedResource,
    ) -> Result<Value, ProviderError> {
        self.check(&request)?;
        let id = object_id(&before.outputs).to_owned();
        self.seen(&id, &request.address)?;
        let Some(object) = self.objects.get_mut(&id) else {
            unreachable!("BUG: it was seen just now");
        };
        if object.looks > 0 {
            return Err(refuse("IncorrectState", &request.address));
        }
        let maps = ["tags", "labels"].map(|name| {
            let entries = entries_after(name, &object.inputs, &before.inputs, &request.inputs);
            entries.map(|entries| (name, entries))
        });
        if let Some(all) = self.unmanaged.get_mut(request.address.as_str()) {
            all.retain(|drift| !request.revert.contains(drift));
        }
        let old = std::mem::replace(&mut object.inputs, request.inputs);
        for (name, entries) in maps.into_iter().flatten() {
            object.inputs[name] = entries;
        }
        let new = object.inputs.clone();
        self.count(&old, |n| n.saturating_sub(1));
        self.count(&new, |n| n + 1);
        Ok(before.outputs.clone())
    }

    fn count(&mut self, inputs: &Value, change: fn(usize) -> usize) {
        each_id(inputs, &mut |id| {
            let count = self.referrers.entry(id.to_owned()).or_default();
            *count = change(*count);
        });
    }

    fn delete(&mut self, known: &RecordedResource) -> Result<(), ProviderError> {
        let id = object_id(&known.outputs);
        if self.objects.get(id).is_some_and(|object| !object.is_seen()) {
            return Ok(()); // "not found" counts as deleted
        }
        if self.referrers.get(id).is_some_and(|&n| n > 0) {
            return Err(refuse("DependencyViolation", &known.address));
        }
        self.remove(id);
        Ok(())
    }

    fn remove(&mut self, id: &str) {
        if let Some(object) = self.objects.remove(id) {
            self.count(&object.inputs, |n| n.saturating_sub(1));
        }
    }

    fn find(&self, token: &str) -> Option<Value> {
        let mut made = self.objects.iter().filter(|(_, object)| object.token == token);
        made.find(|(_, object)| object.is_seen()).map(|(id, _)| json!({ "id": id }))
    }

    fn refresh(&mut self, known: &RecordedResource, schema: Option<&Schema>) -> Observed {
        let mut observed = self.truth(known);
        if let Observed::Present { inputs, .. } = &mut observed {
            for name in schema.map_or(&[][..], |schema| schema.write_only) {
                inputs[*name] = known.inputs[*name].clone();
            }
        }
        let lies =
            self.lies.iter_mut().filter(|(address, _, _)| *address == known.address.as_str());
        for (_, times, lie) in lies.filter(|(_, times, _)| *times > 0) {
            *times -= 1;
            observed = match (&*lie, observed) {
                (Lie::Missing, _) | (_, Observed::Missing) => Observed::Missing,
                (Lie::Input(name), Observed::Present { mut inputs, outputs, unmanaged }) => {
                    if let Some(fields) = inputs.as_object_mut() {
                        fields.remove(*name);
                    }
                    Observed::Present { inputs, outputs, unmanaged }
                }
                (Lie::Unsteady(name), Observed::Present { mut inputs, outputs, unmanaged }) => {
                    inputs[*name] = (*times).into();
                    Observed::Present { inputs, outputs, unmanaged }
                }
            };
        }
        observed
    }

    fn truth(&self, known: &RecordedResource) -> Observed {
        let found = match &known.outputs {
            Value::Null => self.find(&known.token),
            outputs => Some(outputs.clone()),
        };
        let Some(outputs) = found else { return Observed::Missing };
        match self.objects.get(object_id(&outputs)) {
            Some(object) if object.is_seen() => {
                let mut inputs = object.inputs.clone();
                let own = known.inputs.get("tags").and_then(Value::as_object);
                if let Some(tags) = inputs.get_mut("tags").and_then(Value::as_object_mut) {
                    tags.retain(|name, _| own.is_some_and(|own| own.contains_key(name)));
                }
                let unmanaged = self.unmanaged.get(known.address.as_str());
                let unmanaged = unmanaged.cloned().unwrap_or_default();
                Observed::Present { inputs, outputs, unmanaged }
            }
            _ => Observed::Missing,
        }
    }

    fn look(&mut self, known: &RecordedResource) -> Poll {
        match self.objects.get_mut(object_id(&known.outputs)) {
            Some(object) if object.is_seen() && object.looks > 0 => {
                object.looks -= 1;
                Poll::Pending("pending".into())
            }
            Some(object) if object.is_seen() => Poll::Ready(known.outputs.clone()),
            _ => Poll::Pending("not visible".into()),
        }
    }

    fn look_gone(&self, known: &RecordedResource) -> Poll {
        if self.objects.contains_key(object_id(&known.outputs)) {
            Poll::Pending("deleting".into())
        } else {
            Poll::Ready(Value::Null)
        }
    }
}

impl Schemas for FakeProvider {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        self.schemas.iter().find(|schema| schema.kind == kind)
    }
}

impl Provider for FakeProvider {
    fn create(&self, request: Request) -> ProviderFuture<'_, Value> {
        let call = format!("create {}", request.address);
        let identity = self.schema(request.kind()).map_or(Identity::Name, |schema| schema.identity);
        Box::pin(self.act(call, move |world| world.create(request, identity)))
    }
    fn find(&self, request: Request) -> ProviderFuture<'_, Option<Value>> {
        let call = format!("find {}", request.address);
        Box::pin(self.act(call, move |world| Ok(world.find(&request.token))))
    }
    fn configure(&self, request: Request, outputs: Value) -> ProviderFuture<'_, Value> {
        let call = format!("configure {}", request.address);
        Box::pin(self.act(call, move |world| {
            world.seen(object_id(&outputs), &request.address)?;
            Ok(outputs)
        }))
    }
    fn ready(&self, kind: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>> {
        let call = format!("look {kind} {}", waiting.len());
        Box::pin(
            self.act(call, move |world| {
                Ok(waiting.iter().map(|known| world.look(known)).collect())
            }),
        )
    }
    fn update(&self, request: Request, before: RecordedResource) -> ProviderFuture<'_, Value> {
        let call = format!("update {}", request.address);
        Box::pin(self.act(call, move |world| world.update(request, &before)))
    }
    fn delete(&self, known: RecordedResource) -> ProviderFuture<'_, ()> {
        let call = format!("delete {}", known.address);
        Box::pin(self.act(call, move |world| world.delete(&known)))
    }
    fn gone(&self, kind: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>> {
        let call = format!("look-gone {kind} {}", waiting.len());
        Box::pin(self.act(call, move |world| {
            Ok(waiting.iter().map(|known| world.look_gone(known)).collect())
        }))
    }
    fn refresh(
        &self,
        kind: String,
        known: Vec<RecordedResource>,
    ) -> ProviderFuture<'_, Vec<Observed>> {
        let call = format!("observe {kind} {}", known.len());
        let schema = self.schema(&kind);
        Box::pin(self.act(call, move |world| {
            Ok(known.iter().map(|known| world.refresh(known, schema)).collect())
        }))
    }
}

fn refuse(code: &str, address: &Address) -> ProviderError {
    ProviderError::new(ErrorClass::Permanent, "fake", format!("refused for {address}"))
        .with_code(code)
}

fn spent(code: &str, address: &Address) -> ProviderError {
    ProviderError::new(ErrorClass::TokenConsumed, "fake", format!("spent for {address}"))
        .with_code(code)
}

fn not_yet(id: &str, address: &Address) -> ProviderError {
    let message = format!("{address}: {id} is not visible yet");
    ProviderError::new(ErrorClass::Retryable, "fake", message).with_code("NotFound")
}

/// Returns a map of strings after an update, which sends only the differences between `before` and
/// `new` and leaves all other entries.
fn entries_after(name: &str, live: &Value, before: &Value, new: &Value) -> Option<Value> {
    let new = new.get(name)?.as_object()?;
    let before = before.get(name)?.as_object()?;
    let mut live = live.get(name)?.as_object()?.clone();
    live.retain(|key, _| new.contains_key(key) || !before.contains_key(key));
    for (key, value) in new.iter().filter(|(key, value)| before.get(*key) != Some(value)) {
        live.insert(key.clone(), value.clone());
    }
    Some(Value::Object(live))
}

fn object_id(outputs: &Value) -> &str {
    outputs.get("id").and_then(Value::as_str).unwrap_or_default()
}

/// Calls `visit` for every ID of this cloud in a value.
fn each_id(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) if text.starts_with("fake-") => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_id(item, visit)),
        Value::Object(fields) => fields.values().for_each(|field| each_id(field, visit)),
        _ => {}
    }
}

fn renamed(value: &Value, name: &dyn Fn(&str) -> Option<String>) -> Value {
    match value {
        Value::String(text) => name(text).map_or_else(|| value.clone(), Value::String),
        Value::Array(items) => items.iter().map(|item| renamed(item, name)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, field)| (key.clone(), renamed(field, name))).collect()
        }
        leaf => leaf.clone(),
    }
}

/// An observer that keeps the journal and the events in memory.
#[derive(Debug, Default)]
pub struct RecordingObserver {
    /// Entries written to the journal.
    written: Arc<Mutex<Vec<Entry>>>,
    /// Events so far.
    pub events: Vec<Event>,
    /// Duration of a journal write. Entries are durable after half of it.
    pub latency: Duration,
    /// Number of journal writes.
    pub groups: usize,
}

impl RecordingObserver {
    /// Returns the durable entries, as a new process would read them.
    pub fn entries(&self) -> Vec<Entry> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Observer for RecordingObserver {
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite {
        self.groups += 1;
        let (written, latency) = (Arc::clone(&self.written), self.latency);
        let write = move || written.lock().unwrap_or_else(PoisonError::into_inner).extend(entries);
        if latency.is_zero() {
            write();
            return Box::pin(std::future::ready(Ok(())));
        }
        Box::pin(async move {
            tokio::time::sleep(latency / 2).await;
            write();
            tokio::time::sleep(latency / 2).await;
            Ok(())
        })
    }

    fn event(&mut self, event: &Event) {
        self.events.push(event.clone());
    }
}
