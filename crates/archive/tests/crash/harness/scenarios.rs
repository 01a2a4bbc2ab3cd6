//! What is done while power fails.

use std::time::Duration;

use ironborg_archive::ArchiveError;
use ironborg_archive::check;
use ironborg_archive::delete::{
    DeleteOptions, Force, RemovalOptions, RepositoryDeletion, delete_archives, delete_repository,
};
use ironborg_archive::items::PartFiles;
use ironborg_archive::key_backup::KeyBackup;
use ironborg_archive::prune::{PruneOptions, Retention, prune_archives};
use ironborg_archive::recreate::{Recompress, RecreateOptions, Recreater, TagOptions};
use ironborg_archive::rename::rename;
use ironborg_archive::selection::{ArchiveAges, ArchiveSelection, ListedArchive};
use ironborg_archive::tam_upgrade::{self, Task};
use ironborg_crypto::{KeyMode, Passphrase};
use ironborg_object::Compression;
use ironborg_repository::{CheckMode, CheckOptions, CompactOptions, Repository};
use ironborg_source::pattern::{Action, Style};
use ironborg_source::{Pattern, PatternMatcher};
use ironborg_types::{BytePath, Timestamp};

use super::stage::{EVERYTHING, Stage, close};

type Step = fn(&Stage) -> Result<(), ArchiveError>;

/// What there is before the recording begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Nothing,
    /// A repository with archives `a`, `b` and `c`.
    Archives,
}

/// One thing to do.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) mode: KeyMode,
    pub(crate) base: Base,
    /// Done before the recording begins, after the base.
    pub(crate) prepare: &'static [Step],
    /// Each is acknowledged when it returns.
    pub(crate) steps: &'static [Step],
    /// Whether a step is done whole or not at all; else it may be done for some archives.
    pub(crate) atomic: bool,
}

const PLAIN: Scenario = Scenario {
    name: "",
    mode: KeyMode::None,
    base: Base::Archives,
    prepare: &[],
    steps: &[],
    atomic: true,
};

/// All of them.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "init without a key",
        base: Base::Nothing,
        steps: &[|stage| stage.init(KeyMode::None), first_archive],
        ..PLAIN
    },
    Scenario {
        name: "init with a key in the repository",
        mode: KeyMode::Repokey,
        base: Base::Nothing,
        steps: &[|stage| stage.init(KeyMode::Repokey)],
        ..PLAIN
    },
    Scenario {
        name: "init with a key file",
        mode: KeyMode::KeyfileBlake2,
        base: Base::Nothing,
        steps: &[|stage| stage.init(KeyMode::KeyfileBlake2)],
        ..PLAIN
    },
    Scenario {
        name: "create",
        steps: &[changed_archive, |stage| stage.create("e")],
        ..PLAIN
    },
    Scenario {
        name: "create, encrypted",
        mode: KeyMode::Repokey,
        steps: &[changed_archive],
        ..PLAIN
    },
    Scenario {
        name: "delete one archive",
        steps: &[|stage| delete(stage, &["b"])],
        ..PLAIN
    },
    Scenario {
        name: "delete several archives",
        steps: &[|stage| delete(stage, &["b", "a", "c"])],
        atomic: false,
        ..PLAIN
    },
    Scenario {
        name: "delete the repository",
        steps: &[delete_whole],
        ..PLAIN
    },
    Scenario {
        name: "prune",
        steps: &[prune],
        atomic: false,
        ..PLAIN
    },
    Scenario {
        name: "compact",
        prepare: &[|stage| delete(stage, &["b"]), changed_archive],
        steps: &[|stage| stage.compact(EVERYTHING)],
        ..PLAIN
    },
    Scenario {
        name: "compact --cleanup-commits",
        mode: KeyMode::Repokey,
        prepare: &[|stage| delete(stage, &["b", "a"])],
        steps: &[|stage| {
            stage.compact(CompactOptions {
                threshold: 0.1,
                cleanup_commits: true,
                interrupt: None,
            })
        }],
        ..PLAIN
    },
    Scenario {
        name: "recreate without some files",
        steps: &[|stage| {
            let pattern = Pattern::new(b"**/file3", Style::Shell).expect("a pattern");
            let options = RecreateOptions {
                matcher: PatternMatcher::new([(pattern, Action::Exclude)], true),
                ..recreating()
            };
            recreate(stage, &options)
        }],
        atomic: false,
        ..PLAIN
    },
    Scenario {
        name: "recreate --recompress",
        steps: &[|stage| {
            let options = RecreateOptions {
                compression: Compression::Zstd(1),
                recompress: Recompress::Always,
                ..recreating()
            };
            recreate(stage, &options)
        }],
        atomic: false,
        ..PLAIN
    },
    Scenario {
        name: "recreate --chunker-params, encrypted",
        mode: KeyMode::RepokeyBlake2,
        steps: &[|stage| {
            let options = RecreateOptions {
                chunker: Some("10,14,12,63".parse().expect("parameters")),
                ..recreating()
            };
            recreate(stage, &options)
        }],
        atomic: false,
        ..PLAIN
    },
    Scenario {
        name: "rename",
        steps: &[|stage| stage.with_session(|session| rename(session, b"b", b"renamed"))],
        ..PLAIN
    },
    Scenario {
        name: "check --repair without index",
        prepare: &[|stage| {
            lose_index(stage);
            Ok(())
        }],
        steps: &[repair],
        ..PLAIN
    },
    Scenario {
        name: "check --repair of archives too",
        mode: KeyMode::Repokey,
        prepare: &[|stage| {
            lose_index(stage);
            Ok(())
        }],
        steps: &[repair_archives],
        ..PLAIN
    },
    Scenario {
        name: "key change-passphrase",
        mode: KeyMode::Repokey,
        steps: &[change_passphrase],
        ..PLAIN
    },
    Scenario {
        name: "key change-passphrase of a key file",
        mode: KeyMode::Keyfile,
        steps: &[change_passphrase],
        ..PLAIN
    },
    Scenario {
        name: "key import",
        mode: KeyMode::Repokey,
        prepare: &[export_key, change_passphrase],
        steps: &[import_key],
        ..PLAIN
    },
    Scenario {
        name: "upgrade --tam",
        mode: KeyMode::Repokey,
        prepare: &[disable_tam],
        steps: &[require_tam],
        ..PLAIN
    },
    Scenario {
        name: "upgrade --disable-tam",
        mode: KeyMode::Repokey,
        steps: &[disable_tam],
        ..PLAIN
    },
];

fn first_archive(stage: &Stage) -> Result<(), ArchiveError> {
    stage.create("first")
}

fn changed_archive(stage: &Stage) -> Result<(), ArchiveError> {
    stage.change_source(3);
    stage.create("d")
}

fn name_only(archive: &ListedArchive) -> String {
    archive.name.to_string()
}

/// With a commit as often as can be.
const SOON: Option<Duration> = Some(Duration::from_nanos(1));

fn delete(stage: &Stage, names: &[&str]) -> Result<(), ArchiveError> {
    let options = DeleteOptions {
        names: names.iter().map(|name| BytePath::from(*name)).collect(),
        force: Force::No,
        dry_run: false,
        parts: PartFiles::Skip,
        checkpoint_interval: SOON,
        list: false,
        format_archive: &name_only,
    };
    stage.with_session(|session| delete_archives(session, &options).map(drop))
}

fn delete_whole(stage: &Stage) -> Result<(), ArchiveError> {
    let options = RepositoryDeletion {
        cache_only: false,
        keep_security_info: false,
        force: Force::Once,
        dry_run: false,
        list: false,
        format_archive: &name_only,
    };
    let repository = stage.repository()?;
    let client = stage.machine.borrow().client();
    delete_repository(&client, Box::new(repository), &options)
}

fn prune(stage: &Stage) -> Result<(), ArchiveError> {
    let mut retention = Retention::default();
    retention.counts[0] = 1;
    let options = PruneOptions {
        glob: None,
        ages: ArchiveAges::default(),
        retention,
        local_seconds: &|at: Timestamp| at.seconds(),
        dry_run: false,
        removal: RemovalOptions {
            checkpoint_interval: SOON,
            ..RemovalOptions::default()
        },
        list: false,
        format_archive: &name_only,
    };
    stage.with_session(|session| prune_archives(session, &options).map(drop))
}

fn recreating() -> RecreateOptions {
    RecreateOptions {
        matcher: PatternMatcher::new([], true),
        tags: TagOptions::default(),
        chunker: None,
        compression: Compression::default(),
        recompress: Recompress::Never,
        comment: None,
        timestamp: None,
        dry_run: false,
        checkpoint_interval: Some(Duration::from_millis(3)),
        statistics: None,
    }
}

fn recreate(stage: &Stage, options: &RecreateOptions) -> Result<(), ArchiveError> {
    stage.with_session(|session| {
        let mut recreater = Recreater::new(options);
        for name in [b"a", b"c"] {
            recreater.recreate(session, name, None)?;
        }
        recreater.finish(session)
    })
}

fn lose_index(stage: &Stage) {
    for entry in stage.storage.list("").expect("it is there") {
        if entry.name.starts_with("index.") || entry.name.starts_with("hints.") {
            stage.storage.remove(&entry.name).expect("it is there");
        }
    }
}

fn repair(stage: &Stage) -> Result<(), ArchiveError> {
    let mut repository = stage.repository()?;
    let options = CheckOptions {
        mode: CheckMode::Repair,
        save_space: false,
        max_duration_s: 0,
        threads: 1,
        interrupt: None,
    };
    repository.check(&options)?;
    Ok(repository.close()?)
}

fn repair_archives(stage: &Stage) -> Result<(), ArchiveError> {
    let options = check::CheckOptions {
        repository: true,
        archives: true,
        verify_data: true,
        mode: CheckMode::Repair,
        save_space: false,
        max_duration_s: 0,
        archive: None,
        selection: ArchiveSelection::default(),
        glob: None,
    };
    let client = stage.machine.borrow().client();
    let repository = Box::new(stage.repository()?);
    check::check(client, repository, &options).map(drop)
}

fn change_passphrase(stage: &Stage) -> Result<(), ArchiveError> {
    stage.with_session(|session| session.change_passphrase(Passphrase::new(b"new".to_vec())))?;
    stage.know_passphrase("new");
    Ok(())
}

fn export_key(stage: &Stage) -> Result<(), ArchiveError> {
    let client = stage.machine.borrow().client();
    let mut repository = stage.repository()?;
    *stage.kept.borrow_mut() = KeyBackup::new(&client, &mut repository)?.export()?;
    Ok(repository.close()?)
}

fn import_key(stage: &Stage) -> Result<(), ArchiveError> {
    let client = stage.machine.borrow().client();
    let mut repository = stage.repository()?;
    KeyBackup::new(&client, &mut repository)?.import(stage.kept.borrow().as_bytes(), "backup")?;
    repository.close()?;
    stage.know_passphrase("old");
    Ok(())
}

fn require_tam(stage: &Stage) -> Result<(), ArchiveError> {
    let client = stage.machine.borrow().client();
    let repository = Box::new(stage.repository()?);
    let demand = ironborg_archive::ManifestDemand::Nothing;
    let mut session = tam_upgrade::open(client, repository, demand)?;
    tam_upgrade::require(&mut session, Task::Fix, &mut |_| {})?;
    close(session)
}

fn disable_tam(stage: &Stage) -> Result<(), ArchiveError> {
    let client = stage.machine.borrow().client();
    let repository = Box::new(stage.repository()?);
    let mut session = tam_upgrade::open_to_disable(client, repository)?;
    tam_upgrade::disable(&mut session, &mut |_| {})?;
    close(session)
}
