//! Difference between the clock of this host and that of AWS, from the response of a rejected call.
//! Decides nothing.

use std::time::SystemTime;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::date_time::{DateTime, Format};

use super::errors::element;

/// Error codes about the time of a request.
const ABOUT_TIME: &[&str] = &["RequestExpired", "RequestTimeTooSkewed", "RequestInTheFuture"];
/// Texts of a rejected signature whose time is the reason (IAM user guide, "Troubleshoot Signature
/// Version 4").
const SIGNED_TOO_EARLY: &str = "Signature expired";
const SIGNED_TOO_LATE: &str = "Signature not yet current";
/// Difference from which AWS rejects requests (five minutes; fifteen in S3), less the time that a
/// request may take.
const AGREES_BELOW: i64 = 4 * 60;

/// Returns true if AWS rejects the time of the request, and not the key of its signature.
pub(super) fn is_about_time(code: &str, message: &str) -> bool {
    ABOUT_TIME.contains(&code)
        || message.contains(SIGNED_TOO_EARLY)
        || message.contains(SIGNED_TOO_LATE)
}

/// Returns the seconds by which the clock of this host is ahead of that of AWS; negative if it is
/// behind. `None` if the response has no time of AWS.
///
/// The `Date` of the response is compared with `now`. Without it, the times that AWS quotes count: they
/// are older, because the request was signed before it was sent.
pub(super) fn ahead(
    response: Option<&HttpResponse>,
    message: &str,
    now: SystemTime,
) -> Option<i64> {
    let date = response.and_then(|response| response.headers().get("date"));
    if let Some(of_aws) = date.and_then(|date| DateTime::from_str(date, Format::HttpDate).ok()) {
        return Some(DateTime::from(now).secs() - of_aws.secs());
    }
    let (signed, of_aws) = in_message(message).or_else(|| in_body(response?))?;
    Some(signed - of_aws)
}

/// Returns an action for a rejected time.
pub(super) fn hint(ahead: Option<i64>) -> String {
    const SET: &str = "`sudo timedatectl set-ntp true`, or `sudo chronyc makestep`";
    match ahead {
        None => format!(
            "set the clock of this host ({SET}), or renew temporary credentials, for example with \
             `aws sso login`"
        ),
        Some(ahead) if ahead.abs() < AGREES_BELOW => {
            "the clock of this host agrees with that of AWS: run the same command again, or renew \
             temporary credentials, for example with `aws sso login`"
                .to_owned()
        }
        Some(ahead) => {
            let side = if ahead < 0 { "behind" } else { "ahead of" };
            let difference = rounded(ahead.unsigned_abs());
            format!("set the clock of this host, which is {difference} {side} that of AWS: {SET}")
        }
    }
}

/// Returns a duration in its largest unit. Repeated errors then have the same text.
fn rounded(seconds: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(86_400, "days"), (3_600, "hours"), (60, "minutes")];
    let fits = UNITS.into_iter().find(|(unit, _)| seconds >= 2 * unit);
    let (unit, name) = fits.unwrap_or((60, "minutes"));
    format!("{} {name}", (seconds + unit / 2) / unit)
}

/// Returns the times of the signature and of AWS in a message: `Signature expired: 20261201T100000Z is
/// now earlier than 20261201T101500Z (20261201T102000Z - 5 min.)`.
fn in_message(message: &str) -> Option<(i64, i64)> {
    let mut times = message.split([' ', '(', ')']).filter_map(basic);
    let signed = times.next()?;
    let of_aws = times.nth(1)?; // the first is the limit that follows from it
    Some((signed, of_aws))
}

/// Returns the times in the body of S3: `<RequestTime>` and `<ServerTime>`.
fn in_body(response: &HttpResponse) -> Option<(i64, i64)> {
    let signed =
        element(response, "RequestTime").and_then(|time| basic(time).or_else(|| full(time)));
    let of_aws = element(response, "ServerTime").and_then(full);
    Some((signed?, of_aws?))
}

/// Parses a time such as `20261201T100000Z`, in seconds since 1970.
fn basic(text: &str) -> Option<i64> {
    let is_time = text.len() == 16 && text.is_ascii() && text.as_bytes()[8] == b'T';
    let part = |from: usize, to: usize| &text[from..to];
    is_time.then_some(())?;
    full(&format!(
        "{}-{}-{}T{}:{}:{}",
        part(0, 4),
        part(4, 6),
        part(6, 8),
        part(9, 11),
        part(11, 13),
        part(13, 16)
    ))
}

fn full(text: &str) -> Option<i64> {
    DateTime::from_str(text, Format::DateTime).ok().map(|time| time.secs())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_smithy_types::body::SdkBody;

    use super::*;

    const EXPIRED: &str = "Signature expired: 20261201T100000Z is now earlier than 20261201T101500Z \
         (20261201T102000Z - 5 min.)";
    const FUTURE: &str = "Signature not yet current: 20261201T120000Z is still later than \
         20261201T100500Z (20261201T100000Z + 5 min.)";

    fn at(text: &str) -> SystemTime {
        let seconds = u64::try_from(full(text).unwrap()).unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn response(date: Option<&'static str>, body: &str) -> HttpResponse {
        let mut response = HttpResponse::new(403.try_into().unwrap(), SdkBody::from(body));
        if let Some(date) = date {
            response.headers_mut().insert("date", date);
        }
        response
    }

    #[test]
    fn a_wrong_time_is_told_from_a_wrong_key() {
        for (code, message, is) in [
            ("RequestExpired", "Request has expired.", true),
            ("RequestTimeTooSkewed", "The difference is too large", true),
            ("SignatureDoesNotMatch", EXPIRED, true),
            ("InvalidSignatureException", FUTURE, true),
            ("SignatureDoesNotMatch", "The request signature we calculated does not match", false),
            ("ExpiredToken", "The security token included in the request is expired", false),
        ] {
            assert_eq!(is_about_time(code, message), is, "{code}: {message}");
        }
    }

    #[test]
    fn the_date_of_the_response_decides_before_the_times_that_it_quotes() {
        let now = at("2026-12-01T10:20:05Z");
        let dated = response(Some("Tue, 01 Dec 2026 10:20:03 GMT"), "");
        assert_eq!(ahead(Some(&dated), EXPIRED, now), Some(2), "the request was sent late");
        let other = response(Some("Tue, 01 Dec 2026 12:20:05 GMT"), "");
        assert_eq!(ahead(Some(&other), "Request has expired.", now), Some(-7200));
        assert_eq!(ahead(Some(&response(None, "")), EXPIRED, now), Some(-1200));
        assert_eq!(ahead(None, FUTURE, now), Some(7200));
        let skewed = "<Error><Code>RequestTimeTooSkewed</Code><RequestTime>20261201T100000Z\
             </RequestTime><ServerTime>2026-12-01T10:16:40Z</ServerTime></Error>";
        assert_eq!(ahead(Some(&response(None, skewed)), "", now), Some(-1000));
    }

    #[test]
    fn a_response_without_a_time_has_no_difference() {
        let now = at("2026-12-01T10:20:05Z");
        for (date, message) in [
            (None, "Request has expired."),
            (Some("yesterday"), "Signature expired: 2026 is now earlier than x"),
            (None, "Signature expired: 20261301T100000Z is now earlier than 20269901T101500Z"),
        ] {
            assert_eq!(ahead(Some(&response(date, "<a/>")), message, now), None, "{message}");
        }
    }

    #[test]
    fn the_hint_has_the_difference_and_how_to_set_the_clock() {
        assert!(hint(Some(-1200)).contains("20 minutes behind that of AWS: `sudo timedatectl"));
        assert!(hint(Some(7200)).contains("2 hours ahead of that of AWS"));
        assert!(hint(Some(3 * 86_400)).contains("3 days ahead"));
        assert!(hint(Some(12)).starts_with("the clock of this host agrees with that of AWS"));
        let unknown = hint(None);
        assert!(unknown.contains("timedatectl") && unknown.contains("aws sso login"), "{unknown}");
    }
}
