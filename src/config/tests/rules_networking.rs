//! Rules of networks.

use super::*;

fn machine(cidr: &str) -> String {
    with(&[("cidr: 10.0.0.0/16", &format!("cidr: {cidr}"))])
}

const MACHINE: &str = "networking.machineNetwork[0].cidr";

#[test]
fn a_network_is_a_network() {
    for wrong in ["10.0.0.0", "10.0.0.0/33", "nonsense", "300.0.0.0/16"] {
        one_error(&machine(wrong), &format!("{MACHINE}: found `{wrong}` -> a network such as"));
    }
    one_error(&machine("fd00::/48"), &format!("{MACHINE}: found `fd00::/48` -> an IPv4 network"));
    one_error(
        &machine("0.0.0.0/16"),
        &format!("{MACHINE}: found `0.0.0.0/16` -> an address other than"),
    );
}

#[test]
fn host_bits_are_refused_and_the_network_is_named() {
    let text = machine("10.0.5.0/16");
    one_error(&text, &format!("{MACHINE}: found `10.0.5.0/16`, whose address has bits"));
    assert_eq!(hint(&text), "did you mean `10.0.0.0/16`?");
}

#[test]
fn networks_do_not_overlap() {
    one_error(
        &machine("10.128.0.0/16"),
        "networking.clusterNetwork[0].cidr: found `10.128.0.0/14`, which overlaps `10.128.0.0/16` of networking.machineNetwork[0].cidr",
    );
    one_error(
        &machine("172.30.0.0/16"),
        "networking.serviceNetwork[0]: found `172.30.0.0/16`, which overlaps",
    );
    let two =
        with(&[("  - cidr: 10.0.0.0/16\n", "  - cidr: 10.0.0.0/16\n  - cidr: 10.0.1.0/24\n")]);
    one_error(&two, "networking.machineNetwork[1].cidr: found `10.0.1.0/24`, which overlaps");
}

#[test]
fn a_network_may_overlap_a_default_as_little_as_a_given_one() {
    let text = minimal() + "networking: {machineNetwork: [{cidr: 172.30.0.0/16}]}\n";
    one_error(&text, "networking.serviceNetwork: found `172.30.0.0/16`, which overlaps");
}

#[test]
fn the_bridge_of_container_engines_is_warned_about() {
    one_warning(
        &machine("172.17.0.0/16"),
        &format!("{MACHINE}: found `172.17.0.0/16`, which overlaps"),
    );
}

#[test]
fn the_machine_network_has_room_for_the_subnets_of_the_zones() {
    for (cidr, is_fine) in [
        ("10.0.0.0/16", true),
        ("10.0.0.0/25", true),
        ("10.0.0.0/26", false),
        ("10.0.0.0/15", false),
    ] {
        let text = machine(cidr);
        if is_fine {
            fine(&text);
        } else {
            one_error(&text, &format!("{MACHINE}: found `{cidr}`"));
        }
    }
    assert_eq!(hint(&machine("10.0.0.0/26")), "use a prefix of /25 or shorter");
}

#[test]
fn one_zone_halves_its_half_and_so_needs_a_prefix_of_26() {
    let one = with(&[
        ("      - us-west-2b\n", ""),
        ("- us-west-2c", "- us-west-2a"),
        ("cidr: 10.0.0.0/16", "cidr: 10.0.0.0/26"),
    ]);
    fine(&one);
}

#[test]
fn existing_subnets_have_their_room_already() {
    let text =
        with_aws("subnets: [subnet-0a]").replacen("cidr: 10.0.0.0/16", "cidr: 10.0.0.0/28", 1);
    fine(&text);
}

#[test]
fn there_is_one_service_network_and_it_is_not_too_large() {
    one_error(
        &with(&[("  - 172.30.0.0/16\n", "  - 172.30.0.0/16\n  - 172.31.0.0/16\n")]),
        "networking.serviceNetwork[1]: is a second network",
    );
    one_error(
        &with(&[("172.30.0.0/16", "172.0.0.0/8")]),
        "networking.serviceNetwork[0]: found `172.0.0.0/8`, which is too large",
    );
}

#[test]
fn a_node_gets_a_part_of_the_cluster_network() {
    for wrong in ["13", "-1", "33"] {
        one_error(
            &with(&[("hostPrefix: 23", &format!("hostPrefix: {wrong}"))]),
            &format!(
                "networking.clusterNetwork[0].hostPrefix: found `{wrong}` -> a prefix length from 14 to 32"
            ),
        );
    }
    one_error(
        &with(&[("    hostPrefix: 23\n", "")]),
        "networking.clusterNetwork[0].hostPrefix: is missing",
    );
}

#[test]
fn removed_network_types_are_refused() {
    for removed in ["Kuryr", "OpenShiftSDN"] {
        one_error(
            &with(&[("OVNKubernetes", removed)]),
            &format!("networking.networkType: found `{removed}`"),
        );
    }
}

#[test]
fn the_mtu_leaves_room_for_the_overlay() {
    let mtu = |mtu: &str| {
        with(&[("  networkType", &format!("  clusterNetworkMTU: {mtu}\n  networkType"))])
    };
    assert_eq!(config(&mtu("8901")).networking.cluster_network_mtu, Some(8901));
    one_error(&mtu("8902"), "networking.clusterNetworkMTU: found `8902`");
    one_error(&mtu("999"), "networking.clusterNetworkMTU: found `999`");
    let other = mtu("1200").replace("OVNKubernetes", "Calico");
    one_error(&other, "networking.clusterNetworkMTU: is set");
}

#[test]
fn a_missing_cidr_is_one_error() {
    one_error(
        &with(&[("  - cidr: 10.0.0.0/16", "  - {}")]),
        "networking.machineNetwork[0].cidr: is missing",
    );
}
