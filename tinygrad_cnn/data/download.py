"""Downloads that end with the right file or with none, and that go on where they were cut.

One file, several mirrors: each is tried in turn. The bytes go to a hidden file ``.NAME.XXXXXXXX.part`` beside the target
under a progress bar; the whole is compared with the published checksum, and only then does it get its name. If the
connection breaks, the rest is asked for (HTTP Range), at once and, if that does not help, by the next call: what has
come is kept. A server that cannot send a rest sends the whole again. What turns out to be wrong is thrown away.
"""

import contextlib
import glob
import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from ..errors import DataError
from .files import GZIP_EXCESS, Published

_CHUNK = 1 << 16
_ATTEMPTS = 5  # connections to one mirror, each of which must bring something new
_AGENT = {"User-Agent": "tinygrad_cnn"}  # some servers refuse urllib's own name
_AGAIN = "Try again later."


class _CutError(DataError):
    """The connection ended before the file did."""


def download(file: Published, directory: Path, mirrors: Sequence[str], timeout: float = 30.0) -> Path:
    """Download ``file.filename`` into a directory from the first mirror that has it right.

    Parameters
    ----------
    file : DataFile or ArchiveFile
        What to get, and its checksum.
    directory : Path
        Where to put it; made if need be.
    mirrors : sequence of str
        Addresses of directories, in the order in which they are tried.
    timeout : float, default 30.0
        Seconds to wait for a connection, and then for any next piece of data.

    Returns
    -------
    Path
        The verified file.

    Raises
    ------
    DataError
        If the directory cannot be made, or no mirror had the file; the message gives each mirror's own failure.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the directory {directory} for downloads cannot be made: {error.strerror}. "
            "Give another one: as root=..., or in the environment variable TINYGRAD_CNN_DATA."
        ) from error
    target = directory / file.filename
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{target.name}"
        try:
            _from_mirror(url, target, file, timeout)
        # A refused connection, a time-out and a missing page are all OSErrors.
        except (OSError, http.client.HTTPException, DataError) as error:
            failures.append(f"{url}: {error}")
        else:
            return target
    raise DataError(
        f"{target.name} could not be downloaded from any of {len(mirrors)} mirrors:\n"
        + "\n".join(f"  {failure}" for failure in failures)
    )


def _from_mirror(url: str, target: Path, file: Published, timeout: float) -> None:
    """Get the file from one address, beginning with what an earlier call has left."""
    # Two mirrors may have packed the same content differently, so a part belongs to its address.
    stem = f".{target.name}.{hashlib.sha256(url.encode()).hexdigest()[:8]}"
    part = _claim(target.parent, stem, timeout)
    try:
        resumed = part.stat().st_size > 0
        _receive_all(url, part, file, timeout)
        try:
            file.read(part, _AGAIN)
        except DataError:
            if not resumed:
                raise
            os.truncate(part, 0)  # the earlier piece may have been of another version
            _receive_all(url, part, file, timeout)
            file.read(part, _AGAIN)
        with open(part, "rb+") as whole:
            os.fsync(whole.fileno())
        os.replace(part, target)
    except _CutError:
        _release(part, stem)
        raise
    except DataError:
        part.unlink(missing_ok=True)  # what is wrong will not get right by going on with it
        raise
    except BaseException:
        _release(part, stem)
        raise


def _claim(directory: Path, stem: str, timeout: float) -> Path:
    """Return a file of this call's own: what another has left, or a new one."""
    mine = directory / f"{stem}.{uuid.uuid4().hex}.part"
    for left in directory.glob(f"{glob.escape(stem)}*.part"):
        with contextlib.suppress(OSError):  # another call was quicker
            # Nobody writes to a part without a number any more; nor to one that has rested for so long: its process is dead.
            if left.name == f"{stem}.part" or time.time() - left.stat().st_mtime > 2 * timeout:
                os.rename(left, mine)
                return mine
    mine.touch()
    return mine


def _release(part: Path, stem: str) -> None:
    """Leave what has come to the next call."""
    if part.exists() and part.stat().st_size == 0:
        part.unlink()
    elif part.exists():
        os.replace(part, part.with_name(f"{stem}.part"))


def _receive_all(url: str, part: Path, file: Published, timeout: float) -> None:
    """Ask for what is missing until all is there or no more comes."""
    for attempt in range(1, _ATTEMPTS + 1):
        before = part.stat().st_size
        try:
            _receive(url, part, file, timeout)
        except urllib.error.HTTPError:
            raise  # the server has answered, and would answer so again
        except (OSError, http.client.HTTPException, _CutError):
            if attempt == _ATTEMPTS or part.stat().st_size <= before:
                raise
        else:
            return


def _receive(url: str, part: Path, file: Published, timeout: float) -> None:
    """Append what `url` serves from the end of `part` on, with a progress bar in bytes."""
    have = part.stat().st_size
    request = urllib.request.Request(url, headers=_AGENT | ({"Range": f"bytes={have}-"} if have else {}))
    try:
        response = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if have and error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            error.close()
            return  # there is no rest: all has come already, or the checksum will tell
        raise
    with response:
        rest = response.status == http.client.PARTIAL_CONTENT
        if rest and not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            raise DataError(f"sends another part than the one from byte {have:,} on that was asked for. {_AGAIN}")
        have = have if rest else 0
        announced = response.headers.get("Content-Length", "")
        total = have + int(announced) if announced.isdecimal() else None
        with (
            open(part, "ab" if rest else "wb") as out,
            tqdm(total=total, initial=have, desc=file.name, unit="B", unit_scale=True) as bar,
        ):
            while chunk := response.read1(_CHUNK):  # what is there already: a silence must not cost it
                out.write(chunk)
                have += len(chunk)
                bar.update(len(chunk))
                # A stream without end must not fill the disk.
                if have > file.size + GZIP_EXCESS:
                    raise DataError(f"sends more than the {file.size:,} bytes of {file.name}. {_AGAIN}")
    # urllib takes a connection that was cut for the end of the file, so count.
    if total is not None and have != total:
        raise _CutError(f"broke off after {have:,} of {total:,} bytes. {_AGAIN}")
