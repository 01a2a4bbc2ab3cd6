//! `check`: checks a repository and its archives.

use std::ffi::OsString;

use ironborg_archive::check::{self, CheckMode};
use ironborg_archive::selection::ArchiveSelection;
use ironborg_types::{Answer, BytePath, ErrorKind, Question, Questioner};

use super::{Run, Traits};
use crate::args::filters::{ArchiveFilter, ArchiveFilterArgs};
use crate::args::{ParseError, values};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::check_report::ReportForm;
use crate::output::json::Json;
use crate::parse::{ArchivePart, ParseContext};
use crate::questions::ConsoleQuestioner;
use crate::signals::PolledOperation;

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
    /// With --repair: list what would be changed, and change nothing
    #[arg(long)]
    plan: bool,
    /// Print a report of what was found, and changed, as JSON
    #[arg(long = "json")]
    json_report: bool,
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
    plan: bool,
    json: bool,
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
            plan: self.plan,
            json: self.json_report,
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
        let repository = context.open_repository(&self.location, Access::Write)?;
        if self.repair && !self.plan {
            confirm_repair(context)?;
        }
        self.refuse_contradictions()?;
        let report = &context.reporter.checked;
        if self.json {
            report.begin(ReportForm::Json);
        } else if self.plan {
            report.begin(ReportForm::PlanLines);
        }
        let id = repository.id();
        let client = context.client_of(&self.location, id);
        let _polled = PolledOperation::begin();
        let sound = check::check(client, repository, &self.options()?)?;
        if !sound {
            context.reporter.exit.set_warning();
        }
        let collected = report.take()?;
        if self.json {
            context.print_json(vec![
                ("changes", Json::List(collected.changes)),
                ("check", self.json(sound)),
                ("findings", Json::List(collected.findings)),
                (
                    "repository",
                    Json::Object(vec![
                        ("id", id.to_string().into()),
                        ("location", context.canonical(&self.location).into()),
                    ]),
                ),
            ])?;
        } else if self.plan && collected.change_count == 0 {
            let mut stdout = Stdout::new();
            stdout.text("a repair would change nothing\n")?;
            stdout.finish()?;
        }
        Ok(())
    }
}

impl CheckOptions {
    fn options(&self) -> Result<check::CheckOptions, CliError> {
        let ArchiveFilter {
            names,
            ages,
            sort_by,
            first,
            last,
        } = &self.filter;
        let archive = self.location.archive.as_deref();
        Ok(check::CheckOptions {
            repository: !self.archives_only,
            archives: !self.repository_only,
            verify_data: self.verify_data,
            mode: self.mode(),
            save_space: self.save_space,
            max_duration_s: self.max_duration_s,
            archive: archive.map(BytePath::new),
            selection: ArchiveSelection {
                glob: names.glob()?,
                without_checkpoints: false,
                ages: *ages,
                sort_by: sort_by.0.clone(),
                first: first.unwrap_or(0),
                last: last.unwrap_or(0),
            },
            glob: names.typed().map(BytePath::new),
        })
    }

    fn mode(&self) -> CheckMode {
        match (self.repair, self.plan) {
            (false, _) => CheckMode::Look,
            (true, true) => CheckMode::Plan,
            (true, false) => CheckMode::Repair,
        }
    }

    /// What was done, for a report.
    fn json(&self, sound: bool) -> Json {
        let mode = match self.mode() {
            CheckMode::Look => "look",
            CheckMode::Plan => "plan",
            CheckMode::Repair => "repair",
        };
        Json::Object(vec![
            ("archives", Json::Bool(!self.repository_only)),
            ("mode", mode.into()),
            ("repository", Json::Bool(!self.archives_only)),
            ("sound", Json::Bool(sound)),
            ("verify_data", Json::Bool(self.verify_data)),
        ])
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
        } else if self.plan && !self.repair {
            "--plan is about a repair: give --repair too."
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
