#!/usr/bin/env python3
"""What a Large Message costs over MSRP, beside plain TCP that carries the same octets.

A sender and a receiver, each the driver and the endpoint of the product with its ledger, and a pair of bare
programs with the same buffers, taking turns. Then the same pair with Kamailio's relay between them, many idle
sessions, and many slow connections beside a good sender. The method is in perf/README.md. Results go to perf/record/<date>-msrp.md.

    perf/msrp.py                      # everything, about ten minutes
    perf/msrp.py --rounds 1 --seconds 1 --sizes 65536 --sessions 1 --crowd 1000
"""

import argparse
import datetime
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile

import relay

NAMES = {
    "floor": "plain TCP",
    "roger-uring": "roger, io_uring",
    "roger-mmsg": "roger, mmsg",
    "direct": "roger, io_uring, with REPORTs",
    "relayed": "Kamailio's relay between both",
}
DRIVERS = {"roger-uring": "io_uring", "roger-mmsg": "mmsg"}
# Of the octets of plain TCP, with messages of this size.
BUDGET, BUDGET_SIZE = 0.6, 65_536
# What slow connections may do to the 99th percentile of a good one.
CROWDED = 2.0
# Messages of a session that are under way at once.
WINDOWS = {1: 4}
# A relay takes chunks of less than 16 kB; of a thousand sessions it loses a REPORT now and then, which is
# waited for in vain.
RELAYED = [(1_000, 1), (8_000, 1)]
RECEIVER_CPU, SENDER_CPU = "0", "1"


def end(process):
    if process.poll() is None:
        process.kill()
    process.wait()


class Receiver:
    """A receiver that says where it listens, and what came of it when it ends."""

    def __init__(self, options, *command, cpu=RECEIVER_CPU):
        self.process = relay.start(
            cpu, [options.binary, *command, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, text=True)
        self.at = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end(self.process)

    def result(self):
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output)


def run(options, *command):
    """What a program on the core of the sender says."""
    process = relay.start(SENDER_CPU, [options.binary, *command], stdout=subprocess.PIPE, text=True)
    output, _ = process.communicate(timeout=options.seconds + 120)
    return json.loads(output)


def attempt(options, system, size, sessions):
    window = WINDOWS.get(sessions, 1)
    load = ["--size", size, "--sessions", sessions, "--window", window,
            "--seconds", options.seconds]
    if system == "floor":
        receive, send = ["floor-receive", "--size", size], ["floor-send"]
    else:
        driver = ["--driver", DRIVERS[system]]
        receive = ["receive", "--sessions", sessions, "--arriving", sessions * window, *driver]
        send = ["send", *driver]
    with Receiver(options, *receive) as receiver:
        sent = run(options, *send, "--to", receiver.at, *load)
        received = receiver.result()
    seconds = sent["elapsed_ns"] / 1e9
    result = {
        "system": system, "size": size, "sessions": sessions, "sent": sent, "received": received,
        "per_second": sent["messages"] / seconds, "octets": sent["octets"] / seconds,
        "sender_us": sent["cpu_ns"] / 1e3 / sent["messages"],
        "receiver_us": received["cpu_ns"] / 1e3 / received["messages"],
    }
    print(f"{system:12} {size:8,} octets {sessions:5,} sessions  {result['per_second']:10,.0f}/s"
          f"  {result['octets'] / 1e6:8,.1f} MB/s", flush=True)
    return result


def relayed(options, directory, size, sessions):
    """With Kamailio alone on the core of the receiver, and both ends on the other one."""
    port = relay.free_ports(1, socket.SOCK_STREAM)[0]
    at = f"127.0.0.1:{port}"
    config = directory / "msrp_relay.cfg"
    config.write_text((relay.SCENARIOS / "msrp_relay.cfg").read_text().replace("@LISTEN@", at))
    with open(directory / "kamailio.log", "wb") as log:
        kamailio = relay.start(RECEIVER_CPU, [
            "kamailio", "-DD", "-E", "-f", config, "-Y", directory, "-P", directory / "pid",
            "-x", "tlsf", "-X", "tlsf", "-m", 1_024], stdout=log, stderr=log)
    try:
        relay.wait_until_ready(kamailio, port, "tcp")
        return paired(options, "relayed", size, sessions, at, kamailio)
    finally:
        kamailio.terminate()
        kamailio.wait()


def paired(options, system, size, sessions, through=None, kamailio=None):
    """A pair whose proof is a REPORT, directly or through a relay."""
    by = ["--relay", through] if through else []
    window = 8 if sessions == 1 else 1
    with Receiver(options, "receive", "--sessions", sessions, "--arriving", sessions * window, *by,
                  cpu=SENDER_CPU if through else RECEIVER_CPU) as receiver:
        before = relay.cpu_seconds(kamailio.pid) if kamailio else 0
        sent = run(options, "send", "--reports", "--to", receiver.at, *by, "--size", size,
                   "--sessions", sessions, "--window", window, "--seconds", options.seconds)
        between = relay.cpu_seconds(kamailio.pid) - before if kamailio else 0
        if kamailio:
            # The receiver's only connection is the relay's.
            kamailio.terminate()
        received = receiver.result()
    result = {
        "system": system, "sent": sent, "received": received,
        "per_second": sent["messages"] / sent["elapsed_ns"] * 1e9,
        "sender_us": sent["cpu_ns"] / 1e3 / sent["messages"],
        "receiver_us": received["cpu_ns"] / 1e3 / received["messages"],
        "between_us": between * 1e6 / sent["messages"],
    }
    print(f"{system:12} {size:8,} octets {sessions:5,} sessions  {result['per_second']:10,.0f}/s"
          f"  {result['between_us']:6.2f} us between", flush=True)
    return result


def relay_part(options, size, sessions):
    with tempfile.TemporaryDirectory(prefix="msrp-relay-") as directory:
        rounds = [{"direct": paired(options, "direct", size, sessions),
                   "relayed": relayed(options, pathlib.Path(directory), size, sessions)}
                  for _ in range(options.rounds)]
    rows = []
    for system in ("direct", "relayed"):
        own = [each[system] for each in rounds]
        column = lambda name, digits: relay.spread([each[name] for each in own], digits)
        rows.append([NAMES[system], column("per_second", 0), column("sender_us", 2),
                     column("receiver_us", 2),
                     column("between_us", 2) if system == "relayed" else "-"])
    ratio = [each["relayed"]["between_us"] / each["direct"]["receiver_us"] for each in rounds]
    text = relay.table(["system", "messages/s", "CPU us, sender", "CPU us, receiver",
                        "CPU us, relay"], rows)
    text += ("\n\nCPU of the relay / of our receiver without one, a message, within a round: "
             f"{relay.spread(ratio)}")
    return [result for each in rounds for result in each.values()], text


def is_right(result):
    """Every message is decided and delivered, and nothing was allocated."""
    sent, received = result["sent"], result["received"]
    if sent["messages"] != received["messages"]:
        return False
    if result["system"] == "floor":
        return True
    wrong = sent["other"] + sent["undecided"] + received["wrong"]
    return not (wrong or sent["is_lost"] or sent["allocations"] or received["allocations"])


def cost_table(options, rounds):
    rows = []
    for system in options.systems:
        own = [each[system] for each in rounds]
        column = lambda name, digits: relay.spread([each[name] for each in own], digits)
        latency = [each["sent"].get("p99_ns", 0) / 1e3 for each in own]
        counted = [each[side]["allocations"] for each in own for side in ("sent", "received")
                   if "allocations" in each[side]]
        rows.append([
            NAMES[system], column("per_second", 0),
            relay.spread([each["octets"] / 1e6 for each in own], 1),
            column("sender_us", 2), column("receiver_us", 2),
            relay.spread(latency, 0) if any(latency) else "-",
            max(counted, default="-"),
        ])
    return relay.table(["system", "messages/s", "MB/s", "CPU us, sender", "CPU us, receiver",
                        "p99 us", "allocations"], rows)


def ratios(rounds, system):
    return [each[system]["octets"] / each["floor"]["octets"] for each in rounds]


def idle(options):
    """Octets of memory for each of many sessions that have a connection each and are silent."""
    sizes = {}
    for count in (1, options.crowd):
        with Receiver(options, "receive", "--sessions", count, "--connections", count) as receiver:
            crowd = relay.start(SENDER_CPU, [
                options.binary, "crowd", "--to", receiver.at, "--first", 0,
                "--connections", count, "--seconds", 2])
            crowd.wait(timeout=120)
            result = receiver.result()
        assert result["bound"] == count, result
        sizes[count] = result
    (one, many), more = sizes.values(), options.crowd - 1
    grown = lambda name: (many[name] - one[name]) / more
    return relay.table(
        ["idle sessions, each with a connection", "memory (RSS) of all", "per session",
         "of it the endpoint", "added when they come, per session", "allocations"],
        [[f"{options.crowd:,}", f"{many['resident_after'] / 2**20:,.0f} MiB",
          f"{grown('resident_after'):,.0f} octets", f"{grown('endpoint_size'):,.0f} octets",
          f"{(many['resident_after'] - many['resident_ready']) / options.crowd:,.0f} octets",
          many["allocations"]]])


def slow_round(options, is_crowded):
    """The good sender alone, or beside slow connections; the receiver has room for both."""
    sessions = options.crowd + 1
    with Receiver(options, "receive", "--sessions", sessions,
                  "--connections", sessions) as receiver:
        crowd = None
        if is_crowded:
            crowd = relay.start(SENDER_CPU, [
                options.binary, "crowd", "--to", receiver.at, "--first", 1,
                "--connections", options.crowd, "--interval-ms", 10_000,
                "--seconds", options.seconds + 60], stdout=subprocess.PIPE, text=True)
            assert crowd.stdout.readline().strip() == "ready"
        sent = run(options, "send", "--to", receiver.at, "--size", 1_000, "--window", 4,
                   "--seconds", options.seconds)
        received = receiver.result()
        # Nobody of them went before the good sender did, for then its connection would be lost.
        assert received["bound"] == 1 + is_crowded * options.crowd, received
        if crowd:
            crowd.kill()
            crowd.wait()
    print(f"good sender {'beside the slow ones' if is_crowded else 'alone'}: "
          f"p99 {sent['p99_ns'] / 1e3:,.0f} us", flush=True)
    return {"system": "roger-uring", "sent": sent, "received": received}


def slow(options):
    rounds = [{kind: slow_round(options, kind == "crowded") for kind in ("alone", "crowded")}
              for _ in range(options.rounds)]
    value = lambda each, kind, name: each[kind]["sent"][name] / 1e3
    rows = [[name] + [relay.spread([value(each, kind, key) for each in rounds], 0)
                      for key in ("p50_ns", "p99_ns", "max_ns")]
            for kind, name in (("alone", "alone"),
                               ("crowded", f"beside {options.crowd:,} slow connections"))]
    ratio = [value(each, "crowded", "p99_ns") / value(each, "alone", "p99_ns") for each in rounds]
    text = relay.table(["a good sender, 1 kB", "p50 us", "p99 us", "max us"], rows)
    text += f"\n\np99 beside them / p99 alone, within a round: {relay.spread(ratio)}"
    return rounds, text, statistics.median(ratio)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    numbers = lambda text: [int(number) for number in text.split(",")]
    parser.add_argument("--systems", default="floor,roger-uring,roger-mmsg", type=lambda text: text.split(","))
    parser.add_argument("--sizes", default="1000,65536,1048576", type=numbers)
    parser.add_argument("--sessions", default="1,1000", type=numbers)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--crowd", type=int, default=10_000, help="idle and slow ones; 0: none")
    parser.add_argument("--relay", action=argparse.BooleanOptionalAction, default=True,
                        help="whether Kamailio's relay is measured")
    parser.add_argument("--no-build", action="store_true")
    parser.add_argument("--binary", type=pathlib.Path,
                        default=relay.target_directory() / "release" / "msrp-pair")
    parser.add_argument("--record", type=pathlib.Path, help="where the record goes",
                        default=relay.ROOT / "perf" / "record" / f"{datetime.date.today()}-msrp.md")
    return parser.parse_args()


def main():
    options = arguments()
    if not options.no_build:
        subprocess.run(["cargo", "build", "--release", "-p", "relay-bench", "--bin", "msrp-pair"],
                       cwd=relay.ROOT, check=True)
    parts = [f"# Large Messages over MSRP, {options.record.name[:10]}", "",
             f"`{' '.join(['perf/msrp.py', *sys.argv[1:]])}`", "", *relay.machine(), "",
             "One connection on loopback, which all sessions share; the method is in "
             "`perf/README.md`. Medians with [min-max].", ""]
    results, status = [], 0
    for size in options.sizes:
        for sessions in options.sessions:
            rounds = [{system: attempt(options, system, size, sessions)
                       for system in options.systems} for _ in range(options.rounds)]
            results += [result for each in rounds for result in each.values()]
            parts += [f"## {size:,} octets, {sessions:,} session{'s'[:sessions > 1]}: "
                      f"{options.rounds} rounds of {options.seconds} s, interleaved", "",
                      cost_table(options, rounds), ""]
            for system in options.systems:
                if system == "floor" or "floor" not in options.systems:
                    continue
                values = ratios(rounds, system)
                parts += [f"Octets/s of {NAMES[system]} / plain TCP, within a round: "
                          f"{relay.spread(values)}", ""]
                if size == BUDGET_SIZE and statistics.median(values) < BUDGET:
                    print(f"{sessions} sessions: {NAMES[system]} is below the budget of {BUDGET}",
                          file=sys.stderr)
                    status = 1
    for size, sessions in RELAYED if options.relay else ():
        more, text = relay_part(options, size, sessions)
        results += more
        parts += [f"## Beside a relay: {size:,} octets, {sessions:,} "
                  f"session{'s'[:sessions > 1]}", "", text, ""]
    if options.crowd:
        parts += ["## Idle sessions", "", idle(options), ""]
        rounds, text, ratio = slow(options)
        results += [result for each in rounds for result in each.values()]
        parts += ["## Slow connections: an octet in ten seconds each", "", text, ""]
        if ratio > CROWDED:
            print(f"slow connections: p99 is {ratio:.2f} times what it is alone", file=sys.stderr)
            status = 1
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text("\n".join(parts))
    print(f"\n{options.record.read_text()}\nwritten to {options.record}")
    return relay.judge(results, is_right) or status


if __name__ == "__main__":
    sys.exit(main())
