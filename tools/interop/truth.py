"""What the senders were told, beside what the recipients know to be true and what roger wrote down.

The judge believes nobody but the two ends: a message is delivered if the IM side saw it and said
200. Then each verdict line has to say the same.
"""

import collections

# What must come of it when the IM side says this: the response to a message that is passed through,
# the report of a short message, and the verdict.
MEANS = {200: (200, "ack", "D"), 202: (202, "error", "A"), 404: (404, "error", "P"),
         480: (480, "error", "T"), 486: (486, "error", "T"), 503: (500, "error", "T"),
         603: (603, "error", "P")}
KINDS = ("doubled", "doubled reports", "false", "lost", "not sent", "wrong", "verdict of nobody",
         "second verdict", "false verdict", "wrong verdict", "no verdict", "from nowhere")
# From an SBC or from roger: nobody knows.
NOBODY_KNOWS = (None, 408)


def heard(told, letters=()):
    """What the sender of a message has to believe: delivered, failed, or unknown.

    A service centre is told RP-ERROR of what is unknown, too, and submits it again.
    """
    if told.plan.form == "rp" and told.status == 200:
        report = next(iter(told.reports.values()), None)
        if report == "error" and "U" in letters:
            return "unknown"
        return {"ack": "delivered", "error": "failed", None: "unknown"}[report]
    if told.status in NOBODY_KNOWS:
        return "unknown"
    return "delivered" if told.status == 200 else "failed"


class Truth:
    """Faults by their kind, each with the messages that it befell."""

    def __init__(self):
        self.faults = collections.defaultdict(list)
        self.heard = collections.Counter()

    def fault(self, kind, call_id, detail=""):
        self.faults[kind].append(f"{call_id} {detail}".strip())

    def message(self, call_id, number, told, im, letters):
        """One submission, by what its sender heard, and the verdicts about it."""
        belief, copies = heard(told, letters), len(set(im.seen.get(number, ())))
        delivered = 200 in im.said.get(number, ())
        self.heard[belief] += 1
        if copies > 1:
            self.fault("doubled", call_id, f"{copies} times")
        if len(told.reports) > 1:
            self.fault("doubled reports", call_id, str(told.reports))
        if belief == "delivered" and not delivered:
            self.fault("false", call_id, "told delivered")
        if belief == "failed" and delivered and told.plan.status == 200:
            self.fault("false", call_id, f"told {told.status}, and it is delivered")
        if belief == "unknown":
            self.fault("lost", call_id, f"told {told.status}")
        elif copies:
            self.told_as_it_was(call_id, told)
        else:
            self.fault("not sent", call_id, f"told {told.status}")

    def told_as_it_was(self, call_id, told):
        status, report, _ = MEANS[told.plan.status]
        if told.plan.form == "sip" and told.status != status:
            self.fault("wrong", call_id, f"told {told.status}, and not {status}")
        if told.plan.form == "rp" and set(told.reports.values()) != {report}:
            self.fault("wrong", call_id, f"told {told.status} {told.reports}, and not {report}")

    def verdicts(self, found, sms, im):
        """All verdicts of all processes and their lives, by Call-ID."""
        for call_id, letters in found.items():
            told = sms.told.get(call_id)
            if not told:
                self.fault("verdict of nobody", call_id)
                continue
            if len(letters) > 1:
                self.fault("second verdict", call_id, "".join(letters))
            number = sms.numbers[call_id]
            if "D" in letters and 200 not in im.said.get(number, ()):
                self.fault("false verdict", call_id)
            meant = MEANS[told.plan.status][2] if told.plan.status else "U"
            # What its next hop could not send on is temporary, whatever it was to become.
            if number not in im.seen:
                meant = "T"
            if letters[0] not in (meant, "U"):
                self.fault("wrong verdict", call_id, f"{letters[0]}, and not {meant}")
            if letters[0] == "U" and heard(told, letters) != "unknown":
                self.fault("wrong verdict", call_id,
                           f"unknown, and the sender was told {told.status} {told.reports}")
        for call_id, told in sms.told.items():
            if call_id not in found:
                self.fault("no verdict", call_id, f"told {told.status} {told.reports}")


def judge(lines, sms, im):
    truth = Truth()
    found = collections.defaultdict(list)
    for line in lines:
        found[line["sms_call_id"]].append(line["verdict"])
    for call_id, told in sms.told.items():
        truth.message(call_id, sms.numbers[call_id], told, im, found.get(call_id, ()))
    for number in im.seen:
        if number not in sms.numbers.values():
            truth.fault("from nowhere", str(number))
    truth.verdicts(found, sms, im)
    return truth
