//! Which texts are taken for the SMS side, and in which wrapping.

use roger::metrics::Counter;

use crate::inward::{BOTH, Talk, inward_bench, submitted};

/// Whether a message of this type and with this content is submitted, and else the status of the REPORT or the
/// response to it.
fn taken(content_type: &str, content: &str) -> Result<Vec<u8>, String> {
    let mut bench = inward_bench();
    let talk = Talk::open(&mut bench, 1);
    let len = content.len();
    let fields = format!("Content-Type: {content_type}");
    let text = talk.send("s3nd", &fields, &format!("1-{len}/{len}"), content, '$');
    let left = talk.says(&mut bench, &text);
    if left.is_empty() {
        assert_eq!(bench.count(Counter::SubmissionsUnfit), 1);
        return Err(talk.heard(&mut bench));
    }
    Ok(submitted(&mut bench, &left).body().to_vec())
}

fn cpim(headers: &str, fields: &str) -> String {
    format!("From: <sip:a@b>\r\n{headers}\r\n{fields}\r\nhello")
}

#[test]
fn text_is_what_says_so_in_a_charset_that_is_utf_8() {
    for taken_type in [
        "text/plain",
        "Text/Plain;charset=utf-8",
        "text/plain; charset=\"UTF-8\"",
        "text/plain; format=flowed; charset=US-ASCII",
    ] {
        assert!(taken(taken_type, "hello").is_ok(), "{taken_type}");
    }
    for refused in ["text/plain;charset=iso-8859-1", "text/html", "image/png;x=text/plain"] {
        assert!(taken(refused, "hello").unwrap_err().contains("MSRP s3nd 415"), "{refused}");
    }
    // It says that it is UTF-8, and is not: what no phone could show is not guessed.
    let unfit = taken("message/cpim", "no CPIM").unwrap_err();
    assert!(unfit.contains("Status: 000 400"), "{unfit}");
}

#[test]
fn of_cpim_the_text_is_taken_if_that_is_all_that_must_be_understood() {
    let typed = "Content-Type: text/plain\r\n";
    let plain = taken("message/cpim", &cpim("", typed)).unwrap();
    assert_eq!(plain, taken("text/plain", "hello").unwrap());
    assert_eq!(plain, taken("message/cpim", &cpim("", "Content-ID: <1@b>\r\n")).unwrap());
    for refused in [
        cpim("Require: Subject\r\nSubject: x\r\n", typed),
        cpim("", "Content-Type: image/png\r\n"),
        cpim("", "Content-Type: text/plain;charset=utf-16\r\n"),
    ] {
        let heard = taken("message/cpim", &refused).unwrap_err();
        assert!(heard.contains("Status: 000 415"), "{heard}");
    }
}

#[test]
fn either_notification_of_delivery_asks_the_sc() {
    let asks = |what: &str| {
        let imdn = "NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: abcd\r\n";
        let headers = format!("{imdn}imdn.Disposition-Notification: {what}\r\n");
        let rp = taken("message/cpim", &cpim(&headers, "Content-Type: text/plain\r\n")).unwrap();
        rp[12] & 0x20 != 0
    };
    for (what, is_asked) in [
        ("positive-delivery", true),
        ("negative-delivery", true),
        ("display, negative-delivery", true),
        ("display", false),
        ("processing", false),
    ] {
        assert_eq!(asks(what), is_asked, "{what}");
    }
    assert!(BOTH.contains("Success-Report: yes"));
}
