//! The image that masters and bootstrap boot: configured, of the stream, or a copy.

use super::facts::{Facts, ImageFact, Question};
use super::naming::Names;
use super::{Error, Options};
use crate::aws::ami_copy::AmiCopy;
use crate::aws::ids::ImageId;
use crate::config::{Architecture, InstallConfig, MachinePool};
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

/// An image that can be booted.
pub(crate) struct Found {
    choice: Choice,
    root_device: String,
}

/// The image that this config boots, if AWS has it and it is fit to be booted.
pub(crate) fn find(
    config: &InstallConfig,
    facts: &Facts,
    options: &Options,
) -> Result<Found, Error> {
    let choice = choose(config, options)?;
    let fact: Option<ImageFact> = facts.answer(&choice.question())?;
    let pool = &config.control_plane;
    let field = "controlPlane.platform.aws.amiID";
    let image = Candidate { id: &choice.id, region: &choice.region, field };
    let root_device = image.check(fact, pool.architecture)?;
    Ok(Found { choice, root_device })
}

impl Found {
    /// The image, copied into the region if it has none.
    pub(crate) fn add(self, graph: &mut Graph, config: &InstallConfig, names: &Names) -> Image {
        let Self { choice, root_device } = self;
        if choice.region == config.aws.region {
            return Image { id: choice.id.into(), root_device };
        }
        let copy = graph.add("rhcos", &choice.copy(names, &config.aws.region));
        Image { id: out!(copy.id), root_device }
    }
}

/// An image that a pool asks for.
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a ImageId,
    pub(crate) region: &'a str,
    /// Where it is asked for.
    pub(crate) field: &'a str,
}

impl Candidate<'_> {
    /// Its root device, if it is there, ready, and of the machines' architecture.
    pub(crate) fn check(
        &self,
        fact: Option<ImageFact>,
        wanted: Architecture,
    ) -> Result<String, Error> {
        let (field, id, region) = (self.field.to_owned(), self.id.clone(), self.region.to_owned());
        let Some(fact) = fact else { return Err(Error::ImageNotFound { field, id, region }) };
        if let Some(state) = fact.state.filter(|state| state != "available") {
            return Err(Error::ImageNotReady { field, id, state });
        }
        let wanted = called(wanted);
        match fact.architecture.filter(|found| found != wanted) {
            Some(found) => Err(Error::ImageArchitecture { field, id, found, wanted }),
            None => Ok(fact.root_device),
        }
    }
}

/// What AWS calls an architecture.
pub(crate) fn called(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "x86_64",
        Architecture::Arm64 => "arm64",
    }
}

/// An image and the region that has it.
pub(crate) struct Choice {
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

/// The image of a pool's machines in the cluster's region; `None` is the copy that is made for the
/// masters.
pub(super) fn of_pool(
    config: &InstallConfig,
    pool: &MachinePool,
    options: &Options,
) -> Result<Option<ImageId>, Error> {
    let is_here = |choice: &Choice| choice.region == config.aws.region;
    let choice = choose_for(config, pool, options)?;
    if is_here(&choice) {
        return Ok(Some(choice.id));
    }
    match choose(config, options)? {
        masters if is_here(&masters) => {
            Err(Error::NotInStream { region: config.aws.region.clone() })
        }
        _ => Ok(None),
    }
}

fn choose(config: &InstallConfig, options: &Options) -> Result<Choice, Error> {
    choose_for(config, &config.control_plane, options)
}

fn choose_for(
    config: &InstallConfig,
    pool: &MachinePool,
    options: &Options,
) -> Result<Choice, Error> {
    let region = config.aws.region.clone();
    if let Some(id) = &pool.aws.ami_id {
        return Ok(Choice { id: id.clone(), region });
    }
    let stream = options.stream.as_ref().ok_or(Error::NoImage)?;
    let image = |region: &str| stream.image(pool.architecture, region).cloned();
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
