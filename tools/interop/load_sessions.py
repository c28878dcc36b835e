#!/usr/bin/env python3
"""`roger load run` with sessions beside tshark: both look at the same MSRP, and have seen the same.

`roger` is between both ends, and each short message that it sends as a Large Message has a session,
with answers of several kinds and with silence. Meanwhile tshark captures the connections, and then

* chunks, messages, octets, responses and REPORTs by status are as many as the generator says;
* every message of the run is there, by the number in its text;
* as many were told delivered as have 200 to their end, or behind a relay a REPORT of 200.
"""

import collections
import copy
import json
import re
import subprocess
import sys

import harness
import load_check
import msrp_packets
import packets

MESSAGES, RATE = 200, 100
SEND, REPORT = "200:7,413:1,481:1,silent:1", "200:7,413:1,silent:1"
NAME = re.compile(rb"roger: [0-9a-f]{8}-([0-9a-f]{8}) ")
STATUS = re.compile(rb"\r\nStatus: 000 (\d{3})\b")


def by_status(statuses):
    return {str(status): count for status, count in sorted(collections.Counter(statuses).items())}


def compare(ledger, title, seen, own, faults, result, role):
    """Holds what tshark saw against what the generator says."""
    said, ours = result["answerer"]["sessions"], f"msrp://{own}/"
    ledger.equal(f"{title}: nothing is malformed",
                 faults + [str(each) for each in seen if each.told.get("_ws.malformed")], [])
    to_us = [each for each in seen if each.told["msrp.to.path"].startswith(ours)]
    of_us = [each for each in seen if each.told["msrp.from.path"].startswith(ours)]
    chunks = [each for each in to_us if each.told["msrp.method"] == "SEND" and each.frame.body]
    ends = [each for each in chunks if each.told["msrp.cnt.flg"] == "$"]
    ledger.equal(f"{title}: chunks", len(chunks), said["chunks"])
    ledger.equal(f"{title}: messages", len(ends), said["messages"])
    ledger.equal(f"{title}: octets", sum(len(each.frame.body) for each in chunks), said["octets"])
    asked = {each.told["msrp.transaction.id"] for each in chunks}
    responses = [each for each in of_us if each.told["msrp.transaction.id"] in asked
                 and each.told["msrp.status.code"]]
    ledger.equal(f"{title}: responses by status",
                 by_status(each.told["msrp.status.code"] for each in responses),
                 said["send_responses"])
    reports = [each for each in of_us if each.told["msrp.method"] == "REPORT"]
    ledger.equal(f"{title}: REPORTs by status",
                 by_status(STATUS.search(each.frame.octets)[1].decode() for each in reports),
                 said["reports"])
    of_message = {each.told["msrp.messageid"]: int(NAME.search(each.frame.body)[1], 16)
                  for each in ends if NAME.search(each.frame.body)}
    ledger.equal(f"{title}: texts", len(set(of_message.values())), result["messages"])
    if role == "relay":
        proved = {of_message[each.told["msrp.messageid"]] for each in reports
                  if STATUS.search(each.frame.octets)[1] == b"200"}
    else:
        taken = {each.told["msrp.transaction.id"] for each in responses
                 if each.told["msrp.status.code"] == "200"}
        proved = {of_message[each.told["msrp.messageid"]] for each in ends
                  if each.told["msrp.transaction.id"] in taken}
    ledger.equal(f"{title}: delivered", len(proved), result["delivered"])


def play(options, directory, family, role):
    """One run with a capture beside it: frames, our address, what cannot be read, the result."""
    listen, bind, sip, own = harness.free_ports(4)
    listen, bind, sip = (harness.endpoint(family, port) for port in (listen, bind, sip))
    msrp = harness.ports_in_a_row(3)
    settings = harness.Settings(
        t1="50ms", t2="400ms", sync_deadline="2800ms", gateway_lines="pager_max = 500", msrp=role,
        msrp_listen=harness.endpoint(family, msrp),
        large_lines='invite_wait = "1s"\nresponse_wait = "1s"\nreport_wait = "1s"')
    command = [options.roger, "load", "run", "--json", "-q", "--plays", "both", "--profile", "sms",
               "--to", f"sip:{listen}", "--bind", bind, "--listen", sip, "--domain", sip,
               "--t1", settings.t1, "--rate", RATE, "--messages", MESSAGES, "--active", 50,
               "--msrp", harness.endpoint(family, own), "--send", SEND]
    if role == "relay":
        command += ["--report", REPORT]
    config = harness.configuration(settings, listen, bind, sip, directory)
    with harness.Roger(options.roger, directory, config), \
            packets.Capture(directory, [msrp, msrp + 1, msrp + 2, own], "tcp") as capture:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL)
        capture.stop()
        if done.returncode != 0:
            raise RuntimeError(f"exit status {done.returncode}: {done.stdout}{done.stderr}")
        faults = []
        seen = msrp_packets.frames(capture.file, capture.ports, faults)
        msrp_packets.dissect(directory, seen)
    return seen, harness.endpoint(family, own), faults, json.loads(done.stdout)


def broken(seen, own, faults, result):
    """The same capture with one thing wrong, for each kind of check."""
    def without(wanted):
        index = next(i for i, each in enumerate(seen) if wanted(each))
        return seen[:index] + seen[index + 1:]

    def is_end(each):
        return each.told["msrp.method"] == "SEND" and each.frame.body

    def is_response(each):
        ours = each.told["msrp.from.path"].startswith(f"msrp://{own}/")
        return ours and each.told["msrp.status.code"]

    other = copy.deepcopy(result)
    other["delivered"] += 1
    yield "a chunk is missing", without(is_end), own, faults, result
    yield "a response is missing", without(is_response), own, faults, result
    yield "a REPORT is missing", without(lambda it: it.told["msrp.method"] == "REPORT"), own, \
        faults, result
    yield "one more is told delivered", seen, own, faults, other
    yield "a connection is malformed", seen, own, ["malformed"], result


def main():
    options = harness.arguments(__doc__)
    ledger = load_check.Quiet() if options.canary else harness.Ledger()
    for family in options.family:
        for role in ("endpoint", "relay"):
            title = f"IPv{family} {role}"
            if options.only and options.only not in title:
                continue
            with harness.Directory("load-sessions", options.keep) as directory:
                seen = play(options, directory, family, role)
            if not options.canary:
                compare(ledger, title, *seen, role)
                continue
            for name, *altered in broken(*seen):
                quiet = load_check.Quiet()
                compare(quiet, title, *altered, role)
                ledger.check(name, not quiet.failed)
                noticed = "noticed" if quiet.failed else "NOT NOTICED"
                print(f"canary {title}: {name}: {noticed}")
    return ledger.close()


if __name__ == "__main__":
    sys.exit(main())
