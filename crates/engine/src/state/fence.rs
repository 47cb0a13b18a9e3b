//! Whether the lock is still ours, told at once: asked right before anything leaves that changes the
//! cloud. Never waits and never asks anybody.

use std::fmt;
use std::sync::Arc;

use super::error::HomeError;

/// Stands between a holder of a lock and what only the holder may do; clones are the same fence.
#[derive(Clone)]
pub struct Fence(Arc<dyn Fn() -> Result<(), HomeError> + Send + Sync>);

impl Fence {
    /// A fence that asks this.
    pub fn new(holds: impl Fn() -> Result<(), HomeError> + Send + Sync + 'static) -> Self {
        Self(Arc::new(holds))
    }

    /// A fence without anybody behind it, for what nobody else can reach.
    pub fn open() -> Self {
        Self::new(|| Ok(()))
    }

    /// The same fence, shut for good once this says so.
    #[must_use]
    pub fn until(self, over: impl Fn() -> Result<(), HomeError> + Send + Sync + 'static) -> Self {
        Self::new(move || over().and_then(|()| self.pass()))
    }

    /// Lets the holder pass.
    ///
    /// # Errors
    /// [`HomeError::Fenced`] once somebody else holds the lock, or may.
    pub fn pass(&self) -> Result<(), HomeError> {
        (self.0)()
    }
}

impl fmt::Debug for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fence")
    }
}
