//! Ignition configs that a plan sends: those that are not given, and those that are old. A run without
//! them compares the existing machines with the recorded digests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use groundplan_aws::schemas;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::Plan;
use groundplan_engine::secret::Secrets;
use groundplan_openshift::topology::IgnitionFile;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::session::desired_state::DesiredState;
use crate::render::{Code, Diagnostic};

/// Age of an Ignition config without a warning. The certificates in `bootstrap.ign` are valid for a
/// day.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of addresses in a message.
const LISTED: usize = 5;

/// Ignition configs that a plan sends.
pub(super) struct IgnitionUse {
    /// Configs that this run does not have.
    pub(super) missing: BTreeMap<IgnitionFile, MissingIgnition>,
    /// Configs that this run sends.
    pub(super) sent: BTreeSet<IgnitionFile>,
    /// Warnings about configs older than a day. Not a part of the plan, because they depend on the
    /// time.
    pub(super) old: Vec<Diagnostic>,
}

/// Ignition config that the plan sends and this run does not have.
pub(super) struct MissingIgnition {
    file: IgnitionFile,
    /// Resources whose steps send the config.
    addresses: Vec<Address>,
}

impl IgnitionUse {
    /// Returns the configs that the plan sends. `secrets` are the contents that this run has.
    pub(super) fn of(plan: &Plan, secrets: &Secrets, source: &dyn DesiredState) -> Self {
        let mut missing = BTreeMap::new();
        let mut given: BTreeMap<IgnitionFile, &Address> = BTreeMap::new();
        for (address, secret) in plan.sent_secrets(&schemas()) {
            let Some(file) = source.ignition_file(address) else { continue };
            if secrets.reveal(&secret).is_some() {
                given.entry(file).or_insert(address);
                continue;
            }
            let addresses = Vec::new();
            let missing = missing.entry(file).or_insert(MissingIgnition { file, addresses });
            missing.addresses.push(address.clone());
        }
        let now = SystemTime::now();
        let sent = given.keys().copied().collect();
        let old = given.into_keys().filter_map(|file| old(file, source.modified(file)?, now));
        Self { missing, sent, old: old.collect() }
    }

    /// Returns an error if a config is missing.
    pub(super) fn ensure_given(&self) -> Result<()> {
        if self.missing.is_empty() {
            return Ok(());
        }
        let diagnostics = self.missing.values().map(MissingIgnition::refusal).collect();
        Err(CommandError { exit: Exit::Refused, diagnostics })
    }
}

impl MissingIgnition {
    /// Returns the warning of the plan.
    pub(super) fn warning(&self) -> String {
        let (file, addresses) = (self.file.name(), self.addresses());
        format!("{file} is missing, and {addresses} needs it: pass --assets DIR to apply this plan")
    }

    fn refusal(&self) -> Diagnostic {
        let (file, addresses) = (self.file.name(), self.addresses());
        Diagnostic::error(
            Code::AssetsMissing,
            format!("{file} is missing, and {addresses} needs it"),
        )
        .with_detail("nothing was changed")
        .with_hint(format!(
            "pass --assets DIR with the {file} that openshift-install wrote for this cluster; \
                 to make the other changes only, pass --exclude for these resources"
        ))
    }

    fn addresses(&self) -> String {
        let named: Vec<&str> = self.addresses.iter().take(LISTED).map(Address::as_str).collect();
        let named = named.join(", ");
        match self.addresses.len().saturating_sub(LISTED) {
            0 => named,
            more => format!("{named} and {more} more"),
        }
    }
}

/// Returns the warning about a config that is older than a day; `None` if it is not.
fn old(file: IgnitionFile, modified: SystemTime, now: SystemTime) -> Option<Diagnostic> {
    let age = now.duration_since(modified).ok().filter(|age| *age > FRESH)?;
    let hours = age.as_secs() / 3600;
    let age = if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) };
    let because = match file {
        IgnitionFile::Bootstrap => {
            "the certificates in it are valid for 24 hours, so a new cluster does not form"
        }
        IgnitionFile::Master | IgnitionFile::Worker => {
            "the cluster may have replaced the certificate authority in it"
        }
    };
    let warning =
        Diagnostic::warning(Code::IgnitionAge, format!("{} is {age} old: {because}", file.name()));
    Some(warning.with_hint(match file {
        IgnitionFile::Bootstrap => {
            "for a new cluster, run `openshift-install create ignition-configs` in a new folder"
        }
        IgnitionFile::Master | IgnitionFile::Worker => {
            "if machines of this cluster run, compare it with the user-data Secret in the namespace \
             openshift-machine-api"
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_older_than_a_day_is_old() {
        let now = SystemTime::now();
        let of = |hours: u64| {
            let modified = now - Duration::from_secs(hours * 3600 + 1);
            old(IgnitionFile::Bootstrap, modified, now).map(|warning| warning.summary)
        };
        assert_eq!((of(0), of(23)), (None, None));
        assert!(of(25).unwrap().starts_with("bootstrap.ign is 25 hours old: "));
        assert!(of(24 * 5).unwrap().starts_with("bootstrap.ign is 5 days old: "));
        let later = now + Duration::from_secs(60);
        assert!(old(IgnitionFile::Master, later, now).is_none(), "a clock that is behind");
    }

    #[test]
    fn a_long_list_of_machines_is_cut() {
        let addresses = (0..7).map(|index| Address::new("instance", &format!("master-{index}")));
        let missing =
            MissingIgnition { file: IgnitionFile::Master, addresses: addresses.collect() };
        let warning = missing.warning();
        assert!(warning.contains("instance.master-4 and 2 more needs it"), "{warning}");
    }
}
