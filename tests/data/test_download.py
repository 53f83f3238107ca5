"""Downloads, from a web site on this machine that behaves badly in every way that real ones do."""

import gzip
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tinygrad_cnn.data.download import download
from tinygrad_cnn.data.files import DataFile
from tinygrad_cnn.errors import DataError

if TYPE_CHECKING:
    from conftest import Site

CONTENT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()  # does not compress: 5 chunks
FILE = DataFile("digits", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
ZIPPED = gzip.compress(CONTENT)


def fails(site: "Site", directory: Path, message: str, timeout: float = 10.0) -> None:
    """Assert that the download fails with this message, asked for once, and leaves nothing behind."""
    with pytest.raises(DataError, match=message):
        download(FILE, directory, [f"{site.url}/a/"], timeout)
    assert site.asked == ["/a/digits.gz"]
    assert os.listdir(directory) == []


def test_good_file_with_a_progress_bar(site: "Site", tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.pages["/a/digits.gz"] = ZIPPED
    path = download(FILE, tmp_path / "new" / "folder", [f"{site.url}/a"])
    assert path == tmp_path / "new" / "folder" / "digits.gz"
    assert path.read_bytes() == ZIPPED
    assert os.listdir(path.parent) == ["digits.gz"]
    bar = capsys.readouterr().err
    assert "digits: 100%" in bar
    assert "300k/300k" in bar
    assert "B/s" in bar


def test_length_not_announced(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = lambda handler: site.answer(handler, ZIPPED, None)
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED


def test_next_mirror_after_404(site: "Site", tmp_path: Path) -> None:
    site.pages["/b/digits.gz"] = ZIPPED
    assert download(FILE, tmp_path, [f"{site.url}/a/", f"{site.url}/b/", f"{site.url}/c/"]).read_bytes() == ZIPPED
    assert site.asked == ["/a/digits.gz", "/b/digits.gz"]


def test_next_mirror_after_wrong_bytes(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = gzip.compress(CONTENT[::-1])
    site.pages["/b/digits.gz"] = ZIPPED
    assert download(FILE, tmp_path, [f"{site.url}/a/", f"{site.url}/b/"]).read_bytes() == ZIPPED
    assert os.listdir(tmp_path) == ["digits.gz"]


def test_connection_cut(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = lambda handler: site.answer(handler, ZIPPED[:200_000], len(ZIPPED))
    fails(site, tmp_path, rf"/a/digits.gz: broke off after 200,000 of {len(ZIPPED):,} bytes. Try again later")


def test_connection_cut_when_no_length_was_announced(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = lambda handler: site.answer(handler, ZIPPED[:200_000], None)
    fails(site, tmp_path, r"is truncated: its gzip stream breaks off after 200,000 bytes. Try again later")


def test_wrong_bytes(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = gzip.compress(CONTENT[::-1])
    fails(site, tmp_path, "is damaged, or is another file: digits has the SHA-256")


def test_page_of_a_portal_instead_of_the_file(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = b"<html>Please log in</html>"
    fails(site, tmp_path, "is truncated: digits has 300,000 bytes decompressed, got 26")


def test_stream_without_end(site: "Site", tmp_path: Path) -> None:
    def endless(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(bytes(1 << 16))
        except OSError:  # the other side has hung up, as it should
            pass

    site.pages["/a/digits.gz"] = endless
    fails(site, tmp_path, "/a/digits.gz: sends more than the 300,000 bytes of digits. Try again later")


def test_silent_server(site: "Site", tmp_path: Path) -> None:
    over = threading.Event()
    site.pages["/a/digits.gz"] = lambda handler: (site.answer(handler, ZIPPED[:1000], len(ZIPPED)), over.wait(10))
    fails(site, tmp_path, "/a/digits.gz: timed out", timeout=0.2)
    over.set()


def test_every_mirror_is_named_with_its_failure(site: "Site", tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(DataError) as caught:
            download(FILE, tmp_path, [f"{site.url}/a/", closed])
    first, second, third = str(caught.value).splitlines()
    assert first == "digits.gz could not be downloaded from any of 2 mirrors:"
    assert second == f"  {site.url}/a/digits.gz: HTTP Error 404: Not Found"
    assert third.startswith(f"  {closed}/digits.gz: ")
    assert "refused" in third


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/folder for downloads cannot be made: Not a directory. Give .*root=.*"):
        download(FILE, tmp_path / "file" / "folder", [])


def test_keyboard_interrupt(site: "Site", tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/a/digits.gz"] = ZIPPED

    def interrupted(*args: object) -> None:
        assert len(os.listdir(tmp_path)) == 1  # the download has begun
        raise KeyboardInterrupt

    monkeypatch.setattr(DataFile, "verify", interrupted)
    with pytest.raises(KeyboardInterrupt):
        download(FILE, tmp_path, [f"{site.url}/a/"])
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_process_leaves_no_file_of_that_name(site: "Site", tmp_path: Path) -> None:
    half_sent, over = threading.Event(), threading.Event()

    def stalls(handler: BaseHTTPRequestHandler) -> None:
        site.answer(handler, ZIPPED[:200_000], len(ZIPPED))
        half_sent.set()
        over.wait(30)

    site.pages["/a/digits.gz"] = stalls
    program = (
        "from pathlib import Path; from tinygrad_cnn.data.download import download, DataFile; "
        f"download({FILE!r}, Path({str(tmp_path)!r}), [{site.url + '/a/'!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        assert half_sent.wait(30)
        process.send_signal(signal.SIGKILL)
        process.wait()
    over.set()
    assert not (tmp_path / "digits.gz").exists()
    site.pages["/a/digits.gz"] = ZIPPED
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED


def test_many_at_once_do_not_disturb_each_other(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = ZIPPED
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: download(FILE, tmp_path, [f"{site.url}/a/"]), range(16)))
    assert {path.read_bytes() for path in paths} == {ZIPPED}
    assert os.listdir(tmp_path) == ["digits.gz"]
