//! The fixed-size chunker over a map of data and holes (`--sparse`).

/// A stretch of a file: data, or a hole that reads as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Whether there is something to read.
    pub is_data: bool,
}

/// One chunk of a file to be read (data) or made up from zeros (hole).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Bytes from the start of the file.
    pub offset: u64,
    /// Bytes; at most the block length.
    pub len: usize,
    /// Whether it has to be read; a block that reads short is the file's last.
    pub is_data: bool,
}

/// Cuts a file's extents into blocks of at most `block_len` bytes that never cross a border of extents.
///
/// The first `header_len` bytes are an extent of data of their own, whatever the map says, and the map
/// goes on behind them. An empty map makes no blocks. Extents must be in ascending order without
/// overlap. Source: Borg 1.4, `ChunkerFixed.chunkify` (by experiment).
pub fn fixed_blocks(
    block_len: u32,
    header_len: u32,
    extents: &[Extent],
) -> impl Iterator<Item = Block> {
    assert!(block_len > 0, "parameters are checked when parsed");
    let end = extents
        .last()
        .map_or(0, |last| last.offset.saturating_add(last.len));
    let header_len = u64::from(header_len).min(end);
    let header = Extent {
        offset: 0,
        len: header_len,
        is_data: true,
    };
    let body = extents.iter().map(move |extent| {
        let skipped = header_len.saturating_sub(extent.offset).min(extent.len);
        Extent {
            offset: extent.offset + skipped,
            len: extent.len - skipped,
            is_data: extent.is_data,
        }
    });
    std::iter::once(header)
        .chain(body)
        .flat_map(move |extent| blocks_of(extent, block_len))
}

fn blocks_of(extent: Extent, block_len: u32) -> impl Iterator<Item = Block> {
    let mut done = 0;
    std::iter::from_fn(move || {
        let len = (extent.len - done).min(u64::from(block_len));
        let block = Block {
            offset: extent.offset + done,
            len: usize::try_from(len).expect("not above a u32"),
            is_data: extent.is_data,
        };
        done += len;
        (len > 0).then_some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: [Extent; 4] = [
        Extent {
            offset: 0,
            len: 8192,
            is_data: true,
        },
        Extent {
            offset: 8192,
            len: 57344,
            is_data: false,
        },
        Extent {
            offset: 65536,
            len: 8192,
            is_data: true,
        },
        Extent {
            offset: 73728,
            len: 26272,
            is_data: false,
        },
    ];

    /// `expected`: lengths in order, holes negative.
    #[track_caller]
    fn check(block_len: u32, header_len: u32, extents: &[Extent], expected: &[i64]) {
        let blocks: Vec<Block> = fixed_blocks(block_len, header_len, extents).collect();
        let lens: Vec<i64> = blocks
            .iter()
            .map(|block| {
                let len = i64::try_from(block.len).unwrap();
                if block.is_data { len } else { -len }
            })
            .collect();
        assert_eq!(lens, expected);
        let mut offset = 0;
        for block in blocks {
            assert_eq!(block.offset, offset);
            offset += block.len as u64;
        }
    }

    #[test]
    fn blocks_end_at_borders_of_data_and_holes() {
        check(
            16384,
            0,
            &MAP,
            &[8192, -16384, -16384, -16384, -8192, 8192, -16384, -9888],
        );
    }

    #[test]
    fn the_header_is_an_extent_of_its_own() {
        let tail = [-16384, -16384, -16384, -8192, 8192, -16384, -9888];
        check(16384, 512, &MAP, &[&[512, 7680], &tail[..]].concat());
        check(16384, 8192, &MAP, &[&[8192], &tail[..]].concat());
        check(65536, 70000, &MAP, &[65536, 4464, 3728, -26272]);
        check(
            16384,
            20000,
            &MAP,
            &[16384, 3616, -16384, -16384, -12768, 8192, -16384, -9888],
        );
    }

    #[test]
    fn a_header_longer_than_the_file_is_all_of_it() {
        check(65536, 200_000, &MAP, &[65536, 34464]);
        check(65536, 100, &[], &[]);
    }
}
