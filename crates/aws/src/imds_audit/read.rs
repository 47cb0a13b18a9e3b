//! Reads the machines, images, launch templates, defaults and metrics of a region.
//!
//! A failed query leaves out its part and is recorded. Only the machines themselves must be readable.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_cloudwatch::types::{
    Dimension, Metric, MetricDataQuery, MetricDataResult, MetricStat, StatusCode,
};
use aws_sdk_ec2::types::{self, Filter, InstanceMetadataOptionsState};
use aws_smithy_types::DateTime;
use groundplan_engine::provider::ProviderError;

use super::{Audit, AuditedMachine, AuditedTemplate, DAY, Judged, UnreadPart, UseOfV1, Window};
use crate::Aws;
use crate::client::ec2::{Ec2Object, by_ids, filter, pages};
use crate::client::instances::live_metadata_options;
use crate::client::resource_type::Result;
use crate::model::metadata_options::{HopLimit, HttpTokens, MetadataOptions, Switch};
use crate::model::{CLUSTER_API_TAG_PREFIX, CLUSTER_TAG_PREFIX, cluster_tag_key, owner_of_tag};
use crate::preflight::account_settings::{imds_support, metadata_defaults};

/// Maximum number of queries in a call of GetMetricData (CloudWatch API reference).
const QUERIES: usize = 500;

/// Metrics of requests without a session token, answered and rejected.
const METRICS: [&str; 2] = ["MetadataNoToken", "MetadataNoTokenRejected"];

/// Clusters to audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The cluster with this infra ID.
    Cluster(String),
    /// All clusters with machines in the region.
    AllClusters,
}

impl Scope {
    /// Tags of a resource are searched by key.
    fn filter(&self) -> Filter {
        match self {
            Self::Cluster(infra_id) => filter("tag-key", &[&cluster_tag_key(infra_id)]),
            Self::AllClusters => {
                let all = [CLUSTER_TAG_PREFIX, CLUSTER_API_TAG_PREFIX];
                let all = all.map(|prefix| format!("{prefix}*"));
                filter("tag-key", &all.each_ref().map(String::as_str))
            }
        }
    }

    /// Returns the cluster that owns a resource with these tags, if it is in the scope.
    fn owner(&self, tags: &[types::Tag]) -> Option<String> {
        let mut owners = tags.iter().filter_map(|tag| owner_of_tag(tag.key()?, tag.value()?));
        let owner = owners.find(|owner| match self {
            Self::Cluster(infra_id) => owner == infra_id,
            Self::AllClusters => true,
        });
        owner.map(str::to_owned)
    }
}

/// Reads the machines of the scope in the region of `aws`, with the metrics of the window.
///
/// # Errors
/// If EC2 does not return the machines. Other failures are in [`Audit::unread`].
pub async fn read(aws: &Aws, scope: &Scope, window: Window) -> Result<Audit> {
    let mut audit = Audit { window, ..Audit::default() };
    let (machines, templates, account) =
        tokio::join!(machines(aws, scope), templates(aws, scope), metadata_defaults(aws));
    audit.machines = machines?;
    audit.templates = audit.keep("ec2", templates).unwrap_or_default();
    audit.account = audit.keep("ec2", account);
    let of_machines = audit.machines.iter().filter_map(|machine| machine.image.clone());
    let of_templates = audit.templates.iter().filter_map(|template| template.image.clone());
    let images: BTreeSet<String> = of_machines.chain(of_templates).collect();
    let ids: Vec<String> = audit.machines.iter().map(|machine| machine.id.clone()).collect();
    let (images, metrics) = tokio::join!(
        async {
            if images.is_empty() { Ok(BTreeMap::new()) } else { imds_support(aws, &images).await }
        },
        metrics(aws, &ids, window),
    );
    audit.images = audit.keep("ec2", images).unwrap_or_default();
    if let Some(mut metrics) = audit.keep("cloudwatch", metrics) {
        for machine in &mut audit.machines {
            machine.use_of_v1 = metrics.remove(&machine.id);
        }
    }
    Ok(audit)
}

/// Returns the use of IMDSv1 by these instances, by ID.
///
/// # Errors
/// If EC2 or CloudWatch returns an error.
pub async fn uses(aws: &Aws, ids: &[String], window: Window) -> Result<BTreeMap<String, Judged>> {
    let found = by_ids::<types::Instance>(aws, ids.iter().map(String::as_str));
    let (found, metrics) = tokio::join!(found, metrics(aws, ids, window));
    let (found, mut metrics) = (found?, metrics?);
    let judged = |id: &String| {
        let launched_at = found.get(id).and_then(types::Instance::launch_time);
        let used = metrics.remove(id).unwrap_or_default();
        (id.clone(), used.judged(window, launched_at.map(DateTime::secs)))
    };
    Ok(ids.iter().map(judged).collect())
}

impl Audit {
    fn keep<T>(&mut self, service: &str, part: Result<T>) -> Option<T> {
        let unread = |error: ProviderError| UnreadPart {
            action: format!("{service}:{}", error.call),
            message: error.to_string(),
        };
        part.map_err(|error| self.unread.push(unread(error))).ok()
    }
}

async fn machines(aws: &Aws, scope: &Scope) -> Result<Vec<AuditedMachine>> {
    let states = ["pending", "running", "stopping", "stopped"];
    let filters = vec![scope.filter(), filter("instance-state-name", &states)];
    let found = types::Instance::describe(aws, filters).await?;
    let machine = |live: &types::Instance| {
        let options = live.metadata_options();
        Some(AuditedMachine {
            id: live.instance_id()?.to_owned(),
            name: name(live.tags()),
            cluster: scope.owner(live.tags())?,
            image: live.image_id().map(str::to_owned),
            state: live.state().and_then(|state| state.name())?.as_str().to_owned(),
            launched_at: live.launch_time().map(DateTime::secs),
            options: options.map(|_| live_metadata_options(live)),
            is_pending: options.and_then(|options| options.state())
                == Some(&InstanceMetadataOptionsState::Pending),
            use_of_v1: None,
        })
    };
    let mut machines: Vec<AuditedMachine> = found.iter().filter_map(machine).collect();
    let place = |one: &AuditedMachine| (one.cluster.clone(), one.name.clone(), one.id.clone());
    machines.sort_by_cached_key(place);
    Ok(machines)
}

/// Returns the launch templates of the scope with their default versions: two calls.
async fn templates(aws: &Aws, scope: &Scope) -> Result<Vec<AuditedTemplate>> {
    let request = aws.ec2.describe_launch_templates().filters(scope.filter());
    let found = pages!(aws, "DescribeLaunchTemplates", request, launch_templates);
    let mut owned: BTreeMap<String, AuditedTemplate> = BTreeMap::new();
    for template in &found {
        let Some(id) = template.launch_template_id() else { continue };
        let Some(cluster) = scope.owner(template.tags()) else { continue };
        let name = template.launch_template_name().map(str::to_owned);
        let (image, options) = (None, None);
        let one = AuditedTemplate { id: id.to_owned(), name, cluster, image, options };
        owned.insert(id.to_owned(), one);
    }
    if owned.is_empty() {
        return Ok(Vec::new());
    }
    // Without an ID, `$Default` selects the default version of every template of the account.
    let request = aws.ec2.describe_launch_template_versions().versions("$Default");
    let versions = pages!(aws, "DescribeLaunchTemplateVersions", request, launch_template_versions);
    for version in versions {
        let template = version.launch_template_id().and_then(|id| owned.get_mut(id));
        let Some((template, data)) = template.zip(version.launch_template_data()) else { continue };
        template.image = data.image_id().map(str::to_owned);
        template.options = Some(of_template(data.metadata_options()));
    }
    Ok(owned.into_values().collect())
}

/// Options of a launch template, which has types of its own. A value that groundplan does not know
/// becomes `None`.
fn of_template(options: Option<&types::LaunchTemplateInstanceMetadataOptions>) -> MetadataOptions {
    let Some(options) = options else { return MetadataOptions::default() };
    let switch = |word: Option<&str>| match word {
        Some("enabled") => Some(Switch::Enabled),
        Some("disabled") => Some(Switch::Disabled),
        _ => None,
    };
    MetadataOptions {
        http_tokens: match options.http_tokens().map(types::LaunchTemplateHttpTokensState::as_str) {
            Some("required") => Some(HttpTokens::Required),
            Some("optional") => Some(HttpTokens::Optional),
            _ => None,
        },
        http_endpoint: switch(
            options.http_endpoint().map(types::LaunchTemplateInstanceMetadataEndpointState::as_str),
        ),
        http_put_response_hop_limit: options
            .http_put_response_hop_limit()
            .and_then(|hops| HopLimit::new(hops.into())),
        instance_metadata_tags: switch(
            options
                .instance_metadata_tags()
                .map(types::LaunchTemplateInstanceMetadataTagsState::as_str),
        ),
    }
}

fn name(tags: &[types::Tag]) -> Option<String> {
    let name = tags.iter().find(|tag| tag.key() == Some("Name"));
    name.and_then(|tag| tag.value()).map(str::to_owned)
}

/// Returns the use of IMDSv1 by instance ID, in calls of [`QUERIES`] queries.
async fn metrics(aws: &Aws, ids: &[String], window: Window) -> Result<BTreeMap<String, UseOfV1>> {
    let queries: Vec<(&str, &str)> =
        ids.iter().flat_map(|id| METRICS.map(|metric| (id.as_str(), metric))).collect();
    let mut used: BTreeMap<String, UseOfV1> = BTreeMap::new();
    for part in queries.chunks(QUERIES) {
        let of_part: Vec<MetricDataQuery> =
            part.iter().enumerate().map(|(index, (id, metric))| query(index, id, metric)).collect();
        let call = aws.cloudwatch.get_metric_data().set_metric_data_queries(Some(of_part));
        let call = call.start_time(DateTime::from_secs(window.from));
        let request = call.end_time(DateTime::from_secs(window.until));
        let mut token = None;
        loop {
            let call = request.clone().set_next_token(token).send();
            let answer = aws.call("cloudwatch", "GetMetricData", call).await?;
            for result in answer.metric_data_results() {
                let Some((id, metric)) = place(result).and_then(|index| part.get(index)) else {
                    continue;
                };
                let used = used.entry((*id).to_owned()).or_default();
                let days =
                    if *metric == METRICS[0] { &mut used.answered } else { &mut used.rejected };
                // Incomplete results count as far as they go: a day without a value is not clean.
                if result.status_code() != Some(&StatusCode::InternalError) {
                    days.extend(values(result));
                }
            }
            token = answer.next_token;
            if token.is_none() {
                break;
            }
        }
    }
    Ok(used)
}

/// IDs of queries begin with a lower-case letter.
fn query(index: usize, id: &str, metric: &str) -> MetricDataQuery {
    let instance = Dimension::builder().name("InstanceId").value(id).build();
    let metric = Metric::builder().namespace("AWS/EC2").metric_name(metric).dimensions(instance);
    let day = i32::try_from(DAY).unwrap_or(i32::MAX);
    let sum = MetricStat::builder().metric(metric.build()).period(day).stat("Sum").build();
    MetricDataQuery::builder().id(format!("q{index}")).metric_stat(sum).build()
}

fn place(result: &MetricDataResult) -> Option<usize> {
    result.id()?.strip_prefix('q')?.parse().ok()
}

/// Returns the sums by the begin of the day.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn values(result: &MetricDataResult) -> impl Iterator<Item = (i64, u64)> {
    let days = result.timestamps().iter().map(|at| at.secs() - at.secs().rem_euclid(DAY));
    days.zip(result.values().iter().map(|count| count.max(0.0) as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(key: &str, value: &str) -> types::Tag {
        types::Tag::builder().key(key).value(value).build()
    }

    #[test]
    fn a_machine_belongs_to_the_cluster_that_owns_it() {
        let one = Scope::Cluster("demo-x7k2p".into());
        let tags = [tag("Name", "demo"), tag("kubernetes.io/cluster/demo-x7k2p", "owned")];
        assert_eq!(one.owner(&tags).as_deref(), Some("demo-x7k2p"));
        assert_eq!(Scope::AllClusters.owner(&tags).as_deref(), Some("demo-x7k2p"));
        let shared = [tag("kubernetes.io/cluster/demo-x7k2p", "shared")];
        assert_eq!(one.owner(&shared), None);
        let other = [tag("kubernetes.io/cluster/other", "owned")];
        assert_eq!(one.owner(&other), None);
    }

    #[test]
    fn a_query_is_the_sum_of_each_day() {
        let query = query(3, "i-1", METRICS[1]);
        assert_eq!(query.id(), Some("q3"));
        let stat = query.metric_stat().unwrap();
        assert_eq!((stat.period(), stat.stat()), (Some(86400), Some("Sum")));
        let metric = stat.metric().unwrap();
        assert_eq!(metric.metric_name(), Some("MetadataNoTokenRejected"));
    }
}
