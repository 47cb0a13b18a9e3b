//! Ignition configs that a plan sends: those that are not given, those that are old, and those with
//! expired certificates. A run without them compares the existing machines with the recorded digests.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use groundplan_aws::schemas;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::Plan;
use groundplan_engine::secret::Secrets;
use groundplan_openshift::topology::{CertificateValidity, FirstExpiry, IgnitionFile};
use jiff::Timestamp;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::session::desired_state::DesiredState;
use crate::render::{Code, Diagnostic};

/// Age without a warning of an Ignition config whose certificates are not known. Those of
/// `bootstrap.ign` are valid for a day.
const FRESH: Duration = Duration::from_secs(24 * 60 * 60);

/// Maximum number of addresses in a message.
const LISTED: usize = 5;

/// Ignition configs that a plan sends.
pub(super) struct IgnitionUse {
    /// Configs that this run does not have.
    pub(super) missing: BTreeMap<IgnitionFile, MissingIgnition>,
    /// Configs that this run sends.
    pub(super) sent: BTreeSet<IgnitionFile>,
    /// Warnings about configs that are old or expired. Not a part of the plan, because they depend on
    /// the time.
    pub(super) old: Vec<Diagnostic>,
    /// Certificate that has expired in a config which the plan sends.
    expired: Option<(IgnitionFile, FirstExpiry)>,
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
        let sent = given.keys().copied().collect();
        let now = Timestamp::now();
        let (mut old, mut expired) = (Vec::new(), None);
        for file in given.into_keys() {
            match source.validity(file, now) {
                Some(CertificateValidity::Valid) => {}
                Some(CertificateValidity::Short(first)) => old.push(short(file, &first)),
                Some(CertificateValidity::Expired(first)) => {
                    old.push(Diagnostic::warning(Code::IgnitionExpired, ended(file, &first)));
                    expired = Some((file, first));
                }
                None => {
                    let modified = source.modified(file);
                    old.extend(modified.and_then(|modified| aged(file, modified, now.into())));
                }
            }
        }
        Self { missing, sent, old, expired }
    }

    /// Returns an error if a config is missing, or its certificates have expired.
    pub(super) fn ensure_usable(&self) -> Result<()> {
        let missing = self.missing.values().map(MissingIgnition::refusal);
        let expired = self.expired.as_ref().map(|(file, first)| refusal(*file, first));
        let diagnostics: Vec<Diagnostic> = missing.chain(expired).collect();
        match diagnostics.is_empty() {
            true => Ok(()),
            false => Err(CommandError { exit: Exit::Refused, diagnostics }),
        }
    }
}

impl MissingIgnition {
    /// Returns the warning of the plan.
    pub(super) fn warning(&self) -> String {
        let (file, need) = (self.file.name(), self.need());
        format!("{file} is missing, and {need} it: pass --assets DIR to apply this plan")
    }

    fn refusal(&self) -> Diagnostic {
        let (file, need) = (self.file.name(), self.need());
        Diagnostic::error(Code::AssetsMissing, format!("{file} is missing, and {need} it"))
            .with_detail("nothing was changed")
            .with_hint(format!(
                "pass --assets DIR with the {file} that openshift-install wrote for this cluster; \
                 to make the other changes only, pass --exclude for these resources"
            ))
    }

    /// Returns the resources with their verb: `instance.a needs`, `instance.a, instance.b need`.
    fn need(&self) -> String {
        let verb = if self.addresses.len() == 1 { "needs" } else { "need" };
        format!("{} {verb}", self.addresses())
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

/// Returns the problem of a config with an expired certificate.
fn ended(file: IgnitionFile, first: &FirstExpiry) -> String {
    let (file, ago) = (file.name(), in_words(first.distance));
    format!(
        "the certificate {} in {file} expired {ago} ago ({}): a new cluster does not form with it",
        first.file, first.at
    )
}

/// Returns the error for a plan that sends a config with an expired certificate.
fn refusal(file: IgnitionFile, first: &FirstExpiry) -> Diagnostic {
    Diagnostic::error(Code::IgnitionExpired, ended(file, first))
        .with_detail("nothing was changed")
        .with_hint(
            "run `openshift-install create ignition-configs` in a new folder, and pass it with \
             --assets. Its files have a new infra ID: if resources of this cluster exist already, run \
             `groundplan destroy` first. To apply the other changes only, pass --exclude s3_object",
        )
}

/// Returns the warning about a config whose certificates expire during a bootstrap.
fn short(file: IgnitionFile, first: &FirstExpiry) -> Diagnostic {
    let left = in_words(first.distance);
    let summary = format!(
        "the certificate {} in {} expires in {left} ({}), and a bootstrap can take longer",
        first.file,
        file.name(),
        first.at
    );
    Diagnostic::warning(Code::IgnitionAge, summary).with_hint(
        "for a new cluster, run `openshift-install create ignition-configs` in a new folder",
    )
}

/// Returns a duration in its largest unit: `5 minutes`, `3 hours`, `2 days`.
fn in_words(duration: Duration) -> String {
    let minutes = duration.as_secs() / 60;
    let count =
        |number: u64, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    match minutes / 60 {
        0 => count(minutes, "minute"),
        hours @ 1..48 => count(hours, "hour"),
        hours => count(hours / 24, "day"),
    }
}

/// Returns the warning about a config that is older than a day; `None` if it is not.
fn aged(file: IgnitionFile, modified: SystemTime, now: SystemTime) -> Option<Diagnostic> {
    let age = now.duration_since(modified).ok().filter(|age| *age > FRESH)?;
    let age = in_words(age);
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
            aged(IgnitionFile::Bootstrap, modified, now).map(|warning| warning.summary)
        };
        assert_eq!((of(0), of(23)), (None, None));
        assert!(of(25).unwrap().starts_with("bootstrap.ign is 25 hours old: "));
        assert!(of(24 * 5).unwrap().starts_with("bootstrap.ign is 5 days old: "));
        let later = now + Duration::from_secs(60);
        assert!(aged(IgnitionFile::Master, later, now).is_none(), "a clock that is behind");
    }

    #[test]
    fn an_expired_certificate_has_its_date_and_ends_an_apply() {
        let at: Timestamp = "2026-03-02T08:30:00Z".parse().unwrap();
        let distance = Duration::from_secs(3 * 3600 + 60);
        let first = FirstExpiry { file: "kubelet-signer.crt".to_owned(), at, distance };
        let expired = Some((IgnitionFile::Bootstrap, first.clone()));
        let used = IgnitionUse {
            missing: BTreeMap::new(),
            sent: BTreeSet::new(),
            old: Vec::new(),
            expired,
        };
        let error = used.ensure_usable().unwrap_err();
        assert_eq!((error.exit, error.diagnostics.len()), (Exit::Refused, 1));
        assert_eq!(
            error.diagnostics[0].summary,
            "the certificate kubelet-signer.crt in bootstrap.ign expired 3 hours ago \
             (2026-03-02T08:30:00Z): a new cluster does not form with it"
        );
        let soon = short(
            IgnitionFile::Bootstrap,
            &FirstExpiry { distance: Duration::from_secs(60), ..first },
        );
        assert!(soon.summary.contains("expires in 1 minute (2026-"), "{}", soon.summary);
        let none = IgnitionUse {
            missing: BTreeMap::new(),
            sent: BTreeSet::new(),
            old: Vec::new(),
            expired: None,
        };
        assert!(none.ensure_usable().is_ok());
    }

    #[test]
    fn a_long_list_of_machines_is_cut() {
        let addresses = (0..7).map(|index| Address::new("instance", &format!("master-{index}")));
        let missing =
            MissingIgnition { file: IgnitionFile::Master, addresses: addresses.collect() };
        let warning = missing.warning();
        assert!(warning.contains("instance.master-4 and 2 more need it:"), "{warning}");
        let addresses = vec![Address::new("instance", "bootstrap")];
        let one = MissingIgnition { file: IgnitionFile::Bootstrap, addresses }.warning();
        assert!(one.contains("instance.bootstrap needs it:"), "{one}");
    }
}
