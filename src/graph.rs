//! The resources that are wanted, and what refers to what.
//!
//! A node can only refer to a [`Handle`] that [`Graph::add`] has already returned, so a graph is
//! acyclic and in dependency order by construction, and nobody declares an edge that a reference
//! already says. Knows no cloud: a [`Schema`] is the plain data the planner needs about a kind.

pub mod pattern;

use std::borrow::Borrow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::secret::{Secret, Secrets};

/// `subnet.private-us-west-2a`: how people and files name a resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// The address of the resource called `name` of this kind.
    pub fn new(kind: &str, name: &str) -> Self {
        Self(format!("{kind}.{name}").into())
    }

    /// The part before the first dot.
    pub fn kind(&self) -> &str {
        self.0.split_once('.').map_or(&*self.0, |(kind, _)| kind)
    }

    /// The part after the first dot.
    pub fn name(&self) -> &str {
        self.0.split_once('.').map_or("", |(_, name)| name)
    }

    /// The whole address.
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

/// What a kind of resource is: plain data. What a cloud can do with it lives with the cloud.
///
/// The fields of the implementing struct are the kind's *inputs*. A field that is `None` is
/// serialised as `null` and means *no opinion*: nothing is sent and nothing ever differs.
pub trait Resource: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The facts the planner needs.
    const SCHEMA: Schema;
    /// What is known once it exists: identities and whatever others refer to.
    type Outputs: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
}

/// The facts the engine needs about a kind; there is no code in here.
#[derive(Debug, Clone, Copy)]
pub struct Schema {
    /// The first half of every address of this kind.
    pub kind: &'static str,
    /// Inputs that cannot change in place: a change means a replacement.
    pub replaced_by: &'static [&'static str],
    /// Inputs that hold on to what they refer to: the cloud does not delete that before they have let
    /// go. What must go before its successor can be made takes with it whoever holds on to it and
    /// cannot let go without that successor.
    pub holds: &'static [&'static str],
    /// Inputs that no two of the kind have at once: equal, or overlapping where they are networks.
    pub exclusive: &'static [&'static str],
    /// Inputs read only at creation. A later change is reported and never acted on by itself.
    pub set_at_creation: &'static [&'static str],
    /// Whether only the configuration may replace it: what somebody else changed by hand, where it
    /// cannot change back in place, is reported and left.
    pub endures: bool,
    /// What tells whether a creation that was not answered has made anything.
    pub identity: Identity,
    /// Whether a replacement makes the new one before it deletes the old one.
    pub create_first: bool,
    /// When what refers to it may start.
    pub usable: Usable,
    /// Whether calls follow the creating one (see [`crate::provider::Provider::configure`]).
    pub configures: bool,
    /// How long to wait for it to be ready, if at all.
    pub ready: Option<Wait>,
    /// How long to wait for it to be gone after a delete, if at all.
    pub gone: Option<Wait>,
    /// Seconds a creation usually takes, waits included: what the critical path is made of.
    pub typical_seconds: u32,
}

impl Schema {
    /// Returns a kind with every other fact at its quietest. The identity has no default: it decides
    /// whether a creation may be asked for twice.
    pub const fn of(kind: &'static str, identity: Identity) -> Self {
        Self {
            kind,
            replaced_by: &[],
            holds: &[],
            exclusive: &[],
            set_at_creation: &[],
            endures: false,
            identity,
            create_first: false,
            usable: Usable::Ready,
            configures: false,
            ready: None,
            gone: None,
            typical_seconds: 1,
        }
    }
}

/// What tells whether a creation that was not answered has made anything, and so what a run that
/// finds one open does first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// The API takes the token: the same creation again is answered with what it has made.
    Token,
    /// Nothing but the token in a tag: it is looked for patiently before it is asked for again,
    /// since asking twice makes two.
    Tag,
    /// A name or range that only one can have: asking again is refused, or answered with what has it,
    /// and the token in a tag tells whether that is ours.
    Name,
    /// It is a part of something else, or a setting of it: reading that one tells, and saying it
    /// twice is saying it once.
    Parent,
}

impl Identity {
    /// Whether the same creation asked for twice makes one thing.
    pub fn makes_one(self) -> bool {
        self != Identity::Tag
    }
}

/// From which moment a resource serves those who refer to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Usable {
    /// Its identity is enough: a listener needs the balancer's ARN, not its `active` state.
    Created,
    /// It must have been configured and be ready.
    Ready,
}

/// How often to look, and when to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Seconds between two looks; one look serves every resource of the kind that waits.
    pub every_seconds: u32,
    /// Seconds after which the step fails. What was made stays recorded and the next run waits on.
    pub within_seconds: u32,
}

/// A value known now, or the output of a resource that may not exist yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Input<T> {
    /// Known once the resource at the other end is usable.
    Ref(Ref),
    /// Known now.
    Known(T),
}

impl<T> Input<T> {
    /// The value. The engine resolves every input before a provider sees it.
    pub fn get(&self) -> &T {
        match self {
            Input::Known(value) => value,
            Input::Ref(r) => unreachable!("BUG: {r:?} reached a provider unresolved"),
        }
    }
}

impl<T> From<T> for Input<T> {
    fn from(value: T) -> Self {
        Input::Known(value)
    }
}

/// `{"$ref": "vpc.main", "output": "id"}`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ref {
    /// Whose output.
    #[serde(rename = "$ref")]
    pub address: Address,
    /// Which one.
    pub output: String,
}

/// One wanted resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub address: Address,
    /// Its inputs; references are `{"$ref": ..}`, secrets are digests.
    pub inputs: Value,
    /// What it refers to directly, sorted, without repeats.
    pub after: Vec<Address>,
}

impl Node {
    /// The kind of the resource.
    pub fn kind(&self) -> &str {
        self.address.kind()
    }
}

/// The wanted resources in dependency order, and the secrets their digests stand for.
#[derive(Debug, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    index: HashMap<Address, usize>,
    turns: Vec<Vec<Address>>,
    secrets: Secrets,
}

/// Proof that a resource is in the graph, and the only way to refer to its outputs.
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
    /// Adds a resource; what its inputs refer to becomes its dependencies.
    ///
    /// # Panics
    /// When the address is taken: the topology gives each resource a name of its own.
    pub fn add<R: Resource>(&mut self, name: &str, resource: &R) -> Handle<R> {
        let address = Address::new(R::SCHEMA.kind, name);
        let inputs = serde_json::to_value(resource).expect("BUG: resources are plain data");
        self.push(address.clone(), inputs);
        Handle { address, kind: PhantomData }
    }

    /// Adds a resource whose type has been taken away; references must point at what is here.
    ///
    /// # Panics
    /// When the address is taken or a reference points at nothing.
    pub fn push(&mut self, address: Address, inputs: Value) {
        let mut after = BTreeSet::new();
        each_ref(&inputs, &mut |r| {
            assert!(self.index.contains_key(&r.address), "BUG: {address} refers to {}", r.address);
            after.insert(r.address.clone());
        });
        let taken = self.index.insert(address.clone(), self.nodes.len());
        assert!(taken.is_none(), "BUG: {address} is in the graph twice");
        self.nodes.push(Node { address, inputs, after: after.into_iter().collect() });
    }

    /// Says that `later` waits for `earlier` although it takes no value from it.
    pub fn order<L, E>(&mut self, later: &Handle<L>, earlier: &Handle<E>) {
        let (later, earlier) = (self.index[&later.address], &earlier.address);
        assert!(self.index[earlier] < later, "BUG: {earlier} was added after what waits for it");
        let after = &mut self.nodes[later].after;
        if let Err(place) = after.binary_search(earlier) {
            after.insert(place, earlier.clone());
        }
    }

    /// Says that of these, never two are replaced at the same time: together they make up something
    /// that lives on as long as most of them do, as the members of etcd do.
    pub fn take_turns<R>(&mut self, members: &[Handle<R>]) {
        self.turns.push(members.iter().map(|member| member.address.clone()).collect());
    }

    /// The groups whose members are replaced one at a time.
    pub fn turns(&self) -> &[Vec<Address>] {
        &self.turns
    }

    /// Keeps a secret beside the graph; the digest that stands for it goes into inputs.
    pub fn keep_secret(&mut self, content: Vec<u8>) -> Secret {
        self.secrets.keep(content)
    }

    /// The wanted resources, each after everything it refers to.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The resource at this address.
    pub fn get(&self, address: &Address) -> Option<&Node> {
        self.index.get(address).map(|&index| &self.nodes[index])
    }

    /// What the digests among the inputs stand for.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The same, when the rest is not needed any more.
    pub fn into_secrets(self) -> Secrets {
        self.secrets
    }
}

impl<R: Resource> Handle<R> {
    /// What [`out!`](crate::out) expands to: checks at compile time that the output exists.
    #[doc(hidden)]
    pub fn output<T>(&self, name: &str, _has: fn(&R::Outputs) -> &T) -> Input<T> {
        Input::Ref(Ref { address: self.address.clone(), output: name.into() })
    }

    /// The address of the resource.
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// `out!(vpc.id)`: the field must exist on the kind's outputs, and its type becomes the input's.
///
/// ```
/// # use groundplan::{graph::Graph, out, aws::{Tags, vpc::Vpc, internet_gateway::InternetGateway}};
/// # let mut graph = Graph::default();
/// # let tags = Tags::default();
/// let vpc = graph.add("main", &Vpc {
///     cidr: "10.0.0.0/16".parse().unwrap(), dhcp_options: None, dns_hostnames: true, dns_support: true, tags: tags.clone(),
/// });
/// graph.add("main", &InternetGateway { vpc: out!(vpc.id), tags });
/// ```
///
/// ```compile_fail
/// # use groundplan::{graph::Graph, out, aws::{Tags, vpc::Vpc, internet_gateway::InternetGateway}};
/// # let mut graph = Graph::default();
/// # let tags = Tags::default();
/// let vpc = graph.add("main", &Vpc {
///     cidr: "10.0.0.0/16".parse().unwrap(), dhcp_options: None, dns_hostnames: true, dns_support: true, tags: tags.clone(),
/// });
/// let gateway = graph.add("main", &InternetGateway { vpc: out!(vpc.id), tags: tags.clone() });
/// // A gateway's id is not a VPC's id.
/// graph.add("other", &InternetGateway { vpc: out!(gateway.id), tags });
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

/// Replaces every reference that `lookup` can answer; the rest stay and read as "not yet known".
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

/// Visits every reference in a value.
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

/// The reference this value is, if it is one.
pub fn as_ref(value: &Value) -> Option<Ref> {
    let fields = value.as_object()?;
    let address = fields.get("$ref")?.as_str()?;
    Some(Ref { address: address.into(), output: fields.get("output")?.as_str()?.to_owned() })
}
