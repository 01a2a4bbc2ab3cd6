//! Headers both ways, and damage.

use proptest::prelude::*;

use super::*;

/// Members with their content, and how the tarball ended.
type Contents = (Vec<(Member, Vec<u8>)>, Found);

/// Feeds a whole tarball; gives members, their content and how it ended.
fn read_all(bytes: &[u8], ignore_zeros: bool) -> Result<Contents, TarError> {
    let mut decoder = Decoder::new(ignore_zeros);
    let mut members = Vec::new();
    let mut rest = bytes;
    loop {
        let (now, later) = rest.split_at(decoder.wanted().min(rest.len()));
        rest = later;
        match decoder.take(now)? {
            Found::Nothing => {}
            Found::Member(member) => {
                let stored = usize::try_from(member.stored_len).unwrap().min(rest.len());
                let (content, later) = rest.split_at(stored);
                let len = usize::try_from(member.data_len).unwrap().min(stored);
                members.push((*member, content[..len].to_vec()));
                rest = later;
            }
            end => return Ok((members, end)),
        }
    }
}

fn file(name: &[u8], size: u64) -> MemberHeader<'_> {
    MemberHeader {
        name,
        kind: kind::REGULAR,
        mode: 0o644,
        size,
        mtime: 1_700_000_000,
        ..MemberHeader::default()
    }
}

fn tarball(headers: &[MemberHeader<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for header in headers {
        encode_gnu(header, &mut out).unwrap();
        out.extend(vec![b'c'; usize::try_from(header.size).unwrap()]);
        out.resize(out.len() + padding(header.size), 0);
    }
    out.extend([0; 2 * BLOCK_LEN]);
    out
}

#[test]
fn what_was_written_is_read() {
    let long = [b'n'; 300];
    let headers = [
        file(b"a", 0),
        file(&long, 700),
        MemberHeader {
            kind: kind::DIRECTORY,
            mode: 0o755,
            uid: 1 << 40,
            gid: -7,
            user: b"me",
            mtime: -1,
            ..file(b"dir", 0)
        },
        MemberHeader {
            kind: kind::SYMLINK,
            link: &long,
            ..file(&long[..150], 0)
        },
        MemberHeader {
            kind: kind::CHAR_DEVICE,
            device: (4, 1_000_000),
            ..file(b"device", 0)
        },
    ];
    let (members, end) = read_all(&tarball(&headers), false).unwrap();
    assert_eq!(end, Found::End);
    assert_eq!(members.len(), headers.len());
    for ((member, content), header) in members.iter().zip(headers) {
        assert_eq!(member.name, header.name);
        assert_eq!(member.kind, header.kind);
        assert_eq!(member.link, header.link);
        assert_eq!(member.uid, header.uid.into());
        assert_eq!(member.gid, header.gid.into());
        assert_eq!(member.user, header.user);
        assert_eq!(member.mtime, MemberTime::Seconds(header.mtime.into()));
        assert_eq!(member.size, header.size);
        assert_eq!(content.len() as u64, header.size);
    }
    assert_eq!((members[4].0.major, members[4].0.minor), (4, 1_000_000));
}

#[test]
fn records_extend_and_replace() {
    let mut records = Records::default();
    records.add("mtime", b"1700000000.25");
    records.add("SCHILY.xattr.user.x", b"\0\n=\xff");
    let name = ["d/".repeat(80).as_bytes(), b"n\xffame"].concat();
    let header = MemberHeader {
        uid: 1 << 33,
        user: "f\u{fc}nf".as_bytes(),
        ..file(&name, 5)
    };
    let mut out = Vec::new();
    encode_pax(&header, records, &mut out).unwrap();
    out.extend(b"12345");
    let (members, end) = read_all(&out, false).unwrap();
    assert_eq!(end, Found::End);
    let (member, content) = &members[0];
    assert_eq!(member.name, name);
    assert_eq!(member.uid, 1 << 33);
    assert_eq!(member.user, header.user);
    assert_eq!(member.mtime, MemberTime::Float(1_700_000_000.25));
    assert_eq!(member.records.get(b"hdrcharset"), Some(&b"BINARY"[..]));
    let value = member.records.get(b"SCHILY.xattr.user.x");
    assert_eq!(value, Some(&b"\0\n=\xff"[..]));
    assert_eq!(content, b"12345");
}

#[test]
fn damage_is_what_tarfile_makes_of_it() {
    let whole = tarball(&[file(b"a", 3), file(b"b", 3)]);
    assert_eq!(read_all(b"", false), Err(TarError::Empty));
    assert_eq!(
        read_all(&whole[..100], false),
        Err(TarError::TruncatedHeader)
    );
    let garbage = vec![b'x'; 2048];
    assert_eq!(
        read_all(&garbage, false),
        Err(TarError::InvalidHeader("invalid header"))
    );
    let mut damaged = whole.clone();
    damaged[1024] ^= 1;
    let (members, end) = read_all(&damaged, false).unwrap();
    assert_eq!((members.len(), end), (1, Found::Damage("bad checksum")));
    let (members, end) = read_all(&damaged, true).unwrap();
    assert_eq!((members.len(), end), (1, Found::End));
    let (members, end) = read_all(&whole[..1100], false).unwrap();
    assert_eq!((members.len(), end), (1, Found::Damage("truncated header")));
    let (members, end) = read_all(&whole[..1024], false).unwrap();
    assert_eq!((members.len(), end), (1, Found::End));
    // Two tarballs in a row.
    let twice = [&whole[..], &whole].concat();
    assert_eq!(read_all(&twice, false).unwrap().0.len(), 2);
    assert_eq!(read_all(&twice, true).unwrap().0.len(), 4);
    // A name whose member is missing.
    let long = tarball(&[file(&[b'l'; 200], 0)]);
    let cut = read_all(&long[..1024], false);
    assert_eq!(cut, Err(TarError::InvalidHeader("empty header")));
}

#[test]
fn numbers_are_those_of_python() {
    let read = |text: &[u8]| number::read(text);
    assert_eq!(read(b"0000755\0"), Some(0o755));
    assert_eq!(read(b" 755 \0xx"), Some(0o755));
    assert_eq!(read(b"0o17\0"), Some(0o17));
    assert_eq!(read(b"\0\0\0\0\0\0\0\0"), Some(0));
    assert_eq!(read(b"00000789"), None);
    assert_eq!(read(b"1_0\0"), Some(8));
    assert_eq!(read(b"1_\0"), None);
    assert_eq!(read(b"-7\0"), Some(-7));
    assert_eq!(number::float(b" 1_0.5e1 "), Some(105.0));
    assert_eq!(number::float(b"1__0"), None);
    assert_eq!(number::float(b"x"), None);
}

#[test]
fn maps_of_holes_must_make_sense() {
    let mut records = Records::default();
    records.add("GNU.sparse.realsize", b"1000");
    records.add("GNU.sparse.map", b"10,2,500,1");
    let mut out = Vec::new();
    encode_pax(&file(b"s", 3), records.clone(), &mut out).unwrap();
    out.extend(b"abc");
    let (members, _) = read_all(&out, false).unwrap();
    assert_eq!(members[0].0.sparse, Some(vec![(10, 2), (500, 1)]));
    assert_eq!((members[0].0.size, members[0].0.data_len), (1000, 3));
    for (map, error) in [
        (&b"500,1,10,2"[..], TarError::InvalidSparseMap),
        (b"1,x", TarError::InvalidNumber { what: "sparse map" }),
        (b"0,600", TarError::UnexpectedEnd),
    ] {
        records.add("GNU.sparse.map", map);
        let mut out = Vec::new();
        encode_pax(&file(b"s", 3), records.clone(), &mut out).unwrap();
        assert_eq!(read_all(&out, false), Err(error));
    }
}

proptest! {
    #[test]
    fn numbers_come_back(number in -(1_i128 << 56)..(1_i128 << 56)) {
        let mut field = [0; 8];
        number::write_gnu(&mut field, number).unwrap();
        prop_assert_eq!(number::read(&field), Some(number));
    }

    #[test]
    fn records_come_back(
        values in proptest::collection::vec(("[a-z.]{1,20}", proptest::collection::vec(any::<u8>(), 0..200)), 0..8)
    ) {
        let mut records = Records::default();
        for (keyword, value) in &values {
            records.set(keyword.as_bytes(), value);
        }
        let mut read = Records::default();
        read.read(&records.encode()).unwrap();
        prop_assert_eq!(read, records);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = read_all(&bytes, true);
    }
}
