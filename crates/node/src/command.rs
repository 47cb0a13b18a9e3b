//! The termination handler as a command: options, start, and the wording of reports. Prints nothing.

use std::collections::BTreeSet;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::http::probes;
use crate::imds::{self, Client, Endpoint, InvalidEndpoint};
use crate::kube_client::{self, KubeClientError};
use crate::termination::handler::{
    Handler, HandlerMessage, HandlerSettings, MarkLoss, NodeTarget, ReportMessage,
};
use crate::termination::health::HandlerHealth;
use crate::termination::notice::{Consequence, Notice, NoticeSource};

/// Options of the termination handler.
#[derive(Clone, Debug, Args)]
pub struct HandlerOptions {
    /// Name of the Node of this machine.
    #[arg(long, value_name = "NAME", env = "NODE_NAME", value_parser = NonEmptyStringValueParser::new())]
    pub node_name: String,
    /// Interval between two polls, 1s to 60s.
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = poll_interval)]
    pub poll_interval: Duration,
    /// Read spot/instance-action as well.
    ///
    /// A spot instance that is stopped or hibernated has no termination time.
    #[arg(long)]
    pub instance_action: bool,
    /// Report rebalance recommendations in an Event.
    ///
    /// The Node is not marked.
    #[arg(long)]
    pub rebalance: bool,
    /// Read scheduled maintenance as well.
    ///
    /// Retirements and stops mark the Node. Reboots are reported in an Event.
    #[arg(long)]
    pub maintenance: bool,
    /// Time before scheduled maintenance from which the Node is marked.
    ///
    /// AWS announces a retirement weeks ahead. Before this time an Event says when the Node will be
    /// marked. 0 marks the Node when the maintenance may begin.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = lead_time)]
    #[arg(requires = "maintenance")]
    pub maintenance_lead_time: Duration,
    /// Read the target lifecycle state of the Auto Scaling group.
    ///
    /// The state `Terminated` marks the Node.
    #[arg(long)]
    pub lifecycle: bool,
    /// Cordon a marked Node.
    #[arg(long)]
    pub cordon: bool,
    /// Taint a marked Node: groundplan.dev/terminating:NoSchedule.
    ///
    /// The credentials of a kubelet do not allow this.
    #[arg(long)]
    pub taint: bool,
    /// Address for /metrics, /healthz and /readyz (plain HTTP).
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

impl HandlerOptions {
    /// Returns the settings of the handler.
    pub fn settings(&self) -> HandlerSettings {
        let sources = [
            (true, NoticeSource::SpotTerminationTime),
            (self.instance_action, NoticeSource::SpotInstanceAction),
            (self.rebalance, NoticeSource::RebalanceRecommendation),
            (self.maintenance, NoticeSource::ScheduledMaintenance),
            (self.lifecycle, NoticeSource::LifecycleState),
        ];
        let sources = sources.into_iter().filter_map(|(wanted, source)| wanted.then_some(source));
        HandlerSettings {
            interval: self.poll_interval,
            sources: sources.collect::<BTreeSet<_>>(),
            cordon: self.cordon,
            taint: self.taint,
            lead: self.maintenance_lead_time,
        }
    }
}

/// Parses a duration between one second and one minute. A notice comes two minutes before the end,
/// and all processes of a machine share the metadata service.
fn poll_interval(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    let interval = parsed.ok_or("expected a number with its unit, as in `5s` or `1m`")?;
    let sensible = Duration::from_secs(1)..=Duration::from_secs(60);
    let expected = || "expected between 1s and 60s; AWS recommends 5s".to_owned();
    sensible.contains(&interval).then_some(interval).ok_or_else(expected)
}

/// Parses a duration of zero or more.
fn lead_time(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let parsed = text.parse::<jiff::SignedDuration>().ok();
    let parsed = parsed.and_then(|duration| Duration::try_from(duration).ok());
    parsed.ok_or_else(|| "expected 0, or a number with its unit, as in `90m` or `48h`".to_owned())
}

/// Reasons why the handler does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment names an unusable metadata service.
    #[error(transparent)]
    Endpoint(#[from] InvalidEndpoint),
    /// There are no usable credentials for the cluster.
    #[error("could not configure access to the API server")]
    ApiServer(#[source] KubeClientError),
    /// The address of `--listen` is not available.
    #[error("could not listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The reason.
        source: io::Error,
    },
}

/// Runs the handler until `stopped` completes. Afterwards nothing is half done: another run completes
/// what is missing.
///
/// # Errors
/// The handler did not start. Later trouble is passed to `tell` and retried.
pub async fn run(
    options: &HandlerOptions,
    tell: ReportMessage<'_>,
    stopped: impl Future<Output = ()>,
) -> Result<(), StartError> {
    let endpoints = Endpoint::from_environment(|name| std::env::var(name).ok())?;
    let target = NodeTarget { name: options.node_name.clone(), connect: kube_client::inferred() };
    // No request yet: missing credentials are better known now than in the last two minutes.
    (target.connect)().await.map_err(StartError::ApiServer)?;
    let health = Arc::<HandlerHealth>::default();
    let listener = match options.listen {
        Some(address) => Some(
            TcpListener::bind(address)
                .await
                .map_err(|source| StartError::Listen { address, source })?,
        ),
        None => None,
    };
    let client = Client::of_any(endpoints, imds::ImdsSettings::default());
    let handler = Handler::new(client, target, options.settings(), Arc::clone(&health), tell);
    let served = async {
        match listener {
            Some(listener) => probes::serve(listener, health).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stopped => Ok(()),
        never = handler.run() => match never {},
        never = served => match never {},
    }
}

/// The wording of one [`HandlerMessage`], for people and for programs.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageWording {
    /// A line for people, and an event for programs.
    Event {
        /// The type of the event: `announced`, `changed`, `told`, `lost`, `withdrawn` or
        /// `cleared`.
        kind: &'static str,
        /// The other keys of the event.
        fields: Value,
        /// The line for people.
        text: String,
    },
    /// A line for people.
    Text(String),
    /// A warning for both.
    Warning {
        /// The problem.
        summary: String,
        /// The causes, outermost first.
        detail: Vec<String>,
        /// A remedy, if one is known.
        hint: Option<&'static str>,
    },
}

impl MessageWording {
    /// Returns the line for the log.
    pub fn log_line(&self, node: &str, now: Timestamp) -> String {
        match self {
            MessageWording::Event { text, .. } | MessageWording::Text(text) => {
                log_line("info", node, text, now)
            }
            MessageWording::Warning { summary, detail, hint } => {
                log_line("warning", node, &one_text(summary, detail, *hint), now)
            }
        }
    }
}

/// Returns a line for the log, in the form of the machine controller's log: time, level, component,
/// object, message.
pub fn log_line(level: &str, node: &str, message: &str, now: Timestamp) -> String {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ");
    format!("{now} {level} termination_handler Node {node}: {message}")
}

/// Returns a problem as one text: summary, causes, hint.
pub fn one_text(summary: &str, detail: &[String], hint: Option<&str>) -> String {
    let mut text = summary.to_owned();
    detail.iter().for_each(|cause| text.extend([": ", cause]));
    hint.iter().for_each(|hint| text.extend(["; hint: ", hint]));
    text
}

impl From<&HandlerMessage<'_>> for MessageWording {
    fn from(said: &HandlerMessage<'_>) -> Self {
        let warning = |summary, detail, hint| MessageWording::Warning { summary, detail, hint };
        match said {
            HandlerMessage::Announced(notice, from) => MessageWording::Event {
                kind: "announced",
                fields: scheduled(notice, *from),
                text: format!("notice: {}", with_mark(notice, *from)),
            },
            HandlerMessage::Done(notice, from) => MessageWording::Event {
                kind: "told",
                fields: scheduled(notice, *from),
                text: format!("reported to the cluster: {}", with_mark(notice, *from)),
            },
            HandlerMessage::Changed(changes) => MessageWording::Event {
                kind: "changed",
                fields: json!({ "changes": changes }),
                text: format!("changed on the Node: {}", list(changes)),
            },
            HandlerMessage::Lost(loss) => {
                let (what, text) = match loss {
                    MarkLoss::NewNode => ("node", "the Node was created again"),
                    MarkLoss::Condition => ("condition", "another client removed the condition"),
                };
                MessageWording::Event {
                    kind: "lost",
                    fields: json!({ "what": what }),
                    text: format!("{text} while a notice is in effect; marked again"),
                }
            }
            HandlerMessage::Withdrawn(notice) => MessageWording::Event {
                kind: "withdrawn",
                fields: fields(notice),
                text: format!("no longer in effect: {}", with_source(notice)),
            },
            HandlerMessage::Cleared(changes) => MessageWording::Event {
                kind: "cleared",
                fields: json!({ "changes": changes }),
                text: format!("cleared on the Node: {}", list(changes)),
            },
            HandlerMessage::InvalidRecord(invalid) => warning(
                format!("{invalid}; the mark of the Node stays"),
                Vec::new(),
                Some(
                    "check the Node with `kubectl describe node NAME`, and remove the annotation \
                     with `kubectl annotate node NAME groundplan.dev/termination-handler-`",
                ),
            ),
            HandlerMessage::NotWatched(notice) => warning(
                format!(
                    "the Node was marked because of {} ({}), which is not read; the mark stays",
                    notice.source, notice.what
                ),
                Vec::new(),
                Some("start the handler with the options that the mark was set with"),
            ),
            HandlerMessage::Answers => {
                MessageWording::Text("the metadata service responds again".into())
            }
            HandlerMessage::Strange(strange) => warning(strange.to_string(), Vec::new(), None),
            HandlerMessage::NoAnswer(error) => warning(error.to_string(), Vec::new(), error.hint()),
            HandlerMessage::NotDone(error) => {
                warning(format!("could not {error}; retrying"), causes(*error), error.hint())
            }
        }
    }
}

fn with_mark(notice: &Notice, from: Option<Timestamp>) -> String {
    let mark = from.map(|from| format!("; the Node is marked from {from}"));
    format!("{}{}", with_source(notice), mark.unwrap_or_default())
}

/// Returns a notice with its document: two documents may announce the same end.
fn with_source(notice: &Notice) -> String {
    format!("{notice} ({})", notice.source.path())
}

fn list(words: &BTreeSet<&'static str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

fn scheduled(notice: &Notice, from: Option<Timestamp>) -> Value {
    let mut fields = fields(notice);
    fields["marked_from"] = json!(from.map(|from| from.to_string()));
    fields
}

fn fields(notice: &Notice) -> Value {
    json!({
        "source": notice.source.path(),
        "ends": notice.verdict == Consequence::Ending,
        "what": notice.what,
        "at": notice.at.map(|at| at.to_string()),
    })
}

/// Returns the messages of all causes of an error, outermost first. Some errors repeat the text of
/// their cause, which is left out.
pub fn causes(error: &dyn Error) -> Vec<String> {
    let mut causes = Vec::<String>::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = cause_text(error);
        if !causes.last().is_some_and(|outer| outer.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    causes
}

/// Returns the text of one cause. The text of the TLS library for a cut connection is a link to its
/// manual for programmers.
pub fn cause_text(cause: &(dyn Error + 'static)) -> String {
    let is_cut = cause
        .downcast_ref::<io::Error>()
        .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof);
    if is_cut { "the connection was cut".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        options: HandlerOptions,
    }

    fn parse(words: &[&str]) -> Result<HandlerOptions, clap::Error> {
        let line = ["handler", "--node-name=n"].iter().chain(words);
        Line::try_parse_from(line).map(|line| line.options)
    }

    #[test]
    fn the_metadata_service_is_asked_every_five_seconds_and_neither_always_nor_never() {
        assert_eq!(parse(&[]).unwrap().poll_interval, Duration::from_secs(5));
        for wrong in ["0", "500ms", "61s", "5"] {
            assert!(parse(&["--poll-interval", wrong]).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_lead_time_is_a_day_by_default_and_may_be_zero() {
        let lead = |words: &[&str]| parse(words).map(|options| options.settings().lead);
        assert_eq!(lead(&[]).unwrap(), Duration::from_secs(86_400));
        for (text, expected) in [("0", 0), ("0s", 0), ("90m", 5400), ("48h", 172_800)] {
            let words = ["--maintenance", "--maintenance-lead-time", text];
            assert_eq!(lead(&words).unwrap(), Duration::from_secs(expected), "{text}");
        }
        for wrong in ["", "24", "-1h", "soon"] {
            let word = format!("--maintenance-lead-time={wrong}");
            assert!(lead(&["--maintenance", &word]).is_err(), "{wrong}");
        }
        assert!(lead(&["--maintenance-lead-time=1h"]).is_err(), "without --maintenance");
    }

    #[test]
    fn messages_say_when_the_node_is_marked_and_what_is_cleared() {
        let notice = Notice {
            source: NoticeSource::ScheduledMaintenance,
            verdict: Consequence::Ending,
            what: "instance-stop (e-1) is scheduled".to_owned(),
            at: "2026-01-02T00:00:00Z".parse().ok(),
            event: Some("e-1".to_owned()),
        };
        let from = "2026-01-01T00:00:00Z".parse().ok();
        let event = |message: &HandlerMessage<'_>| match MessageWording::from(message) {
            MessageWording::Event { kind, fields, text } => (kind, fields, text),
            other => panic!("{other:?}"),
        };
        let (kind, fields, text) = event(&HandlerMessage::Announced(&notice, from));
        assert_eq!((kind, &fields["marked_from"]), ("announced", &json!("2026-01-01T00:00:00Z")));
        let expected = "notice: instance-stop (e-1) is scheduled, at 2026-01-02T00:00:00Z \
                        (events/maintenance/scheduled); the Node is marked from 2026-01-01T00:00:00Z";
        assert_eq!(text, expected);
        let changes = BTreeSet::from(["cordon", "condition"]);
        let (kind, fields, text) = event(&HandlerMessage::Cleared(&changes));
        assert_eq!((kind, fields), ("cleared", json!({"changes": ["condition", "cordon"]})));
        assert_eq!(text, "cleared on the Node: condition, cordon");
        let (kind, fields, text) = event(&HandlerMessage::Lost(MarkLoss::NewNode));
        assert_eq!((kind, fields), ("lost", json!({"what": "node"})));
        assert_eq!(text, "the Node was created again while a notice is in effect; marked again");
        let (kind, fields, _) = event(&HandlerMessage::Withdrawn(&notice));
        assert_eq!((kind, fields.get("marked_from")), ("withdrawn", None));
    }

    #[test]
    fn a_log_line_has_time_level_object_and_all_of_a_warning() {
        let now = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let changes = BTreeSet::from(["cordon", "condition"]);
        let changed = MessageWording::from(&HandlerMessage::Changed(&changes));
        let expected = "2026-01-02T03:04:05Z info termination_handler Node n1: changed on the \
                        Node: condition, cordon";
        assert_eq!(changed.log_line("n1", now), expected);
        let (summary, detail) = ("could not read".to_owned(), vec!["a".into(), "b".into()]);
        let warning = MessageWording::Warning { summary, detail, hint: Some("do this") };
        let expected = "2026-01-02T03:04:05Z warning termination_handler Node n1: could not read: \
                        a: b; hint: do this";
        assert_eq!(warning.log_line("n1", now), expected);
    }

    #[test]
    fn a_cut_connection_is_called_so() {
        #[derive(Debug, thiserror::Error)]
        #[error("send the request")]
        struct Outer(#[source] io::Error);
        let cut = "peer closed connection without sending TLS close_notify: https://docs.rs/x";
        let cut = Outer(io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        assert_eq!(causes(&cut), ["the connection was cut"]);
        let other = Outer(io::Error::new(io::ErrorKind::ConnectionRefused, "refused"));
        assert_eq!(causes(&other), ["refused"]);
    }

    #[test]
    fn a_cause_that_only_repeats_its_own_cause_is_told_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("read the Node")]
        struct Outer(#[source] Repeating);
        #[derive(Debug, thiserror::Error)]
        #[error("client error: {0}")]
        struct Repeating(#[source] io::Error);
        let error = Outer(Repeating(io::Error::other("refused")));
        assert_eq!(causes(&error), ["client error: refused"]);
    }

    #[test]
    fn only_what_is_asked_for_is_watched_beyond_the_termination_time() {
        let bare = parse(&[]).unwrap().settings();
        assert_eq!(bare.sources, BTreeSet::from([NoticeSource::SpotTerminationTime]));
        assert!(!bare.cordon && !bare.taint);
        let flags =
            ["--instance-action", "--rebalance", "--maintenance", "--lifecycle", "--cordon"];
        let all = parse(&flags).unwrap().settings();
        assert!(all.sources.len() == 5 && all.cordon && !all.taint);
    }
}
