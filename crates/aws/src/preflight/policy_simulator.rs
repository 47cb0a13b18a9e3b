//! Queries IAM about the caller's permissions (`SimulatePrincipalPolicy`). Changes nothing.
//!
//! The simulation includes identity policies, permissions boundaries and organization policies. It
//! omits session policies, and conditions on values that the request does not contain. A denial
//! therefore counts only if no condition value is missing.

use std::collections::BTreeSet;

use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType,
};

use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::model::ids::PolicyArn;
use crate::{Aws, Caller};

/// The result of the simulation for an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SimulationResult {
    /// The action is allowed.
    Allowed,
    /// A policy denies the action explicitly.
    Forbidden,
    /// No policy allows the action.
    NotAllowed,
    /// The result depends on values that the simulation does not get.
    Depends,
}

/// An action on a resource, with the simulation's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SimulatedAction {
    /// The action, such as `iam:CreateRole`.
    pub action: String,
    /// The ARN of the resource, or `*`.
    pub resource: String,
    /// The result of the simulation.
    pub decision: SimulationResult,
    /// True if an organization policy denies the action.
    pub by_organization: bool,
}

/// Returns the ARN whose policies IAM can simulate: the user or role behind the credentials. `None`
/// for the account's root, who is allowed everything, and for federated users.
pub async fn principal(aws: &Aws, caller: &Caller) -> Result<Option<String>> {
    match Principal::of(&caller.arn) {
        Principal::Itself => Ok(Some(caller.arn.clone())),
        Principal::Role { name } => {
            // The ARN of a role contains its path, and the session's ARN omits the path.
            let call = aws.iam.get_role().role_name(name).send();
            match aws.call("iam", "GetRole", call).await {
                // Most roles have no path.
                Err(error) if error.is(&["AccessDenied"]) => Ok(Some(without_path(caller, name))),
                answer => Ok(none_if(answer, &["NoSuchEntity"])?
                    .and_then(|one| one.role)
                    .map(|role| role.arn)),
            }
        }
        Principal::Nobody => Ok(None),
    }
}

fn without_path(caller: &Caller, role: &str) -> String {
    let partition = caller.arn.split(':').nth(1).unwrap_or("aws");
    format!("arn:{partition}:iam::{}:role/{role}", caller.account)
}

#[derive(Debug, PartialEq)]
enum Principal<'a> {
    Itself,
    Role { name: &'a str },
    Nobody,
}

impl<'a> Principal<'a> {
    /// Maps a caller ARN: `arn:aws:sts::123456789012:assumed-role/NAME/SESSION` is a session of the
    /// role NAME.
    fn of(arn: &'a str) -> Self {
        let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
        let mut parts = resource.split('/');
        match (parts.next(), parts.next()) {
            (Some("user" | "role"), Some(_)) => Self::Itself,
            (Some("assumed-role"), Some(name)) => Self::Role { name },
            _ => Self::Nobody,
        }
    }
}

/// Returns the result of the simulation for each of these actions on each of these resources.
///
/// `boundary` is the permissions boundary of the roles that the actions create or change, for
/// policies with a condition on it.
pub async fn simulate(
    aws: &Aws,
    principal: &str,
    actions: &BTreeSet<String>,
    resources: &BTreeSet<String>,
    boundary: Option<&PolicyArn>,
) -> Result<Vec<SimulatedAction>> {
    let context = boundary.map(|arn| {
        ContextEntry::builder()
            .context_key_name("iam:PermissionsBoundary")
            .context_key_type(ContextKeyTypeEnum::String)
            .context_key_values(arn.as_str())
            .build()
    });
    let mut judgements = Vec::new();
    let mut marker = None;
    loop {
        let call = aws
            .iam
            .simulate_principal_policy()
            .policy_source_arn(principal)
            .set_action_names(Some(actions.iter().cloned().collect()))
            .set_resource_arns(Some(resources.iter().cloned().collect()))
            .set_context_entries(context.clone().map(|one| vec![one]))
            .max_items(1000)
            .set_marker(marker);
        let page = aws.call("iam", "SimulatePrincipalPolicy", call.send()).await?;
        for result in page.evaluation_results() {
            judgements.extend(to_results(result));
        }
        marker = page.marker.filter(|_| page.is_truncated);
        if marker.is_none() {
            return Ok(judgements);
        }
    }
}

/// Returns the results, one per resource if IAM distinguishes resources.
fn to_results(result: &EvaluationResult) -> Vec<SimulatedAction> {
    let by_organization = result
        .organizations_decision_detail()
        .is_some_and(|detail| !detail.allowed_by_organizations());
    let judgement = |resource: Option<&str>, decision, missing: &[String]| SimulatedAction {
        action: result.eval_action_name().to_owned(),
        resource: resource.unwrap_or("*").to_owned(),
        decision: self::decision(decision, missing, result.eval_action_name()),
        by_organization,
    };
    let each = result.resource_specific_results();
    if each.is_empty() {
        let missing = result.missing_context_values();
        return vec![judgement(result.eval_resource_name(), result.eval_decision(), missing)];
    }
    let each = each.iter().map(|one| {
        let missing = one.missing_context_values();
        judgement(Some(one.eval_resource_name()), one.eval_resource_decision(), missing)
    });
    each.collect()
}

fn decision(
    decision: &PolicyEvaluationDecisionType,
    missing: &[String],
    action: &str,
) -> SimulationResult {
    // A creation without a boundary lacks this key in the real call, too.
    let is_certain = |key: &String| {
        action == "iam:CreateRole" && key.eq_ignore_ascii_case("iam:PermissionsBoundary")
    };
    match decision {
        PolicyEvaluationDecisionType::Allowed => SimulationResult::Allowed,
        _ if !missing.iter().all(is_certain) => SimulationResult::Depends,
        PolicyEvaluationDecisionType::ExplicitDeny => SimulationResult::Forbidden,
        _ => SimulationResult::NotAllowed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_role_and_who_has_no_policies_is_nobody() {
        let role = "arn:aws:sts::123456789012:assumed-role/admin/alice";
        assert_eq!(Principal::of(role), Principal::Role { name: "admin" });
        assert_eq!(Principal::of("arn:aws:iam::123456789012:user/ops/alice"), Principal::Itself);
        assert_eq!(Principal::of("arn:aws:iam::123456789012:root"), Principal::Nobody);
        let federated = "arn:aws:sts::123456789012:federated-user/alice";
        assert_eq!(Principal::of(federated), Principal::Nobody);
    }

    #[test]
    fn a_role_that_may_not_look_at_itself_is_taken_to_have_no_path() {
        let arn = "arn:aws-us-gov:sts::123456789012:assumed-role/admin/alice".to_owned();
        let caller = Caller { account: "123456789012".to_owned(), arn };
        assert_eq!(without_path(&caller, "admin"), "arn:aws-us-gov:iam::123456789012:role/admin");
    }

    #[test]
    fn a_no_that_hangs_on_a_condition_is_no_no() {
        let missing = ["aws:RequestTag/team".to_owned()];
        let implicit = PolicyEvaluationDecisionType::ImplicitDeny;
        assert_eq!(decision(&implicit, &missing, "ec2:CreateVpc"), SimulationResult::Depends);
        assert_eq!(decision(&implicit, &[], "ec2:CreateVpc"), SimulationResult::NotAllowed);
        let explicit = PolicyEvaluationDecisionType::ExplicitDeny;
        assert_eq!(decision(&explicit, &[], "ec2:CreateVpc"), SimulationResult::Forbidden);
        assert_eq!(
            decision(&PolicyEvaluationDecisionType::Allowed, &missing, "ec2:CreateVpc"),
            SimulationResult::Allowed
        );
    }
    #[test]
    fn a_role_without_a_boundary_is_certainly_created_without_one() {
        let explicit = PolicyEvaluationDecisionType::ExplicitDeny;
        let boundary = ["iam:PermissionsBoundary".to_owned()];
        assert_eq!(decision(&explicit, &boundary, "iam:CreateRole"), SimulationResult::Forbidden);
        assert_eq!(decision(&explicit, &boundary, "iam:PutRolePolicy"), SimulationResult::Depends);
        let both = ["iam:PermissionsBoundary".to_owned(), "aws:RequestTag/team".to_owned()];
        assert_eq!(decision(&explicit, &both, "iam:CreateRole"), SimulationResult::Depends);
    }
}
