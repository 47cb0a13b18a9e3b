use serde_json::json;
use tokio::sync::mpsc;

use super::*;
use groundplan_node::http::probes::HealthSource;
use groundplan_node::test_support::fake_api_server::FakeApiServer;

const PLACE: (&str, &str) = ("openshift-machine-api", "machine-controller");

fn candidate(cluster: &FakeApiServer, name: &str) -> LeaderCandidate {
    LeaderCandidate::new(cluster.client(), PLACE, name, LeaseTerms::default(), Arc::default())
}

fn holder_in(cluster: &FakeApiServer) -> String {
    let lease = cluster.get("leases", PLACE.0, PLACE.1).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

/// Runs a candidate in the background, and reports its leadership.
fn leading(candidate: LeaderCandidate, stop: &CancellationToken) -> Running {
    let (tell, led) = mpsc::unbounded_channel();
    let (stop, identity) = (stop.clone(), candidate.identity().to_owned());
    let health = Arc::clone(&candidate.health);
    let task = tokio::spawn(async move {
        let until = stop.clone();
        let work = |leadership: Leadership| async move {
            let _ = tell.send(leadership);
            until.cancelled().await;
            "done"
        };
        candidate.lead(&stop, work).await
    });
    Running { task, led, identity, health }
}

struct Running {
    task: tokio::task::JoinHandle<Result<Option<&'static str>, LeadershipLost>>,
    led: mpsc::UnboundedReceiver<Leadership>,
    identity: String,
    health: Arc<ControllerHealth>,
}

async fn minutes(minutes: u64) {
    sleep(Duration::from_secs(60 * minutes)).await;
}

#[tokio::test(start_paused = true)]
async fn one_leads_and_renews_and_the_other_waits() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    let mut second = leading(candidate(&cluster, "b"), &stop);
    minutes(60).await;
    assert!(leadership.is_held());
    assert_eq!(holder_in(&cluster), first.identity);
    assert!(second.led.try_recv().is_err());
    assert_eq!(
        (first.health.not_ready_reason(), second.health.not_ready_reason()),
        (None, None),
        "both are well"
    );
    let leads = |health: &ControllerHealth| health.metrics().contains("_leader 1\n");
    assert!(leads(&first.health) && !leads(&second.health));
}

#[tokio::test(start_paused = true)]
async fn whoever_is_stopped_lets_go_and_the_other_leads_at_its_next_look() {
    let cluster = FakeApiServer::default();
    let (stop, other) = (CancellationToken::new(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    first.led.recv().await.unwrap();
    let mut second = leading(candidate(&cluster, "b"), &other);
    sleep(Duration::from_secs(1)).await;
    stop.cancel();
    assert_eq!(first.task.await.unwrap().unwrap(), Some("done"));
    assert_eq!(holder_in(&cluster), "");
    let began = Instant::now();
    second.led.recv().await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let lease = cluster.get("leases", PLACE.0, PLACE.1).unwrap();
    assert_eq!(lease["spec"]["leaseTransitions"], 1, "{lease}");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_stopped_before_it_leads_has_done_nothing() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    cluster.fall_silent();
    let waiting = leading(candidate(&cluster, "a"), &stop);
    minutes(5).await;
    stop.cancel();
    assert_eq!(waiting.task.await.unwrap().unwrap(), None);
    assert_eq!(waiting.health.not_ready_reason(), Some("the API server does not respond"));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_gone_is_followed_when_its_lease_has_run_out_and_not_before() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    first.led.recv().await.unwrap();
    first.task.abort(); // as kill -9 does
    let began = Instant::now();
    let mut second = leading(candidate(&cluster, "b"), &stop);
    second.led.recv().await.unwrap();
    let after = began.elapsed().as_secs();
    assert!((24..=30).contains(&after), "{after}");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_makes_nobody_lead_too_early() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    cluster.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": PLACE.1, "namespace": PLACE.0},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 137,
                 "renewTime": "2001-01-01T00:00:00.000000Z"},
    }));
    let mut second = leading(candidate(&cluster, "b"), &stop);
    let began = Instant::now();
    second.led.recv().await.unwrap();
    assert!(began.elapsed() > Duration::from_secs(137), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_cannot_renew_ends_before_anybody_may_take_over() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    let began = Instant::now();
    cluster.fall_silent();
    let lost = first.task.await.unwrap().unwrap_err();
    let after = began.elapsed();
    assert!(after <= LeaseTerms::default().act_for, "{after:?}");
    assert!(
        matches!(lost, LeadershipLost::NotRenewed { source: LeaseError::Silence, .. }),
        "{lost}"
    );
    assert!(!leadership.is_held());
    assert!(first.health.metrics().contains("_leader 0\n"));
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_ten_seconds_costs_nobody_the_lead() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    cluster.close_connections(5); // five attempts, two seconds and more apart
    minutes(3).await;
    assert!(leadership.is_held());
    assert_eq!(holder_in(&cluster), first.identity);
    assert!(!first.task.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_somebody_else_took_ends_the_work_at_the_next_look() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    cluster.change("leases", PLACE.0, PLACE.1, &json!({"spec": {"holderIdentity": "b"}}));
    let lost = first.task.await.unwrap().unwrap_err();
    assert_eq!(lost.to_string(), "the Lease machine-controller is now held by b");
    assert!(!leadership.is_held());
    assert_eq!(holder_in(&cluster), "b", "what is another's is not let go of");
}

#[tokio::test(start_paused = true)]
async fn without_the_lead_no_change_leaves_and_looking_is_allowed() {
    let cluster = FakeApiServer::default();
    let leadership = Leadership::new("l", Instant::now() + Duration::from_secs(10));
    let client = leadership.guard(&cluster.client());
    let leases = Api::<Lease>::namespaced(client, "default");
    let named =
        |name: &str| serde_json::from_value::<Lease>(json!({"metadata": {"name": name}})).unwrap();
    leases.create(&PostParams::default(), &named("one")).await.unwrap();
    leadership.fence().pass().unwrap();

    sleep(Duration::from_secs(10)).await;
    cluster.forget_requests();
    let error = leases.create(&PostParams::default(), &named("two")).await.unwrap_err();
    assert!(error.to_string().contains("the Lease l is no longer held"), "{error}");
    assert!(leases.delete("one", &kube::api::DeleteParams::default()).await.is_err());
    assert!(cluster.requests().is_empty(), "{:?}", cluster.requests());
    assert!(leases.get("one").await.is_ok());
    let refused = leadership.fence().pass().unwrap_err().to_string();
    assert!(refused.contains("the Lease l"), "{refused}");
}

/// A stopped process (SIGSTOP) misses its renewals without noticing. Its requests are checked when
/// they are sent, also those that wait in a queue.
#[tokio::test(start_paused = true)]
async fn a_leader_that_was_stopped_and_wakes_up_sends_no_change() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    let leases = Api::<Lease>::namespaced(leadership.guard(&cluster.client()), "ns");
    first.task.abort(); // no renewals from now on, and the leadership object stays
    let mut second = leading(candidate(&cluster, "b"), &stop);
    second.led.recv().await.unwrap();
    assert!(!leadership.is_held());
    let new = serde_json::from_value::<Lease>(json!({"metadata": {"name": "x"}})).unwrap();
    assert!(leases.create(&PostParams::default(), &new).await.is_err());
    assert!(leadership.fence().pass().is_err());
    assert!(cluster.get("leases", "ns", "x").is_none());
}

#[tokio::test(start_paused = true)]
async fn of_two_who_take_it_at_once_one_leads() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut all: Vec<_> =
        (0..5).map(|number| leading(candidate(&cluster, &format!("c{number}")), &stop)).collect();
    minutes(10).await;
    let leaders = all.iter_mut().filter_map(|one| one.led.try_recv().ok()).count();
    assert_eq!(leaders, 1);
}

/// Returns the requests of the next minute that change or read a Lease, by method.
async fn requests_of_a_minute(cluster: &FakeApiServer) -> [usize; 2] {
    cluster.forget_requests();
    minutes(1).await;
    let requests = cluster.requests();
    ["PUT", "GET"].map(|method| requests.iter().filter(|line| line.starts_with(method)).count())
}

#[tokio::test(start_paused = true)]
async fn a_leader_renews_four_leases_with_one_request_each_and_reads_none() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut ours = leading(replacement(&cluster, "a").0, &stop);
    ours.led.recv().await.unwrap();
    let [puts, gets] = requests_of_a_minute(&cluster).await;
    assert!((4 * 24..=4 * 30).contains(&puts) && gets == 0, "{puts} PUT, {gets} GET");
}

#[tokio::test(start_paused = true)]
async fn a_leader_reads_a_lease_after_a_write_of_another_client_and_keeps_that_write() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    let label = json!({"metadata": {"labels": {"team": "x"}}});
    cluster.change("leases", PLACE.0, PLACE.1, &label);
    let [puts, gets] = requests_of_a_minute(&cluster).await;
    assert!((25..=31).contains(&puts) && gets == 1, "{puts} PUT, {gets} GET");
    let lease = cluster.get("leases", PLACE.0, PLACE.1).unwrap();
    assert_eq!(lease["metadata"]["labels"]["team"], "x");
    assert_eq!((holder_in(&cluster), leadership.is_held()), (first.identity, true));
    assert_eq!(cluster.conflicts(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_leader_reads_a_lease_after_a_renewal_without_response_and_after_a_deletion() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    cluster.cut_answers(1);
    let [_, gets] = requests_of_a_minute(&cluster).await;
    assert_eq!((gets, cluster.conflicts()), (1, 0));
    cluster.delete("leases", PLACE.0, PLACE.1);
    let [_, gets] = requests_of_a_minute(&cluster).await;
    assert_eq!(gets, 1);
    assert_eq!((holder_in(&cluster), leadership.is_held()), (first.identity, true));
    assert!(!first.task.is_finished());
}

/// A paused process does not know that its last write is outdated.
#[tokio::test(start_paused = true)]
async fn a_renewal_that_arrives_after_another_process_took_the_lease_is_rejected() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(candidate(&cluster, "a"), &stop);
    let leadership = first.led.recv().await.unwrap();
    cluster.delay("PUT", "leases", Duration::from_secs(3));
    sleep(Duration::from_secs(3)).await; // a renewal is on its way
    cluster.change("leases", PLACE.0, PLACE.1, &json!({"spec": {"holderIdentity": "b"}}));
    let lost = first.task.await.unwrap().unwrap_err();
    assert!(matches!(lost, LeadershipLost::Taken { .. }), "{lost}");
    assert_eq!((holder_in(&cluster).as_str(), leadership.is_held()), ("b", false));
}

/// Writes a Lease as the original controllers do.
fn original(cluster: &FakeApiServer, name: &str, holder: &str, renewed: u32) {
    cluster.put(json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": name, "namespace": PLACE.0},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 137,
                 "renewTime": format!("2026-01-01T00:{:02}:00.000000Z", renewed % 60)},
    }));
}

fn holder_of(cluster: &FakeApiServer, name: &str) -> String {
    let lease = cluster.get("leases", PLACE.0, name).unwrap_or_default();
    lease["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned()
}

type Lines = Arc<std::sync::Mutex<Vec<String>>>;

/// Returns a candidate that replaces the original controllers, and the lines that it logs.
fn replacement(cluster: &FakeApiServer, name: &str) -> (LeaderCandidate, Lines) {
    let lines = Lines::default();
    let log = {
        let lines = Arc::clone(&lines);
        Log::new(move |line| {
            lines.lock().unwrap().push(format!("{} {}", line.level.name(), line.message));
        })
    };
    (candidate(cluster, name).in_place_of(&ORIGINALS).logging(log), lines)
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_renews_keeps_this_process_a_standby_until_it_stops() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let name = ORIGINALS[1].name;
    original(&cluster, name, "original_1", 0);
    let (one, lines) = replacement(&cluster, "a");
    let mut ours = leading(one, &stop);
    for renewed in 1..20 {
        original(&cluster, name, "original_1", renewed);
        sleep(Duration::from_secs(60)).await;
    }
    assert!(ours.led.try_recv().is_err());
    assert_eq!(holder_of(&cluster, ORIGINALS[0].name), "", "none of a provider that runs is taken");
    assert_eq!(ours.health.not_ready_reason(), Some(ORIGINALS[1].reason));
    let blocking = format!("groundplan_machine_controller_blocking_lease{{lease=\"{name}\"}} 1");
    assert!(ours.health.metrics().contains(&blocking), "{}", ours.health.metrics());
    let said = lines.lock().unwrap().clone();
    assert_eq!(said.len(), 1, "once, not at each look: {said:?}");
    assert!(said[0].ends_with(&format!("original_1 holds the Lease {name}")), "{said:?}");
    let began = Instant::now();
    ours.led.recv().await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(85), "{:?}", began.elapsed());
    for provider in ORIGINALS {
        assert_eq!(holder_of(&cluster, provider.name), ours.identity);
    }
    assert_eq!(ours.health.not_ready_reason(), None);
    assert!(!ours.health.metrics().contains("blocking_lease{"));
}

#[tokio::test(start_paused = true)]
async fn an_original_that_comes_back_finds_its_leases_held_until_the_work_has_ended() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut ours = leading(replacement(&cluster, "a").0, &stop);
    ours.led.recv().await.unwrap();
    let name = ORIGINALS[0].name;
    let renewed = || cluster.get("leases", PLACE.0, name).unwrap()["metadata"].clone();
    for _ in 0..30 {
        let before = renewed();
        sleep(Duration::from_secs(20)).await;
        assert_ne!(renewed(), before, "an original never sees it expire");
    }
    stop.cancel();
    ours.task.await.unwrap().unwrap();
    for provider in ORIGINALS {
        assert_eq!(holder_of(&cluster, provider.name), "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_takes_one_of_its_leases_ends_the_work() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut ours = leading(replacement(&cluster, "a").0, &stop);
    let leadership = ours.led.recv().await.unwrap();
    original(&cluster, ORIGINALS[2].name, "original_2", 1);
    let lost = ours.task.await.unwrap().unwrap_err();
    let expected = "the Lease cluster-api-provider-nodelink-leader is now held by original_2";
    assert_eq!((lost.to_string().as_str(), leadership.is_held()), (expected, false));
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_follows_a_killed_leader_is_no_other_provider_and_waits_no_longer() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let mut first = leading(replacement(&cluster, "a").0, &stop);
    first.led.recv().await.unwrap();
    let (second, lines) = replacement(&cluster, "b");
    let mut second = leading(second, &stop);
    minutes(1).await;
    assert_eq!(second.health.not_ready_reason(), None);
    first.task.abort();
    let began = Instant::now();
    second.led.recv().await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(31), "{:?}", began.elapsed());
    let said = lines.lock().unwrap().clone();
    assert!(said.len() == 1 && said[0].starts_with("info standby: a_"), "{said:?}");
}

#[tokio::test(start_paused = true)]
async fn without_valid_credentials_the_reason_is_the_token() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let client = cluster.client_of_account(PLACE.0, "controller");
    let candidate = LeaderCandidate::new(client, PLACE, "a", LeaseTerms::default(), Arc::default());
    let ours = leading(candidate, &stop);
    cluster.expire_tokens();
    minutes(1).await;
    let reason = ours.health.not_ready_reason().unwrap_or_default();
    assert!(reason.contains("rejects the credentials of this process (401)"), "{reason}");
}

#[test]
fn the_reason_for_not_being_ready_names_the_lease() {
    for one in ORIGINALS {
        assert!(forbidden_reason(one.name).contains(&format!("the Lease {}:", one.name)));
        assert!(one.reason.ends_with(one.name));
    }
    let own = forbidden_reason("groundplan-machine-controller");
    assert!(own.contains("the Lease groundplan-machine-controller:"));
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_is_said_and_solved() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let (one, lines) = replacement(&cluster, "a");
    cluster.inject_faults(&[403; 40]);
    let mut ours = leading(one, &stop);
    sleep(Duration::from_secs(9)).await;
    assert_eq!(ours.health.not_ready_reason(), Some(FORBIDDEN));
    let said = lines.lock().unwrap().clone();
    assert_eq!(said.len(), 1, "{said:?}");
    let expected =
        "error RBAC does not allow access to the Lease machine-controller: apply the Role";
    assert!(said[0].starts_with(expected), "{said:?}");
    ours.led.recv().await.unwrap();
    assert_eq!(ours.health.not_ready_reason(), None);
}

/// kube-apiserver 1.36 rejects all requests in the first second after its start.
#[tokio::test(start_paused = true)]
async fn one_rejection_is_no_missing_permission() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    let (one, lines) = replacement(&cluster, "a");
    cluster.inject_faults(&[403; 4]); // one attempt reads four Leases
    let mut ours = leading(one, &stop);
    ours.led.recv().await.unwrap();
    assert_eq!(*lines.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_leader_whose_token_expires_names_the_token() {
    let (cluster, stop) = (FakeApiServer::default(), CancellationToken::new());
    cluster.apply(include_str!("../../../../deploy/machine-controller/base/role.yaml"));
    let place = (PLACE.0, "groundplan-machine-controller");
    let client = cluster.client_of_account(place.0, place.1);
    let candidate = LeaderCandidate::new(client, place, "a", LeaseTerms::default(), Arc::default());
    let mut ours = leading(candidate, &stop);
    ours.led.recv().await.unwrap();
    cluster.expire_tokens();
    let lost = ours.task.await.unwrap().unwrap_err();
    let LeadershipLost::NotRenewed { source, .. } = lost else { panic!("{lost}") };
    assert!(matches!(source, LeaseError::Unauthorized), "{source}");
}
