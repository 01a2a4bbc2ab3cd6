//! A damage, done to a copy of the ground for each program; what they say and do about it; and the comparison.

use std::env;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use ironborg_testkit::{Home, Program, Run, Tried, tally};
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::ground::ground;
use super::library::{Damage, Ours, Repair, Scope};
use super::plan::Plan;
use crate::same_output::{differences, files, normal};
use crate::scene::{Scene, text};

/// Does the damages.
const DAMAGES: &str = concat!(
    include_str!("patient.py"),
    include_str!("content.py"),
    include_str!("metadata.py"),
    include_str!("manifest.py"),
    include_str!("segments.py"),
    "\nmain()\n"
);

/// Tells what repositories hold.
const STATE: &str = include_str!("state.py");

/// What a listing is compared by; content through one digest.
const KEYS: &str = "{type} {mode} {uid} {gid} {user} {group} {path} {bpath} {source} {linktarget} {flags} {size} \
    {num_chunks} {mtime} {sha256} {archiveid} {extra} {health}{NL}";

/// A machine and the repository that damages are done to.
pub(super) struct Trial {
    scene: Scene,
    mode: &'static str,
}

/// A damage's two repositories.
struct Bed<'d> {
    damage: &'d Damage,
    /// Ours, then stock's: a machine and a repository.
    copies: [(Home, String); 2],
    /// Each program at the other's repaired copy.
    crossed: [(Home, String); 2],
}

impl Trial {
    pub(super) fn new(mode: &'static str) -> Self {
        Self {
            scene: ground(mode),
            mode,
        }
    }

    /// Tries every damage and fails with all differences there are.
    #[track_caller]
    pub(super) fn of(&self, damages: &[Damage]) {
        let only = env::var("IRONBORG_DAMAGE").ok();
        let wanted = |damage: &&Damage| only.as_deref().is_none_or(|name| damage.name == name);
        let beds: Vec<Bed<'_>> = damages
            .iter()
            .filter(wanted)
            .map(|damage| self.bed(damage))
            .collect();
        self.damage(&beds);
        let stock = self.stock(&beds, |bed| &bed.copies[1], treatment);
        let mut all = String::new();
        let mut ours = Vec::new();
        for bed in &beds {
            let (home, repo) = &bed.copies[0];
            let mut lists = treatment(bed.damage, repo);
            let mut last = lists.split_off(lists.len() - 2);
            last[0].push("--json".to_owned());
            let mut runs = self.ours(home, &lists);
            let plan = self.plan(bed);
            let mut last = self.ours(home, &last);
            if let Err(wrong) = plan.and_then(|plan| plan.is_done_by(&last[0])) {
                writeln!(all, "\n#### plan of {}\n{wrong}", bed.damage.name).expect("a string");
            }
            last[0].stdout.clear();
            runs.extend(last);
            ours.push(runs);
        }
        let states = self.states(&beds);
        let looks = self.crossed(&beds);
        for (number, bed) in beds.iter().enumerate() {
            let runs = [&ours[number][..], &stock[number][..]];
            let states = [&states[2 * number], &states[2 * number + 1]];
            let crossed = [&looks[0][number][..], &looks[1][number][..]];
            let said = verdict(bed.damage, runs, states, crossed);
            if !said.is_empty() {
                writeln!(all, "\n#### {} ({})\n{said}", bed.damage.name, self.mode)
                    .expect("a string");
            }
        }
        assert!(
            all.is_empty(),
            "{all}\n(IRONBORG_DAMAGE=NAME tries one only)"
        );
        assert!(only.is_some() || beds.len() == damages.len());
        tally(Tried::Damages, beds.len() as u64);
    }

    fn bed<'d>(&self, damage: &'d Damage) -> Bed<'d> {
        let copy = |program: &str, crossed: &str| {
            let base = format!("homes/{program}{crossed}/{}", damage.name);
            let base = self.scene.scratch.dir(base);
            let repo = self.place(program).join(damage.name);
            (self.scene.home.based_at(&base), text(&repo).to_owned())
        };
        Bed {
            damage,
            copies: [copy("ours", ""), copy("stock", "")],
            crossed: [copy("stock", "-by-ours"), copy("ours", "-by-stock")],
        }
    }

    /// Where a program's repositories are.
    fn place(&self, program: &str) -> PathBuf {
        self.scene.scratch.join(format!("repos-of-{program}"))
    }

    fn damage(&self, beds: &[Bed<'_>]) {
        for program in ["ours", "stock"] {
            self.scene.scratch.dir(self.place(program));
        }
        let original = self.scene.repo();
        let cases = beds.iter().map(|bed| {
            let copies = bed.copies.each_ref().map(|(_, repo)| repo.clone());
            (bed.damage.name, original, copies.to_vec())
        });
        injure(&self.scene, &cases.collect::<Vec<_>>());
    }

    /// What ours says it would do; it does nothing.
    fn plan(&self, bed: &Bed<'_>) -> Result<Plan, String> {
        let (home, repo) = &bed.copies[0];
        let mut list = treatment(bed.damage, repo);
        let mut repair = list.remove(list.len() - 2);
        repair.extend(words(&["--plan", "--json"]));
        let there = || [files(Path::new(repo)), files(home.base())];
        let before = there();
        let run = self.ours(home, &[repair]).remove(0);
        for (before, after) in before.iter().zip(&there()) {
            let names = before.keys().chain(after.keys());
            // Whoever has read the manifest notes that manifests are signed here.
            let noted = |name: &str| name.starts_with(".config/") && name.ends_with("tam_required");
            let changed: Vec<&String> = names
                .filter(|name| before.get(*name) != after.get(*name))
                .filter(|name| !noted(name) && !name.ends_with('/'))
                .collect();
            if !changed.is_empty() {
                return Err(format!("a plan has changed {changed:?}\n{run}"));
            }
        }
        Plan::read(&run)
    }

    /// Ours with each list of arguments.
    fn ours(&self, home: &Home, lists: &[Vec<String>]) -> Vec<Run> {
        let dir = self.scene.scratch.path();
        let run = |args: &Vec<String>| home.invocation(Program::Ours, args).dir(dir).run();
        lists.iter().map(run).collect()
    }

    /// Stock Borg with the lists of arguments, at one of each bed's places.
    fn stock<'b>(
        &self,
        beds: &'b [Bed<'_>],
        place: impl Fn(&'b Bed<'_>) -> &'b (Home, String),
        lists: impl Fn(&Damage, &str) -> Vec<Vec<String>>,
    ) -> Vec<Vec<Run>> {
        let mut wanted = Vec::new();
        let mut counts = Vec::new();
        for bed in beds {
            let (home, repo) = place(bed);
            let lists = lists(bed.damage, repo);
            counts.push(lists.len());
            let dir = self.scene.scratch.path();
            wanted.extend(lists.into_iter().map(|list| (home, dir, list)));
        }
        let runs = Home::stock_runs_elsewhere(&wanted);
        let mut runs = runs.into_iter();
        let some = |count| runs.by_ref().take(count).collect();
        counts.into_iter().map(some).collect()
    }

    /// What each program says of the repository that the other has repaired, ours first.
    fn crossed(&self, beds: &[Bed<'_>]) -> [Vec<Vec<Run>>; 2] {
        let ours = beds.iter().map(|bed| {
            let (home, repo) = &bed.crossed[0];
            self.ours(home, &second_opinion(bed.damage, repo))
        });
        let ours = ours.collect();
        [
            ours,
            self.stock(beds, |bed| &bed.crossed[1], second_opinion),
        ]
    }

    /// What the repositories hold, ours and stock's of each bed in turn.
    fn states(&self, beds: &[Bed<'_>]) -> Vec<Value> {
        let bases = self.scene.scratch.dir("homes/auditor");
        let places: Vec<Value> = beds
            .iter()
            .flat_map(|bed| bed.copies.iter().enumerate().map(move |it| (bed, it)))
            .map(|(bed, (side, (_, repo)))| {
                let base = bases.join(format!("{}-{side}", bed.damage.name));
                json!([repo, text(&base)])
            })
            .collect();
        let script = self.scene.home.stock_library(STATE, ["--"; 0]);
        let places = serde_json::to_vec(&places).expect("JSON");
        let states: Value = script.input(places).run().ok().json();
        states.as_array().expect("a list").clone()
    }
}

/// Copies repositories and does damages to the copies: a name, the original and its copies each time.
pub(super) fn injure(scene: &Scene, cases: &[(&str, &str, Vec<String>)]) {
    let home = scene.home.based_at(&scene.scratch.join("doctor"));
    let script = home.stock_library(DAMAGES, ["--"; 0]);
    script.input(json!(cases).to_string()).run().ok();
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|&word| word.to_owned()).collect()
}

/// Ways to look at a damaged repository. The first does not open every object.
const LOOKS: [&[&str]; 3] = [
    &["check", "--log-json", "--info", "--progress"],
    &["check", "-v", "--verify-data"],
    &["check", "--log-json", "-v", "--verify-data", "--progress"],
];

/// The runs that a damaged repository is given: looks, a repair, one more look.
fn treatment(damage: &Damage, repo: &str) -> Vec<Vec<String>> {
    let looks = match (is_full(), damage.repair) {
        (true, _) => &LOOKS[..],
        (false, Repair::Verified) => &LOOKS[1 + damage.name.len() % 2..][..1],
        (false, _) => &LOOKS[damage.name.len() % 3..][..1],
    };
    let repair: &[&str] = match damage.repair {
        Repair::Plain | Repair::InVain => &["check", "-v", "--repair"],
        Repair::Verified => &["check", "-v", "--repair", "--verify-data"],
    };
    let after: &[&str] = &["check", "-v", "--show-rc"];
    let lists = looks.iter().chain([&repair, &after]);
    lists
        .map(|list| words(&[*list, &[repo]].concat()))
        .collect()
}

/// The runs that a repaired repository is given.
fn second_opinion(_: &Damage, repo: &str) -> Vec<Vec<String>> {
    let mut lists = vec![words(&["check", "-v", "--verify-data", repo])];
    if is_full() {
        let archives = ["a", "b", "c", "a.1"].map(|name| format!("{repo}::{name}"));
        lists.extend(archives.map(|archive| words(&["list", "--format", KEYS, &archive])));
    }
    lists
}

/// Whether there is time for everything.
pub(super) fn is_full() -> bool {
    env::var_os("IRONBORG_INTEROP_FULL").is_some()
}

/// Output of runs with what must differ made equal.
pub(super) fn comparable(bytes: &[u8]) -> String {
    let text = normal(bytes);
    // What system it is is the end of stock Borg's traceback and a record of its own with ours.
    let lines = text.lines();
    let lines = lines.filter(|line| !line.contains("\"message\": \"Platform: "));
    let text = lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace("/repos-of-ours/", "/repos/")
        .replace("/repos-of-stock/", "/repos/");
    // In records of ours a byte that is no text is what it is on a terminal.
    let surrogate = Regex::new(r"\\udc[89a-f][0-9a-f]").expect("a valid pattern");
    let text = surrogate.replace_all(&text, "?");
    // Stock Borg names keys in an order of the day.
    let keys = Regex::new(r"(required|invalid) keys: ([^)]*)\)").expect("a valid pattern");
    let sorted = |found: &Captures<'_>| {
        let mut names: Vec<&str> = found[2].split(", ").collect();
        names.sort_unstable();
        format!("{} keys: {})", &found[1], names.join(", "))
    };
    keys.replace_all(&text, sorted).into_owned()
}

/// A run without progress and tracebacks.
pub(super) fn shown(run: &Run) -> String {
    let text = run.to_string();
    let lines = text.lines();
    let lines = lines.filter(|line| !line.contains("\"progress_percent\""));
    let (mut inside, mut kept) = (false, String::new());
    for line in lines {
        inside = (inside || line.starts_with("Traceback")) && !line.starts_with("Platform");
        if !inside || !line.starts_with(' ') {
            writeln!(kept, "{line}").expect("a string");
        }
    }
    kept
}

/// What is wrong, if anything: ours first in each pair.
fn verdict(
    damage: &Damage,
    [ours, stock]: [&[Run]; 2],
    states: [&Value; 2],
    crossed: [&[Run]; 2],
) -> String {
    let mut said = String::new();
    let mut note = |text: String| said.push_str(&(text + "\n"));
    for run in ours.iter().chain(crossed[0]) {
        if run.err().contains("panicked at") || run.code() > 127 {
            note(format!("ours is out of control\n{run}"));
        }
    }
    let count = ours.len() - 2;
    let scope = damage.ours.map(|ours| ours.scope);
    if let Some(deviation) = damage.ours {
        let found = [&ours[0], &ours[count], &ours[count + 1], &crossed[1][0]];
        if let Some(said) = deviates(deviation, found, &ours[..count]) {
            note(said);
        }
    }
    if scope == Some(Scope::Everything) {
        return said;
    }
    let looks = &stock[..count];
    if !looks.iter().any(|run| run.err().contains(damage.says)) {
        let said = format!("stock does not say {:?}", damage.says);
        note(format!("{said}\n{}", shown(&looks[looks.len() - 1])));
    }
    let skipped = if scope.is_some() { count } else { 0 };
    let pairs = ours.iter().zip(stock).skip(skipped);
    for (ours, stock) in pairs.chain(crossed[0].iter().zip(crossed[1])) {
        if let Some(differences) = differences(ours, stock, comparable) {
            let (ours, stock) = (shown(ours), shown(stock));
            note(format!("{differences}\n== ours\n{ours}== stock\n{stock}"));
        }
    }
    if states[0] != states[1] {
        note(format!("other state\n{}", state_differences(states)));
    }
    let repaired = damage.repair != Repair::InVain;
    for after in [&stock[count + 1], &crossed[1][0]] {
        if (after.code() == 0) != repaired {
            note(format!("after the repair\n{}", shown(after)));
        }
    }
    said
}

/// What is wrong where ours does otherwise.
fn deviates(deviation: &Ours, found: [&Run; 4], looks: &[Run]) -> Option<String> {
    let Ours {
        codes,
        says,
        reason,
        ..
    } = deviation;
    if found.map(Run::code) != *codes {
        let codes = found.map(Run::code);
        let runs = found.map(shown).join("\n");
        return Some(format!("{reason}: exit codes {codes:?}\n{runs}"));
    }
    let told = looks.iter().any(|run| run.err().contains(says));
    (!told).then(|| format!("{reason}: ours does not say {says:?}\n{}", shown(&looks[0])))
}

/// What two states do not share.
fn state_differences([ours, stock]: [&Value; 2]) -> String {
    let mut text = String::new();
    let none = serde_json::Map::new();
    let (ours, stock) = (
        ours.as_object().unwrap_or(&none),
        stock.as_object().unwrap_or(&none),
    );
    for key in ours
        .keys()
        .chain(stock.keys().filter(|key| !ours.contains_key(*key)))
    {
        let pair = [ours.get(key), stock.get(key)];
        if pair[0] == pair[1] {
            continue;
        }
        let [Some(Value::Object(a)), Some(Value::Object(b))] = pair else {
            writeln!(text, "  {key}: ours {:?}, stock {:?}", pair[0], pair[1]).expect("a string");
            continue;
        };
        for name in a
            .keys()
            .chain(b.keys().filter(|name| !a.contains_key(*name)))
        {
            if a.get(name) != b.get(name) {
                let (ours, stock) = (a.get(name), b.get(name));
                writeln!(text, "  {key} {name}: ours {ours:?}, stock {stock:?}").expect("a string");
            }
        }
    }
    text
}
