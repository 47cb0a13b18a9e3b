//! Rules for the purchasing option: market type, spot options and capacity reservation must agree.

use super::ObjectFinding;
use super::provider::word;
use crate::diagnostics::{Rule, shown};
use crate::machine_api::types::AwsMachineProviderConfig;

/// Returns the flaws in the purchasing option of a machine.
pub(super) fn findings(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    const TYPES: [&str; 3] = ["OnDemand", "Spot", "CapacityBlock"];
    let unknown = word(Rule::MachineMarket, "marketType", &config.market_type, &TYPES);
    let together = if unknown.is_none() { together(config) } else { None };
    unknown
        .into_iter()
        .chain(together)
        .chain(reservation(&config.capacity_reservation_id))
        .collect()
}

fn together(config: &AwsMachineProviderConfig) -> Option<ObjectFinding> {
    let spot = config.spot_market_options.is_some();
    let reserved = !config.capacity_reservation_id.is_empty();
    let (path, message) = match (config.market_type.as_str(), spot, reserved) {
        ("", true, true) | ("Spot", _, true) => {
            ("capacityReservationId", "is set for a spot instance, which cannot have one")
        }
        ("OnDemand", true, _) => ("marketType", "is `OnDemand`, but `spotMarketOptions` are set"),
        ("CapacityBlock", true, _) => {
            ("marketType", "is `CapacityBlock`, but `spotMarketOptions` are set")
        }
        ("CapacityBlock", false, false) => {
            ("capacityReservationId", "is missing, but the market type is `CapacityBlock`")
        }
        _ => return None,
    };
    Some(ObjectFinding::new(Rule::MachineMarket, path, message))
}

fn reservation(id: &str) -> Option<ObjectFinding> {
    if id.is_empty() || is_reservation(id) {
        return None;
    }
    let found = format!("found {}", shown(id));
    let finding = ObjectFinding::new(Rule::MachineReservation, "capacityReservationId", found);
    Some(finding.expected("`cr-` and 17 hexadecimal digits in lower case"))
}

/// Returns true if `id` has the form of a capacity reservation ID.
pub(crate) fn is_reservation(id: &str) -> bool {
    let digits = id.strip_prefix("cr-").unwrap_or_default();
    digits.len() == 17 && is_lower_hex(digits)
}

pub(super) fn is_lower_hex(digits: &str) -> bool {
    digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
}
