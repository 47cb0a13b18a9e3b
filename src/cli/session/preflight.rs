//! Preflight of a command: permissions and quotas, checked before the first change.

use groundplan_aws::model::partition::Partition;
use groundplan_engine::graph::Graph;
use groundplan_openshift::topology::Workers;

use crate::cli::args::ImdsGateArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::AwsSession;
use crate::cli::session::locked_state::OpenState;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::{PlanInputs, Planned, Purpose};
use crate::cli::session::targeting;
use crate::preflight::demands::PreflightInputs;
use crate::preflight::{self, PreflightReport};

impl<P: Purpose, I: PlanInputs> Planned<'_, P, I> {
    /// Prints what is not known about the use of IMDSv1 on machines whose tokens become required.
    ///
    /// # Errors
    /// If a machine still uses IMDSv1 and its use is not accepted, or a shutdown.
    pub(crate) async fn gate(&self, gate: &ImdsGateArgs, ui: &mut Ui) -> Result<()> {
        let nothing = Graph::default();
        let site = PreflightInputs {
            plan: &self.plan,
            graph: self.inputs.graph().unwrap_or(&nothing),
            state: self.inputs.state(self.held.state()),
        };
        let accepted = &gate.accept_imdsv1_use;
        targeting::ensure_known("--accept-imdsv1-use", accepted, site.graph, site.state)?;
        let aws = self.connection.aws();
        let asking = preflight::gate(aws, &site, accepted, gate.imdsv1_days);
        let asking = async { refuse(Box::pin(asking).await, ui) };
        unless_stopped(self.session.stop, asking).await
    }

    /// Prints all warnings of the preflight.
    ///
    /// # Errors
    /// All findings that would stop the plan half way, or a shutdown.
    pub(crate) async fn preflight(&self, ui: &mut Ui) -> Result<()> {
        let (state, nothing) = (self.inputs.state(self.held.state()), Graph::default());
        let site = PreflightInputs {
            plan: &self.plan,
            graph: self.inputs.graph().unwrap_or(&nothing),
            state,
        };
        let workers = self.inputs.workers(state);
        let asking = Box::pin(judged(&site, &workers, &self.connection, ui));
        unless_stopped(self.session.stop, asking).await
    }
}

async fn judged(
    site: &PreflightInputs<'_>,
    workers: &[Workers],
    connection: &AwsSession,
    ui: &mut Ui,
) -> Result<()> {
    let region = site.state.cluster.as_ref().map_or("", |cluster| cluster.region.as_str());
    let partition = Partition::of_region(region).name;
    let (aws, caller) = (connection.aws(), connection.caller());
    refuse(preflight::preflight(aws, caller, partition, site, workers).await, ui)
}

fn refuse(report: PreflightReport, ui: &mut Ui) -> Result<()> {
    let PreflightReport { findings, notes, decided } = report;
    decided.iter().try_for_each(|value| ui.talk(&format!("note: {value}")))?;
    for note in notes {
        ui.diagnostic(&note)?;
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(CommandError { exit: Exit::Refused, diagnostics: findings })
}
