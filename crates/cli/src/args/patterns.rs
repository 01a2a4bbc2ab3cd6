//! Options that include and exclude paths; their order across all of them counts.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::builder::OsStringValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use ironborg_source::named_file;
use ironborg_source::{PatternError, PatternSet};
use ironborg_types::{ErrorKind, text};

use super::ParseError;
use crate::error::CliError;
use crate::output::pyformat::repr;

/// Which option a pattern came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PatternOption {
    Exclude,
    ExcludeFrom,
    Pattern,
    PatternsFrom,
}

impl PatternOption {
    const ALL: [Self; 4] = [
        Self::Exclude,
        Self::ExcludeFrom,
        Self::Pattern,
        Self::PatternsFrom,
    ];

    fn id(self) -> &'static str {
        match self {
            Self::Exclude => "exclude",
            Self::ExcludeFrom => "exclude_from",
            Self::Pattern => "pattern",
            Self::PatternsFrom => "patterns_from",
        }
    }

    fn names_a_file(self) -> bool {
        matches!(self, Self::ExcludeFrom | Self::PatternsFrom)
    }

    /// Adds what one such option says.
    fn add(self, value: &OsStr, set: &mut PatternSet) -> Result<(), ParseError> {
        let bytes = value.as_bytes();
        let early = |error: PatternError| ParseError::Early(pattern_error(&error));
        match self {
            Self::Exclude => set.add_exclude(bytes).map_err(|_| {
                let value = repr(&text::display(bytes));
                let message = format!("invalid parse_exclude_pattern value: {value}");
                ParseError::argument("-e/--exclude", message)
            }),
            Self::Pattern => set.add_pattern(bytes).map_err(early),
            Self::ExcludeFrom => set.add_exclude_from(&read_patterns(value)?).map_err(early),
            Self::PatternsFrom => set.add_patterns_from(&read_patterns(value)?).map_err(early),
        }
    }

    fn describe(self) -> Arg {
        let arg = Arg::new(self.id())
            .action(ArgAction::Append)
            .value_parser(OsStringValueParser::new())
            .help_heading("Include/Exclude options");
        match self {
            Self::Exclude => arg
                .short('e')
                .long("exclude")
                .value_name("PATTERN")
                .help("Exclude paths that match PATTERN"),
            Self::ExcludeFrom => arg
                .long("exclude-from")
                .value_name("EXCLUDEFILE")
                .help("Read exclude patterns from EXCLUDEFILE, one per line"),
            Self::Pattern => arg
                .long("pattern")
                .value_name("PATTERN")
                .help("Include (+), exclude (-, !) paths or name a root (R)"),
            Self::PatternsFrom => arg
                .long("patterns-from")
                .value_name("PATTERNFILE")
                .help("Read such lines from PATTERNFILE"),
        }
    }
}

/// `-e`, `--exclude-from`, `--pattern` and `--patterns-from`, in the order given.
#[derive(Debug, Clone, Default)]
pub(crate) struct PatternArgs {
    given: Vec<(PatternOption, OsString)>,
}

impl PatternArgs {
    /// Reads the pattern files and parses all patterns.
    pub(crate) fn resolve(&self) -> Result<PatternSet, ParseError> {
        let mut set = PatternSet::new();
        for (option, value) in &self.given {
            option.add(value, &mut set)?;
        }
        Ok(set)
    }
}

/// Looks at patterns while the command line is read, for the order of errors.
#[derive(Debug)]
pub(crate) struct PatternCheck(PatternSet);

impl Default for PatternCheck {
    fn default() -> Self {
        Self(PatternSet::new())
    }
}

impl PatternCheck {
    /// Looks at the value of an option, if it is one of these.
    pub(crate) fn add(&mut self, id: &str, value: &OsStr) -> Result<(), ParseError> {
        let mut known = PatternOption::ALL.into_iter();
        let Some(option) = known.find(|option| option.id() == id) else {
            return Ok(());
        };
        // What can be read once only is left to those who need it.
        if option.names_a_file() && !named_file::can_be_read_again(value) {
            return Ok(());
        }
        option.add(value, &mut self.0)
    }
}

/// Stock Borg prints the plain text of these errors, with the exit code of a command error.
fn pattern_error(error: &PatternError) -> CliError {
    CliError::with_message(ErrorKind::CommandError, error.to_string())
}

fn read_patterns(path: &OsStr) -> Result<Vec<u8>, ParseError> {
    named_file::read(path).map_err(|error| ParseError::Early(CliError::generic(error.to_string())))
}

impl clap::FromArgMatches for PatternArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut found = Vec::new();
        for option in PatternOption::ALL {
            let id = option.id();
            let indices = matches.indices_of(id).into_iter().flatten();
            let values = matches.get_many::<OsString>(id).into_iter().flatten();
            found.extend(
                indices
                    .zip(values)
                    .map(|(index, value)| (index, option, value.clone())),
            );
        }
        found.sort_by_key(|(index, _, _)| *index);
        Ok(Self {
            given: found
                .into_iter()
                .map(|(_, option, value)| (option, value))
                .collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl clap::Args for PatternArgs {
    fn augment_args(command: Command) -> Command {
        command.args(PatternOption::ALL.map(PatternOption::describe))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}
