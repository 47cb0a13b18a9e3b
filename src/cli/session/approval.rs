//! Approval of a plan: the answer that it needs from the user, and the options that replace the answer.

use groundplan_engine::event::Operation;
use groundplan_engine::plan::Plan;
use groundplan_openshift::plan_review;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::prompt::Answer;
use crate::cli::output::ui::Ui;
use crate::cli::session::execute::cannot_ask;
use crate::render::{Code, Diagnostic};

/// Part of a plan that its approval depends on.
#[derive(Clone, Copy, Debug)]
struct Subject<'a> {
    cluster: &'a str,
    is_destroy: bool,
    /// True if the plan contains changes that an installed cluster does not survive.
    is_danger: bool,
}

/// Approval that the arguments give already, and the user that can give the rest.
#[derive(Clone, Copy, Debug)]
struct Given<'a> {
    auto_approve: bool,
    /// Name of `--accept-danger`.
    accept_danger: Option<&'a str>,
    /// True for a saved plan, which the user has reviewed.
    is_saved: bool,
    /// True if the user can answer a prompt.
    can_ask: bool,
}

/// Returns the answer that a plan needs from the user; `None` if the arguments approve it.
///
/// # Errors
/// If the user cannot answer, if a danger needs `--accept-danger`, or if that option names another
/// cluster.
pub(super) fn needed_answer(
    plan: &Plan,
    common: &CommonArgs,
    is_saved: bool,
    ui: &Ui,
) -> Result<Option<Answer>> {
    let subject = Subject {
        cluster: plan.cluster.as_ref().map_or("", |cluster| &cluster.name),
        is_destroy: plan.operation == Operation::Destroy,
        is_danger: !plan_review::danger(plan).is_empty(),
    };
    let given = Given {
        auto_approve: common.auto_approve,
        accept_danger: common.accept_danger.as_deref(),
        is_saved,
        can_ask: ui.can_ask(),
    };
    decide(subject, given)
}

fn decide(subject: Subject<'_>, given: Given<'_>) -> Result<Option<Answer>> {
    let Subject { cluster, is_destroy, is_danger } = subject;
    let is_accepted = match given.accept_danger {
        Some(name) if name != cluster => return Err(another_cluster(name, cluster)),
        accepted => accepted.is_some(),
    };
    let is_given = given.auto_approve || given.is_saved;
    if !is_danger || is_accepted {
        return match (is_given, given.can_ask) {
            (true, _) => Ok(None),
            (false, true) => Ok(Some(Answer::Yes)),
            (false, false) => Err(cannot_ask()),
        };
    }
    // The command `destroy` says itself what it does, and so does its saved plan.
    let is_told = is_destroy && is_given;
    match given.can_ask && !given.auto_approve {
        true => Ok(Some(Answer::ClusterName(cluster.to_owned()))),
        false if is_told => Ok(None),
        false if is_destroy => Err(cannot_ask()),
        false => Err(not_accepted(cluster, given.is_saved)),
    }
}

fn not_accepted(cluster: &str, is_saved: bool) -> CommandError {
    let diagnostic = Diagnostic::error(
        Code::DangerNotAccepted,
        "an installed cluster does not survive this plan (see DANGER above), and --accept-danger is \
         missing; nothing was changed",
    );
    let approve = if is_saved { "" } else { "--auto-approve " };
    let hint = format!(
        "read the plan; to lose the cluster, run the command in a terminal, or pass \
         {approve}--accept-danger {cluster}"
    );
    CommandError::new(Exit::Refused, diagnostic.with_hint(hint))
}

fn another_cluster(name: &str, cluster: &str) -> CommandError {
    let summary = format!(
        "--accept-danger names the cluster {name}, but the plan is for the cluster {cluster}; nothing \
         was changed"
    );
    let diagnostic = Diagnostic::error(Code::DangerNotAccepted, summary);
    let hint = format!("pass --accept-danger {cluster}, or the --config and --state of {name}");
    CommandError::new(Exit::Refused, diagnostic.with_hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCRIPT: Given<'_> =
        Given { auto_approve: false, accept_danger: None, is_saved: false, can_ask: false };
    const TERMINAL: Given<'_> = Given { can_ask: true, ..SCRIPT };
    const HARMLESS: Subject<'_> = Subject { cluster: "demo", is_destroy: false, is_danger: false };
    const DANGER: Subject<'_> = Subject { is_danger: true, ..HARMLESS };
    const DESTROY: Subject<'_> = Subject { is_destroy: true, ..DANGER };

    fn answer(subject: Subject<'_>, given: Given<'_>) -> Option<Answer> {
        decide(subject, given).unwrap()
    }

    fn refused(subject: Subject<'_>, given: Given<'_>) -> String {
        let error = decide(subject, given).unwrap_err();
        assert_eq!(error.exit, Exit::Refused);
        format!("{:?}", error.diagnostics)
    }

    fn name() -> Option<Answer> {
        Some(Answer::ClusterName("demo".to_owned()))
    }

    #[test]
    fn a_harmless_plan_needs_a_yes_or_an_option_or_a_file() {
        assert_eq!(answer(HARMLESS, TERMINAL), Some(Answer::Yes));
        assert_eq!(answer(HARMLESS, Given { auto_approve: true, ..SCRIPT }), None);
        assert_eq!(answer(HARMLESS, Given { is_saved: true, ..TERMINAL }), None);
        assert!(refused(HARMLESS, SCRIPT).contains("without a terminal"));
    }

    #[test]
    fn a_danger_needs_the_name_typed_or_as_an_option() {
        assert_eq!(answer(DANGER, TERMINAL), name());
        assert_eq!(answer(DANGER, Given { is_saved: true, ..TERMINAL }), name());
        let accepted = Given { accept_danger: Some("demo"), ..SCRIPT };
        assert_eq!(answer(DANGER, Given { auto_approve: true, ..accepted }), None);
        assert_eq!(answer(DANGER, Given { is_saved: true, ..accepted }), None);
        assert_eq!(answer(DANGER, Given { can_ask: true, ..accepted }), Some(Answer::Yes));
        assert!(refused(DANGER, accepted).contains("without a terminal"));
    }

    #[test]
    fn auto_approve_alone_does_not_accept_a_danger() {
        for given in [SCRIPT, TERMINAL] {
            let error = refused(DANGER, Given { auto_approve: true, ..given });
            assert!(error.contains("--auto-approve --accept-danger demo"), "{error}");
        }
        let saved = refused(DANGER, Given { is_saved: true, ..SCRIPT });
        assert!(saved.contains("pass --accept-danger demo"), "{saved}");
        assert!(refused(DANGER, SCRIPT).contains("--accept-danger demo"));
    }

    #[test]
    fn a_destroy_says_itself_what_it_does() {
        assert_eq!(answer(DESTROY, TERMINAL), name());
        assert_eq!(answer(DESTROY, Given { is_saved: true, ..TERMINAL }), name());
        for given in [SCRIPT, TERMINAL] {
            assert_eq!(answer(DESTROY, Given { auto_approve: true, ..given }), None);
        }
        assert_eq!(answer(DESTROY, Given { is_saved: true, ..SCRIPT }), None);
        assert!(refused(DESTROY, SCRIPT).contains("without a terminal"));
    }

    #[test]
    fn the_name_must_be_that_of_the_cluster() {
        for subject in [HARMLESS, DANGER, DESTROY] {
            let wrong = Given { accept_danger: Some("prod"), auto_approve: true, ..SCRIPT };
            assert!(refused(subject, wrong).contains("names the cluster prod"));
        }
    }
}
