#!/usr/bin/env python3
"""How often each word occurs, by a mapper in Python that numba compiles.

    numba_words.py FILE...

numba's cfunc makes a function in C of map_text, so no interpreter is involved in counting: its threads have all cores.
"""

import ctypes
import sys

from numba import carray, cfunc, types
from numba.extending import intrinsic

import tequio

# int tq_emit_i64(emitter, key, value): numba knows no structs as arguments; on 64-bit Linux the two words of a key are passed like two
# numbers. The library that the package has loaded is in the global scope.
emit = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_size_t] * 3, ctypes.c_int64)(("tq_emit_i64", ctypes.CDLL(None)))


@intrinsic
def pointer(_context, _address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.uint8)(types.uintp), generate


@cfunc(types.int32(types.CPointer(types.uintp), types.uintp, types.voidptr))
def map_text(record, emitter, _user):
    """record: a tq_record, which begins with the address and the size of the text."""
    data, size = carray(record, 2)
    text = carray(pointer(data), size)
    begin = 0
    for at in range(size + 1):
        if at == size or text[at] == 32 or 9 <= text[at] <= 13:
            if at > begin and emit(emitter, data + begin, at - begin, 1) != 0:
                return 1
            begin = at + 1
    return 0


if __name__ == "__main__":
    for word, n in tequio.map_reduce(tequio.files(sys.argv[1:]), map_text, "sum", lambda *_: None):
        print(word, n, sep="\t")
