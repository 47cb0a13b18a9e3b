//! A target group of a Network Load Balancer.

use groundplan_engine::graph::{DependentsStart, Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{TargetGroupArn, VpcId};
use crate::model::untracked::UntrackedKind;

/// Inputs of a target group with TCP as protocol and addresses as targets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Name, unique in account and region, at most 32 characters.
    pub name: String,
    /// VPC of the targets.
    pub vpc: Input<VpcId>,
    /// Port of the targets.
    pub port: i32,
    /// Health check.
    pub health_check: HealthCheck,
    /// Tags of the group.
    pub tags: Tags,
}

/// Health check of a target group, over HTTPS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// Path of the request.
    pub path: String,
    /// Port of the request.
    pub port: i32,
    /// Interval in seconds.
    pub interval_seconds: i32,
    /// Number of consecutive successes that make a target healthy.
    pub healthy_threshold: i32,
    /// Number of consecutive failures that make a target unhealthy.
    pub unhealthy_threshold: i32,
}

/// Outputs of a target group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroupOutputs {
    /// ARN of the group.
    pub arn: TargetGroupArn,
}

impl Resource for TargetGroup {
    const SCHEMA: Schema = Schema {
        force_new: &["name", "vpc", "port"],
        dependents_start: DependentsStart::Created,
        ..Schema::of("target_group", Self::REPEAT.identity())
    };
    type Outputs = TargetGroupOutputs;
}

impl Kind for TargetGroup {
    const ACTIONS: Actions = Actions {
        create: &["elasticloadbalancing:CreateTargetGroup"],
        configure: &["elasticloadbalancing:AddTags"],
        refresh: &[
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTags",
        ],
        update: &[
            "elasticloadbalancing:ModifyTargetGroup",
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags",
        ],
        delete: &["elasticloadbalancing:DeleteTargetGroup"],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::TargetGroup);
    const SUBJECT: PlanSubject = PlanSubject::LoadBalancing;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let HealthCheck { path, port, .. } = &self.health_check;
        Summary::of([
            format!("tcp {}", self.port),
            format!("health check https port {port} {path}"),
        ])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_target_group;

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_elasticloadbalancingv2::types::{
        ProtocolEnum, TargetGroup as LiveGroup, TargetTypeEnum,
    };
    use groundplan_engine::graph::Input;

    use super::{HealthCheck, TargetGroup, TargetGroupOutputs};
    use crate::Tags;
    use crate::client::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers};
    use crate::client::elb::{self, NO_TARGET_GROUP};
    use crate::client::outcomes::{
        ambiguous_on_failure, incomplete, none_if, resolve_conflict, retry_on,
    };
    use crate::client::ownership::{ensure_ours, is_ours, our_tags};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::ids::VpcId;

    const SERVICE: &str = "elasticloadbalancing";

    impl KindOperations for TargetGroup {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<TargetGroupOutputs> {
            let all_tags = Aws::tags_with_token(&self.tags, &creation.token);
            let check = &self.health_check;
            let call = aws
                .elb
                .create_target_group()
                .name(&self.name)
                .protocol(ProtocolEnum::Tcp)
                .port(self.port)
                .vpc_id(self.vpc.get().as_str())
                .target_type(TargetTypeEnum::Ip)
                .health_check_enabled(true)
                .health_check_protocol(ProtocolEnum::Https)
                .health_check_path(&check.path)
                .health_check_port(check.port.to_string())
                .health_check_interval_seconds(check.interval_seconds)
                .healthy_threshold_count(check.healthy_threshold)
                .unhealthy_threshold_count(check.unhealthy_threshold)
                .set_tags(Some(elb::tags(&all_tags)));
            match aws.call(SERVICE, "CreateTargetGroup", call.send()).await {
                Ok(made) => {
                    let made = made.target_groups().first().and_then(outputs);
                    let outputs = made.ok_or_else(|| incomplete("CreateTargetGroup"))?;
                    self.check_new(aws, creation, &outputs).await?;
                    Ok(outputs)
                }
                Err(error) if error.is(&["DuplicateTargetGroupName"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) => Err(error),
            }
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<TargetGroupOutputs>> {
            let names = [self.name.clone()];
            let group = elb::target_groups(aws, &names).await?.pop();
            let Some(outputs) = group.as_ref().and_then(outputs) else { return Ok(None) };
            let live = live_tags(aws, &outputs).await?;
            ensure_ours(aws, &creation.token, &live, "DescribeTags", &self.what())?;
            Ok(Some(outputs))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let names: Vec<_> = recorded.iter().map(|one| one.inputs.name.clone()).collect();
            let known = recorded.iter().filter_map(|one| Some(one.outputs.as_ref()?.arn.0.clone()));
            let (groups, mut tags) = tokio::try_join!(
                elb::target_groups(aws, &names),
                elb::recorded_tags(aws, known.collect()),
            )?;
            let chosen: Vec<_> = recorded
                .iter()
                .map(|one| groups.iter().find(|live| is_recorded(one, live)))
                .collect();
            let arns = chosen.iter().flatten().filter_map(|live| live.target_group_arn());
            let in_doubt: Vec<_> =
                arns.filter(|arn| !tags.contains_key(*arn)).map(str::to_owned).collect();
            tags.extend(elb::live_tags(aws, &in_doubt).await?);
            let see = |(one, group): (Recorded<Self>, Option<&LiveGroup>)| {
                let (group, outputs) = group.and_then(|group| Some((group, outputs(group)?)))?;
                let live_tags = tags.get(outputs.arn.as_str()).cloned().unwrap_or_default();
                if live_tags.contains_key(&aws.settings.cluster_tag) {
                    aws.watch.note_owned(outputs.arn.as_str());
                }
                is_ours(aws, one.outputs.is_some(), &one.token, &live_tags)
                    .then(|| live(one.inputs, group, outputs, &live_tags))
            };
            Ok(recorded.into_iter().zip(chosen).map(see).collect())
        }

        async fn update(
            &self,
            aws: &Aws,
            creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<TargetGroupOutputs> {
            let outputs = match before.outputs {
                Some(outputs) => outputs,
                None => self
                    .find(aws, creation)
                    .await?
                    .ok_or_else(|| incomplete("DescribeTargetGroups"))?,
            };
            let check = &self.health_check;
            if *check != before.inputs.health_check {
                let call = aws
                    .elb
                    .modify_target_group()
                    .target_group_arn(outputs.arn.as_str())
                    .health_check_protocol(ProtocolEnum::Https)
                    .health_check_path(&check.path)
                    .health_check_port(check.port.to_string())
                    .health_check_interval_seconds(check.interval_seconds)
                    .healthy_threshold_count(check.healthy_threshold)
                    .unhealthy_threshold_count(check.unhealthy_threshold);
                aws.call(SERVICE, "ModifyTargetGroup", call.send()).await?;
            }
            elb::change_tags(aws, outputs.arn.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: TargetGroupOutputs) -> Result<()> {
            delete_target_group(aws, outputs.arn.as_str()).await
        }
    }

    /// Deletes a target group. For some seconds after the deletion of a listener, AWS may reject
    /// the deletion of its target group.
    pub(crate) async fn delete_target_group(aws: &Aws, arn: &str) -> Result<()> {
        let call = aws.elb.delete_target_group().target_group_arn(arn);
        let deleted = aws.call(SERVICE, "DeleteTargetGroup", call.send()).await;
        let deleted = name_blockers(aws, Doomed::TargetGroup(arn), deleted).await;
        none_if(retry_on(deleted, &["ResourceInUse"]), NO_TARGET_GROUP).map(drop)
    }

    impl TargetGroup {
        fn what(&self) -> String {
            format!("the target group {}", self.name)
        }

        /// Verifies that a created group is not an older one of another creator.
        /// `CreateTargetGroup` returns an existing group if all parameters are equal.
        async fn check_new(
            &self,
            aws: &Aws,
            creation: &Creation,
            outputs: &TargetGroupOutputs,
        ) -> Result<()> {
            let live = ambiguous_on_failure(live_tags(aws, outputs).await)?;
            // A group without tags is new: its tags are not visible to every server yet.
            if live.is_empty() {
                return Ok(());
            }
            ensure_ours(aws, &creation.token, &live, "CreateTargetGroup", &self.what())
        }
    }

    async fn live_tags(aws: &Aws, outputs: &TargetGroupOutputs) -> Result<Tags> {
        let arns = [outputs.arn.0.clone()];
        Ok(elb::live_tags(aws, &arns).await?.remove(&arns[0]).unwrap_or_default())
    }

    fn is_recorded(recorded: &Recorded<TargetGroup>, live: &LiveGroup) -> bool {
        match &recorded.outputs {
            Some(known) => live.target_group_arn() == Some(known.arn.as_str()),
            None => live.target_group_name() == Some(&recorded.inputs.name),
        }
    }

    fn live(
        recorded: TargetGroup,
        group: &LiveGroup,
        outputs: TargetGroupOutputs,
        tags: &Tags,
    ) -> Live<TargetGroup> {
        let vpc = group.vpc_id().map(|id| Input::Known(VpcId::from(id)));
        let health_check = HealthCheck {
            path: group.health_check_path().unwrap_or_default().to_owned(),
            port: checked_port(group),
            interval_seconds: group.health_check_interval_seconds().unwrap_or_default(),
            healthy_threshold: group.healthy_threshold_count().unwrap_or_default(),
            unhealthy_threshold: group.unhealthy_threshold_count().unwrap_or_default(),
        };
        let inputs = TargetGroup {
            vpc: vpc.unwrap_or(recorded.vpc),
            port: group.port().unwrap_or(recorded.port),
            health_check,
            tags: our_tags(&recorded.tags, tags),
            name: recorded.name,
        };
        Live::new(inputs, outputs)
    }

    /// Returns the port of the health check: a number, or the group's own port for `traffic-port`.
    fn checked_port(group: &LiveGroup) -> i32 {
        let port = group.health_check_port().and_then(|port| port.parse().ok());
        port.or(group.port()).unwrap_or_default()
    }

    fn outputs(group: &LiveGroup) -> Option<TargetGroupOutputs> {
        Some(TargetGroupOutputs { arn: group.target_group_arn()?.into() })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn the_traffic_port_is_the_groups_own() {
            let asked_at = |port: &str| {
                checked_port(&LiveGroup::builder().port(6443).health_check_port(port).build())
            };
            assert_eq!((asked_at("traffic-port"), asked_at("22623")), (6443, 22623));
        }
    }
}
