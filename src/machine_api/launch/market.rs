//! How a machine is paid for.

use super::{Refusal, Result};
use crate::aws::machine::Market;
use crate::machine_api::check;
use crate::machine_api::types::AwsMachineProviderConfig;

/// What the actuator makes of market type, spot options and reservation: where the webhook was not
/// heard, that is not always the same.
pub(super) fn of(config: &AwsMachineProviderConfig) -> Result<Option<Market>> {
    let reserved = !config.capacity_reservation_id.is_empty();
    let spot = config.spot_market_options.as_ref();
    match (config.market_type.as_str(), spot) {
        ("", None) | ("OnDemand", _) => Ok(None),
        ("" | "Spot", _) if reserved => Err(Refusal::conflict(
            "capacityReservationId",
            "is given for a spot instance, which has none: take one of the two away",
        )),
        ("" | "Spot", spot) => {
            let price = spot.and_then(|spot| spot.max_price.clone());
            let max_price = price.filter(|price| !price.is_empty()).map(dollars).transpose()?;
            Ok(Some(Market::Spot { max_price }))
        }
        ("CapacityBlock", Some(_)) => Err(Refusal::conflict(
            "marketType",
            "is `CapacityBlock`, and there are spotMarketOptions: take one of the two away",
        )),
        ("CapacityBlock", None) if !reserved => Err(Refusal::conflict(
            "capacityReservationId",
            "is missing, and the market type is `CapacityBlock`",
        )),
        ("CapacityBlock", None) => Ok(Some(Market::CapacityBlock)),
        (other, _) => Err(Refusal::conflict(
            "marketType",
            format!("found `{other}`, expected `OnDemand`, `Spot` or `CapacityBlock`"),
        )),
    }
}

/// EC2 takes no less than a tenth of a cent (EC2 API reference, `SpotMarketOptions`).
fn dollars(price: String) -> Result<String> {
    const LEAST: f64 = 0.001;
    let figures = price.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    match price.parse::<f64>() {
        Ok(dollars) if figures && dollars >= LEAST => Ok(price),
        _ => Err(Refusal::invalid(
            "spotMarketOptions.maxPrice",
            format!(
                "found `{price}`, expected dollars an hour such as `0.25`, and at least {LEAST}"
            ),
        )),
    }
}

pub(super) fn reservation(config: &AwsMachineProviderConfig) -> Result<Option<String>> {
    let id = &config.capacity_reservation_id;
    if id.is_empty() {
        return Ok(None);
    }
    if !check::is_reservation(id) {
        let message = format!("found `{id}`, expected `cr-` and 17 hexadecimal digits");
        return Err(Refusal::invalid("capacityReservationId", message));
    }
    Ok(Some(id.clone()))
}
