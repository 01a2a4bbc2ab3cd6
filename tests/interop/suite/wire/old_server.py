"""Answers a client as Borg 1.0 did: calls by position, errors by name only, log lines that begin with $LOG.

The repository itself is kept by the library of the stock Borg whose interpreter runs this. The first argument is the
release: before 1.0.7, open() took four arguments and failed with a TypeError when given more.
"""

import io
import logging
import os
import sys
import traceback

import borg.logger
from borg.helpers import msgpack
from borg.repository import Repository

METHODS = {
    "__len__", "check", "commit", "delete", "destroy", "get", "list", "put", "rollback", "save_key", "load_key",
    "break_lock",
}
PARAMETERS = {"check": 2, "commit": 1, "list": 2, "put": 2}
KNOWN = (Repository.DoesNotExist, Repository.AlreadyExists)


class InvalidRPCMethod(Exception):
    pass


def say(level, text):
    sys.stderr.write("$LOG %s Remote: %s\n" % (level, text))
    sys.stderr.flush()


class Handler(logging.Handler):
    def emit(self, record):
        say(record.levelname, record.getMessage())


class Server:
    def __init__(self, release):
        self.release = release
        self.repository = None

    def answer(self, method, args):
        if method == "negotiate":
            return 2
        if method == "open":
            if self.release < (1, 0, 7):
                return self.open_four(*args)
            return self.open_six(*args)
        if method not in METHODS:
            raise InvalidRPCMethod(method)
        if len(args) > PARAMETERS.get(method, 2):
            raise TypeError("too many arguments for " + method)
        return getattr(self.repository, method)(*args)

    def open_four(self, path, create=False, lock_wait=None, lock=True):
        return self.open_six(path, create, lock_wait, lock, True, False)

    def open_six(self, path, create=False, lock_wait=None, lock=True, exclusive=None, append_only=False):
        path = os.path.realpath(os.fsdecode(path))
        repository = Repository(path, create, lock_wait=lock_wait, lock=lock, exclusive=exclusive,
                                append_only=append_only)
        self.repository = repository.__enter__()
        return repository.id

    def serve(self):
        unpacker = msgpack.Unpacker(use_list=False, max_buffer_size=2 ** 30)
        while True:
            data = os.read(0, 65536)
            if not data:
                if self.repository is not None:
                    self.repository.close()
                return
            unpacker.feed(data)
            for _, msgid, method, args in unpacker:
                error, result = None, None
                try:
                    result = self.answer(method.decode(), args)
                except Exception as problem:
                    if not isinstance(problem, KNOWN):
                        report = io.StringIO()
                        traceback.print_exc(file=report)
                        say("ERROR", "exception in RPC call:\n" + report.getvalue().rstrip())
                    error = type(problem).__name__
                    result = "Remote Exception (see remote log for the traceback)"
                sys.stdout.buffer.write(msgpack.packb((1, msgid, error, result)))
                sys.stdout.buffer.flush()


borg.logger.configured = True
logging.basicConfig(level=logging.INFO if "--info" in sys.argv else logging.WARNING, handlers=[Handler()])
say("WARNING", "an old server greets")
say("INFO borg.repository", "a line of a named logger")
Server(tuple(int(part) for part in sys.argv[1].split("."))).serve()
