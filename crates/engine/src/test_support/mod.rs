//! Test doubles of the engine: a provider and an object store in memory, and a harness around them.
//! Compiled for tests and with the feature `test-support`, never into a release build.

pub mod fake_object_store;
pub mod fake_provider;
pub mod harness;

pub use fake_object_store::FakeObjectStore;
pub use fake_provider::{FakeProvider, PlannedFault, RecordingObserver, When};
