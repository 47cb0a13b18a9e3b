//! Example clusters: an install-config, the lookup results of a cloud, and the resulting graph.
//!
//! For tests and examples. All fields are public: take [`ExampleCluster::standard`], change the subject of
//! the test, and compile.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::{HostedZoneId, ImageId, PolicyArn, PublicIpv4PoolId, VpcId};
use groundplan_engine::graph::Graph;
use groundplan_engine::state::{Cluster, State};
use serde_json::{Value, json};

use crate::install_config::{
    Architecture, AwsMachinePool, AwsPlatform, ClusterNetwork, InstallConfig, LoadBalancerType,
    MachinePool, Networking, Publish, RootVolume, TrustBundlePolicy,
};
use crate::topology::lookups::{
    DedicatedHostFact, EdgeFact, HostedZoneFact, ImageFact, InstanceTypeFact, InstanceTypes,
    Lookup, Offerings, PolicyFact, SecurityGroupVpcs, SubnetFact, SubnetReach, ZoneFact, ZoneFacts,
};
use crate::topology::{
    Assets, ClusterSpec, CompileError, CompileOptions, Compiled, PUBLIC_ONLY, PlacedConfig,
    compile, needed_lookups, validation,
};

/// A cluster to create, and its cloud.
#[derive(Debug)]
pub struct ExampleCluster {
    /// The install-config.
    pub config: InstallConfig,
    /// Identity of the cluster.
    pub cluster: Cluster,
    /// Assets of openshift-install.
    pub assets: Assets,
    /// Compile options.
    pub options: CompileOptions,
    /// True if the machines have public subnets.
    pub public_only: bool,
    /// Resources that the cloud already has.
    pub cloud: ExampleCloud,
}

/// Resources of a cloud, for lookup results.
#[derive(Clone, Debug)]
pub struct ExampleCloud {
    /// Availability zones, in the order of the AWS response.
    pub zones: Vec<String>,
    /// Local and Wavelength Zones.
    pub edge_zones: ZoneFacts,
    /// Zones that lack an instance type, by type. Other types are available in all zones.
    pub not_offered: BTreeMap<String, BTreeSet<String>>,
    /// Existing images.
    pub images: BTreeMap<ImageId, ImageFact>,
    /// The public hosted zone of the base domain.
    pub public_zone: Option<HostedZoneId>,
    /// Existing subnets.
    pub subnets: Vec<SubnetFact>,
    /// Existing private hosted zones.
    pub hosted_zones: BTreeMap<HostedZoneId, HostedZoneFact>,
    /// Instance types other than the default (four vCPU, 16 GiB, all architectures). `None` means
    /// that the type does not exist.
    pub types: BTreeMap<String, Option<InstanceTypeFact>>,
    /// Existing security groups.
    pub groups: SecurityGroupVpcs,
    /// Existing roles and instance profiles.
    pub iam: BTreeSet<String>,
    /// Managed policies that a lookup returns, by ARN; others do not exist.
    pub policies: BTreeMap<PolicyArn, PolicyFact>,
    /// ARNs of the roles that the caller can assume.
    pub assumable_roles: BTreeSet<String>,
    /// Free addresses of each pool of public IPv4 addresses.
    pub pools: BTreeMap<PublicIpv4PoolId, u32>,
    /// Existing Dedicated Hosts.
    pub hosts: Vec<DedicatedHostFact>,
    /// DNS records by hosted zone.
    pub records: BTreeMap<HostedZoneId, Vec<String>>,
}

impl ExampleCluster {
    /// Returns an External cluster with three masters and three workers in the three zones of
    /// us-west-2. `authentication` is `Required`.
    pub fn standard() -> Self {
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: "demo-x7k2p".into(),
            cluster_id: "3f2d4f5e-9a1b-4c6d-8e7f-0a1b2c3d4e5f".into(),
            region: "us-west-2".into(),
        };
        Self {
            config: config(),
            cluster,
            assets: Assets::none(),
            options: CompileOptions::default(),
            public_only: false,
            cloud: cloud(),
        }
    }

    /// Returns the standard cluster with `publish: Internal`.
    pub fn internal() -> Self {
        let mut world = Self::standard();
        world.config.publish = Publish::Internal;
        world.cloud.public_zone = None;
        world
    }

    /// Returns the standard cluster in an existing network with a public and a private subnet per
    /// zone.
    pub fn existing_network() -> Self {
        let mut world = Self::standard();
        for (index, zone) in world.cloud.zones.clone().into_iter().enumerate() {
            for (reach, name, base) in
                [(SubnetReach::Private, "private", 0), (SubnetReach::Public, "public", 128)]
            {
                let id = format!("subnet-{name}-{}", &zone["us-west-2".len()..]);
                let cidr = format!("10.0.{}.0/20", base + 16 * index);
                world.config.aws.subnets.push(id.as_str().into());
                world.cloud.subnets.push(SubnetFact {
                    id: id.as_str().into(),
                    vpc: "vpc-existing".into(),
                    zone: zone.clone(),
                    cidr: cidr.parse().expect("BUG: written above"),
                    reach,
                    edge: None,
                    owners: BTreeSet::new(),
                    vpc_owners: BTreeSet::new(),
                });
            }
        }
        world
    }

    /// Returns the standard cluster with machines in a Local Zone and in a Wavelength Zone.
    pub fn edge() -> Self {
        let mut world = Self::standard();
        let mut pool = pool("edge");
        pool.replicas = 0;
        pool.aws.zones = vec![LOCAL_ZONE.into(), WAVELENGTH_ZONE.into()];
        pool.aws.root_volume.volume_type = "gp2".into();
        world.config.compute.push(pool);
        world
    }

    /// Returns the cluster in an existing network with a private subnet in a Local Zone and a public
    /// one in a Wavelength Zone.
    pub fn existing_edge() -> Self {
        let mut world = Self::existing_network();
        let mut implied = pool("edge");
        implied.replicas = 0;
        world.config.implied_edge = Some(implied);
        for (zone, public, cidr) in
            [(LOCAL_ZONE, false, "10.0.192.0/20"), (WAVELENGTH_ZONE, true, "10.0.208.0/20")]
        {
            let id = format!("subnet-edge-{}", &zone["us-west-2-".len()..]);
            let fact = world.cloud.edge_zones[zone].clone();
            world.config.aws.subnets.push(id.as_str().into());
            world.cloud.subnets.push(SubnetFact {
                id: id.as_str().into(),
                zone: zone.into(),
                cidr: cidr.parse().expect("BUG: written above"),
                reach: SubnetReach::Edge,
                edge: Some(EdgeFact { zone: fact, public }),
                ..world.cloud.subnets[0].clone()
            });
        }
        world
    }

    /// Returns the cluster in an existing network with an existing private hosted zone.
    pub fn existing_zone() -> Self {
        let mut world = Self::existing_network();
        let vpcs = vec![VpcId::from("vpc-existing")];
        let zone = HostedZoneFact { name: "demo.example.com.".into(), private: true, vpcs };
        world.config.aws.hosted_zone = Some("Z0PRIVATE".into());
        world.cloud.hosted_zones.insert("Z0PRIVATE".into(), zone);
        world
    }

    /// Returns a cluster with a single master and no workers.
    pub fn single_node() -> Self {
        let mut world = Self::standard();
        world.config.control_plane.replicas = 1;
        world.config.compute[0].replicas = 0;
        world
    }

    /// Moves the cluster to another region with the zones a, b and c.
    pub fn move_to(&mut self, region: &str) {
        self.config.aws.region = region.into();
        self.cluster.region = region.into();
        self.cloud.zones = ["a", "b", "c"].map(|zone| format!("{region}{zone}")).into();
    }

    /// Returns the results of all lookups that the config needs.
    pub fn lookup_cache(&self) -> BTreeMap<String, Value> {
        let lookups = needed_lookups(&self.config, &BTreeMap::new(), &self.options);
        let answers = lookups.iter().map(|lookup| (lookup.key(), self.cloud.answer(lookup)));
        let decided = self.public_only.then(|| (PUBLIC_ONLY.to_owned(), json!(true)));
        answers.chain(decided).collect()
    }

    /// Returns the resolved cluster.
    ///
    /// # Panics
    /// Panics if the config cannot be resolved.
    pub fn spec(&self) -> ClusterSpec {
        let lookup_cache = self.lookup_cache();
        let placed = PlacedConfig::of(&self.config, &lookup_cache);
        let spec = placed.resolve(&self.cluster, &self.assets, &self.options);
        spec.expect("BUG: an example world can be resolved")
    }

    /// Returns the graph and the warnings, or the compile errors.
    pub fn compile(&self) -> Result<Compiled, Vec<CompileError>> {
        compile(&self.config, &self.cluster, &self.lookup_cache(), &self.assets, &self.options)
    }

    /// Returns the only compile error.
    ///
    /// # Panics
    /// Panics if there are several errors or none.
    pub fn refusal(&self) -> CompileError {
        let errors = self.compile().expect_err("BUG: this world was to be refused");
        <[CompileError; 1]>::try_from(errors)
            .map(|[one]| one)
            .expect("BUG: one thing is wrong here")
    }

    /// Returns all findings of the checks, for a cluster with this state.
    pub fn findings(&self, state: &State) -> Vec<CompileError> {
        let lookup_cache = self.lookup_cache();
        let asked = validation::needed_lookups(&self.config, &lookup_cache, state);
        let answers =
            asked.iter().map(|lookup| (lookup.key(), self.cloud.answer(lookup))).collect();
        validation::check(&self.config, &lookup_cache, &answers, state)
    }

    /// Returns the graph.
    ///
    /// # Panics
    /// Panics if the config does not compile.
    pub fn graph(&self) -> Graph {
        self.compile().expect("BUG: an example world compiles").graph
    }
}

impl ExampleCloud {
    /// Returns the result of a lookup.
    pub fn answer(&self, lookup: &Lookup) -> Value {
        match lookup {
            Lookup::AvailabilityZones { .. } => json!(self.zones),
            Lookup::InstanceTypeOfferings { types, .. } => json!(self.offerings(types)),
            Lookup::Image { id, .. } => {
                json!(self.images.get(id))
            }
            Lookup::PublicZone { .. } => json!(self.public_zone),
            Lookup::Subnets { ids, .. } => {
                let known = self.subnets.iter().filter(|subnet| ids.contains(&subnet.id));
                json!(known.collect::<Vec<_>>())
            }
            Lookup::HostedZone { id } => json!(self.hosted_zones.get(id)),
            Lookup::InstanceTypes { types, .. } => json!(self.types(types)),
            Lookup::SecurityGroups { ids, .. } => {
                let known = self.groups.iter().filter(|(id, _)| ids.contains(id));
                json!(known.collect::<BTreeMap<_, _>>())
            }
            // Lookups with filters find nothing in an example cluster.
            Lookup::ImagesBy { .. }
            | Lookup::SubnetsBy { .. }
            | Lookup::SecurityGroupsBy { .. }
            | Lookup::KeyPairs { .. }
            | Lookup::CapacityReservations { .. }
            | Lookup::LoadBalancers { .. }
            | Lookup::ClassicLoadBalancers { .. } => json!([]),
            Lookup::InstancesNamed { .. } | Lookup::PlacementGroups { .. } => json!({}),
            Lookup::Zones { names, .. } => {
                let ordinary = self.zones.iter().map(|zone| (zone.clone(), ordinary_zone()));
                let all = ordinary.chain(self.edge_zones.clone());
                json!(all.filter(|(zone, _)| names.contains(zone)).collect::<ZoneFacts>())
            }
            Lookup::ZoneTypes { .. } => {
                let ordinary = |zone: &String| (zone.clone(), "availability-zone");
                json!(self.zones.iter().map(ordinary).collect::<BTreeMap<_, _>>())
            }
            Lookup::Role { name } => json!(self.iam.contains(name.as_str())),
            Lookup::InstanceProfile { name } => json!(self.iam.contains(name.as_str())),
            Lookup::Policy { arn } => {
                let missing = PolicyFact { exists: Some(false), account: String::new() };
                json!(self.policies.get(arn).unwrap_or(&missing))
            }
            Lookup::DedicatedHosts { ids, .. } => {
                let known = self.hosts.iter().filter(|host| ids.contains(&host.id));
                json!(known.collect::<Vec<_>>())
            }
            Lookup::AssumedRole { arn } => json!(self.assumable_roles.contains(arn)),
            Lookup::PublicIpv4Pool { id, .. } => json!(self.pools.get(id)),
            Lookup::RecordsBelow { zone, domain } => {
                let ending = format!(".{domain}");
                let records = self.records.get(zone).into_iter().flatten();
                json!(records.filter(|name| name.ends_with(&ending)).collect::<Vec<_>>())
            }
        }
    }

    fn types(&self, names: &[String]) -> InstanceTypes {
        let usual = InstanceTypeFact {
            vcpus: 4,
            memory_mib: 16_384,
            architectures: ["arm64", "x86_64"].map(String::from).into(),
            gpus: 0,
        };
        let fact = |name: &String| match self.types.get(name) {
            Some(fact) => Some((name.clone(), fact.clone()?)),
            None => Some((name.clone(), usual.clone())),
        };
        names.iter().filter_map(fact).collect()
    }

    fn offerings(&self, types: &[String]) -> Offerings {
        let none = BTreeSet::new();
        let offering = |name: &String| {
            let lacking = self.not_offered.get(name).unwrap_or(&none);
            let zones = self.zones.iter().chain(self.edge_zones.keys());
            zones.filter(|zone| !lacking.contains(*zone)).cloned().collect()
        };
        types.iter().map(|name| (name.clone(), offering(name))).collect()
    }
}

fn cloud() -> ExampleCloud {
    ExampleCloud {
        zones: ["us-west-2a", "us-west-2b", "us-west-2c"].map(String::from).into(),
        edge_zones: [
            (LOCAL_ZONE.to_owned(), edge_zone("local-zone", "us-west-2-lax-1", "us-west-2b")),
            (
                WAVELENGTH_ZONE.to_owned(),
                edge_zone("wavelength-zone", "us-west-2-wl1", "us-west-2a"),
            ),
        ]
        .into(),
        not_offered: BTreeMap::new(),
        images: [("ami-0demo".into(), image())].into(),
        public_zone: Some("Z0PUBLIC".into()),
        subnets: Vec::new(),
        hosted_zones: BTreeMap::new(),
        types: BTreeMap::new(),
        groups: SecurityGroupVpcs::new(),
        iam: BTreeSet::new(),
        policies: BTreeMap::new(),
        assumable_roles: BTreeSet::new(),
        pools: BTreeMap::new(),
        hosts: Vec::new(),
        records: BTreeMap::new(),
    }
}

/// Local Zone of the example cloud.
pub const LOCAL_ZONE: &str = "us-west-2-lax-1a";
/// Wavelength Zone of the example cloud.
pub const WAVELENGTH_ZONE: &str = "us-west-2-wl1-las-wlz-1";

fn edge_zone(zone_type: &str, group: &str, parent: &str) -> ZoneFact {
    let parent = Some(parent.to_owned());
    ZoneFact { zone_type: zone_type.to_owned(), group: group.to_owned(), parent, enabled: true }
}

fn ordinary_zone() -> ZoneFact {
    let (zone_type, group) = ("availability-zone".to_owned(), "us-west-2".to_owned());
    ZoneFact { zone_type, group, parent: None, enabled: true }
}

/// Returns an image without an architecture, which fits every machine.
pub fn image() -> ImageFact {
    ImageFact { root_device: "/dev/xvda".into(), architecture: None, state: None }
}

fn config() -> InstallConfig {
    InstallConfig {
        name: "demo".into(),
        base_domain: "example.com".into(),
        publish: Publish::External,
        networking: networking(),
        control_plane: pool("master"),
        compute: vec![pool("worker")],
        implied_edge: None,
        aws: platform(),
        credentials_mode: None,
        fips: false,
        pull_secret: r#"{"auths":{"registry.example.com":{"auth":"c2VjcmV0"}}}"#.into(),
        ssh_key: None,
        os_image_stream: None,
        additional_trust_bundle: None,
        additional_trust_bundle_policy: TrustBundlePolicy::ProxyOnly,
        proxy: None,
    }
}

fn networking() -> Networking {
    let net = |text: &str| text.parse().expect("BUG: written below");
    Networking {
        network_type: "OVNKubernetes".into(),
        machine_networks: vec![net("10.0.0.0/16")],
        cluster_networks: vec![ClusterNetwork { cidr: net("10.128.0.0/14"), host_prefix: 23 }],
        service_networks: vec![net("172.30.0.0/16")],
        cluster_network_mtu: None,
        join_subnet: None,
    }
}

fn pool(name: &str) -> MachinePool {
    MachinePool {
        name: name.into(),
        replicas: 3,
        hyperthreading: true,
        architecture: Architecture::Amd64,
        aws: AwsMachinePool {
            zones: Vec::new(),
            instance_type: None,
            ami_id: Some("ami-0demo".into()),
            root_volume: RootVolume {
                volume_type: "gp3".into(),
                size: 120,
                iops: None,
                throughput: None,
                kms_key: None,
            },
            confidential_compute: None,
            metadata_service: Some(
                groundplan_aws::model::metadata_options::Authentication::Required,
            )
            .into(),
            iam_role: None,
            iam_profile: None,
            additional_security_groups: Vec::new(),
            dedicated_hosts: Vec::new(),
        },
    }
}

fn platform() -> AwsPlatform {
    AwsPlatform {
        region: "us-west-2".into(),
        ami_id: Some("ami-0demo".into()),
        subnets: Vec::new(),
        subnet_roles: BTreeMap::new(),
        hosted_zone: None,
        hosted_zone_role: None,
        permissions_boundary: None,
        public_ipv4_pool: None,
        user_tags: BTreeMap::new(),
        propagate_user_tags: false,
        service_endpoints: Vec::new(),
        load_balancer_type: LoadBalancerType::Classic,
        preserve_bootstrap_ignition: false,
    }
}
