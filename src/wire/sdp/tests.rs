//! Examples of the RFCs, one row for each rule of form and of each attribute.

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

/// Three lines that every description begins with, and its time.
const HEAD: &str = "v=0\r\no=- 1 1 IN IP4 a\r\ns=-\r\n";
const TIME: &str = "t=0 0\r\n";

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

/// RFC 8866 section 5.
#[test]
fn the_example_of_the_rfc_has_three_media() {
    let octets =
        b"v=0\r\no=jdoe 3724394400 3724394405 IN IP4 198.51.100.1\r\ns=Call to John Smith\r\n\
        i=SDP Offer #1\r\nu=http://www.jdoe.example.com/home.html\r\n\
        e=Jane Doe <jane@jdoe.example.com>\r\np=+1 617 555-6011\r\nc=IN IP4 198.51.100.1\r\n\
        t=0 0\r\nm=audio 49170 RTP/AVP 0\r\nm=audio 49180 RTP/AVP 0\r\n\
        m=video 51372 RTP/AVP 99\r\nc=IN IP6 2001:db8::2\r\na=rtpmap:99 h263-1998/90000\r\n";
    let session = parse(octets).unwrap();
    assert_eq!(strict(&session), Ok(()));
    let media: Vec<_> = session.media().collect();
    let ports: Vec<_> = media.iter().map(|media| media.port).collect();
    assert_eq!(ports, [49170, 49180, 51372]);
    let addresses: Vec<_> =
        media.iter().map(|media| text(media.connection.unwrap().address.of(octets))).collect();
    assert_eq!(addresses, ["198.51.100.1", "198.51.100.1", "2001:db8::2"]);
    assert_eq!(media[2].connection.unwrap().ip(octets), ip(b"2001:db8::2"));
}

/// What must stand where: each row is a description, and what is wrong at its last `^`, if anything.
#[test]
fn lines_stand_in_their_order() {
    let all = "v=0\no=- 1 1 IN IP4 a\ns=-\ni=x\nu=x\ne=x\ne=x\np=x\np=x\nc=IN IP4 a\nb=AS:1\n\
        b=CT:1\nt=0 0\nr=7d 1h 0\nr=7d 1h 0\nz=0 -1h\nt=0 0\nt=0 0\nk=prompt\na=x\na=y:z\n\
        m=audio 1 RTP/AVP 0\ni=x\nc=IN IP4 a\nc=IN IP4 b\nb=AS:1\nb=AS:2\nk=prompt\na=x\na=y\n\
        m=audio 1 RTP/AVP 0\n";
    assert!(parse(all.as_bytes()).is_ok());
    let lines: Vec<_> = all.lines().collect();
    // Each line behind the first three, moved in front of each that is not its like.
    for from in 0..lines.len() {
        for to in 0..from {
            let mut moved = lines.clone();
            let line = moved.remove(from);
            moved.insert(to, line);
            let between = &lines[to..=from];
            let is_same = between.windows(2).all(|pair| pair[0][..1] == pair[1][..1]);
            let is_zone =
                line.starts_with("t=") && between.iter().all(|line| "trz".contains(&line[..1]));
            let is_repeat =
                line.starts_with("r=") && between.iter().all(|line| "r".contains(&line[..1]));
            let octets = moved.join("\n");
            let fits = is_same || is_zone || is_repeat || fits_elsewhere(&moved);
            assert_eq!(parse(octets.as_bytes()).is_ok(), fits, "{line} {from} to {to}");
        }
    }
}

/// A second opinion: the grammar of RFC 8866 section 9 as a pattern over the letters.
fn fits_elsewhere(lines: &[&str]) -> bool {
    let letters: String = lines.iter().map(|line| &line[..1]).collect();
    let mut media = letters.split('m');
    let mut rest = media.next().unwrap();
    let mut eat = |letter: &str, least: usize, most: usize| {
        let mut count = 0;
        while count < most && rest.starts_with(letter) {
            rest = &rest[1..];
            count += 1;
        }
        count >= least
    };
    let head = eat("v", 1, 1) && eat("o", 1, 1) && eat("s", 1, 1);
    for (letter, most) in [("i", 1), ("u", 1), ("e", 99), ("p", 99), ("c", 1), ("b", 99)] {
        eat(letter, 0, most);
    }
    let mut times = 0;
    while eat("t", 1, 1) {
        times += 1;
        eat("r", 0, 99);
        eat("z", 0, 1);
    }
    eat("k", 0, 1);
    eat("a", 0, 99);
    let below = |mut rest: &str| {
        for (letter, most) in [("i", 1), ("c", 99), ("b", 99), ("k", 1), ("a", 99)] {
            for _ in 0..most {
                rest = rest.strip_prefix(letter).unwrap_or(rest);
            }
        }
        rest.is_empty()
    };
    head && times > 0 && rest.is_empty() && media.all(below)
}

#[test]
fn what_breaks_the_form_is_refused() {
    for (written, expected, before) in [
        ("", "v=", ""),
        ("o=- 1 1 IN IP4 a\r\n", "v=", "o="),
        ("v=1\r\n", "version 0", "v="),
        ("v=0\r\ns=-\r\n", "o=", "s="),
        ("v=0\r\nv=0\r\n", "o=", "v=0\r\n$"),
        ("v=0\r\no=- 1 1 IN IP4 a\r\nt=0 0\r\n", "s=", "t="),
        ("HEAD", "t=", "$"),
        ("HEADa=x\r\n", "t=", "a="),
        ("HEADm=audio 0 x 0\r\n", "t=", "m="),
        ("HEADs=-\r\n", "lines in their order", "s=-\r\n$"),
        ("HEADTIMEc=IN IP4 a\r\n", "lines in their order", "c="),
        ("HEADr=1 1 1\r\n", "t=", "r="),
        ("HEADTIMEz=0 0\r\nr=1 1 1\r\n", "lines in their order", "r="),
        ("HEADTIMEk=x\r\nt=0 0\r\n", "lines in their order", "t=0 0\r\n$"),
        ("HEADTIMEx=1\r\n", "a type of line that there is", "x="),
        ("HEADTIMET=1\r\n", "a type of line that there is", "T="),
        (
            "HEADTIMEm=a 0 x 0\r\nt=0 0\r\n",
            "a type of line that a media description has",
            "t=0 0\r\n$",
        ),
        ("HEADTIMEm=a 0 x 0\r\na=x\r\nb=AS:1\r\n", "lines in their order", "b="),
        ("HEADTIMEm=a 0 x 0\r\ni=x\r\ni=x\r\n", "lines in their order", "i=x\r\n$"),
        ("HEADTIMEa\r\n", "a type and an equals sign", "a\r\n$"),
        ("HEADTIMEa =x\r\n", "a type and an equals sign", "a ="),
        ("HEADTIME a=x\r\n", "a type and an equals sign", " a="),
        ("HEADTIME\r\na=x\r\n", "a type and an equals sign", "\r\na="),
        ("HEADTIMEa=x\ry\r\n", "LF behind CR", "\ry"),
        ("HEADTIMEa=x\r", "LF behind CR", "\r$"),
        ("HEADTIMEa=x\0y\r\n", "no NUL", "\0"),
        ("HEADTIMEm=a 1 x\r\n", MEDIA, "a 1"),
        ("HEADTIMEm=a 1 x \r\n", MEDIA, "a 1"),
        ("HEADTIMEm=a  1 x 0\r\n", MEDIA, "a  1"),
        ("HEADTIMEm= 1 x 0\r\n", MEDIA, " 1 x"),
        ("HEADTIMEm=a@ 1 x 0\r\n", MEDIA, "a@"),
        ("HEADTIMEm=a 1 x/ 0\r\n", MEDIA, "a 1"),
        ("HEADTIMEm=a 1 x 0 @\r\n", MEDIA, "a 1"),
        ("HEADTIMEm=a 65536 x 0\r\n", "a port", "65536"),
        ("HEADTIMEm=a -1 x 0\r\n", "a port", "-1"),
        ("HEADTIMEm=a 1x x 0\r\n", "a port", "1x"),
        ("HEADTIMEm=a 1/ x 0\r\n", "a port", "1/"),
        ("HEADTIMEm=a 1/0 x 0\r\n", "a port", "1/0"),
        ("HEADTIMEm=a /1 x 0\r\n", "a port", "/1"),
        ("HEADTIMEm=a 1/65536 x 0\r\n", "a port", "1/65536"),
        ("HEADt=0\r\n", "a start and a stop time", "0\r\n$"),
        ("HEADt=0 0 0\r\n", "a start and a stop time", "0 0 0"),
        ("HEADt=0 x\r\n", "a start and a stop time", "0 x"),
        ("HEADt=0  0\r\n", "a start and a stop time", "0  0"),
        ("HEADt= 0\r\n", "a start and a stop time", " 0\r\n$"),
    ] {
        let whole = written.replace("HEAD", HEAD).replace("TIME", TIME);
        let at = match before.strip_suffix('$') {
            Some(end) => whole.len() - end.len(),
            None => whole.find(before).unwrap(),
        };
        assert_eq!(parse(whole.as_bytes()), Err(Malformed { expected, at }), "{written:?}");
    }
}

const MEDIA: &str = "a type of media, a port, a protocol and formats";

#[test]
fn an_origin_has_six_fields() {
    let most = "- 18446744073709551615 00018446744073709551615 IN IP6 2001:db8::1";
    for origin in ["- 1 1 IN IP4 a", "u\u{e9} 0 0 x y z", most] {
        let whole = format!("v=0\r\no={origin}\r\ns=-\r\nt=0 0\r\n");
        assert!(parse(whole.as_bytes()).is_ok(), "{origin}");
    }
    for origin in [
        "",
        "1 1 IN IP4 a",
        "- 1 IN IP4 a",
        "- 1 1 IP4 a",
        "- 1 1 IN IP4",
        "- 1 1 IN IP4 ",
        "- 1 1 IN IP4 a b",
        "- 1 1 IN IP4 a ",
        "-  1 1 IN IP4 a",
        " 1 1 IN IP4 a",
        "- x 1 IN IP4 a",
        "- 1 -1 IN IP4 a",
        "- 18446744073709551616 1 IN IP4 a",
        "- 99999999999999999999 1 IN IP4 a",
        "- 1 18446744073709551616 IN IP4 a",
        "- 1 1 I@N IP4 a",
        "- 1 1 IN IP/4 a",
        "-\t1 1 IN IP4 a b",
        "\u{7f} 1 1 IN IP4 a",
    ] {
        let whole = format!("v=0\r\no={origin}\r\ns=-\r\nt=0 0\r\n");
        assert_eq!(parse(whole.as_bytes()).unwrap_err().at, 7, "{origin}");
    }
}

#[test]
fn a_connection_has_an_address() {
    for (written, address, is_ip) in [
        ("IN IP4 192.0.2.1", "192.0.2.1", true),
        ("IN IP4 233.252.0.1/127", "233.252.0.1", true),
        ("IN IP4 233.252.0.1/127/3", "233.252.0.1", true),
        ("IN IP4 alice.example.com", "alice.example.com", false),
        ("IN IP4 300.0.0.1", "300.0.0.1", false),
        ("IN IP6 2001:db8::1", "2001:db8::1", true),
        ("IN IP6 ::ffff:192.0.2.1", "::ffff:192.0.2.1", true),
        ("IN IP6 ff00::db8:0:101/3", "ff00::db8:0:101", true),
        ("IN IP6 alice.example.com", "alice.example.com", false),
        ("ATM NSAP 47.0091.8100/x y z", "47.0091.8100/x", false),
    ] {
        let whole = format!("{HEAD}c={written}\r\n{TIME}");
        let session = parse(whole.as_bytes()).unwrap();
        let connection = session.connection.unwrap();
        assert_eq!(text(connection.value.of(session.octets)), written);
        assert_eq!(text(connection.address.of(session.octets)), address, "{written}");
        assert_eq!(connection.ip(session.octets).is_some(), is_ip, "{written}");
    }
    for written in [
        "",
        "IN IP4",
        "IN IP4 ",
        "IN  IP4 a",
        "IN IP4 /127",
        "IN IP4 192.0.2.1/",
        "IN IP4 192.0.2.1/x",
        "IN IP4 192.0.2.1 127",
        "IN IP4 2001:db8::1",
        "IN IP6 2001:db8::g",
        "IN IP6 192.0.2.1",
        "IN IP6 [2001:db8::1]",
        "IN IP4 a b",
        "I@ IP4 a",
    ] {
        let whole = format!("{HEAD}c={written}\r\n{TIME}");
        let expected = "a network, a type of address and an address";
        let malformed = Malformed { expected, at: HEAD.len() + 2 };
        assert_eq!(parse(whole.as_bytes()), Err(malformed), "{written}");
    }
}

/// The lines below a media description of MSRP, and what is wrong with it.
fn wrong(lines: &str) -> Option<&'static str> {
    let whole = format!("{HEAD}{TIME}m=message 1 TCP/MSRP *\r\n{lines}");
    let session = parse(whole.as_bytes()).unwrap();
    let wrong = session.media().next().unwrap().wrong;
    assert!(wrong.is_none_or(|wrong| whole[wrong.at..].starts_with("a=")));
    wrong.map(|wrong| wrong.expected)
}

#[test]
fn attributes_are_what_their_standards_say() {
    let path = "a path of MSRP URIs";
    let types = "a list of media types";
    let setup = "active, passive, actpass or holdconn";
    let print = "a hash function and its value";
    let value = "a value where there must be one, and nowhere else";
    let sha256 = ["AB"; 32].join(":");
    let known = format!("fingerprint:sha-256 {sha256}");
    for (line, expected) in [
        ("path:msrp://a:1/x;tcp", None),
        ("path:msrps://a:1/x;tcp msrp://b:2/y;tcp", None),
        ("path:", Some(path)),
        ("path:msrp://", Some(path)),
        ("path:sip:a@b", Some(path)),
        ("path:msrp://a:1/x;tcp msrp", Some(path)),
        ("path:msrp://a:1/x;tcp  msrp://b:2/y;tcp", Some(path)),
        ("path", Some(value)),
        ("accept-types:*", None),
        ("accept-types:text/* message/cpim;a=b;c=\"d \\\" e\" x/y", None),
        ("accept-types:  text/plain   text/html ", None),
        ("accept-types:", Some(types)),
        ("accept-types: ", Some(types)),
        ("accept-types:text", Some(types)),
        ("accept-types:text/", Some(types)),
        ("accept-types:/plain", Some(types)),
        ("accept-types:*/plain", Some(types)),
        ("accept-types:*;a=b", Some(types)),
        ("accept-types:text/plain;", Some(types)),
        ("accept-types:text/plain;a", Some(types)),
        ("accept-types:text/plain;=b", Some(types)),
        ("accept-types:text/plain;a=\"b", Some(types)),
        ("accept-types:text/plain;a=\"\\b\"", Some(types)),
        ("accept-types:text/plain,text/html", Some(types)),
        ("accept-types", Some(value)),
        ("accept-wrapped-types:text/plain", None),
        ("accept-wrapped-types:text", Some(types)),
        ("max-size:0", None),
        ("max-size:99999999999999999999999999", None),
        ("max-size:", Some("a number of octets")),
        ("max-size:-1", Some("a number of octets")),
        ("max-size:1 ", Some("a number of octets")),
        ("max-size", Some(value)),
        ("setup:active", None),
        ("setup:ActPass", None),
        ("setup:holdconn", None),
        ("setup:", Some(setup)),
        ("setup:none", Some(setup)),
        ("setup", Some(value)),
        ("fingerprint", Some(value)),
        ("setup:active ", Some(setup)),
        ("msrp-cema", None),
        ("msrp-cema:yes", Some(value)),
        ("sendonly", None),
        ("sendonly:x", None),
        (&known, None),
        ("fingerprint:sha-1 AB", Some(print)),
        ("fingerprint:MD2 00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff", None),
        ("fingerprint:sha-999 AB", None),
        ("fingerprint:sha-999", Some(print)),
        ("fingerprint:sha-999 ", Some(print)),
        ("fingerprint: AB", Some(print)),
        ("fingerprint:sha-999 A", Some(print)),
        ("fingerprint:sha-999 AG", Some(print)),
        ("fingerprint:sha-999 AB:", Some(print)),
        ("fingerprint:sha-999 AB-CD", Some(print)),
        ("x-anything: goes \u{1}", None),
        ("", None),
    ] {
        assert_eq!(wrong(&format!("a={line}\r\n")), expected, "{line}");
    }
    let whole = format!("{HEAD}{TIME}m=message 1 TCP/MSRP *\r\na={known}:00\r\n");
    let session = parse(whole.as_bytes()).unwrap();
    assert_eq!(session.media().next().unwrap().wrong.unwrap().expected, print);
    let most = ["msrp://a:1/x;tcp"; 16].join(" ");
    assert_eq!(wrong(&format!("a=path:{most}\r\n")), None);
    assert_eq!(wrong(&format!("a=path:{most} msrp://a:1/x;tcp\r\n")), Some(path));
}

#[test]
fn an_attribute_may_only_be_repeated_with_the_same_value() {
    for (one, other, expected) in [
        ("path:msrp://a:1/x;tcp", "path:msrp://a:2/x;tcp", "one path"),
        ("accept-types:text/plain", "accept-types:*", "one accept-types"),
        ("accept-wrapped-types:a/b", "accept-wrapped-types:*", "one accept-wrapped-types"),
        ("max-size:1", "max-size:2", "one max-size"),
        ("setup:active", "setup:passive", "one setup"),
        ("sendonly", "recvonly", "one direction"),
    ] {
        assert_eq!(wrong(&format!("a={one}\r\na={one}\r\n")), None, "{one}");
        assert_eq!(wrong(&format!("a={one}\r\na=x\r\na={other}\r\n")), Some(expected), "{one}");
    }
    assert_eq!(wrong("a=msrp-cema\r\na=msrp-cema\r\n"), None);
    let several = "a=max-size:x\r\na=setup:x\r\na=path:x\r\n";
    assert_eq!(wrong(several), Some("a number of octets"), "the first is told");
}

/// One stream with something wrong leaves the others as they are, and what the session says counts
/// for those that say nothing.
#[test]
fn what_a_session_says_counts_for_its_media() {
    let zeros = ["00"; 32].join(":");
    let ones = ["11"; 32].join(":");
    let whole = format!(
        "{HEAD}c=IN IP4 a\r\n{TIME}a=setup:active\r\na=fingerprint:sha-256 {zeros}\r\na=sendonly\r\n\
         a=max-size:7\r\nm=message 1 TCP/TLS/MSRP *\r\n\
         m=message 2 TCP/TLS/MSRP *\r\nc=IN IP4 b\r\nc=IN IP4 c\r\na=setup:passive\r\na=recvonly\r\n\
         a=fingerprint:SHA-256 {ones}\r\na=x\r\na=fingerprint:x 00\r\n\
         a=fingerprint:sha-1 {}\r\n\
         m=message 3 TCP/TLS/MSRP *\r\na=setup:x\r\n",
        ["22"; 20].join(":")
    );
    let session = parse(whole.as_bytes()).unwrap();
    let media: Vec<_> = session.media().collect();
    let said: Vec<_> = media.iter().map(|media| (media.setup, media.direction)).collect();
    let above = (Some(Setup::Active), Some(Direction::SendOnly));
    assert_eq!(said, [above, (Some(Setup::Passive), Some(Direction::RecvOnly)), above]);
    let at = whole.find("a=setup:x").unwrap();
    let expected = "active, passive, actpass or holdconn";
    let wrong: Vec<_> = media.iter().map(|media| media.wrong).collect();
    assert_eq!(wrong, [None, None, Some(Malformed { expected, at })]);
    assert_eq!(media[0].max_size, None, "it is an attribute of media alone");
    let addresses: Vec<_> = media
        .iter()
        .map(|media| text(media.connection.unwrap().address.of(whole.as_bytes())))
        .collect();
    assert_eq!(addresses, ["a", "b", "a"], "of several the first");
    let prints = |index: usize| media[index].fingerprints().collect::<Vec<_>>();
    assert_eq!(prints(0), [Fingerprint::new(Hash::Sha256, &[0; 32]).unwrap()]);
    let own = [(Hash::Sha256, &[0x11; 32][..]), (Hash::Sha1, &[0x22; 20])];
    assert_eq!(prints(1), own.map(|(hash, value)| Fingerprint::new(hash, value).unwrap()));
    assert_eq!(prints(2), prints(0));
    assert!(media.iter().all(Media::has_fingerprints));
    assert_eq!(Fingerprint::new(Hash::Sha256, &[0; 20]), None);
    // What is wrong above is wrong with each.
    let whole = format!("{HEAD}{TIME}a=setup:x\r\nm=a 1 x 0\r\nm=b 1 x 0\r\n");
    let session = parse(whole.as_bytes()).unwrap();
    assert!(session.media().all(|media| media.wrong.is_some()));
}

#[test]
fn media_types_are_taken_as_a_list_says() {
    use Taken::{Explicitly, Implicitly, No};
    let types = |root, wrapped| Types { root, wrapped };
    for (root, media_type, expected) in [
        (&b"text/plain"[..], &b"text/plain"[..], Explicitly),
        (b"text/html Text/PLAIN", b"text/plain", Explicitly),
        (b"text/plain;charset=utf-8", b"text/plain", Explicitly),
        (b"text/plain", b"text/plain; charset=UTF-8", Explicitly),
        (b"* text/plain", b"text/plain", Explicitly),
        (b"text/* image/png", b"TEXT/plain", Implicitly),
        (b"*", b"text/plain", Implicitly),
        (b"text/html", b"text/plain", No),
        (b"image/*", b"text/plain", No),
        (b"text*", b"text/plain", No),
        (b"t/*", b"text/plain", No),
        (b"text/plai", b"text/plain", No),
        (b"x/y;a=\" text/plain \"", b"text/plain", No),
        (b"", b"text/plain", No),
    ] {
        assert_eq!(types(root, b"").takes(media_type), expected, "{}", text(root));
    }
    for (root, wrapped, expected) in [
        (&b"message/cpim"[..], &b"text/plain"[..], Explicitly),
        (b"message/cpim text/plain", b"", Explicitly),
        (b"message/cpim", b"*", Implicitly),
        (b"*", b"text/plain", Implicitly),
        (b"message/cpim", b"", No),
        (b"text/plain", b"message/cpim", No),
        (b"", b"*", No),
    ] {
        let taken = types(root, wrapped).takes_wrapped(b"message/cpim", b"text/plain");
        assert_eq!(taken, expected, "{} {}", text(root), text(wrapped));
    }
    assert_eq!(types(b"message/cpim", b"text/plain").takes(b"text/plain"), No);
}

#[test]
fn what_all_read_alike_is_taken_and_said() {
    for (written, expected, before) in [
        ("v=0\no=- 1 1 IN IP4 a\ns=-\nt=0 0\n", None, ""),
        ("HEADTIMEa=x", Some("the end of the last line"), "$"),
        ("v=0\r\no=- 1 1 IN IP4 a\r\ns=\r\nt=0 0\r\n", Some("a value"), "\r\nt="),
        ("HEADi=\r\nTIME", Some("a value"), "\r\nt="),
        ("HEADb=AS\r\nTIME", Some("a type of bandwidth and a number"), "AS"),
        ("HEADb=AS:\r\nTIME", Some("a type of bandwidth and a number"), "AS"),
        ("HEADb=:1\r\nTIME", Some("a type of bandwidth and a number"), ":1"),
        ("HEADb=AS:x\r\nTIME", Some("a type of bandwidth and a number"), "AS"),
        ("HEADt=1 0\r\n", Some("0 or at least ten digits"), "1 0"),
        ("HEADt=0 0123456789\r\n", Some("0 or at least ten digits"), "0 01"),
        ("HEADt=0 3724394400\r\n", None, ""),
        ("HEADTIMEa=@\r\n", Some("the name of an attribute"), "@"),
        ("HEADTIMEa=:x\r\n", Some("the name of an attribute"), ":x"),
        ("HEADTIMEa=x:\r\n", Some("the value of an attribute"), "x:"),
        ("HEADTIMEm=a 1 x 0\r\n", Some("a c= for this media description"), "m="),
        ("HEADTIMEm=a 1 x 0\r\nc=IN IP4 a\r\n", None, ""),
        ("HEADTIMEa=setup:x\r\n", Some("active, passive, actpass or holdconn"), "a="),
        ("HEADTIMEm=a 1 x 0\r\na=setup:x\r\n", Some("active, passive, actpass or holdconn"), "a=s"),
        ("HEADTIMEa=accept-types: a/b\r\n", Some("one space between entries"), "accept"),
        ("HEADTIMEa=accept-types:a/b  c/d\r\n", Some("one space between entries"), "accept"),
        ("HEADTIMEa=accept-types:a/b \r\n", Some("one space between entries"), "accept"),
        ("HEADTIMEa=fingerprint:x ab\r\n", Some("upper case, and one space in front"), "finger"),
        ("HEADTIMEa=fingerprint:x  AB\r\n", Some("upper case, and one space in front"), "finger"),
        ("HEADTIMEa=fingerprint:x AB\r\n", None, ""),
    ] {
        let whole = written.replace("HEAD", HEAD).replace("TIME", TIME);
        let at = if before == "$" { whole.len() } else { whole.find(before).unwrap() };
        let session = parse(whole.as_bytes()).unwrap();
        let said = strict(&session).map_err(|malformed| (malformed.expected, malformed.at));
        assert_eq!(said, expected.map_or(Ok(()), |expected| Err((expected, at))), "{written:?}");
    }
    let whole = format!("{HEAD}{TIME}\r\n\n\r\n");
    assert_eq!(parse(whole.as_bytes()).unwrap().octets.len(), HEAD.len() + TIME.len());
}

#[test]
fn there_are_limits() {
    let media = |count: usize| format!("{HEAD}{TIME}{}", "m=a 1 x 0\r\n".repeat(count));
    let most = media(SDP_MEDIA_MAX);
    assert_eq!(parse(most.as_bytes()).map(|session| usize::from(session.media_count)), Ok(32));
    let expected = "fewer media descriptions";
    assert_eq!(parse(media(33).as_bytes()), Err(Malformed { expected, at: most.len() }));
    let mut octets = OFFER.as_bytes().to_vec();
    octets.extend(b"a=");
    octets.resize(SDP_SIZE_MAX, b'x');
    assert!(parse(&octets).is_ok());
    octets.push(b'x');
    let malformed = Malformed { expected: "a shorter description", at: SDP_SIZE_MAX };
    assert_eq!(parse(&octets), Err(malformed));
}
