//! Credentials of the cluster's operators in the assets. With `credentialsMode: Manual`, the cluster
//! makes none, so `bootstrap.ign` must have them: `ccoctl aws create-all` writes them for roles.
//!
//! Never quotes a Secret. Reads only whether a Secret has credentials, and whether they are of a role.

use secrecy::ExposeSecret;
use serde_json::Value;

use super::ignition::AssetFile;
use crate::machine_api::validation::document;

/// Beginning of the namespaces of the operators.
const NAMESPACES: &str = "openshift-";
/// Keys of a Secret for operators (openshift/cloud-credential-operator `pkg/aws/actuator`: user keys, or
/// a file of the AWS tools).
const KEYS: [&str; 2] = ["aws_access_key_id", "credentials"];
/// Setting in such a file that names a role (`ccoctl`).
const ROLE: &str = "role_arn";

/// Credentials that the manifests of a cluster have.
#[derive(Debug, Default)]
struct AssetCredentials {
    /// True if a Secret has credentials of an operator.
    has_any: bool,
    /// True if a Secret has a role, which the operator assumes with a token of its service account.
    has_role: bool,
    /// True if the cluster names the issuer of these tokens.
    has_issuer: bool,
}

/// Returns the warning about operators that get no credentials. `None` if the manifests have them. A
/// file that cannot be read is left out: the comparison of the machines reports it.
pub(super) fn missing(files: &[AssetFile]) -> Option<String> {
    let mut found = AssetCredentials::default();
    for file in files {
        let text = file.text.expose_secret();
        if !text.contains("Secret") && !text.contains("Authentication") {
            continue;
        }
        for content in document::split(text) {
            let objects = content.objects().unwrap_or_default();
            objects.iter().for_each(|object| found.add(&object.value));
        }
    }
    match found {
        AssetCredentials { has_any: false, .. } => Some(
            "bootstrap.ign: credentialsMode is Manual, and no Secret has AWS credentials of the \
             operators, so the masters boot and no worker comes; put the manifests of `ccoctl aws \
             create-all` into the folder of `openshift-install create manifests`, and run \
             `openshift-install create ignition-configs` there"
                .to_owned(),
        ),
        AssetCredentials { has_role: true, has_issuer: false, .. } => Some(
            "bootstrap.ign: the operators have roles, and no Authentication names the \
             serviceAccountIssuer, so AWS accepts none of their tokens; put all manifests and the \
             folder tls of `ccoctl aws create-all` into the folder of `openshift-install create \
             manifests`, and run `openshift-install create ignition-configs` there"
                .to_owned(),
        ),
        AssetCredentials { .. } => None,
    }
}

impl AssetCredentials {
    fn add(&mut self, object: &Value) {
        let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
        match text("/kind") {
            Some("Secret") if text("/metadata/namespace").is_some_and(is_of_operator) => {
                for key in KEYS {
                    let plain = object["stringData"].get(key).and_then(Value::as_str);
                    let encoded = object["data"].get(key).and_then(Value::as_str);
                    self.has_any |= plain.is_some() || encoded.is_some();
                    self.has_role |= plain.is_some_and(|text| text.contains(ROLE))
                        || encoded.is_some_and(has_role);
                }
            }
            Some("Authentication") => {
                let issuer = text("/spec/serviceAccountIssuer");
                self.has_issuer |= issuer.is_some_and(|issuer| !issuer.is_empty());
            }
            _ => {}
        }
    }
}

fn is_of_operator(namespace: &str) -> bool {
    namespace.starts_with(NAMESPACES)
}

/// Returns true if an encoded value names a role.
fn has_role(encoded: &str) -> bool {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let lines: String = encoded.split_whitespace().collect();
    STANDARD.decode(lines).is_ok_and(|text| String::from_utf8_lossy(&text).contains(ROLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(texts: &[&str]) -> Option<String> {
        let file =
            |text: &&str| AssetFile { path: "a.yaml".to_owned(), text: (*text).to_owned().into() };
        missing(&texts.iter().map(file).collect::<Vec<_>>())
    }

    const ROLE_SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata:\n  name: aws-cloud-credentials\n  \
         namespace: openshift-machine-api\nstringData:\n  credentials: |-\n    [default]\n    \
         role_arn = arn:aws:iam::123456789012:role/canary\n";
    const ISSUER: &str = "apiVersion: config.openshift.io/v1\nkind: Authentication\nmetadata:\n  name: \
         cluster\nspec:\n  serviceAccountIssuer: https://demo-oidc.s3.us-west-2.amazonaws.com\n";

    #[test]
    fn without_a_secret_the_operators_have_no_credentials() {
        let user_data = "kind: Secret\nmetadata:\n  name: worker-user-data\n  namespace: \
                         openshift-machine-api\ndata:\n  userData: Y2FuYXJ5\n";
        let elsewhere = ROLE_SECRET.replace("openshift-machine-api", "default");
        for texts in [&[][..], &[user_data], &[&elsewhere, ISSUER], &["kind: [Secret"]] {
            let warning = said(texts).unwrap();
            assert!(warning.contains("no Secret has AWS credentials"), "{warning}");
            assert!(!warning.contains("canary"));
        }
    }

    #[test]
    fn credentials_of_a_user_are_enough_and_those_of_a_role_need_an_issuer() {
        let user = "kind: Secret\nmetadata:\n  namespace: openshift-machine-api\ndata:\n  \
                    aws_access_key_id: Y2FuYXJ5\n";
        assert_eq!(said(&[user]), None);
        assert_eq!(said(&[&format!("{ISSUER}---\n{ROLE_SECRET}")]), None);
        let empty = ISSUER.replace("https://demo-oidc.s3.us-west-2.amazonaws.com", "\"\"");
        let encoded = "kind: Secret\nmetadata:\n  namespace: openshift-machine-api\ndata:\n  \
                       credentials: W2RlZmF1bHRdCnJvbGVfYXJuID0gYQo=\n";
        for texts in [&[ROLE_SECRET][..], &[ROLE_SECRET, &empty], &[encoded]] {
            let warning = said(texts).unwrap();
            assert!(warning.contains("serviceAccountIssuer"), "{warning}");
            assert!(!warning.contains("canary"));
        }
    }
}
