#!/usr/bin/env python3
"""What a message costs on one TCP trunk: roger beside the least that a relay and a gateway can be.

Relay and gateway step, each with 64 and with 256 messages outstanding, the systems interleaved.
The method is in perf/README.md. Results go to perf/record/<date>-trunk.md.

    perf/trunk.py                     # everything, about twenty-five minutes
    perf/trunk.py --rounds 1 --seconds 3 --windows 64 --systems bare,roger-uring
"""

import copy
import statistics
import sys

import gateway
import relay

NAMES = {
    "bare": "bare program",
    "bare-judged": "bare, reads as roger",
    "roger-uring": "roger, io_uring",
    "roger-mmsg": "roger, mmsg",
    "kamailio": "Kamailio, tuned",
}
# What roger may cost beside the bare program that reads as strictly. What reading costs cannot be had
# back behind it, and the scan of the other one knows the packets of the driver and no others.
BUDGET, FLOOR = 1.8, "bare-judged"
# Of these there must be none: the trunk stands.
NEVER = ("allocations", "connections_reset", "connections_failed", "closed_unread",
         "closed_no_room", "closed_unframed", "send_refused")


def results_table(results, systems):
    rows = []
    for system, own in gateway.by_system(results, systems):
        rows.append([
            NAMES[system], len(own), *gateway.costs(own),
            relay.spread([each["per_receive"] for each in own], 1),
            relay.spread([each["latency_us"]["p50"] for each in own], 0),
            relay.spread([each["latency_us"]["p99"] for each in own], 0),
            f"{sum(each['completed'] for each in own):,}",
            sum(each["unanswered"] + each["wrong"] + each["repeated"] for each in own),
            relay.allocations(own),
        ])
    return relay.table(
        ["system", "runs", *gateway.COSTS, "messages a read", "p50 us", "p99 us", "complete",
         "unanswered, repeated or wrong", "allocations"], rows)


def ratios(rounds, over, under):
    return [each[over]["cpu_us"] / each[under]["cpu_us"] for each in rounds
            if over in each and under in each]


def ratios_table(rounds, systems):
    pairs = [(system, "bare") for system in systems if system != "bare"]
    if "bare-judged" in systems:
        pairs += [(system, "bare-judged") for system in systems if system.startswith("roger")]
    if "kamailio" in systems:
        pairs += [("kamailio", system) for system in systems if system.startswith("roger")]
    rows = [[f"{NAMES[over]} / {NAMES[under]}", relay.spread(values)]
            for over, under in pairs if (values := ratios(rounds, over, under))]
    return relay.table(["ratio of CPU per message, within a round", "median [min-max]"], rows)


def is_right(result):
    """Everything was answered by its 200, over connections that stood."""
    if not result["ok"] or result["repeated"]:
        return False
    if result["scenario"] == "gateway" and not gateway.is_right(result):
        return False
    counters = result["counters"]
    return not any(counters.get(name, 0) for name in NEVER)


def comparison(options, scenario, window):
    """The options of one comparison: what is compared, and how many messages are outstanding."""
    one = copy.copy(options)
    one.scenario, one.window = scenario, window
    one.counters = tuple(name for name in NEVER if name not in relay.System.looked_at)
    if scenario == "gateway":
        one.counters += tuple(name for name in gateway.COUNTERS if name not in one.counters)
        one.systems = [system for system in options.systems if system != "kamailio"]
    return one


def main():
    options = relay.arguments(__doc__.splitlines()[0], "trunk", NAMES, {
        "--scenarios": {"default": "relay,gateway", "type": lambda text: text.split(",")},
        "--windows": {"default": "64,256",
                      "type": lambda text: [int(window) for window in text.split(",")]},
        "--polling": {"default": "wait", "help": "what roger does in turns without work"},
    })
    options.transport = "tcp"
    if not options.no_build:
        relay.build(options.systems)
    parts = ["# One TCP trunk, " + options.record.name[:10], "",
             f"`{' '.join(['perf/trunk.py', *sys.argv[1:]])}`", "", *relay.machine(), "",
             "Relay: MESSAGE in, MESSAGE out, 200 in, 200 out. Gateway: RP-DATA in a MESSAGE in, "
             "200 out, MESSAGE with the text out, 200 in, RP-ACK in a MESSAGE out, 200 in. One "
             "connection from the SMS side, one to the IM side, one for reports, on loopback; the "
             "method is in `perf/README.md`. Medians with [min-max].", ""]
    results, status = [], 0
    for scenario in options.scenarios:
        for window in options.windows:
            one = comparison(options, scenario, window)
            rounds, longer = relay.run_all(one)
            own = [result for each in rounds for result in each.values()]
            for result in own + longer:
                result["scenario"] = scenario
            results += own + longer
            parts += [f"## {scenario.capitalize()}, window {window}: {one.rounds} rounds of "
                      f"{one.seconds} s, interleaved", "", results_table(own, one.systems), "",
                      ratios_table(rounds, one.systems), ""]
            if longer:
                parts += [f"Once for {one.long} s, longer than timer J:", "",
                          results_table(longer, one.systems), ""]
            for system in one.systems:
                values = ratios(rounds, system, FLOOR)
                if system.startswith("roger") and values and statistics.median(values) > BUDGET:
                    print(f"{scenario}, window {window}: {NAMES[system]} is over the budget of "
                          f"{BUDGET} times the {NAMES[FLOOR]}", file=sys.stderr)
                    status = 1
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text("\n".join(parts))
    print(f"\n{options.record.read_text()}\nwritten to {options.record}")
    return relay.judge(results, is_right) or status


if __name__ == "__main__":
    sys.exit(main())
