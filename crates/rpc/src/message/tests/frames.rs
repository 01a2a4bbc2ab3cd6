//! Messages are found in the stream however it is cut, at a cost that grows with the bytes and not with the cuts.

use ironborg_format::msgpack::{Reader, Value};
use proptest::prelude::*;

use crate::message::{FRAME_LEN_MAX, FrameBuffer, FrameError, Reply, Request};

fn value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(|number| Value::Uint(number | 1 << 63)),
        (-1e9_f64..1e9).prop_map(Value::Float),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(Value::raw),
        (any::<i8>(), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(kind, bytes)| Value::Ext(kind, bytes.into())),
    ];
    leaf.prop_recursive(4, 40, 10, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..20).prop_map(Value::Array),
            prop::collection::vec((inner.clone(), inner), 0..20).prop_map(Value::Map),
        ]
    })
}

/// Where messages end, found the simple way: by a reader over the whole stream.
fn plain_scan(stream: &[u8]) -> Vec<&[u8]> {
    let mut reader = Reader::new(stream);
    let mut frames = Vec::new();
    while let Ok(frame) = reader.skip_value() {
        frames.push(frame);
    }
    frames
}

/// Feeds the stream in pieces and takes messages as soon as they are there.
fn in_pieces(stream: &[u8], lens: impl IntoIterator<Item = usize>) -> Vec<Vec<u8>> {
    let mut buffer = FrameBuffer::new();
    let mut frames = Vec::new();
    let mut rest = stream;
    for len in lens {
        let (piece, behind) = rest.split_at(len.min(rest.len()));
        rest = behind;
        buffer.feed(piece);
        while let Some(frame) = buffer.next_frame().expect("a good stream") {
            frames.push(frame.to_vec());
        }
    }
    buffer.feed(rest);
    while let Some(frame) = buffer.next_frame().expect("a good stream") {
        frames.push(frame.to_vec());
    }
    frames
}

proptest! {
    #[test]
    fn cuts_change_nothing(
        values in prop::collection::vec(value(), 0..12),
        lens in prop::collection::vec(0_usize..400, 0..40),
        left_out in 0_usize..50,
    ) {
        let stream: Vec<u8> = values.iter().flat_map(Value::to_bytes).collect();
        let stream = &stream[..stream.len().saturating_sub(left_out)];
        prop_assert_eq!(in_pieces(stream, lens), plain_scan(stream));
        prop_assert_eq!(in_pieces(stream, std::iter::repeat_n(1, stream.len())), plain_scan(stream));
    }

    #[test]
    fn rubbish_ends_in_an_error_or_in_messages(
        bytes in prop::collection::vec(any::<u8>(), 0..500),
        len in 1_usize..50,
    ) {
        let mut buffer = FrameBuffer::new();
        let mut taken = 0;
        'stream: for piece in bytes.chunks(len) {
            buffer.feed(piece);
            loop {
                match buffer.next_frame() {
                    Ok(Some(frame)) => {
                        prop_assert_eq!(frame, &bytes[taken..taken + frame.len()]);
                        taken += frame.len();
                    }
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
    }
}

#[test]
fn lengths_that_cannot_be_are_refused_before_anything_is_reserved() {
    for head in [
        &[0xdb, 0xff, 0xff, 0xff, 0xff][..],
        &[0xc6, 0x04, 0x00, 0x00, 0x00],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0x80, 0x00, 0x00, 0x00],
        &[0xc9, 0xff, 0xff, 0xff, 0xff],
        // Small ones around a large one.
        &[0x93, 0x81, 0xa1, b'x', 0xdb, 0x03, 0xc0, 0x00, 0x00],
    ] {
        let mut buffer = FrameBuffer::new();
        buffer.feed(head);
        assert_eq!(buffer.next_frame(), Err(FrameError::TooLong), "{head:x?}");
        assert!(buffer.room().len() <= 128 * 1024);
    }
    let mut buffer = FrameBuffer::new();
    buffer.feed(&[0x92, 0xc1]);
    assert_eq!(buffer.next_frame(), Err(FrameError::Reserved));
    assert_eq!(buffer.rest(), [0x92, 0xc1], "shown to the user");
}

#[test]
fn a_length_is_believed_as_it_arrives() {
    let mut buffer = FrameBuffer::new();
    // 50 MiB are announced, and nothing else comes.
    buffer.feed(&[0xdb, 0x03, 0x20, 0x00, 0x00]);
    assert_eq!(buffer.next_frame(), Ok(None));
    assert!(buffer.room().len() <= 2 * 1024 * 1024);
    assert!(buffer.is_inside());
}

/// How much memory the buffer holds.
fn held(buffer: &mut FrameBuffer) -> usize {
    buffer.rest().len() + buffer.room().len()
}

#[test]
fn memory_follows_what_arrived_and_is_given_back() {
    let mut buffer = FrameBuffer::new();
    let len = 40 * 1024 * 1024;
    let mut head = vec![0xdb];
    head.extend_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    buffer.feed(&head);
    let piece = vec![7; 100_000];
    let mut sent = 0;
    while sent < len {
        assert_eq!(buffer.next_frame(), Ok(None));
        assert!(
            held(&mut buffer) <= 2 * sent + 2 * 1024 * 1024,
            "{sent} bytes, {} held",
            held(&mut buffer)
        );
        let now = piece.len().min(len - sent);
        buffer.feed(&piece[..now]);
        sent += now;
    }
    assert_eq!(buffer.next_frame().unwrap().map(<[u8]>::len), Some(len + 5));
    assert_eq!(buffer.next_frame(), Ok(None));
    assert!(held(&mut buffer) <= 4 * 1024 * 1024);
}

#[test]
fn the_longest_message_is_taken_and_one_longer_is_not() {
    for (len, is_taken) in [(FRAME_LEN_MAX, true), (FRAME_LEN_MAX + 1, false)] {
        let mut buffer = FrameBuffer::new();
        let mut message = vec![0xdb];
        message.extend_from_slice(&u32::try_from(len - 5).unwrap().to_be_bytes());
        message.resize(len, 0);
        buffer.feed(&message[..5]);
        if is_taken {
            assert_eq!(buffer.next_frame(), Ok(None));
            buffer.feed(&message[5..]);
            assert_eq!(buffer.next_frame().unwrap().map(<[u8]>::len), Some(len));
        } else {
            assert_eq!(buffer.next_frame(), Err(FrameError::TooLong));
        }
    }
}

#[test]
fn as_many_nils_as_fit_are_one_message_that_means_nothing() {
    let count = u32::try_from(FRAME_LEN_MAX - 5).unwrap();
    let mut message = vec![0xdd];
    message.extend_from_slice(&count.to_be_bytes());
    message.resize(FRAME_LEN_MAX, 0xc0);
    let mut buffer = FrameBuffer::new();
    buffer.feed(&message);
    let frame = buffer.next_frame().unwrap().expect("whole");
    assert_eq!(frame.len(), FRAME_LEN_MAX);
    assert!(Request::decode(frame).is_none());
    assert!(Reply::decode(frame).is_none());
}

#[test]
fn values_in_values_without_end_are_stepped_over() {
    let mut message = vec![0x91; 1_000_000];
    message.push(0xc0);
    let mut buffer = FrameBuffer::new();
    for piece in message.chunks(1000) {
        buffer.feed(piece);
    }
    let frame = buffer.next_frame().unwrap().expect("whole").to_vec();
    assert_eq!(frame, message);
    assert!(Request::decode(&frame).is_none());
    assert!(Reply::decode(&frame).is_none());

    // And where a parameter, a result or an error's arguments belong.
    let deep = |front: &[u8]| [front, &message[..]].concat();
    let call = deep(b"\x83\xa1i\x01\xa1m\xa4list\xa1a\x81\xa5limit");
    assert!(Request::decode(&call).unwrap().call.is_ok());
    let reply = deep(b"\x82\xa1i\x01\xa1r");
    let payload = Reply::decode(&reply).unwrap().outcome.unwrap();
    assert!(payload.small_value().is_none() && payload.ids().is_none());
    let fault = deep(b"\x83\xa1i\x01\xafexception_class\xa1x\xaeexception_args");
    assert!(Reply::decode(&fault).is_none());
}

#[test]
fn every_byte_is_looked_at_once_however_many_looks_are_taken() {
    // One value of a million parts, received byte by byte with a look after each: if every look began anew, that
    // would be 10^12 steps, and nobody would wait for this test.
    let mut buffer = FrameBuffer::new();
    buffer.feed(&[0xdd, 0, 0x0f, 0x42, 0x40]);
    for _ in 0..999_999 {
        buffer.feed(&[0xc0]);
        assert_eq!(buffer.next_frame(), Ok(None));
    }
    buffer.feed(&[0xc0]);
    assert_eq!(
        buffer.next_frame().unwrap().map(<[u8]>::len),
        Some(1_000_005)
    );
}
