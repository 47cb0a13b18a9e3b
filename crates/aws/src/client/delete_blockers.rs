//! Finds delete blockers: a `DependencyViolation` error does not name them. Changes nothing.

use aws_sdk_ec2::types::{NetworkInterface, SecurityGroup, Subnet};
use groundplan_engine::provider::ProviderError;

use super::ec2::{Ec2Object, filter};
use crate::Aws;
use crate::client::resource_type::Result;

/// The maximum number of delete blockers in a message.
const NAMED: usize = 5;

/// Adds the delete blockers to a `DependencyViolation` of a delete. `within` is the filter that
/// finds the objects inside the resource (`subnet-id`).
pub(crate) async fn name_blockers<T>(
    aws: &Aws,
    within: &str,
    id: &str,
    deleted: Result<T>,
) -> Result<T> {
    match deleted {
        Err(error) if error.is(&["DependencyViolation"]) => {
            let holders = Box::pin(blockers(aws, within, id)).await;
            // Without permission for the search, AWS's error stays as it is.
            Err(add_blockers(error, &holders.unwrap_or_default()))
        }
        deleted => deleted,
    }
}

async fn blockers(aws: &Aws, within: &str, id: &str) -> Result<Vec<String>> {
    let inside = || vec![filter(within, &[id])];
    let mut holders: Vec<String> =
        NetworkInterface::describe(aws, inside()).await?.iter().filter_map(interface).collect();
    if within == "group-id" {
        let naming = vec![filter("ip-permission.group-id", &[id])];
        let groups = SecurityGroup::describe(aws, naming).await?;
        let others = groups.iter().filter_map(SecurityGroup::group_id).filter(|other| *other != id);
        holders.extend(others.map(|other| format!("{other} (a rule in it references the group)")));
    }
    if within == "vpc-id" {
        let groups = SecurityGroup::describe(aws, inside()).await?;
        let others = groups.iter().filter(|group| group.group_name() != Some("default"));
        holders.extend(others.filter_map(|one| {
            Some(format!("{} (security group {})", one.group_id()?, one.group_name()?))
        }));
        let subnets = Subnet::describe(aws, inside()).await?;
        holders.extend(
            subnets.iter().filter_map(|one| Some(format!("{} (subnet)", one.subnet_id()?))),
        );
    }
    holders.sort();
    Ok(holders)
}

/// Returns `eni-1 (ELB app/theirs/1, of amazon-elb)`: the interface with its instance, description
/// and requester.
fn interface(one: &NetworkInterface) -> Option<String> {
    let id = one.network_interface_id()?;
    let on = one.attachment().and_then(|attachment| attachment.instance_id());
    let says = one.description().filter(|text| !text.is_empty());
    let by = one.requester_id().filter(|_| one.requester_managed() == Some(true));
    let words: Vec<String> = [
        on.map(|instance| format!("on {instance}")),
        says.map(str::to_owned),
        by.map(|requester| format!("of {requester}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    Some(match words.is_empty() {
        true => format!("{id} (network interface)"),
        false => format!("{id} ({})", words.join(", ")),
    })
}

fn add_blockers(error: ProviderError, holders: &[String]) -> ProviderError {
    if holders.is_empty() {
        return error;
    }
    let more = holders.len().saturating_sub(NAMED);
    let mut named = holders[..holders.len() - more].join(", ");
    if more > 0 {
        named = format!("{named} and {more} more");
    }
    let said = error.message.trim_end_matches('.');
    let message = format!("{said}; blocked by {named}");
    ProviderError { message, ..error }.with_hint(
        "delete the blocking resource if it is unused, and run the same command again; it has no \
         tag of this cluster",
    )
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::NetworkInterfaceAttachment;
    use groundplan_engine::provider::ErrorClass;

    use super::*;

    #[test]
    fn an_interface_is_known_by_whom_it_is_for() {
        let one = NetworkInterface::builder().network_interface_id("eni-1");
        assert_eq!(interface(&one.clone().build()).unwrap(), "eni-1 (network interface)");
        let on = NetworkInterfaceAttachment::builder().instance_id("i-1").build();
        assert_eq!(interface(&one.clone().attachment(on).build()).unwrap(), "eni-1 (on i-1)");
        let balancer = one.description("ELB app/theirs/1").requester_id("amazon-elb");
        let balancer = balancer.requester_managed(true).build();
        assert_eq!(interface(&balancer).unwrap(), "eni-1 (ELB app/theirs/1, of amazon-elb)");
    }

    #[test]
    fn a_few_are_named_and_the_rest_is_counted() {
        let error =
            || ProviderError::new(ErrorClass::Retryable, "DeleteSubnet", "It has dependencies.");
        let all: Vec<String> = (0..7).map(|index| format!("eni-{index}")).collect();
        let message = add_blockers(error(), &all).message;
        assert_eq!(
            message,
            "It has dependencies; blocked by eni-0, eni-1, eni-2, eni-3, eni-4 and 2 more"
        );
        assert_eq!(add_blockers(error(), &[]).message, "It has dependencies.");
    }
}
