//! `export-tar` and `import-tar`: the same tarballs byte for byte, the same archives item by item.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;

use ironborg_testkit::{Compare, Program, Run, assert_same_tree, sample, sample_passphrase, tree};
use serde_json::Value;

use crate::same_output::assert_same_run;
use crate::scene::Scene;

/// A repository of stock Borg with an archive `a` of the rich tree.
fn scene() -> Scene {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    tree::rich(&scene.scratch.join("tree"));
    scene.create(Program::Ours, "a", &[], "tree");
    scene
}

/// Exports with both programs: the same words, the same bytes. Gives the bytes.
#[track_caller]
fn assert_same_export(scene: &Scene, options: &[&str], paths: &[&str]) -> Vec<u8> {
    let archive = scene.archive("a");
    let [ours, stock] = Program::BOTH.map(|program| {
        let args = [
            &["export-tar"],
            options,
            &[archive.as_str(), "out.tar"],
            paths,
        ]
        .concat();
        let run = scene.run(program, &args);
        let path = scene.scratch.join("out.tar");
        let bytes = fs::read(&path).expect("a tarball was written");
        fs::remove_file(path).expect("a file of this test");
        (run, bytes)
    });
    assert_same_run(&ours.0, &stock.0);
    let differs = ours
        .1
        .iter()
        .zip(&stock.1)
        .position(|(ours, stock)| ours != stock);
    assert!(
        ours.1 == stock.1,
        "{options:?} {paths:?}: {} and {} bytes, first difference at {differs:?}",
        ours.1.len(),
        stock.1.len()
    );
    ours.1
}

#[test]
fn exports_are_the_same_bytes() {
    let scene = scene();
    let all = assert_same_export(&scene, &["--list"], &[]);
    assert_eq!(all.len() % 10_240, 0);
    assert_same_export(&scene, &["--list", "--progress", "--log-json"], &[]);
    assert_same_export(&scene, &["--strip-components", "2"], &[]);
    assert_same_export(&scene, &["--list"], &["tree/links/m", "no/such/path"]);
    // The first of several hard links is left out: the next one takes its place.
    assert_same_export(&scene, &["--exclude", "tree/links/a first"], &[]);
    assert_same_export(&scene, &["--strip-components", "1"], &["sh:tree/links/*"]);
    assert_same_export(&scene, &["--tar-filter", "tr a-z n-za-m"], &[]);
}

#[test]
fn old_repositories_are_exported_alike() {
    for name in [
        "made-by-1.0.13-repokey",
        "part-files",
        "mode-keyfile-blake2",
    ] {
        let mut scene = Scene::new();
        let sample = sample(name);
        scene.home.set("BORG_PASSPHRASE", sample_passphrase());
        scene.home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
        scene
            .home
            .set("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes");
        scene.moved_to(sample.unpack(&scene.scratch, &scene.home).repository);
        let names = scene
            .run(Program::Ours, &["list", "--short", scene.repo()])
            .ok();
        let names = names.out();
        let first = names.lines().next().expect("an archive");
        let [ours, stock] = Program::BOTH.map(|program| {
            let archive = scene.archive(first);
            let args = ["export-tar", "--consider-part-files", &archive, "-"];
            scene.run(program, &args)
        });
        assert_eq!(ours.code(), stock.code(), "{name}\n{stock}");
        assert!(ours.stdout == stock.stdout, "{name}");
    }
}

/// The item stream of an archive, and what else says how it was made.
#[track_caller]
fn items(scene: &Scene, name: &str) -> (Vec<u8>, Value) {
    let archive = scene.archive(name);
    let dir = scene.empty_dir("items");
    let args = ["debug", "dump-archive-items", &archive];
    let run = scene.home.invocation(Program::Stock, args).dir(&dir).run();
    run.ok();
    let files = fs::read_dir(&dir).expect("a directory of this test");
    let mut files: Vec<_> = files.map(|file| file.expect("readable").path()).collect();
    files.sort();
    let stream = files
        .iter()
        .flat_map(|file| fs::read(file).expect("readable"));
    let stream = stream.collect();
    let info = scene
        .run(Program::Ours, &["info", "--json", &archive])
        .ok()
        .json();
    let archive = &info["archives"][0];
    let figures = ["chunker_params", "comment"].map(|key| archive[key].clone());
    let counts = ["nfiles", "original_size"].map(|key| archive["stats"][key].clone());
    (stream, [figures, counts].concat().into())
}

/// Says where two item streams differ.
#[track_caller]
fn assert_same_items(ours: &[u8], stock: &[u8], what: &str) {
    let differs = ours
        .iter()
        .zip(stock)
        .position(|(ours, stock)| ours != stock);
    let around = |stream: &[u8]| {
        let at = differs.unwrap_or(0);
        let range = at.saturating_sub(200).min(stream.len())..(at + 200).min(stream.len());
        String::from_utf8_lossy(&stream[range]).into_owned()
    };
    assert!(
        ours == stock,
        "{what}, at {differs:?}:\n{}\n{}",
        around(ours),
        around(stock)
    );
}

/// Imports a tarball with both programs: the same words, the same items.
#[track_caller]
fn assert_same_import(scene: &Scene, options: &[&str], tarball: &str) {
    let names = ["ours", "stock"];
    let [ours, stock] = Program::BOTH.map(|program| {
        let name = names[usize::from(program == Program::Stock)];
        let archive = scene.archive(name);
        let args = [
            &["import-tar", "--list", "-C", "none"],
            options,
            &[archive.as_str(), tarball],
        ];
        let run = scene.run(program, &args.concat());
        if run.code() >= 2 {
            return (run, None);
        }
        (run, Some(items(scene, name)))
    });
    assert_same_run(&ours.0, &stock.0);
    let [(ours, our_figures), (stock, figures)] = [ours.1, stock.1].map(Option::unwrap_or_default);
    assert_same_items(&ours, &stock, tarball);
    assert_eq!(our_figures, figures, "{tarball}, ours first");
    for name in names {
        scene.run(Program::Ours, &["delete", &scene.archive(name)]);
    }
}

/// Runs GNU tar in the scratch directory.
#[track_caller]
fn gnu_tar(scene: &Scene, args: &[&str]) {
    let mut command = Command::new("tar");
    let output = command
        .args(args)
        .current_dir(scene.scratch.path())
        .output();
    let output = output.expect("tar is there");
    // It exits with 1 for sockets, which it leaves out.
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code().is_some_and(|code| code < 2),
        "{args:?}: {said}"
    );
}

/// Files with many holes, more than fit into one header.
fn sparse_files(dir: &Path) {
    fs::create_dir(dir).expect("a new directory");
    let mut many = File::create(dir.join("many")).expect("a new file");
    for index in 0..40 {
        many.seek(SeekFrom::Start(index * 65_536)).expect("a file");
        many.write_all(&[b'd'; 4096]).expect("room on the disk");
    }
    many.set_len(3_000_000).expect("a file");
    let hole = File::create(dir.join("only a hole")).expect("a new file");
    hole.set_len(700_000).expect("a file");
    fs::write(dir.join("none"), b"no hole at all").expect("room on the disk");
}

#[test]
fn imports_are_the_same_items() {
    let scene = scene();
    sparse_files(&scene.scratch.join("sparse"));
    let formats: [&[&str]; 7] = [
        &["--format=gnu"],
        &["--format=pax"],
        &["--format=v7"],
        &["--format=oldgnu", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
    ];
    let mut joined = Vec::new();
    for (number, format) in formats.into_iter().enumerate() {
        // All formats with holes see the files that have some; the others what else there is.
        let what = if format.len() > 1 { "sparse" } else { "tree" };
        let name = format!("{number}.tar");
        let mut command = Command::new("tar");
        let args = [format, &["-cf", name.as_str(), what]].concat();
        // Old formats have no room for long names: tar leaves these out, and exits with 2.
        let output = command
            .args(args)
            .current_dir(scene.scratch.path())
            .output();
        output.expect("tar is there");
        joined.extend(fs::read(scene.scratch.join(name)).expect("a tarball was written"));
    }
    fs::write(scene.scratch.join("joined.tar"), joined).expect("room on the disk");
    assert_same_import(&scene, &["--filter", "dhs"], "0.tar");
    let options = [
        "--ignore-zeros",
        "--chunker-params",
        "10,16,12,4095",
        "--comment",
        "{now}",
    ];
    assert_same_import(&scene, &options, "joined.tar");
}

#[test]
fn damaged_tarballs_are_refused_alike() {
    let scene = Scene::with_repository(Program::Stock, "none");
    fs::create_dir(scene.scratch.join("d")).expect("a new directory");
    fs::write(scene.scratch.join("d/file"), [b'f'; 5000]).expect("room on the disk");
    gnu_tar(&scene, &["-cf", "whole.tar", "d"]);
    gnu_tar(&scene, &["-czf", "whole.tar.gz", "d"]);
    let whole = fs::read(scene.scratch.join("whole.tar")).expect("a tarball");
    let packed = fs::read(scene.scratch.join("whole.tar.gz")).expect("a tarball");
    let mut unknown = whole.clone();
    // A member of a kind nobody knows, with the checksum that goes with it.
    unknown[156] = b'V';
    let sum: u32 = unknown[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| {
            u32::from(if (148..156).contains(&at) {
                b' '
            } else {
                *byte
            })
        })
        .sum();
    unknown[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let cases: [(&str, &[u8]); 8] = [
        ("empty.tar", b""),
        ("zeros.tar", &[0; 10_240]),
        ("garbage.tar", &[b'g'; 3000]),
        ("cut in content.tar", &whole[..3000]),
        ("cut in padding.tar", &whole[..1024 + 5001]),
        ("no end mark.tar", &whole[..1024 + 5120]),
        ("unknown kind.tar", &unknown),
        ("cut.tar.gz", &packed[..packed.len() / 2]),
    ];
    for (name, bytes) in cases {
        fs::write(scene.scratch.join(name), bytes).expect("room on the disk");
        let [ours, stock] = Program::BOTH.map(|program| {
            let archive = scene.archive(&format!("{}-{name}", program.name()));
            scene.run(program, &["import-tar", "-C", "none", &archive, name])
        });
        assert_eq!(ours.code(), stock.code(), "{name}\n{ours}\n{stock}");
        if ours.code() == 1 {
            assert_same_run(&ours, &stock);
        }
    }
    for (option, name) in [
        ("false", "whole.tar"),
        ("no-such-program", "whole.tar"),
        ("'", "x"),
    ] {
        for command in ["import-tar", "export-tar"] {
            let [ours, stock] = Program::BOTH.map(|program| {
                scene.run(Program::Ours, &["delete", &scene.archive("b")]);
                scene.run(
                    Program::Ours,
                    &["import-tar", &scene.archive("e"), "whole.tar"],
                );
                let name = if command == "import-tar" {
                    name
                } else {
                    "out.tar"
                };
                let archive = scene.archive(if command == "import-tar" { "b" } else { "e" });
                scene.run(program, &[command, "--tar-filter", option, &archive, name])
            });
            assert_eq!(
                ours.code(),
                stock.code(),
                "{command} {option}\n{ours}\n{stock}"
            );
        }
    }
}

#[test]
fn compressed_tarballs_are_read_by_the_other() {
    let scene = Scene::with_repository(Program::Stock, "repokey");
    tree::mixed(&scene.scratch.join("tree"), 3, 7);
    scene.create(Program::Ours, "a", &[], "tree");
    let plain = assert_same_export(&scene, &[], &[]);
    for (ending, program) in [
        ("gz", "gzip"),
        ("bz2", "bzip2"),
        ("xz", "xz"),
        ("zst", "zstd"),
        ("lz4", "lz4"),
    ] {
        let file = format!("ours.tar.{ending}");
        let archive = scene.archive("a");
        scene
            .run(Program::Ours, &["export-tar", &archive, &file])
            .ok();
        let packed = fs::metadata(scene.scratch.join(&file)).expect("it was written");
        assert!(
            packed.len() < plain.len() as u64,
            "{file} is not compressed"
        );
        let unpacked = through(&[program, "-dc"], &scene.scratch.join(&file));
        assert!(unpacked == plain, "{program} reads {file}");
        fs::write(scene.scratch.join("plain.tar"), &plain).expect("room on the disk");
        let file = format!("theirs.tar.{ending}");
        let packed = through(&[program, "-c"], &scene.scratch.join("plain.tar"));
        fs::write(scene.scratch.join(&file), packed).expect("room on the disk");
        let imported = scene.archive(&file);
        scene
            .run(Program::Ours, &["import-tar", &imported, &file])
            .ok();
        let again = scene
            .run(Program::Ours, &["export-tar", &imported, "-"])
            .ok();
        assert!(again.stdout == plain, "{file} is read");
    }
}

/// What a program makes of a file.
#[track_caller]
fn through(command: &[&str], file: &Path) -> Vec<u8> {
    let mut program = Command::new(command[0]);
    let input = File::open(file).expect("a file of this test");
    let output = program.args(&command[1..]).stdin(input).output();
    let output = output.expect("the program is there");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

/// Runs GNU tar to unpack a tarball into a new directory with all it can restore.
#[track_caller]
fn unpack(scene: &Scene, tarball: &str) -> std::path::PathBuf {
    let dir = scene.empty_dir("unpacked");
    let mut command = Command::new("tar");
    command.args(["--xattrs", "--xattrs-include=*", "--acls", "-xpf"]);
    let output = command
        .arg(scene.scratch.join(tarball))
        .current_dir(&dir)
        .output();
    let output = output.expect("tar is there");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    dir
}

#[test]
fn pax_keeps_what_items_have() {
    let scene = scene();
    let options = ["export-tar", "--tar-format", "PAX"];
    scene
        .run(
            Program::Ours,
            &[&options[..], &[&scene.archive("a"), "pax.tar"]].concat(),
        )
        .ok();
    let import = |program, name: &str| {
        let archive = scene.archive(name);
        scene
            .run(program, &["import-tar", &archive, "pax.tar"])
            .ok()
    };
    import(Program::Ours, "again");
    let (before, _) = items(&scene, "a");
    let (after, _) = items(&scene, "again");
    assert_same_items(
        &after,
        &before,
        "the archive made of the tarball, the one before",
    );
    // Stock Borg reads it too, and gets what every tarball can hold.
    import(Program::Stock, "stock");
    let list = |name: &str| -> Run {
        let format = "{type} {mode} {uid} {gid} {user} {group} {path} {source} {size} {sha256}{NL}";
        let archive = scene.archive(name);
        scene
            .run(Program::Ours, &["list", "--format", format, &archive])
            .ok()
    };
    let fifos = |line: &&str| !line.contains("fifo");
    let lines = |run: &Run| {
        run.out()
            .lines()
            .filter(fifos)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(lines(&list("stock")), lines(&list("a")));
}

#[test]
fn gnu_tar_restores_what_was_exported() {
    let scene = scene();
    // Sockets are not archived, and hard links of fifos are fifos of their own in a tarball.
    for path in ["special/socket", "special/second name of fifo"] {
        let _ = fs::remove_file(scene.scratch.join("tree").join(path));
    }
    scene.create(Program::Ours, "b", &["--exclude", "tree/special"], "tree");
    let archive = scene.archive("b");
    let args = ["export-tar", "--tar-format", "PAX", &archive, "pax.tar"];
    scene.run(Program::Ours, &args).ok();
    let dir = unpack(&scene, "pax.tar");
    fs::remove_dir_all(scene.scratch.join("tree/special")).expect("a directory of this test");
    let from = scene.extract(Program::Stock, "b", &["--noflags"]);
    assert_same_tree(&from.join("tree"), &dir.join("tree"), Compare::Everything);
    let name = OsStr::from_bytes(b"names/latin1-\xe9\xff");
    assert!(dir.join("tree").join(name).exists());
}
