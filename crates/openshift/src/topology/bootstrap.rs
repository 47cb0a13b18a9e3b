//! The bootstrap machine and the bucket with its Ignition config (release-4.15,
//! `bootstrap/main.tf`).

use groundplan_aws::kinds::instance::{
    Instance, InstanceNetwork, InstanceRootVolume, ObjectRef, PRESIGNED_URL, UserDataSource,
};
use groundplan_aws::kinds::s3_bucket::S3Bucket;
use groundplan_aws::kinds::s3_object::S3Object;
use groundplan_aws::model::ids::BucketName;
use groundplan_aws::model::metadata_options::metadata_options;
use groundplan_engine::graph::{Address, Graph, Handle, Input, Resource};
use groundplan_engine::out;
use secrecy::{ExposeSecret, SecretString};

use super::iam::Profiles;
use super::layout::ObjectKey;
use super::spec::BootstrapSpec;
use super::{CompileContext, CompileError, IgnitionFile, control_plane, iam, ignition};
use crate::install_config::Publish;

/// Maximum size of the bootstrap's user data in bytes, as in openshift-install. A little below
/// `USER_DATA_LIMIT` of EC2.
const BOOTSTRAP_USER_DATA_LIMIT: usize = 16_000;
/// Maximum length of a presigned URL in bytes. Session tokens alone may have more than a thousand.
const LONGEST_URL: usize = 2_000;

/// Adds the bootstrap machine and all resources that only it needs. Without a bootstrap, adds only
/// the bucket and the object, if the config preserves them.
pub(crate) fn add(
    graph: &mut Graph,
    site: &CompileContext,
    profiles: &Profiles,
) -> Result<(), CompileError> {
    match &site.spec.bootstrap {
        BootstrapSpec::Machine { stub } => add_machine(graph, site, stub, profiles)?,
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
    profiles: &Profiles,
) -> Result<(), CompileError> {
    let (names, masters) = (&site.spec.names, &site.spec.masters);
    let role = names.layout.bootstrap.role;
    let content = user_data(stub)?;
    let (bucket, object) = add_object(graph, site);
    let profile = iam::add_bootstrap(graph, site.spec).unwrap_or_else(|| profiles.master.clone());
    let presigned = ObjectRef { bucket: out!(bucket.name), key: key(site) };
    let instance = Instance {
        image: site.image.id.clone(),
        instance_type: masters.instance_type.clone(),
        profile: profile.name,
        profile_id: profile.id,
        network: network(site),
        root_volume: root_volume(site),
        user_data: UserDataSource {
            content: graph.keep_secret(content),
            presigned: Some(presigned),
        },
        metadata_options: metadata_options(masters.metadata_service),
        confidential_compute: None, // no workload of a user runs here
        tags: names.role_tags(role, "control-plane"),
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
    let layout = &names.layout.bootstrap;
    let (name, tags) = (BucketName(names.bucket(layout.bucket)), names.tags(layout.role));
    let bucket = graph.add("bootstrap", &S3Bucket { name, tags });
    let address = Address::new(S3Object::SCHEMA.kind, "bootstrap");
    let content = site.ignition(&address, graph, IgnitionFile::Bootstrap, ignition::empty);
    let tags = names.object_tags(layout.role);
    let object = S3Object { bucket: out!(bucket.name), key: key(site), content, tags };
    let object = graph.add("bootstrap", &object);
    (bucket, object)
}

/// Returns the key of the object with the Ignition config.
fn key(site: &CompileContext) -> String {
    let names = &site.spec.names;
    let layout = &names.layout.bootstrap;
    match layout.key {
        ObjectKey::Fixed(key) => key.to_owned(),
        ObjectKey::Machine(folder) => format!("{folder}/{}", names.name(layout.role)),
    }
}

fn root_volume(site: &CompileContext) -> InstanceRootVolume {
    let of_masters = control_plane::root_volume(site);
    match site.spec.names.layout.bootstrap.volume {
        None => of_masters,
        Some((volume_type, size)) => {
            let volume_type = volume_type.into();
            InstanceRootVolume { volume_type, size, iops: None, throughput: None, ..of_masters }
        }
    }
}

/// Returns the network of the bootstrap, with a public address for a published cluster.
fn network(site: &CompileContext) -> InstanceNetwork {
    let layout = &site.spec.names.layout.bootstrap;
    let more = site.spec.masters.additional_security_groups.iter().cloned();
    let more = more.filter(|_| layout.has_additional_groups).map(Input::Known);
    let groups = site.groups.ids(layout.groups).into_iter().chain(more).collect();
    let public_ip = site.spec.publish == Publish::External;
    InstanceNetwork::Subnet { subnet: site.network.bootstrap.clone(), groups, public_ip }
}
