//! Secrets: what the engine may know of them is a digest.
//!
//! User data, Ignition and the like travel beside the graph in [`Secrets`], which cannot be
//! serialised or printed; inputs, state, plan, journal and events hold only a [`Secret`], a digest.

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The digest that stands for a secret wherever something is written down.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// `sha256:<64 hex digits>`
    #[serde(rename = "$secret")]
    pub digest: String,
}

impl Secret {
    /// The digest of this content.
    pub fn of(content: &[u8]) -> Self {
        Self { digest: format!("sha256:{}", hex(&Sha256::digest(content))) }
    }
}

/// The secrets behind the digests of one graph. In memory only.
#[derive(Default)]
pub struct Secrets {
    contents: HashMap<Secret, Vec<u8>>,
}

impl Secrets {
    /// Keeps a content and returns what may be written down of it.
    pub fn keep(&mut self, content: Vec<u8>) -> Secret {
        let secret = Secret::of(&content);
        self.contents.insert(secret.clone(), content);
        secret
    }

    /// The content behind a digest, if this run has it.
    pub fn reveal(&self, secret: &Secret) -> Option<&[u8]> {
        self.contents.get(secret).map(Vec::as_slice)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secrets({})", self.contents.len())
    }
}

/// Lower-case hexadecimal.
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
