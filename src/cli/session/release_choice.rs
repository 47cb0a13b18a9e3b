//! The release of a cluster, which selects the layout of its resources, and where it comes from.
//!
//! A cluster keeps its layout for life: an upgrade of OpenShift changes no resources. So the recorded
//! release comes first, then `--release`, then the assets. Makes no AWS calls.

use groundplan_engine::state::State;
use groundplan_openshift::machine_api::asset_manifests;
use groundplan_openshift::release::{Release, ReleaseError};
use groundplan_openshift::topology::{Assets, Layout};

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// Release of a cluster if nothing names one: the newest that is released, on 2026-11-29.
const DEFAULT: Release = Release::new(4, 22);

/// Release of a cluster.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReleaseChoice {
    release: Release,
    origin: Origin,
    /// Release of `--release`, a variable or the project file.
    given: Option<Release>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// The state records the release.
    Recorded,
    /// The state is of a version of groundplan that knew release 4.15 only.
    Unrecorded,
    /// The user names the release.
    Given,
    /// openshift-install of that release made the assets.
    Assets,
    /// Resources in AWS show the family of the release.
    Found,
    /// Default, because nothing names a release.
    Default,
}

impl ReleaseChoice {
    /// Returns the release of the cluster with this state.
    ///
    /// # Errors
    /// Returns an error if the state records a release that this version of groundplan does not know.
    pub(crate) fn of(given: Option<Release>, assets: &Assets, state: &State) -> Result<Self> {
        let chosen = |origin, release| Ok(Self { release, origin, given });
        if !state.has_nothing() {
            return match &state.lookup_cache.release {
                Some(text) => {
                    chosen(Origin::Recorded, text.parse().map_err(|error| unknown(&error))?)
                }
                None => chosen(Origin::Unrecorded, Layout::default().newest_release()),
            };
        }
        match (given, asset_manifests::release_of(assets)) {
            (Some(release), _) => chosen(Origin::Given, release),
            (None, Some(release)) => chosen(Origin::Assets, release),
            (None, None) => chosen(Origin::Default, DEFAULT),
        }
    }

    /// Returns the release of a cluster whose state is lost. `is_cluster_api`: AWS has resources with
    /// the tag of Cluster API for it.
    pub(crate) fn of_existing(
        given: Option<Release>,
        assets: &Assets,
        is_cluster_api: bool,
    ) -> Self {
        let found = if is_cluster_api { DEFAULT } else { Layout::default().newest_release() };
        match (given, asset_manifests::release_of(assets)) {
            (Some(release), _) => Self { release, origin: Origin::Given, given },
            (None, Some(release)) => Self { release, origin: Origin::Assets, given },
            (None, None) => Self { release: found, origin: Origin::Found, given },
        }
    }

    /// Returns the layout of the release.
    pub(crate) fn layout(self) -> Layout {
        Layout::of(self.release)
    }

    /// Returns the release to record. `None` for a cluster of an older version of groundplan.
    pub(crate) fn to_record(self) -> Option<String> {
        (self.origin != Origin::Unrecorded).then(|| self.release.to_string())
    }

    /// Returns a note about a release that the user did not choose; `None` without one.
    pub(crate) fn note(self) -> Option<String> {
        let (release, layout) = (self.release, self.layout());
        match (self.origin, self.given) {
            (Origin::Default, _) => Some(format!(
                "note: the resources are those of openshift-install {release}; --release or --assets \
                 selects another release"
            )),
            (Origin::Found, _) => Some(format!(
                "note: the resources have the tags of openshift-install {}; --release selects another \
                 release",
                layout.releases()
            )),
            (Origin::Recorded | Origin::Unrecorded, Some(given)) if Layout::of(given) != layout => {
                Some(format!(
                    "note: the cluster keeps the resources of openshift-install {}; --release {given} \
                     selects only the rules of the install-config",
                    layout.releases()
                ))
            }
            _ => None,
        }
    }
}

/// Returns the error for a recorded release that a newer version of groundplan wrote.
fn unknown(error: &ReleaseError) -> CommandError {
    let diagnostic = Diagnostic::could_not(Code::StateNewer, "use the recorded release", error)
        .with_hint("use the version of groundplan that created the cluster, or a later one");
    CommandError::new(Exit::Failed, diagnostic)
}

#[cfg(test)]
mod tests {
    use groundplan_engine::graph::Address;
    use groundplan_engine::state::{Cluster, Entry, RecordStatus};
    use groundplan_openshift::test_support::installer_assets::InstallerAssets;
    use serde_json::json;

    use super::*;

    fn choice(given: Option<&str>, assets: &Assets, state: &State) -> ReleaseChoice {
        let given = given.map(|release| release.parse().unwrap());
        ReleaseChoice::of(given, assets, state).unwrap()
    }

    /// Returns the state of a cluster with one resource.
    fn recorded(release: Option<&str>) -> State {
        let mut state = State::new("lineage".into());
        let lookup = "release".to_owned();
        let answer = json!(release);
        state.record(&Entry::LookupRecorded { lookup, answer }).unwrap();
        let address = Address::from("vpc.main");
        let (inputs, after) = (json!({}), Vec::new());
        let started =
            Entry::CreateStarted { address: address.clone(), generation: 1, inputs, after };
        let (outputs, status) = (json!({"id": "vpc-1"}), RecordStatus::Ready);
        state.record(&started).unwrap();
        state.record(&Entry::Created { address, outputs, status }).unwrap();
        state
    }

    fn assets(release: &str) -> Assets {
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster {
            name: "plain".into(),
            infra_id: "plain-abcde".into(),
            cluster_id: "3f2d4f5e-9a1b-4c6d-8e7f-0a1b2c3d4e5f".into(),
            region: "us-east-1".into(),
        };
        InstallerAssets::recorded(release, "plain").write(folder.path(), &cluster);
        Assets::read(folder.path()).unwrap()
    }

    #[test]
    fn a_new_cluster_has_the_given_release_or_that_of_the_assets_or_the_newest() {
        let nothing = State::default();
        let none = Assets::none();
        let newest = choice(None, &none, &nothing);
        assert_eq!(newest.to_record().as_deref(), Some("4.22"));
        assert!(newest.note().unwrap().contains("openshift-install 4.22"));
        let given = choice(Some("4.15"), &assets("main"), &nothing);
        assert_eq!((given.to_record().as_deref(), given.note()), (Some("4.15"), None));
        let older = choice(None, &assets("4.15"), &nothing);
        assert_eq!((older.to_record().as_deref(), older.note()), (Some("4.15"), None));
        assert_eq!(choice(None, &assets("main"), &nothing).layout().releases(), "4.16 to 4.22");
    }

    #[test]
    fn a_cluster_keeps_its_layout() {
        let state = recorded(Some("4.20"));
        let kept = choice(None, &assets("4.15"), &state);
        assert_eq!((kept.to_record().as_deref(), kept.note()), (Some("4.20"), None));
        assert_eq!(choice(Some("4.21"), &Assets::none(), &state).note(), None);
        let asked = choice(Some("4.15"), &Assets::none(), &state);
        assert_eq!(asked.layout().releases(), "4.16 to 4.22");
        assert!(asked.note().unwrap().contains("keeps the resources"));
    }

    #[test]
    fn a_cluster_of_an_older_version_has_the_only_layout_of_that_version() {
        let older = choice(None, &assets("main"), &recorded(None));
        assert_eq!((older.layout(), older.to_record()), (Layout::default(), None));
        let unknown = ReleaseChoice::of(None, &Assets::none(), &recorded(Some("6.1")));
        assert!(unknown.is_err());
    }
}
