//! Names in expressions: each must be a variable of policies, a variable that the expression itself
//! declares, or a function or type of CEL. A misspelt one is found before the plan.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr};
use cel::{Context, Program};

/// Variable of every policy.
pub(super) const PLAN: &str = "plan";
/// Variable of policies with `kinds`.
pub(super) const RESOURCE: &str = "resource";

/// Returns the problem of the first name that nothing declares.
pub(super) fn undeclared(program: &Program, has_resource: bool) -> Option<String> {
    let mut scope = vec![PLAN];
    scope.extend(has_resource.then_some(RESOURCE));
    let mut names = Names { scope, problem: None, has_resource };
    names.walk(program.expression());
    names.problem
}

/// Walk through one expression.
struct Names<'e> {
    /// Variables at this place, the innermost last.
    scope: Vec<&'e str>,
    problem: Option<String>,
    has_resource: bool,
}

impl<'e> Names<'e> {
    fn walk(&mut self, expression: &'e IdedExpr) {
        match &expression.expr {
            Expr::Unspecified | Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name),
            Expr::Call(call) => self.call(call),
            Expr::Select(select) => self.walk(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(|item| self.walk(item)),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(of) => self.report(format!("`{}` is no type", of.type_name)),
            Expr::Comprehension(macro_) => {
                self.walk(&macro_.iter_range);
                self.walk(&macro_.accu_init);
                let outer = self.scope.len();
                self.scope.push(&macro_.accu_var);
                self.scope.push(&macro_.iter_var);
                self.scope.extend(macro_.iter_var2.as_deref());
                self.walk(&macro_.loop_cond);
                self.walk(&macro_.loop_step);
                self.walk(&macro_.result);
                self.scope.truncate(outer);
            }
        }
    }

    fn entry(&mut self, entry: &'e EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.walk(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.walk(&entry.key);
                self.walk(&entry.value);
            }
        }
    }

    fn call(&mut self, call: &'e CallExpr) {
        let name = &call.func_name;
        // `optional.of(x)` calls a function with a dot in its name.
        let qualified = call.target.as_deref().and_then(qualified);
        let is_qualified = qualified.is_some_and(|target| is_function(&format!("{target}.{name}")));
        if !is_qualified {
            if !is_operator(name) && !is_function(name) {
                let hint = "docs/policies.md lists the functions";
                self.report(format!("`{name}` is no function: {hint}"));
            }
            call.target.iter().for_each(|target| self.walk(target));
        }
        call.args.iter().for_each(|argument| self.walk(argument));
    }

    fn variable(&mut self, name: &str) {
        let name = name.trim_start_matches('.');
        if self.scope.contains(&name) || name.starts_with('@') || is_type(name) {
            return;
        }
        let expected = match self.has_resource {
            true => format!("expected `{PLAN}` or `{RESOURCE}`"),
            false if name == RESOURCE => {
                format!("a policy without `kinds` is about the whole plan, and has `{PLAN}` only")
            }
            false => format!("expected `{PLAN}`"),
        };
        self.report(format!("`{name}` is no variable: {expected}"));
    }

    fn report(&mut self, problem: String) {
        self.problem.get_or_insert(problem);
    }
}

/// Returns a chain of names as one: `a.b`.
fn qualified(expression: &IdedExpr) -> Option<String> {
    match &expression.expr {
        Expr::Ident(name) => Some(name.clone()),
        Expr::Select(select) if !select.test => {
            Some(format!("{}.{}", qualified(&select.operand)?, select.field))
        }
        _ => None,
    }
}

/// Returns true for operators, which CEL's parser names with signs: `_==_`, `!_`, `@in`.
fn is_operator(name: &str) -> bool {
    !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Returns true for a function of the evaluator, which rejects another one of the same name.
fn is_function(name: &str) -> bool {
    Context::default().add_function(name, |one: i64| one).is_err()
}

/// Returns true for a type: CEL's types are values, as in `type(x) == string`.
fn is_type(name: &str) -> bool {
    Program::compile(name).is_ok_and(|program| program.execute(&Context::default()).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(expression: &str, has_resource: bool) -> Option<String> {
        undeclared(&Program::compile(expression).unwrap(), has_resource)
    }

    #[test]
    fn names_that_cel_or_the_expression_declares_are_no_problem() {
        for expression in [
            "resource.after.metadata_options.http_tokens == 'required'",
            "plan.resources.all(r, r.kind != 'vpc' || !(r.action in ['delete']))",
            "plan.resources.filter(r, r.fields.exists(f, f.path.startsWith(r.kind))).size() < 3",
            "plan.resources.exists_one(r, r.address.contains('x') && r.id.endsWith('y'))",
            "has(resource.after.cidr) ? size(resource.after.cidr) > 1 : -1 < 0",
            "type(resource.after) == map && string(1) + 'a' == '1a' && int('1') == 1",
            "optional.of(1).hasValue() && optional.none().orValue({'a': [1]}) != {}",
            "plan.resources.map(r, r.kind)[0] == 'vpc'",
        ] {
            assert_eq!(problem(expression, true), None, "{expression}");
        }
    }

    #[test]
    fn the_first_name_that_nothing_declares_is_named() {
        for (expression, expected) in [
            ("resources.size() > 0", "`resources` is no variable: expected `plan` or `resource`"),
            ("plan.resources.all(r, s.kind == 'vpc')", "`s` is no variable"),
            ("plan.resources.all(r, true) && r.kind == 'vpc'", "`r` is no variable"),
            ("has(resouce.after)", "`resouce` is no variable"),
            ("resource.kind.startswith('v')", "`startswith` is no function"),
            ("len(plan.resources) > 0", "`len` is no function"),
            ("resource.kind.matches('v.*')", "`matches` is no function"),
            ("plan.resources.all(r, lower(r.kind) == 'vpc')", "`lower` is no function"),
            ("{'a': plann}.a == 1", "`plann` is no variable"),
            ("[plann] == []", "`plann` is no variable"),
        ] {
            let found = problem(expression, true).unwrap_or_else(|| panic!("{expression}"));
            assert!(found.starts_with(expected), "{expression}: {found}");
        }
        let found = problem("resource.kind == 'vpc'", false).unwrap();
        assert!(found.contains("a policy without `kinds`"), "{found}");
    }

    #[test]
    fn the_page_lists_the_functions_and_variables_that_exist() {
        let page = include_str!("../../docs/policies.md");
        let row = |kind: &str| {
            let begin = format!("| {kind} |");
            page.lines().find(|line| line.starts_with(&begin)).unwrap_or_else(|| panic!("{kind}"))
        };
        let names = |kind| row(kind).split('`').skip(1).step_by(2).collect::<Vec<_>>();
        let functions = names("functions");
        assert!(functions.len() >= 15, "{functions:?}");
        for function in functions {
            assert!(is_function(function), "{function}");
        }
        for name in names("types") {
            assert!(is_type(name), "{name}");
        }
        for variable in [PLAN, RESOURCE] {
            assert!(page.contains(&format!("| `{variable}` |")));
        }
    }
}
