#!/usr/bin/env python3
"""What a short message costs a gateway: roger beside the least that one can be, interleaved.

The method is in perf/README.md. Results go to perf/record/<date>-gateway.md.

    perf/gateway.py                    # both drivers and the bare program, five rounds
    perf/gateway.py --rounds 1 --long 0 --seconds 3 --systems bare,roger-uring
"""

import datetime
import statistics
import sys

import relay

NAMES = {"bare": "bare gateway", "roger-uring": "roger, io_uring", "roger-mmsg": "roger, mmsg"}
# Of these there must be none: every message is new, and nobody waits for another.
NEVER = ("allocations", "rp_errors", "retries_absorbed", "retries_attempted", "retries_attached",
         "uri_waits", "memories_evicted")
COUNTERS = NEVER[1:] + ("rp_acks", "verdict_delivered", "short_messages")
# What roger may cost beside the bare program.
BUDGET = 1.4


def by_system(results, systems):
    """The results of each system that has some."""
    all_own = ([result for result in results if result["system"] == system] for system in systems)
    return [(system, own) for system, own in zip(systems, all_own) if own]


COSTS = ["CPU us/message", "of it user", "k messages/s", "busy", "disturbed"]


def costs(own):
    """What stands below `COSTS`."""
    return [
        relay.spread([each["cpu_us"] for each in own]),
        relay.spread([each["user_us"] for each in own]),
        relay.spread([each["per_second"] / 1e3 for each in own], 1),
        relay.spread([each["busy"] for each in own]),
        relay.spread([max(each["waited"], each["driver_waited"]) for each in own]),
    ]


def results_table(results, systems):
    rows = []
    for system, own in by_system(results, systems):
        rows.append([
            NAMES[system], len(own), *costs(own),
            relay.spread([each["latency_us"]["p50"] for each in own], 0),
            relay.spread([each["latency_us"]["p99"] for each in own], 0),
            f"{sum(each['rp_acks'] for each in own):,}",
            sum(each["rp_errors"] for each in own),
            sum(each["retransmitted"] + each["repeated"] for each in own),
            sum(each["unanswered"] + each["wrong"] for each in own),
            relay.allocations(own),
        ])
    return relay.table(
        ["system", "runs", *COSTS, "p50 us", "p99 us", "RP-ACK", "RP-ERROR", "sent again",
         "unanswered or wrong", "allocations"], rows)


def ratios(rounds, system):
    return [each[system]["cpu_us"] / each["bare"]["cpu_us"] for each in rounds
            if system in each and "bare" in each]


def record(options, about, rounds, longer):
    results = [result for each in rounds for result in each.values()]
    compared = [[f"{NAMES[system]} / bare gateway", relay.spread(values)]
                for system in options.systems if system != "bare"
                and (values := ratios(rounds, system))]
    loop = f"{options.rate} messages/s" if options.rate else f"window {options.window}"
    lines = [f"# Gateway of short messages, {datetime.date.today()}", "",
             f"`{' '.join(['perf/gateway.py', *sys.argv[1:]])}`", "", *about, "",
             "RP-DATA in a MESSAGE in, 200 out, MESSAGE with the text out, 200 in, RP-ACK in a "
             "MESSAGE out, 200 in; plain UDP on loopback; the method is in `perf/README.md`. "
             "Medians with [min-max].", "",
             f"## {options.rounds} rounds of {options.seconds} s, interleaved, {loop}", "",
             results_table(results, options.systems), "",
             relay.table(["ratio of CPU per message, within a round", "median [min-max]"],
                         compared), ""]
    if longer:
        lines += [f"## Once for {options.long} s, longer than timer J", "",
                  results_table(longer, options.systems), ""]
    options.record.parent.mkdir(parents=True, exist_ok=True)
    options.record.write_text("\n".join(lines))
    print(f"\n{options.record.read_text()}\nwritten to {options.record}")


def is_right(result):
    """Every message has its RP-ACK, as the driver and as roger count, and nothing else happened."""
    if not result["ok"] or result["rp_acks"] == 0 or result["rp_errors"]:
        return False
    if not result["system"].startswith("roger"):
        return True
    said = result["counters"]
    return (not any(said[name] for name in NEVER)
            and said["rp_acks"] == said["short_messages"] == said["verdict_delivered"])


def main():
    options = relay.arguments(__doc__.splitlines()[0], "gateway", NAMES)
    options.counters = COUNTERS
    if not options.no_build:
        relay.build(options.systems)
    about = relay.machine()
    rounds, longer = relay.run_all(options)
    record(options, about, rounds, longer)
    results = longer + [result for each in rounds for result in each.values()]
    status = relay.judge(results, is_right)
    for system in options.systems:
        values = ratios(rounds, system)
        if values and statistics.median(values) > BUDGET:
            print(f"{NAMES[system]} is over the budget of {BUDGET} times the bare gateway",
                  file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
