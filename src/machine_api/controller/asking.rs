//! Asking an API server, as all controllers do: with patience, and with what was tried in the error.

use std::time::Duration;

use kube::api::PatchParams;
use tokio::time::timeout;

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who writes, as managed fields and events name it.
pub const WRITER: &str = "groundplan-machine-controller";

/// Why the API server did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// It said no, or could not be reached.
    #[error("{attempt}")]
    Api {
        /// What was tried.
        attempt: &'static str,
        /// Why not.
        source: Box<kube::Error>,
    },
    /// No answer came.
    #[error("{0}: no answer within {PATIENCE:?}")]
    Silence(&'static str),
}

impl Unanswered {
    fn status(&self) -> Option<u16> {
        let Unanswered::Api { source, .. } = self else { return None };
        match &**source {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// Whether it was refused with this status.
    pub fn is(&self, code: u16) -> bool {
        self.status() == Some(code)
    }

    /// Whether nothing was done, and nothing will be. No answer, or trouble in the server, says neither.
    pub fn is_final(&self) -> bool {
        self.status().is_some_and(|code| (400..500).contains(&code))
    }

    /// When to try again: at once, nearly, where somebody else wrote at the same time.
    pub fn again_after(&self) -> Duration {
        Duration::from_secs(if self.is(409) { 1 } else { 5 })
    }
}

/// The answer, if it comes in time.
///
/// # Errors
/// When it does not come, or is a refusal.
pub async fn answer<T>(
    attempt: &'static str,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, Unanswered> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Unanswered::Api { attempt, source: Box::new(error) }),
        Err(_) => Err(Unanswered::Silence(attempt)),
    }
}

/// Patches say who sends them.
pub fn by() -> PatchParams {
    PatchParams { field_manager: Some(WRITER.to_owned()), ..PatchParams::default() }
}
