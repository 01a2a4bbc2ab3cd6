//! Damage to the repository: named or harmless, and after a repair nothing is silently different.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use ironborg_testkit::{Program, Random, Run, Snapshot};

use super::model::{Archived, Archives};
use super::operations::one_of;
use super::reading::{any_archive, extract};
use super::world::{Way, Who, World};
use crate::scene::text;

/// The last segments hold the transaction that counts: if it is damaged, the one before it does.
const TAIL: usize = 4;

/// Damages the repository, has it repaired, and takes what is left for the model.
#[track_caller]
pub(super) fn damage(world: &mut World, random: &mut Random) {
    // Without archives there is nothing that a lost manifest could be rebuilt from.
    if world.archives.is_empty() {
        return;
    }
    let Some(is_tail) = spoil(world, random) else {
        return;
    };
    world.damages += 1;
    for _ in 0..2 {
        probe(world, random, is_tail);
    }
    let who = Who {
        program: Program::Stock,
        machine: random.below(2),
        way: Way::Local,
    };
    if is_tail {
        forget(world);
    }
    let location = world.location(&who);
    let found = world.run(&who, &["check", "--verify-data", &location]);
    assert!((0..=2).contains(&found.code()), "{found}");
    if found.code() != 0 {
        assert!(!found.err().is_empty(), "a finding without words\n{found}");
        repair(world, random);
    }
    survey(world, random, found.code() != 0 || is_tail);
    let run = world.run(&who, &["check", &location]);
    let is_damaged = world
        .archives
        .values()
        .any(|archived| !archived.damaged.is_empty());
    assert!(run.code() <= i32::from(is_damaged), "after a repair\n{run}");
}

/// Segments in order.
fn segments(repo: &Path) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    for dir in fs::read_dir(repo.join("data")).expect("a repository") {
        for entry in fs::read_dir(dir.expect("an entry").path()).expect("a directory") {
            let path = entry.expect("an entry").path();
            let number = path.file_name().and_then(|name| name.to_str());
            if let Some(number) = number.and_then(|name| name.parse().ok()) {
                found.push((number, path));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Damages one file; says whether the last transaction may be gone with it.
fn spoil(world: &mut World, random: &mut Random) -> Option<bool> {
    let segments = segments(&world.repo);
    let (path, is_tail) = if random.below(4) == 0 {
        let is_meant = |path: &PathBuf| {
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            ["index.", "hints.", "integrity."]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        };
        let entries = fs::read_dir(&world.repo).expect("a repository");
        let mut beside: Vec<PathBuf> = entries
            .map(|entry| entry.expect("an entry").path())
            .filter(is_meant)
            .collect();
        beside.sort();
        (
            beside.get(random.below(beside.len().max(1)))?.clone(),
            false,
        )
    } else {
        let index = random.below(segments.len());
        (segments[index].clone(), index + TAIL >= segments.len())
    };
    let mut bytes = fs::read(&path).expect("a file of this test");
    if bytes.is_empty() {
        return None;
    }
    let at = random.below(bytes.len());
    let what = match random.below(6) {
        0..3 => {
            bytes[at] ^= 1 << random.below(8);
            format!("bit flipped in byte {at}")
        }
        3 => {
            bytes.truncate(at);
            format!("cut to {at}")
        }
        4 => {
            let end = bytes.len().min(at + 4096);
            bytes[at..end].fill(0);
            format!("zeros from {at} to {end}")
        }
        _ => {
            fs::remove_file(&path).expect("a file of this test");
            world.tell(&format!("DAMAGE: rm {}", text(&path)));
            return Some(is_tail);
        }
    };
    // A segment may be shared with nobody: written anew it is a file of its own.
    fs::write(&path, bytes).expect("a file of this test");
    world.tell(&format!("DAMAGE: {what} of {}", text(&path)));
    Some(is_tail)
}

/// Somebody who did not expect it reads the repository: it is as it was, or something is said.
#[track_caller]
fn probe(world: &mut World, random: &mut Random, is_tail: bool) {
    let who = world.anyone(random);
    let location = world.location(&who);
    let args = [
        "list",
        "--consider-checkpoints",
        "--format",
        "{name}{NL}",
        &location,
    ];
    let run = world.run(&who, &args);
    assert!((0..=2).contains(&run.code()), "{run}");
    if run.code() == 0 {
        let names: BTreeSet<String> = run.out().lines().map(str::to_owned).collect();
        let expected = world.archives.keys().cloned().collect();
        assert!(
            is_tail || names == expected,
            "archives are silently missing\n{run}"
        );
    } else {
        assert!(!run.err().is_empty(), "a failure without words\n{run}");
        return;
    }
    let Some(name) = any_archive(world, random) else {
        return;
    };
    let (run, found) = extract(world, &who, &name, &[], &[]);
    let expected = Rc::clone(&world.archives[&name]);
    if run.code() == 0 {
        let differences = expected.differences(&found);
        assert!(
            differences.is_empty(),
            "silently different: {differences:?}\n{run}"
        );
    }
    if run.code() == 1 {
        assert_named(&expected, &found, &run);
    }
    assert!(
        (0..=2).contains(&run.code()) && (run.code() == 0 || !run.err().is_empty()),
        "{run}"
    );
}

/// Names whose content is not what it was.
fn changed(expected: &Archived, found: &Snapshot) -> BTreeSet<Vec<u8>> {
    let same = |path: &Vec<u8>| {
        let kinds =
            [&expected.files, found].map(|files| files.nodes.get(path).map(|node| &node.kind));
        kinds[0] == kinds[1]
    };
    expected
        .files
        .nodes
        .keys()
        .filter(|path| !same(path))
        .cloned()
        .collect()
}

/// Whatever did not come back as it was is named.
#[track_caller]
fn assert_named(expected: &Archived, found: &Snapshot, run: &Run) {
    let said = run.err();
    for path in changed(expected, found) {
        let shown = String::from_utf8_lossy(&path);
        assert!(
            said.contains(&*shown),
            "{shown} is damaged and not named\n{run}"
        );
    }
}

/// The last transaction was undone: who has seen it takes that for an attack.
fn forget(world: &mut World) {
    for machine in 0..2 {
        for dir in [".cache", ".config/borg/security"] {
            let dir = world.homes[machine].base().join(dir);
            world.tell(&format!("rm -rf {}", text(&dir)));
            if dir.exists() {
                fs::remove_dir_all(dir).expect("a directory of this test");
            }
        }
    }
}

/// Repairs with either program.
#[track_caller]
fn repair(world: &mut World, random: &mut Random) {
    let mut who = Who {
        program: Program::Ours,
        machine: random.below(2),
        way: Way::Local,
    };
    let location = world.location(&who);
    if random.below(2) == 0 {
        let options = if world.ours_checks {
            "--info"
        } else {
            "--repository-only"
        };
        world
            .run(&who, &["check", "--repair", options, &location])
            .in_control();
        if world.ours_checks {
            return;
        }
    }
    who.program = Program::Stock;
    let how = one_of(random, &["--info", "--verify-data"]);
    let run = world.run(&who, &["check", "--repair", how, &location]);
    assert!(run.code() <= 1, "{run}");
}

/// Takes what is left for the model, if nothing of it is silently different.
#[track_caller]
fn survey(world: &mut World, random: &mut Random, may_be_lost: bool) {
    let who = world.anyone(random);
    let names = world.names(&who);
    let before = world.archives.clone();
    for name in before.keys() {
        assert!(
            may_be_lost || names.contains(name),
            "{name} is gone, and nobody said why"
        );
    }
    let mut left = Archives::new();
    for name in names {
        let archived = survivor(world, random, &name, may_be_lost);
        left.insert(name, Rc::new(archived));
    }
    world.adopt(left);
}

/// What is left of one archive, which must be what it once was, but for what is reported.
#[track_caller]
fn survivor(world: &mut World, random: &mut Random, name: &str, may_be_lost: bool) -> Archived {
    let who = world.anyone(random);
    let archive = world.archive(&who, name);
    let list = world
        .run(&who, &["list", "--format", "{path}{NUL}", &archive])
        .ok();
    let listed: BTreeSet<Vec<u8>> = list
        .stdout
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let (run, found) = extract(world, &who, name, &[], &[]);
    assert!(run.code() <= 1, "{run}");
    let mut versions: Vec<Rc<Archived>> = world.archives.get(name).cloned().into_iter().collect();
    // Archives that come back get numbers if there is another one of that name.
    let stem = name
        .rsplit_once('.')
        .filter(|(_, number)| number.parse::<u32>().is_ok());
    for known in [Some(name), stem.map(|(stem, _)| stem)]
        .into_iter()
        .flatten()
    {
        versions.extend(world.history.get(known).into_iter().flatten().cloned());
    }
    let mut reasons = Vec::new();
    for version in versions {
        if !listed
            .iter()
            .all(|path| version.files.nodes.contains_key(path))
        {
            reasons.push("items from nowhere".to_owned());
            continue;
        }
        if !may_be_lost && listed.len() != version.files.nodes.len() {
            reasons.push("items are gone".to_owned());
            continue;
        }
        let mut left = version.part(|path| listed.contains(path));
        left.damaged = BTreeSet::new();
        if run.code() == 1 {
            let said = run.err();
            let is_named = |path: &Vec<u8>| said.contains(&*String::from_utf8_lossy(path));
            left.damaged = changed(&left, &found)
                .into_iter()
                .filter(is_named)
                .collect();
        }
        let differences = left.differences(&found);
        if differences.is_empty() && (run.code() == 1) != left.damaged.is_empty() {
            return left;
        }
        reasons.push(format!("{differences:?}"));
    }
    panic!("{name} is silently different: {reasons:?}\n{run}");
}
