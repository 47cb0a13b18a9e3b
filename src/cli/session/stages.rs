//! The stages of a command that plans, changes or recovers what a state records. Each stage is a
//! type, and each transition consumes the stage before it:
//!
//! ```text
//!  Session<P>        arguments accepted; for P = ToChange, the user can confirm
//!     |  claim       open the state if it exists: take its lock, or for P = ToPlan only read it
//!     |  connect     verify the credentials and the account
//!     |  lock        open a new state, after all checks of the inputs
//!     v
//!  Locked<P, I>      I: the inputs of the plan -----> replace   (P = ToRecover: record and end)
//!     |  plan        plan, show, enforce the guards, reject ownership conflicts
//!     v
//!  Planned<P, I>     -------------------------------> close     (P = ToPlan: end)
//!     |  approve     the user confirms, or --auto-approve, or a saved plan (P = ToChange)
//!     v
//!  Approved<I>
//!     |  execute     record the start, enable changes in AWS, run the steps
//!     v
//!  Executed
//! ```
//!
//! The AWS clients are read-only up to [`Approved::execute`]: [`AwsSession::enable_changes`] takes an
//! [`Approval`], which only [`Planned::approve`] makes.

use std::marker::PhantomData;
use std::sync::Arc;

use groundplan_aws::{Aws, AwsSettings};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{LiveState, Plan};
use groundplan_engine::refresh::read_live_state;
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, LookupCache, State};
use groundplan_openshift::topology::Workers;

use crate::cli::args::{CommonArgs, WaitArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::approval::needed_answer;
use crate::cli::session::aws_session::{self, AwsSession};
use crate::cli::session::execute::{ExecutionSettings, answered, run_steps, settings};
use crate::cli::session::locked_state::{LockedState, OpenState, UnlockedState};
use crate::cli::session::sole_owner::SoleOwnerGate;
use crate::cli::session::state_backend;
use crate::render::screen;

/// Purpose of a session: how it opens the state.
pub(crate) trait Purpose {
    /// The opened state.
    type Held: OpenState;
}

/// Purpose of a session that plans, and records nothing. Many such sessions run at once, also while
/// another run changes the state, and they need no permission to write.
#[derive(Debug)]
pub(crate) struct ToPlan;

impl Purpose for ToPlan {
    type Held = UnlockedState;
}

/// Purpose of a session that changes AWS after the user's approval.
#[derive(Debug)]
pub(crate) struct ToChange;

impl Purpose for ToChange {
    type Held = LockedState;
}

/// Purpose of a session that records a lost state again and changes nothing in AWS.
#[derive(Debug)]
pub(crate) struct ToRecover;

impl Purpose for ToRecover {
    type Held = LockedState;
}

/// Operation of a recovery in the history.
pub(super) const RECOVER: &str = "recover";

/// First stage: nothing is read or locked.
#[derive(Debug)]
#[must_use]
pub(crate) struct Session<'a, P> {
    /// Operation that the state lock and the history name.
    operation: &'static str,
    pub(super) common: &'a CommonArgs,
    pub(super) stop: &'a Shutdown,
    purpose: PhantomData<P>,
}

impl<'a> Session<'a, ToPlan> {
    pub(crate) fn to_plan(common: &'a CommonArgs, stop: &'a Shutdown) -> Self {
        Self { operation: "plan", common, stop, purpose: PhantomData }
    }
}

impl<'a> Session<'a, ToChange> {
    pub(crate) fn to_change(
        operation: &'static str,
        common: &'a CommonArgs,
        stop: &'a Shutdown,
    ) -> Self {
        Self { operation, common, stop, purpose: PhantomData }
    }
}

impl<'a> Session<'a, ToRecover> {
    pub(crate) fn to_recover(common: &'a CommonArgs, stop: &'a Shutdown) -> Self {
        Self { operation: RECOVER, common, stop, purpose: PhantomData }
    }
}

impl<'a, P: Purpose> Session<'a, P> {
    /// Opens the state if it exists. A missing state is opened later, by [`Connected::lock`].
    pub(super) async fn claim(self, name: &str, ui: &mut Ui) -> Result<Claimed<'a, P>> {
        let place = self.common.state.of(name);
        let held = match state_backend::is_there(&place, self.common).await? {
            true => Some(self.take(name, ui).await?),
            false => None,
        };
        Ok(self.claimed(name, held))
    }

    /// Leaves the lock of a state that is known to be missing to [`Connected::lock`].
    pub(super) fn claim_missing(self, name: &str) -> Claimed<'a, P> {
        self.claimed(name, None)
    }

    fn claimed(self, name: &str, held: Option<P::Held>) -> Claimed<'a, P> {
        Claimed { session: self, name: name.to_owned(), held }
    }

    async fn take(&self, name: &str, ui: &mut Ui) -> Result<P::Held> {
        P::Held::open(self.common, name, self.operation, ui).await
    }
}

/// Session whose state is open, unless the state is missing.
#[must_use]
pub(crate) struct Claimed<'a, P: Purpose> {
    session: Session<'a, P>,
    name: String,
    held: Option<P::Held>,
}

impl<'a, P: Purpose> Claimed<'a, P> {
    /// Returns the recorded state; `None` if it is missing.
    pub(crate) fn state(&self) -> Option<&State> {
        self.held.as_ref().map(OpenState::state)
    }

    /// Connects to AWS, read-only, and verifies the credentials. The account must be the
    /// recorded one, if there is one.
    pub(crate) async fn connect(
        self,
        settings: AwsSettings,
        recorded_account: Option<&str>,
        ui: &mut Ui,
    ) -> Result<Connected<'a, P>> {
        let connection = aws_session::reach(settings, recorded_account, ui).await?;
        Ok(Connected { claimed: self, connection })
    }
}

/// Claimed session that is connected to AWS.
#[must_use]
pub(crate) struct Connected<'a, P: Purpose> {
    claimed: Claimed<'a, P>,
    pub(super) connection: AwsSession,
}

impl<'a, P: Purpose> Connected<'a, P> {
    /// Returns the recorded state; `None` if it is missing.
    pub(crate) fn state(&self) -> Option<&State> {
        self.claimed.state()
    }

    /// Returns the AWS clients, which are read-only.
    pub(crate) fn aws(&self) -> &Aws {
        self.connection.aws()
    }

    /// Returns the account ID of the credentials.
    pub(crate) fn account(&self) -> &str {
        &self.connection.caller().account
    }

    /// Opens a state that was missing, which creates it unless the session only reads. `accept` can
    /// reject a state that another run has created in the meantime.
    pub(super) async fn lock<I>(
        self,
        accept: fn(P::Held) -> Result<P::Held>,
        inputs: I,
        ui: &mut Ui,
    ) -> Result<Locked<'a, P, I>> {
        let Self { claimed: Claimed { session, name, held }, connection } = self;
        let held = match held {
            Some(held) => held,
            None => accept(session.take(&name, ui).await?)?,
        };
        Ok(Locked { session, held, connection, inputs })
    }
}

/// Second stage: the state is open (locked, unless the session only plans), and AWS can be read.
#[must_use]
pub(crate) struct Locked<'a, P: Purpose, I> {
    pub(super) session: Session<'a, P>,
    pub(super) held: P::Held,
    pub(super) connection: AwsSession,
    pub(super) inputs: I,
}

impl<'a, P: Purpose, I> Locked<'a, P, I> {
    /// Returns the AWS clients, which are read-only.
    pub(crate) fn aws(&self) -> &Aws {
        self.connection.aws()
    }

    /// Reads the live state of the recorded resources.
    pub(super) async fn live_state(&self) -> Result<LiveState> {
        read_live_state(self.held.state(), self.aws())
            .await
            .map_err(|error| CommandError::call("refresh the state", &error))
    }

    /// Returns a warning about the parts of resources that the last refresh could not compare; `None`
    /// if it has compared everything.
    pub(super) fn not_compared(&self) -> Option<String> {
        let missing: Vec<&str> = self.aws().not_compared().into_iter().collect();
        let missing = missing.join(" and ");
        (!missing.is_empty()).then(|| {
            format!(
                "not compared: policies that others added to roles; allow {missing} to compare them"
            )
        })
    }

    /// Continues with a plan that was shown and that no guard rejects.
    pub(super) fn planned<J>(self, inputs: impl FnOnce(I) -> J, plan: Plan) -> Planned<'a, P, J> {
        let Self { session, held, connection, .. } = self;
        Planned { session, held, connection, inputs: inputs(self.inputs), plan }
    }
}

/// Inputs of a plan that its preflight and its execution need.
pub(crate) trait PlanInputs {
    /// Question of the prompt.
    const QUESTION: &'static str;

    /// Returns the graph of the desired state; `None` if nothing is desired.
    fn graph(&self) -> Option<&Graph>;

    /// Returns the state that the plan was made from. `recorded` is the locked state.
    fn state<'s>(&'s self, recorded: &'s State) -> &'s State;

    /// Returns the machines that a new cluster creates by itself within the hour.
    fn workers(&self, recorded: &State) -> Vec<Workers>;

    /// Returns the entries to record before the first change. A plan without changes records them, too,
    /// if a resource is recorded.
    fn entries(&self) -> &[Entry];

    /// Returns the time of the check for other owners of the cluster, if the check must be repeated
    /// after the first creation.
    fn unproven_owner(&self) -> Option<&str>;

    /// Returns the secrets that the steps need.
    fn into_secrets(self) -> Secrets;
}

/// Third stage: the plan was shown, no guard rejects it, and it changes no resource of another
/// owner.
#[must_use]
pub(crate) struct Planned<'a, P: Purpose, I> {
    pub(super) session: Session<'a, P>,
    pub(super) held: P::Held,
    pub(super) connection: AwsSession,
    pub(super) inputs: I,
    pub(super) plan: Plan,
}

impl<P: Purpose, I> Planned<'_, P, I> {
    /// Returns the name of the cluster; `None` if the plan has none.
    pub(crate) fn cluster_name(&self) -> Option<String> {
        self.plan.cluster.as_ref().map(|cluster| cluster.name.clone())
    }

    /// Returns true if the plan is only a part of what could be planned.
    pub(crate) fn is_part(&self) -> bool {
        self.plan.selection.is_some()
    }
}

impl<I: PlanInputs> Planned<'_, ToChange, I> {
    /// Returns the question of the prompt, with the cluster and the account that it is about.
    fn question(&self) -> String {
        let account = format!("account {}", self.connection.caller().account);
        let about = match &self.plan.cluster {
            Some(Cluster { name, infra_id, region, .. }) => {
                format!("cluster {name} ({infra_id}), {account}, {region}")
            }
            None => account,
        };
        format!("{}\n  {}", I::QUESTION, screen::one_line(&about))
    }
}

impl<'a, I: PlanInputs> Planned<'a, ToChange, I> {
    /// Asks the user for confirmation, unless the plan is empty or the arguments approve it. A saved
    /// plan was reviewed by the user, who names its file: only a danger in it needs an answer.
    ///
    /// # Errors
    /// If the user does not confirm, cannot confirm (no terminal or `--json`), or requests a shutdown.
    /// If the plan is a danger that the arguments do not accept.
    pub(crate) async fn approve(self, is_saved: bool, ui: &mut Ui) -> Result<Approved<'a, I>> {
        let Session { common, stop, .. } = self.session;
        if !self.plan.is_empty() {
            let needed = needed_answer(&self.plan, common, is_saved, ui)?;
            if let Some(answer) = needed {
                let question = self.question();
                answered(question, answer, ui, stop).await?;
            }
            if !is_saved {
                ui.print_line("")?;
            }
        }
        Ok(Approved { planned: self, approval: Approval(()) })
    }
}

/// Proof that a plan is approved. Only [`Planned::approve`] makes one.
#[derive(Debug)]
pub(super) struct Approval(());

/// Last stage before changes: the plan is approved.
#[must_use]
pub(crate) struct Approved<'a, I> {
    planned: Planned<'a, ToChange, I>,
    approval: Approval,
}

impl<I: PlanInputs> Approved<'_, I> {
    /// Records the start of the run, enables changes in AWS while the state lock is held and no
    /// shutdown is requested, runs the steps, and prints the result.
    pub(crate) async fn execute(self, waits: WaitArgs, ui: &mut Ui) -> Result<Executed> {
        let Self { planned, approval } = self;
        let Planned { session, mut held, connection, inputs, plan } = planned;
        let Session { common, stop, .. } = session;
        // Before the first resource, an identity is recorded only together with it.
        if !plan.is_empty() || !held.state.has_nothing() {
            held.record(inputs.entries(), ui).await?;
        }
        if !(plan.is_empty() && plan.dependency_updates.is_empty()) {
            held.begin(ui).await?;
        }
        let unproven_owner = inputs.unproven_owner().filter(|_| !plan.is_empty());
        let unproven_owner = unproven_owner.map(str::to_owned);
        if unproven_owner.is_some() && unproven_owner != held.state.lookup_cache.unproven_owner {
            let due = LookupCache::unproven_owner_entry(unproven_owner.clone());
            held.record(&[due], ui).await?;
        }
        let fence = stop.or_shutdown(held.backend.fence());
        let aws = connection.enable_changes(approval, fence);
        let gate = unproven_owner
            .zip(held.state.cluster.as_ref())
            .map(|(since, cluster)| Arc::new(SoleOwnerGate::new(&aws, cluster, &since)));
        let secrets = Arc::new(inputs.into_secrets());
        let provider = Arc::clone(&aws);
        let settings = ExecutionSettings { apply: settings(common, waits), gate };
        let exit = run_steps(&plan, held, provider, secrets, settings, ui, stop).await?;
        Ok(Executed { exit, aws })
    }
}

/// Result of an execution. The state lock is released.
#[must_use]
pub(crate) struct Executed {
    pub(crate) exit: Exit,
    aws: Arc<Aws>,
}

impl Executed {
    /// Returns the AWS clients, to read what is left.
    pub(crate) fn aws(&self) -> &Aws {
        &self.aws
    }
}
