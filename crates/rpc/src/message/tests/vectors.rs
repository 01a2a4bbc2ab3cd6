//! Every message of the recorded sessions means what the record says, and is written as stock Borg wrote it.

use ironborg_format::msgpack::Value;
use serde_json::Value as Json;

use crate::message::{BadCall, Call, Fault, Form, FrameBuffer, Reply, Request, Version};

/// Sessions of stock Borg's server.
const SESSIONS: &str = include_str!("../../../../../testdata/vectors/rpc.json");
/// Stands for bytes that are not in the record.
const LEFT_OUT: [&str; 2] = ["(too long)", "(left out, contains a traceback)"];

fn exchanges() -> Vec<Json> {
    let record: Json = serde_json::from_str(SESSIONS).expect("the record is JSON");
    let sessions = record["sessions"].as_object().expect("named sessions");
    let lists = sessions.values().map(|session| &session["exchange"]);
    lists
        .flat_map(|list| list.as_array().expect("a list").clone())
        .collect()
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The bytes of a message, if they are in the record.
fn recorded(exchange: &Json, key: &str) -> Option<Vec<u8>> {
    let digits = exchange[key].as_str().expect("hexadecimal");
    (!LEFT_OUT.contains(&digits)).then(|| unhex(digits))
}

/// A message as the record tells it.
fn told(json: &Json) -> Value<'static> {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::Float(number.as_f64().expect("a number")),
        },
        Json::String(text) => Value::raw(text.as_bytes()),
        Json::Array(list) => Value::Array(list.iter().map(told).collect()),
        Json::Object(map) if map.len() == 1 && map.contains_key("hex") => {
            Value::raw(unhex(map["hex"].as_str().expect("hexadecimal")))
        }
        Json::Object(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| (Value::raw(key.as_bytes()), told(value)));
            Value::Map(pairs.collect())
        }
    }
}

/// The same with the keys of maps in one order.
fn sorted(mut value: Value<'_>) -> Value<'_> {
    value.sort_maps();
    value
}

#[test]
fn calls_mean_what_the_record_says_and_are_written_as_recorded() {
    let mut written = 0;
    for exchange in exchanges() {
        let Some(bytes) = recorded(&exchange, "request_hex") else {
            continue;
        };
        let told = told(&exchange["request"]);
        assert_eq!(sorted(Value::decode(&bytes).unwrap()), sorted(told.clone()));

        let request = Request::decode(&bytes).expect("a call");
        let (method, msgid) = match &told {
            Value::Array(parts) => (parts[2].as_raw(), parts[1].as_u64()),
            map => (
                map.get(b"m").and_then(Value::as_raw),
                map.get(b"i").and_then(Value::as_u64),
            ),
        };
        assert_eq!(request.msgid.as_u64(), msgid);
        match request.call {
            Ok(call) => {
                assert_eq!(Some(call.method().as_bytes()), method);
                let mut again = Vec::new();
                let msgid = msgid.expect("numbers");
                call.encode(request.form, msgid, &Version::assumed(), &mut again);
                if told
                    .get(b"a")
                    .is_none_or(|a| a.get(b"unknown_param").is_none())
                {
                    assert_eq!(again, bytes, "{call:?}");
                    written += 1;
                }
            }
            Err(error) => assert_eq!(error, BadCall::Method(b"nosuch".to_vec())),
        }
    }
    assert_eq!(
        written, 50,
        "of 53: one is too long, one unknown, one has an unknown parameter"
    );
}

#[test]
fn results_mean_what_the_record_says_and_are_written_as_recorded() {
    let mut results = 0;
    for exchange in exchanges() {
        let Some(bytes) = recorded(&exchange, "response_hex") else {
            continue;
        };
        let (form, msgid, result) = match told(&exchange["response"]) {
            Value::Array(mut parts) => {
                let result = parts.pop().expect("four parts");
                if parts[2] != Value::Nil {
                    continue;
                }
                (Form::Positional, parts[1].clone(), result)
            }
            map => (
                Form::Named,
                map.get(b"i").expect("a number").clone(),
                map.get(b"r").expect("a result").clone(),
            ),
        };
        let reply = Reply::decode(&bytes).expect("a reply");
        assert_eq!(Some(reply.msgid), msgid.as_u64());
        let payload = reply.outcome.expect("a result");
        assert_eq!(payload.small_value(), Some(result.clone()));
        match &result {
            Value::Nil => assert!(payload.is_nil() && payload.bytes().is_none()),
            Value::Int(number) => assert_eq!(payload.number(), u64::try_from(*number).ok()),
            Value::Bool(flag) => assert_eq!(payload.flag(), Some(*flag)),
            Value::Raw(bytes) => assert_eq!(payload.bytes(), Some(&**bytes)),
            Value::Array(ids) => {
                let read = payload.ids().expect("ids");
                let read = read.iter().map(|id| Value::raw(*id.as_bytes())).collect();
                assert_eq!(Value::Array(read), Value::Array(ids.clone()));
            }
            other => assert!(other.get(b"server_version").is_some()),
        }
        let mut again = Vec::new();
        Reply::encode_head(form, &msgid, &mut again);
        result.encode(&mut again);
        assert_eq!(again, bytes);
        results += 1;
    }
    assert_eq!(results, 35, "of 53: the others are errors");
}

fn texts(json: &Json) -> Vec<Vec<u8>> {
    let list = json.as_array().expect("a list").iter();
    list.map(|text| text.as_str().expect("text").into())
        .collect()
}

#[test]
fn errors_arrive_as_they_were_sent() {
    let mut faults = 0;
    for exchange in exchanges() {
        let told = &exchange["response"];
        let mut sent = Vec::new();
        let fault = if let Some(class) = told["exception_class"].as_str() {
            let fault = Fault {
                errno: None,
                class: class.into(),
                args: Some(texts(&told["exception_args"])),
                full: texts(&told["exception_full"]),
                short: texts(&told["exception_short"]),
                trace: told["exception_trace"].as_bool().expect("a flag"),
                sysinfo: told["sysinfo"].as_str().expect("text").into(),
            };
            let msgid = Value::Int(told["i"].as_i64().expect("a number"));
            fault.encode(Form::Named, &msgid, &mut sent);
            fault
        } else if let Some(class) = told[2].as_str() {
            // Old clients learn no more than the class.
            let fault = Fault {
                class: class.into(),
                trace: true,
                ..Fault::default()
            };
            let msgid = Value::Int(told[1].as_i64().expect("a number"));
            fault.encode(Form::Positional, &msgid, &mut sent);
            assert_eq!(Some(&sent), recorded(&exchange, "response_hex").as_ref());
            fault
        } else {
            continue;
        };
        let reply = Reply::decode(&sent).expect("a reply");
        assert_eq!(reply.outcome, Err(fault));
        faults += 1;
    }
    assert_eq!(faults, 18);
}

#[test]
fn a_whole_session_is_cut_into_its_messages_again() {
    let messages: Vec<Vec<u8>> = exchanges()
        .iter()
        .flat_map(|exchange| {
            [
                recorded(exchange, "request_hex"),
                recorded(exchange, "response_hex"),
            ]
        })
        .flatten()
        .collect();
    let mut buffer = FrameBuffer::new();
    buffer.feed(&messages.concat());
    for message in &messages {
        assert_eq!(buffer.next_frame(), Ok(Some(message.as_slice())));
    }
    assert_eq!(buffer.next_frame(), Ok(None));
    assert!(!buffer.is_inside());
}

#[test]
fn errors_of_every_shape_python_can_send_are_read() {
    // OSError has a number among its arguments, others have values that were replaced by nil.
    let reply = Value::Map(vec![
        (Value::raw("i"), Value::Int(7)),
        (Value::raw("exception_class"), Value::raw("OSError")),
        (
            Value::raw("exception_args"),
            Value::Array(vec![
                Value::Int(28),
                Value::raw("No space left on device"),
                Value::Nil,
            ]),
        ),
    ])
    .to_bytes();
    let fault = Reply::decode(&reply).unwrap().outcome.unwrap_err();
    assert_eq!(fault.class, b"OSError");
    let args = [&b"28"[..], b"No space left on device", b""].map(<[u8]>::to_vec);
    assert_eq!(fault.args, Some(args.to_vec()));
    assert!(
        fault.trace,
        "stock Borg shows it if it is not told otherwise"
    );

    // An empty class in the positional form is no error, as Python sees it.
    let fine = Value::Array(vec![
        Value::Int(1),
        Value::Int(2),
        Value::raw(""),
        Value::Int(3),
    ]);
    let fine = fine.to_bytes();
    let reply = Reply::decode(&fine).unwrap();
    assert_eq!(reply.outcome.unwrap().number(), Some(3));
}

#[test]
fn a_result_never_hides_an_error() {
    let both = Value::Map(vec![
        (Value::raw("r"), Value::Int(1)),
        (Value::raw("exception_class"), Value::raw("DoesNotExist")),
        (Value::raw("i"), Value::Int(7)),
        (Value::raw("r"), Value::Int(2)),
    ])
    .to_bytes();
    let reply = Reply::decode(&both).unwrap();
    assert_eq!(reply.outcome.unwrap_err().class, b"DoesNotExist");
}

/// A call made by hand, so that it can be wrong.
fn by_hand(method: &str, parameters: &[(&str, Value<'static>)]) -> Vec<u8> {
    let pairs = parameters
        .iter()
        .map(|(name, value)| (Value::raw(*name), value.clone()));
    Value::Map(vec![
        (Value::raw("i"), Value::raw("any id")),
        (Value::raw("m"), Value::raw(method)),
        (Value::raw("a"), Value::Map(pairs.collect())),
    ])
    .to_bytes()
}

#[test]
fn what_old_clients_leave_out_is_what_stock_borg_takes_it_for() {
    let decoded = |bytes: &[u8]| format!("{:?}", Request::decode(bytes).unwrap().call.unwrap());
    assert_eq!(
        decoded(&by_hand("commit", &[])),
        "Commit { save_space: false, compact: true, threshold: 0.1, cleanup_commits: false }"
    );
    assert_eq!(
        decoded(&by_hand("list", &[])),
        "List { limit: None, marker: None }"
    );
    assert_eq!(
        decoded(&by_hand("open", &[("path", Value::raw("/x"))])),
        "Open(Open { path: [47, 120], create: false, lock_wait: None, lock: true, exclusive: None, \
         append_only: false, make_parent_dirs: false })"
    );
    let four = Value::Array(vec![
        Value::Int(1),
        Value::Int(1),
        Value::raw("open"),
        Value::Array(vec![
            Value::raw("/x"),
            Value::Bool(true),
            Value::Int(3),
            Value::Bool(false),
        ]),
    ])
    .to_bytes();
    let Ok(Call::Open(open)) = Request::decode(&four).unwrap().call else {
        panic!("no open");
    };
    assert!(open.create && !open.lock && open.lock_wait == Some(3.0) && open.exclusive.is_none());
}

#[test]
fn who_the_client_is_is_read_as_stock_borg_reads_it() {
    let client = |data: Value<'static>| {
        let bytes = by_hand("negotiate", &[("client_data", data)]);
        match Request::decode(&bytes).unwrap().call {
            Ok(Call::Negotiate { client, .. }) => Ok(client),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error),
        }
    };
    assert_eq!(client(Value::Int(2)), Ok(None));
    assert_eq!(client(Value::Int(3)), Ok(Some(Version::own())));
    let numbers = [1, 1, 0, -3, 6].map(Value::Int).to_vec();
    let map = Value::Map(vec![(Value::raw("client_version"), Value::Array(numbers))]);
    assert_eq!(client(map), Ok(Some(Version::beta(1, 1, 0, 6))));
    client(Value::Map(Vec::new())).expect_err("a map without a version");
}
