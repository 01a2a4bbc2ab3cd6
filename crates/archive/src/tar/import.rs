//! Making an archive of a tarball.
//!
//! One thread reads the stream (and decompresses it), one finds the members and makes items of them; from
//! there on it is a `create`: workers cut, identify and seal the content, the collector stores it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crossbeam_channel::bounded;
use ironborg_format::tar::{Decoder, Found, Member, TarError};
use ironborg_source::{Names, SourceFile};
use ironborg_types::{ErrorKind, Level, text};

use super::codec::Codec;
use super::input::{BLOCKS_IN_FLIGHT, PolledFile, TarStream, pump};
use super::item::{self, ItemKind};
use crate::client::Client;
use crate::create::{
    self, BatchSink, CreateOptions, Created, Feed, MadeContent, MadeEntry, SMALL_FILE_SIZE_MAX,
    Shared, Step, StepSink, Stop, pieces,
};
use crate::gate::Gate;
use crate::{ArchiveError, Session};

/// Large content is read and handed on in pieces of this size.
const PIECE_LEN: u64 = 1 << 20;

/// Sees the filter in front of the tarball to its end, once everything it gives has been read.
pub type FinishFilter<'a> = Box<dyn FnOnce() -> Result<(), ArchiveError> + Send + 'a>;

/// Where a tarball comes from and how it is read.
pub struct ImportOptions<'a> {
    /// The tarball.
    pub input: &'a SourceFile,
    /// What it is compressed with.
    pub codec: Option<Codec>,
    /// Called when it has been read; if that fails there is no archive.
    pub finish: Option<FinishFilter<'a>>,
    /// Go on behind the end mark of a tarball, with another one.
    pub ignore_zeros: bool,
}

/// Makes an archive of a tarball.
///
/// # Errors
/// As `create`; a tarball that cannot be read or ends too early. Nothing of the archive remains then.
pub fn import(
    session: &mut Session,
    options: &CreateOptions,
    import: ImportOptions<'_>,
) -> Result<Created, ArchiveError> {
    create::make(
        session,
        options,
        &Arc::new(Names::new()),
        Tarball(import),
        None,
    )
}

struct Tarball<'i>(ImportOptions<'i>);

impl Feed for Tarball<'_> {
    fn feed<'a>(
        self,
        client: &'a Client,
        shared: &'a Shared<'a>,
        sink: BatchSink<'a>,
        _open_dirs: &'a Arc<Gate>,
    ) -> Result<(), Stop> {
        let ImportOptions {
            input,
            codec,
            finish,
            ignore_zeros,
        } = self.0;
        let ended = AtomicBool::new(false);
        let unwanted = || ended.load(Ordering::Relaxed) || shared.is_over();
        let (block_tx, block_rx) = bounded(BLOCKS_IN_FLIGHT);
        thread::scope(|scope| {
            let file = PolledFile::new(input, unwanted);
            scope.spawn(move || pump(file, codec, &block_tx));
            let mut reader = Reader {
                client,
                codec,
                stream: TarStream::new(block_rx),
                sink,
            };
            let result = reader.run(ignore_zeros, finish);
            ended.store(true, Ordering::Relaxed);
            match result {
                // Whatever the stream says then, that nobody wants it any more is the reason.
                Err(Stop::Error(_)) if shared.is_over() => Err(Stop::Closed),
                other => other,
            }
        })
    }
}

/// Reads a tarball member by member.
struct Reader<'a> {
    client: &'a Client,
    codec: Option<Codec>,
    stream: TarStream,
    sink: BatchSink<'a>,
}

impl Reader<'_> {
    fn run(&mut self, ignore_zeros: bool, finish: Option<FinishFilter<'_>>) -> Result<(), Stop> {
        let mut decoder = Decoder::new(ignore_zeros);
        let mut bytes = Vec::new();
        while !self.client.interrupt.stop_requested() {
            bytes.clear();
            let wanted = decoder.wanted();
            self.stream
                .read(wanted, &mut bytes)
                .map_err(|error| self.unreadable(&error))?;
            match decoder.take(&bytes).map_err(ArchiveError::from)? {
                Found::Nothing => {}
                Found::Member(member) => self.member(&member)?,
                Found::End => {
                    self.finish(finish)?;
                    break;
                }
                Found::Damage(why) => {
                    self.damage(why)?;
                    self.finish(finish)?;
                    break;
                }
            }
        }
        Ok(self.sink.finish()?)
    }

    /// Stock Borg takes it for the end and says nothing.
    fn damage(&mut self, why: &str) -> Result<(), Stop> {
        let message =
            format!("The tarball is damaged ({why}): what follows is not in the archive.");
        let kind = ErrorKind::BackupWarning;
        Ok(self.sink.step(Step::Warning { kind, message })?)
    }

    fn finish(&mut self, finish: Option<FinishFilter<'_>>) -> Result<(), Stop> {
        if self.codec.is_some() || finish.is_some() {
            self.stream
                .drain()
                .map_err(|error| self.unreadable(&error))?;
        }
        Ok(finish.map_or(Ok(()), |finish| finish())?)
    }

    fn member(&mut self, member: &Member) -> Result<(), Stop> {
        let Some(kind) = ItemKind::of(member) else {
            let name = text::display(&member.name);
            let shown = type_repr(member.kind);
            let message = format!("{name}: Unsupported tarinfo type {shown}");
            let (kind, status) = (ErrorKind::BackupWarning, 'E');
            let path = member.name.clone();
            self.sink.step(Step::Warning { kind, message })?;
            self.sink.step(Step::Status { status, path })?;
            return self.skip(member.stored_len);
        };
        let item = item::of_member(member, kind).map_err(ArchiveError::from)?;
        if !member.is_file() {
            let (status, shown) = (kind.status, member.name.clone());
            if status == 'd' {
                self.sink.step(Step::Directory(Box::new(item)))?;
                let path = shown;
                self.sink.step(Step::Status { status, path })?;
            } else {
                self.sink.step(Step::Made(Box::new(MadeEntry {
                    item,
                    status,
                    shown,
                    nfiles: 0,
                    content: MadeContent::None,
                })))?;
            }
            return self.skip(member.stored_len);
        }
        let mut entry = MadeEntry {
            shown: item.path.to_vec(),
            item,
            status: kind.status,
            // Stock Borg counts every file in two places and adds these up.
            nfiles: 2,
            content: MadeContent::None,
        };
        let segments = segments(member);
        let taken: u64 = segments.iter().map(Segment::stored_len).sum();
        if member.size <= SMALL_FILE_SIZE_MAX {
            let mut content = Vec::new();
            for segment in segments {
                self.segment(segment, &mut content)?;
            }
            entry.content = MadeContent::Whole(content);
            self.sink.step(Step::Made(Box::new(entry)))?;
        } else {
            self.large(entry, &segments)?;
        }
        self.skip(member.stored_len - taken)
    }

    /// Hands on large content while it is being archived.
    fn large(&mut self, mut entry: MadeEntry, segments: &[Segment]) -> Result<(), Stop> {
        let (sender, receiver) = pieces();
        entry.content = MadeContent::Pieces(receiver);
        self.sink.step(Step::Made(Box::new(entry)))?;
        for segment in segments.iter().flat_map(Segment::pieces) {
            let mut piece = Vec::new();
            self.segment(segment, &mut piece)?;
            if !sender.send(piece) {
                return Err(Stop::Closed);
            }
        }
        if sender.finish() {
            Ok(())
        } else {
            Err(Stop::Closed)
        }
    }

    /// Adds the content of a segment to `out`.
    fn segment(&mut self, segment: Segment, out: &mut Vec<u8>) -> Result<(), Stop> {
        let len = usize::try_from(segment.len).expect("a small file or a piece");
        let end = out.len() + len;
        if segment.is_hole {
            out.resize(end, 0);
            return Ok(());
        }
        self.stream
            .read(len, out)
            .map_err(|error| self.unreadable(&error))?;
        if out.len() < end {
            return Err(ArchiveError::from(TarError::UnexpectedEnd).into());
        }
        Ok(())
    }

    fn skip(&mut self, len: u64) -> Result<(), Stop> {
        let skipped = self
            .stream
            .skip(len)
            .map_err(|error| self.unreadable(&error))?;
        if skipped {
            Ok(())
        } else {
            Err(ArchiveError::from(TarError::UnexpectedEnd).into())
        }
    }

    /// What a stream that cannot be read means; with a codec it is what its program would have said.
    fn unreadable(&self, error: &io::Error) -> ArchiveError {
        let Some(codec) = self.codec else {
            let message = error.to_string();
            return ArchiveError::TarballInput { message };
        };
        let program = codec.program();
        let message = format!("{program} -d: {error}");
        self.client.log(Level::Error, "borg.archiver", message);
        ArchiveError::other(format!("filter {program} -d failed, rc=1"))
    }
}

/// A stretch of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Segment {
    len: u64,
    /// It is not in the stream.
    is_hole: bool,
}

impl Segment {
    fn stored_len(&self) -> u64 {
        if self.is_hole { 0 } else { self.len }
    }

    fn pieces(&self) -> impl Iterator<Item = Segment> + use<> {
        let (mut left, is_hole) = (self.len, self.is_hole);
        std::iter::from_fn(move || {
            let len = left.min(PIECE_LEN);
            left -= len;
            (len > 0).then_some(Segment { len, is_hole })
        })
    }
}

/// The content of a file in order: data and holes. Stored bytes beyond its size are none of it.
fn segments(member: &Member) -> Vec<Segment> {
    let Some(map) = &member.sparse else {
        let (len, is_hole) = (member.size, false);
        return vec![Segment { len, is_hole }];
    };
    let mut segments = Vec::with_capacity(2 * map.len() + 1);
    let mut position = 0;
    for (offset, len) in map {
        let offset = (*offset).min(member.size);
        let len = (*len).min(member.size - offset);
        for (len, is_hole) in [(offset - position, true), (len, false)] {
            if len > 0 {
                segments.push(Segment { len, is_hole });
            }
        }
        position = offset + len;
    }
    if position < member.size {
        let (len, is_hole) = (member.size - position, true);
        segments.push(Segment { len, is_hole });
    }
    segments
}

/// A type flag as Python shows it.
fn type_repr(kind: u8) -> String {
    match kind {
        b'\t' => r"b'\t'".to_owned(),
        b'\n' => r"b'\n'".to_owned(),
        b'\r' => r"b'\r'".to_owned(),
        b'\\' => r"b'\\'".to_owned(),
        b'\'' => "b\"'\"".to_owned(),
        b' '..=b'~' => format!("b'{}'", char::from(kind)),
        _ => format!("b'\\x{kind:02x}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_shown_as_python_shows_them() {
        assert_eq!(type_repr(b'V'), "b'V'");
        assert_eq!(type_repr(0x1b), "b'\\x1b'");
        assert_eq!(type_repr(b'\''), "b\"'\"");
    }

    #[test]
    fn holes_are_where_nothing_is_stored() {
        let segment = |len, is_hole| Segment { len, is_hole };
        let mut found = Vec::new();
        let pieces = segment(2 * PIECE_LEN + 1, true).pieces();
        found.extend(pieces.map(|piece| piece.len));
        assert_eq!(found, [PIECE_LEN, PIECE_LEN, 1]);
    }
}
