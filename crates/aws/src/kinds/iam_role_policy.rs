//! An inline policy of an IAM role: the permissions of the machines, as a part of their role.
//!
//! Other inline policies of the role are reported as unmanaged drift of the class security. If
//! several policies of one role are recorded, the first one reports them.

use std::collections::BTreeSet;

use groundplan_engine::graph::{Input, Resource, Schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PartOf, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::RoleName;
use crate::summary::{labelled, name, phrase};

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
        refresh: &["iam:GetRolePolicy", "iam:ListRolePolicies"],
        update: &["iam:PutRolePolicy", "iam:DeleteRolePolicy"],
        delete: &["iam:DeleteRolePolicy"],
    };
    const PART_OF: Option<PartOf> =
        Some(PartOf { input: "role", kind: "iam_role", arn_segments: None });
    const REPEAT: Repeat = Repeat::Idempotent;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[
        (&["document"], &["iam:PutRolePolicy"]),
        (&["inline_policies"], &["iam:DeleteRolePolicy"]),
    ];
    const UNMANAGED: &'static [&'static str] = &["inline_policies"];
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Iam("role", "role");
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Everything, cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
    const SUBJECT: PlanSubject = PlanSubject::Iam;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([labelled("for", &name(&self.role)), policy_in_words(&self.document)])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

/// Returns the number of actions that a policy allows, their services, and whether they apply to
/// all resources.
fn policy_in_words(document: &Value) -> String {
    let statements = match &document["Statement"] {
        Value::Array(statements) => &statements[..],
        single => std::slice::from_ref(single),
    };
    let list = |value: &Value| -> Vec<String> {
        let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let allowing: Vec<_> = statements.iter().filter(|one| one["Effect"] == "Allow").collect();
    let actions: BTreeSet<_> = allowing.iter().flat_map(|one| list(&one["Action"])).collect();
    let services: BTreeSet<_> =
        actions.iter().map(|action| action.split(':').next().unwrap_or_default()).collect();
    let services = phrase(services.into_iter().map(str::to_owned).collect());
    let on_all = allowing.iter().any(|one| list(&one["Resource"]).iter().any(|on| on == "*"));
    let on = if on_all { " on all resources" } else { " on named resources" };
    let plural = if actions.len() == 1 { "" } else { "s" };
    format!("allows {} action{plural} of {services}{on}", actions.len())
}

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::{BTreeMap, BTreeSet};

    use groundplan_engine::plan::{DriftClass, UnmanagedDrift};
    use groundplan_engine::provider;
    use serde_json::{Value, json};

    use super::{IamRolePolicy, IamRolePolicyOutputs, RoleName};
    use crate::client::Aws;
    use crate::client::iam::{ABSENT, compared, inline_policies, live_document};
    use crate::client::outcomes::{none_if, retry_on};
    use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

    /// Name of the set of inline policies in unmanaged drift.
    const INLINE: &str = "inline_policies";

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
            let mut ours: BTreeMap<RoleName, BTreeSet<String>> = BTreeMap::new();
            for Recorded { inputs, .. } in &recorded {
                let names = ours.entry(inputs.role.get().clone()).or_default();
                names.insert(inputs.name.clone());
            }
            let mut reported = BTreeSet::new();
            let read = recorded.into_iter().map(|Recorded { inputs, .. }| {
                let role = inputs.role.get().clone();
                let ours = reported.insert(role.clone()).then(|| &ours[&role]);
                inputs.observe(aws, ours)
            });
            provider::all(read.collect()).await.into_iter().collect()
        }

        async fn update(
            &self,
            aws: &Aws,
            _creation: &Creation,
            before: Recorded<Self>,
        ) -> Result<IamRolePolicyOutputs> {
            if self.document == before.inputs.document {
                return Ok(self.outputs());
            }
            self.put(aws).await
        }

        async fn revert(
            &self,
            aws: &Aws,
            outputs: &IamRolePolicyOutputs,
            drift: &[UnmanagedDrift],
        ) -> Result<()> {
            for name in drift.iter().filter_map(|one| one.added_to(INLINE)) {
                delete_inline(aws, &outputs.role, &name).await?;
            }
            Ok(())
        }

        async fn delete(aws: &Aws, _inputs: Self, outputs: IamRolePolicyOutputs) -> Result<()> {
            delete_inline(aws, &outputs.role, &outputs.name).await
        }
    }

    async fn delete_inline(aws: &Aws, role: &RoleName, name: &str) -> Result<()> {
        let call = aws.iam.delete_role_policy().role_name(role.as_str()).policy_name(name);
        none_if(aws.call("iam", "DeleteRolePolicy", call.send()).await, ABSENT).map(drop)
    }

    /// Returns the inline policies of a role that are not among `ours`. Without permission for the
    /// list, returns none and notes that they were not compared.
    async fn policies_of_others(
        aws: &Aws,
        role: &RoleName,
        ours: &BTreeSet<String>,
    ) -> Result<Vec<UnmanagedDrift>> {
        let listed = inline_policies(aws, role.as_str()).await;
        let listed = compared(aws, "iam:ListRolePolicies", listed)?;
        let Some(names) = listed else { return Ok(Vec::new()) };
        let drift = |name: &String| {
            let item = format!("inline policy {name}");
            UnmanagedDrift::addition(DriftClass::Security, INLINE, name, &item, json!(name))
        };
        let theirs = names.iter().filter(|name| !ours.contains(*name)).map(drift).collect();
        aws.watch.note_inline_policies(role.as_str(), names);
        Ok(theirs)
    }

    impl IamRolePolicy {
        /// Reads the policy. With `ours`, the names of the recorded policies of the role, reads the
        /// names of its other policies, too.
        async fn observe(
            self,
            aws: &Aws,
            ours: Option<&BTreeSet<String>>,
        ) -> Result<Option<Live<Self>>> {
            let Some(document) = self.live_document(aws).await? else { return Ok(None) };
            let unmanaged = match ours {
                Some(ours) => policies_of_others(aws, self.role.get(), ours).await?,
                None => Vec::new(),
            };
            let outputs = self.outputs();
            Ok(Some(Live { unmanaged, ..Live::new(Self { document, ..self }, outputs) }))
        }

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
