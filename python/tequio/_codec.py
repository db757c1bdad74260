"""Keys and values as bytes, and many of them back to back.

A key's bytes decide which pairs come together, so equal keys must have equal bytes, on every rank. The first byte says what
a key is: s text, b bytes, p anything else, pickled. Two keys are the same key if they are of one type and equal: 1, 1.0 and
True are three. Of what is pickled that holds as long as equal objects are pickled alike, which is looked at in the end
(check_distinct). A pickle depends on which equal objects are one object, unless the pickler keeps no memo (fast).
"""

import ctypes
import io
import pickle
import struct
from array import array

from . import _library as _c

PROTOCOL = 4  # one for all interpreters of a run

# Types whose equality is that of their bytes: pairs of them can be brought together before they are encoded.
PLAIN = frozenset((str, bytes, int, bool, type(None)))


def _pickle_key(key):
    if type(key) is float and key == 0:
        key = 0.0  # -0.0 is the same key
    buffer = io.BytesIO()
    pickler = pickle.Pickler(buffer, PROTOCOL)
    pickler.fast = True
    pickler.dump(sorted(key, key=_pickle_key) if type(key) is frozenset else key)
    return (b"f" if type(key) is frozenset else b"p") + buffer.getvalue()


def encode_key(key):
    if type(key) is str:
        return b"s" + key.encode("utf-8", "surrogatepass")
    if type(key) is bytes:
        return b"b" + key
    return _pickle_key(key)


def decode_key(data):
    kind = data[:1]
    if kind == b"s":
        return data[1:].decode("utf-8", "surrogatepass")
    if kind == b"b":
        return data[1:]
    key = pickle.loads(data[1:])
    return frozenset(key) if kind == b"f" else key


def dumps(value):
    return pickle.dumps(value, PROTOCOL)


loads = pickle.loads

# ---- Many pairs ----

_HEAD = struct.Struct("=QQQQ")


def pack(keys, values):
    """Lists of bytes, or for values an array of 64-bit integers, as one block of bytes: what a tq_block points to."""
    key_sizes = array("I", map(len, keys))
    if isinstance(values, array):
        value_sizes, value_bytes = array("I"), values.tobytes()
    else:
        value_sizes, value_bytes = array("I", map(len, values)), b"".join(values)
    head = _HEAD.pack(len(keys), len(value_bytes), len(value_sizes), 0)
    # Eight bytes come first, so that all of it is aligned.
    return b"".join((head, value_bytes, bytes(-len(value_bytes) % 8), key_sizes.tobytes(), value_sizes.tobytes(), *keys))


def block_of(data):
    """The tq_block of what pack made."""
    data = bytes(data)
    n, value_bytes, n_sizes, _ = _HEAD.unpack_from(data)
    values = ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value + _HEAD.size
    key_sizes = values + (value_bytes + 7) // 8 * 8
    value_sizes = key_sizes + 4 * n
    block = _c.Block(n=n, keys=value_sizes + 4 * n_sizes, key_sizes=key_sizes, values=values,
                     value_sizes=value_sizes if n_sizes else None)
    block.data = data  # which it points to
    return block


def _cut(data, sizes):
    at = 0
    for size in sizes:
        yield data[at:at + size]
        at += size


def _numbers(code, data):
    numbers = array(code)
    numbers.frombytes(data)
    return numbers


def pack_groups(groups):
    """What a tq_groups points to, as bytes of ours that can go to another process: see unpack_groups."""
    n, n_values = groups.n, groups.n_values
    counts = ctypes.string_at(groups.counts, 8 * n)
    key_sizes = ctypes.string_at(groups.key_sizes, 4 * n)
    value_sizes = ctypes.string_at(groups.value_sizes, 4 * n_values)
    keys = ctypes.string_at(groups.keys, sum(_numbers("I", key_sizes)))
    values = ctypes.string_at(groups.values, sum(_numbers("I", value_sizes)))
    return b"".join((_HEAD.pack(n, n_values, len(keys), 0), counts, key_sizes, value_sizes, keys, values))


def unpack_groups(data):
    """The key of each group, and an iterator of its values, which must be used up before the next group: all bytes."""
    n, n_values, key_bytes, _ = _HEAD.unpack_from(data)
    at = _HEAD.size
    counts = _numbers("Q", data[at:at + 8 * n])
    at += 8 * n
    key_sizes = _numbers("I", data[at:at + 4 * n])
    at += 4 * n
    value_sizes = _numbers("I", data[at:at + 4 * n_values])
    at += 4 * n_values
    values = _cut(data[at + key_bytes:], value_sizes)
    for key, count in zip(_cut(data[at:at + key_bytes], key_sizes), counts):
        yield key, [next(values) for _ in range(count)]


# ---- Rows of a result ----

ROWS_AT_A_TIME = 1 << 18


def read_rows(future, value_type, first=0, n=None):
    """The rows that this rank keeps, some at a time: a list of keys (bytes), and a list of values (bytes), or an array of
    64-bit integers."""
    if n is None:
        n = _c.lib.tq_job_rows(future)
    key_bytes, value_bytes = ctypes.c_size_t(), ctypes.c_size_t()
    while first < n:
        some = min(ROWS_AT_A_TIME, n - first)
        _c.lib.tq_job_block_size(future, first, some, ctypes.byref(key_bytes), ctypes.byref(value_bytes))
        keys, values = ctypes.create_string_buffer(key_bytes.value + 1), ctypes.create_string_buffer(value_bytes.value + 1)
        key_sizes, value_sizes = (ctypes.c_uint32 * some)(), (ctypes.c_uint32 * some)()
        _c.lib.tq_job_block(future, first, some, keys, key_sizes, values, value_sizes)
        if value_type == _c.I64:
            numbers = _numbers("q", ctypes.string_at(values, value_bytes.value))
        else:
            numbers = list(_cut(values.raw, value_sizes))
        yield list(_cut(keys.raw, key_sizes)), numbers
        first += some
