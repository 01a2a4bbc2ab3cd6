"""Makes command lines out of the captured parser tree and asks stock Borg's parser for each of them.

Usage: PYTHON command_lines.py CLI_JSON, with the Python stock Borg is installed in. Prints one JSON object a line:
{"words": [...], "refused": last line of standard error} or {"words": [...], "accepted": {name: value, ...}} with the
plain values that are not the default ("help" or "version" if that is what was asked for).
"""

import contextlib
import io
import json
import sys

from borg.archiver import Archiver, get_func

PLACES = {"required": "/nosuch/r::a", "optional": "/nosuch/r", "forbidden": "/nosuch/r"}
GOOD = {
    "int": "7", "int > 0": "7", "int, octal": "0640", "interval": "2w",
    "chunker-params": "10,23,16,4095", "files-cache-mode": "mtime,size", "compression-spec": "zstd,5",
    "file size (decimal suffixes), 0 or >= 10M": "20M",
    "sort-keys (comma list of timestamp,name,id,archive)": "name,id",
    "comma list of sort fields": "size,path", "path of an exclude file": "/dev/null",
    "path of a patterns file": "/dev/null",
    "timestamp or path of reference file": "2024-01-02T03:04:05",
    'pattern command line ("+","-","!","R","P" prefix)': "- *.o",
}
BAD = {
    "int": ["x", "1.5", "", "-1"], "int > 0": ["0", "-3", "x", "", "+2"], "int, octal": ["9", "x", "", "0o17"],
    "interval": ["x", "2", "w", "0d", "-1d", ""],
    "chunker-params": ["x", "1,2,3", "9,23,16,4095", "buzhash,19,23,21,4096", "fixed,1", "fixed,4096,x", ""],
    "files-cache-mode": ["x", "mtime,ctime", "", "rechunk,disabled"],
    "compression-spec": ["x", "zstd,99", "lz4,1", "auto", "obfuscate,999,lz4", ""],
    "file size (decimal suffixes), 0 or >= 10M": ["1M", "x", "0", "", "-20M"],
    "sort-keys (comma list of timestamp,name,id,archive)": ["x", "", "name,,id", "archive,ts"],
    "comma list of sort fields": ["x", "", "size,size", ">size"],
    "path of an exclude file": ["/nosuch"], "path of a patterns file": ["/nosuch", "/"],
    "timestamp or path of reference file": ["x", "", "2024-13-01T00:00:00", "2024-01-02"],
    'pattern command line ("+","-","!","R","P" prefix)': ["x", "", "P x", "+ re:[", "R", "- "],
    "pattern (default style fm, no recursion into matches)": ["re:[", "xx:y", ""],
    "str with placeholders expanded": ["{x}", "{", ""],
    'archivename (placeholders expanded; no "/" and no "::"; not empty)': ["a/b", "a::b", "", "{x}"],
    "non-empty str": [""],
}
LOCATIONS = ["", "::", "::a", "/nosuch/r::", "/nosuch/r::a/b", "{x}", "/nosuch/{now", "ssh://h:x/r", "a:b:c::d", ":"]


def leaves(node):
    children = node.get("subcommands")
    if not children:
        yield node
    for child in children or []:
        yield from leaves(child)


def kind_of(argument):
    kind = argument.get("type")
    return kind if isinstance(kind, str) or kind is None else "location"


def good(argument):
    if argument.get("choices"):
        return argument["choices"][0]
    if kind_of(argument) == "location":
        return PLACES[argument["type"]["archive"]]
    return GOOD.get(kind_of(argument), "v")


def takes_value(option):
    return option["action"] not in ("store_true", "store_false", "store_const", "count", "help", "version")


def lines_of(leaf, common):
    name = leaf["command"].split()[1:]
    options = [option for group in leaf["groups"] for option in group["options"]]
    positionals = leaf["positionals"]
    places = [good(place) for place in positionals if place.get("nargs") not in ("*", "REMAINDER")]
    required = []
    for option in options:
        if name == ["init"] and "--encryption" in option["options"]:
            required = ["-e", "none"]
    more = ["p"] if leaf["command"] in ("borg create",) else []
    yield name
    yield name + required + places + more
    yield name + places + more + required
    yield name + required + places + ["extra"] * 3
    yield name + required + ["--"] + places + more
    yield name + required + places[:1] + ["--"] + places[1:] + more
    for short in range(len(places)):
        yield name + required + places[:short]
    for index, place in enumerate(positionals):
        values = LOCATIONS if kind_of(place) == "location" else BAD.get(kind_of(place), [""])
        # An empty topic, and whether a topic exists, are found out when help is shown.
        values = [] if name == ["help"] else values
        for value in values if index == 0 or kind_of(place) != "location" else values[:2]:
            words = [good(other) for other in positionals[:index]] + [value] + places[index + 1:] + more
            yield name + required + words
    for option in options:
        option_names = option["options"]
        if not takes_value(option):
            for option_name in option_names:
                yield name + required + [option_name] + places + more
            yield name + required + [option_names[-1], option_names[0]] + places + more
            yield name + required + [option_names[-1] + "=x"] + places
            continue
        value = good(option)
        for option_name in option_names:
            yield name + required + [option_name, value] + places + more
        yield name + required + [option_names[-1] + "=" + value] + places + more
        yield name + required + places + more + [option_names[-1]]
        yield name + required + [option_names[-1], "--"] + places
        yield name + required + [option_names[-1], "-x"] + places
        yield name + required + [option_names[0], value, option_names[-1], value] + places + more
        bad = ["x"] if option.get("choices") else BAD.get(kind_of(option), [])
        for wrong in bad:
            yield name + required + [option_names[-1] + "=" + wrong] + places + more
            # Which of two errors comes first depends on the order of the words.
            if wrong == bad[0]:
                yield name + required + ["--first=x", option_names[-1] + "=" + wrong] + places
                yield name + required + [option_names[-1] + "=" + wrong, "--umask=x"] + places
                yield name + required + places[:-1] + [option_names[-1] + "=" + wrong, "--bogus"]
                yield name + required + ["::x", option_names[-1] + "=" + wrong]
    for group in leaf.get("mutually_exclusive", []):
        by_name = {n: option for option in options for n in option["options"]}
        pairs = [members[-1] for members in group["members"]]
        words = [[n] + ([good(by_name[n])] if takes_value(by_name[n]) else []) for n in pairs]
        yield name + required + sum(words, []) + places
        yield name + required + sum(reversed(words), []) + places
        yield name + required + words[0] + words[0] + words[1] + places
    strings = sorted({n for option in options + common for n in option["options"] if n.startswith("--")})
    for letter in sorted({n[:3] for n in strings} - ({"--b"} if name == ["help"] else set())):
        yield name + required + [letter] + places + more
    yield name + required + ["--log-json", "--inf", "-p", "--lock-wait", "-1"] + places + more
    yield name + required + ["-pv", "--iec"] + places + more


def common_lines(common):
    for option in common:
        for option_name in option["options"]:
            value = [good(option)] if takes_value(option) else []
            if option_name != "--bypass-lock":
                yield [option_name] + value
            yield [option_name] + value + ["list", "/nosuch/r"]
            yield ["list", option_name] + value + ["/nosuch/r"]
            yield ["list", "/nosuch/r", option_name] + value
            yield ["key", option_name] + value + ["export", "/nosuch/r"]
            if value:
                yield ["list", "/nosuch/r", option_name]
                yield ["list", option_name + "=", "/nosuch/r"]
                yield [option_name]
                yield [option_name, "list"]
                for wrong in BAD.get(kind_of(option), []):
                    yield [option_name + "=" + wrong, "list", "/nosuch/r"]
                    yield ["list", option_name + "=" + wrong, "--first=0", "/nosuch/r"]
            else:
                yield ["list", option_name + "=1", "/nosuch/r"]


OTHERS = [
    "|list", "| list", "nosuch", "nosuch|--first=x", "lis|/nosuch/r", "LIST|/nosuch/r", "--|list|/nosuch/r",
    "list|--|--|/nosuch/r", "list|/nosuch/r|--|--|x", "list|--|/nosuch/r|-x|--first", "-x", "--nosuch", "-x|list",
    "--nosuch|list|--nosuch2", "list|-x|/nosuch/r", "list|/nosuch/r|-x|--nosuch=5|y", "list|-5|/nosuch/r",
    "list|/nosuch/r|-5", "list|/nosuch/r|-.5|-1.", "list|/nosuch/r|-a b", "list|--a b|/nosuch/r", "list|-|-", "list|-v=",
    "list|-v=p|/nosuch/r", "list|-vx|/nosuch/r", "list|-vpx|/nosuch/r", "list|-vh|/nosuch/r", "list|-vpa|x|/nosuch/r",
    "list|-vpax|/nosuch/r", "list|-pa=x|/nosuch/r", "list|-a=x|/nosuch/r", "list|-a=|/nosuch/r", "list|-V", "list|--version",
    "-V|list", "--version", "--vers", "list|--h", "--he", "list|-h|--first=x", "list|--first=x|-h", "-h|nosuch", "key",
    "key|-h", "key|nosuch", "key|--nosuch", "key|export|--nosuch|/nosuch/r", "key|-x|export|/nosuch/r", "debug", "benchmark",
    "key|--info", "--info", "--info|--bogus", "key|--info|--bogus", "benchmark|crud", "debug|info", "debug|info|x",
    "--critical|list|--error|/nosuch/r", "--debug|--warning|list|/nosuch/r", "--umask|022|list|--umask|0077|/nosuch/r",
    "--debug-topic|a|list|--debug-topic|b|/nosuch/r", "create|-s|--quick-stats|/nosuch/r::a|p",
    "create|--paths-from-stdin|/nosuch/r::a|p", "create|--paths-from-command|/nosuch/r::a", "create|/nosuch/r::a",
    "create|--content-from-command|/nosuch/r::a", "create|--pattern|R p|/nosuch/r::a", "create|--bypass-lock|/nosuch/r::a|p",
    "delete|-s|--quick-stats|/nosuch/r", "prune|-s|--quick-stats|--keep-last=1|/nosuch/r", "delete|--bypass-lock|/nosuch/r",
    "import-tar|-s|--quick-stats|/nosuch/r::a|t", "create|--nobsdflags|--noatime|/nosuch/r::a|p",
    "extract|--numeric-owner|/nosuch/r::a", "list|--prefix|x|/nosuch/r", "list|-P|x|-P|y|/nosuch/r", "list|--pref=x|/nosuch/r",
    "list|--remote-ratelimit|5|/nosuch/r", "list|--remote-buffer=x|/nosuch/r", "list|--upload-r|5|/nosuch/r",
    "diff|--sort|/nosuch/r::a|b", "diff|--sort=x|/nosuch/r::a|b", "diff|--sor|/nosuch/r::a|b",
    "recreate|--recompress|/nosuch/r", "recreate|--recompress|always|/nosuch/r", "recreate|--recompress=never|/nosuch/r",
    "recreate|--recompress", "recreate|/nosuch/r|--recompress", "recreate|--recompress=x|/nosuch/r", "recreate|--recompress=",
    "with-lock|/nosuch/r|cmd|-v|--nosuch|--|x", "with-lock|-v|/nosuch/r|cmd|--help", "with-lock|/nosuch/r|--|cmd|-v",
    "with-lock|/nosuch/r|-v|cmd|x", "with-lock|/nosuch/r|cmd|--|-v", "with-lock|/nosuch/r", "with-lock|--|/nosuch/r|cmd|x",
    "prune|--keep-13weekly=0|--keep-3monthly=2|/nosuch/r", "prune|--keep-13weekly=2|--keep-3monthly=0|/nosuch/r",
    "prune|--keep-secondly=2|/nosuch/r", "prune|--keep-last=x|/nosuch/r", "prune|--keep-secondly=x|/nosuch/r",
    "config|-d|-l|/nosuch/r", "config|-l|-d|/nosuch/r", "config|/nosuch/r|a|b|c", "config|/nosuch/r::a",
    "config|ssh://h/r|a", "help|nosuch", "help|list|extra", "help|--nosuch", "help|key|export", "serve|x", "serve|--first",
    "create|--files-changed=ctime|--files-changed=mtime|/nosuch/r::a|p", "create|--files-cache=disabled|--files-cache=size|a::b|p",
    "create|--chunker-params=default|--chunker-params=fixed,4096|/nosuch/r::a|p",
    "create|--chunker-params=fixed,4096|--chunker-params=default|/nosuch/r::a|p",
    "create|--filter=A|--filter=M|/nosuch/r::a|p", "import-tar|--tar-filter=auto|--tar-filter=cat|/nosuch/r::a|t",
    "import-tar|--tar-filter=cat|--tar-filter=auto|/nosuch/r::a|t", "export-tar|--tar-filter=cat|--tar-filter=x|/nosuch/r::a|t",
    "create|-e|a|--exclude-from|/nosuch|--first", "create|--exclude-from|/nosuch|--timestamp=x|/nosuch/r::a|p",
    "create|--timestamp=x|--exclude-from|/nosuch|/nosuch/r::a|p", "create|--comment|{x}|--timestamp=x|/nosuch/r::a|p",
    "create|/nosuch/r|p|--timestamp=x", "create|--timestamp=x|/nosuch/r|p", "rename|/nosuch/r::a", "rename|/nosuch/r|b",
    "rename|/nosuch/r::a|b/c", "rename|/nosuch/r::a|b|c", "diff|/nosuch/r::a", "diff|/nosuch/r::a|", "diff|/nosuch/r|b/c",
    "key|import|--paper|/nosuch/r|", "key|export|--paper|--qr-html|/nosuch/r", "init|/nosuch/r|-e", "init|-e|x|/nosuch/r",
    "init|-e|repo|/nosuch/r", "init|--encryption=|/nosuch/r", "init|-erepokey|/nosuch/r", "init|-e=repokey|/nosuch/r",
    "delete|--force|--force|/nosuch/r", "delete|/nosuch/r|a|b", "delete|/nosuch/r::a|", "check|--repair|--repai|/nosuch/r",
]


def simple(value):
    return value is None or isinstance(value, (bool, int, str)) and not callable(value)


class Parser:
    """Builds the parser once; lists among its defaults are emptied before each use, for some actions add to them."""

    def __init__(self):
        self.archiver = Archiver()
        self.parser = self.archiver.build_parser()
        self.archiver.build_parser = lambda: self.parser
        self.lists = []
        self.collect(self.parser)
        self.defaults = {}

    def collect(self, parser):
        self.lists += [value for value in parser._defaults.values() if isinstance(value, list)]
        for action in parser._actions:
            if isinstance(action.default, list):
                self.lists.append(action.default)
            if isinstance(action.choices, dict):
                for child in action.choices.values():
                    self.collect(child)

    def ask(self, words):
        for value in self.lists:
            value.clear()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                args = self.archiver.parse_args(words)
            except SystemExit as end:
                if end.code == 0:
                    return {"accepted": "version" if out.getvalue().endswith(" 1.4.5\n") else "help"}
                return {"refused": err.getvalue().splitlines()[-1]}
            except Exception as error:
                text = error.get_message() if hasattr(error, "get_message") else str(error)
                return {"refused": text if hasattr(error, "get_message") or "Argument" in repr(error) else "Local Exception"}
        func = get_func(args)
        if "help" in getattr(func, "func", func).__name__:
            # Whether there is such a topic is found out by showing it.
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                try:
                    func(args)
                except SystemExit:
                    return {"refused": err.getvalue().splitlines()[-1]}
            return {"accepted": "help"}
        return {"accepted": {k: v for k, v in vars(args).items() if simple(v)}}


def main():
    with open(sys.argv[1]) as file:
        captured = json.load(file)
    common = captured["common_options"]
    sys.argv[0] = "borg"
    parser = Parser()
    lines = [line.split("|") if line else [] for line in OTHERS]
    lines += common_lines(common)
    for leaf in leaves(captured["tree"]):
        lines += lines_of(leaf, common)
    seen = set()
    for words in lines:
        if tuple(words) not in seen:
            seen.add(tuple(words))
            print(json.dumps({"words": words, **parser.ask(words)}, sort_keys=True))


main()
