//! The line itself, with stock Borg at both ends: without faults it is not noticed, and the faults it has are those asked for.

use std::time::Duration;

use ironborg_testkit::{Compare, Program, Random, WireMessage, WireProxy, assert_same_tree, tree};

use super::Far;

const STOCK: (Program, Program) = (Program::Stock, Program::Stock);

/// Without faults the line changes nothing, and its log has every message.
#[test]
fn a_line_without_faults_is_not_noticed() {
    let far = Far::new();
    tree::mixed(&far.scene.scratch.join("tree"), 3, 1);
    let log = far.scene.scratch.join("log");
    let proxy = WireProxy::new().log(&log);
    let run = |args: &[&str]| far.run(&proxy, STOCK, args).ok();
    run(&["init", "-e", "none", &far.url]);
    run(&["create", "-C", "none", &far.archive("a"), "tree"]);
    let listed = run(&["list", "--json-lines", &far.archive("a")]);
    let archive = far.scene.archive("a");
    let near = far.scene.run_on(
        &far.near()
            .with("BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK", "yes"),
        Program::Stock,
        &["list", "--json-lines", &archive],
    );
    assert_eq!(listed.json_lines(), near.ok().json_lines());
    let dir = far.scene.empty_dir("out");
    let home = proxy.before(&far.scene.home, Program::Stock);
    let extract = home.invocation(Program::Stock, ["extract", &far.archive("a")]);
    extract.dir(&dir).run().ok();
    let compare = Compare::Everything;
    let tree = far.scene.scratch.join("tree");
    assert_same_tree(&tree, &dir.join("tree"), compare);
    far.assert_checks();
    far.assert_unlocked();

    let messages = WireMessage::read_all(&log);
    let (requests, replies): (Vec<_>, Vec<_>) = messages
        .iter()
        .partition::<Vec<&WireMessage>, _>(|message| message.is_request);
    assert_eq!(requests.len(), replies.len(), "each request has its reply");
    let put: u64 = requests
        .iter()
        .filter(|message| message.word.as_deref() == Some("put"))
        .map(|message| message.size)
        .sum();
    assert!(put > 3 << 20, "{put} bytes were put");
    for method in ["negotiate", "open", "get", "commit"] {
        let named = |message: &&&WireMessage| message.word.as_deref() == Some(method);
        assert!(requests.iter().any(|message| named(&message)), "{method}");
    }
}

/// What the other side says apart from its replies is passed on, and so is the end of one that does not even start.
#[test]
fn errors_come_through() {
    let far = Far::new();
    let proxy = WireProxy::new();
    let run = far.run(&proxy, STOCK, &["list", &far.url]).exits(2);
    let text = format!("Repository {} does not exist.\n", far.url);
    assert_eq!(run.err(), text);
    let through = |remote_path: &str| {
        let home = proxy.before(&far.scene.home, Program::Stock);
        let home = home.with("BORG_REMOTE_PATH", remote_path);
        let run = far
            .scene
            .run_on(&home, Program::Stock, &["list", &far.url])
            .exits(2);
        run.err()
    };
    let greeting = format!("echo welcome >&2; {}", Program::Stock.path().display());
    assert_eq!(through(&greeting), format!("Remote: welcome\n{text}"));
    // What the shell has to say about it is lost when stock Borg sees the end first.
    let missing = through("/nonexistent/borg");
    let ended = "Connection closed by remote host. Is borg working on the server?\n";
    assert!(missing.ends_with(ended), "{missing}");
}

/// A reply takes as long as its request and itself are on their way, and many requests on their way do not wait for
/// one another.
#[test]
fn delays_are_kept() {
    let far = Far::new();
    tree::mixed(&far.scene.scratch.join("tree"), 1, 1);
    far.run(&WireProxy::new(), STOCK, &["init", "-e", "none", &far.url])
        .ok();
    let log = far.scene.scratch.join("log");
    let delay = Duration::from_millis(60);
    let proxy = WireProxy::new().delay(delay).log(&log);
    far.run(&proxy, STOCK, &["create", &far.archive("a"), "tree"])
        .ok();
    let messages = WireMessage::read_all(&log);
    let mut shortest = Duration::MAX;
    for request in messages.iter().filter(|message| message.is_request) {
        let reply = messages
            .iter()
            .find(|message| !message.is_request && message.id == request.id);
        let reply = reply.expect("the command succeeded");
        let taken = reply.at.checked_sub(request.at).expect("a reply is later");
        assert!(taken >= 2 * delay, "{request:?}\n{reply:?}");
        shortest = shortest.min(taken);
    }
    // The machine may be busy for some of the time, but not for all of it.
    assert!(shortest < 3 * delay, "every reply took {shortest:?}");
    assert!(
        WireMessage::turns(&messages) < messages.len() / 2,
        "stock Borg does not wait for its puts"
    );
}

/// Bytes pass as fast as the line is wide, and not faster.
#[test]
fn rates_are_kept() {
    const LEN: usize = 2_000_000;
    const RATE: u64 = 2_000_000;
    let far = Far::new();
    let tree = far.scene.scratch.dir("tree");
    std::fs::write(tree.join("random"), Random::new(1).bytes(LEN)).expect("room on the disk");
    far.run(&WireProxy::new(), STOCK, &["init", "-e", "none", &far.url])
        .ok();
    let log = far.scene.scratch.join("log");
    let proxy = WireProxy::new().rate(RATE).log(&log);
    far.run(
        &proxy,
        STOCK,
        &["create", "-C", "none", &far.archive("a"), "tree"],
    )
    .ok();
    let upload = span(&WireMessage::read_all(&log), true);
    std::fs::remove_file(&log).expect("the log of the upload");
    let out = far.scene.empty_dir("out");
    let home = proxy.before(&far.scene.home, Program::Stock);
    let extract = home.invocation(Program::Stock, ["extract", &far.archive("a")]);
    extract.dir(&out).run().ok();
    let download = span(&WireMessage::read_all(&log), false);
    for (what, (bytes, taken)) in [("upload", upload), ("download", download)] {
        let least = bytes as f64 / RATE as f64;
        let share = least / taken.as_secs_f64();
        assert!((0.3..=1.0).contains(&share), "{what}: {share} of the line");
    }
}

/// Bytes of large messages, and the time from what happened before the first of them was complete to the last large reply
/// or reply to one.
fn span(messages: &[WireMessage], request: bool) -> (u64, Duration) {
    let is_large = |message: &WireMessage| message.is_request == request && message.size > 100_000;
    let first = messages.iter().position(is_large);
    let first = first.expect("a large message");
    let large = || messages.iter().filter(|message| is_large(message));
    let ids: Vec<Option<u64>> = large().map(|message| message.id).collect();
    let last = messages.iter().rfind(|message| ids.contains(&message.id));
    let last = last.expect("a large message");
    let before = messages[first - 1].at;
    let taken = last.at.checked_sub(before).expect("in order of time");
    (large().map(|message| message.size).sum(), taken)
}

/// A cut ends stock Borg's client with its own error, the server gives its lock back, and what was committed stays.
#[test]
fn a_cut_ends_stock_borg() {
    let far = Far::new();
    tree::mixed(&far.scene.scratch.join("tree"), 2, 1);
    let run = |proxy: &WireProxy, args: &[&str]| far.run(proxy, STOCK, args);
    run(&WireProxy::new(), &["init", "-e", "none", &far.url]).ok();
    let modern = far.scene.home.with("BORG_EXIT_CODES", "modern");
    let bytes = WireProxy::new().option("--cut-to-server-after", 1_000_000);
    let inside = WireProxy::new().cut_method("put", 2, "inside");
    let commit = WireProxy::new().cut_method("commit", 1, "before");
    for proxy in [bytes, inside, commit] {
        let home = proxy.before(&modern, Program::Stock);
        let args = ["create", "-C", "none", &far.archive("a"), "tree"];
        let run = far.scene.run_on(&home, Program::Stock, &args);
        // It depends on whether it was reading or writing just then.
        let known = [
            (80, "Connection closed by remote host.\n"),
            (87, "Connection to remote host is broken. Broken Pipe\n"),
        ];
        let error = run.err();
        assert!(known.contains(&(run.code(), error.as_str())), "{run}");
    }
    let list = run(&WireProxy::new(), &["list", "--short", &far.url]).ok();
    assert_eq!(list.out(), "");
    // The server has committed before it is told that nobody listens.
    let late = WireProxy::new().cut_method("commit", 1, "unanswered");
    let args = ["create", "-C", "none", &far.archive("a"), "tree"];
    assert_ne!(run(&late, &args).code(), 0);
    let list = run(&WireProxy::new(), &["list", "--short", &far.url]).ok();
    assert_eq!(list.out(), "a\n");
    far.assert_checks();
    far.assert_unlocked();
}

/// Only the connections named are cut or refused, and a dead one keeps its lock for as long as the server believes in it.
#[test]
fn connections_are_counted() {
    let far = Far::new();
    let state = far.scene.scratch.join("dials");
    let run = |proxy: &WireProxy, args: &[&str]| far.run(proxy, STOCK, args);
    let refusing = WireProxy::new().option("--refuse-dials", 1);
    let proxy = refusing
        .state(&state)
        .cut_method("open", 1, "unanswered")
        .option("--cut-dials", "3")
        .option("--hold", 2);
    let refused = run(&proxy, &["init", "-e", "none", &far.url]).exits(2);
    let ended = "Connection closed by remote host. Is borg working on the server?\n";
    assert!(refused.err().ends_with(ended), "{refused}");
    run(&proxy, &["init", "-e", "none", &far.url]).ok();
    let cut = run(&proxy, &["list", "--lock-wait", "0", &far.url]).exits(2);
    assert!(cut.err().contains("Connection closed"), "{cut}");
    assert!(far.scene.repo.join("lock.roster").exists(), "it is held");
    run(
        &proxy,
        &["with-lock", "--lock-wait", "20", &far.url, "true"],
    )
    .ok();
    far.assert_unlocked();
}
