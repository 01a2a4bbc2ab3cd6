//! Calls survive the way in both forms; what is no call is refused without costing more than its bytes.

use ironborg_format::msgpack::{Value, push_array_len, push_map_len, push_nil, push_raw};
use ironborg_types::ChunkId;
use proptest::prelude::*;

use crate::message::{BadCall, Call, Form, Open, Reply, Request, Version};

fn id() -> impl Strategy<Value = ChunkId> {
    any::<[u8; 32]>().prop_map(ChunkId)
}

fn open() -> impl Strategy<Value = Call<'static>> {
    (
        prop::collection::vec(any::<u8>(), 0..300),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        prop::option::of(prop_oneof![
            (-3_i32..100_000).prop_map(f64::from),
            -10.0..1e9_f64
        ]),
        any::<Option<bool>>(),
    )
        .prop_map(|(path, flags, lock_wait, exclusive)| {
            Call::Open(Open {
                path,
                create: flags.0,
                lock_wait,
                lock: flags.1,
                exclusive,
                append_only: flags.2,
                make_parent_dirs: flags.3,
            })
        })
}

/// Any call; `bytes` is what its large parameter borrows.
fn call(bytes: &'static [u8]) -> impl Strategy<Value = Call<'static>> {
    prop_oneof![
        any::<(Option<(u8, u8, u8)>, bool)>().prop_map(|(version, snapshots)| {
            let release = |(a, b, c): (u8, u8, u8)| Version::release(a.into(), b.into(), c.into());
            Call::Negotiate {
                client: version.map(release),
                // A client as old as those that have no version asks for nothing.
                snapshots: snapshots && version.is_some(),
            }
        }),
        open(),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(|path| Call::OpenSnapshot { path }),
        (any::<bool>(), any::<bool>(), any::<u32>()).prop_map(|(repair, save_space, seconds)| {
            Call::Check {
                repair,
                save_space,
                max_duration: seconds.into(),
            }
        }),
        (any::<bool>(), any::<bool>(), 0.0..1.0, any::<bool>()).prop_map(
            |(save_space, compact, threshold, cleanup_commits)| Call::Commit {
                save_space,
                compact,
                threshold,
                cleanup_commits,
            }
        ),
        Just(Call::Rollback),
        Just(Call::Destroy),
        Just(Call::BreakLock),
        Just(Call::Len),
        Just(Call::LoadKey),
        Just(Call::GetFreeNonce),
        (any::<Option<u64>>(), prop::option::of(id()))
            .prop_map(|(limit, marker)| Call::List { limit, marker }),
        (any::<Option<u64>>(), prop::option::of(id()))
            .prop_map(|(limit, marker)| Call::Scan { limit, marker }),
        id().prop_map(|id| Call::Get { id }),
        id().prop_map(|id| Call::Delete { id }),
        (id(), 0..bytes.len()).prop_map(|(id, len)| Call::Put {
            id,
            data: &bytes[..len]
        }),
        (0..bytes.len()).prop_map(|len| Call::SaveKey {
            keydata: &bytes[..len]
        }),
        (any::<u64>(), any::<Option<u64>>()).prop_map(|(next_unreserved, start_nonce)| {
            Call::CommitNonceReservation {
                next_unreserved,
                start_nonce,
            }
        }),
        (0..20_usize).prop_map(|len| Call::InjectException {
            kind: &bytes[..len]
        }),
    ]
}

/// What is left of a call that was sent to `server` in the positional form, which has fewer parameters.
fn as_positional(call: Call<'static>, server: &Version) -> Call<'static> {
    match call {
        Call::Open(open) if *server < Version::release(1, 0, 7) => Call::Open(Open {
            exclusive: None,
            append_only: false,
            make_parent_dirs: false,
            ..open
        }),
        Call::Open(open) => Call::Open(Open {
            make_parent_dirs: false,
            ..open
        }),
        Call::Check {
            repair, save_space, ..
        } => Call::Check {
            repair,
            save_space,
            max_duration: 0,
        },
        Call::Commit { save_space, .. } => Call::Commit {
            save_space,
            compact: true,
            threshold: 0.1,
            cleanup_commits: false,
        },
        other => other,
    }
}

static BYTES: [u8; 70_000] = [0xa5; 70_000];

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn calls_survive_the_way_in_both_forms(call in call(&BYTES), msgid: u64, is_old: bool) {
        let server = if is_old { Version::release(1, 0, 6) } else { Version::own() };
        for form in [Form::Named, Form::Positional] {
            let mut frame = Vec::new();
            call.encode(form, msgid, &server, &mut frame);
            let expected = match form {
                Form::Named => call.clone(),
                Form::Positional => as_positional(call.clone(), &server),
            };
            let request = Request::decode(&frame).expect("a call");
            prop_assert_eq!(request.form, form);
            prop_assert_eq!(request.msgid.as_u64(), Some(msgid));
            prop_assert_eq!(request.call, Ok(expected));
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Request::decode(&bytes);
        let _ = Reply::decode(&bytes);
    }

    #[test]
    fn no_change_of_a_call_makes_a_decoder_panic(
        call in call(&BYTES[..100]),
        at in any::<prop::sample::Index>(),
        byte: u8,
        cut: bool,
    ) {
        for form in [Form::Named, Form::Positional] {
            let mut frame = Vec::new();
            call.encode(form, 1, &Version::own(), &mut frame);
            let at = at.index(frame.len());
            if cut {
                frame.truncate(at);
            } else {
                frame[at] = byte;
            }
            let _ = Request::decode(&frame);
            let _ = Reply::decode(&frame);
        }
    }
}

fn named(msgid: &Value<'_>, method: &str, parameters: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    push_map_len(&mut frame, 3);
    push_raw(&mut frame, b"i");
    msgid.encode(&mut frame);
    push_raw(&mut frame, b"m");
    push_raw(&mut frame, method.as_bytes());
    push_raw(&mut frame, b"a");
    frame.extend_from_slice(parameters);
    frame
}

fn positional(method: &str, count: usize) -> Vec<u8> {
    let mut frame = vec![0x94, 1, 1];
    push_raw(&mut frame, method.as_bytes());
    push_array_len(&mut frame, count);
    frame.resize(frame.len() + count, 0xc0);
    frame
}

#[test]
fn calls_with_far_too_many_parameters_are_none() {
    let with = |count: usize| {
        let mut parameters = Vec::new();
        push_map_len(&mut parameters, count);
        for _ in 0..count {
            push_raw(&mut parameters, b"x");
            push_nil(&mut parameters);
        }
        named(&Value::Int(1), "load_key", &parameters)
    };
    assert!(Request::decode(&with(64)).is_some());
    assert!(Request::decode(&with(65)).is_none());
    assert!(Request::decode(&with(100_000)).is_none());
    assert!(Request::decode(&positional("load_key", 64)).is_some());
    assert!(Request::decode(&positional("load_key", 65)).is_none());
    assert!(Request::decode(&positional("load_key", 1_000_000)).is_none());
}

#[test]
fn what_is_to_be_repeated_is_short_and_of_any_kind() {
    let empty = [0x80];
    for msgid in [
        Value::Nil,
        Value::Bool(true),
        Value::Int(-7),
        Value::Uint(u64::MAX),
        Value::Float(1.5),
        Value::raw("text"),
        Value::Array(vec![Value::Int(1), Value::Nil]),
        Value::Map(vec![(Value::raw("a"), Value::Int(1))]),
    ] {
        let frame = named(&msgid, "load_key", &empty);
        assert_eq!(Request::decode(&frame).unwrap().msgid, msgid);
    }
    let long = named(&Value::raw(vec![b'x'; 65]), "load_key", &empty);
    assert!(Request::decode(&long).is_none());
}

#[test]
fn values_of_the_wrong_kind_are_refused_by_name() {
    let reason = |method: &str, name: &str, value: Value<'static>| {
        let parameters = Value::Map(vec![(Value::raw(name), value)]).to_bytes();
        let frame = named(&Value::Int(1), method, &parameters);
        match Request::decode(&frame).unwrap().call {
            Err(BadCall::Parameter { method, reason }) => format!("{method}: {reason}"),
            other => panic!("{other:?}"),
        }
    };
    for (method, name, value, expected) in [
        (
            "get",
            "id",
            Value::raw(vec![1; 31]),
            "get: 32 bytes expected for an argument: 'id'",
        ),
        (
            "get",
            "id",
            Value::raw(vec![1; 33]),
            "get: 32 bytes expected for an argument: 'id'",
        ),
        (
            "get",
            "id",
            Value::Int(1),
            "get: bytes expected for an argument: 'id'",
        ),
        (
            "get",
            "no",
            Value::Int(1),
            "get: missing a required argument: 'id'",
        ),
        (
            "list",
            "marker",
            Value::raw(""),
            "list: 32 bytes expected for an argument: 'marker'",
        ),
        (
            "list",
            "limit",
            Value::Int(-1),
            "list: a number expected for an argument: 'limit'",
        ),
        (
            "open",
            "path",
            Value::Nil,
            "open: bytes expected for an argument: 'path'",
        ),
        (
            "commit",
            "threshold",
            Value::Float(f64::NAN),
            "commit: a number expected for an argument: 'threshold'",
        ),
        (
            "check",
            "max_duration",
            Value::raw("1"),
            "check: a number expected for an argument: 'max_duration'",
        ),
    ] {
        assert_eq!(reason(method, name, value), expected);
    }
    // A tree of values where a number belongs is stepped over, not built.
    let tree = Value::Array(vec![Value::Nil; 100_000]);
    let parameters = Value::Map(vec![(Value::raw("limit"), tree)]).to_bytes();
    let frame = named(&Value::Int(1), "list", &parameters);
    let call = Request::decode(&frame).unwrap().call;
    assert_eq!(
        call,
        Ok(Call::List {
            limit: None,
            marker: None
        })
    );
}

#[test]
fn what_is_neither_call_nor_reply_is_told_apart_from_both() {
    for value in [
        Value::Nil,
        Value::Int(1),
        Value::raw("borg"),
        Value::Array(Vec::new()),
        Value::Array(vec![Value::Int(1); 3]),
        Value::Array(vec![Value::Int(1); 5]),
        Value::Map(Vec::new()),
        Value::Map(vec![(Value::raw("i"), Value::Int(1))]),
        Value::Map(vec![(Value::Int(1), Value::Int(1))]),
    ] {
        let frame = value.to_bytes();
        assert!(Request::decode(&frame).is_none(), "{value:?}");
        assert!(Reply::decode(&frame).is_none(), "{value:?}");
    }
}

#[test]
fn an_error_far_too_long_is_no_reply_and_many_texts_are_cut() {
    let reply = |texts: usize| {
        Value::Map(vec![
            (Value::raw("i"), Value::Int(1)),
            (Value::raw("exception_class"), Value::raw("Error")),
            (
                Value::raw("exception_full"),
                Value::Array(vec![Value::Nil; texts]),
            ),
        ])
        .to_bytes()
    };
    assert!(Reply::decode(&reply(2 * 1024 * 1024)).is_none());
    let cut = reply(1024 * 1024 - 100);
    let fault = Reply::decode(&cut).unwrap().outcome.unwrap_err();
    assert_eq!(fault.full.len(), 4096);
}

#[test]
fn lists_of_ids_with_rubbish_among_them_are_none() {
    let ids = |elements: Vec<Value<'static>>| {
        let frame = Value::Map(vec![
            (Value::raw("i"), Value::Int(1)),
            (Value::raw("r"), Value::Array(elements)),
        ])
        .to_bytes();
        Reply::decode(&frame).unwrap().outcome.unwrap().ids()
    };
    let good = Value::raw(vec![7; 32]);
    assert_eq!(ids(vec![good.clone()]), Some(vec![ChunkId([7; 32])]));
    for bad in [
        Value::Nil,
        Value::raw(vec![7; 31]),
        Value::raw(vec![7; 33]),
        Value::Int(1),
    ] {
        assert_eq!(ids(vec![good.clone(), bad]), None);
    }
}
