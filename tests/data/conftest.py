"""What the tests of the data room share: a web site on this machine, the real test digits, and no way to the user's own
files."""

import gzip
import importlib.util
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tinygrad_cnn.data.files import DATA_VARIABLE
from tinygrad_cnn.data.idx import idx_bytes
from tinygrad_cnn.data.mnist import MNIST

Reply = bytes | Callable[[BaseHTTPRequestHandler], None]


class Site:
    """A web site on this machine. `pages` maps a path to the body that is served, or to a function that answers."""

    def __init__(self) -> None:
        self.pages: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.ranges: list[str | None] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append(self.path)
                site.ranges.append(self.headers.get("Range"))
                reply = site.pages.get(self.path)
                if reply is None:
                    self.send_error(404)
                elif callable(reply):
                    reply(self)
                else:
                    site.answer(self, reply, len(reply))

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @staticmethod
    def answer(handler: BaseHTTPRequestHandler, body: bytes, length: int | None) -> None:
        """Send a page whose header announces `length` bytes, or none at all, whatever the body has."""
        handler.send_response(200)
        if length is not None:
            handler.send_header("Content-Length", str(length))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def answer_rest(body: bytes, at_most: int | None = None) -> Callable[[BaseHTTPRequestHandler], None]:
        """Answer as a server that can send the rest of a page, but breaks off after `at_most` bytes."""

        def reply(handler: BaseHTTPRequestHandler) -> None:
            asked = handler.headers.get("Range")
            start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
            if start >= len(body):
                handler.send_error(416)
                return
            handler.send_response(206 if asked else 200)
            if asked:
                handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
            handler.send_header("Content-Length", str(len(body) - start))
            handler.end_headers()
            handler.wfile.write(body[start:][:at_most])

        return reply

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    served = Site()
    yield served
    served.close()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keep the user's own data sets and cache out of the tests, and the tests out of them."""
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the extra `data` look as if it were not installed."""
    monkeypatch.setitem(sys.modules, "pureml", None)


@pytest.fixture(scope="session")
def needs_extra() -> None:
    if importlib.util.find_spec("pureml") is None or importlib.util.find_spec("zarr") is None:
        pytest.skip('needs the full MNIST: pip install "tinygrad_cnn[data]"')


@pytest.fixture(scope="session")
def full_train(needs_extra: None) -> MNIST:
    return MNIST(train=True, download=False)


@pytest.fixture(scope="session")
def full_test(needs_extra: None) -> MNIST:
    return MNIST(train=False, download=False)


@pytest.fixture(scope="session")
def t10k(full_test: MNIST) -> dict[str, bytes]:
    """The two files of the real test set, gzipped (quickly: these are not the published bytes), by name."""
    contents = {"images-idx3": full_test.images, "labels-idx1": full_test.targets.astype("uint8")}
    return {f"t10k-{name}-ubyte.gz": gzip.compress(idx_bytes(array), 1) for name, array in contents.items()}
