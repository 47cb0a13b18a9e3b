//! Labels of an existing manifest that its replacement keeps: those that groundplan does not know.
//! Later releases of openshift-install set labels that their operators read, such as
//! `machineconfiguration.openshift.io/osstream`.

use serde_json::{Map, Value};

use super::{FileContent, Manifest};
use crate::machine_api::validation::document;
use crate::machine_api::yaml;

/// Pointers to the metadata with labels: of the object, of its template, and of the nodes.
const METADATA: [&str; 6] = [
    "/metadata",
    "/spec/metadata",
    "/spec/template/metadata",
    "/spec/template/spec/metadata",
    "/spec/template/machines_v1beta1_machine_openshift_io/metadata",
    "/spec/template/machines_v1beta1_machine_openshift_io/spec/metadata",
];

/// Prefix of the labels that groundplan sets.
const OWN: &str = "machine.openshift.io/cluster-api-";

impl Manifest {
    /// Returns the manifest with the unknown labels of an existing one. An existing text that is not
    /// one object of the same kind has no effect.
    #[must_use]
    pub fn keeping_labels_of(self, existing: &str) -> Self {
        if self.content.is_secret() {
            return self;
        }
        let (Some(mut ours), Some(theirs)) = (object(self.content.text()), object(existing)) else {
            return self;
        };
        if ours["kind"] != theirs["kind"] {
            return self;
        }
        let before = ours.clone();
        METADATA.iter().for_each(|pointer| keep(pointer, &mut ours, &theirs));
        match ours == before {
            true => self,
            false => Self { content: FileContent::Plain(yaml::write(&ours)), ..self },
        }
    }
}

/// Returns the only object in a text.
fn object(text: &str) -> Option<Value> {
    let documents = document::split(text);
    let [only] = &documents[..] else { return None };
    let [object] = <[_; 1]>::try_from(only.objects().ok()?).ok()?;
    object.value.is_object().then_some(object.value)
}

fn keep(pointer: &str, ours: &mut Value, theirs: &Value) {
    let labels = theirs.pointer(pointer).and_then(|metadata| metadata["labels"].as_object());
    let unknown = labels.into_iter().flatten().filter(|(name, _)| !name.starts_with(OWN));
    let unknown: Map<String, Value> =
        unknown.map(|(name, value)| (name.clone(), value.clone())).collect();
    let Some(Value::Object(metadata)) = ours.pointer_mut(pointer).filter(|_| !unknown.is_empty())
    else {
        return;
    };
    let labels = metadata.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(labels) = labels {
        for (name, value) in unknown {
            labels.entry(name).or_insert(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::manifests;
    use super::*;
    use crate::test_support::example_cluster::ExampleCluster;
    use crate::test_support::installer_assets::InstallerAssets;
    use crate::topology::Assets;

    const STREAM: &str = "machineconfiguration.openshift.io/osstream: rhel-10\n";

    fn rendered() -> Vec<(String, String)> {
        let spec = ExampleCluster::standard().spec();
        let all = manifests(&spec.machine_pools().unwrap(), &Assets::none());
        all.into_iter().map(|one| (one.name.clone(), one.content.text().to_owned())).collect()
    }

    fn over(name: &str, text: &str, existing: &str) -> String {
        let content = FileContent::Plain(text.to_owned());
        let manifest = Manifest { name: name.to_owned(), content };
        manifest.keeping_labels_of(existing).content.text().to_owned()
    }

    #[test]
    fn labels_of_a_later_release_survive_and_everything_else_is_replaced() {
        let theirs = InstallerAssets::recorded("main", "plain").manifests;
        let mut kept = 0;
        for (name, text) in rendered() {
            let (_, existing) = theirs.iter().find(|(found, _)| *found == name).unwrap();
            let now = over(&name, &text, existing);
            assert_eq!(now.matches(STREAM).count(), existing.matches(STREAM).count(), "{name}");
            let lines = now.split_inclusive('\n').filter(|line| line.trim_start() != STREAM);
            assert_eq!(lines.collect::<String>(), text, "{name}");
            assert_eq!(over(&name, &text, &now), now, "the second run changes nothing");
            kept += now.matches(STREAM).count();
        }
        assert_eq!(kept, 3 + 2 + 2 * 3, "masters, their set, the sets of workers");
    }

    #[test]
    fn labels_that_groundplan_sets_are_its_own() {
        let is_set = |(name, _): &(String, String)| name.contains("machineset-0");
        let (name, text) = rendered().into_iter().find(is_set).unwrap();
        let existing = text.replace(
            "    machine.openshift.io/cluster-api-cluster: demo-x7k2p\n",
            "    machine.openshift.io/cluster-api-cluster: other\n    \
             machine.openshift.io/cluster-api-new: a\n",
        );
        assert_ne!(existing, text);
        for existing in [&*existing, "", "odd: [", "kind: Machine\nmetadata: {labels: {a: b}}\n"] {
            assert_eq!(over(&name, &text, existing), text);
        }
        let node = "apiVersion: machine.openshift.io/v1beta1\nkind: MachineSet\nspec:\n  \
                    template:\n    spec: {metadata: {labels: {node-role.kubernetes.io/infra: ''}}}\n";
        let now = over(&name, &text, node);
        assert!(
            now.contains("        labels:\n          node-role.kubernetes.io/infra: \"\"\n"),
            "{now}"
        );
    }
}
