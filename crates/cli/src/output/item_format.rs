//! `list --format` of an archive's items.
//!
//! Source: Borg 1.4, `ItemFormatter`.

use ironborg_archive::items::item_size;
use ironborg_format::item::ItemView;
use ironborg_types::text;

use super::item_fields::{self, ItemKey, Owner};
use super::pyformat::{self, Field, FormatError, Piece, Spec};
use super::time;

/// What a format needs to know of an item beyond the item itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct ItemFacts {
    /// `dsize`, `dcsize`, `unique_chunks`
    pub(crate) unique: [u64; 3],
    /// Hashes of the content, in the order of [`ItemFormat::hashes`]; empty texts for items without.
    pub(crate) hashes: Vec<String>,
}

/// A format string made ready for many items.
#[derive(Debug)]
pub(crate) struct ItemFormat {
    steps: Vec<Step>,
    /// Keys in the order of their first use.
    keys: Vec<ItemKey>,
    /// Names of the keys, as above.
    key_names: Vec<String>,
    archive_name: String,
    archive_id: String,
    scratch: String,
}

#[derive(Debug)]
enum Step {
    Literal(String),
    Value {
        key: ItemKey,
        conversion: Option<char>,
        spec: FieldSpec,
    },
    /// A key nobody knows: an error as soon as an item is formatted.
    Unknown(String),
}

#[derive(Debug)]
enum FieldSpec {
    /// Nothing to be done.
    Plain,
    /// For texts and numbers.
    Padded(Spec),
    /// For times.
    Time(String),
}

impl ItemFormat {
    /// Prepares a format string for the items of an archive.
    pub(crate) fn new(
        format: &str,
        archive_name: &str,
        archive_id: &str,
    ) -> Result<Self, FormatError> {
        let mut prepared = Self {
            steps: Vec::new(),
            keys: Vec::new(),
            key_names: Vec::new(),
            archive_name: archive_name.to_owned(),
            archive_id: archive_id.to_owned(),
            scratch: String::new(),
        };
        for piece in pyformat::parse(format)? {
            let step = match piece {
                Piece::Literal(text) => Step::Literal(text),
                Piece::Field(field) => prepared.step(field)?,
            };
            prepared.steps.push(step);
        }
        Ok(prepared)
    }

    fn step(&mut self, field: Field) -> Result<Step, FormatError> {
        let Some(key) = ItemKey::from_name(&field.name) else {
            return Ok(Step::Unknown(field.name));
        };
        if !self.key_names.contains(&field.name) {
            self.keys.push(key);
            self.key_names.push(field.name);
        }
        let is_time = matches!(key, ItemKey::Mtime | ItemKey::Ctime | ItemKey::Atime);
        let spec = if field.spec.is_empty() {
            FieldSpec::Plain
        } else if is_time && field.conversion.is_none() {
            FieldSpec::Time(field.spec)
        } else {
            FieldSpec::Padded(Spec::parse(&field.spec)?)
        };
        Ok(Step::Value {
            key,
            conversion: field.conversion,
            spec,
        })
    }

    /// Keys in the order of their first use, with their names.
    pub(crate) fn keys(&self) -> impl Iterator<Item = (ItemKey, &str)> {
        self.keys
            .iter()
            .copied()
            .zip(self.key_names.iter().map(String::as_str))
    }

    /// Whether reference counts are needed.
    pub(crate) fn needs_references(&self) -> bool {
        self.keys.iter().any(|key| key.needs_references())
    }

    /// The content hashes to compute.
    pub(crate) fn hashes(&self) -> Vec<usize> {
        let index = |key: &ItemKey| match key {
            ItemKey::Hash(index) => Some(*index),
            _ => None,
        };
        self.keys.iter().filter_map(index).collect()
    }

    /// Appends an item.
    ///
    /// # Errors
    /// A key nobody knows, or a specification that does not fit its value; the text is Python's.
    pub(crate) fn push(
        &mut self,
        item: &ItemView<'_>,
        facts: &ItemFacts,
        out: &mut String,
    ) -> Result<(), FormatError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        for step in &self.steps {
            match step {
                Step::Literal(text) => out.push_str(text),
                Step::Unknown(name) => {
                    return Err(FormatError(format!("KeyError: {}", pyformat::repr(name))));
                }
                Step::Value {
                    key,
                    conversion: None,
                    spec: FieldSpec::Plain,
                } => {
                    self.push_text(*key, item, facts, out);
                }
                Step::Value {
                    key,
                    conversion,
                    spec,
                } => {
                    self.push_padded(*key, *conversion, spec, item, facts, &mut scratch, out)?;
                }
            }
        }
        self.scratch = scratch;
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // The inner half of `push`, with what that has at hand.
    fn push_padded(
        &self,
        key: ItemKey,
        conversion: Option<char>,
        spec: &FieldSpec,
        item: &ItemView<'_>,
        facts: &ItemFacts,
        scratch: &mut String,
        out: &mut String,
    ) -> Result<(), FormatError> {
        let plain = Spec::default();
        let padded = match spec {
            FieldSpec::Time(format) => {
                time_of(key, item).format_into(format, out);
                return Ok(());
            }
            FieldSpec::Padded(spec) => spec,
            FieldSpec::Plain => &plain,
        };
        if conversion.is_none()
            && let Some(number) = number_of(key, item, facts)
        {
            return padded.push_int(number, out);
        }
        scratch.clear();
        self.push_text(key, item, facts, scratch);
        match conversion {
            Some(letter @ ('r' | 'a')) if number_of(key, item, facts).is_none() => {
                let mut quoted = String::new();
                pyformat::push_repr(scratch, letter == 'a', &mut quoted);
                padded.push_text(&quoted, out)
            }
            None | Some('r' | 'a' | 's') => padded.push_text(scratch, out),
            Some(other) => Err(FormatError(format!("Unknown conversion specifier {other}"))),
        }
    }

    /// Appends a value without any specification.
    fn push_text(&self, key: ItemKey, item: &ItemView<'_>, facts: &ItemFacts, out: &mut String) {
        match key {
            ItemKey::Type => out.push(char::from(item_fields::type_letter(item.mode))),
            ItemKey::Mode => out.extend(item_fields::mode_letters(item).map(char::from)),
            ItemKey::User => push_owner(&Owner::user(item), out),
            ItemKey::Group => push_owner(&Owner::group(item), out),
            ItemKey::Path | ItemKey::Bpath => out.push_str(&text::display(item.path)),
            ItemKey::Source => out.push_str(&item_fields::source(item)),
            ItemKey::Mtime | ItemKey::Ctime | ItemKey::Atime => {
                time::push_text(time_of(key, item), out);
            }
            ItemKey::IsoMtime | ItemKey::IsoCtime | ItemKey::IsoAtime => {
                time::push_iso(time_of(key, item), out);
            }
            ItemKey::Hash(index) => out.push_str(self.hash_of(index, facts)),
            ItemKey::ArchiveId => out.push_str(&self.archive_id),
            ItemKey::ArchiveName => out.push_str(&self.archive_name),
            ItemKey::Extra => item_fields::push_extra(item, out),
            ItemKey::Health => {
                let broken = item.chunks_healthy.is_some();
                out.push_str(if broken { "broken" } else { "healthy" });
            }
            ItemKey::Fixed(text) => out.push_str(text),
            other => {
                let number = number_of(other, item, facts).unwrap_or(0);
                push_number(number, out);
            }
        }
    }

    /// The hash of that kind among those computed.
    pub(crate) fn hash_of<'f>(&self, index: usize, facts: &'f ItemFacts) -> &'f str {
        let at = self.hashes().iter().position(|known| *known == index);
        at.and_then(|at| facts.hashes.get(at))
            .map_or("", String::as_str)
    }
}

fn push_owner(owner: &Owner<'_>, out: &mut String) {
    match owner {
        Owner::Name(name) => out.push_str(name),
        Owner::Number(number) => push_number(i128::from(*number), out),
    }
}

fn push_number(number: i128, out: &mut String) {
    use std::fmt::Write as _;
    let _ = write!(out, "{number}");
}

/// The time a key is about.
pub(crate) fn time_of(key: ItemKey, item: &ItemView<'_>) -> super::strftime::CivilTime {
    let of = match key {
        ItemKey::Ctime | ItemKey::IsoCtime => item.ctime,
        ItemKey::Atime | ItemKey::IsoAtime => item.atime,
        _ => item.mtime,
    };
    item_fields::item_time(item, of)
}

/// The number a key stands for, if it is one.
pub(crate) fn number_of(key: ItemKey, item: &ItemView<'_>, facts: &ItemFacts) -> Option<i128> {
    let owner = |owner: Owner<'_>| match owner {
        Owner::Number(number) => Some(i128::from(number)),
        Owner::Name(_) => None,
    };
    Some(match key {
        ItemKey::Uid => i128::from(item.uid.unwrap_or(0)),
        ItemKey::Gid => i128::from(item.gid.unwrap_or(0)),
        ItemKey::User => return owner(Owner::user(item)),
        ItemKey::Group => return owner(Owner::group(item)),
        ItemKey::Flags => i128::from(item.bsdflags.unwrap_or(0)),
        ItemKey::Size => i128::from(item_size(item)),
        ItemKey::Csize => i128::from(item_fields::csize(item)),
        ItemKey::Dsize => i128::from(facts.unique[0]),
        ItemKey::Dcsize => i128::from(facts.unique[1]),
        ItemKey::UniqueChunks => i128::from(facts.unique[2]),
        ItemKey::NumChunks => i128::from(item_fields::num_chunks(item)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ironborg_format::item::OwnerName;

    fn item() -> ItemView<'static> {
        ItemView {
            path: b"data/a\xff",
            mode: 0o100_644,
            uid: Some(0),
            gid: Some(5),
            user: OwnerName::Name(b"root"),
            group: OwnerName::Nil,
            mtime: Some(1_700_000_000_000_000_000),
            size: Some(42),
            ..ItemView::default()
        }
    }

    #[track_caller]
    fn check(format: &str, expected: &str) {
        let mut out = String::new();
        let mut prepared = ItemFormat::new(format, "a1", "00ff").unwrap();
        let result = prepared.push(&item(), &ItemFacts::default(), &mut out);
        let out = result.map_or_else(|error| error.0, |()| out);
        assert_eq!(out, expected);
    }

    #[test]
    fn items_are_formatted_as_python_would() {
        check(
            "{mode} {user:6} {group:6} {size:8} {path}{extra}{NL}",
            "-rw-r--r-- root        5       42 data/a?\n",
        );
        check(
            "{size:>10}|{size:08d}|{user:>8}|{path!r}|{mtime:%Y}",
            "        42|00000042|    root|'data/a?'|2023",
        );
        check(
            "{archivename}{archiveid}{health}{TAB}{type}",
            "a100ffhealthy\t-",
        );
        check("{md5}{nope}", "KeyError: 'nope'");
        check(
            "{path:d}",
            "Unknown format code 'd' for object of type 'str'",
        );
    }

    #[test]
    fn modes_look_as_ls_shows_them() {
        let letters = |mode, source: &'static [u8]| {
            let item = ItemView {
                mode,
                source: Some(source),
                ..ItemView::default()
            };
            String::from_utf8(item_fields::mode_letters(&item).to_vec()).unwrap()
        };
        assert_eq!(letters(0o104_755, b""), "-rwsr-xr-x");
        assert_eq!(letters(0o041_777, b""), "drwxrwxrwt");
        assert_eq!(letters(0o106_644, b""), "-rwSr-Sr--");
        assert_eq!(letters(0o120_777, b"x"), "lrwxrwxrwx");
        assert_eq!(letters(0o100_644, b"x"), "hrw-r--r--");
    }
}
