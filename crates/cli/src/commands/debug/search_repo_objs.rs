//! `debug search-repo-objs`: search a repository's objects for bytes.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use ironborg_types::{ChunkId, hex};

use super::object::{for_each_object, unhexlify};
use crate::args::ParseError;
use crate::commands::{Run, Traits};
use crate::console::Stdout;
use crate::context::{Access, Context};
use crate::error::CliError;
use crate::location::Location;
use crate::output::pyformat::push_bytes_repr;
use crate::parse::{ArchivePart, ParseContext};

/// Bytes shown before and behind what was found.
const CONTEXT_LEN: usize = 32;
/// How often it is said how far the search is.
const PROGRESS_STEP: u64 = 10_000;

/// What may be typed.
#[derive(Debug, clap::Args)]
pub(crate) struct DebugSearchRepoObjsArgs {
    /// Repository to search
    #[arg(value_name = "REPOSITORY", required = true)]
    location: OsString,
    /// What to search for: hex:0123abcd or str:text
    #[arg(value_name = "WANTED", required = true)]
    wanted: OsString,
}

/// What will be done.
#[derive(Debug)]
pub(crate) struct DebugSearchRepoObjsOptions {
    location: Location,
    wanted: Option<Vec<u8>>,
}

impl DebugSearchRepoObjsArgs {
    /// Resolves the location.
    pub(crate) fn resolve(
        self,
        parse: &ParseContext<'_>,
    ) -> Result<DebugSearchRepoObjsOptions, ParseError> {
        let location =
            parse.location("REPOSITORY", &self.location, ArchivePart::Forbidden, None)?;
        Ok(DebugSearchRepoObjsOptions {
            location,
            wanted: search_term(&self.wanted),
        })
    }
}

fn search_term(word: &OsStr) -> Option<Vec<u8>> {
    let word = word.as_bytes();
    let bytes = match (word.strip_prefix(b"hex:"), word.strip_prefix(b"str:")) {
        (Some(digits), _) => unhexlify(digits).ok()?,
        (_, Some(text)) => std::str::from_utf8(text).ok()?.as_bytes().to_vec(),
        _ => return None,
    };
    (!bytes.is_empty()).then_some(bytes)
}

impl Run for DebugSearchRepoObjsOptions {
    fn traits(&self) -> Traits {
        Traits::default()
    }

    fn run(self: Box<Self>, context: &Context) -> Result<(), CliError> {
        let repository = context.open_repository(&self.location, Access::Read)?;
        let wanted = self.wanted.ok_or_else(|| {
            CliError::command("search term needs to be hex:123abc or str:foobar style")
        })?;
        let client = context.client_of(&self.location, repository.id());
        let mut stdout = Stdout::new();
        let mut last: Option<(ChunkId, Vec<u8>)> = None;
        for_each_object(&client, &*repository, |number, id, plaintext| {
            if let Some((last_id, last_plaintext)) = &last
                && let Some(found) = across(last_plaintext, plaintext, &wanted)
            {
                stdout.text(&format!("{number} {last_id} | {id}: {found}\n"))?;
            }
            if let Some((count, found)) = within(plaintext, &wanted) {
                stdout.text(&format!("{number} {id} #{count}: {found}\n"))?;
            }
            if (number + 1).is_multiple_of(PROGRESS_STEP) {
                stdout.text(&format!("{} objects processed.\n", number + 1))?;
                stdout.flush()?;
            }
            let (last_id, last_plaintext) = last.get_or_insert_with(|| (*id, Vec::new()));
            *last_id = *id;
            last_plaintext.clear();
            last_plaintext.extend_from_slice(plaintext);
            Ok(())
        })?;
        stdout.text("Done.\n")?;
        stdout.finish()
    }
}

/// `bytes[from:to]` as Python cuts it: negative places count from the end.
fn cut(bytes: &[u8], from: i64, to: i64) -> &[u8] {
    let place = |at: i64| {
        let len = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        let at = if at < 0 { at.saturating_add(len) } else { at };
        usize::try_from(at.clamp(0, len)).unwrap_or(0)
    };
    bytes.get(place(from)..place(to)).unwrap_or_default()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(bytes, wanted)
}

/// What is found where one object ends and the next begins, shown as stock Borg shows it: for a single byte
/// that is the whole of the earlier object, and a place that lies before the last bytes is shown wrongly.
fn across(last: &[u8], next: &[u8], wanted: &[u8]) -> Option<String> {
    let joined = |len: usize| {
        let len = i64::try_from(len).unwrap_or(i64::MAX);
        let tail = cut(last, -len, i64::MAX);
        [tail, cut(next, 0, len)].concat()
    };
    let overlap = wanted.len() - 1;
    find(&joined(overlap), wanted)?;
    let joined = joined(overlap + CONTEXT_LEN);
    let place = find(&joined, wanted).and_then(|at| i64::try_from(at).ok());
    Some(finding(&joined, wanted, place.unwrap_or(-1)))
}

/// How often something is found in an object, and the first place.
fn within(plaintext: &[u8], wanted: &[u8]) -> Option<(usize, String)> {
    let first = i64::try_from(find(plaintext, wanted)?).ok()?;
    let count = memchr::memmem::find_iter(plaintext, wanted).count();
    Some((count, finding(plaintext, wanted, first)))
}

/// What was found with what is around it, in digits and as Python shows bytes.
fn finding(bytes: &[u8], wanted: &[u8], at: i64) -> String {
    let context = i64::try_from(CONTEXT_LEN).expect("32");
    let behind = at.saturating_add(i64::try_from(wanted.len()).unwrap_or(i64::MAX));
    let before = cut(bytes, at - context, at);
    let after = cut(bytes, behind, behind.saturating_add(context));
    let mut out = format!(
        "{} {} {} ==",
        hex::encode(before),
        hex::encode(wanted),
        hex::encode(after)
    );
    for part in [before, wanted, after] {
        out.push(' ');
        push_bytes_repr(part, &mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_terms_are_texts_or_digits() {
        let term = |word: &str| search_term(OsStr::new(word));
        assert_eq!(term("hex:00fF"), Some(vec![0, 255]));
        assert_eq!(term("str:a b"), Some(b"a b".to_vec()));
        for bad in ["hex:0", "hex:", "str:", "text", "hex:zz"] {
            assert_eq!(term(bad), None, "{bad}");
        }
    }

    #[test]
    fn findings_are_shown_with_their_surroundings() {
        let text = [&[b'x'; 40][..], b"need", b"'\n\xff"].concat();
        let (count, shown) = within(&text, b"need").unwrap();
        assert_eq!(count, 1);
        let digits = "78".repeat(32);
        let letters = "x".repeat(32);
        assert_eq!(
            shown,
            format!("{digits} 6e656564 270aff == b'{letters}' b'need' b\"'\\n\\xff\"")
        );
        // Near the start of an object stock Borg loses what comes before.
        let (_, shown) = within(b"abneedcdefghijklmnopqrstuvwxyz0123456789", b"need").unwrap();
        assert!(shown.starts_with(" 6e656564 "), "{shown}");
        assert_eq!(within(b"nothing", b"need"), None);
    }

    #[test]
    fn what_crosses_a_border_is_found_once() {
        assert_eq!(
            across(b"..ne", b"ed..", b"need").as_deref(),
            Some("2e2e 6e656564 2e2e == b'..' b'need' b'..'")
        );
        assert_eq!(across(b"need", b"need", b"need"), None);
        assert_eq!(
            across(b"abc", b"", b"a").as_deref(),
            Some(" 61 6263 == b'' b'a' b'bc'")
        );
        assert_eq!(across(b"", b"abc", b"a"), None);
    }
}
