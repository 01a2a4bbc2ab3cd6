"""A repository that is about to be damaged, through stock Borg's own library, with the key at hand.

What is written here is right unless a damage wants it wrong: archives are authenticated, chunks are sealed.
"""

import json
import logging
import os
import random
import shutil
import sys

import borg.archive
from borg.compress import CompressionSpec
from borg.hashindex import NSIndex
from borg.helpers import Manifest, StableDict, msgpack
from borg.logger import setup_logging
from borg.repository import LoggedIO, Repository

DAMAGES = {}


def damage(function):
    DAMAGES[function.__name__.replace("_", "-")] = function
    return function


class Patient:
    """The repository at `path`, opened for writing."""

    def __init__(self, path):
        self.path = path
        self.repository = Repository(path, exclusive=True)
        self.repository.__enter__()
        self.manifest, self.key = Manifest.load(self.repository, Manifest.NO_OPERATION_CHECK)
        self.key.compressor = CompressionSpec("lz4").compressor

    def commit(self):
        if self.repository._active_txn:
            self.repository.commit(compact=False)

    def close(self):
        self.repository.__exit__(None, None, None)

    # What is stored.

    def sealed(self, id):
        return self.repository.get(id)

    def plain(self, id):
        return bytes(self.key.decrypt(id, self.sealed(id)))

    def put(self, plain, id=None):
        """Stores content, under an id that may be a wrong one."""
        id = id or self.key.id_hash(plain)
        self.repository.put(id, self.key.encrypt(plain))
        return id

    def spoil(self, id, at=-1):
        """Flips a bit of an object and keeps its checksum right."""
        data = bytearray(self.sealed(id))
        data[at] ^= 4
        self.repository.put(id, bytes(data))

    def lose(self, ids):
        for id in ids:
            self.repository.delete(id)

    def signed(self, fields, context):
        """A dictionary with a right authentication."""
        fields = {key.decode(): value for key, value in fields.items() if key != b"tam"}
        return self.key.pack_and_authenticate_metadata(fields, context=context)

    # Archives.

    def archive_id(self, name):
        return self.manifest.archives.get_raw_dict()[name.encode()][b"id"]

    def archive(self, name):
        return msgpack.unpackb(self.plain(self.archive_id(name)), object_hook=StableDict)

    def stream(self, name):
        return [self.plain(id) for id in self.archive(name)[b"items"]]

    def items(self, name):
        unpacker = msgpack.Unpacker(object_hook=StableDict)
        for piece in self.stream(name):
            unpacker.feed(piece)
        return list(unpacker)

    def item(self, name, end):
        return next(item for item in self.items(name) if item[b"path"].endswith(end.encode()))

    def chunks(self, name, end):
        return [entry[0] for entry in self.item(name, end)[b"chunks"]]

    def list(self, name, id):
        """Lists an archive as this object."""
        raw = self.manifest.archives.get_raw_dict()
        raw[name.encode()] = StableDict({b"id": id, b"time": raw[name.encode()][b"time"]})

    def save(self, name, metadata, packed=None):
        """Replaces an archive's metadata; as a dictionary it gets authenticated, packed it is as it is."""
        if packed is None:
            packed = self.signed(metadata, b"archive")
        self.lose([self.archive_id(name)])
        self.list(name, self.put(packed))
        self.manifest.write()

    def save_stream(self, name, pieces):
        """Replaces an archive's item stream by these pieces."""
        metadata = self.archive(name)
        self.lose(set(metadata[b"items"]))
        metadata[b"items"] = [self.put(piece) for piece in pieces]
        self.save(name, metadata)

    def save_items(self, name, items):
        self.save_stream(name, [b"".join(pack(item) for item in items)])

    def change_item(self, name, end, change):
        items = self.items(name)
        for item in items:
            if item[b"path"].endswith(end.encode()):
                change(item)
        self.save_items(name, items)

    def repair(self):
        """Lets stock Borg repair what was done so far."""
        self.commit()
        logging.disable(logging.CRITICAL)
        borg.archive.ArchiveChecker().check(self.repository, repair=True, sort_by="ts")
        logging.disable(logging.NOTSET)
        self.manifest, _ = Manifest.load(self.repository, Manifest.NO_OPERATION_CHECK, key=self.key)

    def write_manifest(self, fields, packed=None):
        """Writes a manifest with some fields replaced."""
        self.manifest.write()
        data = self.key.decrypt(None, self.sealed(Manifest.MANIFEST_ID))
        manifest = msgpack.unpackb(bytes(data), object_hook=StableDict)
        manifest.update(fields)
        packed = packed or self.signed(manifest, b"manifest")
        self.repository.put(Manifest.MANIFEST_ID, self.key.encrypt(packed))


def pack(value):
    return msgpack.packb(value)


def cut(data, *places):
    """The data in pieces; places are parts of a thousand."""
    ends = [len(data) * place // 1000 for place in places]
    return [data[a:b] for a, b in zip([0] + ends, ends + [len(data)])]


def noise(size):
    return random.Random(size).randbytes(size)


def segments(path):
    """The repository's segments, ascending."""
    top = os.path.join(path, "data")
    names = [(int(name), os.path.join(top, dir, name)) for dir in os.listdir(top)
             for name in os.listdir(os.path.join(top, dir))]
    return [name for _, name in sorted(names)]


def edit(path, change):
    with open(path, "rb") as file:
        data = bytearray(file.read())
    data = change(data) or data
    with open(path, "wb") as file:
        file.write(data)


def state_file(path, kind):
    names = [name for name in os.listdir(path) if name.startswith(kind + ".")]
    return os.path.join(path, names[0])


def treat(name, original, copies):
    first, *others = copies
    shutil.copytree(original, first)
    function = DAMAGES[name]
    if function.__code__.co_varnames[0] == "path":
        function(first)
    else:
        patient = Patient(first)
        function(patient)
        patient.commit()
        patient.close()
    for other in others:
        shutil.copytree(first, other)


def main():
    setup_logging(level="critical")
    for case in json.load(sys.stdin):
        # Each machine knows one repository, and each copy is another one.
        shutil.rmtree(os.environ["BORG_BASE_DIR"], ignore_errors=True)
        os.mkdir(os.environ["BORG_BASE_DIR"])
        try:
            treat(*case)
        except Exception as error:
            raise Exception("cannot do this damage: " + case[0]) from error
