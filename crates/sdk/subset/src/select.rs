//! Decides which files and items of a published SDK crate are needed for a set of operations.
//!
//! The generated source refers to everything by absolute paths (`crate::types::Vpc`), so following paths
//! from the wanted operations finds all that they need:
//!
//! - files in `operation/`, `client/`, `types/` and `protocol_serde/` are kept if something kept refers to them;
//! - `serde_util.rs` and `lens.rs` hold functions for single operations: each is kept if it is referred to;
//! - `error_meta.rs` and `client.rs` hold one item per operation and waiter: those of other operations go;
//! - every other file is kept, but for `waiters`, which would need operations that are not wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::items::{Item, items, paths};
use crate::names::methods;
use crate::{Error, read};

/// Folders whose files are kept one by one.
const POOLS: [&str; 4] = ["client", "operation", "protocol_serde", "types"];
/// Files whose functions are kept one by one.
const FUNCTIONS: [&str; 2] = ["lens", "serde_util"];

/// Files to compile: paths relative to the crate's `src`, with their texts.
#[derive(Debug)]
pub(crate) struct Selection(BTreeMap<String, String>);

impl Selection {
    /// Takes the whole crate.
    pub(crate) fn whole(source: &Path) -> Result<Self, Error> {
        let mut files = files_below(source, "")?;
        let lib = files
            .get_mut("lib.rs")
            .ok_or_else(|| Error::new(format!("{} has no lib.rs", source.display())))?;
        *lib = without_inner(lib);
        Ok(Self(files))
    }

    /// Replaces the folder `target` by this selection.
    pub(crate) fn write(&self, target: &Path) -> Result<(), Error> {
        if target.exists() {
            fs::remove_dir_all(target).map_err(|error| Error::io("remove", target, &error))?;
        }
        for (name, text) in &self.0 {
            let path = target.join(name);
            let folder = path.parent().expect("BUG: a file is in a folder");
            fs::create_dir_all(folder).map_err(|error| Error::io("create", folder, &error))?;
            fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))?;
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn files(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

/// Selects what `wanted` needs from the crate in `source`, the folder of its `lib.rs`.
///
/// # Errors
///
/// The source is not laid out as this module expects. The caller compiles the whole crate then.
pub(crate) fn select(source: &Path, wanted: &BTreeSet<String>) -> Result<Selection, Error> {
    for expected in [
        "lib.rs",
        "client.rs",
        "operation.rs",
        "types.rs",
        "types/builders.rs",
        "protocol_serde.rs",
        "error_meta.rs",
    ] {
        if !source.join(expected).is_file() {
            return Err(Error::new(format!("no src/{expected}")));
        }
    }
    let files = files_below(source, "")?;
    let mut closure = Closure::new(&files)?;
    closure.begin();
    let called: Vec<&str> = closure
        .called
        .iter()
        .copied()
        .filter(|name| files.contains_key(&format!("operation/{name}.rs")))
        .collect();
    for operation in wanted.iter().map(String::as_str).chain(called) {
        closure.keep_operation(operation)?;
    }
    closure.follow()?;
    Ok(closure.selection())
}

struct Closure<'a> {
    files: &'a BTreeMap<String, String>,
    /// `Vpc` and `VpcBuilder` -> `types/_vpc.rs`.
    types: BTreeMap<&'a str, String>,
    /// `lens::name` -> the function's text.
    functions: BTreeMap<String, &'a str>,
    kept_files: BTreeSet<String>,
    kept_functions: BTreeSet<String>,
    /// Methods that files of no single operation call.
    called: BTreeSet<&'a str>,
    /// Texts whose paths were not followed yet.
    pending: Vec<&'a str>,
}

impl<'a> Closure<'a> {
    fn new(files: &'a BTreeMap<String, String>) -> Result<Self, Error> {
        let mut types = BTreeMap::new();
        for index in ["types.rs", "types/builders.rs"] {
            for path in items(&files[index]).iter().filter_map(Item::re_export) {
                if let ["types", module, name] = path.split("::").collect::<Vec<_>>()[..] {
                    types.insert(name, format!("types/{module}.rs"));
                }
            }
        }
        if types.is_empty() {
            return Err(Error::new("src/types.rs re-exports no type"));
        }
        let mut functions = BTreeMap::new();
        for module in FUNCTIONS {
            let Some(text) = files.get(&format!("{module}.rs")) else { continue };
            for item in items(text) {
                if let Some(name) = item.function() {
                    functions.insert(format!("{module}::{name}"), item.text);
                }
            }
        }
        Ok(Self {
            files,
            types,
            functions,
            kept_files: BTreeSet::new(),
            kept_functions: BTreeSet::new(),
            called: BTreeSet::new(),
            pending: Vec::new(),
        })
    }

    /// Keeps all files that do not belong to single operations or types.
    fn begin(&mut self) {
        let names: Vec<&String> = self.files.keys().collect();
        for name in names {
            let (pool, rest) = name.split_once('/').unwrap_or(("", name));
            let is_shared = match pool {
                "waiters" => false,
                "types" => !rest.starts_with('_'),
                "client" => rest == "customize.rs" || rest.starts_with("customize/"),
                pool => !POOLS.contains(&pool),
            };
            if is_shared && name != "waiters.rs" {
                self.keep(name);
                // S3's session cache calls an operation by its method, which is no path.
                self.called.extend(methods(&self.files[name]));
            }
        }
    }

    fn keep(&mut self, name: &str) {
        let Some((name, text)) = self.files.get_key_value(name) else { return };
        if self.kept_files.insert(name.clone()) && !is_filtered(name) {
            self.pending.push(text);
        }
    }

    fn keep_operation(&mut self, operation: &str) -> Result<(), Error> {
        let module = format!("operation/{operation}.rs");
        if self.kept_files.contains(&module) {
            return Ok(());
        }
        if !self.files.contains_key(&module) {
            return Err(Error::new(format!("no src/{module}")));
        }
        self.keep(&module);
        self.keep(&format!("client/{operation}.rs"));
        let folder = format!("operation/{operation}/");
        let parts: Vec<&String> = self
            .files
            .range(folder.clone()..)
            .map(|(name, _)| name)
            .take_while(|name| name.starts_with(&folder))
            .collect();
        for part in parts {
            self.keep(part);
        }
        Ok(())
    }

    fn follow(&mut self) -> Result<(), Error> {
        while let Some(text) = self.pending.pop() {
            for path in paths(text) {
                self.follow_path(path)?;
            }
        }
        Ok(())
    }

    fn follow_path(&mut self, path: &str) -> Result<(), Error> {
        let mut segments = path.split("::");
        let (Some(first), Some(second)) = (segments.next(), segments.next()) else { return Ok(()) };
        let third = segments.next();
        match first {
            "types" => {
                let name = if second == "builders" { third.unwrap_or_default() } else { second };
                let file =
                    self.types.get(name).cloned().unwrap_or_else(|| format!("types/{name}.rs"));
                self.keep(&file);
            }
            "protocol_serde" => self.keep(&format!("protocol_serde/{second}.rs")),
            "operation" if self.files.contains_key(&format!("operation/{second}.rs")) => {
                self.keep_operation(second)?;
            }
            _ => {
                let name = format!("{first}::{second}");
                if let Some(text) = self.functions.get(&name).copied()
                    && self.kept_functions.insert(name)
                {
                    self.pending.push(text);
                }
            }
        }
        Ok(())
    }

    fn selection(&self) -> Selection {
        let files = self.kept_files.iter().map(|name| {
            let text = &self.files[name];
            let text = if is_filtered(name) {
                items(text)
                    .iter()
                    .filter(|item| self.keeps(name, item))
                    .map(|item| item.text)
                    .collect()
            } else {
                text.clone()
            };
            (name.clone(), if name == "lib.rs" { without_inner(&text) } else { text })
        });
        Selection(files.collect())
    }

    /// Returns true if an item of a filtered file stays.
    fn keeps(&self, file: &str, item: &Item<'_>) -> bool {
        let folder = file.strip_suffix(".rs").expect("BUG: source files end with .rs");
        if FUNCTIONS.contains(&folder) {
            return item
                .function()
                .is_none_or(|name| self.kept_functions.contains(&format!("{folder}::{name}")));
        }
        if let Some(module) = item.module() {
            let inside = if file == "lib.rs" { String::new() } else { format!("{folder}/") };
            // A module that is no file of its own is written out in place, or is not of this crate.
            let name = format!("{inside}{module}.rs");
            return !self.files.contains_key(&name) || self.kept_files.contains(&name);
        }
        paths(item.text).all(|path| self.is_kept(path))
    }

    /// Returns true unless the path leads to what was left out.
    fn is_kept(&self, path: &str) -> bool {
        let segments: Vec<&str> = path.split("::").collect();
        let file = match segments[..] {
            ["waiters", ..] => return false,
            ["types", "builders", name, ..] | ["types", name, ..] => {
                self.types.get(name).cloned().unwrap_or_else(|| format!("types/{name}.rs"))
            }
            ["operation", name, ..] => format!("operation/{name}.rs"),
            _ => return true,
        };
        !self.files.contains_key(&file) || self.kept_files.contains(&file)
    }
}

/// Returns true for files that are kept item by item. Their paths are not followed: an item stays only if
/// all that it refers to was kept for another reason.
fn is_filtered(name: &str) -> bool {
    matches!(
        name,
        "lib.rs"
            | "client.rs"
            | "operation.rs"
            | "types.rs"
            | "types/builders.rs"
            | "protocol_serde.rs"
            | "error_meta.rs"
            | "lens.rs"
            | "serde_util.rs"
    )
}

/// Leaves out `//!` and `#![...]`: the text is included in a crate that has its own.
fn without_inner(lib: &str) -> String {
    items(lib).iter().filter(|item| !item.is_inner()).map(|item| item.text).collect()
}

fn files_below(folder: &Path, prefix: &str) -> Result<BTreeMap<String, String>, Error> {
    let mut files = BTreeMap::new();
    let entries = fs::read_dir(folder).map_err(|error| Error::io("read", folder, &error))?;
    for entry in entries {
        let path = entry.map_err(|error| Error::io("read", folder, &error))?.path();
        let name =
            path.file_name().expect("BUG: an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() {
            files.extend(files_below(&path, &format!("{prefix}{name}/"))?);
        } else if name.ends_with(".rs") {
            files.insert(format!("{prefix}{name}"), read(&path)?);
        }
    }
    Ok(files)
}
