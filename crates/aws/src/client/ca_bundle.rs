//! The file of certificate authorities that the user sets for AWS endpoints: `AWS_CA_BUNDLE`, or
//! `ca_bundle` of the profile. Its certificates replace those of the system, as in other AWS tools.
//!
//! A bundle that cannot be used is an error of each call and never a reason to trust the system's
//! certificates instead. `additionalTrustBundle` of the install-config is for the cluster, and has no
//! effect here.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;

use super::credentials;

/// Variable with the path of the bundle. It has precedence over the profile.
const VARIABLE: &str = "AWS_CA_BUNDLE";
/// Setting of a profile with the path of the bundle.
const SETTING: &str = "ca_bundle";
const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const CERTIFICATE: &str = "CERTIFICATE-----";

/// Certificate authorities for AWS endpoints, in PEM. Not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CaBundle {
    pem: String,
}

/// Error of a bundle, with the setting that names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the CA bundle {} of {origin} {why}", path.display())]
pub(crate) struct CaBundleError {
    path: PathBuf,
    /// `AWS_CA_BUNDLE`, or the file and the line of the setting.
    origin: String,
    why: CaBundleFault,
}

/// Problem of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum CaBundleFault {
    #[error("cannot be read: {0}")]
    Unreadable(String),
    #[error("has no certificate in PEM")]
    Empty,
    #[error("has a block `{label}` in line {line}, and no certificate")]
    OtherBlock { line: usize, label: String },
    #[error("has a certificate in line {line} that has no end")]
    Unfinished { line: usize },
    #[error("has a certificate in line {line} that cannot be read: {why}")]
    Damaged { line: usize, why: String },
}

impl CaBundleError {
    /// Returns the action of the user.
    pub(crate) fn hint(&self) -> String {
        let Self { origin, path, why } = self;
        match why {
            CaBundleFault::Unreadable(_) => {
                format!(
                    "correct the path in {origin}, or remove the setting to trust the \
                         certificates of the system"
                )
            }
            CaBundleFault::OtherBlock { line, .. } => format!(
                "remove the block that begins in line {line} of {}; a CA bundle has only blocks \
                 `BEGIN CERTIFICATE`",
                path.display()
            ),
            CaBundleFault::Empty
            | CaBundleFault::Unfinished { .. }
            | CaBundleFault::Damaged { .. } => {
                format!(
                    "write the certificates of the authority in PEM to {} (`openssl x509 -in FILE \
                     -text` shows one), or remove the setting {origin}",
                    path.display()
                )
            }
        }
    }
}

impl CaBundle {
    /// Returns the bundle that the environment or the profile names. `None` without one.
    pub(super) fn of_process() -> Option<Result<Self, CaBundleError>> {
        let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let setting = variable(VARIABLE).map(|path| (path, VARIABLE.to_owned()));
        let setting = setting.or_else(|| {
            let profile = variable("AWS_PROFILE").unwrap_or_else(|| "default".to_owned());
            credentials::files().iter().find_map(|file| of_file(file, &profile))
        });
        let (path, origin) = setting?;
        let path = match path.strip_prefix("~/").zip(env::var_os("HOME")) {
            Some((rest, home)) => Path::new(&home).join(rest),
            None => PathBuf::from(path),
        };
        Some(Self::read(path, origin))
    }

    fn read(path: PathBuf, origin: String) -> Result<Self, CaBundleError> {
        let unreadable = |error: io::Error| CaBundleFault::Unreadable(error.to_string());
        let bundle = fs::read(&path).map_err(unreadable).and_then(|bytes| {
            let pem = String::from_utf8_lossy(&bytes).into_owned();
            Self::parse(&pem)
        });
        bundle.map_err(|why| CaBundleError { path, origin, why })
    }

    /// Parses and checks all certificates, because the TLS library panics on others. Text outside the
    /// blocks has no effect.
    fn parse(text: &str) -> Result<Self, CaBundleFault> {
        let mut store = RootCertStore::empty();
        let mut pem = String::new();
        let mut open: Option<(usize, String)> = None;
        for (index, line) in text.lines().enumerate() {
            let (number, line) = (index + 1, line.trim());
            match &mut open {
                None => {
                    let Some(label) = line.strip_prefix(BEGIN) else { continue };
                    if label != CERTIFICATE {
                        let label = line.trim_matches('-').to_owned();
                        return Err(CaBundleFault::OtherBlock { line: number, label });
                    }
                    open = Some((number, String::new()));
                }
                Some((start, body)) => match line.strip_prefix(END) {
                    Some(_) => {
                        let damaged = |why: String| CaBundleFault::Damaged { line: *start, why };
                        let der = STANDARD.decode(body.as_bytes());
                        let der = der.map_err(|error| damaged(error.to_string()))?;
                        let added = store.add(CertificateDer::from(der));
                        added.map_err(|error| damaged(error.to_string()))?;
                        pem.extend([BEGIN, CERTIFICATE, "\n", body, "\n", END, CERTIFICATE, "\n"]);
                        open = None;
                    }
                    None => body.push_str(line),
                },
            }
        }
        match open {
            Some((line, _)) => Err(CaBundleFault::Unfinished { line }),
            None if pem.is_empty() => Err(CaBundleFault::Empty),
            None => Ok(Self { pem }),
        }
    }

    /// Returns the certificates in PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }
}

/// Returns the setting of a profile in a file of the AWS tools, with the file and the line. `None` if
/// the file cannot be read or does not have it.
fn of_file(file: &Path, profile: &str) -> Option<(String, String)> {
    let text = fs::read_to_string(file).ok()?;
    let (line, path) = setting(&text, profile)?;
    Some((path, format!("`{SETTING}` in line {line} of {}", file.display())))
}

/// Returns the line and the value of the setting in a section `[profile NAME]` or `[NAME]`. Indented
/// lines belong to the setting above them.
fn setting(text: &str, profile: &str) -> Option<(usize, String)> {
    let mut is_inside = false;
    let mut found = None;
    for (index, line) in text.lines().enumerate() {
        if let Some(section) = line.trim().strip_prefix('[').and_then(|rest| rest.split(']').next())
        {
            let name = section.trim();
            let name = name.strip_prefix("profile ").unwrap_or(name).trim();
            is_inside = name.trim_matches(['"', '\'']) == profile;
            continue;
        }
        let is_nested = line.starts_with([' ', '\t']);
        let is_comment = line.starts_with(['#', ';']);
        if !is_inside || is_nested || is_comment {
            continue;
        }
        if let Some((key, value)) = line.split_once('=')
            && key.trim().eq_ignore_ascii_case(SETTING)
            && !value.trim().is_empty()
        {
            found = Some((index + 1, value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const CA: &str = include_str!("../../../../tests/it/support/tls/ca.pem");
    const OTHER: &str = include_str!("../../../../tests/it/support/tls/other-ca.pem");

    fn fault(text: &str) -> String {
        CaBundle::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn all_certificates_of_a_bundle_count_and_text_between_them_does_not() {
        let text = format!("# ours\n{CA}\nsubject=other\r\n{}", OTHER.replace('\n', "\r\n"));
        let bundle = CaBundle::parse(&text).unwrap();
        assert_eq!(bundle.pem().matches("-----BEGIN CERTIFICATE-----\n").count(), 2);
        assert!(!bundle.pem().contains("subject"));
        assert_eq!(CaBundle::parse(bundle.pem()), Ok(bundle.clone()));
    }

    #[test]
    fn a_fault_has_its_line() {
        assert_eq!(fault(""), "has no certificate in PEM");
        let key = format!("{CA}-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n");
        let line = CA.lines().count() + 1;
        let other = format!("has a block `BEGIN PRIVATE KEY` in line {line}, and no certificate");
        assert_eq!(fault(&key), other);
        let cut = format!("\n{}", CA.split("-----END").next().unwrap());
        assert_eq!(fault(&cut), "has a certificate in line 2 that has no end");
        let begin = "-----BEGIN CERTIFICATE-----\n";
        let end = "-----END CERTIFICATE-----\n";
        for body in ["!!!!\n", "AAAA\n", ""] {
            let text = fault(&format!("{CA}{begin}{body}{end}"));
            let place = format!("has a certificate in line {line} that cannot be read: ");
            assert!(text.starts_with(&place), "{text}");
        }
    }

    #[test]
    fn a_missing_file_is_named_with_its_setting() {
        let error = CaBundle::read("/nowhere/ca.pem".into(), VARIABLE.to_owned()).unwrap_err();
        let text = "the CA bundle /nowhere/ca.pem of AWS_CA_BUNDLE cannot be read: No such file";
        assert!(error.to_string().starts_with(text), "{error}");
        assert!(error.hint().contains("correct the path in AWS_CA_BUNDLE"));
    }

    #[test]
    fn the_setting_is_that_of_the_profile() {
        let text = "[default]\nregion = us-west-2\nca_bundle = /default.pem\n\
                    [profile work]\n# ca_bundle = /no.pem\ns3 =\n  ca_bundle = /nested.pem\n\
                    CA_Bundle=/work.pem\n[profile \"a b\"]\nca_bundle =\n[other]\nca_bundle = ~/o.pem\n";
        let of = |profile| setting(text, profile);
        assert_eq!(of("default"), Some((3, "/default.pem".to_owned())));
        assert_eq!(of("work"), Some((8, "/work.pem".to_owned())));
        assert_eq!(of("a b"), None);
        assert_eq!(of("other"), Some((12, "~/o.pem".to_owned())));
        assert_eq!(of("missing"), None);
    }
}
