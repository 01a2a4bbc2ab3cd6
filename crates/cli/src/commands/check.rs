//! `check`: checks a repository and its archives.

use std::ffi::OsString;

use ironborg_repository::CheckOptions as RepositoryCheck;
use ironborg_types::{Answer, ErrorKind, Question, Questioner};

use super::{Run, Traits};
use crate::args::filters::{ArchiveFilter, ArchiveFilterArgs};
use crate::args::{ParseError, values};
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::parse::{ArchivePart, ParseContext};
use crate::questions::ConsoleQuestioner;
use crate::signals::{self, PolledOperation};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct CheckArgs {
    /// Repository or archive [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY_OR_ARCHIVE",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Check the segments and the index only
    #[arg(long)]
    repository_only: bool,
    /// Check the archives only
    #[arg(long)]
    archives_only: bool,
    /// Also read, decrypt and verify all data (slow)
    #[arg(long)]
    verify_data: bool,
    /// Repair what is found to be wrong; what cannot be repaired is lost
    #[arg(long)]
    repair: bool,
    /// Accepted: takes no space while it works anyway
    #[arg(long)]
    save_space: bool,
    /// Stop after SECONDS and go on from there next time [default: no limit]
    #[arg(long, value_name = "SECONDS", value_parser = values::int, default_value = "0",
          hide_default_value = true)]
    max_duration: i64,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct CheckOptions {
    location: Location,
    repository_only: bool,
    archives_only: bool,
    verify_data: bool,
    repair: bool,
    save_space: bool,
    /// Seconds; 0 for no limit.
    max_duration_s: i64,
    filter: ArchiveFilter,
}

impl CheckArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<CheckOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        Ok(CheckOptions {
            location: parse.location(name, &self.location, ArchivePart::Optional, None)?,
            repository_only: self.repository_only,
            archives_only: self.archives_only,
            verify_data: self.verify_data,
            repair: self.repair,
            save_space: self.save_space,
            max_duration_s: self.max_duration,
            filter: self.filters.resolve(parse)?,
        })
    }
}

impl Run for CheckOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        if !self.repository_only && self.max_duration_s == 0 {
            return Err(CliError::missing_command("check of archives"));
        }
        let mut repository = context.open_repository(&self.location, Access::Write)?;
        if self.repair {
            confirm_repair(context)?;
        }
        self.refuse_contradictions()?;
        if self.archives_only {
            return Ok(());
        }
        let _polled = PolledOperation::begin();
        let sound = repository.check(&RepositoryCheck {
            repair: self.repair,
            save_space: self.save_space,
            max_duration_s: self.max_duration_s,
            threads: context.threads(),
            interrupt: Some(&signals::INTERRUPT),
        })?;
        if !sound {
            context.reporter.exit.set_warning();
        }
        Ok(())
    }
}

impl CheckOptions {
    fn refuse_contradictions(&self) -> Result<(), CliError> {
        let refused = if self.repository_only && (self.verify_data || self.filter.is_narrowing()) {
            "--repository-only contradicts --first, --last, --glob-archives, --prefix and \
             --verify-data arguments."
        } else if self.repair && self.max_duration_s != 0 {
            "--repair does not allow --max-duration argument."
        } else if self.max_duration_s != 0 && !self.repository_only {
            "--repository-only is required for --max-duration support."
        } else {
            return Ok(());
        };
        Err(CliError::command(refused))
    }
}

/// A repair is begun only by somebody who knows what it may cost.
fn confirm_repair(context: &Context) -> Result<(), CliError> {
    let questioner = ConsoleQuestioner {
        json: context.reporter.json(),
    };
    let answer = questioner.ask(&Question {
        message: "This is a potentially dangerous function.\n\
                  check --repair might lead to data loss (for kinds of corruption it is not\n\
                  capable of dealing with). BE VERY CAREFUL!\n\
                  \n\
                  Type 'YES' if you understand this and want to continue: ",
        false_message: Some("Aborting."),
        invalid_message: Some("Invalid answer, aborting."),
        env_var: "BORG_CHECK_I_KNOW_WHAT_I_AM_DOING",
        only_yes: true,
        retry: false,
    });
    match answer {
        Answer::Yes => Ok(()),
        Answer::No => Err(CliError::new(ErrorKind::CancelledByUser, &[])),
    }
}
