//! Conformance of the server in memory: behaviours that groundplan relies on, checked against it
//! and against a real kube-apiserver.
//!
//! Each [`Behaviour`] is a sentence and a check of it. The sentences are listed in
//! `docs/dev/api-server.md`. By default all checks run against a new server in this process each.
//! With `GROUNDPLAN_CONFORMANCE_KUBECONFIG`, they run against the server of that kubeconfig, whose
//! user needs the permissions of `cluster-admin`.
//!
//! A behaviour is first checked against the real server. A check describes responses alone, so
//! both servers run the same code.

mod access;
mod create;
mod delete;
mod list;
mod manifests;
mod nodes;
mod page;
mod patch;
mod pods;
mod protocol;
mod records;
mod schema;
mod target;
mod update;
mod watch;

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::time::timeout;

use self::target::Target;

/// Environment variable with the path of a real server's kubeconfig.
const KUBECONFIG: &str = "GROUNDPLAN_CONFORMANCE_KUBECONFIG";
/// Version of the real server that all behaviours were last checked against.
const CHECKED: &str = "kube-apiserver 1.36.2";
/// Maximum duration of one check.
const PATIENCE: Duration = Duration::from_secs(120);

/// A check of one behaviour, which panics if the server behaves otherwise.
type Check = fn(Target) -> Pin<Box<dyn Future<Output = ()>>>;

/// A behaviour of the API server.
#[derive(Clone, Copy)]
struct Behaviour {
    /// Sentence for the list in the documentation.
    says: &'static str,
    check: Check,
}

/// Makes a list of behaviours from sentences and asynchronous functions.
macro_rules! behaviours {
    ($($check:ident: $says:literal,)+) => {
        pub(super) const BEHAVIOURS: &[super::Behaviour] = &[$(super::Behaviour {
            says: $says,
            check: |target| Box::pin($check(target)),
        }),+];
    };
}
use behaviours;

/// All behaviours by subject.
const SUBJECTS: &[(&str, &[Behaviour])] = &[
    ("Creation", create::BEHAVIOURS),
    ("Updates", update::BEHAVIOURS),
    ("Patches", patch::BEHAVIOURS),
    ("Schemas of CRDs", schema::BEHAVIOURS),
    ("Lists", list::BEHAVIOURS),
    ("Watches", watch::BEHAVIOURS),
    ("Deletion", delete::BEHAVIOURS),
    ("Pods and evictions", pods::BEHAVIOURS),
    ("Nodes and kubelets", nodes::BEHAVIOURS),
    ("Events and Leases", records::BEHAVIOURS),
    ("Authentication and authorization", access::BEHAVIOURS),
    ("HTTP", protocol::BEHAVIOURS),
];

/// Runs a check. Returns the reason of a failure.
async fn run(target: Target, behaviour: Behaviour) -> Option<String> {
    let check = AssertUnwindSafe((behaviour.check)(target)).catch_unwind();
    let reason = match timeout(PATIENCE, check).await {
        Ok(Ok(())) => return None,
        Ok(Err(panic)) => reason(&*panic),
        Err(_) => format!("not done after {PATIENCE:?}"),
    };
    Some(format!("{}\n    {reason}", behaviour.says))
}

/// Returns the behaviours that the filter in the environment selects.
fn selected() -> Vec<Behaviour> {
    let only = std::env::var("GROUNDPLAN_CONFORMANCE_ONLY").unwrap_or_default();
    let all = SUBJECTS.iter().flat_map(|(_, behaviours)| *behaviours).copied();
    all.filter(|behaviour| behaviour.says.contains(&only)).collect()
}

fn reason(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref().cloned()).unwrap_or_default()
}

async fn failures_in_process() -> Vec<String> {
    tokio::time::pause();
    let checks = selected().into_iter().map(|behaviour| async move {
        let target = Target::in_process();
        target.prepare().await;
        run(target, behaviour).await
    });
    join_all(checks).await.into_iter().flatten().collect()
}

async fn failures_of(kubeconfig: &str) -> Vec<String> {
    let target = Target::of_kubeconfig(kubeconfig).await;
    let made = target.prepare().await;
    let checks = selected().into_iter().map(|behaviour| run(target.clone(), behaviour));
    let mut failures: Vec<String> = join_all(checks).await.into_iter().flatten().collect();
    let clean_up = AssertUnwindSafe(target.clean_up(made)).catch_unwind().await;
    if clean_up.is_err() {
        failures.push("the objects of the suite could not be deleted".to_owned());
    }
    failures
}

#[tokio::test]
async fn the_server_behaves_as_listed() {
    let failures = match std::env::var(KUBECONFIG) {
        Ok(path) => failures_of(&path).await,
        Err(_) => failures_in_process().await,
    };
    let count = failures.len();
    assert!(failures.is_empty(), "{count} of the behaviours differ:\n{}", failures.join("\n"));
}
