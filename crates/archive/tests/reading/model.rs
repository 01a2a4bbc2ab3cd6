//! Extraction in parallel against a plain model that does one item after the other: random archives,
//! full of items that replace, link to and lie below each other.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink as make_symlink;
use std::path::{Path, PathBuf};

use ironborg_archive::extract::ExtractOptions;
use ironborg_testkit::{NodeKind, Random, Snapshot};

use crate::archive_writer::{ArchiveWriter, directory, file, hard_link, symlink};
use crate::extract::{into, machine_with, options};

#[derive(Debug, Clone)]
enum Step {
    Directory(String),
    File(String, Vec<u8>),
    Symlink(String, String),
    /// Path and the path of an earlier file.
    Link(String, String),
}

fn random_path(random: &mut Random) -> String {
    let depth = 1 + random.below(3);
    let names: Vec<&str> = (0..depth)
        .map(|_| ["a", "b", "ab", "c"][random.below(4)])
        .collect();
    names.join("/")
}

fn random_steps(random: &mut Random, count: usize) -> Vec<Step> {
    let mut files: Vec<String> = Vec::new();
    let mut steps = Vec::new();
    for _ in 0..count {
        let path = random_path(random);
        steps.push(match random.below(10) {
            0..3 => Step::Directory(path),
            3 => Step::Symlink(path, random_path(random)),
            4 | 5 if !files.is_empty() => {
                Step::Link(path, files[random.below(files.len())].clone())
            }
            _ => {
                files.push(path.clone());
                let len = if random.below(8) == 0 {
                    6 << 20
                } else {
                    random.below(3000)
                };
                let mut data = vec![0; len];
                random.fill(&mut data);
                Step::File(path, data)
            }
        });
    }
    steps
}

fn write(steps: &[Step], writer: &mut ArchiveWriter<'_>) {
    for step in steps {
        match step {
            Step::Directory(path) => writer.add(&directory(path)),
            Step::Symlink(path, target) => writer.add(&symlink(path, target)),
            Step::Link(path, source) => writer.add(&hard_link(path, source)),
            Step::File(path, data) => {
                let chunks = data
                    .chunks(1 << 20)
                    .map(|chunk| writer.put(chunk))
                    .collect();
                writer.add(&file(path, chunks))
            }
        };
    }
}

/// What stock Borg does, as far as names and content go. Source: Borg 1.4, `do_extract`, `extract_item`.
struct Model {
    root: PathBuf,
    directories: Vec<String>,
    refused: Vec<String>,
}

impl Model {
    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            let (Step::Directory(path)
            | Step::File(path, _)
            | Step::Symlink(path, _)
            | Step::Link(path, _)) = step;
            while self
                .directories
                .last()
                .is_some_and(|last| !path.starts_with(last))
            {
                self.leave();
            }
            if let Step::Directory(path) = step {
                self.directories.push(path.clone());
            }
            self.item(path, step);
        }
        while !self.directories.is_empty() {
            self.leave();
        }
    }

    fn leave(&mut self) {
        if let Some(path) = self.directories.pop() {
            self.item(&path, &Step::Directory(path.clone()));
        }
    }

    fn item(&mut self, path: &str, step: &Step) {
        if self.restore(path, step).is_err() {
            self.refused.push(path.to_owned());
        }
    }

    /// Whether no parent is anything but a directory.
    fn is_safe(&self, path: &str) -> bool {
        let parents = Path::new(path).ancestors().skip(1);
        parents
            .filter(|parent| *parent != Path::new(""))
            .all(|parent| {
                fs::symlink_metadata(self.root.join(parent)).map_or(true, |found| found.is_dir())
            })
    }

    fn restore(&self, path: &str, step: &Step) -> io::Result<()> {
        let refused = || io::Error::other("refused");
        if !self.is_safe(path) {
            return Err(refused());
        }
        let place = self.root.join(path);
        match fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => drop(fs::remove_dir(&place)),
            Ok(_) => drop(fs::remove_file(&place)),
            Err(_) => {}
        }
        fs::create_dir_all(place.parent().expect("it has one"))?;
        match step {
            Step::Directory(_) if place.is_dir() => Ok(()),
            Step::Directory(_) => fs::create_dir(&place),
            Step::File(_, data) => fs::write(&place, data),
            Step::Symlink(_, target) => make_symlink(target, &place),
            Step::Link(_, source) if !self.is_safe(source) => Err(refused()),
            Step::Link(_, source) => fs::hard_link(self.root.join(source), &place),
        }
    }
}

type Shape = BTreeMap<Vec<u8>, (NodeKind, Option<Vec<u8>>)>;

fn shape(root: &Path) -> Shape {
    let nodes = Snapshot::of(root).nodes;
    nodes
        .into_iter()
        .map(|(path, node)| (path, (node.kind, node.link_of)))
        .collect()
}

#[test]
fn a_parallel_extraction_is_a_plain_one() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let count = 30 + random.below(200);
        let steps = random_steps(&mut random, count);
        let mut machine = machine_with(|writer| write(&steps, writer));
        machine.threads = 1 + random.below(4);
        let (root, expected) = (machine.dir("out"), machine.dir("expected"));
        into(
            &machine,
            "a",
            &root,
            ExtractOptions {
                list: false,
                ..options(&[])
            },
        )
        .expect("only warnings");
        let mut model = Model {
            root: expected.clone(),
            directories: Vec::new(),
            refused: Vec::new(),
        };
        model.run(&steps);
        let (found, wanted) = (shape(&root), shape(&expected));
        let differ = |path: &&Vec<u8>| found.get(*path) != wanted.get(*path);
        let differing: Vec<String> = found
            .keys()
            .chain(wanted.keys())
            .filter(differ)
            .map(|path| path.escape_ascii().to_string())
            .collect();
        assert!(differing.is_empty(), "seed {seed}: {differing:?}");
        let mut warned: Vec<String> = machine
            .warnings()
            .into_iter()
            .map(|(_, message)| message.split(':').next().unwrap_or_default().to_owned())
            .collect();
        warned.sort();
        model.refused.sort();
        assert_eq!(warned, model.refused, "seed {seed}");
    }
}
