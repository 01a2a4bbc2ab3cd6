//! A repository's whole life over ssh: the same words and exit codes in every way, and a sound repository after each.

use std::fs;
use std::path::PathBuf;

use ironborg_testkit::{Compare, Program, assert_same_tree, tree};

use super::scene;
use crate::scene::{ALL_ARCHIVE_KEYS, ALL_ITEM_KEYS, Scene, text};

/// Two archives of trees that differ, of known times.
fn with_archives(mode: &str) -> Scene {
    let scene = scene(mode);
    tree::rich(&scene.scratch.join("tree"));
    let options = ["--timestamp", "2024-01-01T01:02:03", "--comment", "first"];
    scene.create(Program::Stock, "one", &options, "tree");
    fs::write(scene.scratch.join("tree/added"), "not there before").expect("room on the disk");
    let options = ["--timestamp", "2024-02-02T01:02:03"];
    scene.create(Program::Stock, "two", &options, "tree");
    scene
}

#[test]
fn archives_are_made() {
    let scene = scene("repokey");
    tree::rich(&scene.scratch.join("tree"));
    let [one, two, three] = ["one", "two", "three"].map(|name| scene.archive(name));
    let when = ["--timestamp", "2024-01-01T01:02:03"];
    let list: &[&[&str]] = &[
        &[
            "create", "--list", "--stats", when[0], when[1], &one, "tree",
        ],
        &["create", "--list", "--filter", "AME", &two, "tree"],
        &["create", "-v", "--show-rc", &one, "tree"],
        &["create", "--dry-run", "--list", &three, "tree"],
        &[
            "create",
            "--comment",
            "ünïcode",
            "-C",
            "zstd,3",
            &three,
            "tree",
        ],
        &["list", "--short", scene.repo()],
        &["list", "--format", "{path} {size} {sha256}{NL}", &three],
    ];
    scene.assert_same_writing_every_way(list);
}

#[test]
fn archives_are_read() {
    let scene = with_archives("repokey-blake2");
    let [one, two] = ["one", "two"].map(|name| scene.archive(name));
    let (repo, missing) = (scene.repo(), scene.archive("missing"));
    scene.assert_same_every_way(&[
        &["list", repo],
        &["list", "--json", "--format", ALL_ARCHIVE_KEYS, repo],
        &["list", "--format", ALL_ITEM_KEYS, &one],
        &["info", repo],
        &["info", "--json", repo],
        &["info", &one],
        &["info", "--last", "1", repo],
        &["diff", &one, "two"],
        &["diff", "--json-lines", &one, "two"],
        &["extract", "--dry-run", "--list", &two, "tree/added"],
        &["extract", "--stdout", &two, "tree/added"],
        &["list", &missing],
        &["check", "--repository-only", "-v", "--progress", repo],
        &["prune", "--dry-run", "--list", "--keep-last", "1", repo],
        &["key", "export", repo],
        &["debug", "dump-manifest", repo, "-"],
        &["debug", "get-obj", repo, &"0".repeat(64), "obj"],
        &["debug", "get-obj", repo, &"1".repeat(64), "obj"],
        &["debug", "dump-archive-items", &missing],
        &["config", repo, "id"],
        &["with-lock", repo, "true"],
        &["break-lock", repo],
        &["break-lock", "-v", &one],
        &["export-tar", "--list", &two, "/dev/null"],
    ]);
}

#[test]
fn archives_change_and_go() {
    let scene = with_archives("keyfile-blake2");
    let [one, two, uno] = ["one", "two", "uno"].map(|name| scene.archive(name));
    let repo = scene.repo();
    let tar = scene.scratch.join("tree.tar");
    let tar = text(&tar);
    let imported = scene.archive("imported");
    scene.assert_same_writing_every_way(&[
        &["rename", &one, "uno"],
        &["rename", &one, "eins"],
        &["recreate", "--list", "--exclude", "*/added", &two],
        &[
            "recreate",
            "--comment",
            "changed",
            "--target",
            "three",
            &two,
        ],
        &["export-tar", &uno, tar],
        &[
            "import-tar",
            "--list",
            "--timestamp",
            "2024-03-03T01:02:03",
            &imported,
            tar,
        ],
        &["list", "--format", "{archive} {comment}{NL}", repo],
        &["delete", "--list", "--stats", &uno],
        &["prune", "--list", "--stats", "--keep-last", "2", repo],
        &["compact", "-v", repo],
        &["compact", "--threshold", "0", "--cleanup-commits", repo],
        &["info", repo],
        &["list", "--short", repo],
        &["key", "change-passphrase", "-v", repo],
        &["delete", "--list", repo, "two", "nothing"],
        &["delete", "--cache-only", repo],
        &["list", "--short", repo],
    ]);
}

/// Restoring, with content, between all pairs of ways that made and restore an archive.
#[test]
fn archives_are_restored() {
    let scene = scene("repokey");
    let top = scene.scratch.dir("tree");
    tree::rich(&top.join("rich"));
    tree::mixed(&top.join("mixed"), 24, 7);
    tree::many_small(&top.join("small"), 1500);
    scene.each_way(|client, served| {
        served.create(client, "all", &[], "tree");
        served.assert_checks();
        served.assert_restores(client, "all", "tree");
        served.assert_restores(client.other(), "all", "tree");
    });
}

/// A repository is deleted altogether, and made anew.
#[test]
fn repositories_come_and_go() {
    let scene = with_archives("none");
    let repo = scene.repo();
    let deep = scene.beside("some/where/deep");
    let gone = |path: &PathBuf| !path.exists();
    let ways = scene.each_way(|client, served| {
        let served = served.with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
        let runs = served.run_list(client, &[&["delete", repo]]);
        let was_deleted = gone(&served.repo);
        let more = served.run_list(
            client,
            &[
                &["list", repo],
                &["init", "-e", "repokey", "--storage-quota", "50M", repo],
                &["init", "-e", "none", repo],
                &["config", repo, "storage_quota"],
                &["init", "-e", "none", deep.repo()],
                &[
                    "init",
                    "-e",
                    "none",
                    "--make-parent-dirs",
                    "--append-only",
                    deep.repo(),
                ],
                &["list", repo],
            ],
        );
        let config = fs::read_to_string(deep.repo.join("config")).expect("it was made");
        let append_only = config.contains("append_only = 1");
        fs::remove_dir_all(scene.scratch.join("some")).expect("our own directory");
        assert!(was_deleted && append_only, "{config}");
        runs.into_iter().chain(more).collect()
    });
    super::assert_like_the_last(ways);
}

/// Extracting through each way gives the tree back exactly, from an archive made locally.
#[test]
fn a_local_archive_is_restored_from_afar() {
    let scene = scene("keyfile");
    tree::rich(&scene.scratch.join("tree"));
    let here = scene.home.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let place = format!("{}::local", text(&scene.repo));
    for program in Program::BOTH {
        let place = format!("{place}-{}", program.name());
        scene
            .run_on(&here, program, &["create", &place, "tree"])
            .ok();
    }
    scene.each_way(|client, served| {
        let served = served.with("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        for made_by in Program::BOTH {
            let name = format!("local-{}", made_by.name());
            let dir = served.extract(client, &name, &[]);
            assert_same_tree(
                &served.scratch.join("tree"),
                &dir.join("tree"),
                Compare::Everything,
            );
        }
    });
}
