//! A machine as Borg sees it: where keys, caches and security records are, and what the environment says.
//!
//! Two homes with one repository are two machines; two programs with one home are one machine.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::run::{Invocation, Run};
use crate::{Program, Scratch, stock_host};

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
    pub fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut variables = self.variables.clone();
        let path = std::env::var_os("PATH").unwrap_or_default();
        variables.insert("PATH".into(), path);
        variables
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

    /// Runs stock Borg here once for each list of arguments, in one working directory, one after the other, in a
    /// process that has it loaded even where whole runs are started by themselves.
    #[track_caller]
    pub fn stock_runs(&self, dir: &Path, runs: &[Vec<String>]) -> Vec<Run> {
        let run = |args: &Vec<String>| stock_host::run((self, dir), args);
        runs.iter().map(run).collect()
    }

    /// As [`Home::stock_runs`], each run on a machine and in a directory of its own.
    #[track_caller]
    pub fn stock_runs_elsewhere(runs: &[(&Self, &Path, Vec<String>)]) -> Vec<Run> {
        let run =
            |(home, dir, args): &(&Self, &Path, Vec<String>)| stock_host::run((home, dir), args);
        runs.iter().map(run).collect()
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
