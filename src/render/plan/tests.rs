//! Tests of plans as people see them.

use groundplan_engine::graph::Identity as KindIdentity;
use groundplan_engine::plan::billing::{BilledAmount, BilledItem};
use groundplan_engine::plan::{
    Change, DriftClass, IgnoreReason, IgnoredDifference, Op, Reason, Step,
};
use groundplan_engine::state::Cluster;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn classify(_: &str, path: &str) -> DriftClass {
    match path {
        "metadata_options.http_tokens" => DriftClass::Security,
        "tags.Name" => DriftClass::Cosmetic,
        _ => DriftClass::Functional,
    }
}

pub(in crate::render) fn plan(changes: Vec<Change>) -> Plan {
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
        selection: None,
        steps: acted.map(step).collect(),
        dependency_updates: vec![],
        changes,
    }
}

pub(in crate::render) fn change(address: &str, action: Action, reason: Reason) -> Change {
    Change {
        address: address.into(),
        action,
        reason,
        id: None,
        fields: vec![],
        drift: vec![],
        unmanaged: vec![],
        left: vec![],
        before: None,
        after: None,
        protected: false,
    }
}

fn field(path: &str, before: impl Into<Value>, after: impl Into<Value>) -> FieldChange {
    let known = |value: Value| Some(value).filter(|value| !value.is_null());
    FieldChange {
        path: path.into(),
        item: None,
        before: known(before.into()),
        after: known(after.into()),
        replaces: false,
    }
}

fn written(plan: &Plan, full: bool) -> String {
    in_width(plan, full, None)
}

static SLOW: Schema = Schema { typical_seconds: 700, ..Schema::of("vpc", KindIdentity::Name) };

/// Describes kinds in the words of the tests: the first letter is the subject, each input a fact.
pub(in crate::render) const DESCRIBE: Describe = Describe {
    subject: |kind| match kind {
        "vpc" | "subnet" => Subject { order: 0, title: "Network" },
        _ => Subject { order: 1, title: "Other" },
    },
    summary: |after, _| {
        let fields = after.as_object().into_iter().flatten();
        let facts =
            fields.map(|(key, value)| format!("{key} {}", super::super::value::inline(value)));
        Summary { facts: facts.collect(), sentences: vec![] }
    },
    is_part: |kind| kind == "target",
    billed: |kind, inputs| {
        let amount = inputs["size"].as_u64().filter(|_| kind == "disk");
        let item = |amount| {
            let (one, several) = ("disk".to_owned(), "disks".to_owned());
            let item = BilledItem { order: 0, name: "volume", variant: "gp3".into(), one, several };
            BilledAmount { item, amount }
        };
        amount.map(item).into_iter().collect()
    },
    volumes: |_, _| None,
    schema: |kind| match kind {
        "vpc" => Some(&SLOW),
        _ => None,
    },
    danger: |plan| {
        let zones = plan.changes.iter().filter(|change| change.address.kind() == "hosted_zone");
        zones.map(|change| format!("{} goes", change.address)).collect()
    },
};

#[test]
fn the_head_names_account_and_identity_of_the_run() {
    let plan = plan(vec![]);
    let identity = Some(Identity { account: "111122223333", arn: "arn:aws:iam::1:user/\u{1b}ada" });
    let view = PlanView {
        plan: &plan,
        full: false,
        warnings: &[],
        classify,
        describe: DESCRIBE,
        width: None,
        identity,
        notes: &[],
        prices: None,
    };
    let mut written = Vec::new();
    view.write(&mut anstream::StripStream::new(&mut written)).unwrap();
    let text = String::from_utf8(written).unwrap();
    let head = "Plan for cluster demo (demo-x7k2p) in us-west-2\n\
                Account 111122223333, as arn:aws:iam::1:user/";
    assert!(text.starts_with(head), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_long_plan_repeats_its_warnings_and_a_short_one_does_not() {
    for (number, times) in [(3, 1), (40, 2)] {
        let names = (0..number).map(|n| format!("subnet.{}", "x".repeat(n + 1)));
        let changes = names.map(|name| change(&name, Action::Update, Reason::Changed));
        let (plan, warnings) = (plan(changes.collect()), ["mind the gap".to_owned()]);
        let view = PlanView {
            plan: &plan,
            full: true,
            warnings: &warnings,
            classify,
            describe: DESCRIBE,
            width: None,
            identity: None,
            notes: &[],
            prices: None,
        };
        let mut written = Vec::new();
        view.write(&mut anstream::StripStream::new(&mut written)).unwrap();
        let text = String::from_utf8(written).unwrap();
        assert_eq!(text.matches("warning: mind the gap\n").count(), times, "{text}");
        assert_eq!(text.ends_with("\n\nwarning: mind the gap\n"), times == 2, "{text}");
    }
}

#[test]
fn the_time_is_that_of_the_longest_path() {
    let mut plan = plan(vec![]);
    let create = |address: &str| Op::Create {
        address: address.into(),
        generation: 1,
        inputs: json!({}),
        after: vec![],
        prior: groundplan_engine::plan::PriorObject::Nothing,
        found: None,
    };
    plan.changes = vec![change("vpc.main", Action::Create, Reason::New)];
    plan.steps = vec![Step { op: create("vpc.main"), after: vec![] }];
    let text = written(&plan, false);
    assert!(text.ends_with("\nTime: about 12m; longest path: vpc.main\n"), "{text}");
}

#[test]
fn dangers_are_the_last_lines() {
    let zone = change("hosted_zone.int", Action::Delete, Reason::NotInConfiguration);
    let text = written(&plan(vec![zone]), false);
    let end = "Plan: 0 to add, 0 to change, 1 to destroy.\n\nDANGER: hosted_zone.int goes\n";
    assert!(text.ends_with(end), "{text}");
}

fn in_width(plan: &Plan, full: bool, width: Option<usize>) -> String {
    let mut written = Vec::new();
    let view = PlanView {
        plan,
        full,
        warnings: &[],
        classify,
        describe: DESCRIBE,
        width,
        identity: None,
        notes: &[],
        prices: None,
    };
    view.write(&mut anstream::StripStream::new(&mut written)).unwrap();
    String::from_utf8(written).unwrap()
}

#[test]
fn a_plan_has_a_line_per_change_with_its_symbol_and_reason() {
    let mut update = change("instance.master-0", Action::Update, Reason::Changed);
    update.fields = vec![field("metadata_options.http_tokens", "optional", "required")];
    let paths = vec!["cidr".to_owned()];
    let mut replace = change("subnet.a", Action::DeleteThenCreate, Reason::CannotUpdate { paths });
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

Network
-/+ subnet.a  replaced, because `cidr` cannot change in place
      cidr: "10.0.0.0/20" -> "10.0.16.0/20" (forces replacement)
  + subnet.b  new

Other
  ~ instance.master-0  the configuration changed
      metadata_options.http_tokens: "optional" -> "required"
+/- target_group.t     replaced, because --replace requests it
  - record.old         no longer in the configuration  [id=Z1/old]

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
      profile: -> p.m.name
      user_data.content: (sensitive)
"#
        ),
        "{text}"
    );
    assert!(!text.contains("sha256"));
    assert!(!written(&plan, false).contains("ami-1"));
}

#[test]
fn a_creation_shows_its_summary_and_its_reason_unless_it_is_merely_new() {
    let create = |reason| {
        let mut create = change("instance.master-0", Action::Create, reason);
        let network = json!({"$ref": "network_interface.m", "output": "id"});
        create.after = Some(json!({"network": network, "tokens": "required"}));
        written(&plan(vec![create]), false)
    };
    let text = create(Reason::New);
    assert!(
        text.contains(
            "  + instance.master-0  network -> network_interface.m, tokens \"required\"\n"
        ),
        "{text}"
    );
    let text = create(Reason::Missing);
    assert!(
        text.contains("  deleted outside groundplan: network -> network_interface.m"),
        "{text}"
    );
}

/// Returns alike machines of a set.
fn machines(number: usize) -> Vec<Change> {
    let machine = |index: usize| {
        let name = format!("demo-worker-us-west-2a-{index}");
        let mut create = change(&format!("machine.{name}"), Action::Create, Reason::New);
        create.after = Some(json!({"tags": {"Name": name}, "type": "m6i.xlarge"}));
        create
    };
    (0..number).map(machine).collect()
}

#[test]
fn alike_changes_are_one_line_and_full_shows_each() {
    let plan = plan(machines(1500));
    let text = written(&plan, false);
    assert!(
        text.contains(
            "\n  + machine.demo-worker-us-west-2a-*  1500 alike: tags {Name: \
             \"demo-worker-us-west-2a-*\"}, type \"m6i.xlarge\"\n"
        ),
        "{text}"
    );
    assert_eq!(text.lines().filter(|line| line.contains("machine.demo")).count(), 1, "{text}");
    assert!(text.contains("Plan: 1500 to add"), "{text}");
    let full = written(&plan, true);
    assert_eq!(full.lines().filter(|line| line.contains("machine.demo")).count(), 1500);
}

#[test]
fn a_few_changes_and_changes_that_differ_are_no_group() {
    assert!(!written(&plan(machines(5)), false).contains("alike"));
    let mut other = machines(6);
    other[3].after = Some(json!({"tags": {"Name": "demo-worker-us-west-2a-3"}, "type": "t3.nano"}));
    assert!(!written(&plan(other), false).contains("alike"));
}

#[test]
fn a_group_hides_no_protected_resource_and_no_drift() {
    let mut changes = machines(20);
    for change in &mut changes {
        change.action = Action::Delete;
        change.reason = Reason::NotInConfiguration;
        change.after = None;
    }
    changes[4].protected = true;
    changes[7].drift = vec![field("metadata_options.http_tokens", "required", "optional")];
    let text = written(&plan(changes), false);
    assert!(text.contains("  - machine.demo-worker-us-west-2a-*  18 alike: no longer"), "{text}");
    assert!(text.contains("  - machine.demo-worker-us-west-2a-4  no longer"), "{text}");
    assert!(text.contains("[protected]"), "{text}");
    assert!(text.contains("  - machine.demo-worker-us-west-2a-7  no longer"), "{text}");
    assert!(text.contains("security    machine.demo-worker-us-west-2a-7"), "{text}");
}

#[test]
fn alike_drift_is_one_line_unless_it_is_security() {
    let drifted = |path: &str| {
        let mut changes = machines(9);
        for change in &mut changes {
            (change.action, change.reason) = (Action::Keep, Reason::UpToDate);
            change.drift = vec![field(path, "a", "b")];
        }
        written(&plan(changes), false)
    };
    let text = drifted("tags.Name");
    assert!(
        text.contains("cosmetic    machine.demo-worker-us-west-2a-* (9 resources)  tags.Name"),
        "{text}"
    );
    let text = drifted("metadata_options.http_tokens");
    assert_eq!(text.lines().filter(|line| line.starts_with("  security  ")).count(), 9, "{text}");
}

proptest! {
    #[test]
    fn a_group_loses_no_change(
        picks in prop::collection::vec((0_usize..3, 0_usize..4, 0_u32..3, any::<bool>()), 0..120),
    ) {
        let names = ["demo-worker", "demo-infra", "x"];
        let changes: Vec<Change> = picks.iter().enumerate().map(|(index, (name, action, size, protected))| {
            let actions = [Action::Create, Action::Update, Action::DeleteThenCreate, Action::Delete];
            let address = format!("machine.{}-{index}", names[*name]);
            let mut change = change(&address, actions[*action], Reason::Changed);
            change.after = Some(json!({"size": size}));
            change.protected = *protected && index % 7 == 0;
            change
        }).collect();
        let plan = plan(changes);
        let shown = sections(&plan, DESCRIBE, false);
        let entries = shown.iter().flat_map(|section| &section.entries);
        let mut found: Vec<&str> = entries
            .flat_map(|entry| entry.changes.iter().map(|change| change.address.as_str()))
            .collect();
        found.sort_unstable();
        let mut all: Vec<&str> = plan.changes.iter().map(|change| change.address.as_str()).collect();
        all.sort_unstable();
        prop_assert_eq!(found, all);
        for entry in shown.iter().flat_map(|section| &section.entries) {
            let first = entry.first();
            for one in &entry.changes {
                prop_assert_eq!((one.action, &one.after), (first.action, &first.after));
                prop_assert!(entry.changes.len() == 1 || !one.protected);
            }
        }
    }
}

#[test]
fn a_narrow_terminal_breaks_lines_between_words() {
    let mut create = change("subnet.private-us-west-2a", Action::Create, Reason::New);
    create.after =
        Some(json!({"cidr": "10.0.0.0/20", "vpc": {"$ref": "vpc.main", "output": "id"}}));
    let text = in_width(&plan(vec![create]), false, Some(60));
    assert!(
        text.contains(
            "\n  + subnet.private-us-west-2a  cidr \"10.0.0.0/20\", vpc ->\n                              \
             vpc.main\n"
        ),
        "{text}"
    );
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
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
            r#"Changed outside groundplan:

  security    instance.master-0  metadata_options.http_tokens: "required" -> "optional"
  functional  subnet.a           deleted
  cosmetic    vpc.main           tags.Name: "a" -> "b"

"#
        ),
        "{text}"
    );
    assert!(text.contains("  ~ vpc.main  changed outside groundplan\n"), "{text}");
}

#[test]
fn what_is_left_as_it_is_says_why() {
    let mut keep = change("instance.master-0", Action::Keep, Reason::UpToDate);
    keep.left = vec![
        IgnoredDifference {
            field: field("image", "ami-1", "ami-2"),
            because: IgnoreReason::CreateOnly,
        },
        IgnoredDifference {
            field: field("metadata_options.http_tokens", "required", Value::Null),
            because: IgnoreReason::NoOpinion,
        },
    ];
    let text = written(&plan(vec![keep]), false);
    assert!(
        text.contains(
            r#"Not changed:

  instance.master-0  image: "ami-1" -> "ami-2"
                       used only at creation; --replace applies it
  instance.master-0  metadata_options.http_tokens: "required" -> (none)
                       no longer set in the configuration

No changes."#
        ),
        "{text}"
    );
}

/// A replacement gets only what the configuration sets, so nothing of the old resource stays.
#[test]
fn replaced_resource_does_not_keep_what_is_no_longer_set() {
    let reason = Reason::CannotUpdate { paths: vec!["instance_type".into()] };
    let mut replaced = change("instance.master-0", Action::DeleteThenCreate, reason);
    replaced.fields =
        vec![FieldChange { replaces: true, ..field("instance_type", "m6i.large", "m6i.xlarge") }];
    replaced.left = vec![IgnoredDifference {
        field: field("metadata_options.http_tokens", "required", Value::Null),
        because: IgnoreReason::NoOpinion,
    }];
    let text = written(&plan(vec![replaced]), false);
    let lines = r#"
      instance_type: "m6i.large" -> "m6i.xlarge" (forces replacement)
      metadata_options.http_tokens: "required" -> (not set: AWS decides)
"#;
    assert!(text.contains(lines) && !text.contains("Not changed"), "{text}");
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
    let sum = |figure: fn(&ChangeCounts) -> usize| {
        counts_by_kind(&plan).values().map(figure).sum::<usize>()
    };
    let counts = plan.counts();
    assert_eq!(
        (sum(|c| c.add), sum(|c| c.change), sum(|c| c.destroy)),
        (counts.add, counts.change, counts.destroy)
    );
}

#[test]
fn a_replacement_has_its_summary_and_three_alike_parts_are_one_line() {
    let of = |address: &str, action, reason| Change {
        after: Some(json!({"zone": "a"})),
        ..change(address, action, reason)
    };
    let registered = |n: usize| of(&format!("target.master-{n}-api"), Action::Create, Reason::New);
    let machine = |n: usize| of(&format!("instance.master-{n}"), Action::Create, Reason::New);
    let replaced = of("vpc.main", Action::DeleteThenCreate, Reason::Requested);
    let (targets, machines) = ((0..3).map(registered), (0..3).map(machine));
    let changes = [replaced].into_iter().chain(targets).chain(machines).collect();
    let text = written(&plan(changes), false);
    let line = "-/+ vpc.main  replaced, because --replace requests it: zone \"a\"\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("  + target.master-*-api  3 alike: zone \"a\"\n"), "{text}");
    assert!(text.contains("  + instance.master-1  "), "{text}");
}

#[test]
fn parts_that_differ_in_their_source_alone_share_a_line() {
    let part = |address: &str, source: &str, group: &str| {
        let mut after = serde_json::Map::new();
        after.insert(source.to_owned(), group.into());
        let after = Some(Value::Object(after));
        Change { after, ..change(address, Action::Create, Reason::New) }
    };
    let master = |n: usize| {
        let (address, source) = (format!("target.master-{n}-api"), format!("eni.master-{n}"));
        part(&address, &source, "g")
    };
    let mut changes: Vec<Change> = (0..3).map(master).collect();
    changes.push(part("target.bootstrap-api", "instance.bootstrap", "g"));
    let text = written(&plan(changes.clone()), false);
    let line = "  + target.*-api  4 alike: eni.master-* and instance.bootstrap \"g\"\n";
    assert!(text.contains(line), "{text}");
    assert!(!written(&plan(changes.clone()), true).contains("alike"));
    changes[3] = part("target.bootstrap-api", "instance.bootstrap", "other");
    let text = written(&plan(changes.clone()), false);
    assert!(text.contains("  + target.bootstrap-api  instance.bootstrap \"other\"\n"), "{text}");
    changes[3] = part("target.bootstrap-api", "instance.bootstrap", "g");
    changes[3].protected = true;
    assert!(written(&plan(changes), false).contains("  + target.bootstrap-api  "));
}

#[test]
fn deletions_of_parts_share_a_line_and_replacements_do_not() {
    let parts = |action| {
        let names = ["master-0-api", "master-1-api", "bootstrap-api"];
        let one = |name: &&str| change(&format!("target.{name}"), action, Reason::Destroy);
        written(&plan(names.iter().map(one).collect()), false)
    };
    let text = parts(Action::Delete);
    assert!(text.contains("  - target.*-api  3 alike: destroyed with the cluster\n"), "{text}");
    assert!(!parts(Action::DeleteThenCreate).contains("alike"));
}

#[test]
fn the_fields_of_a_group_hold_for_each_member() {
    let replaced = |n: usize| {
        let name = format!("worker-{n}");
        let mut change =
            change(&format!("machine.{name}"), Action::DeleteThenCreate, Reason::Requested);
        change.fields = vec![
            field("tags.Name", "old", name.as_str()),
            FieldChange { replaces: true, ..field("type", "m5.large", "m6i.large") },
            field("notes", "a\nb", format!("a\n{name}")),
        ];
        change
    };
    let text = written(&plan((0..6).map(replaced).collect()), false);
    assert!(text.contains("-/+ machine.worker-*  6 alike: "), "{text}");
    assert!(text.contains("tags.Name: \"old\" -> \"worker-*\"\n"), "{text}");
    assert!(text.contains("type: \"m5.large\" -> \"m6i.large\" (forces replacement)"), "{text}");
    assert!(!text.contains("worker-0"), "{text}");
}

/// Returns the foot of a plan that changes the number of disks.
fn foot(before: Option<u64>, after: Option<u64>, prices: Option<&Prices>) -> Vec<String> {
    let size = |size: Option<u64>| size.map(|size| json!({"size": size}));
    let action = match (before, after) {
        (None, _) => Action::Create,
        (_, None) => Action::Delete,
        _ => Action::Update,
    };
    let change = Change {
        before: size(before),
        after: size(after),
        ..change("disk.a", action, Reason::Changed)
    };
    let plan = plan(vec![change]);
    let view = PlanView {
        plan: &plan,
        full: false,
        warnings: &[],
        classify,
        describe: DESCRIBE,
        width: None,
        identity: None,
        notes: &[],
        prices,
    };
    let mut written = Vec::new();
    view.write(&mut anstream::StripStream::new(&mut written)).unwrap();
    let text = String::from_utf8(written).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("Plan: ")).skip(1);
    lines.map(str::to_owned).collect()
}

#[test]
fn the_foot_counts_what_is_billed_after_the_plan_and_the_difference() {
    assert_eq!(foot(None, Some(2), None), ["Billed after this plan: 2 disks (all new)"]);
    assert_eq!(foot(Some(2), Some(3), None), ["Billed after this plan: 3 disks (+1 disk)"]);
    assert_eq!(foot(Some(3), Some(3), None), ["Billed after this plan: 3 disks (no difference)"]);
    assert_eq!(foot(Some(2), None, None), ["Billed after this plan: nothing (-2 disks)"]);
    assert_eq!(foot(Some(0), None, None), [""; 0]);
}

#[test]
fn the_foot_estimates_a_month_from_the_prices_of_the_user_and_names_what_has_none() {
    let priced = |text: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("prices.toml");
        std::fs::write(&path, text).unwrap();
        Prices::read(&path).unwrap()
    };
    let hours = priced("currency = 'USD'\nvolume.gp3.hour = 0.001\n");
    assert_eq!(
        foot(Some(3), Some(2), Some(&hours))[1],
        "Estimate: 1.46 USD a month of 730 hours (-0.73), without usage such as traffic"
    );
    let none = priced("currency = 'USD'\n");
    assert_eq!(foot(Some(3), Some(2), Some(&none))[1], "Estimate: none; no price for volume.gp3");
}
