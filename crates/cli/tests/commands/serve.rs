//! The server as a process: recorded sessions, what a forced command leaves to the client, signals, and the end.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::thread;

use ironborg_format::msgpack::Value;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::scene::Scene;

/// Sessions of stock Borg's server.
const SESSIONS: &str = include_str!("../../../../testdata/vectors/rpc.json");
/// How the server says that nothing was opened.
const NEVER_OPENED: &str = "Borg 1.4.5: Got connection close before repository was opened.\n";

/// What a server has done.
#[derive(Debug)]
struct Served {
    out: Vec<u8>,
    err: String,
    code: Option<i32>,
}

fn start(mut command: Command) -> Child {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Sends bytes and then the end.
fn served(command: Command, input: Vec<u8>) -> Served {
    let mut child = start(command);
    let mut stdin = child.stdin.take().unwrap();
    let writer = thread::spawn(move || {
        // A server that ends early is an outcome.
        let _ = stdin.write_all(&input);
    });
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Served {
        out: output.stdout,
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code(),
    }
}

/// The directories of the record, as they are here.
struct Places(Vec<(&'static str, String)>);

impl Places {
    fn of(scene: &Scene) -> Self {
        let here = |path: std::path::PathBuf| path.to_str().unwrap().to_owned();
        std::fs::create_dir_all(scene.root().join("srv")).unwrap();
        Self(vec![
            (
                "/srv",
                here(scene.root().join("srv").canonicalize().unwrap()),
            ),
            ("/home/user", here(scene.home().canonicalize().unwrap())),
        ])
    }

    fn text(&self, text: &str) -> String {
        // One path goes up and down again.
        let text = text.replace("/srv/../srv", "/srv/../SRV");
        let replaced = |text: String, (there, here): &(&str, String)| text.replace(there, here);
        let text = self.0.iter().fold(text, replaced);
        text.replace("SRV", "srv")
    }

    /// A message of the record; `hex` stands for bytes.
    fn value(&self, json: &Json) -> Value<'static> {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(flag) => Value::Bool(*flag),
            Json::Number(number) => match number.as_i64() {
                Some(number) => Value::Int(number),
                None => Value::Float(number.as_f64().unwrap()),
            },
            Json::String(text) => Value::raw(self.text(text).into_bytes()),
            Json::Array(list) => Value::Array(list.iter().map(|json| self.value(json)).collect()),
            Json::Object(map) if map.len() == 1 && map.contains_key("hex") => {
                Value::raw(unhex(map["hex"].as_str().unwrap()))
            }
            Json::Object(map) => {
                let pair = |(key, value): (&String, &Json)| {
                    (Value::raw(key.as_bytes()), self.value(value))
                };
                Value::Map(map.iter().map(pair).collect())
            }
        }
    }
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Without what differs from run to run: repository ids and tracebacks.
fn comparable(mut reply: Value<'_>, is_open: bool) -> Value<'static> {
    if let Value::Map(pairs) = &mut reply {
        pairs.retain(|(key, _)| key.as_raw() != Some(b"exception_full"));
    }
    reply.sort_maps();
    let id = |value: &mut Value<'_>| {
        if is_open && value.as_raw().is_some_and(|bytes| bytes.len() == 32) {
            *value = Value::raw(*b"id");
        }
    };
    match &mut reply {
        Value::Map(pairs) => pairs.iter_mut().for_each(|(_, value)| id(value)),
        Value::Array(parts) => parts.iter_mut().for_each(id),
        _ => {}
    }
    reply.into_owned()
}

fn put_too_much() -> Value<'static> {
    let id = Sha256::digest(b"q");
    let map = |pairs: Vec<(&str, Value<'static>)>| {
        let pair = |(key, value): (&str, _)| (Value::raw(key.as_bytes()), value);
        Value::Map(pairs.into_iter().map(pair).collect())
    };
    let args = map(vec![
        ("id", Value::raw(id.to_vec())),
        ("data", Value::raw(vec![0; 10_500_000])),
    ]);
    map(vec![
        ("i", Value::Int(2)),
        ("m", Value::raw(*b"put")),
        ("a", args),
    ])
}

/// A line of the log without its time.
fn without_time(line: &str) -> String {
    match serde_json::from_str::<Json>(line) {
        Ok(Json::Object(mut record)) => {
            record.remove("time");
            Json::Object(record).to_string()
        }
        _ => line.to_owned(),
    }
}

#[test]
fn recorded_sessions_go_as_with_stock_borg() {
    let scene = Scene::new();
    let places = Places::of(&scene);
    let record: Json = serde_json::from_str(SESSIONS).unwrap();
    // In the order of their names the first one makes the repository the others use.
    for (name, session) in record["sessions"].as_object().unwrap() {
        let args: Vec<String> = match session["args"].as_array() {
            Some(args) => args
                .iter()
                .map(|arg| places.text(arg.as_str().unwrap()))
                .collect(),
            None => vec!["serve".to_owned()],
        };
        let exchanges = session["exchange"].as_array().unwrap();
        let mut input = Vec::new();
        for exchange in exchanges {
            let request = &exchange["request"];
            if request.is_string() {
                put_too_much().encode(&mut input);
            } else {
                places.value(request).encode(&mut input);
            }
        }
        let served = served(scene.command(args), input);
        let mut rest = served.out.as_slice();
        for exchange in exchanges {
            let mut reader = ironborg_format::msgpack::Reader::new(rest);
            let bytes = reader.skip_value().unwrap();
            rest = &rest[bytes.len()..];
            let is_open = exchange["request"]["m"] == "open" || exchange["request"][2] == "open";
            let expected = comparable(places.value(&exchange["response"]), is_open);
            let found = comparable(Value::decode(bytes).unwrap(), is_open);
            assert_eq!(found, expected, "{name}: {}", exchange["request"]);
        }
        let rest_expected = session["stdout_rest"].as_str().unwrap();
        assert_eq!(String::from_utf8_lossy(rest), rest_expected, "{name}");
        let lines = session["stderr"].as_array().unwrap().iter();
        let expected: Vec<String> = lines
            .map(|line| line.as_str().unwrap())
            .filter(|line| !line.contains("Traceback"))
            .map(|line| without_time(&places.text(line)))
            .collect();
        let found: Vec<String> = served.err.lines().map(without_time).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(
            served.code.map(Json::from),
            Some(session["rc"].clone()),
            "{name}"
        );
    }
}

/// Calls that open a repository of the scene for writing.
fn opening(path: &str) -> Vec<u8> {
    let mut calls = Vec::new();
    let calls_json = serde_json::json!([
        {"i": 1, "m": "negotiate", "a": {"client_data": {"client_version": [1, 4, 5, -1]}}},
        {"i": 2, "m": "open", "a": {"path": path, "lock_wait": 1, "exclusive": true}},
    ]);
    for call in calls_json.as_array().unwrap() {
        Places(Vec::new()).value(call).encode(&mut calls);
    }
    calls
}

#[test]
fn what_is_no_call_ends_the_server_and_leaves_no_lock() {
    let scene = Scene::new();
    scene.ok(["init", "-e", "none", "r"]);
    let mut command = scene.command(["serve"]);
    command.env("BORG_EXIT_CODES", "modern");
    let mut input = opening("r");
    input.push(7);
    let served = served(command, input);
    assert_eq!(served.code, Some(85), "{served:?}");
    assert!(
        served
            .err
            .contains("Borg 1.4.5: Got unexpected RPC data format from client."),
        "{served:?}"
    );
    assert!(!scene.home().join("r/lock.exclusive").exists());
    assert!(!scene.home().join("r/lock.roster").exists());
}

#[test]
fn a_signal_ends_the_server_and_leaves_no_lock() {
    for (signal, code) in [("TERM", 143), ("HUP", 129)] {
        let scene = Scene::new();
        scene.ok(["init", "-e", "none", "r"]);
        let mut child = start(scene.command(["serve"]));
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&opening("r")).unwrap();
        // Both answers have arrived: the repository is open.
        let mut seen = [0; 60];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut seen)
            .unwrap();
        assert!(scene.home().join("r/lock.exclusive").exists());
        let id = child.id().to_string();
        let killed = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(killed.unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(code));
        drop(stdin);
        assert!(!scene.home().join("r/lock.exclusive").exists(), "{signal}");
        assert!(!scene.home().join("r/lock.roster").exists(), "{signal}");
    }
}

#[test]
fn of_the_clients_command_only_what_is_harmless_is_heeded() {
    let scene = Scene::new();
    scene.ok(["init", "-e", "none", "r"]);
    std::fs::write(scene.home().join("private"), "secret words\n").unwrap();
    let run = |original: &str| {
        let mut command = scene.command(["serve", "--restrict-to-path", "elsewhere"]);
        command.env("SSH_ORIGINAL_COMMAND", original);
        served(command, opening("r"))
    };
    // The client may have more said, and nothing else.
    let open = "BORG_X=1 /usr/bin/borg serve --debug --restrict-to-path / --append-only --umask=0";
    let heeded = run(open);
    assert!(
        heeded.err.starts_with("$LOG DEBUG borg.logger Remote: "),
        "{heeded:?}"
    );
    assert!(heeded.out.ends_with(NEVER_OPENED.as_bytes()), "{heeded:?}");
    // Whatever else it wants to run is neither run nor looked at.
    for other in [
        "borg create --patterns-from private r::a x",
        "borg serve-not",
        "scp -f /etc/passwd",
        "",
    ] {
        let served = run(other);
        let said = String::from_utf8_lossy(&served.out).into_owned() + &served.err;
        assert!(!said.contains("secret words"), "{other}: {served:?}");
        assert!(!said.contains("server_version") || said.ends_with(NEVER_OPENED));
    }
    let refused = run("borg serve --no-such-option");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.out.is_empty(), "{refused:?}");
}

#[test]
fn a_refusal_tells_nothing_of_what_is_refused() {
    let scene = Scene::new();
    scene.ok(["init", "-e", "none", "r"]);
    let home = scene.home().canonicalize().unwrap();
    std::fs::create_dir(home.join("mine")).unwrap();
    symlink(home.join("r"), home.join("mine/link")).unwrap();
    let run = |path: &str| {
        let command = scene.command(["serve", "--restrict-to-path", "mine"]);
        let served = served(command, opening(path));
        assert!(
            served.out.ends_with(NEVER_OPENED.as_bytes()),
            "{path}: {served:?}"
        );
        String::from_utf8_lossy(&served.out).into_owned()
    };
    let refused = |path: &str, shown: &str| {
        let text = format!("Repository path not allowed: {shown}");
        let out = run(path);
        assert!(out.contains(&text), "{path}: {out:?}");
        out.replace(shown, "SHOWN").len()
    };
    let shown = |path: &str| home.join(path).to_str().unwrap().to_owned();
    let exists = refused("r", &shown("r"));
    assert_eq!(refused("s", &shown("s")), exists);
    assert_eq!(refused("mine/../r", &shown("r")), exists);
    // Where a symlink leads is not told, nor where anybody is at home.
    assert!(refused("mine/link", &shown("mine/link")) > 0);
    assert!(refused("~root/x", "~root/x") > 0);
    assert!(refused("/~nobody-there/x", "/~nobody-there/x") > 0);
}
