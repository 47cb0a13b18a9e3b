//! The cluster that machines are in, as its own objects describe it: `Infrastructure` (openshift/api
//! `config/v1/types_infrastructure.go`) and the Nodes of its control plane. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::aws::machine::DualStack;
use crate::config::Architecture;
use crate::machine_api::launch::Site;

/// What a cluster says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its infra ID.
    pub infra_id: String,
    /// Its region.
    pub region: String,
    /// Where AWS is for it: service name to URL.
    pub endpoints: BTreeMap<String, String>,
    /// What machines take from it.
    pub site: Site,
}

/// Why an Infrastructure is of no use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Infrastructure `cluster`: {field} {what}")]
pub struct Unfit {
    field: &'static str,
    what: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Infrastructure {
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    infrastructure_name: String,
    platform_status: PlatformStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PlatformStatus {
    #[serde(rename = "type")]
    kind: String,
    aws: AwsStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AwsStatus {
    region: String,
    service_endpoints: Vec<Endpoint>,
    resource_tags: Vec<ResourceTag>,
    ip_family: String,
}

#[derive(Debug, Deserialize)]
struct Endpoint {
    name: String,
    url: String,
}

#[derive(Debug, Deserialize)]
struct ResourceTag {
    key: String,
    value: String,
}

/// What the Infrastructure `cluster` says.
///
/// # Errors
/// When it is of another platform, or does not say what is needed.
pub fn described(infrastructure: &Value) -> Result<Described, Unfit> {
    let unfit = |field, what: String| Unfit { field, what };
    let status = Infrastructure::deserialize(infrastructure)
        .map_err(|error| unfit("status", format!("cannot be read: {error}")))?
        .status;
    let (platform, aws) = (status.platform_status.kind, status.platform_status.aws);
    if platform != "AWS" {
        return Err(unfit("status.platformStatus.type", format!("is `{platform}`, not `AWS`")));
    }
    for (field, value) in [
        ("status.infrastructureName", &status.infrastructure_name),
        ("status.platformStatus.aws.region", &aws.region),
    ] {
        if value.is_empty() {
            return Err(unfit(field, "is missing".to_owned()));
        }
    }
    let dual_stack = match &*aws.ip_family {
        "DualStackIPv4Primary" => Some(DualStack::Ipv4Primary),
        "DualStackIPv6Primary" => Some(DualStack::Ipv6Primary),
        _ => None,
    };
    Ok(Described {
        infra_id: status.infrastructure_name,
        endpoints: aws.service_endpoints.into_iter().map(|one| (one.name, one.url)).collect(),
        site: Site {
            region: Some(aws.region.clone()),
            resource_tags: aws.resource_tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            dual_stack,
        },
        region: aws.region,
    })
}

/// The architecture of a Node of the control plane; one that nobody knows is AMD64, as upstream has it
/// (openshift/machine-api-operator `pkg/webhooks/machine_webhook.go`).
pub fn architecture(label: Option<&str>) -> Architecture {
    match label {
        Some("arm64") => Architecture::Arm64,
        _ => Architecture::Amd64,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn infrastructure(aws: &Value) -> Value {
        json!({"status": {"infrastructureName": "c-x7k2p",
                          "platformStatus": {"type": "AWS", "aws": aws}}})
    }

    #[test]
    fn a_cluster_says_where_it_is_and_what_its_machines_get() {
        let aws = json!({
            "region": "us-west-2", "ipFamily": "DualStackIPv6Primary",
            "resourceTags": [{"key": "team", "value": "a"}],
            "serviceEndpoints": [{"name": "ec2", "url": "https://ec2.example.com"}],
        });
        let cluster = described(&infrastructure(&aws)).unwrap();
        assert_eq!((&*cluster.infra_id, &*cluster.region), ("c-x7k2p", "us-west-2"));
        assert_eq!(cluster.site.resource_tags, [("team".to_owned(), "a".to_owned())]);
        assert_eq!(cluster.site.dual_stack, Some(DualStack::Ipv6Primary));
        assert_eq!(cluster.endpoints["ec2"], "https://ec2.example.com");
        let plain = described(&infrastructure(&json!({"region": "us-west-2"}))).unwrap();
        assert_eq!(plain.site.dual_stack, None);
    }

    #[test]
    fn what_is_missing_is_named() {
        let said = |value: &Value| described(value).unwrap_err().to_string();
        assert!(said(&infrastructure(&json!({}))).contains("aws.region is missing"));
        let other = json!({"status": {"platformStatus": {"type": "GCP"}}});
        assert!(said(&other).contains("`GCP`, not `AWS`"));
        let odd = json!({"status": 7});
        assert!(said(&odd).contains("cannot be read"));
    }

    #[test]
    fn an_architecture_that_nobody_knows_is_amd64() {
        assert_eq!(architecture(Some("arm64")), Architecture::Arm64);
        assert_eq!(architecture(Some("riscv64")), Architecture::Amd64);
        assert_eq!(architecture(None), Architecture::Amd64);
    }
}
