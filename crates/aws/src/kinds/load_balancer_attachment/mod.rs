//! Registration of a machine with a load balancer that groundplan does not manage. The machine is
//! registered with every target group of a Network Load Balancer, or with a Classic Load Balancer.
//! Each target group determines the target type: instance ID or address.
//!
//! Deletion deregisters addresses only. AWS deregisters an instance when it is terminated.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{InstanceId, PrivateIp};
use crate::summary::name;

/// Inputs of an attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerAttachment {
    /// Name of the load balancer.
    pub load_balancer: String,
    /// Type of the load balancer.
    pub kind: LoadBalancerKind,
    /// Instance of the machine.
    pub instance: Input<InstanceId>,
    /// Private address of the machine.
    pub ip: Input<PrivateIp>,
}

/// Type of a load balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerKind {
    /// Network Load Balancer, which has target groups.
    Network,
    /// Classic Load Balancer, which has instances.
    Classic,
}

/// Outputs of an attachment: a part of its inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerAttachmentOutputs {
    /// Name of the load balancer.
    pub load_balancer: String,
    /// Instance of the machine.
    pub instance: InstanceId,
    /// Private address of the machine.
    pub ip: PrivateIp,
}

impl Resource for LoadBalancerAttachment {
    const SCHEMA: Schema = Schema {
        force_new: &["load_balancer", "kind", "instance", "ip"],
        // The old machine receives traffic until the new one is registered.
        create_before_destroy: true,
        ..Schema::of("load_balancer_attachment", Self::REPEAT.identity())
    };
    type Outputs = LoadBalancerAttachmentOutputs;
}

impl Kind for LoadBalancerAttachment {
    const ACTIONS: Actions = Actions {
        create: &[
            "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
        ],
        configure: &[],
        refresh: &[
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
        ],
        update: &[],
        delete: &[
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups",
            "ec2:DescribeInstances",
        ],
    };
    const REPEAT: Repeat = Repeat::Idempotent;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
    const SUBJECT: PlanSubject = PlanSubject::LoadBalancing;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let kind = match self.kind {
            LoadBalancerKind::Network => "network load balancer",
            LoadBalancerKind::Classic => "classic load balancer",
        };
        Summary::of([format!("{} in {kind} {}", name(&self.instance), self.load_balancer)])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod classic;
#[cfg(feature = "sdk")]
mod members;
#[cfg(feature = "sdk")]
pub(crate) use calls::deregister;
