//! `backup` and `restore`: the main job with nothing configured.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::scene::{Ran, Scene};

/// The program under its own name, with no passphrase and no repository given.
struct Person {
    scene: Scene,
}

impl Person {
    fn new() -> Self {
        let scene = Scene::with_program("ironborg");
        fs::create_dir_all(scene.home().join("docs/letters")).unwrap();
        fs::write(scene.home().join("docs/letters/one"), "first version").unwrap();
        Self { scene }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = self.scene.command(words);
        command.env_remove("BORG_PASSPHRASE");
        command
    }

    fn run(&self, words: &[&str]) -> Ran {
        Ran::of(self.command(words), b"")
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> Ran {
        let ran = self.run(words);
        assert_eq!(ran.code, 0, "{words:?} {ran:#?}");
        ran
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scene.home().join(name)
    }

    fn repository(&self) -> PathBuf {
        self.path(".local/share/ironborg/repository")
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}

#[test]
fn the_first_backup_makes_a_repository_and_says_so() {
    let person = Person::new();
    let ran = person.ok(&["backup", "docs"]);
    assert!(person.repository().join("config").exists());
    assert!(
        ran.err.contains(person.repository().to_str().unwrap()),
        "{ran:#?}"
    );
    assert!(ran.err.contains("borg key export"), "{ran:#?}");
    assert!(ran.err.contains("Number of files: 1"), "{ran:#?}");
    let secrets = person.path(".config/borg/ironborg");
    let file = fs::read_dir(&secrets).unwrap().next().unwrap().unwrap();
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(
        fs::metadata(&secrets).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert!(ran.err.contains(file.path().to_str().unwrap()), "{ran:#?}");
    let info = person.ok(&["info", person.repository().to_str().unwrap()]);
    assert!(
        info.out.contains("Encrypted: Yes (repokey BLAKE2b)"),
        "{info:#?}"
    );
    let again = person.ok(&["backup", "docs"]);
    assert!(!again.err.contains("key export"), "{again:#?}");
    let list = person.ok(&["list", "--short", person.repository().to_str().unwrap()]);
    assert_eq!(list.out.lines().count(), 2, "{list:#?}");
    assert!(list.out.starts_with("host-2"), "{list:#?}");
}

#[test]
fn a_given_passphrase_is_used_and_not_stored() {
    let person = Person::new();
    let mut command = person.command(&["backup", "--repo", "elsewhere/r", "docs"]);
    command.env("BORG_PASSPHRASE", "mine");
    let ran = Ran::of(command, b"");
    assert_eq!(ran.code, 0, "{ran:#?}");
    assert!(!person.path(".config/borg/ironborg").exists());
    let mut command = person.command(&["list", "elsewhere/r"]);
    command.env("BORG_PASSPHRASE", "other");
    assert_eq!(Ran::of(command, b"").code, 2);
}

#[test]
fn caches_are_left_out_and_excludes_count() {
    let person = Person::new();
    fs::create_dir_all(person.path("docs/cache")).unwrap();
    let tag = "Signature: 8a477f597d28d172789f06886806bc55";
    fs::write(person.path("docs/cache/CACHEDIR.TAG"), tag).unwrap();
    fs::write(person.path("docs/secret"), "x").unwrap();
    person.ok(&["backup", "-e", "*/secret", "docs"]);
    let repository = person.repository();
    let name = person
        .ok(&["list", "--short", repository.to_str().unwrap()])
        .out;
    let archive = format!("{}::{}", repository.display(), name.trim());
    let items = person.ok(&["list", "--short", &archive]).out;
    assert!(
        items.lines().any(|path| path.ends_with("docs/letters/one")),
        "{items}"
    );
    assert!(
        !items.contains("cache") && !items.contains("secret"),
        "{items}"
    );
}

#[test]
fn a_lost_file_comes_back_to_its_place() {
    let person = Person::new();
    person.ok(&["backup", "docs"]);
    fs::remove_dir_all(person.path("docs")).unwrap();
    let ran = person.ok(&["restore", "docs"]);
    assert_eq!(person.read("docs/letters/one"), "first version");
    assert!(ran.err.contains("Restored "), "{ran:#?}");
    fs::remove_file(person.path("docs/letters/one")).unwrap();
    person.ok(&["restore", person.path("docs/letters/one").to_str().unwrap()]);
    assert_eq!(person.read("docs/letters/one"), "first version");
}

#[test]
fn what_is_there_is_never_overwritten_unasked() {
    let person = Person::new();
    person.ok(&["backup", "docs"]);
    fs::write(person.path("docs/letters/one"), "newer").unwrap();
    let ran = person.run(&["restore", "docs/letters/one"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("--into DIR") && ran.err.contains("--force"),
        "{ran:#?}"
    );
    assert_eq!(person.read("docs/letters/one"), "newer");
    person.ok(&["restore", "docs/letters/one", "--into", "found"]);
    assert_eq!(person.read("found/one"), "first version");
    assert_eq!(person.read("docs/letters/one"), "newer");
    assert_eq!(
        person
            .run(&["restore", "docs/letters/one", "--into", "found"])
            .code,
        2
    );
    person.ok(&["restore", "docs/letters/one", "--force"]);
    assert_eq!(person.read("docs/letters/one"), "first version");
}

#[test]
fn earlier_versions_are_found_by_archive_and_time() {
    let person = Person::new();
    person.ok(&["backup", "docs"]);
    let repository = person.repository();
    let repository = repository.to_str().unwrap();
    let first = person
        .ok(&["list", "--short", repository])
        .out
        .trim()
        .to_owned();
    fs::write(person.path("docs/letters/one"), "second version").unwrap();
    person.ok(&["backup", "docs"]);
    let restored = |as_of: &[&str], into: &str| {
        let mut words = vec!["restore", "docs/letters/one", "--into", into];
        words.extend(as_of);
        person.ok(&words);
        person.read(&Path::new(into).join("one").display().to_string())
    };
    assert_eq!(restored(&[], "newest"), "second version");
    assert_eq!(restored(&["--as-of", "now"], "now"), "second version");
    assert_eq!(restored(&["--as-of", &first], "named"), "first version");
    let ran = person.run(&["restore", "docs", "--into", "x", "--as-of", "2 days ago"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err
            .contains("No archive holds 'docs' as of 2 days ago."),
        "{ran:#?}"
    );
    let ran = person.run(&["restore", "docs", "--as-of", "whenever"]);
    assert!(
        ran.err.contains("neither an archive nor a time"),
        "{ran:#?}"
    );
    let ran = person.run(&["restore", "nowhere"]);
    assert!(ran.err.contains("No archive holds 'nowhere'."), "{ran:#?}");
}

#[test]
fn archives_of_create_are_found_by_the_path_as_typed() {
    let person = Person::new();
    let create = |words: &[&str]| {
        let mut command = person.command(words);
        command.env("BORG_PASSPHRASE", "x");
        let ran = Ran::of(command, b"");
        assert_eq!(ran.code, 0, "{ran:#?}");
    };
    create(&["init", "-e", "repokey", "r"]);
    create(&["create", "r::a", "docs"]);
    create(&["restore", "--repo", "r", "docs/letters", "--into", "out"]);
    assert_eq!(person.read("out/letters/one"), "first version");
}
