//! Bounds of policies: the parser and the evaluation recurse, and an expression can be slow.

use std::sync::mpsc;
use std::time::Duration;

use super::PolicyError;

/// Maximum duration of reading and evaluating all policies.
pub(super) const LONGEST: Duration = Duration::from_secs(30);
/// Stack of the thread that parses and evaluates. The parser of a debug build takes 0.3 MB for a
/// level of nesting.
const STACK: usize = 256 << 20;
/// Maximum length of an expression in bytes.
const LENGTH: usize = 16 << 10;
/// Maximum number of brackets that are open at once, and of `?` in an expression.
const DEPTH: usize = 64;

/// Runs work on a thread with a large stack. After the time limit, the thread is left behind: the
/// program ends with the error.
pub(super) fn run<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PolicyError> + Send + 'static,
) -> Result<T, PolicyError> {
    run_within(LONGEST, work)
}

fn run_within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, PolicyError> + Send + 'static,
) -> Result<T, PolicyError> {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().name("policies".to_owned()).stack_size(STACK);
    let running = thread.spawn(move || sender.send(work()));
    running.expect("BUG: a thread can be started");
    receiver.recv_timeout(limit).unwrap_or(Err(PolicyError::TooSlow))
}

/// Returns the reason why an expression is not parsed: its length or its depth.
pub(super) fn excess(expression: &str) -> Option<String> {
    if expression.len() > LENGTH {
        return Some(format!("it has {} bytes, more than {LENGTH}", expression.len()));
    }
    // Brackets in texts count, too: the limit is far above what people write.
    let mut open = 0_usize;
    let mut deepest = 0;
    for c in expression.chars() {
        match c {
            '(' | '[' | '{' => open += 1,
            ')' | ']' | '}' => open = open.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(open);
    }
    let deepest = deepest.max(expression.matches('?').count());
    (deepest > DEPTH).then(|| format!("it is nested {deepest} levels deep, more than {DEPTH}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_and_length_are_bounded() {
        assert_eq!(excess("a.exists(r, r.b == '((' )"), None);
        assert!(excess(&format!("{}true{}", "(".repeat(65), ")".repeat(65))).is_some());
        assert!(excess(&"true ? true : ".repeat(65)).is_some());
        assert!(excess(&"a".repeat(LENGTH + 1)).is_some());
    }

    #[test]
    fn the_deepest_expressions_have_a_result() {
        let parens = format!("{}true{}", "(".repeat(DEPTH), ")".repeat(DEPTH));
        let lists = format!("{}{} != []", "[".repeat(DEPTH), "]".repeat(DEPTH));
        let mixed = format!("{}true{}", "true && (false || (".repeat(32), "))".repeat(32));
        let choices = format!("{}true", "true ? true : ".repeat(DEPTH));
        for expression in [parens, lists, mixed, choices] {
            assert_eq!(excess(&expression), None);
            let result = run(move || {
                let program = cel::Program::compile(&expression).unwrap();
                Ok(program.execute(&cel::Context::default()).is_ok())
            });
            assert!(result.unwrap());
        }
    }

    #[test]
    fn work_without_an_end_is_an_error() {
        let work = || {
            std::thread::sleep(Duration::from_secs(5));
            Ok(())
        };
        let result = run_within(Duration::from_millis(20), work);
        assert!(matches!(result, Err(PolicyError::TooSlow)));
    }
}
