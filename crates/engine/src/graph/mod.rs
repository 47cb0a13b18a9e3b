//! Graph of the desired resources and their references.
//!
//! A node can only refer to a [`Handle`] that [`Graph::add`] has already returned. A graph is
//! therefore acyclic and in dependency order by construction, and each reference is a dependency
//! without a declaration. The module knows no cloud: a [`Schema`] is the plain data that the
//! planner needs about a kind.

pub mod pattern;

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::secret::{Secret, Secrets};

/// Name of a resource in configuration, state and messages, such as `subnet.private-us-west-2a`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// Returns the address of the resource `name` of `kind`.
    pub fn new(kind: &str, name: &str) -> Self {
        Self(format!("{kind}.{name}").into())
    }

    /// Returns the part before the first dot.
    pub fn kind(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(kind, _)| kind)
    }

    /// Returns the part after the first dot; empty without a dot.
    pub fn name(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, name)| name)
    }

    /// Returns the whole address.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Address {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl Borrow<str> for Address {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(text.into()))
    }
}

/// Inputs of one kind of resource, as plain data. The code that manages the kind belongs to the
/// provider.
///
/// The fields of the implementing struct are the kind's *inputs*. A field that is `None` is
/// serialised as `null` and means *no opinion*: the provider sends no value and the planner reports
/// no difference.
pub trait Resource: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// Facts that the planner needs about the kind.
    const SCHEMA: Schema;
    /// Values that exist after the creation: identifiers and everything that other resources
    /// reference.
    type Outputs: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
}

/// Facts about a kind that the engine needs. A schema contains data, and pure functions that name
/// parts of the data.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// Name of the kind, and first part of every address of the kind.
    pub kind: &'static str,
    /// Force-new inputs: a change replaces the resource.
    pub force_new: &'static [&'static str],
    /// Blocking references: the cloud does not delete the target while this resource references it.
    ///
    /// If the target must be deleted before its replacement exists, this resource is replaced too.
    /// The exception is a resource that can drop the reference in place without the replacement.
    pub blocks_deletion_of: &'static [&'static str],
    /// Inputs whose live references prove that their targets exist: the cloud deletes no target before
    /// this resource, or deletes this resource with the target.
    pub proves: &'static [&'static str],
    /// Conflicting inputs: no two resources of the kind can have equal values or overlapping
    /// networks at the same time.
    pub conflicting: &'static [&'static str],
    /// Create-only inputs. A later change is reported as an ignored difference; only a forced
    /// replacement applies the change.
    pub create_only: &'static [&'static str],
    /// Write-only inputs, maps of strings. No call reads them, so refresh returns the recorded value.
    /// After an interrupted update the value is uncertain, and the next update sends it again.
    pub write_only: &'static [&'static str],
    /// True if drift never replaces the resource. An out-of-band change of a force-new input is
    /// reported as an ignored difference; a configuration change still replaces.
    pub ignores_drift: bool,
    /// Outputs that follow from the force-new inputs. A resource that was deleted outside and is
    /// created again has the same ones, so its dependents are not replaced.
    pub stable_outputs: &'static [&'static str],
    /// Lists without an order. Plans compare and show them by member.
    pub sets: &'static [SetInput],
    /// Optional inputs whose absence is a request like any value, and not the lack of an opinion.
    pub absent: &'static [AbsentInput],
    /// Way to find the result of a creation in doubt.
    pub identity: Identity,
    /// True if a replacement creates the new resource before it deletes the old one (create before
    /// destroy).
    pub create_before_destroy: bool,
    /// Earliest moment at which the dependents can start.
    pub dependents_start: DependentsStart,
    /// True if more calls follow the create call (see [`crate::provider::Provider::configure`]).
    pub configures: bool,
    /// Wait until the resource is ready. `None` means no wait.
    pub ready: Option<Wait>,
    /// Wait until a deleted resource is gone. `None` means no wait.
    pub gone: Option<Wait>,
    /// Usual duration of a creation in seconds, including waits. The critical path is computed from
    /// these durations.
    pub typical_seconds: u32,
}

impl Schema {
    /// Returns a schema with defaults, for `Schema { force_new: &[..], ..Schema::of("x", identity) }`.
    ///
    /// The identity has no default, because it decides whether a creation may be sent twice.
    pub const fn of(kind: &'static str, identity: Identity) -> Self {
        Self {
            kind,
            force_new: &[],
            blocks_deletion_of: &[],
            proves: &[],
            conflicting: &[],
            create_only: &[],
            write_only: &[],
            ignores_drift: false,
            stable_outputs: &[],
            sets: &[],
            absent: &[],
            identity,
            create_before_destroy: false,
            dependents_start: DependentsStart::Ready,
            configures: false,
            ready: None,
            gone: None,
            typical_seconds: 1,
        }
    }
}

impl Schema {
    /// Returns the rules by which inputs of the kind are compared.
    pub const fn comparison_rules(&self) -> ComparisonRules {
        ComparisonRules { sets: self.sets, absent: self.absent }
    }
}

/// Rules by which two values of inputs are compared. Without a rule, lists are compared by position,
/// and `null` is no opinion.
#[derive(Debug, Clone, Copy, Default)]
pub struct ComparisonRules {
    /// Lists without an order.
    pub sets: &'static [SetInput],
    /// Optional inputs whose absence is a request.
    pub absent: &'static [AbsentInput],
}

/// Optional input whose absence (`null`) is a request, because the result is defined: a machine
/// without a purchasing option is on-demand, one without a key pair has none.
#[derive(Debug, Clone, Copy)]
pub struct AbsentInput {
    /// Path of the input: input names, separated by dots.
    pub path: &'static str,
    /// Value that stands for the absence in plans. `None` if the resource then has nothing of the
    /// sort.
    pub meaning: Option<&'static str>,
}

/// A list among the inputs whose order has no meaning, such as the rules of a security group.
#[derive(Debug, Clone, Copy)]
pub struct SetInput {
    /// Path of the list: input names, separated by dots.
    pub path: &'static str,
    /// Noun that a plan shows before the label of a member: `ingress`, `route`, `subnet`.
    pub noun: &'static str,
    /// Returns the members that one item of the list stands for. Pure.
    pub members: fn(&Value) -> Vec<SetMember>,
}

impl SetInput {
    /// Returns a set of plain values, such as IDs. Each value is its own name.
    pub const fn of_values(path: &'static str, noun: &'static str) -> Self {
        Self { path, noun, members: value_member }
    }
}

/// Member of a set.
#[derive(Debug, Clone, PartialEq)]
pub struct SetMember {
    /// Name: the part of the member that identifies it. Equal names are one member.
    pub name: String,
    /// Text for people: the name, and values that explain an added or removed member.
    pub label: String,
    /// Whole value.
    pub value: Value,
}

fn value_member(value: &Value) -> Vec<SetMember> {
    let name = member_name(value);
    vec![SetMember { label: name.clone(), name, value: value.clone() }]
}

/// Returns the text of a value in the name of a member: a string without quotes, a reference as
/// its address, and JSON for everything else.
pub fn member_name(value: &Value) -> String {
    match (value, as_ref(value)) {
        (_, Some(reference)) => reference.address.to_string(),
        (Value::String(text), _) => text.clone(),
        (other, _) => other.to_string(),
    }
}

/// Way to find the result of a creation in doubt. A run that finds such a creation in the state
/// searches accordingly before it repeats the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The API accepts the token: the same call again returns the resource of the first call.
    Token,
    /// Only the tag with the token identifies the resource. The executor searches for some time
    /// before it repeats the call, because a repeated call would create a second resource.
    Tag,
    /// Name or range that only one resource can have. A repeated call is rejected or returns the
    /// existing resource; the token in its tag shows whether this creation made the resource.
    Name,
    /// The resource is a part or a setting of another resource. Reading the other resource finds
    /// it, and creating it is idempotent.
    Parent,
}

impl Identity {
    /// Returns true if two identical create calls result in one resource.
    pub fn is_idempotent(self) -> bool {
        self != Identity::Tag
    }
}

/// Earliest moment at which the dependents of a resource can start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependentsStart {
    /// The identity is enough: a listener needs its load balancer's ID, not the `active` state.
    Created,
    /// The resource must be configured and ready.
    Ready,
}

/// Poll interval and timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Seconds between two polls. A poll reads all resources of the kind that are waited for.
    pub every_seconds: u32,
    /// Timeout in seconds. After the timeout the step fails; the resource stays recorded and the
    /// next run continues to wait.
    pub within_seconds: u32,
}

/// Value of an input: known now, or the output of a resource that may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input<T> {
    /// Reference; known when the referenced resource is usable.
    Ref(Ref),
    /// Value that is known now.
    Known(T),
    /// No value, in JSON `null`. Only in live state: the resource exists and lacks the value, such
    /// as a gateway that is attached to no network. Differs from every configured value.
    Absent,
}

impl<T> Input<T> {
    /// Returns the value. The engine resolves every input before a provider receives it.
    pub fn get(&self) -> &T {
        match self {
            Input::Known(value) => value,
            Input::Ref(r) => unreachable!("BUG: {r:?} reached a provider unresolved"),
            Input::Absent => unreachable!("BUG: a configured input is absent"),
        }
    }

    /// Returns the value of a recorded or live input. `None` if the input is absent.
    pub fn known(&self) -> Option<&T> {
        match self {
            Input::Absent => None,
            input => Some(input.get()),
        }
    }

    /// Returns the input for a live value: [`Input::Absent`] for `None`.
    pub fn live(value: Option<T>) -> Self {
        value.map_or(Input::Absent, Input::Known)
    }
}

impl<T> Input<Option<T>> {
    /// Returns a reference to an optional output as a required one, for outputs that a usable
    /// resource has.
    ///
    /// # Panics
    ///
    /// If the input is not a reference.
    #[must_use]
    pub fn required(self) -> Input<T> {
        match self {
            Input::Ref(reference) => Input::Ref(reference),
            Input::Known(_) | Input::Absent => {
                unreachable!("BUG: the output of a node is a reference")
            }
        }
    }
}

impl<T> From<T> for Input<T> {
    fn from(value: T) -> Self {
        Input::Known(value)
    }
}

/// Reference to an output, in JSON `{"$ref": "vpc.main", "output": "id"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ref {
    /// Address of the referenced resource.
    #[serde(rename = "$ref")]
    pub address: Address,
    /// Name of the output.
    pub output: String,
}

/// The address; an output other than the ID is appended: `load_balancer.int.dns_name`.
impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.output {
            "id" => fmt::Display::fmt(&self.address, f),
            output => write!(f, "{}.{output}", self.address),
        }
    }
}

/// Desired resource without its type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GraphNode {
    /// Address of the resource.
    pub address: Address,
    /// Inputs; references are `{"$ref": ..}`, secrets are digests.
    pub inputs: Value,
    /// Direct dependencies, sorted and unique.
    pub after: Vec<Address>,
}

impl GraphNode {
    /// Returns the kind of the resource.
    pub fn kind(&self) -> &str {
        self.address.kind()
    }
}

/// Desired resources in dependency order, and the secrets behind the digests among the inputs.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<GraphNode>,
    index: HashMap<Address, usize>,
    serial_groups: Vec<Vec<Address>>,
    retired: BTreeMap<Address, String>,
    narrowed: BTreeSet<Address>,
    secrets: Secrets,
}

/// Proof that a resource is in the graph. Only a handle can make a reference to the resource's
/// outputs.
pub struct Handle<R> {
    address: Address,
    kind: PhantomData<fn() -> R>,
}

impl<R> Clone for Handle<R> {
    fn clone(&self) -> Self {
        Self { address: self.address.clone(), kind: PhantomData }
    }
}

impl<R> fmt::Debug for Handle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.address)
    }
}

impl Graph {
    /// Adds a resource. All resources that `resource` references become its dependencies.
    ///
    /// # Panics
    /// If the address is taken: the caller gives each resource a unique name.
    pub fn add<R: Resource>(&mut self, name: &str, resource: &R) -> Handle<R> {
        let address = Address::new(R::SCHEMA.kind, name);
        let inputs = serde_json::to_value(resource).expect("BUG: resources are plain data");
        self.push(address.clone(), inputs);
        Handle { address, kind: PhantomData }
    }

    /// Adds a resource without its type. References must point at resources of this graph.
    ///
    /// # Panics
    /// If the address is taken, or if a reference points at an unknown address.
    pub fn push(&mut self, address: Address, inputs: Value) {
        let mut after = BTreeSet::new();
        each_ref(&inputs, &mut |r| {
            assert!(self.index.contains_key(&r.address), "BUG: {address} refers to {}", r.address);
            after.insert(r.address.clone());
        });
        let taken = self.index.insert(address.clone(), self.nodes.len());
        assert!(taken.is_none(), "BUG: {address} is in the graph twice");
        self.nodes.push(GraphNode { address, inputs, after: after.into_iter().collect() });
    }

    /// Makes `later` depend on `earlier` without a reference between the two.
    pub fn order<L, E>(&mut self, later: &Handle<L>, earlier: &Handle<E>) {
        let (later, earlier) = (self.index[&later.address], &earlier.address);
        assert!(self.index[earlier] < later, "BUG: {earlier} was added after what waits for it");
        let after = &mut self.nodes[later].after;
        if let Err(place) = after.binary_search(earlier) {
            after.insert(place, earlier.clone());
        }
    }

    /// Declares a serial replacement: no two members are replaced at the same time. Together the
    /// members form a service that needs most of them, such as the members of etcd.
    pub fn replace_serially<R>(&mut self, members: &[Handle<R>]) {
        self.serial_groups.push(members.iter().map(|member| member.address.clone()).collect());
    }

    /// Returns the groups whose members are replaced one at a time.
    pub fn serial_groups(&self) -> &[Vec<Address>] {
        &self.serial_groups
    }

    /// Declares a part of the cluster that is retired: desired once, and not any more although the
    /// configuration is the same. A plan deletes recorded resources at these addresses with the reason
    /// `because`.
    ///
    /// # Panics
    /// If the graph has a resource at one of the addresses.
    pub fn retire(&mut self, addresses: impl IntoIterator<Item = Address>, because: &str) {
        for address in addresses {
            assert!(!self.index.contains_key(&address), "BUG: {address} is desired and retired");
            self.retired.insert(address, because.to_owned());
        }
    }

    /// Returns the addresses of retired parts, sorted.
    pub fn retired(&self) -> impl Iterator<Item = &Address> {
        self.retired.keys()
    }

    /// Returns the reason of the retirement; `None` if the address is not retired.
    pub fn retirement(&self, address: &Address) -> Option<&str> {
        self.retired.get(address).map(String::as_str)
    }

    /// Declares resources that stay, and lose what belonged to a retired part: for example rules of a
    /// security group for a machine that is retired. The removal of the part includes their update.
    ///
    /// # Panics
    /// If the graph has no resource at one of the addresses.
    pub fn narrow(&mut self, addresses: impl IntoIterator<Item = Address>) {
        for address in addresses {
            assert!(self.index.contains_key(&address), "BUG: {address} is narrowed, not desired");
            self.narrowed.insert(address);
        }
    }

    /// Returns the addresses of the resources that lose what belonged to a retired part, sorted.
    pub fn narrowed(&self) -> impl Iterator<Item = &Address> {
        self.narrowed.iter()
    }

    /// Keeps a secret beside the graph and returns the digest that replaces the secret in inputs.
    pub fn keep_secret(&mut self, content: Vec<u8>) -> Secret {
        self.secrets.keep(content)
    }

    /// Returns the desired resources; each follows all its dependencies.
    pub fn nodes(&self) -> &[GraphNode] {
        &self.nodes
    }

    /// Returns the resource at this address; `None` if the graph has none.
    pub fn get(&self, address: &Address) -> Option<&GraphNode> {
        self.index.get(address).map(|&index| &self.nodes[index])
    }

    /// Returns the secrets behind the digests among the inputs.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Returns the secrets and drops the rest of the graph.
    pub fn into_secrets(self) -> Secrets {
        self.secrets
    }
}

impl<R: Resource> Handle<R> {
    /// Returns a reference to the output `name`. [`out!`](crate::out) expands to a call of this
    /// function, which checks at compile time that the output exists.
    #[doc(hidden)]
    pub fn output<T>(&self, name: &str, _has: fn(&R::Outputs) -> &T) -> Input<T> {
        Input::Ref(Ref { address: self.address.clone(), output: name.into() })
    }

    /// Returns the address of the resource.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// Makes a reference, as in `out!(vpc.id)`. The field must exist in the kind's outputs, and its
/// type becomes the type of the input.
///
/// ```
/// # use groundplan_engine::graph::{Graph, Identity, Input, Resource, Schema};
/// # use groundplan_engine::out;
/// # use serde::{Deserialize, Serialize};
/// #[derive(Clone, Serialize, Deserialize)]
/// struct NetworkId(String);
///
/// #[derive(Serialize, Deserialize)]
/// struct Network {
///     cidr: String,
/// }
///
/// #[derive(Clone, Serialize, Deserialize)]
/// struct NetworkOutputs {
///     id: NetworkId,
/// }
///
/// impl Resource for Network {
///     const SCHEMA: Schema = Schema::of("network", Identity::Name);
///     type Outputs = NetworkOutputs;
/// }
///
/// #[derive(Serialize, Deserialize)]
/// struct Gateway {
///     network: Input<NetworkId>,
/// }
/// # impl Resource for Gateway {
/// #     const SCHEMA: Schema = Schema::of("gateway", Identity::Name);
/// #     type Outputs = GatewayOutputs;
/// # }
/// # #[derive(Clone, Serialize, Deserialize)]
/// # struct GatewayOutputs { id: String }
///
/// let mut graph = Graph::default();
/// let network = graph.add("main", &Network { cidr: "10.0.0.0/16".into() });
/// graph.add("main", &Gateway { network: out!(network.id) });
/// ```
///
/// ```compile_fail
/// # use groundplan_engine::graph::{Graph, Identity, Input, Resource, Schema};
/// # use groundplan_engine::out;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Clone, Serialize, Deserialize)]
/// # struct NetworkId(String);
/// # #[derive(Serialize, Deserialize)]
/// # struct Network { cidr: String }
/// # #[derive(Clone, Serialize, Deserialize)]
/// # struct NetworkOutputs { id: NetworkId }
/// # impl Resource for Network {
/// #     const SCHEMA: Schema = Schema::of("network", Identity::Name);
/// #     type Outputs = NetworkOutputs;
/// # }
/// # #[derive(Serialize, Deserialize)]
/// # struct Gateway { network: Input<NetworkId> }
/// # impl Resource for Gateway {
/// #     const SCHEMA: Schema = Schema::of("gateway", Identity::Name);
/// #     type Outputs = GatewayOutputs;
/// # }
/// # #[derive(Clone, Serialize, Deserialize)]
/// # struct GatewayOutputs { id: String }
/// # let mut graph = Graph::default();
/// # let network = graph.add("main", &Network { cidr: "10.0.0.0/16".into() });
/// let gateway = graph.add("main", &Gateway { network: out!(network.id) });
/// // The ID of a gateway is not the ID of a network.
/// graph.add("other", &Gateway { network: out!(gateway.id) });
/// ```
#[macro_export]
macro_rules! out {
    ($handle:ident . $field:ident) => {
        $handle.output(stringify!($field), |outputs| &outputs.$field)
    };
    ($handle:ident [ $index:expr ] . $field:ident) => {
        $handle[$index].output(stringify!($field), |outputs| &outputs.$field)
    };
}

/// Replaces every reference that `lookup` can resolve. The other references stay and mean "known
/// after apply".
pub fn resolve(value: &Value, lookup: &dyn Fn(&Ref) -> Option<Value>) -> Value {
    if let Some(r) = as_ref(value) {
        return lookup(&r).unwrap_or_else(|| value.clone());
    }
    match value {
        Value::Array(items) => items.iter().map(|v| resolve(v, lookup)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (k.clone(), resolve(v, lookup))).collect()
        }
        leaf => leaf.clone(),
    }
}

/// Calls `visit` for every reference in `value`.
pub fn each_ref(value: &Value, visit: &mut dyn FnMut(&Ref)) {
    if let Some(r) = as_ref(value) {
        return visit(&r);
    }
    match value {
        Value::Array(items) => items.iter().for_each(|v| each_ref(v, visit)),
        Value::Object(fields) => fields.values().for_each(|v| each_ref(v, visit)),
        _ => (),
    }
}

/// Returns `value` as a reference; `None` for any other value.
pub fn as_ref(value: &Value) -> Option<Ref> {
    let fields = value.as_object()?;
    let address = fields.get("$ref")?.as_str()?;
    Some(Ref { address: address.into(), output: fields.get("output")?.as_str()?.to_owned() })
}
