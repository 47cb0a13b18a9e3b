//! Display of a plan before execution, and its guards.

use std::path::Path;

use groundplan_aws::schemas;
use groundplan_engine::plan::Plan;
use groundplan_engine::plan::guard::{Guards, violations};
use groundplan_engine::provider::Schemas;
use groundplan_openshift::plan_review;

use crate::cli::args::{self, CommonArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::width::width;
use crate::cli::session::aws_session::AwsSession;
use crate::plan_policy::{self, PolicyError, PolicyViolation};
use crate::prices::{PriceFileError, Prices};
use crate::render::document;
use crate::render::plan::Describe;
use crate::render::{Code, Diagnostic, PlanView};

/// Returns the view of a plan that every command shows.
pub(crate) fn view<'a>(
    common: &'a CommonArgs,
    plan: &'a Plan,
    full: bool,
    warnings: &'a [String],
) -> PlanView<'a> {
    let describe = Describe {
        subject: plan_review::subject,
        summary: plan_review::summary,
        is_part: plan_review::is_part,
        billed: plan_review::billed,
        volumes: plan_review::volumes,
        danger: plan_review::danger,
        schema: |kind| schemas().schema(kind),
    };
    PlanView {
        plan,
        full,
        warnings,
        classify: plan_review::class,
        describe,
        width: width(),
        identity: None,
        notes: &[],
        prices: common.price_list.as_ref(),
    }
}

/// Returns the view of a plan in a run with these credentials.
pub(crate) fn view_in<'a>(
    session: &'a AwsSession,
    common: &'a CommonArgs,
    plan: &'a Plan,
    full: bool,
    warnings: &'a [String],
) -> PlanView<'a> {
    PlanView { identity: Some(session.identity()), ..view(common, plan, full, warnings) }
}

/// Reads a file of prices. Commands call this before their first call to AWS.
pub(crate) fn prices(path: &Path) -> Result<Prices> {
    Prices::read(path).map_err(|error| {
        let code = match error {
            PriceFileError::Unreadable { .. } => Code::FileUnreadable,
            PriceFileError::Malformed { .. } => Code::FileInvalid,
        };
        let diagnostic = Diagnostic::error(code, error.to_string())
            .with_hint("correct the file of --prices; docs/prices.md has its keys and an example");
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    })
}

/// Returns an error with all violations of guards and policies, if there are any.
pub(crate) fn enforce_guards(view: &PlanView<'_>, guards: &args::GuardArgs) -> Result<()> {
    let plan = view.plan;
    let limits = Guards { max_destroy: guards.max_destroy, expect: guards.expect };
    let shown = |one| Diagnostic::of_violation(one, plan.cluster.as_ref());
    let mut diagnostics: Vec<_> = violations(plan, &limits).iter().map(shown).collect();
    if !guards.policy.is_empty() {
        let document = document::plan(view, &schemas());
        let violated = plan_policy::judge(&guards.policy, document).map_err(|e| unusable(&e))?;
        diagnostics.extend(violated.iter().map(violated_policy));
    }
    match diagnostics.is_empty() {
        true => Ok(()),
        false => Err(CommandError { exit: Exit::Refused, diagnostics }),
    }
}

/// Returns an error for a policy that cannot be used. Commands call this before their first call to
/// AWS, so that a malformed file ends them early.
pub(crate) fn check_policies(guards: &args::GuardArgs) -> Result<()> {
    match guards.policy.is_empty() {
        true => Ok(()),
        false => plan_policy::check(&guards.policy).map_err(|error| unusable(&error)),
    }
}

fn unusable(error: &PolicyError) -> CommandError {
    let diagnostic = Diagnostic::error(Code::PolicyInvalid, error.to_string())
        .with_hint("correct the policy; docs/policies.md has the form, bounds and examples");
    CommandError::new(Exit::ConfigInvalid, diagnostic)
}

/// Maximum number of addresses in the message of a policy.
const SHOWN: usize = 20;

fn violated_policy(violation: &PolicyViolation) -> Diagnostic {
    let PolicyViolation { policy, file, message, addresses, error } = violation;
    let mut diagnostic =
        Diagnostic::error(Code::PolicyViolated, format!("policy {policy}: {message}")).with_hint(
            format!(
                "change the configuration so that the plan meets the policy in {}",
                file.display()
            ),
        );
    diagnostic.detail = addresses.iter().take(SHOWN).cloned().collect();
    if let more @ 1.. = addresses.len().saturating_sub(SHOWN) {
        diagnostic = diagnostic.with_detail(format!("and {more} more"));
    }
    match error {
        Some(error) => diagnostic.with_detail(format!("the expression has no result: {error}")),
        None => diagnostic,
    }
}
