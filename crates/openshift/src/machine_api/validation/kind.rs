//! Detection of Machine API objects, and of objects that are plainly meant to be such.
//!
//! Objects of other APIs, such as a Machine of Cluster API, are ignored even if their kind has the
//! same name.

use serde_json::Value;

use super::ObjectFinding;
use crate::diagnostics::{Rule, nearest, one_of, shown};
use crate::machine_api::types::{CONTROL_PLANE_API, MACHINE_API};

/// Kinds that are validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::machine_api) enum ManifestKind {
    Machine,
    MachineSet,
    ControlPlaneMachineSet,
}

/// Name and API version of each kind.
const KINDS: [(&str, &str, ManifestKind); 3] = [
    ("Machine", MACHINE_API, ManifestKind::Machine),
    ("MachineSet", MACHINE_API, ManifestKind::MachineSet),
    ("ControlPlaneMachineSet", CONTROL_PLANE_API, ManifestKind::ControlPlaneMachineSet),
];

const NAMES: [&str; 3] = [KINDS[0].0, KINDS[1].0, KINDS[2].0];

/// API group of all kinds.
const GROUP: &str = "machine.openshift.io";

impl ManifestKind {
    /// Returns the kind of an object, if kind and API version are exact.
    pub(in crate::machine_api) fn of(object: &Value) -> Option<Self> {
        let (meant, findings) = Self::meant(object)?;
        findings.is_empty().then_some(meant)
    }

    /// Returns the kind that an object has or is meant to have, with the flaws of its kind and
    /// version.
    pub(super) fn meant(object: &Value) -> Option<(Self, Vec<ObjectFinding>)> {
        let said = |field: &str| object[field].as_str().unwrap_or_default();
        let (version, kind) = (said("apiVersion"), said("kind"));
        if !may_be_ours(version) || kind.ends_with("List") {
            return None;
        }
        let name = if kind.is_empty() { by_its_fields(object)? } else { nearest(kind, &NAMES)? };
        let (name, right, meant) = KINDS.into_iter().find(|(known, ..)| *known == name)?;
        let misspelt = (kind != name).then(|| misspelt(kind, name));
        let versioned = (version != right).then(|| of_another_version(name, version, right));
        Some((meant, misspelt.into_iter().chain(versioned).collect()))
    }
}

/// Returns true if a version has our group, a similar group, or no group.
fn may_be_ours(version: &str) -> bool {
    version.split_once('/').is_none_or(|(group, _)| nearest(group, &[GROUP]).is_some())
}

/// Returns the kind that an object without a kind is meant to have, judged by its fields.
fn by_its_fields(object: &Value) -> Option<&'static str> {
    let spec = &object["spec"];
    let templates = [&spec["template"]["spec"], spec];
    let is_of_machines = templates.map(|spec| spec["providerSpec"].is_object());
    match is_of_machines {
        [true, _] => Some("MachineSet"),
        [_, true] => Some("Machine"),
        _ => None,
    }
}

fn misspelt(kind: &str, name: &str) -> ObjectFinding {
    let found =
        if kind.is_empty() { "is missing".into() } else { format!("found {}", shown(kind)) };
    let finding = ObjectFinding::new(Rule::MachineKind, "kind", found).expected(one_of(&NAMES));
    finding.hint(format!("did you mean `{name}`?"))
}

fn of_another_version(name: &str, version: &str, right: &str) -> ObjectFinding {
    let found = match version {
        "" => "is missing".to_owned(),
        other => format!("found {}", shown(other)),
    };
    ObjectFinding::new(Rule::MachineKind, "apiVersion", found)
        .expected(format!("`{right}` for a {name}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn meant(version: &str, kind: &str) -> Option<(ManifestKind, Vec<String>)> {
        let (meant, findings) = ManifestKind::meant(&json!({"apiVersion": version, "kind": kind}))?;
        Some((meant, findings.into_iter().map(|finding| finding.path).collect()))
    }

    #[test]
    fn a_kind_or_version_that_is_nearly_right_is_a_flaw_and_not_somebody_elses_object() {
        for (version, kind, expected, paths) in [
            (MACHINE_API, "MachineSet", ManifestKind::MachineSet, vec![]),
            (MACHINE_API, "Machineset", ManifestKind::MachineSet, vec!["kind"]),
            (MACHINE_API, "machine", ManifestKind::Machine, vec!["kind"]),
            (MACHINE_API, "Machines", ManifestKind::Machine, vec!["kind"]),
            (CONTROL_PLANE_API, "MachineSet", ManifestKind::MachineSet, vec!["apiVersion"]),
            (
                MACHINE_API,
                "ControlPlaneMachineSet",
                ManifestKind::ControlPlaneMachineSet,
                vec!["apiVersion"],
            ),
            ("machines.openshift.io/v1beta1", "Machine", ManifestKind::Machine, vec!["apiVersion"]),
            ("machine.openshift.io/v1beta2", "Machine", ManifestKind::Machine, vec!["apiVersion"]),
            ("v1", "machineSet", ManifestKind::MachineSet, vec!["kind", "apiVersion"]),
            ("", "MachineSet", ManifestKind::MachineSet, vec!["apiVersion"]),
        ] {
            let paths = paths.into_iter().map(str::to_owned).collect();
            assert_eq!(meant(version, kind), Some((expected, paths)), "{version} {kind}");
        }
    }

    #[test]
    fn what_is_somebody_elses_is_left_to_them() {
        for (version, kind) in [
            ("cluster.x-k8s.io/v1beta1", "MachineSet"),
            ("cluster.x-k8s.io/v1beta1", "Machineset"),
            (MACHINE_API, "MachineHealthCheck"),
            (MACHINE_API, "MachineSetList"),
            ("machineconfiguration.openshift.io/v1", "MachineConfig"),
            ("config.openshift.io/v1", "Infrastructure"),
            ("v1", "Secret"),
            ("v1", "List"),
            ("", ""),
        ] {
            assert_eq!(meant(version, kind), None, "{version} {kind}");
        }
    }

    #[test]
    fn without_a_kind_its_fields_say_what_was_meant() {
        let set = json!({"spec": {"template": {"spec": {"providerSpec": {}}}}});
        let (meant, findings) = ManifestKind::meant(&set).unwrap();
        assert_eq!((meant, findings.len()), (ManifestKind::MachineSet, 2));
        assert_eq!(findings[0].hint.as_deref(), Some("did you mean `MachineSet`?"));
        let machine = json!({"apiVersion": MACHINE_API, "spec": {"providerSpec": {}}});
        assert_eq!(ManifestKind::meant(&machine).unwrap().0, ManifestKind::Machine);
    }
}
