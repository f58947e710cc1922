"""SSRF guard: which IP addresses are on the public internet, and which lead into the network of this machine."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from urllib3.util.connection import allowed_gai_family

from sheetsync.images.fetch.base import NotRequestedError

GLOBAL_UNICAST = ip_network("2000::/3")  # the part of IPv6 from which public addresses are given out
NAT64 = ip_network("64:ff9b::/96")  # an IPv4 address in the last 32 bits, to which a router translates
ISATAP = (0x00005EFE, 0x02005EFE)  # what precedes an IPv4 address in the last 64 bits
# Networks that the ipaddress module calls global, in one version of Python or another.
NOT_PUBLIC = tuple(
    ip_network(each)
    for each in (
        "168.63.129.16/32",  # Azure's own services, at an address that looks public
        "192.0.0.0/24",  # protocol assignments, and Oracle Cloud's metadata
        "192.88.99.0/24",  # 6to4 relays
        "2001:20::/28",  # ORCHIDv2: identifiers of machines, not addresses
        "3fff::/20",  # documentation
    )
)


class PrivateAddressError(NotRequestedError):
    """A refusal to connect to an address that is not on the public internet.

    Its message is the same for every address, so that a sheet does not reveal which machines the network has.
    """

    def __init__(self) -> None:
        super().__init__("not a public address: allow_private = true under [download] in sheetsync.toml allows it")


def is_public(address: str) -> bool:
    """Return True if an IP address, and every IPv4 address embedded in an IPv6 one, is on the public internet.

    >>> [is_public(each) for each in ("93.184.215.14", "10.0.0.1", "64:ff9b::5db8:d70e", "64:ff9b::a00:1")]
    [True, False, True, False]
    """
    return all(map(_is_global, _embedded(ip_address(address.partition("%")[0]))))


def refuse_private(address: str) -> None:
    """Raise `PrivateAddressError` unless an IP address is public."""
    if not is_public(address):
        raise PrivateAddressError


def refuse_private_host(host: str) -> None:
    """Raise `PrivateAddressError` if a name resolves to a private address here; a proxy may resolve unknown names."""
    with suppress(socket.gaierror, UnicodeError):
        for address in resolve(host, 0):
            refuse_private(address)


def resolve(host: str, port: int) -> list[str]:
    """Resolve a host name (DNS) to IP addresses, in the order in which to try them. It has no timeout.

    Raises `socket.gaierror` for an unknown name, and `UnicodeError` for one that no host can have.
    """
    found = socket.getaddrinfo(host.strip("[]"), port, allowed_gai_family(), socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _embedded(address: IPv4Address | IPv6Address) -> Iterator[IPv4Address | IPv6Address]:
    """Yield the address, unless it only stands for an IPv4 address, and each IPv4 address embedded in it."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None or address in NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
        return
    yield address
    if address.sixtofour is not None:
        yield address.sixtofour
    if int(address) >> 32 & 0xFFFFFFFF in ISATAP:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


def _is_global(address: IPv4Address | IPv6Address) -> bool:
    if address.version == 6 and address not in GLOBAL_UNICAST:
        return False
    return address.is_global and not address.is_multicast and not any(address in each for each in NOT_PUBLIC)
