//! What is recorded survives, and what is damaged is set aside.

use std::fs;

use jiff::Timestamp;

use super::write::tail;
use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

fn ended(second: i64, outcome: Outcome) -> RunEnd {
    RunEnd {
        at: at(second),
        outcome,
        code: if outcome.is_success() { 0 } else { 2 },
        msgid: None,
        message: None,
        attempts: 1,
        figures: Figures::default(),
        log: "a line\n".to_owned(),
        steps: Vec::new(),
    }
}

fn step(name: &str, code: u8) -> StepEnd {
    StepEnd {
        attempt: 1,
        name: name.to_owned(),
        at: at(7),
        seconds: 1.5,
        code,
        msgid: None,
        message: None,
        figures: Figures::default(),
    }
}

fn open(directory: &Path) -> History {
    let opened = History::open(directory);
    assert_eq!(opened.complaint, None);
    opened.history
}

#[test]
fn what_is_recorded_is_known_later_and_to_others() {
    let directory = tempfile::tempdir().unwrap();
    assert!(History::open_to_read(directory.path()).unwrap().is_none());
    let mut history = open(directory.path());
    let run = history.begin("nas", at(0)).unwrap();
    assert_eq!(history.runs(None, 9).unwrap()[0].outcome, None);
    let mut end = ended(9, Outcome::Success);
    end.figures.archive = Some("host-2023".to_owned());
    end.figures.files = Some(u64::MAX);
    end.steps = vec![step("create", 0), step("check", 1), step("check-data", 2)];
    history.end(run, &end).unwrap();
    history.remember("notify/nas", "told").unwrap();
    history
        .update("notify/nas", &mut |before| {
            format!("{} twice", before.unwrap())
        })
        .unwrap();
    drop(history);

    for history in [
        History::open_to_read(directory.path()).unwrap().unwrap(),
        History::open_as_it_is(&database(directory.path())).unwrap(),
        open(directory.path()),
    ] {
        let last = history.last_success("nas").unwrap().unwrap();
        assert_eq!((last.begun, last.ended), (at(0), Some(at(9))));
        assert_eq!(last.figures, end.figures);
        assert_eq!(last.log, "a line\n");
        assert_eq!(history.steps(run).unwrap(), end.steps);
        assert_eq!(history.last_success("other").unwrap(), None);
        let told = history.recall("notify/nas").unwrap();
        assert_eq!(told.as_deref(), Some("told twice"));
        assert_eq!(history.recall("other").unwrap(), None);
        assert_eq!(history.last_done("nas", "check").unwrap(), Some(at(7)));
        // One that failed was not done.
        assert_eq!(history.last_done("nas", "check-data").unwrap(), None);
    }
}

#[test]
fn a_run_without_an_end_was_killed() {
    let mut history = History::in_memory();
    history.begin("a", at(0)).unwrap();
    let run = history.begin("a", at(1)).unwrap();
    history.end(run, &ended(2, Outcome::Failure)).unwrap();
    assert_eq!(history.last_begun().unwrap(), Some(at(1)));
    let dead = history.bury().unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0].begun, at(0));
    assert_eq!(history.bury().unwrap(), Vec::new());
    let outcomes: Vec<_> = history
        .runs(Some("a"), 9)
        .unwrap()
        .into_iter()
        .map(|run| run.outcome)
        .collect();
    assert_eq!(outcomes, [Some(Outcome::Failure), Some(Outcome::Killed)]);
}

#[test]
fn what_was_not_begun_for_the_same_reason_is_one_run() {
    let mut history = History::in_memory();
    for second in 0..5 {
        history
            .not_begun("a", &ended(second, Outcome::Unmet))
            .unwrap();
    }
    history.not_begun("a", &ended(6, Outcome::Absent)).unwrap();
    let runs = history.runs(None, 9).unwrap();
    assert_eq!(runs.len(), 2);
    assert_eq!((runs[1].begun, runs[1].ended), (at(0), Some(at(4))));
    assert_eq!(history.last_begun().unwrap(), None);
}

#[test]
fn old_runs_are_forgotten_but_the_last_good_one() {
    let mut history = History::in_memory();
    let count = i64::from(RUN_COUNT_MAX) + 10;
    for second in 0..count {
        for target in ["a", "b"] {
            let outcome = match (target, second) {
                ("a", 0 | 3) => Outcome::Success,
                _ => Outcome::Failure,
            };
            let run = history.begin(target, at(second)).unwrap();
            let mut end = ended(second, outcome);
            end.steps.push(step("create", 0));
            history.end(run, &end).unwrap();
        }
    }
    let runs = history.runs(Some("a"), 9999).unwrap();
    assert_eq!(runs.len(), RUN_COUNT_MAX as usize + 1);
    assert_eq!(runs.last().unwrap().begun, at(3));
    assert_eq!(history.last_success("a").unwrap().unwrap().begun, at(3));
    assert_eq!(
        history.runs(Some("b"), 9999).unwrap().len(),
        RUN_COUNT_MAX as usize
    );
    let with_logs = runs.iter().filter(|run| !run.log.is_empty()).count();
    assert_eq!(with_logs, LOG_COUNT_MAX as usize);
    let steps: u32 = history
        .connection
        .query_row("SELECT count(*) FROM steps", [], |row| row.get(0))
        .unwrap();
    assert_eq!(steps, 2 * RUN_COUNT_MAX + 1);
}

/// Whatever is in the place of the database, there is a history afterwards.
#[test]
fn a_damaged_database_is_set_aside() {
    let whole = tempfile::tempdir().unwrap();
    let mut history = open(whole.path());
    for second in 0..40 {
        let run = history.begin("a", at(second)).unwrap();
        let mut end = ended(second, Outcome::Failure);
        end.log = "some words of a log\n".repeat(100);
        history.end(run, &end).unwrap();
    }
    drop(history);
    let good = fs::read(whole.path().join(FILE_NAME)).unwrap();
    let other_tables = tempfile::tempdir().unwrap();
    let connection = Connection::open(other_tables.path().join(FILE_NAME)).unwrap();
    connection
        .execute_batch("CREATE TABLE runs (id TEXT); PRAGMA user_version = 1")
        .unwrap();
    drop(connection);
    let foreign = fs::read(other_tables.path().join(FILE_NAME)).unwrap();

    let mut holed = good.clone();
    holed[4096..8192].fill(0xA5);
    let mut headless = good.clone();
    headless[..16].fill(0);
    let cut = good[..good.len() / 2].to_vec();
    for damaged in [holed, headless, cut, foreign, b"no database".to_vec()] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE_NAME);
        fs::write(&path, &damaged).unwrap();
        let mut opened = History::open(directory.path());
        let complaint = opened.complaint.expect("people are told");
        assert!(complaint.contains("set aside as"), "{complaint}");
        let aside = directory.path().join("history.sqlite.damaged");
        assert_eq!(fs::read(aside).unwrap(), damaged);
        opened.history.begin("a", at(0)).unwrap();
        drop(opened.history);
        assert_eq!(open(directory.path()).runs(None, 9).unwrap().len(), 1);
    }
    // An empty one is what a power cut leaves of a new one: nothing is lost.
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE_NAME), b"").unwrap();
    open(directory.path());
}

#[test]
fn where_nothing_can_be_recorded_backups_are_made_nevertheless() {
    let directory = tempfile::tempdir().unwrap();
    let mut opened = History::open(&directory.path().join("missing"));
    let complaint = opened.complaint.unwrap();
    assert!(complaint.ends_with("; nothing of this run is recorded"));
    opened.history.begin("a", at(0)).unwrap();

    let path = directory.path().join(FILE_NAME);
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    assert!(History::open(directory.path()).complaint.is_some());
    assert!(matches!(
        History::open_to_read(directory.path()),
        Err(HistoryError::NotAFile { .. })
    ));
}

#[test]
fn a_newer_layout_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("CREATE TABLE future (x); PRAGMA user_version = 1000")
        .unwrap();
    drop(connection);
    let before = fs::read(&path).unwrap();
    let complaint = History::open(directory.path()).complaint.unwrap();
    assert!(complaint.contains("newer version"), "{complaint}");
    assert!(matches!(
        History::open_to_read(directory.path()),
        Err(HistoryError::Newer { version: 1000, .. })
    ));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A run was killed while it wrote: its journal says what to undo, which who only looks may not.
#[test]
fn what_a_crash_left_is_undone_by_who_writes_and_shown_to_who_reads() {
    let directory = tempfile::tempdir().unwrap();
    let mut history = open(directory.path());
    history.begin("a", at(0)).unwrap();
    drop(history);
    // A child that dies in the middle: its locks are gone, its journal is not.
    let crashed = tempfile::tempdir().unwrap();
    let connection = Connection::open(directory.path().join(FILE_NAME)).unwrap();
    connection
        .execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN IMMEDIATE")
        .unwrap();
    for number in 0..200 {
        connection
            .execute(
                "INSERT INTO remembered VALUES (?1, ?2)",
                (format!("key {number}"), "x".repeat(3000)),
            )
            .unwrap();
    }
    for name in [FILE_NAME, "history.sqlite-journal"] {
        fs::copy(directory.path().join(name), crashed.path().join(name)).unwrap();
    }
    drop(connection);
    assert!(
        fs::metadata(crashed.path().join("history.sqlite-journal"))
            .unwrap()
            .len()
            > 512
    );

    let reader = History::open_to_read(crashed.path()).unwrap().unwrap();
    assert_eq!(reader.runs(None, 9).unwrap().len(), 1);
    drop(reader);
    let history = open(crashed.path());
    assert_eq!(history.runs(None, 9).unwrap().len(), 1);
    assert_eq!(history.recall("key 0").unwrap(), None);
}

#[test]
fn the_end_of_a_log_begins_with_a_line() {
    assert_eq!(tail("one\ntwo\nthree", 100), "one\ntwo\nthree");
    assert_eq!(tail("one\ntwo\nthree", 9), "two\nthree");
    assert_eq!(tail("one\ntwo\nthree", 8), "three");
    assert_eq!(tail("ääää", 3), "ä");
    assert_eq!(tail("one\n", 2), "e\n");
}
