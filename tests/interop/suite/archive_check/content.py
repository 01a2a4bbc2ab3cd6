"""Damages to the content of files. Archives: a and b share chunks, c is cut every 1024 bytes, many has many items."""


@damage
def chunk_first(p):
    p.lose(p.chunks("a", "/large")[:1])


@damage
def chunk_middle(p):
    chunks = p.chunks("a", "/large")
    p.lose([chunks[len(chunks) // 2]])


@damage
def chunk_last(p):
    p.lose(p.chunks("a", "/large")[-1:])


@damage
def chunk_of_one_archive(p):
    p.lose(set(p.chunks("b", "/grown")) - set(p.chunks("a", "/grown")))


@damage
def chunk_used_twice(p):
    chunks = p.chunks("c", "/twice")
    assert chunks[0] == chunks[2]
    p.lose([chunks[0]])


@damage
def chunk_of_zeros(p):
    p.lose(set(p.chunks("c", "/zeros")))


@damage
def chunks_of_equal_length(p):
    chunks = p.chunks("c", "/twice")
    p.lose({chunks[0], chunks[1]})


@damage
def all_chunks(p):
    p.lose({id for name in "abc" for item in p.items(name) for id, _, _ in item.get(b"chunks", ())})


@damage
def hard_linked(p):
    # Either name may be the one with the content.
    linked = [item for item in p.items("a") if b"/linked" in item[b"path"] and b"chunks" in item]
    p.lose(id for id, _, _ in linked[0][b"chunks"])


@damage
def still_missing(p):
    p.lose(p.chunks("a", "/large")[2:4])
    p.repair()


def lose_and_repair(p):
    chunks = p.chunks("a", "/large")[2:5]
    sealed = [(id, p.sealed(id)) for id in chunks]
    p.lose(chunks)
    p.repair()
    return sealed


@damage
def all_back(p):
    for id, data in lose_and_repair(p):
        p.repository.put(id, data)


@damage
def some_back(p):
    for id, data in lose_and_repair(p)[1:2]:
        p.repository.put(id, data)


@damage
def some_back_others_lost(p):
    for id, data in lose_and_repair(p)[1:]:
        p.repository.put(id, data)
    p.lose(p.chunks("a", "/large")[-2:])


@damage
def replacement_lost(p):
    p.lose(p.chunks("c", "/twice")[:1])
    p.repair()
    p.lose([p.chunks("c", "/twice")[0]])


@damage
def replacement_lost_original_back(p):
    sealed = lose_and_repair(p)
    p.lose({id for id in p.chunks("a", "/large")[2:5]})
    for id, data in sealed[:2]:
        p.repository.put(id, data)


@damage
def healthy_list_too_short(p):
    def change(item):
        item[b"chunks_healthy"] = item[b"chunks"][:-1]
    p.change_item("a", "/large", change)


@damage
def healthy_list_too_long_and_chunk_lost(p):
    def change(item):
        item[b"chunks_healthy"] = item[b"chunks"] + item[b"chunks"][:1]
    p.change_item("a", "/large", change)
    p.lose(p.chunks("a", "/large")[1:2])


@damage
def healthy_list_equal(p):
    def change(item):
        item[b"chunks_healthy"] = item[b"chunks"]
    p.change_item("a", "/large", change)


@damage
def size_wrong(p):
    def change(item):
        item[b"size"] += 1
    p.change_item("a", "/large", change)


@damage
def entry_sizes_wrong(p):
    """The list of chunks gives one a wrong size, and another a wrong stored size."""
    def change(item):
        item[b"chunks"][0][1] += 5
        item[b"chunks"][1][2] += 5
    p.change_item("a", "/large", change)


@damage
def entry_sizes_wrong_and_lost(p):
    entry_sizes_wrong(p)
    p.lose(p.chunks("a", "/large")[:1])


@damage
def chunk_spoiled(p):
    p.spoil(p.chunks("a", "/large")[3])


@damage
def chunk_spoiled_in_its_mac(p):
    p.spoil(p.chunks("a", "/large")[3], 5)


@damage
def chunks_swapped(p):
    a, b = p.chunks("a", "/large")[3:5]
    data = p.sealed(a), p.sealed(b)
    p.repository.put(a, data[1])
    p.repository.put(b, data[0])


@damage
def chunk_with_another_content(p):
    p.put(b"something else", p.chunks("a", "/large")[0])


@damage
def chunk_of_unknown_type(p):
    id = p.chunks("a", "/large")[1]
    p.repository.put(id, b"\x77" + p.sealed(id)[1:])


@damage
def chunk_of_another_type(p):
    """As a repository without encryption would have it."""
    id = p.chunks("a", "/large")[1]
    other = b"\x03" if p.key.TYPE == 2 else b"\x02"
    p.repository.put(id, other + p.sealed(id)[1:])


@damage
def spoiled_and_lost(p):
    chunks = p.chunks("a", "/large")
    p.spoil(chunks[0])
    p.lose(chunks[1:2])
    p.spoil(p.chunks("b", "/grown")[-1])


@damage
def orphan(p):
    p.put(b"nothing refers to this")


@damage
def orphans(p):
    for number in range(50):
        p.put(b"nothing refers to %d" % number)


@damage
def orphan_spoiled(p):
    p.spoil(p.put(b"nothing refers to this, and nothing can read it"))


@damage
def archive_unlisted(p):
    """As if an archive was deleted and its chunks were not."""
    del p.manifest.archives["b"]
    p.manifest.write()


@damage
def nothing(p):
    pass
