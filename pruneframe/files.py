"""Files: written whole or not at all, read where they are plain, held by one process, kept for later in a folder.

Documents are JSON objects that people may read and nobody changes: they begin with the checksum of all their other
bytes, so that no change of any of them is believed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import platformdirs

from .errors import Damaged, InputError

MOST = 1 << 26  # bytes of a file that people write, or that one object is read from
HEAD, BLANK = b'{\n  "checksum": "', b"0" * 32  # of a document
LONGEST = 1 << 20  # bytes of a TOML file
DEEPEST = 100  # parts of one of its keys
QUOTED = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'')
WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # what some network file systems say of a lock
UNFINISHED = ".unfinished-"  # how names of files begin that are being written


def followed(path: str | Path) -> Path:
    """A path from the root, through all links; raises InputError where these lead round in a circle."""
    try:
        return Path(path).resolve()
    except RuntimeError as error:
        raise InputError(f"{path} must lead somewhere, but is a link that leads round in a circle") from error


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write to a temporary name beside `path`, flush to disk, rename: a crash or a full disk leaves no half file.

    A link in its place is replaced, never followed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            with contextlib.suppress(OSError):  # where a file system has no locks
                fcntl.flock(file, fcntl.LOCK_EX)  # until it has its name, so that `sweep` leaves it
            write(file)
            file.flush()
            os.fsync(file.fileno())
            # mkstemp makes private files; a study is meant to be shared
            os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101 - the name is a string here
            os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def sweep(folder: Path) -> None:
    """Remove what a killed process had not finished writing in a folder; what somebody is still writing stays."""
    for path in folder.glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError, InputError), open_plain(path, follow=False) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@contextlib.contextmanager
def locked(path: Path, wait: bool = True) -> Iterator[None]:
    """Hold a lock file, as one process at a time can; its folder is made, again where it is removed meanwhile.

    Raises BlockingIOError where another process holds it and this one does not wait.
    """
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except FileNotFoundError:  # removed in between
            continue
        try:
            _lock(handle, path, wait)
            if os.fstat(handle).st_nlink:
                yield
                return
        finally:
            os.close(handle)


def _lock(handle: int, path: Path, wait: bool) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise
        raise InputError(
            f"{path} must lie on a file system with locks, but this one has none ({error.strerror}); keep the study on "
            "a local disk, or one for each machine, and merge them"
        ) from error


def open_plain(path: Path, follow: bool = True) -> BufferedReader:
    """A plain file, to be read; raises InputError for a folder, a pipe or a device, and for a link unless followed."""
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        handle = os.open(path, flags)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise InputError(f"{path} must be a plain file, but is a symbolic link; put the file itself there") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path} must be a plain file, but is something else")
    return os.fdopen(handle, "rb")


def read_plain(path: Path, most: int = MOST, follow: bool = True) -> bytes:
    """All that a plain file holds; raises InputError where that is more than `most` bytes, and as `open_plain`."""
    with open_plain(path, follow) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(most + 1) if size <= most else b""
    if size > most or len(content) > most:
        raise InputError(f"{path} must have at most {most:,} bytes, but has {max(size, len(content)):,}")
    return content


def digest(*contents: bytes) -> str:
    """32 hex digits over some bytes, one after the other."""
    found = hashlib.blake2b(digest_size=16)
    for content in contents:
        found.update(content)
    return found.hexdigest()


def write_document(path: Path, value: dict[str, Any]) -> None:
    """An object with its checksum, whole or not at all."""
    text = (json.dumps({"checksum": BLANK.decode()} | value, indent=2) + "\n").encode()
    sealed = text.replace(BLANK, digest(text).encode(), 1)
    write_whole(path, lambda file: file.write(sealed))


def read_document(path: Path, most: int = MOST) -> dict[str, Any]:
    """The object that was written; raises Damaged where any byte of the file is another one, or it is no plain file."""
    try:
        content = read_plain(path, most, follow=False)
    except OSError as error:
        raise Damaged(f"{path} cannot be read ({error.strerror})") from error
    told, rest = content[len(HEAD) : len(HEAD) + len(BLANK)], content[len(HEAD) + len(BLANK) :]
    if not content.startswith(HEAD) or digest(HEAD, BLANK, rest).encode() != told:
        raise Damaged(f"{path} is damaged or was changed: it has not the checksum that it was written with")
    value: dict[str, Any] = parsed(content, path)
    del value["checksum"]
    return value


def parsed(content: bytes, path: Path) -> dict[str, Any]:
    """The JSON object in a file's content; raises InputError where there is none."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} must hold a JSON object, but cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} must hold a JSON object, but holds a {type(found).__name__}")
    return found


def read_json(path: Path, follow: bool = True) -> dict[str, Any]:
    """The object in a JSON file that anybody may have written; raises InputError where there is none."""
    try:
        return parsed(read_plain(path, follow=follow), path)
    except OSError as error:
        raise InputError(f"{path} must hold a JSON object, but cannot be read ({error.strerror})") from error


def read_toml(path: Path, rule: str) -> tuple[dict[str, Any], str]:
    """What a TOML file says, and its text; raises InputError, beginning with `rule`, where it is none."""
    try:
        text = read_plain(path, LONGEST).decode()
        if any(key.count(".") > DEEPEST for key in re.split(r"[,=\[\]{}\n]", QUOTED.sub("", text))):
            raise ValueError(f"it has a key of more than {DEEPEST} parts")  # which tomllib takes gigabytes for
        found = tomllib.loads(text)
        if any("\0" in one for one in _texts(found)):
            raise ValueError("it holds a text with a NUL character")
    except (OSError, ValueError, RecursionError, InputError) as error:  # ValueError: not TOML, or not even text
        raise InputError(f"{rule}, but cannot be read ({getattr(error, 'strerror', None) or error})") from error
    return found, text


def _texts(value: Any) -> Iterable[str]:
    """All texts of a TOML value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        yield from (text for one in value.values() for text in _texts(one))
    elif isinstance(value, list):
        yield from (text for one in value for text in _texts(one))


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def cache_folder() -> Path:
    """For downloads, trained weights and the index of plugins: `PRUNEFRAME_CACHE`, or the user's cache folder."""
    return Path(os.environ.get("PRUNEFRAME_CACHE") or platformdirs.user_cache_dir("pruneframe"))
