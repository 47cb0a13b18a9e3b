//! Reads that explain why a new cluster is late: addresses of machines, health of load balancer
//! targets, and the console of a machine. Changes nothing.

use std::collections::BTreeMap;

use aws_sdk_ec2::types;
use aws_sdk_elasticloadbalancingv2::types::TargetHealthDescription;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Aws;
use crate::client::ec2;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;

/// Error code for an instance type whose latest console output EC2 cannot return.
const NOT_LATEST: &[&str] = &["UnsupportedOperation"];

/// Addresses of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MachineAddresses {
    /// Private address. A terminated machine has none.
    pub private_ip: Option<String>,
    /// Public address, if the machine has one.
    pub public_ip: Option<String>,
}

/// Health of one target of a target group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetHealth {
    /// Private address of the machine.
    pub ip: String,
    /// Port.
    pub port: i32,
    /// State that AWS reports, such as `healthy` or `unhealthy`.
    pub state: String,
    /// Description of the state, or else its reason code. `None` for a healthy target.
    pub reason: Option<String>,
}

/// Returns the addresses of these machines, by instance ID. A machine that EC2 does not return is
/// left out.
///
/// # Errors
/// If the call fails.
pub async fn machine_addresses(
    aws: &Aws,
    ids: &[&str],
) -> Result<BTreeMap<String, MachineAddresses>> {
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let addresses = |one: types::Instance| MachineAddresses {
        private_ip: one.private_ip_address,
        public_ip: one.public_ip_address,
    };
    Ok(found.into_iter().map(|(id, one)| (id, addresses(one))).collect())
}

/// Returns the health of the targets of a target group, sorted by address.
///
/// # Errors
/// If the call fails.
pub async fn target_health(aws: &Aws, target_group: &str) -> Result<Vec<TargetHealth>> {
    let call = aws.elb.describe_target_health().target_group_arn(target_group);
    let answer = aws.call("elasticloadbalancing", "DescribeTargetHealth", call.send()).await?;
    let described = answer.target_health_descriptions().iter();
    let mut targets: Vec<TargetHealth> = described.filter_map(health).collect();
    targets.sort_by(|one, other| (&one.ip, one.port).cmp(&(&other.ip, other.port)));
    Ok(targets)
}

fn health(described: &TargetHealthDescription) -> Option<TargetHealth> {
    let target = described.target()?;
    let health = described.target_health()?;
    let reason =
        health.reason().map(aws_sdk_elasticloadbalancingv2::types::TargetHealthReasonEnum::as_str);
    Some(TargetHealth {
        ip: target.id()?.to_owned(),
        port: target.port()?,
        state: health.state()?.as_str().to_owned(),
        reason: health.description().or(reason).map(str::to_owned),
    })
}

/// Returns the console output of a machine, which may be minutes old. `None` if there is none yet.
/// The text can contain secrets.
///
/// # Errors
/// If the call fails.
pub async fn console_output(aws: &Aws, id: &str) -> Result<Option<String>> {
    let request = aws.ec2.get_console_output().instance_id(id);
    let latest = aws.call("ec2", "GetConsoleOutput", request.clone().latest(true).send()).await;
    let answer = match none_if(latest, NOT_LATEST)? {
        Some(answer) => answer,
        None => aws.call("ec2", "GetConsoleOutput", request.send()).await?,
    };
    let text = answer.output().and_then(|output| STANDARD.decode(output.trim()).ok());
    Ok(text.filter(|text| !text.is_empty()).map(|text| String::from_utf8_lossy(&text).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tests::{Script, scripted};

    #[tokio::test]
    async fn an_unhealthy_target_has_the_description_of_aws() {
        let target = |ip: &str, health: &str| {
            format!(
                "<member><Target><Id>{ip}</Id><Port>6443</Port></Target>\
                 <TargetHealth>{health}</TargetHealth></member>"
            )
        };
        let members = [
            target(
                "10.0.0.2",
                "<State>unhealthy</State><Reason>Target.FailedHealthChecks</Reason>\
                 <Description>Health checks failed</Description>",
            ),
            target("10.0.0.1", "<State>healthy</State>"),
        ];
        let answer = format!(
            "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>{}\
             </TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>",
            members.concat()
        );
        let (aws, _) = scripted(vec![Script::Answer(200, answer)]);
        let targets = target_health(&aws, "arn").await.unwrap();
        let short = |one: &TargetHealth| (one.ip.clone(), one.state.clone(), one.reason.clone());
        assert_eq!(
            targets.iter().map(short).collect::<Vec<_>>(),
            [
                ("10.0.0.1".to_owned(), "healthy".to_owned(), None),
                (
                    "10.0.0.2".to_owned(),
                    "unhealthy".to_owned(),
                    Some("Health checks failed".to_owned())
                ),
            ]
        );
    }

    #[tokio::test]
    async fn a_machine_without_a_latest_console_output_is_asked_for_the_last_one() {
        let refused = "<Response><Errors><Error><Code>UnsupportedOperation</Code><Message>m\
                       </Message></Error></Errors></Response>";
        let answer = "<GetConsoleOutputResponse><instanceId>i-1</instanceId><output>aGVsbG8=\
                      </output></GetConsoleOutputResponse>";
        let script =
            vec![Script::Answer(400, refused.to_owned()), Script::Answer(200, answer.to_owned())];
        let (aws, sent) = scripted(script);
        assert_eq!(console_output(&aws, "i-1").await.unwrap().as_deref(), Some("hello"));
        assert!(sent.bodies()[0].contains("Latest=true"), "{:?}", sent.bodies());
        assert!(!sent.bodies()[1].contains("Latest"), "{:?}", sent.bodies());
    }
}
