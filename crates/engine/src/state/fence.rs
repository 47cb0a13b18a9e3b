//! Fence: the check before each mutating call that the state lock is still held. The check neither
//! waits nor performs network I/O.

use std::fmt;
use std::sync::Arc;

use super::error::StateError;

/// Check before everything that only the holder of the state lock may do. Clones are the same
/// fence.
#[derive(Clone)]
pub struct Fence(Arc<dyn Fn() -> Result<(), StateError> + Send + Sync>);

impl Fence {
    /// Returns a fence that evaluates `holds` at each check.
    pub fn new(holds: impl Fn() -> Result<(), StateError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// Returns a fence that never rejects, for a state that no other process can access.
    pub fn open() -> Self {
        Self::new(|| Ok(()))
    }

    /// Returns a fence that always rejects, for a command that only reads.
    pub fn read_only() -> Self {
        Self::new(|| Err(StateError::ReadOnly))
    }

    /// Returns a fence that also rejects while `over` returns an error.
    #[must_use]
    pub fn until(self, over: impl Fn() -> Result<(), StateError> + Send + Sync + 'static) -> Self {
        Self::new(move || over().and_then(|()| self.pass()))
    }

    /// Checks that the lock is held.
    ///
    /// # Errors
    /// Returns [`StateError::Fenced`] if another process has the lock or may have it,
    /// [`StateError::ReadOnly`] if the command only reads, or the error of a condition added by
    /// [`until`](Self::until).
    pub fn pass(&self) -> Result<(), StateError> {
        (self.0)()
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fence")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_for_reading_rejects_every_change_and_is_no_shutdown() {
        assert!(matches!(Fence::read_only().pass(), Err(StateError::ReadOnly)));
        let also = Fence::read_only().until(|| Ok(()));
        assert!(matches!(also.pass(), Err(StateError::ReadOnly)));
    }

    #[test]
    fn a_condition_is_checked_before_the_lock() {
        let stopping = Fence::read_only().until(|| Err(StateError::Stopping));
        assert!(matches!(stopping.pass(), Err(StateError::Stopping)));
    }
}
