//! Loop of the termination handler: reads the notices, marks the Node, and clears the mark when the
//! notices are no longer in effect. Ends only when it is dropped.
//!
//! Errors of the metadata service and of the API server cause retries with growing pauses. Ending
//! with an error would miss the two minutes that a notice gives. A notice is kept until all its
//! actions are done, or until it is withdrawn ([`withdrawal`](super::withdrawal)). What to clear is
//! recorded on the Node, because a machine that was stopped comes back with another process.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Taint;
use tokio::time::{Instant, sleep};

use super::health::HandlerHealth;
use super::notice::{Consequence, Notice, NoticeSource, UnexpectedBody, read};
use super::withdrawal::{ABSENT_POLLS, Poll, Sign, wait_before_absence};
use crate::imds;
use crate::kube_client::Connect;
use crate::mark_record::{InvalidRecord, RecordedNotice};
use crate::own_node::{self, EventType, MarkCondition, Marked, NodeChange, OwnNode};

/// Condition of a Node whose machine is terminated. The words are those of OpenShift's own handler,
/// because machine health checks look for them (openshift/machine-api-provider-aws,
/// pkg/termination/handler.go).
pub const TERMINATING: MarkCondition = MarkCondition {
    kind: "Terminating",
    reason: "TerminationRequested",
    message: "The cloud provider has marked this instance for termination",
    cleared_reason: CLEARED,
    cleared_message: "No termination notice is in effect any more",
};

/// Reason of the Event and of the condition when the mark is cleared.
const CLEARED: &str = "TerminationCleared";

/// Key of the optional taint of such a Node.
pub const TAINT_KEY: &str = "groundplan.dev/terminating";

/// Longest pause after an error. A notice comes two minutes before the end.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// First pause after an error of the API server.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// Interval between two comparisons of a marked Node with the notices. From the third lost mark on it
/// doubles, up to [`LONGEST_CHECK`], so a client that removes the mark again and again causes few
/// writes.
const CHECK: Duration = Duration::from_secs(10);

/// Longest interval between two comparisons.
const LONGEST_CHECK: Duration = Duration::from_secs(300);

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
    /// Time before scheduled maintenance from which the Node is marked (default 24 hours: time to
    /// drain and replace the machine, and for a person to help if the drain is blocked).
    pub lead: Duration,
}

/// Function that returns the wall-clock time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

impl Default for HandlerSettings {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(5),
            sources: BTreeSet::from([NoticeSource::SpotTerminationTime]),
            cordon: false,
            taint: false,
            lead: Duration::from_secs(24 * 3600),
        }
    }
}

/// Message for the user.
#[derive(Debug)]
pub enum HandlerMessage<'a> {
    /// A notice arrived. The Node is marked from the given time; `None` means at once, or never for a
    /// warning.
    Announced(&'a Notice, Option<Timestamp>),
    /// A document has unexpected content.
    Strange(&'a UnexpectedBody),
    /// The metadata service does not respond. Sent once until the next response.
    NoAnswer(&'a imds::Error),
    /// The metadata service responds again.
    Answers,
    /// A change of the Node failed and will be repeated.
    NotDone(&'a own_node::Error),
    /// All actions of a notice are done: those before the given time, or all if it is `None`.
    Done(&'a Notice, Option<Timestamp>),
    /// The handler made these changes: `condition`, `cordon`, `taint`.
    Changed(&'a BTreeSet<&'static str>),
    /// A mark was lost while its notice is in effect, and is set again.
    Lost(MarkLoss),
    /// A notice is no longer in effect.
    Withdrawn(&'a Notice),
    /// The handler cleared these changes: `condition`, `cordon`, `taint`.
    Cleared(&'a BTreeSet<&'static str>),
    /// The Node has a record that this handler cannot read. The mark stays.
    InvalidRecord(&'a InvalidRecord),
    /// The Node is marked because of a notice in a document that is not read. The mark stays.
    NotWatched(&'a RecordedNotice),
}

/// Reason for a lost mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarkLoss {
    /// The Node was deleted and created again.
    NewNode,
    /// Another client removed the condition or changed its status.
    Condition,
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
    clock: Clock,
    tracked: Vec<TrackedNotice>,
    /// Unexpected contents that were already reported.
    strange: Vec<UnexpectedBody>,
    record: RecordReading,
    check: MarkCheck,
    /// Time of the last poll that counted as evidence. Retries after errors are closer together than
    /// polls and must not make three absences out of one.
    counted: Option<Instant>,
    /// Changes that were cleared since the last message about them.
    cleared: BTreeSet<&'static str>,
}

/// Notice that is in effect, or was until lately.
struct TrackedNotice {
    notice: Notice,
    /// True if the Event about the time of the mark was created.
    foretold: bool,
    /// True if a change of the Node because of this notice has begun.
    marked: bool,
    /// True if all actions are done.
    done: bool,
    /// Number of consecutive polls that prove its absence.
    absent: u32,
    /// Time from which its absence proves something; `None` means never.
    overdue_from: Option<Instant>,
}

impl TrackedNotice {
    fn is_gone(&self) -> bool {
        self.absent >= ABSENT_POLLS
    }

    /// Returns true if the Node is to have the mark of this notice now.
    fn is_marked(&self) -> bool {
        self.marked && self.done && !self.is_gone()
    }
}

/// Comparison of the marked Node with the notices.
#[derive(Default)]
struct MarkCheck {
    /// UID of the Node that was marked.
    uid: Option<String>,
    /// Time of the next comparison.
    next: Option<Instant>,
    /// Number of marks that were lost since the Node was marked for the first time.
    losses: u32,
    /// True if the last comparison failed.
    failed: bool,
}

/// Progress of reading the record on the Node.
#[derive(Default)]
struct RecordReading {
    /// True if the record was read.
    known: bool,
    troubles: u32,
    /// Time of the next attempt.
    next: Option<Instant>,
    /// True if the Node was marked because of notices that this handler does not read. The mark
    /// stays, because their absence is unknown.
    blocked: bool,
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
        Self {
            imds,
            target,
            settings,
            health,
            tell,
            clock: Arc::new(Timestamp::now),
            tracked: Vec::new(),
            strange: Vec::new(),
            record: RecordReading::default(),
            check: MarkCheck::default(),
            counted: None,
            cleared: BTreeSet::new(),
        }
    }

    /// Replaces the wall clock.
    #[must_use]
    pub fn with_clock(self, clock: Clock) -> Self {
        Self { clock, ..self }
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
            }
        }
    }

    async fn round(&mut self) -> RoundResult {
        let (poll, answered) = self.ask().await;
        self.health.record_response(answered);
        self.count_absences(&poll);
        let mut worked = self.work().await;
        // The record only matters for clearing, so a notice does not wait for it.
        if worked {
            self.read_record().await;
            worked = self.check_mark().await;
        }
        let withdrawn = self.withdraw().await;
        match (worked && withdrawn, answered) {
            (false, _) => RoundResult::NotDone,
            (true, true) => RoundResult::Quiet,
            (true, false) => RoundResult::NoAnswer,
        }
    }

    /// Reads every document. The second value is true if all reads succeeded.
    async fn ask(&mut self) -> (Poll, bool) {
        let mut trouble = None;
        let mut poll = Poll { complete: true, ..Poll::default() };
        for source in self.settings.sources.clone() {
            match self.imds.metadata(source.path()).await {
                Ok(body) => self.hear(source, body.as_deref(), &mut poll),
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
        poll.complete &= trouble.is_none();
        (poll, trouble.is_none())
    }

    fn hear(&mut self, source: NoticeSource, body: Option<&str>, poll: &mut Poll) {
        match read(source, body) {
            Ok(document) => {
                document.notices.iter().for_each(|notice| self.note(notice));
                poll.documents.push(document);
            }
            Err(strange) => {
                poll.complete = false;
                self.health.strange();
                if !self.strange.contains(&strange) {
                    (self.tell)(&HandlerMessage::Strange(&strange));
                    self.strange.retain(|one| one.source_of != source);
                    self.strange.push(strange);
                }
            }
        }
    }

    fn note(&mut self, notice: &Notice) {
        if !self.tracked.iter().any(|one| one.notice == *notice) {
            self.health.announced();
            (self.tell)(&HandlerMessage::Announced(notice, self.marks_from(notice)));
            self.track(notice.clone(), false);
        }
    }

    /// Adds a notice. One that is found in the record needs no action.
    fn track(&mut self, notice: Notice, recorded: bool) {
        let (foretold, marked, done) = (recorded, recorded, recorded);
        let wait = wait_before_absence(&notice, (self.clock)());
        let overdue_from = wait.and_then(|wait| Instant::now().checked_add(wait));
        let absent = 0;
        self.tracked.push(TrackedNotice { notice, foretold, marked, done, absent, overdue_from });
    }

    /// Returns the time of the mark if it is still to come.
    fn marks_from(&self, notice: &Notice) -> Option<Timestamp> {
        let later = |from: &Timestamp| *from > (self.clock)();
        let ends = notice.verdict == Consequence::Ending;
        notice.ends_from(self.settings.lead).filter(|from| ends && later(from))
    }

    /// Counts this poll as evidence for each tracked notice, or begins to count again.
    fn count_absences(&mut self, poll: &Poll) {
        let (now, lead) = ((self.clock)(), self.settings.lead);
        let spaced = self.settings.interval.mul_f64(0.75);
        let counts = self.counted.is_none_or(|at| at.elapsed() >= spaced);
        if counts {
            self.counted = Some(Instant::now());
        }
        for one in &mut self.tracked {
            let overdue = one.overdue_from.is_some_and(|from| from <= Instant::now());
            one.absent = match poll.sign(&one.notice, overdue, now, lead) {
                Some(Sign::Stated) => ABSENT_POLLS,
                Some(Sign::Absent) => one.absent.saturating_add(counts.into()),
                None => 0,
            };
        }
    }

    /// Performs the actions of all notices that are in effect. Returns true if none is left.
    async fn work(&mut self) -> bool {
        let mut all = true;
        for number in 0..self.tracked.len() {
            let one = &self.tracked[number];
            let from = self.marks_from(&one.notice);
            if one.done || one.is_gone() || (one.foretold && from.is_some()) {
                continue;
            }
            let notice = one.notice.clone();
            self.tracked[number].marked = notice.verdict == Consequence::Ending && from.is_none();
            match self.follow(&notice, from).await {
                Ok(()) => {
                    (self.tell)(&HandlerMessage::Done(&notice, from));
                    self.tracked[number].foretold = true;
                    self.tracked[number].done = from.is_none();
                }
                Err(error) => {
                    (self.tell)(&HandlerMessage::NotDone(&error));
                    all = false;
                }
            }
        }
        all
    }

    /// Reads the record that an earlier process left on the Node, until that succeeds once.
    async fn read_record(&mut self) {
        if self.record.known || self.record.next.is_some_and(|next| next > Instant::now()) {
            return;
        }
        let read = async { self.target.node().await?.record().await };
        match read.await {
            Ok(Ok(record)) => {
                self.record.known = true;
                for recorded in record.into_iter().flat_map(|record| record.notices) {
                    self.recall(&recorded);
                }
            }
            Ok(Err(invalid)) => {
                self.record.known = true;
                (self.tell)(&HandlerMessage::InvalidRecord(&invalid));
            }
            Err(error) => {
                self.health.failed();
                if self.record.troubles == 0 {
                    (self.tell)(&HandlerMessage::NotDone(&error));
                }
                self.record.troubles += 1;
                let pause = grown(FIRST_PAUSE, self.record.troubles);
                self.record.next = Some(Instant::now() + pause);
            }
        }
    }

    /// Compares the Node with the notices at intervals. Returns false if the Node is to be marked
    /// again, because it is another Node.
    async fn check_mark(&mut self) -> bool {
        if !self.tracked.iter().any(TrackedNotice::is_marked) {
            return true;
        }
        match self.check.next {
            Some(next) if next <= Instant::now() => (),
            Some(_) => return true,
            None => {
                self.plan_check();
                return true;
            }
        }
        let found = self.find_loss().await;
        let loss = match found {
            Ok(loss) => {
                self.check.failed = false;
                loss
            }
            Err(error) => {
                self.health.failed();
                if !std::mem::replace(&mut self.check.failed, true) {
                    (self.tell)(&HandlerMessage::NotDone(&error));
                }
                None
            }
        };
        if let Some(loss) = loss {
            self.check.losses += 1;
            (self.tell)(&HandlerMessage::Lost(loss));
        }
        self.plan_check();
        if loss == Some(MarkLoss::NewNode) {
            self.tracked.iter_mut().filter(|one| one.is_marked()).for_each(|one| one.done = false);
        }
        loss != Some(MarkLoss::NewNode)
    }

    fn plan_check(&mut self) {
        let pause = CHECK * (1 << self.check.losses.saturating_sub(2).min(8));
        self.check.next = Some(Instant::now() + pause.min(LONGEST_CHECK));
    }

    /// Returns how the mark was lost, and sets a lost condition again. A cordon or a taint that
    /// another client removed is that client's decision.
    async fn find_loss(&mut self) -> Result<Option<MarkLoss>, own_node::Error> {
        let node = self.target.node().await?;
        let state = node.mark_state(TERMINATING).await?;
        let known = std::mem::replace(&mut self.check.uid, state.uid.clone());
        if known.is_some() && known != state.uid {
            return Ok(Some(MarkLoss::NewNode));
        }
        if !state.is_lost {
            return Ok(None);
        }
        let change = node.mark_again(TERMINATING, (self.clock)()).await?;
        self.health.did(change);
        Ok((change == NodeChange::Made).then_some(MarkLoss::Condition))
    }

    fn recall(&mut self, recorded: &RecordedNotice) {
        self.health.set_marked(true);
        let source = NoticeSource::from_path(&recorded.source);
        let Some(source) = source.filter(|source| self.settings.sources.contains(source)) else {
            self.record.blocked = true;
            (self.tell)(&HandlerMessage::NotWatched(recorded));
            return;
        };
        let notice = Notice {
            source,
            verdict: Consequence::Ending,
            what: recorded.what.clone(),
            at: recorded.at,
            event: recorded.event.clone(),
        };
        match self.tracked.iter_mut().find(|one| one.notice == notice) {
            Some(one) => one.marked = true,
            None => self.track(notice, true),
        }
    }

    /// Drops the notices that are gone, and clears the mark if none is left that caused it. Returns
    /// false if the API server did not make all changes.
    async fn withdraw(&mut self) -> bool {
        let marks = || self.tracked.iter().filter(|one| one.marked);
        let kept = self.record.blocked || !self.record.known || marks().any(|one| !one.is_gone());
        if marks().next().is_some() && !kept {
            if let Err(error) = self.clear().await {
                (self.tell)(&HandlerMessage::NotDone(&error));
                return false;
            }
            self.health.set_marked(false);
            self.check = MarkCheck::default();
        }
        let leaves = |one: &TrackedNotice| one.is_gone() && !(one.marked && kept);
        let (gone, left) = std::mem::take(&mut self.tracked).into_iter().partition(leaves);
        self.tracked = left;
        let gone: Vec<_> = gone;
        gone.iter().for_each(|one| (self.tell)(&HandlerMessage::Withdrawn(&one.notice)));
        let cleared = std::mem::take(&mut self.cleared);
        if !cleared.is_empty() {
            self.health.cleared();
            (self.tell)(&HandlerMessage::Cleared(&cleared));
        }
        true
    }

    /// Clears all recorded changes of the Node, then the record.
    async fn clear(&mut self) -> Result<(), own_node::Error> {
        let mut first = Ok(());
        let cleared = self.clear_changes(&mut first).await;
        self.cleared.extend(cleared);
        first
    }

    async fn clear_changes(
        &self,
        first: &mut Result<(), own_node::Error>,
    ) -> BTreeSet<&'static str> {
        let mut cleared = BTreeSet::new();
        let read = async {
            let node = self.target.node().await?;
            let record = node.record().await?;
            Ok((node, record))
        };
        let (node, record) = match read.await {
            Ok((node, Ok(Some(record)))) => (node, record),
            // Without a record, no change is ours.
            Ok((_, Ok(None) | Err(_))) => return cleared,
            Err(error) => {
                self.count(Err(error), first);
                return cleared;
            }
        };
        let now = (self.clock)();
        for (what, step) in [
            ("cordon", node.uncordon().await),
            ("taint", node.untaint(&taint()).await),
            ("condition", node.unmark(TERMINATING, now).await),
        ] {
            if matches!(step, Ok(NodeChange::Made)) {
                cleared.insert(what);
            }
            self.count(step, first);
        }
        if first.is_ok() {
            let mut message = "no termination notice is in effect any more:".to_owned();
            for notice in &record.notices {
                let _ = write!(message, " {}", notice.what);
                let _ = notice.at.map_or(Ok(()), |at| write!(message, ", at {at}"));
                message.push(';');
            }
            message.push_str(" the changes of the Node are cleared");
            let event = node.create_event(EventType::Normal, CLEARED, &message, now).await;
            self.count(event, first);
        }
        if first.is_ok() {
            self.count(node.forget().await, first);
        }
        cleared
    }

    async fn follow(
        &mut self,
        notice: &Notice,
        from: Option<Timestamp>,
    ) -> Result<(), own_node::Error> {
        match self.target.node().await {
            Ok(node) => self.follow_on(&node, notice, from).await,
            Err(error) => {
                self.health.failed();
                Err(error)
            }
        }
    }

    /// Performs every action, even after an error, because each one helps by itself. Before the time
    /// of the mark there is only an Event. Returns the first error.
    async fn follow_on(
        &mut self,
        node: &OwnNode,
        notice: &Notice,
        from: Option<Timestamp>,
    ) -> Result<(), own_node::Error> {
        let mut first = Ok(());
        if notice.verdict == Consequence::Ending && from.is_none() {
            let notices = self.causes();
            let mut changed = BTreeSet::new();
            match self.mark(node, &notices).await {
                Ok(marked) => {
                    changed.extend((!marked.was_true).then_some("condition"));
                    self.count(Ok(marked.change), &mut first);
                }
                Err(error) => self.count(Err(error), &mut first),
            }
            let mut steps = Vec::new();
            if self.settings.cordon {
                steps.push(("cordon", node.cordon(&notices).await));
            }
            if self.settings.taint {
                steps.push(("taint", node.taint(&taint(), &notices).await));
            }
            for (what, step) in steps {
                if matches!(step, Ok(NodeChange::Made)) {
                    changed.insert(what);
                }
                self.count(step, &mut first);
            }
            if !changed.is_empty() {
                (self.tell)(&HandlerMessage::Changed(&changed));
            }
        }
        let (reason, mut message) = (notice.source.reason(), notice.to_string());
        if let Some(from) = from {
            let _ = write!(message, "; the Node is marked from {from}");
        }
        let event = node.create_event(EventType::Warning, reason, &message, (self.clock)()).await;
        self.count(event, &mut first);
        first
    }

    /// Returns all notices that end the machine now. They are recorded together, in one write.
    fn causes(&self) -> Vec<RecordedNotice> {
        let (now, lead) = ((self.clock)(), self.settings.lead);
        let ending = self
            .tracked
            .iter()
            .filter(|one| one.marked || (!one.is_gone() && one.notice.ends(now, lead)));
        ending.map(|one| recorded(&one.notice)).collect()
    }

    async fn mark(
        &mut self,
        node: &OwnNode,
        notices: &[RecordedNotice],
    ) -> Result<Marked, own_node::Error> {
        let marked = node.mark(TERMINATING, notices, (self.clock)()).await?;
        self.health.set_marked(true);
        self.check.uid.clone_from(&marked.uid);
        Ok(marked)
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

fn recorded(notice: &Notice) -> RecordedNotice {
    RecordedNotice {
        source: notice.source.path().to_owned(),
        what: notice.what.clone(),
        at: notice.at,
        event: notice.event.clone(),
    }
}

pub(super) fn taint() -> Taint {
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
