"""What runs in an interpreter of a map_reduce: the user's functions, on a chunk of input or on some groups, from bytes to
bytes. It is the same in this process and in its children.
"""

import inspect
import struct
from array import array
from collections import defaultdict
from collections.abc import Mapping

from . import _codec
from . import _library as _c

# In front of the values that a chunk has for a key: where the chunk is in the input. The library brings values in the order
# of their bytes, so the reducer gets them in the order of the input, however that was divided.
PLACE = struct.Struct(">IQ")


def _add_min(groups, key, value):
    known = groups.get(key)
    groups[key] = value if known is None or value < known else known


def _add_max(groups, key, value):
    known = groups.get(key)
    groups[key] = value if known is None or value > known else known


def _pairs_of(result):
    """The pairs that a mapper means by what it returned."""
    if type(result) is tuple and len(result) == 2:
        return (result,)
    if isinstance(result, Mapping):
        return result.items()
    if result is None:
        return ()
    if isinstance(result, (str, bytes)):
        raise _no_pair(result)
    return result


def _no_pair(what):
    return TypeError(f"a mapper returns (key, value), or an iterable of such pairs, not {what!r:.100}")


def _no_number(what):
    return TypeError(f"reducer='sum', 'min' and 'max' are for integers, not {what!r:.100}: use a function")


def _numbers(values):
    try:
        return array("q", values)
    except OverflowError:
        raise OverflowError("reducer='sum', 'min' and 'max' are for integers of 64 bits: use a function for larger ones") \
            from None
    except TypeError:
        raise _no_number(next(value for value in values if not isinstance(value, int))) from None


def _encode_all(keys, kind):
    """encode_key of keys of one type."""
    if kind is str:
        return [b"s" + key.encode("utf-8", "surrogatepass") for key in keys]
    if kind is bytes:
        return [b"b" + key for key in keys]
    return list(map(_codec.encode_key, keys))


def takes_two(function):
    """Whether a reducer is written as f(key, values) rather than f((key, values))."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    needed = [p for p in parameters if p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(needed) == 2


class Program:
    """read turns the bytes of a chunk into the items that mapper is called with."""

    def __init__(self, mapper, reducer, read):
        self.mapper, self.reducer, self.read = mapper, reducer, read
        self.sums = reducer if isinstance(reducer, str) else None  # the library does it
        self._two = callable(reducer) and takes_two(reducer)

    @property
    def value_type(self):
        return _c.I64 if self.sums else _c.BYTES

    # ---- Mapping ----

    def map(self, data, place):
        """The block of what the mapper makes of a chunk."""
        items = self.read(data)
        if self.sums and len(items) == 1:
            result = self.mapper(items[0])
            kinds = set(map(type, result)) if isinstance(result, Mapping) else ()
            if len(kinds) == 1 and kinds < _codec.PLAIN:
                return _codec.pack(_encode_all(result, *kinds), _numbers(result.values()))  # nothing has to be brought together
            results = [result]
        else:
            results = map(self.mapper, items)
        make = int if self.sums == "sum" else dict if self.sums else list
        plain = {kind: {} if make is dict else defaultdict(make) for kind in _codec.PLAIN}
        others = {} if make is dict else defaultdict(make)
        self._collect(results, plain, others)
        keys, values = [], []
        for kind, groups in plain.items():
            keys += _encode_all(groups, kind)
            values += groups.values()
        keys += others
        values += others.values()
        if self.sums:
            return _codec.pack(keys, _numbers(values))
        dumps = _codec.dumps
        return _codec.pack(keys, [place + dumps(some) for some in values])

    def _collect(self, results, plain, others):
        sums, encode = self.sums, _codec.encode_key
        combine = {"min": _add_min, "max": _add_max}.get(sums)
        for result in results:
            for pair in _pairs_of(result):
                try:
                    key, value = pair
                except (TypeError, ValueError):
                    raise _no_pair(pair) from None
                groups = plain.get(type(key))
                if groups is None:
                    groups, key = others, encode(key)
                if combine is not None:
                    combine(groups, key, value)
                elif sums is not None:
                    try:
                        groups[key] += value
                    except TypeError:
                        raise _no_number(value) from None
                else:
                    groups[key].append(value)

    # ---- Reducing ----

    def reduce(self, data):
        """The block of the rows that the reducer makes of groups."""
        keys, values, dumps, loads = [], [], _codec.dumps, _codec.loads
        for key_bytes, parts in _codec.unpack_groups(data):
            key = _codec.decode_key(key_bytes)
            some = loads(parts[0][PLACE.size:])
            for part in parts[1:]:
                some += loads(part[PLACE.size:])
            row = self._reduce_one(key, some)
            if row is None:
                continue
            try:
                new_key, result = row
            except (TypeError, ValueError):
                raise TypeError(f"a reducer returns (key, result), or None for no row, not {row!r:.100}") from None
            own = new_key is key
            keys.append(key_bytes if own else _codec.encode_key(new_key))
            values.append((b"\1" if own else b"\0") + dumps(result))
        return _codec.pack(keys, values)

    def _reduce_one(self, key, values):
        if self.reducer is None:
            return key, values
        return self.reducer(key, values) if self._two else self.reducer((key, values))
