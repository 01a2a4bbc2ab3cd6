//! Options that choose among the archives of a repository.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use ironborg_archive::selection::{ArchiveAges, SortKey, TimeSpan};
use ironborg_source::pattern::NameGlob;
use ironborg_types::text;

use super::{ParseError, values};
use crate::error::CliError;
use crate::output::pyformat::repr;
use crate::parse::ParseContext;

/// Options that choose archives by name.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Archive filters")]
pub(crate) struct ArchiveNameArgs {
    /// Only archives whose names start with PREFIX (deprecated)
    #[arg(short = 'P', long, value_name = "PREFIX")]
    prefix: Option<OsString>,
    /// Only archives whose names match GLOB
    #[arg(short = 'a', long, value_name = "GLOB")]
    glob_archives: Option<OsString>,
}

/// Options that choose archives by age.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Archive filters")]
pub(crate) struct ArchiveAgeArgs {
    /// Only archives made within TIMESPAN (such as 7d, 12m) after the oldest
    #[arg(long, value_name = "TIMESPAN", value_parser = time_span)]
    oldest: Option<TimeSpan>,
    /// Only archives made within TIMESPAN before the newest
    #[arg(long, value_name = "TIMESPAN", value_parser = time_span)]
    newest: Option<TimeSpan>,
    /// Only archives made TIMESPAN ago or earlier
    #[arg(long, value_name = "TIMESPAN", value_parser = time_span)]
    older: Option<TimeSpan>,
    /// Only archives made TIMESPAN ago or later
    #[arg(long, value_name = "TIMESPAN", value_parser = time_span)]
    newer: Option<TimeSpan>,
}

/// Options that choose among the archives of a repository.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Archive filters")]
pub(crate) struct ArchiveFilterArgs {
    #[command(flatten)]
    names: ArchiveNameArgs,
    /// Sort by these of timestamp, name, id, separated by commas [default: timestamp]
    #[arg(long, value_name = "KEYS", value_parser = sort_keys, default_value = "timestamp", hide_default_value = true)]
    sort_by: SortKeys,
    /// Only the first N archives
    #[arg(long, value_name = "N", value_parser = values::positive)]
    first: Option<usize>,
    /// Only the last N archives
    #[arg(long, value_name = "N", value_parser = values::positive)]
    last: Option<usize>,
    #[command(flatten)]
    ages: ArchiveAgeArgs,
}

/// Keys, the most significant first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SortKeys(pub(crate) Vec<SortKey>);

fn sort_keys(text: &str) -> Result<SortKeys, String> {
    let key = |word: &str| {
        word.parse()
            .map_err(|()| format!("Invalid sort key: {word}"))
    };
    text.split(',')
        .map(key)
        .collect::<Result<_, _>>()
        .map(SortKeys)
}

fn time_span(text: &str) -> Result<TimeSpan, String> {
    text.parse().map_err(|_| {
        format!(
            "Invalid time span {}: expected a number followed by one of y, m, w, d, H, M, S",
            repr(text)
        )
    })
}

/// Names of archives: a shell-style glob on the whole name, or all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ArchiveNames(Option<Vec<u8>>);

impl ArchiveNames {
    /// The glob as it was typed, placeholders expanded.
    pub(crate) fn typed(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }

    /// The glob, ready to match.
    pub(crate) fn glob(&self) -> Result<Option<NameGlob>, CliError> {
        let glob = self.0.as_deref();
        glob.map(|glob| NameGlob::new(&text::display(glob)))
            .transpose()
            .map_err(|error| CliError::unexpected(error.to_string()))
    }
}

/// Which archives a command works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ArchiveFilter {
    /// What they are called.
    pub(crate) names: ArchiveNames,
    /// How old they are.
    pub(crate) ages: ArchiveAges,
    /// The order archives are taken in.
    pub(crate) sort_by: SortKeys,
    /// Only so many of the first.
    pub(crate) first: Option<usize>,
    /// Only so many of the last.
    pub(crate) last: Option<usize>,
}

impl ArchiveFilter {
    /// Whether any option narrows the choice (sorting does not).
    pub(crate) fn is_narrowing(&self) -> bool {
        self.names.0.is_some()
            || self.ages.is_bounded()
            || self.first.is_some()
            || self.last.is_some()
    }
}

impl ArchiveNameArgs {
    /// Expands the placeholders.
    pub(crate) fn resolve(&self, parse: &ParseContext<'_>) -> Result<ArchiveNames, ParseError> {
        let glob = match (&self.prefix, &self.glob_archives) {
            (Some(prefix), _) => {
                let mut glob = parse.expand("-P/--prefix", prefix.as_bytes())?;
                glob.push(b'*');
                Some(glob)
            }
            // An empty glob counts as none given.
            (None, Some(glob)) => {
                Some(parse.expand("-a/--glob-archives", glob.as_bytes())?).filter(|g| !g.is_empty())
            }
            (None, None) => None,
        };
        Ok(ArchiveNames(glob))
    }
}

impl ArchiveAgeArgs {
    /// The bounds.
    pub(crate) fn resolve(&self) -> ArchiveAges {
        ArchiveAges {
            older: self.older,
            newer: self.newer,
            oldest: self.oldest,
            newest: self.newest,
        }
    }
}

impl ArchiveFilterArgs {
    /// Expands the placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ArchiveFilter, ParseError> {
        Ok(ArchiveFilter {
            names: self.names.resolve(parse)?,
            ages: self.ages.resolve(),
            sort_by: self.sort_by,
            first: self.first,
            last: self.last,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sort_keys_are_read_as_borg_reads_them() {
        for case in crate::test_vectors::strings()["sort_by"]
            .as_array()
            .unwrap()
        {
            let expected = case["out"].as_str().map(|keys| {
                SortKeys(
                    keys.split(',')
                        .map(|key| match key {
                            "ts" => SortKey::Timestamp,
                            "name" => SortKey::Name,
                            "id" => SortKey::Id,
                            other => panic!("unknown key {other}"),
                        })
                        .collect(),
                )
            });
            let parsed = sort_keys(case["in"].as_str().unwrap());
            assert_eq!(parsed.as_ref().ok(), expected.as_ref(), "{case}");
            if let Err(message) = parsed {
                assert_eq!(case["error"], format!("ArgumentTypeError: {message}"));
            }
        }
    }
}
