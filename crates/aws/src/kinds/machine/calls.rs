//! Operations of the kind `machine`. One DescribeInstances request, with pages, reads all machines.

use aws_sdk_ec2::types::{self, InstanceStateName};
use groundplan_engine::graph::Input;
use groundplan_engine::plan::UnmanagedDrift;
use groundplan_engine::provider::{ProviderError, ProviderFuture};

use super::{InstanceDetails, Machine, MachineOutputs, launch};
use crate::Aws;
use crate::client::dry_run::DryRunTarget;
use crate::client::ec2;
use crate::client::instances::{
    self, LiveSettings, encoded_user_data, groups_in_recorded_order, live_state, poll_running,
    set_metadata_options,
};
use crate::client::resource_type::{
    Creation, KindOperations, Live, PollResult, ReadProtection, Recorded, Result,
};
use crate::model::ids::{InstanceId, SubnetId};
use crate::model::launch_errors::with_manifest_hint;

impl KindOperations for Machine {
    async fn create(&self, aws: &Aws, creation: &Creation) -> Result<MachineOutputs> {
        let user_data = encoded_user_data(&self.user_data, &creation.secrets)?;
        let spec = launch::spec(self);
        let launched = instances::launch(aws, &spec, user_data, &creation.token).await;
        outputs("RunInstances", &launched.map_err(with_hint)?)
    }

    async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<MachineOutputs>> {
        let found = ec2::find::<types::Instance>(aws, &creation.token).await?;
        found.map(|one| outputs("DescribeInstances", &one)).transpose()
    }

    async fn ready(
        aws: &Aws,
        waiting: Vec<Recorded<Self>>,
    ) -> Result<Vec<PollResult<MachineOutputs>>> {
        ec2::poll_all(aws, waiting, |o| o.id.as_str(), |_, live| poll(live)).await
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        instances::refresh(aws, recorded, |o| o.id.as_str(), to_live).await
    }

    /// Updates metadata options and instance tags. Volumes keep the tags of their creation, because
    /// the Machine API does not manage volume tags.
    async fn update(
        &self,
        aws: &Aws,
        _creation: &Creation,
        before: Recorded<Self>,
    ) -> Result<MachineOutputs> {
        let outputs = ec2::part("DescribeInstances", "id", before.outputs)?;
        set_metadata_options(aws, &outputs.id, &self.metadata_options).await?;
        ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
        Ok(outputs)
    }

    async fn revert(
        &self,
        aws: &Aws,
        outputs: &MachineOutputs,
        drift: &[UnmanagedDrift],
    ) -> Result<()> {
        instances::revert(aws, &outputs.id, drift).await
    }

    async fn delete(aws: &Aws, _inputs: Self, outputs: MachineOutputs) -> Result<()> {
        instances::terminate(aws, &outputs.id).await
    }

    async fn protections(aws: &Aws, doomed: Vec<MachineOutputs>) -> Vec<ReadProtection> {
        let ids = doomed.iter().map(|outputs| outputs.id.as_str()).collect();
        instances::termination_protections(aws, ids).await
    }

    async fn gone(aws: &Aws, waiting: Vec<MachineOutputs>) -> Result<Vec<PollResult<()>>> {
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

/// Adds a hint in terms of the manifest to an error of the launch itself.
fn with_hint(error: ProviderError) -> ProviderError {
    match error.call.as_str() {
        "RunInstances" => with_manifest_hint(error),
        _ => error,
    }
}

/// Converts a live instance to the shape of the inputs. Values that EC2 does not return as they
/// were requested (interface settings, volumes, prices) are the recorded ones.
fn to_live(recorded: &Machine, live: &types::Instance) -> Result<Live<Machine>> {
    let call = "DescribeInstances";
    let settings = LiveSettings::of(live)?;
    let mut interface = recorded.interface.clone();
    if interface.subnet.is_some() {
        let id = ec2::id::<SubnetId>(call, live.subnet_id())?;
        interface.subnet = Some(Input::Known(id));
    }
    let groups =
        live.network_interfaces().first().map_or(live.security_groups(), |one| one.groups());
    interface.groups = groups_in_recorded_order(&recorded.interface.groups, groups);
    let inputs = Machine {
        image: settings.image.into(),
        instance_type: settings.instance_type,
        profile: settings.profile.map(Input::Known),
        interface,
        metadata_options: settings.metadata_options,
        tags: ec2::owned(&recorded.tags, live.tags()),
        ..recorded.clone()
    };
    Ok(Live::new(inputs, outputs(call, live)?))
}

/// Returns the poll status of a live instance.
pub(crate) fn poll(live: &types::Instance) -> PollResult<MachineOutputs> {
    match outputs("DescribeInstances", live) {
        Ok(outputs) => poll_running(outputs.id.clone().as_str(), outputs, live),
        Err(error) => PollResult::Failed(error),
    }
}

pub(crate) fn outputs(call: &str, live: &types::Instance) -> Result<MachineOutputs> {
    Ok(MachineOutputs {
        id: ec2::id::<InstanceId>(call, live.instance_id())?,
        private_ip: live.private_ip_address().map(Into::into),
        seen: InstanceDetails {
            state: live_state(live).map_or("", InstanceStateName::as_str).to_owned(),
            zone: live
                .placement()
                .and_then(types::Placement::availability_zone)
                .unwrap_or_default()
                .to_owned(),
            instance_type: live.instance_type().map_or("", types::InstanceType::as_str).to_owned(),
            spot: live.instance_lifecycle() == Some(&types::InstanceLifecycleType::Spot),
            launched: live
                .launch_time()
                .map(aws_sdk_ec2::primitives::DateTime::secs)
                .unwrap_or_default(),
            addresses: addresses(live),
            tags: live
                .tags()
                .iter()
                .filter_map(|tag| Some((tag.key()?.to_owned(), tag.value()?.to_owned())))
                .collect(),
        },
    })
}

/// Returns addresses with the types of a Node's status, in the order of machine-api-provider-aws
/// `extractNodeAddresses`: IPv6 then IPv4 of each interface in use, then the names of the instance.
/// Domains from the VPC's DHCP options are left out. They would cost two more calls, and nearly
/// always equal the private DNS name.
fn addresses(live: &types::Instance) -> Vec<(String, String)> {
    let mut addresses = Vec::new();
    let mut add = |kind: &str, address: Option<&str>| {
        if let Some(address) = address.filter(|address| !address.is_empty()) {
            addresses.push((kind.to_owned(), address.to_owned()));
        }
    };
    let in_use = |one: &&types::InstanceNetworkInterface| {
        one.status() == Some(&types::NetworkInterfaceStatus::InUse)
    };
    for interface in live.network_interfaces().iter().filter(in_use) {
        for address in interface.ipv6_addresses() {
            add("InternalIP", address.ipv6_address());
        }
        for address in interface.private_ip_addresses() {
            add("InternalIP", address.private_ip_address());
        }
    }
    if !live.network_interfaces().iter().any(|one| in_use(&one)) {
        add("InternalIP", live.private_ip_address());
    }
    add("ExternalIP", live.public_ip_address());
    add("InternalDNS", live.private_dns_name());
    add("Hostname", live.private_dns_name());
    add("ExternalDNS", live.public_dns_name());
    addresses
}
