//! Token buckets on the client side: calls wait here, so that AWS need not throttle them.
//!
//! A bucket's rate halves when AWS throttles, and grows with every success (AIMD). The SDK's
//! adaptive mode slows down a whole client at once: two throttles delayed all calls for 26 seconds.
//! The throttle never retries and never fails a call. A call that AWS still throttles is an error
//! of class `Retryable`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::model::calls::is_read;

/// Keeps calls below the rate at which AWS starts to throttle.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    buckets: Mutex<HashMap<(&'static str, String), TokenBucket>>,
}

impl Throttle {
    /// Waits until the call may be sent.
    pub(crate) async fn turn(&self, service: &'static str, call: &str) {
        let wait = self.bucket(service, call, TokenBucket::take);
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    /// Adjusts the rate of a call after an attempt. Called for every single attempt.
    pub(crate) fn learn(&self, service: &'static str, call: &str, throttled: bool) {
        self.bucket(
            service,
            call,
            if throttled { TokenBucket::slower } else { TokenBucket::faster },
        );
    }

    fn bucket<T>(
        &self,
        service: &'static str,
        call: &str,
        ask: impl FnOnce(&mut TokenBucket, Instant) -> T,
    ) -> T {
        let now = Instant::now();
        let (name, pace) = pace(service, call);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        ask(buckets.entry((service, name)).or_insert_with(|| TokenBucket::new(pace, now)), now)
    }
}

/// The size of a burst, and the calls per second after it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pace {
    burst: f64,
    rate: f64,
}

const fn pace_of(burst: u32, rate: u32) -> Pace {
    Pace { burst: burst as f64, rate: rate as f64 }
}

/// Returns the bucket of a call, and the bucket's pace.
///
/// EC2 counts each action separately, per account and region. It allows 100 reads at once and 20
/// per second (docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html). The paces of other
/// EC2 actions are careful starting points that throttle results correct.
///
/// Route 53 allows five requests per second per account, all actions together (Route 53 developer
/// guide, "Quotas"). AWS publishes no relevant limits of the other services. Their paces are high
/// enough not to delay calls, and throttle results correct them.
fn pace(service: &str, call: &str) -> (String, Pace) {
    match service {
        "ec2" => (call.to_owned(), ec2_pace(call)),
        "route53" => (String::new(), pace_of(5, 5)),
        "s3" => (String::new(), pace_of(100, 100)),
        _ if is_read(call) => ("read".to_owned(), pace_of(40, 20)),
        _ => ("write".to_owned(), pace_of(30, 10)),
    }
}

fn ec2_pace(call: &str) -> Pace {
    match call {
        "RunInstances" | "StartInstances" => pace_of(5, 2),
        "TerminateInstances" => pace_of(100, 5),
        // `CreateTags` and `DeleteTags` count as mutating, like all actions that are not reads.
        _ if is_read(call) => pace_of(100, 20),
        _ => pace_of(50, 5),
    }
}

/// The minimum time between two halvings: calls in flight together are throttled together.
const ONE_LESSON: Duration = Duration::from_secs(1);
/// The lowest rate, as a fraction of the full rate.
const FLOOR: f64 = 1.0 / 32.0;
/// The increase per success, as a fraction of the full rate.
const REGAIN: f64 = 1.0 / 50.0;

/// A token bucket with overdraft: a caller that takes a missing token waits until it is filled.
#[derive(Debug)]
struct TokenBucket {
    full: Pace,
    /// The current rate in tokens per second.
    rate: f64,
    /// The available tokens. A negative value is the number of tokens promised to waiting callers.
    tokens: f64,
    filled: Instant,
    slowed: Option<Instant>,
}

impl TokenBucket {
    fn new(full: Pace, now: Instant) -> Self {
        Self { full, rate: full.rate, tokens: full.burst, filled: now, slowed: None }
    }

    /// Takes one token and returns the wait before its use.
    fn take(&mut self, now: Instant) -> Duration {
        self.fill(now);
        self.tokens -= 1.0;
        Duration::from_secs_f64((-self.tokens / self.rate).max(0.0))
    }

    fn slower(&mut self, now: Instant) {
        if self.slowed.is_some_and(|slowed| now < slowed + ONE_LESSON) {
            return;
        }
        self.fill(now);
        self.slowed = Some(now);
        self.rate = (self.rate / 2.0).max(self.full.rate * FLOOR);
        // AWS's bucket is empty, so this bucket is emptied, too.
        self.tokens = self.tokens.min(0.0);
    }

    fn faster(&mut self, now: Instant) {
        self.fill(now);
        self.rate = (self.rate + self.full.rate * REGAIN).min(self.full.rate);
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.full.burst);
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(some: f64) -> Duration {
        Duration::from_secs_f64(some)
    }

    fn is_about(wait: Duration, expected: f64) {
        assert!((wait.as_secs_f64() - expected).abs() < 1e-6, "{wait:?} is not {expected} s");
    }

    #[test]
    fn a_burst_is_free_and_what_follows_waits_its_turn() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(pace_of(3, 2), now);
        for wait in [0.0, 0.0, 0.0, 0.5, 1.0] {
            is_about(bucket.take(now), wait);
        }
        is_about(bucket.take(now + seconds(1.5)), 0.0);
    }

    #[test]
    fn idleness_saves_no_more_than_a_burst() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(pace_of(2, 1), now);
        let later = now + seconds(1000.0);
        for wait in [0.0, 0.0, 1.0] {
            is_about(bucket.take(later), wait);
        }
    }

    #[test]
    fn a_throttle_empties_the_bucket_and_halves_its_rate_once_for_all_in_flight() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(pace_of(100, 20), now);
        for _ in 0..10 {
            bucket.slower(now);
        }
        is_about(bucket.take(now), 0.1);
        bucket.slower(now + seconds(2.0));
        assert!((bucket.rate - 5.0).abs() < 1e-9, "{}", bucket.rate);
    }

    #[test]
    fn a_rate_never_ends_and_comes_back_with_successes() {
        let now = Instant::now();
        let mut bucket = TokenBucket::new(pace_of(10, 8), now);
        for second in 0..100 {
            bucket.slower(now + seconds(f64::from(second) * 2.0));
        }
        assert!((bucket.rate - 0.25).abs() < 1e-9, "{}", bucket.rate);
        (0..1000).for_each(|_| bucket.faster(now + seconds(200.0)));
        assert!((bucket.rate - 8.0).abs() < 1e-9, "{}", bucket.rate);
    }

    #[tokio::test(start_paused = true)]
    async fn an_ordinary_apply_is_not_held_back() {
        let (throttle, began) = (Throttle::default(), Instant::now());
        for call in ["CreateSubnet", "CreateTags", "CreateRoute", "AuthorizeSecurityGroupIngress"] {
            for _ in 0..30 {
                throttle.turn("ec2", call).await;
            }
        }
        for _ in 0..4 {
            throttle.turn("ec2", "RunInstances").await;
        }
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_action_throttled_slows_no_other() {
        let (throttle, began) = (Throttle::default(), Instant::now());
        throttle.learn("ec2", "CreateSubnet", true);
        throttle.turn("ec2", "CreateVpc").await;
        throttle.turn("iam", "CreateRole").await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        throttle.turn("ec2", "CreateSubnet").await;
        assert!(began.elapsed() >= Duration::from_millis(400), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn route_53_hears_from_us_five_times_a_second() {
        let (throttle, began) = (Throttle::default(), Instant::now());
        for _ in 0..20 {
            throttle.turn("route53", "ChangeResourceRecordSets").await;
        }
        assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
    }
}
