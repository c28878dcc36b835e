//! What README shows is what runs.

use std::fs;

use roger::config::Severity;

use crate::config_check::{examined, with};

/// The first block of code after a heading.
fn shown<'a>(readme: &'a str, heading: &str) -> Option<&'a str> {
    let (_, section) = readme.split_once(heading)?;
    let (_, block) = section.split_once("```\n")?;
    Some(block.split_once("```")?.0)
}

/// The lines between the two marks of a file.
fn marked(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("# README begins\n")?;
    Some(rest.split_once("# README ends\n")?.0)
}

#[test]
fn the_configuration_of_kamailio_in_readme_is_the_one_that_the_scenarios_run() {
    let readme = fs::read_to_string("README.md").unwrap();
    let scenario = fs::read_to_string("tools/interop/scenarios/sbc.cfg").unwrap();
    assert_eq!(shown(&readme, "\n## Behind Kamailio\n").unwrap(), marked(&scenario).unwrap());
}

/// What a section shows is a right configuration, with the other side that it leaves out.
#[test]
fn the_configuration_of_large_messages_in_readme_is_right() {
    let readme = fs::read_to_string("README.md").unwrap();
    let (_, section) = readme.split_once("\n## Large Messages: what to configure\n").unwrap();
    let (_, block) = section.split_once("```toml\n").unwrap();
    let shown = block.split_once("```").unwrap().0;
    let beside = "[[listen]]\naddress = \"127.0.0.1:5060\"\n\
                  [[peer]]\nname = \"sc\"\nside = \"sms\"\naddress = \"127.0.0.1:5070\"\n";
    let found = examined(&format!("{shown}{beside}"), &[]);
    let errors = found.diagnoses.iter().filter(|one| one.severity == Severity::Error);
    assert_eq!(errors.count(), 0, "{:#?}", found.diagnoses);
    let defaults = examined(&with(""), &[]).effective;
    for one in found.effective.iter().filter(|one| one.header == "[large]") {
        let default =
            defaults.iter().find(|other| other.header == "[large]" && other.key == one.key);
        assert_eq!(default.unwrap().value, one.value, "{}", one.key);
        assert!(section.contains(&format!("| `{}` |", one.key)), "{}", one.key);
    }
}
