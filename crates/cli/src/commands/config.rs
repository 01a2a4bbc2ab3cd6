//! `config`: shows and changes the settings of a repository, or of the cache.

use std::ffi::OsString;

use ironborg_archive::cache_config;
use ironborg_format::Operation;
use ironborg_format::config::{Config, parse_integer, parse_size};
use ironborg_types::RepositoryId;

use super::{Run, Traits};
use crate::args::ParseError;
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::pyformat::repr;
use crate::parse::{ArchivePart, ParseContext};

/// The section of a repository's settings.
const REPOSITORY: &str = "repository";
/// Section of the values that count for all others.
const DEFAULT: &str = "DEFAULT";
/// What `--list` shows, in this order.
const LISTED: [&str; 7] = [
    "version",
    "segments_per_dir",
    "max_segment_size",
    "storage_quota",
    "additional_free_space",
    "append_only",
    "id",
];
/// What `--list` shows behind them if it is there.
const LISTED_IF_SET: &str = "last_segment_checked";
/// Smallest quota and reserve but none, in bytes.
const SPACE_MIN: u64 = 10_000_000;
/// Segments must stay smaller: offsets are 32 bit, and one entry may exceed the limit.
const SEGMENT_SIZE_LIMIT: u64 = (1 << 32) - 20 * 1024 * 1024;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ConfigArgs {
    /// Repository [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Setting to show or change
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Its new value
    #[arg(value_name = "VALUE")]
    value: Option<String>,
    /// Work on the settings of the cache
    #[arg(short = 'c', long)]
    cache: bool,
    /// Delete the setting
    #[arg(short = 'd', long)]
    delete: bool,
    /// List the settings of the repository
    #[arg(short = 'l', long)]
    list: bool,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct ConfigOptions {
    location: Location,
    cache: bool,
    action: Action,
}

/// What is done with the settings.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    List,
    Show(Name),
    Set(Name, String),
    Delete(Name),
    /// No setting was named.
    Nothing,
}

/// A setting's full name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    section: String,
    key: String,
}

impl Name {
    /// Reads `SECTION.KEY`; without exactly one dot it is a key of `section`.
    fn read(text: &str, section: &str) -> Self {
        let parts: Vec<&str> = text.split('.').collect();
        let (section, key) = match parts[..] {
            [section, key] => (section, key),
            _ => (section, text),
        };
        Self {
            section: section.to_owned(),
            key: key.to_owned(),
        }
    }
}

impl ConfigArgs {
    /// Resolves the location, which must be a local one.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ConfigOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        if location.is_remote() {
            let shown = self.location.to_string_lossy();
            let message = format!("\"{shown}\": Repository must be local");
            return Err(ParseError::argument("REPOSITORY", message));
        }
        let section = if self.cache {
            cache_config::SECTION
        } else {
            REPOSITORY
        };
        let name = self.name.map(|name| Name::read(&name, section));
        // An empty value is none, and what `--list` and `--delete` do not need is ignored.
        let value = self.value.filter(|value| !value.is_empty());
        let action = match (name, value) {
            _ if self.list => Action::List,
            (None, _) => Action::Nothing,
            (Some(name), _) if self.delete => Action::Delete(name),
            (Some(name), Some(value)) => Action::Set(name, value),
            (Some(name), None) => Action::Show(name),
        };
        Ok(ConfigOptions {
            location,
            cache: self.cache,
            action,
        })
    }
}

impl Run for ConfigOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        if self.cache {
            self.run_on_cache(context)
        } else {
            self.run_on_repository(context)
        }
    }
}

impl ConfigOptions {
    fn run_on_repository(&self, context: &Context) -> Result<(), CliError> {
        let mut repository = context.open_local(&self.location, Access::Write)?;
        let mut config = repository.config().clone();
        match &self.action {
            Action::Nothing => return Err(no_name()),
            Action::List => return list(&config),
            Action::Show(name) => return show(&config, name),
            Action::Set(name, value) => {
                check_name(name, REPOSITORY, is_repository_setting)?;
                check_repository_value(&name.key, value).map_err(CliError::unexpected)?;
                config.set(REPOSITORY, &name.key, value.as_str());
            }
            Action::Delete(name) => {
                check_name(name, REPOSITORY, is_repository_setting)?;
                config.remove(REPOSITORY, &name.key);
            }
        }
        Ok(repository.save_config(config)?)
    }

    fn run_on_cache(&self, context: &Context) -> Result<(), CliError> {
        if self.action == Action::Nothing {
            // Stock Borg says so before it asks for the passphrase.
            context.open_local(&self.location, Access::Write)?;
            return Err(no_name());
        }
        let session = context.open_session(&self.location, Access::Write, &[Operation::Write])?;
        let location = match &self.action {
            Action::Nothing => return Err(no_name()),
            Action::List => return list(&cache_config::load(&session)?),
            Action::Show(name) => return show(&cache_config::load(&session)?, name),
            Action::Set(name, value) => {
                check_name(name, cache_config::SECTION, is_cache_setting)?;
                let parsed = Location::parse(value.as_bytes());
                parsed.ok_or_else(|| {
                    CliError::unexpected(format!("Invalid location format: \"{value}\""))
                })?;
                Some(value.as_str())
            }
            Action::Delete(name) => {
                check_name(name, cache_config::SECTION, is_cache_setting)?;
                None
            }
        };
        Ok(cache_config::set_previous_location(&session, location)?)
    }
}

fn no_name() -> CliError {
    CliError::command("No config key name was provided.")
}

/// Lists what matters; stock Borg prints Python's `False` for what is not set.
fn list(config: &Config) -> Result<(), CliError> {
    let mut stdout = Stdout::new();
    stdout.text("[repository]\n")?;
    for key in LISTED {
        let value = config.get(REPOSITORY, key).unwrap_or("False");
        stdout.text(&format!("{key} = {value}\n"))?;
    }
    if let Some(value) = config.get(REPOSITORY, LISTED_IF_SET) {
        stdout.text(&format!("{LISTED_IF_SET} = {value}\n"))?;
    }
    stdout.finish()
}

fn show(config: &Config, name: &Name) -> Result<(), CliError> {
    let section = &name.section;
    let value = config.get(section, &name.key).ok_or_else(|| {
        let shown = repr(section);
        CliError::generic(if section == DEFAULT || config.has_section(section) {
            let key = repr(&name.key.to_lowercase());
            format!("No option {key} in section: {shown}")
        } else {
            format!("No section: {shown}")
        })
    })?;
    let mut stdout = Stdout::new();
    stdout.text(&format!("{value}\n"))?;
    stdout.finish()
}

/// Only known settings can be changed.
fn check_name(
    name: &Name,
    section: &str,
    is_setting: impl Fn(&str) -> bool,
) -> Result<(), CliError> {
    if name.section != section {
        return Err(CliError::unexpected("Invalid section"));
    }
    if !is_setting(&name.key) {
        return Err(CliError::unexpected("Invalid name"));
    }
    Ok(())
}

fn is_repository_setting(key: &str) -> bool {
    key == LISTED_IF_SET || LISTED[1..].contains(&key)
}

fn is_cache_setting(key: &str) -> bool {
    key == "previous_location"
}

/// Refuses what stock Borg refuses, and what neither program could open the repository with any more.
fn check_repository_value(key: &str, value: &str) -> Result<(), String> {
    let invalid = || "Invalid value".to_owned();
    let too_small = |size: u64| size != 0 && size < SPACE_MIN;
    match key {
        "segments_per_dir" => match parse_integer(value) {
            Some(1..=0x7fff_ffff) => Ok(()),
            _ => Err(invalid()),
        },
        LISTED_IF_SET => parse_integer(value).map(drop).ok_or_else(invalid),
        "max_segment_size" => match parse_size(value).ok_or_else(invalid)? {
            SEGMENT_SIZE_LIMIT.. => Err(format!(
                "Invalid value: max_segment_size >= {SEGMENT_SIZE_LIMIT}"
            )),
            _ => Ok(()),
        },
        "storage_quota" | "additional_free_space" => {
            if too_small(parse_size(value).ok_or_else(invalid)?) {
                return Err(format!("Invalid value: {key} < 10M"));
            }
            Ok(())
        }
        "append_only" if matches!(value, "0" | "1") => Ok(()),
        "id" => value
            .parse::<RepositoryId>()
            .map(drop)
            .map_err(|_| invalid()),
        _ => Err(invalid()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_a_section() {
        let check = |text, section: &str, key: &str| {
            let name = Name::read(text, REPOSITORY);
            assert_eq!(
                (name.section.as_str(), name.key.as_str()),
                (section, key),
                "{text}"
            );
        };
        check("id", "repository", "id");
        check("cache.id", "cache", "id");
        check("a.b.c", "repository", "a.b.c");
        check(".", "", "");
    }

    #[test]
    fn values_are_checked() {
        for (key, good, bad) in [
            ("segments_per_dir", ["1", " 1_000 "], ["0", "x"]),
            ("last_segment_checked", ["0", "-1"], ["1.5", ""]),
            (
                "max_segment_size",
                ["1M", "4273995775"],
                ["4273995776", "-1"],
            ),
            ("storage_quota", ["0", "10M"], ["9M", "1Q"]),
            ("additional_free_space", ["0", "1.5G"], ["9999999", "no"]),
            ("append_only", ["0", "1"], ["true", "2"]),
        ] {
            for value in good {
                assert_eq!(check_repository_value(key, value), Ok(()), "{key} {value}");
            }
            for value in bad {
                assert!(check_repository_value(key, value).is_err(), "{key} {value}");
            }
        }
        let id = "0123456789abcdef".repeat(4);
        assert_eq!(check_repository_value("id", &id), Ok(()));
        assert!(check_repository_value("id", &id[1..]).is_err());
    }
}
