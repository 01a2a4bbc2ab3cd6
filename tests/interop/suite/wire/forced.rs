//! Keys that may run one command, as administrators write them: the client's own words count for little.

use std::fs;

use ironborg_testkit::{Program, Run, Server, Sshd, tree};

use super::{WAYS, assert_like_the_last, scene};
use crate::scene::{Scene, text};

impl Scene {
    /// The same scene with a key that can only run `program` with these words.
    fn with_key(&self, name: &str, program: Program, before: &str, words: &str) -> Self {
        let sshd = self.wire().expect("it is served").sshd();
        let command = format!("{before}{} {words}", text(program.path()));
        // What the client asks for is not run.
        self.with("BORG_RSH", sshd.key(name, &Sshd::forced(&command)))
            .with("BORG_REMOTE_PATH", "/nonexistent/borg")
    }

    /// Gives the lists to each client behind a key of its own, each from the same state.
    #[track_caller]
    fn assert_same_with_key(&self, before: &str, words: &str, lists: &[&[&str]]) -> Vec<Run> {
        let saved = self.save();
        let ways = WAYS.map(|(client, server)| {
            let free = (0..).map(|number| format!("{}-{number}", server.name()));
            let taken = |name: &String| self.scratch.join(format!("taken-{name}")).exists();
            let name = free
                .into_iter()
                .find(|name| !taken(name))
                .expect("numbers do not end");
            fs::write(self.scratch.join(format!("taken-{name}")), "").expect("room on the disk");
            let scene = self.with_key(&name, server, before, words);
            let runs = scene.run_list(client, lists);
            saved.restore();
            // What is made beside the repository is made there.
            let beside = self.scratch.join("far");
            if beside.exists() {
                fs::remove_dir_all(beside).expect("our own directory");
            }
            runs
        });
        assert_like_the_last(ways)
    }
}

/// A repository, one beside it, and one inside of a directory whose name begins like its own.
fn with_neighbours() -> (Scene, Scene, Scene) {
    let scene = scene("none");
    tree::many_small(&scene.scratch.join("tree"), 20);
    scene.create(Program::Stock, "one", &[], "tree");
    let (other, alike) = (scene.beside("other"), scene.beside("repository"));
    for neighbour in [&other, &alike] {
        neighbour.init(Program::Stock, "none");
    }
    (scene, other, alike)
}

#[test]
fn one_repository() {
    let (scene, other, alike) = with_neighbours();
    let cd = format!("cd {} && ", text(&scene.repo));
    let dots = format!("{}/../other", scene.repo());
    let inside = scene.beside("repo/inside");
    let missing = scene.beside("missing");
    let runs = scene.assert_same_with_key(
        &cd,
        "serve --restrict-to-repository .",
        &[
            &["create", &scene.archive("two"), "tree"],
            &["list", "--short", scene.repo()],
            &["list", other.repo()],
            &["list", alike.repo()],
            &["list", missing.repo()],
            &["list", &dots],
            &["create", &other.archive("two"), "tree"],
            &["init", "-e", "none", inside.repo()],
            &["init", "-e", "none", missing.repo()],
            &["break-lock", other.repo()],
            &["delete", other.repo()],
            &["--info", "list", "--short", scene.repo()],
        ],
    );
    let codes: Vec<i32> = runs.iter().map(Run::code).collect();
    assert_eq!(codes, [0, 0, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0]);
    for refused in &runs[2..11] {
        assert!(
            refused.err().starts_with("Repository path not allowed: "),
            "{refused}"
        );
    }
}

/// Our server does not say where a link leads: that alone would tell what is there.
#[test]
fn links_lead_nowhere() {
    let (scene, other, _) = with_neighbours();
    let link = scene.scratch.join("link");
    std::os::unix::fs::symlink(&other.repo, &link).expect("our own directory");
    let url = scene.wire().expect("it is served").url(&link);
    let cd = format!("cd {} && ", text(&scene.repo));
    for client in Program::BOTH {
        let words = "serve --restrict-to-repository .";
        let scene = scene.with_key(client.name(), Program::Ours, &cd, words);
        let run = scene.run(client, &["list", &url]).exits(2);
        let expected = format!("Repository path not allowed: {}\n", text(&link));
        assert_eq!(run.err(), expected, "{run}");
    }
}

#[test]
fn below_one_directory() {
    let (scene, other, _) = with_neighbours();
    let (deep, far) = (scene.beside("repo/deep"), scene.beside("far"));
    let words = format!(
        "serve --restrict-to-path {} --restrict-to-path {}",
        text(&scene.repo),
        text(&far.repo)
    );
    let runs = scene.assert_same_with_key(
        "",
        &words,
        &[
            &["list", "--short", scene.repo()],
            &["init", "-e", "none", deep.repo()],
            &["list", other.repo()],
            &[
                "init",
                "-e",
                "none",
                "--make-parent-dirs",
                &format!("{}/a/b", far.repo()),
            ],
            &["init", "-e", "none", &format!("{}/../a", far.repo())],
        ],
    );
    let codes: Vec<i32> = runs.iter().map(Run::code).collect();
    // A repository inside of a repository is refused, but not for its path.
    assert_eq!((codes[0], codes[2], codes[4]), (0, 2, 2));
}

/// What a client deletes behind such a key is still there.
#[test]
fn append_only() {
    let (scene, _, _) = with_neighbours();
    let list: &[&[&str]] = &[
        &["create", &scene.archive("two"), "tree"],
        &["delete", &scene.archive("one")],
        &["compact", "-v", scene.repo()],
        &["list", "--short", scene.repo()],
        &["delete", "--force", scene.repo()],
    ];
    let sure = scene.with("BORG_DELETE_I_KNOW_WHAT_I_AM_DOING", "YES");
    sure.assert_same_with_key("", "serve --append-only", list);
    // Once more by hand, for a look at the directory.
    for (number, (client, server)) in WAYS.into_iter().enumerate() {
        let saved = scene.save();
        let before = sizes(&scene);
        let scene = sure.with_key(&format!("look{number}"), server, "", "serve --append-only");
        scene.run_list(client, &list[..3]);
        for (name, size) in before {
            let now = fs::metadata(scene.repo.join(&name)).map(|found| found.len());
            let now = now.unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(now >= size, "{name} shrank from {size} to {now} bytes");
        }
        saved.restore();
    }
}

/// Names and lengths of the segments.
fn sizes(scene: &Scene) -> Vec<(String, u64)> {
    let files = crate::same_output::files(&scene.repo);
    let segments = files
        .into_iter()
        .filter(|(name, _)| name.starts_with("data/") && !name.ends_with('/'));
    let length = |bytes: Vec<u8>| u64::try_from(bytes.len()).expect("it was read");
    segments
        .map(|(name, bytes)| (name, length(bytes)))
        .collect()
}

/// The server's quota and umask; log level options of the client are listened to, others are not.
#[test]
fn quota_umask_and_what_the_client_may_say() {
    let scene = Scene::behind(Server::Current(Program::Stock));
    let tree = scene.scratch.dir("tree");
    fs::write(
        tree.join("file"),
        ironborg_testkit::generated("quota", 11_000_000),
    )
    .expect("room");
    let saved = scene.save();
    let ways = WAYS.map(|(client, server)| {
        let words = "serve --storage-quota 10M --umask 0027";
        let name = format!("quota-{}-{}", client.name(), server.name());
        let scene = scene.with_key(&name, server, "", words);
        let runs = scene.run_list(
            client,
            &[
                &["init", "-e", "none", "--storage-quota", "5G", scene.repo()],
                &["create", "-C", "none", &scene.archive("large"), "tree"],
                &["list", "--short", scene.repo()],
                &[
                    "--umask",
                    "0000",
                    "create",
                    &scene.archive("empty"),
                    "/dev/null",
                ],
            ],
        );
        let mode = |name: &str| {
            use std::os::unix::fs::PermissionsExt;
            let found = fs::metadata(scene.repo.join(name)).expect("it was made");
            found.permissions().mode() & 0o777
        };
        assert_eq!(
            (mode("config"), mode("data")),
            (0o640, 0o750),
            "{}",
            runs[0]
        );
        saved.restore();
        runs
    });
    let runs = assert_like_the_last(ways);
    assert!(runs[1].err().contains("quota"), "{}", runs[1]);
}
