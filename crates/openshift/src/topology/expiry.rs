//! Expiry of the certificates in `bootstrap.ign`: the control plane on the bootstrap machine starts with
//! them. Reads dates only. No result has a part of the config, which contains private keys.

use std::borrow::Cow;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use serde::Deserialize;

use super::ignition::{BEGIN, END};

/// Folder of the certificates that openshift-install generates. Certificates of the user are elsewhere
/// (openshift/installer release-4.15 `pkg/asset/ignition/bootstrap/common.go`).
const FOLDER: &str = "/opt/openshift/tls/";
/// Remaining time below which a bootstrap may outlast its certificates. openshift-install waits up to
/// an hour for a bootstrap.
const SPARE: Duration = Duration::from_secs(60 * 60);

/// Validity of the certificates of an Ignition config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateValidity {
    /// All certificates are valid for the time of a bootstrap.
    Valid,
    /// A certificate expires within an hour.
    Short(FirstExpiry),
    /// A certificate has expired.
    Expired(FirstExpiry),
}

/// The certificate that expires first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstExpiry {
    /// Name of the file in the config, such as `kubelet-signer.crt`.
    pub file: String,
    /// End of the validity.
    pub at: Timestamp,
    /// Time between `at` and now.
    pub distance: Duration,
}

impl CertificateValidity {
    /// Returns the validity of the certificates that openshift-install has generated into a config.
    /// `None` if the config has none that can be read.
    pub fn of(config: &[u8], now: Timestamp) -> Option<Self> {
        let (at, file) = certificates(config).min()?;
        let distance = at.duration_since(now).unsigned_abs();
        let first = FirstExpiry { file, at, distance };
        Some(match () {
            () if at <= now => Self::Expired(first),
            () if first.distance < SPARE => Self::Short(first),
            () => Self::Valid,
        })
    }
}

/// Part of an Ignition config (specification 3.2).
#[derive(Deserialize)]
struct Config<'a> {
    #[serde(borrow)]
    storage: Storage<'a>,
}

#[derive(Deserialize)]
struct Storage<'a> {
    #[serde(borrow, default)]
    files: Vec<File<'a>>,
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    path: Cow<'a, str>,
    #[serde(borrow, default)]
    contents: Contents<'a>,
}

#[derive(Default, Deserialize)]
struct Contents<'a> {
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    #[serde(borrow)]
    compression: Option<Cow<'a, str>>,
}

/// Returns the end of validity of each certificate, with the name of its file.
fn certificates(config: &[u8]) -> impl Iterator<Item = (Timestamp, String)> {
    let config: Option<Config<'_>> = serde_json::from_slice(config).ok();
    let files = config.map(|config| config.storage.files).unwrap_or_default();
    let ends = files.into_iter().filter_map(|file| {
        let name = certificate_name(&file.path)?.to_owned();
        let ends = ends_in(&file.contents)?;
        Some(ends.into_iter().map(move |end| (end, name.clone())))
    });
    ends.flatten().collect::<Vec<_>>().into_iter()
}

/// Returns the name of a certificate of openshift-install; `None` for another path. Keys have the
/// extension `.key`.
fn certificate_name(path: &str) -> Option<&str> {
    let name = path.strip_prefix(FOLDER)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    (name.ends_with(".crt") && name.chars().all(is_plain)).then_some(name)
}

/// Returns the ends of validity of the certificates in a file. openshift-install writes data URLs in
/// Base64 without compression.
fn ends_in(contents: &Contents<'_>) -> Option<Vec<Timestamp>> {
    if contents.compression.as_deref().is_some_and(|method| !method.is_empty()) {
        return None;
    }
    let (header, data) = contents.source.as_deref()?.strip_prefix("data:")?.split_once(',')?;
    let pem = STANDARD.decode(header.ends_with(";base64").then_some(data)?).ok()?;
    let pem = String::from_utf8(pem).ok()?;
    let bodies = pem.split(BEGIN).skip(1).filter_map(|rest| Some(rest.split_once(END)?.0));
    let ends = bodies.filter_map(|body| {
        let body: String = body.split_whitespace().collect();
        not_after(&STANDARD.decode(body).ok()?)
    });
    Some(ends.collect())
}

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// Tag of the optional version of a certificate.
const VERSION: u8 = 0xa0;

/// Returns the end of validity of an X.509 certificate in DER (RFC 5280, 4.1). The few elements before it
/// need no parser of all of X.509.
fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let certificate = sequence(certificate)?;
    let mut fields = sequence(certificate)?;
    if element(fields)?.0 == VERSION {
        fields = element(fields)?.2;
    }
    for _serial_algorithm_issuer in 0..3 {
        fields = element(fields)?.2;
    }
    let (_, _, after) = element(sequence(fields)?)?;
    let (tag, text, _) = element(after)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

fn sequence(der: &[u8]) -> Option<&[u8]> {
    let (tag, content, _) = element(der)?;
    (tag == SEQUENCE).then_some(content)
}

/// Returns the tag and the content of the first element, and the elements after it.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// Returns the time of `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, 4.1.2.5).
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let digits = text.strip_suffix('Z')?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year: i16 = digits[..2].parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (digits[..4].parse().ok()?, &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| rest[at..at + 2].parse::<i8>().ok();
    let time = DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Offset::UTC.to_timestamp(time).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Certificate that is valid until 2026-03-02T08:30:00Z (UTCTime).
    const DAY: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBHjCBxaADAgECAgEHMAoGCCqGSM49BAMCMBkxFzAVBgNVBAMMDmt1YmVsZXQt\n\
        c2lnbmVyMB4XDTI2MDMwMTA4MzAwMFoXDTI2MDMwMjA4MzAwMFowGTEXMBUGA1UE\n\
        AwwOa3ViZWxldC1zaWduZXIwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATwOR73\n\
        9rw2pJvBuhcJN28nBZ7iU8iO7DZiW8niC6Tp3na8agoDxRgu5bHZvBfSgL4MKiZ7\n\
        TzQB66msGc3DlYS5MAoGCCqGSM49BAMCA0gAMEUCID42dmwqAW/Bs3Crsr1hqf4j\n\
        NrDCE7oW4JBy/yEjdBJ0AiEAv0WSbYFElos02Vysy1m7HcSXNh0xH4UawDRI6PAK\n\
        hmg=\n\
        -----END CERTIFICATE-----\n";
    /// Certificate that is valid until 2056-02-28T08:30:00Z (GeneralizedTime).
    const YEARS: &str = "\
        -----BEGIN CERTIFICATE-----\n\
        MIIBEjCBuaADAgECAgEHMAoGCCqGSM49BAMCMBIxEDAOBgNVBAMMB3Jvb3QtY2Ew\n\
        IBcNMjYwMzAxMDgzMDAwWhgPMjA1NjAyMjgwODMwMDBaMBIxEDAOBgNVBAMMB3Jv\n\
        b3QtY2EwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATiaRvXuPcR8SMkDioH+vcu\n\
        lY/jIIvgLXcG7G96ws910Y/b47KDDkadOt8c72s9UOD461rvns5Av/nEaQuXKTD7\n\
        MAoGCCqGSM49BAMCA0gAMEUCIQDvQGQvB3l/VFt29wFB4/ZM9f71xebI2jMS1VAk\n\
        5kHzJwIgVBX8YtLprefxYLAWJM2ZYOBICcGgnrD3t7VALW/kp4I=\n\
        -----END CERTIFICATE-----\n";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn data(text: &str) -> String {
        format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(text))
    }

    fn config(files: &[(&str, &str)]) -> Vec<u8> {
        let file = |(name, text): &(&str, &str)| json!({"path": name, "mode": 384, "contents": {"source": data(text)}});
        let files: Vec<_> = files.iter().map(file).collect();
        let config = json!({"ignition": {"version": "3.2.0"}, "storage": {"files": files}});
        config.to_string().into_bytes()
    }

    fn of(files: &[(&str, &str)], now: &str) -> Option<CertificateValidity> {
        CertificateValidity::of(&config(files), at(now))
    }

    const FILES: &[(&str, &str)] = &[
        ("/opt/openshift/tls/root-ca.crt", YEARS),
        ("/opt/openshift/tls/kubelet-signer.key", "-----BEGIN RSA PRIVATE KEY-----\ncanary\n"),
        ("/opt/openshift/tls/kubelet-signer.crt", DAY),
    ];

    #[test]
    fn the_certificate_that_expires_first_decides() {
        assert_eq!(of(FILES, "2026-03-02T07:29:00Z"), Some(CertificateValidity::Valid));
        let Some(CertificateValidity::Short(first)) = of(FILES, "2026-03-02T08:00:00Z") else {
            panic!("not short")
        };
        assert_eq!((&*first.file, first.at), ("kubelet-signer.crt", at("2026-03-02T08:30:00Z")));
        assert_eq!(first.distance, Duration::from_secs(30 * 60));
        let Some(CertificateValidity::Expired(first)) = of(FILES, "2026-03-02T11:30:00Z") else {
            panic!("not expired")
        };
        assert_eq!(first.distance, Duration::from_secs(3 * 3600));
        assert!(!format!("{first:?}").contains("canary"));
    }

    #[test]
    fn a_date_after_2049_has_four_digits_of_its_year() {
        let expired = of(&FILES[..1], "2056-02-28T08:30:00Z");
        let Some(CertificateValidity::Expired(first)) = expired else { panic!("not expired") };
        assert_eq!(first.distance, Duration::ZERO);
        assert_eq!(of(&FILES[..1], "2056-02-27T08:30:00Z"), Some(CertificateValidity::Valid));
    }

    #[test]
    fn all_certificates_of_a_bundle_count() {
        let bundle = format!("{YEARS}# comment\n{DAY}");
        let files = [("/opt/openshift/tls/kubelet-client-ca-bundle.crt", &*bundle)];
        let validity = of(&files, "2026-03-03T00:00:00Z");
        assert!(matches!(validity, Some(CertificateValidity::Expired(_))), "{validity:?}");
    }

    #[test]
    fn certificates_of_the_user_do_not_count() {
        for path in [
            "/etc/pki/ca-trust/source/anchors/ca.crt",
            "/opt/openshift/tls/a\u{1b}[31m.crt",
            "/opt/openshift/tls/kubelet-signer.key",
        ] {
            assert_eq!(of(&[(path, DAY)], "2026-03-03T00:00:00Z"), None, "{path}");
        }
    }

    #[test]
    fn a_config_without_readable_certificates_has_no_validity() {
        let now = at("2026-03-03T00:00:00Z");
        let cut = &DAY[..DAY.len() / 2];
        let name = FILES[2].0;
        for text in
            ["", cut, "canary", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"]
        {
            assert_eq!(CertificateValidity::of(&config(&[(name, text)]), now), None, "{text}");
        }
        let packed = json!({"storage": {"files": [
            {"path": name, "contents": {"source": data(DAY), "compression": "gzip"}},
            {"path": name, "contents": {"source": "data:,canary"}},
            {"path": name},
        ]}});
        for config in [&*packed.to_string(), "{}", "[]", "", "{\"storage\": {}}"] {
            assert_eq!(CertificateValidity::of(config.as_bytes(), now), None, "{config}");
        }
    }

    /// A damaged certificate must neither panic nor read beyond its end.
    #[test]
    fn every_prefix_and_every_changed_byte_of_a_certificate_is_read_without_a_panic() {
        let body = DAY.lines().filter(|line| !line.starts_with('-')).collect::<String>();
        let der = STANDARD.decode(body).unwrap();
        assert_eq!(not_after(&der), Some(at("2026-03-02T08:30:00Z")));
        for end in 0..der.len() {
            let _ = not_after(&der[..end]);
            for value in [0, 0x30, 0x7f, 0x80, 0x83, 0xff] {
                let mut changed = der.clone();
                changed[end] = value;
                let _ = not_after(&changed);
            }
        }
    }
}
