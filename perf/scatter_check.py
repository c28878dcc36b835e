#!/usr/bin/env python3
"""Checks that perf/scatter.py does from outside what it says, on groups of sockets of its own."""

import ipaddress
import pathlib
import select
import socket
import subprocess
import sys

import scatter

COUNT = 4
DATAGRAMS = 4_000
SCATTER = pathlib.Path(__file__).with_name("scatter.py")


class Group:
    """Sockets on one port in their order, and somebody who always sends from the same one."""

    def __init__(self, address):
        self.address = ipaddress.ip_address(address)
        family = socket.AF_INET if self.address.version == 4 else socket.AF_INET6
        # Of those who would share theirs, the kernel finds each other's ports free.
        with socket.socket(family, socket.SOCK_DGRAM) as alone:
            alone.bind((address, 0))
            self.port = alone.getsockname()[1]
        self.members = [scatter.open_member(self.address, self.port) for _ in range(COUNT)]
        self.sender = self.open_sender()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in [*self.members, self.sender]:
            each.close()

    def open_sender(self):
        sender = socket.socket(self.members[0].family, socket.SOCK_DGRAM)
        sender.bind((str(self.address), 0))
        return sender

    def scatter(self, *options):
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        command = [sys.executable, "-B", SCATTER, f"{host}:{self.port}", *map(str, options)]
        return subprocess.run(command, capture_output=True, text=True)

    def send(self, datagrams):
        """What each member got of them, which is all."""
        got = [[] for _ in self.members]
        for datagram in datagrams:
            self.sender.sendto(datagram, (str(self.address), self.port))
            ready, _, _ = select.select(self.members, [], [], 10)
            for member in ready:
                got[self.members.index(member)].append(member.recv(100))
        assert sorted(sum(got, [])) == sorted(datagrams), "some were lost"
        return got


def at_random(group):
    shares = [len(got) for got in group.send(DATAGRAMS * [b"always the same"])]
    assert max(shares) == DATAGRAMS, f"spread without a program: {shares}"
    ended = group.scatter(COUNT)
    assert ended.returncode == 0, ended.stderr
    shares = [len(got) for got in group.send(DATAGRAMS * [b"always the same"])]
    even = DATAGRAMS / COUNT
    assert all(abs(share - even) < even / 5 for share in shares), shares
    ended = group.scatter(2)
    assert ended.returncode == 0, ended.stderr
    shares = [len(got) for got in group.send(DATAGRAMS * [b"always the same"])]
    assert shares[2:] == [0, 0] and min(shares[:2]) > 0, shares


def by_octet(group):
    ended = group.scatter(COUNT, "--by-octet", 6)
    assert ended.returncode == 0, ended.stderr
    for index, got in enumerate(group.send([b"number%d" % (number % 10) for number in range(100)])):
        assert {int(octets[6:]) % COUNT for octets in got} == {index}, (index, got)
    # Too short for that octet: by the kernel's hash, which differs from port to port.
    shares = [0] * COUNT
    for _ in range(60):
        group.sender.close()
        group.sender = group.open_sender()
        shares = [share + len(got) for share, got in zip(shares, group.send([b"number"]))]
    assert min(shares) > 0, shares


def refused(group):
    """Where it would do nothing, or harm, it does not begin."""
    ended = group.scatter(COUNT + 1)
    assert ended.returncode == 1 and "4 sockets listen" in ended.stderr, ended
    with Group(str(group.address)) as gone:
        pass
    ended = gone.scatter(1)
    assert ended.returncode == 1 and "0 sockets listen" in ended.stderr, ended
    assert group.scatter(0).returncode == 2


def main():
    passed = failed = 0
    for address in ("127.0.0.1", "::1"):
        for case in (at_random, by_octet, refused):
            with Group(address) as group:
                try:
                    case(group)
                    passed += 1
                except AssertionError as error:
                    failed += 1
                    print(f"FAILED {case.__name__} on {address}: {error}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
