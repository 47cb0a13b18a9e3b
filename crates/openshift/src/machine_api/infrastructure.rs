//! Facts about a cluster in its `Infrastructure` object (openshift/api
//! `config/v1/types_infrastructure.go`), from a file or from an API server. Pure.

use std::collections::BTreeMap;

use groundplan_aws::kinds::machine::DualStack;
use serde::Deserialize;
use serde_json::Value;

use crate::install_config::Architecture;
use crate::machine_api::launch_spec::ClusterDefaults;

/// Facts about a running cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterFacts {
    /// Infra ID of the cluster.
    pub infra_id: String,
    /// Region of the cluster.
    pub region: String,
    /// Custom AWS endpoints: service name to URL.
    pub endpoints: BTreeMap<String, String>,
    /// Defaults that machines take from the cluster.
    pub site: ClusterDefaults,
}

/// Reason why an Infrastructure object is unusable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Infrastructure `cluster`: {field} {what}")]
pub struct InfrastructureError {
    field: &'static str,
    what: String,
}

/// Facts of an Infrastructure object, as far as they are present.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Infrastructure {
    platform: String,
    /// Infra ID, if present.
    pub infra_id: Option<String>,
    endpoints: BTreeMap<String, String>,
    /// Defaults that machines take from the cluster.
    pub site: ClusterDefaults,
}

impl Infrastructure {
    /// Returns true if the object is an Infrastructure.
    pub fn is(object: &Value) -> bool {
        object["kind"] == "Infrastructure" && object["apiVersion"] == "config.openshift.io/v1"
    }

    /// Returns the facts of an Infrastructure object. Missing fields are absent in the result.
    ///
    /// # Errors
    /// Fails if the object cannot be read.
    pub fn read(object: &Value) -> Result<Self, InfrastructureError> {
        let InfrastructureObject { status } =
            InfrastructureObject::deserialize(object).map_err(|error| InfrastructureError {
                field: "status",
                what: format!("cannot be read: {error}"),
            })?;
        let aws = status.platform_status.aws;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(Self {
            platform: status.platform_status.kind,
            infra_id: given(status.infrastructure_name),
            endpoints: aws.service_endpoints.into_iter().map(|one| (one.name, one.url)).collect(),
            site: ClusterDefaults {
                region: given(aws.region),
                resource_tags: aws
                    .resource_tags
                    .into_iter()
                    .map(|tag| (tag.key, tag.value))
                    .collect(),
                dual_stack: match &*aws.ip_family {
                    "DualStackIPv4Primary" => Some(DualStack::Ipv4Primary),
                    "DualStackIPv6Primary" => Some(DualStack::Ipv6Primary),
                    _ => None,
                },
            },
        })
    }

    /// Returns the facts of a running cluster, which has all required fields.
    ///
    /// # Errors
    /// Fails if the platform is not AWS, or if a required field is missing.
    pub fn of_a_running_cluster(self) -> Result<ClusterFacts, InfrastructureError> {
        let unfit = |field, what: String| InfrastructureError { field, what };
        if self.platform != "AWS" {
            let what = format!("is `{}`, not `AWS`", self.platform);
            return Err(unfit("status.platformStatus.type", what));
        }
        let missing = |field| move || unfit(field, "is missing".to_owned());
        let region = self.site.region.clone();
        Ok(ClusterFacts {
            infra_id: self.infra_id.ok_or_else(missing("status.infrastructureName"))?,
            region: region.ok_or_else(missing("status.platformStatus.aws.region"))?,
            endpoints: self.endpoints,
            site: self.site,
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InfrastructureObject {
    status: InfrastructureStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InfrastructureStatus {
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
    service_endpoints: Vec<EndpointOverride>,
    resource_tags: Vec<ResourceTag>,
    ip_family: String,
}

#[derive(Debug, Deserialize)]
struct EndpointOverride {
    name: String,
    url: String,
}

#[derive(Debug, Deserialize)]
struct ResourceTag {
    key: String,
    value: String,
}

/// Returns the architecture of a control plane Node. An unknown label counts as AMD64, as it does
/// upstream (openshift/machine-api-operator `pkg/webhooks/machine_webhook.go`).
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

    fn described(object: &Value) -> Result<ClusterFacts, InfrastructureError> {
        Infrastructure::read(object)?.of_a_running_cluster()
    }

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

    /// Files in `deploy/machine-controller` for clusters without OpenShift.
    const DEFINITION: &str =
        include_str!("../../../../deploy/machine-controller/crds/infrastructure.yaml");
    const EXAMPLE: &str =
        include_str!("../../../../deploy/machine-controller/example/infrastructure.yaml");
    const EXAMPLE_SET: &str =
        include_str!("../../../../deploy/machine-controller/example/machine-set.yaml");

    fn yaml(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    /// Returns the paths of all fields of an object that a schema does not have.
    fn unknown(schema: &Value, object: &Value, path: &str) -> Vec<String> {
        match object {
            Value::Object(fields) => fields
                .iter()
                .flat_map(|(name, value)| {
                    let path = format!("{path}.{name}");
                    match schema["properties"].get(name) {
                        Some(schema) => unknown(schema, value, &path),
                        None => vec![path],
                    }
                })
                .collect(),
            Value::Array(all) => {
                all.iter().flat_map(|one| unknown(&schema["items"], one, path)).collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn the_definition_for_other_clusters_keeps_every_field_that_is_read() {
        let definition = yaml(DEFINITION);
        let version = &definition["spec"]["versions"][0];
        let schema = &version["schema"]["openAPIV3Schema"];
        let all = infrastructure(&json!({
            "region": "us-west-2", "ipFamily": "DualStackIPv6Primary",
            "resourceTags": [{"key": "team", "value": "a"}],
            "serviceEndpoints": [{"name": "ec2", "url": "https://ec2.example.com"}],
        }));
        assert_eq!(unknown(schema, &all, ""), Vec::<String>::new());
        assert_eq!(unknown(schema, &json!({"status": {"other": 1}}), ""), [".status.other"]);
        // With the subresource, `kubectl apply` would drop the status.
        assert_eq!(version.get("subresources"), None);
        let name = format!("infrastructures.{}", definition["spec"]["group"].as_str().unwrap());
        assert_eq!(definition["metadata"]["name"], name);
    }

    #[test]
    fn the_examples_belong_together_and_are_valid() {
        let example = yaml(EXAMPLE);
        assert_eq!(
            (&example["metadata"]["name"], &example["kind"]),
            (&json!("cluster"), &json!("Infrastructure"))
        );
        let cluster = described(&example).unwrap();
        let set = yaml(EXAMPLE_SET);
        let name = set["metadata"]["name"].as_str().unwrap();
        assert!(name.starts_with(&cluster.infra_id), "{name}");
        let machine = &set["spec"]["template"]["spec"]["providerSpec"]["value"];
        assert_eq!(machine["placement"]["region"], *cluster.region);
        let tag = format!("kubernetes.io/cluster/{}", cluster.infra_id);
        assert_eq!(machine["tags"][0]["name"], tag);
        let checked = crate::machine_api::validation::check(EXAMPLE_SET);
        assert!(checked.findings.is_empty(), "{:?}", checked.findings);
    }
}
