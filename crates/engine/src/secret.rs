//! Secrets and their digests. The engine writes only digests.
//!
//! User data, Ignition and similar contents travel beside the graph in [`Secrets`], which cannot be
//! serialised or printed. Inputs, state, plan, journal and events contain only a [`Secret`], a
//! digest.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
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
    fn a_secret_is_known_by_its_digest_alone() {
        let mut secrets = Secrets::default();
        let secret = secrets.keep(b"canary".to_vec());
        assert_eq!(secrets.reveal(&secret), Some(&b"canary"[..]));
        let written = format!("{secret:?} {secrets:?} {}", serde_json::to_string(&secret).unwrap());
        assert!(!written.contains("canary"), "{written}");
        assert_eq!(secret.digest.len(), "sha256:".len() + 64);
    }
}
