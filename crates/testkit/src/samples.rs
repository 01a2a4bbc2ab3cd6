//! The sample repositories of `testdata/samples`: what they are, what they hold, unpacked where a test wants them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

use crate::program::testdata;
use crate::{Home, Scratch};

/// One archive of a sample: what stock Borg 1.4.5 lists for it, as recorded when the sample was made.
#[derive(Debug, Clone)]
pub struct SampleArchive {
    /// Its name.
    pub name: String,
    /// `borg list --json-lines --format …` with [`SampleArchive::FORMAT`], line by line.
    pub items: Vec<Value>,
    /// SHA-256 over `HASH  PATH\n` of all regular items without link target, in archive order.
    pub tree_hash: Option<String>,
}

impl SampleArchive {
    /// The format string the recorded listings were made with.
    pub const FORMAT: &str = "{mode} {user} {group} {uid} {gid} {size} {isomtime} {isoctime} {num_chunks} \
                              {sha256} {path}{source}{flags}";
}

/// One sample repository.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Its name, which is also the directory in the tar file.
    pub name: String,
    /// Its row of the manifest, for what has no field here.
    pub row: Value,
    /// Its archives by name; empty where the recorded listing is an error.
    pub archives: Vec<SampleArchive>,
}

/// A sample unpacked.
#[derive(Debug)]
pub struct Unpacked {
    /// The repository.
    pub repository: PathBuf,
    /// The directory that holds it and, for some samples, `NAME.keys`, `NAME.config` and `NAME.cache`.
    pub dir: PathBuf,
}

impl Sample {
    /// Unpacks into a new directory of `scratch` and puts the sample's keys into `home`.
    ///
    /// # Panics
    /// When tar is missing or fails.
    pub fn unpack(&self, scratch: &Scratch, home: &Home) -> Unpacked {
        let dir = scratch.dir(format!("sample-{}", self.name));
        let tarball = testdata()
            .join("samples")
            .join(format!("{}.tar.gz", self.name));
        let status = Command::new("tar")
            .arg("-xzf")
            .arg(&tarball)
            .arg("-C")
            .arg(&dir)
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "cannot unpack {}",
            tarball.display()
        );
        let keys = dir.join(format!("{}.keys", self.name));
        if keys.is_dir() {
            copy_files(&keys, &home.config().join("keys"));
        }
        Unpacked {
            repository: dir.join(&self.name),
            dir,
        }
    }
}

/// The passphrase of all samples.
pub fn sample_passphrase() -> &'static str {
    manifest()["passphrase"].as_str().expect("a text")
}

/// The names of all samples.
pub fn sample_names() -> Vec<&'static str> {
    let samples = manifest()["samples"].as_object().expect("an object");
    samples.keys().map(String::as_str).collect()
}

/// One sample by name.
///
/// # Panics
/// When there is none of that name.
pub fn sample(name: &str) -> Sample {
    let row = manifest()["samples"][name].clone();
    assert!(row.is_object(), "no sample of the name {name:?}");
    let recorded: BTreeMap<String, Value> = row["archives"]
        .as_object()
        .map(|map| {
            map.iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect()
        })
        .unwrap_or_default();
    let archives = recorded.into_iter().filter_map(|(name, value)| {
        let items = value["list_json_lines"].as_array()?.clone();
        let tree_hash = value["tree_hash"].as_str().map(str::to_owned);
        Some(SampleArchive {
            name,
            items,
            tree_hash,
        })
    });
    Sample {
        name: name.to_owned(),
        archives: archives.collect(),
        row,
    }
}

fn manifest() -> &'static Value {
    static MANIFEST: OnceLock<Value> = OnceLock::new();
    MANIFEST.get_or_init(|| {
        let path = testdata().join("samples/manifest.json");
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_slice(&bytes).expect("the manifest is JSON")
    })
}

fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory in the scratch directory");
    for entry in fs::read_dir(from).expect("an unpacked directory") {
        let entry = entry.expect("an unpacked directory");
        fs::copy(entry.path(), to.join(entry.file_name()))
            .expect("a copy in the scratch directory");
    }
}
