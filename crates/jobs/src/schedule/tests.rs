//! What schedules promise: which times they mean, what they refuse, and how they are said in other words.

use super::*;

fn schedule(text: &str) -> Schedule {
    Schedule::parse(&[text.to_owned()]).unwrap_or_else(|error| panic!("{error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The next times after one, in a zone.
fn check(text: &str, zone: &str, after: &str, expected: &[&str]) {
    let (schedule, zone) = (schedule(text), TimeZone::get(zone).unwrap());
    let mut now = at(after);
    for expected in expected {
        let next = schedule.next_after(now, &zone);
        assert_eq!(next, Some(at(expected)), "{text} after {now}");
        // From the middle of what is between, it is the last one.
        let between = at(expected) + jiff::SignedDuration::from_millis(500);
        assert_eq!(
            schedule.last_before(between, &zone),
            Some(at(expected)),
            "{text}"
        );
        now = at(expected);
    }
}

fn error(text: &str) -> String {
    let error = Schedule::parse(&[text.to_owned()]).unwrap_err();
    format!("{}: {}", error.column, error.wrong)
}

#[test]
fn parts_may_be_left_out() {
    let base = "2026-01-01T12:00:00Z";
    check(
        "02:30",
        "UTC",
        base,
        &["2026-01-02T02:30:00Z", "2026-01-03T02:30:00Z"],
    );
    check(
        "Mon..Fri",
        "UTC",
        base,
        &["2026-01-02T00:00:00Z", "2026-01-05T00:00:00Z"],
    );
    check(
        "1-2",
        "UTC",
        base,
        &["2026-01-02T00:00:00Z", "2027-01-02T00:00:00Z"],
    );
    check(
        "sat,Sunday 10..14:0/30",
        "UTC",
        base,
        &["2026-01-03T10:00:00Z", "2026-01-03T10:30:00Z"],
    );
    check(
        "*-*~07/1",
        "UTC",
        base,
        &["2026-01-25T00:00:00Z", "2026-01-26T00:00:00Z"],
    );
    check(
        "*-02-29",
        "UTC",
        base,
        &["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"],
    );
    check(
        "12:00 Europe/Berlin",
        "UTC",
        base,
        &["2026-01-02T11:00:00Z"],
    );
    check(
        "*:*:0/0.25",
        "UTC",
        base,
        &["2026-01-01T12:00:01Z", "2026-01-01T12:00:02Z"],
    );
    check("@1800000000", "Asia/Tokyo", base, &["2027-01-15T08:00:00Z"]);
}

#[test]
fn clocks_that_are_set_leave_out_what_is_not_there_and_count_the_first_of_two() {
    let spring = "2026-03-28T20:00:00Z";
    check("02:30", "Europe/Berlin", spring, &["2026-03-30T00:30:00Z"]);
    check(
        "1,2,3:00",
        "Europe/Berlin",
        spring,
        &["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"],
    );
    let autumn = "2026-10-24T23:45:00Z";
    check(
        "hourly",
        "Europe/Berlin",
        autumn,
        &[
            "2026-10-25T00:00:00Z",
            "2026-10-25T02:00:00Z",
            "2026-10-25T03:00:00Z",
        ],
    );
    // Whoever asks during the second hour is told that it has been.
    let (hourly, zone) = (schedule("*:30"), TimeZone::get("Europe/Berlin").unwrap());
    for asked in [
        "2026-10-25T01:00:00Z",
        "2026-10-25T01:29:59Z",
        "2026-10-25T01:30:00Z",
        "2026-10-25T01:59:59Z",
    ] {
        assert_eq!(
            hourly.next_after(at(asked), &zone),
            Some(at("2026-10-25T02:30:00Z")),
            "{asked}"
        );
        assert_eq!(
            hourly.last_before(at(asked), &zone),
            Some(at("2026-10-25T00:30:00Z")),
            "{asked}"
        );
    }
    check(
        "0:00",
        "America/Sao_Paulo",
        "2018-11-03T04:00:00Z",
        &["2018-11-05T02:00:00Z"],
    );
    check(
        "0:00",
        "Pacific/Apia",
        "2011-12-29T11:00:00Z",
        &["2011-12-30T10:00:00Z"],
    );
}

#[test]
fn what_never_elapses_says_so_at_once() {
    for text in [
        "*-02-30",
        "1999-01-01",
        "Mon 2026-02-03",
        "2026-03-29 02:30 Europe/Berlin",
        "Mon 2199-12-31 0:0",
    ] {
        let now = at("2026-01-01T12:00:00Z");
        assert_eq!(
            schedule(text).next_after(now, &TimeZone::UTC),
            None,
            "{text}"
        );
    }
    let every_second = schedule("*:*:*");
    for now in [
        Timestamp::MIN,
        Timestamp::MAX,
        at("2200-02-01T00:00:00Z"),
        at("1969-12-01T00:00:00Z"),
    ] {
        for zone in ["UTC", "Pacific/Kiritimati", "America/New_York"] {
            let zone = TimeZone::get(zone).unwrap();
            let next = every_second.next_after(now, &zone);
            assert_eq!(next.is_some(), now < at("1970-01-01T00:00:00Z"), "{now}");
            let last = every_second.last_before(now, &zone);
            assert_eq!(last.is_some(), now > at("2199-01-01T00:00:00Z"), "{now}");
        }
    }
    assert_eq!(
        Schedule::default().next_after(at("2026-01-01T00:00:00Z"), &TimeZone::UTC),
        None
    );
}

#[test]
fn errors_say_where_and_what_is_expected() {
    assert_eq!(
        error(""),
        "1: expected a calendar expression such as daily or 02:30"
    );
    assert_eq!(
        error("dayly"),
        "1: \"dayly\" is neither a day of the week such as Mon nor a word such as daily"
    );
    assert_eq!(
        error("Mon 12"),
        "7: expected - and more of a date, or : and more of a time"
    );
    assert_eq!(error(" Mon  25:00 "), "7: the hour is from 0 to 23");
    assert_eq!(
        error("*:0/60"),
        "3: there is no minute after the first in such steps"
    );
    assert_eq!(
        error("*/2:00"),
        "2: * is not repeated: for every second one, write 0/2 or 1/2"
    );
    assert_eq!(
        error("Fri..Mon"),
        "1: a week begins with Monday: the last day is before the first"
    );
    assert_eq!(
        error("12:00 Nowhere/Land"),
        "7: there is no time zone \"Nowhere/Land\" here"
    );
    assert_eq!(
        error("2:30 2:30"),
        "6: expected the end; days of the week come first, then a date, then a time"
    );
    assert_eq!(error("ä"), "1: expected a number");
    assert_eq!(error("0 24 * * *"), "3: the hour is from 0 to 23");
    assert_eq!(
        error("0 0 * * Foo"),
        "9: expected * or the day of the week, 0 to 7"
    );
    assert_eq!(
        error("5/15 * * * *"),
        "2: only * and ranges are taken in steps"
    );
    assert_eq!(error("*/0 * * * *"), "3: expected how large the steps are");
    assert_eq!(
        error("@reboot"),
        "1: expected one of @yearly, @annually, @monthly, @weekly, @daily, @midnight, @hourly"
    );
    let whole = Schedule::parse(&["daily".to_owned(), "dayli".to_owned()]).unwrap_err();
    assert_eq!(
        whole.to_string(),
        "\"dayli\", character 1: \"dayli\" is neither a day of the week such as Mon nor a word such as daily"
    );
}

#[test]
fn cron_is_understood() {
    let base = "2026-01-01T12:00:00Z";
    check("30 4 * * *", "UTC", base, &["2026-01-02T04:30:00Z"]);
    check(
        "*/20 9-17/4 * * mon-fri",
        "UTC",
        base,
        &["2026-01-01T13:00:00Z", "2026-01-01T13:20:00Z"],
    );
    check("0 0 * * 7", "UTC", base, &["2026-01-04T00:00:00Z"]);
    check(
        "0 0 * * sat-sun",
        "UTC",
        base,
        &[
            "2026-01-03T00:00:00Z",
            "2026-01-04T00:00:00Z",
            "2026-01-10T00:00:00Z",
        ],
    );
    check("@weekly", "UTC", base, &["2026-01-04T00:00:00Z"]);
    // Both kinds of days: either; but neither may begin with a star.
    check(
        "0 0 13 * Fri",
        "UTC",
        base,
        &[
            "2026-01-02T00:00:00Z",
            "2026-01-09T00:00:00Z",
            "2026-01-13T00:00:00Z",
        ],
    );
    check(
        "0 0 */2 * Fri",
        "UTC",
        base,
        &["2026-01-09T00:00:00Z", "2026-01-23T00:00:00Z"],
    );
    check(
        "0 0 1-31 * Fri",
        "UTC",
        base,
        &["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z"],
    );
    check("0 0 29 feb *", "UTC", base, &["2028-02-29T00:00:00Z"]);
}

#[test]
fn each_is_said_in_the_words_of_the_other_where_that_is_exact() {
    let on_calendar = |text: &str| schedule(text).as_on_calendar();
    assert_eq!(on_calendar("30 4 * * *"), ["*-*-* 04:30:00"]);
    assert_eq!(
        on_calendar("*/15 9-17 1,15 jan-mar Fri"),
        [
            "*-01..03-01,15 09..17:00/15:00",
            "Fri *-01..03-* 09..17:00/15:00"
        ]
    );
    assert_eq!(on_calendar("0 0 * * 0,6"), ["Sat,Sun *-*-* 00:00:00"]);
    assert_eq!(on_calendar("  Mon   2:30  utc "), ["Mon 2:30 UTC"]);
    // What systemd would not do right is said in other words.
    assert_eq!(on_calendar("*-*-1/7"), ["*-*-01,08,15,22,29 00:00:00"]);
    assert_eq!(on_calendar("0 0 */10 * *"), ["*-*-01,11,21,31 00:00:00"]);
    let cron = |text: &str| schedule(text).as_cron();
    let one = |text: &str| Some(vec![text.to_owned()]);
    assert_eq!(cron("daily"), one("0 0 * * *"));
    assert_eq!(cron("weekly"), one("0 0 * * 1"));
    assert_eq!(cron("Mon..Fri,Sun 8..18:5/20"), one("5-59/20 8-18 * * 0-5"));
    assert_eq!(cron("quarterly"), one("0 0 1 */3 *"));
    assert_eq!(cron("*-*-1,15 2:00"), one("0 2 1,15 * *"));
    for text in [
        "Mon *-*-1..7",
        "*-*~1",
        "2026-01-01",
        "*:*:30",
        "2:30 UTC",
        "minutely Asia/Tokyo",
    ] {
        assert_eq!(cron(text), None, "{text}");
    }
    let both = Schedule::parse(&["daily".to_owned(), "*-*~1".to_owned()]).unwrap();
    assert_eq!(
        (both.as_cron(), both.as_on_calendar()),
        (None, vec!["daily".to_owned(), "*-*~1".to_owned()])
    );
}
