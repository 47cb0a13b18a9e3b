//! Conflicting inputs: decides if two resources of a kind can exist at the same time. Knows
//! networks, and no kinds.

use ipnet::IpNet;
use serde_json::Value;

use crate::graph::Schema;

/// Returns true if a conflicting input of the two resources is equal or overlaps.
pub(super) fn conflict(schema: &Schema, one: &Value, other: &Value) -> bool {
    schema.conflicting.iter().any(|input| match (one.get(*input), other.get(*input)) {
        (Some(one), Some(other)) => !one.is_null() && (one == other || overlap(one, other)),
        _ => false,
    })
}

fn overlap(one: &Value, other: &Value) -> bool {
    let network = |value: &Value| value.as_str()?.parse::<IpNet>().ok();
    match (network(one), network(other)) {
        (Some(one), Some(other)) => one.contains(&other) || other.contains(&one),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graph::Identity;

    #[test]
    fn what_is_equal_or_overlaps_collides() {
        let schema = Schema { conflicting: &["cidr"], ..Schema::of("subnet", Identity::Name) };
        for (one, other, collides) in [
            ("10.0.0.0/18", "10.0.0.0/18", true),
            ("10.0.0.0/18", "10.0.32.0/19", true),
            ("10.0.32.0/19", "10.0.0.0/18", true),
            ("10.0.0.0/18", "10.0.64.0/18", false),
            ("name", "name", true),
            ("name", "other", false),
        ] {
            let inputs = |cidr: &str| json!({ "cidr": cidr, "zone": "a" });
            assert_eq!(conflict(&schema, &inputs(one), &inputs(other)), collides, "{one} {other}");
        }
        assert!(!conflict(&schema, &json!({ "cidr": null }), &json!({ "cidr": null })));
        assert!(!conflict(
            &Schema::of("vpc", Identity::Name),
            &json!({ "cidr": "a" }),
            &json!({ "cidr": "a" })
        ));
    }
}
