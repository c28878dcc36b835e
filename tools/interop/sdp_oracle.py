#!/usr/bin/env python3
"""Holds `roger decode` against tshark, and both against what session descriptions were made from.

Some hundred descriptions go to `roger decode --batch`, alone and as bodies of SIP MESSAGEs, and these
through tshark. Whatever tshark tells of a description must be what roger prints. tshark says which
attributes there are, and of which media; what they mean for MSRP the encoder knows alone.
"""

import dataclasses
import json
import random
import subprocess
import sys

import harness
import rp_oracle

HOSTS = ("IN IP4 192.0.2.1", "IN IP6 2001:db8::1", "IN IP4 alice.example.com")
HASHES = {"sha-1": 20, "sha-256": 32, "SHA-512": 64}
LISTS = {"accept-types": ("*", "text/plain", "message/cpim", "text/*", 'a/b;c="d e"'),
         "accept-wrapped-types": ("*", "text/plain", "image/png")}
NAMES = {"accept-types": "accept_types", "accept-wrapped-types": "accept_wrapped_types"}


@dataclasses.dataclass
class Case:
    name: str
    octets: bytes
    facts: dict
    media: list


class Author:
    """Writes descriptions, and what they say, with the same chance each time."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def often(self, odds):
        return self.chance.randrange(odds) == 0

    def common(self, facts):
        """Attributes that a session may have as well."""
        lines = []
        if self.often(3):
            facts["setup"] = self.chance.choice(("active", "passive", "actpass", "holdconn"))
            lines.append(f"a=setup:{facts['setup']}")
        if self.often(3):
            facts["direction"] = self.chance.choice(("sendonly", "recvonly", "sendrecv", "inactive"))
            lines.append(f"a={facts['direction']}")
        prints = [(name, self.chance.randbytes(HASHES[name]))
                  for name in self.chance.sample(sorted(HASHES), self.chance.randrange(3))]
        if prints and self.often(2):
            facts["fingerprints"] = [[name.lower(), value.hex()] for name, value in prints]
            lines += [f"a=fingerprint:{name} {value.hex(':').upper()}" for name, value in prints]
        return lines

    def uri(self, last):
        scheme = self.chance.choice(("msrp", "msrps"))
        host = self.chance.choice(("192.0.2.9", "[2001:db8::9]", "relay.example.com", "u@a.example"))
        session = f"/{self.chance.randbytes(16).hex()}" if last or self.often(2) else ""
        return f"{scheme}://{host}:{self.chance.randrange(1, 65536)}{session};tcp"

    def media(self, above):
        facts = {"media": "message", "proto": self.chance.choice(("TCP/MSRP", "TCP/TLS/MSRP")),
                 "fmt": ["*"], "port": self.chance.choice((0, 9, 2855, 65535)), "port_count": 1,
                 "path": None, "accept_types": None, "accept_wrapped_types": None,
                 "max_size": None, "msrp_cema": False}
        if self.often(4):
            facts |= {"media": "image", "proto": "udptl", "fmt": ["t38", "x"], "port_count": 2}
        ports = f"{facts['port']}/2" if facts["port_count"] == 2 else str(facts["port"])
        head = [f"m={facts['media']} {ports} {facts['proto']} {' '.join(facts['fmt'])}"]
        if self.often(6):
            head.append("i=a title")
        if above["connection"] is None or self.often(3):
            facts["connection"] = self.chance.choice(HOSTS)
            head.append(f"c={facts['connection']}")
        if self.often(6):
            head.append("b=AS:64")
        common, lines = self.common(facts), []
        for name, choices in LISTS.items():
            if not self.often(3):
                facts[NAMES[name]] = self.chance.sample(choices, self.chance.randrange(1, 3))
                lines.append(f"a={name}:{' '.join(facts[NAMES[name]])}")
        if not self.often(3):
            count = self.chance.choice((1, 1, 2, 3))
            facts["path"] = [self.uri(number + 1 == count) for number in range(count)]
            lines.append(f"a=path:{' '.join(facts['path'])}")
        if self.often(2):
            facts["max_size"] = self.chance.choice((0, 1000, 2 ** 32, 2 ** 64 - 1))
            lines.append(f"a=max-size:{facts['max_size']}")
        if self.often(3):
            facts["msrp_cema"] = True
            lines.append("a=msrp-cema")
        if self.often(4):
            lines.append("a=chatroom:nickname private-messages")
        self.chance.shuffle(lines)
        at = self.chance.randrange(len(lines) + 1)
        return above | facts, head + lines[:at] + common + lines[at:]

    def case(self, number):
        ids = [self.chance.randrange(2 ** self.chance.randrange(1, 64)) for _ in range(2)]
        origin = f"{self.chance.choice(('-', 'alice'))} {ids[0]} {ids[1]} {self.chance.choice(HOSTS)}"
        facts = {"origin": origin, "session_id": ids[0], "session_version": ids[1],
                 "session_name": self.chance.choice(("-", " -", "a b")), "connection": None}
        lines = ["v=0", f"o={origin}", f"s={facts['session_name']}"]
        for line in ("i=x", "u=http://a.example/", "e=a@b.example (c)", "p=+1 617 555-6011"):
            if self.often(6):
                lines.append(line)
        if not self.often(3):
            facts["connection"] = self.chance.choice(HOSTS)
            lines.append(f"c={facts['connection']}")
        lines.append(self.chance.choice(("t=0 0", "t=3724394400 3730536000")))
        above = {"setup": None, "direction": None, "fingerprints": [],
                 "connection": facts["connection"]}
        lines += self.common(above)
        media = []
        for _ in range(self.chance.randrange(4)):
            said, below = self.media(above)
            media.append(said)
            lines += below
        facts["media_count"] = len(media)
        end = self.chance.choice(("\r\n", "\r\n", "\n"))
        return Case(f"sdp-{number}", "".join(line + end for line in lines).encode(), facts, media)


def told(dissected):
    """What tshark tells of one description, in the names that roger prints."""
    facts, media, where = {"connection": None}, [], None
    names = {"sdp.owner": "origin", "sdp.session_name": "session_name",
             "sdp.owner.sessionid": "session_id", "sdp.owner.version": "session_version",
             "sdp.media.media": "media", "sdp.media.proto": "proto", "sdp.media.port": "port",
             "sdp.media.portcount": "port_count", "sdp.connection_info": "connection"}
    numbers = ("session_id", "session_version", "port", "port_count")
    attributes = {"setup": None, "direction": None, "fingerprints": []}
    for name, value in dissected:
        if name == "sdp.media":
            where = {"connection": facts["connection"], "port_count": 1, "fmt": [], "path": None,
                     "accept_types": None, "accept_wrapped_types": None, "max_size": None,
                     "msrp_cema": False, "setup": attributes["setup"],
                     "direction": attributes["direction"], "fingerprints": []}
            media.append(where)
        elif name in names:
            fact = names[name]
            (facts if where is None else where)[fact] = int(value) if fact in numbers else value
        elif name == "sdp.media.format":
            where["fmt"].append(value)
        elif name in ("sdp.session_attr", "sdp.media_attr"):
            attribute(value, attributes if where is None else where, where is not None)
    for stream in media:
        stream["fingerprints"] = stream["fingerprints"] or attributes["fingerprints"]
    facts["media_count"] = len(media)
    return facts, media


def attribute(written, facts, is_media):
    name, _, value = written.partition(":")
    if name == "setup":
        facts["setup"] = value
    elif name == "fingerprint":
        function, _, digits = value.partition(" ")
        facts["fingerprints"].append([function.lower(), digits.replace(":", "").lower()])
    elif written in ("sendonly", "recvonly", "sendrecv", "inactive"):
        facts["direction"] = written
    elif is_media and name in NAMES:
        # A space in quotes ends no entry.
        facts[NAMES[name]] = value.replace('"d e"', '"d_e"').split(" ")
        facts[NAMES[name]] = [entry.replace("_", " ") for entry in facts[NAMES[name]]]
    elif is_media and name == "path":
        facts["path"] = value.split(" ")
    elif is_media and name == "max-size":
        facts["max_size"] = int(value)
    elif is_media and name == "msrp-cema":
        facts["msrp_cema"] = True


def decode(roger, directory, cases):
    """What roger prints of each description, alone and as a body."""
    lines = []
    for number, case in enumerate(cases):
        head = rp_oracle.datagram(case, number, "application/sdp")[28:]
        for kind, octets in (("sdp", case.octets), ("sip", head)):
            path = directory / f"{case.name}.{kind}"
            path.write_bytes(octets)
            lines.append(f"{kind}\t{path}\n")
    printed = subprocess.run([str(roger), "decode", "--batch"], input="".join(lines),
                             capture_output=True, text=True, check=True, timeout=60).stdout
    results = [json.loads(line) for line in printed.splitlines()]
    return list(zip(results[::2], results[1::2], strict=True))


def compare(ledger, roger, directory, cases, given):
    """`given` is what roger reads, which a canary changes."""
    comparison = rp_oracle.Comparison(ledger)
    path = directory / "descriptions.pcap"
    rp_oracle.write_capture(path, cases, "application/sdp")
    packets = json.loads(rp_oracle.tshark(path, "json"), object_pairs_hook=list)
    for case, packet, (alone, body) in zip(cases, packets, decode(roger, directory, given),
                                           strict=True):
        dissected = list(rp_oracle.flatten(packet))
        malformed = [name for name, _ in dissected if name.startswith(("_ws.mal", "_ws.expert"))]
        comparison.expect("tshark has nothing to say against it", case, {"notes": malformed},
                          {"notes": []})
        comparison.expect("sdp is taken", case, alone, {"ok": True, "rest": 0})
        if not (alone["ok"] and body["ok"]):
            continue
        item = alone["items"][0]
        comparison.expect("the same as a body of SIP", case, body["items"][0], {"sdp": item})
        facts, media = told(dissected)
        comparison.expect("sdp as it was made", case, item, case.facts)
        comparison.expect("sdp as tshark shows it", case, item, facts)
        for found, meant, shown in zip(item["media"], case.media, media, strict=True):
            comparison.expect("media as they were made", case, found, meant)
            comparison.expect("media as tshark shows them", case, found, shown)
    return comparison.close()


def main():
    options = harness.arguments(__doc__.splitlines()[0])
    ledger = harness.Ledger()
    author = Author(1)
    cases = [author.case(number) for number in range(400)]
    cases = [case for case in cases if not options.only or options.only in case.name]
    given = cases
    if options.canary:
        # One limit is another where roger reads it.
        at = next(at for at, case in enumerate(cases) if b"a=max-size:1000" in case.octets)
        octets = cases[at].octets.replace(b"a=max-size:1000", b"a=max-size:1001")
        given = [*cases[:at], dataclasses.replace(cases[at], octets=octets), *cases[at + 1:]]
    with harness.Directory("sdp", options.keep) as directory:
        compared = compare(ledger, options.roger, directory, cases, given)
    if options.canary:
        expected = {"media as they were made: max_size", "media as tshark shows them: max_size"}
        noticed = set(ledger.failed) == expected
        print(f"canary max-size: {'noticed' if noticed else 'NOT NOTICED'}")
    else:
        shown = sum(count for name, count in compared.items() if "tshark" in name)
        print(f"{len(cases)} descriptions, {sum(compared.values())} facts, {shown} of them told by "
              "tshark")
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
