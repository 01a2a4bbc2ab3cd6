//! What packages hold beside the program: what it says of itself, documents, examples and what these become.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::{Release, licences};
use crate::process;

/// Where the program will be; units name it.
const INSTALLED: &str = "/usr/bin/ironborg";
/// Where the configuration will be.
const CONFIGURATION: &str = "/etc/ironborg/jobs.toml";
/// Shells that are served.
const SHELLS: [&str; 3] = ["bash", "zsh", "fish"];
/// How the manual pages begin that go by the names of stock Borg.
const ALIAS: &str = "borg";

/// A file by its name.
pub(super) type Named = (String, Vec<u8>);

/// Everything that is the same in all packages.
#[derive(Debug)]
pub(super) struct Content {
    /// Manual pages of the program.
    pub(super) man: Vec<Named>,
    /// Those that lead from stock Borg's names to them.
    pub(super) man_as_borg: Vec<Named>,
    /// Completions: of bash, zsh and fish.
    pub(super) completions: Vec<Named>,
    /// The schema of configurations.
    pub(super) schema: Vec<u8>,
    /// Documents for people.
    pub(super) documents: Vec<Named>,
    /// Examples, and the units they become.
    pub(super) examples: Vec<Named>,
    /// The licence of the program.
    pub(super) licence: Vec<u8>,
    /// What has changed, by version.
    pub(super) changes: Vec<u8>,
    /// What the program is made of, and the licences of that.
    pub(super) third_parties: Vec<u8>,
}

impl Content {
    /// Asks the program, and reads the rest.
    pub(super) fn make(binary: &Path, work: &Path, release: &Release) -> Result<Self> {
        let scratch = work.join("content");
        super::recreate(&scratch)?;
        let program = OwnWords {
            binary: fs::canonicalize(binary)
                .with_context(|| format!("there is no {}", binary.display()))?,
            home: scratch.clone(),
        };
        if !program
            .says(&["--version"])?
            .starts_with(format!("ironborg {} ", release.version).as_bytes())
        {
            bail!("{} is not version {}", binary.display(), release.version);
        }
        let pages = scratch.join("man");
        program.says(&[OsStr::new("man"), pages.as_os_str()])?;
        let (man_as_borg, man) = files(&pages)?
            .into_iter()
            .partition(|(name, _)| name.starts_with(ALIAS));
        let completions = SHELLS.iter().map(|shell| {
            let script = program.says(&["completions", shell])?;
            Ok(((*shell).to_owned(), script))
        });
        let top = process::workspace();
        let mut documents = files(&top.join("docs"))?;
        documents.retain(|(name, _)| has_ending(name, "md"));
        documents.push(("README.md".to_owned(), read(&top.join("README.md"))?));
        Ok(Self {
            man,
            man_as_borg,
            completions: completions.collect::<Result<_>>()?,
            schema: program.says(&["jobs", "schema"])?,
            documents,
            examples: examples(&program, &scratch)?,
            licence: read(&top.join("LICENSE"))?,
            changes: read(&top.join("CHANGELOG.md"))?,
            third_parties: licences::collect()?,
        })
    }
}

/// The program, asked for its own words.
struct OwnWords {
    binary: PathBuf,
    home: PathBuf,
}

impl OwnWords {
    fn says<S: AsRef<OsStr>>(&self, words: &[S]) -> Result<Vec<u8>> {
        let mut command = Command::new(&self.binary);
        command.args(words).env_clear().env("HOME", &self.home);
        let output = command.output();
        let output = output.with_context(|| format!("cannot start {}", self.binary.display()))?;
        if !output.status.success() {
            let words: Vec<_> = words
                .iter()
                .map(|word| word.as_ref().to_string_lossy())
                .collect();
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{}: {}: {}", words.join(" "), output.status, said.trim());
        }
        Ok(output.stdout)
    }
}

/// The examples of `packaging/`, checked by the program, and the units that it would write for them.
fn examples(program: &OwnWords, scratch: &Path) -> Result<Vec<Named>> {
    let packaging = process::workspace().join("packaging/examples");
    let mut examples = files(&packaging)?;
    let jobs = packaging.join("jobs.toml");
    let config = jobs.as_os_str();
    let word = OsStr::new;
    program.says(&[word("jobs"), word("check-config"), word("--config"), config])?;
    let units = scratch.join("units");
    super::recreate(&units)?;
    program.says(&[
        word("jobs"),
        word("enable"),
        word("--all"),
        word("--print"),
        word("--system"),
        word("--unit-dir"),
        units.as_os_str(),
        word("--config"),
        config,
    ])?;
    let here = [
        (program.binary.as_path(), INSTALLED),
        (jobs.as_path(), CONFIGURATION),
    ];
    for (name, unit) in files(&units)? {
        let mut text = String::from_utf8(unit).with_context(|| format!("{name} is no text"))?;
        for (path, installed) in here {
            text = text.replace(path.to_str().context("an odd path to build in")?, installed);
        }
        examples.push((format!("systemd/{name}"), text.into_bytes()));
    }
    Ok(examples)
}

/// The files of a directory, by name.
fn files(dir: &Path) -> Result<Vec<Named>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if !path.is_file() {
            continue;
        }
        let name = path.file_name().and_then(OsStr::to_str);
        let name = name.with_context(|| format!("an odd name: {}", path.display()))?;
        found.push((name.to_owned(), read(&path)?));
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|found| found == ending)
}
