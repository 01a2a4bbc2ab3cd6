//! Tarballs: whatever the decoder takes keeps within what it says of itself.

use ironborg_format::tar::{
    BLOCK_LEN, Decoder, EXTENSION_LEN_MAX, Found, Member, MemberHeader, Records, encode_gnu,
    encode_pax, kind, padding,
};

/// Reads a tarball to its end, in both ways.
pub(crate) fn tarball(bytes: &[u8]) {
    for ignore_zeros in [false, true] {
        read(bytes, ignore_zeros);
    }
}

fn read(bytes: &[u8], ignore_zeros: bool) {
    let mut decoder = Decoder::new(ignore_zeros);
    let mut rest = bytes;
    loop {
        let wanted = decoder.wanted();
        assert!(wanted > 0 && wanted as u64 <= EXTENSION_LEN_MAX);
        let (now, later) = rest.split_at(wanted.min(rest.len()));
        rest = later;
        match decoder.take(now) {
            Ok(Found::Nothing) => {}
            Ok(Found::Member(member)) => {
                check(&member);
                let stored = usize::try_from(member.stored_len).unwrap_or(usize::MAX);
                rest = rest.get(stored..).unwrap_or_default();
            }
            Ok(Found::End | Found::Damage(_)) | Err(_) => return,
        }
    }
}

/// What is said of the content must fit together: it is read without further questions.
fn check(member: &Member) {
    assert_eq!(member.stored_len % BLOCK_LEN as u64, 0);
    if !member.is_file() {
        return;
    }
    let Some(map) = &member.sparse else {
        assert!(member.size <= member.stored_len);
        return;
    };
    let mut end = 0;
    let mut stored = 0;
    for (offset, len) in map {
        assert!(*offset >= end && *len > 0);
        end = offset.checked_add(*len).expect("checked by the decoder");
        stored += len;
    }
    assert!(stored <= member.stored_len);
}

/// Tarballs with everything: long names, records, maps of holes, damage.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let file = MemberHeader {
        name: b"file",
        kind: kind::REGULAR,
        mode: 0o644,
        uid: 1 << 40,
        user: b"user",
        size: 3,
        mtime: 1_700_000_000,
        ..MemberHeader::default()
    };
    let with_content = |mut header: Vec<u8>| {
        header.extend(b"abc");
        header.resize(header.len() + padding(3), 0);
        header
    };
    let gnu = |member: MemberHeader<'_>| {
        let mut out = Vec::new();
        encode_gnu(&member, &mut out).expect("the numbers fit");
        with_content(out)
    };
    let pax = |records: &[(&str, &str)]| {
        let mut all = Records::default();
        for (keyword, value) in records {
            all.add(keyword, value.as_bytes());
        }
        let mut out = Vec::new();
        encode_pax(&file, all, &mut out).expect("the numbers fit");
        with_content(out)
    };
    let map = [
        ("GNU.sparse.map", "0,1,500,2"),
        ("GNU.sparse.realsize", "1000"),
    ];
    let map_in_data = [
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "sparse"),
    ];
    let old_map = [("GNU.sparse.size", "9"), ("GNU.sparse.offset", "1")];
    let mut sparse = gnu(MemberHeader {
        kind: kind::GNU_SPARSE,
        ..file
    });
    // The real size, with the checksum that goes with it.
    sparse[483..494].copy_from_slice(b"00000000777");
    let sum: u32 = sparse[..BLOCK_LEN]
        .iter()
        .map(|byte| u32::from(*byte))
        .sum();
    let own: u32 = sparse[148..156].iter().map(|byte| u32::from(*byte)).sum();
    let digits = format!("{:06o}\0 ", sum - own + 8 * u32::from(b' '));
    sparse[148..156].copy_from_slice(digits.as_bytes());
    let long = gnu(MemberHeader {
        name: &[b'n'; 300],
        link: &[b'l'; 200],
        ..file
    });
    let all = [&gnu(file)[..], &long, &pax(&map), &[0; 1024]].concat();
    vec![
        gnu(file),
        long,
        sparse,
        pax(&[("mtime", "1.5"), ("path", "another"), ("uid", "7")]),
        pax(&map),
        pax(&map_in_data),
        pax(&old_map),
        all,
    ]
}
