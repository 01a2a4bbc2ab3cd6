//! A backup whose connection is cut: it goes on with another one, and what it leaves is what it would have left without.

use std::fs;
use std::path::PathBuf;

use ironborg_testkit::{Program, Random, WireMessage, WireProxy, tree};
use serde_json::Value;

use super::Far;
use super::trials::{MOMENTS, OPENING, Trials, is_full, items, methods, some_of, total};

/// A backup that is done in many trials.
struct Backup {
    trials: Trials,
    url: String,
    dir: PathBuf,
    /// What goes over the line without a cut.
    messages: Vec<WireMessage>,
    /// What the archive has to hold.
    items: Value,
}

impl Backup {
    fn new(server: Program) -> Self {
        let far = Far::new();
        let top = far.scene.scratch.dir("tree");
        tree::mixed(&top.join("mixed"), 1, 1);
        for index in 0..20 {
            let bytes = Random::new(index).bytes(300);
            fs::write(top.join(format!("small {index}")), bytes).expect("room on the disk");
        }
        let init = ["init", "-e", "repokey", &far.url];
        far.run(&WireProxy::new(), (Program::Ours, Program::Stock), &init)
            .ok();
        let (url, dir) = (far.archive("a"), far.scene.scratch.path().to_path_buf());
        let trials = Trials::new(far, server);
        let messages = trials.uncut(&dir, &Self::args(&url));
        let items = items(&trials.far, "a");
        assert!(items.as_array().is_some_and(|items| items.len() > 20));
        Self {
            trials,
            url,
            dir,
            messages,
            items,
        }
    }

    fn args(url: &str) -> [&str; 7] {
        let chunker = "fixed,32768";
        [
            "create",
            "-C",
            "none",
            "--chunker-params",
            chunker,
            url,
            "tree",
        ]
    }

    /// Backs up with the faults of `proxy`, of which there has to be one at least.
    fn check(&mut self, what: &str, proxy: WireProxy) {
        self.check_with(what, proxy, &[]);
    }

    fn check_with(&mut self, what: &str, proxy: WireProxy, options: &[&str]) {
        let [command, args @ ..] = Self::args(&self.url);
        let args = [&[command], options, &args].concat();
        let trial = self.trials.run(proxy, &self.dir, &args);
        let good = trial.run.code() == 0 && trial.dials > 1;
        self.trials.expect(good, what, &trial);
        self.trials.keep(what);
    }

    #[track_caller]
    fn finish(self) {
        self.trials.finish(&["a"], Some(&self.items));
    }

    /// Every request that is cut at, its number among those of its method, and the moment; not the opening.
    fn cuts(&self) -> Vec<(String, u64, &'static str)> {
        let mut cuts = Vec::new();
        for (method, count) in methods(&self.messages) {
            if OPENING.contains(&method.as_str()) {
                continue;
            }
            let changes = ["put", "commit"].contains(&method.as_str());
            for number in some_of(count) {
                let moments = MOMENTS
                    .iter()
                    .step_by(if changes || is_full() { 1 } else { 2 });
                cuts.extend(moments.map(|&when| (method.clone(), number, when)));
            }
        }
        // Nothing is missed after the last answer.
        cuts.retain(|(method, _, when)| (method.as_str(), *when) != ("commit", "answered"));
        cuts.push(("open".to_owned(), 1, "answered"));
        cuts
    }

    /// Cuts the first connection at one request.
    fn check_cut(&mut self, method: &str, number: u64, when: &str) {
        let what = format!("{method} {number} {when}");
        let proxy = WireProxy::new().cut_method(method, number, when);
        self.check(&what, proxy.option("--cut-dials", 1));
    }
}

/// Each request in turn is the one during which the connection is lost.
#[test]
fn at_messages() {
    let mut backup = Backup::new(Program::Ours);
    for (method, number, when) in backup.cuts() {
        backup.check_cut(&method, number, when);
    }
    backup.finish();
}

/// The same with stock Borg as the server, which is slow to start: where it matters most.
#[test]
fn at_messages_to_stock_borg() {
    let mut backup = Backup::new(Program::Stock);
    let matters = |method: &str, number, when| {
        let is_last = method == "commit" && when != "half-answered";
        is_full() || is_last || method == "put" && number == 1 && when == "inside"
    };
    for (method, number, when) in backup.cuts() {
        if matters(&method, number, when) {
            backup.check_cut(&method, number, when);
        }
    }
    backup.finish();
}

/// The connection is lost after any number of bytes.
#[test]
fn at_bytes() {
    let mut backup = Backup::new(Program::Ours);
    let ways = [
        ("--cut-to-server-after", true),
        ("--cut-to-client-after", false),
    ];
    for (option, requests) in ways {
        let whole = total(&backup.messages, requests);
        let opening = total(&backup.messages[..4], requests);
        let few = usize::try_from((whole - opening) / 9).expect("a small tree");
        let step = if is_full() { few.min(4999) } else { few };
        for bytes in (opening + 1..whole).step_by(step) {
            let proxy = WireProxy::new().option(option, bytes);
            let what = format!("{option} {bytes}");
            backup.check(&what, proxy.option("--cut-dials", 1));
        }
    }
    backup.finish();
}

/// One connection after the other is lost, each a little later than the one before; or the new one at once.
#[test]
fn again_and_again() {
    let mut backup = Backup::new(Program::Ours);
    let whole = total(&backup.messages, true);
    // The more often, the longer it waits before it tries again.
    for parts in if is_full() { 3..12 } else { 3..4 } {
        let proxy = WireProxy::new().option("--cut-every", whole / parts);
        backup.check(&format!("{parts} and more connections"), proxy);
    }
    let cut_put = || {
        WireProxy::new()
            .cut_method("put", 9, "after")
            .option("--cut-dials", 1)
    };
    for (method, when) in [
        ("negotiate", "before"),
        ("open", "before"),
        ("open", "unanswered"),
        ("put", "inside"),
        ("commit", "after"),
        ("commit", "unanswered"),
    ] {
        let proxy = cut_put().cut_method(method, 1, when);
        let what = format!("a put, then {method} {when}");
        let dials = if is_full() { "2,3,4" } else { "2" };
        backup.check(&what, proxy.option("--cut-dials", dials));
    }
    backup.check("refused at first", cut_put().option("--refuse-dials", 2));
    backup.finish();
}

/// The other side does not know that the connection is lost, and keeps the lock for as long.
#[test]
fn while_the_server_hangs() {
    let mut backup = Backup::new(Program::Ours);
    for method in ["put", "commit"] {
        let proxy = WireProxy::new()
            .cut_method(method, 1, "before")
            .option("--cut-dials", 1);
        backup.check(&format!("{method}, held"), proxy.option("--hold", 2));
    }
    backup.finish();
}

/// Without a repository that was open once there is nothing to go on with: that is an error, at once, and nothing is left.
#[test]
fn before_anything_was_open() {
    let backup = Backup::new(Program::Ours);
    let (dir, args) = (backup.dir.clone(), Backup::args(&backup.url));
    let mut trials = backup.trials;
    for method in OPENING {
        for when in &MOMENTS[..5] {
            let proxy = WireProxy::new().cut_method(method, 1, when);
            let trial = trials.run(proxy, &dir, &args);
            let what = format!("{method} {when}");
            let said = trial.run.err();
            let closed = said.contains("Connection closed by remote host")
                || said.contains("Connection to remote host is broken");
            trials.expect(
                trial.run.code() == 2 && trial.dials == 1 && closed,
                &what,
                &trial,
            );
            trials.keep(&what);
        }
    }
    trials.finish(&[], None);
}
