"""What repositories hold, to be compared. Standard input: JSON [[path, BORG_BASE_DIR]...]; standard output: for each
its objects with their stored sizes, its archives, and what the manifest says; or the name of what stands in the way.
"""

import json
import os
import sys

from borg.helpers import Manifest, bin_to_hex
from borg.logger import setup_logging
from borg.repository import Repository


def state(path, base):
    os.environ["BORG_BASE_DIR"] = base
    try:
        with Repository(path, exclusive=True) as repository:
            ids, marker = [], None
            while found := repository.list(limit=1000, marker=marker):
                ids += found
                marker = found[-1]
            objects = {bin_to_hex(id): len(repository.get(id)) for id in ids if id != Manifest.MANIFEST_ID}
            held = {"objects": objects, "manifest": Manifest.MANIFEST_ID in ids}
            manifest, key = Manifest.load(repository, Manifest.NO_OPERATION_CHECK)
            archives = manifest.archives.get_raw_dict().items()
            held["archives"] = {name.decode(errors="surrogateescape").encode("unicode-escape").decode():
                                [bin_to_hex(entry[b"id"]), entry[b"time"].decode()] for name, entry in archives}
            held["config"] = repr(sorted(manifest.config.items()))
            held["item_keys"] = sorted(manifest.item_keys)
            return held
    except Exception as error:
        return {**locals().get("held", {}), "error": type(error).__name__}


setup_logging(level="critical")
json.dump([state(*each) for each in json.load(sys.stdin)], sys.stdout)
