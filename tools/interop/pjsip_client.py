"""A recipient's user agent that is not ours: PJSIP, registered, saying what it was sent.

    pjsip_client.py HOST PORT udp|tcp REGISTRAR USER...

Runs until it is ended. Lines of JSON: {"registered": USER} and {"text": ..., "type": ...}.
"""

import json
import sys

import pjsua2


def say(**what):
    print(json.dumps(what), flush=True)


class Recipient(pjsua2.Account):
    """One user. PJSIP answers a MESSAGE by itself, with 200, before it hands it over."""

    def __init__(self, user):
        super().__init__()
        self.user = user

    def onRegState(self, state):
        if state.code == 200:
            say(registered=self.user)

    def onInstantMessage(self, message):
        say(text=message.msgBody, type=message.contentType)


def main(host, port, transport, registrar, *users):
    endpoint = pjsua2.Endpoint()
    endpoint.libCreate()
    settings = pjsua2.EpConfig()
    settings.logConfig.level = settings.logConfig.consoleLevel = 1
    settings.uaConfig.threadCnt, settings.uaConfig.mainThreadOnly = 0, True
    endpoint.libInit(settings)
    at = pjsua2.TransportConfig()
    at.port, at.boundAddress, at.publicAddress = int(port), host, host
    kind = {"udp": pjsua2.PJSIP_TRANSPORT_UDP, "tcp": pjsua2.PJSIP_TRANSPORT_TCP}[transport]
    endpoint.transportCreate(kind, at)
    endpoint.audDevManager().setNullDev()
    endpoint.libStart()
    recipients = []
    for user in users:
        account = pjsua2.AccountConfig()
        account.idUri = f"sip:{user}@im.example.net"
        account.regConfig.registrarUri = f"sip:{registrar};transport={transport}"
        account.sipConfig.proxies.append(f"sip:{registrar};transport={transport};lr")
        recipients.append(Recipient(user))
        recipients[-1].create(account)
    while True:
        endpoint.libHandleEvents(50)


if __name__ == "__main__":
    main(*sys.argv[1:])
