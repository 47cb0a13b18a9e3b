//! Zones that offer an instance type, for the error of a launch without capacity. Changes nothing.

use aws_sdk_ec2::types::LocationType;
use groundplan_engine::provider::ProviderError;

use crate::Aws;
use crate::client::ec2::{filter, pages};
use crate::client::errors::CAPACITY_WITHIN;
use crate::client::resource_type::Result;

/// Error codes of a launch into a zone without capacity for the instance type.
const NO_CAPACITY: &[&str] = &["InsufficientInstanceCapacity", "InsufficientHostCapacity"];

/// Adds a hint with the zones that would take the instance type, if a launch failed for lack of
/// capacity. AWS's message has the zones with capacity; otherwise those that offer the type are
/// queried. If the credentials do not allow the query, the hint names no zones.
pub(crate) async fn name_zones(
    aws: &Aws,
    instance_type: &str,
    error: ProviderError,
) -> ProviderError {
    if !error.is(NO_CAPACITY) {
        return error;
    }
    let requested = requested(&error.message).map(str::to_owned);
    let mut zones = with_capacity(&error.message);
    if zones.is_empty() {
        zones = Box::pin(offering(aws, instance_type)).await.unwrap_or_default();
        zones.retain(|zone| Some(zone) != requested.as_ref());
    }
    let place = requested.unwrap_or_else(|| "the zone".to_owned());
    let (minutes, elsewhere) = (CAPACITY_WITHIN.as_secs() / 60, elsewhere(&zones));
    error.with_hint(format!(
        "set another `type`{elsewhere} of the machine pool, or run the same command again later: AWS has \
         no capacity for {instance_type} in {place} at the moment. The launch is repeated for {minutes} \
         minutes; other machines and resources stay"
    ))
}

/// Returns the part of the hint that names other zones; empty if none is known.
fn elsewhere(zones: &[String]) -> String {
    if zones.is_empty() {
        return " or other `zones`".to_owned();
    }
    format!(" or other `zones` ({})", zones.join(", "))
}

/// Returns the availability zones of the region that offer an instance type.
async fn offering(aws: &Aws, instance_type: &str) -> Result<Vec<String>> {
    let request = aws
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", &[instance_type]));
    let offerings = pages!(aws, "DescribeInstanceTypeOfferings", request, instance_type_offerings);
    let offered = offerings
        .into_iter()
        .filter(|one| one.instance_type.as_ref().is_some_and(|one| one.as_str() == instance_type));
    let mut zones: Vec<String> = offered.filter_map(|one| one.location).collect();
    // Local Zones and Wavelength Zones have longer names: us-west-2-lax-1a.
    zones
        .retain(|zone| zone.strip_prefix(&aws.settings.region).is_some_and(|rest| rest.len() == 1));
    zones.sort();
    Ok(zones)
}

/// Returns the requested zone that AWS's message names: `.. you requested (us-west-2a).`
fn requested(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("you requested (")?;
    rest.split_once(')').map(|(zone, _)| zone)
}

/// Returns the zones with capacity that AWS's message names: `.. or choosing us-west-2b, us-west-2c.`
fn with_capacity(message: &str) -> Vec<String> {
    let Some((_, rest)) = message.split_once(" choosing ") else { return Vec::new() };
    let zones = rest.trim_end_matches('.').split(", ");
    let is_zone = |zone: &&str| zone.contains('-') && !zone.contains(' ');
    zones.filter(is_zone).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use groundplan_engine::provider::ErrorClass;

    use super::*;
    use crate::AwsSettings;
    use crate::client::tests::{Script, scripted_with};

    fn error(message: &str) -> ProviderError {
        ProviderError::new(ErrorClass::Retryable, "RunInstances", message)
            .with_code("InsufficientInstanceCapacity")
            .with_hint("wait")
    }

    const SHORT: &str = "We currently do not have sufficient m6i.xlarge capacity in the Availability \
         Zone you requested (us-west-2a).";

    async fn hint(script: Vec<Script>, message: &str) -> String {
        let settings = AwsSettings { region: "us-west-2".to_owned(), ..AwsSettings::default() };
        let (aws, _) = scripted_with(script, settings);
        name_zones(&aws, "m6i.xlarge", error(message)).await.hint.unwrap_or_default()
    }

    #[tokio::test]
    async fn the_zones_that_offer_the_type_are_named_without_the_full_one() {
        let items: String = ["us-west-2c", "us-west-2a", "us-west-2-lax-1a", "us-west-2b"]
            .iter()
            .map(|zone| {
                format!(
                    "<item><instanceType>m6i.xlarge</instanceType><location>{zone}</location></item>"
                )
            })
            .collect();
        let body = format!(
            "<DescribeInstanceTypeOfferingsResponse><instanceTypeOfferingSet>{items}\
             </instanceTypeOfferingSet></DescribeInstanceTypeOfferingsResponse>"
        );
        let hint = hint(vec![Script::Answer(200, body)], SHORT).await;
        assert!(hint.contains("`zones` (us-west-2b, us-west-2c)"), "{hint}");
        assert!(hint.contains("no capacity for m6i.xlarge in us-west-2a"), "{hint}");
        assert!(hint.contains("repeated for 3 minutes"), "{hint}");
    }

    #[tokio::test]
    async fn zones_in_the_message_need_no_query_and_a_denied_query_changes_nothing() {
        let full = format!(
            "{SHORT} You can currently get m6i.xlarge capacity by not specifying an Availability \
             Zone in your request or choosing us-west-2b, us-west-2d."
        );
        let named = hint(Vec::new(), &full).await;
        assert!(named.contains("(us-west-2b, us-west-2d)"), "{named}");
        let denied = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>no\
             </Message></Error></Errors></Response>";
        let denied = vec![Script::Answer(403, denied.to_owned())];
        let hint = hint(denied, SHORT).await;
        assert!(hint.starts_with("set another `type` or other `zones` of"), "{hint}");
    }
}
