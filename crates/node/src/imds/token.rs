//! Session token and its validity. Pure: the caller passes the time.

use std::time::Duration;

use secrecy::SecretString;
use tokio::time::Instant;

/// Longest time to live of a token: six hours (Amazon EC2 User Guide, "How Instance Metadata
/// Service Version 2 works").
pub const LONGEST_TTL: Duration = Duration::from_secs(21_600);

/// Requested time to live of a token, in whole seconds. Range: one second to six hours; default:
/// six hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ttl(u32);

/// Error of a duration outside the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid token lifetime {0}: expected 1 to 21600 seconds")]
pub struct InvalidTtl(u64);

impl Ttl {
    /// Returns the time to live, rounded down to whole seconds.
    ///
    /// # Errors
    /// Returns an error outside the range that the service accepts.
    pub fn new(ttl: Duration) -> Result<Self, InvalidTtl> {
        let seconds = ttl.as_secs();
        match u32::try_from(seconds) {
            Ok(seconds @ 1..=21_600) => Ok(Self(seconds)),
            _ => Err(InvalidTtl(seconds)),
        }
    }

    /// Returns the time to live in seconds.
    pub fn seconds(self) -> u32 {
        self.0
    }
}

impl Default for Ttl {
    fn default() -> Self {
        Self(21_600)
    }
}

/// Session token. It gives access to the instance's credentials, so it cannot be printed.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) value: SecretString,
    /// Number of the token within this client. Several callers with the same rejected token drop it
    /// once.
    pub(super) number: u64,
    good_until: Instant,
}

impl Token {
    /// Returns a token that was requested at `asked` with the time to live `granted`. The client
    /// stops using the token earlier by `margin`, or by half of its life if that is shorter.
    pub(super) fn new(
        value: SecretString,
        number: u64,
        asked: Instant,
        granted: Duration,
        margin: Duration,
    ) -> Self {
        Self { value, number, good_until: asked + (granted - margin.min(granted / 2)) }
    }

    pub(super) fn is_good(&self, now: Instant) -> bool {
        now < self.good_until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_time_to_live_is_one_second_to_six_hours() {
        for good in [1, 60, 21_600] {
            assert_eq!(u64::from(Ttl::new(seconds(good)).unwrap().seconds()), good);
        }
        for wrong in [0, 21_601, u64::MAX] {
            assert_eq!(Ttl::new(seconds(wrong)), Err(InvalidTtl(wrong)));
        }
        assert_eq!(Ttl::new(Duration::from_millis(999)), Err(InvalidTtl(0)));
        assert_eq!(Duration::from_secs(Ttl::default().seconds().into()), LONGEST_TTL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_given_up_shortly_before_it_expires() {
        let asked = Instant::now();
        for (granted, margin, good_for) in [(60, 10, 50), (60, 0, 60), (4, 30, 2)] {
            let token = Token::new("t".into(), 1, asked, seconds(granted), seconds(margin));
            assert!(token.is_good(asked + seconds(good_for) - Duration::from_millis(1)));
            assert!(!token.is_good(asked + seconds(good_for)), "{granted} with {margin}");
        }
    }

    #[test]
    fn a_token_does_not_print() {
        let token = Token::new("sesame".into(), 1, Instant::now(), seconds(60), seconds(1));
        assert!(!format!("{token:?}").contains("sesame"));
    }
}
