//! `jobs init`, `jobs check-config`, `jobs import` and `jobs schema`: questions, files, output and exit codes.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::scene::{Ran, Scene};

fn init(scene: &Scene, answers: &str) -> Ran {
    let config = scene.root().join("etc");
    std::fs::create_dir_all(&config).unwrap();
    let words = ["jobs", "init", "--name", "docs", "--config"];
    let words = words
        .iter()
        .map(ToString::to_string)
        .chain([config.display().to_string()]);
    Ran::of(scene.command(words), answers.as_bytes())
}

fn check(scene: &Scene, config: &Path) -> Ran {
    let words = ["jobs", "check-config", "--config"].map(str::to_owned);
    scene.run(words.into_iter().chain([config.display().to_string()]))
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn five_answers_make_a_configuration_that_is_in_order() {
    let scene = Scene::with_program("ironborg");
    let source = scene.root().join("my files");
    std::fs::create_dir(&source).unwrap();
    // The second answer is none at first, the fourth makes no sense at first.
    let answers = format!(
        "'{}'\n\n../backup\n\nnow and then\nMon..Fri 12:30\nntfy https://ntfy.example.com/topic\n",
        source.display()
    );
    let ran = init(&scene, &answers);
    assert_eq!(ran.code, 0, "{ran:#?}");
    let config = scene.root().join("etc/jobs.toml");
    let secret = scene.root().join("etc/docs.passphrase");
    assert_eq!((mode(&config), mode(&secret)), (0o600, 0o600));
    let passphrase = std::fs::read_to_string(&secret).unwrap();
    assert!(
        !ran.err.contains(passphrase.trim()),
        "it is shown to nobody"
    );
    assert!(
        !std::fs::read_to_string(&config)
            .unwrap()
            .contains(passphrase.trim())
    );
    assert!(ran.err.contains("key export"), "{}", ran.err);
    let checked = check(&scene, &config);
    assert_eq!(checked.code, 0, "{checked:#?}");
    assert!(
        checked
            .out
            .contains("The configuration is in order: 1 job."),
        "{checked:#?}"
    );
    assert!(
        checked
            .out
            .contains(&format!("{}/home/../backup", scene.root().display())),
        "{checked:#?}"
    );
    assert!(
        checked.out.contains("Mon..Fri 12:30 (next: "),
        "{checked:#?}"
    );
    assert!(
        checked.out.contains("ntfy (of failure, recovery, silence)"),
        "{checked:#?}"
    );
    // What is there is not overwritten.
    let again = init(&scene, &answers);
    assert_eq!(again.code, 2, "{again:#?}");
    assert!(
        again
            .err
            .contains("is there already, and is not overwritten"),
        "{again:#?}"
    );
    std::fs::remove_file(&config).unwrap();
    assert_eq!(init(&scene, &answers).code, 2, "nor is the passphrase");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), passphrase);
}

#[test]
fn answers_of_every_kind_are_accepted() {
    for (protection, told) in [
        ("none", "desktop"),
        ("command pass show \"my borg\"", "mail me@example.com"),
        (
            "file /etc/passphrase",
            "healthchecks https://hc.example.com/x",
        ),
        ("generate", "command logger -t 'backup \"x\"'"),
        ("generate", "nobody"),
    ] {
        let scene = Scene::with_program("ironborg");
        let ran = init(
            &scene,
            &format!("/\nssh://u@h/{{hostname}}\n{protection}\nnever\n{told}\n"),
        );
        assert_eq!(ran.code, 0, "{protection}, {told}: {ran:#?}");
        let checked = check(&scene, &scene.root().join("etc"));
        assert_eq!(checked.code, 0, "{protection}, {told}: {checked:#?}");
        assert!(checked.out.contains("by hand"), "{checked:#?}");
    }
    let scene = Scene::with_program("ironborg");
    let ran = init(&scene, "/\n/r\n");
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("the input ended"), "{ran:#?}");
    assert!(!scene.root().join("etc/jobs.toml").exists());
}

#[test]
fn mistakes_are_listed_and_words_understood() {
    let scene = Scene::with_program("ironborg");
    let config = scene.root().join("jobs.toml");
    let write = |text: &str| std::fs::write(&config, text).unwrap();
    write("[jobs.a]\npathes = \"/\"\nrepo = \"/r\"\n");
    let ran = check(&scene, &config);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""));
    let shown = config.display();
    assert_eq!(
        ran.err,
        format!(
            "Error: the configuration has mistakes:\n\
             {shown}:1:7: jobs.a: `paths` is missing (or `dump_command`): what is to be backed up?\n\
             {shown}:2:1: jobs.a.pathes: unknown key; did you mean \"paths\"?\n"
        )
    );
    write(
        "[jobs.a]\npaths = \"/\"\nrepo = \"/r\"\nencryption.passphrase = \"x\"\nextra_create_args = \"--no-such-option\"\n",
    );
    std::fs::set_permissions(&config, std::fs::Permissions::from_mode(0o644)).unwrap();
    let ran = check(&scene, &config);
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.err.contains("jobs.a: create: "), "{ran:#?}");
    assert!(ran.err.contains("--no-such-option"), "{ran:#?}");
    assert!(
        ran.err
            .contains("a secret is written here, and others can read the file"),
        "{ran:#?}"
    );
    let nowhere = check(&scene, &scene.root().join("nowhere.toml"));
    assert_eq!(nowhere.code, 2);
    assert!(
        nowhere.err.contains("there is no configuration: "),
        "{nowhere:#?}"
    );
    std::fs::write(&config, b"[jobs.a]\n\xff").unwrap();
    let ran = check(&scene, &config);
    assert!(ran.err.contains(":2: this is not UTF-8"), "{ran:#?}");
}

#[test]
fn a_configuration_of_borgmatic_is_imported() {
    let scene = Scene::with_program("ironborg");
    let theirs = scene.root().join("docs.yaml");
    std::fs::write(
        &theirs,
        "source_directories: [/]\nrepositories: [{path: /r}]\nkeep_daily: 7\nzfs:\n",
    )
    .unwrap();
    let ours = scene.root().join("docs.toml");
    let words = |more: &[&str]| {
        let mut words = vec![
            "jobs".to_owned(),
            "import".to_owned(),
            theirs.display().to_string(),
        ];
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    };
    let printed = scene.ok(words(&[]));
    assert!(printed.out.contains("[jobs.docs]"), "{printed:#?}");
    assert!(
        printed.err.contains("zfs: no snapshots are made"),
        "{printed:#?}"
    );
    let shown = ours.display().to_string();
    scene.ok(words(&["--output", &shown]));
    assert_eq!(std::fs::read_to_string(&ours).unwrap(), printed.out);
    assert_eq!(check(&scene, &ours).code, 0);
    let again = scene.run(words(&["--output", &shown]));
    assert_eq!(again.code, 2, "{again:#?}");
    let bad = scene.run(words(&["--name", "a b"]));
    assert_eq!(bad.code, 2, "{bad:#?}");
    let schema = scene.ok(["jobs", "schema"]);
    assert!(schema.out.contains("\"$defs\""), "{schema:#?}");
}
