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
use groundplan_engine::graph::{Graph, Input};
use groundplan_engine::out;

use super::iam::Profiles;
use super::{CompileContext, CompileError, ignition};

/// Adds the masters, each with its own network interface and registered with the load balancers.
pub(crate) fn add(
    graph: &mut Graph,
    site: &CompileContext,
    profiles: &Profiles,
) -> Result<(), CompileError> {
    let (names, pool) = (&site.spec.names, &site.spec.masters);
    let user_data = user_data(graph, site)?;
    let mut masters = Vec::new();
    for (index, zone) in pool.zone_of_each().enumerate() {
        let name = format!("{}-{index}", names.layout.master.role);
        let tags = names.tags(&name);
        let interface = NetworkInterface {
            subnet: site.network.private[zone].clone(),
            groups: groups(site),
            tags: tags.clone(),
        };
        let interface = graph.add(&name, &interface);
        let instance = Instance {
            image: site.image.id.clone(),
            instance_type: pool.instance_type.clone(),
            profile: profiles.master.name.clone(),
            profile_id: profiles.master.id.clone(),
            network: InstanceNetwork::Interface(out!(interface.id)),
            root_volume: root_volume(site),
            user_data: user_data.clone(),
            metadata_options: metadata_options(pool.metadata_service),
            tags,
            volume_tags: names.tags(&format!("{name}-{}", names.layout.volume)),
        };
        let instance = graph.add(&name, &instance);
        // The IP address belongs to the interface, so it survives a replacement of the machine.
        site.balancers.register(graph, &name, &instance, &out!(interface.private_ip));
        masters.push(instance);
    }
    graph.replace_serially(&masters);
    Ok(())
}

fn user_data(graph: &mut Graph, site: &CompileContext) -> Result<UserDataSource, CompileError> {
    let content = match site.assets.master() {
        Some(given) => given.to_vec(),
        None => ignition::pointer(&site.spec.dns.domain, site.spec.names.layout.master.role)
            .into_bytes(),
    };
    let (bytes, limit) = (content.len(), USER_DATA_LIMIT);
    if bytes > limit {
        return Err(CompileError::UserData { machine: "the masters".into(), bytes, limit });
    }
    Ok(UserDataSource { content: graph.keep_secret(content), presigned: None })
}

fn groups(site: &CompileContext) -> Vec<Input<SecurityGroupId>> {
    let master = &site.groups.master;
    let more = site.spec.masters.additional_security_groups.iter().cloned();
    [out!(master.id)].into_iter().chain(more.map(Input::Known)).collect()
}

fn root_volume(site: &CompileContext) -> InstanceRootVolume {
    let volume = &site.spec.masters.root_volume;
    InstanceRootVolume {
        device: site.image.root_device.clone(),
        volume_type: volume.volume_type.clone(),
        size: volume.size,
        iops: volume.iops,
        kms_key: volume.kms_key.clone(),
    }
}
