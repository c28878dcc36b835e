//! The centre: it takes parts or does not, says so or does not, and its phones get them or do not.

use std::collections::BTreeMap;

use super::court::Court;
use super::wires::Part;
use crate::chance::Chance;
use crate::rp;
use crate::text::Text;

/// What the centre wishes to happen.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// A datagram leaves for the engine.
    Send(Vec<u8>),
    /// Something happens so many milliseconds later.
    Later(u64, Due),
}

/// What is to happen at the centre.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// RP-ACK, or RP-ERROR with this cause.
    Answer { part: Part, call_id: String, user: String, cause: Option<u8> },
    /// The phone has a part.
    Received { part: Part, attempt: u32 },
    /// A status report about a part.
    Status { part: Part, user: String, status: u8 },
    /// A request of ours, if nobody has answered it.
    Again { number: u32, tries: u32 },
}

/// The number that all users write to.
pub(super) const PHONE: &str = "491711234567";

/// All of it.
#[derive(Debug)]
pub(super) struct Centre {
    chance: Chance,
    /// What each request was answered with, by its branch; nothing for silence.
    answered: BTreeMap<String, Option<u16>>,
    /// Requests of ours that wait for an answer.
    open: BTreeMap<u32, Vec<u8>>,
    requests: u32,
    pub(super) parts: u64,
    /// Whether it does only what is right.
    is_honest: bool,
}

impl Centre {
    pub(super) fn new(is_honest: bool, chance: Chance) -> Self {
        Self {
            chance,
            answered: BTreeMap::new(),
            open: BTreeMap::new(),
            requests: 0,
            parts: 0,
            is_honest,
        }
    }

    /// A datagram comes.
    pub(super) fn take(&mut self, octets: &[u8], court: &mut Court, acts: &mut Vec<Act>) {
        let Some(text) = Text::read(octets) else { return };
        if text.status().is_some_and(|status| status >= 200) {
            let number = text.value("Call-ID").and_then(|id| id.strip_prefix("sc-")?.parse().ok());
            if let Some(number) = number {
                self.open.remove(&number);
            }
            return;
        }
        let Some(key) = text.key().filter(|_| text.start.starts_with("MESSAGE ")) else { return };
        if let Some(status) = self.answered.get(&*key.branch) {
            if let Some(status) = *status {
                acts.push(Act::Send(response(&text, status)));
            }
            return;
        }
        let status = match Part::read(text.body) {
            Some(part) => self.on_part(&text, &part, court, acts),
            // RP-ACK to a status report.
            None => Some(200),
        };
        self.answered.insert(key.branch.into(), status);
        if let Some(status) = status {
            acts.push(Act::Send(response(&text, status)));
        }
    }

    fn on_part(
        &mut self,
        text: &Text<'_>,
        part: &Part,
        court: &mut Court,
        acts: &mut Vec<Act>,
    ) -> Option<u16> {
        self.parts += 1;
        let user = text.value("From")?.split(['<', '>']).nth(1)?.to_owned();
        let call_id = text.value("Call-ID")?.to_owned();
        let kind = if self.is_honest { 0 } else { self.chance.below(40) };
        let status = match kind {
            0 | 5.. => Some(if self.chance.one_in(8) { 200 } else { 202 }),
            1 => Some(503),
            2 => Some(500),
            3 => Some(403),
            // It is taken all the same, or is not.
            4 => None,
        };
        if status.is_some_and(|status| status >= 300) || kind == 4 && self.chance.one_in(2) {
            court.took(part, false);
            return status;
        }
        let attempt = court.attempt(part.message);
        let delay = self.chance.exponential(400);
        let late = 41_000 + self.chance.below(20_000);
        let part = part.clone();
        let answer = |part, cause| Due::Answer { part, call_id, user: user.clone(), cause };
        match if self.is_honest { 9 } else { self.chance.below(24) } {
            0 => {
                let causes = [1, 8, 21, 22, 27, 38, 41, 42, 47, 69, 96, 111, 127];
                let cause = self.chance.pick(&causes);
                court.took(&part, false);
                acts.push(Act::Later(delay, answer(part, Some(cause))));
                return status;
            }
            1 => acts.push(Act::Later(late, answer(part.clone(), None))),
            // What it says is never heard.
            2 => {}
            _ => acts.push(Act::Later(delay, answer(part.clone(), None))),
        }
        court.took(&part, true);
        self.send_on(part, attempt, user, acts);
        status
    }

    /// What becomes of a part that is taken.
    fn send_on(&mut self, part: Part, attempt: u32, user: String, acts: &mut Vec<Act>) {
        let delay = 1 + self.chance.exponential(5_000);
        let told = delay + self.chance.exponential(2_000);
        let mut status = |status, at| {
            if part.asks_status {
                let due = Due::Status { part: part.clone(), user: user.clone(), status };
                acts.push(Act::Later(at, due));
            }
        };
        match if self.is_honest { 9 } else { self.chance.below(20) } {
            0 => status(self.chance.pick(&[0x40, 0x41, 0x43, 0x45, 0x46, 0x49]), told),
            1 => status(self.chance.pick(&[0x60, 0x62, 0x65]), told),
            // It has it, and nobody says so, or nobody knows.
            2 => acts.push(Act::Later(delay, Due::Received { part, attempt })),
            3 => {
                status(self.chance.pick(&[0x01, 0x02]), told);
                acts.push(Act::Later(delay, Due::Received { part, attempt }));
            }
            // It never has it, and nobody says so.
            4 => {}
            kind => {
                if kind == 5 {
                    status(0x20, delay / 2);
                }
                status(0x00, told);
                if kind == 6 {
                    status(0x00, told + 3_000);
                }
                acts.push(Act::Later(delay, Due::Received { part, attempt }));
            }
        }
    }

    /// Something is due.
    pub(super) fn due(&mut self, due: Due, court: &mut Court, acts: &mut Vec<Act>) {
        match due {
            Due::Received { part, attempt } => court.received(&part, attempt),
            Due::Answer { part, call_id, user, cause } => {
                let rp = match cause {
                    None => {
                        court.acknowledges(&part);
                        Vec::from([3, part.rp_reference])
                    }
                    Some(cause) => Vec::from([5, part.rp_reference, 1, cause]),
                };
                self.request(&user, &["In-Reply-To: ", &call_id, "\r\n"].concat(), &rp, acts);
            }
            Due::Status { part, user, status } => {
                self.request(&user, "", &status_report(part.reference, status), acts);
            }
            Due::Again { number, tries } => self.send(number, tries, acts),
        }
    }

    fn request(&mut self, user: &str, fields: &str, rp: &[u8], acts: &mut Vec<Act>) {
        self.requests += 1;
        let number = self.requests;
        let mut octets = format!(
            "MESSAGE {user} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKsc{number};rport\r\n\
             Max-Forwards: 20\r\nFrom: <sip:sc@sc.example>;tag=s{number}\r\nTo: <{user}>\r\n\
             Call-ID: sc-{number}\r\nCSeq: 1 MESSAGE\r\n{fields}\
             Content-Type: application/vnd.3gpp.sms\r\nContent-Length: {}\r\n\r\n",
            rp.len()
        )
        .into_bytes();
        octets.extend(rp);
        self.open.insert(number, octets);
        self.send(number, 0, acts);
    }

    fn send(&self, number: u32, tries: u32, acts: &mut Vec<Act>) {
        let Some(octets) = self.open.get(&number).filter(|_| tries < 11) else { return };
        acts.push(Act::Send(octets.clone()));
        let again = 500 << tries.min(3);
        acts.push(Act::Later(again, Due::Again { number, tries: tries + 1 }));
    }
}

/// RP-DATA to the MS with an SMS-STATUS-REPORT about a TP-MR (TS 23.040 section 9.2.2.3).
pub(super) fn status_report(reference: u8, status: u8) -> Vec<u8> {
    let mut tpdu = Vec::from([0x06, reference, 12, 0x91, 0x94, 0x71, 0x11, 0x32, 0x54, 0x76]);
    tpdu.extend(rp::timestamp(1_763_782_080, 0));
    tpdu.extend(rp::timestamp(1_763_782_090, 0));
    tpdu.push(status);
    rp::data(rp::DATA_TO_MS, 0x77, "491710760000", &tpdu)
}

/// What a UAS answers.
pub(super) fn response(request: &Text<'_>, status: u16) -> Vec<u8> {
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for line in request.lines() {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        let tag = if name == "to" && !line.contains(";tag=") { ";tag=uas" } else { "" };
        if matches!(name.as_str(), "via" | "from" | "to" | "call-id" | "cseq") {
            text.push_str(line);
            text.push_str(tag);
            text.push_str("\r\n");
        }
    }
    text.push_str("Content-Length: 0\r\n\r\n");
    text.into_bytes()
}
