//! User data of machines, from Secrets in the same files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundplan_aws::model::USER_DATA_LIMIT;
use serde_json::Value;

use super::members::MachineGroup;
use super::{Findings, ManifestFile};
use crate::diagnostics::{Rule, nearest, shown};
use crate::machine_api::types::{AwsMachineProviderConfig, NAMESPACE};
use crate::machine_api::validation::ObjectFinding;

/// Key of the user data in a Secret.
const KEY: &str = "userData";

/// User data of Secrets by name. Never printed.
#[derive(Default)]
pub(super) struct SecretUserData {
    kept: BTreeMap<String, SecretContent>,
    /// Objects that resemble a Secret and that machines cannot use, by name: the reason, and the
    /// file index.
    strays: BTreeMap<String, (String, usize)>,
}

/// Content of the Secrets with one name.
struct SecretContent {
    content: Option<Vec<u8>>,
    /// Indexes of the files with such a Secret.
    files: Vec<usize>,
    /// True if the Secrets have different content.
    differ: bool,
}

impl fmt::Debug for SecretUserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.kept.keys()).finish()
    }
}

impl SecretUserData {
    /// Records the user data of a Secret. An object that only resembles a usable Secret is recorded
    /// with the reason.
    pub(super) fn keep(&mut self, object: &Value, file: usize) {
        let Some(name) = object["metadata"]["name"].as_str() else { return };
        if !is_meant_for_a_secret(object) {
            return;
        }
        if let Some(why) = unseen(object) {
            self.strays.insert(name.to_owned(), (why, file));
            return;
        }
        let content = content(object);
        match self.kept.get_mut(name) {
            Some(kept) => {
                kept.differ |= kept.content != content;
                kept.files.push(file);
            }
            None => {
                let kept = SecretContent { content, files: vec![file], differ: false };
                self.kept.insert(name.to_owned(), kept);
            }
        }
    }

    /// Returns the user data of machines with this config.
    pub(super) fn of(&self, config: &AwsMachineProviderConfig) -> Option<&[u8]> {
        self.kept.get(name(config))?.content.as_deref()
    }

    /// Adds a finding for each Secret without valid user data, at the first object whose machines use
    /// it.
    pub(super) fn judge(
        &self,
        units: &[MachineGroup],
        files: &[ManifestFile],
        findings: &mut Findings,
    ) {
        let mut users: BTreeMap<&str, usize> = BTreeMap::new();
        for unit in units.iter().filter(|unit| !unit.names.is_empty()) {
            *users.entry(name(&unit.config)).or_default() += 1;
        }
        let mut told = BTreeSet::new();
        for unit in units.iter().filter(|unit| !unit.names.is_empty()) {
            if !told.insert(name(&unit.config)) {
                continue;
            }
            let others = users[name(&unit.config)] - 1;
            if let Some(flaw) = self.flaw(&unit.config, others, files) {
                findings[unit.origin.file].push(unit.origin.finding_in_spec(files, flaw));
            }
        }
    }

    fn flaw(
        &self,
        config: &AwsMachineProviderConfig,
        others: usize,
        files: &[ManifestFile],
    ) -> Option<ObjectFinding> {
        let name = name(config);
        let more = match others {
            0 => String::new(),
            1 => "; 1 more object needs it".to_owned(),
            others => format!("; {others} more objects need it"),
        };
        let flaw = |message: String| {
            let path = "providerSpec.value.userDataSecret";
            ObjectFinding::new(
                Rule::MachineUserData,
                path,
                format!("the Secret `{name}` {message}{more}"),
            )
        };
        let Some(kept) = self.kept.get(name) else {
            if let Some((why, file)) = self.strays.get(name) {
                let found = flaw(format!("{why}, in {}", files[*file].name));
                return Some(found.expected(format!("a v1 Secret in the namespace `{NAMESPACE}`")));
            }
            return Some(flaw("is not among the manifests".into()).hint(
                "pass the file or folder that contains the Secret; `groundplan manifests --assets \
                 DIR --out DIR` or `openshift-install create manifests` creates it",
            ));
        };
        if kept.differ {
            let times = kept.files.len();
            let places: BTreeSet<&str> =
                kept.files.iter().map(|file| &*files[*file].name).collect();
            let places: Vec<&str> = places.into_iter().collect();
            let found = format!("exists {times} times, with different user data");
            let hint = format!(
                "keep one manifest of the Secret; the manifests are in {}",
                places.join(", ")
            );
            return Some(flaw(found).expected("one").hint(hint));
        }
        match kept.content.as_deref() {
            None => {
                let expected = format!(
                    "user data in base64 under `data.{KEY}`, or as plain text under \
                     `stringData.{KEY}`"
                );
                Some(flaw(format!("has no readable `{KEY}`")).expected(expected))
            }
            Some([]) => Some(flaw("is empty: no machine becomes a Node without user data".into())),
            Some(content) if content.len() > USER_DATA_LIMIT => Some(
                flaw(format!("has {} bytes of user data", content.len()))
                    .expected(format!("at most {USER_DATA_LIMIT}, the limit of EC2")),
            ),
            Some(_) => None,
        }
    }
}

/// Returns true if an object is a Secret, or nearly one.
fn is_meant_for_a_secret(object: &Value) -> bool {
    object["kind"].as_str().is_some_and(|kind| nearest(kind, &["Secret"]).is_some())
}

/// Returns why machines cannot use a Secret.
fn unseen(object: &Value) -> Option<String> {
    let said = |value: &Value| value.as_str().map_or_else(|| "nothing".to_owned(), shown);
    if object["kind"] != "Secret" {
        return Some(format!("has the kind {}", said(&object["kind"])));
    }
    if object["apiVersion"] != "v1" {
        return Some(format!("has the apiVersion {}", said(&object["apiVersion"])));
    }
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or(NAMESPACE);
    (namespace != NAMESPACE).then(|| format!("is in the namespace {}", shown(namespace)))
}

/// Returns the name of the Secret. The default of the webhook is already filled in.
fn name(config: &AwsMachineProviderConfig) -> &str {
    config.user_data_secret.as_ref().map_or("", |secret| secret.name.as_str())
}

/// Returns the user data. Plain text takes precedence over base64, as in a cluster.
fn content(secret: &Value) -> Option<Vec<u8>> {
    if let Some(plain) = secret["stringData"][KEY].as_str() {
        return Some(plain.as_bytes().to_vec());
    }
    let encoded: String = secret["data"][KEY].as_str()?.split_whitespace().collect();
    STANDARD.decode(encoded).ok()
}
