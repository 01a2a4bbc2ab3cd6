//! A key restricted to some repositories: no other path can be read, made, listed or even asked about.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use ironborg_rpc::message::{Call, Fault};
use ironborg_testkit::{Compare, Program, Snapshot, assert_restored};

use super::peer::{Peer, open, open_bytes};
use super::{forced, remote};
use crate::scene::{Scene, text};

/// A scene with a repository in `allowed`, one in `outside`, and what an administrator could have left between them.
fn scene() -> Scene {
    let first = Scene::new();
    first.scratch.dir("outside/secret");
    first.scratch.dir("allowed/deep");
    // A name that only begins like the allowed one.
    first.scratch.dir("allowed-not");
    let outside = first.beside("outside/repo");
    outside.init(Program::Ours, "none");
    let scene = first.beside("allowed/repo");
    scene.init(Program::Ours, "none");
    let allowed = scene.scratch.join("allowed");
    symlink("../outside/repo", allowed.join("link")).expect("a new name");
    symlink("../outside/missing", allowed.join("dangling")).expect("a new name");
    symlink("/", allowed.join("root")).expect("a new name");
    symlink("loop", allowed.join("loop")).expect("a new name");
    scene
}

/// Paths that lead out of `allowed`; those of a pair differ only in whether there is something at their end.
fn tricks(scene: &Scene) -> Vec<(Vec<u8>, Vec<u8>)> {
    let top = text(scene.scratch.path());
    let pair = |there: &str, missing: &str| {
        let full = |path: &str| path.replace("TOP", top).into_bytes();
        (full(there), full(missing))
    };
    let mut tricks = vec![
        pair("TOP/outside/repo", "TOP/outside/none"),
        pair("TOP/outside/repo/config", "TOP/outside/repo/konfig"),
        pair("TOP/allowed/../outside/repo", "TOP/allowed/../outside/none"),
        pair(
            "TOP/allowed/deep/../../outside/repo",
            "TOP/allowed/gone/../../outside/repo",
        ),
        pair("/./outside/repo", "/./outside/none"),
        pair("outside/repo", "outside/none"),
        pair("//TOP//outside///repo//", "//TOP//outside///none//"),
        pair("TOP/allowed/link", "TOP/allowed/dangling"),
        pair("TOP/allowed/link/data", "TOP/allowed/dangling/data"),
        pair(
            "TOP/allowed/root/etc/passwd",
            "TOP/allowed/root/etc/passwort",
        ),
        pair(
            "TOP/allowed/root/TOP/outside/repo",
            "TOP/allowed/root/TOP/outside/none",
        ),
        pair("TOP/allowed-not", "TOP/allowed-nothing"),
        pair("TOP", "TOP-none"),
        pair("/", "/none"),
        pair("/proc/self/cwd/outside/repo", "/proc/self/cwd/outside/none"),
        pair("/proc/self/root/TOP/outside/repo", "/proc/self/fd/0/none"),
        pair("~root/repo", "~nobody-of-this-name/repo"),
        pair("/~root", "/~nobody-of-this-name"),
        pair("/~/repo", "/~/none"),
        pair("~/../outside/repo", "~/../outside/none"),
        pair("", "/./"),
        pair(".", ".."),
    ];
    tricks.push((b"\xff\xfe/\x80".to_vec(), b"/\xff\xfe/\x80".to_vec()));
    tricks.push((vec![b'/'; 5000], [&b"/"[..], &vec![b'x'; 5000]].concat()));
    tricks.push((
        b"a/".repeat(20_000),
        [&b"/"[..], &b"../".repeat(20_000)].concat(),
    ));
    tricks
}

/// The answer to an attempt: always a refusal.
fn refused(peer: &mut Peer, path: &[u8], create: bool) -> Box<Fault> {
    let answer = peer.ask(&open_bytes(path, create));
    let shown = || path[..path.len().min(200)].escape_ascii().to_string();
    let fault = answer.expect_err(&shown());
    assert_eq!(fault.class, b"PathNotAllowed", "{}", shown());
    fault
}

#[test]
fn no_way_leads_out_and_nothing_tells_what_is_there() {
    let scene = scene();
    let allowed = scene.scratch.join("allowed");
    let before = Snapshot::of(scene.scratch.path());
    for restriction in [
        ["--restrict-to-path", text(&allowed)],
        ["--restrict-to-repository", scene.repo()],
        // Relative to where the server is started, as in a forced command that begins with `cd`.
        ["--restrict-to-path", "allowed/."],
    ] {
        let mut peer = Peer::new(&scene, &restriction);
        peer.greet();
        for (there, missing) in tricks(&scene) {
            for create in [false, true] {
                let answers = [&there, &missing].map(|path| refused(&mut peer, path, create));
                for (fault, path) in answers.iter().zip([&there, &missing]) {
                    let told = fault.args.as_ref().expect("an argument").concat();
                    let names_outside = |bytes: &[u8]| bytes.windows(7).any(|w| w == b"outside");
                    assert!(
                        names_outside(path) || !names_outside(&told),
                        "{} told where it leads: {}",
                        path.escape_ascii(),
                        told.escape_ascii()
                    );
                }
                let [there, missing] = answers;
                assert_eq!(there.short.len(), missing.short.len());
                assert_eq!((there.trace, missing.trace), (false, false));
            }
        }
        let null = open_bytes(b"/\0/x", false);
        peer.ask(&null).expect_err("no such path can be");
        let nothing_open = peer.ask(&Call::Len).expect_err("nothing is open");
        assert_eq!(nothing_open.class, b"AttributeError");
        // The way that is open is open, however it is written.
        peer.ask(&open(&scene.repo, false)).expect("it is allowed");
        let winding = allowed.join("deep/..//./repo/");
        peer.ask(&open(&winding, false)).expect("it is the same");
        // A refusal does not take what is open away, and does not open anything else.
        refused(&mut peer, b"/", false);
        peer.ask(&Call::Len).expect("still open");
        peer.end().exits(0).ok();
    }
    assert_restored(&before, scene.scratch.path(), Compare::Content);
}

#[test]
fn new_repositories_are_made_below_the_allowed_path_only() {
    let scene = scene();
    let restriction = ["--restrict-to-path", "allowed"];
    let mut peer = Peer::new(&scene, &restriction);
    peer.greet();
    let new = scene.scratch.join("allowed/a/b/new");
    peer.ask(&open(&new, true)).expect("a new repository");
    let undecodable = scene.scratch.join(OsStr::from_bytes(b"allowed/\xff"));
    peer.ask(&open(&undecodable, true))
        .expect("a new repository");
    for (there, missing) in tricks(&scene) {
        refused(&mut peer, &there, true);
        refused(&mut peer, &missing, true);
    }
    peer.end().exits(0).ok();
    assert!(new.join("config").exists() && undecodable.join("config").exists());
    assert!(!scene.scratch.join("outside/none").exists());
}

#[test]
fn both_clients_say_the_same_about_a_path_they_may_not_have() {
    let scene = scene();
    let command = format!(
        "{} serve --restrict-to-repository {}",
        text(Program::Ours.path()),
        scene.repo()
    );
    let home = forced(&scene, "restricted", &command);
    let outside = scene.beside("outside/repo");
    for path in ["outside/repo", "outside/none"] {
        let location = format!("ssh://host{}", text(&scene.scratch.join(path)));
        let [ours, stock] = Program::BOTH.map(|program| {
            let run = scene.run_on(&home, program, &["list", &location]);
            (run.code(), run.out(), run.err())
        });
        assert_eq!(ours, stock);
        let expected = format!(
            "Repository path not allowed: {}\n",
            text(&scene.scratch.join(path))
        );
        assert_eq!(ours, (2, String::new(), expected));
    }
    for program in Program::BOTH {
        scene
            .run_on(&home, program, &["list", &remote(&scene)])
            .ok();
    }
    assert!(fs::exists(outside.repo.join("config")).expect("readable"));
}
