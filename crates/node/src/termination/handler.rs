//! The loop: asks what is announced, and has the Node say so. Ends only when it is dropped.
//!
//! Trouble with the metadata service or the API server is waited out, with pauses that grow: to end for
//! it would miss the two minutes that a notice gives. A notice is kept until everything that follows
//! from it is done. Once the end of the machine is marked, nothing is left to find out, and it idles.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use tokio::time::sleep;

use super::health::Health;
use super::notice::{Notice, Source, Strange, Verdict, read};
use crate::imds;
use crate::kube_client::Connect;
use crate::own_node::{self, Change, Condition, OwnNode};

/// What a Node says whose machine goes: the same words as OpenShift's own handler has, since machine
/// health checks look for them (openshift/machine-api-provider-aws, pkg/termination/handler.go).
pub const TERMINATING: Condition = Condition {
    kind: "Terminating",
    reason: "TerminationRequested",
    message: "The cloud provider has marked this instance for termination",
};

/// The taint of such a Node, where one is asked for.
pub const TAINT_KEY: &str = "groundplan.dev/terminating";

/// Pauses after trouble grow up to this. A notice comes two minutes before the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The first pause after trouble with the API server.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// What is watched for, and what is done then.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How often is asked. A little of it is left to chance, since everybody on a machine shares one
    /// rate.
    pub interval: Duration,
    /// Which documents are read.
    pub sources: BTreeSet<Source>,
    /// Whether the Node takes no more pods once its machine goes.
    pub cordon: bool,
    /// Whether it gets a taint then.
    pub taint: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            sources: BTreeSet::from([Source::SpotTerminationTime]),
            cordon: false,
            taint: false,
        }
    }
}

/// Something to tell people about.
#[derive(Debug)]
pub enum Said<'a> {
    /// Something is announced.
    Announced(&'a Notice),
    /// A document has what it should not have.
    Strange(&'a Strange),
    /// The metadata service gives no answer. Told once until it answers again.
    NoAnswer(&'a imds::Error),
    /// It answers again.
    Answers,
    /// The Node is not as it should be; it is tried again.
    NotDone(&'a own_node::Error),
    /// The Node says what is announced.
    Done(&'a Notice),
}

/// Where is told what happens.
pub type Tell<'a> = Box<dyn Fn(&Said<'_>) + Send + Sync + 'a>;

/// A Node by its name, and how its API server is reached.
pub struct Target {
    /// `metadata.name`
    pub name: String,
    /// Used when there is something to do.
    pub connect: Connect,
}

impl Target {
    async fn node(&self) -> Result<OwnNode, own_node::Error> {
        let client = (self.connect)()
            .await
            .map_err(|source| own_node::Error::NoClient { node: self.name.clone(), source })?;
        Ok(OwnNode::new(client, &self.name))
    }
}

/// Watches one machine for one Node.
pub struct Handler<'a> {
    imds: imds::Client,
    target: Target,
    settings: Settings,
    health: Arc<Health>,
    tell: Tell<'a>,
    /// What was announced and is not done yet.
    pending: Vec<Notice>,
    /// What is done.
    done: Vec<Notice>,
    /// What was strange, so that it is told once.
    strange: Vec<Strange>,
}

/// How a round went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Round {
    /// Everybody answered, and nothing is left to do.
    Quiet,
    /// The metadata service did not answer.
    NoAnswer,
    /// Something that was announced is not done.
    NotDone,
    /// The end is marked.
    Ended,
}

impl<'a> Handler<'a> {
    /// A handler that has done nothing yet.
    pub fn new(
        imds: imds::Client,
        target: Target,
        settings: Settings,
        health: Arc<Health>,
        tell: Tell<'a>,
    ) -> Self {
        let (pending, done, strange) = (Vec::new(), Vec::new(), Vec::new());
        Self { imds, target, settings, health, tell, pending, done, strange }
    }

    /// Watches. Whoever wants an end drops it: between two requests, or within one, nothing is half
    /// done that another run would not complete.
    pub async fn run(mut self) -> Infallible {
        let mut troubles = 0;
        loop {
            let round = self.round().await;
            troubles = if round == Round::Quiet { 0 } else { troubles + 1 };
            match round {
                Round::Quiet => sleep(jittered(self.settings.interval)).await,
                Round::NoAnswer => sleep(jittered(grown(self.settings.interval, troubles))).await,
                Round::NotDone => sleep(jittered(grown(FIRST_PAUSE, troubles))).await,
                Round::Ended => std::future::pending().await,
            }
        }
    }

    async fn round(&mut self) -> Round {
        let answered = self.ask().await;
        self.health.asked(answered);
        let done = self.work().await;
        let ends = |notice: &Notice| notice.verdict == Verdict::Ending;
        match (done, answered) {
            (false, _) => Round::NotDone,
            (true, _) if self.done.iter().any(ends) => Round::Ended,
            (true, true) => Round::Quiet,
            (true, false) => Round::NoAnswer,
        }
    }

    /// Reads every document; whether each could be read.
    async fn ask(&mut self) -> bool {
        let mut trouble = None;
        for source in self.settings.sources.clone() {
            match self.imds.metadata(source.path()).await {
                Ok(body) => self.hear(source, body.as_deref()),
                Err(error) => trouble = Some(error),
            }
        }
        match (&trouble, self.health.answers()) {
            (Some(error), was) if was != Some(false) => (self.tell)(&Said::NoAnswer(error)),
            (None, Some(false)) => (self.tell)(&Said::Answers),
            _ => (),
        }
        trouble.is_none()
    }

    fn hear(&mut self, source: Source, body: Option<&str>) {
        match read(source, body) {
            Ok(notices) => notices.into_iter().for_each(|notice| self.note(notice)),
            Err(strange) => {
                self.health.strange();
                if !self.strange.contains(&strange) {
                    (self.tell)(&Said::Strange(&strange));
                    self.strange.retain(|one| one.source_of != source);
                    self.strange.push(strange);
                }
            }
        }
    }

    fn note(&mut self, notice: Notice) {
        if !self.done.contains(&notice) && !self.pending.contains(&notice) {
            self.health.announced();
            (self.tell)(&Said::Announced(&notice));
            self.pending.push(notice);
        }
    }

    /// Does what follows from what was announced; whether nothing is left of it.
    async fn work(&mut self) -> bool {
        for notice in std::mem::take(&mut self.pending) {
            match self.follow(&notice).await {
                Ok(()) => {
                    (self.tell)(&Said::Done(&notice));
                    self.done.push(notice);
                }
                Err(error) => {
                    (self.tell)(&Said::NotDone(&error));
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

    /// Every step, whether or not one before it failed: each helps by itself. The first error counts.
    async fn follow_on(&self, node: &OwnNode, notice: &Notice) -> Result<(), own_node::Error> {
        let mut first = Ok(());
        if notice.verdict == Verdict::Ending {
            self.count(self.mark(node).await, &mut first);
            if self.settings.cordon {
                self.count(node.cordon().await, &mut first);
            }
            if self.settings.taint {
                self.count(node.taint(&taint()).await, &mut first);
            }
        }
        let (reason, message) = (notice.source.reason(), notice.to_string());
        self.count(node.tell(reason, &message, Timestamp::now()).await, &mut first);
        first
    }

    async fn mark(&self, node: &OwnNode) -> Result<Change, own_node::Error> {
        let change = node.mark(TERMINATING, Timestamp::now()).await?;
        self.health.marked();
        Ok(change)
    }

    fn count(
        &self,
        step: Result<Change, own_node::Error>,
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

/// Twice as long for each trouble in a row, within reason.
fn grown(first: Duration, troubles: u32) -> Duration {
    let factor = 1 << troubles.saturating_sub(1).min(8);
    (first * factor).min(LONGEST_PAUSE.max(first))
}

/// Up to a fifth less, so that nobody is asked more seldom than was said.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 - fastrand::f64() / 5.0)
}
