#!/usr/bin/env python3
"""What strangers on connections do to good traffic: latency alone, and beside each kind of them.

Good traffic is an open loop over one TCP trunk, or over UDP. Beside it there are 1,000 connections
that send one octet of a message a second, 1,000 connections that are opened and closed a second, or
10,000 connections that say nothing. The method is in perf/README.md. Results go to
perf/record/<date>-abuse.md.

    perf/abuse.py                          # five rounds of everything, about nine minutes
    perf/abuse.py --rounds 1 --seconds 3 --transports tcp
"""

import copy
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile

import relay

# What the driver is told, and how many seconds it warms up. A slow connection is closed ten seconds
# after its first octet, and the thousand have sent theirs within one: so that they are closed and come
# again in the window, it begins when the first of them is about to be.
KINDS = {
    "alone": ("alone", [], 2.0),
    "slow": ("beside 1,000 slow connections", ["--slow", "1000"], 9.5),
    "churn": ("beside 1,000 connects a second", ["--churn", "1000"], 2.0),
    "idle": ("beside 10,000 idle connections", ["--idle", "10000"], 2.0),
}
SECONDS_MIN = 3
# What starting, connecting, draining and ending take, in seconds.
AROUND = 2.0
CONNECTIONS, FILES = 12_000, 12_500
COUNTERS = ("allocations", "connections_accepted", "connections_refused", "connections_ended",
            "connections_reset", "closed_slow", "closed_idle", "closed_no_room", "closed_unread",
            "closed_unframed", "accept_errors", "receive_no_buffers", "turn_longest_ns")
# Of these there must be none.
NEVER = ("allocations", "connections_refused", "accept_errors", "closed_no_room", "closed_unread",
         "closed_unframed")
# How much higher the 99th percentile may be than alone.
BUDGET = 2.0


def allow_files():
    """Lets both programs have a descriptor for each connection."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        sys.exit(f"{FILES} open files are needed, and at most {hard} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, FILES), hard))


def start(options, directory, connections):
    system = relay.System("roger-uring", directory, options)
    config = system.fill(
        "roger-abuse.toml", listen=system.listen, sms=system.sms, im=system.im,
        socket=directory / "status", cpu=relay.SYSTEM_CPU, polling=options.polling,
        driver=options.driver, transport=options.transport, connections=connections)
    log = open(directory / "log", "w+")
    binary = relay.target_directory() / "release" / "roger"
    process = relay.start(relay.SYSTEM_CPU, [binary, "run", "--config", config],
                          stdout=log, stderr=log)
    relay.wait_until_ready(process, system.port, options.transport,
                           spins=options.polling == "spin")
    return system, process, log


def attempt(kind, transport, options):
    one = copy.copy(options)
    one.transport = transport
    with tempfile.TemporaryDirectory(prefix="abuse-") as directory:
        directory = pathlib.Path(directory)
        system, process, log = start(one, directory, CONNECTIONS)
        try:
            driver = relay.start(relay.DRIVER_CPU, [
                relay.target_directory() / "release" / "lean-driver", "--target", system.listen,
                "--transport", transport, "--sms", system.sms, "--im", system.im,
                "--process", process.pid, "--seconds", one.seconds, "--rate", one.rate,
                "--warm", KINDS[kind][2], *KINDS[kind][1],
            ], stdout=subprocess.PIPE, text=True)
            output, _ = driver.communicate(timeout=one.seconds + 120)
            if not output:
                sys.exit(f"the driver ended with {driver.returncode} beside {kind}")
            result = json.loads(output) | {
                "kind": kind, "transport": transport, "ok": driver.returncode == 0,
                "resident": relay.resident_mib(process.pid), "counters": system.look()}
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read()[-4000:])
            raise
        finally:
            relay.stop(process)
    latency = result["latency_us"]
    print(f"{transport} {kind:6} p50 {latency['p50']:8,.1f} us  p99 {latency['p99']:9,.1f} us"
          f"  lateness p99 {result['lateness_us']['p99']:,.1f} us  busy {result['busy']:.2f}"
          f" disturbed {relay.disturbance(result):.3f}"
          f"  {result['strangers']} idle {result['idle_left']}", flush=True)
    return result


def measure(kind, transport, options):
    """One run; another one when too much was taken from it, while there are such runs left."""
    while True:
        result = attempt(kind, transport, options)
        if relay.disturbance(result) <= options.disturbed or options.again == 0:
            return result
        options.again -= 1
        print(f"{transport} {kind:6} again: {options.again} such runs are left", flush=True)


def expect(options):
    """Says how long it all takes, and how long at most."""
    kinds = options.rounds * len(options.transports) * len(options.kinds)
    if options.again is None:
        options.again = kinds // 3
    warm = {kind: KINDS[kind][2] for kind in options.kinds}
    each = AROUND + options.seconds
    whole = (sum(warm.values()) / len(warm) + each) * kinds
    most = whole + (max(warm.values()) + each) * options.again
    print(f"{kinds} runs, about {whole / 60:.1f} minutes, at most {most / 60:.1f}", flush=True)


def default_resident(options):
    """What a process takes that was given room for 1,024 connections, the default."""
    one = copy.copy(options)
    one.transport = "tcp"
    with tempfile.TemporaryDirectory(prefix="abuse-") as directory:
        _, process, _ = start(one, pathlib.Path(directory), 1_024)
        try:
            return relay.resident_mib(process.pid)
        finally:
            relay.stop(process)


def results_table(rounds, kinds):
    rows = []
    for kind in kinds:
        own = [each[kind] for each in rounds]
        values = {name: relay.spread([each["latency_us"][name] for each in own], 1)
                  for name in ("p50", "p99", "p999")}
        ratio = {name: relay.spread([each[kind]["latency_us"][name]
                                     / each["alone"]["latency_us"][name] for each in rounds])
                 for name in ("p50", "p99")}
        rows.append([
            KINDS[kind][0], len(own), values["p50"], values["p99"], values["p999"],
            ratio["p50"], ratio["p99"],
            relay.spread([each["lateness_us"]["p99"] for each in own], 1),
            relay.spread([each["busy"] for each in own]),
            relay.spread([relay.disturbance(each) for each in own], 3),
            f"{sum(each['completed'] for each in own):,}",
            sum(each["unanswered"] + each["wrong"] + each["overruns"] for each in own),
            relay.spread([each["resident"] for each in own], 0),
        ])
    return relay.table(
        ["good traffic", "runs", "p50 us", "p99 us", "p99.9 us", "p50 / alone", "p99 / alone",
         "lateness p99 us", "busy", "disturbed", "complete", "unanswered, wrong or overrun",
         "resident MiB"], rows)


def counters_table(rounds, kinds):
    rows = []
    for kind in kinds:
        own = [each[kind] for each in rounds]
        did = {name: sum(each["strangers"][name] for each in own) for name in own[0]["strangers"]}
        counted = {name: max(each["counters"][name] for each in own) for name in COUNTERS}
        rows.append([KINDS[kind][0], f"{did['opened']:,}", f"{did['octets']:,}", did["lost"],
                     did["failed"], min(each["idle_left"] for each in own),
                     ", ".join(f"{name} {count:,}" for name, count in counted.items() if count)])
    return relay.table(["good traffic", "opened in the windows", "octets", "closed on them",
                        "failed", "silent ones left", "most that roger counted in a run"], rows)


def is_right(result):
    """All good traffic was answered, and the strangers did what they are there for."""
    did, kind, seconds = result["strangers"], result["kind"], result["seconds"]
    if not result["ok"] or result["overruns"] or did["failed"]:
        return False
    if any(result["counters"][name] for name in NEVER):
        return False
    return {
        "alone": not did["opened"] and not did["octets"],
        "slow": (did["octets"] + did["lost"] > 900 * seconds
                 and result["counters"]["closed_slow"] > 900),
        "churn": did["opened"] > 900 * seconds,
        "idle": result["idle_left"] == 10_000,
    }[kind]


def main():
    options = relay.arguments(__doc__.splitlines()[0], "abuse", {"roger-uring": ""}, {
        "--transports": {"default": "tcp,udp", "type": lambda text: text.split(",")},
        "--kinds": {"default": ",".join(KINDS), "type": lambda text: text.split(",")},
        "--polling": {"default": "adaptive", "choices": ["spin", "adaptive", "wait"],
                      "help": "what roger does in turns without work"},
        "--driver": {"default": "io_uring", "help": "how roger moves octets"},
        "--again": {"type": int, "help": "how many disturbed runs are done again, in all; a third"},
    }, seconds=5, disturbed=0.01)
    if options.seconds < SECONDS_MIN:
        sys.exit(f"slow connections are closed within {SECONDS_MIN} seconds, not {options.seconds}")
    options.rate, options.counters = options.rate or 5_000, COUNTERS
    if "alone" not in options.kinds:
        options.kinds.insert(0, "alone")
    allow_files()
    if not options.no_build:
        relay.build(["roger"])
    expect(options)
    parts = ["# Strangers on connections, " + options.record.name[:10], "",
             f"`{' '.join(['perf/abuse.py', *sys.argv[1:]])}`", "", *relay.machine(), "",
             f"Relay of {options.rate:,} messages a second in an open loop, roger on {options.driver} "
             f"with polling = \"{options.polling}\" and room for {CONNECTIONS:,} connections; latency "
             f"runs from when a message was due. {options.rounds} rounds of {options.seconds} s. "
             "Medians with [min-max]; each ratio within its round.", ""]
    results, status, idle = [], 0, []
    for transport in options.transports:
        rounds = [{kind: measure(kind, transport, options) for kind in options.kinds}
                  for _ in range(options.rounds)]
        results += [result for each in rounds for result in each.values()]
        idle += [each["idle"]["resident"] for each in rounds if "idle" in each]
        parts += [f"## Good traffic over {transport.upper()}", "",
                  results_table(rounds, options.kinds), "",
                  counters_table(rounds, options.kinds), ""]
        for kind in options.kinds:
            ratio = statistics.median(each[kind]["latency_us"]["p99"]
                                      / each["alone"]["latency_us"]["p99"] for each in rounds)
            if ratio > BUDGET:
                print(f"{transport}, {kind}: p99 is {ratio:.2f} times what it is alone",
                      file=sys.stderr)
                status = 1
    if idle:
        default = default_resident(options)
        more = (max(idle) - default) * 2**20 / (CONNECTIONS - 1_024)
        parts += [f"With 10,000 idle connections the process has {max(idle):,.0f} MiB resident, all "
                  f"of it allocated and touched at start; with room for 1,024 connections it has "
                  f"{default:,.0f} MiB, so that room for one takes {more:,.0f} octets.", ""]
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text("\n".join(parts))
    print(f"\n{options.record.read_text()}\nwritten to {options.record}")
    return relay.judge(results, is_right) or status


if __name__ == "__main__":
    sys.exit(main())
