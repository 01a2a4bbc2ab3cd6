//! One run of a job: the steps in one process, on one opened repository, are what stock Borg's commands would have been
//! one after the other; whatever ends it in between.

mod killed;
mod order;

use std::fs;
use std::path::Path;
use std::process::Stdio;

use ironborg_jobs::plan::{DueChecks, Step, WorkOrder};
use ironborg_jobs::report::Told;
use ironborg_testkit::{Program, Random, WireMessage, WireProxy};
use rustix::process::Signal;

use crate::same_output::copy_all;
use crate::scene::{Scene, text};
use order::{Worker, do_it, ordered};

const TIME: &str = "2024-02-29T12:34:56+01:00[Europe/Berlin]";
const NOTHING_DUE: DueChecks = DueChecks {
    repository: false,
    data: false,
    drill: false,
};

fn scene() -> Scene {
    let scene = Scene::new();
    small_tree(&scene.scratch.join("tree"));
    scene
}

/// A few files in a few directories.
fn small_tree(top: &Path) {
    for (index, len) in [300_000, 70_000, 4_000, 100].into_iter().enumerate() {
        let dir = top.join(format!("dir{index}"));
        fs::create_dir_all(&dir).expect("room on the disk");
        let mut random = Random::new(index as u64);
        for name in ["a", "b.tmp"] {
            fs::write(dir.join(name), random.bytes(len)).expect("room on the disk");
        }
    }
}

/// A job of a scene's tree and repository, with more settings.
fn settings(scene: &Scene, more: &str) -> String {
    let (repo, tree) = (scene.repo(), scene.scratch.join("tree"));
    let tree = text(&tree);
    let base = if more.contains("archive_base_name") {
        ""
    } else {
        "archive_base_name = \"{job}\""
    };
    format!(
        "[jobs.home]
         repo = \"{repo}\"
         paths = [\"{tree}\"]
         encryption = {{ mode = \"repokey-blake2\", passphrase = \"x\" }}
         {base}
         {more}"
    )
}

fn lines(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// All steps of a first run: one passphrase, hooks between them that find the repository free, figures as stock Borg has
/// them.
#[test]
fn everything_in_one_run() {
    let mut scene = scene();
    let asked = scene.scratch.join("asked");
    let seen = scene.scratch.join("seen");
    let ask = format!("sh -c 'echo asked >> {}; echo secret'", asked.display());
    scene = scene.with("BORG_PASSCOMMAND", ask);
    scene.home.unset("BORG_PASSPHRASE");
    let stock = Program::Stock.path().display();
    let more = format!(
        "archive_base_name = \"{{{{a}}}}-home\"
         post_init = 'echo made'
         post_create = '{stock} list --short >> {seen}; echo \"$archiveName $exitStatus\" >> {seen}'
         prune.keep = {{ daily = 7 }}
         extra_create_args = \"--stats --json\"
         checks.data = \"1 week\"
        ",
        seen = seen.display()
    );
    let due = DueChecks {
        data: true,
        ..NOTHING_DUE
    };
    let order = ordered(&settings(&scene, &more), due, TIME);
    let done = do_it(&scene, &order).ok();
    let steps = [
        "init",
        "post-init",
        "create",
        "rename",
        "post-create",
        "prune",
        "compact",
        "check-data",
    ];
    let expected: Vec<(&str, u8)> = steps.iter().map(|step| (*step, 0)).collect();
    assert_eq!(done.steps(), expected, "{}", done.log);
    let name = "{a}-home-2024-02-29T12:34:56";
    assert_eq!(lines(&seen), [name, &format!("{name} 0")]);
    // Once to make the key, once to open it, once by stock Borg in the hook.
    assert_eq!(lines(&asked).len(), 3);
    assert!(done.log.contains("made\n"), "{}", done.log);
    assert!(done.log.contains("\"original_size\""), "{}", done.log);
    let info = scene.run(
        Program::Stock,
        &[
            "info",
            "--json",
            &scene.archive("{{a}}-home-2024-02-29T12:34:56"),
        ],
    );
    let info = info.ok().json();
    let stats = &info["archives"][0]["stats"];
    let figures = done.figures("create");
    for (figure, key) in [
        (figures.files, "nfiles"),
        (figures.original_size, "original_size"),
        (figures.compressed_size, "compressed_size"),
        (figures.deduplicated_size, "deduplicated_size"),
    ] {
        assert_eq!(figure, stats[key].as_u64(), "{key}: {stats}");
    }
    assert_eq!(done.figures("rename").archive.as_deref(), Some(name));
    assert_eq!(done.figures("prune").deleted_archives, Some(0));
    assert!(
        done.figures("compact").freed_size > Some(0),
        "the first manifest"
    );
    scene.assert_checks();

    // The same again: there is nothing to make.
    let again = do_it(
        &scene,
        &ordered(
            &settings(&scene, &more),
            due,
            "2024-03-01T00:00:00+01:00[Europe/Berlin]",
        ),
    );
    assert_eq!(again.ok().steps().len(), steps.len() - 1);
}

/// Behind either server there is one connection, one lock and one listing of what is stored.
#[test]
fn one_connection_serves_all_steps() {
    for server in Program::BOTH {
        let local = scene();
        local.init(Program::Ours, "repokey-blake2");
        let log = local.scratch.join("wire");
        let mut scene = local.beside("repo");
        scene.home = WireProxy::new().log(&log).before(&local.home, server);
        scene.home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        let url = WireProxy::url(&local.repo);
        let more = "do_init = true\nprune.keep = { last = 1 }\nchecks.data = \"1 week\"";
        let config = settings(&local, more).replace(local.repo(), &url);
        let due = DueChecks {
            data: true,
            ..NOTHING_DUE
        };
        let order = ordered(&config, due, TIME);
        let done = Worker::start_at(&scene, &url, &order).finish().ok();
        assert_eq!(done.steps().len(), 6, "{:?}", done.steps());
        let messages = WireMessage::read_all(&log);
        let dials = messages.iter().map(|message| message.dial).max();
        assert_eq!(dials, Some(1), "{} connections were made", server.name());
        let opens = messages
            .iter()
            .filter(|message| message.word.as_deref() == Some("open"));
        assert_eq!(opens.count(), 1);
        local.assert_checks();
    }
}

/// The words of an order are a command line of stock Borg's, and do the same there; other jobs' archives stay.
#[test]
fn stock_borg_does_the_same_with_the_same_words() {
    let scene = scene();
    scene.init(Program::Ours, "none");
    for day in 1..=6 {
        for (job, hour) in [
            ("home", 10),
            ("home", 11),
            ("home-music", 12),
            ("home-2", 13),
        ] {
            let stamp = format!("2024-02-{day:02}T{hour}:00:00");
            let options = ["--timestamp", stamp.as_str()];
            scene.create(
                Program::Ours,
                &format!("{job}-{stamp}"),
                &options,
                "tree/dir0",
            );
        }
    }
    let checkpoint = ["--timestamp", "2024-02-05T09:00:00"];
    scene.create(
        Program::Ours,
        "home-2024-02-05T09:00:00.failed.checkpoint",
        &checkpoint,
        "tree/dir0",
    );
    let more = "do_init = false
        append_failed_suffix = true
        compression = \"zstd,1\"
        exclude = [\"-odd\", \"re:[.]tmp$\", \"{path}/dir1\"]
        patterns = [\"! **/dir2\", \"P fm\"]
        extra_args = \"--lock-wait 5\"
        extra_create_args = \"--comment {{x}}\"
        extra_prune_args = [\"--list\"]
        extra_compact_args = \"--threshold 1\"
        prune.keep = { within = \"1H\", daily = 2, weekly = -1 }";
    let due = DueChecks {
        repository: true,
        ..NOTHING_DUE
    };
    let order = ordered(&settings(&scene, more), due, TIME);
    let copy = scene.beside("copy");
    copy_all(&scene.repo, &copy.repo);
    let stock = copy
        .with("BORG_REPO", copy.repo())
        .with("BORG_BASE_DIR", scene.empty_dir("stock"))
        .with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
    do_it(&scene, &order).ok();
    let runs: Vec<Vec<String>> = order.steps.iter().map(words).collect();
    for run in stock.home.stock_runs(scene.scratch.path(), &runs) {
        run.ok();
    }
    let list = |scene: &Scene, program| {
        let format = "{archive} {comment} {command_line}{NL}";
        let args = [
            "list",
            "--consider-checkpoints",
            "--format",
            format,
            scene.repo(),
        ];
        let run = scene.run(program, &args).ok().out();
        run.lines()
            .map(|line| {
                line.replace(text(Program::Ours.path()), "borg")
                    .replace(text(Program::Stock.path()), "borg")
            })
            .collect::<Vec<_>>()
    };
    let ours = list(&scene, Program::Ours);
    let names: Vec<&str> = ours
        .iter()
        .filter_map(|line| line.split(' ').next())
        .collect();
    let of = |start: &str| names.iter().filter(|name| name.starts_with(start)).count();
    assert_eq!((of("home-music-"), of("home-2-")), (6, 6), "{names:?}");
    assert!(of("home-2024") < 8, "{names:?}");
    assert!(names.contains(&"home-2024-02-29T12:34:56"), "{names:?}");
    let stocks = list(&stock, Program::Ours);
    let first_words = |lines: &[String]| -> Vec<String> {
        lines
            .iter()
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" "))
            .collect()
    };
    assert_eq!(first_words(&ours), first_words(&stocks), "ours first");
    let contents = |scene: &Scene| {
        let archive = scene.archive("home-2024-02-29T12:34:56");
        scene
            .run(
                Program::Stock,
                &["list", "--format", "{path} {size} {mode}{NL}", &archive],
            )
            .ok()
            .out()
    };
    let content = contents(&scene);
    assert!(
        content.lines().count() > 3 && !content.contains("dir1"),
        "{content}"
    );
    assert_eq!(content, contents(&stock));
}

fn words(step: &Step) -> Vec<String> {
    match step {
        Step::Command { words, .. } => words.clone(),
        other => panic!("no command: {other:?}"),
    }
}

/// A run is told to end while it makes an archive: a checkpoint is left, and no lock.
#[test]
fn signals_end_a_run_in_order() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let scene = scene();
        let done = scene.scratch.join("done");
        let until = text(&done);
        let more = format!("dump_command = \"head -c 3000000 /dev/urandom; while ! test -e {until}; do sleep 0.1; done\"
            extra_create_args = \"--volume-between-checkpoints 1M --chunker-params buzhash,10,15,12,4095\"
            prune.keep = {{ last = 1 }}");
        let tree = format!("paths = [\"{}\"]\n", text(&scene.scratch.join("tree")));
        let config = settings(&scene, &more).replace(&tree, "");
        let mut worker = Worker::start(&scene, &ordered(&config, NOTHING_DUE, TIME));
        while !matches!(worker.next(), Some(Told::Begun { step, .. }) if step == "create") {}
        while fs::read_dir(scene.repo.join("data/0")).map_or(0, Iterator::count) < 4 {
            assert!(worker.is_running());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        worker.signal(signal);
        while worker.is_running() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        // What it dumps is not its to end.
        fs::write(&done, "").expect("room on the disk");
        let done = worker.finish();
        assert_eq!(done.code, code, "{:?}\n{}", done.told, done.log);
        let exit = u8::try_from(code).expect("a byte");
        assert_eq!(
            done.steps(),
            [("init", 0), ("create", exit)],
            "{}",
            done.log
        );
        assert!(!scene.repo.join("lock.exclusive").exists());
        let list = ["list", "--short", "--consider-checkpoints", scene.repo()];
        let names = scene.run(Program::Stock, &list).ok().out();
        assert_eq!(
            names.lines().collect::<Vec<_>>(),
            ["home-2024-02-29T12:34:56.failed.checkpoint"]
        );
        scene.assert_checks();
    }
}

/// What cannot be understood is found before anything is done.
#[test]
fn a_slip_in_the_last_step_stops_the_first() {
    let scene = scene();
    let order = |more: &str| ordered(&settings(&scene, more), NOTHING_DUE, TIME);
    let cases: [(WorkOrder, &str); 3] = [
        (
            order("prune.keep = { last = 1 }\nextra_prune_args = \"--no-such\""),
            "prune",
        ),
        (order("extra_compact_args = \"--help\""), "compact"),
        (order("extra_compact_args = \"{nonsense}\""), "compact"),
    ];
    for (order, step) in cases {
        let done = do_it(&scene, &order);
        assert_eq!(
            (done.code, done.steps()),
            (2, vec![(step, 2)]),
            "{}",
            done.log
        );
        assert!(!done.log.is_empty());
        assert!(!scene.repo.exists());
    }
    let foreign = WorkOrder {
        steps: vec![Step::Command {
            name: "serve".to_owned(),
            words: vec!["serve".to_owned()],
        }],
        ..order("")
    };
    let done = do_it(&scene, &foreign);
    assert_eq!((done.code, done.msgid()), (2, Some("CommandError")));
}

/// A failure ends a run where it happens, and is told by its class.
#[test]
fn failures_are_told_by_their_class() {
    let scene = scene();
    let order = |more: &str| ordered(&settings(&scene, more), NOTHING_DUE, TIME);
    let hook = do_it(
        &scene,
        &order("post_create = \"false\\necho not reached\"\nappend_failed_suffix = false"),
    );
    assert_eq!(hook.code, 2);
    assert_eq!(
        hook.steps(),
        [("init", 0), ("create", 0), ("post-create", 2)]
    );
    assert_eq!(hook.msgid(), Some("HookFailed"));
    assert!(!hook.log.contains("not reached"));

    let again = do_it(&scene, &order("append_failed_suffix = false"));
    assert_eq!(
        (again.code, again.msgid()),
        (2, Some("Archive.AlreadyExists"))
    );
    assert!(!scene.repo.join("lock.exclusive").exists());

    let dump = order("").steps;
    assert!(dump.len() > 2);
    let wrong = scene.with("BORG_PASSPHRASE", "wrong");
    let done = do_it(&wrong, &order(""));
    assert_eq!((done.code, done.msgid()), (2, Some("PassphraseWrong")));

    let warned = |settings: &str| {
        let missing = scene.scratch.join("tree/missing");
        let more = format!("{settings}\npaths = [\"{}\"]", text(&missing));
        let tree = format!("paths = [\"{}\"]\n", text(&scene.scratch.join("tree")));
        let config = self::settings(&scene, &more).replacen(&tree, "", 1);
        do_it(
            &scene,
            &ordered(&config, NOTHING_DUE, "2024-03-01T00:00:00+00:00[UTC]"),
        )
    };
    let strict = warned("fail_on_warnings = true");
    assert_eq!(
        (strict.code, strict.steps()),
        (1, vec![("init", 0), ("create", 1)]),
        "{}",
        strict.log
    );
    let lenient = warned("fail_on_warnings = false\narchive_base_name = \"other\"");
    let steps = [("init", 0), ("create", 1), ("rename", 0), ("compact", 0)];
    assert_eq!(
        (lenient.code, lenient.steps()),
        (1, steps.to_vec()),
        "{}",
        lenient.log
    );

    let data = scene.repo.join("data/0");
    let largest = fs::read_dir(&data)
        .expect("segments")
        .map(|entry| entry.expect("one").path());
    let largest = largest
        .max_by_key(|path| path.metadata().map_or(0, |it| it.len()))
        .expect("one");
    let mut bytes = fs::read(&largest).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, bytes).expect("our own file");
    let due = DueChecks {
        repository: true,
        ..NOTHING_DUE
    };
    let config = settings(&scene, "fail_on_warnings = false");
    let check = do_it(
        &scene,
        &ordered(&config, due, "2024-03-02T00:00:00+00:00[UTC]"),
    );
    assert_eq!(
        (check.code, check.msgid()),
        (1, Some("CheckFailed")),
        "{}",
        check.log
    );
}

/// The lock is waited for as long as the most patient step says.
#[test]
fn the_lock_of_stock_borg_is_waited_for() {
    let scene = scene();
    scene.init(Program::Ours, "repokey-blake2");
    let ready = scene.scratch.join("ready");
    let hold = format!("touch {}; sleep 1.5", ready.display());
    let args = ["with-lock", scene.repo(), "sh", "-c", &hold];
    let mut holder = scene
        .home
        .invocation(Program::Stock, args)
        .start_silent(Stdio::null());
    while !ready.exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let order = |more: &str| ordered(&settings(&scene, more), NOTHING_DUE, TIME);
    let impatient = do_it(&scene, &order("extra_args = \"--lock-wait 0\""));
    assert_eq!(
        (impatient.code, impatient.msgid()),
        (2, Some("LockTimeout")),
        "{}",
        impatient.log
    );
    do_it(&scene, &order("extra_compact_args = \"--lock-wait 30\"")).ok();
    assert!(holder.wait().expect("our own child").success());
}
