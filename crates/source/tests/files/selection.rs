//! A plain walk made of this crate's parts selects what stock Borg selects.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use ironborg_source::attributes::{AttributeSource, UF_NODUMP};
use ironborg_source::path::{
    Archived, archived_path, join, make_path_safe, normpath, strip_prefix,
};
use ironborg_source::walk::{CACHE_TAG_CONTENTS, TagOptions, dir_tags};
use ironborg_source::{
    AttributeOptions, AttributeReader, DirEntries, FileKind, Names, PatternMatcher, PatternSet,
    Place,
};
use ironborg_types::BytePath;
use rustix::fs::IFlags;
use serde_json::Value;

use crate::temporary;

/// Where stock Borg's runs were made.
const CAPTURED_HOME: &str = "/home/user";

fn vectors() -> Value {
    let text = include_str!("../../../../testdata/vectors/walk.json");
    serde_json::from_str(text).expect("the vectors are JSON")
}

fn list(value: &Value) -> Vec<&str> {
    let values = value.as_array().expect("a list");
    values
        .iter()
        .map(|value| value.as_str().expect("text"))
        .collect()
}

/// Makes the tree of the captured runs. Returns whether the file system keeps flags.
fn make_tree(vectors: &Value, root: &Path) -> bool {
    for entry in list(&vectors["tree"]) {
        if let Some((link, target)) = entry.split_once(" -> ") {
            std::os::unix::fs::symlink(target, root.join(link)).expect("linked");
        } else if let Some(fifo) = entry.strip_suffix(" (fifo)") {
            let path = root.join(fifo);
            let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR);
            rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).expect("a fifo");
        } else {
            let path = root.join(entry);
            fs::create_dir_all(path.parent().expect("below the root")).expect("made");
            fs::write(&path, entry).expect("written");
        }
    }
    fs::write(root.join("src/cache/CACHEDIR.TAG"), CACHE_TAG_CONTENTS).expect("written");
    let nodump = fs::File::open(root.join("src/nodump.txt")).expect("written before");
    rustix::fs::ioctl_setflags(&nodump, IFlags::NODUMP).is_ok()
}

/// One run: options as given to stock Borg, and what became of the files.
struct Run {
    matcher: PatternMatcher,
    caches: bool,
    if_present: Vec<BytePath>,
    keep_tags: bool,
    no_dump: bool,
    attributes: AttributeReader,
    done: HashSet<(u64, u64)>,
    prefix: Option<Vec<u8>>,
    excluded: Vec<String>,
    listed: Vec<String>,
    archived: Vec<String>,
}

impl Run {
    /// Reads the options; None for those that are no business of this crate. Also gives the roots.
    fn new(case: &Value, home: &str) -> Option<(Self, Vec<String>)> {
        let mut patterns = PatternSet::new();
        let (mut caches, mut keep_tags, mut no_dump) = (false, false, false);
        let mut if_present = Vec::new();
        let mut options = list(&case["options"]).into_iter();
        while let Some(option) = options.next() {
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None => (option, None),
            };
            let mut value = || {
                value
                    .or_else(|| options.next())
                    .expect("a value")
                    .to_owned()
            };
            let file = |name: &str| case["files"][name].as_str().expect("a file").as_bytes();
            match option {
                "-e" => patterns.add_exclude(value().replace("home/user", &home[1..]).as_bytes()),
                "--pattern" => patterns.add_pattern(value().as_bytes()),
                "--patterns-from" => patterns.add_patterns_from(file(&value())),
                "--exclude-from" => patterns.add_exclude_from(file(&value())),
                "--exclude-if-present" => {
                    if_present.push(BytePath::new(value()));
                    Ok(())
                }
                "--exclude-caches" => {
                    caches = true;
                    Ok(())
                }
                "--keep-exclude-tags" => {
                    keep_tags = true;
                    Ok(())
                }
                "--exclude-nodump" => {
                    no_dump = true;
                    Ok(())
                }
                _ => return None,
            }
            .expect("stock accepts it");
        }
        let mut roots: Vec<String> = patterns.roots.iter().map(ToString::to_string).collect();
        roots.extend(
            list(&case["paths"])
                .iter()
                .map(|path| path.replace(CAPTURED_HOME, home)),
        );
        if roots.iter().any(|root| root == "-") {
            return None;
        }
        let options = AttributeOptions {
            flags: true,
            xattrs: false,
            acls: false,
            numeric_ids: false,
        };
        let run = Self {
            matcher: PatternMatcher::new(patterns.rules, true),
            caches,
            if_present,
            keep_tags,
            no_dump,
            attributes: AttributeReader::new(options, Arc::new(Names::new())),
            done: HashSet::new(),
            prefix: None,
            excluded: Vec::new(),
            listed: Vec::new(),
            archived: Vec::new(),
        };
        Some((run, roots))
    }

    fn root(&mut self, root: &str) {
        self.prefix = strip_prefix(root.as_bytes());
        let path = normpath(root.as_bytes());
        match Place::path(&path).stat() {
            Err(error) => self.listed.push(error.warning(&path)),
            Ok(stat) => {
                self.walk(Place::path(&path));
                self.done.insert((stat.ino, stat.dev));
            }
        }
    }

    fn item(&mut self, path: &[u8]) {
        if let Archived::As(path) = archived_path(path, self.prefix.as_deref()) {
            let path = String::from_utf8(make_path_safe(path).to_vec()).expect("plain names");
            self.archived.push(path);
        }
    }

    /// Source: Borg 1.4, `_rec_walk`.
    fn walk(&mut self, place: Place<'_>) {
        let path = place.full_path();
        let shown = || String::from_utf8(path.to_vec()).expect("plain names");
        let decision = self.matcher.decide(path);
        if !decision.include {
            self.excluded.push(shown());
            if !decision.recurse {
                return;
            }
        }
        let stat = place.stat().expect("there");
        if self.done.contains(&(stat.ino, stat.dev)) {
            return;
        }
        if stat.kind() != FileKind::Directory && !decision.include {
            return;
        }
        let flags = |run: &mut Self| run.attributes.flags(AttributeSource::Place(place), &stat);
        if self.no_dump && flags(self) & UF_NODUMP != 0 {
            self.excluded.push(shown());
            return;
        }
        if stat.kind() != FileKind::Directory {
            self.item(path);
            self.listed.push(shown());
            return;
        }
        let dir = place.open_dir().expect("there");
        let options = TagOptions {
            caches: self.caches,
            if_present: &self.if_present,
        };
        let tags = dir_tags(&dir, &options);
        if !tags.is_empty() {
            if decision.include {
                if self.keep_tags {
                    self.item(path);
                    for tag in &tags {
                        self.walk(Place::entry(&dir, tag, &join(path, tag)));
                    }
                }
                self.excluded.push(shown());
            }
            return;
        }
        if decision.include {
            self.item(path);
        }
        let mut entries = DirEntries::new();
        dir.read(&mut entries).expect("readable");
        let mut child = Vec::new();
        for entry in entries.iter() {
            ironborg_source::path::child_path(path, entry.name, &mut child);
            self.walk(Place::entry(&dir, entry.name, &child));
        }
        if decision.include {
            self.listed.push(shown());
        }
    }
}

fn sorted(mut lines: Vec<String>) -> Vec<String> {
    lines.sort_unstable();
    lines
}

#[test]
fn walks_select_what_stock_borg_selects() {
    let vectors = vectors();
    let temp = temporary();
    let home = temp.path().to_str().expect("a plain name").to_owned();
    let work = temp.path().join("w");
    fs::create_dir(&work).expect("made");
    let has_flags = make_tree(&vectors, &work);
    let mut count = 0;
    for case in vectors["create"].as_array().expect("a list") {
        let name = case["case"].as_str().expect("text");
        let Some((mut run, roots)) = Run::new(case, &home) else {
            continue;
        };
        if run.no_dump && !has_flags {
            eprintln!("skipped: no flags in {home}");
            continue;
        }
        // The only test that depends on the current directory, and it leaves it where nobody minds.
        let directory = case["cwd"]
            .as_str()
            .expect("text")
            .replace(CAPTURED_HOME, &home);
        std::env::set_current_dir(directory).expect("made before");
        for root in &roots {
            run.root(root);
        }
        let (mut excluded, mut listed) = (Vec::new(), Vec::new());
        for line in list(&case["listing"]) {
            let line = line.replace(CAPTURED_HOME, &home);
            match line.split_once(' ') {
                Some(("x", path)) => excluded.push(path.to_owned()),
                Some((status, path)) if status.len() == 1 => listed.push(path.to_owned()),
                _ => listed.push(line),
            }
        }
        assert_eq!(sorted(run.excluded), sorted(excluded), "{name}: excluded");
        assert_eq!(sorted(run.listed), sorted(listed), "{name}: listed");
        if !case["archived_paths"].is_null() {
            let archived = list(&case["archived_paths"]);
            let home = &home[1..];
            let archived = archived
                .iter()
                .map(|path| path.replace("home/user", home))
                .collect();
            assert_eq!(sorted(run.archived), sorted(archived), "{name}: archived");
        }
        count += 1;
    }
    std::env::set_current_dir("/").expect("always there");
    assert!(count >= 24, "only {count} cases");
}
