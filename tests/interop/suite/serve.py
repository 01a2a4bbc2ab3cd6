"""Sends the same calls to a server and writes down everything it does, without what differs from run to run.

Arguments: DIRECTORY (to be used and emptied) STOCK-BORG SERVER. One line of output for each fact.
"""

import json
import os
import re
import shutil
import subprocess
import sys

from borg.helpers import msgpack

directory, stock, server = sys.argv[1:]
ID = b"\x11" * 32
OTHER = b"\x22" * 32


def at(name):
    return os.path.join(directory, name)


def call(method, msgid=9, **args):
    return {"i": msgid, "m": method, "a": args}


def open_(path, **changes):
    args = dict(path=path, create=False, lock_wait=0, lock=True, exclusive=True, append_only=False, make_parent_dirs=False)
    args.update(changes)
    return call("open", **args)


HELLO = call("negotiate", client_data={"client_version": (1, 4, 5, -1)})


def write(name, content):
    os.makedirs(os.path.dirname(at(name)), exist_ok=True)
    with open(at(name), "wb") as file:
        file.write(content)


def repository(name="r"):
    subprocess.run([stock, "init", "-e", "none", at(name)], check=True, env=environment())


def damaged():
    repository()
    data = at("r/data/0")
    for name in os.listdir(data):
        path = os.path.join(data, name)
        if os.path.getsize(path) > 60:
            os.truncate(path, 60)


def attic():
    repository()
    data = at("r/data/0")
    for name in os.listdir(data):
        with open(os.path.join(data, name), "r+b") as file:
            file.write(b"ATTICSEG")


def paths():
    repository()
    os.makedirs(at("allowed"))
    os.makedirs(at("elsewhere"))
    os.symlink(at("allowed"), at("link"))
    write("full/file", b"x")
    write("config/config", b"[other]\n")
    write("version/config", b"[repository]\nversion = 2\n")


def environment():
    return dict(os.environ, BORG_BASE_DIR=at("base"), BORG_SHOW_SYSINFO="no", BORG_SELFTEST="disabled")


POSITIONAL = [
    [1, 1, "negotiate", [2]],
    [1, 2, "open", [at("r"), False, 1, True]],
    [1, 3, "put", [ID, b"old"]],
    [1, 4, "get", [ID]],
    [1, 5, "commit", [False]],
    [1, 6, "check", [False, False]],
    [1, 7, "list", [None, None]],
    [1, 8, "open", [at("nosuch"), False, 1, True, None, False]],
]

CASES = {
    "paths": (paths, ["--info"], [
        HELLO, open_(at("a/b/c"), create=True), open_(at("r"), create=True), open_(at("r/x"), create=True),
        open_(at("full"), create=True), open_(at("full/file"), create=True), open_(at("full/file/x")),
        open_(at("full")), open_(at("full/file")), open_(at("config")), open_(at("version")), open_("~/x"),
        open_("/~/x"), open_("~root/nosuch"), open_("/~root/nosuch"), open_("~nosuchuser/x"), open_("/./x"),
        open_("/.//nosuch"), open_("/~//nosuch"), open_("x/../y"), open_(at("made/of/parts"), create=True,
        make_parent_dirs=True), call("__len__"),
    ]),
    "restricted to paths": (paths, ["--restrict-to-path", at("allowed"), "--restrict-to-path", "./below"], [
        HELLO, open_(at("r")), open_(at("allowed-not/x")), open_(at("allowed/../r")), open_(at("allowed/x")),
        open_("/~/x"), open_("/./x"), open_("below/x"), open_("below/../../r"), open_(at("link/x")),
        open_(at("elsewhere")), open_("/nosuch"), open_(at("allowed/new"), create=True),
    ]),
    "restricted to repositories": (paths, ["--restrict-to-repository", at("r"), "--restrict-to-repository", "."], [
        HELLO, open_(at("r/data")), open_(directory), open_(at("r/../allowed")), open_("."), open_(at("r")),
    ]),
    "objects": (repository, [], [
        HELLO, call("get", id=ID), open_(at("r")), call("get", id=ID), call("delete", id=ID),
        call("put", id=ID, data=b"x"), call("put", id=ID, data=b"y"), call("get", id=ID), call("list"),
        call("commit"), call("__len__"), call("list"), call("scan"), call("scan", limit=0), call("list", limit=0),
        call("list", limit=5, marker=OTHER), call("put", id=OTHER, data=b"z" * (20 * 1024 * 1024 + 1)),
        call("rollback"), call("save_key", keydata=b"abc\n[x]\ny=1"), call("load_key"), call("check"),
        call("commit_nonce_reservation", next_unreserved=3, start_nonce=1),
        call("commit_nonce_reservation", next_unreserved=3, start_nonce=None), call("get_free_nonce"),
        call("nosuch", msgid=None), call("inject_exception", msgid="text", kind="divide"),
        call("inject_exception", msgid=[1, {2: 3}], kind="no kind"), call("destroy"),
    ]),
    "append-only": (repository, ["--append-only", "--info", "--storage-quota", "1G"], [
        HELLO, open_(at("r")), call("put", id=ID, data=b"x"), call("commit"), call("delete", id=ID), call("commit"),
        call("destroy"), call("check", repair=True), open_(at("n"), create=True), call("destroy"),
    ]),
    "a client of old": (repository, ["--info"], POSITIONAL),
    "a client of old without a repository": (lambda: None, ["--error"], POSITIONAL[:2]),
    "damage": (damaged, [], [HELLO, open_(at("r")), call("get", id=b"\0" * 32), call("check")]),
    "attic": (attic, [], [HELLO, open_(at("r"))]),
    "the end within a call": (repository, [], [HELLO, open_(at("r")), b"\x83\xa1i"]),
    "no call": (repository, [], [HELLO, open_(at("r")), b"\x05"]),
    "no call of old": (lambda: None, [], [POSITIONAL[0], b"\x93\x01\x02\x03"]),
}


def plain(value):
    """As text, without what is random."""
    if isinstance(value, dict):
        value.pop(b"exception_full", None)
    text = repr(value)
    return re.sub(r"(\{b'i': 9, b'r': |\[1, 2, None, )b(['\"]).{32,}?\2([\]}])$", r"\1ID\3", text)


for name, (prepare, options, calls) in CASES.items():
    shutil.rmtree(directory, ignore_errors=True)
    os.makedirs(at("base"))
    os.makedirs(at("cwd"))
    prepare()
    stream = b"".join(c if isinstance(c, bytes) else msgpack.packb(c) for c in calls)
    command = [server, "serve", *options]
    ran = subprocess.run(command, input=stream, capture_output=True, cwd=at("cwd"), env=environment(), timeout=60)
    print(f"## {name}: {ran.returncode}")
    out, mark, rest = ran.stdout.partition(b"Borg 1.4.5: ")
    unpacker = msgpack.Unpacker()
    unpacker.feed(out)
    for reply in unpacker:
        print(plain(reply))
    print(mark + rest)
    for line in ran.stderr.decode().replace("\r", "\n").splitlines():
        if line.startswith("{"):
            record = json.loads(line)
            record.pop("time")
            line = json.dumps(record)
        # Stock Borg's tracebacks, and its regret about repositories opened one after the other.
        if line.startswith(("$LOG", "{")) and "Traceback" not in line:
            print(line)
    for where, _, names in os.walk(directory):
        for left in names:
            if "lock." in os.path.join(where, left):
                print("left:", os.path.join(where, left))
