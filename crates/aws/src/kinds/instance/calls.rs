//! EC2 calls for the kind `instance`. One DescribeInstances request, with pages, reads all
//! instances.

use std::collections::HashMap;

use aws_sdk_ec2::operation::modify_instance_metadata_options::builders::ModifyInstanceMetadataOptionsFluentBuilder;
use aws_sdk_ec2::types::{
    self, Filter, GroupIdentifier, InstanceMetadataOptionsRequest, InstanceStateName, Tag,
};
use groundplan_engine::graph::Input;
use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture};

use super::{Instance, InstanceNetwork, InstanceOutputs, launch};
use crate::Aws;
use crate::client::dry_run::{DryRunTarget, dry, is_placeholder};
use crate::client::ec2::{self, Ec2Object, FILTER_VALUES, pages};
use crate::client::resource_type::{Creation, KindOperations, Live, PollResult, Recorded, Result};
use crate::model::ids::{
    ImageId, InstanceId, InstanceProfileName, NetworkInterfaceId, SecurityGroupId, SubnetId,
};
use crate::model::metadata_options::{HopLimit, HttpTokens, MetadataOptions, Switch};

impl KindOperations for Instance {
    async fn create(&self, aws: &Aws, creation: &Creation) -> Result<InstanceOutputs> {
        let request = launch::request(self, aws, creation).await?;
        let call = request.client_token(&creation.token);
        let launched = aws.call("ec2", "RunInstances", call.send()).await?;
        outputs("RunInstances", launched.instances().first())
    }

    async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<InstanceOutputs>> {
        let found = ec2::find::<types::Instance>(aws, &creation.token).await?;
        found.map(|one| outputs("DescribeInstances", Some(&one))).transpose()
    }

    async fn ready(
        aws: &Aws,
        waiting: Vec<Recorded<Self>>,
    ) -> Result<Vec<PollResult<InstanceOutputs>>> {
        ec2::poll_all(aws, waiting, |o| o.id.as_str(), to_poll_result).await
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let found = ec2::all::<types::Instance, _>(aws, &recorded, |o| o.id.as_str()).await?;
        let pairs = recorded.into_iter().zip(found);
        pairs
            .map(|(recorded, one)| one.map(|one| to_live(&recorded.inputs, &one)).transpose())
            .collect()
    }

    async fn update(
        &self,
        aws: &Aws,
        _creation: &Creation,
        before: Recorded<Self>,
    ) -> Result<InstanceOutputs> {
        let outputs = ec2::part("DescribeInstances", "id", before.outputs)?;
        set_metadata_options(aws, outputs.id.as_str(), &self.metadata_options).await?;
        ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
        if self.volume_tags != before.inputs.volume_tags {
            self.retag_root_volume(aws, outputs.id.as_str(), &before.inputs).await?;
        }
        Ok(outputs)
    }

    async fn delete(aws: &Aws, _inputs: Self, outputs: InstanceOutputs) -> Result<()> {
        let call = aws.ec2.terminate_instances().instance_ids(outputs.id.as_str());
        let deleted = aws.call("ec2", "TerminateInstances", call.send()).await;
        ec2::fine_when(deleted, &["InvalidInstanceID.NotFound"])
    }

    async fn gone(aws: &Aws, waiting: Vec<InstanceOutputs>) -> Result<Vec<PollResult<()>>> {
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
                let options = launch::metadata_options(&about.metadata_options()?)?;
                dry!(aws, action, say(call, options))
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

/// Polls instances that are being terminated. An instance that EC2 no longer returns counts as
/// terminated.
pub(crate) async fn look_if_terminated(aws: &Aws, ids: &[&str]) -> Result<Vec<PollResult<()>>> {
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let looks = ids.iter().map(|id| match found.get(*id).and_then(live_state) {
        None | Some(InstanceStateName::Terminated) => PollResult::Ready(()),
        Some(state) => PollResult::Pending(state.as_str().to_owned()),
    });
    Ok(looks.collect())
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

/// Sets the wanted metadata options. The call also sends the live value of every other option, so
/// that it resets no option that another process has set. If the live options already match, no
/// call is made.
pub(crate) async fn set_metadata_options(
    aws: &Aws,
    id: &str,
    wanted: &MetadataOptions,
) -> Result<()> {
    let Some(wanted) = launch::metadata_options(wanted) else { return Ok(()) };
    let found = ec2::by_ids::<types::Instance>(aws, [id]).await?.remove(id);
    let live = ec2::visible("DescribeInstances", id, found)?;
    let live = ec2::part("DescribeInstances", "metadataOptions", live.metadata_options())?;
    let now = as_asked(live);
    let then = with_the_rest(wanted.clone(), now.clone());
    if then == now {
        return Ok(());
    }
    // If the endpoint is disabled, the call sends no other option, as at a launch.
    let off = wanted.http_endpoint == Some(types::InstanceMetadataEndpointState::Disabled);
    let call = aws.ec2.modify_instance_metadata_options().instance_id(id);
    let call = say(call, if off { wanted } else { then });
    aws.call("ec2", "ModifyInstanceMetadataOptions", call.send()).await.map(|_| ())
}

/// Converts live options to the request that would set them.
fn as_asked(live: &types::InstanceMetadataOptionsResponse) -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .set_http_tokens(live.http_tokens().cloned())
        .set_http_endpoint(live.http_endpoint().cloned())
        .set_http_put_response_hop_limit(live.http_put_response_hop_limit())
        .set_http_protocol_ipv6(live.http_protocol_ipv6().cloned())
        .set_instance_metadata_tags(live.instance_metadata_tags().cloned())
        .build()
}

/// Returns `wanted` with its missing options filled from `now`.
fn with_the_rest(
    wanted: InstanceMetadataOptionsRequest,
    now: InstanceMetadataOptionsRequest,
) -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .set_http_tokens(wanted.http_tokens.or(now.http_tokens))
        .set_http_endpoint(wanted.http_endpoint.or(now.http_endpoint))
        .set_http_put_response_hop_limit(
            wanted.http_put_response_hop_limit.or(now.http_put_response_hop_limit),
        )
        .set_http_protocol_ipv6(wanted.http_protocol_ipv6.or(now.http_protocol_ipv6))
        .set_instance_metadata_tags(wanted.instance_metadata_tags.or(now.instance_metadata_tags))
        .build()
}

/// Adds the options to the call.
pub(crate) fn say(
    call: ModifyInstanceMetadataOptionsFluentBuilder,
    options: InstanceMetadataOptionsRequest,
) -> ModifyInstanceMetadataOptionsFluentBuilder {
    call.set_http_tokens(options.http_tokens)
        .set_http_endpoint(options.http_endpoint)
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit)
        .set_http_protocol_ipv6(options.http_protocol_ipv6)
        .set_instance_metadata_tags(options.instance_metadata_tags)
}

impl Ec2Object for types::Instance {
    const ID_FILTER: &'static str = "instance-id";

    fn id(&self) -> Option<&str> {
        self.instance_id()
    }

    fn tags(&self) -> &[Tag] {
        types::Instance::tags(self)
    }

    /// Returns false for an instance that is shutting down or terminated, because a shutdown cannot
    /// be reverted.
    fn exists(&self) -> bool {
        !matches!(
            live_state(self),
            Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated)
        )
    }

    async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let request = aws.ec2.describe_instances().set_filters(Some(filters)).max_results(1000);
        let reservations = pages!(aws, "DescribeInstances", request, reservations);
        Ok(reservations.into_iter().flat_map(|one| one.instances.unwrap_or_default()).collect())
    }
}

/// Returns the live security groups in recorded order. Groups that are not recorded come last,
/// sorted by ID.
pub(crate) fn groups_in_recorded_order(
    recorded: &[Input<SecurityGroupId>],
    live: &[GroupIdentifier],
) -> Vec<Input<SecurityGroupId>> {
    let mut live: Vec<&str> = live.iter().filter_map(GroupIdentifier::group_id).collect();
    live.sort_unstable();
    let known = |id: &str| recorded.iter().any(|group| is(group, id));
    let mut groups: Vec<_> =
        recorded.iter().filter(|group| live.iter().any(|id| is(group, id))).cloned().collect();
    groups.extend(live.iter().filter(|id| !known(id)).map(|id| SecurityGroupId::from(*id).into()));
    groups
}

fn is(group: &Input<SecurityGroupId>, id: &str) -> bool {
    matches!(group, Input::Known(group) if group.as_str() == id)
}

/// Returns the state of an instance in EC2.
pub(crate) fn live_state(instance: &types::Instance) -> Option<&InstanceStateName> {
    instance.state().and_then(types::InstanceState::name)
}

fn outputs(call: &str, instance: Option<&types::Instance>) -> Result<InstanceOutputs> {
    let address = instance.and_then(types::Instance::private_ip_address);
    Ok(InstanceOutputs {
        id: ec2::id::<InstanceId>(call, instance.and_then(types::Instance::instance_id))?,
        private_ip: ec2::part(call, "privateIpAddress", address)?.into(),
    })
}

fn to_poll_result(
    outputs: InstanceOutputs,
    instance: &types::Instance,
) -> PollResult<InstanceOutputs> {
    let id = outputs.id.clone();
    look_if_running(id.as_str(), outputs, instance)
}

/// Returns the poll status: done once the instance runs and its metadata options are applied. A
/// stopped instance counts as done. A terminated instance is a failure.
pub(crate) fn look_if_running<O>(
    id: &str,
    outputs: O,
    instance: &types::Instance,
) -> PollResult<O> {
    use types::InstanceMetadataOptionsState::Pending;
    match live_state(instance) {
        Some(InstanceStateName::Running) => {
            match instance.metadata_options().and_then(|options| options.state()) {
                Some(Pending) => PollResult::Pending("applying metadata options".to_owned()),
                _ => PollResult::Ready(outputs),
            }
        }
        // A user stopped the instance. EC2 applies the options at the next start, which groundplan
        // does not wait for.
        Some(InstanceStateName::Stopping | InstanceStateName::Stopped) => {
            PollResult::Ready(outputs)
        }
        Some(InstanceStateName::ShuttingDown | InstanceStateName::Terminated) => {
            PollResult::Failed(terminated(id, instance))
        }
        state => PollResult::Pending(state.map_or("pending", InstanceStateName::as_str).to_owned()),
    }
}

/// Returns the error for an instance that EC2 terminated, with the reason from EC2.
fn terminated(id: &str, instance: &types::Instance) -> ProviderError {
    let reason = instance.state_reason();
    let why = reason.and_then(types::StateReason::message).unwrap_or("no reason given");
    let message = format!("{id} was terminated: {why}");
    let mut error = ProviderError::new(ErrorClass::Permanent, "RunInstances", message);
    error.code = reason.and_then(types::StateReason::code).map(str::to_owned);
    // EC2 returns only this code if it may not use the KMS key of an encrypted volume (EC2 user
    // guide, "Instance terminates immediately").
    if error.is(&["Client.InternalError"]) {
        return error.with_hint(
            "check the KMS key of the volumes (`rootVolume.kmsKeyARN`, or `kmsKey` of the \
             machine's block devices), its policy, and the account's default key for EBS",
        );
    }
    error
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
    let call = "DescribeInstances";
    let instance_type = live.instance_type().map(|kind| kind.as_str().to_owned());
    let inputs = Instance {
        image: ec2::id::<ImageId>(call, live.image_id())?.into(),
        instance_type: ec2::part(call, "instanceType", instance_type)?,
        profile: Input::live(live_profile(live)),
        network: network(&recorded.network, live)?,
        root_volume: recorded.root_volume.clone(),
        // The state has only the digest, so the live content cannot be compared.
        user_data: recorded.user_data.clone(),
        metadata_options: live_metadata_options(live),
        tags: ec2::owned(&recorded.tags, live.tags()),
        volume_tags: recorded.volume_tags.clone(),
    };
    Ok(Live { inputs, outputs: outputs(call, Some(live))? })
}

/// Returns the instance profile: the last part of its ARN.
pub(crate) fn live_profile(live: &types::Instance) -> Option<InstanceProfileName> {
    let arn = live.iam_instance_profile().and_then(types::IamInstanceProfile::arn)?;
    arn.rsplit('/').next().map(Into::into)
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

/// Converts the live metadata options to the options that groundplan can set. A value that
/// groundplan does not know becomes `None`.
pub(crate) fn live_metadata_options(live: &types::Instance) -> MetadataOptions {
    use types::{
        HttpTokensState, InstanceMetadataEndpointState as Endpoint, InstanceMetadataTagsState,
    };
    let Some(live) = live.metadata_options() else { return MetadataOptions::default() };
    let hops = live.http_put_response_hop_limit();
    MetadataOptions {
        http_tokens: match live.http_tokens() {
            Some(HttpTokensState::Required) => Some(HttpTokens::Required),
            Some(HttpTokensState::Optional) => Some(HttpTokens::Optional),
            _ => None,
        },
        http_endpoint: match live.http_endpoint() {
            Some(Endpoint::Enabled) => Some(Switch::Enabled),
            Some(Endpoint::Disabled) => Some(Switch::Disabled),
            _ => None,
        },
        http_put_response_hop_limit: hops.and_then(|hops| HopLimit::new(hops.into())),
        instance_metadata_tags: match live.instance_metadata_tags() {
            Some(InstanceMetadataTagsState::Enabled) => Some(Switch::Enabled),
            Some(InstanceMetadataTagsState::Disabled) => Some(Switch::Disabled),
            _ => None,
        },
    }
}
