"""Requests of the SMS side, as SIPp fills them in: the same message in many shapes.

Every shape is legal. What differs is what a proxy has to touch (Via, Max-Forwards) or has to
leave alone (everything else).
"""

# The To carries no tag, the branch is ours so that a retransmission can repeat it.
PLAIN = """\
      MESSAGE sip:bob@[remote_ip]:@IM_PORT@ SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number];rport
      Max-Forwards: 70
      From: "Alice" <sip:alice@sms.example.net>;tag=[pid]-[call_number]
      To: <sip:bob@im.example.net>
      Call-ID: [call_id]
      CSeq: 1 MESSAGE
      P-Asserted-Identity: <sip:alice@sms.example.net>
      Content-Type: text/plain;charset=UTF-8
      Content-Length: [len]

      Message [call_number]: hello, and one line more.
      The second line.
"""


def altered(old, new, text=PLAIN):
    if old not in text:
        raise ValueError(f"{old!r} does not stand in the request")
    return text.replace(old, new)


SHAPES = {
    "plain": PLAIN,
    "no-rport": altered(";rport", ""),
    "rport-first": altered("[local_port];branch=z9hG4bK-[pid]-[call_number];rport",
                           "[local_port];rport;branch=z9hG4bK-[pid]-[call_number]"),
    "host-name": altered("UDP [local_ip]:[local_port]", "UDP sms.example.net:[local_port]"),
    "no-max-forwards": altered("      Max-Forwards: 70\n", ""),
    "max-forwards-10": altered("Max-Forwards: 70", "Max-Forwards: 10"),
    "two-vias": altered(
        "      Max-Forwards",
        "      Via: SIP/2.0/TCP sms.example.net;branch=z9hG4bKbelow-[call_number]\n"
        "      Max-Forwards"),
    "two-values": altered(
        ";rport\n",
        ";rport , SIP/2.0/TLS sms.example.net:5061;branch=z9hG4bKbelow-[call_number];x=\"a,b\"\n"),
    # SIPp on the IM side would not copy a `v`.
    "compact": altered("From:", "f:", altered("To:", "t:", altered(
        "Content-Type:", "c:", altered("Content-Length:", "l:", altered("Call-ID:", "i:"))))),
    "odd-spaces": altered("CSeq: 1 MESSAGE", "CSeq:    1   MESSAGE",
                          altered("Max-Forwards: 70", "MAX-FORWARDS:70")),
    "other-content": altered("Content-Type: text/plain;charset=UTF-8",
                             "Content-Type: application/im-iscomposing+xml\n"
                             "      Content-Disposition: render;handling=optional\n"
                             "      X-Unheard-Of: \"quoted, \\\"escaped\\\"\";a=<b>"),
    "no-body": altered("""\
      Content-Type: text/plain;charset=UTF-8
      Content-Length: [len]

      Message [call_number]: hello, and one line more.
      The second line.
""", """\
      Content-Length: 0

"""),
}

OPTIONS = """\
      OPTIONS sip:[remote_ip]:[remote_port] SIP/2.0
      Via: SIP/2.0/UDP [local_ip]:[local_port];branch=z9hG4bK-[pid]-[call_number];rport
      Max-Forwards: 70
      From: <sip:probe@sms.example.net>;tag=[pid]-[call_number]
      To: <sip:[remote_ip]:[remote_port]>
      Call-ID: [call_id]
      CSeq: 1 OPTIONS
      Accept: application/sdp
      Content-Length: 0

"""


def of_method(method):
    return OPTIONS.replace("OPTIONS", method)
