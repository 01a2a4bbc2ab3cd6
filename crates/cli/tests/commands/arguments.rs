//! Command lines as argparse reads them.

use super::scene::Scene;

/// Runs a command line and returns its exit code and the last line on standard error.
fn complaint(words: &[&str]) -> (i32, String) {
    let scene = Scene::new();
    let ran = scene.run(words);
    (
        ran.code,
        ran.err.lines().last().unwrap_or_default().to_owned(),
    )
}

#[track_caller]
fn check(words: &[&str], expected: &str) {
    assert_eq!(complaint(words), (2, expected.to_owned()), "{words:?}");
}

#[test]
fn abbreviations_must_be_unambiguous() {
    check(
        &["list", "--de", "x"],
        "borg: error: ambiguous option: --de could match --debug, --debug-topic, --debug-profile",
    );
    check(
        &["list", "--loc", "1", "/nosuch"],
        "Repository /nosuch does not exist.",
    );
    check(
        &["list", "--bogus", "x"],
        "borg: error: unrecognized arguments: --bogus",
    );
}

#[test]
fn options_of_our_own_do_not_get_in_the_way_of_abbreviations() {
    check(
        &["create", "--t", "foo", "x::y", "z"],
        "borg create: error: argument --timestamp: invalid timestamp value: 'foo'",
    );
    check(
        &["create", "--checkpoint", "foo", "x::y", "z"],
        "borg create: error: argument -c/--checkpoint-interval: invalid int value: 'foo'",
    );
    check(
        &["check", "--max", "foo", "x"],
        "borg check: error: argument --max-duration: invalid int value: 'foo'",
    );
    check(
        &["create", "--max-m=60M", "x::y", "z"],
        "borg: error: unrecognized arguments: --max-m=60M",
    );
    check(
        &["prune", "--max-memory", "much", "x"],
        "borg prune: error: argument --max-memory: invalid size: 'much'",
    );
    check(
        &["list", "--threads", "0", "x"],
        "borg list: error: argument --threads: A positive integer is required: 0",
    );
}

#[test]
fn values_are_checked_in_argparse_words() {
    check(
        &["list", "--first", "0", "x"],
        "borg list: error: argument --first: A positive integer is required: 0",
    );
    check(
        &["list", "--first", "-1", "x"],
        "borg list: error: argument --first: A positive integer is required: -1",
    );
    check(
        &["list", "--lock-wait", "1.5", "x"],
        "borg list: error: argument --lock-wait: invalid int value: '1.5'",
    );
    check(
        &["list", "--umask=9", "x"],
        "borg list: error: argument --umask: invalid <lambda> value: '9'",
    );
    check(
        &["list", "--sort-by", "foo", "x"],
        "borg list: error: argument --sort-by: Invalid sort key: foo",
    );
    check(
        &["list", "x", ""],
        "borg list: error: argument PATH: Empty strings are not accepted as paths.",
    );
    check(
        &["create", "-C", "foo", "x::y", "z"],
        "borg create: error: argument -C/--compression: unsupported compression type",
    );
    check(
        &["create", "--chunker-params", "a,b,c,d", "x::y", "z"],
        "borg create: error: argument --chunker-params: invalid ChunkerParams value: 'a,b,c,d'",
    );
    check(
        &["list", "--exclude"],
        "borg list: error: argument -e/--exclude: expected one argument",
    );
    check(
        &["list", "--exclude-from"],
        "borg list: error: argument --exclude-from: expected 1 argument",
    );
    check(
        &["create", "--comment", "-x", "x::y", "z"],
        "borg create: error: argument --comment: expected one argument",
    );
}

#[test]
fn some_options_are_given_once_or_not_together() {
    check(
        &["list", "-P", "a", "-P", "b", "x"],
        "borg list: error: argument -P/--prefix: There can be only one.",
    );
    check(
        &["list", "-P", "a", "-a", "b", "x"],
        "borg list: error: argument -a/--glob-archives: not allowed with argument -P/--prefix",
    );
    check(
        &["list", "--first=1", "--last=1", "x"],
        "borg list: error: argument --last: not allowed with argument --first",
    );
    check(
        &["create", "-s", "--quick-stats", "x::y", "z"],
        "borg: error: --stats and --quick-stats are mutually exclusive.",
    );
    check(
        &[
            "create",
            "--files-changed",
            "ctime",
            "--files-changed",
            "mtime",
            "/nosuch::y",
            "z",
        ],
        "Repository /nosuch does not exist.",
    );
}

#[test]
fn what_is_required_is_named() {
    check(
        &["create"],
        "borg create: error: the following arguments are required: ARCHIVE, PATH",
    );
    check(
        &["rename", "x::a"],
        "borg rename: error: the following arguments are required: NEWNAME",
    );
    check(
        &["init", "x"],
        "borg init: error: the following arguments are required: -e/--encryption",
    );
    check(
        &["create", "x::y"],
        "borg: error: Need at least one PATH argument.",
    );
    check(
        &["create", "x", "y"],
        "borg create: error: argument ARCHIVE: \"x\": No archive specified",
    );
    check(
        &["init", "-e", "none", "x::y"],
        "borg init: error: argument REPOSITORY: \"x::y\": No archive can be specified",
    );
}

#[test]
fn common_options_count_on_both_sides_of_the_command_and_the_later_side_wins() {
    let scene = Scene::new();
    let ran = scene.run(["--critical", "list", "/nosuch"]);
    assert_eq!((ran.code, ran.err.as_str()), (2, ""));
    let ran = scene.run(["--critical", "list", "--error", "/nosuch"]);
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (2, "Repository /nosuch does not exist.\n")
    );
    let ran = scene.run(["--log-json", "list", "/nosuch"]);
    assert!(
        ran.err
            .starts_with("{\"type\": \"log_message\", \"time\": "),
        "{ran:?}"
    );
    assert!(
        ran.err.contains("\"msgid\": \"Repository.DoesNotExist\"}"),
        "{ran:?}"
    );
}

#[test]
fn options_may_stand_among_the_positionals() {
    let scene = Scene::new();
    let words = [
        "create",
        "--dry-run",
        "x::y",
        "nosuch1",
        "--list",
        "nosuch2",
    ];
    let ran = scene.run(words);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert_eq!(ran.err.lines().count(), 2, "{ran:?}");
}

#[test]
fn two_dashes_end_the_options() {
    let scene = Scene::new();
    std::fs::write(scene.home().join("-x"), "").unwrap();
    let ran = scene.ok(["create", "-n", "--list", "x::y", "--", "-x"]);
    assert_eq!(ran.err, "- -x\n");
}

#[test]
fn old_words_are_warned_about() {
    let scene = Scene::new();
    let ran = scene.run(["list", "--prefix", "a", "/nosuch"]);
    assert_eq!(
        ran.err,
        "Warning: \"--prefix\" has been deprecated. Use \"--glob-archives 'yourprefix*'\" (-a) instead.\n\
         Repository /nosuch does not exist.\n"
    );
}

#[test]
fn usage_errors_are_plain_text_even_with_json() {
    let ran = Scene::new().run(["--log-json", "list", "--bogus"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.starts_with("usage: borg "), "{ran:?}");
}

#[test]
fn the_version_comes_before_everything_else() {
    for words in [
        &["--version"][..],
        &["-V"],
        &["--version", "--log-json", "--show-rc"],
        &["--debug", "--version"],
    ] {
        let ran = Scene::new().ok(words);
        assert_eq!(ran.out, "borg 1.4.5\n", "{words:?}");
    }
    let ran = Scene::with_program("ironborg").ok(["--version"]);
    assert!(
        ran.out.starts_with("ironborg ") && ran.out.contains("borg 1.4.5"),
        "{ran:?}"
    );
}

#[test]
fn help_goes_to_standard_output() {
    for words in [
        &[][..],
        &["-h"],
        &["--help"],
        &["help"],
        &["list", "-h"],
        &["help", "create"],
        &["help", "patterns"],
    ] {
        let ran = Scene::new().ok(words);
        assert!(
            ran.out.len() > 300 && ran.err.is_empty(),
            "{words:?} {ran:?}"
        );
    }
    check(
        &["help", "nosuch"],
        "    Topics: compression, patterns, placeholders",
    );
}

#[test]
fn patterns_keep_their_order_across_options() {
    let scene = Scene::new();
    std::fs::create_dir_all(scene.home().join("d/keep")).unwrap();
    std::fs::write(scene.home().join("d/keep/a"), "").unwrap();
    std::fs::write(scene.home().join("d/b"), "").unwrap();
    std::fs::write(scene.home().join("rules"), "- d/keep\n# nothing\n").unwrap();
    let list = |words: &[&str]| {
        let mut all = vec!["create", "-n", "--list", "--filter=-"];
        all.extend(words);
        all.extend(["x::y", "d"]);
        scene.ok(all).err
    };
    let both = |first: [&'static str; 2], second: [&'static str; 2]| {
        list(&[first[0], first[1], second[0], second[1]]).contains("- d/keep/a\n")
    };
    let (exclude, include) = (["-e", "d/keep/a"], ["--pattern", "+ d/keep/a"]);
    assert!(both(include, exclude));
    assert!(!both(exclude, include));
    let included = list(&["--pattern", "+ d/keep/a", "--patterns-from", "rules"]);
    assert!(included.contains("- d/keep/a\n"), "{included}");
}

#[test]
fn locks_are_not_bypassed_by_nothing() {
    let refusal = "Error: Not allowed to bypass locking mechanism for chosen command";
    for words in [
        &["--bypass-lock"][..],
        &["--bypass-lock", "key"],
        &["key", "--bypass-lock"],
        &["--bypass-lock", "debug"],
    ] {
        check(words, refusal);
    }
    // A word nobody knows is complained about first, and help is given before.
    check(
        &["--bypass-lock", "--bogus"],
        "borg: error: unrecognized arguments: --bogus",
    );
    for words in [
        &["--bypass-lock", "-h"][..],
        &["--version", "--bypass-lock"],
    ] {
        assert_eq!(complaint(words), (0, String::new()), "{words:?}");
    }
}
