//! An install-config: whatever the bytes are, there is a config or there are errors, all of which
//! can be shown to people and to programs.
#![no_main]

use groundplan::config::{Severity, for_programs, read_bytes, render};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (outcome, text) = read_bytes(bytes);
    let errors = outcome.findings.iter().any(|one| one.severity() == Severity::Error);
    assert_eq!(outcome.config.is_none(), errors, "a config, or errors");
    render(&outcome.findings, "install-config.yaml", &text, true);
    for finding in &outcome.findings {
        serde_json::to_string(&for_programs(finding, "install-config.yaml")).expect("JSON");
    }
});
