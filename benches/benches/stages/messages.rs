//! Calls and replies between client and server to bytes and back.

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use ironborg_rpc::message::{Call, Form, FrameBuffer, Request, Version};

use crate::{CHUNK_LENS, content, id};

fn put(len: usize) -> Vec<u8> {
    let data = content(len);
    let call = Call::Put {
        id: id(1),
        data: &data,
    };
    let mut message = Vec::new();
    call.encode(Form::Named, 7, &Version::own(), &mut message);
    message
}

#[divan::bench(args = CHUNK_LENS)]
fn encode_put(bencher: Bencher<'_, '_>, len: usize) {
    let (id, data) = (id(1), content(len));
    let (server, mut message) = (Version::own(), Vec::new());
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        message.clear();
        let data = black_box(&data);
        Call::Put { id, data }.encode(Form::Named, 7, &server, &mut message);
    });
}

/// Found in the stream, and understood.
#[divan::bench(args = CHUNK_LENS)]
fn receive_put(bencher: Bencher<'_, '_>, len: usize) {
    let message = put(len);
    let mut frames = FrameBuffer::new();
    bencher.counter(BytesCount::new(len)).bench_local(|| {
        frames.feed(black_box(&message));
        let frame = frames.next_frame().expect("well-formed").expect("whole");
        let request = Request::decode(frame).expect("a call");
        assert!(request.call.is_ok());
    });
}
