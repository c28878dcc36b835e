#!/usr/bin/env python3
"""`roger load run` beside tshark: both look at the same run, and must have seen the same.

The generator plays both ends and speaks to itself, with answers of several kinds and with silence,
so that requests are sent again. Meanwhile tshark captures, and then

* requests, retransmissions and responses by status are as many as the generator says;
* each message has the final response that the generator says it had;
* response times fit: the generator looks at its clock before a request is sent and after its response
  was taken, so that what lies between the two packets cannot be longer; and it is not much shorter.

Trains are captured as they are, many datagrams in one packet, so datagrams go one by one here.
"""

import collections
import dataclasses
import json
import re
import subprocess
import sys

import harness
import packets

MESSAGES, RATE = 1_500, 500
MIX = "200:6,480:2,603:1,silent:1"
# Timer F is 64 times that: silence ends soon.
T1 = "50ms"
# What a histogram of three significant digits may be off, and two clock readings beside it.
ERROR, CLOCK_NS = 0.002, 20_000
# A busy machine may take that long to give an end its core, in half of all cases.
HELD_UP_NS = 20_000_000
NAME = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{8}@")


@dataclasses.dataclass
class Message:
    """One SIP message on the wire."""

    at_ns: int
    call_id: str
    status: int

    @property
    def is_request(self):
        return self.status == 0


def captured(capture, port, transport):
    """Every SIP message to or from the sending end, as tshark reads it."""
    command = ["tshark", "-n", "-r", capture.file, "-T", "fields", "-E", "occurrence=a", "-E",
               "aggregator=|", "-Y", f"sip && {transport}.port == {port}"]
    for each in capture.ports:
        command += ["-d", f"{transport}.port=={each},sip"]
    for field in ("frame.time_epoch", "sip.Call-ID", "sip.Method", "sip.Status-Code",
                  "_ws.malformed"):
        command += ["-e", field]
    output = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True,
                            stdin=subprocess.DEVNULL).stdout
    messages, malformed = [], 0
    for line in output.split("\n"):
        if not line:
            continue
        time, call_ids, _, statuses, broken = line.split("\t")
        malformed += bool(broken)
        seconds, fraction = time.split(".")
        at_ns = int(seconds) * 10**9 + int(fraction.ljust(9, "0")[:9])
        statuses = [int(status) for status in statuses.split("|") if status]
        # A packet of a stream may have several messages, all requests or all responses.
        for index, call_id in enumerate(call_ids.split("|")):
            messages.append(Message(at_ns, call_id, statuses[index] if statuses else 0))
    return messages, malformed


def quantile(values, share):
    """The value that so many do not exceed, as a histogram counts."""
    return sorted(values)[max(0, -(-int(len(values) * share * 10_000) // 10_000) - 1)]


def compare(ledger, title, messages, malformed, result):
    """Holds what tshark saw against what the generator says."""
    requests = [message for message in messages if message.is_request]
    responses = [message for message in messages if not message.is_request]
    ledger.equal(f"{title}: nothing is malformed", malformed, 0)
    ledger.check(f"{title}: every message names its run",
                 all(NAME.match(message.call_id) for message in messages))
    ledger.equal(f"{title}: requests", len(requests),
                 result["messages"] + result["retransmissions"])
    ledger.equal(f"{title}: messages", len({message.call_id for message in requests}),
                 result["messages"])
    ledger.equal(f"{title}: responses by status",
                 {str(status): count for status, count
                  in sorted(collections.Counter(it.status for it in responses).items())},
                 result["sender"]["responses"])
    first, final = {}, {}
    for message in messages:
        times = first if message.is_request else final
        times.setdefault(message.call_id, message)
    outcomes = collections.Counter(str(message.status) for message in final.values())
    silent = len(first) - len(final)
    if silent:
        outcomes["unresolved"] = silent
    ledger.equal(f"{title}: outcomes", dict(sorted(outcomes.items())), result["outcomes"])
    taken = [final[each].at_ns - first[each].at_ns for each in final if each in first]
    actual = result["latency"]["actual"]
    ledger.equal(f"{title}: measured messages", len(taken), actual["count"])
    if not taken:
        return
    for name, share in (("p50_ns", 0.5), ("p90_ns", 0.9), ("p99_ns", 0.99), ("max_ns", 1)):
        wire, said = quantile(taken, share), actual[name]
        ledger.check(f"{title}: {name} encloses the packets",
                     wire <= said * (1 + ERROR) + CLOCK_NS, f"{said} ns, but {wire} ns on the wire")
    wire, said = quantile(taken, 0.5), actual["p50_ns"]
    ledger.check(f"{title}: p50_ns is not much longer than the packets say",
                 said <= wire + HELD_UP_NS, f"{said} ns, but {wire} ns on the wire")


def play(options, directory, family, transport):
    """One run with a capture beside it: the messages, the malformed ones, the result."""
    listen, bind = harness.free_ports(2)
    host = harness.endpoint(family, listen)
    command = [options.roger, "load", "run", "--json", "-q", "--plays", "both",
               "--to", f"sip:{host};transport={transport}", "--listen", host,
               "--bind", harness.endpoint(family, bind), "--rate", RATE, "--messages", MESSAGES,
               "--answer", MIX, "--t1", T1, "--driver", "mmsg", "--fail-if", "lost>0"]
    with packets.Capture(directory, [listen, bind], transport) as capture:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        capture.stop()
        if done.returncode != 0:
            raise RuntimeError(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
        messages, malformed = captured(capture, listen, transport)
    return messages, malformed, json.loads(done.stdout)


def broken(messages, malformed, result):
    """The same capture with one thing wrong, for each kind of check."""
    request = next(i for i, message in enumerate(messages) if message.is_request)
    response = next(i for i, message in enumerate(messages) if not message.is_request)

    def without(index):
        return messages[:index] + messages[index + 1:]

    other = dataclasses.replace(messages[response], status=699)
    late = [message if message.is_request
            else dataclasses.replace(message, at_ns=message.at_ns + 10**9) for message in messages]
    early = [dataclasses.replace(message, at_ns=0) for message in messages]
    slow = json.loads(json.dumps(result))
    slow["latency"]["actual"]["p50_ns"] += 10**9
    yield "a request is missing", without(request), malformed, result
    yield "a response is missing", without(response), malformed, result
    yield "a response has another status", [*without(response), other], malformed, result
    yield "responses come later than is said", late, malformed, result
    yield "responses come much earlier than is said", early, malformed, slow
    yield "a packet is malformed", messages, 1, result


def main():
    options = harness.arguments(__doc__)
    ledger = Quiet() if options.canary else harness.Ledger()
    for family in options.family:
        for transport in ("udp", "tcp"):
            title = f"IPv{family} {transport}"
            if options.only and options.only not in title:
                continue
            with harness.Directory("load", options.keep) as directory:
                seen = play(options, directory, family, transport)
            if not options.canary:
                compare(ledger, title, *seen)
                continue
            for name, *altered in broken(*seen):
                quiet = Quiet()
                compare(quiet, title, *altered)
                ledger.check(name, not quiet.failed)
                noticed = "noticed" if quiet.failed else "NOT NOTICED"
                print(f"canary {title}: {name}: {noticed}")
    return ledger.close()


class Quiet(harness.Ledger):
    """A ledger that says nothing."""

    def check(self, name, holds, detail=""):
        if holds:
            self.passed += 1
        else:
            self.failed.append(name)
        return holds


if __name__ == "__main__":
    sys.exit(main())
