//! Error responses, with the messages and details of the real server.

use serde_json::{Value, json};

use super::request::ApiResource;

/// An error response.
#[derive(Debug)]
pub(super) struct ErrorResponse {
    pub(super) code: u16,
    /// Reason of the Status; empty for errors without one.
    pub(super) reason: &'static str,
    pub(super) message: String,
    /// Details of the Status, if any.
    pub(super) details: Option<Value>,
    /// Token for the rest of an expired list.
    pub(super) rest: Option<String>,
}

/// A violated rule of one field.
#[derive(Debug)]
pub(super) struct FieldError {
    pub(super) field: String,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl FieldError {
    pub(super) fn new(field: impl Into<String>, reason: &'static str, message: String) -> Self {
        Self { field: field.into(), reason, message }
    }

    /// Returns an error with the rejected text.
    pub(super) fn invalid(field: impl Into<String>, value: &str, rule: &str) -> Self {
        Self::new(field, "FieldValueInvalid", format!("Invalid value: \"{value}\": {rule}"))
    }
}

impl ErrorResponse {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), details: None, rest: None }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// Returns an injected failure.
    pub(super) fn trouble(code: u16) -> Self {
        let reason = match code {
            401 => return Self::new(401, "Unauthorized", "Unauthorized"),
            429 => "TooManyRequests",
            503 => "ServiceUnavailable",
            _ => "InternalError",
        };
        Self::new(code, reason, "trouble")
    }

    /// Returns an error about one object. An empty name stands for all objects of the resource.
    fn about(
        code: u16,
        reason: &'static str,
        resource: &ApiResource,
        name: &str,
        message: String,
    ) -> Self {
        let mut details = json!({"kind": resource.plural});
        for (field, value) in [("name", name), ("group", resource.group)] {
            if !value.is_empty() {
                details[field] = json!(value);
            }
        }
        Self { details: Some(details), ..Self::new(code, reason, message) }
    }

    pub(super) fn not_found(resource: &ApiResource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::about(404, "NotFound", resource, name, message)
    }

    pub(super) fn already_exists(resource: &ApiResource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::about(409, "AlreadyExists", resource, name, message)
    }

    pub(super) fn conflict(resource: &ApiResource, name: &str, why: &str) -> Self {
        let message =
            format!("Operation cannot be fulfilled on {} \"{name}\": {why}", resource.qualified());
        Self::about(409, "Conflict", resource, name, message)
    }

    pub(super) fn forbidden(resource: &ApiResource, name: &str, why: &str) -> Self {
        let object = if name.is_empty() { String::new() } else { format!(" \"{name}\"") };
        let message = format!("{}{object} is forbidden: {why}", resource.qualified());
        Self::about(403, "Forbidden", resource, name, message)
    }

    /// Returns an error about fields of an object.
    pub(super) fn invalid(resource: &ApiResource, name: &str, errors: &[FieldError]) -> Self {
        let kind = resource.qualified_kind();
        let mut no = Self::about(422, "Invalid", resource, name, String::new());
        no.message = format!("{kind} \"{name}\" is invalid: {}", joined(errors));
        let causes = errors.iter().map(
            |error| json!({"reason": error.reason, "message": error.message, "field": error.field}),
        );
        if let Some(details) = &mut no.details {
            details["kind"] = json!(resource.kind);
            details["causes"] = causes.collect();
        }
        no
    }

    /// Returns an error about request parameters.
    pub(super) fn invalid_options(errors: &[FieldError]) -> Self {
        Self::new(422, "Invalid", format!("options is invalid: {}", joined(errors)))
    }
}

fn joined(errors: &[FieldError]) -> String {
    let mut lines: Vec<String> =
        errors.iter().map(|error| format!("{}: {}", error.field, error.message)).collect();
    lines.dedup();
    match lines.as_slice() {
        [line] => line.clone(),
        lines => format!("[{}]", lines.join(", ")),
    }
}
