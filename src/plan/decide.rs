//! Turns differences into verdicts with their reasons.
