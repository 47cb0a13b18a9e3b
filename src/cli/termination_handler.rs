//! `groundplan termination-handler`: reports to a cluster that one of its machines will end.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tokio::net::TcpListener;

use super::args::TerminationHandler;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use crate::apply::Stop;
use crate::render::Diagnostic;
use groundplan_node::http::probes;
use groundplan_node::imds::{self, Client, Endpoint};
use groundplan_node::kube_client;
use groundplan_node::termination::handler::{Handler, Said, Settings, Target};
use groundplan_node::termination::health::Health;
use groundplan_node::termination::notice::{Notice, Source, Verdict};

pub(super) async fn run(
    arguments: &TerminationHandler,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let endpoint = Endpoint::from_environment(|name| std::env::var(name).ok())
        .map_err(|error| Failure::new(Exit::Usage, Diagnostic::error(error.to_string())))?;
    let target = Target { name: arguments.node_name.clone(), connect: kube_client::inferred() };
    // Resolves the API server without a call, so that a configuration error appears at the start
    // and not after a termination notice.
    (target.connect)()
        .await
        .map_err(|error| Failure::could_not("find out how to reach the API server", &error))?;
    let health = Arc::<Health>::default();
    let listener = match arguments.listen {
        Some(address) => Some(listen_on(address).await?),
        None => None,
    };
    let screen = Mutex::new(screen);
    let tell = Box::new(|said: &Said<'_>| {
        let mut screen = screen.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = say(&mut screen, said); // that nobody listens is no reason to end
    });
    let client = Client::new(endpoint, imds::Settings::default());
    let handler = Handler::new(client, target, settings(arguments), Arc::clone(&health), tell);
    let served = async {
        match listener {
            Some(listener) => probes::serve(listener, health).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = stop.stopped() => Ok(Exit::Done),
        never = handler.run() => match never {},
        never = served => match never {},
    }
}

async fn listen_on(address: SocketAddr) -> Result<TcpListener> {
    let failed = |error| Failure::could_not(&format!("listen on {address}"), &error);
    TcpListener::bind(address).await.map_err(failed)
}

fn settings(arguments: &TerminationHandler) -> Settings {
    let asked_for = [
        (true, Source::SpotTerminationTime),
        (arguments.instance_action, Source::SpotInstanceAction),
        (arguments.rebalance, Source::RebalanceRecommendation),
        (arguments.maintenance, Source::ScheduledMaintenance),
        (arguments.lifecycle, Source::LifecycleState),
    ];
    let sources = asked_for.into_iter().filter_map(|(wanted, source)| wanted.then_some(source));
    Settings {
        interval: arguments.poll_interval,
        sources: sources.collect::<BTreeSet<_>>(),
        cordon: arguments.cordon,
        taint: arguments.taint,
    }
}

fn say(screen: &mut Screen, said: &Said<'_>) -> io::Result<()> {
    match said {
        Said::Announced(notice) => {
            screen.tell("announced", &fields(notice))?;
            screen.talk(&format!("announced: {notice}"))
        }
        Said::Done(notice) => {
            screen.tell("told", &fields(notice))?;
            screen.talk(&format!("told the cluster: {notice}"))
        }
        Said::Answers => screen.talk("the metadata service answers again"),
        Said::Strange(strange) => screen.diagnostic(&Diagnostic::warning(strange.to_string())),
        Said::NoAnswer(error) => {
            let diagnostic = Diagnostic::warning(error.to_string());
            screen.diagnostic(&hinted(diagnostic, error.hint()))
        }
        Said::NotDone(error) => {
            let mut diagnostic =
                Diagnostic::warning(format!("could not {error}; it is tried again"));
            let mut cause = std::error::Error::source(*error);
            while let Some(error) = cause {
                diagnostic = diagnostic.with_detail(error.to_string());
                cause = error.source();
            }
            screen.diagnostic(&hinted(diagnostic, error.hint()))
        }
    }
}

fn hinted(diagnostic: Diagnostic, hint: Option<&'static str>) -> Diagnostic {
    match hint {
        Some(hint) => diagnostic.with_hint(hint),
        None => diagnostic,
    }
}

fn fields(notice: &Notice) -> serde_json::Value {
    json!({
        "source": notice.source.path(),
        "ends": notice.verdict == Verdict::Ending,
        "what": notice.what,
        "at": notice.at.map(|at| at.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Arguments, Command};

    const DAEMON_SET: &str = include_str!("../../deploy/termination-handler/daemon-set.yaml");

    fn parse<'a>(line: impl Iterator<Item = &'a str>) -> TerminationHandler {
        match Arguments::parse_line(line).unwrap().command {
            Command::TerminationHandler(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn c67_what_the_daemon_set_starts_is_understood() {
        let set: serde_json::Value = serde_saphyr::from_str(DAEMON_SET).unwrap();
        let container = &set["spec"]["template"]["spec"]["containers"][0];
        let words = ["command", "args"].map(|field| container[field].as_array().unwrap());
        let arguments = parse(words.into_iter().flatten().map(|word| word.as_str().unwrap()));
        assert_eq!(arguments.node_name, "$(NODE_NAME)", "which Kubernetes puts in");
        assert!(arguments.instance_action && !arguments.taint, "a kubelet may not taint");
        let port = arguments.listen.unwrap().port();
        assert_eq!(container["livenessProbe"]["httpGet"]["port"], port);
        assert_eq!(container["readinessProbe"]["httpGet"]["port"], port);
    }

    #[test]
    fn only_what_is_asked_for_is_watched_beyond_the_termination_time() {
        let line = ["groundplan", "termination-handler", "--node-name=n"];
        let bare = settings(&parse(line.into_iter()));
        assert_eq!(bare.sources, BTreeSet::from([Source::SpotTerminationTime]));
        assert!(!bare.cordon && !bare.taint);
        let flags =
            ["--instance-action", "--rebalance", "--maintenance", "--lifecycle", "--cordon"];
        let all = settings(&parse(line.into_iter().chain(flags)));
        assert!(all.sources.len() == 5 && all.cordon && !all.taint);
    }
}
