//! A Network Load Balancer.

use groundplan_engine::graph::{DependentsStart, Input, Resource, Schema, SetInput, Wait};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed;
use crate::model::ids::{
    AllocationId, DnsName, HostedZoneId, LoadBalancerArn, SecurityGroupId, SubnetId,
};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, names, phrase, zone};

/// Inputs of a Network Load Balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Name, unique in account and region, at most 32 characters.
    pub name: String,
    /// True if the load balancer is reachable from inside the VPC only.
    pub internal: bool,
    /// Subnets of the load balancer.
    pub subnets: Vec<Input<SubnetId>>,
    /// Elastic IP addresses, one for each subnet in the same order. Empty means addresses of Amazon.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Input<AllocationId>>,
    /// Security groups of the load balancer. A load balancer that was created without groups cannot
    /// get any later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub security_groups: Vec<Input<SecurityGroupId>>,
    /// True if the load balancer distributes traffic over the targets of all zones.
    pub cross_zone: bool,
    /// Tags of the load balancer.
    pub tags: Tags,
}

/// Outputs of a load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerOutputs {
    /// ARN of the load balancer.
    pub arn: LoadBalancerArn,
    /// DNS name of the load balancer.
    pub dns_name: DnsName,
    /// Hosted zone that an alias record to the load balancer must name.
    pub hosted_zone: HostedZoneId,
}

impl Resource for LoadBalancer {
    const SCHEMA: Schema = Schema {
        proves: &["subnets"],
        force_new: &["name", "internal", "addresses"],
        blocks_deletion_of: &["subnets", "addresses", "security_groups"],
        dependents_start: DependentsStart::Created,
        configures: true,
        ready: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 150,
        sets: &[
            SetInput::of_values("subnets", "subnet"),
            SetInput::of_values("addresses", "address"),
            SetInput::of_values("security_groups", "group"),
        ],
        ..Schema::of("load_balancer", Self::REPEAT.identity())
    };
    type Outputs = LoadBalancerOutputs;
}

impl Kind for LoadBalancer {
    const ACTIONS: Actions = Actions {
        create: &["elasticloadbalancing:CreateLoadBalancer"],
        configure: &[
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
        ],
        refresh: &[
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeTags",
        ],
        update: &[
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "elasticloadbalancing:SetSubnets",
            "elasticloadbalancing:SetSecurityGroups",
            "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags",
        ],
        delete: &[
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "ec2:DescribeNetworkInterfaces",
        ],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerRegion(Quota::NetworkBalancers));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&["security_groups"]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::LoadBalancer);
    const SUBJECT: PlanSubject = PlanSubject::LoadBalancing;

    fn summary(&self, around: &Surroundings<'_>) -> Summary {
        let scheme = if self.internal { "internal" } else { "internet-facing" };
        let zones: Vec<_> = self.subnets.iter().map(|subnet| zone(subnet, around.values)).collect();
        let place = match zones.iter().any(String::is_empty) {
            true => labelled("in", &names(&self.subnets)),
            false => labelled("zones", &phrase(zones)),
        };
        let cross_zone = if self.cross_zone { "cross-zone" } else { "" };
        let addresses = match self.addresses.is_empty() {
            true => String::new(),
            false => labelled("addresses", &names(&self.addresses)),
        };
        let groups = match self.security_groups.is_empty() {
            true => String::new(),
            false => labelled("groups", &names(&self.security_groups)),
        };
        Summary::of([scheme.to_owned(), place, addresses, cross_zone.to_owned(), groups])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        // An internet-facing balancer has a public address in each subnet (user guide of Network Load
        // Balancers, "Network Load Balancer overview"). Elastic IP addresses are billed as such.
        let has_addresses = self.internal || !self.addresses.is_empty();
        let addresses = if has_addresses { 0 } else { self.subnets.len() };
        vec![billed::load_balancer(Some("network")), billed::public_ipv4(addresses)]
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::{delete_balancer, interfaces_described, poll_deleted, protections};

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::{BTreeMap, BTreeSet};

    use aws_sdk_elasticloadbalancingv2::types::{
        LoadBalancer as LiveBalancer, LoadBalancerAttribute, LoadBalancerSchemeEnum,
        LoadBalancerStateEnum, LoadBalancerTypeEnum, SubnetMapping,
    };
    use groundplan_engine::graph::Input;
    use groundplan_engine::provider::{ErrorClass, ProviderError};

    use super::{
        AllocationId, LoadBalancer, LoadBalancerArn, LoadBalancerOutputs, SecurityGroupId, SubnetId,
    };
    use crate::Tags;
    use crate::client::Aws;
    use crate::client::ec2::{FILTER_VALUES, filter};
    use crate::client::elb::{self, BalancerKey, NO_LOAD_BALANCER, interface_description};
    use crate::client::outcomes::{
        ambiguous_on_failure, incomplete, none_if, resolve_conflict, retry_on,
    };
    use crate::client::ownership::{ensure_ours, is_ours, our_tags};
    use crate::client::resource_type::{
        Creation, KindOperations, Live, PollResult, ReadProtection, Recorded, Result,
    };
    use crate::model::protection::DeletionProtection;

    const SERVICE: &str = "elasticloadbalancing";
    const CROSS_ZONE: &str = "load_balancing.cross_zone.enabled";
    const DELETION_PROTECTION: &str = "deletion_protection.enabled";

    impl KindOperations for LoadBalancer {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<LoadBalancerOutputs> {
            let all_tags = Aws::tags_with_token(&self.tags, &creation.token);
            let call = aws
                .elb
                .create_load_balancer()
                .name(&self.name)
                .r#type(LoadBalancerTypeEnum::Network)
                .scheme(scheme(self.internal))
                .set_subnets(self.subnets_without_addresses())
                .set_subnet_mappings(self.subnet_mappings())
                .set_security_groups(self.group_ids())
                .set_tags(Some(elb::tags(&all_tags)));
            let made = aws.call(SERVICE, "CreateLoadBalancer", call.send()).await;
            match retry_on(made, &["SubnetNotFound"]) {
                Ok(made) => {
                    let balancer = made.load_balancers().first();
                    let balancer = balancer.ok_or_else(|| incomplete("CreateLoadBalancer"))?;
                    self.check_new(aws, creation, balancer).await?;
                    outputs(balancer).ok_or_else(|| incomplete("CreateLoadBalancer"))
                }
                Err(error) if error.is(&["DuplicateLoadBalancerName"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) => Err(error),
            }
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<LoadBalancerOutputs>> {
            let names = [self.name.clone()];
            let Some(balancer) = elb::load_balancers(aws, BalancerKey::Name, &names).await?.pop()
            else {
                return Ok(None);
            };
            let Some(outputs) = outputs(&balancer) else { return Ok(None) };
            let arns = [outputs.arn.0.clone()];
            let live = elb::live_tags(aws, &arns).await?.remove(&arns[0]).unwrap_or_default();
            ensure_ours(aws, &creation.token, &live, "DescribeTags", &self.what())?;
            Ok(Some(outputs))
        }

        async fn configure(
            &self,
            aws: &Aws,
            outputs: LoadBalancerOutputs,
        ) -> Result<LoadBalancerOutputs> {
            self.set_cross_zone(aws, &outputs.arn).await?;
            Ok(outputs)
        }

        async fn ready(
            aws: &Aws,
            waiting: Vec<Recorded<Self>>,
        ) -> Result<Vec<PollResult<LoadBalancerOutputs>>> {
            let known = waiting.iter().filter_map(|one| one.outputs.as_ref());
            let arns: Vec<_> = known.map(|outputs| outputs.arn.0.clone()).collect();
            let live = by_arn(elb::load_balancers(aws, BalancerKey::Arn, &arns).await?);
            let seen = |one: Recorded<Self>| {
                let balancer = one.outputs.as_ref().and_then(|known| live.get(known.arn.as_str()));
                balancer.map_or_else(|| PollResult::Pending("not visible yet".to_owned()), state)
            };
            Ok(waiting.into_iter().map(seen).collect())
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let names: Vec<_> = recorded.iter().map(|one| one.inputs.name.clone()).collect();
            let known = recorded.iter().filter_map(|one| Some(one.outputs.as_ref()?.arn.0.clone()));
            let (balancers, mut tags) = tokio::try_join!(
                elb::load_balancers(aws, BalancerKey::Name, &names),
                elb::recorded_tags(aws, known.collect()),
            )?;
            let chosen: Vec<_> = recorded
                .iter()
                .map(|one| balancers.iter().find(|live| is_recorded(one, live)))
                .collect();
            let arns = chosen.iter().flatten().filter_map(|live| live.load_balancer_arn());
            let in_doubt: Vec<_> =
                arns.filter(|arn| !tags.contains_key(*arn)).map(str::to_owned).collect();
            tags.extend(elb::live_tags(aws, &in_doubt).await?);
            let mut all = Vec::with_capacity(recorded.len());
            for (one, balancer) in recorded.into_iter().zip(chosen) {
                all.push(match balancer {
                    Some(balancer) => to_live(aws, one, balancer, &tags).await?,
                    None => None,
                });
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<LoadBalancerOutputs> {
            let outputs = match before.outputs {
                Some(outputs) => outputs,
                None => self
                    .find(aws, creation)
                    .await?
                    .ok_or_else(|| incomplete("DescribeLoadBalancers"))?,
            };
            if !same(&self.subnets, &before.inputs.subnets) {
                let arn = outputs.arn.as_str();
                let call = aws.elb.set_subnets().load_balancer_arn(arn);
                let call = call.set_subnets(self.subnets_without_addresses());
                let call = call.set_subnet_mappings(self.subnet_mappings());
                aws.call(SERVICE, "SetSubnets", call.send()).await?;
            }
            if !same(&self.security_groups, &before.inputs.security_groups) {
                let (arn, groups) = (outputs.arn.as_str(), self.group_ids());
                let call = aws.elb.set_security_groups().load_balancer_arn(arn);
                let call = call.set_security_groups(groups);
                aws.call(SERVICE, "SetSecurityGroups", call.send()).await?;
            }
            if self.cross_zone != before.inputs.cross_zone {
                self.set_cross_zone(aws, &outputs.arn).await?;
            }
            elb::change_tags(aws, outputs.arn.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: LoadBalancerOutputs) -> Result<()> {
            delete_balancer(aws, outputs.arn.as_str()).await
        }

        /// Returns the deletion protections. Makes no call for load balancers that refresh has
        /// read.
        async fn protections(aws: &Aws, doomed: Vec<LoadBalancerOutputs>) -> Vec<ReadProtection> {
            protections(aws, doomed.iter().map(|one| one.arn.as_str()).collect()).await
        }

        /// Polls deletions. A load balancer counts as deleted when its network interfaces no longer
        /// exist either. The interfaces outlive the load balancer for a while and block the
        /// deletion of subnets and the internet gateway.
        async fn gone(aws: &Aws, waiting: Vec<LoadBalancerOutputs>) -> Result<Vec<PollResult<()>>> {
            let arns: Vec<&str> = waiting.iter().map(|one| one.arn.as_str()).collect();
            poll_deleted(aws, &arns).await
        }
    }

    /// Polls deletions of load balancers of any type but the classic one. Reads the load balancers
    /// only if one of them has no network interface left: AWS deletes the interfaces last. Reads all
    /// of them: AWS rejects a list of names with a deleted one.
    pub(crate) async fn poll_deleted(aws: &Aws, arns: &[&str]) -> Result<Vec<PollResult<()>>> {
        let described: Vec<_> = arns.iter().map(|arn| interface_description(arn)).collect();
        let interfaces = interfaces_described(aws, &described).await?;
        let is_held = |arn: &str| interfaces.contains(&interface_description(arn));
        let there = match arns.iter().all(|arn| is_held(arn)) {
            true => BTreeMap::new(),
            false => by_arn(elb::every_load_balancer(aws).await?),
        };
        let seen = |arn: &&str| {
            if is_held(arn) {
                PollResult::Pending("network interfaces still exist".to_owned())
            } else if there.contains_key(*arn) {
                PollResult::Pending("deleting".to_owned())
            } else {
                PollResult::Ready(())
            }
        };
        Ok(arns.iter().map(seen).collect())
    }

    /// Deletes a load balancer of any type but the classic one, with its listeners.
    pub(crate) async fn delete_balancer(aws: &Aws, arn: &str) -> Result<()> {
        let call = aws.elb.delete_load_balancer().load_balancer_arn(arn);
        let deleted = aws.call(SERVICE, "DeleteLoadBalancer", call.send()).await;
        let deleted = deleted.map_err(|error| match error.code.as_deref() {
            Some("OperationNotPermitted") => {
                let command = DeletionProtection::of_load_balancer(arn).lifted_by;
                error.with_hint(format!("disable the deletion protection: {command}"))
            }
            Some("ResourceInUse") => error.with_hint(
                "delete the endpoint service that uses the load balancer: aws ec2 \
                 describe-vpc-endpoint-service-configurations lists them",
            ),
            _ => error,
        });
        none_if(deleted, NO_LOAD_BALANCER).map(drop)
    }

    impl LoadBalancer {
        fn what(&self) -> String {
            format!("the load balancer {}", self.name)
        }

        /// Returns the IDs of the subnets. `None` with addresses: AWS takes one of the two.
        fn subnets_without_addresses(&self) -> Option<Vec<String>> {
            let ids = self.subnets.iter().map(|subnet| subnet.get().0.clone());
            self.addresses.is_empty().then(|| ids.collect())
        }

        /// Returns each subnet with its address. `None` without addresses.
        fn subnet_mappings(&self) -> Option<Vec<SubnetMapping>> {
            let pairs = self.subnets.iter().zip(&self.addresses).map(|(subnet, address)| {
                let mapping = SubnetMapping::builder().subnet_id(subnet.get().as_str());
                mapping.allocation_id(address.get().as_str()).build()
            });
            Some(pairs.collect()).filter(|pairs: &Vec<_>| !pairs.is_empty())
        }

        /// Returns the IDs of the security groups. `None` without groups: AWS rejects an empty list.
        fn group_ids(&self) -> Option<Vec<String>> {
            let ids: Vec<String> =
                self.security_groups.iter().map(|group| group.get().0.clone()).collect();
            Some(ids).filter(|ids| !ids.is_empty())
        }

        /// Verifies that a created load balancer is not an older one of another creator.
        /// `CreateLoadBalancer` returns an existing load balancer if all parameters are equal. A
        /// load balancer in state `provisioning` is new. Any other one must have the creation
        /// token.
        async fn check_new(
            &self,
            aws: &Aws,
            creation: &Creation,
            balancer: &LiveBalancer,
        ) -> Result<()> {
            if state_code(balancer) == Some(&LoadBalancerStateEnum::Provisioning) {
                return Ok(());
            }
            let arns = balancer.load_balancer_arn().map(str::to_owned);
            let live = ambiguous_on_failure(elb::live_tags(aws, arns.as_slice()).await)?
                .into_values()
                .next();
            // A load balancer without tags is new: its tags are not visible to every server yet.
            let Some(live) = live.filter(|tags| !tags.is_empty()) else { return Ok(()) };
            ensure_ours(aws, &creation.token, &live, "CreateLoadBalancer", &self.what())
        }

        async fn set_cross_zone(&self, aws: &Aws, arn: &LoadBalancerArn) -> Result<()> {
            let value = self.cross_zone.to_string();
            let attribute = LoadBalancerAttribute::builder().key(CROSS_ZONE).value(value).build();
            let call = aws
                .elb
                .modify_load_balancer_attributes()
                .load_balancer_arn(arn.as_str())
                .attributes(attribute);
            let modified = aws.call(SERVICE, "ModifyLoadBalancerAttributes", call.send()).await;
            retry_on(modified, NO_LOAD_BALANCER).map(drop)
        }
    }

    fn scheme(internal: bool) -> LoadBalancerSchemeEnum {
        if internal {
            LoadBalancerSchemeEnum::Internal
        } else {
            LoadBalancerSchemeEnum::InternetFacing
        }
    }

    fn by_arn(balancers: Vec<LiveBalancer>) -> BTreeMap<String, LiveBalancer> {
        let keyed = |one: LiveBalancer| Some((one.load_balancer_arn()?.to_owned(), one));
        balancers.into_iter().filter_map(keyed).collect()
    }

    fn is_recorded(recorded: &Recorded<LoadBalancer>, live: &LiveBalancer) -> bool {
        match &recorded.outputs {
            Some(known) => live.load_balancer_arn() == Some(known.arn.as_str()),
            None => live.load_balancer_name() == Some(&recorded.inputs.name),
        }
    }

    fn state_code(balancer: &LiveBalancer) -> Option<&LoadBalancerStateEnum> {
        balancer.state().and_then(|state| state.code())
    }

    fn state(balancer: &LiveBalancer) -> PollResult<LoadBalancerOutputs> {
        match (state_code(balancer), outputs(balancer)) {
            // In state `active_impaired` the load balancer routes traffic, but lacks resources to
            // scale.
            (
                Some(LoadBalancerStateEnum::Active | LoadBalancerStateEnum::ActiveImpaired),
                Some(outputs),
            ) => PollResult::Ready(outputs),
            (Some(LoadBalancerStateEnum::Failed), _) => {
                let reason = balancer.state().and_then(|state| state.reason());
                let reason = reason.unwrap_or("AWS gave no reason");
                PollResult::Failed(
                    ProviderError::new(ErrorClass::Permanent, "DescribeLoadBalancers", reason)
                        .with_code("failed")
                        .with_hint(
                            "check that each subnet of the load balancer has 8 free addresses",
                        ),
                )
            }
            (code, _) => {
                PollResult::Pending(code.map_or("unknown", |code| code.as_str()).to_owned())
            }
        }
    }

    /// Returns the live state of a load balancer. `None` if its tags show another owner, or if it
    /// was deleted in the meantime.
    async fn to_live(
        aws: &Aws,
        recorded: Recorded<LoadBalancer>,
        balancer: &LiveBalancer,
        tags: &BTreeMap<String, Tags>,
    ) -> Result<Option<Live<LoadBalancer>>> {
        let Some(outputs) = outputs(balancer) else { return Ok(None) };
        let tags = tags.get(outputs.arn.as_str()).cloned().unwrap_or_default();
        if !is_ours(aws, recorded.outputs.is_some(), &recorded.token, &tags) {
            return Ok(None);
        }
        if tags.contains_key(&aws.settings.cluster_tag) {
            aws.watch.note_owned(outputs.arn.as_str());
        }
        let Some(attributes) = attributes(aws, outputs.arn.as_str()).await? else {
            return Ok(None);
        };
        let inputs = LoadBalancer {
            internal: balancer.scheme() == Some(&LoadBalancerSchemeEnum::Internal),
            subnets: subnets(balancer, recorded.inputs.subnets),
            addresses: addresses(balancer, recorded.inputs.addresses),
            security_groups: security_groups(balancer, recorded.inputs.security_groups),
            cross_zone: attributes.cross_zone,
            tags: our_tags(&recorded.inputs.tags, &tags),
            name: recorded.inputs.name,
        };
        Ok(Some(Live::new(inputs, outputs)))
    }

    /// Returns the subnets of the load balancer. AWS treats them as a set, so an equal set is
    /// returned in recorded order.
    fn subnets(balancer: &LiveBalancer, recorded: Vec<Input<SubnetId>>) -> Vec<Input<SubnetId>> {
        let zones = balancer.availability_zones().iter();
        let ids = zones.filter_map(|zone| zone.subnet_id()).map(SubnetId::from);
        in_recorded_order(recorded, ids.map(Input::Known).collect())
    }

    /// Returns the Elastic IP addresses of the load balancer, as [`subnets`] does. Without recorded
    /// ones, AWS chose the addresses.
    fn addresses(
        balancer: &LiveBalancer,
        recorded: Vec<Input<AllocationId>>,
    ) -> Vec<Input<AllocationId>> {
        if recorded.is_empty() {
            return recorded;
        }
        let zones = balancer.availability_zones().iter();
        let addresses = zones.flat_map(
            aws_sdk_elasticloadbalancingv2::types::AvailabilityZone::load_balancer_addresses,
        );
        let ids = addresses.filter_map(|one| one.allocation_id()).map(AllocationId::from);
        in_recorded_order(recorded, ids.map(Input::Known).collect())
    }

    /// Returns the security groups of the load balancer, as [`subnets`] does.
    fn security_groups(
        balancer: &LiveBalancer,
        recorded: Vec<Input<SecurityGroupId>>,
    ) -> Vec<Input<SecurityGroupId>> {
        let ids = balancer.security_groups().iter().map(|id| SecurityGroupId::from(id.as_str()));
        in_recorded_order(recorded, ids.map(Input::Known).collect())
    }

    fn in_recorded_order<T: Ord>(recorded: Vec<Input<T>>, live: Vec<Input<T>>) -> Vec<Input<T>> {
        if same(&recorded, &live) { recorded } else { live }
    }

    fn same<T: Ord>(one: &[Input<T>], other: &[Input<T>]) -> bool {
        let [one, other] = [one, other].map(|all| all.iter().map(Input::get));
        one.collect::<BTreeSet<&T>>() == other.collect()
    }

    fn outputs(balancer: &LiveBalancer) -> Option<LoadBalancerOutputs> {
        Some(LoadBalancerOutputs {
            arn: balancer.load_balancer_arn()?.into(),
            dns_name: balancer.dns_name()?.into(),
            hosted_zone: balancer.canonical_hosted_zone_id()?.into(),
        })
    }

    /// Attributes of a load balancer.
    struct Attributes {
        cross_zone: bool,
        deletion_protection: bool,
    }

    /// Returns the attributes. `None` if the load balancer was deleted in the meantime.
    async fn attributes(aws: &Aws, arn: &str) -> Result<Option<Attributes>> {
        let call = aws.elb.describe_load_balancer_attributes().load_balancer_arn(arn);
        let answer = aws.call(SERVICE, "DescribeLoadBalancerAttributes", call.send()).await;
        let Some(answer) = none_if(answer, NO_LOAD_BALANCER)? else { return Ok(None) };
        let is_on = |key: &str| {
            let mut attributes = answer.attributes().iter();
            attributes.any(|one| one.key() == Some(key) && one.value() == Some("true"))
        };
        let deletion_protection = is_on(DELETION_PROTECTION);
        aws.watch.note_protected(arn, deletion_protection);
        Ok(Some(Attributes { cross_zone: is_on(CROSS_ZONE), deletion_protection }))
    }

    /// Returns the deletion protection of each of these load balancers. One call reads it where
    /// refresh has not. A load balancer that does not exist is not protected.
    pub(crate) async fn protections(aws: &Aws, arns: Vec<&str>) -> Vec<ReadProtection> {
        let mut found = Vec::with_capacity(arns.len());
        for arn in arns {
            let is_protected = match aws.watch.is_protected(arn) {
                Some(known) => Ok(known),
                None => attributes(aws, arn)
                    .await
                    .map(|found| found.is_some_and(|one| one.deletion_protection)),
            };
            let protection = || DeletionProtection::of_load_balancer(arn);
            found.push(is_protected.map(|is_protected| is_protected.then(protection)));
        }
        found
    }

    /// Returns the descriptions that belong to at least one existing network interface.
    pub(crate) async fn interfaces_described(
        aws: &Aws,
        descriptions: &[String],
    ) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for some in descriptions.chunks(FILTER_VALUES) {
            let filter = filter("description", some);
            let call = aws.ec2.describe_network_interfaces().filters(filter);
            let answer = aws.call("ec2", "DescribeNetworkInterfaces", call.send()).await?;
            let there = answer.network_interfaces().iter().filter_map(|one| one.description());
            all.extend(there.map(str::to_owned));
        }
        Ok(all)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_failed_balancer_is_a_failure_with_its_reason() {
            use aws_sdk_elasticloadbalancingv2::types::LoadBalancerState;
            let state_of = |code: LoadBalancerStateEnum| {
                let live = LoadBalancerState::builder().code(code).reason("no addresses").build();
                let balancer = LiveBalancer::builder().state(live).load_balancer_arn("arn");
                state(&balancer.dns_name("a.example").canonical_hosted_zone_id("Z1").build())
            };
            let failed = state_of(LoadBalancerStateEnum::Failed);
            assert!(matches!(failed, PollResult::Failed(error) if error.message == "no addresses"));
            let pending = state_of(LoadBalancerStateEnum::Provisioning);
            assert!(matches!(pending, PollResult::Pending(word) if word == "provisioning"));
            assert!(matches!(state_of(LoadBalancerStateEnum::Active), PollResult::Ready(_)));
        }
    }
}
