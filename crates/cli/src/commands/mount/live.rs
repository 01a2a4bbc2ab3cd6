//! The time between mounting and unmounting.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvError, channel};

use ironborg_mount::MountError;
use ironborg_mount::kernel::{Mounted, Unmounter};
use ironborg_mount::tree::Tree;
use ironborg_mount::tree::figures::Figures;
use ironborg_types::{Level, text};

use super::LOGGER;
use crate::context::Context;
use crate::error::CliError;
use crate::exit;
use crate::output::size::format_count;
use crate::signals::{self, Arrived};

/// Logger of what is said about going to the background.
const PROCESS_LOGGER: &str = "borg.helpers.process";

/// A mount that is being answered for.
pub(crate) struct Live {
    tree: Arc<Tree>,
    unmounter: Unmounter,
    happened: Receiver<Happened>,
}

enum Happened {
    Signal(Arrived),
    Unmounted(Result<(), MountError>),
}

impl Live {
    /// Begins to answer.
    pub(crate) fn new(mounted: Mounted) -> Result<Self, CliError> {
        let (happens, happened) = channel();
        let (signal, arrived) = channel();
        if let Err(error) = signals::divert(signal) {
            // Dropping it unmounts: nobody has looked at it yet.
            drop(mounted);
            return Err(error);
        }
        let tree = mounted.tree();
        let unmounter = mounted.unmounter();
        let failed = |error: std::io::Error| CliError::unexpected(format!("no threads: {error}"));
        let tell = happens.clone();
        let thread = |name: &str| std::thread::Builder::new().name(name.to_owned());
        thread("mount-signals")
            .spawn(move || {
                for signal in arrived {
                    // Nobody listens after the end.
                    let _ = tell.send(Happened::Signal(signal));
                }
            })
            .map_err(failed)?;
        thread("mount-main")
            .spawn(move || {
                let _ = happens.send(Happened::Unmounted(mounted.run()));
            })
            .map_err(failed)?;
        Ok(Self {
            tree,
            unmounter,
            happened,
        })
    }

    /// Ends it because of what is wrong with what is mounted.
    pub(super) fn refuse(self, error: MountError) -> CliError {
        // What is wrong is worth more than whether nothing is left of it.
        let _ = self.unmounter.unmount();
        error.into()
    }

    /// Waits for the end: somebody has unmounted it, or a signal came, which unmounts it; `ending` is called before.
    pub(crate) fn until_told_to_end(self, ending: impl FnOnce()) -> Result<(), CliError> {
        loop {
            match self.happened.recv() {
                Ok(Happened::Signal(Arrived::Report)) => {}
                Ok(Happened::Signal(Arrived::Interrupt | Arrived::End | Arrived::HangUp)) => {
                    ending();
                    let unmounted = self.unmounter.unmount();
                    return unmounted.map_err(|error| CliError::generic(error.to_string()));
                }
                Ok(Happened::Unmounted(ended)) => {
                    ending();
                    return ended.map_err(|error| CliError::unexpected(error.to_string()));
                }
                Err(RecvError) => return Ok(()),
            }
        }
    }

    /// Waits for the end: somebody has unmounted it, or a signal came.
    ///
    /// A signal does not unmount: whoever mirrors what is there would take an empty directory for the truth. ^C on a
    /// terminal is different: a person knows.
    pub(super) fn until_unmounted(
        self,
        context: &Context,
        foreground: bool,
    ) -> Result<(), CliError> {
        loop {
            match self.happened.recv() {
                Ok(Happened::Signal(Arrived::Report)) => {
                    report(context, self.tree.figures());
                }
                Ok(Happened::Signal(Arrived::Interrupt)) if foreground => {
                    let unmounted = self.unmounter.unmount();
                    return unmounted.map_err(|error| CliError::generic(error.to_string()));
                }
                Ok(Happened::Signal(_)) => return Ok(()),
                Ok(Happened::Unmounted(ended)) => {
                    return ended.map_err(|error| CliError::unexpected(error.to_string()));
                }
                Err(RecvError) => return Ok(()),
            }
        }
    }
}

/// Tells what the mount holds, where stock Borg tells what it holds.
fn report(context: &Context, figures: Figures) {
    let debug = |message: &str| {
        context.reporter.record(Level::Debug, LOGGER, message, None);
    };
    let Figures {
        nodes,
        open,
        pending,
        chunks,
        used,
        budget,
    } = figures;
    let units = context.units();
    let [used, budget] = [used, budget].map(|bytes| format_count(bytes, units));
    debug(&format!("fuse: {nodes} nodes in {open} open archives"));
    debug(&format!("fuse: {pending} pending archives"));
    debug(&format!(
        "fuse: data cache: {chunks} entries, {used} of {budget}"
    ));
}

/// Goes to the background.
pub(super) fn detach(context: &Context, is_remote: bool) -> Result<(), CliError> {
    let debug = |message: &str| {
        context
            .reporter
            .record(Level::Debug, PROCESS_LOGGER, message, None);
    };
    let host = text::display(context.identity.host_id()).into_owned();
    let identity = |pid: u32| format!("({host}, {pid}, 0)");
    let foreground = std::os::unix::process::parent_id();
    let foreground = identity(foreground);
    let background = identity(std::process::id());
    if !is_remote {
        debug(&format!(
            "Daemonizing: Foreground process {foreground} is waiting for background process..."
        ));
        debug(&format!(
            "Daemonizing: Background process {background} is starting..."
        ));
        debug(&format!(
            "Daemonizing: Background process {background} has started."
        ));
        if context.common.show_rc {
            context.reporter.show_rc(exit::SUCCESS);
        }
    }
    debug(&format!(
        "Daemonizing: Foreground process {foreground} is now dying."
    ));
    let entered = context.background.enter();
    entered.map_err(|error| CliError::unexpected(format!("cannot go to the background: {error}")))
}
