"""Pictures are fetched from the public internet alone, in limited time, and never from what only a server can reach."""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.errors import DatasetError
from pseudoword.jobs.scoring import picture_fetching
from pseudoword.jobs.scoring.picture_fetching import TRANSLATED, Ways, checked, fetch_picture, is_public

PUBLIC = "93.184.216.34"
HIDDEN = (
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/29",
    "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4",
    "240.0.0.0/4", "::/128", "::1/128", "::ffff:0:0/96", "64:ff9b:1::/48", "100::/64", "2001:db8::/32", "fc00::/7",
    "fe80::/10", "fec0::/10", "ff00::/8",
)  # fmt: skip


def addresses_in(network: str) -> st.SearchStrategy[str]:
    """Any address of a network."""
    found = ipaddress.ip_network(network)
    first, last = int(found.network_address), int(found.broadcast_address)
    kind = ipaddress.IPv4Address if found.version == 4 else ipaddress.IPv6Address
    return st.integers(first, last).map(lambda number: str(kind(number)))


hidden = st.sampled_from(HIDDEN).flatmap(addresses_in)
hidden_v4 = st.sampled_from([network for network in HIDDEN if ":" not in network]).flatmap(addresses_in)


# ---- which addresses are asked -------------------------------------------------------------------------------------


@given(hidden)
def test_no_address_of_a_network_that_is_not_public_is_public(address: str) -> None:
    assert not is_public(address)


@given(hidden_v4)
def test_nor_is_one_in_another_form(address: str) -> None:
    number = int(ipaddress.IPv4Address(address))
    translated = ipaddress.IPv6Address(int(TRANSLATED.network_address) + number)
    six_to_four = ipaddress.IPv6Address((0x2002 << 112) + (number << 80) + 1)
    for form in (translated, six_to_four, f"::ffff:{address}", f"::{address}"):
        assert not is_public(str(form))


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "2606:4700::1111", "64:ff9b::101:101"])
def test_those_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@given(st.text())
def test_what_is_no_numeric_address_is_not_public(text: str) -> None:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        assert not is_public(text)


@given(st.lists(hidden, min_size=1), st.integers(0, 3))
def test_a_name_with_a_single_hidden_address_is_not_asked(addresses: list[str], place: int) -> None:
    found = [PUBLIC, *addresses] if place else [*addresses, PUBLIC]

    def refuse(address: str, port: int, timeout_s: float) -> socket.socket:
        raise AssertionError(f"{address} was asked")

    with pytest.raises(DatasetError, match="public internet"):
        fetch_picture("https://example.org/cat.png", Ways(lambda host, port: found, refuse))


@given(st.text(max_size=60))
def test_whatever_is_written_is_answered_with_a_reason(text: str) -> None:
    nowhere = Ways(lambda host, port: [], lambda *_: socket.socket())
    for address in (text, f"http://{text}", f"https://example.org/{text}"):
        with pytest.raises(DatasetError):
            fetch_picture(address, nowhere)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("file:///etc/passwd", "https://"),
        ("ftp://example.org/cat.png", "https://"),
        ("//example.org/cat.png", "https://"),
        ("/etc/passwd", "https://"),
        ("http://", "https://"),
        ("http://[::1", "no address"),
        ("http://example.org:99999/", "no address"),
        ("http://example.org:22/cat.png", "port 22"),
        ("https://example.org:80/", "port 80"),
        ("https://somebody:secret@example.org/", "password"),
        ("https://example.org/" + "x" * 2000, "2000 letters"),
    ],
)
def test_other_kinds_of_address_are_refused(address: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        checked(address)


@pytest.mark.parametrize("host", ["127.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
def test_this_computer_is_not_asked_however_it_is_called(host: str) -> None:
    with pytest.raises(DatasetError, match=r"public internet|cannot be fetched"):
        fetch_picture(f"http://{host}/")


# ---- what a server answers -----------------------------------------------------------------------------------------


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Ways]:
    """A server on this machine that names lead to as if it were at a public address; `localhost` stays what it is."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except OSError:  # the other side has gone
                self.close_connection = True

        def log_message(self, format: str, *given: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()

        def connect(address: str, port: int, timeout_s: float) -> socket.socket:
            assert (address, port) == (PUBLIC, 80), "another address was asked than was checked"
            return socket.create_connection(("127.0.0.1", server.server_port), timeout_s)

        def resolve(host: str, port: int) -> list[str]:
            return ["127.0.0.1"] if host == "localhost" else [PUBLIC]

        try:
            yield Ways(resolve, connect)
        finally:
            server.shutdown()
            thread.join()


def says(status: int, body: bytes = b"", **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_picture_is_fetched_with_its_own_path_and_name() -> None:
    asked = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append((handler.path, handler.headers["Host"]))
        says(200, b"pixels")(handler)

    with serving(answer) as ways:
        assert fetch_picture("http://example.org/ä cat.png?size=1&b=ü", ways) == b"pixels"
    assert asked == [("/%C3%A4%20cat.png?size=1&b=%C3%BC", "example.org")]


def test_a_redirect_is_followed_and_one_to_this_computer_is_not() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        places = {"/": "/next", "/home": "http://localhost/secret", "/file": "file:///etc/passwd", "/round": "/round"}
        place = places.get(handler.path)
        says(302, Location=place)(handler) if place else says(200, b"there")(handler)

    with serving(answer) as ways:
        assert fetch_picture("http://example.org/", ways) == b"there"
        for path, said in [("home", "public internet"), ("file", "https://"), ("round", "redirected more than 3")]:
            with pytest.raises(DatasetError, match=said):
                fetch_picture(f"http://example.org/{path}", ways)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (says(404), "answered 404"),
        (says(200, b"half", Content_Length="99"), "broke off"),
        (says(302, Location="http://[::1"), "cannot be fetched|no address"),
        (lambda handler: handler.wfile.write(b"no http at all\n"), "cannot be fetched"),
    ],
)
def test_what_is_no_picture_there_is_told(answer: Callable[[BaseHTTPRequestHandler], None], said: str) -> None:
    with serving(answer) as ways, pytest.raises(DatasetError, match=said):
        fetch_picture("http://example.org/", ways)


def test_more_than_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_fetching, "MOST_BYTES", 100_000)

    def answer(handler: BaseHTTPRequestHandler) -> None:
        says(200)(handler)
        while True:
            handler.wfile.write(b"x" * 10_000)

    with serving(answer) as ways, pytest.raises(DatasetError, match="more than 0 MB"):
        fetch_picture("http://example.org/", ways)


@pytest.mark.parametrize("is_begun", [False, True])
def test_a_server_that_sends_a_byte_now_and_then_is_left(is_begun: bool) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        if is_begun:
            says(200)(handler)
        for _ in range(400):
            handler.wfile.write(b"x")
            time.sleep(0.05)

    with serving(answer) as ways, pytest.raises(DatasetError, match="did not arrive in 0.3 seconds"):
        fetch_picture("http://example.org/", ways, 0.3)


def test_a_server_that_speaks_no_tls_is_no_place_for_https() -> None:
    with serving(says(200, b"pixels")) as ways:
        plain = Ways(ways.resolve, lambda address, port, timeout_s: ways.connect(address, 80, timeout_s))
        with pytest.raises(DatasetError, match="cannot be fetched"):
            fetch_picture("https://example.org/", plain)
