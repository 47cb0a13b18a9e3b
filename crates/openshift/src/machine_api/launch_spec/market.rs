//! Purchasing option of a machine.

use groundplan_aws::kinds::machine::{PRICE, PurchaseOption, is_price};

use super::{LaunchError, Result};
use crate::machine_api::types::AwsMachineProviderConfig;
use crate::machine_api::validation;

/// Returns the purchasing option from market type, spot options and reservation, by the rules of
/// the upstream actuator. The rules of the webhook differ in some cases, and the webhook may not
/// have been called.
pub(super) fn of(config: &AwsMachineProviderConfig) -> Result<Option<PurchaseOption>> {
    let reserved = !config.capacity_reservation_id.is_empty();
    let spot = config.spot_market_options.as_ref();
    match (config.market_type.as_str(), spot) {
        ("", None) | ("OnDemand", _) => Ok(None),
        ("" | "Spot", _) if reserved => Err(LaunchError::conflict(
            "capacityReservationId",
            "is set for a spot instance, which cannot have one: remove one of the two",
        )),
        ("" | "Spot", spot) => {
            let price = spot.and_then(|spot| spot.max_price.clone());
            let max_price = price.filter(|price| !price.is_empty()).map(dollars).transpose()?;
            Ok(Some(PurchaseOption::Spot { max_price }))
        }
        ("CapacityBlock", Some(_)) => Err(LaunchError::conflict(
            "marketType",
            "is `CapacityBlock`, but spotMarketOptions are set: remove one of the two",
        )),
        ("CapacityBlock", None) if !reserved => Err(LaunchError::conflict(
            "capacityReservationId",
            "is missing, but the market type is `CapacityBlock`",
        )),
        ("CapacityBlock", None) => Ok(Some(PurchaseOption::CapacityBlock)),
        (other, _) => Err(LaunchError::conflict(
            "marketType",
            format!("found `{other}`, expected `OnDemand`, `Spot` or `CapacityBlock`"),
        )),
    }
}

fn dollars(price: String) -> Result<String> {
    if is_price(&price) {
        return Ok(price);
    }
    let message = format!("found `{price}`, expected {PRICE}");
    Err(LaunchError::invalid("spotMarketOptions.maxPrice", message))
}

pub(super) fn reservation(config: &AwsMachineProviderConfig) -> Result<Option<String>> {
    let id = &config.capacity_reservation_id;
    if id.is_empty() {
        return Ok(None);
    }
    if !validation::is_reservation(id) {
        let message = format!("found `{id}`, expected `cr-` and 17 hexadecimal digits");
        return Err(LaunchError::invalid("capacityReservationId", message));
    }
    Ok(Some(id.clone()))
}
