"""Damages to the metadata of archives, and to their item streams."""


@damage
def archive_missing(p):
    p.lose([p.archive_id("b")])


@damage
def all_archives_missing(p):
    p.lose({p.archive_id(name) for name in ("a", "b", "c", "many")})


@damage
def archive_spoiled(p):
    p.spoil(p.archive_id("b"))


@damage
def archive_spoiled_unseen(p):
    archive_spoiled(p)


@damage
def archive_of_another(p):
    p.repository.put(p.archive_id("b"), p.sealed(p.archive_id("a")))


@damage
def archive_without_tam(p):
    metadata = p.archive("b")
    metadata.pop(b"tam")
    p.save("b", None, pack(metadata))


@damage
def archive_with_wrong_tam(p):
    metadata = p.archive("b")
    metadata[b"comment"] = b"not what was signed"
    p.save("b", None, pack(metadata))


@damage
def archive_with_odd_tam(p):
    metadata = p.archive("b")
    metadata[b"tam"] = b"no dictionary"
    p.save("b", None, pack(metadata))


@damage
def archive_with_unknown_tam(p):
    metadata = p.archive("b")
    metadata[b"tam"][b"type"] = b"ROT13"
    p.save("b", None, pack(metadata))


@damage
def archive_with_the_tam_of_a_manifest(p):
    p.save("b", None, p.signed(p.archive("b"), b"manifest"))


@damage
def archive_with_unknown_fields(p):
    metadata = p.archive("b")
    metadata[b"from the future"] = [1, {b"deep": None}]
    p.save("b", metadata)


@damage
def archive_with_odd_words(p):
    metadata = p.archive("b")
    metadata[b"cmdline"] = [b"borg", b"create", b"\xff\xfe", "\u00e4".encode()]
    p.save("b", metadata)


@damage
def archive_with_an_odd_comment(p):
    metadata = p.archive("b")
    metadata[b"comment"] = b"\xc3\x28"
    p.save("b", metadata)


@damage
def archive_that_is_twice_the_same(p):
    metadata = p.archive("many")
    metadata[b"items"] = metadata[b"items"] + metadata[b"items"][-1:]
    p.save("many", metadata)


def long_stream(p):
    """Objects of an item stream that has many."""
    p.save_stream("many", cut(b"".join(p.stream("many")), 150, 300, 500, 650, 850))
    return p.archive("many")[b"items"]


@damage
def items_first(p):
    p.lose(long_stream(p)[:1])


@damage
def items_middle(p):
    p.lose(long_stream(p)[2:3])


@damage
def items_last(p):
    p.lose(long_stream(p)[-1:])


@damage
def items_first_and_last(p):
    items = long_stream(p)
    p.lose([items[0], items[-1]])


@damage
def items_all(p):
    p.lose(p.archive("many")[b"items"])


@damage
def items_of_a_small_archive(p):
    p.lose(p.archive("a")[b"items"])


@damage
def items_spoiled_first(p):
    p.spoil(long_stream(p)[0])


@damage
def items_spoiled_middle(p):
    p.spoil(long_stream(p)[2])


@damage
def items_spoiled_unseen(p):
    items_spoiled_middle(p)


@damage
def items_spoiled_and_lost(p):
    items = long_stream(p)
    p.spoil(items[1])
    p.lose([items[2]])


@damage
def items_swapped(p):
    items = long_stream(p)
    data = [p.sealed(id) for id in items[1:3]]
    p.repository.put(items[1], data[1])
    p.repository.put(items[2], data[0])


@damage
def items_cut_otherwise(p):
    """Nothing is wrong, but no program would have cut the stream there."""
    p.save_stream("a", cut(b"".join(p.stream("a")), 100, 101, 350, 351, 800))


@damage
def items_lost_in_pieces(p):
    p.save_stream("a", cut(b"".join(p.stream("a")), 100, 300, 301, 450, 600, 700, 900))
    items = p.archive("a")[b"items"]
    p.lose([items[1], items[4], items[5]])


@damage
def noise_between_items(p):
    items = [pack(item) for item in p.items("a")]
    p.save_stream("a", [b"".join(items[:2]), b"\xc1" + noise(300), b"".join(items[2:4]), b"".join(items[4:])])


@damage
def noise_after_items(p):
    p.save_stream("a", p.stream("a") + [b"\xc1\xc1\xc1" + noise(50)])


@damage
def half_an_item_at_the_end(p):
    stream = b"".join(p.stream("a"))
    p.save_stream("a", [stream[:-20]])


@damage
def items_that_are_none(p):
    items = [pack(item) for item in p.items("a")]
    others = [pack(value) for value in (5, b"text", [1, 2], None, {}, {b"a": 1}, -1, True, 1.5)]
    p.save_stream("a", [items[0] + b"".join(others) + b"".join(items[1:])])


@damage
def items_with_unknown_keys(p):
    def change(item):
        item[b"from the future"] = 1
        item[b"\xff"] = 2
    p.change_item("a", "/small", change)


@damage
def item_with_a_known_unknown_key(p):
    """The manifest says that there is such a key."""
    def change(item):
        item[b"from_the_future"] = [1, 2, {b"x": b"\xff"}]
    p.change_item("a", "/small", change)
    p.manifest.item_keys = frozenset(p.manifest.item_keys) | {"from_the_future"}
    p.manifest.write()


@damage
def items_without_required_keys(p):
    def change(item):
        for key in b"mtime", b"path":
            item.pop(key)
    p.change_item("a", "/small", change)


@damage
def item_without_mtime(p):
    p.change_item("a", "/small", lambda item: item.pop(b"mtime"))


@damage
def item_with_the_acl_of_attic(p):
    def change(item):
        item[b"acl"] = b""
    p.change_item("a", "/small", change)


@damage
def item_with_keys_that_are_no_text(p):
    items = p.items("a")
    odd = {**items[2], 5: 1}
    p.save_stream("a", [b"".join(pack(item) for item in items[:2] + [odd] + items[3:])])


@damage
def items_of_odd_types(p):
    def large(item):
        item[b"mtime"] = b"\1" * 9
        item[b"atime"] = (1 << 63) - 1
        item[b"uid"] = 1 << 40
    p.change_item("a", "/large", large)


@damage
def item_with_a_time_of_fractions(p):
    def change(item):
        item[b"mtime"] = 1.5e18
    p.change_item("a", "/small", change)


@damage
def item_with_a_negative_time(p):
    def change(item):
        item[b"mtime"] = -5
        item[b"atime"] = (1 << 70).to_bytes(9, "little")
    p.change_item("a", "/small", change)


@damage
def item_with_values_missing(p):
    def change(item):
        item[b"user"] = None
        item[b"group"] = None
    p.change_item("a", "/small", change)


@damage
def item_with_a_path_of_any_bytes(p):
    def change(item):
        item[b"path"] = b"tree/\xff\xfe\n\x1b"
        item[b"size"] = 5
    p.change_item("a", "/small", change)


@damage
def item_with_attributes(p):
    def change(item):
        item[b"xattrs"] = StableDict({b"user.b": b"\xff", b"user.a": b"", b"user.n": None})
        item[b"acl_access"] = b"user::rw-\n"
        item[b"nlink"] = 3
        item[b"part"] = 2
        item[b"deleted"] = True
    p.change_item("a", "/small", change)


@damage
def items_in_another_order_of_keys(p):
    """Packed as no program packs them: keys in reverse, numbers longer than needed."""
    def packed(item):
        body = b"".join(pack(key) + wide(value) for key, value in sorted(item.items(), reverse=True))
        return bytes([0xDE, 0, len(item)]) + body

    def wide(value):
        return b"\xcf" + value.to_bytes(8, "big") if type(value) is int else pack(value)
    p.save_stream("a", [b"".join(packed(item) for item in p.items("a"))])
