#!/usr/bin/env python3
"""Measures what load generators can do: `roger load run` and SIPp, each at both ends.

Nothing is tested between the ends, and each end has a core. A ladder of rates is climbed in several
rounds, one generator after the other. A rung holds when all rounds had every message answered, none
sent again, and at least 97 % of the rate. A round in which that was not so is done once more, which is
counted: neighbours may have had the core. The first rung that does not hold ends the climb. See
README.md in this directory.

    perf/load.py                                    everything, about ten minutes
    perf/load.py --seconds 2 --only sipp-udp,roger-udp-plain,roger-udp-mmsg
"""

import argparse
import datetime
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

from relay import SCENARIOS, free_ports, machine, start, target_directory

ANSWERER_CPU, SENDER_CPU = "0", "1"
# What is said instead of leaving it to roger, which over UDP would send trains.
DRIVERS = {"roger-udp-plain": "io_uring", "roger-udp-mmsg": "mmsg"}
LADDERS = {
    "sipp-udp": [50, 60, 70, 80, 90],
    "sipp-tcp": [60, 70, 80, 90, 100],
    "roger-udp-plain": [150, 175, 200, 225, 250, 275],
    "roger-udp-mmsg": [175, 200, 225, 250, 275, 300],
    "roger-udp": [300, 500, 700, 900, 1_100],
    "roger-tcp": [300, 500, 700, 800, 900],
}
NAMES = {
    "sipp-udp": "SIPp, UDP",
    "sipp-tcp": "SIPp, TCP",
    "roger-udp-plain": "roger, UDP, datagrams one by one (io_uring)",
    "roger-udp-mmsg": "roger, UDP, datagrams one by one (mmsg)",
    "roger-udp": "roger, UDP, trains",
    "roger-tcp": "roger, TCP (io_uring)",
}


class Rung:
    """What came of one generator at one rate."""

    def __init__(self, achieved, failed, repeated, p50_us=None, p99_us=None):
        self.achieved, self.failed, self.repeated = achieved, failed, repeated
        self.p50_us, self.p99_us = p50_us, p99_us

    def holds(self, rate):
        return not self.failed and not self.repeated and self.achieved >= 0.97 * rate


def roger(options, name, rate):
    target = "self;transport=tcp" if name.endswith("tcp") else "self"
    more = ["--driver", DRIVERS[name]] if name in DRIVERS else []
    command = [options.roger, "load", "run", "--json", "-q", "--plays", "both", "--to", target,
               "--rate", rate, "--for", f"{options.seconds}s", "--warmup", "500ms",
               "--cpu", f"{SENDER_CPU},{ANSWERER_CPU}", *more]
    # Each end pins itself.
    child = start(f"{ANSWERER_CPU},{SENDER_CPU}", command, stdout=subprocess.PIPE,
                  stderr=subprocess.DEVNULL)
    output, _ = child.communicate(timeout=120)
    result = json.loads(output)
    audit = result["audit"]
    faults = sum(audit[each] for each in ("lost", "duplicated", "false", "wrong"))
    latency = result["latency"]["intended"]
    return Rung(result["achieved"], result["failed"] + result["unresolved"] + faults,
                result["retransmissions"], latency["p50_ns"] / 1e3, latency["p99_ns"] / 1e3)


def sipp(options, name, rate):
    transport = "t1" if name.endswith("tcp") else "u1"
    own, other = free_ports(2)
    calls = rate * options.seconds
    with tempfile.TemporaryDirectory() as directory:
        common = ["-i", "127.0.0.1", "-t", transport, "-m", calls, "-nostdin", "-buff_size",
                  8_000_000]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": directory,
                 "stdin": subprocess.DEVNULL}
        answerer = start(ANSWERER_CPU, ["sipp", "-sf", SCENARIOS / "sipp_uas.xml", "-p", other,
                                        *common], **quiet)
        time.sleep(0.4)
        sender = start(SENDER_CPU, ["sipp", "-sf", SCENARIOS / "sipp_uac.xml", "-p", own, "-r",
                                    rate, "-rp", 1_000, "-l", 100_000,
                                    "-timeout", f"{options.seconds + 3}s",
                                    "-trace_stat", "-stf", "stat.csv", "-fd", 1, *common,
                                    f"127.0.0.1:{other}"], **quiet)
        try:
            sender.wait(timeout=options.seconds + 10)
        except subprocess.TimeoutExpired:
            # It cannot keep the rate, and what it has written so far says so.
            pass
        finally:
            for each in (sender, answerer):
                each.kill()
                each.wait()
        rows = (pathlib.Path(directory) / "stat.csv").read_text().splitlines()
    row = dict(zip(rows[0].split(";"), rows[-1].split(";")))
    done, failed = int(row["SuccessfulCall(C)"]), int(row["FailedCall(C)"])
    # Its own CallRate(C) contains the start: a second more or less is a share of a short run.
    rates = [float(dict(zip(rows[0].split(";"), each.split(";")))["CallRate(P)"])
             for each in rows[2:-2]]
    achieved = statistics.median(rates) if rates else float(row["CallRate(C)"])
    return Rung(achieved, failed + (calls - done - failed), int(row["Retransmissions(C)"]))


def step(options, name, rate):
    """One round on a rung."""
    rung = (sipp if name.startswith("sipp") else roger)(options, name, rate)
    print(f"{NAMES[name]}: {rate:,}/s: achieved {rung.achieved:,.0f}, failed {rung.failed:,}, sent "
          f"again {rung.repeated:,}", file=sys.stderr)
    return rung


def climb(options, name):
    """The highest rate at which every round held, the rounds there, and how many rounds on the whole
    way up to it were done once more."""
    best, again = (0, [], 0), 0
    for thousands in LADDERS[name]:
        rate = thousands * 1_000
        rungs = []
        for _ in range(options.rounds):
            rung = step(options, name, rate)
            if not rung.holds(rate):
                again += 1
                rung = step(options, name, rate)
            if not rung.holds(rate):
                return best
            rungs.append(rung)
        best = (rate, rungs, again)
    return best


def report(options, found):
    """A table for the record."""
    lines = [f"# Load generators, {datetime.date.today()}", "",
             f"`{' '.join(['perf/load.py', *sys.argv[1:]])}`", "", *options.machine, "",
             f"Both ends on a core of their own, {options.rounds} rounds of {options.seconds} s a "
             "rung; the ladders are in thousands a second: "
             + "; ".join(f"{NAMES[name]} {', '.join(map(str, LADDERS[name]))}" for name in found)
             + ".", "",
             "| generator, both ends | messages/s without a failure | rounds done again | against SIPp "
             "| p50 | p99 |",
             "|---|---|---|---|---|---|"]
    for name, (rate, rungs, again) in found.items():
        peer = found.get("sipp-tcp" if name.endswith("tcp") else "sipp-udp", (0, [], 0))[0]
        ratio = f"{rate / peer:.1f}x" if peer and name.startswith("roger") else ""
        latencies = ["", ""]
        if rungs and rungs[0].p50_us is not None:
            latencies = [f"{statistics.median(values):,.0f} us" for values in
                         ([rung.p50_us for rung in rungs], [rung.p99_us for rung in rungs])]
        lines.append(f"| {NAMES[name]} | {rate:,} | {again} | {ratio} | {latencies[0]} | {latencies[1]} |")
    lines += ["", "SIPp's own latencies come in steps of its clock, 4 ms, and from the actual send."]
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--roger", type=pathlib.Path,
                        default=target_directory() / "release" / "roger")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default=",".join(LADDERS), help="generators, with commas")
    parser.add_argument("--record", type=pathlib.Path, help="write the table there as well")
    options = parser.parse_args()
    options.machine = machine()
    found = {name: climb(options, name) for name in LADDERS if name in options.only.split(",")}
    text = report(options, found)
    print(text, end="")
    if options.record:
        options.record.write_text(text)


if __name__ == "__main__":
    main()
