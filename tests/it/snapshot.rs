//! Texts that are compared with a file: `UPDATE_SNAPSHOTS=1` writes it anew, to be read as a diff.

use std::fs;
use std::path::PathBuf;

/// Fails unless `tests/snapshots/<name>` holds exactly `text`.
pub(crate) fn assert_snapshot(name: &str, text: &str) {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "snapshots", name].iter().collect();
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, text).unwrap();
        return;
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "tests/snapshots/{name} differs from:\n{text}");
}
