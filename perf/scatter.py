#!/usr/bin/env python3
"""Scatters the datagrams of a running program over its workers, from outside of it.

    perf/scatter.py 127.0.0.1:5060 4                  each to any of the first four sockets
    perf/scatter.py [::1]:5060 2 --by-octet 92        to the socket that octet 92 says, modulo 2

It joins the SO_REUSEPORT group of UDP sockets on that address, attaches a classic BPF program to
the group, and leaves. The program stays until another takes its place or the group is gone; the
sockets keep their order, which is the order in which they were bound. ASCII digits modulo 2, 4, 8
or 16 are the digit itself. A datagram without that octet goes where the kernel likes.

The user must be the one who runs the program, and the address the one that it listens on, octet for
octet. While it is a member, which takes less than a millisecond, datagrams may come to it: those
are lost, counted, and make it fail. So scatter before the load, or where losses are allowed.
"""

import argparse
import contextlib
import ctypes
import ipaddress
import pathlib
import socket
import struct
import sys

# asm-generic/socket.h, linux/filter.h, linux/bpf_common.h
SO_ATTACH_REUSEPORT_CBPF = 51
LOAD_LENGTH = 0x80  # BPF_LD | BPF_W | BPF_LEN
LOAD_WORD, LOAD_OCTET = 0x20, 0x30  # BPF_LD | BPF_ABS | BPF_W or BPF_B
MODULO = 0x94  # BPF_ALU | BPF_MOD | BPF_K
JUMP_IF_GREATER = 0x25  # BPF_JMP | BPF_JGT | BPF_K
RETURN, RETURN_A = 0x06, 0x16  # BPF_RET | BPF_K or BPF_A
RANDOM = 0xFFFFF000 + 56  # SKF_AD_OFF + SKF_AD_RANDOM
BEYOND = 0xFFFFFFFF


def at_random(count):
    return [(LOAD_WORD, 0, 0, RANDOM), (MODULO, 0, 0, count), (RETURN_A, 0, 0, 0)]


def by_octet(offset, count):
    # A load past the end would mean the first socket.
    return [(LOAD_LENGTH, 0, 0, 0), (JUMP_IF_GREATER, 1, 0, offset), (RETURN, 0, 0, BEYOND),
            (LOAD_OCTET, 0, 0, offset), (MODULO, 0, 0, count), (RETURN_A, 0, 0, 0)]


def attach(member, program):
    """Gives the group of a socket a program: (code, jump if true, jump if false, k) each."""
    octets = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    held = ctypes.create_string_buffer(octets, len(octets))
    value = struct.pack("@HP", len(program), ctypes.addressof(held))
    member.setsockopt(socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, value)


def open_member(address, port):
    """A socket in the group of an address, as roger opens its own."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    member = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET6:
        member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    member.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    member.bind((str(address), port))
    return member


def listening(address, port):
    """How many UDP sockets are bound to exactly this."""
    words = struct.unpack(f"={len(address.packed) // 4}I", address.packed)
    wanted = "".join(f"{word:08X}" for word in words) + f":{port:04X}"
    table = pathlib.Path("/proc/net/udp" if address.version == 4 else "/proc/net/udp6")
    return sum(line.split()[1] == wanted for line in table.read_text().splitlines()[1:])


def scatter(address, port, program, count):
    """Puts the program there; returns how many datagrams came here meanwhile."""
    # Bound to an address of its own it would be a group of its own, and take what is not its own.
    found = listening(address, port)
    if found < count:
        sys.exit(f"{found} sockets listen on {address} port {port}, {count} are wanted")
    lost = 0
    with open_member(address, port) as member:
        attach(member, program)
        member.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                member.recv(1)
                lost += 1
    return lost


def endpoint(text):
    address, _, port = text.rpartition(":")
    return ipaddress.ip_address(address.removeprefix("[").removesuffix("]")), int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("endpoint", type=endpoint, metavar="ADDRESS:PORT")
    parser.add_argument("count", type=int, metavar="N", help="sockets, from the first one on")
    parser.add_argument("--by-octet", type=int, metavar="OFFSET",
                        help="by this octet of the datagram, from 0, modulo N")
    options = parser.parse_args()
    if options.count < 1:
        parser.error("at least one socket is needed")
    program = (at_random(options.count) if options.by_octet is None
               else by_octet(options.by_octet, options.count))
    if lost := scatter(*options.endpoint, program, options.count):
        sys.exit(f"{lost} datagrams came here and are lost")


if __name__ == "__main__":
    sys.exit(main())
