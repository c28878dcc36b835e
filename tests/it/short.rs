//! A short message on its way into the engine and what comes out, written by hand: RP-DATA with an
//! SMS-DELIVER, an encoder that shares nothing with the one of the packet path.

use crate::bench::{Bench, IM, Left, SBC, answer, answer_with, setup};
use roger::engine::Setup;

/// +46708251358, as a TP-Originating-Address.
pub(crate) const ORIGINATOR: [u8; 8] = [0x0B, 0x91, 0x64, 0x07, 0x28, 0x15, 0x53, 0xF8];
/// 2025-11-22 11:28:00 +08:00.
pub(crate) const SCTS: [u8; 7] = [0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23];

/// A submission of a short message.
#[derive(Clone)]
pub(crate) struct Short {
    pub(crate) number: u32,
    pub(crate) originator: Vec<u8>,
    pub(crate) reference: u8,
    pub(crate) first: u8,
    pub(crate) pid: u8,
    pub(crate) dcs: u8,
    pub(crate) scts: [u8; 7],
    pub(crate) user_data: Vec<u8>,
    pub(crate) recipient: String,
    pub(crate) fields: String,
}

impl Short {
    /// UCS-2 text to one recipient; `number` sets the SIP identifiers apart, not the message.
    pub(crate) fn new(number: u32, text: &str) -> Self {
        Self {
            number,
            originator: ORIGINATOR.to_vec(),
            reference: u8::try_from(number % 256).unwrap(),
            first: 0x04,
            pid: 0,
            dcs: 0x08,
            scts: SCTS,
            user_data: text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
            recipient: "sip:+15550000001@im.example;user=phone".to_owned(),
            fields: "P-Asserted-Identity: <sip:sc@sbc.example>\r\n".to_owned(),
        }
    }

    pub(crate) fn tpdu(&self) -> Vec<u8> {
        let mut octets = vec![self.first];
        octets.extend(&self.originator);
        octets.extend([self.pid, self.dcs]);
        octets.extend(self.scts);
        octets.push(u8::try_from(self.user_data.len()).unwrap());
        octets.extend(&self.user_data);
        octets
    }

    pub(crate) fn rp(&self) -> Vec<u8> {
        let tpdu = self.tpdu();
        let mut octets = vec![0x01, self.reference];
        octets.extend([0x08, 0x91, 0x68, 0x31, 0x08, 0x10, 0x83, 0x00, 0xF0, 0x00]);
        octets.push(u8::try_from(tpdu.len()).unwrap());
        octets.extend(tpdu);
        octets
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        self.request_with(&self.rp())
    }

    pub(crate) fn request_with(&self, body: &[u8]) -> Vec<u8> {
        let Self { number, recipient, fields, .. } = self;
        let mut octets = format!(
            "MESSAGE sip:ue{number}@10.0.0.5:5060 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKrp{number};rport\r\n\
             Max-Forwards: 20\r\n\
             From: <sip:from@sbc.example>;tag=s{number}\r\n\
             To: <sip:to@im.example>\r\n\
             Call-ID: rp-{number}@sbc.example\r\n\
             CSeq: 1 MESSAGE\r\n\
             P-Called-Party-ID: <{recipient}>\r\n\
             {fields}\
             Content-Type: application/vnd.3gpp.sms\r\n\
             Content-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        octets.extend(body);
        octets
    }
}

/// A bench whose SMS-side peer has a second address.
pub(crate) fn bench_with(change: impl FnOnce(&mut Setup)) -> Bench {
    let mut setup = setup();
    change(&mut setup);
    Bench::with(setup)
}

/// Gives a submission; says what left beside its 200, which must come first.
pub(crate) fn submit(bench: &mut Bench, short: &Short) -> Vec<Left> {
    let mut left = bench.give_octets(SBC, &short.request(), false);
    assert!(!left.is_empty(), "at least its 200");
    let first = left.remove(0);
    assert_eq!(first.status(), 200, "{}", first.text);
    assert!(first.body().is_empty(), "a 2xx to MESSAGE has no body (RFC 3428 section 7)");
    left
}

/// The RP message in a report.
pub(crate) fn rp_of(report: &Left) -> Vec<u8> {
    assert!(report.is_request(), "{}", report.text);
    assert_eq!(report.field("content-type"), "application/vnd.3gpp.sms");
    report.body().to_vec()
}

/// RP-ACK with this RP-MR.
pub(crate) fn ack(reference: u8) -> Vec<u8> {
    vec![0x02, reference, 0x41, 0x02, 0x00, 0x00]
}

/// RP-ERROR 111 with this RP-MR and TP-FCS.
pub(crate) fn error(reference: u8, fcs: u8) -> Vec<u8> {
    vec![0x04, reference, 0x01, 111, 0x41, 0x03, 0x00, fcs, 0x00]
}

/// Answers an instant message as its user agent does, and gives the one report that follows.
pub(crate) fn answered(bench: &mut Bench, instant: &Left, status: &str) -> Left {
    let mut left = bench.give(IM, &answer(&instant.text, status));
    assert_eq!(left.len(), 1, "one report");
    left.remove(0)
}

/// Takes a report with 200, as an IP-SM-GW does.
pub(crate) fn taken(bench: &mut Bench, report: &Left) {
    assert!(bench.give(SBC, &answer_with(&report.text, "200 OK", "")).is_empty());
}
