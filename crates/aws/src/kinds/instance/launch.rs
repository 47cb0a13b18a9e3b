//! The RunInstances request of the kind `instance`.
//!
//! User data is revealed only here and leaves the process only in the request, never in an error.

use std::time::Duration;

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, HttpTokensState, IamInstanceProfileSpecification,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceMetadataTagsState,
    InstanceNetworkInterfaceSpecification, InstanceType, ResourceType, VolumeType,
};
use aws_sdk_s3::presigning::PresigningConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundplan_engine::provider::{ErrorClass, ProviderError};
use groundplan_engine::secret::{Secret, Secrets};

use super::{
    Instance, InstanceNetwork, InstanceRootVolume, ObjectRef, PRESIGNED_URL, UserDataSource,
};
use crate::Aws;
use crate::client::resource_type::{Creation, Result};
use crate::client::{ec2, errors};
use crate::model::USER_DATA_LIMIT;
use crate::model::metadata_options::{HttpTokens, MetadataOptions, Switch};

/// Validity of a presigned URL in user data. openshift-install uses the same value
/// (pkg/asset/installconfig/aws/presign.go).
const PRESIGNED_FOR: Duration = Duration::from_secs(60 * 60);

/// Returns the RunInstances request, without the client token.
pub(super) async fn request(
    instance: &Instance,
    aws: &Aws,
    creation: &Creation,
) -> Result<RunInstancesFluentBuilder> {
    let user_data = user_data(&instance.user_data, aws, &creation.secrets).await?;
    let profile = IamInstanceProfileSpecification::builder().name(instance.profile.get().as_str());
    Ok(bare(instance, aws, &creation.token)
        .image_id(instance.image.get().as_str())
        .iam_instance_profile(profile.build())
        .network_interfaces(network_interface(&instance.network))
        .user_data(user_data))
}

/// Returns the request for a dry run. User data, instance profile and security groups are left out,
/// and so are an image and a subnet that do not exist yet. IAM policies depend on the rest only.
pub(crate) fn dry_run_request(
    instance: &Instance,
    aws: &Aws,
    is_absent: fn(&str) -> bool,
) -> RunInstancesFluentBuilder {
    let call = bare(instance, aws, "rehearsal");
    let call = match &instance.image.get().0 {
        image if is_absent(image) => call,
        image => call.image_id(image),
    };
    match &instance.network {
        InstanceNetwork::Subnet { subnet, .. } if !is_absent(&subnet.get().0) => {
            call.subnet_id(subnet.get().as_str())
        }
        _ => call,
    }
}

/// Returns the part of the request that launch and dry run share.
fn bare(instance: &Instance, aws: &Aws, token: &str) -> RunInstancesFluentBuilder {
    let tags = |kind, tags| ec2::tag_specification(kind, tags, token);
    aws.ec2
        .run_instances()
        .min_count(1)
        .max_count(1)
        .instance_type(InstanceType::from(instance.instance_type.as_str()))
        .block_device_mappings(root_volume(&instance.root_volume))
        .set_metadata_options(metadata_options(&instance.metadata_options))
        .tag_specifications(tags(ResourceType::Instance, &instance.tags))
        .tag_specifications(tags(ResourceType::Volume, &instance.volume_tags))
}

fn network_interface(network: &InstanceNetwork) -> InstanceNetworkInterfaceSpecification {
    let first = InstanceNetworkInterfaceSpecification::builder().device_index(0);
    match network {
        InstanceNetwork::Interface(interface) => {
            first.network_interface_id(interface.get().as_str())
        }
        InstanceNetwork::Subnet { subnet, groups, public_ip } => first
            .subnet_id(subnet.get().as_str())
            .set_groups(Some(groups.iter().map(|group| group.get().to_string()).collect()))
            .associate_public_ip_address(*public_ip)
            .delete_on_termination(true),
    }
    .build()
}

fn root_volume(volume: &InstanceRootVolume) -> BlockDeviceMapping {
    let disk = EbsBlockDevice::builder()
        .volume_type(VolumeType::from(volume.volume_type.as_str()))
        .volume_size(volume.size)
        .set_iops(volume.iops)
        .set_kms_key_id(volume.kms_key.clone())
        .encrypted(true)
        .delete_on_termination(true);
    BlockDeviceMapping::builder().device_name(&volume.device).ebs(disk.build()).build()
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
        .set_http_tokens(options.http_tokens.map(http_tokens))
        .set_http_endpoint(options.http_endpoint.map(http_endpoint))
        .set_http_put_response_hop_limit(options.http_put_response_hop_limit.map(Into::into))
        .set_instance_metadata_tags(options.instance_metadata_tags.map(instance_metadata_tags));
    Some(request.build())
}

/// Returns the value in the EC2 API.
fn http_tokens(tokens: HttpTokens) -> HttpTokensState {
    match tokens {
        HttpTokens::Required => HttpTokensState::Required,
        HttpTokens::Optional => HttpTokensState::Optional,
    }
}

/// Returns the value in the EC2 API.
fn http_endpoint(endpoint: Switch) -> InstanceMetadataEndpointState {
    match endpoint {
        Switch::Enabled => InstanceMetadataEndpointState::Enabled,
        Switch::Disabled => InstanceMetadataEndpointState::Disabled,
    }
}

/// Returns the value in the EC2 API.
fn instance_metadata_tags(tags: Switch) -> InstanceMetadataTagsState {
    match tags {
        Switch::Enabled => InstanceMetadataTagsState::Enabled,
        Switch::Disabled => InstanceMetadataTagsState::Disabled,
    }
}

async fn user_data(user_data: &UserDataSource, aws: &Aws, secrets: &Secrets) -> Result<String> {
    let Some(object) = &user_data.presigned else {
        return sent_as_user_data(&user_data.content, secrets);
    };
    let text = std::str::from_utf8(revealed(&user_data.content, secrets)?)
        .map_err(|_| refused("the user data is not text, so the URL cannot be inserted"))?;
    encoded(text.replace(PRESIGNED_URL, &presigned_url(object, aws).await?).as_bytes())
}

/// Returns user data in base64, as EC2 accepts it.
pub(crate) fn sent_as_user_data(content: &Secret, secrets: &Secrets) -> Result<String> {
    encoded(revealed(content, secrets)?)
}

fn revealed<'a>(content: &Secret, secrets: &'a Secrets) -> Result<&'a [u8]> {
    let missing = || {
        refused("the user data of this machine is not available in this run").with_hint(
            "pass --assets as in the last apply; for machines from manifests, pass the manifest of \
             the Secret, too",
        )
    };
    secrets.reveal(content).ok_or_else(missing)
}

fn encoded(content: &[u8]) -> Result<String> {
    let size = content.len();
    if size > USER_DATA_LIMIT {
        let message = format!(
            "the user data has {size} bytes, but EC2 accepts at most \
             {USER_DATA_LIMIT}"
        );
        return Err(refused(&message));
    }
    Ok(STANDARD.encode(content))
}

/// Returns a presigned URL of the object. Any holder of the URL can read the object for one hour.
/// The URL is signed locally, without a call to AWS.
async fn presigned_url(object: &ObjectRef, aws: &Aws) -> Result<String> {
    let hour =
        PresigningConfig::expires_in(PRESIGNED_FOR).expect("BUG: an hour is less than a week");
    let get = aws.s3.get_object().bucket(object.bucket.get().as_str()).key(&object.key);
    let url = get.presigned(hour).await.map_err(|e| errors::explain("s3", "GetObject", &e))?;
    Ok(url.uri().to_owned())
}

fn refused(message: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Permanent, "RunInstances", message)
}
