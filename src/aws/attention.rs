//! Which inputs people look at: how much each matters when somebody else changes it, and which are
//! shown in every plan.

use crate::plan::DriftClass;

/// Kinds that say who may reach or do what, whatever it is about them that changes.
const GUARDS: &[&str] = &[
    "security_group",
    "security_group_rules",
    "iam_role",
    "iam_role_policy",
    "iam_instance_profile",
];

/// The class of an input of a kind.
pub fn class(kind: &str, path: &str) -> DriftClass {
    let input = path.split(['.', '[']).next().unwrap_or_default();
    match input {
        "tags" | "volume_tags" | "description" => DriftClass::Cosmetic,
        // Metadata options decide whether IMDSv1 answers; a profile, what a machine may do.
        "metadata_options" | "profile" | "groups" | "kms_key" => DriftClass::Security,
        _ if GUARDS.contains(&kind) => DriftClass::Security,
        _ if path.contains("groups[") || path.contains("kms_key") => DriftClass::Security,
        _ => DriftClass::Functional,
    }
}

/// Whether every plan shows this input of what it creates: how the metadata service answers is what
/// this program is about.
pub fn telling(kind: &str, path: &str) -> bool {
    kind == "instance" && path.starts_with("metadata_options")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guards_is_security_and_what_names_is_cosmetic() {
        assert_eq!(class("instance", "metadata_options.http_tokens"), DriftClass::Security);
        assert_eq!(class("instance", "network.subnet.groups[0]"), DriftClass::Security);
        assert_eq!(class("security_group_rules", "ingress[3].ports.to"), DriftClass::Security);
        assert_eq!(class("iam_role_policy", "document"), DriftClass::Security);
        assert_eq!(class("iam_role", "tags.Name"), DriftClass::Cosmetic);
        assert_eq!(class("instance", "tags[\"a/b\"]"), DriftClass::Cosmetic);
        assert_eq!(class("target_group", "health_check.path"), DriftClass::Functional);
    }
}
