//! A scheduler lives through years in a second: clocks that are set forward and back, sleep, power cuts, leap days, wrong clocks.
//!
//! What it should have started is found by looking at every minute of these years, with the rules written down a second time.

#![allow(clippy::unwrap_used)] // It is a test.

mod simulation;

use std::env;
use std::ops::Range;

use ironborg_testkit::{Random, Tried, tally};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use simulation::{Naive, Simulation, at, minutes, minutes_of};

/// A year in which each zone does something remarkable.
const YEARS: [(&str, &str); 8] = [
    ("UTC", "2024-01-01T00:00:30Z"),
    ("Europe/Berlin", "2024-01-01T00:00:30Z"),
    ("America/New_York", "2026-01-01T00:00:30Z"),
    ("Australia/Lord_Howe", "2026-01-01T00:00:30Z"),
    ("America/Sao_Paulo", "2018-01-01T00:00:30Z"),
    ("Pacific/Apia", "2011-06-01T00:00:30Z"),
    ("Pacific/Chatham", "2027-06-01T00:00:30Z"),
    ("Africa/Casablanca", "2026-01-01T00:00:30Z"),
];

const YEAR: SignedDuration = SignedDuration::from_hours(366 * 24);

#[test]
fn every_slot_of_a_year_is_started_once_and_on_time() {
    let mut count = 0;
    for (zone, begin) in YEARS {
        let zone = TimeZone::get(zone).unwrap();
        let begin = at(begin);
        let jobs = Naive::all();
        let mut simulation = Simulation::new(begin, &zone, &jobs, 99);
        simulation.elapse(YEAR);
        let minutes = minutes_of(&zone, begin, begin + YEAR);
        for job in &jobs {
            let slots = job.slots_of(&minutes);
            let expected: Vec<_> = slots.iter().map(|slot| (*slot, *slot)).collect();
            let started = simulation.started(&job.name);
            assert_eq!(started, expected, "{} in {zone:?}", job.name);
            if job.name == "leap day" {
                let years = ["Europe/Berlin", "UTC", "Pacific/Apia", "Pacific/Chatham"];
                let is_leap = years.contains(&zone.iana_name().unwrap());
                assert_eq!(started.len(), usize::from(is_leap), "{zone:?}");
            } else {
                assert!(started.len() > 11, "{}: {}", job.name, started.len());
            }
        }
        count += simulation.run_count();
    }
    tally(Tried::RandomOperations, count);
}

/// The seeds of a test, or the one that is to be looked at.
fn seeds(usual: Range<u64>) -> Range<u64> {
    match env::var("IRONBORG_SEED") {
        Ok(seed) => {
            let seed = seed.parse().expect("IRONBORG_SEED is a number");
            seed..seed + 1
        }
        Err(_) => usual,
    }
}

fn some_minutes(random: &mut Random, below: usize) -> SignedDuration {
    minutes(random.below(below).try_into().expect("it is small"))
}

fn some_seconds(random: &mut Random) -> i64 {
    random.below(60).try_into().expect("it is small")
}

/// Awake for hours, asleep for minutes, hours or days, and now and then off.
fn restless(simulation: &mut Simulation, random: &mut Random, is_turned_off: bool) {
    let end = simulation.now() + YEAR;
    while simulation.now() < end {
        simulation.elapse(some_minutes(random, 30 * 60) + SignedDuration::from_secs(17));
        let longest = [20, 5 * 60, 26 * 60, 9 * 24 * 60][random.below(4)];
        let gap = minutes(1) + some_minutes(random, longest);
        if is_turned_off && random.below(3) == 0 {
            simulation.turn_off(gap);
        } else {
            simulation.sleep(gap);
        }
    }
    simulation.elapse(minutes(1));
}

#[test]
fn what_is_slept_over_is_caught_up_with_once_or_not_at_all() {
    for (seed, (zone, begin)) in seeds(0..3).zip(&YEARS[1..4]) {
        let zone = TimeZone::get(zone).unwrap();
        let mut random = Random::new(seed);
        let jobs = Naive::all();
        let mut simulation = Simulation::new(at(begin), &zone, &jobs, 99);
        restless(&mut simulation, &mut random, false);
        let minutes = minutes_of(&zone, simulation.begin(), simulation.now());
        for job in &jobs {
            let expected = simulation.expected(job, &minutes);
            let started = simulation.started(&job.name);
            assert_eq!(
                started, expected,
                "{} in {zone:?}, IRONBORG_SEED={seed}",
                job.name
            );
            let late = |(planned, at): &&(Timestamp, Timestamp)| at != planned;
            let late_count = started.iter().filter(late).count();
            if job.name == "hourly" {
                assert!(late_count > 50, "{late_count}: IRONBORG_SEED={seed}");
            }
        }
    }
}

#[test]
fn what_was_missed_while_it_was_off_is_caught_up_with_too() {
    for seed in seeds(100..102) {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let mut random = Random::new(seed);
        let jobs = Naive::all();
        let mut simulation = Simulation::new(at("2024-01-01T00:00:30Z"), &zone, &jobs, 99);
        restless(&mut simulation, &mut random, true);
        let minute_table = minutes_of(&zone, simulation.begin(), simulation.now());
        for job in &jobs {
            let started = simulation.started(&job.name);
            let mut planned: Vec<_> = started.iter().map(|(planned, _)| *planned).collect();
            planned.dedup();
            assert_eq!(
                planned.len(),
                started.len(),
                "{}: twice, IRONBORG_SEED={seed}",
                job.name
            );
            for (planned, at) in &started {
                let is_late = at.duration_since(*planned) > minutes(10);
                assert!(
                    !is_late || job.is_persistent,
                    "{}: {at}, IRONBORG_SEED={seed}",
                    job.name
                );
            }
            if !job.is_persistent {
                continue;
            }
            // At no moment when it was on anything was left undone.
            for slot in job.slots_of(&minute_table) {
                let on_again = simulation.awake_from(slot);
                let is_done = simulation.is_served(&job.name, slot, on_again);
                assert!(
                    is_done,
                    "{}: {slot}, on again {on_again}, IRONBORG_SEED={seed}",
                    job.name
                );
            }
        }
    }
}

fn is_frequent(job: &Naive) -> bool {
    job.name.starts_with("hourly") || job.name.starts_with("daily")
}

#[test]
fn a_clock_that_is_set_stops_nothing_and_repeats_little() {
    let zone = TimeZone::get("America/New_York").unwrap();
    for seed in seeds(200..206) {
        let mut random = Random::new(seed);
        let jobs = Naive::all();
        let mut simulation = Simulation::new(at("2026-02-01T00:00:30Z"), &zone, &jobs, 99);
        let mut jump_count = 0;
        for _ in 0..12 {
            let amounts = [2, 90, 36 * 60, 40 * 24 * 60, 3 * 366 * 24 * 60];
            let largest = amounts[random.below(5)];
            let amount = minutes(1) + some_minutes(&mut random, largest);
            let there = if random.below(2) == 0 {
                amount
            } else {
                -amount
            };
            // Set wrong, and after a while right again, or not.
            simulation.set_clock(there, some_seconds(&mut random));
            jump_count += 1;
            let slots_before = simulation.count_all();
            let from = simulation.now();
            simulation.elapse(minutes(50 * 60));
            // Whatever the clock had been: hourly and daily jobs go on. The first slot may have been done.
            for job in jobs.iter().filter(|job| is_frequent(job)) {
                let slots = job.slots(&zone, from, simulation.now());
                let started = simulation.started_from(&job.name, slots_before[&job.name]);
                assert!(
                    started.len() + 1 >= slots.len(),
                    "{}: {from}, IRONBORG_SEED={seed}",
                    job.name
                );
                assert!(
                    started.len() <= slots.len() + 1,
                    "{}: {from}, IRONBORG_SEED={seed}",
                    job.name
                );
            }
            if random.below(2) == 0 {
                simulation.set_clock(-there, some_seconds(&mut random));
                jump_count += 1;
            }
            if random.below(4) == 0 {
                simulation.turn_off(some_minutes(&mut random, 600));
            }
        }
        simulation.elapse(minutes(31 * 24 * 60));
        assert!(
            simulation.started("monthly").len() <= 2 * jump_count + 3,
            "IRONBORG_SEED={seed}"
        );
    }
}

#[test]
fn a_clock_set_back_by_minutes_does_not_repeat_what_is_done() {
    let zone = TimeZone::UTC;
    let jobs = [Naive::daily("daily", 2, 0)];
    let mut simulation = Simulation::new(at("2026-02-01T00:00:30Z"), &zone, &jobs, 1);
    simulation.elapse(minutes(2 * 60 + 2));
    for _ in 0..5 {
        simulation.set_clock(minutes(-9), 20);
        simulation.elapse(minutes(15));
    }
    assert_eq!(simulation.started("daily").len(), 1);
    simulation.elapse(minutes(24 * 60));
    assert_eq!(simulation.started("daily").len(), 2);
    // By hours: that slot comes again, too. Nor is there a reason to do that of the day before.
    simulation.set_clock(minutes(-10 * 60), 20);
    simulation.elapse(minutes(12 * 60));
    assert_eq!(simulation.started("daily").len(), 2);
    simulation.elapse(minutes(24 * 60));
    assert_eq!(simulation.started("daily").len(), 3);
}

#[test]
fn a_run_recorded_years_ahead_stops_nothing() {
    let zone = TimeZone::UTC;
    let jobs = [Naive::daily("daily", 2, 0)];
    let mut simulation = Simulation::new(at("2031-02-01T00:00:30Z"), &zone, &jobs, 1);
    simulation.elapse(minutes(3 * 60));
    simulation.set_clock(SignedDuration::from_hours(-5 * 366 * 24), 30);
    simulation.turn_off(minutes(3));
    let now = simulation.now();
    simulation.elapse(minutes(1));
    // What it is worth is not known: one more does no harm.
    assert_eq!(simulation.started("daily").len(), 2);
    assert!(simulation.started("daily")[1].1 <= now + minutes(1));
    simulation.elapse(minutes(10 * 24 * 60));
    assert_eq!(simulation.started("daily").len(), 12);
}

#[test]
fn whoever_travels_is_backed_up_wherever_that_is() {
    let jobs = [Naive::daily("daily", 2, 30)];
    let mut simulation = Simulation::new(at("2026-05-01T12:00:00Z"), &TimeZone::UTC, &jobs, 1);
    let mut random = Random::new(7);
    let zones = [
        "Asia/Tokyo",
        "Europe/Berlin",
        "America/Los_Angeles",
        "Pacific/Kiritimati",
        "Pacific/Pago_Pago",
    ];
    for day in 1..200_usize {
        simulation.travel(&TimeZone::get(zones[random.below(5)]).unwrap());
        simulation.elapse(minutes(24 * 60));
        let count = simulation.started("daily").len();
        assert!(
            count + 2 * day / 3 >= day && count <= 2 * day + 1,
            "{count} in {day} days"
        );
    }
    let started = simulation.started("daily");
    for pair in started.windows(2) {
        // A day can have 47 hours for who flies east over the date line twice; but it ends.
        assert!(
            pair[1].1.duration_since(pair[0].1) < minutes(50 * 60),
            "{pair:?}"
        );
    }
}

#[test]
fn delays_are_kept_and_missed_like_what_is_not_delayed() {
    let zone = TimeZone::get("Europe/Berlin").unwrap();
    let mut job = Naive::daily("delayed", 2, 30);
    job.delay_at_most = minutes(4 * 60);
    let begin = at("2026-03-01T12:00:00Z");
    let mut simulation = Simulation::new(begin, &zone, &[job.clone()], 1);
    simulation.elapse(minutes(60 * 24 * 60));
    let delay = simulation.delay("delayed");
    assert!(delay > SignedDuration::ZERO && delay < job.delay_at_most);
    let slots = job.slots(&zone, begin, simulation.now() - delay);
    let expected: Vec<_> = slots
        .iter()
        .map(|slot| (*slot + delay, *slot + delay))
        .collect();
    assert_eq!(simulation.started("delayed"), expected);
    // Asleep over slot and delay.
    simulation.elapse(minutes(10 * 60));
    let count = simulation.started("delayed").len();
    simulation.sleep(minutes(24 * 60));
    simulation.elapse(minutes(1));
    assert_eq!(simulation.started("delayed").len(), count + 1);
}
