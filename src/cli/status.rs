//! `roger status`: what a running process says about itself.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use crate::cli::{Exit, Terminal, finish, plain, read_text, tell};
use crate::config::{Machine, Sources, overrides_from_environment, status_socket};
use crate::oam::socket::ask;
use crate::oam::status::{Snapshot, render};

/// What `roger status` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The status socket of the process
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The configuration that names the status socket
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "socket",
        default_value = "/etc/roger/roger.toml"
    )]
    pub config: PathBuf,
    /// Show the counters that are zero as well, with what they mean
    #[arg(long)]
    pub all: bool,
    /// For programs
    #[arg(long)]
    pub json: bool,
}

/// Asks and prints.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let path = match &arguments.socket {
        Some(path) => path.clone(),
        None => match socket_of(arguments) {
            Ok(path) => path,
            Err(error) => {
                tell(&format!("roger: {error}"));
                return Exit::Config;
            }
        },
    };
    let document = match ask(&path) {
        Ok(document) => document,
        Err(error) => {
            tell(&format!("roger: nobody answers at {}: {}", path.display(), plain(&error)));
            return Exit::Unavailable;
        }
    };
    let snapshot: Snapshot = match serde_json::from_str(&document) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            tell(&format!("roger: {} answers something else: {error}", path.display()));
            return Exit::Unavailable;
        }
    };
    let text = if arguments.json {
        // A snapshot holds strings and numbers, which JSON can always hold.
        serde_json::to_string_pretty(&snapshot).unwrap_or(document) + "\n"
    } else {
        render(&snapshot, arguments.all, terminal.output)
    };
    finish(io::stdout().write_all(text.as_bytes()), Exit::Ok)
}

fn socket_of(arguments: &Arguments) -> Result<PathBuf, String> {
    let text = read_text(&arguments.config)?;
    let name = arguments.config.display().to_string();
    let overrides = overrides_from_environment();
    let machine = Machine::this();
    let sources = Sources { name: &name, text: &text, overrides: &overrides, machine: &machine };
    status_socket(sources).ok_or_else(|| format!("{name} names no [status] socket"))
}
