//! Deletion, finalizers and evictions.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::{ErrorResponse, FieldError};
use super::request::{ApiResource, ParsedRequest, RequestTarget, SuccessResponse};
use super::route::{RouteResult, ok};
use super::store::{ApiStore, ObjectKey};

/// Finalizers by propagation policy. Controllers that remove them are not part of the server.
const POLICIES: [(&str, Option<&str>); 3] =
    [("Background", None), ("Foreground", Some("foregroundDeletion")), ("Orphan", Some("orphan"))];

impl ApiStore {
    pub(super) fn remove(
        &mut self,
        asked: &ParsedRequest,
        place: &RequestTarget,
        key: &ObjectKey,
    ) -> RouteResult {
        let mut options = if asked.body.is_empty() { json!({}) } else { asked.object()? };
        if let Some(policy) = asked.query.get("propagationPolicy") {
            options["propagationPolicy"] = json!(policy);
        }
        if let Some(seconds) = asked.query.get("gracePeriodSeconds") {
            options["gracePeriodSeconds"] = json!(seconds.parse::<i64>().ok());
        }
        let uid = self.known(place.resource, key)?["metadata"]["uid"].clone();
        match self.remove_with(place.resource, key, &options)? {
            Some(object) => ok(object),
            None => {
                let mut details = json!({"name": key.2, "kind": place.resource.plural, "uid": uid});
                if !place.resource.group.is_empty() {
                    details["group"] = json!(place.resource.group);
                }
                ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                          "status": "Success", "details": details}))
            }
        }
    }

    /// Deletes an object as the delete options say. Returns the object if it stays for now.
    fn remove_with(
        &mut self,
        resource: &'static ApiResource,
        key: &ObjectKey,
        options: &Value,
    ) -> Result<Option<Value>, ErrorResponse> {
        let old = self.known(resource, key)?;
        check_preconditions(resource, &key.2, &old["metadata"], &options["preconditions"])?;
        let mut marked = old.clone();
        if let Some(finalizer) = finalizer(options)? {
            let held = marked["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
            if !held.contains(&json!(finalizer)) {
                marked["metadata"]["finalizers"] =
                    held.into_iter().chain([json!(finalizer)]).collect();
            }
        }
        let grace = self.grace(resource, &old, &options["gracePeriodSeconds"]);
        if grace == 0 && !is_held(&marked) {
            self.count_deletion(resource, &old);
            if resource.kind == "Pod" {
                return Ok(Some(self.end_pod(resource, key, marked)));
            }
            self.commit(resource, key, None);
            return Ok(None);
        }
        let meta = &old["metadata"];
        let is_marked = !meta["deletionTimestamp"].is_null();
        if is_marked && meta["deletionGracePeriodSeconds"].as_i64().is_none_or(|old| grace >= old) {
            return Ok(Some(old));
        }
        self.count_deletion(resource, &old);
        // A second deletion moves the time back, and none moves it forward.
        let time = self.time_after(Duration::from_secs(grace.try_into().unwrap_or_default()));
        marked["metadata"]["deletionTimestamp"] = json!(time);
        marked["metadata"]["deletionGracePeriodSeconds"] = json!(grace);
        if let Some(generation) = meta["generation"].as_i64().filter(|_| !is_marked) {
            marked["metadata"]["generation"] = json!(generation + 1);
        }
        Ok(Some(self.commit(resource, key, Some(marked))))
    }

    /// Deletes a pod. Watches see its grace period become 0 first.
    fn end_pod(
        &mut self,
        resource: &'static ApiResource,
        key: &ObjectKey,
        mut pod: Value,
    ) -> Value {
        pod["metadata"]["deletionTimestamp"] = json!(self.now());
        pod["metadata"]["deletionGracePeriodSeconds"] = json!(0);
        self.commit(resource, key, Some(pod));
        self.commit(resource, key, None)
    }

    fn count_deletion(&mut self, resource: &'static ApiResource, old: &Value) {
        if old["metadata"]["deletionTimestamp"].is_null() && !self.dry {
            *self.deletions.entry(resource.plural).or_default() += 1;
        }
    }

    /// Returns the grace period in seconds. Only pods on a node have one. A kubelet that runs ends
    /// its pods at once.
    fn grace(&self, resource: &ApiResource, old: &Value, wanted: &Value) -> i64 {
        if resource.kind != "Pod" || old["spec"]["nodeName"].is_null() || self.kubelets {
            return 0;
        }
        let own = old["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(30);
        let before = old["metadata"]["deletionGracePeriodSeconds"].as_i64();
        wanted.as_i64().or(before).unwrap_or(own)
    }

    /// Deletes an object as `kubectl delete` does.
    pub(super) fn delete(
        &mut self,
        resource: &'static ApiResource,
        key: &ObjectKey,
    ) -> Option<Value> {
        self.remove_with(resource, key, &json!({})).unwrap_or_default()
    }

    /// Stores a written object, or removes it if nothing holds it any more.
    pub(super) fn store(
        &mut self,
        resource: &'static ApiResource,
        key: &ObjectKey,
        new: Value,
    ) -> Value {
        let meta = &new["metadata"];
        let is_marked = !meta["deletionTimestamp"].is_null();
        let grace = meta["deletionGracePeriodSeconds"].as_i64().unwrap_or_default();
        if is_marked && grace == 0 && !is_held(&new) {
            self.commit(resource, key, None);
            return new;
        }
        self.commit(resource, key, Some(new))
    }

    pub(super) fn evict(
        &mut self,
        asked: &ParsedRequest,
        place: &RequestTarget,
        key: &ObjectKey,
    ) -> RouteResult {
        let eviction = asked.object()?;
        if eviction["metadata"]["name"].as_str().is_some_and(|name| name != key.2) {
            return Err(ErrorResponse::bad_request(
                "name in URL does not match name in Eviction object",
            ));
        }
        let pod = self.known(place.resource, key)?;
        let options = eviction["deleteOptions"].clone();
        self.dry |= is_dry(&options["dryRun"])?;
        self.check_budgets(&pod)?;
        self.remove_with(place.resource, key, &options)?;
        let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                          "status": "Success", "code": 201});
        Ok(SuccessResponse::Object(201, done))
    }

    /// Rejects an eviction that a PodDisruptionBudget does not allow.
    fn check_budgets(&self, pod: &Value) -> Result<(), ErrorResponse> {
        let labels = &pod["metadata"]["labels"];
        let app = labels["app"].as_str();
        if app.is_some() && app == self.protected.as_deref() {
            return Err(no_budget(&lacking("protected", 1, 1), None));
        }
        let namespace = pod["metadata"]["namespace"].as_str().unwrap_or_default();
        let budgets: Vec<&Value> = self
            .within("poddisruptionbudgets", namespace)
            .filter(|budget| is_in(labels, &budget["spec"]["selector"]))
            .collect();
        let budget = match budgets.as_slice() {
            [] => return Ok(()),
            [budget] => *budget,
            _ => {
                let message = "This pod has more than one PodDisruptionBudget, which the eviction \
                               subresource does not support.";
                return Err(ErrorResponse::new(500, "", message));
            }
        };
        if !matches!(pod["status"]["phase"].as_str(), Some("Running" | "Unknown"))
            || !pod["metadata"]["deletionTimestamp"].is_null()
        {
            return Ok(());
        }
        let name = budget["metadata"]["name"].as_str().unwrap_or_default();
        let seen = budget["status"]["observedGeneration"].as_i64();
        if seen.is_some_and(|seen| Some(seen) < budget["metadata"]["generation"].as_i64()) {
            let why =
                format!("The disruption budget {name} is still being processed by the server.");
            return Err(no_budget(&why, Some(10)));
        }
        let selected: Vec<&Value> = self
            .within("pods", namespace)
            .filter(|one| is_in(&one["metadata"]["labels"], &budget["spec"]["selector"]))
            .collect();
        let healthy = selected.iter().filter(|pod| is_healthy(pod)).count();
        let needed = match budget["spec"]["maxUnavailable"].as_u64() {
            Some(most) => {
                selected.len().saturating_sub(usize::try_from(most).unwrap_or(usize::MAX))
            }
            None => budget["spec"]["minAvailable"]
                .as_u64()
                .unwrap_or_default()
                .try_into()
                .unwrap_or(usize::MAX),
        };
        // A pod that is not ready is not needed where enough others are (`IfHealthyBudget`).
        let is_spare = !is_healthy(pod) && needed > 0 && healthy == needed;
        if healthy > needed || is_spare {
            return Ok(());
        }
        Err(no_budget(&lacking(name, needed, healthy), None))
    }
}

/// Returns true if an object has finalizers.
pub(super) fn is_held(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty())
}

/// Returns true for `dryRun` of delete options or a query that asks for a dry run.
pub(super) fn is_dry(values: &Value) -> Result<bool, ErrorResponse> {
    let values = values.as_array().map(Vec::as_slice).unwrap_or_default();
    if let Some(other) = values.iter().find(|value| **value != "All") {
        let message = format!("Unsupported value: {other}: supported values: \"All\"");
        let error = FieldError::new("dryRun", "FieldValueNotSupported", message);
        return Err(ErrorResponse::invalid_options(&[error]));
    }
    Ok(!values.is_empty())
}

/// Returns the finalizer that the propagation policy adds.
fn finalizer(options: &Value) -> Result<Option<&'static str>, ErrorResponse> {
    let policy = &options["propagationPolicy"];
    let no = |message: String| {
        let error = FieldError::new("propagationPolicy", "FieldValueInvalid", message);
        Err(ErrorResponse::invalid_options(&[error]))
    };
    if policy.is_null() {
        return Ok(None);
    }
    if !options["orphanDependents"].is_null() {
        return no(
            "Invalid value: orphanDependents and deletionPropagation cannot be both set".to_owned()
        );
    }
    match POLICIES.iter().find(|(name, _)| policy == name) {
        Some((_, finalizer)) => Ok(*finalizer),
        None => no(format!("Unsupported value: {policy}")),
    }
}

fn check_preconditions(
    resource: &ApiResource,
    name: &str,
    meta: &Value,
    wanted: &Value,
) -> Result<(), ErrorResponse> {
    for (field, title) in [("uid", "UID"), ("resourceVersion", "ResourceVersion")] {
        if wanted[field].is_null() || wanted[field] == meta[field] {
            continue;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let why = format!(
            "the {title} in the precondition ({}) does not match the {title} in record ({}). The \
             object might have been deleted and then recreated",
            text(&wanted[field]),
            text(&meta[field])
        );
        let mut no = ErrorResponse::conflict(resource, name, &why);
        no.message = no.message.replacen(&resource.qualified(), &resource.qualified_kind(), 1);
        return Err(no);
    }
    Ok(())
}

fn lacking(name: &str, needed: usize, healthy: usize) -> String {
    format!("The disruption budget {name} needs {needed} healthy pods and has {healthy} currently")
}

fn no_budget(why: &str, retry_after: Option<u64>) -> ErrorResponse {
    let message = "Cannot evict pod as it would violate the pod's disruption budget.";
    let mut no = ErrorResponse::new(429, "TooManyRequests", message);
    let mut details = json!({"causes": [{"reason": "DisruptionBudget", "message": why}]});
    if let Some(seconds) = retry_after {
        details["retryAfterSeconds"] = json!(seconds);
    }
    no.details = Some(details);
    no
}

fn is_in(labels: &Value, selector: &Value) -> bool {
    let wanted = selector["matchLabels"].as_object();
    wanted.into_iter().flatten().all(|(label, value)| labels.get(label) == Some(value))
}

/// Returns true for a pod that a PodDisruptionBudget counts.
fn is_healthy(pod: &Value) -> bool {
    let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
    pod["metadata"]["deletionTimestamp"].is_null()
        && pod["status"]["conditions"].as_array().is_some_and(|all| all.iter().any(ready))
}
