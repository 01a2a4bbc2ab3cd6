//! Messages across a pipe: cut out of a stream, understood, written again.

use ironborg_format::msgpack::{Reader, Value};
use ironborg_rpc::message::{Call, Form, FrameBuffer, Reply, Request, Version};
use ironborg_types::ChunkId;

/// How the stream is cut: byte by byte, and in pieces of no round length.
const PIECE_LENS: [usize; 2] = [1, 37];

/// The messages of a stream, up to where it breaks; found the same however it is cut.
fn frames(stream: &[u8]) -> Vec<&[u8]> {
    let mut ends: Option<Vec<usize>> = None;
    for len in PIECE_LENS {
        let mut buffer = FrameBuffer::new();
        let (mut found, mut end) = (Vec::new(), 0);
        'stream: for piece in stream.chunks(len) {
            buffer.feed(piece);
            loop {
                match buffer.next_frame() {
                    Ok(Some(frame)) => {
                        end += frame.len();
                        found.push(end);
                    }
                    Ok(None) => break,
                    Err(_) => break 'stream,
                }
            }
        }
        let first = ends.get_or_insert_with(|| found.clone());
        assert_eq!(*first, found, "the cuts changed what was found");
    }
    let mut begin = 0;
    let cut = |end| {
        let frame = &stream[begin..end];
        begin = end;
        frame
    };
    ends.unwrap_or_default().into_iter().map(cut).collect()
}

pub(crate) fn rpc_calls(bytes: &[u8]) {
    for frame in frames(bytes) {
        let mut plain = Reader::new(frame);
        assert_eq!(
            plain.skip_value(),
            Ok(frame),
            "no more and no less than one value"
        );
        let Some(request) = Request::decode(frame) else {
            continue;
        };
        assert!(request.msgid.to_bytes().len() <= 1024);
        let Ok(call) = request.call else {
            continue;
        };
        let mut again = Vec::new();
        call.encode(Form::Named, 1, &Version::own(), &mut again);
        let same = Request::decode(&again).expect("a call that was just written");
        assert_eq!(same.call, Ok(call), "nothing is lost on the way");
    }
}

pub(crate) fn rpc_replies(bytes: &[u8]) {
    for frame in frames(bytes) {
        let Some(reply) = Reply::decode(frame) else {
            continue;
        };
        let msgid = Value::Uint(reply.msgid);
        match reply.outcome {
            Err(fault) => {
                let _ = fault.short_text();
                let mut again = Vec::new();
                fault.encode(Form::Named, &msgid, &mut again);
                let again = Reply::decode(&again).expect("an error that was just written");
                assert_eq!(again.msgid, reply.msgid);
                assert_eq!(again.outcome.expect_err("an error").class, fault.class);
            }
            Ok(payload) => {
                let _ = (payload.is_nil(), payload.flag(), payload.number());
                let _ = payload
                    .small_value()
                    .map(|value| Version::from_value(&value));
                assert!(
                    payload
                        .bytes()
                        .is_none_or(|bytes| bytes.len() < frame.len())
                );
                assert!(payload.ids().is_none_or(|ids| ids.len() * 32 < frame.len()));
            }
        }
    }
}

/// One call of every method, in both forms.
pub(crate) fn call_seeds() -> Vec<Vec<u8>> {
    let id = ChunkId([7; 32]);
    let calls = [
        Call::Negotiate {
            client: None,
            snapshots: false,
        },
        Call::Negotiate {
            client: Some(Version::beta(1, 1, 0, 6)),
            snapshots: true,
        },
        Call::Open(ironborg_rpc::message::Open {
            path: b"/~user/./x".to_vec(),
            create: true,
            lock_wait: Some(1.5),
            lock: true,
            exclusive: Some(true),
            append_only: true,
            make_parent_dirs: true,
        }),
        Call::OpenSnapshot {
            path: b"/~user/./x".to_vec(),
        },
        Call::Check {
            repair: true,
            save_space: false,
            max_duration: 60,
        },
        Call::Commit {
            save_space: false,
            compact: true,
            threshold: 0.1,
            cleanup_commits: true,
        },
        Call::Rollback,
        Call::Destroy,
        Call::BreakLock,
        Call::Len,
        Call::List {
            limit: Some(10),
            marker: Some(id),
        },
        Call::Scan {
            limit: None,
            marker: None,
        },
        Call::Get { id },
        Call::Put {
            id,
            data: b"an object",
        },
        Call::Delete { id },
        Call::SaveKey { keydata: b"a key" },
        Call::LoadKey,
        Call::GetFreeNonce,
        Call::CommitNonceReservation {
            next_unreserved: 1 << 40,
            start_nonce: Some(0),
        },
        Call::InjectException { kind: b"divide" },
    ];
    let mut seeds = Vec::new();
    for form in [Form::Named, Form::Positional] {
        let mut session = Vec::new();
        for (call, msgid) in calls.iter().zip(1..) {
            let mut frame = Vec::new();
            call.encode(form, msgid, &Version::own(), &mut frame);
            session.extend_from_slice(&frame);
            seeds.push(frame);
        }
        seeds.push(session);
    }
    seeds
}

/// The replies stock Borg gave, and errors in both forms.
pub(crate) fn reply_seeds() -> Vec<Vec<u8>> {
    let mut seeds = crate::seeds::recorded_replies();
    let fault = ironborg_rpc::message::Fault {
        class: b"LockTimeout".to_vec(),
        errno: None,
        args: Some(vec![b"/srv/repo/lock".to_vec(), b"two".to_vec()]),
        full: vec![b"a line".to_vec()],
        short: vec![b"Failed to create/acquire the lock".to_vec()],
        trace: false,
        sysinfo: b"Platform: Linux".to_vec(),
    };
    for form in [Form::Named, Form::Positional] {
        let mut frame = Vec::new();
        fault.encode(form, &Value::Int(9), &mut frame);
        seeds.push(frame);
    }
    seeds
}
