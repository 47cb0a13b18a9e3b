//! A TCP listener of a load balancer.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PartOf, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{ListenerArn, LoadBalancerArn, TargetGroupArn};
use crate::summary::{labelled, name};

/// Inputs of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// Load balancer of the listener.
    pub load_balancer: Input<LoadBalancerArn>,
    /// Port on which the listener accepts connections.
    pub port: i32,
    /// Target group that receives the traffic.
    pub target_group: Input<TargetGroupArn>,
}

/// Outputs of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerOutputs {
    /// ARN of the listener.
    pub arn: ListenerArn,
}

impl Resource for Listener {
    const SCHEMA: Schema = Schema {
        proves: &["load_balancer", "target_group"],
        force_new: &["load_balancer", "port"],
        blocks_deletion_of: &["target_group"],
        ..Schema::of("listener", Self::REPEAT.identity())
    };
    type Outputs = ListenerOutputs;
}

impl Kind for Listener {
    const ACTIONS: Actions = Actions {
        create: &["elasticloadbalancing:CreateListener"],
        configure: &["elasticloadbalancing:AddTags"],
        refresh: &["elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeTags"],
        update: &[
            "elasticloadbalancing:ModifyListener",
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags",
        ],
        delete: &["elasticloadbalancing:DeleteListener"],
    };
    const PART_OF: Option<PartOf> = Some(PartOf {
        input: "load_balancer",
        kind: "load_balancer",
        arn_segments: Some((":loadbalancer/", ":listener/")),
    });
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
    const SUBJECT: PlanSubject = PlanSubject::LoadBalancing;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let target = format!("tcp {} -> {}", self.port, name(&self.target_group));
        Summary::of([labelled("on", &name(&self.load_balancer)), target])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::BTreeSet;

    use aws_sdk_elasticloadbalancingv2::types::{
        Action, ActionTypeEnum, Listener as LiveListener, ProtocolEnum,
    };

    use super::{Input, Listener, ListenerOutputs, TargetGroupArn};
    use crate::client::Aws;
    use crate::client::elb::{self, NO_LOAD_BALANCER, NO_TARGET_GROUP};
    use crate::client::outcomes::{incomplete, none_if, resolve_conflict, retry_on};
    use crate::client::ownership::taken;
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    const SERVICE: &str = "elasticloadbalancing";

    impl KindOperations for Listener {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<ListenerOutputs> {
            let call = aws
                .elb
                .create_listener()
                .load_balancer_arn(self.load_balancer.get().as_str())
                .protocol(ProtocolEnum::Tcp)
                .port(self.port)
                .default_actions(self.action());
            let made = aws.call(SERVICE, "CreateListener", call.send()).await;
            // Not every AWS server knows a new load balancer or target group immediately.
            match retry_on(made, &[NO_LOAD_BALANCER, NO_TARGET_GROUP].concat()) {
                Ok(made) => {
                    let made = made.listeners().first().and_then(outputs);
                    made.ok_or_else(|| incomplete("CreateListener"))
                }
                Err(error) if error.is(&["DuplicateListener"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) => Err(error),
            }
        }

        /// Returns the listener on the port of this load balancer. A listener has no creation
        /// token, so it counts as created by groundplan if it forwards to the configured target
        /// group. Another target group is an error.
        async fn find(&self, aws: &Aws, _creation: &Creation) -> Result<Option<ListenerOutputs>> {
            let all = elb::listeners(aws, self.load_balancer.get().as_str()).await?;
            let Some(live) = all.iter().find(|live| live.port() == Some(self.port)) else {
                return Ok(None);
            };
            match forwards_to(live) {
                Some(group) if group == *self.target_group.get() => Ok(outputs(live)),
                group => {
                    let what = format!("port {} of {}", self.port, self.load_balancer.get());
                    let group = group.map_or("elsewhere".to_owned(), |group| format!("to {group}"));
                    Err(taken(
                        "DescribeListeners",
                        &what,
                        &format!("a listener that forwards {group}"),
                    ))
                }
            }
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let there = match together(aws, &recorded).await? {
                Some(there) => there,
                None => by_balancer(aws, &recorded).await?,
            };
            let see = |one: Recorded<Self>| {
                let live = there.iter().find(|live| is_recorded(&one, live))?;
                let outputs = outputs(live)?;
                let target_group = Input::live(forwards_to(live));
                let port = live.port().unwrap_or(one.inputs.port);
                Some(Live::new(Self { target_group, port, ..one.inputs }, outputs))
            };
            Ok(recorded.into_iter().map(see).collect())
        }

        async fn update(
            &self,
            aws: &Aws,
            creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<ListenerOutputs> {
            let outputs = match before.outputs {
                Some(outputs) => outputs,
                None => self
                    .find(aws, creation)
                    .await?
                    .ok_or_else(|| incomplete("DescribeListeners"))?,
            };
            let call = aws
                .elb
                .modify_listener()
                .listener_arn(outputs.arn.as_str())
                .default_actions(self.action());
            let modified = aws.call(SERVICE, "ModifyListener", call.send()).await;
            retry_on(modified, NO_TARGET_GROUP)?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: ListenerOutputs) -> Result<()> {
            let call = aws.elb.delete_listener().listener_arn(outputs.arn.as_str());
            let deleted = aws.call(SERVICE, "DeleteListener", call.send()).await;
            none_if(deleted, &["ListenerNotFound", "LoadBalancerNotFound"]).map(drop)
        }
    }

    impl Listener {
        fn action(&self) -> Action {
            Action::builder()
                .r#type(ActionTypeEnum::Forward)
                .target_group_arn(self.target_group.get().as_str())
                .build()
        }
    }

    /// Reads all listeners by ARN in one request. Returns `None` if a record lacks its ARN or a
    /// listener does not exist; AWS rejects the whole request in that case.
    async fn together(
        aws: &Aws,
        recorded: &[Recorded<Listener>],
    ) -> Result<Option<Vec<LiveListener>>> {
        let arns = recorded.iter().map(|one| Some(one.outputs.as_ref()?.arn.0.clone()));
        match arns.collect::<Option<Vec<_>>>() {
            Some(arns) => elb::listeners_by_arn(aws, &arns).await,
            None => Ok(None),
        }
    }

    async fn by_balancer(aws: &Aws, recorded: &[Recorded<Listener>]) -> Result<Vec<LiveListener>> {
        let balancers: BTreeSet<_> =
            recorded.iter().map(|one| one.inputs.load_balancer.get().as_str()).collect();
        let mut all = Vec::with_capacity(recorded.len());
        for balancer in balancers {
            all.extend(elb::listeners(aws, balancer).await?);
        }
        Ok(all)
    }

    fn is_recorded(recorded: &Recorded<Listener>, live: &LiveListener) -> bool {
        let inputs = &recorded.inputs;
        match &recorded.outputs {
            Some(known) => live.listener_arn() == Some(known.arn.as_str()),
            None => {
                live.load_balancer_arn() == Some(inputs.load_balancer.get().as_str())
                    && live.port() == Some(inputs.port)
            }
        }
    }

    /// Returns the target group of the listener, from either of the two fields in which AWS reports
    /// it.
    fn forwards_to(live: &LiveListener) -> Option<TargetGroupArn> {
        let action = live.default_actions().first()?;
        let listed = || action.forward_config()?.target_groups().first()?.target_group_arn();
        action.target_group_arn().or_else(listed).map(TargetGroupArn::from)
    }

    fn outputs(live: &LiveListener) -> Option<ListenerOutputs> {
        Some(ListenerOutputs { arn: live.listener_arn()?.into() })
    }
}
