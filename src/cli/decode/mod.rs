//! `roger decode`: octets in, facts out, read by the views that the packet path uses.
//!
//! Whatever the input, what comes out is one line of JSON for each thing that was asked: facts, or
//! what is wrong and where. A packet path takes what it can carry; here it is judged strictly: what
//! a standard forbids is refused with the reason, what it leaves open is taken.

mod cpim;
mod msrp;
mod request;
mod rp;
mod sdp;
mod sip;
mod text;
mod tpdu;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use clap::Args;
use serde::Serialize;

use self::request::{Keys, Kind};
use crate::cli::{Exit, finish, plain};

/// What `roger decode` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// What the octets are: sip, msrp, sdp, cpim, rp or sms-tpdu
    #[arg(required_unless_present = "batch")]
    pub kind: Option<OsString>,
    /// The file that holds them; - is standard input
    #[arg(required_unless_present = "batch")]
    pub file: Option<OsString>,
    /// How to read them: framing=datagram or framing=stream (sip), dir=mt or dir=mo, rp=ack or
    /// rp=error (sms-tpdu)
    #[arg(value_name = "KEY=VALUE")]
    pub keys: Vec<OsString>,
    /// Read lines of KIND, FILE and KEY=VALUE,KEY=VALUE, with tabs between the three, from standard
    /// input, and answer each at once with one line
    #[arg(long, conflicts_with_all = ["kind", "file", "keys"])]
    pub batch: bool,
}

/// Octets of the largest file that is read: more than any capture of one conversation, and an end
/// for files that have none.
const FILE_SIZE_MAX: usize = 64 << 20;

/// Octets of a line of a batch: a path and what goes with it.
const LINE_SIZE_MAX: usize = 64 << 10;

/// What came of it.
#[derive(Debug, Serialize)]
struct Outcome {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    incomplete: Option<bool>,
    items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rest: Option<usize>,
}

/// The facts of one message.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Item {
    Sip(Box<sip::Facts>),
    Msrp(Box<msrp::Facts>),
    Cpim(Box<cpim::Facts>),
    Rp(Box<rp::Facts>),
    Sdp(Box<sdp::Facts>),
    Tpdu(Box<tpdu::Facts>),
}

impl Outcome {
    /// All of it was read but so many octets.
    const fn of(items: Vec<Item>, rest: usize) -> Self {
        Self { ok: true, error: None, incomplete: None, items, rest: Some(rest) }
    }

    /// Something is wrong behind these items.
    const fn wrong(error: String, items: Vec<Item>) -> Self {
        Self { ok: false, error: Some(error), incomplete: Some(false), items, rest: None }
    }

    /// The octets end within a message, and more of them may come.
    const fn prefix(error: String, items: Vec<Item>) -> Self {
        Self { ok: false, error: Some(error), incomplete: Some(true), items, rest: None }
    }
}

/// Decodes and prints.
pub fn main(arguments: &Arguments) -> Exit {
    let mut output = io::stdout().lock();
    if arguments.batch {
        return finish(batch(&mut io::stdin().lock(), &mut output), Exit::Ok);
    }
    let kind = arguments.kind.as_deref().unwrap_or_default();
    let file = arguments.file.as_deref().unwrap_or_default();
    let keys = arguments.keys.iter().map(|key| key.as_bytes());
    let mut octets = Vec::new();
    let outcome = match request::parse(kind.as_bytes(), keys) {
        Ok((kind, keys)) => {
            let read = if file == "-" {
                read(io::stdin().lock(), &mut octets)
            } else {
                open(file).and_then(|file| read(file, &mut octets))
            };
            decoded(file, read, kind, keys, &octets)
        }
        Err(error) => Outcome::wrong(error, Vec::new()),
    };
    let exit = if outcome.ok { Exit::Ok } else { Exit::Failed };
    finish(print(&outcome, &mut output), exit)
}

/// Answers line by line, each before the next is read: who asks may wait for the answer.
fn batch(input: &mut impl BufRead, output: &mut impl Write) -> io::Result<()> {
    let (mut line, mut octets) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        octets.clear();
        if input.by_ref().take(LINE_SIZE_MAX as u64).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let whole = line.ends_with(b"\n") || line.len() < LINE_SIZE_MAX;
        let outcome = if whole {
            answer(without_end(&line), &mut octets)
        } else {
            input.skip_until(b'\n')?;
            Outcome::wrong("the line is too long".to_owned(), Vec::new())
        };
        print(&outcome, output)?;
    }
}

/// The end of a line is no part of what it says.
fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// One line of a batch.
fn answer(line: &[u8], octets: &mut Vec<u8>) -> Outcome {
    let mut parts = line.splitn(3, |&octet| octet == b'\t');
    let (kind, path, keys) = (parts.next(), parts.next(), parts.next());
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        let error = "a line is a kind, a tab and a path, then perhaps a tab and keys".to_owned();
        return Outcome::wrong(error, Vec::new());
    };
    let keys = keys.unwrap_or_default().split(|&octet| octet == b',').filter(|key| !key.is_empty());
    match request::parse(kind.unwrap_or_default(), keys) {
        Ok(_) if path == b"-" => {
            let error = "in a batch standard input holds the lines, - is no file".to_owned();
            Outcome::wrong(error, Vec::new())
        }
        Ok((kind, keys)) => {
            let path = OsStr::from_bytes(path);
            let read = open(path).and_then(|file| read(file, octets));
            decoded(path, read, kind, keys, octets)
        }
        Err(error) => Outcome::wrong(error, Vec::new()),
    }
}

fn open(path: &OsStr) -> Result<File, String> {
    File::open(path).map_err(|error| plain(&error))
}

/// Reads to the end, or says why not.
fn read(from: impl Read, octets: &mut Vec<u8>) -> Result<(), String> {
    let most = FILE_SIZE_MAX as u64 + 1;
    from.take(most).read_to_end(octets).map_err(|error| plain(&error))?;
    if octets.len() > FILE_SIZE_MAX {
        return Err(format!("it has more than {} MiB", FILE_SIZE_MAX >> 20));
    }
    Ok(())
}

fn decoded(
    path: &OsStr,
    read: Result<(), String>,
    kind: Kind,
    keys: Keys,
    octets: &[u8],
) -> Outcome {
    match read {
        Ok(()) => decode(kind, keys, octets),
        Err(error) => {
            let error = format!("cannot read {}: {error}", Path::new(path).display());
            Outcome::wrong(error, Vec::new())
        }
    }
}

fn decode(kind: Kind, keys: Keys, octets: &[u8]) -> Outcome {
    match kind {
        Kind::Sip => sip::decode(octets, keys.framing),
        Kind::Msrp => msrp::decode(octets),
        Kind::Cpim => cpim::decode(octets),
        Kind::Rp => rp::decode(octets),
        Kind::Sdp => sdp::decode(octets),
        Kind::SmsTpdu => tpdu::decode(octets, keys),
    }
}

fn print(outcome: &Outcome, output: &mut impl Write) -> io::Result<()> {
    let mut line = serde_json::to_vec(outcome)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}
