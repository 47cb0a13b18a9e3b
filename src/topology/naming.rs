//! Names and tags: who the cluster is, and what everything of it is called.
//!
//! Never decides what exists; only how it is known.

use std::collections::BTreeMap;

use crate::aws::Tags;
use crate::config::InstallConfig;
use crate::state::Cluster;

use super::Error;

/// No vowels, so that no words appear; nothing that is easily taken for something else.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const RANDOM: usize = 5;
/// Load balancers and target groups have 32 characters, of which suffixes like `-aint` take five.
const LONGEST: usize = 27;
/// S3 takes ten tags for an object; Name and the cluster's tag are two of them.
pub(crate) const USER_TAGS_OF_AN_OBJECT: usize = 8;

/// Returns the key of the cluster tag. Everything the cluster owns has the tag with the value `owned`.
pub fn cluster_tag_key(infra_id: &str) -> String {
    format!("kubernetes.io/cluster/{infra_id}")
}

/// A new cluster by the name in the install-config. Rolls dice: once in the life of a cluster.
pub fn identify(config: &InstallConfig) -> Cluster {
    Cluster {
        name: config.name.clone(),
        infra_id: infra_id(&config.name, &mut fastrand::Rng::new()),
        cluster_id: uuid::Uuid::new_v4().to_string(),
        region: config.aws.region.clone(),
    }
}

/// The cluster's name, made fit for AWS, and five random characters: at most 27 in all.
pub fn infra_id(name: &str, random: &mut fastrand::Rng) -> String {
    let mut id = infra_prefix(name);
    id.push('-');
    id.extend((0..RANDOM).map(|_| char::from(ALPHABET[random.usize(..ALPHABET.len())])));
    id
}

/// The cluster's name in an infra ID, as far as that has it whole; `None` where it is no infra ID.
pub fn name_in(id: &str) -> Option<&str> {
    let (name, end) = id.rsplit_once('-')?;
    let fits = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit();
    (!name.is_empty() && end.len() == RANDOM && end.bytes().all(fits)).then_some(name)
}

/// Whether a cluster of this name may have this infra ID.
pub fn is_infra_id_of(name: &str, id: &str) -> bool {
    let end = id.strip_prefix(&infra_prefix(name)).and_then(|end| end.strip_prefix('-'));
    end.is_some_and(|end| end.len() == RANDOM && end.bytes().all(|one| one.is_ascii_alphanumeric()))
}

fn infra_prefix(name: &str) -> String {
    let mut prefix = String::new();
    for letter in name.chars() {
        let letter = if letter.is_ascii_alphanumeric() { letter } else { '-' };
        if letter != '-' || !prefix.ends_with('-') {
            prefix.push(letter);
        }
    }
    prefix.truncate(LONGEST - 1 - RANDOM);
    prefix.truncate(prefix.trim_end_matches('-').len());
    prefix
}

/// What the cluster's resources are called, and the tags that all of them carry.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    infra_id: String,
    owned: (String, String),
    user: BTreeMap<String, String>,
}

impl Names {
    /// The names of this cluster, unless AWS would not take them.
    pub(crate) fn new(cluster: &Cluster, user: &Tags) -> Result<Self, Error> {
        let infra_id = cluster.infra_id.clone();
        if let Some(why) = flaw(&infra_id) {
            return Err(Error::InfraId { infra_id, why });
        }
        let owned = (cluster_tag_key(&infra_id), "owned".into());
        Ok(Self { infra_id, owned, user: user.clone() })
    }

    /// The key of the tag that says whose something is.
    pub(crate) fn tag_key(&self) -> &str {
        &self.owned.0
    }

    /// `<infraID>-<suffix>`
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.infra_id)
    }

    /// The tags of something whose name has this suffix.
    pub(crate) fn tags(&self, suffix: &str) -> Tags {
        let mut tags = Tags::from([("Name".to_owned(), self.name(suffix))]);
        tags.extend(self.nameless_tags());
        tags
    }

    /// The tags of something without a name: the cluster's, then the user's.
    pub(crate) fn nameless_tags(&self) -> Tags {
        let mut tags = Tags::from([self.owned.clone()]);
        tags.extend(self.user.clone());
        tags
    }

    /// As [`Names::tags`], with no more of the user's than an S3 object can take.
    pub(crate) fn object_tags(&self, suffix: &str) -> Tags {
        let user = self.user.clone().into_iter().take(USER_TAGS_OF_AN_OBJECT).collect();
        Self { user, ..self.clone() }.tags(suffix)
    }
}

/// Why load balancers cannot be named after this (AWS: `CreateLoadBalancer`, Name).
fn flaw(infra_id: &str) -> Option<&'static str> {
    let fit = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
    if infra_id.is_empty() || infra_id.len() > LONGEST {
        Some("it must have 1 to 27 characters")
    } else if !infra_id.chars().all(fit) || infra_id.starts_with('-') {
        Some("it must be letters, digits and inner hyphens")
    } else if infra_id.starts_with("internal-") {
        Some("the names of load balancers cannot begin with `internal-`")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infra_id_is_told_from_that_of_a_cluster_with_a_longer_name() {
        assert!(is_infra_id_of("demo", "demo-x7k2p"));
        assert!(is_infra_id_of("a.b", "a-b-x7k2p"));
        for other in ["demo", "demo-", "demo-two-x7k2p", "demo-x7k2", "prod-x7k2p"] {
            assert!(!is_infra_id_of("demo", other), "{other}");
        }
        let rolled = infra_id("demo", &mut fastrand::Rng::with_seed(1));
        assert!(is_infra_id_of("demo", &rolled));
    }

    fn names(infra_id: &str, user: &Tags) -> Result<Names, Error> {
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: infra_id.into(),
            cluster_id: "id".into(),
            region: "us-west-2".into(),
        };
        Names::new(&cluster, user)
    }

    #[test]
    fn infra_ids_begin_as_the_reference_has_them() {
        // pkg/asset/installconfig/clusterid_test.go of release-4.15
        for (name, prefix, length) in [
            ("qwertyuiop", "qwertyuiop", 16),
            ("qwertyuiopasdfghjklzxcvbnm", "qwertyuiopasdfghjklzx", 27),
            ("qwertyuiopasdfghjklz-cvbnm", "qwertyuiopasdfghjklz", 26),
            ("qwe.rty.@iop!", "qwe-rty-iop", 17),
        ] {
            let id = infra_id(name, &mut fastrand::Rng::with_seed(7));
            let (start, random) = id.rsplit_once('-').unwrap();
            assert_eq!((start, id.len()), (prefix, length));
            assert!(random.bytes().all(|letter| ALPHABET.contains(&letter)), "{random}");
        }
    }

    #[test]
    fn two_clusters_of_one_name_differ() {
        let mut random = fastrand::Rng::with_seed(1);
        assert_ne!(infra_id("demo", &mut random), infra_id("demo", &mut random));
    }

    #[test]
    fn the_longest_infra_id_still_fits_every_load_balancer() {
        let longest = infra_id("qwertyuiopasdfghjklzxcvbnm", &mut fastrand::Rng::with_seed(3));
        let names = names(&longest, &Tags::new()).unwrap();
        for suffix in ["int", "ext", "aint", "sint", "aext"] {
            assert!(names.name(suffix).len() <= 32);
        }
    }

    #[test]
    fn an_infra_id_that_aws_would_refuse_is_refused_first() {
        for bad in ["", "-demo", "de_mo", "internal-x7k2p", "qwertyuiopasdfghjklzxc-x7k2p"] {
            assert!(matches!(names(bad, &Tags::new()), Err(Error::InfraId { .. })), "{bad}");
        }
    }

    #[test]
    fn an_object_has_ten_tags_at_most_and_the_first_of_the_users() {
        let user: Tags = (0..25).map(|i| (format!("key-{i:02}"), "value".into())).collect();
        let names = names("demo-x7k2p", &user).unwrap();
        let tags = names.object_tags("bootstrap");
        assert_eq!(tags.len(), 10);
        assert!(tags.contains_key("key-07") && !tags.contains_key("key-08"));
        assert_eq!(tags["Name"], "demo-x7k2p-bootstrap");
        assert_eq!(tags["kubernetes.io/cluster/demo-x7k2p"], "owned");
        assert_eq!(names.tags("vpc").len(), 27);
        assert!(!names.nameless_tags().contains_key("Name"));
    }
}
