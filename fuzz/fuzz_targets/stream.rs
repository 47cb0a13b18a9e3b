//! Reader of RHCOS streams. Any bytes yield a stream or an error with a message.
#![no_main]

use groundplan_openshift::install_config::Architecture;
use groundplan_openshift::topology::Stream;
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
