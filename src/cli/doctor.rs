//! `roger doctor`: whether this machine has what a configuration asks of it now.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::cli::{ConfigArguments, Exit, Terminal, finish, run};
use crate::oam::{Finding, survey};

/// What `roger doctor` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The configuration file, as --config
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArguments,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Looks and prints.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let mut which = arguments.config.clone();
    if let Some(file) = &arguments.file {
        which.config.clone_from(file);
    }
    let config = match run::configuration(&which, terminal) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let findings = survey(&config);
    let is_well = findings.iter().all(|one| one.problem.is_none());
    let text = if arguments.json { to_json(&findings, is_well) } else { page(&findings) };
    let written = io::stdout().write_all(text.as_bytes());
    finish(written, if is_well { Exit::Ok } else { Exit::Unavailable })
}

/// A line for each finding, and one more for what is wrong with it.
fn page(findings: &[Finding]) -> String {
    let width = findings.iter().map(|one| one.found.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for Finding { what, found, problem } in findings {
        let state = if problem.is_none() { "ok" } else { "WRONG" };
        text.push_str(&format!("{what:<14}{found:<width$}  {state}\n"));
        if let Some(problem) = problem {
            text.push_str(&format!("{:14}{problem}\n", ""));
        }
    }
    text
}

fn to_json(findings: &[Finding], is_well: bool) -> String {
    let finding = |one: &Finding| {
        let is_ok = one.problem.is_none();
        json!({ "what": one.what, "found": one.found, "ok": is_ok, "problem": one.problem })
    };
    let findings: Vec<_> = findings.iter().map(finding).collect();
    format!("{:#}\n", json!({ "ok": is_well, "findings": findings }))
}
