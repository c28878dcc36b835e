//! What holds for all octets whatsoever: the mutation tests and the fuzz target check it.

use super::*;

/// Reading in all four contexts: no text is too long, and what is written of a view reads as it.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads(octets: &[u8]) {
    for direction in [Direction::MsToNetwork, Direction::NetworkToMs] {
        for answer in [Answer::Ack, Answer::Error] {
            reads_as(octets, direction, answer);
        }
    }
}

/// Reading in one of them.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads_as(octets: &[u8], direction: Direction, answer: Answer) {
    match parse(octets, direction, answer) {
        Ok(tpdu) => holds(octets, &tpdu, direction, answer),
        Err(fault) => {
            assert!(fault.malformed.at <= octets.len());
            assert!(matches!(fault.fcs, 0xB0 | 0xC7 | 0xFF));
        }
    }
}

fn holds(octets: &[u8], tpdu: &Tpdu<'_>, direction: Direction, answer: Answer) {
    let mut room = [0; 2 * TPDU_SIZE_MAX];
    // An address in a TPDU that is longer than can be comes of parameters to be discarded only.
    let room = room.get_mut(..octets.len()).unwrap_or_default();
    if room.is_empty() {
        return;
    }
    let written = write(tpdu, room);
    assert_eq!(written, Some(octets.len()), "{tpdu:?}");
    assert_eq!(parse(room, direction, answer), Ok(*tpdu));
    // All but spare bits is as it was.
    assert_eq!(room.get(1..), octets.get(1..));
    match tpdu {
        Tpdu::Deliver(view) => {
            address(&view.originator);
            time(&view.scts);
            user_data(&view.user_data);
        }
        Tpdu::DeliverReport(view) => parameters(&view.parameters),
        Tpdu::Submit(view) => {
            address(&view.destination);
            user_data(&view.user_data);
            if let ValidityPeriod::Absolute(stamp) = &view.validity_period {
                time(stamp);
            }
            assert!(view.validity_period.seconds().unwrap_or_default() <= 63 * 7 * 86_400);
        }
        Tpdu::SubmitReport(view) => {
            time(&view.scts);
            parameters(&view.parameters);
        }
        Tpdu::StatusReport(view) => {
            address(&view.recipient);
            time(&view.scts);
            time(&view.discharge_time);
            view.parameters.iter().for_each(parameters);
        }
        Tpdu::Command(view) => {
            address(&view.destination);
            user_data(&view.data);
        }
    }
}

fn parameters(view: &Parameters<'_>) {
    assert!(!view.indicator.is_empty());
    view.user_data.iter().for_each(user_data);
}

fn address(view: &Address<'_>) {
    let mut room = [0; Address::TEXT_SIZE_MAX];
    let written = view.write(&mut room);
    assert!(written.is_some(), "{view:?}");
    is_text(&room, written);
    if !view.is_alphanumeric() {
        assert_eq!(written, Some(usize::from(view.digits)));
    }
}

fn time(view: &Timestamp) {
    let mut room = [0; 40];
    assert_eq!(view.write_rfc3339(&mut room), Some(Timestamp::RFC3339_SIZE));
    assert_eq!(view.write_http_date(&mut room), Some(Timestamp::HTTP_DATE_SIZE));
    // What minus zero becomes is the only difference.
    let again = Timestamp::of(view.unix_seconds(), view.quarters());
    assert!(again.is_some());
    let again = again.map_or(*view, |again| again);
    assert_eq!(again.unix_seconds(), view.unix_seconds());
    assert_eq!(again.0.first_chunk::<6>(), view.0.first_chunk::<6>());
}

fn user_data(view: &UserData<'_>) {
    let mut room = [0; UserData::TEXT_SIZE_MAX];
    let written = view.text(&mut room);
    let is_text = view.dcs().alphabet() != Alphabet::Octets && !view.dcs().is_compressed();
    assert_eq!(written.is_some(), is_text, "{view:?}");
    self::is_text(&room, written);
    let elements = view.elements().map(|element| element.data.len().saturating_add(2));
    let size: usize = elements.sum();
    assert!(size == 0 || size == view.header().len(), "{view:?}");
    if let Some(part) = view.concatenation() {
        assert!(1 <= part.number);
        assert!(part.number <= part.total);
        assert!(part.wide || part.reference <= 0xFF);
    }
}

fn is_text(room: &[u8], written: Option<usize>) {
    let text = room.get(..written.unwrap_or_default());
    assert!(text.is_some_and(|text| core::str::from_utf8(text).is_ok()));
}
