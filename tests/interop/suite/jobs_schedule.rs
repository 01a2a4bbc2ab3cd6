//! Calendar expressions elapse when the systemd of this machine says so.

use std::process::Command;

use ironborg_jobs::schedule::Schedule;
use ironborg_testkit::{Random, Tried, tally};
use jiff::Timestamp;
use jiff::tz::TimeZone;

const ZONES: [&str; 4] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Pacific/Chatham",
];
/// Some before clocks are set: none while they show times for the second time.
const BASES: [i64; 4] = [1_767_268_800, 1_774_730_000, 1_792_872_900, 1_709_160_000];
/// Times asked for of each expression.
const COUNT: usize = 3;
/// An expression, made of what they may be made of; not always one that is accepted.
fn expression(random: &mut Random) -> String {
    let mut one = |choice: &[&str]| choice[random.below(choice.len())].to_owned();
    let days = [
        "",
        "",
        "",
        "Mon ",
        "Sat,Sun ",
        "Mon..Fri ",
        "tue,thursday..Sat ",
        "Fri..Mon ",
        "Wed-Fri ",
    ];
    let months = ["*", "*", "*", "1", "2", "3..10/3", "4,10", "2/5", "13", "0"];
    let monthdays = [
        "-*", "-*", "-*", "-1", "-29", "-31", "-1..7", "-13,14", "~1", "~3..5", "~7/1", "~5..20/4",
        "-25..31", "-2..30/9", "~29", "-32",
    ];
    let years = ["*", "*", "*", "2026", "26..28", "2024/4", "2027,2030", "99"];
    let hours = [
        "*", "0", "2", "02", "3", "1..4", "0/2", "2,14", "23", "5..20/5", "24", "22/1", "0/12",
    ];
    let minutes = [
        "*", "0", "30", "0/15", "5..50/9", "59", "1,31", "0/59", "60", "20..10",
    ];
    let seconds = [
        "", "", "", ":0", ":30", ":*", ":0/20", ":10..12", ":59", ":60", ":0,30",
    ];
    let zones = [
        "",
        "",
        "",
        "",
        " UTC",
        " Europe/Berlin",
        " America/New_York",
        " No/Where",
    ];
    let date = format!("{}-{}{}", one(&years), one(&months), one(&monthdays));
    let time = format!("{}:{}{}", one(&hours), one(&minutes), one(&seconds));
    let both = [format!("{date} {time}"), date, time.clone(), time];
    let days = one(&days);
    let zone = one(&zones);
    format!("{days}{}{zone}", both[random.below(both.len())])
}

/// What systemd says of several expressions: the next times of each, nothing if it refuses it.
fn asked(expressions: &[String], zone: &str, base: i64) -> Vec<Option<Vec<Timestamp>>> {
    let mut command = Command::new("systemd-analyze");
    command.args([
        "calendar",
        &format!("--iterations={COUNT}"),
        &format!("--base-time=@{base}"),
        "--",
    ]);
    let output = command
        .args(expressions)
        .env("TZ", zone)
        .env("LC_ALL", "C")
        .output();
    let output = output.expect("systemd-analyze is installed: cargo xtask setup does it");
    let [told, refused] = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    // Every expression that it accepts begins with one or two of these lines.
    let mut blocks: Vec<Vec<Timestamp>> = Vec::new();
    let mut is_begun = false;
    for line in told.lines().map(str::trim) {
        if line.starts_with("Original form:") || (line.starts_with("Normalized form:") && !is_begun)
        {
            blocks.push(Vec::new());
        }
        is_begun = line.starts_with("Original form:");
        let is_utc_only = zone == "UTC";
        let time = match line.split_once(": ") {
            Some(("(in UTC)", time)) => time,
            Some((name, time))
                if is_utc_only && (name == "Next elapse" || name.starts_with("Iter. #")) =>
            {
                time
            }
            _ => continue,
        };
        if let Some((_, time)) = time.split_once(' ')
            && let Some(time) = time.strip_suffix(" UTC")
        {
            let time = format!("{}Z", time.replace(' ', "T"));
            let block = blocks.last_mut().expect("a block has begun");
            block.push(time.parse().expect("a time of systemd's"));
        }
    }
    let mut blocks = blocks.into_iter();
    let answers = expressions.iter().map(|expression| {
        let is_refused = refused.contains(&format!("'{expression}':"));
        (!is_refused).then(|| blocks.next().expect("an answer for each that is accepted"))
    });
    let answers: Vec<_> = answers.collect();
    assert_eq!(blocks.next(), None, "{told}\n{refused}");
    answers
}

#[test]
fn made_up_expressions_elapse_when_systemd_says() {
    let seed = std::env::var("IRONBORG_SEED").map_or(5, |seed| seed.parse().expect("a number"));
    let mut random = Random::new(seed);
    let count = if std::env::var_os("IRONBORG_INTEROP_FULL").is_some() {
        2000
    } else {
        120
    };
    let (mut accepted, mut times) = (0, 0);
    for (zone, base) in ZONES.into_iter().zip(BASES).cycle().take(8) {
        let expressions: Vec<String> = (0..count).map(|_| expression(&mut random)).collect();
        let here = TimeZone::get(zone).expect("a zone");
        for (expression, expected) in expressions.iter().zip(asked(&expressions, zone, base)) {
            let place = format!("{expression} in {zone} from {base}, IRONBORG_SEED={seed}");
            let schedule = Schedule::parse(std::slice::from_ref(expression));
            let Some(expected) = expected else {
                assert!(schedule.is_err(), "accepted: {place}");
                continue;
            };
            let schedule = schedule.unwrap_or_else(|error| panic!("{error}: {place}"));
            let mut now = Timestamp::from_second(base).expect("a time");
            let mut found = Vec::new();
            while found.len() < COUNT
                && let Some(next) = schedule.next_after(now, &here)
            {
                found.push(next);
                now = next;
            }
            assert_eq!(found, expected, "{place}");
            accepted += 1;
            times += found.len();
        }
    }
    assert!(
        accepted > count && times > 2 * accepted,
        "{times} times of {accepted}"
    );
    tally(Tried::RandomOperations, times as u64);
}
