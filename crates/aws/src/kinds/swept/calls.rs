//! Refresh and polling of untracked resources. Creation fails, and nothing is updated.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types;
use groundplan_engine::graph::Resource;
use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

use super::deletes::delete;
use super::{UntrackedKind, UntrackedOutputs, UntrackedResource};
use crate::Aws;
use crate::client::dry_run::DryRunTarget;
use crate::client::ec2::{self, Ec2Object};
use crate::client::iam::attachments_of_each;
use crate::client::instances::{self, poll_terminated};
use crate::client::resource_type::{
    Creation, KindOperations, Live, PollResult, ReadProtection, Recorded, Result,
};
use crate::kinds::load_balancer::{self, interfaces_described};
use crate::model::attachment::Attachment;
use crate::sweep::{SweepNames, classic_balancers, sweep};

impl KindOperations for UntrackedResource {
    async fn create(&self, _aws: &Aws, _creation: &Creation) -> Result<UntrackedOutputs> {
        let message = "untracked resources are never created";
        Err(ProviderError::new(ErrorClass::Permanent, "create", message))
    }

    async fn find(&self, _aws: &Aws, _creation: &Creation) -> Result<Option<UntrackedOutputs>> {
        Ok(None)
    }

    /// Refreshes by another sweep. A resource that the sweep does not find counts as deleted.
    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let swept = Box::pin(sweep(aws, &SweepNames::default())).await?;
        let there: BTreeSet<&str> = swept.left.iter().map(|one| one.id.as_str()).collect();
        let blind = !swept.not_searched.is_empty();
        let seen = |one: Recorded<Self>| {
            // If a search is not allowed or fails, no resource that only this search may find counts
            // as deleted.
            let unseen = blind && one.inputs.what.may_be_unseen();
            let outputs =
                one.outputs.filter(|outputs| unseen || there.contains(outputs.id.as_str()))?;
            Some(Live::new(one.inputs, outputs))
        };
        Ok(recorded.into_iter().map(seen).collect())
    }

    async fn delete(aws: &Aws, inputs: Self, outputs: UntrackedOutputs) -> Result<()> {
        delete(aws, inputs.what, &outputs.id).await
    }

    /// Returns the protections of instances and load balancers.
    async fn protections(aws: &Aws, doomed: Vec<UntrackedOutputs>) -> Vec<ReadProtection> {
        let ids = |what| {
            let some = doomed.iter().filter(move |one| one.what == what);
            some.map(|one| one.id.as_str()).collect::<Vec<_>>()
        };
        let (machines, balancers) =
            (ids(UntrackedKind::Instance), ids(UntrackedKind::LoadBalancer));
        let found = instances::termination_protections(aws, machines.clone()).await;
        let mut all: BTreeMap<&str, ReadProtection> = machines.into_iter().zip(found).collect();
        let found = load_balancer::protections(aws, balancers.clone()).await;
        all.extend(balancers.into_iter().zip(found));
        doomed.iter().map(|one| all.get(one.id.as_str()).cloned().unwrap_or(Ok(None))).collect()
    }

    /// Returns the attachments of roles.
    async fn attachments(aws: &Aws, doomed: Vec<UntrackedOutputs>) -> Result<Vec<Vec<Attachment>>> {
        let roles = doomed.iter().filter(|one| one.what == UntrackedKind::Role);
        let roles: Vec<&str> = roles.map(|one| one.id.as_str()).collect();
        let found = attachments_of_each(aws, roles.clone()).await?;
        let found: BTreeMap<&str, Vec<Attachment>> = roles.into_iter().zip(found).collect();
        let of = |one: &UntrackedOutputs| {
            let is_role = one.what == UntrackedKind::Role;
            found.get(one.id.as_str()).filter(|_| is_role).cloned().unwrap_or_default()
        };
        Ok(doomed.iter().map(of).collect())
    }

    /// Returns the dry run of the kind whose action this is.
    fn dry_run<'a>(
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        let others = aws
            .registry()
            .calls
            .iter()
            .filter(|calls| calls.schema().kind != UntrackedResource::SCHEMA.kind);
        others.into_iter().find_map(|calls| calls.dry_run(aws, action, about))
    }

    async fn gone(aws: &Aws, waiting: Vec<UntrackedOutputs>) -> Result<Vec<PollResult<()>>> {
        let mut seen: Vec<PollResult<()>> = waiting.iter().map(|_| PollResult::Ready(())).collect();
        for &what in UntrackedKind::ALL {
            let some: Vec<(usize, &str)> = waiting
                .iter()
                .enumerate()
                .filter(|(_, one)| one.what == what)
                .map(|(index, one)| (index, one.id.as_str()))
                .collect();
            if some.is_empty() {
                continue;
            }
            let ids: Vec<&str> = some.iter().map(|(_, id)| *id).collect();
            for ((index, _), look) in some.iter().zip(poll(aws, what, &ids).await?) {
                seen[*index] = look;
            }
        }
        Ok(seen)
    }
}

/// Polls the resources of one type. For most types, the response of the deleting call is proof of
/// deletion.
async fn poll(aws: &Aws, what: UntrackedKind, ids: &[&str]) -> Result<Vec<PollResult<()>>> {
    match what {
        UntrackedKind::Instance => poll_terminated(aws, ids).await,
        UntrackedKind::NatGateway => poll_deleted::<types::NatGateway>(aws, ids).await,
        UntrackedKind::CarrierGateway => poll_deleted::<types::CarrierGateway>(aws, ids).await,
        UntrackedKind::VpcEndpoint => poll_deleted::<types::VpcEndpoint>(aws, ids).await,
        UntrackedKind::Volume => poll_deleted::<types::Volume>(aws, ids).await,
        UntrackedKind::LoadBalancer => load_balancer::poll_deleted(aws, ids).await,
        UntrackedKind::ClassicLoadBalancer => classic(aws, ids).await,
        // The deletion is complete when the call returns.
        UntrackedKind::TargetGroup
        | UntrackedKind::Snapshot
        | UntrackedKind::Image
        | UntrackedKind::NetworkInterface
        | UntrackedKind::ElasticIp
        | UntrackedKind::SecurityGroup
        | UntrackedKind::InternetGateway
        | UntrackedKind::EgressOnlyInternetGateway
        | UntrackedKind::RouteTable
        | UntrackedKind::Subnet
        | UntrackedKind::Record
        | UntrackedKind::HostedZone
        | UntrackedKind::Vpc
        | UntrackedKind::DhcpOptions
        | UntrackedKind::Bucket
        | UntrackedKind::User
        | UntrackedKind::InstanceProfile
        | UntrackedKind::Role
        | UntrackedKind::SharedTag => Ok(ids.iter().map(|_| PollResult::Ready(())).collect()),
    }
}

async fn poll_deleted<T: Ec2Object>(aws: &Aws, ids: &[&str]) -> Result<Vec<PollResult<()>>> {
    ec2::poll_deleted::<T>(aws, ids, |_| "deleting").await
}

async fn classic(aws: &Aws, names: &[&str]) -> Result<Vec<PollResult<()>>> {
    let there = classic_balancers(aws).await?;
    let described: Vec<String> = names.iter().map(|name| format!("ELB {name}")).collect();
    let held = interfaces_described(aws, &described).await?;
    let looks = names.iter().zip(&described).map(|(&name, described)| {
        still(there.iter().any(|one| one == name), held.contains(described))
    });
    Ok(looks.collect())
}

fn still(is_there: bool, has_interfaces: bool) -> PollResult<()> {
    match (is_there, has_interfaces) {
        (true, _) => PollResult::Pending("deleting".to_owned()),
        (_, true) => PollResult::Pending("network interfaces still exist".to_owned()),
        _ => PollResult::Ready(()),
    }
}
