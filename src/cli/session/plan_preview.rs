//! Display of a plan before execution, and its guards.

use groundplan_engine::plan::Plan;
use groundplan_engine::plan::guard::{Guards, violations};
use groundplan_openshift::plan_review;

use crate::cli::args;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::width::width;
use crate::render::plan::Describe;
use crate::render::{Diagnostic, PlanView};

/// Returns the view of a plan that every command shows.
pub(crate) fn view<'a>(plan: &'a Plan, full: bool, warnings: &'a [String]) -> PlanView<'a> {
    let describe = Describe { subject: plan_review::subject, summary: plan_review::summary };
    PlanView { plan, full, warnings, classify: plan_review::class, describe, width: width() }
}

/// Returns the plan warnings: of the install-config, and of the plan itself.
pub(crate) fn plan_warnings(of_config: &[String], plan: &Plan) -> Vec<String> {
    of_config.iter().cloned().chain(plan_review::plan_warnings(plan)).collect()
}

/// Returns an error with all violations of guards, if there are any.
pub(crate) fn enforce_guards(plan: &Plan, guards: &args::GuardArgs) -> Result<()> {
    let guards = Guards { max_destroy: guards.max_destroy, expect: guards.expect };
    let against = violations(plan, &guards);
    if against.is_empty() {
        return Ok(());
    }
    let shown = |one| Diagnostic::of_violation(one, plan.cluster.as_ref());
    Err(CommandError { exit: Exit::Refused, diagnostics: against.iter().map(shown).collect() })
}
