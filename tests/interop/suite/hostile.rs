//! Archives made to do harm: nothing is written outside of the directory extracted into, nothing panics, and what
//! stock Borg refuses or survives, ours refuses or survives.

use std::fs;

use ironborg_testkit::{Compare, Program, Run, Snapshot};
use serde_json::{Value, json};

use crate::scene::Scene;

const SCRIPT: &str = include_str!("hostile.py");

/// Regular file, directory, symlink: the mode field of an item.
pub(crate) const FILE: u32 = 0o100_644;
pub(crate) const DIR: u32 = 0o040_755;
pub(crate) const LINK: u32 = 0o120_777;

/// A repository with an archive `x` of the given description, and a place outside to be protected.
pub(crate) fn scene(archive: &Value) -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    let outside = scene.scratch.dir("outside");
    fs::write(outside.join("secret"), b"not to be touched").expect("room on the disk");
    write_archive(&scene, "x", archive);
    scene
}

/// Writes one more archive of the given description.
pub(crate) fn write_archive(scene: &Scene, name: &str, archive: &Value) {
    run_script(scene, &[scene.repo(), name], archive);
}

/// Writes several archives: an object with a description for each name.
pub(crate) fn write_archives(scene: &Scene, archives: &Value) {
    run_script(scene, &[scene.repo()], archives);
}

fn run_script(scene: &Scene, args: &[&str], input: &Value) {
    let bytes = serde_json::to_vec(input).expect("JSON");
    scene
        .home
        .stock_library(SCRIPT, args)
        .input(bytes)
        .dir(scene.scratch.path())
        .run()
        .ok();
}

pub(crate) fn item(path: &str, mode: u32, more: &Value) -> Value {
    let mut item = json!({
        "path": path, "mode": mode, "uid": 0, "gid": 0, "user": "root", "group": "root",
        "mtime": 1_600_000_000_000_000_000_u64,
    });
    let fields = item.as_object_mut().expect("an object");
    fields.extend(more.as_object().expect("an object").clone());
    item
}

/// A file item with small content.
fn file(path: &str) -> Value {
    item(path, FILE, &json!({"chunks": [{"data": "aG9zdGlsZQ=="}]}))
}

/// Extracts `x` with one program into a directory two levels down, so that `..` leads somewhere we look at.
fn extract(scene: &Scene, program: Program, options: &[&str]) -> (Run, Snapshot) {
    let around = scene.empty_dir(&format!("around-{}", program.name()));
    let dir = around.join("inner/out");
    fs::create_dir_all(&dir).expect("a scratch directory");
    let archive = scene.archive("x");
    let args = [&["extract"], options, &[archive.as_str()]].concat();
    let run = scene
        .home
        .invocation(program, args)
        .dir(&dir)
        .run()
        .in_control();
    let mut tree = Snapshot::of(&dir);
    tree.nodes.remove(b"".as_slice());
    let mut everything = Snapshot::of(&around);
    everything
        .nodes
        .retain(|path, _| !path.starts_with(b"inner/out/"));
    let names: Vec<String> = everything
        .nodes
        .keys()
        .map(|path| path.escape_ascii().to_string())
        .collect();
    assert_eq!(
        names,
        ["", "inner", "inner/out"],
        "written outside by {}\n{run}",
        program.name()
    );
    let secret = fs::read(scene.scratch.join("outside/secret")).expect("still there");
    assert_eq!(secret, b"not to be touched", "{run}");
    let outside = fs::read_dir(scene.scratch.join("outside"))
        .expect("still there")
        .count();
    assert_eq!(outside, 1, "written outside by {}\n{run}", program.name());
    (run, tree)
}

/// Ours stays inside and in control; how it ends agrees with stock Borg where that is in control too.
#[track_caller]
fn check(archive: &Value) {
    let scene = scene(archive);
    let (ours, our_tree) = extract(&scene, Program::Ours, &[]);
    let (stock, stock_tree) = extract(&scene, Program::Stock, &[]);
    let both = format!("of {archive}\n{ours}\n{stock}");
    assert_eq!(ours.code() == 0, stock.code() == 0, "success {both}");
    if stock.code() == 0 {
        // Directories the archive does not name are as old as the extraction.
        let differences = stock_tree.differences(&our_tree, Compare::Content);
        assert!(differences.is_empty(), "{differences:#?} {both}");
    }
    let archive_x = scene.archive("x");
    for args in [&["list"] as &[&str], &["list", "--json-lines"], &["info"]] {
        let args = [args, &[archive_x.as_str()]].concat();
        let [ours, stock] = Program::BOTH.map(|program| scene.run(program, &args));
        let ours = ours.in_control();
        assert_eq!(
            ours.code() == 0,
            stock.code() == 0,
            "success of {archive}\n{ours}\n{stock}"
        );
    }
}

/// Ours stays inside and in control, and refuses; whether stock Borg does is its own affair.
#[track_caller]
fn check_refused(archive: &Value) {
    let scene = scene(archive);
    let (ours, _) = extract(&scene, Program::Ours, &[]);
    assert_ne!(
        ours.code(),
        0,
        "extracted without a word: {archive}\n{ours}"
    );
    for command in ["list", "info"] {
        scene
            .run(Program::Ours, &[command, &scene.archive("x")])
            .in_control();
    }
}

#[test]
fn paths_that_lead_outside() {
    for path in [
        "../escaped",
        "/escaped",
        "a/../../../escaped",
        "a/../b",
        "..",
        "../../outside/secret",
        "./../escaped",
    ] {
        check_refused(&json!({"items": [file(path)]}));
        check_refused(&json!({"items": [item(path, DIR, &json!({}))]}));
        check_refused(&json!({"items": [item(path, LINK, &json!({"source": "x"}))]}));
    }
}

#[test]
fn symlinks_on_the_way() {
    for target in ["..", "../..", "../../../outside", "/tmp", "."] {
        let link = item("link", LINK, &json!({"source": target}));
        check_refused(&json!({"items": [link, file("link/file")]}));
        check_refused(&json!({"items": [link, item("link/dir", DIR, &json!({}))]}));
        check_refused(
            &json!({"items": [link, item("link/deep/er", LINK, &json!({"source": "x"}))]}),
        );
        // A directory first, a symlink in its place afterwards.
        let dir = item("link", DIR, &json!({}));
        let archive = json!({"items": [dir, link, file("link/file")]});
        let scene = scene(&archive);
        extract(&scene, Program::Ours, &[]);
    }
}

/// A file in an archive may replace a symlink, never write through it; attributes are not set through it either.
#[test]
fn symlinks_in_the_place_of_files() {
    let link = item("name", LINK, &json!({"source": "../../../outside/secret"}));
    let archive = json!({"items": [link, file("name"), item("name", LINK, &json!({"source": "../../../outside/secret"})),
        item("name", DIR, &json!({})) ]});
    let scene = scene(&archive);
    extract(&scene, Program::Ours, &[]);
    let odd = item(
        "l2",
        LINK,
        &json!({
            "source": "../../../outside/secret", "xattrs": {"b64:dXNlci5h": {"b64": "Yg=="}}, "bsdflags": 1,
        }),
    );
    check(&json!({"items": [odd]}));
}

#[test]
fn hard_links_to_the_outside() {
    for source in ["../../../outside/secret", "/etc/passwd", "../x", "missing"] {
        let archive = json!({"items": [item("name", FILE, &json!({"source": source}))]});
        let scene = scene(&archive);
        let (run, tree) = extract(&scene, Program::Ours, &[]);
        assert_ne!(run.code(), 0, "{source}\n{run}");
        assert!(
            tree.nodes.values().all(|node| node.link_of.is_none()),
            "{source}: linked\n{run}"
        );
    }
    // Through a symlink made by the same archive.
    let link = item("way", LINK, &json!({"source": "../../../outside"}));
    check_refused(&json!({"items": [link, item("name", FILE, &json!({"source": "way/secret"}))]}));
}

#[test]
fn chunks_that_are_not_what_they_seem() {
    let missing = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    let zero = "00".repeat(32);
    for chunks in [
        json!([{"id": missing, "size": 10, "csize": 50}]),
        json!([{"data": "aG9zdGlsZQ==", "size": 7}]),
        json!([{"data": "aG9zdGlsZQ==", "size": 9}]),
        json!([{"data": "aG9zdGlsZQ=="}, {"id": missing, "size": 4_000_000_000_u64, "csize": 1}]),
        json!([{"id": zero, "size": 10, "csize": 10}]),
    ] {
        let archive =
            json!({"items": [item("name", FILE, &json!({"chunks": chunks})), file("after")]});
        let scene = scene(&archive);
        let [ours, stock] = Program::BOTH.map(|program| extract(&scene, program, &[]));
        let both = format!("{chunks}\n{}\n{}", ours.0, stock.0);
        assert_eq!(ours.0.code() == 0, stock.0.code() == 0, "success of {both}");
        let names_it =
            ["name", &missing[..16], &zero[..16]].map(|text| ours.0.err().contains(text));
        assert!(ours.0.code() == 0 || names_it.contains(&true), "{both}");
    }
}

#[test]
fn numbers_out_of_range() {
    let big = |text: &str| json!({"int": text});
    for (key, number) in [
        ("mtime", big("-1")),
        ("mtime", big("9223372036854775807")),
        ("mtime", big("18446744073709551615")),
        ("atime", big("18446744073709551615")),
        ("uid", big("-1")),
        ("uid", big("4294967295")),
        ("gid", big("9223372036854775807")),
        ("mode", big("0")),
        ("mode", big("4294967295")),
        ("mode", big("53248")),
        ("rdev", big("18446744073709551615")),
        ("size", big("18446744073709551615")),
        ("size", big("0")),
        ("bsdflags", big("9223372036854775807")),
    ] {
        let mut odd = file("name");
        odd[key] = number.clone();
        let scene = scene(&json!({"items": [odd, file("after")]}));
        let (run, _) = extract(&scene, Program::Ours, &[]);
        run.in_control();
        for command in ["list", "info"] {
            scene
                .run(Program::Ours, &[command, &scene.archive("x")])
                .in_control();
        }
        let json = scene
            .run(
                Program::Ours,
                &["list", "--json-lines", &scene.archive("x")],
            )
            .in_control();
        if json.code() == 0 {
            assert_eq!(json.json_lines().len(), 2, "{key} {number}\n{json}");
        }
    }
}

#[test]
fn values_of_the_wrong_type() {
    for (key, wrong) in [
        ("path", json!(7)),
        ("path", json!(null)),
        ("path", json!({"b64": "//79"})),
        ("path", json!("")),
        ("path", json!("a\0b")),
        ("mode", json!("0644")),
        ("mode", json!(null)),
        ("user", json!(5)),
        ("user", json!({"b64": "/w=="})),
        ("mtime", json!("now")),
        ("atime", json!(true)),
        ("rdev", json!("x")),
        ("chunks", json!("none")),
        ("chunks", json!(5)),
        ("xattrs", json!([1, 2])),
        ("xattrs", json!({"b64:/w==": 5})),
        ("acl_access", json!({"b64": "bm90IGFuIGFjbAo="})),
        ("acl_access", json!(3)),
        ("source", json!(3)),
        ("bsdflags", json!("x")),
        ("part", json!("x")),
        ("hardlink_master", json!({})),
        ("acl_access", json!(null)),
        ("acl_nfs4", json!([1.5])),
        ("unknown to all", json!({"nested": [1, {"deeper": null}]})),
        ("chunks_healthy", json!([[1, 2, 3]])),
    ] {
        let mut odd = file("name");
        odd[key] = wrong.clone();
        let scene = scene(&json!({"items": [odd, file("after")]}));
        let [ours, stock] = Program::BOTH.map(|program| {
            let run = scene.run(program, &["list", &scene.archive("x")]);
            (run, extract_any(&scene, program))
        });
        let both = format!(
            "{key} = {wrong}\n{}\n{}\n{}\n{}",
            ours.0, stock.0, ours.1, stock.1
        );
        ours.0.clone().in_control();
        ours.1.clone().in_control();
        // What stock Borg makes something of, ours does too.
        if stock.0.code() == 0 && stock.1.code() == 0 {
            assert_eq!((ours.0.code(), ours.1.code()), (0, 0), "{both}");
        }
    }
}

fn extract_any(scene: &Scene, program: Program) -> Run {
    let dir = scene.empty_dir(program.name());
    scene
        .home
        .invocation(program, ["extract", &scene.archive("x")])
        .dir(&dir)
        .run()
}

#[test]
fn item_streams_that_are_none() {
    // Base64 of: a lone array header of four billion, a map header of four billion, deep nesting, a raw header without
    // its bytes, plain noise, an empty map, an integer, a map cut off inside of a key.
    let nested = base64(&[0x91; 5000]);
    for raw in [
        base64(&[0xdd, 0xff, 0xff, 0xff, 0xff]),
        base64(&[0xdf, 0xff, 0xff, 0xff, 0xff]),
        nested,
        base64(&[0xdb, 0xff, 0xff, 0xff, 0xff, b'x']),
        base64(&ironborg_testkit::generated("noise", 5000)),
        base64(&[0x80]),
        base64(&[0x05]),
        base64(&[0x81, 0xa4, b'p', b'a']),
        base64(&[0xc1]),
    ] {
        let scene = scene(&json!({"items": [file("before")], "raw": raw}));
        let archive_x = scene.archive("x");
        for args in [
            &["list"] as &[&str],
            &["list", "--json-lines"],
            &["info"],
            &["extract", "--dry-run"],
        ] {
            let args = [args, &[archive_x.as_str()]].concat();
            let [ours, stock] = Program::BOTH.map(|program| scene.run(program, &args));
            let ours = ours.in_control();
            if stock.code() != 0 {
                assert_ne!(ours.code(), 0, "stock refuses {raw}\n{ours}\n{stock}");
            }
        }
        let (_, tree) = extract(&scene, Program::Ours, &[]);
        assert!(tree.nodes.len() <= 1, "{raw}: {:?}", tree.nodes.keys());
    }
}

#[test]
fn archive_metadata_of_the_wrong_kind() {
    let missing = json!([{"b64": base64(&[7; 32])}]);
    for metadata in [
        json!({"version": 2}),
        json!({"version": "1"}),
        json!({"items": missing}),
        json!({"items": 5}),
        json!({"items": [{"b64": "AAA="}]}),
        json!({"cmdline": "no list"}),
        json!({"time": "yesterday"}),
        json!({"time": 5}),
        json!({"time_end": "2024-13-45T99:99:99.000000"}),
        json!({"hostname": {"b64": "/w=="}}),
        json!({"chunker_params": "none"}),
        json!({"size": {"int": "18446744073709551615"}}),
        json!({"nfiles": "many"}),
        json!({"comment": 5}),
        json!({"unknown to all": [1, 2, 3]}),
    ] {
        let scene = scene(&json!({"items": [file("name")], "metadata": metadata}));
        let archive_x = scene.archive("x");
        for args in [
            &["list"] as &[&str],
            &["info"],
            &["info", "--json"],
            &["extract", "--dry-run"],
        ] {
            let args = [args, &[archive_x.as_str()]].concat();
            let [ours, stock] = Program::BOTH.map(|program| scene.run(program, &args));
            let ours = ours.in_control();
            // What Borg could have written one day must be read; what is plainly wrong may be refused.
            let plausible = ["unknown to all", "size", "hostname"];
            let plausible = plausible.iter().any(|key| metadata.get(key).is_some());
            if stock.code() == 0 && plausible {
                assert_eq!(ours.code(), 0, "stock reads {metadata}\n{ours}\n{stock}");
            }
        }
        scene
            .run(Program::Ours, &["list", scene.repo()])
            .in_control();
    }
}

/// Names that would break a terminal, a shell or a careless path join are listed and extracted as stock Borg does.
#[test]
fn names_that_are_only_odd() {
    for path in [
        "a//b",
        "a/",
        "./a",
        "a/./b",
        "\u{1b}[31mred",
        "a\nb",
        "-rf",
        "con",
        "a\u{202e}b",
    ] {
        check(&json!({"items": [file(path)]}));
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let padded = [
            part[0],
            *part.get(1).unwrap_or(&0),
            *part.get(2).unwrap_or(&0),
        ];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..4 {
            let digit = char::from(DIGITS[(bits >> (18 - 6 * place) & 63) as usize]);
            text.push(if place <= part.len() { digit } else { '=' });
        }
    }
    text
}
