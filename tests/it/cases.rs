//! Checks that the tests listed in `docs/cases.md` exist.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Adds the names of all tests in a folder.
fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("text");
            let names = text.split("fn ").skip(1).filter_map(|rest| rest.split_once('('));
            found.extend(names.map(|(name, _)| name.to_owned()));
        }
    }
}

#[test]
fn every_case_has_its_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = BTreeSet::new();
    for folder in ["src", "crates", "tests"] {
        tests_in(&root.join(folder), &mut tests);
    }
    let page = fs::read_to_string(root.join("docs/cases.md")).expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut cases = 0;
    for row in rows {
        let cells: Vec<&str> = row.split(" | ").collect();
        let case = cells[0].trim_start_matches("| ").to_lowercase();
        let named: Vec<&str> = cells.last().expect("cells").split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "{row}");
        for name in named {
            assert!(tests.contains(name), "{case}: there is no test {name}");
            assert!(name.split('_').any(|word| word == case), "{name} does not say {case}");
        }
        cases += 1;
    }
    assert!(cases >= 20, "{cases}");
}

/// A case left to others has a note instead of tests.
#[test]
fn a_case_that_is_left_to_others_has_no_tests() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/cases.md"));
    let page = page.expect("the page");
    let notes = page.lines().filter_map(|line| line.strip_prefix("- C"));
    let left: Vec<&str> = notes.filter_map(|note| note.split(',').next()).collect();
    assert_eq!(left, ["52", "53"]);
    for case in left {
        assert!(!page.contains(&format!("| C{case} |")), "C{case} is left to others and has tests");
    }
}
