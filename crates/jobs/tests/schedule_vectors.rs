//! Calendar expressions elapse when systemd says they do; and at no time it would not, found by looking at every minute.

#![allow(clippy::unwrap_used)] // It is a test.

mod simulation;

use std::env;

use ironborg_jobs::schedule::Schedule;
use ironborg_testkit::{Random, Tried, tally};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use simulation::{minutes, minutes_of};

const RECORDED: &str = include_str!("../../../testdata/vectors/calendar.json");

fn parse(text: &str) -> Result<Schedule, String> {
    Schedule::parse(&[text.to_owned()]).map_err(|error| error.to_string())
}

fn second(value: &Value) -> Timestamp {
    Timestamp::from_second(value.as_i64().unwrap()).unwrap()
}

#[test]
fn expressions_elapse_when_systemd_says() {
    let recorded: Value = serde_json::from_str(RECORDED).unwrap();
    let cases = recorded["cases"].as_array().unwrap();
    assert!(cases.len() > 1000, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let expression = case["expression"].as_str().unwrap();
        let expected = case["next"].as_array();
        let (schedule, times) = match (parse(expression), expected) {
            (Ok(schedule), Some(times)) => (schedule, times),
            (Err(_), None) => continue,
            (Ok(_), None) => {
                wrong.push(format!("{expression}: accepted"));
                continue;
            }
            (Err(error), Some(_)) => {
                wrong.push(error);
                continue;
            }
        };
        let zone = TimeZone::get(case["zone"].as_str().unwrap()).unwrap();
        let mut now = second(&case["base"]);
        let mut found = Vec::new();
        while found.len() < 3
            && let Some(next) = schedule.next_after(now, &zone)
        {
            found.push(next);
            now = next;
        }
        let expected: Vec<Timestamp> = times.iter().map(second).collect();
        if found != expected {
            wrong.push(format!("{case}: {found:?} instead of {expected:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

/// An expression and what it means.
struct Made {
    text: String,
    weekdays: Vec<i8>,
    months: Vec<i8>,
    days: Vec<i8>,
    hours: Vec<i8>,
    minutes: Vec<i8>,
}

impl Made {
    fn new(random: &mut Random, is_cron: bool) -> Self {
        let mut part = |from: i8, to: i8, all_of: usize| -> Vec<i8> {
            if random.below(all_of) != 0 {
                return (from..=to).collect();
            }
            let count = 1 + random.below(4);
            let span = usize::try_from(to - from + 1).unwrap();
            let mut numbers: Vec<i8> = (0..count)
                .map(|_| from + i8::try_from(random.below(span)).unwrap())
                .collect();
            numbers.sort_unstable();
            numbers.dedup();
            numbers
        };
        let mut made = Self {
            text: String::new(),
            weekdays: part(1, 7, 3),
            months: part(1, 12, 4),
            days: part(1, 31, 3),
            hours: part(0, 23, 1),
            minutes: part(0, 59, 1),
        };
        let list = |numbers: &[i8], all: usize| {
            if numbers.len() == all {
                return "*".to_owned();
            }
            let texts: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            texts.join(",")
        };
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let [months, days] = [list(&made.months, 12), list(&made.days, 31)];
        let [hours, minutes] = [list(&made.hours, 24), list(&made.minutes, 60)];
        made.text = if is_cron {
            format!(
                "{minutes} {hours} {days} {months} {}",
                list(&made.weekdays, 7)
            )
        } else {
            let named = made.weekdays.iter();
            let named: Vec<&str> = named
                .map(|day| names[usize::try_from(day - 1).unwrap()])
                .collect();
            format!("{} *-{months}-{days} {hours}:{minutes}", named.join(","))
        };
        made
    }

    fn matches(&self, time: DateTime, is_cron: bool) -> bool {
        let weekday = self
            .weekdays
            .contains(&time.weekday().to_monday_one_offset());
        let day = self.days.contains(&time.day());
        // Cron takes either if both are given.
        let is_either = is_cron && self.weekdays.len() < 7 && self.days.len() < 31;
        (if is_either {
            weekday || day
        } else {
            weekday && day
        }) && self.months.contains(&time.month())
            && self.hours.contains(&time.hour())
            && self.minutes.contains(&time.minute())
    }
}

#[test]
fn between_now_and_the_next_time_there_is_none() {
    let seed = env::var("IRONBORG_SEED").map_or(7, |seed| seed.parse().unwrap());
    let mut random = Random::new(seed);
    let (mut checked, mut found_count) = (0, 0);
    let zones = [
        "UTC",
        "Europe/Berlin",
        "Australia/Lord_Howe",
        "America/Havana",
        "Africa/Casablanca",
    ];
    for name in zones {
        let zone = TimeZone::get(name).unwrap();
        // Around a change of the clocks in each of them.
        for begin in [1_774_500_000_i64, 1_792_600_000, 1_771_000_000] {
            let begin = begin + i64::try_from(random.below(300_000)).unwrap();
            let begin = Timestamp::from_second(begin).unwrap();
            let table = minutes_of(&zone, begin, begin + minutes(6 * 24 * 60));
            for _ in 0..8 {
                let is_cron = random.below(2) == 0;
                let made = Made::new(&mut random, is_cron);
                let schedule = parse(&made.text).unwrap();
                let hits = table
                    .iter()
                    .filter(|(_, time)| made.matches(*time, is_cron));
                let expected: Vec<Timestamp> = hits.map(|(at, _)| *at).collect();
                let mut now = begin;
                let mut found = Vec::new();
                while let Some(next) = schedule.next_after(now, &zone)
                    && next <= table.last().unwrap().0
                {
                    assert!(next > now, "{} in {name}, IRONBORG_SEED={seed}", made.text);
                    found.push(next);
                    now = next;
                }
                assert_eq!(
                    found, expected,
                    "{} in {name} from {begin}, IRONBORG_SEED={seed}",
                    made.text
                );
                let mut back = Vec::new();
                now += minutes(1);
                while let Some(last) = schedule.last_before(now, &zone)
                    && last > begin
                {
                    back.push(last);
                    now = last;
                }
                back.reverse();
                assert_eq!(
                    back, expected,
                    "{} in {name} from {begin}, IRONBORG_SEED={seed}",
                    made.text
                );
                // The same in systemd's words.
                let lines = schedule.as_on_calendar();
                let again = Schedule::parse(&lines).unwrap();
                assert_eq!(
                    again.next_after(begin, &zone),
                    schedule.next_after(begin, &zone),
                    "{lines:?}"
                );
                if let Some(lines) = schedule.as_cron() {
                    let again = Schedule::parse(&lines).unwrap();
                    assert_eq!(
                        again.next_after(begin, &zone),
                        schedule.next_after(begin, &zone),
                        "{lines:?}"
                    );
                }
                checked += 1;
                found_count += found.len();
            }
        }
    }
    assert!(
        found_count > 5 * checked,
        "{found_count} times of {checked}"
    );
    tally(Tried::RandomOperations, checked.try_into().unwrap());
}

/// What is no expression at all is an error, and what is one ends.
#[test]
fn nothing_typed_makes_it_panic_or_go_on_for_ever() {
    let seed = env::var("IRONBORG_SEED").map_or(11, |seed| seed.parse().unwrap());
    let mut random = Random::new(seed);
    let pieces = [
        "*",
        "-",
        "~",
        "/",
        "..",
        ",",
        ":",
        " ",
        "  ",
        "\t",
        "0",
        "1",
        "2",
        "07",
        "15",
        "30",
        "31",
        "59",
        "60",
        "2026",
        "2199",
        "99999999999999999999",
        "Mon",
        "Fri",
        "Sun",
        "feb",
        "UTC",
        "Europe/Berlin",
        "daily",
        "@",
        "@daily",
        ".5",
        "ä",
        "\0",
        "0/1",
        "0/2",
        "*/2",
        "1-5",
        "1..5",
        "*-*-*",
        "00:00",
        "0 0",
    ];
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let now = "2026-03-28T22:13:20Z".parse().unwrap();
    let mut accepted = 0;
    for _ in 0..20_000 {
        let count = 1 + random.below(9);
        let text: String = (0..count)
            .map(|_| pieces[random.below(pieces.len())])
            .collect();
        match Schedule::parse(std::slice::from_ref(&text)) {
            Ok(schedule) => {
                accepted += 1;
                let next = schedule.next_after(now, &zone);
                assert!(
                    next.is_none_or(|next| next > now),
                    "{text:?}, IRONBORG_SEED={seed}"
                );
                let last = schedule.last_before(now, &zone);
                assert!(
                    last.is_none_or(|last| last < now),
                    "{text:?}, IRONBORG_SEED={seed}"
                );
                let lines = schedule.as_on_calendar();
                let again =
                    Schedule::parse(&lines).unwrap_or_else(|error| panic!("{text:?}: {error}"));
                assert_eq!(again.next_after(now, &zone), next, "{text:?}: {lines:?}");
            }
            Err(error) => {
                let len = text.chars().count();
                assert!(
                    (1..=len + 1).contains(&error.column),
                    "{error}, IRONBORG_SEED={seed}"
                );
                assert!(!error.wrong.is_empty(), "{text:?}");
            }
        }
    }
    assert!(accepted > 500, "{accepted} accepted");
    tally(Tried::FuzzExecutions, 20_000);
}
