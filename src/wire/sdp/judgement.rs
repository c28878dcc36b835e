//! Every vector, judged by its name: `ok-*` is taken, `lax-*` is taken but must not be written so,
//! `drop-*` is refused; and where.

use serde_json::Value;

use super::*;

/// The vectors with their names and the octets at which they are wrong.
pub(super) fn vectors() -> Vec<(String, Vec<u8>, Option<usize>)> {
    let directory = std::path::Path::new("tests/vectors/sdp");
    let said = std::fs::read_to_string(directory.join("facts.json")).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    let mut vectors: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "dat"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let at = said[&name]["at"].as_u64().map(|at| usize::try_from(at).unwrap());
            (name, std::fs::read(path).unwrap(), at)
        })
        .collect();
    vectors.sort();
    vectors
}

#[test]
fn vectors_are_judged_by_their_names() {
    let vectors = vectors();
    assert!(vectors.len() > 90);
    for (name, octets, at) in vectors {
        laws::reads(&octets);
        let read = parse(&octets);
        let strictly = read.and_then(|session| strict(&session));
        let judgement = match (read.is_ok(), strictly.is_ok()) {
            (true, true) => "ok",
            (true, false) => "lax",
            (false, _) => "drop",
        };
        assert_eq!(name.split('-').next(), Some(judgement), "{name}: {strictly:?}");
        assert_eq!(strictly.err().map(|malformed| malformed.at), at, "{name}: {strictly:?}");
    }
}

/// What is cut off is never more than was there, and a line cut in half may say something else, but
/// never anything that breaks a law.
#[test]
fn what_is_cut_off_has_no_more_media() {
    for (name, octets, _) in vectors().iter().filter(|(name, ..)| !name.starts_with("ok-most")) {
        let whole = parse(octets).map_or(0, |session| session.media_count);
        for len in (0..octets.len()).step_by(1 + octets.len() / 400) {
            let cut = &octets[..len];
            let count = parse(cut).map_or(0, |session| session.media_count);
            assert!(count <= whole || name.starts_with("drop-"), "{name} cut at {len}");
            if len.is_multiple_of(7) {
                laws::reads(cut);
            }
        }
    }
}
