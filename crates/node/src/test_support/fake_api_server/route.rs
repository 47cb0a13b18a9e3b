//! Request handlers by HTTP method.

use serde_json::{Value, json};

use super::patch::{APPLY, patched};
use super::request::{ApiResource, ErrorResponse, ParsedRequest, RequestTarget, SuccessResponse};
use super::select::ListSelectors;
use super::store::{ApiStore, ObjectKey};

type RouteResult = Result<SuccessResponse, ErrorResponse>;

impl ApiStore {
    pub(super) fn route(&mut self, asked: &ParsedRequest) -> RouteResult {
        let unknown = || {
            ErrorResponse::new(404, "NotFound", "the server could not find the requested resource")
        };
        let place = asked.place().ok_or_else(unknown)?;
        let Some(name) = place.name.clone() else { return self.many(asked, &place) };
        let key = (place.resource.plural, place.namespace.clone(), name);
        match (&*asked.method, &*place.part) {
            ("GET", "" | "status") => ok(self.known(place.resource, &key)?),
            ("GET", "scale") => ok(scale(&self.known(place.resource, &key)?)),
            ("PUT", "scale") => self.rescale(&place, &key, &asked.object()?),
            ("PATCH", "scale") => {
                let old = scale(&self.known(place.resource, &key)?);
                let new = patched(&old, asked.object()?, &asked.content, true)?;
                self.rescale(&place, &key, &new)
            }
            ("PUT", "" | "status") => self.replace(&place, &key, asked.object()?),
            ("PATCH", "" | "status") => self.patch(asked, &place, &key),
            ("POST", "eviction") => self.evict(&place, &key),
            ("DELETE", "") => self.remove(asked, &place, &key),
            _ => Err(ErrorResponse::new(405, "MethodNotAllowed", asked.line())),
        }
    }

    fn many(&mut self, asked: &ParsedRequest, place: &RequestTarget) -> RouteResult {
        let resource = place.resource;
        match &*asked.method {
            "GET" if asked.is_watch() => {
                let figure = |name: &str| asked.query.get(name).and_then(|text| text.parse().ok());
                let selection = ListSelectors::of(asked)?;
                let since = figure("resourceVersion").unwrap_or_default();
                let seconds = figure("timeoutSeconds").unwrap_or(1800);
                let namespace = &place.namespace;
                Ok(SuccessResponse::Watch(
                    self.watch(resource, namespace, selection, since, seconds),
                ))
            }
            "GET" => self.list(asked, place),
            "POST" => self.create(place, asked.object()?),
            _ => Err(ErrorResponse::new(405, "MethodNotAllowed", asked.line())),
        }
    }

    /// Returns one page of a list. All pages of a list are of the same version. A list of any
    /// version (`resourceVersion=0`) may be old; a list without a version is not.
    fn list(&mut self, asked: &ParsedRequest, place: &RequestTarget) -> RouteResult {
        let (resource, selection) = (place.resource, ListSelectors::of(asked)?);
        let token = asked.query.get("continue").filter(|token| !token.is_empty());
        let (version, after) = match token {
            Some(token) => continued(token)?,
            None if asked.query.get("resourceVersion").is_some_and(|version| version == "0") => {
                (self.version - self.disturbances.below(self.version.min(30)), String::new())
            }
            None => (self.version, String::new()),
        };
        if !self.remembers(version) {
            let message = "The provided continue parameter is too old to display a consistent list \
                           result.";
            return Err(ErrorResponse::new(410, "Expired", message));
        }
        let limit = asked.query.get("limit").and_then(|limit| limit.parse().ok());
        let limit = limit
            .filter(|limit| *limit > 0)
            .map_or(usize::MAX, |limit: usize| limit.min(self.page));
        let mut items: Vec<(String, Value)> = self
            .objects_at(resource, &place.namespace, version)
            .into_iter()
            .map(|((_, namespace, name), object)| (format!("{namespace}/{name}"), object))
            .filter(|(key, object)| *key > after && selection.fits(object))
            .collect();
        let mut meta = json!({"resourceVersion": version.to_string()});
        if items.len() > limit {
            items.truncate(limit);
            let last = items.last().map(|(key, _)| key.as_str()).unwrap_or_default();
            meta["continue"] = json!(format!("{version}:{last}"));
        }
        let items: Vec<Value> = items.into_iter().map(|(_, object)| object).collect();
        ok(json!({
            "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
            "metadata": meta, "items": items,
        }))
    }

    fn create(&mut self, place: &RequestTarget, mut object: Value) -> RouteResult {
        let resource = place.resource;
        let invalid = |object: &Value, what: &str| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let message = format!("{} \"{name}\" is invalid: {what}", resource.kind);
            ErrorResponse::new(422, "Invalid", message)
        };
        let meta = &mut object["metadata"];
        if meta["name"].is_null() && meta["generateName"].is_null() {
            return Err(invalid(&object, "metadata.name: Required value"));
        }
        if resource.namespaced {
            let given = meta["namespace"].as_str().unwrap_or(&place.namespace).to_owned();
            if given != place.namespace || place.namespace.is_empty() {
                let message = "the namespace of the provided object does not match the namespace \
                               sent on the request";
                return Err(ErrorResponse::new(400, "BadRequest", message));
            }
            meta["namespace"] = json!(given);
        }
        if !meta["resourceVersion"].is_null() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ErrorResponse::new(400, "BadRequest", message));
        }
        if resource.kind == "Event" {
            // Events about cluster-scoped objects are in the namespace `default`.
            let involved = object["involvedObject"]["namespace"].as_str().unwrap_or("default");
            if involved != place.namespace {
                return Err(invalid(
                    &object,
                    "involvedObject.namespace: does not match event.namespace",
                ));
            }
        }
        for field in ["uid", "creationTimestamp", "deletionTimestamp", "generation"] {
            if let Some(meta) = object["metadata"].as_object_mut() {
                meta.remove(field);
            }
        }
        if resource.status
            && let Some(object) = object.as_object_mut()
        {
            object.remove("status");
        }
        let object = self.made(object, resource);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (resource.plural, place.namespace.clone(), name);
        if self.object(&key).is_some() {
            let message = format!("{} \"{}\" already exists", resource.qualified(), key.2);
            return Err(ErrorResponse::new(409, "AlreadyExists", message));
        }
        *self.creations.entry(resource.plural).or_default() += 1;
        Ok(SuccessResponse::Object(201, self.commit(resource, &key, Some(object))))
    }

    fn replace(&mut self, place: &RequestTarget, key: &ObjectKey, new: Value) -> RouteResult {
        let old = self.known(place.resource, key)?;
        if place.resource.is_custom() && new["metadata"]["resourceVersion"].is_null() {
            let message = format!(
                "{} \"{}\" is invalid: metadata.resourceVersion: Invalid value: 0x0: must be \
                 specified for an update",
                place.resource.qualified(),
                key.2
            );
            return Err(ErrorResponse::new(422, "Invalid", message));
        }
        self.write(place, key, &old, new)
    }

    fn patch(
        &mut self,
        asked: &ParsedRequest,
        place: &RequestTarget,
        key: &ObjectKey,
    ) -> RouteResult {
        if place.resource.kind == "Node" && self.troubles.quicker > 0 {
            self.troubles.quicker -= 1;
            let beat = format!("beat {}", self.version);
            let condition = json!({"type": "Heartbeats", "status": "True", "message": beat});
            self.write_condition(&key.2, &condition);
        }
        if asked.content == APPLY && self.object(key).is_none() {
            let mut object = asked.object()?;
            object["metadata"]["name"] = json!(key.2);
            return self.create(place, object);
        }
        let old = self.known(place.resource, key)?;
        let sent = asked.object()?;
        let mut new = patched(&old, sent.clone(), &asked.content, place.resource.is_custom())?;
        // A resource version or UID in a patch is a precondition and not a new value.
        for field in ["resourceVersion", "uid"] {
            new["metadata"][field] = match &sent["metadata"][field] {
                Value::Null => old["metadata"][field].clone(),
                said => said.clone(),
            };
        }
        self.write(place, key, &old, new)
    }

    fn write(
        &mut self,
        place: &RequestTarget,
        key: &ObjectKey,
        old: &Value,
        mut new: Value,
    ) -> RouteResult {
        let resource = place.resource;
        self.compare(resource, key, &old["metadata"], &new["metadata"])?;
        match &*place.part {
            "status" => {
                let status = new["status"].take();
                let annotations = new["metadata"]["annotations"].take();
                new = old.clone();
                new["status"] = status;
                // The status of a Node is written together with its metadata (Kubernetes,
                // pkg/registry/core/node/strategy.go); that of other objects is not.
                if resource.kind == "Node" && !annotations.is_null() {
                    new["metadata"]["annotations"] = annotations;
                }
            }
            _ if resource.status => match old.get("status") {
                Some(status) => new["status"] = status.clone(),
                None => drop(new.as_object_mut().map(|new| new.remove("status"))),
            },
            _ => (),
        }
        for field in
            ["name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "generation"]
        {
            match old["metadata"].get(field) {
                Some(value) => new["metadata"][field] = value.clone(),
                None => drop(new["metadata"].as_object_mut().map(|meta| meta.remove(field))),
            }
        }
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        if resource.kind == "Node" && self.kubelet && new["spec"]["taints"] != old["spec"]["taints"]
        {
            let name = &key.2;
            let message = format!(
                "nodes \"{name}\" is forbidden: node \"{name}\" is not allowed to modify taints"
            );
            return Err(ErrorResponse::new(403, "Forbidden", message));
        }
        if resource.is_custom() && new["spec"] != old["spec"] {
            let generation = old["metadata"]["generation"].as_i64().unwrap_or_default();
            new["metadata"]["generation"] = json!(generation + 1);
        }
        // A write without changes keeps the resource version and sends no watch event.
        if new == *old {
            return ok(new);
        }
        if resource.kind == "Node" {
            self.writes += 1;
        }
        let marked = !new["metadata"]["deletionTimestamp"].is_null();
        let held = new["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty());
        if marked && !held {
            return ok(self.commit(resource, key, None));
        }
        ok(self.commit(resource, key, Some(new)))
    }

    fn compare(
        &mut self,
        resource: &ApiResource,
        key: &ObjectKey,
        old: &Value,
        sent: &Value,
    ) -> Result<(), ErrorResponse> {
        for field in ["resourceVersion", "uid"] {
            if !sent[field].is_null() && sent[field] != old[field] {
                self.conflicts += 1;
                let message = format!(
                    "Operation cannot be fulfilled on {} \"{}\": the object has been modified; \
                     please apply your changes to the latest version and try again",
                    resource.qualified(),
                    key.2
                );
                return Err(ErrorResponse::new(409, "Conflict", message));
            }
        }
        Ok(())
    }

    fn rescale(&mut self, place: &RequestTarget, key: &ObjectKey, wanted: &Value) -> RouteResult {
        let old = self.known(place.resource, key)?;
        let mut new = old.clone();
        new["spec"]["replicas"] = wanted["spec"]["replicas"].clone();
        let version = &wanted["metadata"]["resourceVersion"];
        if !version.is_null() {
            new["metadata"]["resourceVersion"] = version.clone();
        }
        let whole = RequestTarget {
            resource: place.resource,
            namespace: place.namespace.clone(),
            name: place.name.clone(),
            part: String::new(),
        };
        match self.write(&whole, key, &old, new)? {
            SuccessResponse::Object(status, object) => {
                Ok(SuccessResponse::Object(status, scale(&object)))
            }
            other @ SuccessResponse::Watch(_) => Ok(other),
        }
    }

    fn remove(
        &mut self,
        asked: &ParsedRequest,
        place: &RequestTarget,
        key: &ObjectKey,
    ) -> RouteResult {
        let old = self.known(place.resource, key)?;
        let options = if asked.body.is_empty() { json!({}) } else { asked.object()? };
        self.compare(place.resource, key, &old["metadata"], &options["preconditions"])?;
        let held = old["metadata"]["finalizers"].as_array().is_some_and(|held| !held.is_empty());
        let object = self.delete(place.resource, key);
        if held {
            return ok(object);
        }
        ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                  "details": {"name": key.2, "uid": old["metadata"]["uid"]}}))
    }

    fn evict(&mut self, place: &RequestTarget, key: &ObjectKey) -> RouteResult {
        let pod = self.known(place.resource, key)?;
        let app = pod["metadata"]["labels"]["app"].as_str();
        if app.is_some() && app == self.protected.as_deref() {
            let message = "Cannot evict pod as it would violate the pod's disruption budget.";
            let mut no = ErrorResponse::new(429, "TooManyRequests", message);
            // As the registry of evictions answers, with a Retry-After header of some seconds.
            no.details = Some(json!({"retryAfterSeconds": 10, "causes": [{
                "reason": "DisruptionBudget", "message": "The disruption budget needs 1 healthy pods and has 1 currently",
            }]}));
            return Err(no);
        }
        self.delete(place.resource, key);
        let done =
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
        Ok(SuccessResponse::Object(201, done))
    }
}

/// Returns the version and the last object of a `continue` token.
fn continued(token: &str) -> Result<(u64, String), ErrorResponse> {
    let parts = token.split_once(':').and_then(|(version, last)| {
        version.parse().ok().map(|version: u64| (version, last.to_owned()))
    });
    parts.ok_or_else(|| ErrorResponse::new(400, "BadRequest", "continue key is not valid"))
}

/// Returns the `scale` subresource, which lets clients scale an object without knowing its kind.
fn scale(object: &Value) -> Value {
    let meta = &object["metadata"];
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"],
                     "resourceVersion": meta["resourceVersion"],
                     "creationTimestamp": meta["creationTimestamp"]},
        "spec": {"replicas": object["spec"]["replicas"]},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or_default(),
                   "selector": object["status"]["labelSelector"]},
    })
}

fn ok(object: Value) -> RouteResult {
    Ok(SuccessResponse::Object(200, object))
}
