//! Details of manifests that differ between releases and have no effect on AWS.

use serde_json::Value;

use crate::topology::layout::ManifestLayout;

/// Label with the stream of a machine's operating system.
pub(super) const OS_STREAM_LABEL: &str = "machineconfiguration.openshift.io/osstream";

/// Gives an object the details of a release.
pub(super) fn apply(layout: &ManifestLayout, object: &mut Value) {
    match object {
        Value::Object(fields) => {
            if !layout.has_null_timestamps && fields.get("creationTimestamp") == Some(&Value::Null)
            {
                fields.remove("creationTimestamp");
            }
            let is_config =
                fields.get("kind").is_some_and(|kind| kind == "AWSMachineProviderConfig");
            if is_config && layout.has_capacity_reservation {
                fields.entry("capacityReservationId").or_insert_with(|| "".into());
            }
            fields.values_mut().for_each(|field| apply(layout, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| apply(layout, item)),
        _ => (),
    }
}
