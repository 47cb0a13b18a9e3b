//! Machines that the manifests in assets define, in one form for both APIs.
//!
//! Reads objects, and knows no plan. Sources: openshift/api `machine/v1beta1` and `machine/v1`, and
//! kubernetes-sigs/cluster-api-provider-aws `api/v1beta2` (`AWSMachineSpec`).

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::CLUSTER_TAG_PREFIX;
use groundplan_aws::model::metadata_options::{Authentication, MetadataService};
use serde::Deserialize;
use serde_json::Value;

use super::ignition::AssetManifestProblem;
use crate::diagnostics::shown;
use crate::machine_api::launch_spec::{cluster_of, profile};
use crate::machine_api::types::{
    self, AwsFailureDomain, AwsMachineProviderConfig, CONTROL_PLANE_API, Filter, Labels,
    MACHINE_API, MachineSpec, ROLE_LABEL, ResourceReference, TYPE_LABEL,
};

/// Machines that one object defines.
#[derive(Clone, Debug)]
pub(super) struct AssetMachines {
    /// Object for messages: kind and name.
    pub(super) object: String,
    /// Name of the object.
    pub(super) name: String,
    /// API and type of the object.
    pub(super) kind: AssetKind,
    /// Role of the machines: `master`, `worker`, or another one. Empty if it is not known.
    pub(super) role: String,
    /// Infra IDs in labels and tags.
    pub(super) clusters: Vec<String>,
    /// Region. Empty if the cluster fills it in.
    pub(super) region: String,
    /// Places of the machines: one, or all failure domains.
    pub(super) places: Vec<AssetPlace>,
    /// Security groups.
    pub(super) groups: Vec<ResourceReference>,
    /// Instance profile.
    pub(super) profile: Option<String>,
    /// Image.
    pub(super) image: ResourceReference,
    /// Session tokens of the metadata service.
    pub(super) tokens: TokenPolicy,
    /// Metadata settings that only the Machine API has. `None` for the Cluster API.
    pub(super) metadata: Option<MetadataService>,
    /// True for a set without machines.
    pub(super) is_empty: bool,
    /// Load balancers.
    pub(super) balancers: Vec<String>,
}

/// Type of an object with machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AssetKind {
    /// Machine of the Machine API.
    Machine,
    /// MachineSet of the Machine API. `is_mirror` is true if the Cluster API has authority.
    MachineSet {
        /// True if the object only mirrors a set of the Cluster API.
        is_mirror: bool,
    },
    /// ControlPlaneMachineSet.
    ControlPlane,
    /// MachineSet of the Cluster API.
    ClusterApiSet,
}

/// Zone and subnet of machines.
#[derive(Clone, Debug, Default)]
pub(super) struct AssetPlace {
    /// Zone. Empty if the subnet decides.
    pub(super) zone: String,
    /// Subnet.
    pub(super) subnet: ResourceReference,
}

/// Session tokens that an object requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenPolicy {
    /// Setting of the Machine API; `None` is no opinion.
    Stated(Option<Authentication>),
    /// Word that the Machine API does not know.
    Unknown(String),
    /// Setting of the Cluster API, which has no third value.
    Binary(Authentication),
}

/// Objects in the manifests, as far as they concern machines.
#[derive(Default)]
pub(super) struct AssetObjects {
    /// Machines of the Machine API and, after [`Self::resolve`], of the Cluster API.
    pub(super) machines: Vec<AssetMachines>,
    /// Names of all MachineSets of the Cluster API.
    pub(super) cluster_api_sets: BTreeSet<String>,
    /// Version in the ConfigMap of openshift-install.
    pub(super) version: Option<String>,
    /// Objects of the Machine API by kind and name.
    pub(super) objects: BTreeMap<String, Value>,
    sets: Vec<ClusterApiSet>,
    templates: BTreeMap<String, AwsMachineSpec>,
}

/// API group of the Cluster API.
const CLUSTER_API: &str = "cluster.x-k8s.io";
/// API group of its provider for AWS.
const CLUSTER_API_AWS: &str = "infrastructure.cluster.x-k8s.io";
/// ConfigMap with the version of openshift-install (openshift/installer
/// `pkg/asset/manifests/openshift.go`).
const VERSION_MAP: &str = "openshift-install-manifests";

/// Returns true if a text may have an object that [`AssetObjects::add`] reads. Other texts, such as
/// most Secrets, are never parsed.
pub(super) fn may_concern_machines(text: &str) -> bool {
    ["machine.openshift.io", CLUSTER_API, VERSION_MAP].iter().any(|part| text.contains(part))
}

/// Returns true if an object is a MachineSet of the Cluster API.
pub(super) fn is_cluster_api_set(object: &Value) -> bool {
    is(object, CLUSTER_API, "MachineSet")
}

fn is(object: &Value, group: &str, kind: &str) -> bool {
    let version = object["apiVersion"].as_str().and_then(|version| version.split_once('/'));
    object["kind"] == kind && version.is_some_and(|(found, _)| found == group)
}

impl AssetObjects {
    /// Adds an object. Ignores objects of other kinds.
    pub(super) fn add(&mut self, object: &Value) -> Result<(), AssetManifestProblem> {
        let version = object["apiVersion"].as_str().unwrap_or_default();
        match (version, object["kind"].as_str().unwrap_or_default()) {
            (MACHINE_API, "Machine") => {
                let machine = of_machine(&read(object, "Machine")?)?;
                self.keep(machine, object);
            }
            (MACHINE_API, "MachineSet") => {
                let machines = of_set(&read(object, "MachineSet")?)?;
                self.keep(machines, object);
            }
            (CONTROL_PLANE_API, "ControlPlaneMachineSet") => {
                let machines = of_control_plane(read(object, "ControlPlaneMachineSet")?)?;
                machines.into_iter().for_each(|machines| self.keep(machines, object));
            }
            ("v1", "ConfigMap") if object["metadata"]["name"] == VERSION_MAP => {
                self.version = object["data"]["version"].as_str().and_then(plain_version);
            }
            _ if is_cluster_api_set(object) => {
                let set: ClusterApiSet = read(object, "MachineSet")?;
                self.cluster_api_sets.insert(set.metadata.name.clone());
                self.sets.push(set);
            }
            _ if is(object, CLUSTER_API_AWS, "AWSMachineTemplate") => {
                let template: AwsMachineTemplate = read(object, "AWSMachineTemplate")?;
                self.templates.insert(template.metadata.name, template.spec.template.spec);
            }
            _ => (),
        }
        Ok(())
    }

    fn keep(&mut self, machines: AssetMachines, object: &Value) {
        self.objects.insert(machines.object.clone(), object.clone());
        self.machines.push(machines);
    }

    /// Joins the sets of the Cluster API with their templates. The values of a set without a
    /// template in the assets are not known, so it adds no machines.
    pub(super) fn resolve(mut self) -> Self {
        let templates = std::mem::take(&mut self.templates);
        for set in std::mem::take(&mut self.sets) {
            let name = &set.spec.template.spec.infrastructure_ref.name;
            self.machines.extend(templates.get(name).map(|spec| of_cluster_api(&set, spec)));
        }
        self
    }
}

fn read<T: serde::de::DeserializeOwned>(
    object: &Value,
    kind: &'static str,
) -> Result<T, AssetManifestProblem> {
    // The message of the parser may quote a value.
    types::read(object).map_err(|_| AssetManifestProblem::FieldType { kind })
}

/// Returns the name of an object if it is one that an API server accepts, which is safe to print.
fn plain_name(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    let fits = (1..=253).contains(&name.len()) && name.chars().all(is_plain);
    if fits { name.to_owned() } else { shown(name) }
}

/// Returns a version that is safe to print.
fn plain_version(version: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    let fits = (1..=80).contains(&version.len()) && version.chars().all(is_plain);
    fits.then(|| version.trim_start_matches('v').to_owned())
}

fn of_machine(machine: &types::Machine) -> Result<AssetMachines, AssetManifestProblem> {
    let (name, labels) = (&machine.metadata.name, &machine.metadata.labels);
    of_spec("Machine", name, labels, &machine.spec, AssetKind::Machine)
}

fn of_set(set: &types::MachineSet) -> Result<AssetMachines, AssetManifestProblem> {
    let (name, template) = (&set.metadata.name, &set.spec.template);
    let kind = AssetKind::MachineSet { is_mirror: set.spec.authoritative_api == "ClusterAPI" };
    let machines = of_spec("MachineSet", name, &template.metadata.labels, &template.spec, kind)?;
    Ok(AssetMachines { is_empty: set.spec.replicas == Some(0), ..machines })
}

fn of_control_plane(
    set: types::ControlPlaneMachineSet,
) -> Result<Option<AssetMachines>, AssetManifestProblem> {
    let kind = "ControlPlaneMachineSet";
    let Some(template) = set.spec.template.machine else { return Ok(None) };
    let (name, labels) = (&set.metadata.name, &template.metadata.labels);
    let mut machines = of_spec(kind, name, labels, &template.spec, AssetKind::ControlPlane)?;
    let domains = template.failure_domains.map(|domains| domains.aws).unwrap_or_default();
    if !domains.is_empty() {
        machines.places = domains.into_iter().map(place).collect();
    }
    Ok(Some(machines))
}

fn place(domain: AwsFailureDomain) -> AssetPlace {
    let subnet = domain.subnet.map(|subnet| ResourceReference {
        id: subnet.id,
        arn: subnet.arn,
        filters: subnet.filters,
    });
    AssetPlace { zone: domain.placement.availability_zone, subnet: subnet.unwrap_or_default() }
}

fn of_spec(
    kind: &'static str,
    name: &str,
    labels: &Labels,
    spec: &MachineSpec,
    asset_kind: AssetKind,
) -> Result<AssetMachines, AssetManifestProblem> {
    let config: AwsMachineProviderConfig = match &spec.provider_spec.value {
        Some(value) => read(value, kind)?,
        None => AwsMachineProviderConfig::default(),
    };
    let label = [ROLE_LABEL, TYPE_LABEL].iter().find_map(|label| labels.get(*label));
    let tokens = match config.metadata_service_options.authentication() {
        Ok(stated) => TokenPolicy::Stated(stated),
        Err(word) => TokenPolicy::Unknown(word.to_owned()),
    };
    let tags = config.tags.iter().filter_map(|tag| tag.name.strip_prefix(CLUSTER_TAG_PREFIX));
    let zone = config.placement.availability_zone.clone();
    Ok(AssetMachines {
        object: format!("{kind} {}", plain_name(name)),
        name: name.to_owned(),
        kind: asset_kind,
        role: label.cloned().unwrap_or_default(),
        clusters: cluster_of(labels).into_iter().chain(tags).map(str::to_owned).collect(),
        region: config.placement.region.clone(),
        profile: profile(&config).map(str::to_owned),
        tokens,
        metadata: Some(config.metadata_service_options.asked()),
        is_empty: false,
        balancers: config.load_balancers.into_iter().map(|balancer| balancer.name).collect(),
        places: vec![AssetPlace { zone, subnet: config.subnet }],
        groups: config.security_groups,
        image: config.ami,
    })
}

fn of_cluster_api(set: &ClusterApiSet, spec: &AwsMachineSpec) -> AssetMachines {
    let name = &set.metadata.name;
    let tags = spec.additional_tags.keys().filter_map(|tag| tag.strip_prefix(CLUSTER_TAG_PREFIX));
    let tokens = match &*spec.instance_metadata_options.http_tokens {
        "required" => Authentication::Required,
        _ => Authentication::Optional,
    };
    let given = |name: &String| Some(name.clone()).filter(|name| !name.is_empty());
    let zone = set.spec.template.spec.failure_domain.clone();
    AssetMachines {
        object: format!("Cluster API MachineSet {}", plain_name(name)),
        name: name.clone(),
        kind: AssetKind::ClusterApiSet,
        role: "worker".to_owned(),
        clusters: [&*set.spec.cluster_name].into_iter().chain(tags).map(str::to_owned).collect(),
        region: String::new(),
        places: vec![AssetPlace { zone, subnet: spec.subnet.reference() }],
        groups: spec.additional_security_groups.iter().map(ApiReference::reference).collect(),
        profile: given(&spec.iam_instance_profile),
        image: spec.ami.reference(),
        tokens: TokenPolicy::Binary(tokens),
        metadata: None,
        is_empty: set.spec.replicas == Some(0),
        balancers: Vec::new(),
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClusterApiSet {
    metadata: types::ObjectMeta,
    spec: ClusterApiSetSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterApiSetSpec {
    cluster_name: String,
    replicas: Option<i32>,
    template: ClusterApiTemplate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClusterApiTemplate {
    spec: ClusterApiMachineSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClusterApiMachineSpec {
    infrastructure_ref: ObjectName,
    failure_domain: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ObjectName {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AwsMachineTemplate {
    metadata: types::ObjectMeta,
    spec: AwsMachineTemplateSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AwsMachineTemplateSpec {
    template: AwsMachineTemplateResource,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct AwsMachineTemplateResource {
    spec: AwsMachineSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AwsMachineSpec {
    ami: ApiReference,
    iam_instance_profile: String,
    subnet: ApiReference,
    additional_security_groups: Vec<ApiReference>,
    additional_tags: BTreeMap<String, String>,
    instance_metadata_options: InstanceMetadataOptions,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct InstanceMetadataOptions {
    http_tokens: String,
}

/// Reference in the words of the Cluster API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ApiReference {
    id: Option<String>,
    filters: Vec<Filter>,
}

impl ApiReference {
    fn reference(&self) -> ResourceReference {
        ResourceReference { id: self.id.clone(), arn: None, filters: self.filters.clone() }
    }
}
