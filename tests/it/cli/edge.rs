//! Clusters with machines in Local and Wavelength Zones.

use std::fs;

use super::Desk;

const POOL: &str = "  - name: edge
    platform:
      aws:
        zones: [us-west-2-lax-1a, us-west-2-wl1-las-wlz-1]
platform:
  aws:
    region";

fn desk(publish: &str) -> Desk {
    let desk = Desk::new();
    let config = desk.path("install-config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    let text = text.replace("publish: Internal", &format!("publish: {publish}"));
    fs::write(config, text.replacen("platform:\n  aws:\n    region", POOL, 1)).unwrap();
    desk
}

#[tokio::test(flavor = "multi_thread")]
async fn edge_zones_have_subnets_and_routes_from_the_first_apply_to_the_destroy() {
    for release in ["4.15", "4.20"] {
        let desk = desk("External");
        let zone = desk.route53().create_hosted_zone().name("example.com").caller_reference("1");
        zone.send().await.expect("a public zone");
        let before = desk.cloud.inventory();
        desk.cloud.delay("carrier_gateway_pending", 0.3);
        desk.cloud.delay("carrier_gateway_deleting", 0.3);
        let applied = desk.expect(0, &["apply", "--release", release, "--auto-approve"]);
        assert!(applied.out.contains("carrier_gateway.main"), "{}", applied.out);
        desk.expect(0, &["plan", "--detailed-exitcode"]);

        // Every resource is found again.
        fs::remove_dir_all(desk.path("state")).unwrap();
        desk.expect(0, &["recover", "--release", release]);
        desk.expect(0, &["plan", "--detailed-exitcode"]);
        desk.expect(0, &["destroy", "--auto-approve"]);
        assert_eq!(desk.cloud.inventory(), before, "{release}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_that_left_the_carrier_gateway_goes_back() {
    let desk = desk("Internal");
    desk.apply();
    let (table, gateway) = (desk.id_of("route_table.carrier"), desk.id_of("internet_gateway.main"));
    let replace = desk.ec2().replace_route().route_table_id(table).gateway_id(gateway);
    replace.destination_cidr_block("0.0.0.0/0").send().await.expect("replaced");
    let planned = desk.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(planned.out.contains("~ route_table.carrier"), "{}", planned.out);
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn a_zone_group_that_is_not_enabled_is_an_error_before_the_first_change() {
    let desk = desk("Internal");
    let config = desk.path("install-config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("us-west-2-lax-1a", "us-west-2-phx-2a")).unwrap();
    let refused = desk.expect(3, &["apply", "--auto-approve"]);
    assert!(
        refused.err.contains("the zone group us-west-2-phx-2 of us-west-2-phx-2a is not enabled")
    );
    assert!(refused.err.contains("--group-name us-west-2-phx-2 --opt-in-status opted-in"));
    assert_eq!(desk.cloud.mutating_calls(), 0);
}
