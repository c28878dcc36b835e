//! What is asked for is understood, what is not is met with what would be, and every page fits.

use super::*;

fn asked(words: &[&str]) -> Result<What, String> {
    understood(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
}

#[test]
fn what_is_asked_for_is_understood() {
    for (words, expected) in [
        (&[] as &[&str], What::Table),
        (&["404"], What::Status(404)),
        (&["sip", "699"], What::Status(699)),
        (&["timer-f"], What::Event(Event::TimerF)),
        (&["Silence"], What::Event(Event::TimerF)),
        (&["deadline"], What::Event(Event::Deadline)),
        (&["never-sent"], What::Event(Event::NeverSent)),
        (&["uri-wait"], What::Event(Event::UriWait)),
        (&["icmp"], What::Event(Event::Unreachable)),
        (&["invite", "486"], What::Invite(486)),
        (&["MSRP", "413"], What::Msrp(413)),
        (&["msrp", "000"], What::Msrp(0)),
        (&["reset"], What::Event(Event::ConnectionLost)),
        (&["rp-cause", "111"], What::RpCause(111)),
        (&["rp-cause", "0x6F"], What::RpCause(111)),
        (&["tp-fcs", "0x90"], What::TpFcs(0x90)),
        (&["TP-Status", "70"], What::TpStatus(0x46)),
    ] {
        assert_eq!(asked(words), Ok(expected), "{words:?}");
    }
    for event in Event::ALL {
        assert_eq!(asked(&[event.name()]), Ok(What::Event(event)));
    }
}

#[test]
fn what_is_not_understood_says_what_would_be() {
    for (words, says) in [
        (&["timer-ff"] as &[&str], "did you mean `timer-f`?"),
        (&["banana"], "known beside SIP statuses: timer-f, deadline"),
        (&["183"], "183 is provisional and proves nothing"),
        (&["199"], "199 is provisional"),
        (&["99"], "`99` is not the status of a final SIP response, 200 to 699"),
        (&["700"], "`700` is not the status"),
        (&["4o4"], "`4o4` is not the status"),
        (&["0x46"], "roger explain tp-status 0x46"),
        (&["invite", "183"], "183 is provisional"),
        (&["invite", "x"], "`x` is not the status of a final SIP response"),
        (&["msrp"], "`msrp` needs a number: roger explain msrp 413"),
        (&["invite"], "`invite` needs a number: roger explain invite 486"),
        (&["msrp", "1000"], "`1000` is not the status of an MSRP response"),
        (&["msrp", "+13"], "`+13` is not the status of an MSRP response"),
        (&["rp-cause"], "`rp-cause` needs a number: roger explain rp-cause 111"),
        (&["rp-cause", "128"], "`128` is not a number from 0 to 127 (0x00 to 0x7F)"),
        (&["tp-fcs", "256"], "`256` is not a number from 0 to 255"),
        (&["tp-fcs", "+1"], "`+1` is not a number"),
        (&["tp-fsc", "1"], "did you mean `tp-fcs`?"),
        (&["a\u{1b}[2J"], "`a\\u{1b}[2j`"),
    ] {
        let error = asked(words).unwrap_err();
        assert!(error.contains(says), "{words:?}: {error}");
    }
}

/// Nothing is printed that wraps on a terminal of 80 columns.
#[test]
fn every_page_fits_the_usual_terminal() {
    let octets = || 0..=u8::MAX;
    let pages = (200..700)
        .map(What::Status)
        .chain((200..700).map(What::Invite))
        .chain((0..1_000).map(What::Msrp))
        .chain(Event::ALL.map(What::Event))
        .chain(octets().map(What::RpCause))
        .chain(octets().map(What::TpFcs))
        .chain(octets().map(What::TpStatus))
        .chain([What::Table]);
    for what in pages {
        let text = page::page(what, None);
        assert!(text.lines().count() >= 4, "{text}");
        for line in text.lines() {
            assert!(line.chars().count() < 80 && line.trim_end() == line, "{line}");
        }
    }
}
