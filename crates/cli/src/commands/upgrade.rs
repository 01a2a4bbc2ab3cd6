//! `upgrade`: bring an old repository up to date.

use std::ffi::OsString;
use std::path::PathBuf;

use ironborg_archive::tam_upgrade::{self, TamReport, Task};
use ironborg_archive::{ManifestDemand, attic};
use ironborg_types::{Level, Timestamp};

use super::{Run, Traits};
use crate::args::ParseError;
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::{archive_format, time};
use crate::parse::{ArchivePart, ParseContext};

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct UpgradeArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Only say what would be done to a repository of Attic
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Change a repository of Attic without keeping a copy of it
    #[arg(long)]
    inplace: bool,
    /// Go on with a manifest that is not authenticated
    #[arg(long)]
    force: bool,
    /// Demand from now on that the manifest is authenticated
    #[arg(long)]
    tam: bool,
    /// Say whether the manifest is authenticated, and has to be
    #[arg(long)]
    check_tam: bool,
    /// Stop demanding that the manifest is authenticated
    #[arg(long)]
    disable_tam: bool,
    /// Say which archives are authenticated
    #[arg(long)]
    check_archives_tam: bool,
    /// Authenticate all archives that are not
    #[arg(long)]
    archives_tam: bool,
}

/// One of the things that may be wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    ArchivesTam(Task),
    Tam(Task),
    DisableTam,
    FromAttic,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct UpgradeOptions {
    location: Location,
    wish: Wish,
    demand: ManifestDemand,
    dry_run: bool,
    inplace: bool,
}

impl UpgradeArgs {
    /// Resolves the location; of several wishes stock Borg's first one counts.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<UpgradeOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        let task = |check| if check { Task::Check } else { Task::Fix };
        let wish = if self.archives_tam || self.check_archives_tam {
            Wish::ArchivesTam(task(self.check_archives_tam))
        } else if self.tam || self.check_tam {
            Wish::Tam(task(self.check_tam))
        } else if self.disable_tam {
            Wish::DisableTam
        } else {
            Wish::FromAttic
        };
        Ok(UpgradeOptions {
            location,
            wish,
            demand: if self.force {
                ManifestDemand::Nothing
            } else {
                ManifestDemand::AsTheKeySays
            },
            dry_run: self.dry_run,
            inplace: self.inplace,
        })
    }
}

impl Run for UpgradeOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        if self.wish == Wish::FromAttic {
            return self.convert_attic(context);
        }
        let repository = context.open_repository(&self.location, Access::Write)?;
        let client = context.client_of(&self.location, repository.id());
        let mut session = match self.wish {
            Wish::DisableTam => tam_upgrade::open_to_disable(client, repository)?,
            _ => tam_upgrade::open(client, repository, self.demand)?,
        };
        let mut teller = Teller::new(context);
        let mut report = |event| teller.tell(event);
        match self.wish {
            Wish::ArchivesTam(task) => {
                let missing = tam_upgrade::archives_tam(&mut session, task, &mut report)?;
                teller.sum_up_archives(task, missing);
            }
            Wish::Tam(task) => {
                tam_upgrade::require(&mut session, task, &mut report)?;
                if task == Task::Check && !teller.warned {
                    teller.say(
                        "Manifest authentication setup OK for this client and this repository.",
                    );
                }
            }
            Wish::DisableTam | Wish::FromAttic => {
                tam_upgrade::disable(&mut session, &mut report)?;
            }
        }
        teller.finish()
    }
}

impl UpgradeOptions {
    /// What stock Borg does without an option: a repository of Attic becomes one of Borg.
    fn convert_attic(&self, context: &Context) -> Result<(), CliError> {
        let path = context.local_path(&self.location)?;
        let copy = (!self.inplace).then(|| {
            let mut suffix = String::from(".before-upgrade-");
            time::local_time(Timestamp::now()).format_into("%Y-%m-%d-%H:%M:%S", &mut suffix);
            let mut copy = path.clone().into_os_string();
            copy.push(suffix);
            PathBuf::from(copy)
        });
        let conversion = attic::Conversion {
            path: &path,
            copy: copy.as_deref(),
            attic_keys: &context.absolute(&context.directories.attic_keys),
            old_keys: &context.absolute(&context.directories.old_keys),
            dry_run: self.dry_run,
            progress: context.common.progress,
        };
        let client = context.client(&self.location);
        attic::convert(&client, &conversion)?;
        // What was converted must be one of Borg's by now, and so must one that was before.
        let repository = context.open_repository(&self.location, Access::Read)?;
        Ok(attic::copy_old_key(&client, repository.id(), &conversion)?)
    }
}

/// Says on standard output what has been done; what is wrong is a warning.
struct Teller<'a> {
    context: &'a Context,
    result: Result<(), CliError>,
    warned: bool,
}

impl<'a> Teller<'a> {
    fn new(context: &'a Context) -> Self {
        Self {
            context,
            result: Ok(()),
            warned: false,
        }
    }

    /// Says it at once: what comes next may take its time, or fail.
    fn say(&mut self, line: &str) {
        let mut stdout = Stdout::new();
        let said = stdout
            .text(&format!("{line}\n"))
            .and_then(|()| stdout.finish());
        if self.result.is_ok() {
            self.result = said;
        }
    }

    fn warn(&mut self, text: &str) {
        self.warned = true;
        self.context.log(Level::Warning, text);
        self.context.reporter.exit.add_generic_warning();
    }

    fn tell(&mut self, event: TamReport) {
        let line = archive_format::line;
        match event {
            TamReport::Manifest(archives) => {
                self.say("Manifest contents:");
                for archive in &archives {
                    self.say(&line(archive));
                }
            }
            TamReport::Key(place) => {
                self.say("Key updated");
                self.say(&format!("Key location: {place}"));
            }
            TamReport::SecurityRecord => self.say("Updated security database"),
            TamReport::ManifestLacks => {
                self.warn("Repository Manifest is not TAM verified or a TAM is not required!");
            }
            TamReport::KeyLacks => self.warn("Key does not require TAM authentication!"),
            TamReport::SecurityRecordLacks => {
                self.warn("Client-side security database does not require a TAM!");
            }
            TamReport::ArchivePresent(archive) => {
                self.say(&format!("Archive TAM present: {}", line(&archive)));
            }
            TamReport::ArchiveMissing(archive) => {
                self.say(&format!("Archive TAM missing: {}", line(&archive)));
            }
            TamReport::ArchiveAdded(archive, id) => {
                self.say(&format!(
                    "Added archive TAM:   {} -> [{id}]",
                    line(&archive)
                ));
            }
        }
    }

    fn sum_up_archives(&mut self, task: Task, missing: usize) {
        match (task, missing) {
            (_, 0) => self.say("All archives are TAM authenticated."),
            (Task::Check, _) => self.warn(&format!("Found {missing} archives with TAM issues!")),
            (Task::Fix, _) => {
                self.say(&format!("Fixed {missing} archives with TAM issues!"));
                self.say("All archives are TAM authenticated now.");
            }
        }
    }

    fn finish(self) -> Result<(), CliError> {
        self.result
    }
}
