//! Request handlers by HTTP method.

use serde_json::{Value, json};

use super::deletion::is_dry;
use super::error::{ErrorResponse, FieldError};
use super::patch::patched;
use super::permission::User;
use super::request::{ApiResource, ParsedRequest, RequestTarget, SuccessResponse};
use super::store::{ApiStore, ObjectKey};
use super::{list, schema, validate};

pub(super) type RouteResult = Result<SuccessResponse, ErrorResponse>;

/// Maximum size of a request body.
const BODY: usize = 3 * 1024 * 1024;
/// Namespaces that exist from the start.
const NAMESPACES: [&str; 4] =
    ["default", "kube-node-lease", "kube-system", "openshift-machine-api"];
/// Paths of probes.
const PROBES: [&str; 3] = ["/readyz", "/livez", "/healthz"];

/// Fields of the metadata that only the server sets.
const SERVER_FIELDS: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "resourceVersion",
];

impl ApiStore {
    pub(super) fn route(&mut self, asked: &ParsedRequest) -> RouteResult {
        let user = self.authenticate(asked)?;
        if PROBES.contains(&&*asked.path) {
            return ok(json!("ok"));
        }
        if asked.path == "/version" {
            return ok(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2"}));
        }
        let unknown = || {
            ErrorResponse::new(404, "NotFound", "the server could not find the requested resource")
        };
        let place = asked.place().ok_or_else(unknown)?;
        if !place.resource.has(&place.part) {
            return Err(unknown());
        }
        self.authorize(user.as_ref(), asked, &place)?;
        check_body(asked)?;
        let sent = asked.query.get("dryRun").map_or(json!([]), |value| json!([value]));
        self.dry = is_dry(&sent)?;
        if asked.method == "DELETE" && !asked.body.is_empty() {
            self.dry |= is_dry(&asked.object()?["dryRun"])?;
        }
        let writer = WriteRequest { asked, place: &place, user: user.as_ref() };
        let done = self.dispatch(&writer);
        self.dry = false;
        done
    }

    fn dispatch(&mut self, write: &WriteRequest<'_>) -> RouteResult {
        let WriteRequest { asked, place, .. } = *write;
        let not_allowed = || {
            let message = "the server does not allow this method on the requested resource";
            let mut no = ErrorResponse::new(405, "MethodNotAllowed", message);
            no.details = Some(json!({}));
            no
        };
        let Some(name) = place.name.clone() else {
            return match &*asked.method {
                "GET" if asked.is_watch() => self.begin_watch(asked, place),
                "GET" => self.list(asked, place),
                "POST" => self.create(write, None),
                "DELETE" => self.remove_all(asked, place),
                _ => Err(not_allowed()),
            };
        };
        let resource = place.resource;
        let key = (resource.plural, place.namespace.clone(), name);
        match (&*asked.method, &*place.part) {
            ("GET", "") if asked.is_watch() => self.begin_watch(asked, place),
            ("GET", "" | "status") => {
                self.reached(list::number(asked)?.unwrap_or_default())?;
                ok(self.known(resource, &key)?)
            }
            ("GET", "scale") => ok(scale(&self.known(resource, &key)?)),
            ("PUT", "scale") => self.rescale(write, &key, &asked.object()?),
            ("PATCH", "scale") => {
                let old = scale(&self.known(resource, &key)?);
                let new = patched(&old, asked.object()?, &asked.content, true)?;
                self.rescale(write, &key, &new)
            }
            ("PUT", "" | "status") => self.replace(write, &key, asked.object()?),
            ("PATCH", "" | "status") => self.patch(write, &key),
            ("POST", "eviction") => self.evict(asked, place, &key),
            ("POST", "token") => self.issue_token(&key),
            ("DELETE", "") => self.remove(asked, place, &key),
            _ => Err(not_allowed()),
        }
    }

    /// Creates an object. `name` is set if a PUT creates it.
    fn create(&mut self, write: &WriteRequest<'_>, name: Option<&str>) -> RouteResult {
        let (resource, place) = (write.place.resource, write.place);
        let mut object = write.asked.object()?;
        validate::decodable(&object, resource)?;
        self.check_place(&mut object, place)?;
        if !object["metadata"]["resourceVersion"].is_null() && name.is_none() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(ErrorResponse::new(500, "", message));
        }
        for field in SERVER_FIELDS {
            remove(&mut object["metadata"], field);
        }
        if resource.status {
            remove(&mut object, "status");
        }
        self.prune_sent(write, &mut object)?;
        schema::complete(&mut object, resource);
        let meta = &object["metadata"];
        if [&meta["name"], &meta["generateName"]]
            .iter()
            .all(|name| name.as_str().is_none_or(str::is_empty))
        {
            let message = "Required value: name or generateName is required".to_owned();
            let error = FieldError::new("metadata.name", "FieldValueRequired", message);
            return Err(ErrorResponse::invalid(resource, "", &[error]));
        }
        let object = self.made(object, resource);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        check(&object, resource, "")?;
        self.admit(write.user, place, None, &object)?;
        let key = (resource.plural, place.namespace.clone(), name);
        if self.object(&key).is_some() {
            return Err(ErrorResponse::already_exists(resource, &key.2));
        }
        if !self.dry {
            *self.creations.entry(resource.plural).or_default() += 1;
        }
        Ok(SuccessResponse::Object(201, self.commit(resource, &key, Some(object))))
    }

    /// Checks the kind and the namespace of an object against the path.
    fn check_place(&self, object: &mut Value, place: &RequestTarget) -> Result<(), ErrorResponse> {
        let resource = place.resource;
        for (field, value) in
            [("kind", resource.kind.to_owned()), ("apiVersion", resource.api_version())]
        {
            if object[field].is_null() {
                object[field] = json!(value);
            }
        }
        if object["kind"] != resource.kind && !resource.is_custom() {
            let message = format!(
                "{} in version \"{}\" cannot be handled as a {}",
                object["kind"].as_str().unwrap_or_default(),
                resource.version,
                resource.kind
            );
            return Err(ErrorResponse::bad_request(message));
        }
        if !resource.namespaced {
            remove(&mut object["metadata"], "namespace");
            return Ok(());
        }
        let namespace = &place.namespace;
        let given = object["metadata"]["namespace"].as_str().unwrap_or(namespace);
        if given != namespace || namespace.is_empty() {
            let message = "the namespace of the provided object does not match the namespace sent \
                           on the request";
            return Err(ErrorResponse::bad_request(message));
        }
        object["metadata"]["namespace"] = json!(namespace);
        let exists = NAMESPACES.contains(&namespace.as_str())
            || self.spaces.contains(namespace)
            || self.get("namespaces", "", namespace).is_some();
        if exists {
            return Ok(());
        }
        let namespaces = super::request::RESOURCES.iter().find(|one| one.kind == "Namespace");
        Err(ErrorResponse::not_found(namespaces.expect("BUG: a known kind"), namespace))
    }

    fn prune_sent(
        &self,
        write: &WriteRequest<'_>,
        object: &mut Value,
    ) -> Result<(), ErrorResponse> {
        let resource = write.place.resource;
        let dropped = schema::prune(object, resource);
        let strict =
            write.asked.query.get("fieldValidation").is_some_and(|level| level == "Strict");
        if !strict || dropped.is_empty() {
            return Ok(());
        }
        let fields: Vec<String> =
            dropped.iter().map(|field| format!("unknown field \"{field}\"")).collect();
        let kind = resource.kind;
        Err(ErrorResponse::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {kind}: strict decoding error: {}",
            resource.version,
            fields.join(", ")
        )))
    }

    fn replace(
        &mut self,
        write: &WriteRequest<'_>,
        key: &ObjectKey,
        mut new: Value,
    ) -> RouteResult {
        let resource = write.place.resource;
        validate::decodable(&new, resource)?;
        self.check_place(&mut new, write.place)?;
        check_name(&new, &key.2)?;
        let sent = &new["metadata"];
        if self.object(key).is_none() && matches!(resource.kind, "Lease" | "Event") {
            if let Some(uid) = sent["uid"].as_str() {
                let why = format!(
                    "StorageError: invalid object, Code: 4, AdditionalErrorMsg: Precondition \
                     failed: UID in precondition: {uid}, UID in object meta: "
                );
                return Err(ErrorResponse::conflict(resource, &key.2, &why));
            }
            return self.create(write, Some(&key.2));
        }
        let old = self.known(resource, key)?;
        if (resource.is_custom() || resource.kind == "Lease") && sent["resourceVersion"].is_null() {
            let error = FieldError::new(
                "metadata.resourceVersion",
                "FieldValueInvalid",
                "Invalid value: 0: must be specified for an update".to_owned(),
            );
            let mut no = ErrorResponse::invalid(resource, &key.2, &[error]);
            no.message = no.message.replacen(&resource.qualified_kind(), &resource.qualified(), 1);
            return Err(no);
        }
        if !sent["uid"].is_null() && sent["uid"] != old["metadata"]["uid"] {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let why = format!(
                "Precondition failed: UID in precondition: {}, UID in object meta: {}",
                text(&sent["uid"]),
                text(&old["metadata"]["uid"])
            );
            return Err(ErrorResponse::conflict(resource, &key.2, &why));
        }
        self.compare_versions(resource, key, &old, sent)?;
        self.write(write, key, &old, new)
    }

    fn patch(&mut self, write: &WriteRequest<'_>, key: &ObjectKey) -> RouteResult {
        let WriteRequest { asked, place, .. } = *write;
        let resource = place.resource;
        if resource.kind == "Node" && self.troubles.quicker > 0 {
            self.troubles.quicker -= 1;
            let beat = format!("beat {}", self.version);
            let condition = json!({"type": "Heartbeats", "status": "True", "message": beat});
            self.write_condition(&key.2, &condition);
        }
        let old = self.known(resource, key)?;
        let sent = asked.object()?;
        let mut new = patched(&old, sent.clone(), &asked.content, resource.is_custom())?;
        validate::decodable(&new, resource)?;
        check_name(&new, &key.2)?;
        self.compare_versions(resource, key, &old, &sent["metadata"])?;
        let uid = &sent["metadata"]["uid"];
        let ignores_uid = place.part == "status" && resource.is_custom();
        if !uid.is_null() && *uid != old["metadata"]["uid"] && !ignores_uid {
            let given = uid.as_str().unwrap_or_default();
            // The real server reports this violation twice.
            let errors =
                [(); 2].map(|()| FieldError::invalid("metadata.uid", given, "field is immutable"));
            return Err(ErrorResponse::invalid(resource, &key.2, &errors));
        }
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
        self.write(write, key, &old, new)
    }

    /// Writes an object over its old state. The caller has compared versions and UIDs.
    fn write(
        &mut self,
        write: &WriteRequest<'_>,
        key: &ObjectKey,
        old: &Value,
        mut new: Value,
    ) -> RouteResult {
        let WriteRequest { place, user, .. } = *write;
        let resource = place.resource;
        self.prune_sent(write, &mut new)?;
        schema::complete(&mut new, resource);
        keep_other_parts(old, &mut new, place);
        keep_metadata(&old["metadata"], &mut new["metadata"]);
        tidy(&mut new["metadata"]);
        check(&new, resource, &place.part)?;
        check_changes(old, &new, resource)?;
        self.admit(user, place, Some(old), &new)?;
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
        ok(self.store(resource, key, new))
    }

    fn compare_versions(
        &mut self,
        resource: &ApiResource,
        key: &ObjectKey,
        old: &Value,
        sent: &Value,
    ) -> Result<(), ErrorResponse> {
        let wanted = &sent["resourceVersion"];
        if wanted.is_null() || *wanted == old["metadata"]["resourceVersion"] {
            return Ok(());
        }
        self.conflicts += 1;
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Err(ErrorResponse::conflict(resource, &key.2, why))
    }

    fn rescale(
        &mut self,
        write: &WriteRequest<'_>,
        key: &ObjectKey,
        wanted: &Value,
    ) -> RouteResult {
        let resource = write.place.resource;
        let old = self.known(resource, key)?;
        self.compare_versions(resource, key, &old, &wanted["metadata"])?;
        let mut new = old.clone();
        new["spec"]["replicas"] = wanted["spec"]["replicas"].clone();
        let place = RequestTarget { part: String::new(), ..write.place.clone() };
        match self.write(&WriteRequest { place: &place, ..*write }, key, &old, new)? {
            SuccessResponse::Object(status, object) => {
                Ok(SuccessResponse::Object(status, scale(&object)))
            }
            other @ SuccessResponse::Watch(_) => Ok(other),
        }
    }

    fn issue_token(&mut self, key: &ObjectKey) -> RouteResult {
        if self.get("serviceaccounts", &key.1, &key.2).is_none() {
            let resource = super::request::RESOURCES.iter().find(|one| one.plural == key.0);
            return Err(ErrorResponse::not_found(resource.expect("BUG: a known resource"), &key.2));
        }
        let token = self.new_token(&key.1, &key.2);
        Ok(SuccessResponse::Object(
            201,
            json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                   "metadata": {"name": key.2, "namespace": key.1}, "status": {"token": token}}),
        ))
    }
}

/// A request that writes an object.
#[derive(Clone, Copy)]
struct WriteRequest<'a> {
    asked: &'a ParsedRequest,
    place: &'a RequestTarget,
    user: Option<&'a User>,
}

fn check_body(asked: &ParsedRequest) -> Result<(), ErrorResponse> {
    if asked.body.len() > BODY {
        let message = format!("Request entity too large: limit is {BODY}");
        return Err(ErrorResponse::new(413, "RequestEntityTooLarge", message));
    }
    let is_whole = matches!(&*asked.method, "POST" | "PUT");
    let known = ["", "application/json", "application/yaml"];
    if is_whole && !known.contains(&asked.content.split(';').next().unwrap_or_default()) {
        let message = "the body of the request was in an unknown format - accepted media types \
                       include: application/json, application/yaml";
        return Err(ErrorResponse::new(415, "UnsupportedMediaType", message));
    }
    Ok(())
}

fn check_name(object: &Value, name: &str) -> Result<(), ErrorResponse> {
    let given = object["metadata"]["name"].as_str().unwrap_or_default();
    if given == name {
        return Ok(());
    }
    let message =
        format!("the name of the object ({given}) does not match the name on the URL ({name})");
    Err(ErrorResponse::bad_request(message))
}

fn check(object: &Value, resource: &ApiResource, part: &str) -> Result<(), ErrorResponse> {
    let errors = validate::errors(object, resource, part);
    if errors.is_empty() {
        return Ok(());
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    Err(ErrorResponse::invalid(resource, name, &errors))
}

/// Rejects changes that an update may not make.
fn check_changes(old: &Value, new: &Value, resource: &ApiResource) -> Result<(), ErrorResponse> {
    let mut errors = Vec::new();
    let list = |object: &Value| object["metadata"]["finalizers"].as_array().cloned();
    let (before, after) = (list(old).unwrap_or_default(), list(new).unwrap_or_default());
    let added: Vec<String> =
        after.iter().filter(|one| !before.contains(one)).map(Value::to_string).collect();
    if !old["metadata"]["deletionTimestamp"].is_null() && !added.is_empty() {
        let message = format!(
            "Forbidden: no new finalizers can be added if the object is being deleted, found new \
             finalizers []string{{{}}}",
            added.join(", ")
        );
        errors.push(FieldError::new("metadata.finalizers", "FieldValueForbidden", message));
    }
    if resource.kind == "Pod" && old["spec"]["nodeName"] != new["spec"]["nodeName"] {
        let message = "Forbidden: pod updates may not change fields other than \
                       `spec.containers[*].image`";
        errors.push(FieldError::new("spec", "FieldValueForbidden", message.to_owned()));
    }
    if errors.is_empty() {
        return Ok(());
    }
    let name = new["metadata"]["name"].as_str().unwrap_or_default();
    Err(ErrorResponse::invalid(resource, name, &errors))
}

/// Restores the parts of an object that a subresource does not write.
fn keep_other_parts(old: &Value, new: &mut Value, place: &RequestTarget) {
    if place.part == "status" {
        let status = new["status"].take();
        let meta = new["metadata"].take();
        *new = old.clone();
        new["status"] = status;
        // Labels and annotations are written with the status of built-in kinds alone.
        if !place.resource.is_custom() {
            new["metadata"] = meta;
        }
    } else if place.resource.status {
        match old.get("status") {
            Some(status) => new["status"] = status.clone(),
            None => remove(new, "status"),
        }
    }
}

fn keep_metadata(old: &Value, new: &mut Value) {
    for field in ["name", "namespace"].into_iter().chain(SERVER_FIELDS) {
        match old.get(field) {
            Some(value) => new[field] = value.clone(),
            None => remove(new, field),
        }
    }
}

/// Removes empty lists and maps, which the real server does not store.
fn tidy(meta: &mut Value) {
    for field in ["finalizers", "ownerReferences", "labels", "annotations"] {
        let is_empty = meta[field].as_array().is_some_and(Vec::is_empty)
            || meta[field].as_object().is_some_and(serde_json::Map::is_empty)
            || meta[field].is_null();
        if is_empty {
            remove(meta, field);
        }
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(object) = object.as_object_mut() {
        object.remove(field);
    }
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

pub(super) fn ok(object: Value) -> RouteResult {
    Ok(SuccessResponse::Object(200, object))
}
