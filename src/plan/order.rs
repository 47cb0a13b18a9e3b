//! Turns verdicts into steps.
