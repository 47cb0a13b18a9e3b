//! Delays, losses and disorder between a client and the server, fixed by a test or drawn from a
//! seed.
//!
//! A request that is delayed takes effect even if its client is dropped meanwhile, because it is on
//! its way. One watch delivers its events in order, as the real server does. Different watches are
//! late by different times, so events of different kinds arrive in any order.

use std::time::Duration;

use fastrand::Rng;

use super::request::ParsedRequest;

/// Disturbances that apply until they are cleared.
#[derive(Debug, Default)]
pub(super) struct Disturbances {
    delays: Vec<(&'static str, &'static str, Duration)>,
    drawn: Option<Rng>,
}

/// Treatment of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestFate {
    /// Time until the request takes effect.
    pub(super) before: Duration,
    /// Time from the effect to the response.
    pub(super) after: Duration,
    /// True if the connection is closed before the request takes effect.
    pub(super) lost: bool,
    /// True if the connection is closed after the request has taken effect.
    pub(super) unanswered: bool,
    /// Status of a rejection that replaces the effect.
    pub(super) rejected: Option<u16>,
}

impl RequestFate {
    /// Returns true if the response is immediate.
    pub(super) fn is_immediate(&self) -> bool {
        self.before.is_zero() && self.after.is_zero()
    }
}

/// Treatment of one watch.
#[derive(Debug, Default)]
pub(super) struct WatchFate {
    /// Source of delays, or `None` for a watch without delays.
    pub(super) lag: Option<Rng>,
    /// Time until the server ends the watch.
    pub(super) ends_after: Option<Duration>,
    /// True if the first event is `410 Expired`.
    pub(super) expired: bool,
}

impl Disturbances {
    pub(super) fn delay(&mut self, verb: &'static str, plural: &'static str, by: Duration) {
        self.delays.push((verb, plural, by));
    }

    pub(super) fn draw_from(&mut self, seed: u64) {
        self.drawn = Some(Rng::with_seed(seed));
    }

    /// Returns the fate of a request. A watch has its own fate, too, for its events.
    pub(super) fn fate(&mut self, asked: &ParsedRequest) -> RequestFate {
        let (verb, plural) = (asked.verb(), asked.plural());
        let fixed = self.delays.iter().filter(|(of, kind, _)| *of == verb && *kind == plural);
        let mut fate =
            RequestFate { before: fixed.map(|(_, _, by)| *by).sum(), ..RequestFate::default() };
        let Some(drawn) = &mut self.drawn else { return fate };
        fate.before += millis(drawn, if verb == "LIST" || verb == "WATCH" { 4_000 } else { 400 });
        fate.after = millis(drawn, 400);
        match drawn.u8(..100) {
            0..4 => fate.lost = true,
            4..8 => fate.unanswered = true,
            8..11 => fate.rejected = Some(drawn.choice([429, 500, 503]).expect("BUG: not empty")),
            _ => (),
        }
        fate
    }

    pub(super) fn watch_fate(&mut self) -> WatchFate {
        let Some(drawn) = &mut self.drawn else { return WatchFate::default() };
        WatchFate {
            ends_after: Some(Duration::from_millis(drawn.u64(500..60_000))),
            expired: drawn.u8(..100) < 10,
            lag: Some(drawn.fork()),
        }
    }

    /// Returns a number below `bound`, or 0 if nothing is drawn.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.drawn.as_mut().map_or(0, |drawn| drawn.u64(..bound.max(1)))
    }
}

/// Returns a delay. Most delays are short, and some are as long as `longest`.
pub(super) fn millis(drawn: &mut Rng, longest: u64) -> Duration {
    Duration::from_millis(match drawn.u8(..10) {
        0 => drawn.u64(..longest),
        1..4 => drawn.u64(..longest / 10),
        _ => drawn.u64(..10),
    })
}
