//! Files of manifests that the user names: files, folders, and standard input.
//!
//! The module only reads files; `machine_api` parses them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use groundplan_openshift::machine_api::from_manifests::ManifestFile;
use secrecy::SecretString;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::render::{Code, Diagnostic};

/// File name extensions of manifests.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Argument for standard input, and its name in messages.
const STDIN: (&str, &str) = ("-", "standard input");

/// Path of an argument, with its files.
pub(crate) struct PathArgument {
    pub(crate) path: PathBuf,
    /// File of the path, or files of the folder in the order of their names.
    pub(crate) files: Vec<ManifestFile>,
}

/// Reads all files of the arguments, in this order.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<PathArgument>> {
    let named = |path: &PathBuf| Ok(PathArgument { path: path.clone(), files: files(path)? });
    paths.iter().map(named).collect()
}

fn files(path: &Path) -> Result<Vec<ManifestFile>> {
    if path == Path::new(STDIN.0) {
        return Ok(vec![standard_input(io::stdin().lock())?]);
    }
    let paths = expanded(path).map_err(|error| unreadable(&path.display().to_string(), &error))?;
    paths.iter().map(|path| file(path)).collect()
}

fn file(path: &Path) -> Result<ManifestFile> {
    let name = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| unreadable(&name, &error))?;
    Ok(ManifestFile { text: text(&name, bytes)?, name })
}

fn standard_input(mut input: impl Read) -> Result<ManifestFile> {
    let name = STDIN.1.to_owned();
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes).map_err(|error| unreadable(&name, &error))?;
    Ok(ManifestFile { text: text(&name, bytes)?, name })
}

/// Returns the manifests in a folder, without subfolders. A file is returned as it is.
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

fn text(name: &str, bytes: Vec<u8>) -> Result<SecretString> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|&&byte| byte == b'\n').count() + 1;
        let diagnostic = Diagnostic::error(Code::FileInvalid, format!("{name} is not UTF-8 text"))
            .with_detail(format!("line {line}: invalid UTF-8"))
            .with_hint("save the file as UTF-8 (in an editor: `Save as` or `Encoding`)");
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    })?;
    Ok(text.into())
}

fn unreadable(name: &str, error: &io::Error) -> CommandError {
    let diagnostic = Diagnostic::could_not(Code::FileUnreadable, &format!("read {name}"), error)
        .with_hint("pass YAML or JSON files, folders of such files, or `-` for standard input");
    CommandError::new(Exit::ConfigInvalid, diagnostic)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_folder_is_its_manifests_in_order_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("deeper.yaml")).unwrap();
        for name in ["b.yml", "a.yaml", "c.json", "notes.txt", "yaml"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        let alone = folder.path().join("notes.txt");
        let named = read(&[folder.path().to_owned(), alone]).unwrap();
        let names = |named: &PathArgument| -> Vec<String> {
            let names = named.files.iter().map(|file| file.name.rsplit('/').next().unwrap());
            names.map(str::to_owned).collect()
        };
        assert_eq!(names(&named[0]), ["a.yaml", "b.yml", "c.json"]);
        assert_eq!(names(&named[1]), ["notes.txt"]);
    }

    #[test]
    fn what_is_not_there_is_named() {
        let failure = read(&["/nowhere/machines".into()]).err().unwrap();
        assert_eq!(failure.exit, Exit::ConfigInvalid);
        assert!(failure.diagnostics[0].summary.contains("/nowhere/machines"));
    }

    #[test]
    fn what_is_no_text_is_told_with_its_line_and_what_comes_in_is_read_to_its_end() {
        let failure = standard_input(&b"a: b\nc: \xff\n"[..]).unwrap_err();
        let told = &failure.diagnostics[0];
        assert_eq!(told.summary, "standard input is not UTF-8 text");
        assert_eq!(told.detail, ["line 2: invalid UTF-8"]);
        let read = standard_input(&b"a: b\n"[..]).unwrap();
        assert_eq!(read.text.expose_secret(), "a: b\n");
    }
}
