//! Error messages of the controllers.

use std::error::Error;
use std::sync::Arc;

/// Receiver of error messages. The failed actions are all retried.
pub type ReportLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Returns an error with all its causes.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors repeat the text of their cause.
        if !text.ends_with(&cause_text) {
            text.push_str(&format!(": {cause_text}"));
        }
        source = cause.source();
    }
    text
}
