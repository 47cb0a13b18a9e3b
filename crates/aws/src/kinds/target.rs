//! Registration of one machine in one target group, by address.
//!
//! Targets that others registered are reported as unmanaged drift of the class security, because
//! they receive the traffic of the API. Machines of the cluster are no drift: the control plane
//! machine set registers the masters that it creates. The first recorded target of a group reports
//! the group's additions.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PartOf, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{PrivateIp, TargetGroupArn};
use crate::summary::name;

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
        refresh: &["elasticloadbalancing:DescribeTargetHealth", "ec2:DescribeInstances"],
        update: &["elasticloadbalancing:DeregisterTargets"],
        delete: &["elasticloadbalancing:DeregisterTargets"],
    };
    const PART_OF: Option<PartOf> =
        Some(PartOf { input: "target_group", kind: "target_group", arn_segments: None });
    const REPEAT: Repeat = Repeat::Idempotent;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] =
        &[(&["targets"], &["elasticloadbalancing:DeregisterTargets"])];
    const UNMANAGED: &'static [&'static str] = &["targets"];
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
    const SUBJECT: PlanSubject = PlanSubject::LoadBalancing;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let from = format!("{} port {}", name(&self.ip), self.port);
        Summary::of([format!("{from} in {}", name(&self.target_group))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::{BTreeMap, BTreeSet};

    use aws_sdk_ec2::types::Instance;
    use aws_sdk_elasticloadbalancingv2::types::TargetDescription;
    use groundplan_engine::plan::{DriftClass, UnmanagedDrift};
    use groundplan_engine::provider;
    use serde_json::json;

    use super::{Target, TargetOutputs};
    use crate::client::Aws;
    use crate::client::ec2::{self, Ec2Object, FILTER_VALUES};
    use crate::client::elb::{self, NO_TARGET_GROUP};
    use crate::client::interceptor::Registration;
    use crate::client::outcomes::{none_if, retry_on};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    const SERVICE: &str = "elasticloadbalancing";
    /// Error code for a target that is not registered.
    const NO_TARGET: &[&str] = &["InvalidTarget"];
    /// Maximum number of targets in one call.
    const MOST_TARGETS: usize = 100;
    /// Name of the set of targets in unmanaged drift.
    const TARGETS: &str = "targets";

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
            let mut added = added(&by_group, &recorded);
            drop_machines_of_cluster(aws, &mut added).await?;
            let see = |Recorded { inputs, .. }: Recorded<Self>| {
                let outputs = inputs.outputs();
                let group = outputs.target_group.as_str();
                if !inputs.is_in(&by_group[group]) {
                    return None;
                }
                let added = added.remove(group).unwrap_or_default();
                let unmanaged = added.iter().map(|(ip, port)| drift(ip, *port)).collect();
                Some(Live { unmanaged, ..Live::new(inputs, outputs) })
            };
            Ok(recorded.into_iter().map(see).collect())
        }

        /// Changes nothing: all inputs are force-new. Called before a revert.
        async fn update(
            &self,
            _aws: &Aws,
            _creation: &Creation,
            _before: Recorded<Self>,
        ) -> Result<TargetOutputs> {
            Ok(self.outputs())
        }

        async fn revert(
            &self,
            aws: &Aws,
            outputs: &TargetOutputs,
            drift: &[UnmanagedDrift],
        ) -> Result<()> {
            for name in drift.iter().filter_map(|one| one.added_to(TARGETS)) {
                let Some((ip, port)) = name.rsplit_once(':') else { continue };
                let Ok(port) = port.parse() else { continue };
                deregister(aws, outputs.target_group.as_str(), ip, port).await?;
            }
            Ok(())
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: TargetOutputs) -> Result<()> {
            let (group, ip) = (outputs.target_group.as_str(), outputs.ip.as_str());
            deregister(aws, group, ip, outputs.port).await
        }
    }

    /// Deregisters a target. Deregistrations of the same moment share one call for each group.
    async fn deregister(aws: &Aws, group: &str, ip: &str, port: i32) -> Result<()> {
        let target = (group.to_owned(), ip.to_owned(), port);
        let send = |targets: Vec<Registration>| async move { deregister_all(aws, &targets).await };
        aws.watch.batches.deregistrations.send(target, send).await
    }

    /// Returns the result of each of these deregistrations.
    async fn deregister_all(aws: &Aws, targets: &[Registration]) -> Vec<Result<()>> {
        let groups: BTreeSet<&str> = targets.iter().map(|(group, ..)| group.as_str()).collect();
        let sent = groups.iter().map(|group| {
            let of_group = targets.iter().filter(|(its, ..)| its == group);
            deregister_from(
                aws,
                group,
                of_group.map(|(_, ip, port)| (ip.as_str(), *port)).collect(),
            )
        });
        let results = provider::all(sent.collect()).await;
        let results: BTreeMap<&str, Result<()>> = groups.into_iter().zip(results).collect();
        targets.iter().map(|(group, ..)| results[group.as_str()].clone()).collect()
    }

    /// Deregisters targets of one group. AWS rejects the whole call for one target that is no longer
    /// registered; each is then deregistered by a call of its own.
    async fn deregister_from(aws: &Aws, group: &str, targets: Vec<(&str, i32)>) -> Result<()> {
        for some in targets.chunks(MOST_TARGETS) {
            match deregister_together(aws, group, some).await {
                Err(error) if error.is(NO_TARGET) && some.len() > 1 => {
                    for one in some {
                        let alone = deregister_together(aws, group, std::slice::from_ref(one));
                        none_if(alone.await, NO_TARGET)?;
                    }
                }
                sent => drop(none_if(sent, NO_TARGET)?),
            }
        }
        Ok(())
    }

    async fn deregister_together(aws: &Aws, group: &str, targets: &[(&str, i32)]) -> Result<()> {
        let targets = targets.iter().map(|(ip, port)| description(ip, *port)).collect();
        let call = aws.elb.deregister_targets().target_group_arn(group).set_targets(Some(targets));
        let deleted = aws.call(SERVICE, "DeregisterTargets", call.send()).await;
        none_if(deleted, NO_TARGET_GROUP).map(drop)
    }

    /// Returns the registrations that are not recorded, by target group.
    fn added(
        by_group: &BTreeMap<String, Vec<(String, i32)>>,
        recorded: &[Recorded<Target>],
    ) -> BTreeMap<String, Vec<(String, i32)>> {
        let is_ours = |group: &str, (ip, port): &(String, i32)| {
            recorded.iter().any(|Recorded { inputs, .. }| {
                inputs.target_group.get().as_str() == group
                    && inputs.ip.get().as_str() == ip
                    && inputs.port == *port
            })
        };
        let of_group = |(group, there): (&String, &Vec<(String, i32)>)| {
            let mut theirs = there.clone();
            theirs.retain(|one| !is_ours(group, one));
            theirs.sort();
            (group.clone(), theirs)
        };
        by_group.iter().map(of_group).collect()
    }

    /// Drops the registrations of machines that have the cluster tag. Makes a call only if there
    /// are registrations of others.
    async fn drop_machines_of_cluster(
        aws: &Aws,
        added: &mut BTreeMap<String, Vec<(String, i32)>>,
    ) -> Result<()> {
        let addresses: BTreeSet<&str> = added.values().flatten().map(|(ip, _)| &**ip).collect();
        let addresses: Vec<&str> = addresses.into_iter().collect();
        let mut ours = BTreeSet::new();
        for some in addresses.chunks(FILTER_VALUES) {
            let filters = vec![ec2::filter("private-ip-address", some), ec2::by_cluster(aws)];
            let machines = Instance::describe(aws, filters).await?;
            ours.extend(
                machines.iter().filter_map(Instance::private_ip_address).map(str::to_owned),
            );
        }
        added.values_mut().for_each(|theirs| theirs.retain(|(ip, _)| !ours.contains(ip)));
        Ok(())
    }

    fn drift(ip: &str, port: i32) -> UnmanagedDrift {
        let name = format!("{ip}:{port}");
        let item = format!("target {name}");
        UnmanagedDrift::addition(DriftClass::Security, TARGETS, &name, &item, json!(name))
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

    #[cfg(test)]
    mod tests {
        use super::*;
        use crate::client::tests::{Script, scripted};

        #[tokio::test]
        async fn targets_of_a_group_leave_together_unless_one_has_left_before() {
            let done = || Script::Answer(200, "<DeregisterTargetsResponse/>".to_owned());
            let unknown = || {
                let error = "<Error><Code>InvalidTarget</Code><Message>m</Message></Error>";
                Script::Answer(400, format!("<ErrorResponse>{error}</ErrorResponse>"))
            };
            let sent = async |script: Vec<Script>| {
                let (aws, sent) = scripted(script);
                let targets = [("tg-1", "10.0.0.1"), ("tg-1", "10.0.0.2")];
                let left = targets.map(|(group, ip)| deregister(&aws, group, ip, 6443));
                let results = provider::all(left.into()).await;
                assert!(results.iter().all(Result::is_ok), "{results:?}");
                sent.bodies().len()
            };
            assert_eq!(sent(vec![done()]).await, 1);
            assert_eq!(sent(vec![unknown(), unknown(), done()]).await, 3);
        }
    }
}
