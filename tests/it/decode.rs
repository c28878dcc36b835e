//! `roger decode` as it is called: files, standard input and batches in, JSON and exit codes out.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};

use crate::status_socket::Directory;

const VECTORS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors");

/// RFC 4475 sections 3.1.2, 3.2.1 and 3.3: what is forbidden there, and what is in the archive
/// without being a message.
const REFUSED_RFC4475: [&str; 24] = [
    "badaspec",
    "badbranch",
    "baddate",
    "baddn",
    "badinv01",
    "badvers",
    "bigcode",
    "clerr",
    "escruri",
    "insuf",
    "ltgtruri",
    "lwsruri",
    "lwsstart",
    "mcl01",
    "mismatch01",
    "mismatch02",
    "multi01",
    "ncl",
    "quotbal",
    "regbadct",
    "scalar02",
    "scalarlg",
    "test",
    "trws",
];

fn roger(arguments: &[&str], input: &[u8]) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_roger"))
        .arg("decode")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Who has its answer need not read to the end.
    let _ = stdin.write_all(input);
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The answer to one file, which is one line, with an exit code that says the same.
fn decoded(arguments: &[&str], input: &[u8]) -> Value {
    let (code, text) = roger(arguments, input);
    assert_eq!(text.matches('\n').count(), 1, "{text:?}");
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_shape(&answer);
    assert_eq!(code, i32::from(answer["ok"] == false), "{answer}");
    answer
}

/// What every answer has, whatever was asked.
fn assert_shape(answer: &Value) {
    let answer = answer.as_object().unwrap();
    assert!(answer["items"].as_array().unwrap().iter().all(Value::is_object), "{answer:?}");
    let names: Vec<_> = answer.keys().map(String::as_str).collect();
    if answer["ok"] == true {
        assert_eq!(names, ["items", "ok", "rest"]);
        assert!(answer["rest"].is_u64());
    } else {
        assert_eq!(names, ["error", "incomplete", "items", "ok"]);
        assert!(answer["incomplete"].is_boolean());
        assert!(!answer["error"].as_str().unwrap().is_empty());
    }
}

struct Vector {
    directory: String,
    name: String,
    path: PathBuf,
    said: Map<String, Value>,
}

impl Vector {
    fn kind(&self) -> &str {
        match self.directory.as_str() {
            "rfc4475" | "rfc5118" | "sip" => "sip",
            other => other,
        }
    }

    /// How it is to be read.
    fn keys(&self) -> String {
        let key = |name: &str| Some(format!("{name}={}", self.said.get(name)?.as_str()?));
        ["dir", "rp"].into_iter().filter_map(key).collect::<Vec<_>>().join(",")
    }

    /// Whether it is what a standard allows. A scheme that our path does not carry is.
    fn is_valid(&self) -> bool {
        match self.directory.as_str() {
            "rfc4475" => !REFUSED_RFC4475.contains(&self.name.as_str()),
            "rfc5118" => self.name != "ipv6-bad",
            // Methods that are not known may be those of a standard to come.
            "msrp" => self.name.starts_with("ok-") || self.name.starts_with("501-"),
            _ => self.name.starts_with("ok-") || self.name.starts_with("416-"),
        }
    }

    fn line(&self) -> String {
        format!("{}\t{}\t{}\n", self.kind(), self.path.display(), self.keys())
    }
}

fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for directory in fs::read_dir(VECTORS).unwrap().map(|entry| entry.unwrap().path()) {
        let facts = fs::read_to_string(directory.join("facts.json"));
        let facts: Map<String, Value> =
            facts.map(|text| serde_json::from_str(&text).unwrap()).unwrap_or_default();
        for path in files(&directory) {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let said = facts.get(&name).and_then(Value::as_object).cloned().unwrap_or_default();
            let directory = directory.file_name().unwrap().to_str().unwrap().to_owned();
            vectors.push(Vector { directory, name, path, said });
        }
    }
    vectors.sort_by(|one, other| one.path.cmp(&other.path));
    vectors
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let is_vector = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "dat");
    entries.map(|entry| entry.unwrap().path()).filter(is_vector).collect()
}

/// The answers to the lines of a batch, one for each.
fn batch(lines: &str) -> Vec<Value> {
    let (code, text) = roger(&["--batch"], lines.as_bytes());
    assert_eq!(code, 0);
    let answers: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    answers.iter().for_each(assert_shape);
    assert_eq!(answers.len(), lines.lines().count());
    answers
}

#[test]
fn every_vector_is_judged_and_says_what_it_says() {
    let vectors = vectors();
    let lines: String = vectors.iter().map(Vector::line).collect();
    let mut compared = 0;
    for (vector, answer) in vectors.iter().zip(batch(&lines)) {
        let name = format!("{}/{}", vector.directory, vector.name);
        assert_eq!(answer["ok"], vector.is_valid(), "{name}: {answer}");
        if let Some(at) = vector.said.get("at") {
            let error = answer["error"].as_str().unwrap();
            assert!(error.ends_with(&format!(" at octet {at}")), "{name}: {error}");
        }
        let Some(facts) = vector.said.get("facts") else { continue };
        assert_eq!(answer["items"].as_array().unwrap().len(), 1);
        for (field, said) in facts.as_object().unwrap() {
            assert_eq!(&answer["items"][0][field], said, "{name}: {field}");
            compared += 1;
        }
        let rest = vector.said.get("rest").and_then(Value::as_u64).unwrap_or_default();
        assert_eq!(answer["rest"], rest, "{name}");
    }
    assert!(compared > 100, "{compared} facts");
}

#[test]
fn one_file_is_answered_with_an_exit_code() {
    let path = format!("{VECTORS}/rfc4475/wsinv.dat");
    let answer = decoded(&["sip", &path], b"");
    assert_eq!(answer["items"][0]["call_id"], "wsinv.ndaksdj@192.0.2.1");
    let octets = fs::read(&path).unwrap();
    assert_eq!(decoded(&["sip", "-"], &octets), answer, "standard input is read alike");
    assert_eq!(decoded(&["sip", "-", "framing=stream"], &octets), answer);
    let refused = decoded(&["sip", &format!("{VECTORS}/rfc4475/ncl.dat")], b"");
    assert_eq!(refused["error"], "400 Malformed Content-Length at octet 310");
    let missing = decoded(&["sip", "/nowhere/at all"], b"");
    assert_eq!(missing["error"], "cannot read /nowhere/at all: No such file or directory");
    let directory = decoded(&["sip", VECTORS], b"");
    assert!(directory["error"].as_str().unwrap().ends_with(": Is a directory"));
    let endless = decoded(&["sip", "/dev/zero"], b"");
    assert_eq!(endless["error"], "cannot read /dev/zero: it has more than 64 MiB");
    let (code, text) = roger(&[], b"");
    assert_eq!((code, text.as_str()), (2, ""), "nothing asked is no usage");
    let (code, _) = roger(&["--batch", "sip", "-"], b"");
    assert_eq!(code, 2);
}

#[test]
fn what_there_is_not_is_named_with_what_there_is() {
    for (arguments, error) in [
        (&["smpp", "-"][..], "there is no kind \"smpp\", but sip, msrp, sdp, cpim, rp, sms-tpdu"),
        (
            &["sip", "-", "framing=tcp"],
            "there is no key \"framing=tcp\", but framing=datagram, framing=stream, dir=mt, \
             dir=mo, rp=ack, rp=error",
        ),
    ] {
        assert_eq!(decoded(arguments, b"")["error"], error);
    }
}

fn message(number: usize, body: &str) -> String {
    format!(
        "MESSAGE sip:b@example.com SIP/2.0\r\nVia: SIP/2.0/TCP a.example.com;branch=z9hG4bK{number}\r\n\
         From: <sip:a@example.com>;tag=1\r\nTo: <sip:b@example.com>\r\nCall-ID: {number}\r\n\
         CSeq: {number} MESSAGE\r\nMax-Forwards: 70\r\nl: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn a_stream_is_read_message_by_message() {
    let text =
        format!("{}\r\n\r\n{}{}\r\n", message(1, "one"), message(2, ""), message(3, "thr\r\n"));
    let answer = decoded(&["sip", "-", "framing=stream"], text.as_bytes());
    let items = answer["items"].as_array().unwrap();
    let numbers: Vec<_> = items.iter().map(|item| item["cseq"].as_u64().unwrap()).collect();
    assert_eq!((numbers.as_slice(), &answer["rest"]), (&[1, 2, 3][..], &json!(2)));
    let consumed: u64 = items.iter().map(|item| item["consumed"].as_u64().unwrap()).sum();
    assert_eq!(consumed + 2, text.len() as u64, "empty lines belong to the message behind them");

    // Wherever it is cut: the whole messages before, and that there may be more to come.
    let ends = [message(1, "one").len(), message(1, "one").len() + 4 + message(2, "").len()];
    for len in [0, 1, 2, ends[0] - 1, ends[0] + 5, ends[1] - 1, ends[1] + 1, text.len() - 3] {
        let cut = decoded(&["sip", "-", "framing=stream"], &text.as_bytes()[..len]);
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(cut["items"].as_array().unwrap().as_slice(), &items[..whole], "cut at {len}");
        assert_eq!(cut["incomplete"], true, "cut at {len}");
    }
    for (broken, error) in [
        (message(2, "").replace("l: 0\r\n", ""), "expected a Content-Length header field at octet"),
        (message(2, "").replace("CSeq: 2", "CSeq: x"), "400 Malformed CSeq at octet"),
        ("\u{1}".to_owned(), "expected a method or a version of SIP at octet"),
    ] {
        let answer =
            decoded(&["sip", "-", "framing=stream"], (message(1, "") + &broken).as_bytes());
        let said = answer["error"].as_str().unwrap();
        assert!(said.starts_with(error) && said.ends_with(", in message 2"), "{said}");
        assert_eq!(answer["incomplete"], false);
        assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    }
    let nothing = decoded(&["sip", "-"], b"\r\n\r\n");
    assert_eq!(nothing["error"], "no message: nothing but empty lines");
}

#[test]
fn requests_and_responses_of_msrp_are_read_one_by_one() {
    let read = |name| fs::read(format!("{VECTORS}/msrp/ok-{name}.dat")).unwrap();
    let parts = ["rfc4975-11.1-send", "rfc4975-11.1-200", "body-other-end-lines"].map(read);
    let stream = parts.concat();
    let answer = decoded(&["msrp", "-"], &stream);
    let items = answer["items"].as_array().unwrap();
    assert_eq!((items.len(), &answer["rest"]), (3, &json!(0)));
    let size = |item: &Value| usize::try_from(item["consumed"].as_u64().unwrap()).unwrap();
    let consumed: Vec<_> = items.iter().map(size).collect();
    assert_eq!(consumed, parts.each_ref().map(Vec::len));
    assert_eq!(items[1]["type"], "response");
    assert_eq!(items[1]["status"], 200);
    assert_eq!(items[1]["comment"], "OK");
    assert_eq!(items[2]["body_len"], 149);

    // Wherever it is cut: what is whole before, and that there may be more to come.
    let ends = [consumed[0], consumed[0] + consumed[1]];
    for len in [0, 3, 100, ends[0] - 1, ends[0] + 5, ends[1] - 1, ends[1] + 1, stream.len() - 1] {
        let cut = decoded(&["msrp", "-"], &stream[..len]);
        let whole = ends.iter().filter(|end| **end <= len).count();
        assert_eq!(cut["items"].as_array().unwrap().as_slice(), &items[..whole], "cut at {len}");
        assert_eq!(cut["incomplete"], true, "cut at {len}");
    }
    for (name, error) in [
        ("400-byte-range-zero", "400 Malformed Byte-Range at octet"),
        ("drop-200-code-long", "expected a status code of three digits at octet"),
        ("lax-200-with-body", "expected no body in a response at octet"),
        ("lax-200-aborted", "expected $ behind what is not sent in chunks at octet"),
        ("lax-report-body-of-10241", "expected a body of 10240 octets at most, as it is no SEND"),
        ("lax-body-empty-without-its-crlf", "expected CR and LF in front of the end-line"),
        ("end-tls", "expected MSRP and a space at octet"),
    ] {
        let broken = fs::read(format!("{VECTORS}/msrp/{name}.dat")).unwrap();
        let answer = decoded(&["msrp", "-"], &[&parts[0][..], &broken].concat());
        let said = answer["error"].as_str().unwrap();
        assert!(said.starts_with(error) && said.ends_with(", in message 2"), "{said}");
        assert_eq!(answer["incomplete"], false);
        assert_eq!(answer["items"].as_array().unwrap().len(), 1);
    }
}

#[test]
fn values_are_unfolded_and_latin_1_where_they_are_not_utf_8() {
    let mut octets = message(1, "hello").into_bytes();
    let text = "l: 5\r\n";
    let at = octets.windows(text.len()).position(|piece| piece == text.as_bytes()).unwrap();
    octets.splice(at..at, b"Content-Type: text/plain;\r\n\t x=\"\xe9\"\r\n".iter().copied());
    let answer = decoded(&["sip", "-"], &octets);
    assert_eq!(answer["items"][0]["content_type"], "text/plain; x=\"é\"");
    let reason = b"SIP/2.0 200 caf\xe9\r\n";
    let response: Vec<u8> = reason.iter().copied().chain(message(1, "").bytes().skip(35)).collect();
    assert_eq!(decoded(&["sip", "-"], &response)["items"][0]["reason"], "café");
}

#[test]
fn a_session_description_is_read_where_it_is_a_body() {
    let answer = decoded(&["sip", &format!("{VECTORS}/rfc4475/wsinv.dat")], b"");
    let sdp = &answer["items"][0]["sdp"];
    assert_eq!((&sdp["media_count"], &sdp["connection"]), (&json!(2), &json!("IN IP4 192.0.2.4")));
    assert_eq!(sdp["media"][1]["proto"], "RTP/AVP");
    let with_body = |content_type: &str, body: &str| {
        let octets = message(1, body).replace("l: ", &format!("c: {content_type}\r\nl: "));
        let answer = decoded(&["sip", "-"], octets.as_bytes());
        assert_eq!(answer["ok"], true, "whatever its body is: {answer}");
        let item = &answer["items"][0];
        (item.get("sdp").cloned(), item.get("sdp_error").cloned())
    };
    let whole = fs::read_to_string(format!("{VECTORS}/sdp/ok-rfc4975-8.2.dat")).unwrap();
    let (sdp, error) = with_body("Application/SDP ; x=y", &whole);
    let path = json!(["msrp://alice.example.com:7394/2s93i9ek2a;tcp"]);
    assert_eq!((&sdp.unwrap()["media"][0]["path"], error), (&path, None));
    let (sdp, error) = with_body("application/sdp", "v=1\r\n");
    assert_eq!((sdp, error), (None, Some(json!("expected version 0 at octet 0"))));
    assert_eq!(with_body("application/sdp2", &whole), (None, None));
    assert_eq!(with_body("text/plain", &whole), (None, None));
}

/// Fifty lines of all sorts; each is answered before the next one is written.
#[test]
fn a_batch_answers_line_by_line() {
    let vectors = vectors();
    let mut child = Command::new(env!("CARGO_BIN_EXE_roger"))
        .args(["decode", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut ask = |line: &str| {
        input.write_all(line.as_bytes()).unwrap();
        let mut answer = String::new();
        output.read_line(&mut answer).unwrap();
        let answer = serde_json::from_str(&answer).unwrap();
        assert_shape(&answer);
        answer
    };
    let chosen: Vec<_> = vectors.iter().step_by(vectors.len() / 40).take(40).collect();
    assert_eq!(chosen.len(), 40);
    for vector in chosen {
        assert_eq!(ask(&vector.line())["ok"], vector.is_valid(), "{}", vector.name);
    }
    let path = format!("{VECTORS}/rfc4475/wsinv.dat");
    for (line, ok) in [
        (format!("sip\t{path}\n"), true),
        (format!("sip\t{path}\t\r\n"), true),
        (format!("sip\t{path}\tframing=stream,dir=mt,rp=ack\n"), true),
        (format!("sip\t{path}\tframing=none\n"), false),
        (format!("SIP\t{path}\n"), false),
        ("\n".to_owned(), false),
        ("sip\n".to_owned(), false),
        ("sip\t-\n".to_owned(), false),
        ("sip\t/nowhere\n".to_owned(), false),
        (format!("sip\t{}\n", "x".repeat(200_000)), false),
    ] {
        let answer: Value = ask(&line);
        assert_eq!(answer["ok"], ok, "{:?}: {answer}", line.get(..80));
    }
    drop(input);
    assert!(child.wait().unwrap().success());
    assert_eq!(batch("").len(), 0);
    assert_eq!(batch(&format!("sip\t{path}"))[0]["ok"], true, "a last line without its end");
}

/// Vectors with octets changed, cut and doubled: facts or an error, and never anything else.
#[test]
fn mutated_vectors_are_answered_too() {
    let directory = Directory::new("decode-mutated");
    let vectors = vectors();
    let all: Vec<&Vector> = vectors.iter().collect();
    let valid: Vec<&Vector> = vectors.iter().filter(|vector| vector.is_valid()).collect();
    let mut random = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = |below: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usize::try_from(random % below.max(1) as u64).unwrap()
    };
    let mut lines = String::new();
    for index in 0..1_500 {
        let from = if index % 2 == 0 { &valid } else { &all };
        let vector = from[next(from.len())];
        let mut octets = fs::read(&vector.path).unwrap();
        for _ in 0..=next(2) {
            let at = next(octets.len());
            match next(4) {
                0 if !octets.is_empty() => octets[at] = u8::try_from(next(256)).unwrap(),
                1 => octets.truncate(at),
                2 => {
                    let end = (at + next(20)).min(octets.len());
                    let piece = octets[at..end].to_vec();
                    octets.splice(at..at, piece);
                }
                _ => octets.insert(at, b"\r\n\t \"\\<>;,:=@\0\xFF"[next(15)]),
            }
        }
        let path = directory.0.join(index.to_string());
        fs::write(&path, octets).unwrap();
        let framing = ["framing=stream", "framing=datagram"][next(4).min(1)];
        let kind = if next(8) == 0 { "sip" } else { vector.kind() };
        let keys = [vector.keys(), framing.to_owned()].join(",");
        lines.push_str(&format!("{kind}\t{}\t{keys}\n", path.display()));
    }
    let answers = batch(&lines);
    let ok = answers.iter().filter(|answer| answer["ok"] == true).count();
    assert!(ok > 100 && ok < 1_000, "{ok} of the mutations are still messages");
}
