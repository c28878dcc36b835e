//! What README shows is what runs.

use std::fs;

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
