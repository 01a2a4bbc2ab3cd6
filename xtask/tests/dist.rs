//! `cargo xtask dist`: what is in the packages, that it is where a system looks for it, and that they are the same each
//! time. They are made of the debug build: what is packed does not depend on how fast it is.
//!
//! One test, because making them is most of the work.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ironborg_testkit::{Program, Scratch, workspace};

/// The time the packages claim to be from, and its date.
const EPOCH: &str = "1700000000";
const DATE: &str = "2023-11-14";
/// Examples and units, wherever documents are.
const UNIT: &str = "examples/systemd/ironborg-job-home.service";

#[test]
fn packages_are_whole_installable_and_reproducible() {
    let scratch = Scratch::new();
    let dist = Dist::make(scratch.join("dist"));
    debian_package_is_in_order(&dist, &scratch);
    installed_package_has_all_its_parts(&dist, &scratch);
    tarball_installs_itself(&dist, &scratch);
    let again = Dist::make(scratch.join("again"));
    assert_same(&dist, &again);
}

/// The packages.
struct Dist {
    dir: PathBuf,
}

impl Dist {
    fn make(dir: PathBuf) -> Self {
        let made = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["dist", "--quick", "--binary"])
            .arg(Program::Ours.path())
            .arg("--output")
            .arg(&dir)
            .env("SOURCE_DATE_EPOCH", EPOCH)
            .output()
            .expect("it starts");
        let said = text(&made);
        let said: BTreeSet<PathBuf> = said.lines().map(PathBuf::from).collect();
        assert_eq!(said, files(&dir).into_iter().collect());
        Self { dir }
    }

    fn file(&self, start: &str, ending: &str) -> PathBuf {
        let mut found = files(&self.dir);
        found.retain(|path| name(path).starts_with(start) && name(path).ends_with(ending));
        assert_eq!(found.len(), 1, "{start}*{ending}: {found:?}");
        found.remove(0)
    }

    /// The package of the program.
    fn program(&self) -> PathBuf {
        self.file("ironborg_", ".deb")
    }

    /// The one that makes it Borg.
    fn as_borg(&self) -> PathBuf {
        self.file("ironborg-as-borg_", "_all.deb")
    }
}

/// What is directly in a directory, in order.
fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("it can be read").path())
        .collect();
    found.sort();
    found
}

fn name(path: &Path) -> String {
    let name = path.file_name().expect("not a root");
    name.to_string_lossy().into_owned()
}

/// What a program that succeeded printed.
fn text(output: &Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}\n{said}\n{errors}",
        output.status
    );
    said.into_owned()
}

fn output(command: &mut Command) -> String {
    text(&command.output().expect("it starts"))
}

/// A field of the control file.
fn field(package: &Path, name: &str) -> String {
    let mut command = Command::new("dpkg-deb");
    let value = output(command.arg("--field").arg(package).arg(name));
    value.trim_end().to_owned()
}

/// Rights, owners and times are those the policy asks for, and what is in the control file is true.
fn debian_package_is_in_order(dist: &Dist, scratch: &Scratch) {
    let package = dist.program();
    let listing = output(Command::new("dpkg-deb").arg("--contents").arg(&package));
    assert!(listing.lines().count() > 100, "{listing}");
    for line in listing.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [mode, owner, _size, date, _time, path, ..] = fields[..] else {
            panic!("{line}");
        };
        let expected = match path {
            _ if fields.len() > 6 => "lrwxrwxrwx",
            _ if path.ends_with('/') => "drwxr-xr-x",
            "./usr/bin/ironborg" => "-rwxr-xr-x",
            _ => "-rw-r--r--",
        };
        assert_eq!((mode, owner, date), (expected, "root/root", DATE), "{line}");
        assert!(!path.contains("/usr/local"), "{line}");
    }
    let root = scratch.dir("plain-root");
    output(Command::new("dpkg-deb").arg("-x").args([&package, &root]));
    let version = output(Command::new(root.join("usr/bin/ironborg")).arg("--version"));
    let version = version.split(' ').nth(1).expect("a version");
    assert_eq!(field(&package, "Version"), format!("{version}-1"));
    assert_eq!(field(&package, "Package"), "ironborg");
    let depends = field(&package, "Depends");
    assert!(depends.contains("libc6 (>= 2."), "{depends}");
    assert_eq!(field(&package, "Conflicts"), "");
    let control = scratch.dir("control");
    output(
        Command::new("dpkg-deb")
            .arg("-e")
            .args([&package, &control]),
    );
    let whole = fs::read_to_string(control.join("control")).expect("text");
    assert!(!whole.replace("maintainers@", "").contains('@'), "{whole}");

    let size: u64 = field(&package, "Installed-Size").parse().expect("a number");
    let used = output(
        Command::new("du")
            .args(["-sk", "--apparent-size"])
            .arg(&root),
    );
    let used = used.split('\t').next().expect("a field");
    let used: u64 = used.parse().expect("a number");
    assert!(size.abs_diff(used) < used / 4, "{size} KiB, {used} KiB");
    output(
        Command::new("md5sum")
            .args(["--check", "--quiet", "--strict"])
            .arg(control.join("md5sums"))
            .current_dir(&root),
    );
}

/// Everything is where the shell, man, mount(8) and people look for it.
fn installed_package_has_all_its_parts(dist: &Dist, scratch: &Scratch) {
    let root = scratch.dir("root");
    for package in [dist.program(), dist.as_borg()] {
        output(Command::new("dpkg-deb").arg("-x").args([&package, &root]));
    }
    for (link, to) in [
        ("usr/sbin/mount.fuse.borgfs", "../bin/ironborg"),
        ("usr/sbin/mount.borgfs", "../bin/ironborg"),
        ("usr/bin/borg", "ironborg"),
        ("usr/bin/borgfs", "ironborg"),
        ("usr/share/bash-completion/completions/borg", "ironborg"),
        ("usr/share/doc/ironborg-as-borg", "ironborg"),
    ] {
        let found = fs::read_link(root.join(link));
        assert_eq!(found.ok().as_deref(), Some(Path::new(to)), "{link}");
        assert!(root.join(link).exists(), "{link} leads nowhere");
    }
    let borg = output(Command::new(root.join("usr/bin/borg")).arg("--version"));
    assert_eq!(borg, "borg 1.4.5\n");
    let as_borg = dist.as_borg();
    assert_eq!(field(&as_borg, "Provides"), "borgbackup (= 1.4.5)");
    assert_eq!(field(&as_borg, "Conflicts"), "borgbackup");
    let version = field(&as_borg, "Version");
    assert_eq!(
        field(&as_borg, "Depends"),
        format!("ironborg (>= {version})")
    );

    let man = files(&root.join("usr/share/man/man1"));
    let pages: BTreeSet<String> = man.iter().map(|page| name(page)).collect();
    assert!(pages.contains("ironborg-jobs-run.1.gz") && pages.contains("borg-create.1.gz"));
    assert!(pages.len() > 100 && pages.iter().all(|page| page.ends_with(".1.gz")));
    for place in [
        "usr/share/bash-completion/completions/ironborg",
        "usr/share/zsh/vendor-completions/_ironborg",
        "usr/share/fish/vendor_completions.d/ironborg.fish",
        "usr/share/ironborg/jobs.schema.json",
        "usr/share/doc/ironborg/copyright",
        "usr/share/doc/ironborg/changelog.gz",
        "usr/share/doc/ironborg/changelog.Debian.gz",
        "usr/share/doc/ironborg/third-party.txt.gz",
        "usr/share/doc/ironborg/examples/jobs.toml",
        "usr/share/doc/ironborg/examples/repos.toml",
    ] {
        let size = fs::metadata(root.join(place)).map(|file| file.len());
        assert!(size.is_ok_and(|size| size > 100), "{place}");
    }
    for dir in ["etc/ironborg/jobs.d", "var/lib/ironborg"] {
        assert!(files(&root.join(dir)).is_empty(), "{dir}");
    }
    let documents = root.join("usr/share/doc/ironborg");
    let unit = fs::read_to_string(documents.join(UNIT)).expect("the example's unit");
    let starts = "\nExecStart=\"/usr/bin/ironborg\" \"jobs\" \"run\" \"--config\" \"/etc/ironborg/jobs.toml\" ";
    assert!(unit.contains(starts), "{unit}");
    let here = workspace();
    assert!(!unit.contains(here.to_str().expect("text")), "{unit}");
    let completion = root.join("usr/share/bash-completion/completions/ironborg");
    output(Command::new("bash").arg("-n").arg(completion));
}

/// The tarball is complete, and its script puts everything where a system looks for what is not of packages.
fn tarball_installs_itself(dist: &Dist, scratch: &Scratch) {
    let dir = scratch.dir("unpacked");
    let tarball = dist.file("ironborg-", "-linux.tar.gz");
    output(
        Command::new("tar")
            .arg("-xzf")
            .arg(tarball)
            .arg("-C")
            .arg(&dir),
    );
    let tops = files(&dir);
    let [top] = &tops[..] else {
        panic!("{tops:?}");
    };
    let root = scratch.dir("local-root");
    let local = root.join("usr/local");
    let install = |words: &[&str]| {
        let mut command = Command::new(top.join("install.sh"));
        output(command.args(words).env("DESTDIR", &root))
    };
    install(&[]);
    let pages = |of: &Path| -> BTreeSet<String> {
        let pages = files(&of.join("share/man/man1"));
        pages.iter().map(|page| name(page)).collect()
    };
    assert!(!local.join("bin/borg").exists());
    let mut own = pages(top);
    own.retain(|page| page.starts_with("ironborg"));
    assert_eq!(pages(&local), own);
    install(&["--as-borg"]);
    assert_eq!(pages(&local), pages(top));
    let installed = fs::metadata(local.join("bin/ironborg")).expect("it is there");
    assert_eq!(installed.permissions().mode() & 0o7777, 0o755);
    let borg = output(Command::new(local.join("bin/borg")).arg("--version"));
    assert_eq!(borg, "borg 1.4.5\n");
    let documents = local.join("share/doc/ironborg");
    for place in [
        "share/bash-completion/completions/ironborg",
        "share/zsh/site-functions/_ironborg",
        "share/fish/vendor_completions.d/ironborg.fish",
        "share/ironborg/jobs.schema.json",
        "share/doc/ironborg/README.md",
        "share/doc/ironborg/LICENSE",
    ] {
        assert!(local.join(place).is_file(), "{place}");
    }
    assert!(documents.join(UNIT).is_file());
    let refused = Command::new(top.join("install.sh"))
        .arg("somewhere")
        .output();
    assert_eq!(refused.expect("it starts").status.code(), Some(2));
    let third = fs::read_to_string(documents.join("third-party.txt")).expect("text");
    for name in ["clap-", "zstd-", "rusqlite-"] {
        assert!(third.contains(name), "{name}");
    }
    assert!(third.matches("Permission is hereby granted").count() > 10);
}

/// Made again, they are the same bytes.
fn assert_same(first: &Dist, second: &Dist) {
    let (ones, others) = (files(&first.dir), files(&second.dir));
    assert_eq!(ones.len(), 3);
    for (one, other) in ones.iter().zip(&others) {
        assert_eq!(name(one), name(other));
        let same = fs::read(one).expect("bytes") == fs::read(other).expect("bytes");
        assert!(same, "{} differs", name(one));
    }
}
