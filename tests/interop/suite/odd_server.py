"""A server that does as it is told: the last but some words of its command line are those of the remote shell, the
first is what to do, as JSON.

Keys: `version` (list, or 2 for one before 1.1, or anything), `log` (texts written to standard error before the first
answer), `greeting` (text written to standard output first), `errors` (method: members of the reply),
`raw` (method: hexadecimal bytes in place of the reply), `late` (method: texts for standard error before the
reply), `dies` (method before whose reply the server ends), `seen` (a file that gets the methods called).
"""
import json, os, sys


def pack(value):
    if value is None:
        return b"\xc0"
    if isinstance(value, bool):
        return b"\xc3" if value else b"\xc2"
    if isinstance(value, int):
        return bytes([value]) if 0 <= value < 128 else b"\xd3" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, str):
        value = value.encode("latin-1")
    if isinstance(value, bytes):
        return b"\xdb" + len(value).to_bytes(4, "big") + value
    if isinstance(value, list):
        return b"\xdd" + len(value).to_bytes(4, "big") + b"".join(pack(one) for one in value)
    pairs = b"".join(pack(key) + pack(one) for key, one in value.items())
    return b"\xdf" + len(value).to_bytes(4, "big") + pairs


class Stream:
    def take(self, length):
        data = b""
        while len(data) < length:
            more = os.read(0, length - len(data))
            if not more:
                sys.exit(0)
            data += more
        return data

    def number(self, length):
        return int.from_bytes(self.take(length), "big")

    def value(self):
        head = self.number(1)
        if head < 0x80:
            return head
        if head < 0x90:
            return self.map(head & 15)
        if head < 0xA0:
            return [self.value() for _ in range(head & 15)]
        if head < 0xC0:
            return self.take(head & 31)
        if head in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[head]
        if 0xD9 <= head <= 0xDB:
            return self.take(self.number(1 << head - 0xD9))
        if 0xC4 <= head <= 0xC6:
            return self.take(self.number(1 << head - 0xC4))
        if head in (0xCA, 0xCB):
            return self.take(4 if head == 0xCA else 8)
        if 0xCC <= head <= 0xCF:
            return self.number(1 << head - 0xCC)
        if 0xD0 <= head <= 0xD3:
            return int.from_bytes(self.take(1 << head - 0xD0), "big", signed=True)
        if head in (0xDC, 0xDD):
            return [self.value() for _ in range(self.number(2 if head == 0xDC else 4))]
        if head in (0xDE, 0xDF):
            return self.map(self.number(2 if head == 0xDE else 4))
        return -1 if head >= 0xE0 else None

    def map(self, length):
        return {self.value(): self.value() for _ in range(length)}


def plain(value):
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, list) else value


def say(fd, text):
    data = text if isinstance(text, bytes) else text.encode("latin-1")
    try:
        while data:
            data = data[os.write(fd, data):]
    except BrokenPipeError:
        sys.exit(0)


def main():
    told = json.loads(sys.argv[1])
    for text in told.get("log", []):
        say(2, text)
    say(1, told.get("greeting", ""))
    stream = Stream()
    results = {"open": "\x07" * 32, "__len__": 0, "list": [], "load_key": "", "check": True}
    results.update(told.get("results", {}))
    version = told.get("version", [1, 4, 5, -1])
    results["negotiate"] = {"server_version": version} if isinstance(version, list) else version
    while True:
        call = stream.value()
        named = isinstance(call, dict)
        msgid, method = (call[b"i"], call[b"m"]) if named else (call[1], call[2])
        method = method.decode()
        if "seen" in told:
            with open(told["seen"], "a") as seen:
                seen.write(json.dumps([method, plain(call[b"a"] if named else call[3])]) + "\n")
        for text in told.get("late", {}).get(method, []):
            say(2, text)
        if told.get("dies") == method:
            return
        error = told.get("errors", {}).get(method)
        if method == "get" and method not in told.get("results", {}) and error is None:
            error = {"exception_class": "ObjectNotFound", "exception_args": ["00" * 32]}
        if method in told.get("raw", {}):
            say(1, bytes.fromhex(told["raw"][method]))
        elif error is not None and named:
            say(1, pack({"i": msgid, **error}))
        elif error is not None:
            say(1, pack([1, msgid, error["exception_class"], "Remote Exception (see remote log for the traceback)"]))
        elif named:
            say(1, pack({"i": msgid, "r": results.get(method)}))
        else:
            say(1, pack([1, msgid, None, results.get(method)]))


main()
