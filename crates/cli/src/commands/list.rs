//! `list`: lists archives, or the files of an archive.

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;

use clap::builder::{OsStringValueParser, TypedValueParser};
use ironborg_archive::Session;
use ironborg_archive::items::{ContentReader, with_content, with_items};
use ironborg_archive::references::ChunkReferences;
use ironborg_format::Operation;
use ironborg_format::item::ItemView;
use ironborg_source::{PatternMatcher, PatternSet};
use ironborg_types::{BytePath, text};

use super::extract::{matcher, selected_paths};
use super::{Run, Traits};
use crate::args::filters::{ArchiveFilter, ArchiveFilterArgs};
use crate::args::patterns::PatternArgs;
use crate::args::{ParseError, values};
use crate::console::Stdout;
use crate::context::{Access, Checkpoints, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::archive_format::ArchiveFormat;
use crate::output::hashes::ContentHash;
use crate::output::item_fields;
use crate::output::item_format::{ItemFacts, ItemFormat};
use crate::output::json::Json;
use crate::output::{item_json, stats};
use crate::parse::{ArchivePart, ParseContext};
use crate::signals;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// Repository, or archive whose files are listed [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY_OR_ARCHIVE",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Paths or patterns to list [default: all]
    #[arg(value_name = "PATH", value_parser = OsStringValueParser::new().try_map(|v| values::path(&v)))]
    paths: Vec<OsString>,
    /// List checkpoints too
    #[arg(long)]
    consider_checkpoints: bool,
    /// Only names or paths
    #[arg(long)]
    short: bool,
    /// What to show of each, such as "{path}{NL}"
    #[arg(long, value_name = "FORMAT")]
    format: Option<OsString>,
    /// List archives as JSON
    #[arg(long)]
    json: bool,
    /// List files as JSON, one object per line
    #[arg(long)]
    json_lines: bool,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
    #[command(flatten)]
    patterns: PatternArgs,
}

/// Shows an item as `ls -l` would.
const ITEM_FORMAT: &str = "{mode} {user:6} {group:6} {size:8} {mtime} {path}{extra}{NL}";
/// Shows an archive's name, time and id.
const ARCHIVE_FORMAT: &str = "{archive:<36} {time} [{id}]{NL}";

/// What will be done.
#[derive(Debug)]
pub(crate) struct ListOptions {
    location: Location,
    paths: Vec<BytePath>,
    patterns: PatternSet,
    checkpoints: Checkpoints,
    short: bool,
    format: Option<String>,
    json: bool,
    json_lines: bool,
    filter: ArchiveFilter,
}

impl ListArgs {
    /// Resolves location, placeholders and patterns.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<ListOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        let location = parse.location(name, &self.location, ArchivePart::Optional, None)?;
        let filter = self.filters.resolve(parse)?;
        let patterns = self.patterns.resolve()?;
        Ok(ListOptions {
            location,
            paths: selected_paths(&self.paths, &patterns),
            patterns,
            checkpoints: if self.consider_checkpoints {
                Checkpoints::Consider
            } else {
                Checkpoints::Skip
            },
            short: self.short,
            format: self
                .format
                .map(|format| text::display(format.as_bytes()).into_owned()),
            json: self.json,
            json_lines: self.json_lines,
            filter,
        })
    }
}

impl Run for ListOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[Operation::Read])?;
        if let Some(name) = self.location.archive.clone() {
            if self.json {
                return Err(CliError::command(
                    "The --json option is only valid for listing archives, not archive contents.",
                ));
            }
            return self.list_items(context, &session, &name);
        }
        if self.json_lines {
            return Err(CliError::command(
                "The --json-lines option is only valid for listing archive contents, not archives.",
            ));
        }
        self.list_archives(context, &session)
    }
}

impl ListOptions {
    fn format(&self, short: &'static str, long: &'static str) -> &str {
        match &self.format {
            Some(format) => format,
            None if self.short => short,
            None => long,
        }
    }

    fn list_archives(&self, context: &Context, session: &Session) -> Result<(), CliError> {
        let format = ArchiveFormat::new(self.format("{archive}{NL}", ARCHIVE_FORMAT))
            .map_err(|error| CliError::unexpected(format!("ValueError: {error}")))?;
        let archives = Context::select(session, &self.filter, self.checkpoints)?;
        format.will_show(session, &archives);
        if self.json {
            let list: Result<Vec<Json>, CliError> = archives
                .iter()
                .map(|archive| format.json(session, archive))
                .collect();
            let mut document = stats::json_basics(session);
            document.push(("archives", Json::List(list?)));
            return context.print_json(document);
        }
        let mut stdout = Stdout::new();
        for archive in &archives {
            signals::check()?;
            format.push(session, archive, stdout.buffer())?;
            stdout.flush_if_full()?;
        }
        stdout.finish()
    }

    fn list_items(self, context: &Context, session: &Session, name: &[u8]) -> Result<(), CliError> {
        let archive = session.load_archive(name)?;
        let shown = text::display(&archive.metadata.name).into_owned();
        let id = archive.id.to_string();
        let format = self.format("{path}{NL}", ITEM_FORMAT);
        let format = ItemFormat::new(format, &shown, &id)
            .map_err(|error| CliError::unexpected(format!("ValueError: {error}")))?;
        let references = format
            .needs_references()
            .then(|| ChunkReferences::load(session))
            .transpose()?;
        let json_lines = self.json_lines;
        let mut listing = Listing {
            hashes: format.hashes(),
            matcher: matcher(self.patterns, &self.paths)?,
            format,
            references,
            archive: (shown, id),
            json_lines,
            stdout: Stdout::new(),
            facts: ItemFacts::default(),
        };
        let parts = context.part_files();
        if listing.hashes.is_empty() {
            with_items(session, &archive, parts, |items| {
                items.for_each(|item| listing.take(item, None))
            })?;
        } else {
            with_items(session, &archive, parts, |items| {
                with_content(session, |content| {
                    items.for_each(|item| listing.take(item, Some(content)))
                })
            })?;
        }
        listing.stdout.finish()
    }
}

/// A listing of items on its way out.
struct Listing {
    matcher: PatternMatcher,
    format: ItemFormat,
    hashes: Vec<usize>,
    references: Option<ChunkReferences>,
    /// Name and id.
    archive: (String, String),
    json_lines: bool,
    stdout: Stdout,
    facts: ItemFacts,
}

impl Listing {
    fn take(
        &mut self,
        item: &ItemView<'_>,
        content: Option<&mut ContentReader<'_>>,
    ) -> Result<ControlFlow<()>, CliError> {
        signals::check()?;
        if !self.matcher.matches(item.path) {
            return Ok(ControlFlow::Continue(()));
        }
        if self.references.is_some() || content.is_some() {
            self.gather(item, content)?;
        }
        let out = self.stdout.buffer();
        if self.json_lines {
            let archive = (self.archive.0.as_str(), self.archive.1.as_str());
            item_json::push(&self.format, archive, item, &self.facts, out);
        } else {
            self.format
                .push(item, &self.facts, out)
                .map_err(|error| CliError::unexpected(error.0))?;
        }
        self.stdout.flush_if_full()?;
        Ok(ControlFlow::Continue(()))
    }

    /// Finds out what the item alone does not tell.
    fn gather(
        &mut self,
        item: &ItemView<'_>,
        content: Option<&mut ContentReader<'_>>,
    ) -> Result<(), CliError> {
        let chunks: Vec<_> = item_fields::chunks(item).collect();
        if let Some(references) = &self.references {
            let unique = references.unique_chunks(&chunks);
            self.facts.unique = [unique.size, unique.csize, unique.count];
        }
        self.facts.hashes.clear();
        if let Some(content) = content
            && item.chunks.is_some()
        {
            let mut hashes: Vec<ContentHash> = self
                .hashes
                .iter()
                .map(|&index| ContentHash::new(index))
                .collect();
            content.read(&chunks, |_, bytes| {
                signals::check()?;
                for hash in &mut hashes {
                    hash.update(bytes);
                }
                Ok::<_, CliError>(())
            })?;
            self.facts
                .hashes
                .extend(hashes.into_iter().map(ContentHash::finish));
        }
        Ok(())
    }
}
