//! Registered machines of load balancers, read once for any number of attachments. Read-only.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, TargetGroup, TargetTypeEnum};

use super::{LoadBalancerAttachment, LoadBalancerKind, classic};
use crate::client::Aws;
use crate::client::elb::{self, BalancerKey};
use crate::client::resource_type::Result;

/// Target group of a Network Load Balancer, with a target type that fits machines.
#[derive(Clone, Debug)]
pub(super) struct AttachedTargetGroup {
    pub(super) arn: String,
    /// True if targets are addresses; false if they are instance IDs.
    pub(super) by_address: bool,
    /// VPC of the targets.
    pub(super) network: String,
}

impl AttachedTargetGroup {
    /// Converts a target group. `None` for groups of Lambda functions or Application Load
    /// Balancers.
    fn of(group: &TargetGroup) -> Option<Self> {
        let by_address = match group.target_type()? {
            TargetTypeEnum::Instance => false,
            TargetTypeEnum::Ip => true,
            _ => return None,
        };
        let network = group.vpc_id()?.to_owned();
        Some(Self { arn: group.target_group_arn()?.to_owned(), by_address, network })
    }

    /// Returns the IDs or addresses of the registered targets, without those that are draining.
    pub(super) async fn members(&self, aws: &Aws) -> Result<BTreeSet<String>> {
        Ok(elb::registered(aws, &self.arn).await?.into_iter().map(|(id, _)| id).collect())
    }
}

/// Returns the groups of the Network Load Balancer with this name. `None` if no load balancer has
/// this name.
pub(super) async fn groups(aws: &Aws, name: &str) -> Result<Option<Vec<AttachedTargetGroup>>> {
    let balancers = elb::load_balancers(aws, BalancerKey::Name, &[name.to_owned()]).await?;
    match balancers.first().and_then(LoadBalancer::load_balancer_arn) {
        Some(arn) => Ok(Some(groups_of(aws, arn).await?)),
        None => Ok(None),
    }
}

async fn groups_of(aws: &Aws, arn: &str) -> Result<Vec<AttachedTargetGroup>> {
    Ok(elb::target_groups_of(aws, arn).await?.iter().filter_map(AttachedTargetGroup::of).collect())
}

/// Registered machines of the load balancers of some attachments.
#[derive(Debug, Default)]
pub(super) struct Members {
    network: BTreeMap<String, Vec<(AttachedTargetGroup, BTreeSet<String>)>>,
    classic: BTreeMap<String, BTreeSet<String>>,
}

impl Members {
    /// Reads each load balancer and each of its groups once, for any number of machines.
    pub(super) async fn read(
        aws: &Aws,
        attachments: impl IntoIterator<Item = &LoadBalancerAttachment>,
    ) -> Result<Self> {
        let (mut network, mut classic) = (BTreeSet::new(), BTreeSet::new());
        for one in attachments {
            let names = match one.kind {
                LoadBalancerKind::Network => &mut network,
                LoadBalancerKind::Classic => &mut classic,
            };
            names.insert(one.load_balancer.clone());
        }
        Ok(Self {
            network: self::network(aws, &network).await?,
            classic: classic::members(aws, &classic).await?,
        })
    }

    /// Returns one entry for each group, or for the Classic Load Balancer: true if the machine is
    /// registered there. `None` if the load balancer does not exist.
    pub(super) fn places(&self, attachment: &LoadBalancerAttachment) -> Option<Vec<bool>> {
        let name = &attachment.load_balancer;
        match attachment.kind {
            LoadBalancerKind::Network => {
                let is_in = |(group, members): &(AttachedTargetGroup, BTreeSet<String>)| {
                    members.contains(attachment.member_of(group))
                };
                Some(self.network.get(name)?.iter().map(is_in).collect())
            }
            LoadBalancerKind::Classic => {
                Some(vec![self.classic.get(name)?.contains(attachment.instance.get().as_str())])
            }
        }
    }
}

async fn network(
    aws: &Aws,
    names: &BTreeSet<String>,
) -> Result<BTreeMap<String, Vec<(AttachedTargetGroup, BTreeSet<String>)>>> {
    let asked: Vec<String> = names.iter().cloned().collect();
    let mut all = BTreeMap::new();
    for balancer in elb::load_balancers(aws, BalancerKey::Name, &asked).await? {
        let Some(name) = balancer.load_balancer_name().filter(|name| names.contains(*name)) else {
            continue;
        };
        let Some(arn) = balancer.load_balancer_arn() else { continue };
        let mut groups = Vec::new();
        for group in groups_of(aws, arn).await? {
            let members = group.members(aws).await?;
            groups.push((group, members));
        }
        all.insert(name.to_owned(), groups);
    }
    Ok(all)
}
