//! Reader of saved plans. Any bytes yield a plan or an error with a message. A written plan is read
//! as it was written.
//!
//! The target adds the seal, because no fuzzer finds it. The unsealed bytes are read, too.
#![no_main]

use groundplan_engine::plan::saved::SavedPlan;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Err(error) = SavedPlan::parse(bytes) {
        assert!(!error.to_string().is_empty());
    }
    let Ok(unsealed) = serde_json::from_slice::<SavedPlan>(bytes) else { return };
    let sealed = unsealed.bytes();
    // The reader rejects plans of another format, and plans whose steps wait for each other.
    if let Ok(again) = SavedPlan::parse(&sealed) {
        assert_eq!(again.bytes(), sealed, "a plan is read as it was written");
    }
});
