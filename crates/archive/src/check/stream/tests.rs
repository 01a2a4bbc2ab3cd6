//! The stream against a plain description of what stock Borg does: the whole buffer, unpacked from the start, again
//! and again.

use ironborg_format::item::ITEM_KEYS;
use ironborg_testkit::Random;
use ironborg_testkit::{Tried, tally};

use super::*;

/// What a value is, as far as it matters for whether it may be a key or an item.
#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Raw(Vec<u8>),
    Map(Vec<Plain>),
    Array,
    Other,
}

#[derive(Debug, PartialEq)]
enum Fail {
    OutOfData,
    Broken,
}

fn take<'b>(bytes: &mut &'b [u8], len: u64) -> Result<&'b [u8], Fail> {
    let len = usize::try_from(len).map_err(|_| Fail::OutOfData)?;
    let (head, rest) = bytes.split_at_checked(len).ok_or(Fail::OutOfData)?;
    *bytes = rest;
    Ok(head)
}

fn number(bytes: &mut &[u8], len: u64) -> Result<u64, Fail> {
    let digits = take(bytes, len)?;
    Ok(digits.iter().fold(0, |n, b| n << 8 | u64::from(*b)))
}

/// One value. Lists and maps build up from what they hold, so an error shows where stock's unpacker meets it.
fn unpack(bytes: &mut &[u8], depth: usize) -> Result<Plain, Fail> {
    let marker = take(bytes, 1)?[0];
    let low = |mask: u8| u64::from(marker & mask);
    match marker {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => Ok(Plain::Other),
        0x80..=0x8f => unpack_map(bytes, low(0x0f), depth),
        0x90..=0x9f => unpack_list(bytes, low(0x0f), depth),
        0xa0..=0xbf => Ok(Plain::Raw(take(bytes, low(0x1f))?.to_vec())),
        0xc1 => Err(Fail::Broken),
        0xc4..=0xc6 | 0xd9..=0xdb => {
            let base = if marker < 0xd0 { 0xc4 } else { 0xd9 };
            let len = number(bytes, 1 << (marker - base))?;
            Ok(Plain::Raw(take(bytes, len)?.to_vec()))
        }
        0xc7..=0xc9 => {
            let len = number(bytes, 1 << (marker - 0xc7))?;
            if len == u64::from(u32::MAX) {
                return Err(Fail::Broken);
            }
            unpack_ext(bytes, len)
        }
        0xca..=0xd3 => {
            let lens = [4, 8, 1, 2, 4, 8, 1, 2, 4, 8];
            take(bytes, lens[usize::from(marker - 0xca)])?;
            Ok(Plain::Other)
        }
        0xd4..=0xd8 => unpack_ext(bytes, 1 << (marker - 0xd4)),
        0xdc | 0xdd => {
            let len = number(bytes, 2 << (marker - 0xdc))?;
            unpack_list(bytes, len, depth)
        }
        0xde | 0xdf => {
            let len = number(bytes, 2 << (marker - 0xde))?;
            unpack_map(bytes, len, depth)
        }
    }
}

fn unpack_ext(bytes: &mut &[u8], len: u64) -> Result<Plain, Fail> {
    let ext = take(bytes, len + 1)?;
    let nanos = |b: &[u8]| u32::from_be_bytes([b[0], b[1], b[2], b[3]]);
    let is_good = match (ext[0], len) {
        (0..=0x7f, _) | (0xff, 4) => true,
        (0xff, 8) => nanos(&ext[1..]) >> 2 < 1_000_000_000,
        (0xff, 12) => nanos(&ext[1..]) < 1_000_000_000,
        _ => false,
    };
    is_good.then_some(Plain::Other).ok_or(Fail::Broken)
}

fn unpack_list(bytes: &mut &[u8], len: u64, depth: usize) -> Result<Plain, Fail> {
    if depth == 1024 || len > 0x7fff_ffff {
        return Err(Fail::Broken);
    }
    for _ in 0..len {
        unpack(bytes, depth + 1)?;
    }
    Ok(Plain::Array)
}

fn unpack_map(bytes: &mut &[u8], len: u64, depth: usize) -> Result<Plain, Fail> {
    if depth == 1024 || len > 0x3fff_ffff {
        return Err(Fail::Broken);
    }
    let mut keys = Vec::new();
    for _ in 0..len {
        let key = unpack(bytes, depth + 1)?;
        unpack(bytes, depth + 1)?;
        if matches!(key, Plain::Array | Plain::Map(_)) {
            return Err(Fail::Broken);
        }
        keys.push(key);
    }
    Ok(Plain::Map(keys))
}

fn looks_like_item(data: &[u8]) -> bool {
    let offset = match data.first() {
        Some(0x80..=0x8f) => 1,
        Some(0xde) => 3,
        _ => return false,
    };
    data.get(offset..).is_some_and(|key| {
        ITEM_KEYS.iter().any(|known| {
            let mut packed = Vec::new();
            push_raw(&mut packed, known.as_bytes());
            key.starts_with(&packed)
        })
    })
}

/// Stock Borg's unpacker, as slow as it is.
#[derive(Default)]
struct PlainStream {
    data: Vec<u8>,
    is_searching: bool,
}

impl PlainStream {
    fn resync(&mut self) {
        self.data.clear();
        self.is_searching = true;
    }

    fn next(&mut self) -> Result<Option<Vec<u8>>, Broken> {
        let mut from = 0;
        while from < self.data.len() || !self.is_searching {
            let data = &self.data[from..];
            if self.is_searching && !looks_like_item(data) {
                from += 1;
                continue;
            }
            let mut rest = data;
            match unpack(&mut rest, 0) {
                Ok(value) => {
                    let has_path = match &value {
                        Plain::Map(keys) => keys.contains(&Plain::Raw(b"path".to_vec())),
                        _ => false,
                    };
                    if has_path || !self.is_searching {
                        let len = data.len() - rest.len();
                        let item = data[..len].to_vec();
                        self.data.drain(..from + len);
                        self.is_searching = false;
                        return Ok(Some(item));
                    }
                }
                Err(Fail::OutOfData) if !self.is_searching => return Ok(None),
                Err(Fail::Broken) if !self.is_searching => return Err(Broken),
                Err(_) => {}
            }
            from += 1;
        }
        Ok(None)
    }
}

fn new_stream() -> RobustStream {
    RobustStream::new(ITEM_KEYS.iter().map(|key| key.as_bytes()))
}

/// Feeds both the same chunks; `None` is a hole. Gives how many values were read.
fn check(chunks: &[Option<Vec<u8>>], seed: u64) -> usize {
    let (mut stream, mut plain) = (new_stream(), PlainStream::default());
    let (mut fed, mut values) = (Vec::new(), 0);
    for (number, chunk) in chunks.iter().enumerate() {
        let Some(chunk) = chunk else {
            stream.resync();
            plain.resync();
            continue;
        };
        let at = stream.feed(chunk);
        assert_eq!(at.start, fed.len() as u64, "seed {seed}, chunk {number}");
        fed.extend_from_slice(chunk);
        plain.data.extend_from_slice(chunk);
        loop {
            let expected = plain.next();
            let found = stream.next();
            let bytes = found.as_ref().map(|at| {
                at.as_ref().map(|at| {
                    let from = usize::try_from(at.start).unwrap();
                    let to = usize::try_from(at.end).unwrap();
                    assert_eq!(stream.bytes(at), &fed[from..to], "seed {seed}");
                    stream.bytes(at).to_vec()
                })
            });
            assert_eq!(
                bytes.map_err(|error| *error),
                expected,
                "seed {seed}, chunk {number}"
            );
            match expected {
                Ok(Some(_)) => values += 1,
                Ok(None) => break,
                Err(Broken) => {
                    stream.resync();
                    plain.resync();
                    break;
                }
            }
        }
    }
    values
}

/// An item, or something that is nearly one.
fn random_item(random: &mut Random, out: &mut Vec<u8>) {
    let keys: Vec<&str> = ITEM_KEYS
        .into_iter()
        .filter(|key| *key == "path" && random.below(8) > 0 || random.below(4) == 0)
        .collect();
    if random.below(6) == 0 {
        out.push(0xde);
        out.extend_from_slice(&u16::try_from(keys.len()).unwrap().to_be_bytes());
    } else {
        out.push(0x80 | u8::try_from(keys.len().min(15)).unwrap());
    }
    for key in keys.iter().take(15) {
        push_raw(out, key.as_bytes());
        random_value(random, out, 3);
    }
}

fn random_value(random: &mut Random, out: &mut Vec<u8>, depth: usize) {
    let len = random.below(4);
    match random.below(if depth == 0 { 6 } else { 9 }) {
        0 => out.push(u8::try_from(random.below(128)).unwrap()),
        1 => out.extend_from_slice(&[0xce, 1, 2, 3, 4]),
        2 => out.push([0xc0, 0xc2, 0xc3][random.below(3)]),
        3 => push_raw(out, &vec![0x61; random.below(40)]),
        // What looks like an item within one.
        4 => push_raw(out, b"\x81\xa4path\xa1x"),
        5 => out.extend_from_slice(&[0xd6, [5, 0xff, 0xfe][random.below(3)], 0, 0, 0, 1]),
        6 => {
            out.push(0x90 | u8::try_from(len).unwrap());
            (0..len).for_each(|_| random_value(random, out, depth - 1));
        }
        7 => random_item(random, out),
        _ => {
            out.push(0x80 | u8::try_from(len).unwrap());
            for _ in 0..len {
                // Lists are no keys.
                let depth = if random.below(20) == 0 { depth - 1 } else { 0 };
                random_value(random, out, depth);
                random_value(random, out, depth);
            }
        }
    }
}

fn random_chunks(random: &mut Random) -> Vec<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(30) {
        random_item(random, &mut bytes);
    }
    for _ in 0..random.below(6) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0xdd, 0xdf, 0xc1, 0xc9, 0x81, 0xde][random.below(6)],
            2 => drop(bytes.drain(at..(at + random.below(30)).min(bytes.len()))),
            _ => drop(bytes.splice(at..at, [0xff; 5])),
        }
        if bytes.is_empty() {
            bytes.push(0x80);
        }
    }
    let mut chunks = Vec::new();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at((1 + random.below(120)).min(rest.len()));
        match random.below(8) {
            0 => chunks.push(None),
            1 => {}
            _ => chunks.push(Some(chunk.to_vec())),
        }
        rest = after;
    }
    chunks
}

#[test]
fn whatever_is_damaged_what_is_read_is_what_stock_borg_reads() {
    let seed: u64 = std::env::var("IRONBORG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(0);
    let is_full = std::env::var_os("IRONBORG_INTEROP_FULL").is_some();
    let rounds = if is_full { 20_000 } else { 1_200 };
    let mut values = 0;
    for seed in seed..seed + rounds {
        let chunks = random_chunks(&mut Random::new(seed));
        values += check(&chunks, seed);
    }
    assert!(values as u64 > 2 * rounds, "only {values} values were read");
    tally(Tried::Damages, rounds);
}

#[test]
fn values_end_and_break_where_stock_borg_says() {
    let broken: &[&[u8]] = &[
        b"\x91\xc1",
        b"\x81\x90\x01",
        b"\x82\x80\x01",
        b"\xdd\x80\0\0\0",
        b"\xdf\x40\0\0\0",
        b"\xd4\xfe\x01",
        b"\xd4\xff\x01",
        b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\xc7\x0c\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0",
        b"\xc9\xff\xff\xff\xff\x05",
    ];
    for bytes in broken {
        assert_eq!(Walk::default().advance(bytes), Err(Broken), "{bytes:02x?}");
    }
    let waiting: &[&[u8]] = &[
        b"\x81\x91\x01",
        b"\x82\x80",
        b"\xdd\x7f\xff\xff\xff",
        b"\xdf\x3f\xff\xff\xff",
        b"\xdb\xff\xff\xff\xff",
        b"\xc6\xff\xff\xff\xff",
        b"\xda\x01",
        b"",
    ];
    for bytes in waiting {
        assert_eq!(Walk::default().advance(bytes), Ok(None), "{bytes:02x?}");
    }
    for depth in [1, 511, 1023, 1024, 1025] {
        for end in [0x01, 0x90] {
            let lists = if end == 0x90 { depth - 1 } else { depth };
            let mut bytes = vec![0x91; lists];
            bytes.push(end);
            let expected = if depth > 1024 {
                Err(Broken)
            } else {
                Ok(Some(bytes.len()))
            };
            assert_eq!(Walk::default().advance(&bytes), expected, "{depth} {end}");
        }
    }
}

/// Each of many beginnings goes on to the end of the stream: stock Borg would look at every byte from each of them.
#[test]
fn a_stream_made_to_be_slow_is_not() {
    let mut hostile = Vec::new();
    while hostile.len() < 256 << 10 {
        // A raw that holds the beginning of a map, with a list in it that does not end.
        hostile.extend_from_slice(b"\xab\x81\xa4mode\xdd\x7f\xff\xff\xff");
    }
    let mut stream = new_stream();
    stream.resync();
    stream.feed(&hostile);
    assert_eq!(stream.next(), Ok(None));
    let looks = stream.search.as_ref().unwrap().looks;
    let limit = LOOKS_MIN.max(hostile.len() as u64 * LOOKS_PER_BYTE);
    let beginnings = hostile.len() as u64 / 12;
    assert!(
        looks <= limit + beginnings * LOOKS_AFTER,
        "{looks} looks at {} bytes",
        hostile.len()
    );
    // What comes then is found all the same.
    let item = b"\x82\xa5mtime\x01\xa4path\xa1x";
    stream.feed(item);
    let at = stream.next().unwrap().expect("an item");
    assert_eq!(stream.bytes(&at), item);
}
