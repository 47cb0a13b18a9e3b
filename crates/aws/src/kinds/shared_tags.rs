//! The cluster tag with the value `shared`, on existing subnets and an existing hosted zone that
//! the user configured.

use groundplan_engine::graph::{Resource, Schema, SetInput};
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{HostedZoneId, SubnetId};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, phrase};

/// Inputs: the resources that the cluster uses and does not own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedTags {
    /// Key of the tag. The value is always `shared`.
    pub key: String,
    /// Subnets with the tag.
    pub subnets: Vec<SubnetId>,
    /// Hosted zone with the tag.
    pub hosted_zone: Option<HostedZoneId>,
    /// ARN of the role for the hosted zone, which is then in another account. Recorded for commands
    /// without an install-config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted_zone_role: Option<String>,
}

/// Outputs: the tagged resources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedTagsOutputs {
    /// Key of the tag.
    pub key: String,
    /// Subnets with the tag.
    pub subnets: Vec<SubnetId>,
    /// Hosted zone with the tag.
    pub hosted_zone: Option<HostedZoneId>,
}

impl Resource for SharedTags {
    const SCHEMA: Schema = Schema {
        force_new: &["key"],
        configures: true,
        sets: &[SetInput::of_values("subnets", "subnet")],
        ..Schema::of("shared_tags", Self::REPEAT.identity())
    };
    type Outputs = SharedTagsOutputs;
}

impl Kind for SharedTags {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateTags", "route53:ChangeTagsForResource"],
        configure: &[],
        refresh: &["ec2:DescribeSubnets", "route53:ListTagsForResource"],
        update: &["ec2:CreateTags", "ec2:DeleteTags", "route53:ChangeTagsForResource"],
        delete: &["ec2:DeleteTags", "route53:ChangeTagsForResource"],
    };
    const REPEAT: Repeat = Repeat::Idempotent;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::SharedTag);
    const SUBJECT: PlanSubject = PlanSubject::Tags;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let subnets = self.subnets.iter().map(ToString::to_string);
        let zone = self.hosted_zone.iter().map(ToString::to_string);
        let on = phrase(subnets.chain(zone).collect());
        let role = self.hosted_zone_role.as_deref().unwrap_or_default();
        let role = if role.is_empty() { String::new() } else { labelled("zone as", role) };
        Summary::of([format!("{}=shared", self.key), labelled("on", &on), role])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::BTreeSet;

    use aws_sdk_ec2::types::{Filter, Tag};

    use super::{HostedZoneId, SharedTags, SharedTagsOutputs, SubnetId};
    use crate::Tags;
    use crate::client::Aws;
    use crate::client::outcomes::none_if;
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::client::route53::{self, NO_ZONE};

    const SHARED: &str = "shared";

    impl KindOperations for SharedTags {
        /// Tags the subnets. If no subnets are configured, tags the hosted zone. Otherwise
        /// `configure` tags the zone.
        async fn create(&self, aws: &Aws, _creation: &Creation) -> Result<SharedTagsOutputs> {
            if self.subnets.is_empty() {
                self.mark_zone(aws).await?;
            } else {
                self.mark_subnets(aws, &self.subnets).await?;
            }
            Ok(self.outputs())
        }

        async fn find(&self, aws: &Aws, _creation: &Creation) -> Result<Option<SharedTagsOutputs>> {
            let live = self.live(aws).await?;
            let made = if self.subnets.is_empty() {
                live.hosted_zone == self.hosted_zone
            } else {
                live.subnets == self.subnets
            };
            Ok(made.then(|| self.outputs()))
        }

        async fn configure(
            &self,
            aws: &Aws,
            outputs: SharedTagsOutputs,
        ) -> Result<SharedTagsOutputs> {
            if !self.subnets.is_empty() {
                self.mark_zone(aws).await?;
            }
            Ok(outputs)
        }

        async fn find_any_part(
            &self,
            aws: &Aws,
            _creation: &Creation,
        ) -> Result<Option<SharedTagsOutputs>> {
            let live = self.live(aws).await?;
            let none = live.subnets.is_empty() && live.hosted_zone.is_none();
            Ok((!none).then(|| self.outputs()))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all = Vec::with_capacity(recorded.len());
            for Recorded { inputs, .. } in recorded {
                let live = inputs.live(aws).await?;
                let outputs = live.outputs();
                let any = !live.subnets.is_empty() || live.hosted_zone.is_some();
                all.push(any.then_some(Live::new(live, outputs)));
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<SharedTagsOutputs> {
            let before = before.inputs;
            let comes: Vec<_> = without(&self.subnets, &before.subnets);
            if !comes.is_empty() {
                self.mark_subnets(aws, &comes).await?;
            }
            unmark_subnets(aws, &self.key, &without(&before.subnets, &self.subnets)).await?;
            if self.hosted_zone != before.hosted_zone {
                if let Some(zone) = &before.hosted_zone {
                    unmark_zone(aws, &self.key, zone).await?;
                }
                self.mark_zone(aws).await?;
            }
            Ok(self.outputs())
        }

        /// Removes only the tags. The tagged resources belong to the user.
        async fn delete(aws: &Aws, _inputs: Self, outputs: SharedTagsOutputs) -> Result<()> {
            unmark_subnets(aws, &outputs.key, &outputs.subnets).await?;
            match &outputs.hosted_zone {
                Some(zone) => unmark_zone(aws, &outputs.key, zone).await,
                None => Ok(()),
            }
        }
    }

    impl SharedTags {
        async fn mark_subnets(&self, aws: &Aws, subnets: &[SubnetId]) -> Result<()> {
            let call = aws
                .ec2
                .create_tags()
                .set_resources(Some(texts(subnets)))
                .tags(Tag::builder().key(&self.key).value(SHARED).build());
            aws.call("ec2", "CreateTags", call.send()).await.map(drop)
        }

        async fn mark_zone(&self, aws: &Aws) -> Result<()> {
            let Some(zone) = &self.hosted_zone else { return Ok(()) };
            route53::change_tags(aws, zone.as_str(), &Tags::new(), &mark(&self.key)).await
        }

        /// Returns the part of the inputs that has the tag.
        async fn live(&self, aws: &Aws) -> Result<Self> {
            let marked = self.marked_subnets(aws).await?;
            let subnets = self.subnets.iter().filter(|id| marked.contains(*id)).cloned().collect();
            let hosted_zone = match &self.hosted_zone {
                Some(zone) => {
                    let tags = route53::live_tags(aws, zone.as_str()).await?.unwrap_or_default();
                    let is_marked = tags.get(&self.key).is_some_and(|value| value == SHARED);
                    is_marked.then(|| zone.clone())
                }
                None => None,
            };
            let hosted_zone_role = self.hosted_zone_role.clone();
            Ok(Self { key: self.key.clone(), subnets, hosted_zone, hosted_zone_role })
        }

        /// Returns the subnets with the tag. The request uses filters, because AWS rejects a
        /// request by IDs if one ID is unknown.
        async fn marked_subnets(&self, aws: &Aws) -> Result<BTreeSet<SubnetId>> {
            let mut marked = BTreeSet::new();
            // Maximum number of values in one filter: 200 (EC2 API reference, Filter).
            for chunk in self.subnets.chunks(200) {
                let ids = Filter::builder().name("subnet-id").set_values(Some(texts(chunk)));
                let tag = Filter::builder().name(format!("tag:{}", self.key)).values(SHARED);
                let filters = vec![ids.build(), tag.build()];
                let call = aws.ec2.describe_subnets().set_filters(Some(filters));
                let answer = aws.call("ec2", "DescribeSubnets", call.send()).await?;
                let ids = answer.subnets().iter().filter_map(|subnet| subnet.subnet_id());
                marked.extend(ids.map(SubnetId::from));
            }
            Ok(marked)
        }

        fn outputs(&self) -> SharedTagsOutputs {
            SharedTagsOutputs {
                key: self.key.clone(),
                subnets: self.subnets.clone(),
                hosted_zone: self.hosted_zone.clone(),
            }
        }
    }

    /// Removes the tag from the subnets. If one subnet does not exist, each subnet gets a separate
    /// call, so that the others lose the tag.
    async fn unmark_subnets(aws: &Aws, key: &str, subnets: &[SubnetId]) -> Result<()> {
        if subnets.is_empty() || unmark_all(aws, key, subnets).await?.is_some() {
            return Ok(());
        }
        for subnet in subnets {
            unmark_all(aws, key, std::slice::from_ref(subnet)).await?;
        }
        Ok(())
    }

    /// Removes the tag in one call. `None` if a subnet does not exist; no tag is removed in that
    /// case.
    async fn unmark_all(aws: &Aws, key: &str, subnets: &[SubnetId]) -> Result<Option<()>> {
        let call = aws
            .ec2
            .delete_tags()
            .set_resources(Some(texts(subnets)))
            // The value limits the deletion to `shared`. A tag with the value `owned` was set by
            // another owner and stays.
            .tags(Tag::builder().key(key).value(SHARED).build());
        let deleted = aws.call("ec2", "DeleteTags", call.send()).await;
        Ok(none_if(deleted, &["InvalidSubnetID.NotFound", "InvalidID"])?.map(drop))
    }

    async fn unmark_zone(aws: &Aws, key: &str, zone: &HostedZoneId) -> Result<()> {
        let live = route53::live_tags(aws, zone.as_str()).await?.unwrap_or_default();
        if live.get(key).is_none_or(|value| value != SHARED) {
            return Ok(());
        }
        let unmarked = route53::change_tags(aws, zone.as_str(), &mark(key), &Tags::new()).await;
        none_if(unmarked, NO_ZONE).map(drop)
    }

    fn mark(key: &str) -> Tags {
        Tags::from([(key.to_owned(), SHARED.to_owned())])
    }

    fn texts(subnets: &[SubnetId]) -> Vec<String> {
        subnets.iter().map(|id| id.0.clone()).collect()
    }

    fn without(all: &[SubnetId], others: &[SubnetId]) -> Vec<SubnetId> {
        all.iter().filter(|id| !others.contains(id)).cloned().collect()
    }
}
