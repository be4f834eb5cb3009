"""A picture from an address on the internet, and from nowhere else: what this computer alone can reach stays unread.

A server that fetches what strangers name could be made to ask its own services, or its neighbours in the same network.
So a name is resolved once, every address it has must be a public one, and the connection goes to the address that was
checked, not to the name again; the same holds after each redirect.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from ...errors import DatasetError

MOST_BYTES = 50_000_000  # cameras' files of the largest size that is read have about half of that
MOST_SECONDS = 20.0  # for one picture, from the first connection to the last byte
MOST_REDIRECTS = 3
MOST_LETTERS = 2000  # of an address
PORTS = {"http": 80, "https": 443}  # others serve programs, not pictures
CHUNK_BYTES = 1 << 16
REDIRECTS = (301, 302, 303, 307, 308)
TRANSLATED = IPv6Network("64:ff9b::/96")  # an IPv4 address stands in the last four bytes (RFC 6052)


def resolved(host: str, port: int) -> list[str]:
    """The numeric addresses of `host`. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def connected(address: str, port: int, timeout_s: float) -> socket.socket:
    """A connection to a numeric `address`. Raises OSError."""
    return socket.create_connection((address, port), timeout_s)


@dataclass(frozen=True)
class Ways:
    """How names are resolved and connections made."""

    resolve: Callable[[str, int], list[str]] = resolved
    connect: Callable[[str, int, float], socket.socket] = connected


INTERNET = Ways()


def fetch_picture(address: str, ways: Ways = INTERNET, timeout_s: float = MOST_SECONDS) -> bytes:
    """The bytes at `address`, which begins with http:// or https://; whether they are a picture shows when decoded.

    Raises DatasetError, half a sentence with the reason, for addresses that are not public, where nothing answers in
    time, and for more than 50 MB.
    """
    with _deadline(timeout_s) as watch:
        for _ in range(MOST_REDIRECTS + 1):
            target = checked(address)
            try:
                answer = _asked(target, ways, timeout_s, watch)
                if isinstance(answer, bytes):
                    return answer
                address = urljoin(address, answer.location)
            except (OSError, http.client.HTTPException, ValueError) as problem:
                reason = getattr(problem, "strerror", None) or str(problem) or type(problem).__name__
                raise DatasetError(f"it cannot be fetched ({reason}); check the address") from problem
    raise DatasetError(f"it is redirected more than {MOST_REDIRECTS} times; give the picture's own address")


def checked(address: str) -> SplitResult:
    """The parts of `address`. Raises DatasetError where nothing is to be asked there, wherever its name may lead."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError as problem:
        raise DatasetError(f"it is no address ({problem}); give one such as https://example.org/cat.png") from problem
    if parts.scheme not in PORTS or not host:
        raise DatasetError("it is no address of the web; give one that begins with https:// or http://")
    if len(address) > MOST_LETTERS:
        raise DatasetError(f"its address has more than {MOST_LETTERS} letters; give a shorter one")
    if parts.username is not None or parts.password is not None:
        raise DatasetError("its address holds a name or a password, which is not sent; give one without")
    if port is not None and port != PORTS[parts.scheme]:
        raise DatasetError(f"port {port} is not asked for pictures; give an address without a port")
    return parts


def is_public(text: str) -> bool:
    """Whether a numeric address is one that everybody reaches in the same place.

    An IPv6 address that leads to an IPv4 address inside of it is as public as that one.
    """
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address in TRANSLATED:
            return is_public(str(IPv4Address(int(address) & 0xFFFFFFFF)))
        if address.is_site_local or (address.sixtofour is not None and not is_public(str(address.sixtofour))):
            return False
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    return address.is_global and not (odd or address.is_private or address.is_link_local)


@dataclass(frozen=True)
class _Redirected:
    location: str


class _Watch:
    """Shuts a connection when the time is up: a server that sends a byte now and then would pass every time limit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.is_over = False

    def add(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.append(connection)
        if self.is_over:
            self.end()

    def end(self) -> None:
        with self._lock:
            self.is_over = True
            for connection in self._sockets:
                try:
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)  # of TLS, too, without asking its partner
                except OSError:  # closed meanwhile
                    continue


@contextmanager
def _deadline(seconds: float) -> Iterator[_Watch]:
    watch = _Watch()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    except DatasetError:
        if watch.is_over:
            raise DatasetError(f"it did not arrive in {seconds:g} seconds; try again later") from None
        raise
    finally:
        timer.cancel()


def _asked(target: SplitResult, ways: Ways, timeout_s: float, watch: _Watch) -> bytes | _Redirected:
    """What is at `target`. Raises OSError, HTTPException, DatasetError."""
    assert target.hostname is not None
    host, port = target.hostname.encode("idna").decode("ascii"), PORTS[target.scheme]
    addresses = ways.resolve(host, port)
    if not addresses or not all(is_public(address) for address in addresses):
        raise DatasetError("its address does not lead to the public internet, and is not asked; upload the picture")
    connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
    plain = ways.connect(addresses[0], port, timeout_s)
    watch.add(plain)
    try:
        connection.sock = plain
        if target.scheme == "https":
            safe = ssl.create_default_context()
            connection.sock = safe.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
            watch.add(connection.sock)
            connection.sock.do_handshake()
        path = quote(target.path or "/", safe="/%:@!$&'()*+,;=~-._") + (f"?{_query(target)}" if target.query else "")
        connection.request("GET", path, headers={"Accept": "image/*", "Accept-Encoding": "identity"})
        answer = connection.getresponse()
        if answer.status in REDIRECTS:
            return _Redirected(answer.headers.get("Location", ""))
        if answer.status != 200:
            raise DatasetError(f"the server there answered {answer.status}; check the address")
        return _body(answer, watch)
    finally:
        connection.close()
        plain.close()


def _query(target: SplitResult) -> str:
    return quote(target.query, safe="/%:@!$&'()*+,;=~-._?")


def _body(answer: http.client.HTTPResponse, watch: _Watch) -> bytes:
    data = bytearray()
    while chunk := answer.read(CHUNK_BYTES):
        data += chunk
        if len(data) > MOST_BYTES:
            raise DatasetError(f"it has more than {MOST_BYTES // 1_000_000} MB; make it smaller")
    # A connection that was shut looks like an end where the server did not say how long its answer is.
    if watch.is_over or answer.length:
        raise DatasetError("it broke off in the middle; try again")
    return bytes(data)
