//! A key on paper: lines of hexadecimal digits, each with a checksum, to be typed back in by hand.
//!
//! Asking for the lines is left to others. Layout: docs/format.md, "Keys". Source: Borg 1.4,
//! `KeyManager.export_paperkey`, `KeyManager.import_paperkey`.

use std::fmt::Write as _;

use ironborg_types::RepositoryId;
use ironborg_types::hex::{self, HexError};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Bytes of the key in one line.
const LINE_LEN: usize = 18;
/// Digits of the repository's id that are printed.
const ID_DIGITS: usize = 18;
/// Digits of the checksum of the whole key.
const CHECKSUM_DIGITS: usize = 12;
/// Digits of a line's checksum.
const LINE_CHECKSUM_DIGITS: usize = 2;
/// Digits between two blanks.
const GROUP_DIGITS: usize = 6;

/// The first digits of the SHA-256 of `parts`.
fn checksum(parts: &[&[u8]], digits: usize) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let mut text = hex::encode(&hash.finalize());
    text.truncate(digits);
    text
}

fn grouped(digits: &str) -> String {
    let mut out = String::with_capacity(digits.len() * 7 / 6 + 1);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % GROUP_DIGITS == 0 {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

fn short_id(repository_id: &RepositoryId) -> String {
    let mut id = repository_id.to_string();
    id.truncate(ID_DIGITS);
    id
}

fn line_checksum(number: u16, part: &[u8]) -> String {
    checksum(&[&number.to_be_bytes(), part], LINE_CHECKSUM_DIGITS)
}

/// The lines to be printed: a title, the id line, and the key, 18 bytes a line; each ends with a newline.
///
/// `None` for a key of more than 65535 lines; real ones have 30.
pub fn print(repository_id: &RepositoryId, blob: &[u8]) -> Option<String> {
    let count = u16::try_from(blob.len().div_ceil(LINE_LEN)).ok()?;
    let id = short_id(repository_id);
    let whole = checksum(&[blob], CHECKSUM_DIGITS);
    let own = checksum(
        &[format!("{count}/{id}/{whole}").as_bytes()],
        LINE_CHECKSUM_DIGITS,
    );
    let mut out = String::from("BORG PAPER KEY v1\n");
    let (id, whole) = (grouped(&id), grouped(&whole));
    let mut line = |text: std::fmt::Arguments<'_>| {
        out.write_fmt(text)
            .expect("a String takes all that is written");
    };
    line(format_args!("id: {count} / {id} / {whole} - {own}\n"));
    for (number, part) in (1..=count).zip(blob.chunks(LINE_LEN)) {
        let (digits, own) = (grouped(&hex::encode(part)), line_checksum(number, part));
        line(format_args!("{number:2}: {digits} - {own}\n"));
    }
    Some(out)
}

/// What is wrong with a typed line; shown in stock Borg's words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaperLineError {
    /// A line has two parts.
    #[error("each line must contain exactly one '-', try again")]
    NotOneDash,
    /// The id line has three fields.
    #[error("the id line must contain exactly two '/', try again")]
    NotTwoSlashes,
    /// The id line does not fit its checksum.
    #[error("line checksum did not match, try same line again")]
    IdChecksum,
    /// The id line is right but says an impossible number of lines.
    #[error("internal error while parsing length")]
    Length,
    /// A line of the key is not digits.
    #[error("only characters 0-9 and a-f and '-' are valid, try again [{0}]")]
    Digits(HexError),
    /// A line of the key does not fit its checksum.
    #[error("line checksum did not match, try line {0} again")]
    Checksum(u16),
    /// All lines were right but not all of one key.
    #[error("The overall checksum did not match, retry or enter a blank line to abort.")]
    Whole,
}

/// A paper key whose id line has been read; takes the lines of the key, one after the other.
pub struct PaperKey {
    count: u16,
    id: String,
    whole: String,
    blob: Zeroizing<Vec<u8>>,
    next: u16,
}

/// Never shows the key.
impl std::fmt::Debug for PaperKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PaperKey")
            .field("next", &self.next)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// What a line was good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// There are more lines.
    More,
    /// That was the last one: the key.
    Key(Zeroizing<Vec<u8>>),
}

/// A line without blanks and in lower case, as it was printed: people write A for a.
fn tidied(line: &str) -> String {
    line.replace(' ', "").to_ascii_lowercase()
}

fn in_two(line: &str) -> Result<(&str, &str), PaperLineError> {
    match line.split_once('-') {
        Some((data, checksum)) if !checksum.contains('-') => Ok((data, checksum)),
        _ => Err(PaperLineError::NotOneDash),
    }
}

impl PaperKey {
    /// Reads the id line, without the word `id:` before it.
    ///
    /// # Errors
    /// One of the first four of [`PaperLineError`].
    pub fn begin(line: &str) -> Result<Self, PaperLineError> {
        let line = tidied(line);
        let (data, own) = in_two(&line)?;
        let fields: Vec<&str> = data.split('/').collect();
        let [count, id, whole] = fields[..] else {
            return Err(PaperLineError::NotTwoSlashes);
        };
        if checksum(&[data.as_bytes()], LINE_CHECKSUM_DIGITS) != own {
            return Err(PaperLineError::IdChecksum);
        }
        let count = count.parse().ok().filter(|&count| count > 0);
        Ok(Self {
            count: count.ok_or(PaperLineError::Length)?,
            id: id.to_owned(),
            whole: whole.to_owned(),
            blob: Zeroizing::default(),
            next: 1,
        })
    }

    /// Whether the key is for this repository, as far as paper says it.
    pub fn is_for(&self, repository_id: &RepositoryId) -> bool {
        self.id == short_id(repository_id)
    }

    /// The number of the line to be typed next.
    pub fn next_line(&self) -> u16 {
        self.next
    }

    /// Takes the next line, without its number.
    ///
    /// # Errors
    /// One of the last four of [`PaperLineError`]; after [`PaperLineError::Whole`] all begins anew.
    pub fn line(&mut self, line: &str) -> Result<Typed, PaperLineError> {
        let line = tidied(line);
        let (data, own) = in_two(&line)?;
        let part = Zeroizing::new(hex::decode(data).map_err(PaperLineError::Digits)?);
        if line_checksum(self.next, &part) != own {
            return Err(PaperLineError::Checksum(self.next));
        }
        self.blob.extend_from_slice(&part);
        if self.next < self.count {
            self.next += 1;
            return Ok(Typed::More);
        }
        let blob = std::mem::take(&mut self.blob);
        self.next = 1;
        if checksum(&[&blob], CHECKSUM_DIGITS) != self.whole {
            return Err(PaperLineError::Whole);
        }
        Ok(Typed::Key(blob))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::{KEY_BLOBS, hex_entry, vectors};
    use crate::key::decode_key_text;

    /// Every golden key with what stock Borg prints for it, without the line of advice at its beginning.
    fn golden() -> Vec<(RepositoryId, Vec<u8>, String)> {
        let cases = vectors(KEY_BLOBS)["cases"].take();
        let cases = cases.as_array().expect("the vectors are a list");
        let printed = cases.iter().filter_map(|case| {
            let text = case["paper_key"].as_str()?;
            let (_, text) = text.split_once("\n\n").expect("advice, then the key");
            let id = case["repository_id"].as_str().expect("text");
            Some((
                id.parse().expect("an id"),
                hex_entry(case, "blob_msgpack"),
                text.to_owned(),
            ))
        });
        printed.collect()
    }

    fn typed(printed: &str) -> Vec<String> {
        let lines = printed.lines().skip(1);
        lines
            .map(|line| line.split_once(": ").expect("a number").1.to_owned())
            .collect()
    }

    fn begin(lines: &[String]) -> PaperKey {
        PaperKey::begin(&lines[0]).expect("a golden line")
    }

    #[test]
    fn keys_are_printed_as_borg_prints_them_and_typed_back_in() {
        let golden = golden();
        assert!(golden.len() >= 3, "the vectors hold paper keys");
        for (id, blob, printed) in golden {
            assert_eq!(print(&id, &blob).as_ref(), Some(&printed));
            let lines = typed(&printed);
            let mut paper = begin(&lines);
            assert!(paper.is_for(&id));
            assert!(!paper.is_for(&RepositoryId([0; 32])));
            let (last, others) = lines[1..].split_last().expect("lines");
            for (number, line) in (1..).zip(others) {
                assert_eq!(paper.next_line(), number);
                assert_eq!(paper.line(&line.to_uppercase()), Ok(Typed::More));
            }
            assert_eq!(
                paper.line(&last.replace(' ', "")),
                Ok(Typed::Key(blob.into()))
            );
        }
    }

    #[test]
    fn every_mistake_has_its_own_words() {
        let (_, _, printed) = golden().swap_remove(0);
        let lines = typed(&printed);
        let begun = |line: &str| PaperKey::begin(line).map(|_| ()).unwrap_err();
        assert_eq!(begun(""), PaperLineError::NotOneDash);
        assert_eq!(begun("1-2-3"), PaperLineError::NotOneDash);
        assert_eq!(begun("a/b-c"), PaperLineError::NotTwoSlashes);
        assert_eq!(begun(&format!("1{}", lines[0])), PaperLineError::IdChecksum);
        for count in ["0", "x", "70000", "-1"] {
            let own = checksum(&[format!("{count}/a/b").as_bytes()], 2);
            let expected = if count == "-1" {
                PaperLineError::NotOneDash
            } else {
                PaperLineError::Length
            };
            assert_eq!(begun(&format!("{count}/a/b-{own}")), expected);
        }
        let mut paper = begin(&lines);
        let mut line = |line: &str| paper.line(line).unwrap_err();
        assert_eq!(line(""), PaperLineError::NotOneDash);
        assert_eq!(line("xy-00"), PaperLineError::Digits(HexError::NotADigit));
        assert_eq!(line("é-00"), PaperLineError::Digits(HexError::NotAscii));
        assert_eq!(line(&lines[2]), PaperLineError::Checksum(1));
        assert_eq!(paper.next_line(), 1, "a bad line is typed again");
    }

    /// A line of another print of a key passes its own checksum: only the whole tells.
    #[test]
    fn lines_of_two_keys_do_not_make_one() {
        let (id, mut blob, printed) = golden().swap_remove(0);
        let own = typed(&printed);
        blob[0] ^= 1;
        let other = typed(&print(&id, &blob).expect("a short key"));
        let mut paper = begin(&own);
        assert_eq!(paper.line(&other[1]), Ok(Typed::More));
        let results: Vec<_> = own[2..].iter().map(|line| paper.line(line)).collect();
        assert_eq!(results.last(), Some(&Err(PaperLineError::Whole)));
        // And all anew.
        let results: Vec<_> = own[1..].iter().map(|line| paper.line(line)).collect();
        let key = Typed::Key(hexed(&own).into());
        assert_eq!(results.last(), Some(&Ok(key)));
    }

    fn hexed(lines: &[String]) -> Vec<u8> {
        let digits = lines[1..].iter().map(|line| {
            let (digits, _) = line.split_once(" - ").expect("a checksum");
            digits.replace(' ', "")
        });
        hex::decode(&digits.collect::<String>()).expect("digits")
    }

    #[test]
    fn a_key_of_too_many_lines_is_not_printed() {
        let longest = vec![0; LINE_LEN * usize::from(u16::MAX)];
        assert!(print(&RepositoryId([0; 32]), &longest).is_some());
        assert_eq!(
            print(&RepositoryId([0; 32]), &[longest, vec![0]].concat()),
            None
        );
    }

    #[test]
    fn what_the_config_holds_is_what_is_printed() {
        let text = vectors(KEY_BLOBS)["cases"][0]["text_form"].take();
        let blob = decode_key_text(text.as_str().expect("text")).expect("a key");
        assert_eq!(blob, golden()[0].1);
    }
}
