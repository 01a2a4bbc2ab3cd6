//! A machine as Borg sees it: where keys, caches and security records are, and what the environment says.
//!
//! Two homes with one repository are two machines; two programs with one home are one machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::run::{Invocation, Run};
use crate::{Program, Scratch, stock_runs};

/// The passphrase used unless a test says otherwise.
const PASSPHRASE: &str = "correct horse battery staple";

/// One machine's base directory and environment.
#[derive(Debug, Clone)]
pub struct Home {
    base: PathBuf,
    variables: BTreeMap<OsString, OsString>,
}

impl Home {
    /// A machine whose base directory is `NAME` in the scratch directory.
    pub fn new(scratch: &Scratch, name: &str) -> Self {
        let base = scratch.dir(name);
        let mut home = Self {
            base: base.clone(),
            variables: BTreeMap::new(),
        };
        home.set("BORG_BASE_DIR", &base);
        home.set("HOME", &base);
        home.set("BORG_PASSPHRASE", PASSPHRASE);
        // Stock Borg tests its own libraries at every start; that is not what is under test here.
        home.set("BORG_SELFTEST", "disabled");
        home.set("TZ", "UTC");
        home.set("LANG", "C.UTF-8");
        home.set("LC_ALL", "C.UTF-8");
        if let Some(wire) = scratch.wire() {
            wire.lead(&mut home);
        }
        home
    }

    /// Sets an environment variable for everything run here from now on.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.variables
            .insert(name.as_ref().to_owned(), value.as_ref().to_owned());
        self
    }

    /// Removes an environment variable.
    pub fn unset(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.variables.remove(name.as_ref());
        self
    }

    /// A copy with one more environment variable.
    #[must_use]
    pub fn with(&self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let mut home = self.clone();
        home.set(name, value);
        home
    }

    /// Another machine of the same environment.
    #[must_use]
    pub fn based_at(&self, base: &Path) -> Self {
        let mut home = self.clone();
        home.base = base.to_path_buf();
        home.set("BORG_BASE_DIR", base).set("HOME", base);
        home
    }

    /// The base directory (`BORG_BASE_DIR`).
    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Borg's configuration directory: keys and security records.
    pub fn config(&self) -> PathBuf {
        self.base.join(".config/borg")
    }

    /// Borg's cache directory.
    pub fn cache(&self) -> PathBuf {
        self.base.join(".cache/borg")
    }

    /// All that a program run here finds in its environment.
    ///
    /// # Panics
    /// When a variable is no text.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let text = |text: &OsStr| {
            text.to_str()
                .expect("variables of tests are text")
                .to_owned()
        };
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = (text("PATH".as_ref()), text(&path));
        let variables = self.variables.iter();
        std::iter::once(path)
            .chain(variables.map(|(name, value)| (text(name), text(value))))
            .collect()
    }

    /// A run being prepared, for tests that need a working directory, standard input, or the process itself.
    pub fn invocation<I, S>(&self, program: Program, args: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Invocation::new(program, &self.variables, args)
    }

    /// A run of some other program being prepared, such as one that starts Borg itself.
    pub fn tool<I, S>(&self, program: &Path, args: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Invocation::of_tool(program, &self.variables, args)
    }

    /// A Python script being prepared that uses stock Borg's own library, for repositories no program would write.
    pub fn stock_library<I, S>(&self, script: &str, args: I) -> Invocation
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        Invocation::with_stock_library(script, &self.variables, args)
    }

    /// Runs stock Borg here once for each list of arguments, in one working directory, one after the other.
    ///
    /// Its interpreter and libraries are loaded once and each run is a copy of that process, which takes a
    /// tenth of the time of as many starts.
    ///
    /// # Panics
    /// When the script that does this fails.
    #[track_caller]
    pub fn stock_runs(&self, dir: &Path, runs: &[Vec<String>]) -> Vec<Run> {
        let as_here = runs.iter().map(|args| serde_json::json!({ "args": args }));
        self.stock_runs_as(dir, &as_here.collect::<Vec<_>>(), runs)
    }

    /// As [`Home::stock_runs`], each run on a machine and in a directory of its own.
    ///
    /// # Panics
    /// When the script that does this fails.
    #[track_caller]
    pub fn stock_runs_elsewhere(&self, runs: &[(&Self, &Path, Vec<String>)]) -> Vec<Run> {
        let text = |value: &OsStr| value.to_string_lossy().into_owned();
        let as_there = runs.iter().map(|(home, dir, args)| {
            let variables = home.variables.iter();
            let variables: BTreeMap<String, String> =
                variables.map(|(n, v)| (text(n), text(v))).collect();
            serde_json::json!({ "args": args, "dir": dir, "variables": variables })
        });
        let args: Vec<Vec<String>> = runs.iter().map(|(_, _, args)| args.clone()).collect();
        self.stock_runs_as(self.base(), &as_there.collect::<Vec<_>>(), &args)
    }

    #[track_caller]
    fn stock_runs_as(
        &self,
        dir: &Path,
        wanted: &[serde_json::Value],
        runs: &[Vec<String>],
    ) -> Vec<Run> {
        let program = Program::Stock.path().to_string_lossy();
        let wanted = serde_json::json!({ "program": program, "runs": wanted });
        let script = self.stock_library(stock_runs::SCRIPT, ["--"; 0]).dir(dir);
        let found = script.input(wanted.to_string()).run().ok();
        stock_runs::read(&found, runs)
    }

    /// Runs a program here, to its end, with empty standard input.
    pub fn run<I, S>(&self, program: Program, args: I) -> Run
    where
        I: IntoIterator<Item = S>,
        S: AsRef<OsStr>,
    {
        self.invocation(program, args).run()
    }
}
