"""Downloads that end with the right file or with none.

One file, several mirrors: each is tried in turn, the bytes go to a temporary file under a progress bar, the
decompressed content is compared with the published checksum, and only then does the file get its name.
"""

import http.client
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tqdm import tqdm

from ..errors import DataError
from .files import DataFile, atomic_write

_CHUNK = 1 << 16
_AGENT = {"User-Agent": "tinygrad_cnn"}  # some servers refuse urllib's own name


def download(file: DataFile, directory: Path, mirrors: Sequence[str], timeout: float = 30.0) -> Path:
    """Download ``file.name + ".gz"`` into a directory from the first mirror that has it right.

    Parameters
    ----------
    file : DataFile
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
    target = directory / f"{file.name}.gz"
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{target.name}"
        try:
            with atomic_write(target) as part:
                _receive(url, part, file, timeout)
                part.flush()
                file.read(Path(part.name), "Try again later.")
        # A refused connection, a time-out and a missing page are all OSErrors.
        except (OSError, http.client.HTTPException, DataError) as error:
            failures.append(f"{url}: {error}")
        else:
            return target
    raise DataError(
        f"{target.name} could not be downloaded from any of {len(mirrors)} mirrors:\n"
        + "\n".join(f"  {failure}" for failure in failures)
    )


def _receive(url: str, part: IO[bytes], file: DataFile, timeout: float) -> None:
    """Copy what `url` serves to `part`, with a progress bar in bytes."""
    request = urllib.request.Request(url, headers=_AGENT)
    with urllib.request.urlopen(request, timeout=timeout) as response:
        announced = response.headers.get("Content-Length", "")
        total = int(announced) if announced.isdecimal() else None
        received = 0
        with tqdm(total=total, desc=file.name, unit="B", unit_scale=True) as bar:
            while chunk := response.read(_CHUNK):
                part.write(chunk)
                received += len(chunk)
                bar.update(len(chunk))
                # Gzip lengthens what it cannot shorten by far less than this; a stream without end must not fill
                # the disk.
                if received > file.size + _CHUNK:
                    raise DataError(f"sends more than the {file.size:,} bytes of {file.name}. Try again later.")
    # urllib takes a connection that was cut for the end of the file, so count.
    if total is not None and received != total:
        raise DataError(f"broke off after {received:,} of {total:,} bytes. Try again later.")
