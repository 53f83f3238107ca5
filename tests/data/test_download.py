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


def fails(site: "Site", directory: Path, message: str, timeout: float = 10.0, asked: int = 1, left: int = 0) -> None:
    """Assert that the download fails with this message, asked for so often, and leaves so many bytes to the next call."""
    with pytest.raises(DataError, match=message):
        download(FILE, directory, [f"{site.url}/a/"], timeout)
    assert site.asked == ["/a/digits.gz"] * asked
    parts = os.listdir(directory)
    assert [os.stat(directory / part).st_size for part in parts] == ([left] if left else [])
    assert all(part.startswith(".digits.gz.") and part.endswith(".part") for part in parts)


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


def test_connection_cut_by_a_server_that_cannot_send_the_rest(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = lambda handler: site.answer(handler, ZIPPED[:200_000], len(ZIPPED))
    message = rf"/a/digits.gz: broke off after 200,000 of {len(ZIPPED):,} bytes. Try again later"
    fails(site, tmp_path, message, asked=2, left=200_000)
    assert site.ranges == [None, "bytes=200000-"]
    # The next call asks for the rest, gets the whole, and has the right file.
    site.pages["/a/digits.gz"] = ZIPPED
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges[2:] == ["bytes=200000-"]
    assert os.listdir(tmp_path) == ["digits.gz"]


def test_connection_cut_is_gone_on_with_at_once(site: "Site", tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED, at_most=120_000)
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges == [None, "bytes=120000-", "bytes=240000-"]
    assert "120k/300k" in capsys.readouterr().err


def test_connection_that_is_always_cut(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED, at_most=10_000)
    fails(site, tmp_path, "broke off after 50,000 of", asked=5, left=50_000)
    # The next call goes on from there.
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED)
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges[5:] == ["bytes=50000-"]


def test_rest_of_another_version_is_thrown_away(site: "Site", tmp_path: Path) -> None:
    other = gzip.compress(CONTENT, 0)  # the same digits, packed otherwise
    site.pages["/a/digits.gz"] = site.answer_rest(other, at_most=10_000)
    fails(site, tmp_path, "broke off", asked=5, left=50_000)
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED)
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges[5:] == ["bytes=50000-", None]


def test_parts_of_two_mirrors_are_not_mixed(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = lambda handler: site.answer(handler, ZIPPED[:200_000], len(ZIPPED))
    site.pages["/b/digits.gz"] = site.answer_rest(gzip.compress(CONTENT, 0))
    path = download(FILE, tmp_path, [f"{site.url}/a/", f"{site.url}/b/"])
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert site.ranges == [None, "bytes=200000-", None]


def test_all_had_come_before_the_call_was_interrupted(
    site: "Site", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED)

    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(DataFile, "verify", interrupted)
        with pytest.raises(KeyboardInterrupt):
            download(FILE, tmp_path, [f"{site.url}/a/"])
    assert len(os.listdir(tmp_path)) == 1
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges == [None, f"bytes={len(ZIPPED)}-"]  # answered by 416: there is no more
    assert os.listdir(tmp_path) == ["digits.gz"]


def test_part_of_a_dead_process_is_gone_on_with(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED, at_most=10_000)
    fails(site, tmp_path, "broke off", asked=5, left=50_000)
    (left,) = tmp_path.iterdir()
    numbered = left.rename(left.with_name(left.name.replace(".part", ".0123.part")))
    site.pages["/a/digits.gz"] = site.answer_rest(ZIPPED)
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges[5:] == [None]  # it has been written to just now, so somebody may be at it
    (tmp_path / "digits.gz").unlink()
    os.utime(numbered, (0, 0))
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED
    assert site.ranges[6:] == ["bytes=50000-"]


def test_another_part_than_the_one_asked_for(site: "Site", tmp_path: Path) -> None:
    def confused(handler: BaseHTTPRequestHandler) -> None:
        if handler.headers.get("Range") is None:
            site.answer(handler, ZIPPED[:1000], len(ZIPPED))
            return
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes 0-{len(ZIPPED) - 1}/{len(ZIPPED)}")
        handler.end_headers()
        handler.wfile.write(ZIPPED)

    site.pages["/a/digits.gz"] = confused
    fails(site, tmp_path, "sends another part than the one from byte 1,000 on that was asked for. Try again", asked=2)


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
    fails(site, tmp_path, "/a/digits.gz: timed out", timeout=0.2, asked=2, left=1000)
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


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_killed_process_leaves_no_file_of_that_name(site: "Site", tmp_path: Path) -> None:
    half_sent, over = threading.Event(), threading.Event()

    def stalls(handler: BaseHTTPRequestHandler) -> None:
        site.answer(handler, ZIPPED[:200_000], len(ZIPPED))
        half_sent.set()
        over.wait(30)

    site.pages["/a/digits.gz"] = stalls
    program = (
        "from pathlib import Path; from tinygrad_cnn.data.download import download; "
        "from tinygrad_cnn.data.files import DataFile; "
        f"download({FILE!r}, Path({str(tmp_path)!r}), [{site.url + '/a/'!r}])"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        assert half_sent.wait(30)
        process.send_signal(signal.SIGKILL)
        process.wait()
    over.set()
    assert not (tmp_path / "digits.gz").exists()
    site.pages["/a/digits.gz"] = ZIPPED  # the part that is left is too young to be another's
    assert download(FILE, tmp_path, [f"{site.url}/a/"]).read_bytes() == ZIPPED


def test_many_at_once_do_not_disturb_each_other(site: "Site", tmp_path: Path) -> None:
    site.pages["/a/digits.gz"] = ZIPPED
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: download(FILE, tmp_path, [f"{site.url}/a/"]), range(16)))
    assert {path.read_bytes() for path in paths} == {ZIPPED}
    assert os.listdir(tmp_path) == ["digits.gz"]
