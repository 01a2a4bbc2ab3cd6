//! What the client of a server says: how it calls the remote shell, what it makes of the server's log and errors, and
//! with which code it ends. Both programs against the same server, which is a script where stock Borg's own would
//! never say such a thing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ironborg_testkit::{Home, Program, Run, Scratch, testdata};
use serde_json::{Value, json};

use crate::differential::{assert_same_runs, script};
use crate::scene::{Scene, text};

/// The server that does as it is told.
const ODD_SERVER: &str = include_str!("odd_server.py");
/// A location on it.
const FAR: &str = "ssh://user@far.example/srv/repo";

/// The words that start the odd server in place of a remote shell.
fn odd_server(scratch: &Scratch, told: &Value) -> String {
    let server = scratch.join("odd_server.py");
    fs::write(&server, ODD_SERVER).expect("a file of this test");
    let python = Program::Stock.path().with_file_name("python");
    format!("{} -S -E {} '{told}'", python.display(), server.display())
}

/// A remote shell that notes its words and then is the odd server.
fn fake_shell(scratch: &Scratch, told: &Value, words: &Path) {
    let shell = scratch.dir("bin").join("fakersh");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' fakersh \"$@\" > '{}'\nexec {} \"$@\"\n",
        words.display(),
        odd_server(scratch, told)
    );
    fs::write(&shell, script).expect("a file of this test");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).expect("a file of this test");
}

/// Every captured command line of stock Borg is ours too, to the last word, and so is what is asked of the server.
#[test]
fn the_remote_shell_is_called_as_stock_borg_calls_it() {
    let vectors = fs::read(testdata().join("vectors/rpc_client.json")).expect("test data");
    let vectors: Value = serde_json::from_slice(&vectors).expect("test data");
    for case in vectors["command_lines"].as_array().expect("a list") {
        check_command_line(case);
    }
}

fn check_command_line(case: &Value) {
    let name = case["case"].as_str().expect("a name");
    let list = |value: &Value| -> Vec<String> {
        serde_json::from_value(value.clone()).expect("a list of words")
    };
    let scratch = Scratch::new();
    let mut home = Home::new(&scratch, "home");
    let (words, seen) = (scratch.join("words"), scratch.join("seen"));
    let is_init = name.starts_with("init");
    let errors = if is_init {
        json!({})
    } else {
        json!({"open": {"exception_class": "DoesNotExist", "exception_args": ["x"]}})
    };
    let told = json!({"seen": text(&seen), "errors": errors});
    fake_shell(&scratch, &told, &words);
    home.set("BORG_RSH", "fakersh -o Compression=no");
    for (name, value) in case["env"].as_object().expect("variables") {
        home.set(name, value.as_str().expect("a text"));
    }
    let args = list(&case["command"])[1..].to_vec();
    let path = format!("{}:/usr/bin:/bin", scratch.join("bin").display());
    let invocation = home.invocation(Program::Ours, &args);
    let run = invocation.env("PATH", path).run();
    let rc: i32 = serde_json::from_value(case["rc"].clone()).expect("a code");
    assert_eq!(run.code(), rc, "{name}\n{run}");
    let said: Vec<String> = fs::read_to_string(&words)
        .unwrap_or_else(|error| panic!("{name}: the shell was not called: {error}\n{run}"))
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!(said, list(&case["ssh_argv"]), "{name}");
    let opened: Vec<Value> = fs::read_to_string(&seen)
        .expect("the server was asked")
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a call"))
        .filter(|call| call[0] == "open")
        .map(|call| call[1].clone())
        .collect();
    assert_eq!(Value::Array(opened), case["open_args"], "{name}");
    let expected = list(&case["stderr_last"]);
    if name != "--debug" && !expected.is_empty() {
        assert_eq!(
            run.err().lines().last(),
            expected.last().map(String::as_str),
            "{name}"
        );
    }
    if expected.is_empty() {
        assert_eq!(run.err(), "", "{name}");
    }
}

/// Runs each line with both clients; a line begins with what the server is told.
#[track_caller]
fn compare(lines: &[(Value, &str)]) {
    let mut scene = Scene::new();
    scene.home.set("BORG_EXIT_CODES", "modern");
    scene.home.set("PATH", "/usr/bin:/bin");
    let lines: Vec<Vec<String>> = lines
        .iter()
        .map(|(told, line)| {
            let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let shell = odd_server(&scene.scratch, told);
            words.extend(["--rsh".to_owned(), shell, FAR.to_owned()]);
            words
        })
        .collect();
    let ours: Vec<Run> = lines
        .iter()
        .map(|line| scene.home.run(Program::Ours, line))
        .collect();
    let stock = scene.home.stock_runs(scene.scratch.path(), &lines);
    assert_same_runs(&ours, &stock);
}

/// What a server of 1.1 or newer sends of an error.
fn error(class: &str, args: &Value, trace: bool) -> Value {
    json!({
        "exception_class": class,
        "exception_args": args,
        "exception_full": ["Traceback of the server\n", "its end\n"],
        "exception_short": ["what it is", "in short"],
        "exception_trace": trace,
        "sysinfo": "Platform: far\nBorg: 9\n",
    })
}

#[test]
fn errors_of_a_server_have_their_classes_words_and_codes() {
    let classes = [
        ("Error", json!(["a"])),
        ("ErrorWithTraceback", json!(["a"])),
        ("InvalidRepository", json!(["a"])),
        ("DoesNotExist", json!(["a"])),
        ("AlreadyExists", json!(["a"])),
        ("CheckNeeded", json!(["a"])),
        ("IntegrityError", json!(["a"])),
        ("AtticRepository", json!(["a"])),
        ("PathNotAllowed", json!(["a"])),
        ("PathPermissionDenied", json!(["a"])),
        ("PathAlreadyExists", json!(["a"])),
        ("ParentPathDoesNotExist", json!(["a"])),
        ("ObjectNotFound", json!(["a", "b"])),
        ("InvalidRPCMethod", json!(["a"])),
        ("LockTimeout", json!(["a"])),
        ("LockFailed", json!(["a", "b"])),
        ("NotLocked", json!(["a"])),
        ("NotMyLock", json!(["a"])),
        ("InsufficientFreeSpaceError", json!(["a", "b"])),
        ("InvalidRepositoryConfig", json!(["a", "b"])),
        ("StorageQuotaExceeded", json!(["a", "b"])),
        ("NoSuchClass", json!([])),
    ];
    let mut lines: Vec<(Value, &str)> = Vec::new();
    for (class, args) in classes {
        lines.push((
            json!({"errors": {"open": error(class, &args, true)}}),
            "list",
        ));
    }
    let foreign = |trace| json!({"errors": {"open": error("NoSuchClass", &json!([1]), trace)}});
    lines.push((foreign(false), "list"));
    lines.push((foreign(false), "list --log-json"));
    let old = |class: &str| json!({"version": 2, "errors": {"open": {"exception_class": class}}});
    for class in [
        "DoesNotExist",
        "IntegrityError",
        "PathNotAllowed",
        "LockTimeout",
        "LockFailed",
        "NotLocked",
        "InvalidRPCMethod",
        "AtticRepository",
        "OSError",
        "TypeError",
    ] {
        lines.push((old(class), "list"));
    }
    compare(&lines);
}

#[test]
fn servers_that_end_or_say_something_else_are_named() {
    let all = [
        (json!({"dies": "negotiate"}), "list"),
        (json!({"dies": "open"}), "list"),
        (json!({"dies": "get"}), "list"),
        (json!({"dies": "get"}), "list --log-json"),
        (json!({"dies": "break_lock"}), "break-lock"),
        (
            json!({"dies": "open", "log": ["ssh: connect to host far: refused\r\n"]}),
            "list",
        ),
        (
            json!({"dies": "open", "log": ["ssh: connect to host far: refused\r\n"]}),
            "list --log-json",
        ),
        (json!({"raw": {"negotiate": "57656c636f6d65210a"}}), "list"),
        (json!({"raw": {"negotiate": "00ff"}}), "list"),
        (json!({"raw": {"open": "93010203"}}), "list"),
        (json!({"version": 3}), "list"),
        (json!({"version": null}), "list"),
        (json!({"version": 2}), "list"),
        (
            json!({"version": [1, 1, 8, -1]}),
            "init -e none --make-parent-dirs",
        ),
        (
            json!({"version": [1, 0, 5, -1]}),
            "init -e none --append-only",
        ),
        (
            json!({"version": [1, 1, 18, -1]}),
            "check --repository-only --max-duration 5",
        ),
        (
            json!({"version": [1, 1, 18, -1]}),
            "check --repository-only",
        ),
        (json!({"version": [1, 2, 0, -3, 4]}), "version"),
        (json!({"version": 2}), "version"),
        (json!({}), "break-lock"),
    ];
    compare(&all);
}

#[test]
fn log_lines_of_a_server_are_passed_on() {
    let record = |level: &str, logger: &str| {
        let fields = format!(
            r#""time": 1.5, "message": "a \u00e9", "levelname": "{level}", "name": "{logger}""#
        );
        format!("{{\"type\": \"log_message\", {fields}, \"msgid\": \"X\"}}\n")
    };
    let progress = [
        r#"{"message": " 50% Checking", "current": 1, "total": 2, "info": null, "operation": 1, "msgid": "check", "type": "progress_percent", "finished": false, "time": 1.5}"#,
        r#"{"operation": 1, "msgid": "check", "type": "progress_percent", "finished": true, "time": 1.5}"#,
        r#"{"operation": 1, "msgid": "x", "type": "progress_message", "finished": false, "message": "m", "time": 1.5}"#,
    ];
    let mut log: Vec<String> = ["DEBUG", "INFO", "WARNING", "ERROR", "ODD"]
        .iter()
        .map(|level| record(level, "borg.repository"))
        .collect();
    log.extend(progress.map(|line| format!("{line}\n")));
    log.push(record("INFO", "borg.output.list"));
    log.push(record("WARNING", "root"));
    log.push("{\"type\": \"odd\"}\n".to_owned());
    for line in [
        "$LOG DEBUG borg.x Remote: debug\n",
        "$LOG INFO borg.x Remote: info\n",
        "$LOG WARNING borg.x Remote: w \n",
        "$LOG ERROR Remote: older\n",
        "$LOG ODD borg.x Remote: odd\n",
        "plain\n",
        "  plain \r",
        "crlf\r\n",
        "\n",
    ] {
        log.push(line.to_owned());
    }
    let told = json!({"log": log});
    let options = [
        "",
        " --info",
        " --error",
        " --critical",
        " --log-json",
        " --log-json --info -p",
        " -p",
    ];
    let lines: Vec<String> = options
        .iter()
        .map(|options| format!("break-lock{options}"))
        .collect();
    let lines: Vec<(Value, &str)> = lines
        .iter()
        .map(|line| (told.clone(), line.as_str()))
        .collect();
    compare(&lines);
}

/// The main commands through a remote shell that leads to stock Borg's server on this machine.
#[test]
fn commands_say_the_same_of_a_repository_behind_a_server() {
    let mut scene = Scene::with_repository(Program::Stock, "repokey");
    fs::write(scene.scratch.join("f"), b"content").expect("a file of this test");
    scene.create(
        Program::Stock,
        "a1",
        &["--timestamp", "2024-01-01T10:00:00"],
        "f",
    );
    let shell = scene.scratch.dir("bin").join("fakersh");
    fs::write(&shell, "#!/bin/sh\nshift\nexec \"$@\"\n").expect("a file of this test");
    fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).expect("a file of this test");
    scene.home.set("BORG_RSH", &shell);
    scene.home.set("BORG_REMOTE_PATH", Program::Stock.path());
    scene.home.set("BORG_EXIT_CODES", "modern");
    scene.home.set("BORG_RELOCATED_REPO_ACCESS_IS_OK", "yes");
    let far = format!("ssh://far.example{}", scene.repo());
    let lines = script(
        &"\
list FAR
list --json FAR
info FAR::a1
extract --dry-run --list FAR::a1
rename FAR::a1 a2
config FAR segments_per_dir
key export FAR -
create --dry-run --list FAR::a3 f
list FAR::nosuch
list FARnosuch
init -e none FAR
prune --list --keep-last 1 FAR
delete FAR::a2
compact FAR
with-lock FAR true
break-lock FAR
delete FAR"
            .replace("FAR", &far),
    );
    let [ours, stock] = scene.each_from_same_state(|program| match program {
        Program::Ours => lines
            .iter()
            .map(|line| {
                scene
                    .home
                    .invocation(program, line)
                    .dir(scene.scratch.path())
                    .run()
            })
            .collect(),
        Program::Stock => scene.home.stock_runs(scene.scratch.path(), &lines),
    });
    assert_same_runs(&ours, &stock);
}
