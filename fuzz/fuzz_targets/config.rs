//! Reader of install-configs. Any bytes yield a config or errors. All errors can be rendered as
//! text and as JSON.
#![no_main]

use groundplan_openshift::diagnostics::{Severity, for_programs};
use groundplan_openshift::install_config::{read_bytes, render};
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
