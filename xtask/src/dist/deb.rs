//! The Debian packages: the program, and the one that makes it Borg.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::content::{Content, Named};
use super::tree::Tree;
use super::{Release, binary};
use crate::process;

/// Where dpkg-deb looks for what it is told.
const CONTROL: &str = "DEBIAN";
/// The program.
const PROGRAM: &str = "ironborg";
/// What makes it Borg.
const AS_BORG: &str = "ironborg-as-borg";
/// Documents larger than this are compressed, as the policy has it.
const SMALL_LEN: u64 = 4096;
/// What the package of the program is called in the directories of completions.
const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/ironborg"),
    ("zsh", "usr/share/zsh/vendor-completions/_ironborg"),
    ("fish", "usr/share/fish/vendor_completions.d/ironborg.fish"),
];

/// Makes both.
pub(super) fn make(
    program: &Path,
    content: &Content,
    work: &Path,
    output: &Path,
    release: &Release,
) -> Result<Vec<PathBuf>> {
    let architecture = process::output(Command::new("dpkg").arg("--print-architecture"));
    let architecture = architecture.context("dpkg does not say what this machine is")?;
    let architecture = architecture.trim();

    let tree = Tree::new(work.join(PROGRAM))?;
    tree.program("usr/bin/ironborg", program)?;
    for helper in ["mount.fuse.borgfs", "mount.borgfs"] {
        tree.link(Path::new("usr/sbin").join(helper), "../bin/ironborg")?;
    }
    manual(&tree, &content.man)?;
    for (shell, script) in &content.completions {
        let place = COMPLETIONS.iter().find(|(name, _)| name == shell);
        let (_, place) = place.with_context(|| format!("where do completions of {shell} go?"))?;
        tree.file(place, script)?;
    }
    tree.file("usr/share/ironborg/jobs.schema.json", &content.schema)?;
    tree.dir("etc/ironborg/jobs.d")?;
    tree.dir("var/lib/ironborg")?;
    documents(&tree, content, release)?;
    let depends = binary::depends(&tree.root().join("usr/bin/ironborg"))?;
    let program = pack(&tree, PROGRAM, architecture, &depends, output, release)?;

    let tree = Tree::new(work.join(AS_BORG))?;
    for name in ["borg", "borgfs"] {
        tree.link(Path::new("usr/bin").join(name), "ironborg")?;
    }
    manual(&tree, &content.man_as_borg)?;
    tree.link("usr/share/bash-completion/completions/borg", "ironborg")?;
    tree.link(Path::new("usr/share/doc").join(AS_BORG), PROGRAM)?;
    let as_borg = pack(&tree, AS_BORG, "all", "", output, release)?;
    Ok(vec![program, as_borg])
}

fn manual(tree: &Tree, pages: &[Named]) -> Result<()> {
    let mut places = Vec::new();
    for (name, page) in pages {
        let place = Path::new("usr/share/man/man1").join(name);
        tree.file(&place, page)?;
        places.push(place);
    }
    tree.compress(&places)
}

/// What is in `/usr/share/doc`.
fn documents(tree: &Tree, content: &Content, release: &Release) -> Result<()> {
    let dir = Path::new("usr/share/doc").join(PROGRAM);
    let mut to_compress = vec![
        dir.join("changelog"),
        dir.join("changelog.Debian"),
        dir.join("third-party.txt"),
    ];
    tree.file(&to_compress[0], &content.changes)?;
    tree.file(&to_compress[1], debian_changes(release)?.as_bytes())?;
    tree.file(&to_compress[2], &content.third_parties)?;
    let head = fs::read(packaging("copyright"))?;
    tree.file(
        dir.join("copyright"),
        &[head, indented(&content.licence)].concat(),
    )?;
    for (name, text) in &content.documents {
        tree.file(dir.join(name), text)?;
        if text.len() as u64 > SMALL_LEN {
            to_compress.push(dir.join(name));
        }
    }
    for (name, text) in &content.examples {
        tree.file(dir.join("examples").join(name), text)?;
    }
    tree.compress(&to_compress)
}

/// A text as the fields of Debian's files have it.
fn indented(text: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(text);
    let line = |line: &str| format!(" {}\n", if line.trim().is_empty() { "." } else { line });
    text.trim_end()
        .lines()
        .map(line)
        .collect::<String>()
        .into_bytes()
}

fn debian_changes(release: &Release) -> Result<String> {
    let date = Command::new("date")
        .args(["-u", "-R", "-d", &format!("@{}", release.epoch())])
        .env("LC_ALL", "C")
        .output()
        .context("cannot start date")?;
    Ok(format!(
        "{PROGRAM} ({}) unstable; urgency=medium\n\n  * See changelog.gz.\n\n -- {}  {}",
        debian_version(release),
        maintainer()?,
        String::from_utf8_lossy(&date.stdout),
    ))
}

/// Who is named in the control file.
fn maintainer() -> Result<String> {
    let control = fs::read_to_string(packaging(&format!("{PROGRAM}.control")))?;
    let line = control
        .lines()
        .find_map(|line| line.strip_prefix("Maintainer: "));
    Ok(line
        .context("the control file names no maintainer")?
        .to_owned())
}

fn debian_version(release: &Release) -> String {
    format!("{}-1", release.version)
}

fn packaging(name: &str) -> PathBuf {
    process::workspace().join("packaging/debian").join(name)
}

/// Writes what dpkg wants to know, and makes the package.
fn pack(
    tree: &Tree,
    package: &str,
    architecture: &str,
    depends: &str,
    output: &Path,
    release: &Release,
) -> Result<PathBuf> {
    let version = debian_version(release);
    let template = packaging(&format!("{package}.control"));
    let control = fs::read_to_string(&template)
        .with_context(|| format!("cannot read {}", template.display()))?
        .replace("@VERSION@", &version)
        .replace("@ARCHITECTURE@", architecture)
        .replace("@DEPENDS@", depends)
        .replace("@INSTALLED_SIZE@", &installed_kib(tree)?.to_string());
    let sums = sums(tree)?;
    tree.file(Path::new(CONTROL).join("control"), control.as_bytes())?;
    tree.file(Path::new(CONTROL).join("md5sums"), &sums)?;
    tree.set_times(release.time)?;
    let file = output.join(format!("{package}_{version}_{architecture}.deb"));
    let compression: &[&str] = if release.quick {
        &["-Zgzip", "-z1"]
    } else {
        &["-Zxz", "-z6"]
    };
    process::run(
        Command::new("dpkg-deb")
            .env("SOURCE_DATE_EPOCH", release.epoch().to_string())
            .args(compression)
            .args(["--root-owner-group", "--build"])
            .args([tree.root(), &file])
            // It says what it makes; so do we, where it is expected.
            .stdout(Stdio::null()),
    )?;
    Ok(file)
}

/// As dpkg counts: everything takes a KiB at least.
fn installed_kib(tree: &Tree) -> Result<u64> {
    let mut sum = 0;
    for path in tree.list(CONTROL)? {
        let found = fs::symlink_metadata(&path)?;
        sum += if found.is_file() {
            found.len().div_ceil(1024)
        } else {
            1
        };
    }
    Ok(sum)
}

/// Lines as md5sum writes them.
fn sums(tree: &Tree) -> Result<Vec<u8>> {
    let mut files = Vec::new();
    for path in tree.list(CONTROL)? {
        if fs::symlink_metadata(&path)?.is_file() {
            files.push(path.strip_prefix(tree.root())?.to_path_buf());
        }
    }
    if files.is_empty() {
        return Ok(Vec::new());
    }
    debug_assert!(
        files
            .iter()
            .all(|file| !file.as_os_str().as_bytes().contains(&b'\n'))
    );
    let output = Command::new("md5sum")
        .arg("--")
        .args(&files)
        .current_dir(tree.root())
        .output()
        .context("cannot start md5sum")?;
    anyhow::ensure!(output.status.success(), "md5sum: {}", output.status);
    Ok(output.stdout)
}
