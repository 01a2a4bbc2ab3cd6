"""Applies stock Borg's own retention rules to many cases at once.

Standard input: a JSON list of cases {now, within, rules: {name: count}, times: [microseconds since 1970, in the
manifest's order]}. Standard output: for each case a list of the reasons, "RULE #N" or null, in the same order.
TZ is the zone of all cases.
"""

import json
import sys
from collections import namedtuple
from datetime import datetime, timedelta, timezone

import borg.helpers.misc as misc

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
Archive = namedtuple("Archive", "name id ts")


def at(micros):
    return EPOCH + timedelta(microseconds=micros)


def reasons(case):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return at(case["now"])

    misc.datetime = Clock
    listed = [Archive(str(n), n, at(micros)) for n, micros in enumerate(case["times"])]
    archives = sorted(listed, key=lambda archive: archive.ts)
    archives.reverse()
    because = {}
    if case["within"]:
        misc.prune_within(archives, case["within"], because)
    for rule in misc.PRUNING_PATTERNS:
        misc.prune_split(archives, rule, case["rules"].get(rule, 0), because)
    return ["%s #%d" % because[archive.id] if archive.id in because else None for archive in listed]


json.dump([reasons(case) for case in json.load(sys.stdin)], sys.stdout)
