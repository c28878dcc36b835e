//! What holds for any octets whatsoever: the mutation test and the fuzz target check it.

use super::*;

/// Reading: spans lie where they must, headers read the same again, escapes can be decoded, and
/// what is cut off behind the content changes nothing.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads(octets: &[u8]) {
    let message = match parse(octets) {
        Ok(message) => message,
        Err(malformed) => {
            assert!(malformed.at <= octets.len());
            return;
        }
    };
    let of = |span: Span| span.of(message.octets);
    assert!(octets.starts_with(message.octets));
    assert_eq!(usize::from(message.body.end()), message.octets.len());
    assert!(message.content_length.is_none_or(|len| len == message.body.len));
    assert!(message.headers.end() < message.body.at);
    let mut len: usize = 0;
    for header in message.headers() {
        // Room for what it means is never more than what is written.
        let mut decoded = vec![0; header.value.len()];
        let decoded_len = unescape(header.value, &mut decoded);
        assert!(decoded_len.is_some());
        let decoded = decoded.get(..decoded_len.unwrap_or_default()).unwrap_or_default();
        assert!(core::str::from_utf8(decoded).is_ok());
        let line = header.name.len().saturating_add(header.parameters.len());
        len = len.saturating_add(line).saturating_add(header.value.len()).saturating_add(4);
    }
    assert_eq!(len, usize::from(message.headers.len));
    for span in [message.from, message.to, message.date_time, message.subject, message.require]
        .into_iter()
        .chain([message.message_id, message.disposition_notification])
        .filter(|span| !span.is_empty())
    {
        assert!(span.at > message.headers.at && span.end() < message.headers.end());
        assert!(message.headers().any(|header| header.value == of(span)));
    }
    assert_eq!(parse(message.octets), Ok(message));
    wraps(&message);
}

/// What is wrapped with the values of a message reads as these values.
fn wraps(message: &Message<'_>) {
    let of = |span: Span| span.of(message.octets);
    let wrap = Wrap {
        from: of(message.from),
        to: of(message.to),
        date_time: of(message.date_time),
        message_id: of(message.message_id),
        content_type: of(message.content_type),
    };
    let mut slot = vec![0; message.octets.len().saturating_add(100)];
    let Some(len) = head(&wrap, &mut slot) else { return };
    let body = of(message.body);
    let end = len.saturating_add(body.len());
    if let Some(room) = slot.get_mut(len..end) {
        room.copy_from_slice(body);
    }
    let out = slot.get(..end).unwrap_or_default();
    let read = parse(out);
    assert!(read.is_ok(), "{read:?}");
    if let Ok(read) = read {
        assert_eq!(read.from.of(out), wrap.from);
        assert_eq!(read.to.of(out), wrap.to);
        assert_eq!(read.date_time.of(out), wrap.date_time);
        assert_eq!(read.content_type.of(out), wrap.content_type);
        assert_eq!(read.body.of(out), body);
    }
}
