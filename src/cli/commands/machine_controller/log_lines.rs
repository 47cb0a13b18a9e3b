//! Lines of the log that the command itself writes: the shutdown, and the error that ends the process.

use std::io;
use std::time::Duration;

use groundplan_controller::health::ControllerHealth;
use groundplan_controller::report::{Log, LogLevel, LogLine};
use groundplan_engine::provider::ProviderError;
use groundplan_node::command::one_text;

use crate::cli::output::ui::Ui;
use crate::cli::session::signals;
use crate::render::{Code, Diagnostic};

/// Object of log lines about the credentials.
pub(super) const CREDENTIALS: &str = "AWS credentials";

/// Logs the error that ends the process.
pub(crate) fn log_failure(ui: &mut Ui, failure: &Diagnostic) -> io::Result<()> {
    let message = log_text(failure);
    ui.log_with_code("error", "manager", "", &message, Some(failure.code))
}

/// Returns a diagnostic as one line of a log.
fn log_text(diagnostic: &Diagnostic) -> String {
    let Diagnostic { summary, detail, hint, code, .. } = diagnostic;
    let text = one_text(summary, detail, hint.as_deref());
    format!("{text}; see `groundplan explain {}`", code.name())
}

/// Logs the result of a check of the credentials: a failure once, until it changes, and its end. Another
/// account is not logged, because the clients report it.
pub(super) fn log_check<T>(log: &Log, result: Result<T, ProviderError>) {
    match result {
        Ok(_) if log.solved("manager", CREDENTIALS) => {
            log.line(LogLevel::Info, "manager", CREDENTIALS, "GetCallerIdentity succeeds again");
        }
        Ok(_) => (),
        Err(error) => {
            // The ID of the request differs each time, and would make each failure a new one.
            let error = ProviderError { request_id: None, ..error };
            let failure = Diagnostic::call_failed("check the credentials", &error);
            if failure.code != Code::AccountMismatch {
                log.state(LogLevel::Error, "manager", CREDENTIALS, &log_text(&failure));
            }
        }
    }
}

/// Prints a line. A closed output does not end the process.
pub(super) fn print(ui: &mut Ui, line: &LogLine) {
    let (level, controller) = (line.level.name(), line.controller);
    let _ = ui.log(level, controller, &line.object, &line.message); // nowhere else to say it
}

/// Returns the message about the begin of a shutdown.
pub(super) fn shutdown_begins(health: &ControllerHealth) -> String {
    let signal = signals::received().unwrap_or("a signal");
    format!("shutdown began after {signal}: {} in flight", reconciles(health.reconciles.count()))
}

/// Returns the message about the end of a shutdown.
pub(super) fn shutdown_ended(health: &ControllerHealth, after: Duration) -> String {
    let seconds = after.as_secs_f64();
    match health.reconciles.dropped() {
        0 => format!("shutdown ended after {seconds:.1}s: no reconcile is in flight"),
        dropped => format!(
            "shutdown ended after {seconds:.1}s: {} did not end, which the next process repeats",
            reconciles(dropped)
        ),
    }
}

fn reconciles(count: usize) -> String {
    if count == 1 { "1 reconcile".to_owned() } else { format!("{count} reconciles") }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use groundplan_engine::provider::ErrorClass;

    use super::*;

    #[test]
    fn the_error_that_ends_the_process_is_one_line_with_its_code() {
        let failure = Diagnostic::error(Code::LeadershipLost, "could not lead")
            .with_detail("renew the Lease")
            .with_detail("conflict")
            .with_hint("do this");
        let expected = "could not lead: renew the Lease: conflict; hint: do this; see `groundplan \
                        explain leadership-lost`";
        assert_eq!(log_text(&failure), expected);
    }

    #[test]
    fn rejected_credentials_are_one_line_until_they_are_accepted_again() {
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&lines);
        let log = Log::new(move |line: LogLine| {
            let text = format!("{} {}: {}", line.level.name(), line.object, line.message);
            kept.lock().unwrap().push(text);
        });
        let failed = |code: &str, request: &str| {
            let error = ProviderError::new(ErrorClass::Permanent, "GetCallerIdentity", "why");
            let error = ProviderError { request_id: Some(request.to_owned()), ..error };
            log_check(&log, Err::<(), _>(error.with_code(code)));
        };
        log_check(&log, Ok(()));
        failed("NoCredentials", "1");
        failed("NoCredentials", "2");
        failed("WrongAccount", "3");
        log_check(&log, Ok(()));
        log_check(&log, Ok(()));
        let lines = lines.lock().unwrap();
        let [failure, end] = lines.as_slice() else { panic!("{lines:?}") };
        let expected = "error AWS credentials: could not check the credentials: GetCallerIdentity: \
                        NoCredentials: why; see `groundplan explain credentials-missing`";
        assert_eq!(failure, expected);
        assert_eq!(end, "info AWS credentials: GetCallerIdentity succeeds again");
    }

    #[test]
    fn the_lines_about_a_shutdown_count_reconciles() {
        let health = ControllerHealth::default();
        let begins = shutdown_begins(&health);
        assert_eq!(begins, "shutdown began after a signal: 0 reconciles in flight");
        let after = Duration::from_millis(1250);
        let ended = shutdown_ended(&health, after);
        assert_eq!(ended, "shutdown ended after 1.2s: no reconcile is in flight");
        drop(Box::pin(health.reconciles.during(std::future::pending::<()>())));
        let mut open = Box::pin(health.reconciles.during(std::future::pending::<()>()));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(open.as_mut().poll(&mut context).is_pending());
        assert!(shutdown_begins(&health).ends_with(": 1 reconcile in flight"));
        drop(open);
        let ended = shutdown_ended(&health, after);
        assert!(
            ended.ends_with("1 reconcile did not end, which the next process repeats"),
            "{ended}"
        );
    }
}
