//! Operations through lines that break anywhere end as if the line had never broken, or say that they did not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ironborg_repository::{CompactOptions, Repository, RepositoryError};
use ironborg_types::{ChunkId, ErrorKind, Event, Reporter, Reservation};
use proptest::prelude::*;

use super::model_server::{Cut, ModelServer, Objects};
use crate::client::{
    Dial, JournalOptions, ReconnectOptions, RemoteOptions, RemoteRepository, Wire,
};
use crate::message::Open;

struct Silent;

impl Reporter for Silent {
    fn report(&self, _: Event<'_>) {}
}

/// Lets the test keep the server it hands over.
struct Shared(Arc<ModelServer>);

impl Dial for Shared {
    fn dial(&self) -> std::io::Result<Wire> {
        self.0.dial()
    }
}

fn id(n: u8) -> ChunkId {
    ChunkId([n; 32])
}

fn before() -> Objects {
    let manifest = (ChunkId::MANIFEST, b"manifest 0".to_vec());
    let objects = (1..5_u8).map(|n| (id(n), vec![n; 40]));
    objects.chain([manifest]).collect()
}

fn options(server: &Arc<ModelServer>) -> RemoteOptions {
    RemoteOptions {
        dial: Arc::new(Shared(Arc::clone(server))),
        open: Open {
            path: b"/repo".to_vec(),
            create: false,
            lock_wait: Some(1.0),
            lock: true,
            exclusive: Some(true),
            append_only: false,
            make_parent_dirs: false,
        },
        location: "host:/repo".to_owned(),
        upload_rate: 0,
        upload_buffer: 0,
        reporter: Arc::new(Silent),
        reconnect: ReconnectOptions {
            first_pause: Duration::ZERO,
            ..ReconnectOptions::for_time(Duration::from_mins(1))
        },
        journal: JournalOptions {
            directory: None,
            len_max: 1 << 20,
        },
    }
}

fn server(cuts: impl Fn(usize) -> Option<Cut> + Send + Sync + 'static) -> Arc<ModelServer> {
    Arc::new(ModelServer::new(before(), cuts))
}

/// What a backup does: reads, changes, two commits. Returns what it saw, which must not depend on the line.
fn operate(repository: &mut RemoteRepository) -> Result<Vec<String>, RepositoryError> {
    let mut seen = Vec::new();
    let mut see = |what: &str, object: &[u8]| {
        seen.push(format!("{what} {}", String::from_utf8_lossy(object)));
    };
    let mut object = Vec::new();
    repository.get(&ChunkId::MANIFEST, &mut object)?;
    see("manifest", &object);
    repository.will_need(&[id(1), id(2), id(3)]);
    for n in [1, 2] {
        repository.get(&id(n), &mut object)?;
        see("object", &object);
    }
    for n in 10..16_u8 {
        repository.put(&id(n), &vec![n; usize::from(n) * 7])?;
    }
    let missing = repository.delete_many(&[id(1), id(99), id(10), id(98)])?;
    see("missing", format!("{missing:?}").as_bytes());
    repository.get(&id(11), &mut object)?;
    see("own object", &object);
    assert!(matches!(
        repository.get(&id(10), &mut object),
        Err(RepositoryError::ObjectNotFound { .. })
    ));
    repository.put(&ChunkId::MANIFEST, b"manifest 1")?;
    repository.commit()?;
    for n in 20..23_u8 {
        repository.put(&id(n), &[n; 9])?;
    }
    see("known", &[u8::from(repository.contains(&id(21))?)]);
    repository.put(&ChunkId::MANIFEST, b"manifest 2")?;
    repository.commit()?;
    repository.get(&ChunkId::MANIFEST, &mut object)?;
    see("manifest", &object);
    Ok(seen)
}

/// Does all that through the lines of a server and compares with what comes of it through a good one.
fn check(server: &Arc<ModelServer>, told: &str) {
    let good = self::server(|_| None);
    let mut repository = RemoteRepository::open(options(&good)).unwrap();
    let expected = operate(&mut repository).unwrap();
    drop(repository);
    let mut repository = match RemoteRepository::open(options(server)) {
        Ok(repository) => repository,
        // Nobody waits for a server that was never there.
        Err(error) => {
            let kind = error.kind();
            assert!(super::is_about_connection(&error), "{told}: {kind:?}");
            assert_eq!(server.disk().objects, before(), "{told}");
            return;
        }
    };
    let seen = operate(&mut repository).unwrap_or_else(|error| panic!("{told}: {error}"));
    drop(repository);
    assert_eq!(seen, expected, "{told}");
    assert_eq!(server.disk().objects, good.disk().objects, "{told}");
    assert_eq!(server.disk().commits, 2, "{told}: each commit once");
}

/// Messages and bytes in both directions of the operation through a good line.
fn extent() -> (usize, (usize, usize)) {
    let good = server(|_| None);
    let mut repository = RemoteRepository::open(options(&good)).unwrap();
    operate(&mut repository).unwrap();
    let disk = good.disk();
    (disk.calls, disk.traffic)
}

#[test]
fn a_line_that_breaks_at_any_message_makes_no_difference() {
    let (calls, _) = extent();
    for number in 0..=calls {
        for cut in [Cut::BeforeCall(number), Cut::AfterCall(number)] {
            check(
                &server(move |dial| (dial == 0).then_some(cut)),
                &format!("{cut:?}"),
            );
        }
    }
}

#[test]
fn a_line_that_breaks_at_any_byte_makes_no_difference() {
    let (_, (to_server, to_client)) = extent();
    let to_server = (0..to_server).step_by(17).map(Cut::ToServer);
    for cut in to_server.chain((0..to_client).step_by(7).map(Cut::ToClient)) {
        check(
            &server(move |dial| (dial == 0).then_some(cut)),
            &format!("{cut:?}"),
        );
    }
}

#[test]
fn lines_that_break_again_and_again_get_there_if_each_gets_further() {
    for step in [40, 130] {
        let cuts = move |dial: usize| Some(Cut::ToServer(200 + dial * step));
        check(&server(cuts), &format!("every {step} bytes to the server"));
        let cuts = move |dial: usize| Some(Cut::ToClient(100 + dial * step));
        check(&server(cuts), &format!("every {step} bytes to the client"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_sequence_of_breaks_makes_a_difference(
        cuts in prop::collection::vec(
            prop_oneof![
                Just(Cut::Refused),
                (0_usize..2500).prop_map(Cut::ToServer),
                (0_usize..800).prop_map(Cut::ToClient),
                (0_usize..45).prop_map(Cut::BeforeCall),
                (0_usize..45).prop_map(Cut::AfterCall),
            ],
            0..6,
        )
    ) {
        let told = format!("{cuts:?}");
        // The first line holds long enough for the repository to be opened.
        let cuts = move |dial: usize| match (dial, cuts.get(dial).copied()) {
            (0, Some(Cut::Refused)) => None,
            (_, cut) => cut,
        };
        check(&server(cuts), &told);
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_not_made_twice() {
    check(
        &server(|dial| (dial == 0).then_some(Cut::After("commit"))),
        "after",
    );
    check(
        &server(|dial| (dial == 0).then_some(Cut::Before("commit"))),
        "before",
    );
}

#[test]
fn a_lock_that_the_lost_server_still_holds_is_waited_for() {
    let server = server(|dial| (dial == 0).then_some(Cut::After("put")));
    let mut repository = RemoteRepository::open(options(&server)).unwrap();
    server.disk().locked_for = 4;
    operate(&mut repository).unwrap();
    assert_eq!(server.disk().dials, 6);
}

#[test]
fn what_somebody_else_has_changed_meanwhile_is_not_overwritten() {
    let server = server(|dial| (dial == 0).then_some(Cut::After("delete")));
    server.disk().meanwhile = Some(|objects| {
        objects.insert(ChunkId::MANIFEST, b"another manifest".to_vec());
    });
    let mut repository = RemoteRepository::open(options(&server)).unwrap();
    let error = operate(&mut repository).unwrap_err();
    assert!(super::is_about_connection(&error), "{error}");
    assert!(error.to_string().contains("somebody else"), "{error}");
    // It stays that way.
    assert!(repository.commit().is_err());
    drop(repository);
    let disk = server.disk();
    assert_eq!(disk.objects[&ChunkId::MANIFEST], b"another manifest");
    assert_eq!((disk.commits, disk.dials), (0, 2));
}

#[test]
fn a_writer_that_has_not_written_yet_is_not_let_on_either() {
    let server = server(|dial| (dial == 0).then_some(Cut::BeforeCall(3)));
    server.disk().meanwhile = Some(|objects| {
        objects.insert(ChunkId::MANIFEST, b"another manifest".to_vec());
    });
    let repository = RemoteRepository::open(options(&server)).unwrap();
    let mut object = Vec::new();
    repository.get(&ChunkId::MANIFEST, &mut object).unwrap();
    assert!(repository.get(&id(1), &mut object).is_err());
}

#[test]
fn a_reader_goes_on_reading_what_somebody_else_has_changed() {
    let server = server(|dial| (dial == 0).then_some(Cut::BeforeCall(3)));
    server.disk().meanwhile = Some(|objects| {
        objects.insert(ChunkId::MANIFEST, b"another manifest".to_vec());
    });
    let mut options = options(&server);
    options.open.exclusive = Some(false);
    let mut repository = RemoteRepository::open(options).unwrap();
    let mut object = Vec::new();
    repository.get(&ChunkId::MANIFEST, &mut object).unwrap();
    repository.get(&id(1), &mut object).unwrap();
    assert_eq!(object, [1; 40]);
    assert!(repository.put(&id(7), b"object").is_err());
}

#[test]
fn changes_are_final_if_the_manifest_was_never_seen_or_the_journal_was_too_short() {
    for len_max in [1 << 20, 100] {
        let server = server(|dial| (dial == 0).then_some(Cut::Before("commit")));
        let mut options = options(&server);
        options.journal.len_max = len_max;
        let mut repository = RemoteRepository::open(options).unwrap();
        if len_max == 100 {
            repository.get(&ChunkId::MANIFEST, &mut Vec::new()).unwrap();
        }
        repository.put(&id(7), &[7; 90]).unwrap();
        let error = repository.commit().unwrap_err();
        assert!(super::is_about_connection(&error), "{error}");
        assert_eq!(server.disk().dials, 1);
    }
}

#[test]
fn an_error_of_a_change_is_told_though_the_line_broke_after_it() {
    let server = server(|dial| (dial == 0).then_some(Cut::Before("commit")));
    let mut repository = RemoteRepository::open(options(&server)).unwrap();
    repository.get(&ChunkId::MANIFEST, &mut Vec::new()).unwrap();
    repository.put(&id(7), b"refused").unwrap();
    let error = repository.commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::RepositoryStorageQuotaExceeded);
}

#[test]
fn a_server_that_dies_of_the_same_call_every_time_is_given_up() {
    let server = server(|_| Some(Cut::Before("delete")));
    let mut options = options(&server);
    options.reconnect.limit = Duration::from_millis(30);
    options.reconnect.first_pause = Duration::from_millis(1);
    let mut repository = RemoteRepository::open(options).unwrap();
    let error = operate(&mut repository).unwrap_err();
    assert!(super::is_about_connection(&error), "{error}");
    assert!((2..20).contains(&server.disk().dials));
    // Ending does not try again.
    let dials = server.disk().dials;
    repository.rollback().unwrap();
    let start = Instant::now();
    Box::new(repository).close().unwrap();
    assert_eq!(server.disk().dials, dials);
    assert!(start.elapsed() < Duration::from_secs(20));
}

#[test]
fn without_a_limit_a_lost_connection_stays_lost() {
    let server = server(|dial| (dial == 0).then_some(Cut::Before("delete")));
    let mut options = options(&server);
    options.reconnect = ReconnectOptions::never();
    let mut repository = RemoteRepository::open(options).unwrap();
    let error = operate(&mut repository).unwrap_err();
    assert!(super::is_about_connection(&error), "{error}");
    assert_eq!(server.disk().dials, 1);
    assert!(!repository.wants_commit());
}

#[test]
fn compaction_is_not_repeated() {
    for cut in [Cut::Before("commit"), Cut::After("commit")] {
        let server = server(move |dial| (dial == 0).then_some(cut));
        let mut repository = RemoteRepository::open(options(&server)).unwrap();
        let options = CompactOptions {
            threshold: 0.1,
            cleanup_commits: false,
            interrupt: None,
        };
        assert!(repository.commit_compact(options).is_err());
        assert_eq!(server.disk().dials, 1);
    }
}

#[test]
fn a_rollback_through_a_broken_line_forgets_the_changes() {
    let server = server(|dial| (dial == 0).then_some(Cut::Before("rollback")));
    let mut repository = RemoteRepository::open(options(&server)).unwrap();
    repository.get(&ChunkId::MANIFEST, &mut Vec::new()).unwrap();
    repository.put(&id(7), b"forgotten").unwrap();
    repository.rollback().unwrap();
    repository.put(&id(8), b"kept").unwrap();
    repository.commit().unwrap();
    drop(repository);
    let mut expected = before();
    expected.insert(id(8), b"kept".to_vec());
    assert_eq!(server.disk().objects, expected);
}

#[test]
fn a_long_transaction_asks_for_a_commit() {
    let server = server(|_| None);
    let mut options = options(&server);
    options.journal.len_max = 1000;
    let mut repository = RemoteRepository::open(options).unwrap();
    repository.put(&id(7), &[7; 400]).unwrap();
    assert!(!repository.wants_commit());
    repository.put(&id(8), &[7; 400]).unwrap();
    assert!(repository.wants_commit());
    repository.commit().unwrap();
    assert!(!repository.wants_commit());
}

#[test]
fn nobody_claims_to_know_about_a_reservation_that_was_not_answered() {
    for cut in [
        Cut::Before("commit_nonce_reservation"),
        Cut::After("commit_nonce_reservation"),
    ] {
        let server = server(move |dial| (dial == 0).then_some(cut));
        let repository = RemoteRepository::open(options(&server)).unwrap();
        let nonces = repository.nonce_store();
        assert_eq!(nonces.next_unreserved(), Ok(None));
        assert_eq!(nonces.try_reserve(100, None), Ok(Reservation::Unknown));
        let now = server.disk().nonce;
        assert_eq!(nonces.next_unreserved(), Ok(now));
        assert_eq!(nonces.try_reserve(200, now), Ok(Reservation::Made));
    }
}

#[test]
fn many_readers_go_on_together() {
    let server = server(|dial| (dial < 3).then_some(Cut::AfterCall(10)));
    let repository = RemoteRepository::open(options(&server)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for round in 0..20_u8 {
                    let mut object = Vec::new();
                    repository.get(&id(round % 4 + 1), &mut object).unwrap();
                    assert_eq!(object, [round % 4 + 1; 40]);
                }
            });
        }
    });
    assert_eq!(server.disk().dials, 4);
}
