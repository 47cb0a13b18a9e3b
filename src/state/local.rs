//! The local home of a state.
