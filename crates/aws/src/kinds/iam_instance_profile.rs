//! An instance profile. It passes an IAM role to an instance.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{InstanceProfileId, InstanceProfileName, RoleName};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name};

/// Inputs of an instance profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamInstanceProfile {
    /// Name, unique in the account.
    pub name: InstanceProfileName,
    /// Role in the profile.
    pub role: Input<RoleName>,
    /// Tags of the profile.
    pub tags: Tags,
}

/// Outputs of an instance profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamInstanceProfileOutputs {
    /// Name of the profile.
    pub name: InstanceProfileName,
    /// ARN of the profile.
    pub arn: String,
    /// Unique ID of the profile. `None` in records of older versions of groundplan.
    #[serde(default)]
    pub id: Option<InstanceProfileId>,
}

impl Resource for IamInstanceProfile {
    const SCHEMA: Schema = Schema {
        proves: &["role"],
        force_new: &["name"],
        stable_outputs: &["name", "arn"],
        blocks_deletion_of: &["role"],
        configures: true,
        typical_seconds: 10,
        ..Schema::of("iam_instance_profile", Self::REPEAT.identity())
    };
    type Outputs = IamInstanceProfileOutputs;
}

impl Kind for IamInstanceProfile {
    const ACTIONS: Actions = Actions {
        create: &["iam:CreateInstanceProfile"],
        configure: &["iam:TagInstanceProfile", "iam:AddRoleToInstanceProfile", "iam:PassRole"],
        refresh: &["iam:GetInstanceProfile"],
        update: &[
            "iam:AddRoleToInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:PassRole",
            "iam:TagInstanceProfile",
            "iam:UntagInstanceProfile",
        ],
        delete: &[
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
        ],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Iam("instance-profile", "name");
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Everything, cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::InstanceProfile);
    const SUBJECT: PlanSubject = PlanSubject::Iam;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([labelled("passes", &name(&self.role))])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_profile;

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_iam::types::{InstanceProfile, Role};

    use super::{
        IamInstanceProfile, IamInstanceProfileOutputs, Input, InstanceProfileName, RoleName,
    };
    use crate::client::Aws;
    use crate::client::iam::{ABSENT, CONFLICT, live_tags, tags, take_role_out};
    use crate::client::outcomes::{incomplete, none_if, resolve_conflict, retry_on};
    use crate::client::ownership::{ensure_ours, is_ours, our_tags, tag_changes};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::untracked::UntrackedKind;

    impl KindOperations for IamInstanceProfile {
        async fn create(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<IamInstanceProfileOutputs> {
            let all_tags = Aws::tags_with_token(&self.tags, &creation.token);
            let call = aws
                .iam
                .create_instance_profile()
                .instance_profile_name(self.name.as_str())
                .set_tags(Some(tags(&all_tags)));
            match aws.call("iam", "CreateInstanceProfile", call.send()).await {
                Ok(made) => made
                    .instance_profile()
                    .map(outputs)
                    .ok_or_else(|| incomplete("CreateInstanceProfile")),
                Err(error) if error.is(&["EntityAlreadyExists"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) => Err(error),
            }
        }

        async fn find(
            &self,
            aws: &Aws,
            creation: &Creation,
        ) -> Result<Option<IamInstanceProfileOutputs>> {
            let Some(profile) = get(aws, &self.name).await? else { return Ok(None) };
            let what = format!("the instance profile {}", self.name);
            let live = live_tags(profile.tags());
            ensure_ours(aws, &creation.token, &live, "GetInstanceProfile", &what)?;
            Ok(Some(outputs(&profile)))
        }

        async fn configure(
            &self,
            aws: &Aws,
            outputs: IamInstanceProfileOutputs,
        ) -> Result<IamInstanceProfileOutputs> {
            self.put_role_in(aws).await?;
            Ok(outputs)
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all = Vec::with_capacity(recorded.len());
            for one in recorded {
                let profile = get(aws, &one.inputs.name).await?;
                all.push(profile.and_then(|profile| live(aws, one, &profile)));
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<IamInstanceProfileOutputs> {
            let name = self.name.as_str();
            if self.role != before.inputs.role {
                if let Some(role) = before.inputs.role.known() {
                    take_role_out(aws, name, role.as_str()).await?;
                }
                self.put_role_in(aws).await?;
            }
            let (set, unset) = tag_changes(&before.inputs.tags, &self.tags);
            if !set.is_empty() {
                let set = Some(tags(&set));
                let call = aws.iam.tag_instance_profile().instance_profile_name(name).set_tags(set);
                aws.call("iam", "TagInstanceProfile", call.send()).await?;
            }
            if !unset.is_empty() {
                let call = aws.iam.untag_instance_profile().instance_profile_name(name);
                let call = call.set_tag_keys(Some(unset));
                aws.call("iam", "UntagInstanceProfile", call.send()).await?;
            }
            match before.outputs {
                Some(outputs) => Ok(outputs),
                None => get(aws, &self.name)
                    .await?
                    .as_ref()
                    .map(outputs)
                    .ok_or_else(|| incomplete("GetInstanceProfile")),
            }
        }

        async fn delete(aws: &Aws, inputs: Self, outputs: IamInstanceProfileOutputs) -> Result<()> {
            let role = inputs.role.known().map(RoleName::as_str);
            delete_profile(aws, outputs.name.as_str(), role).await
        }
    }

    /// Deletes an instance profile. IAM rejects the deletion of a profile with a role, so `role`,
    /// the recorded one, is removed first. Without it, and on `DeleteConflict`, all roles of the
    /// profile are removed.
    pub(crate) async fn delete_profile(aws: &Aws, name: &str, role: Option<&str>) -> Result<()> {
        match role {
            Some(role) => take_role_out(aws, name, role).await?,
            None => take_roles_out(aws, name).await?,
        }
        let delete = async || {
            let call = aws.iam.delete_instance_profile().instance_profile_name(name);
            let deleted = aws.call("iam", "DeleteInstanceProfile", call.send()).await;
            none_if(retry_on(deleted, CONFLICT), ABSENT).map(drop)
        };
        match delete().await {
            Err(error) if error.is(CONFLICT) => {
                take_roles_out(aws, name).await?;
                delete().await
            }
            deleted => deleted,
        }
    }

    async fn take_roles_out(aws: &Aws, name: &str) -> Result<()> {
        let profile = get(aws, &name.into()).await?;
        for role in profile.iter().flat_map(InstanceProfile::roles) {
            take_role_out(aws, name, role.role_name()).await?;
        }
        Ok(())
    }

    impl IamInstanceProfile {
        /// Adds the role. A profile holds at most one role; if the profile already has this role,
        /// the call counts as successful. Another role in the profile is an error.
        async fn put_role_in(&self, aws: &Aws) -> Result<()> {
            let call = aws
                .iam
                .add_role_to_instance_profile()
                .instance_profile_name(self.name.as_str())
                .role_name(self.role.get().as_str());
            let added = aws.call("iam", "AddRoleToInstanceProfile", call.send()).await;
            // Not every IAM server knows a new role or profile immediately.
            let Err(error) = retry_on(added, ABSENT) else { return Ok(()) };
            const HAS_A_ROLE: &[&str] = &["LimitExceeded", "EntityAlreadyExists"];
            if !error.is(HAS_A_ROLE) {
                return Err(error);
            }
            match get(aws, &self.name).await?.as_ref().and_then(role_in) {
                Some(role) if role == *self.role.get() => Ok(()),
                Some(role) => Err(error.with_hint(format!(
                    "remove the other role: aws iam remove-role-from-instance-profile \
                     --instance-profile-name {} --role-name {role}",
                    self.name
                ))),
                // The error proves that a role is there, so this answer is older.
                None => retry_on(Err(error), HAS_A_ROLE),
            }
        }
    }

    async fn get(aws: &Aws, name: &InstanceProfileName) -> Result<Option<InstanceProfile>> {
        let call = aws.iam.get_instance_profile().instance_profile_name(name.as_str());
        let answer = none_if(aws.call("iam", "GetInstanceProfile", call.send()).await, ABSENT)?;
        Ok(answer.and_then(|answer| answer.instance_profile))
    }

    fn live(
        aws: &Aws,
        recorded: Recorded<IamInstanceProfile>,
        profile: &InstanceProfile,
    ) -> Option<Live<IamInstanceProfile>> {
        let all_tags = live_tags(profile.tags());
        let is_owned = all_tags.contains_key(&aws.settings.cluster_tag);
        let (what, name) = (UntrackedKind::InstanceProfile, profile.instance_profile_name());
        aws.watch.note_owned_name(what, name, is_owned);
        if !is_ours(aws, recorded.outputs.is_some(), &recorded.token, &all_tags) {
            return None;
        }
        let mut inputs = recorded.inputs;
        // An absent role differs from every configured role, so an update adds the role.
        inputs.role = Input::live(role_in(profile));
        inputs.tags = our_tags(&inputs.tags, &all_tags);
        Some(Live::new(inputs, outputs(profile)))
    }

    fn role_in(profile: &InstanceProfile) -> Option<RoleName> {
        profile.roles().first().map(Role::role_name).map(RoleName::from)
    }

    fn outputs(profile: &InstanceProfile) -> IamInstanceProfileOutputs {
        IamInstanceProfileOutputs {
            name: profile.instance_profile_name().into(),
            arn: profile.arn().to_owned(),
            id: Some(profile.instance_profile_id().into()),
        }
    }
}
