//! An IAM role that EC2 instances may assume.
//!
//! groundplan attaches no managed policies. Policies that others attached are reported as unmanaged
//! drift of the class security, because they grant permissions to the machines.

use groundplan_engine::graph::{AbsentInput, DependentsStart, Resource, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{PolicyArn, RoleName};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, phrase};

/// Inputs of a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRole {
    /// Name, unique in the account.
    pub name: RoleName,
    /// Trust policy: the principals that may assume the role.
    pub trust: Value,
    /// Permissions boundary: the policy that limits the permissions of the role. `None` is a request
    /// to remove the boundary that an earlier run set, and no opinion on one that others set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions_boundary: Option<PolicyArn>,
    /// Tags of the role.
    pub tags: Tags,
}

/// Outputs of a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRoleOutputs {
    /// Name of the role.
    pub name: RoleName,
    /// ARN of the role.
    pub arn: String,
}

impl Resource for IamRole {
    const SCHEMA: Schema = Schema {
        force_new: &["name"],
        stable_outputs: &["name", "arn"],
        absent: &[AbsentInput { path: "permissions_boundary", meaning: None }],
        dependents_start: DependentsStart::Created,
        ..Schema::of("iam_role", Self::REPEAT.identity())
    };
    type Outputs = IamRoleOutputs;
}

impl Kind for IamRole {
    const ACTIONS: Actions = Actions {
        create: &["iam:CreateRole"],
        configure: &["iam:TagRole"],
        refresh: &["iam:GetRole", "iam:ListAttachedRolePolicies"],
        update: &[
            "iam:UpdateAssumeRolePolicy",
            "iam:PutRolePermissionsBoundary",
            "iam:DeleteRolePermissionsBoundary",
            "iam:DetachRolePolicy",
            "iam:TagRole",
            "iam:UntagRole",
        ],
        delete: &["iam:DeleteRole"],
    };
    const REPEAT: Repeat = Repeat::Named;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[
        (&["trust"], &["iam:UpdateAssumeRolePolicy"]),
        (
            &["permissions_boundary"],
            &["iam:PutRolePermissionsBoundary", "iam:DeleteRolePermissionsBoundary"],
        ),
        (&["attached_policies"], &["iam:DetachRolePolicy"]),
    ];
    const UNMANAGED: &'static [&'static str] = &["attached_policies"];
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Iam("role", "name");
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Everything, cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByList(UntrackedKind::Role);
    const SUBJECT: PlanSubject = PlanSubject::Iam;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let boundary = self.permissions_boundary.as_ref();
        let boundary = boundary.map(|arn| labelled("bounded by", arn.as_str()));
        Summary::of([trust_in_words(&self.trust), boundary.unwrap_or_default()])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

/// Returns the principals of a trust policy in words. A statement in another form than an allowing
/// one without conditions is named, so that the reader looks at the policy.
fn trust_in_words(trust: &Value) -> String {
    let statements = match &trust["Statement"] {
        Value::Array(statements) => &statements[..],
        Value::Null => return "trust policy without a statement".to_owned(),
        single => std::slice::from_ref(single),
    };
    let in_words = |statement: &Value| {
        let mut principals = Vec::new();
        texts(&statement["Principal"], &mut principals);
        let verb = match statement["Effect"].as_str() {
            Some("Allow") => "may be assumed by",
            _ => "may not be assumed by",
        };
        let whom = match principals.is_empty() {
            true => "principals in another form, see the policy".to_owned(),
            false => phrase(principals),
        };
        let limits = if statement["Condition"].is_null() { "" } else { " on conditions" };
        format!("{verb} {whom}{limits}")
    };
    phrase(statements.iter().map(in_words).collect())
}

/// Collects all texts in a value.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, found)),
        _ => {}
    }
}

#[cfg(feature = "sdk")]
mod calls {
    use aws_sdk_iam::types::Role;
    use groundplan_engine::plan::{DriftClass, UnmanagedDrift};
    use groundplan_engine::provider::{self, ProviderError};
    use serde_json::json;

    use super::{IamRole, IamRoleOutputs, PolicyArn, RoleName};
    use crate::client::Aws;
    use crate::client::iam::{
        ABSENT, attachments_of_each, compared, delete_role, live_document, live_tags,
        managed_policies, tags,
    };
    use crate::client::outcomes::{incomplete, none_if, resolve_conflict};
    use crate::client::ownership::{ensure_ours, is_ours, our_tags, tag_changes};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
    use crate::model::attachment::Attachment;
    use crate::model::untracked::UntrackedKind;

    /// Name of the set of attached policies in unmanaged drift.
    const ATTACHED: &str = "attached_policies";

    impl KindOperations for IamRole {
        async fn create(&self, aws: &Aws, creation: &Creation) -> Result<IamRoleOutputs> {
            let all_tags = Aws::tags_with_token(&self.tags, &creation.token);
            let call = aws
                .iam
                .create_role()
                .role_name(self.name.as_str())
                .assume_role_policy_document(self.trust.to_string())
                .set_permissions_boundary(self.permissions_boundary.clone().map(|arn| arn.0))
                .set_tags(Some(tags(&all_tags)));
            match aws.call("iam", "CreateRole", call.send()).await {
                Ok(made) => made.role().map(outputs).ok_or_else(|| incomplete("CreateRole")),
                Err(error) if error.is(&["EntityAlreadyExists"]) => {
                    resolve_conflict(self.find(aws, creation).await, error)
                }
                Err(error) => Err(self.without_boundary(error)),
            }
        }

        async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<IamRoleOutputs>> {
            let Some(role) = get(aws, &self.name).await? else { return Ok(None) };
            let what = format!("the role {}", self.name);
            ensure_ours(aws, &creation.token, &live_tags(role.tags()), "GetRole", &what)?;
            Ok(Some(outputs(&role)))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let read = recorded.into_iter().map(|one| observe(aws, one));
            provider::all(read.collect()).await.into_iter().collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<IamRoleOutputs> {
            if self.trust != before.inputs.trust {
                let call = aws
                    .iam
                    .update_assume_role_policy()
                    .role_name(self.name.as_str())
                    .policy_document(self.trust.to_string());
                aws.call("iam", "UpdateAssumeRolePolicy", call.send()).await?;
            }
            self.update_boundary(aws, &before).await?;
            self.update_tags(aws, &before).await?;
            match before.outputs {
                Some(outputs) => Ok(outputs),
                None => get(aws, &self.name)
                    .await?
                    .as_ref()
                    .map(outputs)
                    .ok_or_else(|| incomplete("GetRole")),
            }
        }

        async fn revert(
            &self,
            aws: &Aws,
            outputs: &IamRoleOutputs,
            drift: &[UnmanagedDrift],
        ) -> Result<()> {
            for arn in drift.iter().filter_map(|one| one.added_to(ATTACHED)) {
                let call = aws.iam.detach_role_policy().role_name(outputs.name.as_str());
                let detached = call.policy_arn(arn).send();
                none_if(aws.call("iam", "DetachRolePolicy", detached).await, ABSENT)?;
            }
            Ok(())
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: IamRoleOutputs) -> Result<()> {
            delete_role(aws, outputs.name.as_str()).await
        }

        async fn attachments(
            aws: &Aws,
            doomed: Vec<IamRoleOutputs>,
        ) -> Result<Vec<Vec<Attachment>>> {
            attachments_of_each(aws, doomed.iter().map(|one| one.name.as_str()).collect()).await
        }
    }

    impl IamRole {
        /// Adds a hint to the error of a boundary that does not exist. IAM names it by `Scope ARN`.
        fn without_boundary(&self, error: ProviderError) -> ProviderError {
            match &self.permissions_boundary {
                Some(arn) if error.is(ABSENT) && error.message.contains("Scope ARN") => error
                    .with_hint(format!(
                        "create the policy {arn}, or correct `platform.aws.permissionsBoundary`"
                    )),
                _ => error,
            }
        }

        /// Sets the boundary, or removes the one of an earlier run.
        async fn update_boundary(&self, aws: &Aws, before: &Recorded<Self>) -> Result<()> {
            if self.permissions_boundary == before.inputs.permissions_boundary {
                return Ok(());
            }
            let name = self.name.as_str();
            match &self.permissions_boundary {
                Some(arn) => {
                    let call = aws.iam.put_role_permissions_boundary().role_name(name);
                    let put = call.permissions_boundary(arn.as_str()).send();
                    let put = aws.call("iam", "PutRolePermissionsBoundary", put).await;
                    put.map_err(|error| self.without_boundary(error)).map(drop)
                }
                None => {
                    let call = aws.iam.delete_role_permissions_boundary().role_name(name);
                    let deleted = call.send();
                    let deleted = aws.call("iam", "DeleteRolePermissionsBoundary", deleted).await;
                    none_if(deleted, ABSENT).map(drop)
                }
            }
        }

        async fn update_tags(&self, aws: &Aws, before: &Recorded<Self>) -> Result<()> {
            let (set, unset) = tag_changes(&before.inputs.tags, &self.tags);
            let name = self.name.as_str();
            if !set.is_empty() {
                let call = aws.iam.tag_role().role_name(name).set_tags(Some(tags(&set)));
                aws.call("iam", "TagRole", call.send()).await?;
            }
            if !unset.is_empty() {
                let call = aws.iam.untag_role().role_name(name).set_tag_keys(Some(unset));
                aws.call("iam", "UntagRole", call.send()).await?;
            }
            Ok(())
        }
    }

    /// Reads a role and the policies that are attached to it.
    async fn observe(aws: &Aws, recorded: Recorded<IamRole>) -> Result<Option<Live<IamRole>>> {
        let name = recorded.inputs.name.clone();
        let Some(role) = get(aws, &name).await? else { return Ok(None) };
        let Some(live) = live(aws, recorded, &role) else { return Ok(None) };
        let unmanaged = attached_policies(aws, &name).await?;
        Ok(Some(Live { unmanaged, ..live }))
    }

    /// Returns the managed policies of a role as drift. Without permission for the list, returns
    /// none and notes that they were not compared.
    async fn attached_policies(aws: &Aws, name: &RoleName) -> Result<Vec<UnmanagedDrift>> {
        let listed = managed_policies(aws, name.as_str()).await;
        let listed = compared(aws, "iam:ListAttachedRolePolicies", listed)?;
        let Some(arns) = listed else { return Ok(Vec::new()) };
        let drift = |arn: &String| {
            let item = format!("attached policy {arn}");
            UnmanagedDrift::addition(DriftClass::Security, ATTACHED, arn, &item, json!(arn))
        };
        let all = arns.iter().map(drift).collect();
        aws.watch.note_managed_policies(name.as_str(), arns);
        Ok(all)
    }

    async fn get(aws: &Aws, name: &RoleName) -> Result<Option<Role>> {
        let call = aws.iam.get_role().role_name(name.as_str());
        let answer = none_if(aws.call("iam", "GetRole", call.send()).await, ABSENT)?;
        Ok(answer.and_then(|answer| answer.role))
    }

    fn live(aws: &Aws, recorded: Recorded<IamRole>, role: &Role) -> Option<Live<IamRole>> {
        let all_tags = live_tags(role.tags());
        let is_owned = all_tags.contains_key(&aws.settings.cluster_tag);
        aws.watch.note_owned_name(UntrackedKind::Role, role.role_name(), is_owned);
        if !is_ours(aws, recorded.outputs.is_some(), &recorded.token, &all_tags) {
            return None;
        }
        let mut inputs = recorded.inputs;
        let trust = role.assume_role_policy_document().unwrap_or_default();
        inputs.trust = live_document(&inputs.trust, trust);
        // A boundary that no run has set belongs to the administrators of the account.
        if inputs.permissions_boundary.is_some() {
            let boundary = role.permissions_boundary();
            let boundary = boundary.and_then(|one| one.permissions_boundary_arn());
            inputs.permissions_boundary = boundary.map(PolicyArn::from);
        }
        inputs.tags = our_tags(&inputs.tags, &all_tags);
        Some(Live::new(inputs, outputs(role)))
    }

    fn outputs(role: &Role) -> IamRoleOutputs {
        IamRoleOutputs { name: role.role_name().into(), arn: role.arn().to_owned() }
    }
}
