//! EC2 calls for the kind `machine`. One DescribeInstances request, with pages, reads all machines.

use aws_sdk_ec2::types::{self, InstanceStateName};
use groundplan_engine::graph::Input;
use groundplan_engine::provider::ProviderFuture;

use super::{InstanceDetails as SeenByEc2, Machine, MachineOutputs, launch};
use crate::Aws;
use crate::client::dry_run::{DryRunTarget, dry, is_placeholder};
use crate::client::ec2;
use crate::client::outcomes::ambiguous_on_failure;
use crate::client::resource_type::{Creation, KindOperations, Live, PollResult, Recorded, Result};
use crate::kinds::instance::{
    self, groups_in_recorded_order, live_metadata_options, live_profile, live_state,
    look_if_running, look_if_terminated, set_metadata_options,
};
use crate::model::ids::{ImageId, InstanceId, SubnetId};
use crate::model::launch_errors;

/// Error code for a client token that EC2 already knows with other parameters.
const OTHER_WORDS: &[&str] = &["IdempotentParameterMismatch"];

impl KindOperations for Machine {
    /// Launches the machine. If the token was sent before with other parameters, returns the
    /// instance that it launched then: one token stands for one instance. The parameters can differ
    /// when an image filter now matches a newer image.
    async fn create(&self, aws: &Aws, creation: &Creation) -> Result<MachineOutputs> {
        let call = launch::request(self, aws, creation)?.client_token(&creation.token);
        match aws.call("ec2", "RunInstances", call.send()).await {
            Ok(launched) => outputs("RunInstances", launched.instances().first()),
            Err(error) if error.is(OTHER_WORDS) => {
                ambiguous_on_failure(self.find(aws, creation).await)?.ok_or(error)
            }
            Err(error) => Err(launch_errors::with_manifest_hint(error)),
        }
    }

    async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<MachineOutputs>> {
        let found = ec2::find::<types::Instance>(aws, &creation.token).await?;
        found.map(|one| outputs("DescribeInstances", Some(&one))).transpose()
    }

    async fn ready(
        aws: &Aws,
        waiting: Vec<Recorded<Self>>,
    ) -> Result<Vec<PollResult<MachineOutputs>>> {
        ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let found = ec2::all::<types::Instance, _>(aws, &recorded, |o| o.id.as_str()).await?;
        let pairs = recorded.into_iter().zip(found);
        pairs
            .map(|(recorded, one)| one.map(|one| to_live(&recorded.inputs, &one)).transpose())
            .collect()
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
        set_metadata_options(aws, outputs.id.as_str(), &self.metadata_options).await?;
        ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
        Ok(outputs)
    }

    async fn delete(aws: &Aws, _inputs: Self, outputs: MachineOutputs) -> Result<()> {
        let call = aws.ec2.terminate_instances().instance_ids(outputs.id.as_str());
        let deleted = aws.call("ec2", "TerminateInstances", call.send()).await;
        ec2::fine_when(deleted, &["InvalidInstanceID.NotFound"])
    }

    async fn gone(aws: &Aws, waiting: Vec<MachineOutputs>) -> Result<Vec<PollResult<()>>> {
        let ids: Vec<&str> = waiting.iter().map(|outputs| outputs.id.as_str()).collect();
        look_if_terminated(aws, &ids).await
    }

    fn dry_run<'a>(
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        let id = &about.id;
        let ec2 = &aws.ec2;
        Some(match action {
            "ec2:ModifyInstanceMetadataOptions" => {
                let call = ec2.modify_instance_metadata_options().instance_id(id);
                let options = instance::metadata_options(&about.metadata_options()?)?;
                dry!(aws, action, instance::say(call, options))
            }
            "ec2:RunInstances" => {
                dry!(aws, action, launch::dry_run_request(&about.typed()?, aws, is_placeholder))
            }
            "ec2:TerminateInstances" => {
                dry!(aws, action, ec2.terminate_instances().instance_ids(id))
            }
            _ => return None,
        })
    }
}

/// Converts a live instance to the shape of the inputs. Values that EC2 does not return as they
/// were requested (interface settings, volumes, prices) are the recorded ones.
fn to_live(recorded: &Machine, live: &types::Instance) -> Result<Live<Machine>> {
    let call = "DescribeInstances";
    let instance_type = live.instance_type().map(|kind| kind.as_str().to_owned());
    let mut interface = recorded.interface.clone();
    if interface.subnet.is_some() {
        let id = ec2::id::<SubnetId>(call, live.subnet_id())?;
        interface.subnet = Some(Input::Known(id));
    }
    let groups =
        live.network_interfaces().first().map_or(live.security_groups(), |one| one.groups());
    interface.groups = groups_in_recorded_order(&recorded.interface.groups, groups);
    let inputs = Machine {
        image: ec2::id::<ImageId>(call, live.image_id())?.into(),
        instance_type: ec2::part(call, "instanceType", instance_type)?,
        profile: live_profile(live).map(Input::Known),
        interface,
        metadata_options: live_metadata_options(live),
        tags: ec2::owned(&recorded.tags, live.tags()),
        ..recorded.clone()
    };
    Ok(Live { inputs, outputs: outputs(call, Some(live))? })
}

fn to_poll_result(_: MachineOutputs, live: &types::Instance) -> PollResult<MachineOutputs> {
    match outputs("DescribeInstances", Some(live)) {
        Ok(outputs) => look_if_running(outputs.id.clone().as_str(), outputs, live),
        Err(error) => PollResult::Failed(error),
    }
}

fn outputs(call: &str, live: Option<&types::Instance>) -> Result<MachineOutputs> {
    let live = ec2::part(call, "instance", live)?;
    Ok(MachineOutputs {
        id: ec2::id::<InstanceId>(call, live.instance_id())?,
        private_ip: live.private_ip_address().map(Into::into),
        seen: SeenByEc2 {
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
