"""Jobs in C, by name: those of the command (libtequio-jobs.so), and plug-ins (tequio/plugin.h). They run on all threads of
all ranks, without an interpreter."""

import ctypes
import functools
import json
import os
import tempfile
from ctypes import c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

from . import _codec
from . import _library as _c
from ._cluster import cluster as _cluster
from ._inputs import Files, files
from ._mapreduce import _Run, _threads, for_all

_UNITS = {"k": 10, "m": 20, "g": 30, "t": 40}


def _size(value):
    """A number of bytes: 4096, "64k", "2M", "1G"."""
    if isinstance(value, str):
        number, unit = (value[:-1], value[-1]) if value[-1:].lower() in _UNITS else (value, None)
        value = int(number) << (_UNITS[unit.lower()] if unit else 0)
    if value < 0:
        raise ValueError("must not be negative")
    return value


def _flag(value):
    known = {"0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}
    return known[value] if isinstance(value, str) else bool(value)


class _Choices:
    """What the user may set of a job: names, types, and the struct in which the job wants them."""

    def __init__(self, job, size):
        self.job = job
        self.memory = ctypes.create_string_buffer(size or 1)
        self.keep = []
        self.known = {}  # name: how to store it

    def add(self, name, kind, offset, convert, preset):
        self.known[name.replace("-", "_")] = kind, offset, convert
        if preset is not None:
            self.set(name.replace("-", "_"), preset)

    def set(self, name, value):
        if name not in self.known:
            raise TypeError(f"{self.job} has no option {name!r}; it has: {', '.join(sorted(self.known)) or 'none'}")
        kind, offset, convert = self.known[name]
        try:
            value = convert(value)
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self.job}: {name}={value!r:.100} makes no sense: {error}") from None
        if kind is c_char_p:
            self.keep.append(value)
        place = kind.from_buffer(self.memory, offset)
        if isinstance(value, tuple):
            place.items, place.n = value
        else:
            place.value = value

    def set_all(self, options):
        for name, value in options.items():
            self.set(name, value)


# ---- The built-in ones ----

_FLAG, _COUNT, _SIZE, _SECONDS, _STRING, _CHOICE, _LIST, _TEXTS = range(8)


@functools.lru_cache(maxsize=None)
def _builtin():
    """The jobs of libtequio-jobs.so, by name; it lies where libtequio lies."""
    folder, name = os.path.dirname(_c.path), "libtequio-jobs.so"
    try:
        lib = ctypes.CDLL(os.path.join(folder, name) if folder else name)
    except OSError as error:
        raise _c.LibraryError(f"tequio: {name} was not found where {_c.path} is: {error}") from None
    _c.read_layouts(lib.tequio_jobs_layouts)
    row = _c.structure("option_row", name=c_char_p, argument=c_char_p, type=c_int, offset=c_size_t, preset=c_char_p,
                       least=c_int64, most=c_int64)
    entry = _c.structure("jobs_entry", name=c_char_p, summary=c_char_p, operand=c_char_p, rows=c_void_p, n_rows=c_size_t,
                         settings_bytes=c_size_t, describe=c_void_p, end=c_void_p)
    lib.tequio_jobs_at.restype = ctypes.POINTER(entry)
    lib.tequio_jobs_at.argtypes = (c_size_t,)
    jobs, index = {}, 0
    while lib.tequio_jobs_at(index):
        job = lib.tequio_jobs_at(index).contents
        if job.describe:  # one without is in a file: a plug-in
            jobs[job.name.decode()] = job, ctypes.cast(job.rows, ctypes.POINTER(row))[:job.n_rows]
        index += 1
    return jobs


def jobs():
    """The names of the built-in jobs, with what they do."""
    return {name: job.summary.decode() for name, (job, _) in _builtin().items()}


def _within(row):
    def convert(value):
        if value == "auto" and row.preset == b"auto":
            return -1
        value = int(value)
        if value < row.least or row.most and value > row.most:
            raise ValueError(f"it is {row.least} to {row.most}" if row.most else f"it is at least {row.least}")
        return value

    return convert


def _choice(row):
    words = row.argument.decode().split("|")

    def convert(value):
        if value not in words:
            raise ValueError(f"it is one of {', '.join(words)}")
        return words.index(value)

    return convert


def _add_row(choices, row):
    def texts(value):
        items = [os.fsencode(text) for text in ([value] if isinstance(value, (str, bytes)) else value)]
        array = (c_char_p * len(items))(*items)
        choices.keep.append(array)
        return ctypes.cast(array, c_void_p).value, len(items)

    kinds = {_FLAG: (c_bool, _flag), _COUNT: (c_int64, _within(row)), _SIZE: (c_uint64, _size),
             _SECONDS: (c_double, float), _STRING: (c_char_p, os.fsencode)}
    if row.type == _CHOICE:
        kinds[_CHOICE] = c_int, _choice(row)
    if row.type == _TEXTS:
        kinds[_TEXTS] = _c.structure("option_list", items=c_void_p, n=c_size_t), texts
    if row.type in kinds:
        kind, convert = kinds[row.type]
        choices.add(row.name.decode(), kind, row.offset, convert, row.preset.decode() if row.preset else None)


_Describe = ctypes.CFUNCTYPE(c_bool, ctypes.POINTER(_c.Job), c_void_p, c_char_p, c_size_t)


def _describe_builtin(run, name, options):
    entry, rows = _builtin()[name]
    choices = _Choices(name, entry.settings_bytes)
    for row in rows:
        _add_row(choices, row)
    choices.set_all(options)
    context = _c.structure("jobs_context", settings=c_void_p)(ctypes.addressof(choices.memory))
    run.keep += [choices, context]
    run.job.user = ctypes.addressof(context)
    why = ctypes.create_string_buffer(512)
    if not ctypes.cast(entry.describe, _Describe)(ctypes.byref(run.job), choices.memory, why, len(why)):
        raise ValueError(f"{name}: {why.value.decode()}")
    if entry.end:
        end = ctypes.cast(entry.end, ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p))
        run.ends.append((lambda user: end(user, None), run.job.user))


# ---- Plug-ins ----

_Setting = _c.structure("tq_setting", name=c_char_p, type=c_int, offset=c_size_t, preset=c_char_p)
_Process = _c.structure("tq_process", rank=c_int, ranks=c_int, threads=c_int)
_Plugin = _c.structure("tq_plugin", abi=c_uint32, bytes=c_uint32, job_abi=c_uint32, job_bytes=c_uint32, settings=c_void_p,
                       n_settings=c_size_t, settings_bytes=c_size_t, describe=c_void_p, end=c_void_p)
_PluginDescribe = ctypes.CFUNCTYPE(c_int, ctypes.POINTER(_c.Job), ctypes.POINTER(_Process), c_char_p, c_size_t)
_PluginEnd = ctypes.CFUNCTYPE(None, c_void_p)
_PLUGIN_ABI = 1
_SETTINGS = ((c_bool, _flag), (c_int64, int), (c_double, float), (c_uint64, _size), (c_char_p, os.fsencode))


def _load_plugin(path):
    lib = ctypes.CDLL(os.path.abspath(path))
    try:
        entry = lib.tq_plugin_entry
    except AttributeError:
        raise ValueError(f"{path} is no plug-in: it does not export tq_plugin_entry (see tequio/plugin.h)") from None
    entry.restype = ctypes.POINTER(_Plugin)
    plugin = entry().contents
    fits = (_PLUGIN_ABI, ctypes.sizeof(_Plugin), _c.ABI, ctypes.sizeof(_c.Job))
    if (plugin.abi, plugin.bytes, plugin.job_abi, plugin.job_bytes) != fits:
        raise ValueError(f"{path} was compiled for another version of tequio: compile it again")
    return plugin


def _describe_plugin(run, path, options):
    plugin = _load_plugin(path)
    choices = _Choices(os.path.basename(path), plugin.settings_bytes)
    for setting in ctypes.cast(plugin.settings, ctypes.POINTER(_Setting))[:plugin.n_settings]:
        kind, convert = _SETTINGS[setting.type]
        choices.add(setting.name.decode(), kind, setting.offset, convert,
                    setting.preset.decode() if setting.preset else None)
    choices.set_all(options)
    run.keep += [plugin, choices]
    run.job.user = ctypes.addressof(choices.memory)
    why = ctypes.create_string_buffer(512)
    process = _Process(rank=run.cluster.rank, ranks=run.cluster.size, threads=run.cluster.threads)
    status = ctypes.cast(plugin.describe, _PluginDescribe)(ctypes.byref(run.job), ctypes.byref(process), why, len(why))
    if status != _c.OK:
        raise ValueError(f"{path}: {why.value.decode() or f'its describe returned {status}'}")
    if plugin.end:
        run.ends.append((ctypes.cast(plugin.end, _PluginEnd), run.job.user))


# ---- Running ----


class _JobRun(_Run):
    def __init__(self, cluster, name, inputs, options, order, limit, **rest):
        super().__init__(cluster, **rest)
        self.ends = []
        self.inputs = inputs
        is_plugin = "/" in name or name.endswith(".so")
        if not is_plugin and name not in _builtin():
            raise ValueError(f"there is no job {name!r}; there are: {', '.join(_builtin())}")
        self.take_files(inputs)
        self.job.records = 0
        self.job.order, self.job.limit = order, limit
        (_describe_plugin if is_plugin else _describe_builtin)(self, name, options)
        if is_plugin:  # which has no say in these
            self.job.order, self.job.limit, self.job.output = order, limit, _c.OUTPUT_GATHER
            if self.job.compare and order != _c.ORDER_NONE:
                self.job.order = _c.ORDER_USER
        has_reducer = self.job.reduce or self.job.reduce_keys
        self.type = self.job.result_type if has_reducer else self.job.value_type
        self.written = None
        self.has_columns = self.job.combine == _c.COMBINE_STATS and not has_reducer
        if self.job.write_json or self.job.write_text or self.has_columns:
            self._write_rows()

    def _write_rows(self):
        """The job writes its rows itself, or they have several columns: what is written is its result."""
        self.written = tempfile.NamedTemporaryFile(prefix="tequio-")
        path = os.fsencode(self.written.name)
        self.keep.append(path)
        self.job.output, self.job.output_path = _c.OUTPUT_FILE, path
        self.in_json = self.job.write_json or self.has_columns
        self.job.format = _c.JSON if self.in_json else _c.TEXT

    def close(self):
        super().close()
        for end, user in self.ends:
            end(user)
        if self.written is not None:
            try:
                self.written.close()
            except FileNotFoundError:
                pass  # the job has put another file in its place, and failed later

    def lines(self):
        """Of such a job: a dictionary for each row, or its text."""
        if self.cluster.rank != 0:
            return []
        with open(self.written.name, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
            return [json.loads(line) if self.in_json else line.rstrip("\n") for line in file]

    def _text(self, strings):
        encoding = self.inputs.encoding
        return strings if encoding is None else [text.decode(encoding, self.inputs.errors) for text in strings]

    def columns(self):
        keys, values = [], []
        for some_keys, some_values in _codec.read_rows(self.future, self.type):
            keys += self._text(some_keys)
            values += some_values if self.type == _c.I64 else self._text(some_values)
        return keys, values


def _as_numpy(keys, values):
    import numpy

    array = numpy.empty(len(keys), dtype=object)
    array[:] = keys
    return array, numpy.array(values)


def run(name, inputs, callback=None, *, top=0, sort=True, as_numpy=False, everywhere=False, threads=None, interval=0.5,
        memory=0, tmpdir=None, spill=0, cluster=None, **options):
    """Run a job in C on files: a built-in one by its name (tequio.jobs()), or a plug-in by its path ("./job.so").

    inputs is a path, several, or tequio.files(...). options are the job's own, as the command has them (words="unicode",
    ignore_case=True). Returns a dictionary of key to value, in the order of the keys' bytes; with top=N of the N largest values, these
    first. as_numpy=True gives two arrays instead. Of a job that writes its rows in a way of its own, or whose rows have several columns
    (stats), a list of what it writes as JSON comes back. Keys are str, or bytes with tequio.files(..., encoding=None).

    callback, everywhere, threads, interval, memory, tmpdir, spill: see map_reduce. Collective, as that is.
    """
    cluster = cluster or _cluster()
    inputs = inputs if isinstance(inputs, Files) else files(inputs)
    order = _c.ORDER_VALUE_DESC if top else _c.ORDER_KEY if sort else _c.ORDER_NONE
    limits = {"memory_bytes": memory, "spill_bytes": spill, "tmpdir": str(tmpdir).encode() if tmpdir else None}
    with cluster._lock, _threads(cluster, threads):
        job = _JobRun(cluster, name, inputs, options, order, top, callback=callback, interval=interval, limits=limits)
        try:
            job.run()
            result = for_all(cluster, everywhere, job.columns if job.written is None else job.lines)
        finally:
            job.close()
    if job.written is not None:
        return result
    keys, values = result
    return _as_numpy(keys, values) if as_numpy else dict(zip(keys, values))
