//! The image that masters and bootstrap boot: configured, of the stream, or a copy.

use super::facts::{Facts, ImageFact, Question};
use super::naming::Names;
use super::{Error, Options};
use crate::aws::ami_copy::AmiCopy;
use crate::aws::ids::ImageId;
use crate::config::InstallConfig;
use crate::graph::{Graph, Input};
use crate::out;

/// Where every image of the stream can be copied from, within the partition `aws`.
const SOURCE_REGION: &str = "us-east-1";

/// What is booted.
pub(crate) struct Image {
    /// The image in the cluster's region.
    pub(crate) id: Input<ImageId>,
    /// The device it calls its root.
    pub(crate) root_device: String,
}

/// What must be asked about the image. Without an image there is nothing to ask.
pub(crate) fn question(config: &InstallConfig, options: &Options) -> Option<Question> {
    choose(config, options).ok().map(|choice| choice.question())
}

/// The image, copied into the region if it has none.
pub(crate) fn add(
    graph: &mut Graph,
    config: &InstallConfig,
    names: &Names,
    facts: &Facts,
    options: &Options,
) -> Result<Image, Error> {
    let choice = choose(config, options)?;
    let fact: Option<ImageFact> = facts.answer(&choice.question())?;
    let Some(ImageFact { root_device }) = fact else {
        return Err(Error::ImageNotFound { id: choice.id, region: choice.region });
    };
    if choice.region == config.aws.region {
        return Ok(Image { id: choice.id.into(), root_device });
    }
    let copy = graph.add("rhcos", &choice.copy(names, &config.aws.region));
    Ok(Image { id: out!(copy.id), root_device })
}

/// An image and the region that has it.
struct Choice {
    id: ImageId,
    region: String,
}

impl Choice {
    fn question(&self) -> Question {
        Question::Image { region: self.region.clone(), id: self.id.clone() }
    }

    fn copy(self, names: &Names, region: &str) -> AmiCopy {
        let mut tags = names.tags(&format!("ami-{region}"));
        tags.insert("sourceAMI".into(), self.id.0.clone());
        tags.insert("sourceRegion".into(), self.region.clone());
        AmiCopy { source: self.id, source_region: self.region, name: names.name("master"), tags }
    }
}

fn choose(config: &InstallConfig, options: &Options) -> Result<Choice, Error> {
    let region = config.aws.region.clone();
    if let Some(id) = &config.control_plane.aws.ami_id {
        return Ok(Choice { id: id.clone(), region });
    }
    let stream = options.stream.as_ref().ok_or(Error::NoImage)?;
    let image = |region: &str| stream.image(config.control_plane.architecture, region).cloned();
    if let Some(id) = image(&region) {
        return Ok(Choice { id, region });
    }
    // Images cannot be copied from one partition into another.
    match image(SOURCE_REGION) {
        Some(id) if super::iam::partition(&region).name == "aws" => {
            Ok(Choice { id, region: SOURCE_REGION.to_owned() })
        }
        _ => Err(Error::NotInStream { region }),
    }
}
