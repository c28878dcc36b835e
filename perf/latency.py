#!/usr/bin/env python3
"""The latency that roger adds: beside the least that can stand on the same driver.

First the knee: the highest rate that roger stands. Then 10, 50 and 80 % of it in an open loop, roger and
the bare echo taking turns, for each transport and each way of polling. The method is in
perf/README.md. Results go to perf/record/<date>-latency.md.

    perf/latency.py                      # five rounds of everything, about twelve minutes
    perf/latency.py --rounds 1 --seconds 1 --transport udp --polling spin
"""

import copy
import json
import pathlib
import signal
import statistics
import sys
import tempfile
import time

import relay

NAMES = {"roger-uring": "roger", "echo": "bare echo"}
QUANTILES = {"p50": "p50", "p99": "p99", "p999": "p99.9"}
# How many times what the echo takes roger may take at half of the knee, spinning.
BUDGET = {"p50": 2.0, "p99": 3.0}
# Of these there must be none.
NEVER = ("allocations", "kernel_drops", "send_refused", "connections_reset", "closed_no_room",
         "closed_unread")
# A rate stands while half of the messages take no longer, and nine of ten leave no later: what
# neighbours take from a core is in the last percent, an end that cannot keep the rate is in all.
STANDING_US, PACING_US = 1_000, 100


class Standing:
    """A system that stands for all the runs of its comparison. While another one is measured it is
    stopped. What a large process frees at its end a guest gives back to its hypervisor in the seconds
    that follow, which may stop the whole machine for 30 ms at a time: in the runs of the next."""

    def __init__(self, name, directory, options):
        directory.mkdir()
        self.system = relay.System(name, directory, options)
        self.log = open(directory / "log", "w+")
        self.process = relay.start(relay.SYSTEM_CPU, self.system.command(), stdout=self.log,
                                   stderr=self.log)
        relay.wait_until_ready(self.process, self.system.port, options.transport,
                               spins=options.polling == "spin")
        self.process.send_signal(signal.SIGSTOP)

    def run(self, options):
        self.process.send_signal(signal.SIGCONT)
        before = self.system.look()
        result = relay.drive(self.system, self.process, options.seconds, options)
        after = self.system.look()
        self.process.send_signal(signal.SIGSTOP)
        counters = {name: count - before[name] for name, count in after.items()}
        return result | {"counters": counters}

    def end(self):
        self.process.send_signal(signal.SIGCONT)
        relay.stop(self.process)


def measure(run, options):
    """One run; another one when too much was taken from it."""
    for _ in range(options.tries):
        time.sleep(options.rest)
        result = run(options)
        if relay.disturbance(result) <= options.disturbed:
            break
    latency = result["latency_us"]
    print(f"{'':17} {options.transport} {options.polling}"
          f"  p50 {latency['p50']:,.1f} p99 {latency['p99']:,.1f} p99.9 {latency['p999']:,.1f} us"
          f"  lateness p99 {result['lateness_us']['p99']:,.1f} us"
          f"  disturbed {relay.disturbance(result):.3f}", flush=True)
    return result


def is_right(result):
    """Every message was answered by its 200, none was sent again or had no place."""
    counters = result["counters"]
    return (result["ok"] and not result["retransmitted"] and not result["overruns"]
            and not any(counters.get(name, 0) for name in NEVER))


def stands(result):
    """Whether the rate was kept, by both, without a queue."""
    return (is_right(result) and result["per_second"] >= 0.99 * result["rate"]
            and result["latency_us"]["p50"] <= STANDING_US
            and result["lateness_us"]["p90"] <= PACING_US)


def knee(options):
    """The highest rate, in steps of 5 % of what the closed loop reaches, that stands twice; each run
    with a process of its own, as what was too much leaves its traces."""
    one = copy.copy(options)
    one.rate, one.window, one.seconds = None, 256, min(options.seconds, 2)

    def run(one):
        return relay.attempt("roger-uring", one.seconds, one)

    most = measure(run, one)["per_second"]
    for percent in range(100, 20, -5):
        one.rate = int(most * percent / 100) // 1_000 * 1_000
        if all(stands(measure(run, one)) for _ in range(2)):
            return one.rate, most
    sys.exit(f"not even a quarter of {most:,.0f} messages a second stands")


def compare(options, rate):
    """The rounds at each level; who comes first takes turns."""
    with tempfile.TemporaryDirectory(prefix="latency-") as directory:
        systems = {}
        try:
            for name in NAMES:
                systems[name] = Standing(name, pathlib.Path(directory) / name, options)
            levels = {level: (rate * level // 100, []) for level in options.levels}
            for number in range(options.rounds):
                order = list(NAMES) if number % 2 == 0 else list(reversed(NAMES))
                for share, rounds in levels.values():
                    one = copy.copy(options)
                    one.rate = share
                    rounds.append({name: measure(systems[name].run, one) for name in order})
        finally:
            for system in systems.values():
                system.end()
    return levels


def compared(rounds, quantile):
    """What roger adds, in microseconds and as a ratio, each within its round."""
    pairs = [tuple(each[system]["latency_us"][quantile] for system in NAMES) for each in rounds]
    return [over - under for over, under in pairs], [over / under for over, under in pairs]


def results_table(levels):
    rows = []
    for level, (rate, rounds) in levels.items():
        for system, name in NAMES.items():
            own = [each[system] for each in rounds]
            rows.append([
                f"{level} %, {rate:,}/s", name, len(own),
                *(relay.spread([each["latency_us"][quantile] for each in own], 1)
                  for quantile in QUANTILES),
                relay.spread([each["lateness_us"]["p99"] for each in own], 1),
                relay.spread([each["busiest_involuntary"] for each in own], 0),
                relay.spread([each["driver_involuntary"] for each in own], 0),
                f"{statistics.median(each['completed'] for each in own) / 1e3:,.0f}",
                relay.spread([relay.disturbance(each) for each in own], 3),
                relay.spread([each["busy"] for each in own]),
                f"{sum(each['completed'] for each in own):,}",
                sum(each["unanswered"] + each["wrong"] + each["overruns"] + each["retransmitted"]
                    for each in own),
            ])
    return relay.table(
        ["of the knee", "between the ends", "runs", *(f"{name} us" for name in QUANTILES.values()),
         "lateness p99 us", "involuntary", "of the driver", "messages above p99.9", "disturbed",
         "busy", "complete", "lost, wrong or again"], rows)


def added_table(levels):
    rows = []
    for level, (_, rounds) in levels.items():
        row = [f"{level} %"]
        for quantile in QUANTILES:
            difference, ratio = compared(rounds, quantile)
            row += [relay.spread(difference, 1), relay.spread(ratio)]
        rows.append(row)
    head = [text for name in QUANTILES.values() for text in (f"{name} added us", f"{name} ratio")]
    return relay.table(["of the knee", *head], rows)


def over_budget(options, levels):
    """Says what is over the budget, which is about half of the knee and spinning."""
    if options.polling != "spin" or 50 not in levels:
        return 0
    status = 0
    for quantile, most in BUDGET.items():
        ratio = statistics.median(compared(levels[50][1], quantile)[1])
        if ratio > most:
            print(f"{options.transport}, half of the knee, spinning: {quantile} is {ratio:.2f} times "
                  f"that of the bare echo, and may be {most}", file=sys.stderr)
            status = 1
    return status


def comma(kind):
    return lambda text: [kind(each) for each in text.split(",")]


def main():
    options = relay.arguments(__doc__.splitlines()[0], "latency", NAMES, {
        "--transport": {"default": "udp,tcp", "type": comma(str)},
        "--polling": {"default": "spin,adaptive", "type": comma(str),
                      "help": "what both do in turns without work"},
        "--levels": {"default": "10,50,80", "type": comma(int), "help": "per cent of the knee"},
        "--knee": {"type": int, "help": "messages a second; without it the knee is looked for"},
        "--rest": {"type": float, "default": 0.5, "help": "seconds of nothing before a run"},
        "--json": {"type": pathlib.Path, "help": "where every figure of every run goes"},
    }, warm=1.0, seconds=3, disturbed=0.01)
    options.scenario = "relay"
    options.counters = tuple(name for name in NEVER if name not in relay.System.looked_at)
    if not options.no_build:
        relay.build(NAMES)
    parts = ["# Latency added, " + options.record.name[:10], "",
             f"`{' '.join(['perf/latency.py', *sys.argv[1:]])}`", "", *relay.machine(), "",
             "MESSAGE in, MESSAGE out, 200 in, 200 out, in an open loop; latency runs from when a "
             "message was due to when its 200 is back, through the relay twice. Both stand on "
             f"roger's io_uring driver. {options.rounds} rounds of {options.seconds} s, taking "
             "turns. Medians with [min-max]; what is added, and each ratio, within its round. The "
             "method is in `perf/README.md`.", ""]
    results, status = [], 0
    for transport in options.transport:
        for polling in options.polling:
            one = copy.copy(options)
            one.transport, one.polling = transport, polling
            rate, most = (options.knee, None) if options.knee else knee(one)
            levels = compare(one, rate)
            results += [result | {"transport": transport, "polling": polling, "level": level}
                        for level, (_, rounds) in levels.items()
                        for each in rounds for result in each.values()]
            found = f"; the closed loop reached {most:,.0f}" if most else ""
            parts += [f"## {transport.upper()}, polling = \"{polling}\"", "",
                      f"The knee is {rate:,} messages a second{found}.", "",
                      results_table(levels), "", added_table(levels), ""]
            status |= over_budget(one, levels)
            # What was measured is not lost when a later run fails.
            options.record.parent.mkdir(parents=True, exist_ok=True)
            options.record.write_text("\n".join(parts))
    print(f"\n{options.record.read_text()}\nwritten to {options.record}")
    if options.json:
        options.json.write_text(json.dumps({"command": sys.argv, "results": results}, indent=1))
    return relay.judge(results, is_right) or status


if __name__ == "__main__":
    sys.exit(main())
