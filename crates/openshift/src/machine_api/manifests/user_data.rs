//! Secrets with the user data of machines (openshift-install `pkg/asset/machines/userdata.go`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{FileContent, Manifest};
use crate::machine_api::types::NAMESPACE;
use crate::topology::{Assets, IgnitionFile};

/// Returns the Secrets of masters and workers, as far as the assets contain their Ignition configs.
/// The Machine API copies the content into the user data of each machine.
pub(super) fn secrets(assets: &Assets) -> Vec<Manifest> {
    let roles = [("master", IgnitionFile::Master), ("worker", IgnitionFile::Worker)];
    let secrets = roles.map(|(role, file)| Some(secret(role, assets.ignition(file)?)));
    secrets.into_iter().flatten().collect()
}

/// Returns a Secret with its fields in the order of openshift-install's template, which is not
/// alphabetical.
fn secret(role: &str, ignition: &[u8]) -> Manifest {
    let (disabled, content) = (STANDARD.encode("true\n"), STANDARD.encode(ignition));
    let text = format!(
        "apiVersion: v1\n\
         kind: Secret\n\
         metadata:\n  name: {name}\n  namespace: {NAMESPACE}\n\
         type: Opaque\n\
         data:\n  disableTemplating: \"{disabled}\"\n  userData: {content}\n",
        name = name(role),
    );
    Manifest {
        name: format!("99_openshift-cluster-api_{role}-user-data-secret.yaml"),
        content: FileContent::Secret(text.into()),
    }
}

/// Returns the name of the Secret of a role.
pub(super) fn name(role: &str) -> String {
    format!("{role}-user-data")
}
