//! Differences between the manifests in assets and a plan, one for each topic.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Maximum number of values, and of objects, in the message of a difference.
const LISTED: usize = 3;

/// Subject of a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DifferenceTopic {
    /// Infra ID of the cluster.
    Cluster,
    /// Region.
    Region,
    /// Subnet of machines.
    Subnet,
    /// Zone of a master.
    Zone,
    /// Security group of machines.
    SecurityGroup,
    /// Instance profile of machines.
    Profile,
    /// Image of machines.
    Image,
    /// Session tokens of the metadata service.
    Authentication,
    /// Other settings of the metadata service.
    MetadataOptions,
    /// Load balancer of masters.
    LoadBalancer,
    /// Master that the plan does not have.
    Master,
    /// Workers with a set in both APIs.
    MachineSet,
}

impl DifferenceTopic {
    fn noun(self) -> &'static str {
        match self {
            Self::Cluster => "infra ID",
            Self::Region => "region",
            Self::Subnet => "subnets",
            Self::Zone => "zones of masters",
            Self::SecurityGroup => "security groups",
            Self::Profile => "instance profiles",
            Self::Image => "images",
            Self::Authentication => "metadataServiceOptions.authentication",
            Self::MetadataOptions => "metadataServiceOptions",
            Self::LoadBalancer => "load balancers",
            Self::Master => "masters",
            Self::MachineSet => "machine sets",
        }
    }
}

/// Difference between the manifests in assets and a plan. Displayed as one line with both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Subject.
    pub topic: DifferenceTopic,
    /// Values in the manifests, as text for people.
    pub assets: BTreeSet<String>,
    /// Values in the plan, as text for people.
    pub plan: BTreeSet<String>,
    /// Objects with these values, such as `Machine demo-x7k2p-master-0`.
    pub objects: BTreeSet<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (assets, plan, objects) =
            (listed(&self.assets), listed(&self.plan), listed(&self.objects));
        let noun = self.topic.noun();
        write!(f, "{noun}: the assets name {assets}, the plan has {plan} (in {objects})")
    }
}

/// Returns the first values, and the number of the others.
fn listed(values: &BTreeSet<String>) -> String {
    let first: Vec<&str> = values.iter().take(LISTED).map(String::as_str).collect();
    let first = first.join(", ");
    match values.len().saturating_sub(LISTED) {
        _ if values.is_empty() => "none".to_owned(),
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Differences so far, by topic.
#[derive(Debug, Default)]
pub(super) struct Differences(BTreeMap<DifferenceTopic, Difference>);

impl Differences {
    /// Adds values of an object to the difference of a topic.
    pub(super) fn add(
        &mut self,
        topic: DifferenceTopic,
        object: &str,
        assets: impl IntoIterator<Item = String>,
        plan: impl IntoIterator<Item = String>,
    ) {
        let empty = BTreeSet::new;
        let difference = self.0.entry(topic).or_insert_with(|| Difference {
            topic,
            assets: empty(),
            plan: empty(),
            objects: empty(),
        });
        difference.assets.extend(assets);
        difference.plan.extend(plan);
        difference.objects.insert(object.to_owned());
    }

    pub(super) fn into_vec(self) -> Vec<Difference> {
        self.0.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_line_with_both_sides() {
        let mut all = Differences::default();
        for index in 0..9 {
            let found = [format!("`demo-{}`", index % 2)];
            let wanted = [format!("`x-{}`", index % 5)];
            all.add(DifferenceTopic::Subnet, &format!("Machine m-{index}"), found, wanted);
        }
        all.add(DifferenceTopic::Region, "MachineSet w", ["`a`".to_owned()], []);
        let said: Vec<String> = all.into_vec().iter().map(Difference::to_string).collect();
        assert_eq!(
            said,
            [
                "region: the assets name `a`, the plan has none (in MachineSet w)",
                "subnets: the assets name `demo-0`, `demo-1`, the plan has `x-0`, `x-1`, `x-2` and \
                 2 more (in Machine m-0, Machine m-1, Machine m-2 and 6 more)",
            ]
        );
    }
}
