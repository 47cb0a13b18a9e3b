//! Outputs of a cluster: the values that people and scripts need after an apply, read from the state.
//!
//! The names are stable. `docs/formats.md` explains each, and a test keeps that page complete.

use std::collections::BTreeMap;

use groundplan_aws::lookups::lookup::SubnetFact;
use groundplan_engine::graph::Address;
use groundplan_engine::state::{Record, State};
use groundplan_openshift::topology::is_control_plane;
use serde::Serialize;
use serde_json::Value;

/// Port of the API server.
const API_PORT: u16 = 6443;
/// Address of the bootstrap machine.
const BOOTSTRAP: &str = "instance.bootstrap";
/// Target groups of the API server, by their names in addresses.
const API_TARGET_GROUPS: [&str; 2] = ["target_group.aint", "target_group.aext"];

/// Value of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum OutputValue {
    /// Single text. `None` means that the cluster has no such value.
    Text(Option<String>),
    /// Texts in a fixed order.
    List(Vec<String>),
    /// Texts by availability zone.
    ByZone(BTreeMap<String, String>),
}

impl OutputValue {
    /// Returns true if the cluster has no such value.
    pub fn is_absent(&self) -> bool {
        match self {
            OutputValue::Text(text) => text.is_none(),
            OutputValue::List(texts) => texts.is_empty(),
            OutputValue::ByZone(texts) => texts.is_empty(),
        }
    }

    /// Returns the bare value in lines: a text, each item of a list, or `ZONE VALUE`.
    pub fn lines(&self) -> Vec<String> {
        match self {
            OutputValue::Text(text) => text.iter().cloned().collect(),
            OutputValue::List(texts) => texts.clone(),
            OutputValue::ByZone(texts) => {
                texts.iter().map(|(zone, text)| format!("{zone} {text}")).collect()
            }
        }
    }
}

/// Returns all outputs of a cluster by name. Every name is there; values that the cluster does not have
/// are absent.
pub fn outputs(state: &State) -> BTreeMap<&'static str, OutputValue> {
    let view = StateView(state);
    let cluster = state.cluster.as_ref();
    let text = |text: Option<String>| OutputValue::Text(text);
    let list = |texts: Vec<String>| OutputValue::List(texts);
    let domain = view.domain();
    let url = |host: &str, port: Option<u16>| {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        domain.as_ref().map(|domain| format!("https://{host}.{domain}{port}"))
    };
    let bootstrap = bootstrap(state);
    let machines = masters(state);
    let of_machines = |value: fn(&RecordedMachine) -> Option<&String>| {
        OutputValue::List(machines.iter().filter_map(value).cloned().collect())
    };
    BTreeMap::from([
        ("account", text(state.lookup_cache.account.clone())),
        ("api_url", text(url("api", Some(API_PORT)))),
        ("bootstrap_id", text(bootstrap.as_ref().and_then(|one| one.id.clone()))),
        ("bootstrap_ip", text(bootstrap.as_ref().and_then(|one| one.reachable_ip().cloned()))),
        ("bootstrap_private_ip", text(bootstrap.and_then(|one| one.private_ip))),
        ("cluster_domain", text(domain.clone())),
        ("cluster_id", text(cluster.map(|one| one.cluster_id.clone()))),
        ("cluster_name", text(cluster.map(|one| one.name.clone()))),
        ("console_url", text(url("console-openshift-console.apps", None))),
        ("infra_id", text(cluster.map(|one| one.infra_id.clone()))),
        ("load_balancer_names", list(view.texts_of("load_balancer", "name"))),
        ("master_ids", of_machines(|one| one.id.as_ref())),
        ("master_ips", of_machines(|one| one.private_ip.as_ref())),
        ("master_names", of_machines(|one| one.name.as_ref())),
        ("private_hosted_zone_id", text(view.zone_of("record.api"))),
        ("private_subnet_ids", list(view.subnets("private"))),
        ("private_subnets", OutputValue::ByZone(view.by_zone("private"))),
        ("public_hosted_zone_id", text(view.zone_of("record.api-public"))),
        ("public_subnet_ids", list(view.subnets("public"))),
        ("public_subnets", OutputValue::ByZone(view.by_zone("public"))),
        ("region", text(cluster.map(|one| one.region.clone()))),
        ("vpc_id", text(view.vpc())),
    ])
}

/// A machine of the control plane or the bootstrap machine, as recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedMachine {
    /// Instance ID.
    pub id: Option<String>,
    /// Name in AWS, such as `demo-x7k2p-master-0`.
    pub name: Option<String>,
    /// Private address.
    pub private_ip: Option<String>,
    /// Public address. `None` if the machine has none, or if it is not recorded.
    pub public_ip: Option<String>,
    /// True if the machine was launched with a public address.
    pub is_public: bool,
}

impl RecordedMachine {
    /// Returns the address for connections from outside: the public one, or else the private one.
    pub fn reachable_ip(&self) -> Option<&String> {
        self.public_ip.as_ref().or(self.private_ip.as_ref())
    }

    /// Returns true if an address that the machine must have is not recorded.
    pub fn lacks_address(&self) -> bool {
        self.private_ip.is_none() || (self.is_public && self.public_ip.is_none())
    }
}

/// Returns the bootstrap machine; `None` if it does not exist.
pub fn bootstrap(state: &State) -> Option<RecordedMachine> {
    let record = state.resources.get(&Address::from(BOOTSTRAP))?;
    let machine = machine(state, &Address::from(BOOTSTRAP), record);
    machine.id.is_some().then_some(machine)
}

/// Returns the masters that exist, by number.
pub fn masters(state: &State) -> Vec<RecordedMachine> {
    let masters = state.resources.iter().filter(|(address, _)| {
        address.kind() == "instance" && is_control_plane(address) // Machines have files of their own
    });
    let mut masters: Vec<_> = masters.collect();
    masters.sort_by_key(|(address, _)| (address.name().len(), (*address).clone()));
    let machines = masters.into_iter().map(|(address, record)| machine(state, address, record));
    machines.filter(|machine| machine.id.is_some()).collect()
}

/// Returns the ARNs of the target groups of the API server, by name in AWS.
pub fn api_target_groups(state: &State) -> BTreeMap<String, String> {
    let groups = API_TARGET_GROUPS.iter().filter_map(|name| {
        let record = state.resources.get(&Address::from(*name))?;
        let name = record.inputs["name"].as_str().unwrap_or(name);
        Some((name.to_owned(), record.outputs["arn"].as_str()?.to_owned()))
    });
    groups.collect()
}

fn machine(state: &State, address: &Address, record: &Record) -> RecordedMachine {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let interface = Address::from(&*format!("network_interface.{}", address.name()));
    let interface = state.resources.get(&interface);
    let of_interface = interface.and_then(|record| text(&record.outputs["private_ip"]));
    RecordedMachine {
        id: text(&record.outputs["id"]),
        name: text(&record.inputs["tags"]["Name"]),
        private_ip: text(&record.outputs["private_ip"]).or(of_interface),
        public_ip: text(&record.outputs["public_ip"]),
        is_public: record.inputs["network"]["subnet"]["public_ip"] == true,
    }
}

/// State as a source of outputs.
struct StateView<'a>(&'a State);

impl StateView<'_> {
    fn record(&self, address: &str) -> Option<&Record> {
        self.0.resources.get(&Address::from(address))
    }

    fn of_kind<'s>(&'s self, kind: &'s str) -> impl Iterator<Item = (&'s Address, &'s Record)> {
        self.0.resources.iter().filter(move |(address, _)| address.kind() == kind)
    }

    fn texts_of(&self, kind: &str, input: &str) -> Vec<String> {
        let texts = self.of_kind(kind).filter_map(|(_, record)| record.inputs[input].as_str());
        texts.map(str::to_owned).collect()
    }

    /// Returns `NAME.BASE-DOMAIN`.
    fn domain(&self) -> Option<String> {
        let of_record = self.record("record.api").and_then(|one| one.inputs["name"].as_str());
        let of_record = of_record.and_then(|name| name.strip_prefix("api."));
        let zone = || self.record("hosted_zone.int")?.inputs["name"].as_str();
        of_record.or_else(zone).map(str::to_owned)
    }

    fn zone_of(&self, record: &str) -> Option<String> {
        let record = self.record(record)?;
        let zone = record.outputs["zone"].as_str().or(record.inputs["zone"].as_str());
        zone.map(str::to_owned)
    }

    /// Returns the VPC of the cluster, or the user's VPC in which the cluster is.
    fn vpc(&self) -> Option<String> {
        let own = self.record("vpc.main").and_then(|one| one.outputs["id"].as_str());
        let used = || self.record("target_group.aint")?.inputs["vpc"].as_str();
        own.or_else(used).map(str::to_owned)
    }

    /// Returns the IDs of the subnets with this role, by zone. Subnets of the user are those of a load
    /// balancer; their zones are in the lookup cache.
    fn by_zone(&self, role: &str) -> BTreeMap<String, String> {
        let prefix = format!("{role}-");
        let own = self.of_kind("subnet").filter_map(|(address, record)| {
            address.name().strip_prefix(&*prefix)?;
            let (zone, id) = (record.inputs["zone"].as_str()?, record.outputs["id"].as_str()?);
            Some((zone.to_owned(), id.to_owned()))
        });
        let own: BTreeMap<String, String> = own.collect();
        if !own.is_empty() {
            return own;
        }
        let ids = self.balancer_subnets(role);
        let zones = self.existing_subnets().into_iter();
        zones.filter(|(_, id)| ids.contains(id)).collect()
    }

    fn subnets(&self, role: &str) -> Vec<String> {
        let by_zone: Vec<String> = self.by_zone(role).into_values().collect();
        if by_zone.is_empty() { self.balancer_subnets(role) } else { by_zone }
    }

    fn balancer_subnets(&self, role: &str) -> Vec<String> {
        let balancer = if role == "private" { "load_balancer.int" } else { "load_balancer.ext" };
        let subnets = self.record(balancer).and_then(|one| one.inputs["subnets"].as_array());
        let ids = subnets.into_iter().flatten().filter_map(Value::as_str);
        ids.map(str::to_owned).collect()
    }

    /// Returns zone and ID of the user's subnets.
    fn existing_subnets(&self) -> Vec<(String, String)> {
        let cached = self.0.lookup_cache.results.iter();
        let cached = cached.filter(|(key, _)| key.starts_with("subnets/"));
        let facts = cached.filter_map(|(_, answer)| {
            serde_json::from_value::<Vec<SubnetFact>>(answer.clone()).ok() // of a newer version
        });
        facts.flatten().map(|one| (one.zone, one.id.0)).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use groundplan_engine::state::{Cluster, Entry, RecordStatus};
    use serde_json::json;

    use super::*;

    /// Returns a state with these resources: address, inputs, outputs.
    pub(crate) fn state_of(resources: &[(&str, Value, Value)]) -> State {
        let mut state = State::new("l".into());
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: "demo-x7k2p".into(),
            cluster_id: "b0a4".into(),
            region: "us-west-2".into(),
        };
        state.record(&Entry::ClusterIdentified { cluster }).unwrap();
        for (address, inputs, outputs) in resources {
            let address = Address::from(*address);
            let (inputs, outputs) = (inputs.clone(), outputs.clone());
            let started = Entry::CreateStarted {
                address: address.clone(),
                generation: 1,
                inputs,
                after: vec![],
            };
            state.record(&started).unwrap();
            let created = Entry::Created { address, outputs, status: RecordStatus::Ready };
            state.record(&created).unwrap();
        }
        state
    }

    /// Returns the state of a cluster with a bootstrap machine and two masters.
    pub(crate) fn demo() -> State {
        let master = |number: u32| {
            let name = format!("demo-x7k2p-master-{number}");
            (json!({"tags": {"Name": name}}), json!({"id": format!("i-{number}")}))
        };
        let interface =
            |number: u32| json!({"id": "eni", "private_ip": format!("10.0.0.{number}")});
        let network = json!({"subnet": {"subnet": "subnet-2", "public_ip": true}});
        let mut resources = vec![
            (
                "instance.bootstrap",
                json!({"network": network, "tags": {"Name": "demo-x7k2p-bootstrap"}}),
                json!({"id": "i-b", "private_ip": "10.0.64.5", "public_ip": "198.51.100.7"}),
            ),
            ("vpc.main", json!({}), json!({"id": "vpc-1"})),
            ("subnet.private-us-west-2a", json!({"zone": "us-west-2a"}), json!({"id": "subnet-1"})),
            ("subnet.public-us-west-2a", json!({"zone": "us-west-2a"}), json!({"id": "subnet-2"})),
            ("load_balancer.int", json!({"name": "demo-x7k2p-int"}), json!({"arn": "arn-int"})),
            ("target_group.aint", json!({"name": "demo-x7k2p-aint"}), json!({"arn": "arn-aint"})),
            ("record.api", json!({"name": "api.demo.example.com", "zone": "Z1"}), json!({})),
            ("record.api-public", json!({"name": "api.demo.example.com"}), json!({"zone": "Z2"})),
        ];
        for (address, number) in [("instance.master-10", 10), ("instance.master-2", 2)] {
            let (inputs, outputs) = master(number);
            resources.push((address, inputs, outputs));
        }
        resources.push(("network_interface.master-10", json!({}), interface(10)));
        resources.push(("network_interface.master-2", json!({}), interface(2)));
        state_of(&resources)
    }

    #[test]
    fn outputs_are_read_from_the_state_alone() {
        let outputs = serde_json::to_value(outputs(&demo())).unwrap();
        assert_eq!(
            outputs,
            json!({
                "account": null,
                "api_url": "https://api.demo.example.com:6443",
                "bootstrap_id": "i-b",
                "bootstrap_ip": "198.51.100.7",
                "bootstrap_private_ip": "10.0.64.5",
                "cluster_domain": "demo.example.com",
                "cluster_id": "b0a4",
                "cluster_name": "demo",
                "console_url": "https://console-openshift-console.apps.demo.example.com",
                "infra_id": "demo-x7k2p",
                "load_balancer_names": ["demo-x7k2p-int"],
                "master_ids": ["i-2", "i-10"],
                "master_ips": ["10.0.0.2", "10.0.0.10"],
                "master_names": ["demo-x7k2p-master-2", "demo-x7k2p-master-10"],
                "private_hosted_zone_id": "Z1",
                "private_subnet_ids": ["subnet-1"],
                "private_subnets": {"us-west-2a": "subnet-1"},
                "public_hosted_zone_id": "Z2",
                "public_subnet_ids": ["subnet-2"],
                "public_subnets": {"us-west-2a": "subnet-2"},
                "region": "us-west-2",
                "vpc_id": "vpc-1",
            })
        );
    }

    #[test]
    fn a_cluster_in_an_existing_network_has_the_subnets_of_its_load_balancers() {
        let subnet = |id: &str, zone: &str| json!({"id": id, "vpc": "vpc-9", "zone": zone, "cidr": "10.0.0.0/24", "reach": "private"});
        let balancer = json!({"name": "demo-x7k2p-int", "subnets": ["subnet-b", "subnet-a"]});
        let mut state = state_of(&[
            ("load_balancer.int", balancer, json!({"arn": "a"})),
            ("target_group.aint", json!({"vpc": "vpc-9"}), json!({"arn": "b"})),
        ]);
        assert_eq!(outputs(&state)["vpc_id"].lines(), ["vpc-9"]);
        assert_eq!(outputs(&state)["private_subnet_ids"].lines(), ["subnet-b", "subnet-a"]);
        let answer = json!([
            subnet("subnet-a", "us-west-2a"),
            subnet("subnet-b", "us-west-2b"),
            subnet("subnet-c", "us-west-2a")
        ]);
        let lookup = "subnets/us-west-2/subnet-a,subnet-b,subnet-c".to_owned();
        state.record(&Entry::LookupRecorded { lookup, answer }).unwrap();
        let zones = outputs(&state)["private_subnets"].lines();
        assert_eq!(zones, ["us-west-2a subnet-a", "us-west-2b subnet-b"]);
        assert!(outputs(&state)["public_subnet_ids"].is_absent());
        assert!(outputs(&state)["api_url"].is_absent());
    }

    #[test]
    fn a_machine_without_a_recorded_address_lacks_it() {
        let inputs = json!({"network": {"subnet": {"public_ip": true}}});
        let state = state_of(&[(
            "instance.bootstrap",
            inputs,
            json!({"id": "i-b", "private_ip": "10.0.64.5"}),
        )]);
        let machine = bootstrap(&state).unwrap();
        assert!(machine.lacks_address());
        assert_eq!(machine.reachable_ip().map(String::as_str), Some("10.0.64.5"));
        assert!(!bootstrap(&demo()).unwrap().lacks_address());
        assert!(bootstrap(&state_of(&[])).is_none());
    }

    #[test]
    fn every_output_is_documented() {
        let page = include_str!("../../docs/formats.md");
        for name in outputs(&State::default()).keys() {
            let row = format!("| `{name}` |");
            assert!(page.contains(&row), "docs/formats.md has no row `{row}`");
        }
    }
}
