//! The files that are named, and those of the folders that are named.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, Result};
use crate::machine_api::offline::File;
use crate::render::Diagnostic;

/// How the names of manifests end.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Everything that is named, in this order; the files of a folder in the order of their names.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for path in paths {
        for path in expanded(path).map_err(|error| unreadable(path, &error))? {
            let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
            files.push(File { name: path.display().to_string(), text: text.into() });
        }
    }
    Ok(files)
}

/// A folder is what lies in it, and nothing deeper.
fn expanded(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let is_manifest = |path: &PathBuf| {
        let ending = path.extension().and_then(|ending| ending.to_str());
        ending.is_some_and(|ending| ENDINGS.contains(&ending)) && path.is_file()
    };
    let entries = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
    let mut paths: Vec<_> = entries.iter().map(fs::DirEntry::path).filter(is_manifest).collect();
    paths.sort();
    Ok(paths)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let diagnostic = Diagnostic::could_not(&format!("read {}", path.display()), error)
        .with_hint("--manifests takes files in YAML or JSON, and folders of them");
    Failure::new(Exit::ConfigInvalid, diagnostic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_its_manifests_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deeper.yaml")).unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "notes.txt", "yaml"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let alone = folder.path().join("notes.txt");
        let files = read(&[folder.path().to_owned(), alone]).unwrap();
        let names = files.iter().map(|file| file.name.rsplit('/').next().unwrap());
        assert_eq!(names.collect::<Vec<_>>(), ["a.yaml", "b.yml", "c.json", "notes.txt"]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let failure = read(&["/nowhere/machines".into()]).unwrap_err();
        assert_eq!(failure.exit, Exit::ConfigInvalid);
        assert!(failure.diagnostics[0].summary.contains("/nowhere/machines"));
    }
}
