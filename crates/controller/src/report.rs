//! Log lines of the controllers.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Severity of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Detail for the developers, such as a conflict with another client.
    Debug,
    /// Expected event.
    Info,
    /// Problem that prevents the controllers from acting, and that a user can solve.
    Warning,
    /// Failed action. All failed actions are retried.
    Error,
}

impl LogLevel {
    /// Returns the name in log lines.
    pub fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warning => "warning",
            LogLevel::Error => "error",
        }
    }
}

/// Log line without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// Severity.
    pub level: LogLevel,
    /// Controller that logs.
    pub controller: &'static str,
    /// Kind and name of the object, such as `Machine worker-a`.
    pub object: String,
    /// Message for people.
    pub message: String,
}

/// Last logged problem of an object, by controller and object.
type Problems = HashMap<(&'static str, String), String>;

/// Log of the controllers. Clones share the log. The default discards all lines.
#[derive(Clone)]
pub struct Log {
    write: Arc<dyn Fn(LogLine) + Send + Sync>,
    problems: Arc<Mutex<Problems>>,
}

impl Default for Log {
    fn default() -> Self {
        Self::new(|_| ())
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// Returns a log that passes each line to `write`.
    pub fn new(write: impl Fn(LogLine) + Send + Sync + 'static) -> Self {
        Self { write: Arc::new(write), problems: Arc::default() }
    }

    /// Logs a line.
    pub fn line(&self, level: LogLevel, controller: &'static str, object: &str, message: &str) {
        let (object, message) = (object.to_owned(), message.to_owned());
        (self.write)(LogLine { level, controller, object, message });
    }

    /// Logs the state of an object, unless it is the state that was logged last.
    pub fn state(&self, level: LogLevel, controller: &'static str, object: &str, message: &str) {
        let key = (controller, object.to_owned());
        let before = self.problems().insert(key, message.to_owned());
        if before.as_deref() != Some(message) {
            self.line(level, controller, object, message);
        }
    }

    /// Logs the error of an object, unless it is the error that was logged last.
    pub fn error(&self, controller: &'static str, object: &str, error: &dyn Error) {
        self.state(LogLevel::Error, controller, object, &with_causes(error));
    }

    /// Records that an object has no problem. Its next problem is logged, even if it is the same as
    /// before.
    pub fn solved(&self, controller: &'static str, object: &str) {
        self.problems().remove(&(controller, object.to_owned()));
    }

    fn problems(&self) -> MutexGuard<'_, Problems> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the text of an error of the API server. The text of kube repeats the response as a Rust
/// value.
pub(crate) fn plain(error: &kube::Error) -> String {
    let kube::Error::Api(status) = error else { return error.to_string() };
    match status.message.is_empty() {
        true => format!("status {} {}", status.code, status.reason),
        false => format!("{} (status {})", status.message, status.code),
    }
}

fn of_kube<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a kube::Error> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    error.downcast_ref::<kube::Error>().or(boxed)
}

/// Returns an error with all its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut all = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let of_kube = of_kube(cause);
        let cause_text = of_kube.map_or_else(|| cause.to_string(), plain);
        // Some errors repeat the text of their cause.
        if !all.ends_with(&cause_text) {
            all.push_str(&format!(": {cause_text}"));
        }
        // The cause of a rejection is the response again.
        let is_rejection = matches!(of_kube, Some(kube::Error::Api(_)));
        source = cause.source().filter(|_| !is_rejection);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_the_api_server_is_no_rust_value() {
        let status = kube::core::Status::failure("pods is forbidden", "Forbidden").with_code(403);
        let error = kube::Error::Api(status.boxed());
        assert_eq!(plain(&error), "pods is forbidden (status 403)");
        let outer =
            crate::api_server::ApiServerError::Api { attempt: "list", source: Box::new(error) };
        assert_eq!(with_causes(&outer), "list: pods is forbidden (status 403)");
    }

    #[test]
    fn an_error_is_logged_once_until_it_changes_or_is_solved() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let log = {
            let lines = Arc::clone(&lines);
            Log::new(move |line| lines.lock().unwrap().push(line.object + " " + &line.message))
        };
        let fails = |object: &str, why: &str| {
            log.error("machine", object, &std::io::Error::other(why.to_owned()));
        };
        fails("a", "x");
        fails("a", "x");
        fails("b", "x");
        fails("a", "y");
        fails("a", "x");
        log.solved("machine", "a");
        fails("a", "x");
        assert_eq!(*lines.lock().unwrap(), ["a x", "b x", "a y", "a x", "a x"]);
    }
}
