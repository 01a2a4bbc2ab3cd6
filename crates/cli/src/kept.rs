//! A repository that several commands work with, one after the other, in one process: opened once, locked once, its key
//! unlocked once.
//!
//! A command that opens the repository is lent it, and when it lets go of it, it is kept for the next. What was not
//! committed is forgotten in between. Whoever needs the repository's files otherwise, or another repository, finds that it
//! was closed before.

mod lent;

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ironborg_archive::UnlockedKey;
use ironborg_repository::Repository;
use ironborg_types::{Event, Level, Reporter};

use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::reporter::ConsoleReporter;
use lent::Lent;

/// Keeps a repository from one command to the next.
pub(crate) struct Kept {
    /// The threshold of the most talkative of the commands: a server has to tell what it wants to hear.
    pub(crate) level: Level,
    /// The key.
    pub(crate) unlocked: Arc<UnlockedKey>,
    audience: Arc<Audience>,
    idle: Mutex<Option<Idle>>,
}

/// The repository while no command has it.
struct Idle {
    way: Way,
    repository: Box<dyn Repository>,
}

/// Which repository it is, and how it was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    location: String,
    /// The words of the command that leads to another host.
    words: Vec<OsString>,
    upload: (Option<i64>, Option<i64>),
}

/// Who is told what happens in the repository: the reporter of the command that has it.
struct Audience(RwLock<Arc<ConsoleReporter>>);

impl Audience {
    fn now(&self) -> Arc<ConsoleReporter> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Reporter for Audience {
    fn report(&self, event: Event<'_>) {
        self.now().report(event);
    }

    fn wants_progress(&self) -> bool {
        self.now().wants_progress()
    }

    fn wants_list(&self) -> bool {
        self.now().wants_list()
    }
}

impl Kept {
    /// Nothing yet, for commands of which the most talkative has this threshold.
    pub(crate) fn new(level: Level, reporter: Arc<ConsoleReporter>) -> Self {
        Self {
            level,
            unlocked: Arc::default(),
            audience: Arc::new(Audience(RwLock::new(reporter))),
            idle: Mutex::default(),
        }
    }

    /// Who is to be told what happens in the repository.
    pub(crate) fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.audience) as _
    }

    /// Lends the repository of a location, opening it if it is not the one that is kept. It is always one that may be
    /// written to: a lock that had to be exchanged later could be lost.
    pub(crate) fn lend(
        self: &Arc<Self>,
        context: &Context,
        location: &Location,
    ) -> Result<Box<dyn Repository>, CliError> {
        let way = Way {
            location: context.canonical(location),
            words: if location.is_remote() {
                context.server_command(location, None)?
            } else {
                Vec::new()
            },
            upload: (
                context.common.upload_ratelimit,
                context.common.upload_buffer,
            ),
        };
        self.tell(&context.reporter);
        let idle = self.take().filter(|idle| idle.way == way);
        let repository = match idle {
            Some(idle) => idle.repository,
            // The other one, if there was one, is closed by now.
            None => context.open_anew(location, Access::Write)?,
        };
        Ok(Box::new(Lent::new(Arc::clone(self), way, repository)))
    }

    /// Closes the repository. What goes wrong with that is told to `reporter`.
    pub(crate) fn close(&self, reporter: &Arc<ConsoleReporter>) {
        self.tell(reporter);
        drop(self.take());
    }

    fn tell(&self, reporter: &Arc<ConsoleReporter>) {
        *self
            .audience
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::clone(reporter);
    }

    fn take(&self) -> Option<Idle> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Keeps it until the next command comes.
    fn keep(&self, way: Way, repository: Box<dyn Repository>) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(idle.is_none(), "it is lent to one command at a time");
        *idle = Some(Idle { way, repository });
    }
}
