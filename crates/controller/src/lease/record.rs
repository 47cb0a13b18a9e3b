//! Content of a Lease: the decision from an observed Lease, and the Lease to write. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::LeaseTerms;

/// Permitted action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeaseDecision {
    /// Hold the Lease: this process has it, no process has it, or it has expired.
    Hold,
    /// Wait: another process has the Lease.
    Wait,
}

/// Returns the identity of the holder, or an empty string if the Lease has no holder.
pub(super) fn holder(lease: Option<&Lease>) -> &str {
    spec(lease).and_then(|spec| spec.holder_identity.as_deref()).unwrap_or_default()
}

pub(super) fn verdict(
    lease: Option<&Lease>,
    me: &str,
    unchanged_for: Duration,
    terms: LeaseTerms,
) -> LeaseDecision {
    let holder = holder(lease);
    let ran_out = unchanged_for > good_for(lease, terms);
    if holder.is_empty() || holder == me || ran_out {
        LeaseDecision::Hold
    } else {
        LeaseDecision::Wait
    }
}

/// Returns the duration that the holder has written. The holder may have other terms than this
/// process. Without a positive duration, returns the duration in `terms`.
fn good_for(lease: Option<&Lease>, terms: LeaseTerms) -> Duration {
    let said = spec(lease).and_then(|spec| spec.lease_duration_seconds);
    let said = said.and_then(|seconds| u64::try_from(seconds).ok()).filter(|seconds| *seconds > 0);
    said.map_or(terms.good_for, Duration::from_secs)
}

fn spec(lease: Option<&Lease>) -> Option<&LeaseSpec> {
    lease.and_then(|lease| lease.spec.as_ref())
}

/// Returns the Lease with `me` as its holder.
pub(super) fn held_by(
    lease: Option<&Lease>,
    (name, me): (&str, &str),
    terms: LeaseTerms,
    now: Timestamp,
) -> Lease {
    let mut held = lease.cloned().unwrap_or_default();
    held.metadata.name = Some(name.to_owned());
    let spec = held.spec.get_or_insert_default();
    if spec.holder_identity.as_deref() != Some(me) {
        let handed_over = lease.map(|_| spec.lease_transitions.unwrap_or(0).saturating_add(1));
        spec.lease_transitions = Some(handed_over.unwrap_or(0));
        spec.acquire_time = Some(MicroTime(now));
        spec.holder_identity = Some(me.to_owned());
    }
    spec.lease_duration_seconds = Some(i32::try_from(terms.good_for.as_secs()).unwrap_or(i32::MAX));
    spec.renew_time = Some(MicroTime(now));
    held
}

/// Returns the Lease without a holder, or `None` if `me` is not the holder.
pub(super) fn released(lease: Option<Lease>, me: &str) -> Option<Lease> {
    if holder(lease.as_ref()) != me {
        return None;
    }
    let mut lease = lease?;
    lease.spec.as_mut()?.holder_identity = None;
    Some(lease)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, seconds: i32) -> Lease {
        let spec = LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            ..LeaseSpec::default()
        };
        Lease { spec: Some(spec), ..Lease::default() }
    }

    fn verdict_after(lease: Option<&Lease>, seconds: u64) -> LeaseDecision {
        verdict(lease, "me", Duration::from_secs(seconds), LeaseTerms::default())
    }

    #[test]
    fn what_is_nobody_s_or_ours_is_held_and_what_is_somebody_s_is_waited_for() {
        assert_eq!(verdict_after(None, 0), LeaseDecision::Hold);
        assert_eq!(verdict_after(Some(&Lease::default()), 0), LeaseDecision::Hold);
        assert_eq!(verdict_after(Some(&lease("", 60)), 0), LeaseDecision::Hold);
        assert_eq!(verdict_after(Some(&lease("me", 60)), 0), LeaseDecision::Hold);
        assert_eq!(verdict_after(Some(&lease("other", 60)), 60), LeaseDecision::Wait);
        assert_eq!(verdict_after(Some(&lease("other", 60)), 61), LeaseDecision::Hold);
    }

    #[test]
    fn a_holder_that_says_nothing_of_time_has_ours() {
        assert_eq!(verdict_after(Some(&lease("other", 0)), 24), LeaseDecision::Wait);
        assert_eq!(verdict_after(Some(&lease("other", -5)), 25), LeaseDecision::Hold);
    }

    #[test]
    fn a_lease_that_changes_hands_says_so_and_one_that_is_renewed_does_not() {
        let [first, later] = ["2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"]
            .map(|time| time.parse::<Timestamp>().unwrap());
        let held = held_by(None, ("l", "me"), LeaseTerms::default(), first);
        assert_eq!(held.spec.as_ref().unwrap().lease_transitions, Some(0));
        let renewed = held_by(Some(&held), ("l", "me"), LeaseTerms::default(), later).spec.unwrap();
        assert_eq!(
            (renewed.acquire_time, renewed.lease_transitions),
            (Some(MicroTime(first)), Some(0))
        );
        assert_eq!(renewed.renew_time, Some(MicroTime(later)));
        let taken =
            held_by(Some(&held), ("l", "other"), LeaseTerms::default(), later).spec.unwrap();
        assert_eq!(
            (taken.acquire_time, taken.lease_transitions),
            (Some(MicroTime(later)), Some(1))
        );
    }

    #[test]
    fn only_one_s_own_lease_is_let_go_of() {
        assert_eq!(released(Some(lease("other", 60)), "me"), None);
        assert_eq!(released(None, "me"), None);
        assert_eq!(holder(released(Some(lease("me", 60)), "me").as_ref()), "");
    }
}
