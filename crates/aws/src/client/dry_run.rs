//! Parts of EC2 dry runs that kinds share: the subject of a call, and the one macro that makes every
//! request with `DryRun`.

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};
use serde::Deserialize;
use serde_json::Value;

use crate::Tags;
use crate::client::ec2;
use crate::model::metadata_options::MetadataOptions;

pub(crate) use crate::model::dry_run::DryRunTarget;
pub(crate) use crate::model::dry_run::is_placeholder;

/// Returns a request of an EC2 action with `DryRun`; no other code sends such a request. The
/// future is boxed, because forty requests inline exceed a thread's stack.
macro_rules! dry {
    ($aws:expr, $action:expr, $call:expr) => {{
        let call = $call.dry_run(true);
        let name = $action.trim_start_matches("ec2:");
        Box::pin(async move { $aws.call("ec2", name, call.send()).await.map(drop) })
    }};
}
pub(crate) use dry;

/// The contents of a request about the subject.
impl DryRunTarget {
    pub(crate) fn text(&self, name: &str) -> &str {
        self.inputs[name].as_str().unwrap_or_default()
    }

    pub(crate) fn first(&self, name: &str) -> &str {
        self.inputs[name][0].as_str().unwrap_or_default()
    }

    pub(crate) fn metadata_options(&self) -> Option<MetadataOptions> {
        MetadataOptions::deserialize(&self.inputs["metadata_options"]).ok()
    }

    pub(crate) fn typed<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        T::deserialize(&self.inputs).ok()
    }

    pub(crate) fn tags(&self, kind: ResourceType) -> TagSpecification {
        let tags = Tags::deserialize(&self.inputs["tags"]).unwrap_or_default();
        ec2::tag_specification(kind, &tags, &self.address)
    }

    /// Returns the ID of the resource itself, or the IDs of the subnets that get a shared tag.
    pub(crate) fn tagged(&self) -> Vec<String> {
        let subnets = self.inputs["subnets"].as_array().filter(|_| self.id.is_empty());
        match subnets {
            Some(subnets) => subnets.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            None => vec![self.id.clone()],
        }
    }

    /// Returns one tag, which is enough for a policy: the first tag of the inputs, or the
    /// shared tag.
    pub(crate) fn tag_list(&self) -> Vec<Tag> {
        let own = self.inputs["tags"].as_object().and_then(|tags| tags.iter().next());
        let (key, value) = match own {
            Some((key, value)) => (key.as_str(), value.as_str().unwrap_or_default()),
            None => (self.text("key"), "shared"),
        };
        vec![Tag::builder().key(key).value(value).build()]
    }
}
