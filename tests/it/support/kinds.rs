//! The contract of every kind, checked on one resource from before its creation to after its
//! deletion.
//!
//! Uses a cloud through `Provider` only, and therefore works for every kind.

use std::sync::Arc;
use std::time::Duration;

use groundplan::graph::{Address, Schema};
use groundplan::provider::{Known, Look, Observed, Provider, Request};
use groundplan::secret::Secrets;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Maximum wait in a test cloud.
const WITHIN: Duration = super::cloud::PATIENCE;
const EVERY: Duration = Duration::from_millis(50);

/// Test bench that creates resources one after another.
pub(crate) struct Bench<'a, P> {
    provider: &'a P,
    secrets: Arc<Secrets>,
}

/// A resource to check.
pub(crate) struct Trial {
    /// Address of the resource. The kind is the part before the dot.
    pub(crate) address: &'static str,
    /// Inputs of the creation.
    pub(crate) inputs: Value,
    /// Inputs of the in-place updates, in order.
    pub(crate) changes: Vec<Value>,
    /// True if a second creation with the same token must return the same resource. Applies to APIs
    /// with tokens, or with names that act as a token.
    pub(crate) repeatable: bool,
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
    /// - The resource is created and found by token. A second creation returns the same one.
    /// - `configure` runs twice, and the resource becomes ready.
    /// - Refresh returns the inputs, with and without recorded outputs.
    /// - Each update runs twice, and refresh returns the new inputs.
    /// - The resource is deleted twice, and refresh reports it as missing.
    pub(crate) async fn keeps_its_promises(&self, trial: Trial) {
        let Trial { address, inputs, changes, repeatable } = trial;
        let none: Option<Value> = self.find(address, &inputs).await;
        assert_eq!(none, None, "{address}: found before it was made");
        let created = self.create(address, &inputs).await;
        let found = self.find(address, &inputs).await;
        let found = found.unwrap_or_else(|| panic!("{address}: created and not found"));
        assert_eq!(lasting(&found), lasting(&created), "{address}: found is not what was created");
        if repeatable {
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
        assert_eq!(self.observe(&known).await, Observed::Missing, "{address}: still there");
        let none = self.find(address, &known.inputs).await;
        assert_eq!(none, None, "{address}: found after it was deleted");
    }

    /// Creates a resource that others need, and waits until it is ready.
    pub(crate) async fn make(&self, address: &str, inputs: &Value) -> Known {
        let outputs = self.create(address, inputs).await;
        self.finish(address, inputs, outputs).await
    }

    /// Updates a resource in place twice, as after a lost response.
    pub(crate) async fn change(&self, before: Known, inputs: &Value) -> Known {
        let request = request(before.address.as_str(), inputs, &self.secrets);
        let address = before.address.clone();
        let update = || self.provider.update(request.clone(), before.clone());
        let outputs = update().await.unwrap_or_else(|e| panic!("could not update {address}: {e}"));
        let again = update().await.unwrap_or_else(|e| panic!("could not repeat {address}: {e}"));
        let same = lasting(&outputs) == lasting(&again);
        assert!(same, "{address}: the same update twice ends as {outputs} and as {again}");
        self.ready(Known { inputs: inputs.clone(), outputs, ..before }).await
    }

    /// Deletes a resource and waits until it is deleted.
    pub(crate) async fn unmake(&self, known: &Known) {
        let address = &known.address;
        let deleted = self.provider.delete(known.clone()).await;
        deleted.unwrap_or_else(|error| panic!("could not delete {address}: {error}"));
        if self.schema(address).gone.is_some() {
            self.until_done(|| self.provider.gone(address.kind().to_owned(), vec![known.clone()]))
                .await;
        }
    }

    /// Returns the live state of a resource.
    pub(crate) async fn observe(&self, known: &Known) -> Observed {
        let kind = known.address.kind().to_owned();
        let mut observed = self.provider.observe(kind, vec![known.clone()]).await.expect("observe");
        assert_eq!(observed.len(), 1, "{}: one answer to one question", known.address);
        observed.remove(0)
    }

    /// Fails unless the live state equals the record.
    pub(crate) async fn is_as_recorded(&self, known: &Known) {
        let address = &known.address;
        let without_outputs = Known { outputs: Value::Null, ..known.clone() };
        for known in [known, &without_outputs] {
            let Observed::Present { inputs, outputs: live } = self.observe(known).await else {
                panic!("{address} is not there: {known:#?}");
            };
            let differs = differences(&known.inputs, &inputs);
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
    async fn finish(&self, address: &str, inputs: &Value, mut outputs: Value) -> Known {
        let request = request(address, inputs, &self.secrets);
        if self.schema(&request.address).configures {
            for _ in 0..2 {
                let configured = self.provider.configure(request.clone(), outputs).await;
                outputs =
                    configured.unwrap_or_else(|e| panic!("could not configure {address}: {e}"));
            }
        }
        let Request { address, token, inputs, .. } = request;
        self.ready(Known { address, token, inputs, outputs }).await
    }

    async fn ready(&self, known: Known) -> Known {
        if self.schema(&known.address).ready.is_none() {
            return known;
        }
        let kind = known.address.kind().to_owned();
        let outputs =
            self.until_done(|| self.provider.ready(kind.clone(), vec![known.clone()])).await;
        Known { outputs, ..known }
    }

    async fn until_done(
        &self,
        look: impl Fn() -> groundplan::provider::Reply<'a, Vec<Look>>,
    ) -> Value {
        let end = Instant::now() + WITHIN;
        loop {
            let mut looks = look().await.expect("a look");
            assert_eq!(looks.len(), 1, "one answer to one question");
            match looks.remove(0) {
                Look::Done(outputs) => return outputs,
                Look::Failed(error) => panic!("it failed: {error}"),
                Look::NotYet(word) => {
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

/// Returns the outputs without the ID of the DNS change, which each call creates anew.
fn lasting(outputs: &Value) -> Value {
    let mut outputs = outputs.clone();
    if let Some(outputs) = outputs.as_object_mut() {
        outputs.remove("change");
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
