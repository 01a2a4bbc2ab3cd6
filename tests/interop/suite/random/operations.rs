//! What can happen in a random run, and how often.

use std::rc::Rc;

use ironborg_testkit::{Compare, Program, Random, Snapshot};

use super::changes::change;
use super::model::{Archived, Archives, is_below, part};
use super::reading::{
    any_archive, any_sound_archive, assert_names, check, diff, extract_part, info, is_temporary,
    list_items, plain_path,
};
use super::settle::settle;
use super::world::{Order, World};
use super::{damage, piped, upkeep};

/// More archives than these are too many.
const ARCHIVES_MAX: usize = 12;

/// How files are compressed.
const COMPRESSIONS: [&str; 6] = ["none", "lz4", "zstd,1", "zlib,1", "auto,zstd,2", "lzma,0"];

/// How they are cut.
const CHUNKERS: [&str; 4] = [
    "default",
    "buzhash,10,16,12,4095",
    "fixed,8192",
    "buzhash,8,14,10,255",
];

/// How unchanged files are told from changed ones, such that every change of ours is seen.
const FILES_CACHES: [&str; 4] = [
    "ctime,size,inode",
    "ctime,size",
    "rechunk,ctime",
    "disabled",
];

/// Does the next thing.
#[track_caller]
pub(super) fn step(world: &mut World, random: &mut Random, damages: bool) {
    if world.archives.len() > ARCHIVES_MAX {
        return delete(world, random);
    }
    if damages && random.below(10) == 0 {
        return damage::damage(world, random);
    }
    match random.below(100) {
        0..30 => create(world, random),
        30..35 => piped::create(world, random),
        35..40 => extract_part(world, random),
        40..45 => diff(world, random),
        45..49 => list_items(world, random),
        49..52 => info(world, random),
        52..57 => rename(world, random),
        57..65 => delete(world, random),
        65..69 => prune(world, random),
        69..76 => recreate(world, random),
        76..82 => upkeep::compact(world, random),
        82..86 => tar(world, random),
        86..89 => upkeep::keys(world, random),
        89..91 => upkeep::others(world, random),
        91..95 => upkeep::caches(world, random),
        95 => check(world, random),
        _ => create(world, random),
    }
}

/// Runs a command, perhaps not to its end; after it the archives are these, or if it is killed perhaps not.
#[track_caller]
pub(super) fn carry_out(world: &mut World, random: &mut Random, order: Order, after: Archives) {
    let is_killed = order.is_killed();
    let run = order.run(world);
    if run.code() == 0 {
        world.adopt(after);
    } else {
        assert!(is_killed, "a command has failed\n{run}");
        settle(world, random, &after, &run);
    }
}

/// Chooses one of some words.
pub(super) fn one_of<'a>(random: &mut Random, words: &[&'a str]) -> &'a str {
    words[random.below(words.len())]
}

pub(super) fn new_name(world: &World, random: &mut Random) -> String {
    format!("{}{}", one_of(random, &["a", "b", "host-"]), world.number)
}

/// Options of how content is kept, in any mixture.
pub(super) fn content_options(random: &mut Random) -> Vec<&'static str> {
    let mut options = Vec::new();
    if random.below(2) == 0 {
        options.extend(["-C", one_of(random, &COMPRESSIONS)]);
    }
    if random.below(3) == 0 {
        options.extend(["--chunker-params", one_of(random, &CHUNKERS)]);
    }
    if random.below(3) == 0 {
        options.extend(["--checkpoint-interval", "1"]);
    }
    options
}

/// What of the tree is backed up.
fn roots(tree: &Snapshot, random: &mut Random) -> Vec<String> {
    let roots: &[&str] = match random.below(6) {
        0 => &["other"],
        1 => &["tree", "other"],
        2 => &["other", "tree"],
        _ => &["tree"],
    };
    if random.below(5) == 0
        && let Some(path) = plain_path(tree, random)
        && !path.starts_with("other")
    {
        return vec![path, "other".to_owned()];
    }
    roots.iter().map(|&root| root.to_owned()).collect()
}

/// Changes the tree, then backs it up, or parts of it.
#[track_caller]
fn create(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let tops = ["tree", "other"].map(|top| world.top().join(top));
    for _ in 0..random.below(9) {
        if let Some(words) = change(random, &tops) {
            world.tell(&words);
        }
    }
    let tree = world.tree();
    let roots = roots(&tree, random);
    let mut files = part(&tree, |path| {
        roots.iter().any(|root| is_below(path, root.as_bytes()))
    });
    let mut options: Vec<String> = content_options(random)
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut option = |words: &[&str]| options.extend(words.iter().map(|&word| word.to_owned()));
    match random.below(8) {
        0 => {
            option(&["--exclude", "fm:*.tmp"]);
            files = part(&files, |path| !is_temporary(path));
        }
        1 => {
            if let Some(path) = plain_path(&files, random) {
                option(&["--exclude", &format!("pp:{path}")]);
                files = part(&files, |name| !is_below(name, path.as_bytes()));
            }
        }
        2 => {
            option(&["--noxattrs"]);
            files
                .nodes
                .values_mut()
                .for_each(|node| node.xattrs.clear());
        }
        3 => option(&["--sparse"]),
        4 => option(&["--comment", "a comment"]),
        5 => option(&["--list", "--stats"]),
        6 => option(&["--json"]),
        _ => option(&[
            "--timestamp",
            &format!(
                "20{:02}-06-{:02}T10:00:00",
                10 + random.below(14),
                1 + random.below(28)
            ),
        ]),
    }
    if random.below(3) == 0 {
        option(&["--files-cache", one_of(random, &FILES_CACHES)]);
    }
    let name = new_name(world, random);
    let archive = world.archive(&who, &name);
    let mut args = vec!["create"];
    args.extend(options.iter().map(String::as_str));
    args.push(&archive);
    args.extend(roots.iter().map(String::as_str));
    let order = world.begin(&who, &args).perhaps_killed(world, random);
    let mut after = world.archives.clone();
    after.insert(name, Archived::exact(files));
    carry_out(world, random, order, after);
}

#[track_caller]
fn rename(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let Some(old) = any_archive(world, random) else {
        return;
    };
    let new = new_name(world, random);
    let archive = world.archive(&who, &old);
    let order = world
        .begin(&who, &["rename", &archive, &new])
        .perhaps_killed(world, random);
    let mut after = world.archives.clone();
    let archived = after.remove(&old).expect("chosen from there");
    after.insert(new, archived);
    carry_out(world, random, order, after);
}

/// Deletes one archive, several, those of a pattern, or the oldest.
#[track_caller]
pub(super) fn delete(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let location = world.location(&who);
    let mut args: Vec<String> = vec!["delete".to_owned()];
    if random.below(3) == 0 {
        args.push(one_of(random, &["--stats", "--list", "--force", "--progress"]).to_owned());
    }
    let doomed: Vec<String> = match random.below(5) {
        0 => {
            let count = (1 + random.below(3)).to_string();
            let which = one_of(random, &["--first", "--last"]).to_owned();
            let other = world.anyone(random);
            let place = world.location(&other);
            let list = world
                .run(
                    &other,
                    &[
                        "list",
                        "--consider-checkpoints",
                        "--short",
                        &which,
                        &count,
                        &place,
                    ],
                )
                .ok();
            args.extend([which, count, location]);
            list.out().lines().map(str::to_owned).collect()
        }
        1 => {
            args.extend(["-a".to_owned(), "b*".to_owned(), location]);
            let is_meant = |name: &&String| name.starts_with('b');
            world.archives.keys().filter(is_meant).cloned().collect()
        }
        more => {
            let mut names: Vec<String> = (0..more)
                .filter_map(|_| any_archive(world, random))
                .collect();
            names.sort();
            names.dedup();
            let Some(first) = names.first() else { return };
            args.push(world.archive(&who, first));
            args.extend(names[1..].iter().cloned());
            names
        }
    };
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let order = world.begin(&who, &args).perhaps_killed(world, random);
    let mut after = world.archives.clone();
    after.retain(|name, _| !doomed.contains(name));
    carry_out(world, random, order, after);
}

/// Prunes what another says would be pruned.
#[track_caller]
fn prune(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let mut asked = who.clone();
    asked.program = who.program.other();
    let count = (1 + random.below(8)).to_string();
    let rule = one_of(
        random,
        &[
            "--keep-last",
            "--keep-daily",
            "--keep-yearly",
            "--keep-secondly",
            "--keep-monthly",
        ],
    );
    let mut rules = vec![rule, &count];
    if random.below(2) == 0 {
        rules.extend(["-a", one_of(random, &["a*", "b*", "host-*"])]);
    }
    let place = world.location(&asked);
    let args = [
        &["prune", "--dry-run", "--list"],
        &rules[..],
        &[place.as_str()],
    ]
    .concat();
    let dry = world.run(&asked, &args).ok();
    let doomed: Vec<String> = dry
        .err()
        .lines()
        .filter_map(|line| line.strip_prefix("Would prune:"))
        .filter_map(|rest| rest.split_whitespace().next().map(str::to_owned))
        .collect();
    let place = world.location(&who);
    let args = [&["prune"], &rules[..], &[place.as_str()]].concat();
    let order = world.begin(&who, &args).perhaps_killed(world, random);
    let mut after = world.archives.clone();
    after.retain(|name, _| !doomed.contains(name));
    carry_out(world, random, order, after);
}

/// Makes an archive anew: without some of it, compressed or cut in another way, or as another one.
#[track_caller]
fn recreate(world: &mut World, random: &mut Random) {
    let who = world.anyone(random);
    let Some(name) = any_sound_archive(world, random) else {
        return;
    };
    // One that was killed has left its work behind under this name.
    if name.contains(".recreate") || world.archives.contains_key(&format!("{name}.recreate")) {
        return;
    }
    let mut archived = Archived::clone(&world.archives[&name]);
    let mut args: Vec<String> = vec!["recreate".to_owned()];
    let how = random.below(5);
    world.recompressed |= how == 0;
    let mut option = |words: &[&str]| args.extend(words.iter().map(|&word| word.to_owned()));
    match how {
        0 => option(&[
            "-C",
            one_of(random, &COMPRESSIONS),
            "--recompress",
            one_of(random, &["always", "if-different"]),
        ]),
        // With the parameters it has, and nothing else, there is nothing to do, which is an error.
        1 => option(&[
            "--chunker-params",
            one_of(random, &CHUNKERS[1..]),
            "--comment",
            "cut anew",
        ]),
        2 => option(&["--comment", "another comment"]),
        3 => {
            option(&["--exclude", "fm:*.tmp"]);
            archived = archived.part(|path| !is_temporary(path));
        }
        _ => {
            let Some(path) = plain_path(&archived.files, random) else {
                // Without any option there is nothing to do, which is an error.
                return;
            };
            option(&["--exclude", &format!("pp:{path}")]);
            archived = archived.part(|name| !is_below(name, path.as_bytes()));
        }
    }
    let mut target = name.clone();
    if random.below(3) == 0 {
        target = new_name(world, random);
        option(&["--target", &target]);
    }
    args.push(world.archive(&who, &name));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let order = world.begin(&who, &args).perhaps_killed(world, random);
    let mut after = world.archives.clone();
    after.insert(target, Rc::new(archived));
    carry_out(world, random, order, after);
}

/// Writes an archive to a tarball and reads it back as another one, perhaps by another program.
#[track_caller]
fn tar(world: &mut World, random: &mut Random) {
    let (writer, reader) = (world.anyone(random), world.anyone(random));
    let Some(name) = any_sound_archive(world, random) else {
        return;
    };
    // The choice of a format is ours alone.
    let format: &[&str] = match writer.program {
        Program::Ours if random.below(2) == 0 => &["--tar-format", "PAX"],
        _ => &[],
    };
    let tarball = world.scratch.join("tarball");
    let tarball = tarball.to_str().expect("plain names").to_owned();
    let archive = world.archive(&writer, &name);
    let args = [&["export-tar"], format, &[&archive, &tarball]].concat();
    let _ = std::fs::remove_file(&tarball);
    world.run(&writer, &args).ok();
    let mut archived = Archived::clone(&world.archives[&name]);
    // Times are cut short, and xattrs are left out.
    archived.compare = Compare::Content;
    let new = new_name(world, random);
    let archive = world.archive(&reader, &new);
    let order = world
        .begin(&reader, &["import-tar", &archive, &tarball])
        .perhaps_killed(world, random);
    let mut after = world.archives.clone();
    after.insert(new, Rc::new(archived));
    carry_out(world, random, order, after);
}

/// The names are right, and everything that is there comes back.
#[track_caller]
pub(super) fn verify_all(world: &mut World, random: &mut Random) {
    assert_names(world, random);
    for name in world.archives.keys().cloned().collect::<Vec<_>>() {
        super::reading::verify(world, random, &name);
    }
}
