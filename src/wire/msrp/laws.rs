//! What holds for any octets whatsoever: the mutation test and the fuzz target check it.

use super::reference::{Facts, Judged, Part, divide, judge};
use super::*;

/// Shows a reader a stream that arrives in pieces as long as `next` says, and tells what it saw.
/// Pieces of one body are put together.
pub(super) fn seen(octets: &[u8], mut next: impl FnMut() -> usize) -> Vec<Part> {
    let mut reader = Reader::new();
    let mut parts = Vec::new();
    let (mut at, mut arrived) = (0_usize, 0_usize);
    loop {
        let front = octets.get(at..arrived).unwrap_or_default();
        let len = match reader.read(front) {
            Event::Head { len } => {
                parts.push(Part::Head(front.get(..len).unwrap_or_default().to_vec()));
                len
            }
            Event::Body { len } => {
                assert!(len > 0, "a body of no octets is no event");
                let piece = front.get(..len).unwrap_or_default();
                match parts.last_mut() {
                    Some(Part::Body(body)) => body.extend_from_slice(piece),
                    Some(Part::Head(_) | Part::End(_) | Part::Malformed(_)) | None => {
                        parts.push(Part::Body(piece.to_vec()));
                    }
                }
                len
            }
            Event::End { flag, len } => {
                parts.push(Part::End(flag));
                assert!(reader.transaction_id().is_empty());
                len
            }
            Event::Partial { wanted } => {
                assert!(wanted > front.len());
                if arrived >= octets.len() {
                    return parts;
                }
                let more = next().max(wanted.saturating_sub(front.len()));
                arrived = arrived.saturating_add(more).min(octets.len());
                continue;
            }
            Event::Malformed(malformed) => {
                assert!(malformed.at <= front.len());
                assert_eq!(reader.read(front), Event::Malformed(malformed), "and stays so");
                parts.push(Part::Malformed(at.saturating_add(malformed.at)));
                return parts;
            }
        };
        assert!(len <= front.len());
        at = at.saturating_add(len);
    }
}

/// Dividing and reading: whatever comes in whatever pieces, it is what a reader sees who has all of
/// it and tries every position; and heads say what he reads in them.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn reads(octets: &[u8]) {
    let whole = divide(octets);
    assert_eq!(seen(octets, || octets.len()), whole, "all at once");
    assert_eq!(seen(octets, || 1), whole, "octet by octet");
    let mut pieces = octets.iter().map(|octet| usize::from(octet & 0x3F)).cycle();
    assert_eq!(seen(octets, || pieces.next().unwrap_or(1)), whole, "in pieces");
    for part in &whole {
        if let Part::Head(octets) = part {
            heads(octets);
        }
    }
    // The octets themselves as a head, whatever they are.
    if let Ok(Head::Request(request)) = head(octets) {
        spans(octets, &request.fields);
    }
}

/// Every cut in two shows the same parts.
///
/// # Panics
///
/// Panics if something does not hold.
pub fn cuts(octets: &[u8]) {
    let whole = divide(octets);
    for cut in 0..=octets.len() {
        let mut pieces = [cut, octets.len()].into_iter();
        assert_eq!(seen(octets, || pieces.next().unwrap_or(1)), whole, "cut at {cut}");
    }
}

fn heads(octets: &[u8]) {
    let judged = judge(octets);
    match head(octets) {
        Ok(Head::Request(request)) => {
            spans(octets, &request.fields);
            assert_eq!(Method::of(request.method_name.of(octets)), request.method);
            match request.fault {
                Some(fault) => {
                    assert_eq!(judged, Judged::Refused(fault.code), "{fault}");
                    assert!(usize::from(fault.at) <= octets.len());
                }
                None => {
                    let start = text(request.method_name.of(octets));
                    let id = request.transaction_id;
                    let facts = facts(octets, id, start, &request.fields, request.has_body);
                    assert_eq!(judged, Judged::Taken(Box::new(facts)));
                    assert_eq!(request.to_path().uris().count(), request.to_path().count());
                    for uri in request.to_path().written().chain(request.from_path().written()) {
                        let read = uri::parse(uri);
                        assert_eq!(read, uri::unusual(uri), "with and without its shortcut");
                        assert!(read.is_ok_and(|uri| uri.matches(&uri)));
                    }
                    strictly(&Head::Request(request));
                    rebuilds(&request);
                }
            }
            replies(&request);
            if request.fault.is_none() {
                let count = header_fields(octets).count();
                assert_eq!(count, usize::from(request.fields.header_count));
            }
        }
        Ok(Head::Response(response)) => {
            spans(octets, &response.fields);
            let comment = text(response.comment.of(octets));
            let start = |space| format!("{:03}{space}{comment}", response.code);
            let id = response.transaction_id;
            let fields = &response.fields;
            strictly(&Head::Response(response));
            // A space that nothing follows may be there or not.
            let either = ["", " "].map(|space| {
                Judged::Taken(Box::new(facts(octets, id, start(space), fields, response.has_body)))
            });
            assert!(either.contains(&judged), "{judged:?} {either:?}");
        }
        Err(malformed) => {
            assert_eq!(judged, Judged::Dropped, "{malformed}");
            assert!(malformed.at <= octets.len());
        }
    }
}

fn strictly(head: &Head<'_>) {
    let (Head::Request(Request { octets, .. }) | Head::Response(Response { octets, .. })) = head;
    assert!(strict::check(head).err().is_none_or(|malformed| malformed.at <= octets.len()));
}

fn text(octets: &[u8]) -> String {
    octets.iter().copied().map(char::from).collect()
}

fn facts(octets: &[u8], id: Span, start: String, fields: &Fields, has_body: bool) -> Facts {
    let of = |span: Span| text(span.of(octets));
    let path = |span: Span| Path::read_before(span.of(octets)).written().map(text).collect();
    let range = |range: ByteRange| {
        (u128::from(range.start), range.end.map(u128::from), range.total.map(u128::from))
    };
    let status =
        |status: Status| (format!("{:03}", status.namespace), format!("{:03}", status.code));
    Facts {
        id: of(id),
        start,
        to_path: path(fields.to_path),
        from_path: path(fields.from_path),
        message_id: of(fields.message_id),
        range: fields.byte_range.map(range),
        success: fields.success_report,
        failure: fields.failure_report.text().to_owned(),
        status: fields.status.map(status),
        content_type: of(fields.content_type),
        has_body,
    }
}

fn spans(octets: &[u8], fields: &Fields) {
    for span in [fields.to_path, fields.from_path, fields.message_id, fields.content_type]
        .into_iter()
        .chain([fields.use_path, fields.www_authenticate, fields.authorization])
        .chain([fields.authentication_info])
        .chain(fields.status.map(|status| status.comment))
    {
        assert!(usize::from(span.end()) <= octets.len());
        assert_eq!(span.of(octets).len(), usize::from(span.len));
    }
    assert!(fields.header_count >= 2);
}

/// The answer to a request reads as one to it, and its size was known.
fn replies(request: &Request<'_>) {
    let reply = Reply::to(request, 400, "Bad Request");
    let size = reply.size().unwrap_or_default();
    let mut slot = vec![0; size];
    assert_eq!(reply.write(&mut slot), Some(size));
    let parts = seen(&slot, || size);
    let octets = match parts.as_slice() {
        [Part::Head(octets), Part::End(Flag::Last)] => octets.as_slice(),
        _ => &[],
    };
    let read = head(octets).ok();
    assert!(matches!(read, Some(Head::Response(_))), "{parts:?}");
    let Some(Head::Response(response)) = read else { return };
    assert_eq!(response.code, 400);
    let id = request.transaction_id.of(request.octets);
    assert_eq!(response.transaction_id.of(octets), id);
    assert_eq!(Some(response.from_path()), Some(request.to_path().first()));
    assert_eq!(response.to_path().first(), request.from_path().first());
    assert!(request.method != Method::Send || response.to_path().count() == 1);
}

/// A request written with the values of one that was read reads the same.
fn rebuilds(request: &Request<'_>) {
    let (octets, fields) = (request.octets, &request.fields);
    let of = |span: Span| span.of(octets);
    let content_type = (!fields.content_type.is_empty()).then(|| of(fields.content_type));
    let send = Send {
        transaction_id: of(request.transaction_id),
        to_path: request.to_path(),
        from_path: request.from_path(),
        message_id: of(fields.message_id),
        byte_range: fields.byte_range,
        success_report: fields.success_report,
        failure_report: fields.failure_report,
        others: &[],
        content_type: content_type.filter(|_| request.has_body),
    };
    let Some(size) = send.size() else {
        // A control character that a reader passes is none that a writer writes.
        let odd = content_type.is_some_and(|value| value.iter().any(u8::is_ascii_control));
        assert!(odd || request.method != Method::Send);
        return;
    };
    let mut slot = vec![0; size];
    assert_eq!(send.write(&mut slot), Some(size));
    let short = size.saturating_sub(1);
    assert_eq!(send.write(slot.get_mut(..short).unwrap_or_default()), None);
    assert_eq!(send.write(&mut slot), Some(size));
    let read = head(&slot);
    assert!(matches!(read, Ok(Head::Request(_))), "{slot:?}");
    let Ok(Head::Request(read)) = read else { return };
    assert_eq!((read.fault, read.has_body), (None, request.has_body));
    assert_eq!(read.fields.message_id.of(&slot), send.message_id);
    assert_eq!(read.to_path(), send.to_path);
    assert_eq!(read.from_path(), send.from_path);
    assert_eq!(read.fields.byte_range, send.byte_range);
    assert_eq!(read.fields.success_report, send.success_report);
    assert_eq!(read.fields.failure_report, send.failure_report);
    assert_eq!(Some(read.fields.content_type.of(&slot)), send.content_type.or(Some(b"")));
}
