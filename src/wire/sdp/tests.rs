//! Examples of the RFCs, one row for each rule of form, and what is written read back.

use super::*;

fn text(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).unwrap()
}

/// RFC 4975 section 8.7, the offer.
const OFFER: &str = "v=0\r\n\
    o=usera 2890844526 2890844527 IN IP4 alice.example.com\r\n\
    s= -\r\n\
    c=IN IP4 alice.example.com\r\n\
    t=0 0\r\n\
    m=message 7394 TCP/MSRP *\r\n\
    a=accept-types:message/cpim text/plain text/html\r\n\
    a=path:msrp://alice.example.com:7394/2s93i93idj;tcp\r\n";

#[test]
fn the_offer_of_the_rfc_says_what_it_says() {
    let session = parse(OFFER.as_bytes()).unwrap();
    let of = |span: Span| text(span.of(session.octets));
    let origin = session.origin;
    assert_eq!(of(origin.value), "usera 2890844526 2890844527 IN IP4 alice.example.com");
    assert_eq!((of(origin.username), of(origin.address)), ("usera", "alice.example.com"));
    assert_eq!((of(origin.net_type), of(origin.address_type)), ("IN", "IP4"));
    assert_eq!((origin.session_id, origin.version), (2_890_844_526, 2_890_844_527));
    assert_eq!((of(session.name), of(session.times)), (" -", "t=0 0"));
    assert_eq!(of(session.connection.unwrap().value), "IN IP4 alice.example.com");
    assert_eq!((session.media_count, session.media().count()), (1, 1));
    let media = session.media().next().unwrap();
    assert_eq!((of(media.media), media.port, media.port_count), ("message", 7394, 1));
    assert_eq!((of(media.protocol), of(media.formats)), ("TCP/MSRP", "*"));
    assert_eq!(of(media.accept_types), "message/cpim text/plain text/html");
    assert_eq!(of(media.path), "msrp://alice.example.com:7394/2s93i93idj;tcp");
    assert_eq!((media.path_count, media.uris().count()), (1, 1));
    assert_eq!(media.uris().next(), Some(media.path));
    assert_eq!((media.setup, media.direction, media.max_size), (None, None, None));
    assert_eq!((media.cema, media.wrong), (false, None));
    assert_eq!(media.connection, session.connection);
    assert_eq!(strict(&session), Ok(()));
}
