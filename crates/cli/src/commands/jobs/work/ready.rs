//! The words of steps, understood before the first of them is done: a slip in the last one must not be found when half
//! of the work is done.

use std::ffi::OsString;

use ironborg_jobs::plan::{Step, WorkOrder};
use ironborg_types::Level;

use super::outcome::Outcome;
use crate::args::argparse::Refusal;
use crate::args::{self, deprecated};
use crate::command_line::{self, Ordered, Understood};
use crate::context::Context;
use crate::error::CliError;
use crate::parse::ParseContext;
use crate::{console, run};

/// Commands that are steps of a run. Others would go to the background, ask questions or wait for somebody.
const COMMANDS: &[&str] = &[
    "init",
    "create",
    "import-tar",
    "rename",
    "delete",
    "prune",
    "compact",
    "check",
    "recreate",
    "list",
    "info",
];

/// A step whose words were understood.
pub(super) enum Ready<'o> {
    /// One of the program's commands, and its words.
    Command(Box<Ordered>, Vec<OsString>),
    Hook(&'o str),
    Drill(&'o Step),
}

/// All steps, and what their commands have in common.
pub(super) struct AllReady<'o> {
    pub(super) steps: Vec<Ready<'o>>,
    /// The longest any of the commands waits for a lock, in seconds.
    pub(super) lock_wait: i64,
    /// The threshold of messages of the most talkative.
    pub(super) level: Level,
}

/// Understands the steps of an order.
///
/// # Errors
/// The number of the first step that cannot be understood, and why; standard error says so already.
pub(super) fn understand<'o>(
    context: &Context,
    order: &'o WorkOrder,
) -> Result<AllReady<'o>, Box<(usize, Outcome)>> {
    let description = args::description();
    let mut all = AllReady {
        steps: Vec::new(),
        lock_wait: context.common.lock_wait,
        level: context.common.level(),
    };
    for (number, step) in order.steps.iter().enumerate() {
        let ready = match step {
            Step::Hook { script, .. } => Ready::Hook(script),
            Step::Drill { .. } => Ready::Drill(step),
            Step::Command { words, .. } => {
                let ordered = command(context, &description, words);
                let ordered = ordered.map_err(|outcome| Box::new((number, *outcome)))?;
                all.lock_wait = all.lock_wait.max(ordered.common.lock_wait);
                all.level = all.level.min(ordered.common.level());
                Ready::Command(ordered, words.iter().map(OsString::from).collect())
            }
        };
        all.steps.push(ready);
    }
    Ok(all)
}

fn command(
    context: &Context,
    description: &clap::Command,
    words: &[String],
) -> Result<Box<Ordered>, Box<Outcome>> {
    let codes = context.environment.exit_codes;
    let refuse = |text: String| {
        let error = CliError::command(text);
        console::stderr_line(&error.message);
        Box::new(Outcome::failed(&error, codes))
    };
    let name = words.first().map_or("", String::as_str);
    if !COMMANDS.contains(&name) {
        return Err(refuse(format!("a run has no step \"{name}\"")));
    }
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    for warning in deprecated::warnings(&words) {
        console::stderr_line(warning);
    }
    let parse = ParseContext {
        environment: &context.environment,
        identity: &context.identity,
        cwd: &context.cwd,
    };
    match command_line::understand(description, &context.program.name, &words, &parse) {
        Ok(Understood::Command(ordered)) => Ok(ordered),
        Ok(Understood::Version | Understood::Help(_)) => Err(refuse(format!(
            "{name}: nobody is there to read a help text"
        ))),
        Err(Refusal::Usage(error)) => {
            run::usage(&context.program, &error);
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            Err(Box::new(Outcome::failed(&CliError::command(last), codes)))
        }
        Err(Refusal::Early(error)) => {
            run::early(&error, &context.environment);
            Err(Box::new(Outcome::failed(&error, codes)))
        }
    }
}
