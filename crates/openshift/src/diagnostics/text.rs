//! Decoding: the bytes of a file become text that can be parsed as YAML, or a finding.
//!
//! Reads no more than the maximum size of an install-config. Never converts encodings: a file that
//! openshift-install cannot read is reported with the position of the problem.

use std::borrow::Cow;
use std::io::{self, Read};

use super::finding::{FieldSpan, Finding, FindingCollector};
use super::rules::Rule;

/// Maximum size of a file in bytes. Generous for the largest known install-configs (a few hundred
/// lines), and parsed in milliseconds.
pub(crate) const MOST_BYTES: usize = 1 << 20;

/// Reads the whole input, up to one byte more than the maximum size.
///
/// # Errors
/// Returns the error of the reader.
pub fn read_bounded(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    reader.take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the text. On error, returns the finding and the part of the text that may be shown.
pub(crate) fn decode(bytes: &[u8]) -> Result<&str, (Finding, Cow<'_, str>)> {
    if bytes.len() > MOST_BYTES {
        return Err((too_large(), Cow::Borrowed("")));
    }
    if is_utf16(bytes) {
        let fault = TextFault { at: None, message: "the file is UTF-16", hint: SAVE_AS };
        return Err((fault.finding(""), Cow::Borrowed("")));
    }
    let fault = match std::str::from_utf8(bytes) {
        Ok(text) => match text.find('\0') {
            Some(at) => TextFault {
                at: Some(at),
                message: "the file has a NUL byte",
                hint: "remove the NUL byte, or restore the file if it is damaged",
            },
            None => return Ok(text),
        },
        Err(error) => {
            let message = "the file has a byte that is not UTF-8";
            TextFault { at: Some(error.valid_up_to()), message, hint: SAVE_AS }
        }
    };
    // The valid text before the problem has the same offsets in the shown text.
    let shown = String::from_utf8_lossy(bytes);
    Err((fault.finding(&shown), shown))
}

/// Returns the finding for a file that is too large to read.
pub(crate) fn too_large() -> Finding {
    let mut report = FindingCollector::new("");
    report
        .breach(Rule::FileSize, &FieldSpan::file(), "the file is too large to be an install-config")
        .expected(format!("at most {MOST_BYTES} bytes"));
    report.finish().remove(0)
}

struct TextFault {
    at: Option<usize>,
    message: &'static str,
    hint: &'static str,
}

const SAVE_AS: &str = "save the file as UTF-8 (in an editor: `Save as` or `Encoding`)";

impl TextFault {
    fn finding(&self, shown: &str) -> Finding {
        let character = |at: usize| shown[at..].chars().next().map_or(1, char::len_utf8);
        let span = self.at.map(|at| at..at + character(at));
        let mut report = FindingCollector::new(shown);
        report
            .breach(Rule::Encoding, &FieldSpan { path: String::new(), span }, self.message)
            .expected("text in UTF-8")
            .hint(self.hint);
        report.finish().remove(0)
    }
}

/// Returns true for UTF-16, which some shells write on redirection. UTF-16 starts with a byte order
/// mark, or every other byte is zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let marked = bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]);
    let head = &bytes[..bytes.len().min(64)];
    let is_empty = |half: usize| head.iter().skip(half).step_by(2).all(|&byte| byte == 0);
    marked || head.len() >= 4 && is_empty(0) != is_empty(1)
}
