//! Repositories behind a real ssh: every way in which our client, our server and stock Borg's can meet.
//!
//! The yardstick is stock Borg on both ends. `IRONBORG_INTEROP_WIRE=ours` (or `stock`, `1.2.9`, `1.1.18`: the server) sends
//! the scenes of all other modules over the wire as well.

use ironborg_testkit::{Program, Run, Server};
use regex::Regex;

use crate::same_output::{differences, normal};
use crate::scene::Scene;

mod everyday;
mod forced;
mod mixed;
mod modes;
mod old;

/// Client and server: three ways to be proved, and the yardstick last.
const WAYS: [(Program, Program); 4] = [
    (Program::Ours, Program::Stock),
    (Program::Stock, Program::Ours),
    (Program::Ours, Program::Ours),
    (Program::Stock, Program::Stock),
];

/// A scene whose repository stock Borg made and serves.
#[track_caller]
fn scene(mode: &str) -> Scene {
    let scene = Scene::behind(Server::Current(Program::Stock));
    scene.init(Program::Stock, mode);
    scene
}

impl Scene {
    /// Does something in every way, each from the same state, which is put back; the yardstick comes last.
    #[track_caller]
    fn each_way<T>(&self, mut action: impl FnMut(Program, &Self) -> T) -> [T; 4] {
        let saved = self.save();
        WAYS.map(|(client, server)| {
            let found = action(client, &self.served_by(Server::Current(server)));
            saved.restore();
            found
        })
    }

    /// The same lists of arguments, one after the other, say the same and exit alike in every way. Gives back the
    /// runs of stock Borg on both ends.
    #[track_caller]
    fn assert_same_every_way(&self, lists: &[&[&str]]) -> Vec<Run> {
        let ways = self.each_way(|client, scene| scene.run_list(client, lists));
        assert_like_the_last(ways)
    }

    /// The same, and stock Borg finds nothing wrong with what is left.
    #[track_caller]
    fn assert_same_writing_every_way(&self, lists: &[&[&str]]) -> Vec<Run> {
        let ways = self.each_way(|client, scene| {
            let runs = scene.run_list(client, lists);
            scene.assert_checks();
            runs
        });
        assert_like_the_last(ways)
    }
}

/// All ways said the same, run by run.
#[track_caller]
fn assert_like_the_last(ways: [Vec<Run>; 4]) -> Vec<Run> {
    let [tried @ .., expected] = ways;
    for (runs, (client, server)) in tried.iter().zip(WAYS) {
        for (run, wanted) in runs.iter().zip(&expected) {
            let heard = if is_check(wanted) {
                heard_of_both(run, wanted)
            } else {
                None
            };
            let told = |bytes: &[u8]| match (&heard, told(bytes)) {
                (Some(heard), text) if text.starts_with(heard) => heard.clone(),
                (_, text) => text,
            };
            if let Some(differences) = differences(run, wanted, told) {
                let (client, server) = (client.name(), server.name());
                panic!(
                    "client {client}, server {server}: {differences}\n\n== run\n{run}\n== wanted\n{wanted}"
                );
            }
        }
    }
    expected
}

/// Whether everything it shows is the server's.
fn is_check(run: &Run) -> bool {
    let shown = run.to_string();
    shown
        .lines()
        .next()
        .is_some_and(|line| line.contains(" check "))
}

/// What was heard of a check by both clients, where one has not heard the end. Stock Borg's stops listening to the log as soon
/// as it has its answer; ours must have heard everything.
fn heard_of_both(run: &Run, wanted: &Run) -> Option<String> {
    let [run, wanted] = [run, wanted].map(|run| (told(&run.stderr), run));
    let is_ours = run.1.to_string().starts_with("[ours]");
    if is_ours {
        assert!(run.0.starts_with(wanted.0.trim_end()), "{}", run.1);
    }
    let [shorter, longer] = if run.0.len() < wanted.0.len() {
        [run.0, wanted.0]
    } else {
        [wanted.0, run.0]
    };
    let heard = shorter.trim_end();
    (!heard.is_empty() && longer.starts_with(heard)).then(|| heard.to_owned())
}

/// What was said, but for sizes that depend on the time of day that archives hold, or on threads, and for the account
/// that follows an unexpected error of a server: the program's inside, of which ours has no traceback.
fn told(bytes: &[u8]) -> String {
    let replacements = [
        ("freed about [0-9.]+ k?B", "freed about SIZE"),
        (r"(Deleted data: .*) -[0-9]{3} B", "$1 -SIZE B"),
        // Which of several objects in flight is reported depends on who was first.
        (r"exceeded \([0-9.]+ MB\)", "exceeded (SIZE)"),
        (r"(?ms)^\w+Error: [^\n]*\n+Borg server: .*", ""),
    ];
    replacements
        .into_iter()
        .fold(normal(bytes), |text, (pattern, replacement)| {
            let pattern = Regex::new(pattern).expect("a valid pattern");
            pattern.replace_all(&text, replacement).into_owned()
        })
}
