//! Conversion of a machine to a launch spec.

use aws_sdk_ec2::types::{
    AmdSevSnpSpecification, BlockDeviceMapping, CapacityReservationSpecification,
    CapacityReservationTarget, CpuOptionsRequest, EbsBlockDevice, HostnameType,
    InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceMetadataOptionsRequest,
    InstanceNetworkInterfaceSpecification, MarketType, Placement as PlacementRequest,
    PrivateDnsNameOptionsRequest, SpotInstanceType, SpotMarketOptions, Tenancy, VolumeType,
};
use groundplan_engine::graph::Input;

use super::{
    ConfidentialCompute, DualStack, InterfaceType, Machine, MachineBlockDevice, MachineInterface,
    MachinePlacement, PublicAddress, PurchaseOption,
};
use crate::client::instances::{InstanceSpec, metadata_options};

/// Returns the launch spec. Instance and volumes get the same tags.
pub(super) fn spec(machine: &Machine) -> InstanceSpec<'_> {
    InstanceSpec {
        image: machine.image.get(),
        instance_type: &machine.instance_type,
        profile: machine.profile.as_ref().map(Input::get),
        key_name: machine.key_name.as_deref(),
        interface: interface(&machine.interface),
        block_devices: machine.block_devices.iter().map(block_device).collect(),
        metadata_options: metadata(machine),
        host_names: machine.interface.dual_stack.map(|_| names()),
        placement: placement(&machine.placement),
        market: machine.market.as_ref().map(market),
        capacity_reservation: machine.capacity_reservation.as_deref().map(reservation),
        cpu: machine.confidential_compute.map(cpu_options),
        tags: &machine.tags,
        volume_tags: &machine.tags,
    }
}

/// Returns the metadata options of the shared mapping. A dual-stack machine also gets the IPv6
/// endpoint.
fn metadata(machine: &Machine) -> Option<InstanceMetadataOptionsRequest> {
    let wanted = metadata_options(&machine.metadata_options);
    if machine.interface.dual_stack.is_none() {
        return wanted;
    }
    let mut request = wanted.unwrap_or_else(|| InstanceMetadataOptionsRequest::builder().build());
    request.http_protocol_ipv6 = Some(aws_sdk_ec2::types::InstanceMetadataProtocolState::Enabled);
    Some(request)
}

/// Returns host name options for a dual-stack machine. The resource name as host name has records
/// for both address families.
fn names() -> PrivateDnsNameOptionsRequest {
    PrivateDnsNameOptionsRequest::builder()
        .hostname_type(HostnameType::ResourceName)
        .enable_resource_name_dns_a_record(true)
        .enable_resource_name_dns_aaaa_record(true)
        .build()
}

fn interface(wanted: &MachineInterface) -> InstanceNetworkInterfaceSpecification {
    let subnet = wanted.subnet.as_ref().map(|subnet| subnet.get().to_string());
    let groups = wanted.groups.iter().map(|group| group.get().to_string()).collect();
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(wanted.device_index)
        .delete_on_termination(true)
        .set_subnet_id(subnet)
        .set_groups(Some(groups))
        .set_interface_type(wanted.interface_type.map(|kind| match kind {
            InterfaceType::Ena => "interface".to_owned(),
            InterfaceType::Efa => "efa".to_owned(),
        }));
    let interface = match wanted.public_address {
        None => interface,
        Some(PublicAddress::Internet(wanted)) => interface.associate_public_ip_address(wanted),
        Some(PublicAddress::Carrier(wanted)) => interface.associate_carrier_ip_address(wanted),
    };
    match wanted.dual_stack {
        Some(DualStack::Ipv6Primary) => interface.primary_ipv6(true).ipv6_address_count(1),
        Some(DualStack::Ipv4Primary) | None => interface,
    }
    .build()
}

fn block_device(wanted: &MachineBlockDevice) -> BlockDeviceMapping {
    let disk = EbsBlockDevice::builder()
        .delete_on_termination(true)
        .set_volume_type(wanted.volume_type.as_deref().map(VolumeType::from))
        .set_volume_size(wanted.size)
        .set_iops(wanted.iops)
        .set_throughput(wanted.throughput)
        .set_encrypted(wanted.encrypted)
        .set_kms_key_id(wanted.kms_key.clone());
    BlockDeviceMapping::builder().device_name(&wanted.device).ebs(disk.build()).build()
}

fn placement(wanted: &MachinePlacement) -> Option<PlacementRequest> {
    if *wanted == MachinePlacement::default() {
        return None;
    }
    let request = PlacementRequest::builder()
        .set_availability_zone(wanted.zone.clone())
        .set_tenancy(wanted.tenancy.as_deref().map(Tenancy::from))
        .set_group_name(wanted.group.clone())
        .set_partition_number(wanted.partition)
        .set_host_id(wanted.host.clone())
        .set_affinity(wanted.affinity.clone());
    Some(request.build())
}

fn market(market: &PurchaseOption) -> InstanceMarketOptionsRequest {
    let request = InstanceMarketOptionsRequest::builder();
    match market {
        PurchaseOption::CapacityBlock => request.market_type(MarketType::CapacityBlock),
        PurchaseOption::Spot { max_price } => request.market_type(MarketType::Spot).spot_options(
            SpotMarketOptions::builder()
                .spot_instance_type(SpotInstanceType::OneTime)
                .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
                .set_max_price(max_price.clone())
                .build(),
        ),
    }
    .build()
}

fn reservation(id: &str) -> CapacityReservationSpecification {
    let target = CapacityReservationTarget::builder().capacity_reservation_id(id).build();
    CapacityReservationSpecification::builder().capacity_reservation_target(target).build()
}

/// Returns the options of the processor in the form of EC2.
pub(crate) fn cpu_options(wanted: ConfidentialCompute) -> CpuOptionsRequest {
    CpuOptionsRequest::builder()
        .amd_sev_snp(match wanted {
            ConfidentialCompute::Disabled => AmdSevSnpSpecification::Disabled,
            ConfidentialCompute::AmdSevSnp => AmdSevSnpSpecification::Enabled,
        })
        .build()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::operation::run_instances::RunInstancesInput;
    use aws_sdk_ec2::types::{HttpTokensState, InstanceMetadataProtocolState};
    use groundplan_engine::secret::Secrets;

    use super::*;
    use crate::client::instances::encoded_user_data;
    use crate::model::metadata_options::{self, Authentication};
    use crate::{Aws, AwsSettings};

    fn machine() -> (Machine, Secrets) {
        let mut secrets = Secrets::default();
        let mut machine = Machine {
            profile: Some(Input::Known("c-worker-profile".into())),
            user_data: secrets.keep(b"canary".to_vec()),
            tags: [("Name".to_owned(), "m".to_owned())].into(),
            ..Machine::example()
        };
        machine.interface.subnet = Some(Input::Known("subnet-1".into()));
        machine.interface.groups = vec![Input::Known("sg-1".into())];
        (machine, secrets)
    }

    fn sent(change: impl FnOnce(&mut Machine)) -> RunInstancesInput {
        let (mut machine, secrets) = machine();
        change(&mut machine);
        let aws = Aws::new(
            &aws_config::SdkConfig::builder()
                .behavior_version(aws_config::BehaviorVersion::latest())
                .build(),
            AwsSettings::default(),
        );
        let user_data = encoded_user_data(&machine.user_data, &secrets).unwrap();
        spec(&machine).request(&aws, user_data, "t").as_input().clone().build().unwrap()
    }

    #[test]
    fn c19_no_opinion_sends_no_metadata_options_and_little_else() {
        let sent = sent(|_| ());
        assert_eq!(sent.metadata_options(), None);
        assert_eq!((sent.min_count(), sent.max_count()), (Some(1), Some(1)));
        assert_eq!(sent.placement(), None);
        assert_eq!(sent.instance_market_options(), None);
        assert_eq!(sent.cpu_options(), None);
        assert_eq!(sent.capacity_reservation_specification(), None);
        assert_eq!(sent.private_dns_name_options(), None);
        assert!(sent.block_device_mappings.is_none());
        assert_eq!(sent.user_data(), Some("Y2FuYXJ5"), "encoded once");
        let interface = &sent.network_interfaces()[0];
        assert_eq!(interface.associate_public_ip_address(), None);
        assert_eq!(interface.interface_type(), None);
    }

    #[test]
    fn c18_required_is_sent_as_required_and_nothing_besides() {
        let sent = sent(|machine| {
            machine.metadata_options =
                metadata_options::metadata_options(Some(Authentication::Required));
        });
        let expected =
            InstanceMetadataOptionsRequest::builder().http_tokens(HttpTokensState::Required);
        assert_eq!(sent.metadata_options(), Some(&expected.build()));
    }

    #[test]
    fn c20_two_families_of_addresses_have_the_ipv6_endpoint_and_names_for_both() {
        let both = |first| sent(|machine| machine.interface.dual_stack = Some(first));
        let ipv4 = both(DualStack::Ipv4Primary);
        let expected = InstanceMetadataOptionsRequest::builder()
            .http_protocol_ipv6(InstanceMetadataProtocolState::Enabled);
        assert_eq!(ipv4.metadata_options(), Some(&expected.build()));
        assert_eq!(ipv4.private_dns_name_options(), Some(&names()));
        assert_eq!(ipv4.network_interfaces()[0].primary_ipv6(), None);
        let ipv6 = both(DualStack::Ipv6Primary);
        let interface = &ipv6.network_interfaces()[0];
        assert_eq!(
            (interface.primary_ipv6(), interface.ipv6_address_count()),
            (Some(true), Some(1))
        );
    }

    #[test]
    fn c29_a_spot_request_is_for_one_time_and_ends_with_the_machine() {
        let spot = |max_price: Option<&str>| {
            let max_price = max_price.map(str::to_owned);
            sent(|machine| machine.market = Some(PurchaseOption::Spot { max_price }))
        };
        let free = spot(None);
        let options = free.instance_market_options().unwrap().spot_options().unwrap();
        assert_eq!(options.max_price(), None);
        assert_eq!(options.spot_instance_type(), Some(&SpotInstanceType::OneTime));
        let terminate = InstanceInterruptionBehavior::Terminate;
        assert_eq!(options.instance_interruption_behavior(), Some(&terminate));
        let dear = spot(Some("0.05"));
        let options = dear.instance_market_options().unwrap().spot_options().unwrap();
        assert_eq!(options.max_price(), Some("0.05"));
    }

    #[test]
    fn c7_c28_an_interface_is_what_is_asked_for() {
        let sent = sent(|machine| {
            machine.interface.interface_type = Some(InterfaceType::Efa);
            machine.interface.public_address = Some(PublicAddress::Carrier(true));
        });
        let interface = &sent.network_interfaces()[0];
        assert_eq!(interface.interface_type(), Some("efa"));
        assert_eq!(interface.associate_carrier_ip_address(), Some(true));
        assert_eq!(interface.associate_public_ip_address(), None);
    }

    #[test]
    fn c27_a_volume_goes_with_its_machine() {
        let sent = sent(|machine| {
            machine.block_devices = vec![MachineBlockDevice {
                device: "/dev/xvda".into(),
                volume_type: Some("gp3".into()),
                size: Some(120),
                iops: None,
                throughput: Some(200),
                encrypted: Some(true),
                kms_key: None,
            }];
        });
        let volume = sent.block_device_mappings()[0].ebs().unwrap();
        assert_eq!(volume.delete_on_termination(), Some(true));
        assert_eq!((volume.iops(), volume.throughput()), (None, Some(200)));
        assert_eq!(volume.kms_key_id(), None);
    }

    #[test]
    fn c22_instance_and_volume_get_the_same_tags() {
        let sent = sent(|_| ());
        let [instance, volume] = sent.tag_specifications() else { panic!("{sent:?}") };
        assert_eq!(instance.tags(), volume.tags());
        assert!(instance.tags().iter().any(|tag| tag.key() == Some("Name")));
    }

    #[test]
    fn where_it_is_and_how_it_is_paid_for_is_sent_as_it_is() {
        let sent = sent(|machine| {
            machine.placement = MachinePlacement {
                tenancy: Some("host".into()),
                host: Some("h-01234567".into()),
                affinity: Some("host".into()),
                ..MachinePlacement::default()
            };
            machine.capacity_reservation = Some("cr-1".into());
            machine.market = Some(PurchaseOption::CapacityBlock);
            machine.confidential_compute = Some(ConfidentialCompute::AmdSevSnp);
        });
        let placement = sent.placement().unwrap();
        assert_eq!(placement.tenancy(), Some(&Tenancy::Host));
        assert_eq!((placement.host_id(), placement.affinity()), (Some("h-01234567"), Some("host")));
        let options = sent.instance_market_options().unwrap();
        assert_eq!(
            (options.market_type(), options.spot_options()),
            (Some(&MarketType::CapacityBlock), None)
        );
        assert_eq!(
            sent.cpu_options().unwrap().amd_sev_snp(),
            Some(&AmdSevSnpSpecification::Enabled)
        );
        let target =
            sent.capacity_reservation_specification().unwrap().capacity_reservation_target();
        assert_eq!(target.unwrap().capacity_reservation_id(), Some("cr-1"));
    }
}
