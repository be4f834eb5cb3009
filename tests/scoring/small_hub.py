"""A server on this computer that answers as Hugging Face's hub does, for the files that it is given."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1024 * 1024


class SmallHub:
    """`files` by their path below the server; each piece of one waits until there is `leave` for it."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = dict(files)
        self.leave = threading.Event()
        self.leave.set()
        self.before_waiting = 12 * PIECE  # bytes of a file that come without leave
        self.address = ""


@contextmanager
def small_hub(files: Mapping[str, bytes]) -> Iterator[SmallHub]:
    """Such a server, while the block lasts."""
    hub = SmallHub(files)

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, body: bool) -> None:
            content = hub.files.get(self.path)
            if content is None:
                self.send_response(404)
                self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            asked, start = self.headers.get("Range", ""), 0
            if asked.startswith("bytes="):
                start = int(asked[len("bytes=") :].split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.send_header("Accept-Ranges", "bytes")
            self.end_headers()
            for at in range(start, len(content) if body else 0, PIECE):
                while at >= start + hub.before_waiting and not hub.leave.wait(0.1):
                    pass
                try:
                    self.wfile.write(content[at : at + PIECE])
                except ConnectionError:
                    return  # whoever asked has gone
                time.sleep(0.02)  # so that more than one state of it is seen

        def log_message(self, format: str, *arguments: object) -> None:
            """Nothing: the tests' own output says enough."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        hub.leave.set()
        server.shutdown()
        thread.join()
        server.server_close()
