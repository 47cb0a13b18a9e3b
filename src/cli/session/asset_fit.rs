//! Fit of the assets: the machines in `bootstrap.ign` must find the resources of the plan.

use groundplan_openshift::machine_api::asset_manifests::{
    AssetFit, AssetManifestError, Difference, DifferenceTopic,
};

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// Returns the comparison, or the error for manifests that cannot be read.
pub(super) fn readable(
    compared: &std::result::Result<AssetFit, AssetManifestError>,
) -> Result<&AssetFit> {
    compared.as_ref().map_err(unreadable)
}

/// Returns the error for manifests that cannot be read.
pub(crate) fn unreadable(error: &AssetManifestError) -> CommandError {
    let summary = "could not read the manifests in bootstrap.ign";
    let diagnostic =
        Diagnostic::error(Code::AssetsUnusable, summary).with_detail(error.to_string()).with_hint(
            "correct the manifest in the folder of `openshift-install create manifests`, and run \
             `openshift-install create ignition-configs` there",
        );
    CommandError::new(Exit::ConfigInvalid, diagnostic)
}

/// Returns an error if the machines in the assets do not find the resources of the plan, or have
/// another metadata policy. `None` is a plan that does not install the cluster.
pub(super) fn ensure_fit(fit: Option<&AssetFit>) -> Result<()> {
    match fit {
        Some(fit) if !fit.differences.is_empty() => {
            Err(CommandError::new(Exit::Refused, refusal(fit)))
        }
        _ => Ok(()),
    }
}

fn refusal(fit: &AssetFit) -> Diagnostic {
    let mut diagnostic = Diagnostic::error(
        Code::AssetsDiffer,
        "the machines in bootstrap.ign do not fit the plan, and nothing was changed",
    );
    for difference in &fit.differences {
        diagnostic = diagnostic.with_detail(difference.to_string());
    }
    if let Some(release) = &fit.release {
        diagnostic = diagnostic.with_detail(format!("the assets are of {release}"));
    }
    diagnostic.with_hint(hint(fit))
}

fn hint(fit: &AssetFit) -> &'static str {
    if fit.differences.iter().any(concerns_cluster_api) {
        "remove `management: ClusterAPI` from the install-config, because groundplan renders no \
         Cluster API machine sets; then, in a new folder, run `openshift-install create manifests`, \
         `groundplan manifests --out DIR --force` and `openshift-install create ignition-configs`"
    } else {
        "omit --release for a new cluster, or, in a new folder DIR with this install-config, run \
         `openshift-install create manifests --dir DIR`, `groundplan manifests --out DIR --force` and \
         `openshift-install create ignition-configs --dir DIR`, and pass --assets DIR"
    }
}

fn concerns_cluster_api(difference: &Difference) -> bool {
    let mut objects = difference.objects.iter();
    difference.topic == DifferenceTopic::MachineSet
        || objects.any(|object| object.starts_with("Cluster API"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(topic: DifferenceTopic, object: &str) -> AssetFit {
        let all = |text: &str| [text.to_owned()].into();
        let (assets, plan) = (all("`a`"), all("`b`"));
        let differences = vec![Difference { topic, assets, plan, objects: all(object) }];
        AssetFit {
            differences,
            release: Some("openshift-install 4.20.3".into()),
            ..AssetFit::default()
        }
    }

    #[test]
    fn assets_that_differ_are_refused_with_both_sides_and_their_release() {
        let differing = fit(DifferenceTopic::Subnet, "Machine m");
        let refused = ensure_fit(Some(&differing)).unwrap_err();
        assert_eq!(refused.exit, Exit::Refused);
        let [diagnostic] = &refused.diagnostics[..] else { panic!("one error") };
        assert_eq!(
            diagnostic.detail,
            [
                "subnets: the assets name `a`, the plan has `b` (in Machine m)",
                "the assets are of openshift-install 4.20.3"
            ]
        );
        ensure_fit(Some(&AssetFit::default())).unwrap();
        ensure_fit(None).unwrap();
    }

    #[test]
    fn sets_of_the_cluster_api_have_a_hint_of_their_own() {
        let of = |topic, object| hint(&fit(topic, object)).contains("management: ClusterAPI");
        assert!(!of(DifferenceTopic::Subnet, "MachineSet a"));
        assert!(of(DifferenceTopic::Subnet, "Cluster API MachineSet a"));
        assert!(of(DifferenceTopic::MachineSet, "MachineSet a"));
    }
}
