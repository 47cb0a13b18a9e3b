//! The Secrets that machines start from (openshift-install `pkg/asset/machines/userdata.go`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Content, Manifest};
use crate::machine_api::types::NAMESPACE;
use crate::topology::Assets;

/// The Secrets of masters and workers, if there are assets to make them of. The Machine API puts
/// their content into the user data of each machine.
pub(super) fn secrets(assets: &Assets) -> Vec<Manifest> {
    let roles = [("master", assets.master()), ("worker", assets.worker())];
    roles.into_iter().filter_map(|(role, ignition)| Some(secret(role, ignition?))).collect()
}

/// In the order in which openshift-install's template has it, which is not the alphabet's.
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
        content: Content::Secret(text.into()),
    }
}

/// What the Secret of a role is called.
pub(super) fn name(role: &str) -> String {
    format!("{role}-user-data")
}
