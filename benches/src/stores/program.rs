//! The programs that keep backups on object stores, and how each is told what to do.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use ironborg_testkit::ObjectServer;

use crate::measure::Measurement;
use crate::options::Options;
use crate::sys;
use crate::tools::{PASSPHRASE, Tool};

/// A column of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Program {
    Ours,
    Restic,
    /// Copies files as they are: what the store and the line allow.
    Rclone,
}

/// What is asked of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deed<'a> {
    Init,
    /// The working directory, under a name.
    Backup(&'a str),
    List,
    ExtractOne(&'a str),
    Extract,
    /// The first backup goes.
    Delete,
    /// The space of what went is given back.
    Compact,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Restic => "restic",
            Self::Rclone => "rclone",
        }
    }

    fn words(self, prefix: &str, compression: &str, deed: Deed<'_>) -> Option<Vec<OsString>> {
        let words = |words: &[&str]| Some(words.iter().map(OsString::from).collect());
        let location = format!("s3://backups/{prefix}");
        let first = format!("{location}::first");
        let remote = format!("store:backups/{prefix}");
        match (self, deed) {
            (Self::Ours, Deed::Init) => words(&["init", "-e", "repokey-blake2", &location]),
            (Self::Ours, Deed::Backup(name)) => {
                let archive = format!("{location}::{name}");
                words(&["create", "-C", compression, &archive, "."])
            }
            (Self::Ours, Deed::List) => words(&["list", "--json-lines", &first]),
            (Self::Ours, Deed::ExtractOne(path)) => words(&["extract", &first, path]),
            (Self::Ours, Deed::Extract) => words(&["extract", &first]),
            (Self::Ours, Deed::Delete) => words(&["delete", &first]),
            (Self::Ours, Deed::Compact) => words(&["compact", &location]),
            (Self::Restic, Deed::Init) => words(&["init", "--repository-version", "2"]),
            (Self::Restic, Deed::Backup(name)) => words(&["backup", "--tag", name, "."]),
            (Self::Restic, Deed::List) => words(&["ls", "--json", "latest"]),
            (Self::Restic, Deed::ExtractOne(path)) => {
                let path = format!("/{path}");
                words(&["restore", "latest", "--target", ".", "--include", &path])
            }
            (Self::Restic, Deed::Extract) => words(&["restore", "latest", "--target", "."]),
            (Self::Restic, Deed::Delete) => words(&[
                "forget",
                "--tag",
                "first",
                "--keep-tag",
                "second",
                "--group-by",
                "",
            ]),
            (Self::Restic, Deed::Compact) => words(&["prune"]),
            (Self::Rclone, Deed::Backup("first")) => words(&["copy", ".", &remote]),
            (Self::Rclone, Deed::Extract) => words(&["copy", &remote, "."]),
            (Self::Rclone, _) => None,
        }
    }
}

/// A program with its own machine, and a part of the store.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) program: Program,
    binary: PathBuf,
    place: PathBuf,
    prefix: String,
    compression: &'static str,
    endpoint: String,
}

impl Client {
    /// An empty place for one program; `None` if it is not there.
    pub(crate) fn new(
        options: &Options,
        program: Program,
        tree: &str,
        compression: &'static str,
        endpoint: &str,
    ) -> Result<Option<Self>> {
        let binary = match program {
            Program::Ours => options.binary(Tool::Ours)?,
            Program::Restic if options.others.contains_key(&Tool::Restic) => {
                options.binary(Tool::Restic)?
            }
            Program::Rclone => match find("rclone") {
                Some(path) => path,
                None => return Ok(None),
            },
            Program::Restic => return Ok(None),
        };
        let place = std::path::absolute(options.dir.join("stores").join(program.name()))?;
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir_all(&place)?;
        Ok(Some(Self {
            program,
            binary,
            place,
            prefix: format!("{}-{tree}", program.name()),
            compression,
            endpoint: endpoint.to_owned(),
        }))
    }

    /// Where files are restored.
    pub(crate) fn restored(&self) -> PathBuf {
        self.place.join("restored")
    }

    /// The same, empty.
    pub(crate) fn empty_dir(&self) -> Result<PathBuf> {
        let dir = self.restored();
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Forgets everything that could be fetched again.
    pub(crate) fn forget(&self) -> Result<()> {
        let cache = self.place.join(".cache");
        if cache.exists() {
            fs::remove_dir_all(&cache).with_context(|| format!("{}", cache.display()))?;
        }
        Ok(())
    }

    pub(crate) fn can(&self, deed: Deed<'_>) -> bool {
        self.program
            .words(&self.prefix, self.compression, deed)
            .is_some()
    }

    /// Has it done and measures that.
    pub(crate) fn perform(&self, dir: &Path, deed: Deed<'_>) -> Result<Measurement> {
        let Some(words) = self.program.words(&self.prefix, self.compression, deed) else {
            bail!("{} cannot do {deed:?}", self.program.name());
        };
        let errors = self.place.join("errors");
        let mut command = Command::new(&self.binary);
        command
            .args(words)
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(ObjectServer::environment(&self.endpoint))
            .envs(self.environment())
            .stdin(Stdio::null())
            .stdout(File::create(self.place.join("output"))?)
            .stderr(File::create(&errors)?);
        let started = Instant::now();
        let child = command
            .spawn()
            .with_context(|| format!("{}", self.binary.display()))?;
        let usage = sys::wait(child.id()).context("cannot wait for a child")?;
        let wall = started.elapsed();
        if usage.code != 0 {
            bail!(
                "{} exits with {}: {deed:?}\n{}",
                self.program.name(),
                usage.code,
                fs::read_to_string(errors).unwrap_or_default()
            );
        }
        Ok(Measurement {
            wall,
            cpu: usage.user + usage.system,
            peak: usage.peak,
            repository: 0,
        })
    }

    fn environment(&self) -> Vec<(&'static str, OsString)> {
        let repository = format!("s3:{}/backups/{}", self.endpoint, self.prefix);
        let mut variables: Vec<(&'static str, OsString)> = vec![
            ("HOME", self.place.clone().into()),
            ("BORG_BASE_DIR", self.place.clone().into()),
            ("BORG_PASSPHRASE", PASSPHRASE.into()),
            ("RESTIC_REPOSITORY", repository.into()),
            ("RESTIC_PASSWORD", PASSPHRASE.into()),
            ("RCLONE_CONFIG_STORE_TYPE", "s3".into()),
            ("RCLONE_CONFIG_STORE_PROVIDER", "Other".into()),
            ("RCLONE_CONFIG_STORE_ENV_AUTH", "true".into()),
            ("RCLONE_CONFIG_STORE_ENDPOINT", self.endpoint.clone().into()),
            ("RCLONE_CONFIG", self.place.join("rclone.conf").into()),
            ("RCLONE_S3_NO_CHECK_BUCKET", "true".into()),
            ("LC_ALL", "C.UTF-8".into()),
        ];
        for (name, value) in ObjectServer::environment(&self.endpoint) {
            if name == "AWS_REGION" {
                variables.push(("RCLONE_CONFIG_STORE_REGION", value.into()));
            }
        }
        variables
    }
}

fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file())
}
