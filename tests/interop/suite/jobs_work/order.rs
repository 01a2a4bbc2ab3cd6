//! Orders made of configurations, and workers that do them.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};
use std::thread::JoinHandle;

use ironborg_jobs::config;
use ironborg_jobs::plan::{DueChecks, WorkOrder, archive_name, order};
use ironborg_jobs::report::{Figures, Told};
use ironborg_testkit::Program;
use rustix::process::{Pid, Signal, kill_process};

use crate::scene::Scene;

/// The order of the only job of a configuration, for a run at a time (RFC 9557).
pub(super) fn ordered(settings: &str, due: DueChecks, time: &str) -> WorkOrder {
    let files = [(
        PathBuf::from("/etc/ironborg/jobs.toml"),
        settings.to_owned(),
    )];
    let jobs = config::load(&files).unwrap_or_else(|errors| panic!("{errors}\n{settings}"));
    let job = jobs.jobs.first().expect("there is one job");
    let target = job.targets.first().expect("it has a repository");
    let now = time.parse().expect("a time");
    let name = archive_name(&job.archive, &now).expect("a date that can be in a name");
    order(job, target, due, &name)
}

/// A worker at work.
pub(super) struct Worker {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    told: Vec<Told>,
    log: JoinHandle<String>,
}

/// A worker that has ended.
pub(super) struct Done {
    /// Its exit code, or the negative number of the signal.
    pub(super) code: i32,
    pub(super) told: Vec<Told>,
    pub(super) log: String,
}

impl Worker {
    /// Starts a worker on the scene's machine, with the scene's repository.
    pub(super) fn start(scene: &Scene, order: &WorkOrder) -> Self {
        Self::start_at(scene, scene.repo(), order)
    }

    /// Starts a worker on the scene's machine, with any repository.
    pub(super) fn start_at(scene: &Scene, repository: &str, order: &WorkOrder) -> Self {
        let state = scene.scratch.join("state");
        let state = crate::scene::text(&state);
        let mut invocation = scene
            .home
            .tool(Program::Ours.path(), ["jobs", "work", "--state", state])
            .env("BORG_REPO", repository)
            .dir(scene.scratch.path());
        let mut child = invocation.start(Stdio::piped());
        let mut input = child.stdin.take().expect("it is piped");
        let text = serde_json::to_vec(order).expect("an order is JSON");
        input.write_all(&text).expect("the worker reads its order");
        drop(input);
        let stdout = child.stdout.take().expect("it is piped");
        let mut stderr = child.stderr.take().expect("it is piped");
        let log = std::thread::spawn(move || {
            let mut log = Vec::new();
            // What was killed may have left half a character.
            stderr.read_to_end(&mut log).expect("a pipe can be read");
            String::from_utf8_lossy(&log).into_owned()
        });
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
            told: Vec::new(),
            log,
        }
    }

    /// Waits for the next line.
    pub(super) fn next(&mut self) -> Option<&Told> {
        let line = self.lines.next()?.expect("a pipe can be read");
        let told = serde_json::from_str(&line);
        self.told
            .push(told.unwrap_or_else(|error| panic!("{error}: {line}")));
        self.told.last()
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("our own child");
    }

    /// Whether it has not ended yet.
    pub(super) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our own child").is_none()
    }

    /// Waits for the end.
    pub(super) fn finish(mut self) -> Done {
        use std::os::unix::process::ExitStatusExt;
        while self.next().is_some() {}
        let status = self.child.wait().expect("our own child");
        let code = status.code();
        Done {
            code: code.unwrap_or_else(|| -status.signal().expect("one of the two")),
            told: self.told,
            log: self.log.join().expect("the reading thread does not panic"),
        }
    }
}

/// Does an order to its end.
pub(super) fn do_it(scene: &Scene, order: &WorkOrder) -> Done {
    Worker::start(scene, order).finish()
}

impl Done {
    /// That all went well.
    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{:#?}\n{}", self.told, self.log);
        self
    }

    /// The steps that have ended, and their codes.
    pub(super) fn steps(&self) -> Vec<(&str, u8)> {
        let ended = self.told.iter().filter_map(|told| match told {
            Told::Ended { step, code, .. } => Some((step.as_str(), *code)),
            Told::Begun { .. } => None,
        });
        ended.collect()
    }

    /// The class of the error that ended the last step.
    pub(super) fn msgid(&self) -> Option<&str> {
        match self.told.last() {
            Some(Told::Ended { msgid, .. }) => msgid.as_deref(),
            _ => None,
        }
    }

    /// What a step has done.
    #[track_caller]
    pub(super) fn figures(&self, name: &str) -> &Figures {
        let mut ended = self.told.iter().filter_map(|told| match told {
            Told::Ended { step, figures, .. } if step == name => Some(figures.as_ref()),
            _ => None,
        });
        ended
            .next()
            .unwrap_or_else(|| panic!("{name} has not ended\n{}", self.log))
    }
}
