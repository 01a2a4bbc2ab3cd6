//! The questions and refusals of the security directory, in the order Borg has them.

use super::*;
use ironborg_repository::process_identity;
use ironborg_storage::{MemoryStorage, Operation, RecordingStorage};
use ironborg_types::NullReporter;
use std::sync::Mutex;

const FACTS: RepositoryFacts<'static> = RepositoryFacts {
    location: "/srv/repo",
    key_type: 3,
    logically_encrypted: true,
    is_plaintext: false,
    manifest_timestamp: "2024-01-02T03:04:05.000000",
};
const PLAINTEXT: RepositoryFacts<'static> = RepositoryFacts {
    key_type: 2,
    logically_encrypted: false,
    is_plaintext: true,
    ..FACTS
};

/// Answers always the same and remembers the questions.
struct Asked {
    answer: Answer,
    questions: Mutex<Vec<(String, String)>>,
}

impl Asked {
    fn new(answer: Answer) -> Self {
        Self {
            answer,
            questions: Mutex::default(),
        }
    }

    fn env_vars(&self) -> Vec<String> {
        let questions = self.questions.lock().unwrap();
        questions
            .iter()
            .map(|(env_var, _)| env_var.clone())
            .collect()
    }
}

impl Questioner for Asked {
    fn ask(&self, question: &Question<'_>) -> Answer {
        assert_eq!(question.false_message, Some("Aborting."));
        assert_eq!(question.invalid_message, Some("Invalid answer, aborting."));
        assert!(!question.retry && !question.only_yes);
        let asked = (question.env_var.to_owned(), question.message.to_owned());
        self.questions.lock().unwrap().push(asked);
        self.answer
    }
}

struct Machine {
    security: Arc<MemoryStorage>,
    cache: Arc<MemoryStorage>,
}

impl Machine {
    fn new() -> Self {
        Self {
            security: Arc::new(MemoryStorage::new()),
            cache: Arc::new(MemoryStorage::new()),
        }
    }

    fn directory(&self) -> SecurityDirectory {
        let stock_cache = StockCache {
            storage: Arc::clone(&self.cache) as Arc<dyn Storage>,
            lock: LockOptions {
                exclusive: true,
                wait: None,
                owner: process_identity("host@1"),
            },
        };
        SecurityDirectory::new(
            Arc::clone(&self.security) as Arc<dyn Storage>,
            Some(stock_cache),
            Arc::new(NullReporter),
        )
    }

    fn assert_secure(&self, facts: &RepositoryFacts<'_>, asked: &Asked) -> Result<(), CacheError> {
        self.directory()
            .assert_secure(facts, UnknownUnencrypted::Ask, asked)
    }

    fn file(&self, name: &str) -> String {
        String::from_utf8(self.security.read(name).unwrap()).unwrap()
    }
}

#[test]
fn an_encrypted_repository_is_remembered_without_a_question() {
    let (machine, asked) = (Machine::new(), Asked::new(Answer::No));
    machine.assert_secure(&FACTS, &asked).unwrap();
    assert_eq!(machine.file("location"), "/srv/repo");
    assert_eq!(machine.file("key-type"), "3");
    assert_eq!(
        machine.file("manifest-timestamp"),
        "2024-01-02T03:04:05.000000"
    );
    machine.assert_secure(&FACTS, &asked).unwrap();
    assert_eq!(asked.env_vars(), [""; 0]);
}

#[test]
fn a_commit_writes_the_timestamp_alone_unless_more_has_changed() {
    let recording = RecordingStorage::new(Arc::new(MemoryStorage::new()));
    recording.create_dir_all("").unwrap();
    let directory =
        SecurityDirectory::new(Arc::new(recording.clone()), None, Arc::new(NullReporter));
    let written = |facts: &RepositoryFacts<'_>| -> Vec<String> {
        recording.take_operations();
        directory.save(facts).unwrap();
        let operations = recording.take_operations();
        let name = |operation| match operation {
            Operation::Replace(name, _) => Some(name),
            _ => None,
        };
        operations.into_iter().filter_map(name).collect()
    };
    assert_eq!(written(&FACTS), [LOCATION, KEY_TYPE, MANIFEST_TIMESTAMP]);
    assert_eq!(written(&FACTS), [MANIFEST_TIMESTAMP]);
    let moved = RepositoryFacts {
        location: "/srv/repo2",
        ..FACTS
    };
    assert_eq!(written(&moved), [LOCATION, MANIFEST_TIMESTAMP]);
    // What somebody else wrote, be it only a line's end more, is put right.
    recording.replace(KEY_TYPE, &[b"3\n"]).unwrap();
    assert_eq!(written(&moved), [KEY_TYPE, MANIFEST_TIMESTAMP]);
}

#[test]
fn an_unknown_unencrypted_repository_is_asked_about_once() {
    let machine = Machine::new();
    let (no, yes) = (Asked::new(Answer::No), Asked::new(Answer::Yes));
    let error = machine.assert_secure(&PLAINTEXT, &no).unwrap_err();
    assert!(matches!(error, CacheError::InitAborted));
    assert!(!machine.directory().is_known());
    machine.assert_secure(&PLAINTEXT, &yes).unwrap();
    machine.assert_secure(&PLAINTEXT, &no).unwrap();
    assert_eq!(
        no.env_vars(),
        ["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"]
    );
    assert_eq!(
        no.questions.lock().unwrap()[0].1,
        "Warning: Attempting to access a previously unknown unencrypted repository!\nDo you want to continue? [yN] "
    );
}

#[test]
fn a_repository_being_created_is_not_asked_about() {
    let (machine, asked) = (Machine::new(), Asked::new(Answer::No));
    let directory = machine.directory();
    directory
        .assert_secure(&PLAINTEXT, UnknownUnencrypted::Accept, &asked)
        .unwrap();
    assert!(directory.is_known() && asked.env_vars().is_empty());
}

#[test]
fn a_moved_repository_is_asked_about_until_accepted() {
    let machine = Machine::new();
    let (no, yes) = (Asked::new(Answer::No), Asked::new(Answer::Yes));
    machine.assert_secure(&FACTS, &no).unwrap();
    let moved = RepositoryFacts {
        location: "ssh://host/srv/repo",
        ..FACTS
    };
    let error = machine.assert_secure(&moved, &no).unwrap_err();
    assert!(matches!(error, CacheError::RepositoryAccessAborted));
    assert_eq!(machine.file("location"), "/srv/repo");
    assert_eq!(
        no.questions.lock().unwrap()[0],
        (
            "BORG_RELOCATED_REPO_ACCESS_IS_OK".to_owned(),
            "Warning: The repository at location ssh://host/srv/repo was previously located at /srv/repo\nDo you want to continue? [yN] ".to_owned()
        )
    );
    machine.assert_secure(&moved, &yes).unwrap();
    assert_eq!(machine.file("location"), "ssh://host/srv/repo");
    machine.assert_secure(&moved, &yes).unwrap();
    assert_eq!(yes.env_vars().len(), 1);
}

#[test]
fn an_answer_given_here_counts_for_stock_borg_too() {
    let (machine, yes) = (Machine::new(), Asked::new(Answer::Yes));
    machine.directory().save(&FACTS).unwrap();
    // The cache's location wins over the security directory's.
    machine.cache.set(
        "config",
        "[cache]\nversion = 1\nprevious_location = /old\n\n",
    );
    machine.assert_secure(&FACTS, &yes).unwrap();
    assert_eq!(yes.env_vars(), ["BORG_RELOCATED_REPO_ACCESS_IS_OK"]);
    assert_eq!(
        machine.cache.read("config").unwrap(),
        b"[cache]\nversion = 1\nprevious_location = /srv/repo\n\n"
    );
    machine.assert_secure(&FACTS, &yes).unwrap();
    assert_eq!(yes.env_vars().len(), 1);
    let leftovers = machine.cache.list("").unwrap();
    assert_eq!(leftovers.len(), 1, "the lock is gone: {leftovers:?}");
}

#[test]
fn locations_of_old_borg_are_recognised() {
    let (machine, no) = (Machine::new(), Asked::new(Answer::No));
    let facts = RepositoryFacts {
        location: "ssh://user@host/./repo",
        ..FACTS
    };
    machine.cache.set(
        "config",
        "[cache]\nprevious_location = ssh://user@host/~/repo\n",
    );
    machine.assert_secure(&facts, &no).unwrap();
}

#[test]
fn another_key_type_is_refused() {
    let machine = Machine::new();
    let no = Asked::new(Answer::No);
    machine.directory().save(&FACTS).unwrap();
    let error = machine.assert_secure(&PLAINTEXT, &no).unwrap_err();
    assert!(matches!(error, CacheError::EncryptionMethodMismatch));
    machine.cache.set("config", "[cache]\nkey_type = 5\n");
    let error = machine.assert_secure(&FACTS, &no).unwrap_err();
    assert!(matches!(error, CacheError::EncryptionMethodMismatch));
    machine.cache.set("config", "[cache]\nkey_type = 3\n");
    machine.assert_secure(&FACTS, &no).unwrap();
}

#[test]
fn an_older_manifest_is_refused() {
    let no = Asked::new(Answer::No);
    for (facts, is_plaintext) in [(FACTS, false), (PLAINTEXT, true)] {
        for stock_knows in [false, true] {
            let machine = Machine::new();
            let later = RepositoryFacts {
                manifest_timestamp: "2024-01-02T03:04:05.000001",
                ..facts
            };
            if stock_knows {
                machine.directory().save(&facts).unwrap();
                let config = format!("[cache]\ntimestamp = {}\n", later.manifest_timestamp);
                machine.cache.set("config", config);
            } else {
                machine.directory().save(&later).unwrap();
            }
            let error = machine.assert_secure(&facts, &no).unwrap_err();
            if is_plaintext {
                assert!(matches!(error, CacheError::RepositoryIdNotUnique));
            } else {
                assert!(matches!(error, CacheError::RepositoryReplay));
            }
            machine.assert_secure(&later, &no).unwrap();
        }
    }
}

#[test]
fn a_half_known_repository_is_unknown() {
    let (machine, yes) = (Machine::new(), Asked::new(Answer::Yes));
    machine.directory().save(&PLAINTEXT).unwrap();
    machine.security.remove("key-type").unwrap();
    assert!(!machine.directory().is_known());
    machine.assert_secure(&PLAINTEXT, &yes).unwrap();
    assert_eq!(
        yes.env_vars(),
        ["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"]
    );
    assert_eq!(machine.file("key-type"), "2");
}

#[test]
fn the_tam_marker_is_an_empty_file() {
    let machine = Machine::new();
    let directory = machine.directory();
    assert!(!directory.tam_required());
    directory.set_tam_required(true).unwrap();
    assert!(directory.tam_required());
    assert_eq!(machine.file("tam_required"), "");
    directory.set_tam_required(false).unwrap();
    directory.set_tam_required(false).unwrap();
    assert!(!directory.tam_required());
}

#[test]
fn a_destroyed_repository_is_forgotten() {
    let machine = Machine::new();
    machine.directory().save(&FACTS).unwrap();
    machine.directory().nonce_store().reserve(5, None).unwrap();
    machine.directory().destroy().unwrap();
    assert!(!machine.directory().is_known());
    assert_eq!(
        machine.directory().nonce_store().next_unreserved(),
        Ok(None)
    );
}
