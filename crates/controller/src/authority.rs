//! Authority over a Machine or a MachineSet during a migration to the Cluster API.
//!
//! Users set `spec.authoritativeAPI`, and the migration controller moves `status.authoritativeAPI`
//! after it. Before the migration controller moves the status to the other API, it waits for the
//! condition `Paused`. Clusters without the feature gate MachineAPIMigration have neither field.
//!
//! Sources: openshift/api `machine/v1beta1/types_machine.go`, openshift/machine-api-operator
//! `pkg/controller/machine/controller.go`. In contrast to upstream, an object whose status has no
//! authority yet is never changed if its spec names the Cluster API.

use groundplan_openshift::machine_api::types::Condition;
use jiff::Timestamp;

use crate::conditions::whole_seconds;

const MACHINE_API: &str = "MachineAPI";

/// Authority over one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority<'a> {
    /// No migration: the object has no authority in its spec and in its status.
    NoMigration,
    /// The status has no authority yet. It is to be set to this API.
    Unset(&'a str),
    /// The Machine API has the authority.
    MachineApi,
    /// The Cluster API has the authority, or a migration is in progress.
    Paused(&'a str),
    /// Unknown value.
    Unknown(&'a str),
}

impl<'a> Authority<'a> {
    /// Returns the authority from `spec.authoritativeAPI` and `status.authoritativeAPI`.
    pub fn of(spec: &'a str, status: &'a str) -> Self {
        match (status, spec) {
            ("", "") => Authority::NoMigration,
            ("", spec) => Authority::Unset(spec),
            (MACHINE_API, _) => Authority::MachineApi,
            ("ClusterAPI" | "Migrating", _) => Authority::Paused(status),
            _ => Authority::Unknown(status),
        }
    }

    /// Returns true if the controllers may change the object. `Unset` stands for the API that the
    /// status is to be set to.
    pub fn allows_changes(self) -> bool {
        match self {
            Authority::NoMigration | Authority::MachineApi => true,
            Authority::Unset(api) => api == MACHINE_API,
            Authority::Paused(_) | Authority::Unknown(_) => false,
        }
    }

    /// Returns the condition `Paused` of the object. `None` if the object does not take part in a
    /// migration.
    pub fn paused_condition(self, now: Timestamp) -> Option<Condition> {
        let (status, severity, reason, api) = match self {
            Authority::MachineApi => ("False", "Info", "AuthoritativeAPIMachineAPI", MACHINE_API),
            Authority::Paused(api) => ("True", "", "AuthoritativeAPINotMachineAPI", api),
            Authority::NoMigration | Authority::Unset(_) | Authority::Unknown(_) => return None,
        };
        Some(Condition {
            kind: "Paused".to_owned(),
            status: status.to_owned(),
            severity: severity.to_owned(),
            reason: reason.to_owned(),
            message: format!("status.authoritativeAPI is {api}"),
            last_transition_time: Some(whole_seconds(now).to_string()),
        })
    }

    /// Returns the log message about the condition `Paused` that becomes or no longer is `True`. `None`
    /// without a change. `before` are the conditions of the object.
    pub fn pause_message(self, before: &[Condition]) -> Option<String> {
        let was_paused = before.iter().any(|one| one.kind == "Paused" && one.status == "True");
        match self {
            Authority::Paused(api) if !was_paused => Some(format!(
                "paused: status.authoritativeAPI is {api}, and this controller changes nothing"
            )),
            Authority::MachineApi if was_paused => {
                Some(format!("resumed: status.authoritativeAPI is {MACHINE_API}"))
            }
            _ => None,
        }
    }

    /// Returns the message about a value that the controllers do not know.
    pub fn problem(self) -> Option<String> {
        let (field, found) = match self {
            Authority::Unknown(api) => ("status", api),
            Authority::Unset(api) if !matches!(api, MACHINE_API | "ClusterAPI") => ("spec", api),
            _ => return None,
        };
        let expected = match field {
            "spec" => "MachineAPI or ClusterAPI",
            _ => "MachineAPI, ClusterAPI or Migrating",
        };
        Some(format!(
            "{field}.authoritativeAPI: expected {expected}, found `{found}`; the object is not \
             reconciled"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_and_without_it_the_spec() {
        for (spec, status, authority, allowed) in [
            ("", "", Authority::NoMigration, true),
            ("MachineAPI", "", Authority::Unset("MachineAPI"), true),
            ("ClusterAPI", "", Authority::Unset("ClusterAPI"), false),
            ("ClusterAPI", "MachineAPI", Authority::MachineApi, true),
            ("MachineAPI", "ClusterAPI", Authority::Paused("ClusterAPI"), false),
            ("MachineAPI", "Migrating", Authority::Paused("Migrating"), false),
            ("MachineAPI", "Other", Authority::Unknown("Other"), false),
        ] {
            let found = Authority::of(spec, status);
            assert_eq!((found, found.allows_changes()), (authority, allowed), "{spec} {status}");
        }
    }

    #[test]
    fn the_condition_names_the_authority_and_an_unknown_value_is_a_problem() {
        let now = Timestamp::UNIX_EPOCH;
        let told = |spec, status| {
            let condition = Authority::of(spec, status).paused_condition(now)?;
            Some((condition.status, condition.severity, condition.reason))
        };
        let [paused, acts] = [told("", "Migrating").unwrap(), told("", "MachineAPI").unwrap()];
        assert_eq!(paused.0 + &paused.1 + &paused.2, "TrueAuthoritativeAPINotMachineAPI");
        assert_eq!(acts.0 + &acts.1 + &acts.2, "FalseInfoAuthoritativeAPIMachineAPI");
        assert_eq!(told("", ""), None);
        let problem = Authority::of("MachineAPI", "Else").problem().unwrap();
        assert!(problem.contains("found `Else`"), "{problem}");
        let problem = Authority::of("Migrating", "").problem().unwrap();
        assert!(problem.starts_with("spec.authoritativeAPI: expected MachineAPI or"), "{problem}");
        assert_eq!(Authority::of("MachineAPI", "MachineAPI").problem(), None);
    }
}
