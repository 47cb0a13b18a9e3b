//! Secrets and their digests. The engine writes only digests.
//!
//! User data, Ignition and similar contents travel beside the graph in [`Secrets`], which cannot be
//! serialised or printed. Inputs, state, plan, journal and events contain only a [`Secret`], a
//! digest.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Digest that replaces a secret in everything that is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Digest in the form `sha256:<64 hex digits>`.
    #[serde(rename = "$secret")]
    pub digest: String,
}

impl Secret {
    /// Returns the digest of this content.
    pub fn of(content: &[u8]) -> Self {
        Self { digest: format!("sha256:{}", hex(&Sha256::digest(content))) }
    }

    /// Returns the digest of a content that no run has had. It differs from the digest of every
    /// content.
    pub fn unknown() -> Self {
        Self { digest: "sha256:unknown".to_owned() }
    }

    /// Returns `value` as a digest; `None` for any other value.
    pub fn in_value(value: &Value) -> Option<Self> {
        let digest = value.as_object()?.get("$secret")?.as_str()?;
        Some(Self { digest: digest.to_owned() })
    }
}

/// Calls `visit` for every digest in `after` that `before` does not have at the same place.
pub fn each_new_secret(before: Option<&Value>, after: &Value, visit: &mut dyn FnMut(Secret)) {
    if let Some(secret) = Secret::in_value(after) {
        if before != Some(after) {
            visit(secret);
        }
        return;
    }
    match after {
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            each_new_secret(before.and_then(|before| before.get(index)), item, visit);
        }),
        Value::Object(fields) => fields.iter().for_each(|(name, field)| {
            each_new_secret(before.and_then(|before| before.get(name)), field, visit);
        }),
        _ => (),
    }
}

/// Secrets behind the digests of one graph. In memory only.
#[derive(Default)]
pub struct Secrets {
    contents: HashMap<Secret, Vec<u8>>,
}

impl Secrets {
    /// Keeps `content` and returns its digest.
    pub fn keep(&mut self, content: Vec<u8>) -> Secret {
        let secret = Secret::of(&content);
        self.contents.insert(secret.clone(), content);
        secret
    }

    /// Returns the content behind a digest; `None` if this run does not have the content.
    pub fn reveal(&self, secret: &Secret) -> Option<&[u8]> {
        self.contents.get(secret).map(Vec::as_slice)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.contents.len())
    }
}

/// Returns the bytes as lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_that_change_are_new() {
        let value = |content: &[u8]| serde_json::json!({"tags": ["a"], "user_data": [{"content": Secret::of(content)}]});
        let new = |before: Option<&Value>| {
            let mut found = Vec::new();
            each_new_secret(before, &value(b"one"), &mut |secret| found.push(secret));
            found
        };
        assert_eq!(new(Some(&value(b"one"))), []);
        assert_eq!(new(Some(&value(b"two"))), [Secret::of(b"one")]);
        assert_eq!(new(None), [Secret::of(b"one")]);
        assert_ne!(Secret::unknown(), Secret::of(b""));
    }

    #[test]
    fn a_secret_is_known_by_its_digest_alone() {
        let mut secrets = Secrets::default();
        let secret = secrets.keep(b"canary".to_vec());
        assert_eq!(secrets.reveal(&secret), Some(&b"canary"[..]));
        let written = format!("{secret:?} {secrets:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!written.contains("canary"), "{written}");
        assert_eq!(secret.digest.len(), "sha256:".len() + 64);
    }
}
