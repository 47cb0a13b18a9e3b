//! Untracked resources of a destroy: created by the cluster, or left from a lost state. The plan
//! shows and deletes them with the recorded resources.

use std::collections::BTreeSet;

use groundplan_aws::Aws;
use groundplan_aws::adopt::{adopt, known};
use groundplan_aws::kinds::swept::{FoundUntracked, UntrackedResource};
use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::model::ids::RoleName;
use groundplan_aws::model::untracked::UntrackedKind;
use groundplan_aws::sweep::{self, NetworkBlocker, OwnershipConflict, RemainingResource, Sweep};
use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::plan::Plan;
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::{ProviderError, retry_reads};
use groundplan_engine::state::{Entry, Record, State};

use crate::cli::args::TargetingArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// Kinds and types of untracked resources that machines in a network need: addresses and routes.
const PARTS_OF_NETWORK: &[&str] = &[
    "carrier_gateway",
    "carrier-gateway",
    "egress_only_internet_gateway",
    "egress-only-internet-gateway",
    "elastic_ip",
    "elastic-ip",
    "internet_gateway",
    "internet-gateway",
    "nat_gateway",
    "natgateway",
    "route_table",
    "route-table",
    "subnet",
    "vpc_endpoint",
    "vpc-endpoint",
];

/// Returns true if a part of a destroy can contain untracked resources.
pub(crate) fn are_meant(part: &TargetingArgs) -> bool {
    let kind = UntrackedResource::SCHEMA.kind;
    let may_fit = |target: &String| target.starts_with('*') || target.starts_with(kind);
    part.target.is_empty() || part.target.iter().any(may_fit)
}

/// Untracked resources of a cluster.
#[derive(Debug, Default)]
pub(crate) struct UntrackedResources {
    /// Resources that groundplan can delete.
    deletable: Vec<FoundUntracked>,
    /// Resources of a type that groundplan cannot delete.
    strange: Vec<RemainingResource>,
    /// Backups that AWS Backup manages.
    backups: Vec<RemainingResource>,
    /// Resources of the user that keep the tag of the cluster.
    kept: Vec<RemainingResource>,
    /// Errors of searches that the credentials do not allow, or that failed.
    not_searched: Vec<ProviderError>,
    /// Tags of other clusters outside EC2.
    claims: BTreeSet<OwnershipConflict>,
    /// Resources of others in the networks of the cluster.
    blockers: Vec<NetworkBlocker>,
}

impl UntrackedResources {
    /// Queries AWS for all resources of the cluster that this state does not contain.
    pub(crate) async fn sweep(aws: &Aws, state: &State) -> Result<Self> {
        let known = known(state);
        // Refresh has read the recorded names.
        let names = sweep::SweepNames {
            domain: names(state).domain,
            recorded: known.clone(),
            ..sweep::SweepNames::default()
        };
        Self::search(aws, &names, &known).await
    }

    /// Queries AWS for all resources of a cluster without a state. The records in a zone of the user
    /// need the domain of the cluster.
    pub(crate) async fn sweep_lost(aws: &Aws, domain: Option<&str>) -> Result<Self> {
        let domain = domain.map(str::to_owned);
        let names = sweep::SweepNames { domain, ..sweep::SweepNames::default() };
        Self::search(aws, &names, &BTreeSet::new()).await
    }

    async fn search(
        aws: &Aws,
        names: &sweep::SweepNames,
        known: &BTreeSet<String>,
    ) -> Result<Self> {
        let swept = retry_reads(|| Box::pin(sweep::sweep(aws, names)))
            .await
            .map_err(|error| CommandError::call("search for untracked resources", &error))?;
        Ok(Self::of(swept, known))
    }

    /// Skips resources that AWS deletes together with another resource of the cluster.
    fn of(swept: Sweep, known: &BTreeSet<String>) -> Self {
        let Sweep { left, backups, kept, not_searched, blockers } = swept;
        let there: BTreeSet<String> = left.iter().map(|one| one.id.clone()).collect();
        let mut found = Self { backups, kept, not_searched, blockers, ..Self::default() };
        for mut one in left {
            found.claims.extend(one.claims.drain(..));
            let goes_along = one
                .goes_with
                .as_ref()
                .is_some_and(|with| known.contains(with) || there.contains(with));
            if known.contains(&one.id) || goes_along {
                continue;
            }
            match UntrackedKind::of(&one.kind) {
                Some(what) => {
                    let RemainingResource { id, name, network, .. } = one;
                    found.deletable.push(FoundUntracked { what, id, name, network });
                }
                None => found.strange.push(one),
            }
        }
        found
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.deletable.is_empty() && self.strange.is_empty()
    }

    /// Returns the searches that found nothing because they were not made.
    pub(crate) fn not_searched(&self) -> &[ProviderError] {
        &self.not_searched
    }

    /// Returns the entries to record before the first deletion.
    pub(crate) fn entries(&self, state: &State) -> Vec<Entry> {
        adopt(state, &self.deletable)
    }

    /// Keeps only the resources that the plan deletes.
    pub(crate) fn leave_out_of(&mut self, plan: &Plan, imagined: &State) {
        let teardown = ids(plan, imagined);
        self.deletable.retain(|one| teardown.contains(&one.id));
    }

    /// Returns an error if machines of others run in a network that the plan deletes: the deletion
    /// of the network would fail after that of everything else.
    pub(crate) fn ensure_unblocked(&self, state: &State, plan: &Plan) -> Result<()> {
        let teardown = ids(plan, state);
        let blocks = |one: &&NetworkBlocker| is_machine(one) && teardown.contains(&one.network);
        let blockers: Vec<&NetworkBlocker> = self.blockers.iter().filter(blocks).collect();
        if blockers.is_empty() {
            return Ok(());
        }
        let mut diagnostic = Diagnostic::error(
            Code::MachinesInNetwork,
            "machines of others run in a network that the plan deletes",
        );
        diagnostic.detail =
            blockers.iter().map(|one| format!("{} in {}", named(one), one.network)).collect();
        let hint = "terminate these machines or move them to another network; `--exclude ADDRESS` of \
                    the VPC keeps the VPC with its subnets, gateways, route tables and endpoints";
        Err(CommandError::new(Exit::Refused, diagnostic.with_hint(hint)))
    }

    /// Returns the parts of networks that machines of others need, if such machines run in a network
    /// that the plan keeps. Empty otherwise.
    pub(crate) fn needed_by_others(&self, state: &State, plan: &Plan) -> Vec<Address> {
        let teardown = ids(plan, state);
        let keeps = |one: &NetworkBlocker| is_machine(one) && !teardown.contains(&one.network);
        if !self.blockers.iter().any(keeps) {
            return Vec::new();
        }
        let parts = state.resources.iter().filter(|(address, record)| {
            let swept = record.inputs.get("what").and_then(|what| what.as_str());
            PARTS_OF_NETWORK.contains(&address.kind())
                || swept.is_some_and(|what| PARTS_OF_NETWORK.contains(&what))
        });
        parts.map(|(address, _)| address.clone()).collect()
    }

    /// Returns the plan warnings about untracked resources.
    pub(crate) fn warnings(&self, aws: &Aws) -> Vec<String> {
        let tag = &aws.settings().cluster_tag;
        let mut cautions = Vec::new();
        let counts = |network: Option<&str>| -> String {
            let counts = UntrackedKind::ALL.iter().filter_map(|what| {
                let is_meant =
                    |one: &&FoundUntracked| one.what == *what && one.network.as_deref() == network;
                let count = self.deletable.iter().filter(is_meant).count();
                (count > 0).then(|| what.count(count))
            });
            counts.collect::<Vec<_>>().join(", ")
        };
        let kind = UntrackedResource::SCHEMA.kind;
        let tagged = counts(None);
        if !tagged.is_empty() {
            cautions.push(format!(
                "untracked resources with the tag {tag}: {tagged}; they are deleted with the cluster \
                 (--exclude {kind} keeps them)"
            ));
        }
        let networks = self.deletable.iter().filter_map(|one| one.network.as_deref());
        for network in networks.collect::<BTreeSet<_>>() {
            cautions.push(format!(
                "resources without the tag {tag} in {network}, a network of the cluster: {}; they \
                 are deleted with the network (--exclude {kind} keeps them)",
                counts(Some(network))
            ));
        }
        let keeps_data = |one: &FoundUntracked| {
            matches!(
                one.what,
                UntrackedKind::Volume | UntrackedKind::Snapshot | UntrackedKind::Bucket
            )
        };
        if self.deletable.iter().any(keeps_data) {
            cautions.push(
                "the volumes, snapshots and buckets above are deleted with the data of the \
                 cluster's users"
                    .to_owned(),
            );
        }
        if !self.strange.is_empty() {
            let strange = self.strange.iter().map(remaining);
            cautions.push(format!(
                "resources with the tag {tag} of types that groundplan cannot delete: {}; delete \
                 them by hand",
                strange.collect::<Vec<_>>().join(", ")
            ));
        }
        cautions.extend(kept_backups(&self.backups));
        if !self.kept.is_empty() {
            let kept = self.kept.iter().map(|one| format!("{} {}", one.kind, one.id));
            cautions.push(format!(
                "shared resources stay and keep the tag {tag}: {}; remove the tag by hand",
                kept.collect::<Vec<_>>().join(", ")
            ));
        }
        cautions.extend(self.blockers.iter().filter(|one| !is_machine(one)).map(|one| {
            format!(
                "{} stays and blocks the deletion of {}: {}; delete it by hand if it is unused",
                named(one),
                one.network,
                one.reason
            )
        }));
        cautions.extend(self.not_searched.iter().map(|error| not_looked_for(error).summary));
        cautions
    }
}

/// Returns a warning about backups that stay; `None` if there are none.
pub(crate) fn kept_backups(backups: &[RemainingResource]) -> Option<String> {
    if backups.is_empty() {
        return None;
    }
    let backups = backups.iter().map(|one| format!("{} {}", one.kind, one.id));
    Some(format!(
        "backups of the cluster stay, because only AWS Backup can delete them: {}",
        backups.collect::<Vec<_>>().join(", ")
    ))
}

fn is_machine(blocker: &NetworkBlocker) -> bool {
    blocker.kind == UntrackedKind::Instance.as_str()
}

/// Returns `security-group sg-1 (web)`: type, ID and name of a blocker.
fn named(blocker: &NetworkBlocker) -> String {
    let name = blocker.name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
    format!("{} {}{name}", blocker.kind, blocker.id)
}

/// Returns the type and ID of a resource that remains, with its source if nothing else confirms it.
pub(crate) fn remaining(one: &RemainingResource) -> String {
    let source = if one.reported { " (as the tagging API reports)" } else { "" };
    format!("{} {}{source}", one.kind, one.id)
}

/// Returns a warning that resources may remain, because their search failed or is not allowed.
pub(crate) fn not_looked_for(error: &ProviderError) -> Diagnostic {
    let call = &error.call;
    let why = match sweep::is_denied(error) {
        true => format!("the credentials do not allow {call}"),
        false => format!("{call} failed ({})", error.code.as_ref().unwrap_or(&error.message)),
    };
    Diagnostic::warning(
        Code::SearchIncomplete,
        format!("{why}: untracked resources that only this call finds are not deleted"),
    )
}

/// Returns the sentences about searches that were not made. Empty if all were made.
pub(crate) fn gaps(not_searched: &[ProviderError]) -> String {
    let (denied, failed): (Vec<_>, Vec<_>) =
        not_searched.iter().partition(|error| sweep::is_denied(error));
    let sentence = |errors: &[&ProviderError], why: &str| {
        let calls: Vec<&str> = errors.iter().map(|error| error.call.as_str()).collect();
        let text = || format!(" Not searched, because {why}: {}.", calls.join(", "));
        if calls.is_empty() { String::new() } else { text() }
    };
    let denied = sentence(&denied, "the credentials do not allow it");
    let failed = sentence(&failed, "the call failed");
    format!("{denied}{failed}").trim_start().to_owned()
}

/// Returns the IDs of resources that a plan deletes or removes a tag from.
fn ids(plan: &Plan, state: &State) -> BTreeSet<String> {
    let teardown: BTreeSet<&Address> = plan.steps.iter().map(|step| step.op.address()).collect();
    let ids = teardown.into_iter().filter_map(|address| id(&state.resources.get(address)?.outputs));
    ids.collect()
}

/// Returns the IDs of resources that stay and may belong to another cluster, too.
fn shared(state: &State) -> BTreeSet<String> {
    let is_shared = |record: &&Record| record.inputs["what"] == UntrackedKind::SharedTag.as_str();
    state.resources.values().filter(is_shared).filter_map(|record| id(&record.outputs)).collect()
}

/// Returns an error if the plan deletes a resource that also carries another cluster's tag.
pub(crate) async fn ensure_unclaimed(
    aws: &Aws,
    found: &UntrackedResources,
    state: &State,
    plan: &Plan,
) -> Result<()> {
    let shared = shared(state);
    let ids: BTreeSet<String> =
        ids(plan, state).into_iter().filter(|id| !shared.contains(id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut claims = retry_reads(|| sweep::ownership_conflicts(aws, &ids))
        .await
        .map_err(|error| CommandError::call("check for tags of other clusters", &error))?;
    claims.extend(found.claims.iter().filter(|one| ids.contains(&one.id)).cloned());
    if claims.is_empty() {
        return Ok(());
    }
    let mut diagnostic = Diagnostic::error(
        Code::SharedResource,
        "the plan deletes resources that another cluster uses",
    );
    let ours = &aws.settings().cluster_tag;
    diagnostic.detail = claims
        .iter()
        .map(|OwnershipConflict { id, cluster, value }| {
            format!("{id} is tagged {}={value}, besides {ours}", cluster_tag_key(cluster))
        })
        .collect();
    let hint = "destroy that cluster first, or remove its tag if it no longer exists";
    Err(CommandError::new(Exit::Refused, diagnostic.with_hint(hint)))
}

/// Beginning of the name of the record of the internal API. The rest is the domain of the cluster.
const INTERNAL_API: &str = "api-int.";

/// Returns the domain of the cluster whose records a plan deletes.
pub(crate) fn domain_in(plan: &Plan) -> Option<&str> {
    let mut addresses = plan.steps.iter().map(|step| step.op.address());
    addresses.find_map(|address| address.name().strip_prefix("record:")?.strip_prefix(INTERNAL_API))
}

/// Returns the names of resources that AWS cannot find by tag.
pub(crate) fn names(state: &State) -> sweep::SweepNames {
    let named = |kind: &str| -> Vec<&str> {
        let of_kind = state.resources.iter().filter(|(address, _)| address.kind() == kind);
        of_kind.filter_map(|(_, record)| record.inputs.get("name")?.as_str()).collect()
    };
    let untracked = |what: UntrackedKind| -> Vec<&str> {
        let of_type = state.resources.values().filter(|one| one.inputs["what"] == what.as_str());
        of_type.filter_map(|record| record.inputs.get("name")?.as_str()).collect()
    };
    // Without a zone of its own, the cluster has its records in a zone of the user.
    let zones = [named("hosted_zone"), untracked(UntrackedKind::HostedZone)].concat();
    let records = [named("record"), untracked(UntrackedKind::Record)].concat();
    let internal_api = || records.iter().find_map(|name| name.strip_prefix(INTERNAL_API));
    let domain = zones.first().copied().or_else(internal_api);
    sweep::SweepNames {
        domain: domain.map(str::to_owned),
        roles: named("iam_role").into_iter().map(RoleName::from).collect(),
        profiles: named("iam_instance_profile").into_iter().map(Into::into).collect(),
        buckets: named("s3_bucket").into_iter().map(Into::into).collect(),
        recorded: BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leftover(kind: &str, id: &str, goes_with: Option<&str>) -> RemainingResource {
        let goes_with = goes_with.map(str::to_owned);
        RemainingResource {
            kind: kind.to_owned(),
            id: id.to_owned(),
            name: None,
            goes_with,
            network: None,
            is_backup: false,
            keeps_tag: false,
            reported: false,
            claims: Vec::new(),
        }
    }

    #[test]
    fn what_is_recorded_or_goes_along_is_not_found_on_its_own() {
        let left = vec![
            leftover("instance", "i-1", None),
            leftover("instance", "i-recorded", None),
            leftover("volume", "vol-of-1", Some("i-1")),
            leftover("volume", "vol-of-recorded", Some("i-recorded")),
            leftover("volume", "vol-of-a-stranger", Some("i-9")),
            leftover("shared-tag", "subnet-1", None),
            leftover("shared-tag", "subnet-recorded", None),
            leftover("transit-gateway", "tgw-1", None),
        ];
        let known = ["i-recorded", "subnet-recorded"].map(str::to_owned).into();
        let found = UntrackedResources::of(Sweep { left, ..Sweep::default() }, &known);
        let ids: Vec<&str> = found.deletable.iter().map(|one| one.id.as_str()).collect();
        assert_eq!(ids, ["i-1", "vol-of-a-stranger", "subnet-1"]);
        assert_eq!(found.strange, [leftover("transit-gateway", "tgw-1", None)]);
    }

    #[test]
    fn searches_that_were_not_made_are_named_with_their_reason() {
        use groundplan_engine::provider::ErrorClass;
        let error = |call: &str, code: &str| {
            ProviderError::new(ErrorClass::Permanent, call, "no").with_code(code)
        };
        let denied = error("ListUsers", "AccessDenied");
        let failed = error("GetResources in us-east-1", "InternalServiceException");
        assert_eq!(gaps(&[]), "");
        assert_eq!(
            gaps(&[denied.clone(), failed.clone()]),
            "Not searched, because the credentials do not allow it: ListUsers. Not searched, because \
             the call failed: GetResources in us-east-1."
        );
        assert!(
            not_looked_for(&denied).summary.starts_with("the credentials do not allow ListUsers:")
        );
        let said = "GetResources in us-east-1 failed (InternalServiceException):";
        assert!(not_looked_for(&failed).summary.starts_with(said));
    }

    #[test]
    fn a_resource_that_nothing_confirms_has_its_source() {
        let arn = "arn:aws:kms:us-west-2:1:key/a";
        let one = RemainingResource { reported: true, ..leftover("kms:key", arn, None) };
        assert_eq!(remaining(&one), format!("kms:key {arn} (as the tagging API reports)"));
        assert_eq!(remaining(&leftover("vpc", "vpc-1", None)), "vpc vpc-1");
    }

    #[test]
    fn a_part_that_names_only_what_is_recorded_has_nothing_else_in_it() {
        let part = |target: &[&str]| TargetingArgs {
            target: target.iter().map(|&one| one.to_owned()).collect(),
            exclude: Vec::new(),
        };
        assert!(!are_meant(&part(&["instance.bootstrap"])));
        for wide in [&[][..], &["swept"], &["instance.a", "swept.volume:*"], &["*.a"]] {
            assert!(are_meant(&part(wide)), "{wide:?}");
        }
    }
}
