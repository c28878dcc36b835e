//! Descriptions in a session that exists, and an exchange from both ends.

use super::*;
use crate::wire::sdp::build::{self, Maker, Stream};
use crate::wire::sdp::{Setup, strict};

#[test]
fn an_offer_that_changes_nothing_is_known() {
    let first = description(format!("{M}{TYPES}{PATH}").trim_end());
    let version = first.replace("1 1 IN", "1 2 IN");
    let hold = version.clone() + "a=sendonly\n";
    let forgotten = first.clone() + "a=sendonly\n";
    let more = version.clone() + M.trim_end();
    for (other, expected) in [
        (&first, Change::Unchanged),
        (&version, Change::Changed),
        (&hold, Change::Changed),
        (&forgotten, Change::Changed),
        (&more, Change::Changed),
    ] {
        let (one, other) = sessions(&first, other);
        assert_eq!(Previous::of(&one).change(&other), expected);
    }
    let none = description("");
    let (one, other) = sessions(&first, &none);
    assert_eq!(Previous::of(&one).change(&other), Change::Fewer);
    // Empty lines behind it are no part of it.
    let padded = first.clone() + "\r\n";
    let (one, other) = sessions(&first, &padded);
    assert_eq!(Previous::of(&one).change(&other), Change::Unchanged);
}

/// We offer, we answer, and both of us see the same session.
#[test]
fn both_ends_agree() {
    let theirs = Ours { path: b"msrp://198.51.100.1:7000/theirs;tcp", ..OURS };
    for (offers, setup, prefers, roles) in [
        (OURS, Setup::ActPass, Role::Passive, (Role::Active, Role::Passive)),
        (OURS, Setup::ActPass, Role::Active, (Role::Passive, Role::Active)),
        (DEAF, Setup::Active, Role::Active, (Role::Active, Role::Passive)),
    ] {
        let ours = Stream {
            tls: false,
            port: if setup == Setup::Active { 9 } else { 2855 },
            path: offers.path,
            accept_types: b"message/cpim",
            accept_wrapped_types: b"text/plain",
            max_size: Some(100_000),
            setup,
            cema: true,
            fingerprint: None,
            direction: Direction::SendOnly,
            more: b"",
        };
        let maker = Maker { session_id: 1, version: 1, host: b"192.0.2.1" };
        let mut offer = [0; 600];
        let len = build::offer(&maker, &ours, &mut offer).unwrap();
        let offer = parse(&offer[..len]).unwrap();
        let taken = answer(&offer, None, &theirs, BOTH, prefers).unwrap();
        assert_eq!((taken.role, taken.cema, taken.max_size), (roles.1, true, Some(100_000)));
        assert_eq!(taken.direction(), Direction::RecvOnly);
        let stream = Stream {
            port: 7000,
            path: theirs.path,
            setup: taken.role.setup(),
            cema: taken.cema,
            direction: taken.direction(),
            more: b"",
            ..ours
        };
        let maker = Maker { session_id: 2, version: 1, host: b"198.51.100.1" };
        let mut answer = [0; 600];
        let len = build::answer(&offer, &maker, Some((taken.index, &stream)), &mut answer).unwrap();
        let answer = parse(&answer[..len]).unwrap();
        assert_eq!(strict(&answer), Ok(()));
        let offers = Ours { receives: false, ..offers };
        let agreed = judge(&answer, &offers, false, 100_000).unwrap();
        assert_eq!((agreed.role, agreed.cema), (roles.0, true));
        assert_eq!(agreed.peer.of(answer.octets), theirs.path);
        assert_eq!(agreed.target.ip, crate::wire::sdp::ip(b"198.51.100.1"));
        let refused = judge(&answer, &offers, false, 100_001);
        assert_eq!(refused, Err(Refusal::TooLarge { max_size: 100_000 }));
        // Our own offer back at us.
        let own = super::super::answer(&offer, None, &offers, BOTH, prefers);
        assert_eq!(own, Err(Refusal::Path));
    }
}

/// The vectors with octets changed, doubled and removed: whatever is agreed upon is in them.
#[test]
fn mutations_break_no_law() {
    let vectors: Vec<Vec<u8>> = std::fs::read_dir("tests/vectors/sdp")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_str().unwrap().contains("/ok-rfc4975"))
        .map(|path| std::fs::read(path).unwrap())
        .chain([description(&format!("{M}{TYPES}{PATH}a=setup:actpass\na=msrp-cema")).into()])
        .collect();
    assert!(vectors.len() > 3);
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below.max(1) as u64).unwrap()
    };
    let mut agreed = 0;
    for _ in 0..5_000 {
        let mut octets = vectors[next(vectors.len())].clone();
        for _ in 0..=next(2) {
            let at = next(octets.len());
            let end = (at + next(10)).min(octets.len());
            match next(3) {
                0 => octets[at] = b"\r\n :;=/,.09amptv*"[next(17)],
                1 => drop(octets.drain(at..end)),
                _ => {
                    let piece = octets[at..end].to_vec();
                    octets.splice(at..at, piece);
                }
            }
        }
        laws::agrees(&octets);
        let taken =
            parse(&octets).ok().map(|offer| answer(&offer, None, &OURS, BOTH, Role::Active));
        agreed += usize::from(taken.is_some_and(|taken| taken.is_ok()));
    }
    assert!(agreed > 500, "{agreed} of the mutations can be agreed upon");
}
