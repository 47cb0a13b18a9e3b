//! Settings of an account in a region that reject or change what a plan launches. Changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    self, HttpTokensEnforcedState, HttpTokensState, ImdsSupportValues,
    InstanceMetadataEndpointState, InstanceMetadataTagsState, InternetGatewayBlockMode, ManagedBy,
};

use crate::Aws;
use crate::client::resource_type::Result;
use crate::model::effective_metadata::{AccountDefaults, ImdsSupport, Manager};
use crate::model::metadata_options::{HopLimit, HttpTokens, Switch};

/// Traffic that the account blocks at its internet gateways (`InternetGatewayBlockMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedTraffic {
    /// Traffic from and to the internet, NAT gateways included.
    Both,
    /// Connections from the internet.
    Ingress,
}

/// Block Public Access of the account for VPCs in the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicAccessBlock {
    /// Blocked traffic.
    pub blocked: BlockedTraffic,
    /// Manager of the setting.
    pub managed_by: Manager,
}

/// Returns the defaults of the account for the metadata service.
///
/// # Errors
/// If EC2 returns an error.
pub async fn metadata_defaults(aws: &Aws) -> Result<AccountDefaults> {
    const CALL: &str = "GetInstanceMetadataDefaults";
    let answer = aws.call("ec2", CALL, aws.ec2.get_instance_metadata_defaults().send()).await?;
    let Some(level) = answer.account_level else { return Ok(AccountDefaults::default()) };
    Ok(AccountDefaults {
        http_tokens: level.http_tokens.as_ref().and_then(|tokens| match tokens {
            HttpTokensState::Required => Some(HttpTokens::Required),
            HttpTokensState::Optional => Some(HttpTokens::Optional),
            _ => None,
        }),
        http_endpoint: level.http_endpoint.as_ref().and_then(|endpoint| match endpoint {
            InstanceMetadataEndpointState::Enabled => Some(Switch::Enabled),
            InstanceMetadataEndpointState::Disabled => Some(Switch::Disabled),
            _ => None,
        }),
        // -1 is no preference.
        http_put_response_hop_limit: level
            .http_put_response_hop_limit
            .and_then(|hops| HopLimit::new(hops.into())),
        instance_metadata_tags: level.instance_metadata_tags.as_ref().and_then(|tags| match tags {
            InstanceMetadataTagsState::Enabled => Some(Switch::Enabled),
            InstanceMetadataTagsState::Disabled => Some(Switch::Disabled),
            _ => None,
        }),
        is_enforced: level.http_tokens_enforced == Some(HttpTokensEnforcedState::Enabled),
        managed_by: manager(level.managed_by.as_ref()),
        exception_message: level.managed_exception_message.filter(|text| !text.trim().is_empty()),
    })
}

/// Returns what the account blocks at its internet gateways; `None` if nothing.
///
/// # Errors
/// If EC2 returns an error.
pub async fn public_access_block(aws: &Aws) -> Result<Option<PublicAccessBlock>> {
    const CALL: &str = "DescribeVpcBlockPublicAccessOptions";
    let call = aws.ec2.describe_vpc_block_public_access_options().send();
    let answer = aws.call("ec2", CALL, call).await?;
    let Some(options) = answer.vpc_block_public_access_options else { return Ok(None) };
    let blocked = match options.internet_gateway_block_mode() {
        Some(InternetGatewayBlockMode::BlockBidirectional) => BlockedTraffic::Both,
        Some(InternetGatewayBlockMode::BlockIngress) => BlockedTraffic::Ingress,
        _ => return Ok(None),
    };
    Ok(Some(PublicAccessBlock { blocked, managed_by: manager(options.managed_by()) }))
}

/// Returns `ImdsSupport` of these images. An image that EC2 does not return is missing in the result.
///
/// # Errors
/// If EC2 returns an error.
pub async fn imds_support(
    aws: &Aws,
    images: &BTreeSet<String>,
) -> Result<BTreeMap<String, ImdsSupport>> {
    let call = aws.ec2.describe_images().set_image_ids(Some(images.iter().cloned().collect()));
    let answer = aws.call("ec2", "DescribeImages", call.send()).await?;
    let support = |image: &types::Image| match image.imds_support() {
        Some(ImdsSupportValues::V20) => ImdsSupport::V2,
        _ => ImdsSupport::Unset,
    };
    let known = answer.images().iter();
    Ok(known.filter_map(|image| Some((image.image_id()?.to_owned(), support(image)))).collect())
}

fn manager(managed_by: Option<&ManagedBy>) -> Manager {
    match managed_by {
        Some(ManagedBy::DeclarativePolicy) => Manager::DeclarativePolicy,
        _ => Manager::Account,
    }
}
