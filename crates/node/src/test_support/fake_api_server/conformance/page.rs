//! Comparison of the documentation with the list of behaviours.

use super::{CHECKED, KUBECONFIG, SUBJECTS};

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/dev/api-server.md");
/// Lines around the generated part of the page.
const BEGIN: &str = "<!-- generated: behaviours -->";
const END: &str = "<!-- end -->";

fn generated() -> String {
    let count: usize = SUBJECTS.iter().map(|(_, behaviours)| behaviours.len()).sum();
    let mut text = format!("{count} behaviours, last checked against {CHECKED}.\n");
    for (subject, behaviours) in SUBJECTS {
        text += &format!("\n### {subject}\n\n");
        for behaviour in *behaviours {
            text += &format!("- {}\n", behaviour.says);
        }
    }
    text
}

/// Rewritten by `GROUNDPLAN_BLESS=1 cargo test -p groundplan-node conformance`.
#[test]
fn the_page_lists_every_behaviour() {
    let page = std::fs::read_to_string(PATH).expect(PATH);
    let (head, rest) = page.split_once(BEGIN).expect("the begin of the list");
    let (_, tail) = rest.split_once(END).expect("the end of the list");
    let expected = format!("{head}{BEGIN}\n{}\n{END}{tail}", generated());
    if std::env::var_os("GROUNDPLAN_BLESS").is_some() {
        std::fs::write(PATH, &expected).expect("written");
        return;
    }
    assert_eq!(page, expected, "run with GROUNDPLAN_BLESS=1 to rewrite {PATH}");
    assert!(page.contains(KUBECONFIG), "the page names the variable");
}

#[test]
fn every_behaviour_has_a_sentence_of_its_own() {
    let mut all: Vec<&str> =
        SUBJECTS.iter().flat_map(|(_, behaviours)| *behaviours).map(|one| one.says).collect();
    let count = all.len();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), count);
    assert!(all.iter().all(|says| says.ends_with('.') && !says.contains('\n')));
}
