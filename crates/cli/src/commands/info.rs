//! `info`: facts and figures of a repository or of archives.

use std::ffi::OsString;

use ironborg_archive::Session;
use ironborg_archive::info::{self, ArchiveReport};
use ironborg_archive::keys::KeyTarget;
use ironborg_archive::references::ReferenceSums;
use ironborg_archive::statistics::{self, CacheStatistics};
use ironborg_crypto::KeyMode;
use ironborg_format::Operation;
use ironborg_format::msgpack::Value;
use ironborg_types::{ArchiveId, BytePath, text};

use super::{Run, Traits};
use crate::args::ParseError;
use crate::args::filters::{ArchiveFilter, ArchiveFilterArgs};
use crate::console::Stdout;
use crate::context::{Access, Checkpoints, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::archive_format::command_line;
use crate::output::float::percent;
use crate::output::json::Json;
use crate::output::size::format_duration;
use crate::output::stats::{self, DASHES, HEADER};
use crate::output::time;
use crate::parse::{ArchivePart, ParseContext};
use crate::signals;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct InfoArgs {
    /// Repository or archive [default: BORG_REPO]
    #[arg(
        value_name = "REPOSITORY_OR_ARCHIVE",
        default_value = "",
        hide_default_value = true
    )]
    location: OsString,
    /// Report as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    filters: ArchiveFilterArgs,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct InfoOptions {
    location: Location,
    json: bool,
    filter: ArchiveFilter,
}

impl InfoArgs {
    /// Resolves location and placeholders.
    pub(crate) fn resolve(self, parse: &ParseContext<'_>) -> Result<InfoOptions, ParseError> {
        let name = "REPOSITORY_OR_ARCHIVE";
        Ok(InfoOptions {
            location: parse.location(name, &self.location, ArchivePart::Optional, None)?,
            json: self.json,
            filter: self.filters.resolve(parse)?,
        })
    }
}

impl Run for InfoOptions {
    fn traits(&self) -> Traits {
        Traits {
            may_bypass_lock: true,
            ..Traits::default()
        }
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let session = context.open_session(&self.location, Access::Read, &[Operation::Read])?;
        let parts = context.part_files();
        let of_repository = self.location.archive.is_none() && !self.filter.is_narrowing();
        let names: Vec<BytePath> = if of_repository {
            Vec::new()
        } else if let Some(name) = &self.location.archive {
            vec![BytePath::new(name.as_slice())]
        } else {
            let listed = Context::select(&session, &self.filter, Checkpoints::Consider)?;
            listed.into_iter().map(|archive| archive.name).collect()
        };
        let entries = &session.manifest.archives;
        let shown = names.iter().filter_map(|name| entries.get(&name.0));
        let shown: Vec<ArchiveId> = shown.map(|entry| entry.id).collect();
        let references = ReferenceSums::load(&session, &shown)?;
        let all = statistics::all_archives_of(&session, references.totals(), parts)?;
        if of_repository {
            return self.show_repository(context, &session, &all);
        }
        let mut reports = Vec::new();
        let mut stdout = Stdout::new();
        session.will_load(names.iter().map(|name| name.0.as_slice()));
        for (index, name) in names.iter().enumerate() {
            signals::check()?;
            let archive = session.load_archive(name)?;
            let report = info::describe(&session, &archive, &references, parts)?;
            if self.json {
                reports.push(archive_json(&report));
            } else {
                if index > 0 {
                    stdout.text("\n")?;
                }
                stdout.text(&archive_text(context, &report, &all))?;
            }
        }
        if !self.json {
            return stdout.finish();
        }
        let mut document = stats::json_basics(&session);
        document.push(("archives", Json::List(reports)));
        document.push(("cache", stats::json_cache(context, &session, &all)));
        context.print_json(document)
    }
}

impl InfoOptions {
    fn show_repository(
        &self,
        context: &Context,
        session: &Session,
        all: &CacheStatistics,
    ) -> Result<(), CliError> {
        let id = session.repository.id().to_string();
        let security = context.directories.security.join(&id);
        let cache = context.directories.cache.join(&id);
        if self.json {
            let mut document = stats::json_basics(session);
            document.push(("cache", stats::json_cache(context, session, all)));
            document.push(("security_dir", security.to_string_lossy().as_ref().into()));
            return context.print_json(document);
        }
        let mode = session.key.mode();
        let encrypted = match mode {
            KeyMode::None | KeyMode::Authenticated => "No".to_owned(),
            mode => format!("Yes ({})", mode.name()),
        };
        let key_file = match &session.key_target {
            KeyTarget::File(path) => format!("\nKey file: {}", path.display()),
            KeyTarget::None | KeyTarget::Repository => String::new(),
        };
        let mut stdout = Stdout::new();
        stdout.text(&format!(
            "Repository ID: {id}\nLocation: {}\nEncrypted: {encrypted}{key_file}\nCache: {}\nSecurity dir: {}\n{DASHES}\n{HEADER}\n{}\n",
            session.client.location,
            cache.display(),
            security.display(),
            stats::cache_block(all, context.units()),
        ))?;
        stdout.finish()
    }
}

fn archive_text(context: &Context, report: &ArchiveReport, all: &CacheStatistics) -> String {
    let units = context.units();
    let shown = |bytes: &[u8]| text::display(bytes).into_owned();
    let time = |at| time::text(time::local_time(at));
    let figures = &report.statistics;
    let sizes = [
        figures.original_size,
        figures.compressed_size,
        figures.deduplicated_size,
    ];
    format!(
        "Archive name: {}\nArchive fingerprint: {}\nComment: {}\nHostname: {}\nUsername: {}\n\
         Time (start): {}\nTime (end): {}\nDuration: {}\nNumber of files: {}\nWorking Directory: {}\n\
         Command line: {}\nUtilization of maximum supported archive size: {}\n{DASHES}\n{HEADER}\n{}\n{}\n",
        shown(&report.name),
        report.id,
        shown(&report.comment),
        shown(&report.hostname),
        shown(&report.username),
        time(report.start),
        time(report.end),
        format_duration(report.end.0 - report.start.0),
        figures.nfiles,
        shown(&report.cwd),
        command_line(&report.command_line),
        percent(report.max_archive_size),
        stats::size_line("This archive:", sizes, units),
        stats::cache_block(all, units),
    )
}

fn archive_json(report: &ArchiveReport) -> Json {
    let bytes = |bytes: &[u8]| Json::Bytes(bytes.to_vec());
    let figures = &report.statistics;
    Json::Object(vec![
        (
            "chunker_params",
            report
                .chunker_params
                .as_deref()
                .map_or("".into(), chunker_json),
        ),
        (
            "command_line",
            Json::List(report.command_line.iter().map(|word| bytes(word)).collect()),
        ),
        ("comment", bytes(&report.comment)),
        ("cwd", bytes(&report.cwd)),
        (
            "duration",
            Json::Float((report.end.0 - report.start.0) as f64 / 1e6),
        ),
        ("end", stats::json_time(report.end)),
        ("hostname", bytes(&report.hostname)),
        ("id", report.id.to_string().into()),
        (
            "limits",
            Json::Object(vec![(
                "max_archive_size",
                Json::Float(report.max_archive_size),
            )]),
        ),
        ("name", bytes(&report.name)),
        ("start", stats::json_time(report.start)),
        (
            "stats",
            Json::Object(vec![
                ("compressed_size", figures.compressed_size.into()),
                ("deduplicated_size", figures.deduplicated_size.into()),
                ("nfiles", figures.nfiles.into()),
                ("original_size", figures.original_size.into()),
            ]),
        ),
        ("username", bytes(&report.username)),
    ])
}

fn chunker_json(params: &[Value<'static>]) -> Json {
    let element = |value: &Value<'static>| match value {
        Value::Raw(bytes) => Json::Bytes(bytes.to_vec()),
        other => other.as_u64().map_or(Json::Null, Json::from),
    };
    Json::List(params.iter().map(element).collect())
}
