//! The NixOS modules: every example gives the machine it should, and the program takes what they write for it.
//!
//! They are evaluated by Debian's nix, without a store and without nixpkgs: `nix/tests/lib.nix` stands in for the parts
//! of its `lib` that they use. `IRONBORG_NIXPKGS_LIB` may name a real one, which has to give the same.
//! `IRONBORG_UPDATE_EXPECTED=1` writes what is expected anew.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ironborg_jobs::repos::{authorized_keys, config};
use ironborg_testkit::{Home, Program, Run, Scratch, workspace};
use serde_json::{Map, Value};

/// Names a `lib` of nixpkgs to evaluate with in place of the stand-in.
const LIB_VARIABLE: &str = "IRONBORG_NIXPKGS_LIB";
/// Set to write what is expected anew.
const UPDATE_VARIABLE: &str = "IRONBORG_UPDATE_EXPECTED";

/// The files that stand beside the rest of a machine, for people to read.
const FILES: [&str; 2] = ["jobs", "repos"];

/// A nix that has no store and nothing to remember.
fn nix(scratch: &Scratch) -> Command {
    let mut command = Command::new("nix-instantiate");
    command.args(["--store", "dummy://", "--eval", "--strict", "--json"]);
    for (variable, name) in [
        ("NIX_STORE_DIR", "store"),
        ("NIX_STATE_DIR", "state"),
        ("NIX_LOG_DIR", "log"),
        ("NIX_CONF_DIR", "conf"),
        ("HOME", "home"),
    ] {
        command.env(variable, scratch.dir(name));
    }
    command
}

/// What an expression is.
fn evaluate(expression: &str) -> Value {
    let scratch = Scratch::new();
    let output = nix(&scratch)
        .args(["--show-trace", "--expr", expression])
        .output()
        .expect("nix-instantiate is installed: `cargo xtask setup`");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{expression}\n{errors}");
    serde_json::from_slice(&output.stdout).expect("nix prints JSON")
}

/// An attribute of the tests written in nix.
fn tested(attribute: &str) -> Value {
    let tests = nix_dir().join("tests");
    let lib = env::var(LIB_VARIABLE).map(|lib| format!("lib = import {lib};"));
    let lib = lib.unwrap_or_default();
    evaluate(&format!(
        "(import {} {{ {lib} }}).{attribute}",
        tests.display()
    ))
}

fn nix_dir() -> PathBuf {
    workspace().join("nix")
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().expect("a set of attributes")
}

fn strings(value: &Value) -> Vec<&str> {
    let list = value.as_array().expect("a list");
    list.iter()
        .map(|item| item.as_str().expect("a string"))
        .collect()
}

/// Compares with a file of `nix/tests/expected`, or writes it. Says which of them it was.
fn expect(name: &str, found: &str, problems: &mut Vec<String>) -> String {
    let file = nix_dir().join("tests/expected").join(name);
    if env::var_os(UPDATE_VARIABLE).is_some_and(|set| !set.is_empty()) {
        fs::write(&file, found).expect("it can be written");
    }
    let expected = fs::read_to_string(&file).unwrap_or_default();
    if expected != found {
        problems.push(format!(
            "{}\n--- expected\n{expected}--- found\n{found}",
            file.display()
        ));
    }
    name.to_owned()
}

/// Every example is the machine that `expected` shows, and no file there is of an example that is gone.
#[test]
fn examples_give_the_machines_they_should() {
    let examples = tested("examples");
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (name, machine) in object(&examples) {
        let mut machine = object(machine).clone();
        for kind in FILES {
            let text = machine.shift_remove(kind).expect("it is always there");
            if let Some(text) = text.as_str() {
                seen.insert(expect(&format!("{name}.{kind}.toml"), text, &mut problems));
            }
        }
        // What nobody set says nothing.
        machine.retain(|_, value| !is_empty(value));
        let rest = serde_json::to_string_pretty(&machine).expect("it was JSON before") + "\n";
        seen.insert(expect(&format!("{name}.json"), &rest, &mut problems));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(seen.len() > 20, "{seen:?}");
    let there = fs::read_dir(nix_dir().join("tests/expected")).expect("it is there");
    let there: BTreeSet<String> = there
        .map(|file| file.expect("it can be read").file_name())
        .map(|name| name.into_string().expect("plain names"))
        .collect();
    assert_eq!(there, seen);
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

/// An option that no example sets is one that nobody has tried.
#[test]
fn every_option_has_an_example() {
    let options = tested("options");
    assert!(strings(&options).len() > 150, "{options}");
    let without = tested("withoutExample");
    assert!(strings(&without).is_empty(), "{without}");
}

/// The tables of the program's schema, and the options that are written into them.
const TABLES: [(&str, &str); 11] = [
    ("job", "jobs.<name>."),
    ("job", "defaults."),
    ("encryption", "jobs.<name>.encryption."),
    ("repository", "jobs.<name>.repos."),
    ("prune", "jobs.<name>.prune."),
    ("checks", "jobs.<name>.checks."),
    ("drill", "jobs.<name>.checks.drill."),
    ("conditions", "jobs.<name>.conditions."),
    ("retry", "jobs.<name>.retry."),
    ("told", "jobs.<name>.notify."),
    ("smtp", "notify.<name>.smtp."),
];
/// Options that are no keys: what is written as it stands, and what NixOS does with a job.
const NOT_KEYS: [&str; 2] = ["settings", "wrapper"];
/// What two jobs cannot share.
const NOT_SHARED: &str = "archive_base_name";

/// Whatever the configuration can say has an option, and no option says what it cannot.
#[test]
fn options_are_the_keys_of_the_program() {
    let schema = program(&["jobs", "schema"]).ok().json();
    let keys = tested("keys");
    let keys = strings(&keys);
    for (table, prefix) in TABLES.into_iter().chain([("notifier", "notify.<name>.")]) {
        let mut expected: BTreeSet<&str> = object(&schema["$defs"][table]["properties"])
            .keys()
            .map(String::as_str)
            .collect();
        if prefix == "defaults." {
            assert!(expected.remove(NOT_SHARED));
        }
        let mut found: BTreeSet<&str> = keys
            .iter()
            .filter_map(|key| key.strip_prefix(prefix))
            .map(|key| key.split_once('.').map_or(key, |(first, _)| first))
            .collect();
        found.retain(|key| !NOT_KEYS.contains(key));
        assert_eq!(found, expected, "{table}: {prefix}");
    }
    let tables: BTreeSet<&str> = object(&schema["$defs"])
        .keys()
        .map(String::as_str)
        .collect();
    let known: BTreeSet<&str> = TABLES
        .iter()
        .map(|(table, _)| *table)
        .chain(["notifier"])
        .collect();
    assert_eq!(tables, known);
    assert_eq!(
        object(&schema["properties"]).len(),
        4,
        "a table that has no option: {}",
        schema["properties"]
    );
}

/// The program takes every configuration that the modules write, though nothing it speaks of is on this machine; and the
/// units it makes of them are those that the modules add to.
#[test]
fn the_program_takes_what_is_written() {
    let scratch = Scratch::new();
    let examples = tested("examples");
    let vm = tested("vm");
    let mut count = 0;
    for (name, machine) in object(&examples).iter().chain([(&"vm".to_owned(), &vm)]) {
        let Some(jobs) = machine["jobs"].as_str() else {
            continue;
        };
        let file = scratch.join(format!("{name}.toml"));
        fs::write(&file, jobs).expect("it can be written");
        let file = file.to_str().expect("a plain path");
        program(&["jobs", "check-config", "--config", file]).ok();
        let dir = scratch.dir(format!("{name}-units"));
        let to = dir.to_str().expect("a plain path");
        let words = ["jobs", "enable", "--all", "--print", "--system"];
        program(&[&words[..], &["--unit-dir", to, "--config", file]].concat()).ok();
        assert_units(name, machine, &dir);
        count += 1;
    }
    assert!(count > 7, "{count}");
}

/// Every unit is added to: services get programs on their path, timers are wanted; and there is nothing to add to what
/// is not there.
fn assert_units(name: &str, machine: &Value, dir: &Path) {
    let units = fs::read_dir(dir).expect("it is there");
    let units: BTreeSet<String> = units
        .map(|file| file.expect("it can be read").file_name())
        .map(|file| file.into_string().expect("plain names"))
        .collect();
    let mut expected = BTreeSet::new();
    for kind in ["service", "timer"] {
        for unit in object(&machine[format!("{kind}s")]).keys() {
            expected.insert(format!("{unit}.{kind}"));
        }
    }
    assert_eq!(units, expected, "{name}");
}

/// The program takes the server's file, and would write the same lines for sshd that NixOS does.
#[test]
fn keys_are_those_the_program_would_write() {
    let examples = tested("examples");
    for name in ["repos", "package"] {
        let machine = &examples[name];
        let toml = machine["repos"].as_str().expect("a server's file");
        let repos = config::load(&(PathBuf::from("repos.toml"), toml.to_owned()));
        let repos = repos.unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        let users = object(&machine["users"]);
        let owners: BTreeSet<&String> = repos.iter().map(|repo| &repo.user).collect();
        assert_eq!(users.keys().collect::<BTreeSet<_>>(), owners);
        for (user, account) in users {
            let own: Vec<_> = repos.iter().filter(|repo| repo.user == *user).collect();
            let mut expected = authorized_keys::lines(&own, "ironborg");
            let mut found = strings(&account["keys"]);
            expected.sort();
            found.sort_unstable();
            assert_eq!(found, expected, "{name}: {user}");
            for repo in own {
                assert_eq!(repo.group.as_deref(), account["group"].as_str());
                let rule = &machine["tmpfiles"][format!("ironborg-repo-{}", repo.name)];
                let directory = &rule[repo.path.to_str().expect("text")]["d"];
                assert_eq!(directory["user"], user.as_str(), "{rule}");
            }
        }
    }
}

/// Ours by its own name, as a build of the system starts it: with no home to speak of.
fn program(words: &[&str]) -> Run {
    let scratch = Scratch::new();
    let home = Home::new(&scratch, "build");
    home.tool(Program::Ours.path(), words).run()
}

/// What makes no sense ends the evaluation, or is told as an assertion.
#[test]
fn nonsense_is_refused() {
    let refused = tested("refused");
    for (name, refused) in object(&refused) {
        assert_eq!(refused, &Value::Bool(true), "{name}");
    }
    assert!(object(&refused).len() > 10);
    let asserted = tested("asserted");
    let told = |name: &str| strings(&asserted[name]);
    assert_eq!(
        told("no-key"),
        ["services.ironborg.repos.a has no key: nobody could use it."]
    );
    assert_eq!(told("same-key").len(), 2, "{asserted}");
    assert!(told("two-users").is_empty(), "{asserted}");
    assert_eq!(told("foreign-variable").len(), 1, "{asserted}");
}

/// `services.borgbackup` uses the package, in releases that have an option for it and in those that have not.
#[test]
fn borgbackup_is_replaced() {
    let new = tested("examples.replace");
    let package = new["borgbackup"].as_str().expect("a path");
    assert!(package.ends_with("-ironborg-as-borg"), "{package}");
    assert_eq!(new["overlays"], serde_json::json!([]));
    let old = tested("oldRelease");
    let [overlay] = &strings(&old["overlays"])[..] else {
        panic!("{old}");
    };
    assert!(overlay.starts_with("ironborg-as-borg-"), "{overlay}");
    let untouched = tested("examples.repos");
    let package = untouched["borgbackup"].as_str().expect("a path");
    assert!(package.ends_with("-borgbackup"), "{package}");
}

/// As far as that goes without nixpkgs.
#[test]
fn the_flake_evaluates() {
    let flake = tested("flake");
    for system in ["x86_64-linux", "aarch64-linux"] {
        let packages = &flake["packages"][system];
        assert_eq!(packages["default"], "ironborg", "{flake}");
        let checks = &flake["checks"][system];
        assert_eq!(checks["package"], "ironborg", "{flake}");
        assert_eq!(checks["vm"], "ironborg", "{flake}");
    }
    assert_eq!(flake["overlay"]["ironborg"], "ironborg");
    let modules = object(&flake["modules"]);
    let names: Vec<&str> = modules.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["automount", "borgbackup", "default", "jobs", "repos"]
    );
    assert!(modules.values().all(|evaluated| evaluated == true));
}

/// Text with every odd character, and everything else there is.
#[test]
fn toml_can_say_everything() {
    let text = tested("toml");
    let expected = fs::read_to_string(nix_dir().join("tests/toml.toml")).expect("it is there");
    assert_eq!(text.as_str(), Some(expected.as_str()));
    // Read back by nix, it is what it was.
    let tests = nix_dir().join("tests/toml.nix");
    let lib = nix_dir().join("lib");
    let same = evaluate(&format!(
        "let value = import {}; in builtins.fromTOML ((import {}).toTOML value) == value",
        tests.display(),
        lib.display()
    ));
    assert_eq!(same, Value::Bool(true));
}

/// Everything in `nix/` can at least be parsed, also what needs nixpkgs to be evaluated.
#[test]
fn all_files_parse() {
    let mut files = vec![workspace().join("flake.nix")];
    let mut dirs = vec![nix_dir()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("it is there") {
            let path = entry.expect("it can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.extension().is_some_and(|ending| ending == "nix") {
                files.push(path);
            }
        }
    }
    assert!(files.len() > 15, "{files:?}");
    let scratch = Scratch::new();
    let mut command = Command::new("nix-instantiate");
    command.arg("--parse").args(&files);
    let environment: Vec<_> = nix(&scratch)
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    let output = command.envs(environment).output().expect("it starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
}
