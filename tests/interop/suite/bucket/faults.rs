//! A line that fails in every way lines and stores do: a command does what it was told or says why not, within a bounded
//! time, and what was committed stays.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use ironborg_testkit::{
    Compare, Fault, FaultProxy, Home, Run, Snapshot, Tried, assert_restored, generated, tally,
};

use super::{Ground, fill};

/// Longest time of a command that gives up.
const BOUND: Duration = Duration::from_secs(40);

/// A repository behind the line, and what is known of it.
struct Trial {
    ground: Ground,
    proxy: FaultProxy,
    /// The machine, behind the line.
    behind: Home,
    /// Archives that were told to be there, and of what.
    acknowledged: BTreeMap<String, Snapshot>,
    /// How many commands did what they were told, and how many said why not.
    outcomes: [u64; 2],
}

impl Trial {
    fn new() -> Self {
        let ground = Ground::new("faults");
        let proxy = FaultProxy::before(ground.server.address());
        let behind = ground.server.known_through(&proxy, &ground.home);
        Self {
            ground,
            proxy,
            behind,
            acknowledged: BTreeMap::new(),
            outcomes: [0; 2],
        }
    }

    /// Whether a command did what it was told; if not, it has said so.
    #[track_caller]
    fn attempt(&mut self, args: &[&str]) -> bool {
        let run = self.ground.run_on(&self.behind, args).in_control();
        let is_done = run.code() == 0;
        self.outcomes[usize::from(!is_done)] += 1;
        if !is_done {
            assert_says_why(&run);
        }
        assert!(run.elapsed < BOUND, "took too long\n{run}");
        is_done
    }

    /// A day of a repository: a new archive, the oldest one goes, its space is freed.
    fn round(&mut self, round: u64) {
        let tree = self.ground.scene.scratch.join("tree");
        fill(&tree, round);
        let name = format!("round{round}");
        let snapshot = Snapshot::of(&tree).as_restored();
        let location = self.ground.location();
        if self.attempt(&["create", &self.ground.archive(&name), "tree"]) {
            self.acknowledged.insert(name, snapshot);
        }
        self.attempt(&["list", &location]);
        if self.acknowledged.len() > 2
            && let Some((oldest, _)) = self.acknowledged.pop_first()
        {
            // It may be gone or not if this fails.
            self.attempt(&["delete", &self.ground.archive(&oldest)]);
        }
        self.attempt(&["compact", "--threshold", "0", &location]);
    }

    /// Everything that was acknowledged is there, seen without the line.
    #[track_caller]
    fn assert_kept(&self) {
        let listed = self
            .ground
            .run(&["list", "--short", &self.ground.location()]);
        let listed = listed.ok().out();
        for name in self.acknowledged.keys() {
            assert!(
                listed.lines().any(|line| line == name),
                "{name} is lost:\n{listed}"
            );
        }
    }
}

/// One line for people, which names what it is about.
#[track_caller]
fn assert_says_why(run: &Run) {
    assert_eq!(run.code(), 2, "{run}");
    let err = run.err();
    assert!(!err.contains("Local Exception"), "no words for it\n{run}");
    let names_it = err.lines().any(|line| line.contains("s3://backups/faults"));
    assert!(names_it, "does not say what it is about\n{run}");
}

#[test]
fn whatever_happens_on_the_way_what_was_committed_stays() {
    let mut trial = Trial::new();
    let location = trial.ground.location();
    trial.proxy.fail(&Fault::ALL, 9, 7);
    while !trial.attempt(&["init", "--encryption", "repokey-blake2", &location]) {
        let objects = trial.ground.server.objects("faults");
        if objects.iter().any(|name| name == "config") {
            trial.ground.run(&["delete", "--force", &location]);
        }
    }
    for (round, fault) in (0..).zip(Fault::ALL) {
        trial.proxy.fail(&[fault], 6, round);
        trial.round(round);
        trial.assert_kept();
    }
    // All kinds, and an object that takes more than one request.
    let tree = trial.ground.scene.scratch.join("tree");
    for round in 20..22 {
        fs::write(
            tree.join("large"),
            generated(&round.to_string(), 17_000_000),
        )
        .expect("room");
        trial.proxy.fail(&Fault::ALL, 5, round);
        trial.round(round);
        trial.assert_kept();
    }
    assert!(trial.proxy.met() > 40, "{}", trial.proxy.met());
    let [done, refused] = trial.outcomes;
    assert!(done > 3 * refused, "{done} done, {refused} given up");
    // The next writer removes what has come to nothing.
    trial
        .ground
        .run(&["create", &trial.ground.archive("after"), "tree"])
        .ok();
    trial.ground.assert_sound();
    for (name, snapshot) in &trial.acknowledged {
        let dir = trial.ground.extract(name);
        assert_restored(snapshot, &dir.join("tree"), Compare::Everything);
    }
    tally(Tried::Kills, trial.proxy.met());
}

/// A store that never answers is given up, soon and in words.
#[test]
fn a_store_that_does_not_answer_is_given_up() {
    let mut trial = Trial::new();
    let location = trial.ground.location();
    for fault in [Fault::LostRequest, Fault::SlowDown] {
        trial.proxy.fail(&[fault], 1, 0);
        assert!(!trial.attempt(&["list", &location]));
    }
    let nobody = trial
        .ground
        .home
        .with("AWS_ENDPOINT_URL", "http://127.0.0.1:9");
    let nobody = nobody.with("IRONBORG_STORE_PATIENCE", "1");
    let run = trial.ground.run_on(&nobody, &["list", &location]);
    assert_says_why(&run);
    assert!(run.err().contains("refused"), "{run}");
    let stranger = trial.ground.home.with("AWS_SECRET_ACCESS_KEY", "wrong");
    assert_says_why(&trial.ground.run_on(&stranger, &["list", &location]));
}

/// A store that knows no conditional writes is not written to, unless that was wished for.
#[test]
fn a_store_without_conditions_is_refused() {
    let mut trial = Trial::new();
    trial.proxy.refuse_conditions();
    let location = trial.ground.location();
    let init = ["init", "--encryption", "none", &location];
    let run = trial.ground.run_on(&trial.behind, &init);
    assert_says_why(&run);
    assert!(
        run.err().contains("IRONBORG_STORE_UNPROTECTED=yes"),
        "{run}"
    );
    assert_eq!(trial.ground.server.objects("faults"), Vec::<String>::new());
    trial.behind.set("IRONBORG_STORE_UNPROTECTED", "yes");
    let run = trial.ground.run_on(&trial.behind, &init).ok();
    assert!(
        run.err().contains("nothing keeps two writers apart"),
        "{run}"
    );
    for round in 0..3 {
        trial.proxy.fail(&[], 0, 0);
        trial.round(round);
    }
    assert_eq!(trial.outcomes[1], 0);
    trial.ground.assert_sound();
}
