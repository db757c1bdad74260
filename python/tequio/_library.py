"""libtequio through ctypes: where it is, whether it is the right one, its structs and its functions.

The structs are not written down here a second time: the library says where each member lies (tq_layouts), and here stands
only what type a member has.
"""

import ctypes
import glob
import os
import subprocess
from ctypes import c_bool, c_char, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

ABI = 5  # TQ_JOB_ABI of <tequio/tequio.h> that this package was written for
VERSION = "0.1.0"

OK, E_USAGE, E_USER, E_CANCELLED, E_TIMEOUT, E_AGAIN = 0, 2, 6, 10, 13, 14
LINES, WORDS = 0, 1
I64, FIXED, BYTES = 0, 1, 2
COMBINE = {"sum": 1, "min": 2, "max": 3}
COMBINE_STATS = 5
ORDER_KEY, ORDER_VALUE_DESC, ORDER_NONE, ORDER_USER = 0, 1, 2, 4
OUTPUT_GATHER, OUTPUT_FILE = 1, 2
TEXT, JSON = 0, 1
PHASES = 4


class LibraryError(ImportError):
    """libtequio is not there, or is not the one that this package is for."""


# ---- Finding ----

_HERE = os.path.dirname(os.path.abspath(__file__))


def _named():
    """What the environment variable names: a file, or a folder with it."""
    name = os.environ.get("TEQUIO_LIBRARY")
    if name:
        yield os.path.join(name, "libtequio.so") if os.path.isdir(name) else name


def _beside():
    return glob.glob(os.path.join(_HERE, "libtequio.so*"))


def _in_tree():
    """Builds of the tree that this file lies in, the newest first."""
    tree = os.path.dirname(os.path.dirname(_HERE))
    if not os.path.exists(os.path.join(tree, "mpi", "include", "tequio", "tequio.h")):
        return []
    return sorted(glob.glob(os.path.join(tree, "build*", "libtequio.so")), key=os.path.getmtime, reverse=True)


def _pkg_config():
    try:
        folder = subprocess.run(["pkg-config", "--variable=libdir", "tequio"], capture_output=True, text=True,
                                check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return
    yield os.path.join(folder, "libtequio.so")


def _system():
    yield "libtequio.so.0"  # the dynamic linker knows where, or does not


# In this order: what the user says, what was installed with the package, what is built here, what the system has.
_PLACES = ((_named, "TEQUIO_LIBRARY"), (_beside, "beside the package"), (_in_tree, "build*/ of the source tree"),
           (_system, "the dynamic linker (ldconfig, LD_LIBRARY_PATH)"), (_pkg_config, "pkg-config"))


def _load():
    tried = []
    for place, called in _PLACES:
        for path in place():
            try:
                # Global: plug-ins and Open MPI's own look for their functions there.
                return ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL), path
            except OSError as error:
                tried.append(f"  {called}: {error}")
                if place is _named:
                    break
        if place is _named and tried:
            break  # who names one means that one
    raise LibraryError("tequio: libtequio.so was not found. Build it (./scripts/quickstart in tequio's tree), install it "
                       "(cmake --install build), or set TEQUIO_LIBRARY to its path. Tried:\n" +
                       "\n".join(tried or ["  nothing: no place has one"]))


def _check(lib, path):
    try:
        lib.tq_version.restype = c_char_p
        found = lib.tq_abi()
    except AttributeError:
        raise LibraryError(f"tequio: {path} is older than this package: it has no tq_abi. Build or install version "
                           f"{VERSION} again") from None
    if found != ABI:
        raise LibraryError(f"tequio: {path} (version {lib.tq_version().decode()}) has ABI {found}, this package is for "
                           f"ABI {ABI}: install library and package of the same version")


lib, path = _load()
_check(lib, path)

# ---- Structs ----


class _Layout(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("offset", c_size_t), ("bytes", c_size_t)]


_layouts = {}


def read_layouts(function):
    """What a library says of its structs."""
    n = c_size_t()
    function.restype = ctypes.POINTER(_Layout)
    table = function(ctypes.byref(n))
    _layouts.update({table[i].name.decode(): (table[i].offset, table[i].bytes) for i in range(n.value)})


read_layouts(lib.tq_layouts)


def structure(name, /, **members):
    """A ctypes class of the struct called name, with those members that are asked for where the library has them."""
    fields, at, pads = [], 0, 0
    if name not in _layouts:
        raise LibraryError(f"tequio: {path} has no {name}")
    for member in sorted(members, key=lambda m: _layouts.get(f"{name}.{m}", (0, 0))[0]):
        offset, size = _layouts.get(f"{name}.{member}", (0, 0))
        if size != ctypes.sizeof(members[member]):
            raise LibraryError(f"tequio: {path}: {name}.{member} has {size} bytes, not "
                               f"{ctypes.sizeof(members[member])}: library and package do not fit")
        if offset > at:
            fields.append((f"_{pads}", c_char * (offset - at)))
            pads += 1
        fields.append((member, members[member]))
        at = offset + size
    whole = _layouts[name][1]
    if whole > at:
        fields.append((f"_{pads}", c_char * (whole - at)))
    return type(name, (ctypes.Structure,), {"_pack_": 1, "_fields_": fields})


# Bytes that are not NUL-ended must not be c_char_p, which would look for a NUL.
Slice = structure("tq_slice", data=c_void_p, size=c_size_t)
Error = structure("tq_error", status=c_int, rank=c_int, has_offset=c_int, offset=c_uint64, phase=c_char * 16,
                  file=c_char * 1024, message=c_char * 512)
Record = structure("tq_record", data=c_void_p, size=c_size_t, file=c_char_p, offset=c_uint64, file_number=c_size_t)
Block = structure("tq_block", n=c_size_t, keys=c_void_p, key_sizes=c_void_p, values=c_void_p, value_sizes=c_void_p)
Groups = structure("tq_groups", n=c_size_t, keys=c_void_p, key_sizes=c_void_p, counts=c_void_p, n_values=c_size_t,
                   values=c_void_p, value_sizes=c_void_p)
ClusterOptions = structure("tq_cluster_options", threads=c_int)
ExecutorOptions = structure("tq_executor_options", max_workers=c_int, queue_capacity=c_size_t, user=c_void_p)
Worker = structure("tq_worker", index=c_int)
PhaseProgress = structure("tq_phase_progress", tag=c_char_p, started=c_bool, finished=c_bool, done=c_uint64,
                          not_done=c_uint64)
Progress = structure("tq_progress", seconds=c_double, ranks=c_int, phase=c_int, phases=PhaseProgress * PHASES)
Account = structure("tq_account", records=c_uint64, weight=c_uint64)
Stats = structure("tq_stats", seconds=c_double, files=c_uint64, splits=c_uint64, input_bytes=c_uint64, rows=c_uint64,
                  emitted=Account, ranks=c_int)

# What the library calls. Pointers to what only the library knows are plain addresses.
MapFn = ctypes.CFUNCTYPE(c_int, ctypes.POINTER(Record), c_void_p, c_void_p)
ReduceKeysFn = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p)
FeedFn = ctypes.CFUNCTYPE(c_int, ctypes.POINTER(Slice), c_void_p, c_size_t, c_void_p)
ProgressFn = ctypes.CFUNCTYPE(c_int, c_char_p, c_uint64, c_uint64, c_void_p)
TaskFn = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p)

Job = structure("tq_job", abi=c_int, name=c_char_p, inputs=c_void_p, n_inputs=c_size_t, recursive=c_bool, feed=c_void_p,
                feed_chunks=c_uint64, split_bytes=c_uint64, records=c_int, map=c_void_p, map_chunk=c_void_p,
                value_type=c_int, value_bytes=c_size_t, combine=c_int, combine_fn=c_void_p, reduce=c_void_p,
                reduce_keys=c_void_p, result_type=c_int, order=c_int, compare=c_void_p, limit=c_uint64, output=c_int,
                output_path=c_char_p, format=c_int, write_text=c_void_p, write_json=c_void_p,
                memory_bytes=c_uint64, tmpdir=c_char_p, spill_bytes=c_uint64, interval_s=c_double, progress=c_void_p,
                on_snapshot=c_void_p, user=c_void_p, progress_user=c_void_p)

# ---- Functions ----


def _declare(name, restype, *argtypes):
    function = getattr(lib, name)
    function.restype, function.argtypes = restype, argtypes


for _name, _restype, _argtypes in (
        ("tq_status_name", c_char_p, (c_int,)),
        ("tq_error_text", c_void_p, (ctypes.POINTER(Error), c_char_p, c_size_t)),
        ("tq_cluster_open", c_int, (c_void_p, ctypes.POINTER(c_void_p), ctypes.POINTER(Error))),
        ("tq_cluster_close", None, (c_void_p,)),
        ("tq_cluster_rank", c_int, (c_void_p,)),
        ("tq_cluster_size", c_int, (c_void_p,)),
        ("tq_cluster_threads", c_int, (c_void_p,)),
        ("tq_cluster_set_threads", c_int, (c_void_p, c_int)),
        ("tq_submit", c_void_p, (c_void_p, ctypes.POINTER(Job))),
        ("tq_submit_failure", c_void_p, (c_void_p, ctypes.POINTER(Error))),
        ("tq_submit_gather", c_void_p, (c_void_p, Slice, c_bool)),
        ("tq_future_wait", c_int, (c_void_p, c_double)),
        ("tq_future_cancel", c_bool, (c_void_p,)),
        ("tq_future_release", None, (c_void_p,)),
        ("tq_future_status", c_int, (c_void_p,)),
        ("tq_job_error", c_int, (c_void_p, ctypes.POINTER(Error))),
        ("tq_job_progress", c_int, (c_void_p, ctypes.POINTER(Progress))),
        ("tq_job_rows", c_uint64, (c_void_p,)),
        ("tq_job_block_size", c_int, (c_void_p, c_uint64, c_uint64, ctypes.POINTER(c_size_t),
                                      ctypes.POINTER(c_size_t))),
        ("tq_job_block", c_int, (c_void_p, c_uint64, c_uint64, c_void_p, c_void_p, c_void_p, c_void_p)),
        ("tq_job_stats", ctypes.POINTER(Stats), (c_void_p,)),
        ("tq_emit_block", c_int, (c_void_p, ctypes.POINTER(Block))),
        ("tq_emit_fail", c_int, (c_void_p, c_char_p, c_char_p)),
        ("tq_keys_next_groups", c_int, (c_void_p, ctypes.POINTER(Groups))),
        ("tq_write_block", c_int, (c_void_p, ctypes.POINTER(Block))),
        ("tq_reduce_fail", c_int, (c_void_p, c_char_p, c_char_p)),
        ("tq_executor_create", c_int, (ctypes.POINTER(ExecutorOptions), ctypes.POINTER(c_void_p))),
        ("tq_executor_submit", c_int, (c_void_p, c_void_p, c_void_p, c_void_p)),
        ("tq_executor_shutdown", None, (c_void_p, c_bool)),
        ("tq_executor_destroy", None, (c_void_p,))):
    _declare(_name, _restype, *_argtypes)
