//! Lists: pages, and lists of past versions.

use serde_json::{Value, json};

use super::error::{ErrorResponse, FieldError};
use super::request::{ParsedRequest, RequestTarget, SuccessResponse};
use super::route::{RouteResult, ok};
use super::select::ListSelectors;
use super::store::ApiStore;

/// Version in a token for the rest of an expired list. Such a list is of the current version.
const INCONSISTENT: u64 = 0;

impl ApiStore {
    /// Returns one page of a list. All pages of a list are of the same version. A list of any
    /// version (`resourceVersion=0`) may be old; a list without a version is not.
    pub(super) fn list(&mut self, asked: &ParsedRequest, place: &RequestTarget) -> RouteResult {
        let (resource, selection) = (place.resource, ListSelectors::of(asked, place.resource)?);
        let (version, after) = self.start_of_list(asked)?;
        if !self.remembers(version) {
            let message = "The provided continue parameter is too old to display a consistent \
                           list result. You can start a new list without the continue parameter, \
                           or use the continue token in this response to retrieve the remainder \
                           of the results.";
            let mut no = ErrorResponse::new(410, "Expired", message);
            no.rest = Some(format!("{INCONSISTENT}:{after}"));
            return Err(no);
        }
        let limit = self.limit_of(asked);
        let all = self.objects_at(resource, &place.namespace, version);
        let mut rest = all
            .into_iter()
            .map(|((_, namespace, name), object)| (format!("{namespace}/{name}"), object))
            .filter(|(key, _)| *key > after)
            .peekable();
        let (mut items, mut last) = (Vec::new(), String::new());
        while items.len() < limit
            && let Some((key, object)) = rest.next()
        {
            last = key;
            if selection.fits(&object) {
                items.push(resource.in_a_list(object));
            }
        }
        let mut meta = json!({"resourceVersion": version.to_string()});
        // A token says that an object follows, whether or not the selection has it.
        if rest.peek().is_some() {
            meta["continue"] = json!(format!("{version}:{last}"));
            if selection.is_empty() {
                meta["remainingItemCount"] = json!(rest.count());
            }
        }
        ok(json!({
            "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
            "metadata": meta, "items": items,
        }))
    }

    fn limit_of(&self, asked: &ParsedRequest) -> usize {
        // The real server ignores the limit of a list of any version.
        if asked.query.get("resourceVersion").is_some_and(|version| version == "0") {
            return usize::MAX;
        }
        let limit = asked.query.get("limit").and_then(|limit| limit.parse().ok());
        limit.filter(|limit| *limit > 0).map_or(usize::MAX, |limit: usize| limit.min(self.page))
    }

    /// Returns the version of a list, and the key after which its page begins.
    fn start_of_list(&mut self, asked: &ParsedRequest) -> Result<(u64, String), ErrorResponse> {
        let given = |name: &str| asked.query.get(name).filter(|value| !value.is_empty());
        let version = number(asked)?;
        if let Some(token) = given("continue") {
            if given("resourceVersion").is_some_and(|version| version != "0") {
                let message = "specifying resource version is not allowed when using continue";
                return Err(ErrorResponse::bad_request(message));
            }
            let (version, last) = continued(token)?;
            return Ok((if version == INCONSISTENT { self.version } else { version }, last));
        }
        let exact = version_match(asked, version)?;
        let Some(version) = version else { return Ok((self.version, String::new())) };
        self.reached(version)?;
        let version = match version {
            0 => self.version - self.disturbances.below(self.version.min(30)),
            version if exact => version,
            _ => self.version,
        };
        Ok((version, String::new()))
    }

    /// Rejects a version that does not exist yet.
    pub(super) fn reached(&self, version: u64) -> Result<(), ErrorResponse> {
        if version <= self.version {
            return Ok(());
        }
        let message =
            format!("Timeout: Too large resource version: {version}, current: {}", self.version);
        let mut no = ErrorResponse::new(504, "Timeout", message);
        let cause =
            json!({"reason": "ResourceVersionTooLarge", "message": "Too large resource version"});
        no.details = Some(json!({"causes": [cause], "retryAfterSeconds": 1}));
        Err(no)
    }

    /// Deletes all objects of a list.
    pub(super) fn remove_all(
        &mut self,
        asked: &ParsedRequest,
        place: &RequestTarget,
    ) -> RouteResult {
        let selection = ListSelectors::of(asked, place.resource)?;
        let all = self.objects_at(place.resource, &place.namespace, self.version);
        let chosen = all.into_iter().filter(|(_, object)| selection.fits(object));
        let mut gone: Vec<Value> = Vec::new();
        for (key, object) in chosen {
            self.delete(place.resource, &key);
            gone.push(object);
        }
        ok(json!({"kind": format!("{}List", place.resource.kind), "items": gone,
                  "apiVersion": place.resource.api_version(),
                  "metadata": {"resourceVersion": self.version.to_string()}}))
    }

    /// Starts a watch.
    pub(super) fn begin_watch(
        &mut self,
        asked: &ParsedRequest,
        place: &RequestTarget,
    ) -> RouteResult {
        let figure = |name: &str| asked.query.get(name).and_then(|text| text.parse().ok());
        let said = |name: &str| asked.query.get(name).map(|text| text == "true");
        let mut selection = ListSelectors::of(asked, place.resource)?;
        if let Some(name) = &place.name {
            selection.add_name(name);
        }
        let since = match number(asked) {
            Ok(since) => since,
            Err(no) => return Err(ErrorResponse { code: 500, reason: "", ..no }),
        };
        let matches = asked.query.get("resourceVersionMatch").map(String::as_str);
        let initial = said("sendInitialEvents");
        if initial.is_some() != matches.is_some()
            || matches.is_some_and(|one| one != "NotOlderThan")
        {
            let message =
                "Forbidden: resourceVersionMatch and sendInitialEvents are set together, \
                           and resourceVersionMatch must be NotOlderThan"
                    .to_owned();
            let error = FieldError::new("resourceVersionMatch", "FieldValueForbidden", message);
            return Err(ErrorResponse::invalid_options(&[error]));
        }
        let seconds = figure("timeoutSeconds").unwrap_or(1800);
        let marks = said("allowWatchBookmarks") == Some(true);
        let since = match initial {
            Some(true) => 0,
            Some(false) => since.filter(|since| *since > 0).unwrap_or(self.version),
            None => since.unwrap_or(0),
        };
        let ends = marks && since == 0 && (initial == Some(true) || number(asked)?.is_some());
        let namespace = &place.namespace;
        Ok(SuccessResponse::Watch(self.watch(
            place.resource,
            namespace,
            selection,
            super::store::WatchStart { since, seconds, marks_the_begin: ends },
        )))
    }
}

/// Returns the resource version of a request, or `None` if it is unset.
pub(super) fn number(asked: &ParsedRequest) -> Result<Option<u64>, ErrorResponse> {
    let Some(text) = asked.query.get("resourceVersion").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    text.parse().map(Some).map_err(|_| {
        ErrorResponse::bad_request(format!(
            "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": \
             invalid syntax"
        ))
    })
}

/// Returns true if a list is of exactly its version.
fn version_match(asked: &ParsedRequest, version: Option<u64>) -> Result<bool, ErrorResponse> {
    let no = |why: &str| {
        let error = FieldError::new(
            "resourceVersionMatch",
            "FieldValueForbidden",
            format!("Forbidden: {why}"),
        );
        Err(ErrorResponse::invalid_options(&[error]))
    };
    match (asked.query.get("resourceVersionMatch").map(String::as_str), version) {
        (None, _) => Ok(false),
        (Some(_), None) => {
            no("resourceVersionMatch is forbidden unless resourceVersion is provided")
        }
        (Some("Exact"), Some(0)) => {
            no("resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"")
        }
        (Some("Exact"), Some(_)) => Ok(true),
        (Some("NotOlderThan"), Some(_)) => Ok(false),
        (Some(_), Some(_)) => no("supported values: \"Exact\", \"NotOlderThan\""),
    }
}

/// Returns the version and the last object of a `continue` token.
fn continued(token: &str) -> Result<(u64, String), ErrorResponse> {
    let parts = token.split_once(':').and_then(|(version, last)| {
        version.parse().ok().map(|version: u64| (version, last.to_owned()))
    });
    let no = || ErrorResponse::bad_request("invalid continue token: continue key is not valid");
    parts.ok_or_else(no)
}
