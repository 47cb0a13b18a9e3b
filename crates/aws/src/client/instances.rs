//! Typed EC2 calls for instances: launch, describe, metadata options, tags, termination and states.
//! The kinds `instance` and `machine` and the machine controller are built on them.
//!
//! Knows the inputs of no kind. A kind converts its inputs to a [`InstanceSpec`], and a live instance
//! to its inputs.

use std::collections::HashMap;

use aws_sdk_ec2::operation::modify_instance_metadata_options::builders::ModifyInstanceMetadataOptionsFluentBuilder;
use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    self, AttributeBooleanValue, BlockDeviceMapping, CapacityReservationSpecification,
    CpuOptionsRequest, Filter, GroupIdentifier, HttpTokensState, IamInstanceProfileSpecification,
    InstanceAttributeName, InstanceMarketOptionsRequest, InstanceMetadataEndpointState,
    InstanceMetadataOptionsRequest, InstanceMetadataTagsState,
    InstanceNetworkInterfaceSpecification, InstanceStateName, InstanceType, Placement,
    PrivateDnsNameOptionsRequest, ResourceType, Tag,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundplan_engine::graph::{Input, Resource};
use groundplan_engine::plan::{DriftClass, UnmanagedDrift};
use groundplan_engine::provider::{ErrorClass, ProviderError, ProviderFuture, all};
use groundplan_engine::secret::{Secret, Secrets};
use serde::de::DeserializeOwned;

use crate::client::capacity::name_zones;
use crate::client::dry_run::{DryRunTarget, dry, is_placeholder};
use crate::client::ec2::{self, Ec2Object, pages};
use crate::client::outcomes::{ambiguous_on_failure, none_if};
use crate::client::resource_type::{Live, PollResult, ReadProtection, Recorded, Result};
use crate::model::USER_DATA_LIMIT;
use crate::model::ids::{
    ImageId, InstanceId, InstanceProfileId, InstanceProfileName, SecurityGroupId,
};
use crate::model::metadata_options::{HopLimit, HttpTokens, MetadataOptions, Switch};
use crate::model::protection::DeletionProtection;
use crate::{Aws, Tags};

/// Name of the token in a dry run.
const DRY_RUN_TOKEN: &str = "rehearsal";
/// Attributes in unmanaged drift.
const STATE: &str = "state";
const SOURCE_DEST_CHECK: &str = "source_dest_check";
/// Error code for a client token that EC2 already knows with other parameters.
const PARAMETER_MISMATCH: &str = "IdempotentParameterMismatch";

/// Parameters of one RunInstances call, without user data and token. `None` and an empty list send
/// nothing.
#[derive(Clone, Debug)]
pub(crate) struct InstanceSpec<'a> {
    /// Image.
    pub(crate) image: &'a ImageId,
    /// Instance type.
    pub(crate) instance_type: &'a str,
    /// Instance profile.
    pub(crate) profile: Option<&'a InstanceProfileName>,
    /// SSH key pair.
    pub(crate) key_name: Option<&'a str>,
    /// Network interface. Every instance is launched with exactly one.
    pub(crate) interface: InstanceNetworkInterfaceSpecification,
    /// Block devices.
    pub(crate) block_devices: Vec<BlockDeviceMapping>,
    /// Metadata options.
    pub(crate) metadata_options: Option<InstanceMetadataOptionsRequest>,
    /// Host names.
    pub(crate) host_names: Option<PrivateDnsNameOptionsRequest>,
    /// Placement, in addition to the subnet.
    pub(crate) placement: Option<Placement>,
    /// Purchasing option other than on-demand.
    pub(crate) market: Option<InstanceMarketOptionsRequest>,
    /// Capacity reservation.
    pub(crate) capacity_reservation: Option<CapacityReservationSpecification>,
    /// Processor options.
    pub(crate) cpu: Option<CpuOptionsRequest>,
    /// Tags of the instance.
    pub(crate) tags: &'a Tags,
    /// Tags of its volumes.
    pub(crate) volume_tags: &'a Tags,
}

impl InstanceSpec<'_> {
    /// Returns the RunInstances request, without the client token. `user_data` is base64; empty user
    /// data is not sent.
    pub(crate) fn request(
        &self,
        aws: &Aws,
        user_data: String,
        token: &str,
    ) -> RunInstancesFluentBuilder {
        let profile = self.profile.map(|profile| {
            IamInstanceProfileSpecification::builder().name(profile.as_str()).build()
        });
        self.bare(aws, token)
            .image_id(self.image.as_str())
            .set_iam_instance_profile(profile)
            .network_interfaces(self.interface.clone())
            .set_key_name(self.key_name.map(str::to_owned))
            .set_user_data(Some(user_data).filter(|text| !text.is_empty()))
    }

    /// Returns the request for a dry run. User data, instance profile, interface and key pair are
    /// left out, and so are an image and a subnet that do not exist yet. IAM policies depend on the
    /// rest only.
    fn dry_run_request(&self, aws: &Aws) -> RunInstancesFluentBuilder {
        let exists = |id: &&str| !is_placeholder(id);
        let image = Some(self.image.as_str()).filter(exists);
        let subnet = self.interface.subnet_id().filter(exists);
        self.bare(aws, DRY_RUN_TOKEN)
            .set_image_id(image.map(str::to_owned))
            .set_subnet_id(subnet.map(str::to_owned))
    }

    /// Returns the part of the request that launch and dry run share.
    fn bare(&self, aws: &Aws, token: &str) -> RunInstancesFluentBuilder {
        let tags = |kind, tags| ec2::tag_specification(kind, tags, token);
        let devices = &self.block_devices;
        aws.ec2
            .run_instances()
            .min_count(1)
            .max_count(1)
            .instance_type(InstanceType::from(self.instance_type))
            .set_block_device_mappings((!devices.is_empty()).then(|| devices.clone()))
            .set_metadata_options(self.metadata_options.clone())
            .set_private_dns_name_options(self.host_names.clone())
            .set_placement(self.placement.clone())
            .set_instance_market_options(self.market.clone())
            .set_capacity_reservation_specification(self.capacity_reservation.clone())
            .set_cpu_options(self.cpu.clone())
            .tag_specifications(tags(ResourceType::Instance, self.tags))
            .tag_specifications(tags(ResourceType::Volume, self.volume_tags))
    }
}

/// Launches one instance. If the token was sent before with other parameters, returns the instance
/// that it launched then: one token stands for one instance. The parameters can differ because an
/// image filter matches a newer image, or because a presigned URL was signed at another time.
pub(crate) async fn launch(
    aws: &Aws,
    spec: &InstanceSpec<'_>,
    user_data: String,
    token: &str,
) -> Result<types::Instance> {
    let call = spec.request(aws, user_data, token).client_token(token);
    match aws.call("ec2", "RunInstances", call.send()).await {
        Ok(launched) => {
            let launched = launched.instances.unwrap_or_default().into_iter().next();
            ec2::part("RunInstances", "instance", launched)
        }
        Err(error) if error.is(&[PARAMETER_MISMATCH]) => {
            ambiguous_on_failure(ec2::find::<types::Instance>(aws, token).await)?.ok_or(error)
        }
        Err(error) => Err(name_zones(aws, spec.instance_type, error).await),
    }
}

/// Returns user data in base64, as EC2 accepts it.
///
/// # Errors
/// Fails if this run does not have the content, or if it is too long.
pub(crate) fn encoded_user_data(content: &Secret, secrets: &Secrets) -> Result<String> {
    encoded(revealed(content, secrets)?)
}

/// Returns the content of user data.
pub(crate) fn revealed<'a>(content: &Secret, secrets: &'a Secrets) -> Result<&'a [u8]> {
    let missing = || {
        refused("the user data of this machine is not available in this run").with_hint(
            "pass --assets as in the last apply; for machines from manifests, pass the manifest of \
             the Secret, too",
        )
    };
    secrets.reveal(content).ok_or_else(missing)
}

/// Returns the content in base64. Rejects a content that is too long for EC2.
pub(crate) fn encoded(content: &[u8]) -> Result<String> {
    let size = content.len();
    if size > USER_DATA_LIMIT {
        let message =
            format!("the user data has {size} bytes, but EC2 accepts at most {USER_DATA_LIMIT}");
        return Err(refused(&message));
    }
    Ok(STANDARD.encode(content))
}

/// Returns the error of a launch that is not sent.
pub(crate) fn refused(message: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Permanent, "RunInstances", message)
}

/// Reads the live state of all recorded instances of a kind.
pub(crate) async fn refresh<K: Resource>(
    aws: &Aws,
    recorded: Vec<Recorded<K>>,
    id: fn(&K::Outputs) -> &str,
    live: fn(&K, &types::Instance) -> Result<Live<K>>,
) -> Result<Vec<Option<Live<K>>>> {
    let found = ec2::all::<types::Instance, _>(aws, &recorded, id).await?;
    let see = |recorded: Recorded<K>, one: types::Instance| {
        let live = live(&recorded.inputs, &one)?;
        let unmanaged = state_drift(&one).into_iter().chain(check_drift(&one)).collect();
        Ok(Live { unmanaged, ..live })
    };
    let pairs = recorded.into_iter().zip(found);
    pairs.map(|(recorded, one)| one.map(|one| see(recorded, one)).transpose()).collect()
}

/// Returns the drift of an instance that others stopped. No input configures the state: a launched
/// instance runs.
fn state_drift(instance: &types::Instance) -> Option<UnmanagedDrift> {
    let state = live_state(instance)?;
    let is_stopped = matches!(state, InstanceStateName::Stopping | InstanceStateName::Stopped);
    is_stopped.then(|| {
        let (running, now) = (InstanceStateName::Running.as_str(), state.as_str());
        UnmanagedDrift::change(DriftClass::Functional, STATE, running.into(), now.into())
    })
}

/// Returns the drift of an instance whose source/destination check others disabled: it may forward
/// packets of other addresses. No input configures the check, which EC2 enables at a launch.
fn check_drift(instance: &types::Instance) -> Option<UnmanagedDrift> {
    (instance.source_dest_check() == Some(false)).then(|| {
        UnmanagedDrift::change(DriftClass::Security, SOURCE_DEST_CHECK, true.into(), false.into())
    })
}

/// Reverts the drift of an instance.
pub(crate) async fn revert(aws: &Aws, id: &InstanceId, drift: &[UnmanagedDrift]) -> Result<()> {
    let is_about = |path: &str| drift.iter().any(|one| one.field.path == path);
    if is_about(SOURCE_DEST_CHECK) {
        let enabled = AttributeBooleanValue::builder().value(true).build();
        let call = aws.ec2.modify_instance_attribute().instance_id(id.as_str());
        let call = call.source_dest_check(enabled);
        aws.call("ec2", "ModifyInstanceAttribute", call.send()).await?;
    }
    if is_about(STATE) {
        start(aws, id).await?;
    }
    Ok(())
}

/// Starts an instance that others stopped. An instance that runs already is left as it is.
async fn start(aws: &Aws, id: &InstanceId) -> Result<()> {
    let call = aws.ec2.start_instances().instance_ids(id.as_str());
    let started = aws.call("ec2", "StartInstances", call.send()).await;
    // An instance that is still stopping cannot be started yet.
    ec2::retry_when(started, &["IncorrectInstanceState"]).map(drop)
}

/// Terminates an instance. An instance that no longer exists counts as terminated. Terminations of
/// the same moment share one call.
pub(crate) async fn terminate(aws: &Aws, id: &InstanceId) -> Result<()> {
    let send = |ids: Vec<String>| async move { terminate_all(aws, &ids).await };
    aws.watch.batches.terminations.send(id.to_string(), send).await
}

/// Returns the result of the termination of each of these instances. EC2 rejects the call if one of
/// them is protected or does not exist; each is then terminated by a call of its own.
async fn terminate_all(aws: &Aws, ids: &[String]) -> Vec<Result<()>> {
    let together = terminate_together(aws, ids).await;
    let is_about_one = |error: &ProviderError| error.class == ErrorClass::Permanent;
    if ids.len() == 1 || !together.as_ref().is_err_and(is_about_one) {
        return ids.iter().map(|_| together.clone()).collect();
    }
    let alone = ids.iter().map(|id| terminate_together(aws, std::slice::from_ref(id)));
    all(alone.collect()).await
}

async fn terminate_together(aws: &Aws, ids: &[String]) -> Result<()> {
    let call = aws.ec2.terminate_instances().set_instance_ids(Some(ids.to_vec()));
    let deleted = aws.call("ec2", "TerminateInstances", call.send()).await;
    match ids.len() {
        1 => ec2::fine_when(deleted, &["InvalidInstanceID.NotFound"]),
        _ => deleted.map(drop),
    }
}

/// Returns the termination protection of each of these instances. One call for each instance, all at
/// once: EC2 lists it nowhere. An instance that does not exist is not protected.
pub(crate) async fn termination_protections(aws: &Aws, ids: Vec<&str>) -> Vec<ReadProtection> {
    let asked = ids.into_iter().map(|id| async move {
        let call = aws.ec2.describe_instance_attribute().instance_id(id);
        let call = call.attribute(InstanceAttributeName::DisableApiTermination);
        let answer = aws.call("ec2", "DescribeInstanceAttribute", call.send()).await;
        let answer = none_if(answer, &["InvalidInstanceID.NotFound"])?;
        let value = answer.and_then(|one| one.disable_api_termination).and_then(|one| one.value);
        Ok((value == Some(true)).then(|| DeletionProtection::of_instance(id)))
    });
    all(asked.collect()).await
}

/// Returns the poll status: done once the instance runs and its metadata options are applied. A
/// stopped instance counts as done. A terminated instance is a failure.
pub(crate) fn poll_running<O>(id: &str, outputs: O, instance: &types::Instance) -> PollResult<O> {
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

/// Polls instances until they run. An instance that EC2 does not return counts as not yet visible.
pub(crate) async fn poll_launched<O>(
    aws: &Aws,
    ids: &[&str],
    poll: fn(&types::Instance) -> PollResult<O>,
) -> Result<Vec<PollResult<O>>> {
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let not_visible = || PollResult::Pending("not visible yet".to_owned());
    Ok(ids.iter().map(|id| found.get(*id).map_or_else(not_visible, poll)).collect())
}

/// Polls instances that are being terminated. An instance that EC2 no longer returns counts as
/// terminated.
pub(crate) async fn poll_terminated(aws: &Aws, ids: &[&str]) -> Result<Vec<PollResult<()>>> {
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let polls = ids.iter().map(|id| match found.get(*id).and_then(live_state) {
        None | Some(InstanceStateName::Terminated) => PollResult::Ready(()),
        Some(state) => PollResult::Pending(state.as_str().to_owned()),
    });
    Ok(polls.collect())
}

/// Polls instances that are being terminated, as [`poll_terminated`] does, but an instance that EC2
/// does not return counts as pending.
pub(crate) async fn poll_seen_terminated(aws: &Aws, ids: &[&str]) -> Result<Vec<PollResult<()>>> {
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let polls = ids.iter().map(|id| match found.get(*id).and_then(live_state) {
        Some(InstanceStateName::Terminated) => PollResult::Ready(()),
        Some(state) => PollResult::Pending(state.as_str().to_owned()),
        None => PollResult::Pending("not shown".to_owned()),
    });
    Ok(polls.collect())
}

/// Instance that EC2 returned for its ID. `None` if EC2 rejected the ID, because no such instance
/// exists; `Some(None)` if EC2 returned no instance and no error.
type AskedById = Option<Option<types::Instance>>;

/// Queries instances by their IDs, in one call. EC2 rejects the call if it does not know one of the
/// IDs; each is then queried by a call of its own.
pub(crate) async fn asked_by_id(aws: &Aws, ids: &[&str]) -> Result<Vec<AskedById>> {
    if ids.is_empty() {
        return Ok(Vec::new()); // EC2 would return all instances
    }
    if let Some(found) = shown_by_id(aws, ids).await? {
        return Ok(found.into_iter().map(Some).collect());
    }
    if ids.len() == 1 {
        return Ok(vec![None]);
    }
    let alone = ids.iter().map(|id| shown_by_id(aws, std::slice::from_ref(id)));
    let alone: Result<Vec<_>> = all(alone.collect()).await.into_iter().collect();
    Ok(alone?.into_iter().map(|one| one.map(|mut one| one.pop().flatten())).collect())
}

/// Returns the instances with these IDs. `None` if EC2 rejected one of the IDs.
async fn shown_by_id(aws: &Aws, ids: &[&str]) -> Result<Option<Vec<Option<types::Instance>>>> {
    let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
    let call = aws.ec2.describe_instances().set_instance_ids(Some(ids.clone()));
    let answer = aws.call("ec2", "DescribeInstances", call.send()).await;
    let rejected = ["InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed"];
    let Some(answer) = none_if(answer, &rejected)? else { return Ok(None) };
    let shown = answer.reservations.unwrap_or_default().into_iter();
    let shown = shown.flat_map(|one| one.instances.unwrap_or_default());
    let shown: HashMap<_, _> =
        shown.filter_map(|one| Some((one.instance_id()?.to_owned(), one))).collect();
    Ok(Some(ids.iter().map(|id| shown.get(id).cloned()).collect()))
}

/// Returns the state of an instance in EC2.
pub(crate) fn live_state(instance: &types::Instance) -> Option<&InstanceStateName> {
    instance.state().and_then(types::InstanceState::name)
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

/// Settings of a live instance that both kinds have.
#[derive(Clone, Debug)]
pub(crate) struct LiveSettings {
    /// Image.
    pub(crate) image: ImageId,
    /// Instance type.
    pub(crate) instance_type: String,
    /// Instance profile: the last part of its ARN.
    pub(crate) profile: Option<InstanceProfileName>,
    /// Unique ID of the instance profile.
    pub(crate) profile_id: Option<InstanceProfileId>,
    /// Metadata options.
    pub(crate) metadata_options: MetadataOptions,
}

impl LiveSettings {
    /// Reads the settings from a response of DescribeInstances.
    pub(crate) fn of(live: &types::Instance) -> Result<Self> {
        let call = "DescribeInstances";
        let instance_type = live.instance_type().map(|kind| kind.as_str().to_owned());
        let profile = live.iam_instance_profile();
        let arn = profile.and_then(types::IamInstanceProfile::arn);
        Ok(Self {
            image: ec2::id(call, live.image_id())?,
            instance_type: ec2::part(call, "instanceType", instance_type)?,
            profile: arn.and_then(|arn| arn.rsplit('/').next()).map(Into::into),
            profile_id: profile.and_then(types::IamInstanceProfile::id).map(Into::into),
            metadata_options: live_metadata_options(live),
        })
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

/// Converts the options to the EC2 type. `None` if no option is set; the account and the image then
/// decide.
pub(crate) fn metadata_options(
    options: &MetadataOptions,
) -> Option<InstanceMetadataOptionsRequest> {
    if options.is_empty() {
        return None;
    }
    let request = InstanceMetadataOptionsRequest::builder()
        .set_http_tokens(options.http_tokens.map(|tokens| match tokens {
            HttpTokens::Required => HttpTokensState::Required,
            HttpTokens::Optional => HttpTokensState::Optional,
        }))
        .set_http_endpoint(options.http_endpoint.map(|endpoint| match endpoint {
            Switch::Enabled => InstanceMetadataEndpointState::Enabled,
            Switch::Disabled => InstanceMetadataEndpointState::Disabled,
        }))
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit.map(Into::into))
        .set_instance_metadata_tags(options.instance_metadata_tags.map(|tags| match tags {
            Switch::Enabled => InstanceMetadataTagsState::Enabled,
            Switch::Disabled => InstanceMetadataTagsState::Disabled,
        }));
    Some(request.build())
}

/// Converts the live metadata options to the options that groundplan can set. A value that
/// groundplan does not know becomes `None`.
pub(crate) fn live_metadata_options(live: &types::Instance) -> MetadataOptions {
    let Some(live) = live.metadata_options() else { return MetadataOptions::default() };
    let hops = live.http_put_response_hop_limit();
    MetadataOptions {
        http_tokens: match live.http_tokens() {
            Some(HttpTokensState::Required) => Some(HttpTokens::Required),
            Some(HttpTokensState::Optional) => Some(HttpTokens::Optional),
            _ => None,
        },
        http_endpoint: match live.http_endpoint() {
            Some(InstanceMetadataEndpointState::Enabled) => Some(Switch::Enabled),
            Some(InstanceMetadataEndpointState::Disabled) => Some(Switch::Disabled),
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

/// Sets the wanted metadata options. The call also sends the live value of every other option, so
/// that it resets no option that another process has set. If the live options already match, no
/// call is made.
pub(crate) async fn set_metadata_options(
    aws: &Aws,
    id: &InstanceId,
    wanted: &MetadataOptions,
) -> Result<()> {
    let Some(wanted) = metadata_options(wanted) else { return Ok(()) };
    let id = id.as_str();
    let live = ec2::visible("DescribeInstances", id, live_instance(aws, id).await?)?;
    let live = ec2::part("DescribeInstances", "metadataOptions", live.metadata_options())?;
    let now = to_request(live);
    let then = with_the_rest(wanted.clone(), now.clone());
    if then == now {
        return Ok(());
    }
    // If the endpoint is disabled, the call sends no other option, as at a launch.
    let off = wanted.http_endpoint == Some(InstanceMetadataEndpointState::Disabled);
    let call = aws.ec2.modify_instance_metadata_options().instance_id(id);
    let call = with_options(call, if off { wanted } else { then });
    aws.call("ec2", "ModifyInstanceMetadataOptions", call.send()).await.map(|_| ())
}

/// Returns a live instance; `None` if EC2 does not return it. Updates of the same moment share one
/// call.
async fn live_instance(aws: &Aws, id: &str) -> Result<Option<types::Instance>> {
    let read = |ids: Vec<String>| async move {
        match ec2::by_ids::<types::Instance>(aws, ids.iter().map(String::as_str)).await {
            Ok(found) => ids.iter().map(|id| Ok(found.get(id).cloned())).collect(),
            Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
        }
    };
    aws.watch.batches.instances.send(id.to_owned(), read).await
}

/// Converts live options to the request that would set them.
fn to_request(live: &types::InstanceMetadataOptionsResponse) -> InstanceMetadataOptionsRequest {
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
fn with_options(
    call: ModifyInstanceMetadataOptionsFluentBuilder,
    options: InstanceMetadataOptionsRequest,
) -> ModifyInstanceMetadataOptionsFluentBuilder {
    call.set_http_tokens(options.http_tokens)
        .set_http_endpoint(options.http_endpoint)
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit)
        .set_http_protocol_ipv6(options.http_protocol_ipv6)
        .set_instance_metadata_tags(options.instance_metadata_tags)
}

/// Returns the dry-run request of an action on an instance. `spec` converts the inputs of the kind.
pub(crate) fn dry_run<'a, K: DeserializeOwned>(
    aws: &'a Aws,
    action: &'static str,
    about: &DryRunTarget,
    spec: fn(&K) -> InstanceSpec<'_>,
) -> Option<ProviderFuture<'a, ()>> {
    let ec2 = &aws.ec2;
    Some(match action {
        "ec2:ModifyInstanceMetadataOptions" => {
            let call = ec2.modify_instance_metadata_options().instance_id(&about.id);
            let options = metadata_options(&about.metadata_options()?)?;
            dry!(aws, action, with_options(call, options))
        }
        "ec2:ModifyInstanceAttribute" => {
            let enabled = AttributeBooleanValue::builder().value(true).build();
            let call = ec2.modify_instance_attribute().instance_id(&about.id);
            dry!(aws, action, call.source_dest_check(enabled))
        }
        "ec2:RunInstances" => {
            dry!(aws, action, spec(&about.typed()?).dry_run_request(aws))
        }
        "ec2:StartInstances" => {
            dry!(aws, action, ec2.start_instances().instance_ids(&about.id))
        }
        "ec2:TerminateInstances" => {
            dry!(aws, action, ec2.terminate_instances().instance_ids(&about.id))
        }
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::{Script, scripted};

    fn mismatch() -> Script {
        let error = format!("<Error><Code>{PARAMETER_MISMATCH}</Code><Message>m</Message></Error>");
        Script::Answer(400, format!("<Response><Errors>{error}</Errors></Response>"))
    }

    fn described(instances: &str) -> Script {
        let set = format!("<item><instancesSet>{instances}</instancesSet></item>");
        let set = format!("<reservationSet>{set}</reservationSet>");
        Script::Answer(200, format!("<DescribeInstancesResponse>{set}</DescribeInstancesResponse>"))
    }

    async fn launched(script: impl IntoIterator<Item = Script>) -> Result<types::Instance> {
        let (image, tags) = (ImageId::from("ami-1"), Tags::new());
        let spec = InstanceSpec {
            image: &image,
            instance_type: "m6i.large",
            profile: None,
            key_name: None,
            interface: InstanceNetworkInterfaceSpecification::builder().build(),
            block_devices: Vec::new(),
            metadata_options: None,
            host_names: None,
            placement: None,
            market: None,
            capacity_reservation: None,
            cpu: None,
            tags: &tags,
            volume_tags: &tags,
        };
        launch(&scripted(script).0, &spec, String::new(), "t").await
    }

    /// EC2 rejects a call about several instances because of one of them.
    #[tokio::test]
    async fn instances_are_terminated_together_unless_ec2_rejects_one_of_them() {
        let done = || Script::Answer(200, "<TerminateInstancesResponse/>".to_owned());
        let rejected = || {
            let error = "<Error><Code>OperationNotPermitted</Code><Message>m</Message></Error>";
            Script::Answer(400, format!("<Response><Errors>{error}</Errors></Response>"))
        };
        let terminated = async |script: Vec<Script>| {
            let (aws, sent) = scripted(script);
            let ids = [InstanceId::from("i-1"), InstanceId::from("i-2")];
            let results = all(ids.iter().map(|id| terminate(&aws, id)).collect()).await;
            (results.iter().map(Result::is_ok).collect::<Vec<_>>(), sent.bodies().len())
        };
        assert_eq!(terminated(vec![done()]).await, (vec![true, true], 1));
        let script = vec![rejected(), done(), rejected()];
        assert_eq!(terminated(script).await, (vec![true, false], 3));
    }

    #[tokio::test]
    async fn a_token_sent_with_other_parameters_stands_for_the_instance_that_it_launched() {
        let token = "<item><key>groundplan.io/token</key><value>t</value></item>";
        let instance = format!("<instanceId>i-1</instanceId><tagSet>{token}</tagSet>");
        let script = [mismatch(), described(&format!("<item>{instance}</item>"))];
        assert_eq!(launched(script).await.unwrap().instance_id(), Some("i-1"));
    }

    #[tokio::test]
    async fn a_token_sent_with_other_parameters_is_consumed_if_no_instance_has_it() {
        let no_tags = Script::Answer(200, "<DescribeTagsResponse/>".to_owned());
        let error = launched([mismatch(), described(""), no_tags]).await.unwrap_err();
        assert_eq!(error.class, ErrorClass::TokenConsumed, "{error}");
    }
}
