//! Archives in lists: lines by `--format`, JSON objects.
//!
//! Source: Borg 1.4, `ArchiveFormatter`, `format_archive`.

use ironborg_archive::selection::ListedArchive;
use ironborg_archive::{Archive, ArchiveError, Session};
use ironborg_types::{Timestamp, text};

use super::item_fields::fixed_key;
use super::json::Json;
use super::pyformat::{self, Field, FormatError, Piece, Spec};
use super::{shell, stats, time};
use crate::error::CliError;

/// `NAME TIME [ID]`: how archives are listed when they are deleted or pruned.
pub(crate) fn line(archive: &ListedArchive) -> String {
    let name = text::display(&archive.name).into_owned();
    format!(
        "{name:<36} {} [{}]",
        time::text(time::local_time(archive.time)),
        archive.id
    )
}

/// A format string for archives.
#[derive(Debug)]
pub(crate) struct ArchiveFormat {
    pieces: Vec<Piece>,
}

/// Keys whose values stand in the archive's metadata, not in the manifest.
const METADATA_KEYS: [&str; 7] = [
    "comment",
    "bcomment",
    "end",
    "command_line",
    "hostname",
    "username",
    "tam",
];

enum Value {
    Text(String),
    Time(Timestamp),
}

impl ArchiveFormat {
    /// Prepares a format string.
    pub(crate) fn new(format: &str) -> Result<Self, FormatError> {
        Ok(Self {
            pieces: pyformat::parse(format)?,
        })
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(field),
            Piece::Literal(_) => None,
        })
    }

    fn uses(&self, key: &str) -> bool {
        self.fields().any(|field| field.name == key)
    }

    fn needs_metadata(&self) -> bool {
        METADATA_KEYS.iter().any(|key| self.uses(key))
    }

    /// Tells the session which archives are going to be shown.
    pub(crate) fn will_show(&self, session: &Session, archives: &[ListedArchive]) {
        if self.needs_metadata() {
            session.will_load(archives.iter().map(|archive| archive.name.0.as_slice()));
        }
    }

    /// Loads the archive if the format needs it.
    fn load(
        &self,
        session: &Session,
        listed: &ListedArchive,
    ) -> Result<Option<Archive>, ArchiveError> {
        self.needs_metadata()
            .then(|| session.load_archive(&listed.name))
            .transpose()
    }

    /// Appends an archive.
    pub(crate) fn push(
        &self,
        session: &Session,
        listed: &ListedArchive,
        out: &mut String,
    ) -> Result<(), CliError> {
        let archive = self.load(session, listed)?;
        for piece in &self.pieces {
            match piece {
                Piece::Literal(literal) => out.push_str(literal),
                Piece::Field(field) => push_field(field, listed, archive.as_ref(), out)
                    .map_err(|error| CliError::unexpected(error.0))?,
            }
        }
        Ok(())
    }

    /// An archive as a JSON object; the format only chooses keys.
    pub(crate) fn json(&self, session: &Session, listed: &ListedArchive) -> Result<Json, CliError> {
        let archive = self.load(session, listed)?;
        let name = text::display(&listed.name);
        let mut members: Vec<(&'static str, Json)> = vec![
            ("archive", name.as_ref().into()),
            ("barchive", Json::Bytes(listed.name.to_vec())),
            ("id", listed.id.to_string().into()),
            ("name", name.as_ref().into()),
            ("start", stats::json_time(listed.time)),
            ("time", stats::json_time(listed.time)),
        ];
        if let Some(archive) = &archive {
            for key in METADATA_KEYS.into_iter().filter(|key| self.uses(key)) {
                members.push((key, json_member(key, listed, archive)));
            }
        }
        Ok(Json::Object(members))
    }
}

fn json_member(key: &str, listed: &ListedArchive, archive: &Archive) -> Json {
    let metadata = &archive.metadata;
    match key {
        "bcomment" => Json::Bytes(metadata.comment.clone().unwrap_or_default()),
        "command_line" => Json::List(
            metadata
                .cmdline
                .iter()
                .map(|word| text::display(word).as_ref().into())
                .collect(),
        ),
        key => match value(key, listed, Some(archive)) {
            Some(Value::Text(text)) => text.into(),
            Some(Value::Time(at)) => stats::json_time(at),
            None => Json::Null,
        },
    }
}

fn push_field(
    field: &Field,
    listed: &ListedArchive,
    archive: Option<&Archive>,
    out: &mut String,
) -> Result<(), FormatError> {
    let Some(value) = value(&field.name, listed, archive) else {
        return Err(FormatError(format!(
            "KeyError: {}",
            pyformat::repr(&field.name)
        )));
    };
    let text = match (value, field.conversion) {
        (Value::Time(at), None) => {
            if field.spec.is_empty() {
                time::push_text(time::local_time(at), out);
            } else {
                time::local_time(at).format_into(&field.spec, out);
            }
            return Ok(());
        }
        (Value::Time(at), Some(_)) => time::text(time::local_time(at)),
        (Value::Text(text), Some(letter @ ('r' | 'a'))) => {
            let mut quoted = String::new();
            pyformat::push_repr(&text, letter == 'a', &mut quoted);
            quoted
        }
        (Value::Text(text), _) => text,
    };
    Spec::parse(&field.spec)?.push_text(&text, out)
}

fn value(key: &str, listed: &ListedArchive, archive: Option<&Archive>) -> Option<Value> {
    let text = |bytes: &[u8]| Value::Text(text::display(bytes).into_owned());
    let optional = |bytes: &Option<Vec<u8>>| text(bytes.as_deref().unwrap_or_default());
    Some(match key {
        "archive" | "name" | "barchive" => text(&listed.name),
        "id" => Value::Text(listed.id.to_string()),
        "start" | "time" => Value::Time(listed.time),
        _ => {
            if let Some(fixed) = fixed_key(key) {
                return Some(Value::Text(fixed.to_owned()));
            }
            let archive = archive?;
            let metadata = &archive.metadata;
            match key {
                "comment" | "bcomment" => optional(&metadata.comment),
                "hostname" => optional(&metadata.hostname),
                "username" => optional(&metadata.username),
                "tam" => text(if archive.tam_verified {
                    b"verified"
                } else {
                    b"none"
                }),
                "end" => Value::Time(metadata.end().unwrap_or(listed.time)),
                "command_line" => Value::Text(command_line(&metadata.cmdline)),
                _ => return None,
            }
        }
    })
}

/// A command line as one text that a shell would read back.
pub(crate) fn command_line(words: &[Vec<u8>]) -> String {
    let words: Vec<_> = words.iter().map(|word| text::display(word)).collect();
    shell::join(words.iter().map(AsRef::as_ref))
}
