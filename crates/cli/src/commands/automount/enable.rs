//! `automount enable`: shows a repository below a directory from now on.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;
use std::time::Duration;

use ironborg_format::Operation;
use ironborg_source::named_file;
use ironborg_types::{ErrorKind, Level};

use super::config::{Config, Credential, Shown, is_name};
use super::mounts::OnIt;
use super::unit::{self, Unit};
use super::{duration, shown};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::context::{Access, Context};
use crate::credential::PassphraseOrigin;
use crate::default_repository::ChosenRepository;
use crate::environment::PassphraseVariables;
use crate::error::{Cause, CliError};
use crate::location::Location;
use crate::output::shell;
use crate::parse::ParseContext;
use crate::service_manager::{self, ServiceManager};
use crate::unattended::unattended;

/// Name of a repository that has none.
const NAMELESS: &str = "repository";

/// What may be typed.
///
/// DIR then has a directory for the repository, with one for each archive in it. It is opened when
/// somebody enters it and closed when nobody does, by a service of yours; nothing of it needs root.
#[derive(Debug, clap::Args)]
pub(crate) struct EnableArgs {
    /// Where to show it; made if it is not there
    #[arg(value_name = "DIR", required = true)]
    dir: OsString,
    /// Repository [default: BORG_REPO, else the one of `backup`]
    #[arg(long, value_name = "REPOSITORY")]
    repo: Option<OsString>,
    /// Its name in DIR [default: the last part of its path]
    #[arg(long, value_name = "NAME")]
    name: Option<OsString>,
    /// Command that prints the passphrase
    #[arg(long, value_name = "COMMAND")]
    passcommand: Option<OsString>,
    /// File that holds the passphrase
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<OsString>,
    /// Credential (of systemd) that is the passphrase
    #[arg(long, value_name = "NAME[:FILE]")]
    credential: Option<OsString>,
    /// The same, encrypted by systemd-creds
    #[arg(long, value_name = "NAME[:FILE]")]
    encrypted_credential: Option<OsString>,
    /// Only archives whose names match GLOB
    #[arg(short = 'a', long, value_name = "GLOB")]
    glob_archives: Option<OsString>,
    /// Close it when nobody has looked for so long [default: 10min]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    idle: Option<Duration>,
    /// Mount options, separated by commas
    #[arg(short = 'o', value_name = "OPTIONS")]
    options: Option<String>,
    /// Write the files only; neither open the repository nor start anything
    #[arg(long)]
    no_start: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct EnableOptions {
    args: EnableArgs,
    repository: ChosenRepository,
    passphrase: Option<Secret>,
    cwd: Vec<u8>,
}

/// Where the passphrase is to come from.
#[derive(Debug)]
enum Secret {
    Origin(PassphraseOrigin),
    Credential(Credential),
}

impl EnableArgs {
    /// Resolves the repository.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<EnableOptions, ParseError> {
        if let Some(name) = &self.name
            && !is_name(name)
        {
            let message = format!("not a name of a directory: {}", shown(name));
            return Err(ParseError::argument("--name", message));
        }
        Ok(EnableOptions {
            repository: ChosenRepository::resolve(self.repo.as_ref(), parse)?,
            passphrase: self.secret(parse)?,
            args: self,
            cwd: parse.cwd.to_vec(),
        })
    }

    /// Where the passphrase is to come from: one of the options, else what the environment names that lasts.
    fn secret(&self, parse: &ParseContext<'_>) -> Result<Option<Secret>, ParseError> {
        let file = |file: &OsString| {
            let path = super::absolute(file.as_bytes(), parse.cwd);
            PassphraseOrigin::File(OsString::from_vec(path.0).into())
        };
        let credential = |wanted: &OsString, encrypted| {
            let wanted = wanted.clone();
            Secret::Credential(Credential { wanted, encrypted })
        };
        let command = self.passcommand.clone().map(PassphraseOrigin::Command);
        let mut given = [
            command.map(Secret::Origin),
            self.passphrase_file.as_ref().map(file).map(Secret::Origin),
            self.credential
                .as_ref()
                .map(|wanted| credential(wanted, false)),
            self.encrypted_credential
                .as_ref()
                .map(|wanted| credential(wanted, true)),
        ]
        .into_iter()
        .flatten();
        let first = given.next();
        if given.next().is_some() {
            let message =
                "--passcommand, --passphrase-file and credentials are mutually exclusive.";
            return Err(ParseError::Usage(message.to_owned()));
        }
        let variables = &parse.environment.passphrases;
        let of_variables = || {
            let command = variables.command.clone().map(PassphraseOrigin::Command);
            let named = variables.file.as_ref();
            command.or_else(|| named.map(|path| file(&path.clone().into_os_string())))
        };
        Ok(first.or_else(|| of_variables().map(Secret::Origin)))
    }
}

impl Run for EnableOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let directory = super::directory(&self.args.dir, &self.cwd)?;
        let known = Config::load(&context.config(), &directory)?;
        let is_new = known.is_none();
        let mut config = known.unwrap_or_else(|| Config::new(directory.clone()));
        let entry = self.entry(context, &config)?;
        if !self.args.no_start {
            check(context, &entry)?;
        }
        let name = entry.name.clone();
        match config
            .repositories
            .iter_mut()
            .find(|known| known.name == name)
        {
            Some(known) => *known = entry,
            None => config.repositories.push(entry),
        }
        config.idle = self.args.idle.unwrap_or(config.idle);
        config.options = self.args.options.clone().or(config.options);
        let program = service_manager::program(context)?;
        prepare(&directory, is_new)?;
        config.save(&context.config())?;
        write_unit(context, &program, &config)?;
        start(context, &program, &directory, self.args.no_start)?;
        let place = shown(directory.join(name).as_os_str());
        context.log(Level::Info, format!("{place} shows the repository."));
        Ok(())
    }
}

impl EnableOptions {
    /// What is to be stored of the repository.
    fn entry(&self, context: &Context, config: &Config) -> Result<Shown, CliError> {
        let location = self.repository.location(context).absolute(&self.cwd);
        let stored = if location.is_local() {
            location.path.clone()
        } else {
            location.processed.clone()
        };
        let stored = OsString::from_vec(stored);
        let mut entry = Shown {
            name: self.name(&location, &stored, config)?,
            location: stored,
            passphrase: None,
            credential: None,
            rsh: context
                .common
                .rsh
                .clone()
                .or_else(|| context.environment.rsh.clone()),
            remote_path: context
                .common
                .remote_path
                .clone()
                .or_else(|| context.environment.remote_path.clone()),
            glob_archives: self.args.glob_archives.clone(),
        };
        match &self.passphrase {
            Some(Secret::Origin(origin)) => entry.passphrase = Some(origin.clone()),
            Some(Secret::Credential(credential)) => {
                entry
                    .use_credential(credential.clone())
                    .map_err(CliError::generic)?;
            }
            None => {}
        }
        Ok(entry)
    }

    /// The name as typed; else that of the same repository, if it is there already; else one that is free.
    fn name(
        &self,
        location: &Location,
        stored: &OsStr,
        config: &Config,
    ) -> Result<OsString, CliError> {
        let known = &config.repositories;
        if let Some(name) = &self.args.name {
            let of_another = |shown: &&Shown| shown.name == *name && shown.location != stored;
            return match known.iter().find(of_another) {
                None => Ok(name.clone()),
                Some(other) => Err(CliError::generic(format!(
                    "{} is the name of another repository there: {}",
                    shown(name),
                    shown(&other.location)
                ))),
            };
        }
        if let Some(same) = known.iter().find(|shown| shown.location == stored) {
            return Ok(same.name.clone());
        }
        let is_free = |name: &OsString| known.iter().all(|shown| shown.name != *name);
        let base = name_of(location);
        let numbered = (2..).map(|number: u32| {
            let mut name = base.clone();
            name.push(format!("-{number}"));
            name
        });
        let mut names = std::iter::once(base.clone()).chain(numbered);
        Ok(names.find(is_free).expect("numbers do not end"))
    }
}

/// The last component of the path of a repository.
fn name_of(location: &Location) -> OsString {
    let mut parts = location.path.rsplit(|&byte| byte == b'/');
    let last = parts.find(|part| !part.is_empty()).unwrap_or_default();
    let name = OsStr::from_bytes(last);
    // `~` is a home directory, which is not what it is called.
    if is_name(name) && !last.starts_with(b"~") {
        name.to_owned()
    } else {
        NAMELESS.into()
    }
}

/// Opens the repository as the service will: better it fails now than when somebody looks for a file.
fn check(context: &Context, entry: &Shown) -> Result<(), CliError> {
    let variables = match &entry.passphrase {
        // Only the service gets it.
        Some(PassphraseOrigin::Credential(_)) => return Ok(()),
        Some(origin) => origin
            .variables(None)
            .map_err(|error| CliError::generic(error.to_string()))?,
        None => PassphraseVariables::default(),
    };
    let context =
        context.for_another_repository(entry.rsh.clone(), entry.remote_path.clone(), variables);
    let location = entry.location();
    let repository = context.open_repository(&location, Access::Unlocked)?;
    context.refuse_nameless_directories()?;
    let mut client = context.client_of(&location, repository.id());
    client.passphrases = unattended(client.clone()).passphrases;
    let opened = ironborg_archive::Session::open(client, repository, &[Operation::Read]);
    let error = match opened {
        Ok(_) => return Ok(()),
        Err(error) => CliError::from(error),
    };
    let is_unknown = error.cause == Cause::Kind(ErrorKind::NoPassphraseFailure);
    if is_unknown && entry.passphrase.is_none() {
        return Err(CliError::generic(
            "the service could not know the passphrase: give one of --passcommand, --passphrase-file and --credential \
             (what is in BORG_PASSPHRASE is stored nowhere)",
        ));
    }
    Err(error)
}

/// Makes the directory, or sees that nothing would be hidden.
fn prepare(directory: &Path, is_new: bool) -> Result<(), CliError> {
    let fail = |error: named_file::NamedFileError| CliError::generic(error.to_string());
    match OnIt::look(directory) {
        OnIt::Nothing => {}
        OnIt::Alive | OnIt::Dead if !is_new => return Ok(()),
        OnIt::Dead => return Ok(()),
        OnIt::Alive | OnIt::Other => {
            let message = format!(
                "{}: something is mounted there",
                shown(directory.as_os_str())
            );
            return Err(CliError::generic(message));
        }
    }
    match named_file::is_empty_directory(directory).map_err(fail)? {
        Some(true) => Ok(()),
        None => named_file::make_directories(directory, 0o700).map_err(fail),
        Some(false) => {
            let message = format!("{}: not an empty directory", shown(directory.as_os_str()));
            Err(CliError::generic(message))
        }
    }
}

/// Writes the unit and has it wanted by the session.
fn write_unit(context: &Context, program: &Path, config: &Config) -> Result<(), CliError> {
    let fail = |error: named_file::NamedFileError| CliError::generic(error.to_string());
    let environment = service_manager::lasting_environment();
    let unit = Unit {
        program,
        config,
        environment: &environment,
    };
    let units = service_manager::user_units(context);
    let file = unit::file(&units, &config.directory);
    named_file::replace_private(&file, unit.content().as_bytes()).map_err(fail)?;
    let link = unit::link(&units, &config.directory);
    named_file::replace_symlink(&link, unit::link_target(&config.directory).as_ref()).map_err(fail)
}

/// Starts the service; tells how to do without one where there is no service manager.
fn start(
    context: &Context,
    program: &Path,
    directory: &Path,
    no_start: bool,
) -> Result<(), CliError> {
    if no_start {
        return Ok(());
    }
    if ServiceManager::User.is_running() {
        ServiceManager::User.order(&["daemon-reload"])?;
        return ServiceManager::User.order(&["restart", "--", &unit::name(directory)]);
    }
    let words = unit::words(program, "serve", directory);
    let words: Vec<String> = words.iter().map(|word| shown(word)).collect();
    let command = shell::join(words.iter().map(String::as_str));
    context.log(
        Level::Warning,
        format!(
            "Everything is written, but no service manager of yours is running that would start it. Until then this \
             does the same, as long as it runs:\n{command}"
        ),
    );
    Ok(())
}
