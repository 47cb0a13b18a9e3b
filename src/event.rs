//! Everything that can be said about a run.
