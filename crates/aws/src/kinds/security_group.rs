//! A security group without its rules. Rules are a separate kind because they can reference each
//! other's groups.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{SecurityGroupId, VpcId};
use crate::model::quota::Quota;
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of a security group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// VPC of the group.
    pub vpc: Input<VpcId>,
    /// Name, unique in the VPC.
    pub name: String,
    /// Description of the group.
    pub description: String,
    /// Tags of the group.
    pub tags: Tags,
}

/// Outputs of a security group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupOutputs {
    /// ID of the group.
    pub id: SecurityGroupId,
}

impl Resource for SecurityGroup {
    const SCHEMA: Schema = Schema {
        proves: &["vpc"],
        force_new: &["vpc", "name", "description"],
        ..Schema::of("security_group", Self::REPEAT.identity())
    };
    type Outputs = SecurityGroupOutputs;
}

impl Kind for SecurityGroup {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateSecurityGroup"],
        configure: &["ec2:CreateTags"],
        refresh: &["ec2:DescribeSecurityGroups"],
        update: &["ec2:CreateTags", "ec2:DeleteTags"],
        delete: &[
            "ec2:DeleteSecurityGroup",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
        ],
    };
    const REPEAT: Repeat = Repeat::Refused;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = Some("sg");
    const QUOTA: Option<QuotaCount> = Some(QuotaCount::PerRegion(Quota::SecurityGroups));
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Everything, cosmetic: &["description", "tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::SecurityGroup);
    const SUBJECT: PlanSubject = PlanSubject::SecurityGroups;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([labelled("of", &name(&self.vpc)), self.name.clone()])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::{delete_security_group, revoke_own_references, revoke_references};

#[cfg(feature = "sdk")]
mod calls {

    use aws_sdk_ec2::types::{self, IpPermission, ResourceType, UserIdGroupPair};
    use groundplan_engine::provider::ProviderFuture;

    use super::{SecurityGroup, SecurityGroupOutputs};
    use crate::Aws;
    use crate::client::delete_blockers::{Doomed, name_blockers, referencing};
    use crate::client::dry_run::{DryRunTarget, dry};
    use crate::client::ec2::{self, Ec2Object};
    use crate::client::outcomes::{ambiguous_on_failure, resolve_conflict};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::ids::VpcId;

    impl KindOperations for SecurityGroup {
        /// Creates the group. The name is unique in the VPC; if the group with this name is the
        /// result of the same creation, the call counts as successful.
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<SecurityGroupOutputs> {
            let tags =
                ec2::tag_specification(ResourceType::SecurityGroup, &self.tags, &creation.token);
            let call = aws
                .ec2
                .create_security_group()
                .vpc_id(self.vpc.get().as_str())
                .group_name(&self.name)
                .description(&self.description)
                .tag_specifications(tags);
            match aws.call("ec2", "CreateSecurityGroup", call.send()).await {
                Err(error) if error.is(&["InvalidGroup.Duplicate"]) => {
                    match ambiguous_on_failure(self.namesake(aws).await)? {
                        Some(group) if !is_ours(aws, creation, &group) => Err(error),
                        group => resolve_conflict(found(group), error),
                    }
                }
                made => outputs("CreateSecurityGroup", made?.group_id()),
            }
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<SecurityGroupOutputs>> {
            let group = self.namesake(aws).await?;
            found(group.filter(|group| is_ours(aws, creation, group)))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let found =
                ec2::all::<types::SecurityGroup, _>(aws, &recorded, |o| o.id.as_str()).await?;
            let pairs = recorded.into_iter().zip(found);
            pairs
                .map(|(recorded, group)| {
                    group.map(|group| to_live(&recorded.inputs, &group)).transpose()
                })
                .collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<SecurityGroupOutputs> {
            let outputs = ec2::part("DescribeSecurityGroups", "id", before.outputs)?;
            ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
            Ok(outputs)
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: SecurityGroupOutputs) -> Result<()> {
            delete_security_group(aws, outputs.id.as_str()).await
        }

        fn dry_run<'a>(
            aws: &'a Aws,
            action: &'static str,
            about: &DryRunTarget,
        ) -> Option<ProviderFuture<'a, ()>> {
            let id = &about.id;
            let ec2 = &aws.ec2;
            Some(match action {
                "ec2:CreateSecurityGroup" => {
                    let call = ec2.create_security_group().vpc_id(about.text("vpc"));
                    let call =
                        call.group_name(about.text("name")).description(about.text("description"));
                    let tags = about.tags(ResourceType::SecurityGroup);
                    dry!(aws, action, call.tag_specifications(tags))
                }
                "ec2:DeleteSecurityGroup" => {
                    dry!(aws, action, ec2.delete_security_group().group_id(id))
                }
                "ec2:RevokeSecurityGroupEgress" => {
                    let call = ec2.revoke_security_group_egress().group_id(id);
                    dry!(aws, action, call.ip_permissions(anything()))
                }
                "ec2:RevokeSecurityGroupIngress" => {
                    let call = ec2.revoke_security_group_ingress().group_id(id);
                    dry!(aws, action, call.ip_permissions(anything()))
                }
                _ => return None,
            })
        }
    }

    fn anything() -> IpPermission {
        IpPermission::builder().ip_protocol("-1").build()
    }

    const GONE: &[&str] = &["InvalidGroup.NotFound", "InvalidGroupId.NotFound"];

    /// Deletes a security group. If rules of the cluster's groups reference it, they are revoked
    /// first: Kubernetes adds such rules to the group of the nodes for the group of a load
    /// balancer. Rules in groups that the cluster does not own stay. AWS then rejects the deletion,
    /// and the error names the groups with these rules.
    pub(crate) async fn delete_security_group(aws: &Aws, id: &str) -> Result<()> {
        let mut deleted = delete(aws, id).await;
        if deleted.as_ref().is_err_and(|error| error.is(&["DependencyViolation"]))
            && Box::pin(revoke_references(aws, id)).await?
        {
            deleted = delete(aws, id).await;
        }
        name_blockers(aws, Doomed::SecurityGroup(id), deleted).await
    }

    async fn delete(aws: &Aws, id: &str) -> Result<()> {
        let call = aws.ec2.delete_security_group().group_id(id);
        ec2::fine_when(aws.call("ec2", "DeleteSecurityGroup", call.send()).await, GONE)
    }

    /// Revokes the rules of the cluster's other groups that reference this group. Returns true if
    /// there was one. The default group of a network of the cluster is one of them.
    pub(crate) async fn revoke_references(aws: &Aws, id: &str) -> Result<bool> {
        let is_owned = |tags: &[types::Tag]| {
            let mut owned = tags.iter().filter(|tag| tag.value() == Some("owned"));
            owned.any(|tag| tag.key().is_some_and(|key| aws.settings.is_cluster_tag(key)))
        };
        let mut revoked = false;
        for other in Box::pin(referencing(aws, id)).await? {
            let is_ours = is_owned(other.tags())
                || (other.group_name() == Some("default")
                    && ec2::by_ids::<types::Vpc>(aws, other.vpc_id())
                        .await?
                        .values()
                        .any(|vpc| is_owned(vpc.tags())));
            if is_ours && other.group_id() != Some(id) {
                revoked |= revoke(aws, &other, |pair| pair.group_id() == Some(id)).await?;
            }
        }
        Ok(revoked)
    }

    /// Revokes the rules of a group that reference other groups.
    pub(crate) async fn revoke_own_references(aws: &Aws, id: &str) -> Result<()> {
        for group in ec2::by_ids::<types::SecurityGroup>(aws, [id]).await?.values() {
            revoke(aws, group, |pair| pair.group_id() != Some(id)).await?;
        }
        Ok(())
    }

    /// Revokes the parts of a group's rules that reference these groups. Returns true if there was
    /// one.
    async fn revoke(
        aws: &Aws,
        group: &types::SecurityGroup,
        is_meant: impl Fn(&UserIdGroupPair) -> bool,
    ) -> Result<bool> {
        let Some(id) = group.group_id() else { return Ok(false) };
        let absent = &["InvalidPermission.NotFound", GONE[0], GONE[1]];
        let parts = |rules: &[IpPermission]| -> Vec<IpPermission> {
            rules.iter().filter_map(|rule| part_of(rule, &is_meant)).collect()
        };
        let (ingress, egress) =
            (parts(group.ip_permissions()), parts(group.ip_permissions_egress()));
        let revoked = !ingress.is_empty() || !egress.is_empty();
        if !ingress.is_empty() {
            let call = aws.ec2.revoke_security_group_ingress().group_id(id);
            let call = call.set_ip_permissions(Some(ingress));
            let done = aws.call("ec2", "RevokeSecurityGroupIngress", call.send()).await;
            ec2::fine_when(done, absent)?;
        }
        if !egress.is_empty() {
            let call = aws.ec2.revoke_security_group_egress().group_id(id);
            let call = call.set_ip_permissions(Some(egress));
            let done = aws.call("ec2", "RevokeSecurityGroupEgress", call.send()).await;
            ec2::fine_when(done, absent)?;
        }
        Ok(revoked)
    }

    /// Returns the part of a rule that references these groups. `None` if no part does.
    fn part_of(
        rule: &IpPermission,
        is_meant: impl Fn(&UserIdGroupPair) -> bool,
    ) -> Option<IpPermission> {
        let pairs = rule.user_id_group_pairs().iter().filter(|pair| is_meant(pair));
        let pairs: Vec<_> = pairs
            .map(|pair| {
                UserIdGroupPair::builder()
                    .set_group_id(pair.group_id.clone())
                    .set_user_id(pair.user_id.clone())
                    .build()
            })
            .collect();
        (!pairs.is_empty()).then(|| {
            IpPermission::builder()
                .set_ip_protocol(rule.ip_protocol.clone())
                .set_from_port(rule.from_port)
                .set_to_port(rule.to_port)
                .set_user_id_group_pairs(Some(pairs))
                .build()
        })
    }

    impl SecurityGroup {
        /// Returns the group with this name in the VPC. `None` if the group is not visible.
        async fn namesake(&self, aws: &Aws) -> Result<Option<types::SecurityGroup>> {
            let filters = vec![
                ec2::filter("vpc-id", &[self.vpc.get().as_str()]),
                ec2::filter("group-name", &[&self.name]),
            ];
            let found = types::SecurityGroup::describe(aws, filters).await?;
            Ok(found.into_iter().find(|group| {
                group.group_name() == Some(&self.name)
                    && group.vpc_id() == Some(self.vpc.get().as_str())
            }))
        }
    }

    /// Returns true if the group has the token of this creation, or has no token and has the
    /// cluster tag. A group with another token belongs to another creation. A group with neither
    /// tag belongs to another owner.
    fn is_ours(aws: &Aws, creation: &Creation, group: &types::SecurityGroup) -> bool {
        match ec2::token_of(group.tags()) {
            Some(token) => token == creation.token,
            None => ec2::is_of_cluster(&aws.settings, group.tags()),
        }
    }

    fn found(group: Option<types::SecurityGroup>) -> Result<Option<SecurityGroupOutputs>> {
        group.map(|group| outputs("DescribeSecurityGroups", group.group_id())).transpose()
    }

    fn outputs(call: &str, id: Option<&str>) -> Result<SecurityGroupOutputs> {
        Ok(SecurityGroupOutputs { id: ec2::id(call, id)? })
    }

    fn to_live(
        recorded: &SecurityGroup,
        group: &types::SecurityGroup,
    ) -> Result<Live<SecurityGroup>> {
        let vpc: VpcId = ec2::id("DescribeSecurityGroups", group.vpc_id())?;
        let inputs = SecurityGroup {
            vpc: vpc.into(),
            name: group.group_name().unwrap_or_default().to_owned(),
            description: group.description().unwrap_or_default().to_owned(),
            tags: ec2::owned(&recorded.tags, group.tags()),
        };
        Ok(Live::new(inputs, outputs("DescribeSecurityGroups", group.group_id())?))
    }
}
