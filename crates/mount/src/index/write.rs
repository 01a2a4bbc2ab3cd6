//! From a builder to a file: directories get their lists of names, and everything is put down in its section.

use ironborg_cache::{CacheError, SealedFile, SealedWriter};
use ironborg_types::ChunkId;

use super::builder::{Builder, Fate, index};
use super::layout::{LISTED_LEN, Layout, Section};
use super::record::{NO_PLACE, RECORD_LEN, Record};
use crate::MountError;
use crate::node::ItemPlace;

/// Bytes that are handed over at once.
const PIECE_LEN: usize = 32 * 1024;

/// The names of all directories, in the order they are listed in.
pub(super) struct Lists {
    /// For each number where its list begins; one more than there are numbers.
    begins: Vec<u32>,
    /// Numbers.
    listed: Vec<u32>,
}

impl Lists {
    /// The lists of everything in a builder, whose table of names is given back first.
    pub(super) fn of(builder: &mut Builder) -> Result<Self, MountError> {
        builder.forget_slots();
        let count = index(builder.count());
        let mut begins = vec![0_u32; count + 1];
        let hidden = hidden_links(builder)?;
        let shown = |number: u32| hidden.binary_search(&number).is_err();
        for_each_place(builder, |parent, number| {
            if shown(number) {
                begins[index(parent) + 1] += 1;
            }
        });
        for at in 1..begins.len() {
            begins[at] += begins[at - 1];
        }
        let mut listed = vec![0_u32; index(begins[count])];
        for_each_place(builder, |parent, number| {
            if shown(number) {
                let next = &mut begins[index(parent)];
                listed[index(*next)] = number;
                *next += 1;
            }
        });
        // Each beginning has moved to the one behind it.
        begins.rotate_right(1);
        begins[0] = 0;
        Ok(Self { begins, listed })
    }

    fn range(&self, number: u32) -> (u32, u32) {
        let (begin, end) = (self.begins[index(number)], self.begins[index(number) + 1]);
        (begin, end - begin)
    }
}

/// Names that lead to what became a directory later: the kernel has none with two names.
fn hidden_links(builder: &mut Builder) -> Result<Vec<u32>, MountError> {
    let mut hidden = Vec::new();
    for number in 1..builder.count() {
        if builder.links.get(number) {
            let target = builder.record(number)?.target();
            if builder.record(target)?.is_directory() {
                hidden.push(number);
            }
        }
    }
    Ok(hidden)
}

/// Tells every name that is listed, with its directory, in the order names were seen first.
fn for_each_place(builder: &Builder, mut tell: impl FnMut(u32, u32)) {
    for number in 1..builder.count() {
        let listed = match builder.fates.get(&number) {
            None => number,
            Some(Fate::Lends(other)) => *other,
            Some(Fate::Stands(_) | Fate::Gone) => continue,
        };
        tell(builder.parents[index(number)], listed);
    }
}

/// Writes an index. `places` gives the place an item has in the end.
pub(super) fn write_index(
    builder: &mut Builder,
    lists: &Lists,
    chunks: &[ChunkId],
    places: &dyn Fn(ItemPlace) -> ItemPlace,
    mut out: SealedWriter,
) -> Result<SealedFile, MountError> {
    let mut flags = 0;
    let mut layout = Layout {
        seed: builder.seed,
        records: write_records(builder, lists, places, &mut flags, &mut out)?,
        names: write_names(builder, &mut out)?,
        ..Layout::default()
    };
    layout.flags = flags;
    layout.listed = section(&mut out, |out| {
        write_pieces(out, &lists.listed, |number| number.to_le_bytes())
    })?;
    layout.sorted = section(&mut out, |out| write_sorted(builder, lists, out))?;
    layout.contents = section(&mut out, |out| {
        for (number, place) in &builder.contents {
            out.write(&number.to_le_bytes())?;
            out.write(&places(ItemPlace(*place)).0.to_le_bytes())?;
        }
        Ok(())
    })?;
    layout.chunks = section(&mut out, |out| {
        write_pieces(out, chunks, |id| *id.as_bytes())
    })?;
    layout.owners = section(&mut out, |out| out.write(&builder.owners.encode()))?;
    Ok(out.finish(&layout.to_bytes())?)
}

fn section(
    out: &mut SealedWriter,
    write: impl FnOnce(&mut SealedWriter) -> Result<(), CacheError>,
) -> Result<Section, CacheError> {
    // Entries do not go over the end of a block then.
    let rest = out.len() % 8;
    if rest > 0 {
        let padding = usize::try_from(8 - rest).expect("below 8");
        out.write(&[0; 8][..padding])?;
    }
    let offset = out.len();
    write(out)?;
    Ok(Section {
        offset,
        len: out.len() - offset,
    })
}

fn write_pieces<T, const N: usize>(
    out: &mut SealedWriter,
    all: &[T],
    bytes: impl Fn(&T) -> [u8; N],
) -> Result<(), CacheError> {
    let mut piece = Vec::with_capacity(PIECE_LEN);
    for part in all.chunks(PIECE_LEN / N) {
        piece.clear();
        for one in part {
            piece.extend_from_slice(&bytes(one));
        }
        out.write(&piece)?;
    }
    Ok(())
}

/// Adds to `flags` the bits that some record has.
fn write_records(
    builder: &mut Builder,
    lists: &Lists,
    places: &dyn Fn(ItemPlace) -> ItemPlace,
    flags: &mut u16,
    out: &mut SealedWriter,
) -> Result<Section, CacheError> {
    let count = builder.count();
    let records = &mut builder.records;
    section(out, |out| {
        let mut piece = vec![0; PIECE_LEN];
        let mut number = 0;
        let mut offset = 0;
        while offset < records.len() {
            let left = usize::try_from(records.len() - offset).unwrap_or(usize::MAX);
            let piece = &mut piece[..left.min(PIECE_LEN)];
            records.read(offset, piece)?;
            for bytes in piece.chunks_exact_mut(RECORD_LEN) {
                let bytes: &mut [u8; RECORD_LEN] = bytes.try_into().expect("cut to this length");
                let mut record = Record::from_bytes(bytes);
                if record.is_directory() {
                    let (begin, listed) = lists.range(number);
                    record.set_listed(begin, listed);
                }
                if record.place != NO_PLACE {
                    record.place = places(ItemPlace(record.place)).0;
                }
                *flags |= record.flags;
                *bytes = record.to_bytes();
                number += 1;
            }
            out.write(piece)?;
            offset += piece.len() as u64;
        }
        assert!(number == count, "there is a record for each number");
        Ok(())
    })
}

fn write_names(builder: &mut Builder, out: &mut SealedWriter) -> Result<Section, CacheError> {
    let names = &mut builder.names;
    section(out, |out| {
        let mut piece = vec![0; PIECE_LEN];
        let mut offset = 0;
        while offset < names.len() {
            let left = usize::try_from(names.len() - offset).unwrap_or(usize::MAX);
            let piece = &mut piece[..left.min(PIECE_LEN)];
            names.read(offset, piece)?;
            out.write(piece)?;
            offset += piece.len() as u64;
        }
        Ok(())
    })
}

fn write_sorted(
    builder: &Builder,
    lists: &Lists,
    out: &mut SealedWriter,
) -> Result<(), CacheError> {
    let mut sorted: Vec<u64> = Vec::new();
    let mut piece = Vec::with_capacity(PIECE_LEN);
    for bounds in lists.begins.windows(2) {
        let listed = &lists.listed[index(bounds[0])..index(bounds[1])];
        sorted.clear();
        let hash = |number: u32| u64::from(builder.hashes[index(number)]);
        sorted.extend(
            listed
                .iter()
                .map(|&number| hash(number) << 32 | u64::from(number)),
        );
        sorted.sort_unstable();
        for entry in &sorted {
            piece.extend_from_slice(&entry.to_le_bytes());
        }
        if piece.len() >= PIECE_LEN {
            out.write(&piece)?;
            piece.clear();
        }
    }
    out.write(&piece)
}

const _: () = assert!(LISTED_LEN == 4);
