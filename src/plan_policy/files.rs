//! Files of policies: YAML documents with a name, selectors and validations.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use cel::Program;
use serde::Deserialize;
use serde_saphyr::Spanned;

use super::bounds::excess;
use super::names::undeclared;
use super::{Policy, Validation};

/// Maximum size of a file in bytes.
const LARGEST: u64 = 1 << 20;

/// Error of a folder or file of policies.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFileError {
    /// File or folder that cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Unreadable {
        /// Path of the file or folder.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Folder without a policy. A misspelt folder must not allow everything.
    #[error("{} has no policy: expected files that end in .yaml or .yml", path.display())]
    Empty {
        /// Path of the folder.
        path: PathBuf,
    },
    /// File that is no policy.
    #[error("{}: {reason}", path.display())]
    Malformed {
        /// Path of the file.
        path: PathBuf,
        /// Problem.
        reason: String,
    },
    /// Expression that is not CEL.
    #[error("{}: policy `{policy}`: `{expression}` is no CEL expression: {reason}", path.display())]
    Expression {
        /// Path of the file.
        path: PathBuf,
        /// Name of the policy.
        policy: String,
        /// Expression.
        expression: String,
        /// Problem that the parser reports.
        reason: String,
    },
    /// Expression with a name that nothing declares.
    #[error("{}: line {line}: policy `{policy}`: `{expression}`: {problem}", path.display())]
    Undeclared {
        /// Path of the file.
        path: PathBuf,
        /// Line on which the expression begins.
        line: u64,
        /// Name of the policy.
        policy: String,
        /// Expression.
        expression: String,
        /// Name, and what is expected instead.
        problem: String,
    },
    /// Name that two policies have.
    #[error("{}: the name `{policy}` is used by another policy", path.display())]
    RepeatedName {
        /// Path of the second file.
        path: PathBuf,
        /// Name.
        policy: String,
    },
}

/// Form of a policy in a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyDocument {
    name: String,
    #[serde(default)]
    #[expect(dead_code, reason = "a text for readers of the file")]
    description: String,
    #[serde(default)]
    kinds: Vec<String>,
    #[serde(default)]
    actions: Vec<String>,
    validations: Vec<ValidationDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ValidationDocument {
    expression: Spanned<String>,
    message: String,
}

/// Reads the policies of files, and of all files in folders that end in `.yaml` or `.yml`, sorted.
///
/// # Errors
/// A file cannot be read or is no policy, a folder has none, or two policies have one name.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Policy>, PolicyFileError> {
    let mut policies: Vec<Policy> = Vec::new();
    let mut names = BTreeSet::new();
    for path in paths {
        for file in files(path)? {
            let unreadable = |source| PolicyFileError::Unreadable { path: file.clone(), source };
            let size = std::fs::metadata(&file).map_err(unreadable)?.len();
            if size > LARGEST {
                let reason = format!("the file has {size} bytes, more than {LARGEST}");
                return Err(PolicyFileError::Malformed { path: file, reason });
            }
            let text = std::fs::read_to_string(&file).map_err(unreadable)?;
            for policy in parse(&file, &text)? {
                if !names.insert(policy.name.clone()) {
                    return Err(PolicyFileError::RepeatedName { path: file, policy: policy.name });
                }
                policies.push(policy);
            }
        }
    }
    Ok(policies)
}

fn files(path: &Path) -> Result<Vec<PathBuf>, PolicyFileError> {
    let unreadable = |source| PolicyFileError::Unreadable { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let is_yaml = |extension: &std::ffi::OsStr| extension == "yaml" || extension == "yml";
        if file.extension().is_some_and(is_yaml) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(PolicyFileError::Empty { path: path.to_owned() });
    }
    Ok(files)
}

/// Parses a file: one policy, or several YAML documents.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Policy>, PolicyFileError> {
    let malformed = |reason: String| PolicyFileError::Malformed { path: path.to_owned(), reason };
    let documents: Vec<PolicyDocument> =
        serde_saphyr::from_multiple(text).map_err(|error| malformed(in_words(&error)))?;
    if documents.is_empty() {
        return Err(malformed("the file has no policy".to_owned()));
    }
    documents.into_iter().map(|document| compiled(path, document)).collect()
}

/// Returns the message of the YAML reader on one line, with its place.
fn in_words(error: &serde_saphyr::Error) -> String {
    let said = error.to_string();
    let first = said.lines().next().unwrap_or_default();
    let place = error.location().map(|at| (at.line(), at.column()));
    let Some((line, column)) = place else { return first.to_owned() };
    let after = first.split_once(&format!("column {column}: ")).map_or(first, |(_, rest)| rest);
    format!("line {line}: {after}")
}

fn compiled(path: &Path, document: PolicyDocument) -> Result<Policy, PolicyFileError> {
    let malformed = |reason: String| PolicyFileError::Malformed { path: path.to_owned(), reason };
    let PolicyDocument { name, kinds, actions, validations, .. } = document;
    if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(malformed(format!("`name` is {name:?}: expected one word")));
    }
    if validations.is_empty() {
        return Err(malformed(format!("policy `{name}` has no validations")));
    }
    if kinds.is_empty() && !actions.is_empty() {
        return Err(malformed(format!("policy `{name}` has `actions` without `kinds`")));
    }
    if let Some(kind) = kinds.iter().find(|kind| groundplan_aws::registry::facts(kind).is_none()) {
        return Err(malformed(format!("policy `{name}`: `{kind}` is no kind of resource")));
    }
    let has_resource = !kinds.is_empty();
    let validations = validations.into_iter().map(|ValidationDocument { expression, message }| {
        let Spanned { value: expression, referenced: place, .. } = expression;
        let parsed = match excess(&expression) {
            Some(reason) => Err(reason),
            None => Program::compile(&expression)
                .map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned()),
        };
        let program = parsed.map_err(|reason| {
            let (path, policy) = (path.to_owned(), name.clone());
            PolicyFileError::Expression { path, policy, expression: expression.clone(), reason }
        })?;
        if let Some(problem) = undeclared(&program, has_resource) {
            let (path, policy, line) = (path.to_owned(), name.clone(), place.line());
            return Err(PolicyFileError::Undeclared { path, line, policy, expression, problem });
        }
        Ok(Validation { program, message })
    });
    let validations = validations.collect::<Result<_, PolicyFileError>>()?;
    Ok(Policy { name, file: path.to_owned(), kinds, actions, validations })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(Path::new("policies/a.yaml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_wrong_file_is_an_error_with_its_path() {
        let one = |line: &str| {
            format!("name: a\n{line}validations:\n- expression: 'true'\n  message: m\n")
        };
        for (text, expected) in [
            (one("kind: [vpc]\n"), "policies/a.yaml: line 2: unknown field `kind`"),
            ("x: [".to_owned(), "policies/a.yaml: line "),
            (one("kinds: [vcp]\n"), "`vcp` is no kind of resource"),
            (one("actions: [delete]\n"), "`actions` without `kinds`"),
            ("name: a\nvalidations: []\n".to_owned(), "has no validations"),
            ("name: a b\nvalidations: []\n".to_owned(), "expected one word"),
            (String::new(), "no policy"),
        ] {
            let message = error(&text);
            assert!(message.starts_with("policies/a.yaml: "), "{message}");
            assert!(message.contains(expected), "{text}: {message}");
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }

    #[test]
    fn an_expression_that_is_not_cel_is_an_error_with_the_expression() {
        for expression in ["resource.after ==", "a b", "((", "'open"] {
            let text =
                format!("name: a\nvalidations:\n- expression: \"{expression}\"\n  message: m\n");
            let message = error(&text);
            assert!(message.contains(&format!("`{expression}` is no CEL expression")), "{message}");
        }
    }

    #[test]
    fn a_name_that_nothing_declares_is_an_error_with_its_line_before_any_plan() {
        let of = |expression: &str| {
            error(&format!(
                "name: a\nkinds: [vpc]\nvalidations:\n- expression: {expression}\n  message: m\n"
            ))
        };
        assert_eq!(
            of("resource.kind.startswith('v')"),
            "policies/a.yaml: line 4: policy `a`: `resource.kind.startswith('v')`: `startswith` is no \
             function: docs/policies.md lists the functions"
        );
        assert!(of("resources.size() > 0").contains("`resources` is no variable: expected `plan`"));
    }

    #[test]
    fn a_folder_has_policies_and_each_has_its_own_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = [folder.path().to_owned()];
        assert!(matches!(read(&path), Err(PolicyFileError::Empty { .. })));
        let text = "name: a\nvalidations:\n- expression: 'true'\n  message: m\n";
        std::fs::write(folder.path().join("a.yaml"), text).unwrap();
        std::fs::write(folder.path().join("notes.txt"), "no policy").unwrap();
        assert_eq!(read(&path).unwrap().len(), 1);
        std::fs::write(folder.path().join("b.yml"), text).unwrap();
        assert!(matches!(read(&path), Err(PolicyFileError::RepeatedName { .. })));
        let missing = [folder.path().join("missing")];
        assert!(matches!(read(&missing), Err(PolicyFileError::Unreadable { .. })));
    }
}
