"""Builds the wheel of tequio: a PEP 517 backend that needs nothing but the standard library, so that `pip install ./python`
works without a network.

The package is pure Python. If the tree it lies in has a build of the library, or TEQUIO_LIBRARY names one, libtequio and its
jobs go into the wheel as well, beside the modules, and the wheel is for this platform alone. Otherwise the package looks for
an installed library when it is imported.
"""

import base64
import hashlib
import io
import os
import re
import sysconfig
import tarfile
import zipfile

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TREE = os.path.dirname(HERE)
LIBRARIES = ("libtequio.so", "libtequio-jobs.so")


def project(name):
    """A text of the [project] table; tomllib is there since Python 3.11 only."""
    with open(os.path.join(HERE, "pyproject.toml"), encoding="utf-8") as file:
        table = file.read().split("[project]")[1].split("\n[")[0]
    return re.search(rf'^{name} = "(.*)"$', table, re.M).group(1)


def stem():
    return f"tequio-{project('version')}"


def library_folder():
    """Where built libraries are, or None."""
    named = os.environ.get("TEQUIO_LIBRARY")
    if named:
        folder = named if os.path.isdir(named) else os.path.dirname(named)
        if not os.path.exists(os.path.join(folder, LIBRARIES[0])):
            raise SystemExit(f"TEQUIO_LIBRARY is {named}: there is no {LIBRARIES[0]}")
        return folder
    folder = os.path.join(TREE, "build")
    return folder if os.path.exists(os.path.join(folder, LIBRARIES[0])) else None


def modules():
    """Name in the wheel and bytes of each file of the package."""
    folder = os.path.join(HERE, "tequio")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".py"):
            with open(os.path.join(folder, name), "rb") as file:
                yield "tequio/" + name, file.read()


def libraries():
    folder = library_folder()
    for name in LIBRARIES if folder else ():
        path = os.path.join(folder, name)
        if os.path.exists(path):
            with open(path, "rb") as file:
                yield "tequio/" + name, file.read()


def metadata():
    with open(os.path.join(HERE, "README.md"), encoding="utf-8") as file:
        description = file.read()
    lines = ["Metadata-Version: 2.1", "Name: tequio", f"Version: {project('version')}",
             f"Summary: {project('description')}", "License: Apache-2.0",
             f"Requires-Python: {project('requires-python')}", "Provides-Extra: mpi",
             'Requires-Dist: mpi4py; extra == "mpi"', "Provides-Extra: numpy",
             'Requires-Dist: numpy; extra == "numpy"', "Description-Content-Type: text/markdown"]
    return ("\n".join(lines) + "\n\n" + description).encode()


def information(tag):
    yield "METADATA", metadata()
    yield "WHEEL", (f"Wheel-Version: 1.0\nGenerator: tequio_backend\nRoot-Is-Purelib: "
                    f"{'true' if tag.endswith('-any') else 'false'}\nTag: {tag}\n").encode()
    license_file = os.path.join(TREE, "LICENSE")
    if os.path.exists(license_file):
        with open(license_file, "rb") as file:
            yield "LICENSE", file.read()


def write_wheel(folder, tag, files):
    information_folder = stem() + ".dist-info/"
    files += [(information_folder + name, content) for name, content in information(tag)]
    record = ""
    name = f"{stem()}-{tag}.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, content in files:
            wheel.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record += f"{path},sha256={digest},{len(content)}\n"
        wheel.writestr(information_folder + "RECORD", record + information_folder + "RECORD,,\n")
    return name


# ---- What pip calls ----


def get_requires_for_build_wheel(config_settings=None):
    return []


get_requires_for_build_editable = get_requires_for_build_sdist = get_requires_for_build_wheel


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    built = list(libraries())
    platform = re.sub(r"[^0-9A-Za-z]", "_", sysconfig.get_platform())
    return write_wheel(wheel_directory, f"py3-none-{platform if built else 'any'}", list(modules()) + built)


def build_editable(wheel_directory, config_settings=None, metadata_directory=None):
    return write_wheel(wheel_directory, "py3-none-any", [("tequio.pth", (HERE + "\n").encode())])


def build_sdist(sdist_directory, config_settings=None):
    name = stem() + ".tar.gz"
    with tarfile.open(os.path.join(sdist_directory, name), "w:gz") as archive:
        for part in ("pyproject.toml", "README.md", "backend/tequio_backend.py"):
            archive.add(os.path.join(HERE, part), f"{stem()}/{part}")
        for path, content in list(modules()) + [("PKG-INFO", metadata())]:
            entry = tarfile.TarInfo(f"{stem()}/{path}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return name
