"""Answers for random patterns, by stock Borg's own library.

Standard input: a JSON list of cases; every text in them is hexadecimal. Standard output: a JSON list of answers.
  {"style": "fm", "pattern": …, "paths": […]}     which of the paths the pattern matches
  {"options": [[option, value], …], "arguments": […], "paths": […]}
                                                  for each path whether it is included and whether it is entered,
                                                  and the arguments that nothing matched
An answer of null is an error.
"""

import io
import json
import sys
import warnings

from borg import patterns
from borg.archiver import Archiver
from borg.helpers import clean_lines

warnings.simplefilter("ignore")


def text(digits):
    return bytes.fromhex(digits).decode("utf-8", "surrogateescape")


def digits(text):
    return text.encode("utf-8", "surrogateescape").hex()


def single(case):
    pattern = patterns.parse_pattern(text(case["pattern"]), patterns.get_pattern_class(case["style"]))
    paths = [text(path).lstrip("/") for path in case["paths"]]
    return [pattern.match(path) for path in paths]


def lines(value):
    return io.TextIOWrapper(io.BytesIO(bytes.fromhex(value)), encoding="utf-8")


def many(case):
    rules, roots = [], []
    for option, value in case["options"]:
        if option == "exclude":
            rules.append(patterns.parse_exclude_pattern(text(value)))
        elif option == "pattern":
            patterns.parse_patternfile_line(text(value), roots, rules, patterns.ShellPattern)
        elif option == "exclude-from":
            patterns.load_exclude_file(lines(value), rules)
        else:
            patterns.load_pattern_file(lines(value), roots, rules)
    arguments = [text(argument) for argument in case["arguments"]] or roots
    matcher = Archiver.build_matcher(rules, arguments)
    decisions = []
    for path in case["paths"]:
        decisions.append([matcher.match(text(path)), matcher.recurse_dir])
    return [decisions, [digits(str(pattern)) for pattern in matcher.get_unmatched_include_patterns()]]


def answer(case):
    try:
        return single(case) if "style" in case else many(case)
    except Exception:
        return None


assert clean_lines is patterns.clean_lines
json.dump([answer(case) for case in json.load(sys.stdin)], sys.stdout)
