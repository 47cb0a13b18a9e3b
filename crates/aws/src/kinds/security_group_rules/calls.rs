//! EC2 calls for the rules of a group. Reads the live rules, then makes at most one call for each
//! direction and verb, for any number of rules.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_ec2::types::{self, IpPermission, IpRange, Ipv6Range, PrefixListId, UserIdGroupPair};
use groundplan_engine::plan::UnmanagedDrift;
use groundplan_engine::provider::ProviderFuture;

use super::foreign::{self, Direction, foreign, is_group_of_cluster};
use super::grants::{Grant, Grantee, LiveRule, changes, default_egress, fold};
use super::{Ports, SecurityGroupRule, SecurityGroupRules, SecurityGroupRulesOutputs};
use crate::Aws;
use crate::client::dry_run::{DryRunTarget, dry};
use crate::client::ec2::{self, Ec2Object, FILTER_VALUES, pages};
use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};

/// Error codes for a group that does not exist.
const GROUP_NOT_FOUND: &[&str] = &["InvalidGroup.NotFound", "InvalidGroupId.NotFound"];
/// Error codes for listed rules that are out of date. A lost response to an earlier change is one
/// cause.
const OUT_OF_DATE: &[&str] = &[
    "InvalidPermission.Duplicate",
    "InvalidPermission.NotFound",
    "InvalidSecurityGroupRuleId.NotFound",
];

impl KindOperations for SecurityGroupRules {
    /// Creates the rules. Unlike other kinds, the creation takes several calls. A repeated creation
    /// finds existing rules by reading the group, because rules have no creation token.
    async fn create(&self, aws: &Aws, _creation: &Creation) -> Result<SecurityGroupRulesOutputs> {
        self.settle(aws, &[], &[default_egress()]).await
    }

    /// Returns the rules if all of them exist. Otherwise the creation is incomplete.
    async fn find(
        &self,
        aws: &Aws,
        _creation: &Creation,
    ) -> Result<Option<SecurityGroupRulesOutputs>> {
        let live = rules_of_one(aws, self.group.get().as_str()).await?;
        let ingress = changes(&self.ingress, &live.ingress, &[]);
        let egress = changes(&self.egress, &live.egress, &[default_egress()]);
        Ok((ingress.is_empty() && egress.is_empty()).then(|| self.outputs()))
    }

    /// Returns the rules if any rule exists. A creation takes several calls, and groups whose rules
    /// reference each other cannot be deleted.
    async fn find_any_part(
        &self,
        aws: &Aws,
        _creation: &Creation,
    ) -> Result<Option<SecurityGroupRulesOutputs>> {
        let live = rules_of_one(aws, self.group.get().as_str()).await?;
        let none = live.ingress.is_empty() && live.egress.is_empty();
        Ok((!none).then(|| self.outputs()))
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let groups: Vec<&str> =
            recorded.iter().map(|one| one.inputs.group.get().as_str()).collect();
        let mut live = rules_of(aws, &groups).await?;
        let all: Vec<(Self, LiveRules)> = recorded
            .into_iter()
            .map(|one| {
                let live = live.remove(one.inputs.group.get().as_str()).unwrap_or_default();
                (one.inputs, live)
            })
            .collect();
        let groups = groups_of_cluster(aws, &all).await?;
        Ok(all.iter().map(|(inputs, live)| inputs.to_live(live, &groups)).collect())
    }

    async fn update(
        &self,
        aws: &Aws,
        _creation: &Creation,
        before: Recorded<Self>,
    ) -> Result<SecurityGroupRulesOutputs> {
        self.settle(aws, &before.inputs.ingress, &before.inputs.egress).await
    }

    /// Revokes rules that others added. The rules are looked up by their names, because a rule that
    /// was revoked and authorised again has another ID.
    async fn revert(
        &self,
        aws: &Aws,
        outputs: &SecurityGroupRulesOutputs,
        drift: &[UnmanagedDrift],
    ) -> Result<()> {
        let group = outputs.group.as_str();
        let live = rules_of_one(aws, group).await?;
        let ids = |direction: Direction, rules: &[LiveRule]| {
            let names: BTreeSet<String> =
                drift.iter().filter_map(|one| one.added_to(direction.input())).collect();
            let named = rules.iter().filter(|rule| names.contains(&foreign::name(rule, direction)));
            named.map(|rule| rule.id.clone()).collect::<Vec<_>>()
        };
        revoke_ingress(aws, group, ids(Direction::Ingress, &live.ingress)).await?;
        revoke_egress(aws, group, ids(Direction::Egress, &live.egress)).await
    }

    /// Deletes every rule of the group, so that no rule blocks the deletion of another group.
    async fn delete(aws: &Aws, inputs: Self, _outputs: SecurityGroupRulesOutputs) -> Result<()> {
        let group = inputs.group.get().as_str();
        let live = rules_of_one(aws, group).await?;
        let ids = |rules: &[LiveRule]| rules.iter().map(|rule| rule.id.clone()).collect();
        ec2::fine_when(revoke_ingress(aws, group, ids(&live.ingress)).await, GROUP_NOT_FOUND)?;
        ec2::fine_when(revoke_egress(aws, group, ids(&live.egress)).await, GROUP_NOT_FOUND)
    }

    fn dry_run<'a>(
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        let ec2 = &aws.ec2;
        Some(match action {
            "ec2:AuthorizeSecurityGroupEgress" => {
                let call = ec2.authorize_security_group_egress().group_id(about.text("group"));
                dry!(aws, action, call.ip_permissions(anything()))
            }
            "ec2:AuthorizeSecurityGroupIngress" => {
                let call = ec2.authorize_security_group_ingress().group_id(about.text("group"));
                dry!(aws, action, call.ip_permissions(anything()))
            }
            "ec2:RevokeSecurityGroupEgress" => {
                let call = ec2.revoke_security_group_egress().group_id(about.text("group"));
                dry!(aws, action, call.ip_permissions(anything()))
            }
            "ec2:RevokeSecurityGroupIngress" => {
                let call = ec2.revoke_security_group_ingress().group_id(about.text("group"));
                dry!(aws, action, call.ip_permissions(anything()))
            }
            _ => return None,
        })
    }
}

/// Live rules of one group.
#[derive(Debug, Default)]
struct LiveRules {
    ingress: Vec<LiveRule>,
    egress: Vec<LiveRule>,
}

impl SecurityGroupRules {
    fn outputs(&self) -> SecurityGroupRulesOutputs {
        SecurityGroupRulesOutputs { group: self.group.get().clone() }
    }

    /// Returns the live state. `None` for a group without rules, unless no rules are configured:
    /// such a group has lost all managed rules, and most likely does not exist.
    fn to_live(&self, live: &LiveRules, groups: &BTreeSet<String>) -> Option<Live<Self>> {
        let none = live.ingress.is_empty() && live.egress.is_empty();
        let wants_none = self.ingress.is_empty() && self.egress.is_empty();
        let inputs = Self {
            group: self.group.clone(),
            ingress: fold(&self.ingress, &live.ingress),
            egress: fold(&self.egress, &live.egress),
        };
        let mut unmanaged = foreign(Direction::Ingress, &self.ingress, &live.ingress, groups);
        unmanaged.extend(foreign(Direction::Egress, &self.egress, &live.egress, groups));
        (!none || wants_none).then(|| Live { unmanaged, ..Live::new(inputs, self.outputs()) })
    }

    /// Changes the group's rules to match the inputs. New rules are authorised before old rules are
    /// revoked, so that traffic that needs either is never interrupted. Of the unwanted rules, only
    /// those in `our_ingress` and `our_egress` are revoked.
    async fn settle(
        &self,
        aws: &Aws,
        our_ingress: &[SecurityGroupRule],
        our_egress: &[SecurityGroupRule],
    ) -> Result<SecurityGroupRulesOutputs> {
        let group = self.group.get().as_str();
        let live = rules_of_one(aws, group).await?;
        let ingress = changes(&self.ingress, &live.ingress, our_ingress);
        let egress = changes(&self.egress, &live.egress, our_egress);
        authorise_ingress(aws, group, &ingress.authorise).await?;
        authorise_egress(aws, group, &egress.authorise).await?;
        describe_ingress(aws, group, &ingress.describe).await?;
        describe_egress(aws, group, &egress.describe).await?;
        revoke_ingress(aws, group, ingress.revoke).await?;
        revoke_egress(aws, group, egress.revoke).await?;
        Ok(self.outputs())
    }
}

/// Returns the groups of the cluster: those with recorded rules, and those among the groups in
/// rules of others that have a tag of the cluster. Makes a call only if there are such rules.
async fn groups_of_cluster(
    aws: &Aws,
    all: &[(SecurityGroupRules, LiveRules)],
) -> Result<BTreeSet<String>> {
    let recorded = all.iter().map(|(inputs, _)| inputs.group.get().to_string());
    let mut groups: BTreeSet<String> = recorded.collect();
    let named = all.iter().flat_map(|(inputs, live)| {
        let ingress = foreign::named_groups(&inputs.ingress, &live.ingress);
        ingress.chain(foreign::named_groups(&inputs.egress, &live.egress))
    });
    let unknown: BTreeSet<&str> = named.filter(|group| !groups.contains(*group)).collect();
    let unknown: Vec<&str> = unknown.into_iter().collect();
    let mut tagged = Vec::new();
    for some in unknown.chunks(FILTER_VALUES) {
        let filters = vec![ec2::filter("group-id", some)];
        for group in types::SecurityGroup::describe(aws, filters).await? {
            let tags = group.tags().iter().filter_map(|tag| {
                Some((tag.key()?.to_owned(), tag.value().unwrap_or_default().to_owned()))
            });
            if is_group_of_cluster(&aws.settings, &tags.collect()) {
                tagged.extend(group.group_id().map(str::to_owned));
            }
        }
    }
    groups.extend(tagged);
    Ok(groups)
}

/// Defines a function for one direction and verb. The function makes no call if `grants` is empty.
macro_rules! permissions_call {
    ($name:ident: $call:ident $aws_name:literal) => {
        async fn $name(aws: &Aws, group: &str, grants: &BTreeMap<Grant, String>) -> Result<()> {
            if grants.is_empty() {
                return Ok(());
            }
            let call = aws.ec2.$call().group_id(group);
            let call = call.set_ip_permissions(Some(permissions(grants)));
            let done = aws.call("ec2", $aws_name, call.send()).await;
            ec2::retry_when(done, OUT_OF_DATE).map(drop)
        }
    };
}

permissions_call!(authorise_ingress: authorize_security_group_ingress "AuthorizeSecurityGroupIngress");
permissions_call!(authorise_egress: authorize_security_group_egress "AuthorizeSecurityGroupEgress");
permissions_call!(describe_ingress: update_security_group_rule_descriptions_ingress "UpdateSecurityGroupRuleDescriptionsIngress");
permissions_call!(describe_egress: update_security_group_rule_descriptions_egress "UpdateSecurityGroupRuleDescriptionsEgress");

async fn revoke_ingress(aws: &Aws, group: &str, ids: Vec<String>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let call = aws.ec2.revoke_security_group_ingress().group_id(group);
    let call = call.set_security_group_rule_ids(Some(ids));
    let done = aws.call("ec2", "RevokeSecurityGroupIngress", call.send()).await;
    ec2::retry_when(done, OUT_OF_DATE).map(drop)
}

async fn revoke_egress(aws: &Aws, group: &str, ids: Vec<String>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let call = aws.ec2.revoke_security_group_egress().group_id(group);
    let call = call.set_security_group_rule_ids(Some(ids));
    let done = aws.call("ec2", "RevokeSecurityGroupEgress", call.send()).await;
    ec2::retry_when(done, OUT_OF_DATE).map(drop)
}

/// Returns the live rules of a group. Steps of the same moment share one call.
async fn rules_of_one(aws: &Aws, group: &str) -> Result<LiveRules> {
    let read = |groups: Vec<String>| async move {
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let found = described(aws, &names).await;
        let of = |group: &String| {
            let all = found.as_ref().map_err(Clone::clone)?;
            Ok(all.iter().filter(|rule| rule.group_id() == Some(group)).cloned().collect())
        };
        groups.iter().map(of).collect()
    };
    let rules = aws.watch.batches.group_rules.send(group.to_owned(), read).await?;
    Ok(by_group(&rules)?.remove(group).unwrap_or_default())
}

/// Returns the live rules by group. A group that does not exist has no entry.
async fn rules_of(aws: &Aws, groups: &[&str]) -> Result<HashMap<String, LiveRules>> {
    by_group(&described(aws, groups).await?)
}

async fn described(aws: &Aws, groups: &[&str]) -> Result<Vec<types::SecurityGroupRule>> {
    let mut rules = Vec::new();
    for some in groups.chunks(FILTER_VALUES) {
        let filter = ec2::filter("group-id", some);
        let request = aws.ec2.describe_security_group_rules().filters(filter).max_results(1000);
        let found = pages!(aws, "DescribeSecurityGroupRules", request, security_group_rules);
        let is_wanted = |rule: &types::SecurityGroupRule| {
            rule.group_id().is_some_and(|group| some.contains(&group))
        };
        rules.extend(found.into_iter().filter(is_wanted));
    }
    Ok(rules)
}

fn by_group(rules: &[types::SecurityGroupRule]) -> Result<HashMap<String, LiveRules>> {
    let mut groups: HashMap<String, LiveRules> = HashMap::new();
    for rule in rules {
        let of_group = groups.entry(rule.group_id().unwrap_or_default().to_owned()).or_default();
        let direction = match rule.is_egress() {
            Some(true) => &mut of_group.egress,
            _ => &mut of_group.ingress,
        };
        direction.push(live_rule(rule)?);
    }
    Ok(groups)
}

fn live_rule(rule: &types::SecurityGroupRule) -> Result<LiveRule> {
    const CALL: &str = "DescribeSecurityGroupRules";
    let ports = rule.from_port().zip(rule.to_port()).map(|(from, to)| Ports { from, to });
    let referenced = rule.referenced_group_info().and_then(|group| group.group_id());
    let to = match (rule.cidr_ipv4(), referenced) {
        (Some(range), _) => Grantee::Cidr(ec2::parsed(CALL, "cidrIpv4", Some(range))?),
        (_, Some(group)) => Grantee::Group(group.into()),
        _ => Grantee::Other(
            rule.cidr_ipv6().or(rule.prefix_list_id()).unwrap_or("unknown").to_owned(),
        ),
    };
    Ok(LiveRule {
        id: ec2::id(CALL, rule.security_group_rule_id())?,
        grant: Grant::new(ec2::part(CALL, "ipProtocol", rule.ip_protocol())?, ports, to),
        description: rule.description().unwrap_or_default().to_owned(),
    })
}

/// Converts grants to the EC2 type: one permission for each pair of protocol and ports, with all
/// its peers.
fn permissions(grants: &BTreeMap<Grant, String>) -> Vec<IpPermission> {
    let mut permissions: BTreeMap<(&str, Option<Ports>), IpPermission> = BTreeMap::new();
    for (grant, description) in grants {
        let key = (grant.protocol.as_str(), grant.ports);
        let permission = permissions.entry(key).or_insert_with(|| empty_permission(grant));
        add(permission, grant, description);
    }
    permissions.into_values().collect()
}

/// Returns a permission without peers. Protocol `-1` has no ports. For other protocols without
/// ports, AWS requires -1 as port.
fn empty_permission(grant: &Grant) -> IpPermission {
    let ports = match grant.protocol.as_str() {
        "-1" => None,
        _ => Some(grant.ports.unwrap_or(Ports { from: -1, to: -1 })),
    };
    IpPermission::builder()
        .ip_protocol(&grant.protocol)
        .set_from_port(ports.map(|ports| ports.from))
        .set_to_port(ports.map(|ports| ports.to))
        .build()
}

fn add(permission: &mut IpPermission, grant: &Grant, description: &str) {
    let description = Some(description).filter(|text| !text.is_empty()).map(str::to_owned);
    match &grant.to {
        Grantee::Cidr(range) => {
            let range = IpRange::builder().cidr_ip(range.to_string());
            let range = range.set_description(description).build();
            permission.ip_ranges.get_or_insert_default().push(range);
        }
        Grantee::Group(group) => {
            let pair = UserIdGroupPair::builder().group_id(group.as_str());
            let pair = pair.set_description(description).build();
            permission.user_id_group_pairs.get_or_insert_default().push(pair);
        }
        Grantee::Other(list) if list.starts_with("pl-") => {
            let list = PrefixListId::builder().prefix_list_id(list);
            let list = list.set_description(description).build();
            permission.prefix_list_ids.get_or_insert_default().push(list);
        }
        Grantee::Other(range) => {
            let range = Ipv6Range::builder().cidr_ipv6(range);
            let range = range.set_description(description).build();
            permission.ipv6_ranges.get_or_insert_default().push(range);
        }
    }
}

/// Returns a rule for all protocols within 10.0.0.0/8. The range is irrelevant for a dry run,
/// because no IAM condition reads rules.
fn anything() -> IpPermission {
    let range = IpRange::builder().cidr_ip("10.0.0.0/8").build();
    IpPermission::builder().ip_protocol("-1").ip_ranges(range).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(protocol: &str, ports: (i32, i32)) -> types::builders::SecurityGroupRuleBuilder {
        types::SecurityGroupRule::builder()
            .security_group_rule_id("sgr-1")
            .ip_protocol(protocol)
            .from_port(ports.0)
            .to_port(ports.1)
    }

    #[test]
    fn a_described_rule_is_read_whoever_its_peer_is() {
        let range = live_rule(&rule("tcp", (22, 22)).cidr_ipv4("10.0.0.0/16").build()).unwrap();
        assert_eq!(range.grant.to, Grantee::Cidr("10.0.0.0/16".parse().unwrap()));
        assert_eq!(range.grant.ports, Some(Ports { from: 22, to: 22 }));
        let group = types::ReferencedSecurityGroup::builder().group_id("sg-2").build();
        let group = rule("50", (-1, -1)).referenced_group_info(group).description("esp").build();
        let group = live_rule(&group).unwrap();
        assert_eq!((group.grant.to, group.grant.ports), (Grantee::Group("sg-2".into()), None));
        assert_eq!(group.description, "esp");
        let list = live_rule(&rule("-1", (-1, -1)).prefix_list_id("pl-1").build()).unwrap();
        assert_eq!(list.grant.to, Grantee::Other("pl-1".to_owned()));
    }

    #[test]
    fn grants_of_the_same_protocol_and_ports_travel_as_one_permission() {
        let cidr = |text: &str| Grantee::Cidr(text.parse().unwrap());
        let ssh = Some(Ports { from: 22, to: 22 });
        let grants = [
            Grant::new("tcp", ssh, cidr("10.0.0.0/16")),
            Grant::new("tcp", ssh, cidr("10.1.0.0/16")),
            Grant::new("tcp", ssh, Grantee::Group("sg-1".into())),
            Grant::new("-1", None, cidr("0.0.0.0/0")),
            Grant::new("icmp", None, Grantee::Other("::/0".to_owned())),
        ];
        let grants = grants.into_iter().map(|grant| (grant, "ours".to_owned())).collect();
        let permissions = permissions(&grants);
        let ports: Vec<_> =
            permissions.iter().map(|one| (one.ip_protocol().unwrap(), one.from_port())).collect();
        assert_eq!(ports, [("-1", None), ("icmp", Some(-1)), ("tcp", Some(22))]);
        assert_eq!(permissions[1].ipv6_ranges()[0].cidr_ipv6(), Some("::/0"));
        assert_eq!(permissions[2].ip_ranges().len(), 2);
        assert_eq!(permissions[2].user_id_group_pairs()[0].description(), Some("ours"));
    }
}
