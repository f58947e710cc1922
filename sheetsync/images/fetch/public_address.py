"""Which addresses are on the open internet, and which lead into the network of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from urllib3.util.connection import allowed_gai_family

from sheetsync.images.fetch.base import NotRequestedError

GLOBAL = ip_network("2000::/3")  # all that has been given out of IPv6 for talking to anybody
NAT64 = ip_network("64:ff9b::/96")  # an IPv4 address in its last 32 bits, which a router takes out again
ISATAP = (0x00005EFE, 0x02005EFE)  # what stands before an IPv4 address in the last 64 bits
# What ipaddress calls global, in one Python or another, and is not for images.
OTHERS = tuple(
    ip_network(each)
    for each in (
        "168.63.129.16/32",  # a cloud's own services, at an address that looks public
        "192.0.0.0/24",  # protocols, and another cloud's metadata
        "192.88.99.0/24",  # relays for 6to4
        "2001:20::/28",  # names of machines, not places
        "3fff::/20",  # for examples
    )
)


class PrivateAddressError(NotRequestedError):
    """An address that is not on the open internet. It says the same of each, so that a sheet tells nobody which
    machines there are in the network.
    """

    def __init__(self) -> None:
        super().__init__("not a public address: allow_private = true under [download] in sheetsync.toml allows it")


def is_public(address: str) -> bool:
    """Whether anybody may be sent to an IP address, and to every IPv4 address that stands in an IPv6 one.

    >>> [is_public(each) for each in ("93.184.215.14", "10.0.0.1", "64:ff9b::5db8:d70e", "64:ff9b::a00:1")]
    [True, False, True, False]
    """
    given = ip_address(address.partition("%")[0])
    return all(map(_is_open, _meant(given)))


def refuse_private(address: str) -> None:
    """Raises `PrivateAddressError` unless an IP address is public."""
    if not is_public(address):
        raise PrivateAddressError


def refuse_private_host(host: str) -> None:
    """Refuse what is private as seen from here. What a proxy makes of a name that is not known here is its affair."""
    with suppress(socket.gaierror, UnicodeError):
        for address in resolve(host, 0):
            refuse_private(address)


def resolve(host: str, port: int) -> list[str]:
    """The IP addresses of a host, in the order in which to try them; no lookup can be cut short.

    Raises `socket.gaierror` where the name is not known, and `UnicodeError` where it can be none.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _meant(given: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """The address itself, but for those that only stand for an IPv4 address; and each IPv4 address in it."""
    if isinstance(given, IPv4Address):
        yield given
        return
    if given.ipv4_mapped is not None or given in NAT64:
        yield IPv4Address(int(given) & 0xFFFFFFFF)
        return
    yield given
    if given.sixtofour is not None:
        yield given.sixtofour
    if int(given) >> 32 & 0xFFFFFFFF in ISATAP:
        yield IPv4Address(int(given) & 0xFFFFFFFF)


def _is_open(given: IPv4Address | IPv6Address) -> bool:
    if given.version == 6 and given not in GLOBAL:
        return False
    return given.is_global and not given.is_multicast and not any(given in each for each in OTHERS)
