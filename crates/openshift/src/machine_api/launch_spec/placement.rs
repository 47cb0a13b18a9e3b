//! Placement of a machine besides its subnet: tenancy, host, placement group.

use groundplan_aws::kinds::machine::MachinePlacement;

use super::{LaunchError, Result};
use crate::machine_api::types::{AwsMachineProviderConfig, DedicatedHost, HostPlacement};
use crate::machine_api::validation;

/// Returns the placement. A host replaces all other settings, as in the upstream actuator, because
/// EC2 accepts no placement group together with a host.
pub(super) fn of(config: &AwsMachineProviderConfig) -> Result<MachinePlacement> {
    let tenancy = tenancy(config)?;
    if let Some(host) = &config.placement.host {
        return on_host(tenancy, host);
    }
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    // A subnet with an ID already determines the zone.
    let zone = given(&config.placement.availability_zone).filter(|_| config.subnet.id.is_none());
    let group = given(&config.placement_group_name);
    let partition = partition(config, group.is_some())?;
    Ok(MachinePlacement { zone, tenancy, group, partition, ..MachinePlacement::default() })
}

fn tenancy(config: &AwsMachineProviderConfig) -> Result<Option<String>> {
    match config.placement.tenancy.as_str() {
        "" => Ok(None),
        known @ ("default" | "dedicated" | "host") => Ok(Some(known.to_owned())),
        other => Err(LaunchError::invalid(
            "placement.tenancy",
            format!("found `{other}`, expected `default`, `dedicated` or `host`"),
        )),
    }
}

fn partition(config: &AwsMachineProviderConfig, has_group: bool) -> Result<Option<i32>> {
    let field = "placementGroupPartition";
    match config.placement_group_partition {
        None => Ok(None),
        Some(_) if !has_group => Err(LaunchError::invalid(field, "is set without a group name")),
        Some(partition @ 1..=7) => Ok(Some(partition)),
        Some(other) => Err(LaunchError::invalid(
            field,
            format!("found `{other}`, expected a number from 1 to 7"),
        )),
    }
}

fn on_host(tenancy: Option<String>, host: &HostPlacement) -> Result<MachinePlacement> {
    if tenancy.as_deref() != Some("host") {
        return Err(LaunchError::invalid("placement.host", "is set without the tenancy `host`"));
    }
    let affinity = match host.affinity.as_deref().unwrap_or_default() {
        "AnyAvailable" => "default",
        "DedicatedHost" => "host",
        other => {
            let message = format!("found `{other}`, expected `AnyAvailable` or `DedicatedHost`");
            return Err(LaunchError::invalid("placement.host.affinity", message));
        }
    };
    let host = host.dedicated_host.as_ref().map(provided).transpose()?;
    Ok(MachinePlacement {
        tenancy,
        host,
        affinity: Some(affinity.to_owned()),
        ..MachinePlacement::default()
    })
}

fn provided(host: &DedicatedHost) -> Result<String> {
    let field = |name: &str| format!("placement.host.dedicatedHost.{name}");
    match host.allocation_strategy.as_deref().unwrap_or_default() {
        "" | "UserProvided" if validation::is_host(&host.id) => Ok(host.id.clone()),
        "" | "UserProvided" => {
            let message = format!(
                "found `{}`, expected `h-` and 8 or 17 hexadecimal digits in lower case",
                host.id
            );
            Err(LaunchError::invalid(&field("id"), message))
        }
        "Dynamic" => Err(LaunchError::invalid(
            &field("allocationStrategy"),
            "`Dynamic` is not supported: allocate the host and set its id",
        )),
        other => {
            let message = format!("found `{other}`, expected `UserProvided`");
            Err(LaunchError::invalid(&field("allocationStrategy"), message))
        }
    }
}
