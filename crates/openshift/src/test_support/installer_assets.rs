//! Assets as openshift-install writes them, with manifests of its own releases.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundplan_engine::state::Cluster;
use serde_json::{Value, json};

/// Manifests of one config, as a release renders them.
#[derive(Clone, Debug)]
pub struct InstallerAssets {
    /// Name and text of each manifest in the folder `openshift/`.
    pub manifests: Vec<(String, String)>,
    /// True if the release uses the Cluster API, so that `metadata.json` has its identifier.
    pub is_cluster_api: bool,
}

impl InstallerAssets {
    /// Returns the manifests of a release, `4.15` or `main`, for one of the recorded configs.
    ///
    /// # Panics
    /// Panics if the folder is missing.
    pub fn recorded(release: &str, config: &str) -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/openshift-install");
        let entries = fs::read_dir(root.join(release).join(config)).expect("BUG: a known config");
        let file = |entry: fs::DirEntry| {
            let text = fs::read_to_string(entry.path()).expect("BUG: a text file");
            (entry.file_name().to_string_lossy().into_owned(), text)
        };
        let mut manifests: Vec<_> = entries.flatten().map(file).collect();
        manifests.sort();
        Self { manifests, is_cluster_api: release != "4.15" }
    }

    /// Returns assets without manifests of machines.
    pub fn without_machines() -> Self {
        Self { manifests: Vec::new(), is_cluster_api: false }
    }

    /// Replaces a text in all manifests whose name contains `name`.
    ///
    /// # Panics
    /// Panics if no manifest has the text.
    #[must_use]
    pub fn replace(mut self, name: &str, from: &str, to: &str) -> Self {
        let before = self.manifests.clone();
        for (_, text) in self.manifests.iter_mut().filter(|(file, _)| file.contains(name)) {
            *text = text.replace(from, to);
        }
        assert_ne!(before, self.manifests, "BUG: {name} has no `{from}`");
        self
    }

    /// Adds a manifest.
    #[must_use]
    pub fn with(mut self, name: &str, text: impl Into<String>) -> Self {
        self.manifests.push((name.to_owned(), text.into()));
        self
    }

    /// Returns the Ignition config of the bootstrap machine.
    pub fn bootstrap(&self) -> Value {
        let file = |(name, text): &(String, String)| {
            let source = format!("data:text/plain;charset=utf-8;base64,{}", STANDARD.encode(text));
            json!({"overwrite": true, "path": format!("/opt/openshift/openshift/{name}"),
                   "user": {"name": "root"}, "contents": {"source": source}, "mode": 420})
        };
        let files: Vec<Value> = self.manifests.iter().map(file).collect();
        json!({"ignition": {"version": "3.2.0"}, "storage": {"files": files}})
    }

    /// Writes the files of `openshift-install create ignition-configs` to a folder.
    ///
    /// # Panics
    /// Panics if the folder cannot be written.
    pub fn write(&self, folder: &Path, cluster: &Cluster) {
        fs::create_dir_all(folder).expect("BUG: a folder of the test");
        let pointer = json!({"ignition": {"version": "3.2.0"}});
        let files = [
            ("bootstrap.ign", self.bootstrap()),
            ("master.ign", pointer.clone()),
            ("worker.ign", pointer),
            ("metadata.json", self.metadata(cluster)),
        ];
        for (name, content) in files {
            let written = fs::write(folder.join(name), content.to_string());
            written.expect("BUG: a folder of the test");
        }
    }

    fn metadata(&self, cluster: &Cluster) -> Value {
        let Cluster { name, infra_id, cluster_id, region } = cluster;
        let mut identifier = vec![
            json!({format!("kubernetes.io/cluster/{infra_id}"): "owned"}),
            json!({"openshiftClusterID": cluster_id}),
        ];
        if self.is_cluster_api {
            let tag = format!("sigs.k8s.io/cluster-api-provider-aws/cluster/{infra_id}");
            identifier.push(json!({tag: "owned"}));
        }
        json!({"clusterName": name, "clusterID": cluster_id, "infraID": infra_id,
               "aws": {"region": region, "identifier": identifier}})
    }
}
