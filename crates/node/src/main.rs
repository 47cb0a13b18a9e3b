//! `groundplan-node`: the termination handler as a program of its own, without the AWS SDK.

use std::io::{self, Write, stderr, stdout};
use std::process::ExitCode;

use clap::Parser;
use groundplan_node::command::{
    HandlerOptions, MessageWording, StartError, causes, log_line, one_text, run,
};
use groundplan_node::termination::handler::HandlerMessage;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

/// The exit code for wrong usage, as `groundplan` has it.
const USAGE: u8 = 64;

/// The version of the event stream (docs/formats.md).
const EVENTS_VERSION: &str = "1.0";

/// Mark the Node of this machine before AWS takes the machine away.
///
/// Same as `groundplan termination-handler`. Polls the instance metadata service (IMDSv2 only) for
/// interruption notices. AWS announces the interruption of a spot instance two minutes before. The Node
/// then gets the condition Terminating and an Event with the reason, and a MachineHealthCheck replaces the
/// machine. If the machine stays or comes back, the handler clears what it set. It runs until SIGTERM or
/// SIGINT, and it retries after every error.
///
/// The cluster is found as by kubectl: KUBECONFIG, ~/.kube/config, or the ServiceAccount of the pod.
/// AWS_EC2_METADATA_SERVICE_ENDPOINT and AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE select another metadata
/// service. docs/termination.md has the metrics and the conditions.
#[derive(Debug, Parser)]
#[command(name = "groundplan-node", version, after_long_help = AFTER)]
struct Arguments {
    #[command(flatten)]
    options: HandlerOptions,
    /// Print events as JSON, one object per line (docs/formats.md).
    #[arg(long)]
    json: bool,
}

const AFTER: &str = "\
Example:
  groundplan-node --node-name \"$NODE_NAME\" --instance-action

Exit codes:
   0  done: ended by SIGTERM or SIGINT
   1  no credentials for the cluster, or the address of --listen is in use
  64  wrong usage, or an invalid endpoint of the metadata service";

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(answer) => {
            let _ = answer.print(); // help, a version, or what is wrong with the arguments
            return if answer.use_stderr() { USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let output = Output { json: arguments.json };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(|error| StartFailure {
            code: 1,
            summary: "could not start".into(),
            detail: vec![error.to_string()],
        })
        .and_then(|runtime| runtime.block_on(handle(&arguments.options, output)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = output.failure(&arguments.options.node_name, &failure);
            failure.code.into()
        }
    }
}

/// The end of the program before the handler runs.
struct StartFailure {
    code: u8,
    summary: String,
    detail: Vec<String>,
}

impl From<StartError> for StartFailure {
    fn from(error: StartError) -> Self {
        let code = if matches!(error, StartError::Endpoint(_)) { USAGE } else { 1 };
        Self { code, summary: error.to_string(), detail: causes(&error) }
    }
}

async fn handle(options: &HandlerOptions, output: Output) -> Result<(), StartFailure> {
    let listen = |kind| {
        signal(kind).map_err(|error| StartFailure {
            code: 1,
            summary: "could not listen for signals".into(),
            detail: vec![error.to_string()],
        })
    };
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let stopped = async {
        tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
    };
    let _ = output.version();
    // A reader that has left does not end the handler.
    let node = options.node_name.clone();
    let tell = Box::new(move |said: &HandlerMessage<'_>| {
        drop(output.report(&node, &MessageWording::from(said)));
    });
    Ok(run(options, tell, stopped).await?)
}

/// Lines for people on standard error, or lines of JSON on standard output.
#[derive(Clone, Copy, Debug)]
struct Output {
    json: bool,
}

impl Output {
    fn version(self) -> io::Result<()> {
        let program = concat!("groundplan-node ", env!("CARGO_PKG_VERSION"));
        self.event("version", &json!({ "version": EVENTS_VERSION, "program": program }))
    }

    fn report(self, node: &str, report: &MessageWording) -> io::Result<()> {
        if !self.json {
            return self.text(&report.log_line(node, Timestamp::now()));
        }
        match report {
            MessageWording::Event { kind, fields, .. } => self.event(kind, fields),
            MessageWording::Text(_) => Ok(()),
            MessageWording::Warning { summary, detail, hint } => {
                self.diagnostic("warning", summary, detail, *hint)
            }
        }
    }

    /// Writes the error that ends the program: a line of the log, or a diagnostic.
    fn failure(self, node: &str, failure: &StartFailure) -> io::Result<()> {
        let text = one_text(&failure.summary, &failure.detail, None);
        self.text(&log_line("error", node, &text, Timestamp::now()))?;
        self.diagnostic("error", &failure.summary, &failure.detail, None)
    }

    /// Writes a problem for programs.
    fn diagnostic(
        self,
        severity: &str,
        summary: &str,
        detail: &[String],
        hint: Option<&str>,
    ) -> io::Result<()> {
        let mut fields = json!({ "severity": severity, "summary": summary });
        if !detail.is_empty() {
            fields["detail"] = json!(detail);
        }
        if let Some(hint) = hint {
            fields["hint"] = hint.into();
        }
        self.event("diagnostic", &fields)
    }

    /// Writes a line for people.
    fn text(self, line: &str) -> io::Result<()> {
        if self.json { Ok(()) } else { writeln!(stderr(), "{line}") }
    }

    /// Writes a line for programs, in one piece.
    fn event(self, kind: &str, fields: &Value) -> io::Result<()> {
        #[derive(Serialize)]
        struct JsonLine<'a> {
            r#type: &'a str,
            time: String,
            #[serde(flatten)]
            fields: &'a Value,
        }
        if !self.json {
            return Ok(());
        }
        let time = format!("{:.3}", Timestamp::now());
        let line = serde_json::to_string(&JsonLine { r#type: kind, time, fields })?;
        let mut out = stdout().lock();
        out.write_all(format!("{line}\n").as_bytes())?;
        out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAEMON_SET: &str = include_str!("../../../deploy/termination-handler/daemon-set.yaml");

    #[test]
    fn c67_what_the_daemon_set_starts_is_understood() {
        let set: Value = serde_saphyr::from_str(DAEMON_SET).unwrap();
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        let words = ["command", "args"].map(|field| container[field].as_array().unwrap());
        let words: Vec<_> =
            words.into_iter().flatten().map(|word| word.as_str().unwrap()).collect();
        assert_eq!(words[0], "groundplan-node");
        let options = Arguments::try_parse_from(words).unwrap().options;
        assert_eq!(options.node_name, "$(NODE_NAME)", "which Kubernetes puts in");
        assert!(options.instance_action && !options.taint, "a kubelet must not taint");
        let port = options.listen.unwrap().port();
        assert_eq!(container["livenessProbe"]["httpGet"]["port"], port);
        assert_eq!(container["readinessProbe"]["httpGet"]["port"], port);
    }
}
