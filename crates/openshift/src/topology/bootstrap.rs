//! The bootstrap machine and the bucket with its Ignition config (release-4.15,
//! `bootstrap/main.tf`).

use groundplan_aws::kinds::instance::{
    Instance, InstanceNetwork, InstanceRootVolume, ObjectRef, PRESIGNED_URL, UserDataSource,
};
use groundplan_aws::kinds::s3_bucket::S3Bucket;
use groundplan_aws::kinds::s3_object::S3Object;
use groundplan_aws::model::ids::{BucketName, SubnetId};
use groundplan_aws::model::metadata_options::metadata_options;
use groundplan_engine::graph::{Address, Graph, Handle, Input, Resource};
use groundplan_engine::out;
use secrecy::{ExposeSecret, SecretString};

use super::spec::BootstrapSpec;
use super::{CompileContext, CompileError, IgnitionFile, iam, ignition, security_groups};
use crate::install_config::Publish;

const KEY: &str = "bootstrap.ign";
/// Maximum size of the bootstrap's user data in bytes, as in openshift-install. A little below
/// `USER_DATA_LIMIT` of EC2.
const BOOTSTRAP_USER_DATA_LIMIT: usize = 16_000;
/// Maximum length of a presigned URL in bytes. Session tokens alone may have more than a thousand.
const LONGEST_URL: usize = 2_000;

/// Adds the bootstrap machine and all resources that only it needs. Without a bootstrap, adds only
/// the bucket and the object, if the config preserves them.
pub(crate) fn add(graph: &mut Graph, site: &CompileContext) -> Result<(), CompileError> {
    match &site.spec.bootstrap {
        BootstrapSpec::Machine { stub } => add_machine(graph, site, stub)?,
        BootstrapSpec::Removed { keeps_bucket: true, .. } => {
            add_object(graph, site);
        }
        BootstrapSpec::Removed { .. } => (),
    }
    Ok(())
}

fn add_machine(
    graph: &mut Graph,
    site: &CompileContext,
    stub: &SecretString,
) -> Result<(), CompileError> {
    let (names, masters) = (&site.spec.names, &site.spec.masters);
    let role = names.layout.bootstrap.role;
    let content = user_data(stub)?;
    let (bucket, object) = add_object(graph, site);
    let profile = iam::add_bootstrap(graph, names, site.spec.partition, masters);
    let network = add_network(graph, site);
    let presigned = ObjectRef { bucket: out!(bucket.name), key: KEY.into() };
    let instance = Instance {
        image: site.image.id.clone(),
        instance_type: masters.instance_type.clone(),
        profile: profile.name,
        profile_id: profile.id,
        network,
        root_volume: InstanceRootVolume {
            device: site.image.root_device.clone(),
            // Not gp3, which some regions lack (openshift/installer 48d988c568).
            volume_type: "gp2".into(),
            size: 30,
            iops: None,
            kms_key: masters.root_volume.kms_key.clone(),
        },
        user_data: UserDataSource {
            content: graph.keep_secret(content),
            presigned: Some(presigned),
        },
        metadata_options: metadata_options(masters.metadata_service),
        tags: names.tags(role),
        volume_tags: names.tags(&format!("{role}-{}", names.layout.volume)),
    };
    let instance = graph.add("bootstrap", &instance);
    // The bootstrap fetches the object at boot, so the object must exist first (openshift/installer
    // PR #5028).
    graph.order(&instance, &object);
    let ip = out!(instance.private_ip);
    site.balancers.register(graph, "bootstrap", &instance, &ip);
    Ok(())
}

fn user_data(stub: &SecretString) -> Result<Vec<u8>, CompileError> {
    let stub = stub.expose_secret().as_bytes();
    let bytes = stub.len() - PRESIGNED_URL.len() + LONGEST_URL;
    if bytes > BOOTSTRAP_USER_DATA_LIMIT {
        let (machine, limit) = ("bootstrap".into(), BOOTSTRAP_USER_DATA_LIMIT);
        return Err(CompileError::UserData { machine, bytes, limit });
    }
    Ok(stub.to_vec())
}

fn add_object(graph: &mut Graph, site: &CompileContext) -> (Handle<S3Bucket>, Handle<S3Object>) {
    let names = &site.spec.names;
    let suffix = names.layout.bootstrap_bucket;
    let (name, tags) = (BucketName(names.name(suffix)), names.tags(suffix));
    let bucket = graph.add("bootstrap", &S3Bucket { name, tags });
    let address = Address::new(S3Object::SCHEMA.kind, "bootstrap");
    let content = site.ignition(&address, graph, IgnitionFile::Bootstrap, ignition::empty);
    let tags = names.object_tags(suffix);
    let object = S3Object { bucket: out!(bucket.name), key: KEY.into(), content, tags };
    let object = graph.add("bootstrap", &object);
    (bucket, object)
}

/// Adds the security group of the bootstrap and returns its network. The subnet is the first public
/// one for a published cluster, or else the first private one. The additional security groups of
/// the masters do not apply to the bootstrap.
fn add_network(graph: &mut Graph, site: &CompileContext) -> InstanceNetwork {
    let own = security_groups::add_bootstrap(graph, site.spec, &site.network);
    let master = &site.groups.master;
    let public_ip = site.spec.publish == Publish::External;
    let subnets = if public_ip { &site.network.public } else { &site.network.private };
    let subnet: Input<SubnetId> =
        subnets.values().next().expect("BUG: every network has such a subnet").clone();
    InstanceNetwork::Subnet { subnet, groups: vec![out!(master.id), own], public_ip }
}
