//! A service in miniature, laid out as the SDK's crates are.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::mentions_in;
use crate::operations::parse;
use crate::select::{Selection, select};

/// Files of a service with two operations: `get` needs `Thing`, `list` needs `Other`.
const SERVICE: &[(&str, &str)] = &[
    (
        "lib.rs",
        "//! Docs.\n#![allow(deprecated)]\n\npub mod client;\nmod error_meta;\nmod lens;\n/// Waits.\npub mod waiters;\npub mod meta;\n",
    ),
    ("meta.rs", "pub static NAME: &str = \"it\";\n"),
    (
        "client.rs",
        "pub struct Client;\npub trait Waiters {\n    fn wait(&self) -> crate::waiters::Wait;\n}\nmod get;\nmod list;\npub mod customize;\n",
    ),
    ("client/get.rs", "// crate::types::Other in a comment\n"),
    ("client/list.rs", ""),
    ("client/customize.rs", "mod internal;\n"),
    ("client/customize/internal.rs", ""),
    ("operation.rs", "/// Gets.\npub mod get;\n\n/// Lists.\npub mod list;\n"),
    (
        "operation/get.rs",
        "pub mod builders;\nfn get() {\n    crate::protocol_serde::shape_get::de(crate::lens::get_token())\n}\n",
    ),
    ("operation/get/builders.rs", "pub fn with(thing: crate::types::builders::ThingBuilder) {}\n"),
    (
        "operation/list.rs",
        "fn list() -> crate::types::Other {\n    crate::protocol_serde::shape_list::de()\n}\n",
    ),
    (
        "protocol_serde.rs",
        "pub(crate) mod shape_get;\npub(crate) mod shape_list;\npub fn shared() {}\n",
    ),
    ("protocol_serde/shape_get.rs", ""),
    ("protocol_serde/shape_list.rs", ""),
    (
        "types.rs",
        "pub use crate::types::_thing::Thing;\npub use crate::types::_other::Other;\nmod _thing;\nmod _other;\npub mod builders;\npub mod error;\n",
    ),
    (
        "types/builders.rs",
        "pub use crate::types::_thing::ThingBuilder;\npub use crate::types::_other::OtherBuilder;\n",
    ),
    ("types/error.rs", ""),
    ("types/_thing.rs", "pub struct Thing;\n"),
    ("types/_other.rs", "pub struct Other;\n"),
    (
        "error_meta.rs",
        "pub enum Error {\n    A,\n}\nimpl From<crate::operation::get::E> for Error {\n}\nimpl From<crate::operation::list::E> for Error {\n}\n",
    ),
    (
        "lens.rs",
        "pub(crate) fn get_token() {\n}\npub(crate) fn list_token() {\n    crate::types::Other\n}\n",
    ),
    ("waiters.rs", "pub mod done;\n"),
    ("waiters/done.rs", "use crate::operation::list;\n"),
];

fn service(without: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in SERVICE.iter().filter(|(name, _)| *name != without) {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn selected(operations: &[&str]) -> Selection {
    let wanted: BTreeSet<String> = operations.iter().map(|name| (*name).to_owned()).collect();
    select(service("").path(), &wanted).unwrap()
}

fn text<'a>(selection: &'a Selection, name: &str) -> Option<&'a str> {
    selection.files().get(name).map(String::as_str)
}

#[test]
fn an_operation_comes_with_all_that_it_refers_to_and_nothing_else() {
    let selection = selected(&["get"]);
    let names: Vec<&str> = selection.files().keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            "client.rs",
            "client/customize.rs",
            "client/customize/internal.rs",
            "client/get.rs",
            "error_meta.rs",
            "lens.rs",
            "lib.rs",
            "meta.rs",
            "operation.rs",
            "operation/get.rs",
            "operation/get/builders.rs",
            "protocol_serde.rs",
            "protocol_serde/shape_get.rs",
            "types.rs",
            "types/_thing.rs",
            "types/builders.rs",
            "types/error.rs",
        ]
    );
}

#[test]
fn modules_items_and_functions_of_other_operations_are_left_out() {
    let selection = selected(&["get"]);
    assert_eq!(text(&selection, "operation.rs"), Some("/// Gets.\npub mod get;\n"));
    assert_eq!(text(&selection, "lens.rs"), Some("pub(crate) fn get_token() {\n}\n"));
    assert_eq!(
        text(&selection, "client.rs"),
        Some("pub struct Client;\nmod get;\npub mod customize;\n")
    );
    assert_eq!(
        text(&selection, "types/builders.rs"),
        Some("pub use crate::types::_thing::ThingBuilder;\n")
    );
    assert_eq!(
        text(&selection, "error_meta.rs"),
        Some("pub enum Error {\n    A,\n}\nimpl From<crate::operation::get::E> for Error {\n}\n")
    );
    assert_eq!(
        text(&selection, "protocol_serde.rs"),
        Some("pub(crate) mod shape_get;\npub fn shared() {}\n")
    );
}

#[test]
fn inner_attributes_and_waiters_leave_lib() {
    assert_eq!(
        text(&selected(&["get"]), "lib.rs"),
        Some("\npub mod client;\nmod error_meta;\nmod lens;\npub mod meta;\n")
    );
}

#[test]
fn all_operations_are_the_crate_without_its_waiters() {
    let selection = selected(&["get", "list"]);
    assert_eq!(selection.files().len(), SERVICE.len() - 2);
    assert_eq!(text(&selection, "types.rs"), Some(SERVICE[14].1));
}

#[test]
fn an_operation_that_shared_files_call_is_kept() {
    let service = service("");
    fs::write(
        service.path().join("meta.rs"),
        "fn session(client: Client) {\n    client.list().unrelated()\n}\n",
    )
    .unwrap();
    let selection = select(service.path(), &BTreeSet::from(["get".to_owned()])).unwrap();
    assert!(selection.files().contains_key("operation/list.rs"));
    assert!(selection.files().contains_key("types/_other.rs"));
}

#[test]
fn another_layout_is_an_error_and_the_whole_crate_can_be_taken() {
    let service = service("types/builders.rs");
    let error = select(service.path(), &BTreeSet::new()).unwrap_err();
    assert_eq!(error.to_string(), "no src/types/builders.rs");
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("sdk");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("stale.rs"), "").unwrap();
    Selection::whole(service.path()).unwrap().write(&target).unwrap();
    assert!(target.join("waiters/done.rs").is_file());
    assert!(!target.join("stale.rs").exists());
    assert!(!fs::read_to_string(target.join("lib.rs")).unwrap().contains("//!"));
}

#[test]
fn a_list_is_sorted_names() {
    assert_eq!(parse("# why\na_b\n\nc\n").unwrap().iter().collect::<Vec<_>>(), ["a_b", "c"]);
    assert_eq!(parse("b\na\n").unwrap_err(), (2, "`a` is not in alphabetical order".into()));
    assert_eq!(
        parse("DescribeVpcs\n").unwrap_err(),
        (1, "expected a method name such as `describe_vpcs`, found `DescribeVpcs`".into())
    );
}

#[test]
fn names_are_found_with_their_lines() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("b")).unwrap();
    let text = "ec2.describe_vpcs().send();\n// x.not_this()\n    .create_vpc()\nfn nor_this() {}\nlist!(users: list_users(\"not_in_a_string\").users, user_name);\n";
    fs::write(folder.path().join("a.rs"), text).unwrap();
    fs::write(folder.path().join("b/c.rs"), "x.y().z_z()").unwrap();
    fs::write(folder.path().join("d.txt"), "x.not_this()").unwrap();
    let found = mentions_in(folder.path()).unwrap();
    let found: Vec<_> = found.iter().map(|mention| (mention.name.as_str(), mention.line)).collect();
    assert_eq!(
        found,
        [("describe_vpcs", 1), ("create_vpc", 3), ("list_users", 5), ("user_name", 5), ("z_z", 1)]
    );
    assert!(mentions_in(Path::new("/nonexistent")).unwrap().is_empty());
}
