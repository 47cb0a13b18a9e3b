//! Starts and ends the test cloud.
