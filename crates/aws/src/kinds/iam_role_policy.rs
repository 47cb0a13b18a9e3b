//! An inline policy of an IAM role: the permissions of the machines, as a part of their role.

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::{
    Actions, ArnForm, DriftFields, Kind, QuotaCount, Repeat, SecurityFields, SweepMethod,
};
use crate::model::ids::RoleName;

/// Inputs of an inline policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRolePolicy {
    /// Role of the policy.
    pub role: Input<RoleName>,
    /// Name, unique in the role.
    pub name: String,
    /// Policy document: the permissions of the role.
    pub document: Value,
}

/// Outputs of an inline policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRolePolicyOutputs {
    /// Role of the policy.
    pub role: RoleName,
    /// Name of the policy.
    pub name: String,
}

impl Resource for IamRolePolicy {
    const SCHEMA: Schema = Schema {
        force_new: &["role", "name"],
        stable_outputs: &["role", "name"],
        ..Schema::of("iam_role_policy", Self::REPEAT.identity())
    };
    type Outputs = IamRolePolicyOutputs;
}

impl Kind for IamRolePolicy {
    const ACTIONS: Actions = Actions {
        create: &["iam:PutRolePolicy"],
        configure: &[],
        refresh: &["iam:GetRolePolicy"],
        update: &["iam:PutRolePolicy"],
        delete: &["iam:DeleteRolePolicy"],
    };
    const REPEAT: Repeat = Repeat::Idempotent;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Iam("role", "role");
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Everything, cosmetic: &[], always_shown: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
}

#[cfg(feature = "sdk")]
mod calls {
    use serde_json::Value;

    use super::{IamRolePolicy, IamRolePolicyOutputs};
    use crate::client::Aws;
    use crate::client::iam::{ABSENT, live_document};
    use crate::client::outcomes::{none_if, retry_on};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    impl KindOperations for IamRolePolicy {
        async fn create(&self, aws: &Aws, _creation: &Creation) -> Result<IamRolePolicyOutputs> {
            self.put(aws).await
        }

        /// Returns outputs if the live document has the same meaning as the wanted one. A different
        /// document counts as not found, because `PutRolePolicy` replaces it.
        async fn find(
            &self,
            aws: &Aws,
            _creation: &Creation,
        ) -> Result<Option<IamRolePolicyOutputs>> {
            let live = self.live_document(aws).await?;
            Ok(live.filter(|live| *live == self.document).map(|_| self.outputs()))
        }

        async fn refresh(
            aws: &Aws,
            recorded: Vec<Recorded<Self>>,
        ) -> Result<Vec<Option<Live<Self>>>> {
            let mut all = Vec::with_capacity(recorded.len());
            for Recorded { inputs, .. } in recorded {
                let live = inputs.live_document(aws).await?;
                let outputs = inputs.outputs();
                all.push(
                    live.map(|document| Live { inputs: Self { document, ..inputs }, outputs }),
                );
            }
            Ok(all)
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            _before: Recorded<Self>,
        ) -> Result<IamRolePolicyOutputs> {
            self.put(aws).await
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: IamRolePolicyOutputs) -> Result<()> {
            let call = aws
                .iam
                .delete_role_policy()
                .role_name(outputs.role.as_str())
                .policy_name(outputs.name);
            none_if(aws.call("iam", "DeleteRolePolicy", call.send()).await, ABSENT).map(drop)
        }
    }

    impl IamRolePolicy {
        async fn put(&self, aws: &Aws) -> Result<IamRolePolicyOutputs> {
            let call = aws
                .iam
                .put_role_policy()
                .role_name(self.role.get().as_str())
                .policy_name(&self.name)
                .policy_document(self.document.to_string());
            // `NoSuchEntity`: a new role is not visible to every IAM server at once.
            retry_on(aws.call("iam", "PutRolePolicy", call.send()).await, ABSENT)?;
            Ok(self.outputs())
        }

        /// Returns the live document, in the form of the wanted one if both mean the same. `None`
        /// if the role or the policy is missing.
        async fn live_document(&self, aws: &Aws) -> Result<Option<Value>> {
            let call = aws
                .iam
                .get_role_policy()
                .role_name(self.role.get().as_str())
                .policy_name(&self.name);
            let policy = none_if(aws.call("iam", "GetRolePolicy", call.send()).await, ABSENT)?;
            Ok(policy.map(|policy| live_document(&self.document, policy.policy_document())))
        }

        fn outputs(&self) -> IamRolePolicyOutputs {
            IamRolePolicyOutputs { role: self.role.get().clone(), name: self.name.clone() }
        }
    }
}
