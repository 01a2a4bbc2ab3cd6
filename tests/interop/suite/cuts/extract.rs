//! A restore whose connection is cut: it goes on with another one, and all files come back.

use ironborg_testkit::{Compare, Program, Snapshot, WireMessage, WireProxy, tree};

use super::Far;
use super::trials::{MOMENTS, OPENING, Trials, is_full, methods, some_of, total};

/// A restore that is done in many trials.
struct Restore {
    trials: Trials,
    url: String,
    /// What goes over the line without a cut.
    messages: Vec<WireMessage>,
    /// The tree that was backed up.
    expected: Snapshot,
}

impl Restore {
    fn new(server: Program) -> Self {
        let far = Far::new();
        let top = far.scene.scratch.join("tree");
        tree::mixed(&top, 1, 2);
        tree::many_small(&top.join("small"), 30);
        let local = WireProxy::new();
        let ends = (Program::Ours, Program::Stock);
        far.run(&local, ends, &["init", "-e", "repokey-blake2", &far.url])
            .ok();
        let chunker = "fixed,32768";
        let url = far.archive("a");
        let create = ["create", "--chunker-params", chunker, &url, "tree"];
        far.run(&local, ends, &create).ok();
        let expected = Snapshot::of(&top).as_restored();
        let trials = Trials::new(far, server);
        let dir = trials.far.scene.empty_dir("out");
        let messages = trials.uncut(&dir, &["extract", &url]);
        Self {
            trials,
            url,
            messages,
            expected,
        }
    }

    /// Restores with the faults of `proxy`, of which there has to be one at least.
    fn check(&mut self, what: &str, proxy: WireProxy) {
        let dir = self.trials.far.scene.empty_dir("out");
        let trial = self.trials.run(proxy, &dir, &["extract", &self.url]);
        let good = trial.run.code() == 0 && trial.dials > 1;
        self.trials.expect(good, what, &trial);
        let found = Snapshot::of(&dir.join("tree"));
        let differences = self.expected.differences(&found, Compare::Everything);
        let text = format!("{what}: {}", differences.join("\n"));
        self.trials.expect(differences.is_empty(), &text, &trial);
        self.trials.expect_no_lock(what);
        std::fs::remove_dir_all(&dir).expect("our own directory");
    }

    #[track_caller]
    fn finish(mut self) {
        self.trials.keep("the last one");
        self.trials.finish(&["a"], None);
    }
}

/// Each request in turn is the one during which the connection is lost.
#[test]
fn at_messages() {
    for server in Program::BOTH {
        let mut restore = Restore::new(server);
        for (method, count) in methods(&restore.messages) {
            if OPENING.contains(&method.as_str()) {
                continue;
            }
            for number in some_of(count) {
                for when in MOMENTS.into_iter().step_by(if is_full() { 1 } else { 2 }) {
                    // Nothing is missed after the last answer; stock Borg is slow to start.
                    let is_last = method == "get" && number == count && when == "answered";
                    let is_slow =
                        server == Program::Stock && (method != "get" || when != "half-answered");
                    if is_last || is_slow && !is_full() {
                        continue;
                    }
                    let what = format!("{method} {number} {when}, {} server", server.name());
                    let proxy = WireProxy::new().cut_method(&method, number, when);
                    restore.check(&what, proxy.option("--cut-dials", 1));
                }
            }
        }
        restore.finish();
    }
}

/// The connection is lost after any number of bytes, once or again and again.
#[test]
fn at_bytes() {
    let mut restore = Restore::new(Program::Ours);
    let whole = total(&restore.messages, false);
    let opening = total(&restore.messages[..4], false);
    let few = usize::try_from((whole - opening) / 8).expect("a small tree");
    let step = if is_full() { few.min(2999) } else { few };
    for bytes in (opening + 1..whole).step_by(step) {
        let proxy = WireProxy::new().option("--cut-to-client-after", bytes);
        let what = format!("{bytes} bytes");
        restore.check(&what, proxy.option("--cut-dials", 1));
    }
    for parts in if is_full() { 3..12 } else { 3..4 } {
        let proxy = WireProxy::new().option("--cut-every", whole / parts);
        restore.check(&format!("{parts} and more connections"), proxy);
    }
    restore.finish();
}
