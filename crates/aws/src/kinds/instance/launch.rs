//! Conversion of an instance to a launch spec, and its user data.
//!
//! User data is revealed only here and leaves the process only in the request, never in an error.

use std::time::Duration;

use aws_sdk_ec2::types::{
    BlockDeviceMapping, EbsBlockDevice, InstanceNetworkInterfaceSpecification, VolumeType,
};
use aws_sdk_s3::presigning::PresigningConfig;
use groundplan_engine::secret::Secrets;

use super::{
    Instance, InstanceNetwork, InstanceRootVolume, ObjectRef, PRESIGNED_URL, UserDataSource,
};
use crate::Aws;
use crate::client::errors;
use crate::client::instances::{
    InstanceSpec, encoded, encoded_user_data, metadata_options, refused, revealed,
};
use crate::client::resource_type::Result;
use crate::kinds::machine::cpu_options;

/// Validity of a presigned URL in user data. openshift-install uses the same value
/// (pkg/asset/installconfig/aws/presign.go).
const PRESIGNED_FOR: Duration = Duration::from_secs(60 * 60);

/// Returns the launch spec.
pub(super) fn spec(instance: &Instance) -> InstanceSpec<'_> {
    InstanceSpec {
        image: instance.image.get(),
        instance_type: &instance.instance_type,
        profile: Some(instance.profile.get()),
        key_name: None,
        interface: network_interface(&instance.network),
        block_devices: vec![root_volume(&instance.root_volume)],
        metadata_options: metadata_options(&instance.metadata_options),
        host_names: None,
        placement: None,
        market: None,
        capacity_reservation: None,
        cpu: instance.confidential_compute.map(cpu_options),
        tags: &instance.tags,
        volume_tags: &instance.volume_tags,
    }
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
        .set_throughput(volume.throughput)
        .set_kms_key_id(volume.kms_key.clone())
        .encrypted(true)
        .delete_on_termination(true);
    BlockDeviceMapping::builder().device_name(&volume.device).ebs(disk.build()).build()
}

/// Returns the user data in base64, with the presigned URL in it.
pub(super) async fn user_data(
    user_data: &UserDataSource,
    aws: &Aws,
    secrets: &Secrets,
) -> Result<String> {
    let Some(object) = &user_data.presigned else {
        return encoded_user_data(&user_data.content, secrets);
    };
    let text = std::str::from_utf8(revealed(&user_data.content, secrets)?)
        .map_err(|_| refused("the user data is not text, so the URL cannot be inserted"))?;
    encoded(text.replace(PRESIGNED_URL, &presigned_url(object, aws).await?).as_bytes())
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

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::AmdSevSnpSpecification;

    use super::super::tests::instance;
    use super::*;
    use crate::kinds::machine::ConfidentialCompute;

    #[test]
    fn throughput_and_memory_encryption_are_sent_if_set() {
        let mut instance = instance();
        let plain = spec(&instance);
        assert_eq!(plain.block_devices[0].ebs().unwrap().throughput(), None);
        assert_eq!(plain.cpu, None);
        instance.root_volume.throughput = Some(250);
        instance.confidential_compute = Some(ConfidentialCompute::AmdSevSnp);
        let sent = spec(&instance);
        assert_eq!(sent.block_devices[0].ebs().unwrap().throughput(), Some(250));
        let encryption = sent.cpu.as_ref().and_then(|cpu| cpu.amd_sev_snp().cloned());
        assert_eq!(encryption, Some(AmdSevSnpSpecification::Enabled));
    }
}
