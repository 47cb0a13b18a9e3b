//! Lookups that compiling a config needs.
//!
//! The lookup cache in the state keeps their results by key, so that the same config compiles to
//! the same graph later. Makes no calls; the caller runs the lookups with a provider. Results that
//! [`super::compile`] rejects should not be kept.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::SubnetId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Error, Options, image, placement};
use crate::install_config::{InstallConfig, Publish};
pub use groundplan_aws::lookups::lookup::{
    Groups, HostedZoneFact, ImageFact, InstanceTypeFact, InstanceTypes, Offerings, Question, Reach,
    SubnetFact,
};

/// Returns the lookups that compiling this config needs and that `facts` has no result for. A
/// single round suffices, because no lookup depends on the result of another one.
pub fn questions(
    config: &InstallConfig,
    facts: &BTreeMap<String, Value>,
    options: &Options,
) -> Vec<Question> {
    let mut questions = BTreeSet::new();
    questions.extend(placement::questions(config));
    questions.extend(image::question(config, options));
    if !config.aws.subnets.is_empty() {
        questions.insert(subnets(config));
    }
    if let Some(id) = &config.aws.hosted_zone {
        questions.insert(Question::HostedZone { id: id.clone() });
    }
    if config.publish == Publish::External {
        questions.insert(Question::PublicZone { domain: config.base_domain.clone() });
    }
    questions.into_iter().filter(|question| !facts.contains_key(&question.key())).collect()
}

pub(crate) fn subnets(config: &InstallConfig) -> Question {
    let ids: BTreeSet<SubnetId> = config.aws.subnets.iter().cloned().collect();
    let region = config.aws.region.clone();
    Question::Subnets { region, ids: ids.into_iter().collect() }
}

/// Read access to the lookup cache.
#[derive(Clone, Copy)]
pub(crate) struct Facts<'a>(&'a BTreeMap<String, Value>);

impl<'a> Facts<'a> {
    pub(crate) fn new(facts: &'a BTreeMap<String, Value>) -> Self {
        Self(facts)
    }

    /// Returns the lookup result in the type that the variant of [`Question`] documents.
    pub(crate) fn answer<T: DeserializeOwned>(&self, question: &Question) -> Result<T, Error> {
        let key = question.key();
        let Some(answer) = self.0.get(&key) else {
            return Err(Error::Unanswered { question: key });
        };
        T::deserialize(answer)
            .map_err(|error| Error::Unreadable { question: key, why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_answer_and_a_wrong_one_are_told_apart() {
        let question = Question::AvailabilityZones { region: "us-west-2".into() };
        let mut facts = BTreeMap::new();
        let read =
            |facts: &BTreeMap<String, Value>| Facts::new(facts).answer::<Vec<String>>(&question);
        assert!(matches!(read(&facts), Err(Error::Unanswered { .. })));
        facts.insert(question.key(), Value::from(7));
        assert!(matches!(read(&facts), Err(Error::Unreadable { .. })));
        facts.insert(question.key(), Value::from(vec!["us-west-2a"]));
        assert_eq!(read(&facts), Ok(vec!["us-west-2a".to_owned()]));
    }
}
