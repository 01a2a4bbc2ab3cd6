"""Writes archives no honest program writes, through stock Borg's own library.

Arguments: REPOSITORY [NAME]. Standard input: a JSON object with (or, if no name is given, one with such an object for
each name)
  items     list of items; a text value becomes a path-like string (with surrogate escapes), {"b64": …} becomes bytes,
            {"int": "…"} an integer of any size, {"data": …} (only under "chunks") content to be stored
  raw       base64, written into the item stream as it is, after the items
  metadata  fields that replace those of the archive's metadata
"""

import base64
import json
import sys

import borg.archive
from borg.archive import Archive
from borg.cache import Cache
from borg.compress import CompressionSpec
from borg.helpers import Manifest
from borg.item import ArchiveItem, ChunkListEntry
from borg.logger import setup_logging
from borg.repository import Repository


class LooseMetadata:
    """Stands in for the library's own class, which insists on right types."""

    time = "2024-01-01T00:00:00.000000"

    def __init__(self, fields):
        self.fields = fields

    def as_dict(self):
        return self.fields


def value(spec):
    if isinstance(spec, dict):
        if "b64" in spec:
            return base64.b64decode(spec["b64"])
        if "int" in spec:
            return int(spec["int"])
        return {value_of_key(k): value(v) for k, v in spec.items()}
    if isinstance(spec, list):
        return [value(part) for part in spec]
    return spec


def value_of_key(key):
    return base64.b64decode(key[4:]) if key.startswith("b64:") else key


def chunk(cache, archive, spec):
    if "data" in spec:
        data = base64.b64decode(spec["data"])
        entry = cache.add_chunk(archive.key.id_hash(data), data, archive.stats, wait=False)
        size = int(spec.get("size", entry.size))
        return ChunkListEntry(entry.id, size, int(spec.get("csize", entry.csize)))
    return (bytes.fromhex(spec["id"]), int(spec["size"]), int(spec["csize"]))


def write(repository, name, spec):
    manifest, key = Manifest.load(repository, Manifest.NO_OPERATION_CHECK)
    key.compressor = CompressionSpec("lz4").compressor
    with Cache(repository, key, manifest, warn_if_unencrypted=False) as cache:
        archive = Archive(repository, key, manifest, name, cache=cache, create=True)
        packer = archive.items_buffer.packer
        for item in spec.get("items", []):
            fields = {k: value(v) for k, v in item.items() if k != "chunks"}
            if isinstance(item.get("chunks"), list):
                fields["chunks"] = [chunk(cache, archive, part) for part in item["chunks"]]
            elif "chunks" in item:
                fields["chunks"] = value(item["chunks"])
            archive.items_buffer.buffer.write(packer.pack(fields))
        archive.items_buffer.buffer.write(base64.b64decode(spec.get("raw", "")))
        borg.archive.ArchiveItem = LooseMetadata
        archive.save(additional_metadata={k: value(v) for k, v in spec.get("metadata", {}).items()})
        borg.archive.ArchiveItem = ArchiveItem


def main():
    spec = json.load(sys.stdin)
    specs = spec if len(sys.argv) == 2 else {sys.argv[2]: spec}
    setup_logging()
    with Repository(sys.argv[1], exclusive=True) as repository:
        for name, spec in specs.items():
            write(repository, name, spec)


main()
