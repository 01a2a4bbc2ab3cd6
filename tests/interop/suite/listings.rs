//! `list` and `info`: the same text, the same JSON, for every way of asking.

use ironborg_testkit::{Program, tree};

use crate::scene::{ALL_ARCHIVE_KEYS, ALL_ITEM_KEYS, Scene};

/// A repository with archives of both programs, with names that sort and match in different ways.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    tree::rich(&scene.scratch.join("tree"));
    let archives = [
        (
            Program::Stock,
            "host-2024-01-02",
            "2024-01-02T03:04:05",
            "second",
        ),
        (
            Program::Ours,
            "host-2024-01-01",
            "2024-01-01T03:04:05",
            "first ☃ comment",
        ),
        (Program::Ours, "other", "2023-06-01T00:00:00", ""),
        (
            Program::Stock,
            "host-2024-01-03.checkpoint",
            "2024-01-03T00:00:00",
            "left behind",
        ),
        (
            Program::Ours,
            "ünïcode [x]",
            "2024-02-29T12:00:00",
            "{{braces}} %percent\nnew line",
        ),
    ];
    for (program, name, timestamp, comment) in archives {
        scene.create(
            program,
            name,
            &["--timestamp", timestamp, "--comment", comment],
            "tree",
        );
    }
    scene
}

#[test]
fn archives_of_a_repository() {
    let scene = scene();
    let repo = scene.repo();
    let options: &[&[&str]] = &[
        &[],
        &["--short"],
        &["--json"],
        &["--format", ALL_ARCHIVE_KEYS],
        &["--json", "--format", ALL_ARCHIVE_KEYS],
        &["--format", "{archive:<40}|{time:%Y-%m-%d %H:%M}|{id}{NL}"],
        &["--format", "{name!r}{TAB}{comment:>20}{NUL}"],
        &["--sort-by", "name"],
        &["--sort-by", "timestamp,name"],
        &["--sort-by", "id"],
        &["--first", "2"],
        &["--last", "2"],
        &["--sort-by", "name", "--last", "1"],
        &["--prefix", "host"],
        &["--glob-archives", "host-*"],
        &["-a", "*[0-9]"],
        &["-a", "sh:*"],
        &["-a", "re:^host"],
        &["--consider-checkpoints"],
        &["--consider-checkpoints", "--short", "--first", "3"],
    ];
    for options in options {
        scene.assert_same_output(&[&["list"], *options, &[repo]].concat());
    }
}

#[test]
fn items_of_an_archive() {
    let scene = scene();
    let archive = scene.archive("host-2024-01-01");
    let options: &[&[&str]] = &[
        &["--exclude", "*/names"],
        &["--exclude", "sh:**/level*"],
        &["--exclude", "re:a$"],
        &["--pattern", "- tree/links", "--pattern", "+ **"],
        &[
            "--format",
            "{size:>10} {size:08d} {mtime:%Y} {user:>8} {path!r}{NL}",
        ],
        &["--format", "{path}{NUL}"],
        &["--format", "{type}{SPACE}{TAB}{CR}{LF}{{}}{NEWLINE}"],
        &["--format", "{isomtime} {path}{extra}{NL}"],
    ];
    for options in options {
        scene.assert_same_output(&[&["list"], *options, &[archive.as_str()]].concat());
    }
    let paths: &[&[&str]] = &[
        &["tree/names"],
        &["tree/links", "tree/text"],
        &["sh:tree/*/deep"],
        &["re:zeros|empty"],
        &["no/such/path"],
        &["tree/text", "pp:nothing here"],
        &["/tree/text"],
    ];
    for paths in paths {
        scene.assert_same_output(&[&["list", archive.as_str()], *paths].concat());
    }
}

#[test]
fn items_with_every_key() {
    let scene = scene();
    for name in ["host-2024-01-01", "host-2024-01-02"] {
        scene.assert_same_listing(name, ALL_ITEM_KEYS);
    }
}

#[test]
fn facts_about_repository_and_archives() {
    let scene = scene();
    let all = scene.repo().to_owned();
    let one = scene.archive("host-2024-01-02");
    let commands: &[&[&str]] = &[
        &["info", &all],
        &["info", "--json", &all],
        &["info", "--iec", &all],
        &["info", &one],
        &["info", "--json", &one],
        &["info", "--first", "2", &all],
        &["info", "--last", "1", "--json", &all],
        &["info", "-a", "host-*", &all],
        &["info", "--sort-by", "name", "--first", "3", &all],
        &["info", "-a", "none match", &all],
    ];
    for args in commands {
        scene.assert_same_output(args);
    }
}

#[test]
fn json_indentation_follows_the_environment() {
    let scene = scene();
    for indent in ["none", "", "1", "\t", "NONE"] {
        let home = scene.home.with("BORG_JSON_INDENT", indent);
        scene.assert_same_output_on(&home, &["info", "--json", scene.repo()]);
        scene.assert_same_output_on(&home, &["list", "--json", scene.repo()]);
    }
}

#[test]
fn times_are_shown_in_the_local_zone() {
    let scene = scene();
    for zone in ["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "UTC"] {
        let home = scene.home.with("TZ", zone);
        scene.assert_same_output_on(&home, &["list", scene.repo()]);
        scene.assert_same_output_on(&home, &["list", "--json", scene.repo()]);
        scene.assert_same_output_on(&home, &["info", &scene.archive("other")]);
        let archive = scene.archive("other");
        scene.assert_same_output_on(
            &home,
            &["list", "--format", "{mtime} {ctime} {path}{NL}", &archive],
        );
    }
}

#[test]
fn refusals_are_the_same() {
    let scene = scene();
    let repo = scene.repo().to_owned();
    let missing = scene.archive("no such archive");
    let commands: &[&[&str]] = &[
        &["list", &missing],
        &["info", &missing],
        &["list", "no such repository"],
        &["list", "/"],
        &["list", ""],
        &["list", "::"],
        &["list", "--json", &scene.archive("other")],
        &["list", "--json-lines", &repo],
        &["rename", &repo, "x"],
        &["rename", &missing, "x"],
        &["rename", &scene.archive("other"), "host-2024-01-02"],
    ];
    for args in commands {
        scene.assert_same_output(args);
        let home = scene.home.with("BORG_EXIT_CODES", "modern");
        let json = [&["--log-json"], *args].concat();
        scene.assert_same_output_on(&home, &json);
    }
}

#[test]
fn versions_are_told_as_stock_tells_them() {
    let scene = Scene::new();
    for args in [&["--version"] as &[&str], &["-V"]] {
        scene.assert_same_output(args);
    }
}

#[test]
fn show_rc_and_version() {
    let scene = scene();
    let missing = scene.archive("no such archive");
    for args in [
        &["list", "--show-rc", "--show-version", scene.repo()] as &[&str],
        &["list", "--show-rc", &missing],
        &["--show-rc", "info", scene.repo()],
    ] {
        scene.assert_same_output(args);
    }
}
