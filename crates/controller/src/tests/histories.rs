//! Random histories of a whole process with a set: replicas change, the process is killed and
//! started again, and the API server is disturbed.
//!
//! The histories of the set alone are in `machine_set::histories`. Here the machines have instances.

use std::time::Duration;

use fastrand::Rng;
use tokio::time::sleep;

use super::bench::Bench;

/// Number of histories. `GROUNDPLAN_HISTORIES` sets another one, as a multiple of this one.
const HISTORIES: u64 = 12;

async fn history(seed: u64) {
    fastrand::seed(seed);
    let mut rng = Rng::with_seed(seed);
    let bench = Bench::new();
    bench.want_set("s");
    bench.ec2.hide_new(Duration::from_secs(rng.u64(..20)));
    bench.cluster.disturb(seed);
    let (mut replicas, mut grown, mut shrunk) = (0, 0, 0);
    let mut process = bench.start_all();
    let check = |grown: usize, shrunk: u64| {
        let (launches, deletions) = (bench.ec2.launches(), bench.cluster.deletions("machines"));
        let audit = || bench.cluster.audit().join("\n");
        assert!(launches <= grown, "seed {seed}: {launches} launches of {grown}\n{}", audit());
        assert!(deletions <= shrunk, "seed {seed}: {deletions} of {shrunk}\n{}", audit());
    };
    for _ in 0..rng.u8(4..9) {
        if rng.bool() {
            let now = rng.usize(0..=6);
            grown += now.saturating_sub(replicas);
            shrunk += replicas.saturating_sub(now) as u64;
            replicas = now;
            bench.scale("s", now);
        } else {
            process.abort();
            sleep(Duration::from_millis(rng.u64(..3_000))).await;
            process = bench.start_all();
        }
        sleep(Duration::from_millis(rng.u64(..40_000))).await;
        check(grown, shrunk);
    }
    bench.cluster.calm();
    bench
        .until("as many as wanted", |bench| {
            let machines = bench.cluster.all("machines").len();
            machines == replicas && bench.in_phase("Provisioned") == replicas
        })
        .await;
    sleep(Duration::from_secs(600)).await;
    check(grown, shrunk);
    assert_eq!(bench.ec2.names().len(), replicas, "seed {seed}: one instance of each machine");
    process.abort();
}

#[test]
fn a_whole_process_never_launches_or_deletes_too_many() {
    let wanted = std::env::var("GROUNDPLAN_HISTORIES").ok();
    let wanted = wanted.and_then(|number| number.parse::<u64>().ok());
    for seed in 0..wanted.map_or(HISTORIES, |wanted| wanted / 25) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(history(seed));
    }
}

/// Restart storm: twelve kills while a set grows from 0 to 30, then twelve while it is complete.
#[tokio::test(start_paused = true)]
async fn twelve_kills_while_a_set_grows_to_thirty_make_thirty() {
    const MACHINES: usize = 30;
    fastrand::seed(1);
    let bench = Bench::new();
    bench.want_set("s");
    bench.cluster.delay("LIST", "machines", Duration::from_millis(500));
    bench.cluster.delay("WATCH", "machines", Duration::from_millis(500));
    bench.cluster.delay("POST", "machines", Duration::from_millis(100));
    bench.scale("s", MACHINES);
    for kill in 0..24 {
        let process = bench.start_all();
        sleep(Duration::from_millis(700 + 130 * (kill % 12))).await;
        process.abort();
        let _ = process.await;
    }
    let process = bench.start_all();
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    sleep(Duration::from_secs(600)).await;
    let (creations, deletions) =
        (bench.cluster.creations("machines"), bench.cluster.deletions("machines"));
    assert_eq!((creations, deletions, bench.ec2.launches()), (30, 0, 30));
    process.abort();
}
