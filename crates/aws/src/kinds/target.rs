//! Registration of one machine in one target group, by address.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, DriftFields, Kind, QuotaCount, Repeat, SecurityFields, SweepMethod,
};
use crate::model::ids::{PrivateIp, TargetGroupArn};

/// Inputs of a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Target group.
    pub target_group: Input<TargetGroupArn>,
    /// Private address of the machine.
    pub ip: Input<PrivateIp>,
    /// Port of the machine that receives the traffic.
    pub port: i32,
}

/// Outputs of a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetOutputs {
    /// Target group.
    pub target_group: TargetGroupArn,
    /// Private address of the machine.
    pub ip: PrivateIp,
    /// Port of the machine that receives the traffic.
    pub port: i32,
}

impl Resource for Target {
    const SCHEMA: Schema = Schema {
        force_new: &["target_group", "ip", "port"],
        ..Schema::of("target", Self::REPEAT.identity())
    };
    type Outputs = TargetOutputs;
}

impl Kind for Target {
    const ACTIONS: Actions = Actions {
        create: &["elasticloadbalancing:RegisterTargets"],
        configure: &[],
        refresh: &["elasticloadbalancing:DescribeTargetHealth"],
        update: &[],
        delete: &["elasticloadbalancing:DeregisterTargets"],
    };
    const REPEAT: Repeat = Repeat::Idempotent;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[], always_shown: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::BTreeMap;

    use aws_sdk_elasticloadbalancingv2::types::TargetDescription;

    use super::{Target, TargetOutputs};
    use crate::client::Aws;
    use crate::client::elb::{self, NO_TARGET_GROUP};
    use crate::client::outcomes::{none_if, retry_on};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    const SERVICE: &str = "elasticloadbalancing";

    impl KindOperations for Target {
        /// Registers the target. The call is idempotent.
        async fn create(&self, aws: &Aws, _creation: &Creation) -> Result<TargetOutputs> {
            let call = aws
                .elb
                .register_targets()
                .target_group_arn(self.target_group.get().as_str())
                .targets(description(self.ip.get().as_str(), self.port));
            let made = aws.call(SERVICE, "RegisterTargets", call.send()).await;
            retry_on(made, NO_TARGET_GROUP)?;
            Ok(self.outputs())
        }

        async fn find(&self, aws: &Aws, _creation: &Creation) -> Result<Option<TargetOutputs>> {
            let there = elb::registered(aws, self.target_group.get().as_str()).await?;
            Ok(self.is_in(&there).then(|| self.outputs()))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut by_group: BTreeMap<String, Vec<(String, i32)>> = BTreeMap::new();
            for one in &recorded {
                let group = one.inputs.target_group.get().as_str();
                if !by_group.contains_key(group) {
                    by_group.insert(group.to_owned(), elb::registered(aws, group).await?);
                }
            }
            let see = |Recorded { inputs, .. }: Recorded<Self>| {
                let there = &by_group[inputs.target_group.get().as_str()];
                let outputs = inputs.outputs();
                inputs.is_in(there).then_some(Live { inputs, outputs })
            };
            Ok(recorded.into_iter().map(see).collect())
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: TargetOutputs) -> Result<()> {
            let call = aws
                .elb
                .deregister_targets()
                .target_group_arn(outputs.target_group.as_str())
                .targets(description(outputs.ip.as_str(), outputs.port));
            let deleted = aws.call(SERVICE, "DeregisterTargets", call.send()).await;
            none_if(deleted, &["TargetGroupNotFound", "InvalidTarget"]).map(drop)
        }
    }

    impl Target {
        fn is_in(&self, registered: &[(String, i32)]) -> bool {
            let is_us =
                |(ip, port): &(String, i32)| *ip == self.ip.get().as_str() && *port == self.port;
            registered.iter().any(is_us)
        }

        fn outputs(&self) -> TargetOutputs {
            TargetOutputs {
                target_group: self.target_group.get().clone(),
                ip: self.ip.get().clone(),
                port: self.port,
            }
        }
    }

    fn description(ip: &str, port: i32) -> TargetDescription {
        TargetDescription::builder().id(ip).port(port).build()
    }
}
