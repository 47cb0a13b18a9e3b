//! A plan for people: one line per change, why, and how many.

use std::collections::BTreeMap;
use std::io::{self, Write};

use anstyle::Style;

use super::painted;
use super::palette::{CREATE, DELETE, ERROR, FAINT, STRONG, UPDATE, WARNING};
use super::value::{SENSITIVE, inline, is_sensitive, line_diff, lines};
use crate::event::Operation;
use crate::plan::{
    Action, Change, Classify, Counts, DriftClass, FieldChange, LeftBecause, Plan, Reason,
};

/// A plan and how it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct PlanView<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Whether creations show every attribute.
    pub full: bool,
    /// What the reader should know besides.
    pub warnings: &'a [String],
    /// How much each drift matters.
    pub classify: Classify,
    /// What is shown of a creation even where not everything is.
    pub telling: Telling,
}

/// Whether an input (a path) of a kind is one that people look for.
pub type Telling = fn(kind: &str, path: &str) -> bool;

impl PlanView<'_> {
    /// Writes the plan for people.
    ///
    /// # Errors
    /// When the writer refuses.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_header(out)?;
        self.write_drift(out)?;
        self.write_left(out)?;
        self.write_warnings(out)?;
        if self.plan.is_empty() {
            return writeln!(out, "{}", painted(STRONG, nothing_to_do(self.plan.operation)));
        }
        self.write_legend(out)?;
        self.write_changes(out)?;
        self.write_kinds(out)?;
        writeln!(out, "{}", painted(STRONG, summary(self.plan.counts())))
    }

    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(cluster) = &self.plan.cluster else { return Ok(()) };
        let verb = match self.plan.operation {
            Operation::Apply => "Plan for",
            Operation::Destroy => "Plan to destroy",
        };
        let (name, infra_id, region) = (&cluster.name, &cluster.infra_id, &cluster.region);
        writeln!(out, "{verb} cluster {} ({infra_id}) in {region}\n", painted(STRONG, name))
    }

    fn write_drift(&self, out: &mut dyn Write) -> io::Result<()> {
        let drift = drift(self.plan, self.classify);
        if drift.is_empty() {
            return Ok(());
        }
        let width = drift.iter().map(|one| one.change.address.as_str().len()).max().unwrap_or(0);
        writeln!(out, "{}\n", painted(STRONG, "Someone changed:"))?;
        for one in drift {
            let (style, class) = class(one.class);
            let what = match one.field {
                Some(field) => one_line(field),
                None => "deleted".to_owned(),
            };
            let address = one.change.address.as_str();
            let class = painted(style, format!("{class:<10}"));
            writeln!(out, "  {class}  {address:<width$}  {what}")?;
        }
        writeln!(out)
    }

    fn write_left(&self, out: &mut dyn Write) -> io::Result<()> {
        let with_left = || self.plan.changes.iter().filter(|change| !change.left.is_empty());
        let Some(width) = with_left().map(|change| change.address.as_str().len()).max() else {
            return Ok(());
        };
        writeln!(out, "{}\n", painted(STRONG, "Left as they are:"))?;
        for change in with_left() {
            for left in &change.left {
                let address = change.address.as_str();
                let (what, why) = (one_line(&left.field), left_because(left.because));
                writeln!(out, "  {address:<width$}  {what}\n  {:<width$}    {why}", "")?;
            }
        }
        writeln!(out)
    }

    fn write_warnings(&self, out: &mut dyn Write) -> io::Result<()> {
        for warning in self.warnings {
            writeln!(out, "{}: {warning}", painted(WARNING, "warning"))?;
        }
        if self.warnings.is_empty() { Ok(()) } else { writeln!(out) }
    }

    fn write_legend(&self, out: &mut dyn Write) -> io::Result<()> {
        let used = |symbol: &str| {
            self.plan.changes.iter().any(|change| self::symbol(change.action) == symbol)
        };
        let legend = [
            (Action::Create, "create"),
            (Action::Update, "update in place"),
            (Action::DeleteThenCreate, "replace: destroy, then create"),
            (Action::CreateThenDelete, "replace: create, then destroy"),
            (Action::Delete, "destroy"),
        ];
        for (action, meaning) in legend.into_iter().filter(|(action, _)| used(symbol(*action))) {
            writeln!(
                out,
                "{} {meaning}",
                painted(style(action), format!("{:>3}", symbol(action)))
            )?;
        }
        writeln!(out)
    }

    fn write_changes(&self, out: &mut dyn Write) -> io::Result<()> {
        let acted = || self.plan.changes.iter().filter(|change| change.action != Action::Keep);
        let width = acted().map(|change| change.address.as_str().len()).max().unwrap_or(0);
        for change in acted() {
            let symbol = painted(style(change.action), format!("{:>3}", symbol(change.action)));
            let address = change.address.as_str();
            let id = match (&change.id, change.action) {
                (Some(id), Action::Delete) => painted(FAINT, format!("  [id={id}]")),
                _ => String::new(),
            };
            writeln!(out, "{symbol} {address:<width$}  {}{id}", reason(&change.reason))?;
            self.write_fields(out, change)?;
        }
        writeln!(out)
    }

    fn write_fields(&self, out: &mut dyn Write, change: &Change) -> io::Result<()> {
        let creates = matches!(change.action, Action::Create | Action::Finish);
        let kind = change.address.kind();
        let shown =
            |field: &&FieldChange| !creates || self.full || (self.telling)(kind, &field.path);
        for field in change.fields.iter().filter(shown) {
            let forces = if field.replaces && change.action.replaces() {
                painted(DELETE, " (forces replacement)")
            } else {
                String::new()
            };
            match long(field) {
                Some(lines) => {
                    writeln!(out, "      {}:{forces}", field.path)?;
                    for line in lines {
                        writeln!(out, "        {line}")?;
                    }
                }
                None if creates => writeln!(out, "      {}", as_created(field))?,
                None => writeln!(out, "      {}{forces}", one_line(field))?,
            }
        }
        Ok(())
    }

    fn write_kinds(&self, out: &mut dyn Write) -> io::Result<()> {
        let kinds = counts_by_kind(self.plan);
        let width = kinds.keys().map(|kind| kind.len()).max().unwrap_or(0);
        writeln!(
            out,
            "{}",
            painted(FAINT, format!("    {:<width$}  add  change  destroy", "kind"))
        )?;
        for (kind, counts) in kinds {
            let figure = |figure: usize| match figure {
                0 => String::new(),
                figure => figure.to_string(),
            };
            let (add, change, destroy) =
                (figure(counts.add), figure(counts.change), figure(counts.destroy));
            let line = format!("    {kind:<width$}  {add:>3}  {change:>6}  {destroy:>7}");
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)
    }
}

/// One thing that somebody else changed.
pub(super) struct Drift<'a> {
    pub(super) change: &'a Change,
    pub(super) class: DriftClass,
    /// What changed; `None` where the whole resource is gone.
    pub(super) field: Option<&'a FieldChange>,
}

/// Everything that somebody else changed, the gravest first.
pub(super) fn drift(plan: &Plan, classify: Classify) -> Vec<Drift<'_>> {
    let mut drift = Vec::new();
    for change in &plan.changes {
        if change.reason == Reason::Missing {
            drift.push(Drift { change, class: DriftClass::Functional, field: None });
        }
        for field in &change.drift {
            let class = classify(change.address.kind(), &field.path);
            drift.push(Drift { change, class, field: Some(field) });
        }
    }
    drift.sort_by_key(|one| one.class); // stable: dependency order within a class
    drift
}

/// How many resources of each kind a plan touches.
pub(super) fn counts_by_kind(plan: &Plan) -> BTreeMap<&str, Counts> {
    let mut kinds: BTreeMap<&str, Counts> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.action != Action::Keep) {
        let one = count_one(change.action);
        let counts = kinds.entry(change.address.kind()).or_default();
        counts.add += one.add;
        counts.change += one.change;
        counts.destroy += one.destroy;
    }
    kinds
}

fn count_one(action: Action) -> Counts {
    let replaces = action.replaces();
    Counts {
        add: usize::from(replaces || matches!(action, Action::Create | Action::Finish)),
        change: usize::from(action == Action::Update),
        destroy: usize::from(replaces || action == Action::Delete),
    }
}

/// The line that ends every plan with changes.
fn summary(counts: Counts) -> String {
    format!(
        "Plan: {} to add, {} to change, {} to destroy.",
        counts.add, counts.change, counts.destroy
    )
}

fn nothing_to_do(operation: Operation) -> &'static str {
    match operation {
        Operation::Apply => "No changes. Your infrastructure matches the configuration.",
        Operation::Destroy => "No changes. Nothing is recorded that could be destroyed.",
    }
}

fn symbol(action: Action) -> &'static str {
    match action {
        Action::Keep => "",
        Action::Create | Action::Finish => "+",
        Action::Update => "~",
        Action::DeleteThenCreate => "-/+",
        Action::CreateThenDelete => "+/-",
        Action::Delete => "-",
    }
}

fn style(action: Action) -> Style {
    match action {
        Action::Keep => Style::new(),
        Action::Create | Action::Finish => CREATE,
        Action::Update => UPDATE,
        Action::DeleteThenCreate | Action::CreateThenDelete | Action::Delete => DELETE,
    }
}

fn class(class: DriftClass) -> (Style, &'static str) {
    match class {
        DriftClass::Security => (ERROR, "security"),
        DriftClass::Functional => (UPDATE, "functional"),
        DriftClass::Cosmetic => (FAINT, "cosmetic"),
    }
}

fn left_because(because: LeftBecause) -> &'static str {
    match because {
        LeftBecause::SetAtCreation => "read at creation only; what runs is not replaced for it",
        LeftBecause::NoOpinion => "the configuration has no opinion on it any more",
        LeftBecause::ByHand => "somebody changed it by hand; what runs is not replaced for it",
    }
}

/// A reason in words.
pub(super) fn reason(reason: &Reason) -> String {
    match reason {
        Reason::UpToDate => "up to date".into(),
        Reason::New => "new".into(),
        Reason::Missing => "missing in the cloud".into(),
        Reason::Unfinished => "begun by an earlier run".into(),
        Reason::Changed => "the configuration changed".into(),
        Reason::Drifted => "somebody else changed it".into(),
        Reason::CannotUpdate { paths } => {
            format!("replaced, because {} cannot change in place", enumerated(paths))
        }
        Reason::HalfDeleted => "an earlier run began to delete it".into(),
        Reason::Requested => "replaced, because it was asked for".into(),
        Reason::NotInConfiguration => "not in the configuration any more".into(),
        Reason::Superseded => "the old one, whose place a replacement took".into(),
        Reason::Destroy => "destroyed with the cluster".into(),
    }
}

/// "`a`", "`a` and `b`", "`a`, `b` and 2 more"
fn enumerated(paths: &[String]) -> String {
    let quoted = |path: &String| format!("`{path}`");
    match paths {
        [] => "an input".into(),
        [only] => quoted(only),
        [first, second] => format!("{} and {}", quoted(first), quoted(second)),
        [first, second, rest @ ..] => {
            format!("{}, {} and {} more", quoted(first), quoted(second), rest.len())
        }
    }
}

fn as_created(field: &FieldChange) -> String {
    let value = field.after.as_ref().map(inline).unwrap_or_default();
    format!("{}: {value}", field.path)
}

fn one_line(field: &FieldChange) -> String {
    let side = |value: &Option<serde_json::Value>| match value {
        Some(value) => inline(value),
        None => "(none)".to_owned(),
    };
    let secret = |value: &Option<serde_json::Value>| value.as_ref().is_some_and(is_sensitive);
    if secret(&field.before) && secret(&field.after) {
        return format!("{}: {SENSITIVE}, changes", field.path);
    }
    format!("{}: {} -> {}", field.path, side(&field.before), side(&field.after))
}

/// The lines of a change of a long text; `None` for what fits on one line.
fn long(field: &FieldChange) -> Option<Vec<String>> {
    let before = field.before.as_ref().map(lines);
    let after = field.after.as_ref().map(lines);
    match (before, after) {
        (None, Some(Some(after))) => Some(after.lines().map(str::to_owned).collect()),
        (Some(Some(before)), Some(Some(after))) => Some(line_diff(&before, &after)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::{Left, Op, Step};
    use crate::state::Cluster;

    fn classify(_: &str, path: &str) -> DriftClass {
        match path {
            "metadata_options.http_tokens" => DriftClass::Security,
            "tags.Name" => DriftClass::Cosmetic,
            _ => DriftClass::Functional,
        }
    }

    fn plan(changes: Vec<Change>) -> Plan {
        let step = |change: &Change| Step {
            op: Op::Delete { address: change.address.clone(), generation: 1, unseen: false },
            after: vec![],
        };
        let acted = changes.iter().filter(|change| change.action != Action::Keep);
        Plan {
            operation: Operation::Apply,
            lineage: "l".into(),
            serial: 1,
            cluster: Some(Cluster {
                name: "demo".into(),
                infra_id: "demo-x7k2p".into(),
                cluster_id: "0".into(),
                region: "us-west-2".into(),
            }),
            generation: 2,
            steps: acted.map(step).collect(),
            relinks: vec![],
            changes,
        }
    }

    fn change(address: &str, action: Action, reason: Reason) -> Change {
        Change {
            address: address.into(),
            action,
            reason,
            id: None,
            fields: vec![],
            drift: vec![],
            left: vec![],
        }
    }

    fn field(path: &str, before: impl Into<Value>, after: impl Into<Value>) -> FieldChange {
        let known = |value: Value| Some(value).filter(|value| !value.is_null());
        FieldChange {
            path: path.into(),
            before: known(before.into()),
            after: known(after.into()),
            replaces: false,
        }
    }

    fn written(plan: &Plan, full: bool) -> String {
        let mut written = Vec::new();
        let telling = |_: &str, path: &str| path == "metadata_options.http_tokens";
        let view = PlanView { plan, full, warnings: &[], classify, telling };
        view.write(&mut anstream::StripStream::new(&mut written)).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_plan_has_a_line_per_change_with_its_symbol_and_reason() {
        let mut update = change("instance.master-0", Action::Update, Reason::Changed);
        update.fields = vec![field("metadata_options.http_tokens", "optional", "required")];
        let paths = vec!["cidr".to_owned()];
        let mut replace =
            change("subnet.a", Action::DeleteThenCreate, Reason::CannotUpdate { paths });
        replace.fields =
            vec![FieldChange { replaces: true, ..field("cidr", "10.0.0.0/20", "10.0.16.0/20") }];
        let mut delete = change("record.old", Action::Delete, Reason::NotInConfiguration);
        delete.id = Some("Z1/old".into());
        let plan = plan(vec![
            change("vpc.main", Action::Keep, Reason::UpToDate),
            replace,
            update,
            change("subnet.b", Action::Create, Reason::New),
            change("target_group.t", Action::CreateThenDelete, Reason::Requested),
            delete,
        ]);
        assert_eq!(
            written(&plan, false),
            r#"Plan for cluster demo (demo-x7k2p) in us-west-2

  + create
  ~ update in place
-/+ replace: destroy, then create
+/- replace: create, then destroy
  - destroy

-/+ subnet.a           replaced, because `cidr` cannot change in place
      cidr: "10.0.0.0/20" -> "10.0.16.0/20" (forces replacement)
  ~ instance.master-0  the configuration changed
      metadata_options.http_tokens: "optional" -> "required"
  + subnet.b           new
+/- target_group.t     replaced, because it was asked for
  - record.old         not in the configuration any more  [id=Z1/old]

    kind          add  change  destroy
    instance                1
    record                           1
    subnet          2                1
    target_group    1                1

Plan: 3 to add, 1 to change, 3 to destroy.
"#
        );
    }

    #[test]
    fn no_changes_is_one_line() {
        let plan = plan(vec![change("vpc.main", Action::Keep, Reason::UpToDate)]);
        assert_eq!(
            written(&plan, false),
            "Plan for cluster demo (demo-x7k2p) in us-west-2\n\n\
             No changes. Your infrastructure matches the configuration.\n"
        );
    }

    #[test]
    fn the_legend_has_only_the_symbols_in_use() {
        let plan = plan(vec![change("vpc.main", Action::Create, Reason::New)]);
        let text = written(&plan, false);
        assert!(text.contains("\n  + create\n\n"), "{text}");
        assert!(!text.contains('~') && !text.contains("destroy,"), "{text}");
    }

    #[test]
    fn full_shows_what_a_creation_is_made_with() {
        let mut create = change("instance.master-0", Action::Create, Reason::New);
        create.fields = vec![
            field("image", Value::Null, "ami-1"),
            field("policy", Value::Null, "{\"a\":1}"),
            field("profile", Value::Null, json!({"$ref": "p.m", "output": "name"})),
            field("user_data.content", Value::Null, json!({"$secret": "sha256:aa"})),
        ];
        let plan = plan(vec![create]);
        let text = written(&plan, true);
        assert!(
            text.contains(
                r#"  + instance.master-0  new
      image: "ami-1"
      policy:
        {
          "a": 1
        }
      profile: (known after apply)
      user_data.content: (sensitive)
"#
            ),
            "{text}"
        );
        assert!(!text.contains("sha256"));
        assert!(!written(&plan, false).contains("ami-1"));
    }

    #[test]
    fn what_people_look_for_is_always_shown() {
        let mut create = change("instance.master-0", Action::Create, Reason::New);
        create.fields = vec![
            field("image", Value::Null, "ami-1"),
            field("metadata_options.http_tokens", Value::Null, "required"),
        ];
        let text = written(&plan(vec![create]), false);
        assert!(
            text.contains(
                "  + instance.master-0  new\n      metadata_options.http_tokens: \"required\"\n\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_secret_that_changes_says_so_and_nothing_more() {
        let mut update = change("s3_object.ignition", Action::Update, Reason::Changed);
        update.fields =
            vec![field("body", json!({"$secret": "sha256:aa"}), json!({"$secret": "sha256:bb"}))];
        let text = written(&plan(vec![update]), false);
        assert!(text.contains("      body: (sensitive), changes\n"), "{text}");
        assert!(!text.contains("sha256"), "{text}");
    }

    #[test]
    fn long_text_is_diffed_by_line() {
        let mut update = change("iam_role_policy.master", Action::Update, Reason::Changed);
        update.fields = vec![field("document", r#"{"allow":["a","b"]}"#, r#"{"allow":["a","c"]}"#)];
        let text = written(&plan(vec![update]), false);
        assert!(
            text.contains(
                r#"      document:
            "allow": [
              "a",
        -     "b"
        +     "c"
            ]
          }
"#
            ),
            "{text}"
        );
    }

    #[test]
    fn what_others_changed_stands_apart_and_the_gravest_comes_first() {
        let mut tagged = change("vpc.main", Action::Update, Reason::Drifted);
        tagged.drift = vec![field("tags.Name", "a", "b")];
        tagged.fields = vec![field("tags.Name", "b", "a")];
        let mut opened = change("instance.master-0", Action::Update, Reason::Drifted);
        opened.drift = vec![field("metadata_options.http_tokens", "required", "optional")];
        opened.fields = vec![field("metadata_options.http_tokens", "optional", "required")];
        let gone = change("subnet.a", Action::Create, Reason::Missing);
        let text = written(&plan(vec![tagged, opened, gone]), false);
        assert!(
            text.contains(
                r#"Someone changed:

  security    instance.master-0  metadata_options.http_tokens: "required" -> "optional"
  functional  subnet.a           deleted
  cosmetic    vpc.main           tags.Name: "a" -> "b"

"#
            ),
            "{text}"
        );
        assert!(text.contains("  ~ vpc.main           somebody else changed it\n"), "{text}");
    }

    #[test]
    fn what_is_left_as_it_is_says_why() {
        let mut keep = change("instance.master-0", Action::Keep, Reason::UpToDate);
        keep.left = vec![
            Left { field: field("image", "ami-1", "ami-2"), because: LeftBecause::SetAtCreation },
            Left {
                field: field("metadata_options.http_tokens", "required", Value::Null),
                because: LeftBecause::NoOpinion,
            },
        ];
        let text = written(&plan(vec![keep]), false);
        assert!(
            text.contains(
                r#"Left as they are:

  instance.master-0  image: "ami-1" -> "ami-2"
                       read at creation only; what runs is not replaced for it
  instance.master-0  metadata_options.http_tokens: "required" -> (none)
                       the configuration has no opinion on it any more

No changes."#
            ),
            "{text}"
        );
    }

    #[test]
    fn the_summary_per_kind_adds_up_to_the_summary_line() {
        let actions = [
            Action::Keep,
            Action::Create,
            Action::Finish,
            Action::Update,
            Action::DeleteThenCreate,
            Action::CreateThenDelete,
            Action::Delete,
        ];
        let changes = actions
            .iter()
            .enumerate()
            .map(|(i, action)| change(&format!("kind-{}.{i}", i % 2), *action, Reason::Changed));
        let plan = plan(changes.collect());
        let sum = |figure: fn(&Counts) -> usize| {
            counts_by_kind(&plan).values().map(figure).sum::<usize>()
        };
        let counts = plan.counts();
        assert_eq!(
            (sum(|c| c.add), sum(|c| c.change), sum(|c| c.destroy)),
            (counts.add, counts.change, counts.destroy)
        );
    }
}
