//! Names and tags: the identity of the cluster, and the names of its resources.
//!
//! Never decides which resources exist.

use std::collections::BTreeMap;

use groundplan_aws::Tags;
use groundplan_aws::model::{cluster_api_tag_key, cluster_tag_key};
use groundplan_engine::graph::Address;
use groundplan_engine::state::Cluster;

use super::CompileError;
use super::layout::{BucketName, ClusterTags, GroupLayout, ReleaseLayout};
use crate::install_config::InstallConfig;

/// Alphabet of the random part. Without vowels, so that no words appear, and without ambiguous
/// characters.
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
const RANDOM: usize = 5;
/// Maximum length of an infra ID. Names of load balancers and target groups have at most 32
/// characters, of which suffixes such as `-aint` take five.
const LONGEST: usize = 27;
/// Maximum number of user tags on an S3 object. S3 allows ten tags, and two are Name and the
/// cluster tag.
pub(crate) const USER_TAGS_OF_AN_OBJECT: usize = 8;

/// Key of the tag with the role of a resource in Cluster API (Cluster API Provider AWS,
/// `api/v1beta2/tags.go`).
const ROLE_TAG: &str = "sigs.k8s.io/cluster-api-provider-aws/role";

/// Returns true if the address is that of a control-plane machine: an instance `master-0`, or a
/// Machine with the name that openshift-install gives, `<infraID>-master-0`.
pub fn is_control_plane(address: &Address) -> bool {
    match address.kind() {
        "instance" => address.name().starts_with("master-"),
        "machine" => address.name().contains("-master-"),
        _ => false,
    }
}

/// Creates the identity of a new cluster. Uses randomness; called once for each cluster.
pub fn identify(config: &InstallConfig) -> Cluster {
    Cluster {
        name: config.name.clone(),
        infra_id: infra_id(&config.name, &mut fastrand::Rng::new()),
        cluster_id: uuid::Uuid::new_v4().to_string(),
        region: config.aws.region.clone(),
    }
}

/// Returns the cluster name in a form that AWS allows, with five random characters. At most 27
/// characters.
pub fn infra_id(name: &str, random: &mut fastrand::Rng) -> String {
    let mut id = infra_prefix(name);
    id.push('-');
    id.extend((0..RANDOM).map(|_| char::from(ALPHABET[random.usize(..ALPHABET.len())])));
    id
}

/// Returns the cluster name in an infra ID, possibly shortened. `None` if `id` is not an infra ID.
pub fn name_in(id: &str) -> Option<&str> {
    let (name, end) = id.rsplit_once('-')?;
    let fits = |one: u8| one.is_ascii_lowercase() || one.is_ascii_digit();
    (!name.is_empty() && end.len() == RANDOM && end.bytes().all(fits)).then_some(name)
}

/// Returns true if a cluster with this name may have this infra ID.
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

/// Names of the cluster's resources, and the tags of all of them.
#[derive(Clone, Debug)]
pub(crate) struct ResourceNames {
    infra_id: String,
    owned: (String, String),
    /// Tag of Cluster API. `None` for a layout without it.
    cluster_api: Option<(String, String)>,
    user: BTreeMap<String, String>,
    /// Names in the release of the cluster, for [`ResourceNames::name`].
    pub(crate) layout: &'static ReleaseLayout,
}

impl ResourceNames {
    /// Returns the names of this cluster in this layout.
    ///
    /// # Errors
    /// Returns [`CompileError::InfraId`] if AWS does not allow names with this infra ID.
    pub(crate) fn new(
        cluster: &Cluster,
        user: &Tags,
        layout: &'static ReleaseLayout,
    ) -> Result<Self, CompileError> {
        let infra_id = cluster.infra_id.clone();
        if let Some(why) = flaw(&infra_id) {
            return Err(CompileError::InfraId { infra_id, why });
        }
        let owned = (cluster_tag_key(&infra_id), "owned".into());
        let cluster_api = match layout.tags {
            ClusterTags::Kubernetes => None,
            ClusterTags::ClusterApi => Some((cluster_api_tag_key(&infra_id), "owned".into())),
        };
        Ok(Self { infra_id, owned, cluster_api, user: user.clone(), layout })
    }

    /// Returns the key of the cluster tag.
    pub(crate) fn tag_key(&self) -> &str {
        &self.owned.0
    }

    /// Returns the infra ID.
    pub(crate) fn infra_id(&self) -> &str {
        &self.infra_id
    }

    /// Returns the tags of the user, for all resources.
    pub(crate) fn user_tags(&self) -> &Tags {
        &self.user
    }

    /// Returns `<infraID>-<suffix>`.
    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.infra_id)
    }

    /// Returns the tags of a resource whose name has this suffix.
    pub(crate) fn tags(&self, suffix: &str) -> Tags {
        let mut tags = Tags::from([("Name".to_owned(), self.name(suffix))]);
        tags.extend(self.nameless_tags());
        tags
    }

    /// Returns the tags of a resource without a name: the tags of the cluster and the user tags.
    pub(crate) fn nameless_tags(&self) -> Tags {
        let mut tags = Tags::from([self.owned.clone()]);
        tags.extend(self.cluster_api.clone());
        tags.extend(self.user.clone());
        tags
    }

    /// Like [`ResourceNames::tags`], for a resource with this role in Cluster API.
    pub(crate) fn role_tags(&self, suffix: &str, role: &str) -> Tags {
        let mut tags = self.tags(suffix);
        if self.cluster_api.is_some() {
            tags.insert(ROLE_TAG.to_owned(), role.to_owned());
        }
        tags
    }

    /// Returns the tags of a security group.
    pub(crate) fn group_tags(&self, group: &GroupLayout) -> Tags {
        let mut tags = self.role_tags(group.name, group.role);
        if !group.has_cluster_tag {
            tags.remove(self.tag_key());
        }
        tags
    }

    /// Like [`ResourceNames::tags`], with at most [`USER_TAGS_OF_AN_OBJECT`] user tags, and without
    /// the tag of Cluster API.
    pub(crate) fn object_tags(&self, suffix: &str) -> Tags {
        let user = self.user.clone().into_iter().take(USER_TAGS_OF_AN_OBJECT).collect();
        Self { user, cluster_api: None, ..self.clone() }.tags(suffix)
    }

    /// Returns the name of a bucket.
    pub(crate) fn bucket(&self, name: BucketName) -> String {
        match name {
            BucketName::AfterInfraId(name) => self.name(name),
            BucketName::BeforeInfraId(name) => format!("{name}-{}", self.infra_id),
        }
    }
}

/// Returns the reason why load balancers cannot have names with this infra ID (AWS:
/// `CreateLoadBalancer`, Name).
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
    use crate::topology::layout::RELEASE_4_15;

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

    fn names(infra_id: &str, user: &Tags) -> Result<ResourceNames, CompileError> {
        let cluster = Cluster {
            name: "demo".into(),
            infra_id: infra_id.into(),
            cluster_id: "id".into(),
            region: "us-west-2".into(),
        };
        ResourceNames::new(&cluster, user, RELEASE_4_15)
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
            assert!(matches!(names(bad, &Tags::new()), Err(CompileError::InfraId { .. })), "{bad}");
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
