//! One machine registered with one load balancer that is not ours: with every target group of a
//! network load balancer, by instance or by address as each group has it, or with a classic one.
//!
//! Deleting takes addresses out again; what is registered as an instance leaves with the instance.

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, PrivateIp};
use crate::graph::{Identity, Input, Resource, Schema};

/// The inputs of an attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerAttachment {
    /// What the load balancer is called.
    pub load_balancer: String,
    /// What it is.
    pub kind: LoadBalancerKind,
    /// The machine.
    pub instance: Input<InstanceId>,
    /// The machine's address.
    pub ip: Input<PrivateIp>,
}

/// What a load balancer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerKind {
    /// A network load balancer, with target groups.
    Network,
    /// A classic one, with instances.
    Classic,
}

/// What is known of an attachment: what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerAttachmentOutputs {
    /// What the load balancer is called.
    pub load_balancer: String,
    /// The machine.
    pub instance: InstanceId,
    /// The machine's address.
    pub ip: PrivateIp,
}

impl Resource for LoadBalancerAttachment {
    const SCHEMA: Schema = Schema {
        replaced_by: &["load_balancer", "kind", "instance", "ip"],
        identity: Identity::Parent,
        ..Schema::of("load_balancer_attachment")
    };
    type Outputs = LoadBalancerAttachmentOutputs;
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::{BTreeMap, BTreeSet};

    use aws_sdk_elasticloadbalancingv2::types::{TargetDescription, TargetTypeEnum};

    use super::{LoadBalancerAttachment, LoadBalancerAttachmentOutputs, LoadBalancerKind};
    use crate::aws::client::Aws;
    use crate::aws::elb::{self, By, NO_TARGET_GROUP};
    use crate::aws::kind::{Creation, Live, Manage, Recorded, Result};
    use crate::aws::replies::{found, settling};
    use crate::provider::{Class, ProviderError};

    const SERVICE: &str = "elasticloadbalancing";

    impl Manage for LoadBalancerAttachment {
        /// Into every group that does not have it yet.
        async fn create(
            &self,
            aws: &Aws,
            _creation: &Creation,
        ) -> Result<LoadBalancerAttachmentOutputs> {
            self.must_be_network()?;
            let groups = groups_of(aws, std::slice::from_ref(&self.load_balancer)).await?;
            let groups = groups.get(&self.load_balancer).ok_or_else(|| self.no_balancer())?;
            for group in groups.iter().filter(|group| !group.has(self)) {
                let call = aws
                    .elb
                    .register_targets()
                    .target_group_arn(&group.arn)
                    .targets(TargetDescription::builder().id(group.target(self)).build());
                let made = aws.call(SERVICE, "RegisterTargets", call.send()).await;
                settling(made, NO_TARGET_GROUP)?;
            }
            Ok(self.outputs())
        }

        async fn find(
            &self,
            aws: &Aws,
            _creation: &Creation,
        ) -> Result<Option<LoadBalancerAttachmentOutputs>> {
            let groups = groups_of(aws, std::slice::from_ref(&self.load_balancer)).await?;
            Ok(self.is_in(&groups).then(|| self.outputs()))
        }

        /// One look at each balancer and each of its groups, however many machines there are.
        async fn observe(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let names: BTreeSet<_> =
                recorded.iter().map(|one| one.inputs.load_balancer.clone()).collect();
            let groups = groups_of(aws, &names.into_iter().collect::<Vec<_>>()).await?;
            let see = |Recorded { inputs, .. }: Recorded<Self>| {
                let outputs = inputs.outputs();
                inputs.is_in(&groups).then_some(Live { inputs, outputs })
            };
            Ok(recorded.into_iter().map(see).collect())
        }

        /// An instance leaves its groups by itself; an address does not.
        async fn delete(
            aws: &Aws,
            inputs: Self,
            _outputs: LoadBalancerAttachmentOutputs,
        ) -> Result<()> {
            let groups = groups_of(aws, std::slice::from_ref(&inputs.load_balancer)).await?;
            let groups = groups.into_values().flatten();
            for group in groups.filter(|group| group.by_address && group.has(&inputs)) {
                let call = aws
                    .elb
                    .deregister_targets()
                    .target_group_arn(&group.arn)
                    .targets(TargetDescription::builder().id(group.target(&inputs)).build());
                let deleted = aws.call(SERVICE, "DeregisterTargets", call.send()).await;
                found(deleted, &["TargetGroupNotFound", "InvalidTarget"])?;
            }
            Ok(())
        }
    }

    /// A target group, and who is in it.
    struct Group {
        arn: String,
        /// Whether it knows its targets by their addresses.
        by_address: bool,
        registered: BTreeSet<String>,
    }

    impl Group {
        fn target<'a>(&self, machine: &'a LoadBalancerAttachment) -> &'a str {
            if self.by_address {
                machine.ip.get().as_str()
            } else {
                machine.instance.get().as_str()
            }
        }

        fn has(&self, machine: &LoadBalancerAttachment) -> bool {
            self.registered.contains(self.target(machine))
        }
    }

    /// The groups of these balancers, by the balancers' names; one that does not exist is not there.
    async fn groups_of(aws: &Aws, names: &[String]) -> Result<BTreeMap<String, Vec<Group>>> {
        let mut all = BTreeMap::new();
        for balancer in elb::load_balancers(aws, By::Name, names).await? {
            let (Some(name), Some(arn)) =
                (balancer.load_balancer_name(), balancer.load_balancer_arn())
            else {
                continue;
            };
            if !names.iter().any(|wanted| wanted == name) {
                continue;
            }
            let mut groups = Vec::new();
            for group in elb::target_groups_of(aws, arn).await? {
                let Some(arn) = group.target_group_arn else { continue };
                let by_address = group.target_type == Some(TargetTypeEnum::Ip);
                let registered = elb::registered(aws, &arn).await?.into_iter();
                let registered = registered.map(|(target, _)| target).collect();
                groups.push(Group { arn, by_address, registered });
            }
            all.insert(name.to_owned(), groups);
        }
        Ok(all)
    }

    impl LoadBalancerAttachment {
        fn is_in(&self, groups: &BTreeMap<String, Vec<Group>>) -> bool {
            let groups = groups.get(&self.load_balancer);
            groups.is_some_and(|groups| groups.iter().all(|group| group.has(self)))
        }

        fn outputs(&self) -> LoadBalancerAttachmentOutputs {
            LoadBalancerAttachmentOutputs {
                load_balancer: self.load_balancer.clone(),
                instance: self.instance.get().clone(),
                ip: self.ip.get().clone(),
            }
        }

        fn must_be_network(&self) -> Result<()> {
            match self.kind {
                LoadBalancerKind::Network => Ok(()),
                LoadBalancerKind::Classic => {
                    let message = format!(
                        "{} is a classic load balancer, which is not supported",
                        self.load_balancer
                    );
                    Err(ProviderError::new(Class::Refused, "RegisterTargets", message).with_hint(
                        "use a network load balancer: AWS has replaced classic ones by them",
                    ))
                }
            }
        }

        fn no_balancer(&self) -> ProviderError {
            let message = format!("there is no load balancer called {}", self.load_balancer);
            ProviderError::new(Class::Refused, "DescribeLoadBalancers", message)
                .with_code("LoadBalancerNotFound")
                .with_hint("take it out of the machine's loadBalancers, or make it first")
        }
    }
}
