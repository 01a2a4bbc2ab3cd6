#!/usr/bin/env python3
"""Records when calendar expressions elapse, by `systemd-analyze calendar`: prints calendar.json.

Recorded with systemd 252. Each case has a time zone, a time, an expression and the next three times in seconds since 1970;
none if it never elapses again, null if it is refused. Times that clocks show for the second time are no good as
base: the program counts what they show as past, systemd does not. Nor are `*:*:0.5`, as the program cuts fractions
off, and `*-*-1/7`, of which systemd 252 leaves out each first of January.
"""

import datetime
import json
import os
import re
import subprocess

EXPRESSIONS = """
daily|hourly|minutely|weekly|monthly|yearly|annually|quarterly|semiannually|biannually|DAILY|daily UTC|weekly Asia/Tokyo
02:30|2:30|02:30:15|*:30|*:0/15|*:5..20/5|*:00,20,40:30|*:*|*:*:*|*:*:10..20|*:*:0/30|0/2:30|1..5/2:00|2,3:00
Mon|Mon..Fri|Sat,Sun|mon,wed..fri 8:15|Monday-Friday 8:15|Sun 2:30|Mon..Wed,Fri..Sun 23:59|Sun|Tue,Mon 0:0|Mon,
*-*-*|*-*-1|*-*-1,15 12:00|*-*-31|*-2-29|*-02-29 02:30|*-*-1..29/7|*-*-1..14/7|*-*-20..31|1-2|*-1,7-1|2026-2029-1
2027-1-2|27-1-2|99-1-2|2026..2028-01-01|2026/2-01-01|1970/10-1-1|2028,2026-1-1|2199-12-31 23:59:59|2199-12-31
*-*~1|*-*~01 23:59|*-*~7/1|Mon *-*~7/1|*-*~1..7|*-*~28|*-02~03|*~1|02~1|*-*~5..10/2|*-*~20/6|Fri *-*~1..3 4:00
Fri *-*-13|Mon *-*-1..7 3:00|Sat,Sun *-*-* 10..14:0/30|*-1..3-1/10 6:00|Sun *-3,10-* 2:30|Sun *-10-25..31 2:30
*-02-30|*-*-31 UTC|@1800000000|@0|12:00 UTC|12:00 utc|12:00 Europe/Berlin|2:30 America/New_York|2026-03-29 2:30 Europe/Berlin
1:2:3|01:02:03.000001|*:*:0..2|*:1..1|*:0/59|*-*-01/30|*-*~5/4|00001:2|5,1:0|1/2,5:0|0:0/7|23/1:0|*:59/1
|foo|Mon 12|12|12:|12:00:|*/2:00|Fri..Mon|sunday..tuesday|Thur|*:0/60|*:30/45|0/24:00|24:00|23:60|23:59:60|*-0-1|*-13-1
@now|@-1|@1.5|Mon,,Tue|,Mon|Mon..|Mon Tue|12:00 mon|12:00,|1,,2:00|1969-1-1|2200-1-1|*-*-* 1,2,3|1:2:3:4|*:20..5|*-*~29
*-*~03..01|*:*:1..1|*:*:0/0|*:0/0|1.5:00|1:00:59.9999999|1:00:5.|1:00:.5|*-*-01/31|*-*~5/5|*-*-20..32|2026~1|100-1-1
12:00 Nowhere/Land|UTC|*,5:00|*-*-|12:00 1-1|2026-01-02T10:00|+1:00|Mon,Tue,|weekly 12:00|*:58..59/30|*:5..5/3|*-*~3..4/2
"""

BASES = [
    "2026-01-01 12:00:00",
    "2024-02-28 23:59:59",
    "2026-03-28 21:07:30",
    "2026-10-24 20:15:00",
    "2028-12-31 23:59:00",
]

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]

ITERATIONS = 3
ELAPSE = re.compile(r"(?:Next elapse|Iter\. #\d+): (.*)")
IN_UTC = re.compile(r"\(in UTC\): (.*)")


def seconds(text):
    time = datetime.datetime.strptime(text, "%a %Y-%m-%d %H:%M:%S UTC")
    return int(time.replace(tzinfo=datetime.timezone.utc).timestamp())


def ask(zone, base, expression):
    """The next times, or None if it is refused."""
    words = ["systemd-analyze", "calendar", f"--iterations={ITERATIONS}", f"--base-time={base} UTC", "--", expression]
    environment = dict(os.environ, TZ=zone, LC_ALL="C")
    ran = subprocess.run(words, env=environment, capture_output=True, text=True)
    if ran.returncode != 0:
        return None
    found = []
    for line in ran.stdout.splitlines():
        if match := ELAPSE.search(line):
            if match[1] == "never":
                break
            found.append(match[1])
        elif match := IN_UTC.search(line):
            found[-1] = match[1]
    return [seconds(text) for text in found]


def main():
    expressions = EXPRESSIONS.strip("\n").replace("\n", "|").split("|")
    cases = []
    for expression in dict.fromkeys(expressions):
        if ask("UTC", BASES[0], expression) is None:
            cases.append({"expression": expression, "next": None})
            continue
        for number, base in enumerate(BASES):
            # Every zone meets every base, with some expression.
            for zone in {"UTC", ZONES[(number + len(expression)) % len(ZONES)], "Europe/Berlin"}:
                time = seconds(datetime.datetime.fromisoformat(base).strftime("%a %Y-%m-%d %H:%M:%S UTC"))
                times = ask(zone, base, expression)
                cases.append({"expression": expression, "zone": zone, "base": time, "next": times})
    cases.sort(key=lambda case: (expressions.index(case["expression"]), case.get("base", 0), case.get("zone", "")))
    lines = ",\n".join(json.dumps(case) for case in cases)
    print(f'{{"source": "systemd-analyze calendar (systemd 252), by record_calendar.py", "cases": [\n{lines}\n]}}')


if __name__ == "__main__":
    main()
