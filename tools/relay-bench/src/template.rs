//! What the SMS side sends: composed once, with each message's own number written into it.

use relay_bench::message::{Range, scan, write_decimal, write_hex};

use roger::engine::home_of;

use crate::{Arguments, Homes};

/// A message with zeros where each one has its number.
#[derive(Debug)]
pub(crate) struct Template {
    octets: Vec<u8>,
    /// The number of the message, in 16 hexadecimal digits.
    numbers: Vec<usize>,
    /// The place of the message, in 16 hexadecimal digits.
    places: Vec<usize>,
    /// The digits of the recipient that are its own.
    recipient: Option<Range>,
    /// RP-MR.
    reference: Option<usize>,
    /// The digits of the recipients to whom messages go in turn.
    recipients: Vec<[u8; 4]>,
}

/// Where the own digits of the recipient of a text begin: behind `MESSAGE sip:+1555123`.
const OWN_DIGITS: usize = 20;

/// What an SMS side writes before the digits of a recipient.
const RECIPIENT: &[u8] = b"P-Called-Party-ID: <sip:+1555";
/// How many digits are the recipient's own: of E.164's fifteen, those after the area.
const RECIPIENT_DIGITS: usize = 10;

impl Template {
    pub(crate) fn of(octets: Vec<u8>) -> Option<Self> {
        let found = scan(&octets)?;
        let tag = found.from.end.checked_sub(2 + 16)?;
        let call_id = found.call_id.at + b"Call-ID: ".len();
        if found.branch.end - found.branch.at != 32 {
            return None;
        }
        let mut template = Self {
            numbers: Vec::from([found.branch.at, tag, call_id]),
            places: Vec::from([found.branch.at + 16]),
            recipient: None,
            reference: None,
            recipients: Vec::new(),
            octets: Vec::new(),
        };
        if found.called_party.of(&octets).starts_with(RECIPIENT) {
            let at = found.called_party.at + RECIPIENT.len();
            template.recipient = Some(Range { at, end: at + RECIPIENT_DIGITS });
            template.places.push(call_id + 16);
            template.reference = Some(found.body.at + 1);
        }
        template.octets = octets;
        Some(template)
    }

    /// Sends to many recipients, in turn to one whose home is each of the workers.
    pub(crate) fn spread(mut self, homes: Homes) -> Self {
        let Homes { key, workers } = homes;
        let mut of_each: Vec<Vec<[u8; 4]>> = vec![Vec::new(); workers];
        for own in 0..workers * 1_000 {
            let uri = format!("sip:+1555123{own:04}@im.example.net");
            let home = home_of(key, uri.as_bytes(), workers);
            if usize::from(home.0) == own / 1_000
                && let Ok(digits) = uri.as_bytes()[12..16].try_into()
            {
                of_each[own / 1_000].push(digits);
            }
        }
        let least = of_each.iter().map(Vec::len).min().unwrap_or_default();
        self.recipients = (0..least * workers).map(|n| of_each[n % workers][n / workers]).collect();
        self
    }

    pub(crate) fn write(&self, number: u64, place: u16, to: &mut [u8]) -> usize {
        to[..self.octets.len()].copy_from_slice(&self.octets);
        for &at in &self.numbers {
            write_hex(number, &mut to[at..at + 16]);
        }
        for &at in &self.places {
            write_hex(u64::from(place), &mut to[at..at + 16]);
        }
        let recipients = self.recipients.len() as u64;
        if let Some(turn) =
            number.checked_rem(recipients).and_then(|turn| usize::try_from(turn).ok())
        {
            to[OWN_DIGITS..OWN_DIGITS + 4].copy_from_slice(&self.recipients[turn]);
        }
        if let Some(digits) = self.recipient {
            write_decimal(number, &mut to[digits.at..digits.end]);
        }
        if let Some(at) = self.reference {
            [to[at], ..] = number.to_le_bytes();
        }
        self.octets.len()
    }
}

const ZEROS: &str = "0000000000000000";

/// A MESSAGE of text: a plausible message of an SMS gateway.
pub(crate) fn text(arguments: &Arguments) -> Result<Vec<u8>, String> {
    let (sms, im, transport) = (arguments.sms, arguments.im, arguments.transport.name());
    let head = |body: usize| {
        format!(
            "MESSAGE sip:+15551230002@{im} SIP/2.0\r\n\
             Via: SIP/2.0/{transport} {sms};rport;branch=z9hG4bK{ZEROS}{ZEROS}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:+15557650001@sms.example.net>;tag={ZEROS}\r\n\
             To: <sip:+15551230002@im.example.net>\r\n\
             Call-ID: {ZEROS}@sms.example.net\r\n\
             CSeq: 1 MESSAGE\r\n\
             P-Asserted-Identity: <sip:+15557650001@sms.example.net>\r\n\
             User-Agent: gateway\r\n\
             Content-Type: text/plain;charset=UTF-8\r\n\
             Content-Length: {body:3}\r\n\r\n",
        )
    };
    let size = usize::from(arguments.size);
    let body = size
        .checked_sub(head(0).len())
        .ok_or_else(|| format!("a MESSAGE with these addresses is longer than {size}"))?;
    let words = b"It is not certain that everything is uncertain. ";
    let mut message = head(body).replace("Length:  ", "Length: 0").into_bytes();
    message.extend(words.iter().cycle().take(body));
    Ok(message)
}

/// A MESSAGE with RP-DATA, as an IP-SM-GW sends it by way of an S-CSCF. Each goes to a recipient of
/// its own, so that none is a repetition and none waits for another.
pub(crate) fn short_message(arguments: &Arguments) -> Vec<u8> {
    let (sms, transport) = (arguments.sms, arguments.transport.name());
    let body = rp_data(
        b"It is not certain that everything is uncertain. Nor is it certain that \
        nothing is; who counts both finds more.",
    );
    let head = format!(
        "MESSAGE sip:ue@{target} SIP/2.0\r\n\
         Via: SIP/2.0/{transport} {sms};rport;branch=z9hG4bK{ZEROS}{ZEROS}\r\n\
         Max-Forwards: 70\r\n\
         From: <sip:ip-sm-gw@sc.example.net>;tag={ZEROS}\r\n\
         To: <sip:ue@im.example.net>\r\n\
         Call-ID: {ZEROS}{ZEROS}@sc.example.net\r\n\
         CSeq: 1 MESSAGE\r\n\
         P-Asserted-Identity: <sip:sc@sc.example.net>\r\n\
         P-Called-Party-ID: <sip:+15550000000000@im.example.net;user=phone>\r\n\
         Request-Disposition: no-fork\r\n\
         Accept-Contact: *;+g.3gpp.smsip;require;explicit\r\n\
         Content-Type: application/vnd.3gpp.sms\r\n\
         Content-Length: {}\r\n\r\n",
        body.len(),
        target = arguments.target,
    );
    let mut message = head.into_bytes();
    message.extend(body);
    message
}

/// RP-DATA from the network with an SMS-DELIVER from +46708251358 (TS 24.011 section 7.3.1.1,
/// TS 23.040 section 9.2.2.1).
fn rp_data(text: &[u8]) -> Vec<u8> {
    let mut tpdu = Vec::from([0x04, 0x0B, 0x91, 0x64, 0x07, 0x28, 0x15, 0x53, 0xF8, 0x00, 0x00]);
    // 2025-11-22 11:28:00 +08:00.
    tpdu.extend([0x52, 0x11, 0x22, 0x11, 0x82, 0x00, 0x23]);
    tpdu.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    tpdu.extend(septets(text));
    let mut rp =
        Vec::from([0x01, 0x00, 0x08, 0x91, 0x68, 0x31, 0x08, 0x10, 0x83, 0x00, 0xF0, 0x00]);
    rp.push(u8::try_from(tpdu.len()).unwrap_or(u8::MAX));
    rp.extend(tpdu);
    rp
}

/// GSM 7 bit packing (TS 23.038 section 6.1.2.1); letters, digits, spaces, commas, semicolons and
/// full stops have the same numbers there as in ASCII.
fn septets(text: &[u8]) -> Vec<u8> {
    let (mut packed, mut bits, mut count) = (Vec::new(), 0_u16, 0);
    for &letter in text {
        bits |= u16::from(letter & 0x7F) << count;
        count += 7;
        if count >= 8 {
            packed.push(bits.to_le_bytes()[0]);
            bits >>= 8;
            count -= 8;
        }
    }
    if count > 0 {
        packed.push(bits.to_le_bytes()[0]);
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;
    use roger::wire::rp::{self, Direction, Message};
    use roger::wire::tpdu::{self, Answer, Tpdu, UserData};

    #[test]
    fn a_short_message_is_read_back_with_its_numbers() {
        let arguments = Arguments::for_test();
        let template = Template::of(short_message(&arguments)).unwrap();
        let mut octets = [0; 1_500];
        let len = template.write(0x1234, 7, &mut octets);
        let octets = &octets[..len];
        let found = scan(octets).unwrap();
        assert_eq!(found.branch.of(octets), b"00000000000012340000000000000007");
        assert_eq!(
            found.call_id.of(octets),
            b"Call-ID: 00000000000012340000000000000007@sc.example.net\r\n"
        );
        assert_eq!(
            found.called_party.of(octets),
            b"P-Called-Party-ID: <sip:+15550000004660@im.example.net;user=phone>\r\n"
        );
        let Ok(Message::Data(data)) = rp::parse(found.body.of(octets)) else { panic!() };
        assert_eq!((data.reference, data.direction), (0x34, Direction::NetworkToMs));
        let read = tpdu::parse(data.tpdu, Direction::NetworkToMs, Answer::Ack);
        let Ok(Tpdu::Deliver(deliver)) = read else { panic!() };
        let mut text = [0; UserData::TEXT_SIZE_MAX];
        let len = deliver.user_data.text(&mut text).unwrap();
        assert!(text.starts_with(b"It is not certain"));
        assert!(text[..len].ends_with(b"who counts both finds more."));
        // bare-gateway writes three digits.
        assert!((100..1_000).contains(&len));
    }

    #[test]
    fn recipients_are_at_home_where_their_digit_says_in_turn() {
        let arguments = Arguments::for_test();
        let homes: Homes = "00000000000000010000000000000002:3".parse().unwrap();
        let template = Template::of(text(&arguments).unwrap()).unwrap().spread(homes);
        assert!(template.recipients.len() > 600);
        let mut octets = [0; 1_500];
        for number in 0..100 {
            template.write(number, 7, &mut octets);
            let uri = &octets[8..octets.iter().position(|octet| *octet == b'@').unwrap() + 3];
            let home = home_of(homes.key, uri, 3).0;
            assert_eq!((octets[OWN_DIGITS], u64::from(home)), (b'0' + home, number % 3));
        }
        assert!("00000000000000010000000000000002:11".parse::<Homes>().is_err());
        assert!("1:2".parse::<Homes>().is_err() && "00".parse::<Homes>().is_err());
    }

    #[test]
    fn a_text_is_read_back_with_its_numbers() {
        let arguments = Arguments::for_test();
        let template = Template::of(text(&arguments).unwrap()).unwrap();
        let mut octets = [0; 1_500];
        let len = template.write(0x1234, 7, &mut octets);
        assert_eq!(len, 600);
        let found = scan(&octets[..len]).unwrap();
        assert_eq!(found.branch.of(&octets), b"00000000000012340000000000000007");
        assert_eq!(found.call_id.of(&octets), b"Call-ID: 0000000000001234@sms.example.net\r\n");
        assert!(found.from.of(&octets).ends_with(b";tag=0000000000001234\r\n"));
    }
}
