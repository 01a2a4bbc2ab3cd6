"""Stands between a client and a real server and spoils its answers: WHAT PROGRAM ARGUMENTS... (the host is left out).

WHAT is JSON: `method` and `as` (result: hexadecimal bytes in place of the result; reply: in place of the whole
message; swap: the object that was answered before; unasked: one more reply that nobody asked for), and `noise`
(bytes of standard error before each answer), `lines` (whether they are lines).
"""
import json, os, subprocess, sys, threading

import msgpack

told = json.loads(sys.argv[1])
server = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
methods = {}


def head(call):
    if isinstance(call, dict):
        return call[b"i"], call[b"m"].decode()
    return call[1], call[2].decode()


def calls():
    unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=1 << 27)
    while data := os.read(0, 65536):
        unpacker.feed(data)
        for call in unpacker:
            msgid, method = head(call)
            methods[msgid] = method
        server.stdin.write(data)
        server.stdin.flush()
    server.stdin.close()


def say(fd, data):
    while data:
        data = data[os.write(fd, data):]


def reply(message, result):
    if isinstance(message, dict):
        return b"\x82\xa1i" + msgpack.packb(message[b"i"]) + b"\xa1r" + result
    return b"\x94\x01" + msgpack.packb(message[1]) + b"\xc0" + result


def spoilt(message, before):
    how, data = told["as"], bytes.fromhex(told.get("data", ""))
    if how == "result":
        return reply(message, data)
    if how == "swap":
        return reply(message, msgpack.packb(before, use_bin_type=False))
    if how == "unasked":
        return msgpack.packb({"i": 4000, "r": b"surprise"}, use_bin_type=False)
    return data


threading.Thread(target=calls, daemon=True).start()
unpacker = msgpack.Unpacker(raw=True, strict_map_key=False, max_buffer_size=1 << 27)
before = b"none before"
try:
    while data := os.read(server.stdout.fileno(), 65536):
        unpacker.feed(data)
        for message in unpacker:
            named = isinstance(message, dict)
            method = methods[message[b"i"] if named else message[1]]
            if "noise" in told and method == "get":
                line = b"x" * 99 + (b"\n" if told["lines"] else b"x")
                say(2, line * (told["noise"] // 100))
            if told.get("method") == method:
                say(1, spoilt(message, before))
            if told.get("method") != method or told["as"] == "unasked":
                say(1, msgpack.packb(message, use_bin_type=False))
            if method == "get" and named and b"r" in message:
                before = message[b"r"]
except BrokenPipeError:
    pass
server.stdin.close()
server.wait()
