"""SIP over UDP for scripts: somebody who sends, waits for something to arrive, and answers.

An actor takes its datagrams when the script waits for one of them. A request that comes again gets
the same octets as an answer, as a server transaction has it (RFC 3261 section 17.2.2).
"""

import dataclasses
import hashlib
import re
import socket
import time

import harness

# Longer than anything takes that is going to happen.
PATIENCE = 30
COMPACT = {"v": "via", "f": "from", "t": "to", "i": "call-id", "l": "content-length",
           "c": "content-type", "m": "contact"}


class Message:
    """A request or a response, and where it came from."""

    def __init__(self, octets, source=None):
        self.octets, self.source = octets, source
        head, _, self.body = octets.partition(b"\r\n\r\n")
        self.start, *lines = head.decode().split("\r\n")
        self.fields = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.fields.append((COMPACT.get(name, name), value.strip()))

    def values(self, name):
        return [value for found, value in self.fields if found == name]

    def value(self, name):
        return next(iter(self.values(name)), "")

    @property
    def is_response(self):
        return self.start.startswith("SIP/2.0 ")

    @property
    def status(self):
        return int(self.start.split()[1])

    @property
    def uri(self):
        return self.start.split()[1]

    @property
    def branch(self):
        return re.search("branch=([^;]*)", self.value("via"))[1]


def response(request, status, tag, extra=()):
    """A response without a body."""
    lines = [f"SIP/2.0 {status} Answered"]
    lines += [f"Via: {value}" for value in request.values("via")]
    lines += [f"From: {request.value('from')}", f"To: {request.value('to')};tag={tag}",
              f"Call-ID: {request.value('call-id')}", f"CSeq: {request.value('cseq')}",
              *extra, "Content-Length: 0", "", ""]
    return "\r\n".join(lines).encode()


class Actor:
    """One address."""

    def __init__(self, name, family, port):
        self.name, self.port, self.family = name, port, family
        self.address = (harness.LOOPBACK[family], port)
        kind = {4: socket.AF_INET, 6: socket.AF_INET6}[family]
        self.socket = socket.socket(kind, socket.SOCK_DGRAM)
        self.socket.bind(self.address)
        self.sent_by = harness.endpoint(family, port)
        # In the order of their first arrival, by branch.
        self.requests, self.responses, self.answers = {}, {}, {}
        self.repeated = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, octets, to):
        self.socket.sendto(octets, to)

    def wait(self, what, found):
        """Takes datagrams until `found` finds something, which is returned."""
        deadline = time.monotonic() + PATIENCE
        while not (result := found()):
            self.socket.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                octets, source = self.socket.recvfrom(65_536)
            except TimeoutError:
                raise TimeoutError(f"{self.name}: no {what} within {PATIENCE} s") from None
            self.take(Message(octets, source[:2]))
        return result

    def take(self, message):
        branch = message.branch
        if message.is_response:
            self.responses.setdefault(branch, []).append(message)
        elif branch not in self.requests:
            self.requests[branch] = message
        else:
            self.repeated += 1
            if self.answers.get(branch):
                self.send(self.answers[branch], message.source)

    def request(self, what, wanted):
        """The first request that `wanted` holds of and that has no answer yet."""
        def found():
            return next((request for branch, request in self.requests.items()
                         if branch not in self.answers and wanted(request)), None)
        return self.wait(what, found)

    def final(self, branch):
        return self.wait("final response", lambda: next(
            (each for each in self.responses.get(branch, []) if each.status >= 200), None))

    def answer(self, request, status, extra=()):
        self.answers[request.branch] = response(request, status, self.name, extra)
        self.send(self.answers[request.branch], request.source)

    def ignore(self, request):
        """Never answers it."""
        self.answers[request.branch] = None


@dataclasses.dataclass(frozen=True)
class Challenge:
    """Who asks for credentials, and how (RFC 3261 section 22, RFC 7616, RFC 8760)."""

    status: int
    algorithm: str | None
    qop: bool
    realm: str = "im.example.net"
    nonce: str = "dcd98b7102dd2f0e8b11d0f600bfb0c093"
    opaque: str = "5ccc069c403ebaf9f0171e9517f40e41"

    def field(self):
        name = "WWW-Authenticate" if self.status == 401 else "Proxy-Authenticate"
        parts = [f'realm="{self.realm}"', f'nonce="{self.nonce}"', f'opaque="{self.opaque}"']
        parts += [f"algorithm={self.algorithm}"] if self.algorithm else []
        parts += ['qop="auth,auth-int"'] if self.qop else []
        return f"{name}: Digest {', '.join(parts)}"

    def faults(self, request, username, password):
        """What is wrong with the credentials in a request; nothing if they are right."""
        name = "authorization" if self.status == 401 else "proxy-authorization"
        scheme, _, rest = request.value(name).partition(" ")
        pairs = re.findall(r'(\w+)=(?:"([^"]*)"|([^", ]+))', rest)
        said = {name: quoted or plain for name, quoted, plain in pairs}

        def hashed(*parts):
            function = hashlib.sha256 if self.algorithm == "SHA-256" else hashlib.md5
            return function(":".join(parts).encode()).hexdigest()

        secret = hashed(username, self.realm, password)
        asked = hashed(request.value("cseq").split()[1], request.uri)
        if self.qop:
            middle = (self.nonce, said.get("nc", ""), said.get("cnonce", ""), "auth")
        else:
            middle = (self.nonce,)
        expected = {"username": username, "realm": self.realm, "nonce": self.nonce,
                    "uri": request.uri, "opaque": self.opaque,
                    "response": hashed(secret, *middle, asked)}
        expected |= {"algorithm": self.algorithm} if self.algorithm else {}
        expected |= {"qop": "auth", "nc": "00000001"} if self.qop else {}
        wrong = {name: said.get(name) for name, value in expected.items()
                 if said.get(name) != value}
        if scheme != "Digest":
            wrong["scheme"] = scheme
        if self.qop and not said.get("cnonce"):
            wrong["cnonce"] = None
        return wrong
