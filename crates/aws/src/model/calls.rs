//! Names of AWS calls and of the IAM actions that allow them.

/// Returns true if an action, or a call of that name, changes nothing.
pub fn is_read(action: &str) -> bool {
    let call = action.split_once(':').map_or(action, |(_, call)| call);
    ["Assume", "Describe", "Get", "List", "Head", "Search", "Simulate"]
        .iter()
        .any(|verb| call.starts_with(verb))
}

/// Returns the name of the permission for a call, without the service.
#[cfg(any(feature = "sdk", test))]
pub(crate) fn permission(call: &str) -> &str {
    RENAMED.iter().find(|(from, _)| *from == call).map_or(call, |(_, to)| to)
}

/// Calls whose permission has another name.
#[cfg(any(feature = "sdk", test))]
const RENAMED: &[(&str, &str)] = &[
    ("HeadBucket", "ListBucket"),
    ("HeadObject", "GetObject"),
    ("ListBuckets", "ListAllMyBuckets"),
    ("ListObjectsV2", "ListBucket"),
    ("ListObjectVersions", "ListBucketVersions"),
    ("DeleteObjects", "DeleteObject"),
];

/// Returns true if an action changes tags only.
pub fn tags_only(action: &str) -> bool {
    let call = action.split_once(':').map_or(action, |(_, call)| call);
    let call = call.to_ascii_lowercase().replace("target", "");
    !is_read(action) && call.contains("tag")
}
