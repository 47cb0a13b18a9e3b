//! Project file: values of shared options for a folder, from `groundplan.toml`.
//!
//! The command line and the environment take precedence over the file. Relative paths in the file are
//! relative to its folder.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use groundplan_openshift::diagnostics::nearest;
use toml::de::{DeTable, DeValue};

/// Name of the project file in the working directory.
pub(super) const FILE: &str = "groundplan.toml";
/// Environment variable with the path of another project file. An empty value selects none.
pub(super) const VARIABLE: &str = "GROUNDPLAN_PROJECT";

/// Names of the options that a project file can set. Its keys are the same names.
pub(super) const SETTINGS: [&str; 11] = [
    "config",
    "assets",
    "rhcos-stream",
    "release",
    "machine-subnets",
    "prices",
    "state",
    "state-kms-key",
    "parallelism",
    "lock-timeout",
    "lease",
];
/// Settings that are paths. `state` can be a bucket.
const PATHS: [&str; 5] = ["config", "assets", "rhcos-stream", "prices", "state"];

/// Settings of a project file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectFile {
    path: PathBuf,
    values: BTreeMap<&'static str, FileValue>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct FileValue {
    text: String,
    line: usize,
}

/// Origin of the value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    /// Option of the command line.
    CommandLine,
    /// Environment variable with this name.
    Environment(String),
    /// Line of a project file.
    ProjectFile(PathBuf, usize),
    /// Default of the program.
    Default,
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingSource::CommandLine => f.write_str("command line"),
            SettingSource::Environment(name) => write!(f, "environment ({name})"),
            SettingSource::ProjectFile(path, line) => write!(f, "{}:{line}", path.display()),
            SettingSource::Default => f.write_str("default"),
        }
    }
}

impl ProjectFile {
    /// Reads the file of this process: the one that the environment variable names, or the one in the
    /// working directory. A missing file in the working directory has no settings.
    ///
    /// # Errors
    /// The file cannot be read, or has an unknown key or a value of a wrong type.
    pub(super) fn of_process() -> Result<Self, clap::Error> {
        let named = std::env::var_os(VARIABLE);
        let path = match &named {
            Some(path) if path.is_empty() => return Ok(Self::default()),
            Some(path) => PathBuf::from(path),
            None => PathBuf::from(FILE),
        };
        match std::fs::read_to_string(&path) {
            Ok(text) => Self::parse(path, &text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => {
                Ok(Self::default())
            }
            Err(error) => {
                let from = if named.is_some() { format!(" ({VARIABLE})") } else { String::new() };
                Err(raw(&format!(
                    "could not read the project file {}{from}: {error}",
                    path.display()
                )))
            }
        }
    }

    /// Parses the text of a project file.
    fn parse(path: PathBuf, text: &str) -> Result<Self, clap::Error> {
        let at = |offset: usize| text[..offset].matches('\n').count() + 1;
        let place = |line: usize| format!("{}:{line}", path.display());
        let table = DeTable::parse(text).map_err(|error| {
            let line = at(error.span().map_or(0, |span| span.start.min(text.len())));
            raw(&format!("{}: {}", place(line), error.message()))
        })?;
        let mut values = BTreeMap::new();
        for (key, value) in table.get_ref() {
            let line = at(key.span().start);
            let Some(name) = SETTINGS.into_iter().find(|name| *name == key.get_ref().as_ref())
            else {
                return Err(raw(&unknown(&place(line), key.get_ref())));
            };
            let text = match value.get_ref() {
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) => number.to_string(),
                DeValue::Float(number) => number.as_str().to_owned(), // release = 4.20
                _ => {
                    let message = format!("{}: `{name}` is no text and no number", place(line));
                    return Err(raw(&message));
                }
            };
            let text = if PATHS.contains(&name) { from_folder(&path, text) } else { text };
            values.insert(name, FileValue { text, line });
        }
        Ok(Self { path, values })
    }

    /// Adds the values to the command-line definition, as defaults of its options.
    ///
    /// # Errors
    /// An option does not accept its value.
    pub(super) fn add_defaults(
        &self,
        mut command: clap::Command,
    ) -> Result<clap::Command, clap::Error> {
        for (name, value) in &self.values {
            let id = name.replace('-', "_");
            let option = command.get_arguments().find(|arg| arg.get_id() == id.as_str()).cloned();
            let option = option.expect("BUG: a setting is a shared option").required(false);
            self.check(name, value, option)?;
            let text = OsString::from(&value.text);
            command = command.mut_arg(id, |option| option.default_value(text));
        }
        Ok(command)
    }

    /// Parses a value as its option would.
    fn check(&self, name: &str, value: &FileValue, option: clap::Arg) -> Result<(), clap::Error> {
        // Without the environment: a variable must not hide a wrong value.
        let alone = clap::Command::new("groundplan").arg(option.env(None::<&str>));
        let line = [OsString::from("groundplan"), format!("--{name}={}", value.text).into()];
        let Err(error) = alone.try_get_matches_from(line) else { return Ok(()) };
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        let first = first.strip_prefix("error: ").unwrap_or(first);
        Err(raw(&format!("{}:{}: {first}", self.path.display(), value.line)))
    }

    /// Returns the origin of each setting of a parsed command line.
    pub(super) fn sources(&self, matches: &ArgMatches) -> BTreeMap<&'static str, SettingSource> {
        let mut leaf = matches;
        while let Some((_, inner)) = leaf.subcommand() {
            leaf = inner;
        }
        let source = |name: &'static str| match leaf.value_source(&name.replace('-', "_")) {
            Some(ValueSource::CommandLine) => SettingSource::CommandLine,
            Some(ValueSource::EnvVariable) => SettingSource::Environment(variable(name)),
            _ => match self.values.get(name) {
                Some(value) => SettingSource::ProjectFile(self.path.clone(), value.line),
                None => SettingSource::Default,
            },
        };
        SETTINGS.into_iter().map(|name| (name, source(name))).collect()
    }
}

/// Returns the message for a key that is no setting.
fn unknown(place: &str, key: &str) -> String {
    let settings = SETTINGS.join("`, `");
    let tip = nearest(&key.replace('_', "-"), &SETTINGS)
        .map(|meant| format!("  tip: did you mean `{meant}`?\n"))
        .unwrap_or_default();
    format!("{place}: `{key}` is no setting\n\n{tip}  expected: one of `{settings}`")
}

/// Returns the environment variable of a setting: `GROUNDPLAN_RHCOS_STREAM` for `rhcos-stream`.
pub(super) fn variable(name: &str) -> String {
    format!("GROUNDPLAN_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Returns a path of the file as seen from the working directory.
fn from_folder(file: &Path, text: String) -> String {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !text.contains("://") => folder.join(text).display().to_string(),
        _ => text,
    }
}

fn raw(message: &str) -> clap::Error {
    clap::Error::raw(ErrorKind::InvalidValue, format!("{message}\n"))
}

#[cfg(test)]
mod tests {
    use super::super::CliArguments;
    use super::*;

    fn parsed(text: &str) -> ProjectFile {
        ProjectFile::parse(PathBuf::from(FILE), text).unwrap()
    }

    fn message(text: &str) -> String {
        let file = ProjectFile::parse(PathBuf::from(FILE), text);
        let error = match file {
            Ok(file) => file.add_defaults(super::super::help::command()).unwrap_err(),
            Err(error) => error,
        };
        error.to_string()
    }

    #[test]
    fn a_file_sets_what_the_command_line_leaves_open() {
        let file =
            parsed("assets = 'build/assets'\nstate = 's3://bucket/prefix'\nparallelism = 4\n");
        let line = ["groundplan", "plan", "--parallelism", "8"];
        let arguments = CliArguments::parse_line_in(line, &file).unwrap();
        let common = arguments.common;
        assert_eq!(common.assets, Some(PathBuf::from("build/assets")));
        assert_eq!(common.state.to_string(), "s3://bucket/prefix");
        assert_eq!(common.parallelism, 8);
        let file = |line| SettingSource::ProjectFile(PathBuf::from(FILE), line);
        assert_eq!(common.sources["assets"], file(1));
        assert_eq!(common.sources["state"], file(2));
        assert_eq!(common.sources["parallelism"], SettingSource::CommandLine);
        assert_eq!(common.sources["config"], SettingSource::Default);
        assert_eq!(common.repeated(), "", "the next command reads the same file");
    }

    #[test]
    fn a_release_needs_no_quotes() {
        for text in ["release = 4.20", "release = '4.20'", "release = '4.20.3'"] {
            let line = ["groundplan", "validate"];
            let common = CliArguments::parse_line_in(line, &parsed(text)).unwrap().common;
            assert_eq!(common.release.map(|release| release.to_string()), Some("4.20".into()));
        }
        assert!(message("release = 4.2").contains("groundplan.toml:1: "));
    }

    #[test]
    fn an_option_before_the_command_counts_too() {
        let line = ["groundplan", "--state", "elsewhere", "plan"];
        let common = CliArguments::parse_line_in(line, &parsed("state = 'other'")).unwrap().common;
        assert_eq!(common.state.to_string(), "elsewhere");
        assert_eq!(common.sources["state"], SettingSource::CommandLine);
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let text = "config = 'ic.yaml'\nassets = '/abs'\nstate = 's3://bucket/p'\nrhcos-stream = '../s'\nprices = 'p.toml'\n";
        let file =
            ProjectFile::parse(PathBuf::from("clusters/prod/groundplan.toml"), text).unwrap();
        let common = CliArguments::parse_line_in(["groundplan", "plan"], &file).unwrap().common;
        assert_eq!(common.config, PathBuf::from("clusters/prod/ic.yaml"));
        assert_eq!(common.assets, Some(PathBuf::from("/abs")));
        assert_eq!(common.state.to_string(), "s3://bucket/p");
        assert_eq!(common.rhcos_stream, Some(PathBuf::from("clusters/prod/../s")));
        assert_eq!(common.prices, Some(PathBuf::from("clusters/prod/p.toml")));
    }

    #[test]
    fn a_wrong_file_is_an_error_with_its_line() {
        for (text, expected) in [
            (
                "\nasset = 'x'",
                "groundplan.toml:2: `asset` is no setting\n\n  tip: did you mean `assets`?",
            ),
            ("lock_timeout = '5m'", "tip: did you mean `lock-timeout`?"),
            ("state = 's3://'", "groundplan.toml:1: invalid value 's3://' for '--state"),
            (
                "parallelism = 5000",
                "groundplan.toml:1: invalid value '5000' for '--parallelism <N>'",
            ),
            ("lease = '1s'", "groundplan.toml:1: invalid value '1s' for '--lease"),
            ("config = ['a']", "groundplan.toml:1: `config` is no text and no number"),
            ("config = 'a'\nconfig = 'b'", "groundplan.toml:2: duplicate key"),
            ("config = ", "groundplan.toml:1: "),
        ] {
            let message = message(text);
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn help_works_with_a_wrong_file() {
        let file = parsed("parallelism = 5000");
        let help = CliArguments::parse_line_in(["groundplan", "plan", "--help"], &file);
        assert_eq!(help.unwrap_err().kind(), ErrorKind::DisplayHelp);
        let plan = CliArguments::parse_line_in(["groundplan", "plan"], &file).unwrap_err();
        assert!(plan.to_string().contains("groundplan.toml:1"), "{plan}");
        assert!(CliArguments::parse_line_in(["groundplan", "schema"], &file).is_ok());
    }
}
