//! Who is behind which load balancer, asked once for any number of machines. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, TargetGroup, TargetTypeEnum};

use super::{LoadBalancerAttachment, LoadBalancerKind, classic};
use crate::aws::client::Aws;
use crate::aws::elb::{self, By};
use crate::aws::kind::Result;

/// A target group of a load balancer that takes machines.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub(super) arn: String,
    /// Whether it knows machines by their addresses, or else by their ids.
    pub(super) by_address: bool,
    /// The VPC that its targets are in.
    pub(super) network: String,
}

impl Group {
    /// `None` for groups of functions and of other balancers.
    fn of(group: &TargetGroup) -> Option<Self> {
        let by_address = match group.target_type()? {
            TargetTypeEnum::Instance => false,
            TargetTypeEnum::Ip => true,
            _ => return None,
        };
        let network = group.vpc_id()?.to_owned();
        Some(Self { arn: group.target_group_arn()?.to_owned(), by_address, network })
    }

    /// The ids or addresses that are in it to stay.
    pub(super) async fn members(&self, aws: &Aws) -> Result<BTreeSet<String>> {
        Ok(elb::registered(aws, &self.arn).await?.into_iter().map(|(id, _)| id).collect())
    }
}

/// The groups of the network load balancer of this name; `None` where there is none.
pub(super) async fn groups(aws: &Aws, name: &str) -> Result<Option<Vec<Group>>> {
    let balancers = elb::load_balancers(aws, By::Name, &[name.to_owned()]).await?;
    match balancers.first().and_then(LoadBalancer::load_balancer_arn) {
        Some(arn) => Ok(Some(groups_of(aws, arn).await?)),
        None => Ok(None),
    }
}

async fn groups_of(aws: &Aws, arn: &str) -> Result<Vec<Group>> {
    Ok(elb::target_groups_of(aws, arn).await?.iter().filter_map(Group::of).collect())
}

/// Who is behind the balancers of some attachments.
#[derive(Debug, Default)]
pub(super) struct Members {
    network: BTreeMap<String, Vec<(Group, BTreeSet<String>)>>,
    classic: BTreeMap<String, BTreeSet<String>>,
}

impl Members {
    /// One look at each balancer and each of its groups, however many machines are behind them.
    pub(super) async fn look(
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

    /// For each place where a machine belongs, whether it is there; `None` without a balancer.
    pub(super) fn places(&self, attachment: &LoadBalancerAttachment) -> Option<Vec<bool>> {
        let name = &attachment.load_balancer;
        match attachment.kind {
            LoadBalancerKind::Network => {
                let is_in = |(group, members): &(Group, BTreeSet<String>)| {
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
) -> Result<BTreeMap<String, Vec<(Group, BTreeSet<String>)>>> {
    let asked: Vec<String> = names.iter().cloned().collect();
    let mut all = BTreeMap::new();
    for balancer in elb::load_balancers(aws, By::Name, &asked).await? {
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
