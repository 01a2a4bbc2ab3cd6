"""Prints all archives of a repository as JSON, through stock Borg's own library: metadata and items, nothing left out.

Arguments: REPOSITORY. Bytes are shown in hexadecimal; what is random (the authentication of archives) is left out.
Under the empty name: how many objects are stored.
"""

import json
import sys

from borg.helpers import Manifest, msgpack
from borg.logger import setup_logging
from borg.repository import Repository


def plain(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {plain_key(key): plain(value) for key, value in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    return value


def plain_key(key):
    return key.decode("utf-8", "surrogateescape") if isinstance(key, bytes) else key


def archive(repository, key, info):
    metadata = plain(msgpack.unpackb(key.decrypt(info.id, repository.get(info.id))))
    del metadata["tam"]
    unpacker = msgpack.Unpacker(use_list=False)
    items = []
    for id in metadata["items"]:
        id = bytes.fromhex(id)
        unpacker.feed(key.decrypt(id, repository.get(id)))
        items.extend(plain(item) for item in unpacker)
    return {"listed": str(info.ts), "metadata": metadata, "items": items}


def main():
    setup_logging()
    with Repository(sys.argv[1], exclusive=False) as repository:
        manifest, key = Manifest.load(repository, Manifest.NO_OPERATION_CHECK)
        infos = manifest.archives.list(sort_by=["name"])
        found = {info.name: archive(repository, key, info) for info in infos}
        found[""] = len(repository)
    json.dump(found, sys.stdout)


main()
