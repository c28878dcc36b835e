//! The register of requirements: what it says is met is cited in the source, and its tests exist.

use std::fs;
use std::path::{Path, PathBuf};

/// A row of the register that says where something is met.
struct Row<'a> {
    id: &'a str,
    sources: Vec<&'a str>,
    tests: Vec<&'a str>,
}

#[test]
fn everything_in_the_register_is_cited_and_tested() {
    let register = fs::read_to_string("tests/requirements.md").unwrap();
    let errors = check(&rows(&register), &functions());
    assert!(errors.is_empty(), "\n{}", errors.join("\n"));
}

#[test]
fn every_hazard_is_in_the_register_once() {
    let register = fs::read_to_string("tests/requirements.md").unwrap();
    let mut found: Vec<u32> =
        rows(&register).iter().filter_map(|row| row.id.strip_prefix('H')?.parse().ok()).collect();
    let absent = register.split("## Not met").nth(1).unwrap();
    for cell in absent.lines().filter_map(|line| line.strip_prefix("| H")) {
        let cell = cell.split('|').next().unwrap();
        for range in cell.split(',') {
            let mut ends = range.split(" to ").map(|end| end.trim().trim_start_matches('H'));
            let first: u32 = ends.next().unwrap().parse().unwrap();
            let last = ends.next().map_or(first, |last| last.parse().unwrap());
            found.extend(first..=last);
        }
    }
    found.sort_unstable();
    assert_eq!(found, (1..=61).collect::<Vec<u32>>());
}

#[test]
fn what_is_cited_is_in_the_register() {
    let register = fs::read_to_string("tests/requirements.md").unwrap();
    let known: Vec<String> = rows(&register).iter().map(|row| row.id.to_owned()).collect();
    let mut strangers = Vec::new();
    for path in files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for word in text.split(|letter: char| !letter.is_ascii_alphanumeric()) {
            let is_hazard = word.strip_prefix('H').is_some_and(|number| {
                number.len() <= 2 && number.parse::<u32>().is_ok_and(|number| number > 0)
            });
            if is_hazard && !known.iter().any(|id| id == word) {
                strangers.push(format!("{}: {word}", path.display()));
            }
        }
    }
    assert!(strangers.is_empty(), "\n{}", strangers.join("\n"));
}

#[test]
fn the_check_finds_what_it_is_for() {
    let text = "| H1 | a | b | src/engine/report.rs, src/none.rs | none, h1_x |\n\
        | R99 | a | b | src/engine/report.rs | h1_x |\n| R2 | a | | | |";
    let errors = check(&rows(text), &["h1_x".to_owned()]);
    let expected = [
        "H1 is not cited in src/engine/report.rs",
        "H1: src/none.rs cannot be read",
        "H1: there is no test none",
        "R99 is not cited in src/engine/report.rs",
        "R2 says nothing about where it is met or shown",
    ];
    assert_eq!(errors, expected);
}

fn rows(register: &str) -> Vec<Row<'_>> {
    let mut rows = Vec::new();
    for line in register.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, id, _, _, sources, tests, _] = cells[..] else { continue };
        if !id.starts_with(['H', 'R', 'I']) {
            continue;
        }
        rows.push(Row { id, sources: list(sources), tests: list(tests) });
    }
    rows
}

fn list(cell: &str) -> Vec<&str> {
    cell.split(',').map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn check(rows: &[Row<'_>], functions: &[String]) -> Vec<String> {
    let mut errors = Vec::new();
    for Row { id, sources, tests } in rows {
        for source in sources {
            match fs::read_to_string(source) {
                Ok(text) => {
                    let mut words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
                    if !words.any(|word| word == *id) {
                        errors.push(format!("{id} is not cited in {source}"));
                    }
                }
                Err(_) => errors.push(format!("{id}: {source} cannot be read")),
            }
        }
        for test in tests.iter().filter(|test| !functions.iter().any(|name| name == *test)) {
            errors.push(format!("{id}: there is no test {test}"));
        }
        if sources.is_empty() || tests.is_empty() {
            errors.push(format!("{id} says nothing about where it is met or shown"));
        }
    }
    errors
}

/// The names of all test functions.
fn functions() -> Vec<String> {
    let mut names = Vec::new();
    for path in files(Path::new("src")).into_iter().chain(files(Path::new("tests"))) {
        let text = fs::read_to_string(&path).unwrap();
        for test in text.split("#[test]").skip(1) {
            let Some(behind) = test.split("fn ").nth(1) else { continue };
            names.push(behind.split('(').next().unwrap().to_owned());
        }
    }
    names
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}
