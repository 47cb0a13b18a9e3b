//! Tests of damaged objects, and of objects of other versions and states.

use super::*;
use crate::state::{FORMAT, Format, snapshot};

/// Returns a small state with a snapshot, a backup and a journal of two objects.
async fn small() -> (FakeObjectStore, State) {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    engine.record(&[create("base", 1)]).await.unwrap();
    engine.compact().await.unwrap();
    engine.record(&[created("base", RecordStatus::Created)]).await.unwrap();
    engine.compact().await.unwrap();
    for entry in [create("a", 1), created("a", RecordStatus::Ready)] {
        engine.record(&[entry]).await.unwrap();
    }
    let state = engine.end().await;
    (bucket, state)
}

/// Asserts that a state cannot be read, and that the error has a hint.
async fn refusal(bucket: &FakeObjectStore) -> StateError {
    let error = read(&way(&bucket.process()), &place()).await.expect_err("it was read");
    assert!(error.hint().is_some(), "{error}");
    error
}

/// Follows a hint as `aws s3` would.
fn follow(bucket: &FakeObjectStore, hint: &str) {
    let command = &hint[hint.find("aws s3 ").unwrap()..];
    let mut words = command.split("; ").next().unwrap().split_whitespace().skip(2);
    let verb = words.next().unwrap();
    let keys: Vec<_> = words.map(|word| word.strip_prefix("s3://acme/").unwrap()).collect();
    match (verb, &keys[..]) {
        ("cp", [from, to]) => bucket.plant(to, bucket.objects()[*from].clone()),
        ("rm", [key]) => bucket.remove(key),
        _ => panic!("{command}"),
    }
}

#[tokio::test(start_paused = true)]
async fn no_changed_byte_and_no_cut_goes_unnoticed() {
    let (bucket, state) = small().await;
    for key in [place().snapshot(), place().group(4), place().group(5)] {
        let whole = bucket.objects()[&key].clone();
        for at in 0..whole.len() {
            for other in [whole[at] ^ 0x01, whole[at] ^ 0x20, b'\n', b' '] {
                let mut damaged = whole.clone();
                damaged[at] = other;
                if damaged != whole {
                    bucket.plant(&key, damaged);
                    refusal(&bucket).await;
                }
            }
            bucket.plant(&key, &whole[..at]);
            let error = refusal(&bucket).await.to_string();
            assert!(error.contains(&format!("s3://acme/{key}")), "{error}");
        }
        bucket.plant(&key, whole);
    }
    assert_eq!(seen(&bucket).await, state);
}

#[tokio::test(start_paused = true)]
async fn a_damaged_record_is_named_with_its_object_and_place() {
    let (bucket, _) = small().await;
    let key = place().group(5);
    let mut text = bucket.objects()[&key].clone();
    let last = text.len() - 2;
    text[last] ^= 1;
    bucket.plant(&key, text);
    let error = refusal(&bucket).await;
    let named = "s3://acme/states/prod/journal/00000000000000000005: line 2, entry 5, byte";
    assert!(error.to_string().contains(named), "{error}");
    let hint = error.hint().unwrap();
    assert!(
        hint.contains("list-object-versions --bucket acme --prefix states/prod/journal/0000"),
        "{hint}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_gone_is_noticed_wherever_it_was() {
    let (bucket, state) = small().await;
    let text = bucket.objects()[&place().group(4)].clone();
    bucket.remove(&place().group(4));
    let error = refusal(&bucket).await;
    assert!(matches!(error, StateError::Missing { .. }), "{error}");
    assert!(error.to_string().contains("continues with entry 5"), "{error}");
    bucket.plant(&place().group(4), text);

    // The lock knows of the last object.
    bucket.remove(&place().group(5));
    let guard = RemoteBackend::lock(&way(&bucket.process()), &place(), "apply", NOW, LEASE).await;
    let guard = guard.unwrap();
    let error = RemoteBackend::open(&guard).await.unwrap_err();
    assert!(error.to_string().contains("entries up to 5 were written"), "{error}");
    guard.release().await.unwrap();
    let hint = error.hint().unwrap();
    assert!(hint.contains("aws s3 rm s3://acme/states/prod/lock.json"), "{hint}");
    bucket.remove(&place().lock());
    assert_eq!(Engine::open(&bucket).await.state.serial, state.serial - 1);
}

#[tokio::test(start_paused = true)]
async fn objects_in_each_others_places_are_noticed() {
    let (bucket, _) = small().await;
    let objects = bucket.objects();
    let (fourth, fifth) = (&objects[&place().group(4)], &objects[&place().group(5)]);
    bucket.plant(&place().group(5), fourth.clone());
    assert!(refusal(&bucket).await.to_string().contains("begins after entry 3"));
    let first_five: Vec<_> = [&fourth[..], &fifth[..]].concat();
    bucket.plant(&place().group(4), first_five);
    bucket.plant(&place().group(5), fifth.clone());
    assert!(refusal(&bucket).await.to_string().contains(
        "the objects before it have the entries up to \
             5"
    ));
}

#[tokio::test(start_paused = true)]
async fn what_others_put_there_is_left_alone_and_told() {
    let (bucket, state) = small().await;
    bucket.plant("states/prod/journal/notes.txt", "mine");
    bucket.plant("states/prod/journal/", "");
    bucket.plant("states/prod-2/state.json", "another's");
    let glance = read(&way(&bucket.process()), &place()).await.unwrap().unwrap();
    assert_eq!(glance.state, state);
    let [warning] = &glance.warnings[..] else { panic!("{:?}", glance.warnings) };
    assert!(warning.contains("s3://acme/states/prod/journal/notes.txt"), "{warning}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_is_lost_is_brought_back_as_the_hint_says() {
    type Damaging = fn(&FakeObjectStore, &str);
    let damage: [Damaging; 3] = [
        |bucket, key| bucket.remove(key),
        |bucket, key| bucket.plant(key, ""),
        |bucket, key| bucket.plant(key, "{\"checksum\":\"sha256:"),
    ];
    for damage in damage {
        let (bucket, state) = small().await;
        damage(&bucket, &place().snapshot());
        let error = refusal(&bucket).await;
        assert!(error.to_string().contains("s3://acme/states/prod/state.json"), "{error}");
        let hint = error.hint().unwrap();
        assert!(
            hint.contains("entries up to 5 from the backup and the journal: aws s3 cp"),
            "{hint}"
        );
        follow(&bucket, &hint);
        assert_eq!(seen(&bucket).await, state);
    }
}

#[tokio::test(start_paused = true)]
async fn before_there_is_a_backup_the_journal_is_whole() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    engine.record(&entries()).await.unwrap();
    engine.compact().await.unwrap();
    bucket.plant(&place().snapshot(), "");
    let hint = refusal(&bucket).await.hint().unwrap();
    follow(&bucket, &hint);
    assert_eq!(seen(&bucket).await, engine.state);
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_does_not_help_is_not_recommended() {
    let (bucket, _) = small().await;
    bucket.plant(&place().snapshot(), "");
    bucket.remove(&place().group(3));
    let hint = refusal(&bucket).await.hint().unwrap();
    assert!(hint.starts_with("restore the last valid version"), "{hint}");
    bucket.remove(&place().snapshot());
    bucket.remove(&place().backup());
    bucket.remove(&place().group(1));
    let error = refusal(&bucket).await;
    assert!(error.to_string().contains("state.json: the file is missing"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_changed_by_hand_is_taken_when_its_writer_says_so() {
    let (bucket, mut state) = small().await;
    let text = String::from_utf8(bucket.objects()[&place().snapshot()].clone()).unwrap();
    let edited = text.replace("n-base", "n-other");
    assert_ne!(edited, text);
    bucket.plant(&place().snapshot(), edited.as_bytes());
    let hint = refusal(&bucket).await.hint().unwrap();
    assert!(hint.contains("replace its first line with `{`"), "{hint}");
    let (_, body) = edited.split_once('\n').unwrap();
    bucket.plant(&place().snapshot(), format!("{{\n{body}"));
    let base = state.resources.get_mut(&crate::state::tests::address("base")).unwrap();
    base.outputs["id"] = "n-other".into();
    assert_eq!(seen(&bucket).await, state);
}

#[tokio::test(start_paused = true)]
async fn a_newer_major_is_refused() {
    for key in [place().snapshot(), place().group(5)] {
        let (bucket, _) = small().await;
        let text = String::from_utf8(bucket.objects()[&key].clone()).unwrap();
        bucket.plant(&key, text.replacen("\"major\":4", "\"major\":5", 1));
        let error = refusal(&bucket).await;
        let newer = Format { major: FORMAT.major + 1, minor: 0 };
        assert!(
            matches!(error, StateError::NewerFormat { found, .. } if found.major == newer.major),
            "{error}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn r6_fields_of_a_newer_minor_survive() {
    let (bucket, mut state) = small().await;
    state.format.minor = FORMAT.minor + 9;
    state.unknown.insert("policy".to_owned(), "of tomorrow".into());
    bucket.plant(&place().snapshot(), snapshot::write(&state));
    let mut engine = Engine::start(&bucket).await;
    engine.record(&[create("b", 1)]).await.unwrap();
    engine.compact().await.unwrap();
    let after = engine.end().await;
    assert_eq!((after.format, &after.unknown), (state.format, &state.unknown));
    assert_eq!(seen(&bucket).await, after);
    let journal = String::from_utf8(journal_of(&bucket).pop_last().unwrap().1).unwrap();
    assert!(journal.contains(&format!("\"minor\":{}", state.format.minor)), "{journal}");
}

#[tokio::test(start_paused = true)]
async fn objects_of_another_state_are_refused() {
    let ((bucket, _), (other, _)) = (small().await, small().await);
    bucket.plant(&place().group(5), other.objects()[&place().group(5)].clone());
    let error = refusal(&bucket).await;
    assert!(matches!(error, StateError::ForeignLineage { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn what_the_bucket_says_is_passed_on() {
    let bucket = FakeObjectStore::default();
    let process = bucket.process();
    process.plan("GetObject", "state.json", RequestFault::Denied("AccessDenied"));
    let error = read(&way(&process), &place()).await.unwrap_err();
    assert_eq!(error.to_string(), "read s3://acme/states/prod/state.json");
    let StateError::Bucket { source, .. } = error else { panic!("{error}") };
    assert!(source.is(&["AccessDenied"]), "{source}");
}

/// A state that a user moved here with the files of an older program.
#[tokio::test(start_paused = true)]
async fn a_state_of_an_older_major_becomes_one_of_ours() {
    let before = |name: &str| {
        let folder = "src/state/migrate/fixtures/v1/both/before";
        std::fs::read(format!("{}/{folder}/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    };
    let bucket = FakeObjectStore::default();
    bucket.plant(&place().snapshot(), before("state.json"));
    bucket.plant(&place().group(17), before("journal"));
    let was = seen(&bucket).await;
    assert_eq!(was.format, FORMAT);
    let mut engine = Engine::start(&bucket).await;
    engine.record(&[create("late", 9)]).await.unwrap();
    assert_eq!(engine.state.serial, was.serial + 2);
    assert_eq!(seen(&bucket).await, engine.state);
    engine.compact().await.unwrap();
    assert_eq!(seen(&bucket).await, engine.state);
    assert_eq!(bucket.objects()[&place().backup()], before("state.json"), "it is kept as it was");
}
