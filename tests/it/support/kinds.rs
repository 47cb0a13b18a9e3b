//! The contract of every kind, checked on one resource from before its creation to after its
//! deletion.
//!
//! Uses a cloud through `Provider` only, and therefore works for every kind.

use std::sync::Arc;
use std::time::Duration;

use groundplan_aws::Aws;
use groundplan_aws::facts::{Kind, KindFacts, Repeat};
use groundplan_aws::registry;
use groundplan_engine::graph::{Address, Schema};
use groundplan_engine::provider::{
    ErrorClass, Observed, Poll, Provider, RecordedResource, Request,
};
use groundplan_engine::secret::Secrets;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::cloud::Cloud;

/// How long anything that is waited for may take in a test cloud.
const WITHIN: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_millis(50);

/// Mark of a kind whose contract is proven, with [`contract`] or [`kind_contract!`].
#[diagnostic::on_unimplemented(
    message = "no test proves the contract of the kind `{Self}`",
    label = "no contract",
    note = "write `kind_contract! {{ async fn name(place = ..) -> {Self} {{ (example, changes) }} }}`"
)]
pub(crate) trait Contract: Kind {}

/// Proves the contract of a kind, with an example and the values it is changed to in place:
///
/// ```text
/// kind_contract! {
///     async fn a_subnet_keeps_its_promises(account = Account::new()) -> Subnet {
///         let wanted = subnet(&account.vpc().await, "10.0.0.0/20", "a");
///         let changes = [Subnet { tags: other_tags("a"), ..wanted.clone() }];
///         (wanted, changes)
///     }
/// }
/// ```
macro_rules! kind_contract {
    ($(#[$meta:meta])* async fn $test:ident($place:ident = $make:expr) -> $kind:ty $example:block) => {
        impl $crate::support::kinds::Contract for $kind {}

        $(#[$meta])*
        #[tokio::test]
        async fn $test() {
            let $place = $make;
            let (wanted, changes) = $example;
            $crate::support::kinds::contract::<$kind>(&$place, &wanted, &changes).await;
        }
    };
}
pub(crate) use kind_contract;

/// An account of the test cloud, with AWS as a provider in it.
pub(crate) trait Place {
    /// Returns the account.
    fn cloud(&self) -> &Cloud;
    /// Returns a bench with the secrets of this account's inputs.
    fn kinds(&self) -> Bench<'_, Aws>;
}

/// Proves the contract of a kind: everything in [`Bench::keeps_its_promises`], and once more when the
/// answer to the creating call is lost.
pub(crate) async fn contract<K: Contract>(
    place: &impl Place,
    wanted: &impl Serialize,
    changes: &[impl Serialize],
) {
    let value = |one: Value| -> Value {
        let typed: K = serde_json::from_value(one).expect("inputs of the kind");
        serde_json::to_value(typed).expect("plain data")
    };
    let kind = K::SCHEMA.kind;
    let inputs = value(json!(wanted));
    let changes = changes.iter().map(|change| value(json!(change))).collect();
    let address = &format!("{kind}.example");
    let trial = Trial { address, inputs: inputs.clone(), changes };
    place.kinds().keeps_its_promises(trial).await;
    let creating = K::ACTIONS.create.first().expect("a creating action");
    let (_, call) = creating.split_once(':').expect("service:Call");
    place.cloud().fault(&json!({ "action": call, "when": "after", "kind": "drop" }));
    place.kinds().finds_what_was_not_answered(&format!("{kind}.lost"), &inputs).await;
}

/// Somewhere to make things, one after another.
pub(crate) struct Bench<'a, P> {
    provider: &'a P,
    secrets: Arc<Secrets>,
}

/// What is tried with one resource.
pub(crate) struct Trial<'t> {
    /// Its address; the kind is the part before the dot.
    pub(crate) address: &'t str,
    /// What it is made with.
    pub(crate) inputs: Value,
    /// Inputs of the in-place updates, in order.
    pub(crate) changes: Vec<Value>,
}

#[allow(dead_code, reason = "each test file uses a part of it")]
impl<'a, P: Provider> Bench<'a, P> {
    /// Creates a bench for inputs without secrets.
    pub(crate) fn new(provider: &'a P) -> Self {
        Self::with_secrets(provider, Secrets::default())
    }

    /// Creates a bench with the secrets whose digests are in the inputs.
    pub(crate) fn with_secrets(provider: &'a P, secrets: impl Into<Arc<Secrets>>) -> Self {
        Self { provider, secrets: secrets.into() }
    }

    /// Checks the whole contract of a kind.
    ///
    /// Created and found by token; created again, the same one; configured and configured again;
    /// ready; observed as it was asked for, with or without outputs on record; changed, changed
    /// again and observed as changed; deleted, gone, and deleted again; observed as missing.
    pub(crate) async fn keeps_its_promises(&self, trial: Trial<'_>) {
        let Trial { address, inputs, changes } = trial;
        let none: Option<Value> = self.find(address, &inputs).await;
        assert_eq!(none, None, "{address}: found before it was made");
        let created = self.create(address, &inputs).await;
        let found = self.find(address, &inputs).await;
        let found = found.unwrap_or_else(|| panic!("{address}: created and not found"));
        assert_eq!(lasting(&found), lasting(&created), "{address}: found is not what was created");
        if facts(address).repeat != Repeat::Never {
            let again = self.create(address, &inputs).await;
            assert_eq!(lasting(&again), lasting(&created), "{address}: creating it twice made two");
        }
        let mut known = self.finish(address, &inputs, created).await;
        self.is_as_recorded(&known).await;
        for change in changes {
            known = self.change(known, &change).await;
            self.is_as_recorded(&known).await;
        }
        self.unmake(&known).await;
        self.unmake(&known).await;
        assert_eq!(self.refresh(&known).await, Observed::Missing, "{address}: still there");
        let none = self.find(address, &known.inputs).await;
        assert_eq!(none, None, "{address}: found after it was deleted");
    }

    /// Tries a creation whose first answer is lost: the one resource that it made is found, and lives
    /// on as if nothing had happened.
    async fn finds_what_was_not_answered(&self, address: &str, inputs: &Value) {
        let created = self.provider.create(request(address, inputs, &self.secrets)).await;
        let found = match self.find(address, inputs).await {
            Some(found) => found,
            // Of several parts only some may be there; asking for all again is harmless.
            None if facts(address).repeat == Repeat::Idempotent => {
                self.create(address, inputs).await
            }
            None => panic!("{address}: not found after a lost answer"),
        };
        match created {
            Ok(created) => {
                assert!(facts(address).repeat.by_sdk(), "{address}: the SDK asked twice");
                assert_eq!(lasting(&found), lasting(&created), "{address}: made twice");
            }
            Err(error) => assert_ne!(error.class, ErrorClass::Permanent, "{address}: {error}"),
        }
        let known = self.finish(address, inputs, found).await;
        self.is_as_recorded(&known).await;
        self.unmake(&known).await;
    }

    /// Makes something that others need, and waits until it is ready.
    pub(crate) async fn make(&self, address: &str, inputs: &Value) -> RecordedResource {
        let outputs = self.create(address, inputs).await;
        self.finish(address, inputs, outputs).await
    }

    /// Updates a resource in place twice, as after a lost response.
    pub(crate) async fn change(
        &self,
        before: RecordedResource,
        inputs: &Value,
    ) -> RecordedResource {
        let request = request(before.address.as_str(), inputs, &self.secrets);
        let address = before.address.clone();
        let update = || self.provider.update(request.clone(), before.clone());
        let outputs = update().await.unwrap_or_else(|e| panic!("could not update {address}: {e}"));
        let again = update().await.unwrap_or_else(|e| panic!("could not repeat {address}: {e}"));
        let same = lasting(&outputs) == lasting(&again);
        assert!(same, "{address}: the same update twice ends as {outputs} and as {again}");
        self.ready(RecordedResource { inputs: inputs.clone(), outputs, ..before }).await
    }

    /// Deletes a resource and waits until it is deleted.
    pub(crate) async fn unmake(&self, known: &RecordedResource) {
        let address = &known.address;
        let deleted = self.provider.delete(known.clone()).await;
        deleted.unwrap_or_else(|error| panic!("could not delete {address}: {error}"));
        if self.schema(address).gone.is_some() {
            self.until_done(|| self.provider.gone(address.kind().to_owned(), vec![known.clone()]))
                .await;
        }
    }

    /// Returns the live state of a resource.
    pub(crate) async fn refresh(&self, known: &RecordedResource) -> Observed {
        let kind = known.address.kind().to_owned();
        let mut observed = self.provider.refresh(kind, vec![known.clone()]).await.expect("observe");
        assert_eq!(observed.len(), 1, "{}: one answer to one question", known.address);
        observed.remove(0)
    }

    /// Fails unless the live state equals the record.
    pub(crate) async fn is_as_recorded(&self, known: &RecordedResource) {
        let address = &known.address;
        // As the kind writes them: optional inputs that the test leaves out are null.
        let asked = registry::normalised(address.kind(), &known.inputs);
        let without_outputs = RecordedResource { outputs: Value::Null, ..known.clone() };
        for known in [known, &without_outputs] {
            let Observed::Present { inputs, outputs: live, .. } = self.refresh(known).await else {
                panic!("{address} is not there: {known:#?}");
            };
            let differs = differences(&asked, &inputs);
            assert!(differs.is_empty(), "{address} is not as recorded: {differs:#?}");
            if !known.outputs.is_null() {
                assert_eq!(known.outputs, live, "{address}: its outputs changed by themselves");
            }
        }
    }

    async fn create(&self, address: &str, inputs: &Value) -> Value {
        let created = self.provider.create(request(address, inputs, &self.secrets)).await;
        created.unwrap_or_else(|error| panic!("could not create {address}: {error}"))
    }

    async fn find(&self, address: &str, inputs: &Value) -> Option<Value> {
        let found = self.provider.find(request(address, inputs, &self.secrets)).await;
        found.unwrap_or_else(|error| panic!("could not look for {address}: {error}"))
    }

    /// Runs the steps after the creating call. `configure` runs twice.
    async fn finish(&self, address: &str, inputs: &Value, mut outputs: Value) -> RecordedResource {
        let request = request(address, inputs, &self.secrets);
        if self.schema(&request.address).configures {
            for _ in 0..2 {
                let configured = self.provider.configure(request.clone(), outputs).await;
                outputs =
                    configured.unwrap_or_else(|e| panic!("could not configure {address}: {e}"));
            }
        }
        let Request { address, token, inputs, .. } = request;
        self.ready(RecordedResource { address, token, inputs, outputs }).await
    }

    async fn ready(&self, known: RecordedResource) -> RecordedResource {
        if self.schema(&known.address).ready.is_none() {
            return known;
        }
        let kind = known.address.kind().to_owned();
        let outputs =
            self.until_done(|| self.provider.ready(kind.clone(), vec![known.clone()])).await;
        RecordedResource { outputs, ..known }
    }

    async fn until_done(
        &self,
        look: impl Fn() -> groundplan_engine::provider::ProviderFuture<'a, Vec<Poll>>,
    ) -> Value {
        let end = Instant::now() + WITHIN;
        loop {
            let mut looks = look().await.expect("a look");
            assert_eq!(looks.len(), 1, "one answer to one question");
            match looks.remove(0) {
                Poll::Ready(outputs) => return outputs,
                Poll::Failed(error) => panic!("it failed: {error}"),
                Poll::Pending(word) => {
                    assert!(Instant::now() < end, "still {word} after {WITHIN:?}");
                    sleep(EVERY).await;
                }
            }
        }
    }

    fn schema(&self, address: &Address) -> &'static Schema {
        let kind = address.kind();
        self.provider.schema(kind).unwrap_or_else(|| panic!("`{kind}` is not a kind"))
    }
}

fn facts(address: &str) -> &'static KindFacts {
    let kind = address.split('.').next().unwrap_or_default();
    registry::facts(kind).unwrap_or_else(|| panic!("`{kind}` is not in the registry"))
}

/// Demands a contract of every kind but `UntrackedResource`, which is never created.
macro_rules! every_kind_has_a_contract {
    ($($module:ident::$kind:ident,)*) => {
        const _: () = {
            const fn proven<K: Contract>() {}
            $(proven::<groundplan_aws::kinds::$module::$kind>();)*
        };
    };
}
groundplan_aws::for_each_kind!(every_kind_has_a_contract);
impl Contract for groundplan_aws::kinds::swept::UntrackedResource {}

/// Returns outputs without values that change by themselves: the ID of a DNS change, and the state of a
/// machine while it starts. Any other state is compared.
fn lasting(outputs: &Value) -> Value {
    let mut outputs = outputs.clone();
    if let Some(outputs) = outputs.as_object_mut() {
        outputs.remove("change");
        if matches!(outputs.get("state").and_then(Value::as_str), Some("pending" | "running")) {
            outputs.remove("state");
        }
    }
    outputs
}

/// Returns a request with a fixed creation token for each address.
pub(crate) fn request(address: &str, inputs: &Value, secrets: &Arc<Secrets>) -> Request {
    Request {
        address: address.into(),
        token: format!("gp-{address}-1"),
        inputs: inputs.clone(),
        secrets: Arc::clone(secrets),
        revert: Vec::new(),
    }
}

/// Returns the differences between inputs and live state. `null` means no opinion.
fn differences(asked: &Value, live: &Value) -> Vec<String> {
    fn walk(path: &str, asked: &Value, live: &Value, found: &mut Vec<String>) {
        match (asked, live) {
            (Value::Null, _) => (),
            (Value::Object(a), Value::Object(l)) => {
                for key in a.keys().chain(l.keys().filter(|key| !a.contains_key(*key))) {
                    match (a.get(key), l.get(key)) {
                        (Some(a), Some(l)) => walk(&format!("{path}.{key}"), a, l, found),
                        (a, l) => found.push(format!("{path}.{key}: {a:?} is {l:?}")),
                    }
                }
            }
            (asked, live) if asked == live => (),
            _ => found.push(format!("{path}: {asked} is {live}")),
        }
    }
    let mut found = Vec::new();
    walk("", asked, live, &mut found);
    found
}
