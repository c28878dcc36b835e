//! Every torture message of RFC 4475 and RFC 5118, and our own, judged: what a proxy or a server
//! of any method takes, what it answers, and what it drops.

use super::*;

/// What becomes of a datagram.
#[derive(Debug, PartialEq)]
enum Judgement {
    /// Worked with.
    Request(Method),
    /// Worked with.
    Response(u16),
    /// Answered with this.
    Fault(u16, &'static str),
    /// Dropped: this was expected.
    Drop(&'static str),
}

use Judgement::{Drop, Fault as Answer, Request as Take, Response as Pass};

fn judge(octets: &[u8]) -> Judgement {
    match parse(octets) {
        Ok(Message::Request(request)) => match request.fault {
            None => Take(request.method),
            Some(fault) => Answer(fault.status, fault.reason),
        },
        Ok(Message::Response(response)) => Pass(response.status),
        Err(malformed) => Drop(malformed.expected),
    }
}

fn vector(directory: &str, name: &str) -> Vec<u8> {
    std::fs::read(format!("tests/vectors/{directory}/{name}.dat")).unwrap()
}

fn names(directory: &str) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(format!("tests/vectors/{directory}"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// All vectors with their names.
pub(super) fn vectors() -> Vec<(String, Vec<u8>)> {
    ["rfc4475", "rfc5118", "sip"]
        .iter()
        .flat_map(|directory| names(directory).into_iter().map(move |name| (*directory, name)))
        .map(|(directory, name)| (format!("{directory}/{name}"), vector(directory, &name)))
        .collect()
}

fn assert_all(directory: &str, expected: &[(&str, Judgement)]) {
    for (name, judgement) in expected {
        assert_eq!(&judge(&vector(directory, name)), judgement, "{directory}/{name}");
    }
    let judged: Vec<_> = expected.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names(directory), judged, "every file has its row, in order");
}

#[test]
fn rfc_4475_is_judged_rightly() {
    use Method::{Invite, Message, Options, Other, Register};
    assert_all(
        "rfc4475",
        &[
            // 3.1.2.14: "reasonable to reject"; the To URI has white space in its brackets.
            ("badaspec", Answer(400, "Malformed To")),
            // 3.2.1: "could reject the request with a 400".
            ("badbranch", Answer(400, "Incomplete Via Branch")),
            // 3.1.2.12: not to be rejected by who does not need the Date.
            ("baddate", Take(Invite)),
            // 3.1.2.15: "reasonable always to reject"; a proxy must not pass the error on.
            ("baddn", Answer(400, "Malformed From")),
            // 3.1.2.1: "should respond with a 400".
            ("badinv01", Answer(400, "Malformed Via")),
            // 3.1.2.16: "should respond .. with a 505".
            ("badvers", Answer(505, "Version Not Supported")),
            // 3.3.10: well formed; never sent by its second Via here, but to who sent the request.
            ("bcast", Pass(200)),
            // 3.3.5: well formed; 420 is the engine's, from `proxy_require` or `require`.
            ("bext01", Take(Options)),
            // 3.1.2.19: "should simply drop it".
            ("bigcode", Drop("a status code from 100 to 699")),
            // 3.1.2.2: over UDP "should respond with a 400".
            ("clerr", Answer(400, "Content-Length Larger Than Message")),
            // 3.3.12, 3.3.13: well formed.
            ("cparam01", Take(Register)),
            ("cparam02", Take(Register)),
            // 3.1.1.8: the INVITE behind the REGISTER is noise.
            ("dblreq", Take(Register)),
            // 3.1.1.3, 3.1.1.5, 3.1.1.4: well formed; `RE%47IST%45R` is a method of its own.
            ("esc01", Take(Invite)),
            ("esc02", Take(Other)),
            ("escnull", Take(Register)),
            // 3.1.2.11: "acceptable .. to reject"; escaped headers must not be forwarded.
            ("escruri", Answer(400, "Malformed Request-URI")),
            // 3.3.1: "ideally .. a 400".
            ("insuf", Answer(400, "Missing From")),
            // 3.1.1.2: well formed, a NUL behind a backslash included.
            ("intmeth", Take(Other)),
            // 3.4.1: RFC 2543: no branch, no From tag, no Content-Length, no Max-Forwards.
            ("inv2543", Take(Invite)),
            // 3.3.6: a proxy does not care for the Content-Type.
            ("invut", Take(Invite)),
            // 3.1.1.7: long, and well formed.
            ("longreq", Take(Invite)),
            // 3.1.2.7: "reasonable always to reject".
            ("ltgtruri", Answer(400, "Malformed Request-URI")),
            // 3.1.1.6: "should accept this request as well formed".
            ("lwsdisp", Take(Options)),
            // 3.1.2.8: "should respond with a 400".
            ("lwsruri", Answer(400, "Malformed Request-Line")),
            // 3.1.2.9: "acceptable to reject".
            ("lwsstart", Answer(400, "Malformed Request-Line")),
            // 3.3.9: "should respond with an error".
            ("mcl01", Answer(400, "Repeated Content-Length")),
            // 3.1.2.17: "will respond with a 400".
            ("mismatch01", Answer(400, "CSeq Method Mismatch")),
            // 3.1.2.18: "should respond with a 501".
            ("mismatch02", Answer(501, "Not Implemented")),
            // 3.1.1.11: well formed, NUL in the body included.
            ("mpart01", Take(Message)),
            // 3.3.8: "would respond with a 400".
            ("multi01", Answer(400, "Repeated CSeq")),
            // 3.1.2.3: "should respond with an error".
            ("ncl", Answer(400, "Malformed Content-Length")),
            // 3.1.1.13: well formed.
            ("noreason", Pass(100)),
            // 3.3.3: "appropriate to treat it as unknown".
            ("novelsc", Answer(416, "Unsupported URI Scheme")),
            // 3.1.2.6: "should return a 400".
            ("quotbal", Answer(400, "Malformed To")),
            // 3.3.7: well formed; 405 is the engine's.
            ("regaut01", Take(Register)),
            // 3.1.2.13: malformed in Contact only, which nobody but a registrar reads.
            ("regbadct", Take(Register)),
            // 3.3.14: well formed.
            ("regescrt", Take(Register)),
            // 3.1.2.4: "should respond with a 400 .. due to the CSeq error".
            ("scalar02", Answer(400, "Malformed CSeq")),
            // 3.1.2.5: "will simply discard it".
            ("scalarlg", Drop("a number below 2^31 and a method in CSeq")),
            // 3.3.15: a proxy does not care for Accept.
            ("sdp01", Take(Invite)),
            // 3.1.1.9: well formed.
            ("semiuri", Take(Options)),
            // In the archive only: LF without CR, no SIP version.
            ("test", Drop("a version of SIP")),
            // 3.1.1.10: "must accept this message as well formed".
            ("transports", Take(Options)),
            // 3.1.2.10: "acceptable to reject".
            ("trws", Answer(400, "Malformed Request-Line")),
            // 3.3.2: "will reject it with a 416".
            ("unkscm", Answer(416, "Unsupported URI Scheme")),
            // 3.3.4: "proxies should treat this message as they would any other".
            ("unksm2", Take(Register)),
            // 3.1.1.12: well formed.
            ("unreason", Pass(200)),
            // 3.1.1.1: "all elements should treat this as a well-formed request".
            ("wsinv", Take(Invite)),
            // 3.3.11: legal; 483 is the engine's, from `max_forwards`.
            ("zeromf", Take(Options)),
        ],
    );
}

#[test]
fn rfc_5118_is_judged_rightly() {
    use Method::{Bye, Invite, Options, Register};
    assert_all(
        "rfc5118",
        &[
            // 4.9: well formed.
            ("ipv4-mapped-ipv6", Take(Invite)),
            // 4.2: "should respond with a 400".
            ("ipv6-bad", Answer(400, "Malformed Request-URI")),
            // 4.10: "must tolerate both".
            ("ipv6-bug-abnf-3-colons", Take(Options)),
            ("ipv6-correct-abnf-2-colons", Take(Options)),
            // 4.1, 4.6, 4.7, 4.8: well formed.
            ("ipv6-good", Take(Register)),
            ("ipv6-in-sdp", Take(Invite)),
            ("mult-ip-in-header", Take(Bye)),
            ("mult-ip-in-sdp", Take(Invite)),
            // 4.3: well formed, whatever its sender meant.
            ("port-ambiguous", Take(Register)),
            // 4.4: well formed.
            ("port-unambiguous", Take(Register)),
            // 4.5: "must parse them successfully".
            ("via-received-param-no-delim", Take(Options)),
            ("via-received-param-with-delim", Take(Bye)),
        ],
    );
}

#[test]
fn our_own_vectors_are_judged_by_their_names() {
    let names = names("sip");
    assert!(names.len() > 150);
    for name in names {
        let judgement = judge(&vector("sip", &name));
        let fits = match (name.split('-').next().unwrap(), &judgement) {
            ("ok", Take(_) | Pass(_)) | ("drop", Drop(_)) => true,
            (status, Answer(answered, _)) => status == answered.to_string(),
            _ => false,
        };
        assert!(fits, "{name}: {judgement:?}");
    }
}

/// What is read from a torture message, beyond that it can be read.
#[test]
fn torture_messages_say_what_they_say() {
    let octets = vector("rfc4475", "wsinv");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    let fields = &request.fields;
    let of = |span: Span| core::str::from_utf8(span.of(request.octets)).unwrap();
    assert_eq!((fields.via_count, of(fields.via.host)), (3, "192.0.2.2"));
    let branches: Vec<_> = request.vias().map(|via| of(via.branch).to_owned()).collect();
    assert_eq!(branches, ["390skdjuw", "z9hG4bK9ikj8", "z9hG4bK30239"]);
    assert_eq!((of(fields.to_tag), of(fields.from_tag)), ("1918181833n", "98asjd8"));
    assert_eq!((fields.max_forwards, fields.cseq, fields.body.len), (Some(68), 9, 150));
    let route = request.routes().next().unwrap();
    assert_eq!((of(route.host), route.lr, fields.route_count), ("services.example.com", true, 1));

    let octets = vector("rfc4475", "dblreq");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    assert!(request.octets.ends_with(b"Content-Length: 0\r\n\r\n"));

    let octets = vector("rfc4475", "escnull");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    assert_eq!(request.fields.contact_count, 2);

    let octets = vector("rfc4475", "esc02");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    assert_eq!(request.fields.contact_count, 2, "C%6Fntact is another header field");

    let octets = vector("rfc4475", "bext01");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    let options = request.fields.proxy_require.of(request.octets);
    assert_eq!(options, b"noProxiesSupportThis, norDoAnyProxiesSupportThis");
    assert!(request.fields.require.of(request.octets).starts_with(b"nothingSupportsThis"));

    let octets = vector("rfc4475", "longreq");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    assert_eq!((request.fields.via_count, request.vias().count()), (34, 34));

    let octets = vector("rfc4475", "bcast");
    let Ok(Message::Response(response)) = parse(&octets) else { panic!() };
    assert_eq!(response.vias().nth(1).unwrap().host.of(response.octets), b"255.255.255.255");

    let octets = vector("rfc4475", "transports");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    let transports: Vec<_> = request.vias().map(|via| via.transport).collect();
    use Transport::{Other, Sctp, Tcp, Tls, Udp};
    assert_eq!(transports, [Udp, Sctp, Tls, Other, Tcp]);

    let octets = vector("rfc5118", "ipv4-mapped-ipv6");
    let Ok(Message::Request(request)) = parse(&octets) else { panic!() };
    let host = request.fields.via.host.of(request.octets);
    assert_eq!(uri::host_address(host), uri::host_address(b"192.0.2.10"));
    assert_eq!(request.fields.via.port, Some(19823));
}

/// RFC 4475 section 3.1.1.2 and RFC 3261 section 7.5.
#[test]
fn keep_alives_are_told_apart() {
    for datagram in [&b""[..], b"\r\n", b"\r\n\r\n", b"\0\0\0\0"] {
        assert!(is_keep_alive(datagram));
        assert!(parse(datagram).is_err());
    }
    assert!(!is_keep_alive(b"\r\n\r\nMESSAGE"));
}
