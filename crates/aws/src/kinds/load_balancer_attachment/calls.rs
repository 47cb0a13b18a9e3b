//! Load balancer calls for the kind `load_balancer_attachment`.

use aws_sdk_ec2::types::Instance;
use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
use groundplan_engine::provider::{ErrorClass, ProviderError};

use super::members::{AttachedTargetGroup, Members};
use super::{
    LoadBalancerAttachment, LoadBalancerAttachmentOutputs, LoadBalancerKind, classic, members,
};
use crate::client::Aws;
use crate::client::ec2::{self, Ec2Object};
use crate::client::elb::NO_TARGET_GROUP;
use crate::client::outcomes::{none_if, retry_on};
use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

const SERVICE: &str = "elasticloadbalancing";

impl KindOperations for LoadBalancerAttachment {
    /// Registers the machine where it is not registered yet. The call names no port, because each
    /// target group has a default port.
    async fn create(
        &self,
        aws: &Aws,
        _creation: &Creation,
    ) -> Result<LoadBalancerAttachmentOutputs> {
        self.register(aws).await?;
        Ok(self.outputs())
    }

    async fn find(
        &self,
        aws: &Aws,
        _creation: &Creation,
    ) -> Result<Option<LoadBalancerAttachmentOutputs>> {
        Ok(self.is_registered(aws).await?.then(|| self.outputs()))
    }

    async fn find_any_part(
        &self,
        aws: &Aws,
        _creation: &Creation,
    ) -> Result<Option<LoadBalancerAttachmentOutputs>> {
        let members = Members::read(aws, [self]).await?;
        let somewhere = members.places(self).is_some_and(|places| places.contains(&true));
        Ok(somewhere.then(|| self.outputs()))
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let members = Members::read(aws, recorded.iter().map(|one| &one.inputs)).await?;
        let see = |Recorded { inputs, .. }: Recorded<Self>| {
            let places = members.places(&inputs)?;
            let outputs = inputs.outputs();
            places.iter().all(|in_it| *in_it).then_some(Live::new(inputs, outputs))
        };
        Ok(recorded.into_iter().map(see).collect())
    }

    async fn delete(aws: &Aws, inputs: Self, outputs: LoadBalancerAttachmentOutputs) -> Result<()> {
        deregister(aws, inputs.kind, &outputs).await
    }
}

impl LoadBalancerAttachment {
    /// Registers the machine where it is not registered yet.
    pub(crate) async fn register(&self, aws: &Aws) -> Result<()> {
        match self.kind {
            LoadBalancerKind::Network => self.register_with_groups(aws).await,
            LoadBalancerKind::Classic => {
                classic::register(aws, &self.load_balancer, self.instance.get()).await
            }
        }
    }

    /// Returns true if the machine is registered with every target group of the load balancer.
    pub(crate) async fn is_registered(&self, aws: &Aws) -> Result<bool> {
        let members = Members::read(aws, [self]).await?;
        Ok(members.places(self).is_some_and(|places| places.iter().all(|in_it| *in_it)))
    }

    async fn register_with_groups(&self, aws: &Aws) -> Result<()> {
        let groups = members::groups(aws, &self.load_balancer).await?;
        for group in groups.ok_or_else(|| absent(&self.load_balancer))? {
            let us = self.member_of(&group);
            if group.members(aws).await?.contains(us) {
                continue;
            }
            let call = aws.elb.register_targets().target_group_arn(&group.arn).targets(target(us));
            let made = aws.call(SERVICE, "RegisterTargets", call.send()).await;
            retry_on(made, NO_TARGET_GROUP)?;
        }
        Ok(())
    }

    /// Returns the target ID of the machine in this group: address or instance ID.
    pub(super) fn member_of(&self, group: &AttachedTargetGroup) -> &str {
        match group.by_address {
            true => self.ip.get().as_str(),
            false => self.instance.get().as_str(),
        }
    }

    pub(crate) fn outputs(&self) -> LoadBalancerAttachmentOutputs {
        LoadBalancerAttachmentOutputs {
            load_balancer: self.load_balancer.clone(),
            instance: self.instance.get().clone(),
            ip: self.ip.get().clone(),
        }
    }
}

/// Deregisters the address of the machine. AWS deregisters an instance from target groups and
/// Classic Load Balancers when it is terminated. If another machine has the address by now, the
/// registration belongs to that machine and stays.
pub(crate) async fn deregister(
    aws: &Aws,
    kind: LoadBalancerKind,
    outputs: &LoadBalancerAttachmentOutputs,
) -> Result<()> {
    if kind == LoadBalancerKind::Classic {
        return Ok(());
    }
    let mut groups = members::groups(aws, &outputs.load_balancer).await?.unwrap_or_default();
    groups.retain(|group| group.by_address);
    let Some(network) = groups.first().map(|group| group.network.clone()) else {
        return Ok(());
    };
    if is_anothers(aws, &network, outputs).await? {
        return Ok(());
    }
    for group in groups {
        let call = aws
            .elb
            .deregister_targets()
            .target_group_arn(&group.arn)
            .targets(target(outputs.ip.as_str()));
        let deleted = aws.call(SERVICE, "DeregisterTargets", call.send()).await;
        none_if(deleted, &["TargetGroupNotFound", "InvalidTarget"])?;
    }
    Ok(())
}

/// Returns true if another machine has the address by now. All target groups of a load balancer are
/// in one VPC (ELBv2 API reference, CreateListener), so the VPC of one group is sufficient.
async fn is_anothers(
    aws: &Aws,
    network: &str,
    outputs: &LoadBalancerAttachmentOutputs,
) -> Result<bool> {
    let by_address = ec2::filter("private-ip-address", &[outputs.ip.as_str()]);
    let filters = vec![by_address, ec2::filter("vpc-id", &[network])];
    let holders = Instance::describe(aws, filters).await?;
    let another = |one: &Instance| one.instance_id() != Some(outputs.instance.as_str());
    Ok(holders.iter().filter(|one| one.exists()).any(another))
}

fn target(id: &str) -> TargetDescription {
    TargetDescription::builder().id(id).build()
}

fn absent(name: &str) -> ProviderError {
    let message = format!("network load balancer `{name}` not found");
    ProviderError::new(ErrorClass::Permanent, "DescribeLoadBalancers", message)
        .with_code("LoadBalancerNotFound")
        .with_hint(
            "use a load balancer of this region and account in the machine's `loadBalancers`, or \
             set `type: classic` for a classic one",
        )
}
