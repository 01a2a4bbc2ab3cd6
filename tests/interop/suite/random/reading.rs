//! Reading what is in the repository, and comparing it with the model.

use std::collections::BTreeMap;

use ironborg_testkit::{NodeKind, Program, Random, Run, Snapshot};
use serde_json::Value;

use super::model::{Archived, is_below};
use super::world::{Way, Who, World};

/// The names are those of the model, and nobody is in the repository any more.
#[track_caller]
pub(super) fn assert_names(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let names = world.names(&who);
    let expected = world.archives.keys().cloned().collect();
    assert_eq!(names, expected, "archives listed, and those of the model");
}

/// No lock is left by those who ended in their own time.
#[track_caller]
pub(super) fn assert_unlocked(world: &World) {
    for name in ["lock.exclusive", "lock.roster"] {
        let lock = world.repo.join(name);
        // Servers may end after their clients.
        let is_gone = (0..500).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(if lock.exists() {
                10
            } else {
                0
            }));
            !lock.exists()
        });
        assert!(is_gone, "{} was left behind", lock.display());
    }
}

/// Some archive, if there is one.
pub(super) fn any_archive(world: &World, random: &mut Random) -> Option<String> {
    let names = &world.archives;
    let index = (!names.is_empty()).then(|| random.below(names.len()))?;
    names.keys().nth(index).cloned()
}

/// Some archive nothing in which is damaged.
pub(super) fn any_sound_archive(world: &World, random: &mut Random) -> Option<String> {
    let name = any_archive(world, random)?;
    world.archives[&name].damaged.is_empty().then_some(name)
}

/// Some archive comes back from the repository as it went in.
#[track_caller]
pub(super) fn verify_any(world: &mut World, random: &mut Random) {
    if let Some(name) = any_archive(world, random) {
        verify(world, random, &name);
    }
}

/// An archive comes back as it went in.
#[track_caller]
pub(super) fn verify(world: &mut World, random: &mut Random, name: &str) {
    let who = world.anyone(random);
    let options: &[&str] = [&[][..], &["--sparse"], &["--list"], &["--progress"]][random.below(4)];
    let (run, found) = extract(world, &who, name, options, &[]);
    let expected = world.archives[name].clone();
    assert_restored(&expected, &run, &found);
}

/// Extracts an archive, or paths of it, into an empty directory, and reads that.
#[track_caller]
pub(super) fn extract(
    world: &mut World,
    who: &Who,
    name: &str,
    options: &[&str],
    paths: &[&str],
) -> (Run, Snapshot) {
    let dir = world.empty_dir("out");
    let archive = world.archive(who, name);
    let args = [&["extract"], options, &[&archive], paths].concat();
    let run = world.begin(who, &args).dir(&dir).run(world);
    let mut found = Snapshot::of(&dir);
    found.nodes.remove(b"".as_slice());
    (run, found)
}

#[track_caller]
fn assert_restored(expected: &Archived, run: &Run, found: &Snapshot) {
    let code = i32::from(!expected.damaged.is_empty());
    assert_eq!(run.code(), code, "an extraction\n{run}");
    let differences = expected.differences(found);
    assert!(
        differences.is_empty(),
        "{} differences from what was backed up\n{}\n{run}",
        differences.len(),
        differences[..differences.len().min(20)].join("\n")
    );
}

/// Extracts a part of an archive.
#[track_caller]
pub(super) fn extract_part(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let Some(name) = any_sound_archive(world, random) else {
        return;
    };
    let archived = world.archives[&name].clone();
    let Some(path) = plain_path(&archived.files, random) else {
        return;
    };
    let (options, paths, part): (&[&str], &[&str], Archived) = match random.below(3) {
        0 => (
            &[],
            &[path.as_str()],
            archived.part(|name| is_below(name, path.as_bytes())),
        ),
        1 => (
            &["-e", "fm:*.tmp"],
            &[],
            archived.part(|name| !is_temporary(name)),
        ),
        _ => {
            let pattern = format!("pp:{path}");
            let rest = archived.part(|name| !is_below(name, path.as_bytes()));
            let (run, found) = extract(world, &who, &name, &["--exclude", &pattern], &[]);
            return assert_restored(&rest, &run, &found);
        }
    };
    let (run, found) = extract(world, &who, &name, options, paths);
    assert_restored(&part, &run, &found);
}

/// Whether the pattern `fm:*.tmp` matches.
pub(super) fn is_temporary(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        .any(|name| name.ends_with(b".tmp"))
}

/// A path of a tree that can be typed without a thought.
pub(super) fn plain_path(files: &Snapshot, random: &mut Random) -> Option<String> {
    let is_plain = |path: &&Vec<u8>| {
        path.iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/.".contains(byte))
    };
    let plain: Vec<&Vec<u8>> = files.nodes.keys().filter(is_plain).collect();
    let index = (!plain.is_empty()).then(|| random.below(plain.len()))?;
    String::from_utf8(plain[index].clone()).ok()
}

/// Items of an archive: names and sizes are those of the model.
#[track_caller]
pub(super) fn list_items(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let Some(name) = any_sound_archive(world, random) else {
        return;
    };
    let archive = world.archive(&who, &name);
    let run = world
        .run(
            &who,
            &["list", "--json-lines", "--format", "{size}", &archive],
        )
        .ok();
    let listed: BTreeMap<Vec<u8>, u64> = run
        .json_lines()
        .iter()
        .map(|line| {
            let path = line["path"].as_str().expect("a path").as_bytes().to_vec();
            let is_file = line["type"] == "-";
            (
                path,
                if is_file {
                    line["size"].as_u64().expect("a size")
                } else {
                    0
                },
            )
        })
        .collect();
    let size = |kind: &NodeKind| match kind {
        NodeKind::File { size, .. } => *size,
        _ => 0,
    };
    let nodes = &world.archives[&name].files.nodes;
    // A second name of a file is listed as a link of size 0.
    let expected = nodes
        .iter()
        .map(|(path, node)| (path.clone(), size(&node.kind)));
    for (path, size) in expected {
        let found = listed.get(&path).copied();
        let shown = path.escape_ascii();
        assert!(
            found == Some(size) || (found.is_some() && nodes[&path].link_of.is_some()),
            "{name}: {shown} is listed with size {found:?}, not {size}"
        );
    }
    assert_eq!(listed.len(), nodes.len(), "items of {name}\n{run}");
}

/// Both programs add up the same: sizes of an archive, and of all.
#[track_caller]
pub(super) fn info(world: &mut World, random: &mut Random) {
    let Some(name) = any_archive(world, random) else {
        return;
    };
    let machine = random.below(2);
    let documents = Program::BOTH.map(|program| {
        let who = Who {
            program,
            machine,
            way: Way::Local,
        };
        let archive = world.archive(&who, &name);
        let mut document = world.run(&who, &["info", "--json", &archive]).ok().json();
        let archive = document["archives"][0].take();
        let mut stats = [archive["stats"].clone(), document["cache"]["stats"].take()];
        // A chunk that was stored twice, compressed in two ways, has two lengths in what archives remember; which of them is
        // summed up differs by a few bytes between the programs.
        if let Some(all) = stats[1].as_object_mut() {
            all.remove("unique_csize");
        }
        if world.recompressed {
            // Archives remember how long a chunk's object was when they were made, and it is no more.
            for stats in stats.iter_mut().filter_map(Value::as_object_mut) {
                stats.retain(|name, _| {
                    !name.contains("compressed")
                        && !name.contains("csize")
                        && name != "deduplicated_size"
                });
            }
        }
        (stats, archive["comment"].clone())
    });
    let [ours, stock] = documents;
    assert_eq!(ours, stock, "statistics of {name}, ours first");
}

/// What two archives are said to differ in is what the model's trees differ in.
#[track_caller]
pub(super) fn diff(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let [Some(old), Some(new)] = [(), ()].map(|()| any_sound_archive(world, random)) else {
        return;
    };
    let archive = world.archive(&who, &old);
    let run = world
        .run(
            &who,
            &["diff", "--json-lines", "--content-only", &archive, &new],
        )
        .ok();
    let said: BTreeMap<Vec<u8>, Vec<Value>> = run
        .json_lines()
        .iter()
        .map(|line| {
            let path = line["path"].as_str().expect("a path").as_bytes().to_vec();
            (path, line["changes"].as_array().expect("changes").clone())
        })
        .collect();
    let [before, after] = [&old, &new].map(|name| &world.archives[name].files.nodes);
    for path in before.keys().chain(after.keys()) {
        let kinds = [before, after].map(|nodes| nodes.get(path).map(|node| &node.kind));
        let changes = said.get(path);
        let shown = path.escape_ascii();
        let is = |kind: &str| {
            changes.is_some_and(|changes| {
                let starts = |change: &Value| {
                    change["type"]
                        .as_str()
                        .is_some_and(|word| word.starts_with(kind))
                };
                changes.iter().any(starts)
            })
        };
        match kinds {
            [None, Some(NodeKind::File { .. } | NodeKind::Directory)] => {
                assert!(is("added"), "{shown}: {changes:?}\n{run}");
            }
            [Some(NodeKind::File { .. } | NodeKind::Directory), None] => {
                assert!(is("removed"), "{shown}: {changes:?}\n{run}");
            }
            [
                Some(one @ NodeKind::File { .. }),
                Some(other @ NodeKind::File { .. }),
            ] => {
                // Where both archives name the same parameters, both programs go by the ids of chunks; but an archive
                // that was made anew names others than its chunks were cut with. Then more is called modified.
                assert!(
                    is("modified") || one == other,
                    "{shown}: {changes:?}\n{run}"
                );
            }
            _ => {}
        }
    }
    let strangers: Vec<_> = said
        .keys()
        .filter(|path| !before.contains_key(*path) && !after.contains_key(*path))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?}\n{run}");
}

/// Nothing to complain about, down to every byte, for either program.
#[track_caller]
pub(super) fn check(world: &mut World, random: &mut Random) {
    let machine = random.below(2);
    let has_damage = world
        .archives
        .values()
        .any(|archive| !archive.damaged.is_empty());
    for program in Program::BOTH {
        let who = Who {
            program,
            machine,
            way: Way::Local,
        };
        let location = world.location(&who);
        let args: &[&str] = match program {
            Program::Ours if !world.ours_checks => &["check", "--repository-only", &location],
            _ => &["check", "--verify-data", &location],
        };
        let run = world.run(&who, args);
        // Chunks that a repair has replaced are found missing again, each time.
        let is_silent = run.code() == 0 && run.err().is_empty();
        let is_known = has_damage && run.code() <= 1;
        assert!(
            is_silent || is_known,
            "{} finds something wrong\n{run}",
            program.name()
        );
    }
}
