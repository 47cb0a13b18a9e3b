//! The image that masters and bootstrap boot: configured, from the stream, or a copy.

use groundplan_aws::kinds::ami_copy::AmiCopy;
use groundplan_aws::model::ids::ImageId;
use groundplan_aws::model::partition::Partition;
use groundplan_engine::graph::{Address, Graph, Input, Resource};
use groundplan_engine::out;
use groundplan_engine::state::{Record, State};

use super::naming::ResourceNames;
use super::{CompileError, CompileOptions, is_control_plane};
use crate::install_config::{Architecture, InstallConfig, MachinePool};
use crate::topology::lookups::{ImageFact, Lookup, LookupView};

/// Region that has every image of the stream, as the source of copies within the partition `aws`.
const SOURCE_REGION: &str = "us-east-1";

/// The image to boot.
pub(crate) struct BootImage {
    /// The image in the cluster's region.
    pub(crate) id: Input<ImageId>,
    /// Name of the image's root device.
    pub(crate) root_device: String,
}

/// Returns the lookup of the image. `None` if there is no image.
pub(crate) fn lookup(config: &InstallConfig, options: &CompileOptions) -> Option<Lookup> {
    choose(config, options).ok().map(|choice| choice.lookup())
}

/// An image that exists and is suitable.
#[derive(Clone, Debug)]
pub(crate) struct ImageSpec {
    choice: RegionalImage,
    root_device: String,
}

/// Returns the image that this config boots, if it exists in AWS and is suitable.
pub(crate) fn find(
    config: &InstallConfig,
    lookup_cache: &LookupView,
    options: &CompileOptions,
) -> Result<ImageSpec, CompileError> {
    let choice = choose(config, options)?;
    let fact: Option<ImageFact> = lookup_cache.answer(&choice.lookup())?;
    let pool = &config.control_plane;
    let field = "controlPlane.platform.aws.amiID";
    let image = NamedImage { id: &choice.id, region: &choice.region, field };
    let root_device = image.check(fact, pool.architecture)?;
    Ok(ImageSpec { choice, root_device })
}

impl ImageSpec {
    /// Adds the image. Copies it into the cluster's region if that region has none.
    pub(crate) fn add(&self, graph: &mut Graph, names: &ResourceNames, region: &str) -> BootImage {
        let (choice, root_device) = (&self.choice, self.root_device.clone());
        if choice.region == region {
            return BootImage { id: choice.id.clone().into(), root_device };
        }
        let copy = graph.add("rhcos", &choice.copy(names, region));
        BootImage { id: out!(copy.id), root_device }
    }
}

/// An image that a pool names.
pub(crate) struct NamedImage<'a> {
    pub(crate) id: &'a ImageId,
    pub(crate) region: &'a str,
    /// Field that names the image.
    pub(crate) field: &'a str,
}

impl NamedImage<'_> {
    /// Returns the root device of the image if the image exists, is available, and has the
    /// architecture of the machines.
    pub(crate) fn check(
        &self,
        fact: Option<ImageFact>,
        wanted: Architecture,
    ) -> Result<String, CompileError> {
        let (field, id, region) = (self.field.to_owned(), self.id.clone(), self.region.to_owned());
        let Some(fact) = fact else {
            return Err(CompileError::ImageNotFound { field, id, region });
        };
        if let Some(state) = fact.state.filter(|state| state != "available") {
            return Err(CompileError::ImageNotReady { field, id, state });
        }
        let wanted = called(wanted);
        match fact.architecture.filter(|found| found != wanted) {
            Some(found) => Err(CompileError::ImageArchitecture { field, id, found, wanted }),
            None => Ok(fact.root_device),
        }
    }
}

/// Returns the name of an architecture in EC2.
pub(crate) fn called(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Amd64 => "x86_64",
        Architecture::Arm64 => "arm64",
    }
}

/// An image and its region.
#[derive(Clone, Debug)]
pub(crate) struct RegionalImage {
    id: ImageId,
    region: String,
}

impl RegionalImage {
    fn lookup(&self) -> Lookup {
        Lookup::Image { region: self.region.clone(), id: self.id.clone() }
    }

    fn copy(&self, names: &ResourceNames, region: &str) -> AmiCopy {
        let mut tags = names.tags(&names.layout.image_copy_tag.with(region));
        tags.insert("sourceAMI".into(), self.id.0.clone());
        tags.insert("sourceRegion".into(), self.region.clone());
        let (source, source_region) = (self.id.clone(), self.region.clone());
        AmiCopy { source, source_region, name: names.name(names.layout.image_copy), tags }
    }
}

/// The image that the masters of a state boot. A run without a stream uses it, so that later runs need
/// no stream.
#[derive(Clone, Debug)]
pub struct RecordedImage(RegionalImage);

impl RecordedImage {
    /// Returns the image of the recorded masters: the source of the copy in the cluster's region, or
    /// else the image of the master that was replaced most often. `None` if no master is recorded.
    pub fn of(state: &State) -> Option<Self> {
        let text = |record: &Record, name: &str| record.inputs[name].as_str().map(str::to_owned);
        let masters = state.resources.iter().filter(|(address, _)| is_control_plane(address));
        let masters: Vec<&Record> = masters.map(|(_, record)| record).collect();
        let newest = masters.iter().rev().max_by_key(|record| record.generation)?;
        let is_copy = |address: &Address| address.kind() == AmiCopy::SCHEMA.kind;
        let copy = state.resources.iter().find(|(address, _)| is_copy(address));
        let (id, region) = match copy {
            Some((_, copy)) => (text(copy, "source")?, text(copy, "source_region")?),
            None => (text(newest, "image")?, state.cluster.as_ref()?.region.clone()),
        };
        Some(Self(RegionalImage { id: ImageId(id), region }))
    }
}

/// Returns the image of a pool's machines in the cluster's region. `None` means the copy that is
/// created for the masters.
pub(super) fn of_pool(
    config: &InstallConfig,
    pool: &MachinePool,
    options: &CompileOptions,
) -> Result<Option<ImageId>, CompileError> {
    let is_here = |choice: &RegionalImage| choice.region == config.aws.region;
    let choice = choose_for(config, pool, options)?;
    if is_here(&choice) {
        return Ok(Some(choice.id));
    }
    match choose(config, options)? {
        masters if is_here(&masters) => {
            Err(CompileError::NotInStream { region: config.aws.region.clone() })
        }
        _ => Ok(None),
    }
}

fn choose(config: &InstallConfig, options: &CompileOptions) -> Result<RegionalImage, CompileError> {
    choose_for(config, &config.control_plane, options)
}

fn choose_for(
    config: &InstallConfig,
    pool: &MachinePool,
    options: &CompileOptions,
) -> Result<RegionalImage, CompileError> {
    let region = config.aws.region.clone();
    if let Some(id) = &pool.aws.ami_id {
        return Ok(RegionalImage { id: id.clone(), region });
    }
    let Some(stream) = &options.stream else {
        let is_alike = pool.architecture == config.control_plane.architecture;
        let recorded = options.recorded_image.as_ref().filter(|_| is_alike);
        return recorded.map(|image| image.0.clone()).ok_or(CompileError::NoImage);
    };
    let image = |region: &str| stream.image(pool.architecture, region).cloned();
    let found = match image(&region) {
        Some(id) => RegionalImage { id, region },
        // AWS cannot copy images between partitions.
        None => match image(SOURCE_REGION) {
            Some(id) if Partition::of_region(&region).is_public() => {
                RegionalImage { id, region: SOURCE_REGION.to_owned() }
            }
            _ => return Err(CompileError::NotInStream { region }),
        },
    };
    check_os(config, options, stream.os(pool.architecture, &found.region)).map(|()| found)
}

/// Rejects an image of another operating system than the config names, or, without a name, than
/// openshift-install of the release installs. Releases before 5.0 install RHEL 9, or RHEL 8 in 4.12
/// (openshift/installer `pkg/rhcos/stream.go`). An unknown operating system fits.
fn check_os(
    config: &InstallConfig,
    options: &CompileOptions,
    found: Option<&str>,
) -> Result<(), CompileError> {
    let default = options.layout.0.manifests.default_os_stream;
    let named = config.os_image_stream.as_deref();
    let fits = |found: &str| match named.or(default) {
        Some(wanted) => found == wanted,
        None => found != "rhel-10",
    };
    match found.filter(|found| !fits(found)) {
        None => Ok(()),
        Some(found) => Err(CompileError::OtherStream {
            found: found.to_owned(),
            wanted: named.or(default).unwrap_or("rhel-9").to_owned(),
            is_named: named.is_some(),
        }),
    }
}
