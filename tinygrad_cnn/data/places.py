"""Where a data set may be: directories that the user has named, the cache, and the network.

A place that does not have it is passed over; a place that has a *bad* copy raises, so that the user hears of it.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError, MissingExtraError
from .download import download as download_file
from .files import DATA_VARIABLE, Published, cache_directory

Route = tuple[str, Callable[[], list[bytes]]]
"""A place's name, and how to read the files there; raises `AbsentError` if it does not have them."""


class AbsentError(Exception):
    """A place does not have the files; the next one may."""


@dataclass(frozen=True)
class Collection:
    """The files of one part of a data set, and what to tell a user who has none.

    Parameters
    ----------
    title : str
        The data set, as a sentence calls it.
    files : sequence of DataFile or ArchiveFile
        All are needed.
    folder : Path
        The folder in a directory of data sets where they are looked for too, and where a download goes: torchvision's.
    mirrors : sequence of str
        Where they are downloaded from.
    before, after : tuple of str
        Advice that goes before that of downloading, and after it.
    """

    title: str
    files: Sequence[Published]
    folder: Path
    mirrors: Sequence[str]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()

    def find(
        self, root: str | os.PathLike[str] | None, download: bool | None, others: Sequence[Route] = ()
    ) -> tuple[str, list[bytes]]:
        """Return the first place that has the files, and their verified bytes.

        Parameters
        ----------
        root : str or path-like, optional
            The user's directory.
        download : bool or None
            Whether the network may be used; None where nobody offers the files.
        others : sequence of Route
            Places that this data set alone has; they come after the user's directories and before the cache.

        Raises
        ------
        DataError
            If no place has the files, or one has bad copies.
        """
        variable = os.environ.get(DATA_VARIABLE)
        routes: list[Route] = []
        if root is not None:
            routes.append(("root", lambda: self.from_directory(Path(root))))
        if variable:
            routes.append((f"environment variable {DATA_VARIABLE}", lambda: self.from_directory(Path(variable))))
        routes += others
        # A download goes where the user said that data sets are; only without such a word, into the cache.
        home = Path(variable or cache_directory()) if root is None else Path(root)
        routes.append(("cache", lambda: self.from_directory(cache_directory())))
        if download:
            routes.append(("download", lambda: self._from_mirrors(home)))
        failures = []
        for name, route in routes:
            try:
                return name, route()
            except (AbsentError, MissingExtraError) as error:
                failures.append(f"  {name}: {error}")
        raise DataError(self._not_found(failures, download))

    def from_directory(self, directory: Path) -> list[bytes]:
        """Read the files from a directory that a user or a download has filled: all of them or none."""
        directory = directory.expanduser()
        paths = [self._locate(directory, file) for file in self.files]
        missing = [file.accepted[0] for file, path in zip(self.files, paths, strict=True) if path is None]
        if missing:
            either = " (plain or .gz)" if len(self.files[0].accepted) > 1 else ""
            raise AbsentError(f"no {' and no '.join(missing)}{either} in {directory} or its {self.folder}")
        remedy = "Delete it to have another place tried, or put a good copy there."
        return [file.read(path, remedy) for file, path in zip(self.files, paths, strict=True) if path is not None]

    def _locate(self, directory: Path, file: Published) -> Path | None:
        """Return the path of a file, plain or gzipped, in a directory or in torchvision's folder in it."""
        for folder in (directory, directory / self.folder):
            for name in file.accepted:
                if (folder / name).exists():
                    return folder / name
        return None

    def _from_mirrors(self, home: Path) -> list[bytes]:
        """Download what is not there yet into torchvision's folder of a directory, and read it."""
        home = home.expanduser()
        try:
            for file in self.files:
                if self._locate(home, file) is None:
                    download_file(file, home / self.folder, self.mirrors)
        except DataError as error:
            raise AbsentError(str(error).replace("\n", "\n    ")) from error
        return self.from_directory(home)

    def _not_found(self, failures: list[str], download: bool | None) -> str:
        """Return the message for a user whom no route has served."""
        return "\n".join(
            [
                f"{self.title} was not found. Tried, in this order:",
                *failures,
                *(["  download: not tried, because of download=False"] if download is False else []),
                "Any one of these gets it:",
                *(f"  {line}" for line in self.before),
                *([] if download is None else ["  let it be downloaded: on a machine with a network, with download=True"]),
                *self.after,
            ]
        )
