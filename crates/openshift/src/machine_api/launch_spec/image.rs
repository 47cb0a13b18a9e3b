//! Image of a machine: the image with the given ID, or the newest image that matches the filters.

use groundplan_aws::lookups::lookup::{ImageCandidate, ImageFact, Lookup};
use groundplan_aws::model::ids::ImageId;
use jiff::Timestamp;

use super::answers::{RegionLookups, asked, nothing, shown};
use super::{LaunchError, Result, devices};
use crate::machine_api::types::AwsMachineProviderConfig;

/// Image, and its root device if a lookup was necessary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LaunchImage {
    pub(super) id: ImageId,
    pub(super) root_device: Option<String>,
}

/// Returns the lookup that the image needs. An image with an ID needs one only for the root device.
pub(super) fn needed_lookups(config: &AwsMachineProviderConfig, region: &str) -> Option<Lookup> {
    match &config.ami.id {
        Some(id) => devices::want_root(config).then(|| by_id(region, id)),
        None if config.ami.filters.is_empty() => None,
        None => Some(by_filters(config, region)),
    }
}

pub(super) fn find(
    config: &AwsMachineProviderConfig,
    answers: &RegionLookups<'_>,
) -> Result<LaunchImage> {
    match &config.ami.id {
        Some(id) => named(id, config, answers),
        None if config.ami.filters.is_empty() => {
            Err(LaunchError::invalid("ami", "has neither an id nor filters"))
        }
        None => newest(answers.to(&by_filters(config, answers.region))?, config),
    }
}

fn by_id(region: &str, id: &str) -> Lookup {
    Lookup::Image { region: region.to_owned(), id: id.into() }
}

fn by_filters(config: &AwsMachineProviderConfig, region: &str) -> Lookup {
    Lookup::ImagesBy { region: region.to_owned(), filters: asked(&config.ami.filters) }
}

fn named(
    id: &str,
    config: &AwsMachineProviderConfig,
    answers: &RegionLookups<'_>,
) -> Result<LaunchImage> {
    if !devices::want_root(config) {
        return Ok(LaunchImage { id: id.into(), root_device: None });
    }
    let fact: Option<ImageFact> = answers.to(&by_id(answers.region, id))?;
    let unknown = || LaunchError::invalid("ami.id", format!("{id} is not an image of this region"));
    Ok(LaunchImage { id: id.into(), root_device: Some(fact.ok_or_else(unknown)?.root_device) })
}

/// Returns the newest image.
fn newest(
    candidates: Vec<ImageCandidate>,
    config: &AwsMachineProviderConfig,
) -> Result<LaunchImage> {
    let mut dated = Vec::new();
    for one in candidates {
        let text = one.created.clone().unwrap_or_default();
        let created: Timestamp = text.parse().map_err(|_| {
            let message = format!("{} has the creation date `{text}`, which is not a time", one.id);
            LaunchError::invalid("ami.filters", message)
        })?;
        dated.push((created, one));
    }
    let newest = dated.into_iter().max_by_key(|(created, _)| *created);
    let sought = || nothing("image", &shown(&config.ami.filters));
    let (_, newest) = newest.ok_or_else(|| LaunchError::invalid("ami.filters", sought()))?;
    Ok(LaunchImage { id: newest.id, root_device: newest.root_device })
}
