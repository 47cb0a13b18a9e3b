//! Selects the operations in `operations.txt` from the published crate.

fn main() {
    sdk_subset::build();
}
