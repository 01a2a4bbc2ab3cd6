"""Damages to the manifest."""


@damage
def manifest_missing(p):
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_spoiled(p):
    p.spoil(Manifest.MANIFEST_ID)


@damage
def manifest_that_is_no_msgpack(p):
    p.put(b"\x92\x01", Manifest.MANIFEST_ID)


@damage
def manifest_with_wrong_tam(p):
    data = p.key.decrypt(None, p.sealed(Manifest.MANIFEST_ID))
    manifest = msgpack.unpackb(bytes(data), object_hook=StableDict)
    manifest[b"timestamp"] = b"2001-01-01T00:00:00.000000"
    p.write_manifest({}, pack(manifest))


@damage
def manifest_without_tam(p):
    data = p.key.decrypt(None, p.sealed(Manifest.MANIFEST_ID))
    manifest = msgpack.unpackb(bytes(data), object_hook=StableDict)
    manifest.pop(b"tam")
    p.write_manifest({}, pack(manifest))


@damage
def manifest_that_is_an_archive(p):
    p.put(p.plain(p.archive_id("a")), Manifest.MANIFEST_ID)


@damage
def manifest_of_unknown_type(p):
    p.repository.put(Manifest.MANIFEST_ID, b"\x77" + p.sealed(Manifest.MANIFEST_ID)[1:])


@damage
def manifest_from_the_future(p):
    p.write_manifest({b"version": 2, b"more": {b"x": [1]}})


@damage
def manifest_with_features(p):
    features = {b"feature_flags": {b"check": {b"mandatory": [b"crystal-balls"]}}}
    p.write_manifest({b"config": features})


@damage
def manifest_that_lists_more(p):
    """The same archive under two names, and one that never was."""
    raw = p.manifest.archives.get_raw_dict()
    raw[b"a again"] = raw[b"a"]
    raw[b"never was"] = StableDict({b"id": b"\x05" * 32, b"time": b"2020-01-01T00:00:00.000000"})
    p.manifest.write()


@damage
def manifest_that_lists_other_times(p):
    p.manifest.archives.get_raw_dict()[b"a"][b"time"] = b"2030-01-01T00:00:00.000000"
    p.manifest.write()


@damage
def manifest_without_archives(p):
    for name in ("a", "b", "c", "many"):
        del p.manifest.archives[name]
    p.manifest.write()


def rename(p, name, new):
    """Gives an archive's metadata another name and keeps what there was under the old one."""
    metadata = p.archive(name)
    metadata[b"name"] = new
    # No two of the same time: which of them would be looked at first is nobody's promise.
    metadata[b"time"] = b"20%02d-01-01T00:00:00.000000" % (30 + sum(name.encode() + new) % 50)
    return p.put(p.signed(metadata, b"archive"))


@damage
def manifest_missing_and_names_taken(p):
    rename(p, "b", b"a")
    rename(p, "c", b"a")
    rename(p, "many", b"a.1")
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_missing_and_archive_without_tam(p):
    archive_without_tam(p)
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_missing_and_archive_with_wrong_tam(p):
    archive_with_wrong_tam(p)
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_missing_and_odd_names(p):
    rename(p, "b", "\u00e4 \u4e2d".encode())
    rename(p, "b", b"\xff")
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_missing_and_chunks_spoiled(p):
    p.spoil(p.chunks("a", "/large")[0])
    p.spoil(p.archive_id("b"))
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_missing_and_chunk_lost(p):
    p.lose(p.chunks("a", "/large")[:1])
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_missing_and_much_that_resembles_archives(p):
    """Content that has what archives have, up to a point."""
    archive = p.archive("b")
    p.put(pack({key: archive[key] for key in (b"cmdline", b"version")}))
    p.put(p.plain(p.archive_id("b"))[:-1])
    p.put(p.plain(p.archive_id("b")) + b"\x00")
    p.put(b"cmdline \xa7version\x01")
    p.put(bytes([0x82]) + pack(b"version") + b"\x01" + pack(b"cmdline"))
    p.lose([Manifest.MANIFEST_ID])


@damage
def manifest_spoiled_and_names_taken(p):
    rename(p, "b", b"a")
    p.spoil(Manifest.MANIFEST_ID)


@damage
def nothing_but_the_manifest(p):
    p.lose(set(p.repository.list()) - {Manifest.MANIFEST_ID})


@damage
def nothing_but_noise(p):
    p.lose(p.repository.list())
    p.repository.put(b"\x01" * 32, b"\x77" + noise(100))


@damage
def no_object(p):
    p.lose(p.repository.list())


@damage
def first_objects_of_unknown_type(p):
    """Whatever a program looks at to find out what key there is, it must look on."""
    for id in p.repository.list(limit=20):
        if id != Manifest.MANIFEST_ID:
            p.repository.put(id, b"\x77" + p.sealed(id)[1:])
