//! Operations of the kind `instance`. One DescribeInstances request, with pages, reads all
//! instances.

use std::collections::HashMap;

use aws_sdk_ec2::types;
use groundplan_engine::graph::Input;
use groundplan_engine::plan::UnmanagedDrift;
use groundplan_engine::provider::ProviderFuture;

use super::profile::associate_profile;
use super::{Instance, InstanceNetwork, InstanceOutputs, launch};
use crate::Aws;
use crate::client::dry_run::DryRunTarget;
use crate::client::ec2::{self, FILTER_VALUES, pages};
use crate::client::instances::{
    self, LiveSettings, groups_in_recorded_order, poll_running, set_metadata_options,
};
use crate::client::resource_type::{
    Creation, KindOperations, Live, PollResult, ReadProtection, Recorded, Result,
};
use crate::model::ids::{InstanceId, NetworkInterfaceId, SubnetId};

impl KindOperations for Instance {
    async fn create(&self, aws: &Aws, creation: &Creation) -> Result<InstanceOutputs> {
        let user_data = launch::user_data(&self.user_data, aws, &creation.secrets).await?;
        let spec = launch::spec(self);
        let launched = instances::launch(aws, &spec, user_data, &creation.token).await?;
        outputs("RunInstances", &launched)
    }

    async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<InstanceOutputs>> {
        let found = ec2::find::<types::Instance>(aws, &creation.token).await?;
        found.map(|one| outputs("DescribeInstances", &one)).transpose()
    }

    async fn ready(
        aws: &Aws,
        waiting: Vec<Recorded<Self>>,
    ) -> Result<Vec<PollResult<InstanceOutputs>>> {
        ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        instances::refresh(aws, recorded, |o| o.id.as_str(), to_live).await
    }

    async fn update(
        &self,
        aws: &Aws,
        _creation: &Creation,
        before: Recorded<Self>,
    ) -> Result<InstanceOutputs> {
        let outputs = ec2::part("DescribeInstances", "id", before.outputs)?;
        let is_another = self.profile_id.is_some() && self.profile_id != before.inputs.profile_id;
        if is_another || self.profile != before.inputs.profile {
            associate_profile(aws, &outputs.id, self.profile.get()).await?;
        }
        set_metadata_options(aws, &outputs.id, &self.metadata_options).await?;
        ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
        if self.volume_tags != before.inputs.volume_tags {
            self.retag_root_volume(aws, outputs.id.as_str(), &before.inputs).await?;
        }
        Ok(outputs)
    }

    async fn revert(
        &self,
        aws: &Aws,
        outputs: &InstanceOutputs,
        drift: &[UnmanagedDrift],
    ) -> Result<()> {
        instances::revert(aws, &outputs.id, drift).await
    }

    async fn delete(aws: &Aws, _inputs: Self, outputs: InstanceOutputs) -> Result<()> {
        instances::terminate(aws, &outputs.id).await
    }

    async fn protections(aws: &Aws, doomed: Vec<InstanceOutputs>) -> Vec<ReadProtection> {
        let ids = doomed.iter().map(|outputs| outputs.id.as_str()).collect();
        instances::termination_protections(aws, ids).await
    }

    async fn gone(aws: &Aws, waiting: Vec<InstanceOutputs>) -> Result<Vec<PollResult<()>>> {
        let ids: Vec<&str> = waiting.iter().map(|outputs| outputs.id.as_str()).collect();
        instances::poll_terminated(aws, &ids).await
    }

    fn dry_run<'a>(
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        instances::dry_run(aws, action, about, launch::spec)
    }
}

impl Instance {
    async fn retag_root_volume(&self, aws: &Aws, id: &str, before: &Instance) -> Result<()> {
        let found = ec2::by_ids::<types::Instance>(aws, [id]).await?;
        let volumes = root_volumes(aws, found.values()).await?;
        let volume = volumes.get(id).and_then(types::Volume::volume_id);
        let volume = ec2::part("DescribeVolumes", "root volume", volume)?;
        ec2::retag(aws, volume, &before.volume_tags, &self.volume_tags).await
    }
}

fn outputs(call: &str, instance: &types::Instance) -> Result<InstanceOutputs> {
    let address = instance.private_ip_address();
    Ok(InstanceOutputs {
        id: ec2::id::<InstanceId>(call, instance.instance_id())?,
        private_ip: ec2::part(call, "privateIpAddress", address)?.into(),
        public_ip: instance.public_ip_address().map(Into::into),
    })
}

fn to_poll_result(
    outputs: InstanceOutputs,
    instance: &types::Instance,
) -> PollResult<InstanceOutputs> {
    let id = outputs.id.clone();
    let public_ip = instance.public_ip_address().map(Into::into);
    poll_running(id.as_str(), InstanceOutputs { public_ip, ..outputs }, instance)
}

/// Reads the root volumes. The key of the map is the instance ID.
async fn root_volumes<'a>(
    aws: &Aws,
    instances: impl Iterator<Item = &'a types::Instance>,
) -> Result<HashMap<String, types::Volume>> {
    let devices: HashMap<&str, &str> =
        instances.filter_map(|one| Some((one.instance_id()?, one.root_device_name()?))).collect();
    let mut ids: Vec<&str> = devices.keys().copied().collect();
    ids.sort_unstable();
    let mut volumes = HashMap::new();
    for some in ids.chunks(FILTER_VALUES) {
        let attached = ec2::filter("attachment.instance-id", some);
        let request = aws.ec2.describe_volumes().filters(attached).max_results(1000);
        for volume in pages!(aws, "DescribeVolumes", request, volumes) {
            let root = volume.attachments().iter().find_map(|attachment| {
                let id = attachment.instance_id()?;
                (devices.get(id).copied() == attachment.device()).then(|| id.to_owned())
            });
            if let Some(id) = root {
                volumes.insert(id, volume);
            }
        }
    }
    Ok(volumes)
}

/// Converts a live instance to the shape of the inputs. The root volume is the recorded one: users
/// enlarge volumes by hand, and such a difference needs no action.
fn to_live(recorded: &Instance, live: &types::Instance) -> Result<Live<Instance>> {
    let settings = LiveSettings::of(live)?;
    let inputs = Instance {
        image: settings.image.into(),
        instance_type: settings.instance_type,
        profile: Input::live(settings.profile),
        profile_id: Some(Input::live(settings.profile_id)),
        network: network(&recorded.network, live)?,
        root_volume: recorded.root_volume.clone(),
        // The state has only the digest, so the live content cannot be compared.
        user_data: recorded.user_data.clone(),
        metadata_options: settings.metadata_options,
        confidential_compute: recorded.confidential_compute,
        tags: ec2::owned(&recorded.tags, live.tags()),
        volume_tags: recorded.volume_tags.clone(),
    };
    Ok(Live::new(inputs, outputs("DescribeInstances", live)?))
}

fn network(recorded: &InstanceNetwork, live: &types::Instance) -> Result<InstanceNetwork> {
    let first = live.network_interfaces().iter().find(|interface| {
        interface.attachment().and_then(types::InstanceNetworkInterfaceAttachment::device_index)
            == Some(0)
    });
    Ok(match recorded {
        InstanceNetwork::Interface(_) => {
            let id = first.and_then(types::InstanceNetworkInterface::network_interface_id);
            InstanceNetwork::Interface(
                ec2::id::<NetworkInterfaceId>("DescribeInstances", id)?.into(),
            )
        }
        InstanceNetwork::Subnet { groups, public_ip, .. } => InstanceNetwork::Subnet {
            subnet: ec2::id::<SubnetId>("DescribeInstances", live.subnet_id())?.into(),
            groups: groups_in_recorded_order(
                groups,
                first.map_or(live.security_groups(), |interface| interface.groups()),
            ),
            // The launch value is kept, because live data is ambiguous: a stopped instance has no
            // public address, and an Elastic IP address looks like a public one.
            public_ip: *public_ip,
        },
    })
}
