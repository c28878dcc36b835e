//! A process that dies under traffic and lives again at once on the same port: nothing that belongs to
//! its earlier life means anything to it.

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::bench::{answer, field, message};
use crate::site::{Site, emptied, receive, short};

/// Messages of the earlier life, of either form.
const EARLIER: u32 = 120;

/// Everything that the IM side was asked in the life that ends here: nothing of it is answered.
fn earlier_life(site: &Site) -> Vec<String> {
    let life = site.start("earlier");
    for number in 0..EARLIER {
        let is_short = number.is_multiple_of(3);
        let octets = if is_short { short(number) } else { message(number).into_bytes() };
        site.sms_sends(&octets);
    }
    let mut asked: Vec<String> = Vec::new();
    while asked.len() < EARLIER as usize {
        let text = receive(&site.im);
        if asked.iter().all(|other| field(other, "via") != field(&text, "via")) {
            asked.push(text);
        }
    }
    // Some are over when the process dies, of some the report is on its way.
    asked[..12].iter().for_each(|text| site.im_sends(&answer(text, "200 OK")));
    site.wait_for("verdict_delivered", 12);
    drop(life);
    emptied(&site.sms);
    emptied(&site.im);
    asked
}

/// What an operator sees of a life without a message.
fn has_decided_nothing(site: &Site) {
    for name in ["messages_accepted", "reports_sent", "rp_acks", "rp_errors", "datagrams_out"] {
        assert_eq!(site.count(name), 0, "{name}");
    }
    for verdict in ["delivered", "permanent", "temporary", "unknown", "accepted"] {
        assert_eq!(site.count(&format!("verdict_{verdict}")), 0);
    }
    assert!(site.verdicts("later").is_empty());
    assert!(emptied(&site.sms).is_empty() && emptied(&site.im).is_empty());
}

/// New messages go through, even where a late answer to the earlier request of one comes first.
fn new_messages_go_through(site: &Site, asked: &[String]) {
    for number in [1, 2, EARLIER + 1, EARLIER + 2] {
        site.sms_sends(message(number).as_bytes());
        let onward = site.onward(number);
        for earlier in
            asked.iter().filter(|text| field(text, "call-id") == field(&onward, "call-id"))
        {
            site.im_sends(&answer(earlier, "486 Busy Here"));
        }
        site.im_sends(&answer(&onward, "200 OK"));
        let back = receive(&site.sms);
        assert!(back.starts_with("SIP/2.0 200 OK"), "{back}");
        assert_eq!(field(&back, "call-id"), format!("call-{number}@sbc.example"));
    }
    site.wait_for("verdict_delivered", 4);
    assert_eq!(site.count("messages_accepted"), 4);
}

/// An ICMP error as of an earlier datagram: port unreachable, with all of it quoted (RFC 792).
fn unreachable(site: &Site, request: &str) -> Vec<u8> {
    let [from, to] = [site.engine(), site.im.local_addr().unwrap()];
    let len = u16::try_from(20 + 8 + request.len()).unwrap().to_be_bytes();
    let mut quoted = Vec::from([0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, 17, 0, 0]);
    quoted.extend([127, 0, 0, 1, 127, 0, 0, 1]);
    quoted.extend(from.port().to_be_bytes());
    quoted.extend(to.port().to_be_bytes());
    quoted.extend(u16::try_from(8 + request.len()).unwrap().to_be_bytes());
    quoted.extend([0, 0]);
    quoted.extend(request.as_bytes());
    let mut octets = Vec::from([3, 3, 0, 0, 0, 0, 0, 0]);
    octets.extend(quoted);
    let words =
        octets.chunks(2).map(|two| u32::from(two[0]) << 8 | u32::from(*two.get(1).unwrap_or(&0)));
    let sum = words.sum::<u32>();
    let folded = (sum & 0xFFFF) + (sum >> 16);
    let folded = !u16::try_from((folded & 0xFFFF) + (folded >> 16)).unwrap();
    octets[2..4].copy_from_slice(&folded.to_be_bytes());
    octets
}

/// ICMP errors for datagrams of the earlier life; how many, which is none where only the kernel may.
#[expect(clippy::print_stderr, reason = "a part of the test that is left out is said")]
fn late_errors(site: &Site, asked: &[String]) -> u64 {
    let raw = match Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) {
        Ok(raw) => raw,
        Err(error) => {
            eprintln!("NO ICMP ERROR IS TRIED: {error}");
            return 0;
        }
    };
    let to = SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)));
    for request in &asked[..20] {
        raw.send_to(&unreachable(site, request), &to).unwrap();
    }
    20
}

#[test]
fn what_answers_an_earlier_life_is_counted_and_nothing_else() {
    for (has_state, counter) in
        [(true, "dropped_response_earlier"), (false, "dropped_response_foreign")]
    {
        let site = Site::new(&format!("restart-{has_state}"), "", "", has_state);
        let asked = earlier_life(&site);
        let life = site.start("later");
        for text in &asked {
            site.im_sends(&answer(text, "200 OK"));
        }
        site.wait_for(counter, asked.len() as u64);
        let errors = late_errors(&site, &asked);
        site.wait_for("icmp_foreign", errors);
        has_decided_nothing(&site);
        new_messages_go_through(&site, &asked);
        drop(life);
        let told = site.verdicts("later");
        assert!(told.iter().all(|line| line["verdict"] == "D"), "{told:#?}");
    }
}
