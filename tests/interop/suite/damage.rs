//! Damaged repositories: every command either names the damage and fails, or its result is as if there were none.
//!
//! A small repository is damaged in one place at a time: a bit flipped, a file cut short, removed or grown. For data
//! segments the checksum of the damaged entry is also made right again, so that the damage reaches the layers above.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};

use ironborg_testkit::{Program, Random, Snapshot, Tried, tally};

use crate::same_output::Saved;
use crate::scene::Scene;

/// What an undamaged repository answers.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    archives: String,
    items: String,
    files: Snapshot,
}

struct Patient {
    scene: Scene,
    healthy: Saved,
    answers: Answers,
    /// Damages tried, and refused by some command.
    counts: Cell<(usize, usize)>,
    /// Damages there were to choose from.
    met: Cell<usize>,
}

/// Of so many damages one is done with whole programs, unless all are wanted: every bit has its turn within one process,
/// in the `hostile_bytes` tests of `ironborg-archive`.
const ONE_OF: usize = 5;
/// The same where stock Borg is asked too.
const ONE_OF_COMPARED: usize = 2;

/// How one damaged repository was answered.
struct Outcome {
    archives: Option<String>,
    items: Option<String>,
    files: Option<Snapshot>,
    codes: [i32; 3],
    text: String,
}

fn patient(mode: &str) -> Patient {
    let scene = Scene::with_repository(Program::Stock, mode);
    let top = scene.scratch.dir("tree");
    let mut random = Random::new(4);
    for (name, len) in [("small", 10), ("text", 3_000), ("larger", 20_000)] {
        fs::write(top.join(name), random.bytes(len)).expect("room on the disk");
    }
    std::os::unix::fs::symlink("small", top.join("link")).expect("a new symlink");
    scene.create(Program::Stock, "a", &["-C", "zstd,3"], "tree");
    fs::write(top.join("second"), random.bytes(5_000)).expect("room on the disk");
    scene.create(Program::Ours, "b", &["-C", "lz4"], "tree");
    let healthy = scene.save();
    let outcome = answer(&scene, Program::Ours);
    assert_eq!(
        outcome.codes, [0; 3],
        "the undamaged repository: {}",
        outcome.text
    );
    let answers = Answers {
        archives: outcome.archives.expect("exit code 0"),
        items: outcome.items.expect("exit code 0"),
        files: outcome.files.expect("exit code 0"),
    };
    Patient {
        scene,
        healthy,
        answers,
        counts: Cell::default(),
        met: Cell::default(),
    }
}

/// Lists the repository, lists an archive, extracts it. Answers only count where the program claims success.
fn answer(scene: &Scene, program: Program) -> Outcome {
    let archive = scene.archive("b");
    let list = scene.run(program, &["list", scene.repo()]).in_control();
    let items = scene.run(
        program,
        &[
            "list",
            "--format",
            "{mode} {size} {mtime} {path}{extra}{NL}",
            &archive,
        ],
    );
    let items = items.in_control();
    let dir = scene.empty_dir("out");
    let extract = scene
        .home
        .invocation(program, ["extract", &archive])
        .dir(&dir)
        .run()
        .in_control();
    let mut files = Snapshot::of(&dir);
    files.nodes.remove(b"".as_slice());
    fs::remove_dir_all(&dir).expect("a directory of this test");
    let runs = [&list, &items, &extract];
    Outcome {
        codes: runs.map(ironborg_testkit::Run::code),
        text: runs.map(ToString::to_string).join("\n"),
        archives: (list.code() == 0).then(|| list.out()),
        items: (items.code() == 0).then(|| items.out()),
        files: (extract.code() == 0).then_some(files),
    }
}

impl Patient {
    /// Damages the repository, looks at what ours says, puts everything back.
    ///
    /// `recovers`: stock Borg is asked too, and what it gets over ours must get over.
    #[track_caller]
    fn check(&self, what: &str, recovers: bool, damage: impl FnOnce(&Path)) {
        let one_of = if recovers { ONE_OF_COMPARED } else { ONE_OF };
        let met = self.met.replace(self.met.get() + 1);
        if std::env::var_os("IRONBORG_INTEROP_FULL").is_none() && !met.is_multiple_of(one_of) {
            return;
        }
        self.healthy.restore();
        damage(&self.scene.repo);
        let damaged = recovers.then(|| self.scene.save());
        let ours = answer(&self.scene, Program::Ours);
        self.assert_honest(what, &ours);
        if let Some(damaged) = damaged.filter(|_| ours.codes != [0; 3]) {
            damaged.restore();
            let stock = answer(&self.scene, Program::Stock);
            let rows = ours.codes.iter().zip(stock.codes);
            let worse = rows
                .into_iter()
                .any(|(ours, stock)| *ours != 0 && stock == 0);
            assert!(
                !worse,
                "{what}: stock recovers, ours does not\n{}\n{}",
                ours.text, stock.text
            );
        }
        let (tried, refused) = self.counts.get();
        self.counts
            .set((tried + 1, refused + usize::from(ours.codes != [0; 3])));
    }

    /// A test in which nothing was refused has damaged nothing.
    #[track_caller]
    fn assert_damaged(&self) {
        let (tried, refused) = self.counts.get();
        assert!(
            refused * 10 > tried,
            "{refused} of {tried} damages made a difference"
        );
        tally(Tried::Damages, tried as u64);
    }

    #[track_caller]
    fn assert_honest(&self, what: &str, outcome: &Outcome) {
        let lie = |field: &str| panic!("{what}: {field} is wrong without a word\n{}", outcome.text);
        if outcome
            .archives
            .as_ref()
            .is_some_and(|found| *found != self.answers.archives)
        {
            lie("the list of archives");
        }
        if outcome
            .items
            .as_ref()
            .is_some_and(|found| *found != self.answers.items)
        {
            lie("the list of items");
        }
        if outcome
            .files
            .as_ref()
            .is_some_and(|found| *found != self.answers.files)
        {
            lie("an extracted file");
        }
        let named = outcome
            .codes
            .iter()
            .all(|code| *code <= 2 || (3..128).contains(code));
        assert!(
            named,
            "{what}: exit codes {:?}\n{}",
            outcome.codes, outcome.text
        );
    }

    /// Every file of the repository: path inside it and length.
    fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = Vec::new();
        for (path, node) in &Snapshot::of(&self.scene.repo).nodes {
            if let ironborg_testkit::NodeKind::File { size, .. } = node.kind {
                let name = String::from_utf8(path.clone()).expect("plain names");
                files.push((PathBuf::from(name), size));
            }
        }
        files
    }

    fn segments(&self) -> Vec<(PathBuf, u64)> {
        self.files()
            .into_iter()
            .filter(|(path, _)| path.starts_with("data"))
            .collect()
    }

    fn others(&self) -> Vec<(PathBuf, u64)> {
        self.files()
            .into_iter()
            .filter(|(path, _)| !path.starts_with("data"))
            .collect()
    }
}

fn flip(path: &Path, offset: u64, bit: u8) {
    let mut bytes = fs::read(path).expect("a file of the repository");
    let at = usize::try_from(offset).expect("a small file");
    bytes[at] ^= 1 << bit;
    fs::write(path, bytes).expect("room on the disk");
}

/// About `count` offsets spread over `size`, first and last included, none twice.
fn spread(size: u64, count: u64) -> Vec<u64> {
    let mut offsets: Vec<u64> = (0..count)
        .map(|step| step * size.saturating_sub(1) / count.max(2).saturating_sub(1))
        .collect();
    offsets.dedup();
    offsets.retain(|offset| *offset < size);
    offsets
}

/// The size field of every entry is in the first 41 bytes: damage there is damage to the structure.
fn segment_offsets(bytes: &[u8]) -> Vec<u64> {
    let mut offsets = vec![0, 7];
    for entry in entries(bytes) {
        let start = entry.start as u64;
        offsets.extend([0, 3, 4, 6, 7, 8, 9, 25, 40, 41, 45].map(|at| start + at));
        offsets.extend(
            spread(entry.len() as u64, 6)
                .into_iter()
                .map(|at| start + at),
        );
    }
    offsets.sort_unstable();
    offsets.dedup();
    offsets.retain(|offset| *offset < bytes.len() as u64);
    offsets
}

/// Where each entry of a segment begins and ends.
fn entries(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let mut at = 8;
    while let Some(field) = bytes.get(at + 4..at + 8) {
        let size = u32::from_le_bytes(field.try_into().expect("four bytes")) as usize;
        if size < 9 || at + size > bytes.len() {
            break;
        }
        ranges.push(at..at + size);
        at += size;
    }
    ranges
}

/// CRC-32 as segment entries carry it, a bit at a time: there is little to do here.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    !crc
}

#[test]
fn bits_of_segments() {
    for mode in ["none", "repokey-blake2"] {
        let patient = patient(mode);
        for (path, _) in patient.segments() {
            let bytes = fs::read(patient.scene.repo.join(&path)).expect("a segment");
            for offset in segment_offsets(&bytes) {
                let bit = u8::try_from(offset % 8).expect("below 8");
                let what = format!("{mode}: bit {bit} at {offset} of {}", path.display());
                patient.check(&what, false, |repo| flip(&repo.join(&path), offset, bit));
            }
        }
        patient.assert_damaged();
    }
}

/// The same with a right checksum: what is left to notice is the id, the MAC, the compressor, the decoder.
#[test]
fn bits_under_a_right_checksum() {
    for mode in ["none", "authenticated-blake2", "repokey"] {
        let patient = patient(mode);
        for (path, _) in patient.segments() {
            let bytes = fs::read(patient.scene.repo.join(&path)).expect("a segment");
            for entry in entries(&bytes).into_iter().filter(|entry| entry.len() > 41) {
                for inside in spread(entry.len() as u64 - 41, 12) {
                    let at = entry.start + 41 + usize::try_from(inside).expect("a small file");
                    let bit = u8::try_from(inside % 8).expect("below 8");
                    let what = format!(
                        "{mode}: bit {bit} at {at} of {}, checksum right",
                        path.display()
                    );
                    patient.check(&what, false, |repo| {
                        let mut bytes = bytes.clone();
                        bytes[at] ^= 1 << bit;
                        let crc = crc32(&bytes[entry.start + 4..entry.end]).to_le_bytes();
                        bytes[entry.start..entry.start + 4].copy_from_slice(&crc);
                        fs::write(repo.join(&path), bytes).expect("room on the disk");
                    });
                }
            }
        }
        patient.assert_damaged();
    }
}

/// Config, index, hints, integrity, nonce: what stock Borg gets over, ours gets over.
#[test]
fn bits_of_the_other_files() {
    let patient = patient("repokey");
    for (path, size) in patient.others() {
        for offset in spread(size, 24) {
            let bit = u8::try_from(offset % 8).expect("below 8");
            let what = format!("bit {bit} at {offset} of {}", path.display());
            patient.check(&what, true, |repo| flip(&repo.join(&path), offset, bit));
        }
    }
    patient.assert_damaged();
}

#[test]
fn cut_removed_emptied_and_grown_files() {
    let patient = patient("repokey");
    for (path, size) in patient.files() {
        for len in spread(size, 5) {
            patient.check(
                &format!("{} cut to {len} bytes", path.display()),
                true,
                |repo| {
                    let file = fs::OpenOptions::new()
                        .write(true)
                        .open(repo.join(&path))
                        .expect("a file");
                    file.set_len(len).expect("a shorter file");
                },
            );
        }
        patient.check(&format!("{} removed", path.display()), true, |repo| {
            fs::remove_file(repo.join(&path)).expect("a file of the repository");
        });
        patient.check(&format!("{} grown", path.display()), true, |repo| {
            let mut bytes = fs::read(repo.join(&path)).expect("a file of the repository");
            bytes.extend_from_slice(&[0xa5; 100]);
            fs::write(repo.join(&path), bytes).expect("room on the disk");
        });
        patient.check(&format!("{} full of zeros", path.display()), true, |repo| {
            let len = usize::try_from(size).expect("a small file");
            fs::write(repo.join(&path), vec![0; len]).expect("room on the disk");
        });
    }
    patient.assert_damaged();
}

/// Damage to what our own program keeps beside stock Borg's caches never changes an answer.
#[test]
fn damaged_caches_change_nothing() {
    let patient = patient("repokey");
    let home = patient.scene.home.base().to_path_buf();
    // Fill the caches first.
    patient.healthy.restore();
    patient.scene.create(Program::Ours, "c", &[], "tree");
    patient
        .scene
        .run(Program::Ours, &["info", patient.scene.repo()])
        .ok();
    let filled = patient.scene.save();
    let want = patient
        .scene
        .run(Program::Ours, &["info", "--json", patient.scene.repo()])
        .ok()
        .out();
    let cache = home.join(".cache");
    for (path, node) in &Snapshot::of(&cache).nodes {
        let ironborg_testkit::NodeKind::File { size, .. } = node.kind else {
            continue;
        };
        let file = cache.join(String::from_utf8(path.clone()).expect("plain names"));
        for offset in spread(size, 6) {
            filled.restore();
            flip(&file, offset, 3);
            let what = format!("bit 3 at {offset} of {}", file.display());
            let info = patient
                .scene
                .run(Program::Ours, &["info", "--json", patient.scene.repo()])
                .in_control();
            assert!(
                info.code() != 0 || info.out() == want,
                "{what}: other figures\n{info}"
            );
            let run = patient.scene.run(
                Program::Ours,
                &["create", &patient.scene.archive("d"), "tree"],
            );
            run.in_control();
            let check = patient
                .scene
                .run(Program::Stock, &["check", patient.scene.repo()]);
            assert_eq!(check.code(), 0, "{what}\n{check}");
        }
    }
}

/// A chunk that is not in the repository: both end with the same code and message. What ours says and does more, the
/// names of all files that suffer and the other files, comes before.
#[test]
fn a_lost_chunk_is_told_with_the_same_code() {
    let mut scene = Scene::with_repository(Program::Stock, "none");
    let top = scene.scratch.dir("tree");
    for (name, len) in [("a", 10_usize), ("b", 30_000), ("c", 10)] {
        fs::write(top.join(name), name.repeat(len)).expect("room on the disk");
    }
    scene.create(Program::Stock, "x", &[], "tree");
    let digest = [
        "list",
        "--format",
        "{sha256}",
        &scene.archive("x"),
        "tree/b",
    ];
    // Without a key the id of the only chunk is the digest of the file.
    let id = scene.run(Program::Ours, &digest).ok().out();
    let lose = ["debug", "delete-obj", scene.repo(), &id];
    scene.run(Program::Stock, &lose).ok();
    let message = format!("Object with key {id} not found in repository");
    for codes in ["legacy", "modern"] {
        scene.home.set("BORG_EXIT_CODES", codes);
        for command in [
            &["extract", "-n"] as &[&str],
            &["extract", "--list"],
            &["extract", "--stdout"],
            &["export-tar", "--tar-filter", ""],
        ] {
            let archive = scene.archive("x");
            let tarball: &[&str] = if command[0] == "export-tar" {
                &["x.tar"]
            } else {
                &[]
            };
            let args = [command, &[&archive], tarball].concat();
            let [ours, stock] = Program::BOTH.map(|program| {
                let dir = scene.empty_dir(program.name());
                let run = scene.home.invocation(program, &args).dir(&dir).run();
                (run, dir)
            });
            let both = format!("{codes} {args:?}\n{}\n{}", ours.0, stock.0);
            assert_eq!(ours.0.code(), stock.0.code(), "{both}");
            let expected = if codes == "modern" { 17 } else { 2 };
            assert_eq!(stock.0.code(), expected, "{both}");
            for run in [&ours.0, &stock.0] {
                let said = run.err();
                assert!(
                    said.lines().any(|line| line.starts_with(&message)),
                    "{both}"
                );
            }
            assert!(ours.0.err().contains("x::tree/b: "), "{both}");
            if command.contains(&"--list") {
                let there = ["a", "c"].map(|name| fs::read(ours.1.join("tree").join(name)).ok());
                assert_eq!(
                    there,
                    ["a", "c"].map(|name| Some(name.repeat(10).into_bytes()))
                );
            }
        }
    }
}
