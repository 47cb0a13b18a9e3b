//! Refresh and polling of untracked resources. Creation fails, and nothing is updated.

use std::collections::BTreeSet;

use aws_sdk_ec2::types;
use groundplan_engine::graph::Resource;
use groundplan_engine::provider::{Class, ProviderError, Reply};

use super::deletes::delete;
use super::{Swept, SweptOutputs, What};
use crate::Aws;
use crate::client::dry_run::Subject;
use crate::client::ec2::{self, Described};
use crate::client::elb::{self, By};
use crate::client::resource_type::{Creation, Live, Manage, Recorded, Result, Seen};
use crate::kinds::instance::look_if_terminated;
use crate::kinds::load_balancer::{interface_description, interfaces_described};
use crate::sweep::{Names, classic_balancers, sweep};

impl Manage for Swept {
    async fn create(&self, _aws: &Aws, _creation: &Creation) -> Result<SweptOutputs> {
        let message = "what was found with a cluster is not made again";
        Err(ProviderError::new(Class::Refused, "create", message))
    }

    async fn find(&self, _aws: &Aws, _creation: &Creation) -> Result<Option<SweptOutputs>> {
        Ok(None)
    }

    /// Refreshes by another sweep. A resource that the sweep does not find counts as deleted.
    async fn observe(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let swept = Box::pin(sweep(aws, &Names::default())).await?;
        let there: BTreeSet<&str> = swept.left.iter().map(|one| one.id.as_str()).collect();
        let blind = !swept.denied.is_empty();
        let seen = |one: Recorded<Self>| {
            // If the credentials may not read some list, no resource that only lists contain counts
            // as deleted.
            let unseen = blind && one.inputs.what.is_found_by_name();
            let outputs =
                one.outputs.filter(|outputs| unseen || there.contains(outputs.id.as_str()))?;
            Some(Live { inputs: one.inputs, outputs })
        };
        Ok(recorded.into_iter().map(seen).collect())
    }

    async fn delete(aws: &Aws, inputs: Self, outputs: SweptOutputs) -> Result<()> {
        Box::pin(delete(aws, inputs.what, &outputs.id)).await
    }

    /// Returns the dry run of the kind whose action this is.
    fn dry_run<'a>(aws: &'a Aws, action: &'static str, about: &Subject) -> Option<Reply<'a, ()>> {
        let others =
            aws.registry().calls.iter().filter(|calls| calls.schema().kind != Swept::SCHEMA.kind);
        others.into_iter().find_map(|calls| calls.dry_run(aws, action, about))
    }

    async fn gone(aws: &Aws, waiting: Vec<SweptOutputs>) -> Result<Vec<Seen<()>>> {
        let mut seen: Vec<Seen<()>> = waiting.iter().map(|_| Seen::Done(())).collect();
        for &what in What::ALL {
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
            for ((index, _), look) in some.iter().zip(look(aws, what, &ids).await?) {
                seen[*index] = look;
            }
        }
        Ok(seen)
    }
}

/// Polls the resources of one type. For most types, the response of the deleting call is proof of
/// deletion.
async fn look(aws: &Aws, what: What, ids: &[&str]) -> Result<Vec<Seen<()>>> {
    match what {
        What::Instance => look_if_terminated(aws, ids).await,
        What::NatGateway => look_if_gone::<types::NatGateway>(aws, ids).await,
        What::VpcEndpoint => look_if_gone::<types::VpcEndpoint>(aws, ids).await,
        What::Volume => look_if_gone::<types::Volume>(aws, ids).await,
        What::LoadBalancer => load_balancers(aws, ids).await,
        What::ClassicLoadBalancer => classic(aws, ids).await,
        // The deletion is complete when the call returns.
        What::TargetGroup
        | What::Snapshot
        | What::Image
        | What::NetworkInterface
        | What::ElasticIp
        | What::SecurityGroup
        | What::InternetGateway
        | What::RouteTable
        | What::Subnet
        | What::Record
        | What::HostedZone
        | What::Vpc
        | What::DhcpOptions
        | What::Bucket
        | What::User
        | What::InstanceProfile
        | What::Role
        | What::SharedTag => Ok(ids.iter().map(|_| Seen::Done(())).collect()),
    }
}

async fn look_if_gone<T: Described>(aws: &Aws, ids: &[&str]) -> Result<Vec<Seen<()>>> {
    ec2::look_if_gone::<T>(aws, ids, |_| "deleting").await
}

/// Polls load balancers. Their network interfaces outlive them for a while and block the deletion
/// of subnets and security groups.
async fn load_balancers(aws: &Aws, arns: &[&str]) -> Result<Vec<Seen<()>>> {
    let arns: Vec<String> = arns.iter().map(|&arn| arn.to_owned()).collect();
    let there = elb::load_balancers(aws, By::Arn, &arns).await?;
    let described: Vec<String> = arns.iter().map(|arn| interface_description(arn)).collect();
    let held = interfaces_described(aws, &described).await?;
    let look = |arn: &String| {
        let is_there = there.iter().any(|one| one.load_balancer_arn() == Some(arn));
        still(is_there, held.contains(&interface_description(arn)))
    };
    Ok(arns.iter().map(look).collect())
}

async fn classic(aws: &Aws, names: &[&str]) -> Result<Vec<Seen<()>>> {
    let there = classic_balancers(aws).await?;
    let described: Vec<String> = names.iter().map(|name| format!("ELB {name}")).collect();
    let held = interfaces_described(aws, &described).await?;
    let looks = names.iter().zip(&described).map(|(&name, described)| {
        still(there.iter().any(|one| one == name), held.contains(described))
    });
    Ok(looks.collect())
}

fn still(is_there: bool, has_interfaces: bool) -> Seen<()> {
    match (is_there, has_interfaces) {
        (true, _) => Seen::NotYet("deleting".to_owned()),
        (_, true) => Seen::NotYet("its network interfaces are still there".to_owned()),
        _ => Seen::Done(()),
    }
}
