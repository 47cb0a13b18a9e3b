//! Checks that every AWS operation that the source calls is in `crates/sdk/*/operations.txt`.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_SDK").is_some() {
        let package = PathBuf::from(
            env::var_os("CARGO_MANIFEST_DIR").expect("BUG: cargo sets it for build scripts"),
        );
        let root =
            package.ancestors().nth(2).expect("BUG: crates/aws is two folders below the root");
        // A change in tests does not run this again: it would compile the library, too.
        sdk_subset::check(
            &root.join("crates/sdk"),
            &[package.join("src")],
            &[root.join("tests/it")],
        );
    }
}
