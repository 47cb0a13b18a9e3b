//! An RHCOS stream: it is one, or a sentence says why not.
#![no_main]

use groundplan::config::Architecture;
use groundplan::topology::Stream;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Stream::parse(bytes) {
        Ok(stream) => {
            stream.image(Architecture::Amd64, "us-west-2");
            stream.image(Architecture::Arm64, "us-west-2");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
