"""Damages to the files of a repository. What is lost with them, archives miss."""


def large_segment(path):
    return max(segments(path), key=os.path.getsize)


@damage
def segment_with_a_wrong_byte(path):
    def change(data):
        data[len(data) // 2] ^= 1
    edit(large_segment(path), change)


@damage
def segment_without_magic(path):
    def change(data):
        data[:8] = b"XXXXXXXX"
    edit(large_segment(path), change)


@damage
def segment_cut(path):
    edit(large_segment(path), lambda data: data[:len(data) * 2 // 3])


@damage
def segment_zeroed(path):
    def change(data):
        data[1000:20000] = bytes(19000)
    edit(large_segment(path), change)


@damage
def segment_lost(path):
    os.remove(large_segment(path))


@damage
def segment_lost_and_index(path):
    os.remove(large_segment(path))
    index_lost(path)


@damage
def last_commit_lost(path):
    os.remove(segments(path)[-1])


@damage
def commit_spoiled_and_index_lost(path):
    def change(data):
        data[-1] ^= 0xFF
    edit(segments(path)[-1], change)
    index_lost(path)


@damage
def segments_behind_the_commit(path):
    number = int(os.path.basename(segments(path)[-1]))
    io = LoggedIO(path, 500000, 1000)
    for _ in range(2):
        number += 1
        io.segment = number
        io.write_put(b"\x09" * 32, noise(500))
        io.close_segment()


@damage
def index_lost(path):
    os.remove(state_file(path, "index"))
    if os.path.exists(state_file(path, "hints")):
        os.remove(state_file(path, "integrity"))


@damage
def index_and_hints_lost(path):
    for kind in "index", "hints", "integrity":
        os.remove(state_file(path, kind))


@damage
def hints_lost(path):
    os.remove(state_file(path, "hints"))


@damage
def index_spoiled(path):
    def change(data):
        data[len(data) // 2] ^= 1
    edit(state_file(path, "index"), change)


@damage
def index_wrong(path):
    """Without the digest that would tell: one entry too many, one too few, one at another place."""
    name = state_file(path, "index")
    index = NSIndex.read(name)
    ids = sorted(id for id, _ in index.iteritems() if id != Manifest.MANIFEST_ID)
    del index[ids[0]]
    segment, offset = index[ids[1]]
    index[ids[1]] = segment, offset + 1
    index[b"\x05" * 32] = index[ids[2]]
    index.write(name)
    os.remove(state_file(path, "integrity"))


@damage
def index_with_fewer(path):
    name = state_file(path, "index")
    index = NSIndex.read(name)
    for id in sorted(id for id, _ in index.iteritems() if id != Manifest.MANIFEST_ID)[:3]:
        del index[id]
    index.write(name)
    os.remove(state_file(path, "integrity"))


@damage
def index_with_more(path):
    name = state_file(path, "index")
    index = NSIndex.read(name)
    index[b"\x05" * 32] = next(iter(index.iteritems()))[1]
    index.write(name)
    os.remove(state_file(path, "integrity"))


@damage
def no_segment(path):
    for name in segments(path):
        os.remove(name)


@damage
def nothing_but_the_config(path):
    for name in os.listdir(path):
        if name.startswith(("index.", "hints.", "integrity.")):
            os.remove(os.path.join(path, name))
    no_segment(path)
