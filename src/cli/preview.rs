//! How a plan is shown before anything is done, and what refuses it then.

use super::args;
use super::exit::Exit;
use super::failure::{Failure, Result};
use crate::aws::attention;
use crate::plan::Plan;
use crate::plan::guard::{Guards, violations};
use crate::render::{Diagnostic, PlanView};

/// A plan as every command shows it.
pub(super) fn view<'a>(plan: &'a Plan, full: bool, warnings: &'a [String]) -> PlanView<'a> {
    let (classify, telling) = (attention::class, attention::telling);
    PlanView { plan, full, warnings, classify, telling }
}

/// What the reader should know: of the config, and of what the plan does.
pub(super) fn cautions(of_config: &[String], plan: &Plan) -> Vec<String> {
    of_config.iter().cloned().chain(attention::cautions(plan)).collect()
}

/// Whether nothing stands against a plan; everything that does is told at once.
pub(super) fn guarded(plan: &Plan, guards: &args::Guards) -> Result<()> {
    let guards = Guards { max_destroy: guards.max_destroy, expect: guards.expect };
    let against = violations(plan, &guards);
    if against.is_empty() {
        return Ok(());
    }
    let shown = |one| Diagnostic::of_violation(one, plan.cluster.as_ref());
    Err(Failure { exit: Exit::Refused, diagnostics: against.iter().map(shown).collect() })
}
