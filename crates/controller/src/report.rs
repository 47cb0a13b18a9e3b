//! Log lines of the controllers.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use groundplan_node::command::cause_text;

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

/// Last logged problem of each controller, by object.
type Problems = HashMap<String, HashMap<&'static str, String>>;

/// Error of a reconcile.
pub trait ReconcileFailure: Error {
    /// Returns true if another client wrote at the same time. The next reconcile follows soon, so a
    /// conflict is no failure to report.
    fn is_conflict(&self) -> bool;
}

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
        let before = {
            let mut problems = self.problems();
            problems.entry(object.to_owned()).or_default().insert(controller, message.to_owned())
        };
        if before.as_deref() != Some(message) {
            self.line(level, controller, object, message);
        }
    }

    /// Logs the error of an object, unless it is the error that was logged last.
    pub fn error(&self, controller: &'static str, object: &str, error: &dyn Error) {
        self.state(LogLevel::Error, controller, object, &with_causes(error));
    }

    /// Logs the result of a reconcile: an error once, until the result changes, and a conflict for
    /// the developers. Returns true if the reconcile failed.
    pub fn result<T>(
        &self,
        controller: &'static str,
        object: &str,
        result: &Result<T, impl ReconcileFailure>,
    ) -> bool {
        match result {
            Ok(_) => drop(self.solved(controller, object)),
            Err(error) if error.is_conflict() => {
                self.line(LogLevel::Debug, controller, object, &with_causes(error));
            }
            Err(error) => {
                self.error(controller, object, error);
                return true;
            }
        }
        false
    }

    /// Records that an object has no problem. Its next problem is logged, even if it is the same as
    /// before. Returns true if the object had a problem.
    pub fn solved(&self, controller: &'static str, object: &str) -> bool {
        let mut problems = self.problems();
        let Some(of_object) = problems.get_mut(object) else { return false };
        let before = of_object.remove(controller);
        if of_object.is_empty() {
            problems.remove(object);
        }
        before.is_some()
    }

    /// Forgets all problems of a deleted object. The first problem of another object with the same
    /// name is logged.
    pub fn forget(&self, object: &str) {
        self.problems().remove(object);
    }

    /// Forgets the problems of all objects of a kind that no longer exist. `exists` gets the name of
    /// an object.
    pub fn retain(&self, kind: &str, exists: impl Fn(&str) -> bool) {
        self.problems().retain(|object, _| match object.split_once(' ') {
            Some((of, name)) if of == kind => exists(name),
            _ => true,
        });
    }

    /// Returns the objects with a problem.
    #[cfg(test)]
    pub(crate) fn objects(&self) -> Vec<String> {
        let mut objects: Vec<String> = self.problems().keys().cloned().collect();
        objects.sort();
        objects
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

/// Returns the text of an error of the API server with all its causes.
pub fn api_error(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(_) => plain(error),
        other => with_causes(other),
    }
}

fn of_kube<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a kube::Error> {
    let boxed = error.downcast_ref::<Box<kube::Error>>().map(AsRef::as_ref);
    error.downcast_ref::<kube::Error>().or(boxed)
}

/// Returns an error with all its causes.
pub fn with_causes(error: &dyn Error) -> String {
    let mut all = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let of_kube = of_kube(cause);
        let cause_text = of_kube.map_or_else(|| cause_text(cause), plain);
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

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Failure(&'static str);

    impl ReconcileFailure for Failure {
        fn is_conflict(&self) -> bool {
            self.0 == "conflict"
        }
    }

    fn log() -> (Log, Arc<Mutex<Vec<String>>>) {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&lines);
        let write = move |line: LogLine| {
            kept.lock().unwrap().push(format!("{} {}", line.object, line.message));
        };
        (Log::new(write), lines)
    }

    #[test]
    fn a_conflict_is_no_failure_and_changes_no_recorded_problem() {
        let (log, lines) = log();
        let reconciled = |result: Result<(), Failure>| log.result("machine", "Machine a", &result);
        assert!(reconciled(Err(Failure("x"))));
        assert!(!reconciled(Err(Failure("conflict"))));
        assert!(reconciled(Err(Failure("x"))));
        assert!(!reconciled(Ok(())));
        assert!(reconciled(Err(Failure("x"))));
        assert_eq!(*lines.lock().unwrap(), ["Machine a x", "Machine a conflict", "Machine a x"]);
    }

    #[test]
    fn problems_of_deleted_objects_are_forgotten_for_all_controllers() {
        let (log, lines) = log();
        let fail = |controller, object: &str| {
            log.result(controller, object, &Err::<(), _>(Failure("x")));
        };
        let objects = ["MachineSet a", "Machine a", "Machine b", "Lease a"];
        objects.iter().for_each(|object| fail("one", object));
        fail("other", "MachineSet a");
        log.forget("MachineSet a");
        log.retain("Machine", |name| name == "b");
        assert_eq!(log.objects(), ["Lease a", "Machine b"]);
        fail("other", "MachineSet a");
        assert_eq!(lines.lock().unwrap().len(), 6, "logged again");
        log.solved("other", "MachineSet a");
        assert_eq!(log.objects(), ["Lease a", "Machine b"]);
    }

    #[test]
    fn an_error_is_logged_once_until_it_changes_or_is_solved() {
        let (log, lines) = log();
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
