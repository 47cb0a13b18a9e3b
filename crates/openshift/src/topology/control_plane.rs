//! The masters (release-4.15, `master/main.tf`).
//!
//! Masters do not depend on egress, load balancers or DNS records, because Ignition retries until
//! it gets a response.

use groundplan_aws::kinds::instance::{
    Instance, InstanceNetwork, InstanceRootVolume, UserDataSource,
};
use groundplan_aws::kinds::network_interface::NetworkInterface;
use groundplan_aws::model::USER_DATA_LIMIT;
use groundplan_aws::model::ids::SecurityGroupId;
use groundplan_aws::model::metadata_options::metadata_options;
use groundplan_engine::graph::{Address, Graph, Input, Resource};
use groundplan_engine::out;

use super::iam::Profiles;
use super::{CompileContext, CompileError, IgnitionFile, ignition};

/// Adds the masters, each with its own network interface and registered with the load balancers.
pub(crate) fn add(
    graph: &mut Graph,
    site: &CompileContext,
    profiles: &Profiles,
) -> Result<(), CompileError> {
    let (names, pool) = (&site.spec.names, &site.spec.masters);
    ensure_user_data_fits(site)?;
    let mut masters = Vec::new();
    for (index, zone) in pool.zone_of_each().enumerate() {
        let name = format!("{}-{index}", names.layout.master.role);
        let tags = names.role_tags(&name, "control-plane");
        let subnet = site.network.private[zone].clone();
        let (network, interface_ip) = if site.spec.public_only {
            // EC2 gives no public address to an interface that exists before its machine.
            (InstanceNetwork::Subnet { subnet, groups: groups(site), public_ip: true }, None)
        } else {
            let interface = NetworkInterface { subnet, groups: groups(site), tags: tags.clone() };
            let interface = graph.add(&name, &interface);
            let ip = out!(interface.private_ip);
            (InstanceNetwork::Interface(out!(interface.id)), Some(ip))
        };
        let instance = Instance {
            image: site.image.id.clone(),
            instance_type: pool.instance_type.clone(),
            profile: profiles.master.name.clone(),
            profile_id: profiles.master.id.clone(),
            network,
            root_volume: root_volume(site),
            user_data: user_data(&name, graph, site),
            metadata_options: metadata_options(pool.metadata_service),
            confidential_compute: pool.confidential_compute,
            tags,
            volume_tags: names.tags(&format!("{name}-{}", names.layout.volume)),
        };
        let instance = graph.add(&name, &instance);
        // The IP address of an interface survives a replacement of the machine.
        let ip = interface_ip.unwrap_or_else(|| out!(instance.private_ip));
        site.balancers.register(graph, &name, &instance, &ip);
        masters.push(instance);
    }
    graph.replace_serially(&masters);
    Ok(())
}

/// Rejects an Ignition config that exceeds the limit of EC2.
fn ensure_user_data_fits(site: &CompileContext) -> Result<(), CompileError> {
    let bytes = site.assets.ignition(IgnitionFile::Master).map_or(0, <[u8]>::len);
    let limit = USER_DATA_LIMIT;
    match bytes > limit {
        true => Err(CompileError::UserData { machine: "the masters".into(), bytes, limit }),
        false => Ok(()),
    }
}

fn user_data(master: &str, graph: &mut Graph, site: &CompileContext) -> UserDataSource {
    let address = Address::new(Instance::SCHEMA.kind, master);
    let role = site.spec.names.layout.master.role;
    let pointer = || ignition::pointer(&site.spec.dns.domain, role);
    let content = site.ignition(&address, graph, IgnitionFile::Master, pointer);
    UserDataSource { content, presigned: None }
}

pub(super) fn groups(site: &CompileContext) -> Vec<Input<SecurityGroupId>> {
    let own = site.groups.ids(site.spec.names.layout.master.groups);
    let more = site.spec.masters.additional_security_groups.iter().cloned();
    own.into_iter().chain(more.map(Input::Known)).collect()
}

pub(super) fn root_volume(site: &CompileContext) -> InstanceRootVolume {
    let volume = &site.spec.masters.root_volume;
    InstanceRootVolume {
        device: site.image.root_device.clone(),
        volume_type: volume.volume_type.clone(),
        size: volume.size,
        iops: volume.iops,
        throughput: volume.throughput,
        kms_key: volume.kms_key.clone(),
    }
}
