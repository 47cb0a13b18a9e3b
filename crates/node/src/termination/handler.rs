//! Loop of the termination handler: reads the notices and marks the Node. Ends only when it is
//! dropped.
//!
//! Errors of the metadata service and of the API server cause retries with growing pauses. Ending
//! with an error would miss the two minutes that a notice gives. A notice is kept until all its
//! actions are done. Once the Node is marked as terminating, the loop idles.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use tokio::time::sleep;

use super::health::HandlerHealth;
use super::notice::{Consequence, Notice, NoticeSource, UnexpectedBody, read};
use crate::imds;
use crate::kube_client::Connect;
use crate::own_node::{self, NodeChange, OwnNode, TrueCondition};

/// Condition of a Node whose machine is terminated. The words are those of OpenShift's own handler,
/// because machine health checks look for them (openshift/machine-api-provider-aws,
/// pkg/termination/handler.go).
pub const TERMINATING: TrueCondition = TrueCondition {
    kind: "Terminating",
    reason: "TerminationRequested",
    message: "The cloud provider has marked this instance for termination",
};

/// Key of the optional taint of such a Node.
pub const TAINT_KEY: &str = "groundplan.dev/terminating";

/// Longest pause after an error. A notice comes two minutes before the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// First pause after an error of the API server.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Settings of the handler.
#[derive(Clone, Debug)]
pub struct HandlerSettings {
    /// Interval between two rounds (default five seconds). Up to a fifth of it is random, because
    /// all programs on a machine share one rate limit.
    pub interval: Duration,
    /// Documents to read.
    pub sources: BTreeSet<NoticeSource>,
    /// True if the Node becomes unschedulable when its machine is terminated.
    pub cordon: bool,
    /// True if the Node gets a taint when its machine is terminated.
    pub taint: bool,
}

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            sources: BTreeSet::from([NoticeSource::SpotTerminationTime]),
            cordon: false,
            taint: false,
        }
    }
}

/// Message for the user.
#[derive(Debug)]
pub enum HandlerMessage<'a> {
    /// A notice arrived.
    Announced(&'a Notice),
    /// A document has unexpected content.
    Strange(&'a UnexpectedBody),
    /// The metadata service does not respond. Sent once until the next response.
    NoAnswer(&'a imds::Error),
    /// The metadata service responds again.
    Answers,
    /// A change of the Node failed and will be repeated.
    NotDone(&'a own_node::Error),
    /// All actions of a notice are done.
    Done(&'a Notice),
}

/// Function that receives the messages.
pub type ReportMessage<'a> = Box<dyn Fn(&HandlerMessage<'_>) + Send + Sync + 'a>;

/// Name of a Node, and the connection to its API server.
pub struct NodeTarget {
    /// Field `metadata.name` of the Node.
    pub name: String,
    /// Makes a client when there is a change to send.
    pub connect: Connect,
}

impl NodeTarget {
    async fn node(&self) -> Result<OwnNode, own_node::Error> {
        let client = (self.connect)()
            .await
            .map_err(|source| own_node::Error::NoClient { node: self.name.clone(), source })?;
        Ok(OwnNode::new(client, &self.name))
    }
}

/// Handler of one machine and its Node.
pub struct Handler<'a> {
    imds: imds::Client,
    target: NodeTarget,
    settings: HandlerSettings,
    health: Arc<HandlerHealth>,
    tell: ReportMessage<'a>,
    /// Notices with actions that are not done yet.
    pending: Vec<Notice>,
    /// Notices with all actions done.
    done: Vec<Notice>,
    /// Unexpected contents that were already reported.
    strange: Vec<UnexpectedBody>,
}

/// Result of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RoundResult {
    /// All reads succeeded, and no action is left.
    Quiet,
    /// The metadata service did not respond.
    NoAnswer,
    /// Actions of a notice are not done.
    NotDone,
    /// The Node is marked as terminating.
    Ended,
}

impl<'a> Handler<'a> {
    /// Returns a handler without any notices.
    pub fn new(
        imds: imds::Client,
        target: NodeTarget,
        settings: HandlerSettings,
        health: Arc<HandlerHealth>,
        tell: ReportMessage<'a>,
    ) -> Self {
        let (pending, done, strange) = (Vec::new(), Vec::new(), Vec::new());
        Self { imds, target, settings, health, tell, pending, done, strange }
    }

    /// Runs the loop. The caller may drop the future at any time: another run completes all
    /// unfinished changes.
    pub async fn run(mut self) -> Infallible {
        let mut troubles = 0;
        loop {
            let round = self.round().await;
            troubles = if round == RoundResult::Quiet { 0 } else { troubles + 1 };
            match round {
                RoundResult::Quiet => sleep(jittered(self.settings.interval)).await,
                RoundResult::NoAnswer => {
                    sleep(jittered(grown(self.settings.interval, troubles))).await;
                }
                RoundResult::NotDone => sleep(jittered(grown(FIRST_PAUSE, troubles))).await,
                RoundResult::Ended => std::future::pending().await,
            }
        }
    }

    async fn round(&mut self) -> RoundResult {
        let answered = self.ask().await;
        self.health.record_response(answered);
        let done = self.work().await;
        let ends = |notice: &Notice| notice.verdict == Consequence::Ending;
        match (done, answered) {
            (false, _) => RoundResult::NotDone,
            (true, _) if self.done.iter().any(ends) => RoundResult::Ended,
            (true, true) => RoundResult::Quiet,
            (true, false) => RoundResult::NoAnswer,
        }
    }

    /// Reads every document. Returns true if all reads succeeded.
    async fn ask(&mut self) -> bool {
        let mut trouble = None;
        for source in self.settings.sources.clone() {
            match self.imds.metadata(source.path()).await {
                Ok(body) => self.hear(source, body.as_deref()),
                Err(error) => trouble = Some(error),
            }
        }
        match (&trouble, self.health.answers()) {
            (Some(error), was) if was != Some(false) => {
                (self.tell)(&HandlerMessage::NoAnswer(error));
            }
            (None, Some(false)) => (self.tell)(&HandlerMessage::Answers),
            _ => (),
        }
        trouble.is_none()
    }

    fn hear(&mut self, source: NoticeSource, body: Option<&str>) {
        match read(source, body) {
            Ok(notices) => notices.into_iter().for_each(|notice| self.note(notice)),
            Err(strange) => {
                self.health.strange();
                if !self.strange.contains(&strange) {
                    (self.tell)(&HandlerMessage::Strange(&strange));
                    self.strange.retain(|one| one.source_of != source);
                    self.strange.push(strange);
                }
            }
        }
    }

    fn note(&mut self, notice: Notice) {
        if !self.done.contains(&notice) && !self.pending.contains(&notice) {
            self.health.announced();
            (self.tell)(&HandlerMessage::Announced(&notice));
            self.pending.push(notice);
        }
    }

    /// Performs the actions of all pending notices. Returns true if none is left.
    async fn work(&mut self) -> bool {
        for notice in std::mem::take(&mut self.pending) {
            match self.follow(&notice).await {
                Ok(()) => {
                    (self.tell)(&HandlerMessage::Done(&notice));
                    self.done.push(notice);
                }
                Err(error) => {
                    (self.tell)(&HandlerMessage::NotDone(&error));
                    self.pending.push(notice);
                }
            }
        }
        self.pending.is_empty()
    }

    async fn follow(&self, notice: &Notice) -> Result<(), own_node::Error> {
        match self.target.node().await {
            Ok(node) => self.follow_on(&node, notice).await,
            Err(error) => {
                self.health.failed();
                Err(error)
            }
        }
    }

    /// Performs every action, even after an error, because each one helps by itself. Returns the
    /// first error.
    async fn follow_on(&self, node: &OwnNode, notice: &Notice) -> Result<(), own_node::Error> {
        let mut first = Ok(());
        if notice.verdict == Consequence::Ending {
            self.count(self.mark(node).await, &mut first);
            if self.settings.cordon {
                self.count(node.cordon().await, &mut first);
            }
            if self.settings.taint {
                self.count(node.taint(&taint()).await, &mut first);
            }
        }
        let (reason, message) = (notice.source.reason(), notice.to_string());
        self.count(node.create_event(reason, &message, Timestamp::now()).await, &mut first);
        first
    }

    async fn mark(&self, node: &OwnNode) -> Result<NodeChange, own_node::Error> {
        let change = node.mark(TERMINATING, Timestamp::now()).await?;
        self.health.marked();
        Ok(change)
    }

    fn count(
        &self,
        step: Result<NodeChange, own_node::Error>,
        first: &mut Result<(), own_node::Error>,
    ) {
        match step {
            Ok(change) => self.health.did(change),
            Err(error) => {
                self.health.failed();
                if first.is_ok() {
                    *first = Err(error);
                }
            }
        }
    }
}

fn taint() -> Taint {
    Taint { key: TAINT_KEY.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
}

/// Returns the pause after consecutive errors: doubled for each one, up to a limit.
fn grown(first: Duration, troubles: u32) -> Duration {
    let factor = 1 << troubles.saturating_sub(1).min(8);
    (first * factor).min(LONGEST_PAUSE.max(first))
}

/// Shortens a pause at random by up to a fifth. The interval between reads never exceeds the
/// setting.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 5.0)
}
