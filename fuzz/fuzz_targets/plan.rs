//! A saved plan: it is one, or a sentence says why not; and one that is written is read again.
//!
//! The seal is put on here, because no fuzzer finds it; the bytes as they are are tried, too.
#![no_main]

use groundplan::plan::saved::SavedPlan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = SavedPlan::parse(bytes) {
        assert!(!error.to_string().is_empty());
    }
    let Ok(unsealed) = serde_json::from_slice::<SavedPlan>(bytes) else { return };
    let sealed = unsealed.bytes();
    // Refused is one of another format, or whose steps wait for each other.
    if let Ok(again) = SavedPlan::parse(&sealed) {
        assert_eq!(again.bytes(), sealed, "a plan is read as it was written");
    }
});
