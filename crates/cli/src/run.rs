//! From the words of the command line to the exit code.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use ironborg_types::Level;

use crate::args::argparse::Refusal;
use crate::args::{self, UsageError, deprecated};
use crate::command_line::{self, Ordered, Understood, Wanted};
use crate::commands::help::Amount;
use crate::commands::{Run, Traits, help};
use crate::console::{self, Stdout};
use crate::context::Context;
use crate::daemon::{self, Background};
use crate::directories::Directories;
use crate::environment::Environment;
use crate::error::{Cause, CliError};
use crate::exit::{self, ExitStatus};
use crate::identity::HostIdentity;
use crate::logging::Logging;
use crate::output::size::SizeUnits;
use crate::parse::ParseContext;
use crate::program::Program;
use crate::reporter::{ARCHIVER, ConsoleReporter, Form, LOGGER, Levels, LiveForm, ReportOptions};
use crate::{fstab, hints, signals, sys, system_information};

/// Runs the program. Whatever happens, panics included, becomes an exit code of Borg's.
pub fn main() -> ExitCode {
    sys::share_heaps();
    sys::keep_foreign_name_services_out();
    panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(|place| format!(" at {}:{}", place.file(), place.line()));
        let payload = panic.payload();
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        console::stderr_line(&format!(
            "Internal error: {}{}. Please report this.",
            text.unwrap_or("unknown"),
            place.unwrap_or_default()
        ));
    }));
    let code = panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or(exit::ERROR);
    ExitCode::from(code)
}

/// What is known before the first word is read.
struct Surroundings {
    program: Program,
    command_line: Vec<OsString>,
    environment: Environment,
    identity: Arc<HostIdentity>,
    cwd: OsString,
    background: Background,
}

impl Surroundings {
    fn look() -> Self {
        let background = Background::inherited();
        let command_line: Vec<OsString> = std::env::args_os().collect();
        let environment = Environment::read();
        Self {
            program: Program::from_argument(command_line.first().map(OsString::as_os_str)),
            identity: Arc::new(HostIdentity::new(environment.identity.clone())),
            environment,
            cwd: std::env::current_dir()
                .unwrap_or_else(|_| ".".into())
                .into_os_string(),
            command_line,
            background,
        }
    }

    fn parse(&self) -> ParseContext<'_> {
        ParseContext {
            environment: &self.environment,
            identity: &self.identity,
            cwd: self.cwd.as_encoded_bytes(),
        }
    }
}

fn run() -> u8 {
    let surroundings = Surroundings::look();
    let arguments = surroundings.command_line.get(1..).unwrap_or_default();
    let program = &surroundings.program;
    if program.is_mount_helper() {
        return fstab::run(program, arguments, &surroundings.environment);
    }
    // Whoever started this one to go to the background has said so already.
    if !surroundings.background.is_wanted() {
        for warning in deprecated::warnings(arguments) {
            console::stderr_line(warning);
        }
    }
    let description = args::description();
    let parse = surroundings.parse();
    match command_line::understand(&description, &program.name, arguments, &parse) {
        Ok(Understood::Version) => print(&format!("{}\n", program.version_line())),
        Ok(Understood::Help(path)) => {
            print(&help::text(&description, program, &path, Amount::Screen))
        }
        Ok(Understood::Command(mut ordered)) => {
            match heed_client(&description, &surroundings, &mut ordered) {
                None => start(surroundings, *ordered),
                Some(code) => code,
            }
        }
        Err(Refusal::Usage(error)) => usage(program, &error),
        Err(Refusal::Early(error)) => early(&error, &surroundings.environment),
    }
}

/// Takes from the command a client wanted to run, where a forced one runs in its place, what is the client's to decide.
/// Gives an exit code if that ends the program.
fn heed_client(
    description: &clap::Command,
    surroundings: &Surroundings,
    ordered: &mut Ordered,
) -> Option<u8> {
    let wanted = surroundings.environment.ssh_original_command.as_ref()?;
    if !ordered.command.traits().serves {
        return None;
    }
    let program = &surroundings.program;
    match command_line::wanted_by_client(description, &program.name, wanted) {
        Ok(Wanted::Other) => None,
        Ok(Wanted::Serve(client)) => {
            ordered.common.adopt(&client);
            None
        }
        Ok(Wanted::Version) => Some(print(&format!("{}\n", program.version_line()))),
        Ok(Wanted::Help(path)) => Some(print(&help::text(
            description,
            program,
            &path,
            Amount::Screen,
        ))),
        Err(Refusal::Usage(error)) => Some(usage(program, &error)),
        Err(Refusal::Early(error)) => Some(early(&error, &surroundings.environment)),
    }
}

/// Complains of the command line. Under stock Borg's name what goes into a pipe or a file is what stock Borg
/// says, to the letter; people are told more.
pub(crate) fn usage(program: &Program, error: &UsageError) -> u8 {
    console::stderr_line(&error.to_string());
    if let Some(hint) = &error.hint
        && (program.is_ironborg() || console::stderr_is_terminal())
    {
        console::stderr_line(hint);
    }
    exit::ERROR
}

fn print(text: &str) -> u8 {
    let mut stdout = Stdout::new();
    let written = stdout.text(text).and_then(|()| stdout.finish());
    if written.is_ok() {
        exit::SUCCESS
    } else {
        exit::ERROR
    }
}

/// Sets the process up and runs the command.
fn start(surroundings: Surroundings, ordered: Ordered) -> u8 {
    let Ordered {
        common, command, ..
    } = ordered;
    let traits = command.traits();
    if traits.detaches && !surroundings.background.is_wanted() {
        // Before anything is opened or read: all of that is the other one's.
        return daemon::launch(&surroundings.command_line);
    }
    sys::set_umask(common.umask);
    sys::keep_descriptors_private();
    let Surroundings {
        program,
        command_line,
        environment,
        identity,
        cwd,
        background,
    } = surroundings;
    let reporter = Arc::new(reporter(&common, &traits, &environment));
    signals::install(signals::ender(reporter.clone(), common.show_rc));
    let context = Context {
        directories: Directories::resolve(&environment.directories, cwd.as_ref()),
        program,
        command_line,
        environment,
        identity,
        cwd: cwd.into_vec(),
        takes_long: traits.takes_long,
        common,
        reporter,
        background,
        figures: Mutex::default(),
        traffic: Arc::default(),
        kept: None,
    };
    perform(&context, command, &traits).code
}

/// An error before there is a reporter: plain text whatever the options say.
pub(crate) fn early(error: &CliError, environment: &Environment) -> u8 {
    console::stderr_line(&error.message);
    if error.shows_traceback() && environment.show_sysinfo {
        console::stderr_line(&system_information::text());
    }
    error.exit_code(environment.exit_codes)
}

pub(crate) fn reporter(
    common: &args::global::CommonArgs,
    traits: &Traits,
    environment: &Environment,
) -> ConsoleReporter {
    let (logging, failure) = logging(environment);
    let mut output = traits.output;
    output.progress = common.progress
        || traits.serves
        || (traits.progress_on_terminal && console::stderr_is_terminal());
    output.show_rc = common.show_rc;
    output.show_version = common.show_version;
    let form = match (common.log_json, traits.serves) {
        (true, _) => Form::Json,
        (false, true) => Form::Marked,
        (false, false) => Form::Text,
    };
    let options = ReportOptions {
        form: LiveForm::new(form),
        levels: Levels {
            root: common.level(),
            output,
            topics: common.topics(),
            logging: logging.map(Arc::new),
        },
        status_filter: traits.status_filter.clone(),
        units: SizeUnits::from_iec(common.iec),
        plain_archive_progress: traits.plain_archive_progress,
    };
    let exit = ExitStatus::new(environment.exit_codes);
    let reporter = ConsoleReporter::new(options, exit, environment.columns);
    if let Some(failure) = failure {
        reporter.record(Level::Warning, LOGGER, &failure, None);
    }
    reporter
}

/// The loggers of the file `BORG_LOGGING_CONF` names, or why there are none.
fn logging(environment: &Environment) -> (Option<Logging>, Option<String>) {
    let Some(path) = &environment.logging_conf else {
        return (None, None);
    };
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    match Logging::from_file(&path) {
        Ok(logging) => (Some(logging), None),
        Err(error) => {
            let path = path.display();
            let text = format!("setup_logging for \"{path}\" failed with \"{error}\".");
            (None, Some(text))
        }
    }
}

/// How a command has ended.
pub(crate) struct Ended {
    /// The exit code.
    pub(crate) code: u8,
    /// The error that has ended it.
    pub(crate) error: Option<CliError>,
}

/// Runs a command. All that there is to say about its end has been said then.
pub(crate) fn perform(context: &Context, command: Box<dyn Run>, traits: &Traits) -> Ended {
    let reporter = &context.reporter;
    for option in &traits.ignored {
        let text = format!("Ignoring {option}. It is not supported when using --dry-run.");
        reporter.log(Level::Warning, &text);
    }
    reporter.show_version();
    let result = panic::catch_unwind(AssertUnwindSafe(|| command.run(context)));
    context.tell_traffic();
    let result = match (result, signals::ending()) {
        (Err(_), _) => Ok(exit::ERROR), // The panic hook has told the story.
        (Ok(_), Some(signal)) => Err(signal),
        (Ok(Ok(())), None) => Ok(reporter.exit.code()),
        (Ok(Err(error)), None) => Err(error),
    };
    let (code, error) = match result {
        Ok(code) => (code, None),
        Err(error) => {
            show_error(context, &error);
            let code = error.exit_code(context.environment.exit_codes);
            (code, Some(error))
        }
    };
    hints::say(context, error.as_ref());
    if context.common.show_rc {
        reporter.show_rc(code);
    }
    Ended { code, error }
}

pub(crate) fn show_error(context: &Context, error: &CliError) {
    let reporter = &context.reporter;
    reporter.record(Level::Error, ARCHIVER, &error.message, error.msgid());
    let level = if error.shows_traceback() {
        Level::Error
    } else {
        Level::Debug
    };
    let mut story = error.detail.clone();
    if context.environment.show_sysinfo {
        if !story.is_empty() {
            // What system the server is and what this is belong together.
            let is_foreign = matches!(error.cause, Cause::Foreign { .. });
            story.push_str(if is_foreign { "\n" } else { "\n\n" });
        }
        story.push_str(&system_information::text());
    }
    if !story.is_empty() {
        reporter.record(level, ARCHIVER, &story, None);
    }
}
