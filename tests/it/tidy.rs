//! Checks of the code as text: layers, unsafe, and words that must not be merged.

use std::fs;
use std::path::{Path, PathBuf};

/// Who may import whom. A module may import itself, and what its line lists.
const LAYERS: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("id", &["limits"]),
    ("time", &["limits"]),
    ("packet", &["id", "limits", "time"]),
    ("store", &["id", "limits", "time"]),
    ("handover", &["id", "limits", "packet", "time"]),
    ("wire", &["limits", "store"]),
    ("transaction", &["id", "limits", "store", "time", "wire"]),
    ("delivery", &["id", "limits", "packet", "store", "time"]),
    ("session", &["id", "limits", "metrics", "packet", "store", "time", "wire"]),
    ("interwork", &["delivery", "limits", "wire"]),
    ("report", &["delivery", "interwork", "limits", "wire"]),
    ("metrics", &["limits"]),
    (
        "engine",
        &[
            "delivery",
            "handover",
            "id",
            "interwork",
            "limits",
            "metrics",
            "packet",
            "report",
            "session",
            "store",
            "time",
            "transaction",
            "wire",
        ],
    ),
    ("io", &["id", "limits", "metrics", "packet", "session", "store", "time"]),
    ("tls", &["id", "io", "limits", "metrics", "packet", "time", "wire"]),
    (
        "config",
        &["delivery", "engine", "handover", "id", "io", "limits", "packet", "time", "tls", "wire"],
    ),
    (
        "worker",
        &[
            "delivery", "engine", "handover", "id", "io", "limits", "metrics", "packet", "store",
            "time",
        ],
    ),
    ("load", &["id", "io", "limits", "metrics", "packet", "store", "time", "wire"]),
];
const UNSAFE_ALLOWED: &[&str] = &["store", "io"];

#[test]
fn tidy() {
    let mut errors = Vec::new();
    for path in sources(Path::new("src")) {
        check(&path, &fs::read_to_string(&path).unwrap(), &mut errors);
    }
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn tidy_finds_what_it_is_for() {
    let mut errors = Vec::new();
    let text =
        "//! Doc.\nuse crate::engine::Engine;\nunsafe { }\n// FIXME\nstd::time::Instant::now()";
    check(Path::new("src/wire/bad.rs"), text, &mut errors);
    let found: Vec<_> = errors.iter().map(|e| e.split(": ").nth(1).unwrap()).collect();
    let expected = [
        "wire must not import engine",
        "unsafe outside store, io",
        "FIXME",
        "a clock is read in io/clock.rs only",
    ];
    assert_eq!(found, expected);
}

fn check(path: &Path, text: &str, errors: &mut Vec<String>) {
    let shown = path.display();
    let module = module_of(path);
    let mut error = |line: usize, what: &str| errors.push(format!("{shown}:{line}: {what}"));
    if !text.starts_with("//! ") {
        error(1, "a file starts with its //! line");
    }
    for (index, line) in text.lines().enumerate() {
        let number = index + 1;
        for import in imports(line) {
            let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == module) else {
                continue;
            };
            if import != module && !allowed.contains(&import) {
                error(number, &format!("{module} must not import {import}"));
            }
        }
        let code = line.split("//").next().unwrap();
        if code.contains("unsafe ") && !UNSAFE_ALLOWED.contains(&module) {
            error(number, &format!("unsafe outside {}", UNSAFE_ALLOWED.join(", ")));
        }
        for word in ["TODO", "FIXME", "XXX", "HACK"] {
            if line.contains(word) {
                error(number, word);
            }
        }
        let in_packet_path = LAYERS.iter().any(|(name, _)| *name == module) && module != "load";
        if in_packet_path && code.contains("Instant::now") && !path.ends_with("io/clock.rs") {
            error(number, "a clock is read in io/clock.rs only");
        }
    }
}

fn imports(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase() && c != '_').unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    })
}

fn module_of(path: &Path) -> &str {
    let below = path.strip_prefix("src").unwrap();
    let first = below.components().next().unwrap().as_os_str().to_str().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
