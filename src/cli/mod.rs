//! The command line: one file for each verb.
//!
//! Results go to standard output, everything else to standard error. Exit codes are those of
//! [`Exit`] whatever the verb.

#![expect(clippy::disallowed_macros, reason = "cold code: runs beside the packet path")]

pub mod check;
pub mod decode;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod load;
pub mod run;
pub mod status;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{self, Override};

/// A fast path between SMS and IM: one message, one verdict, with its proof.
#[derive(Debug, Parser)]
#[command(name = "roger", version, propagate_version = true, max_term_width = 100)]
struct Cli {
    /// Print without colours, whatever the terminal can do (NO_COLOR does the same)
    #[arg(long, global = true)]
    no_color: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play an SMS side, the engine and an IM side on loopback, and show what came of it
    Demo(demo::Arguments),
    /// Relay messages until a signal comes
    Run(run::Arguments),
    /// Say everything that is wrong with a configuration, and what it comes to
    Check(check::Arguments),
    /// Say whether this machine has what a configuration asks of it: files, ports
    Doctor(doctor::Arguments),
    /// Load any SIP system with messages and measure what comes of them
    Load(load::Arguments),
    /// Ask a running process for its counters and peers
    Status(status::Arguments),
    /// Say what octets mean, as JSON: a message of a capture, or many
    Decode(decode::Arguments),
    /// Say what a SIP status, a silence or a code of SMS means here, and who says so
    Explain(explain::Arguments),
}

/// How a verb ended. The numbers from 64 are those of `sysexits.h`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub enum Exit {
    /// All is well.
    Ok = 0,
    /// It ran, and the result is bad.
    Failed = 1,
    /// The command line was not understood.
    Usage = 2,
    /// A port is taken, a name does not resolve, nobody answers.
    Unavailable = 69,
    /// The operating system refused something it was asked for.
    Os = 71,
    /// A file could not be created or written.
    CannotCreate = 73,
    /// It ended before every message was final.
    Temporary = 75,
    /// The configuration is wrong.
    Config = 78,
    /// It ended without any message.
    Nothing = 99,
    /// It was interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Does what the command line says.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results, the rest is usage: clap knows which stream.
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            return finish(error.print(), exit).into();
        }
    };
    let terminal = Terminal::of(cli.no_color);
    match cli.verb {
        Verb::Demo(arguments) => demo::main(&arguments, terminal).into(),
        Verb::Run(arguments) => run::main(&arguments, terminal).into(),
        Verb::Check(arguments) => check::main(&arguments, terminal).into(),
        Verb::Doctor(arguments) => doctor::main(&arguments, terminal).into(),
        Verb::Load(arguments) => load::main(&arguments, terminal).into(),
        Verb::Status(arguments) => status::main(&arguments, terminal).into(),
        Verb::Decode(arguments) => decode::main(&arguments).into(),
        Verb::Explain(arguments) => explain::main(&arguments, terminal).into(),
    }
}

/// Which of the standard streams may have colours.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// Standard output.
    pub output: bool,
    /// Standard error.
    pub error: bool,
}

impl Terminal {
    fn of(no_color: bool) -> Self {
        // <https://no-color.org>: present and not empty.
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let wanted = !no_color && !unwanted;
        Self {
            output: wanted && io::stdout().is_terminal(),
            error: wanted && io::stderr().is_terminal(),
        }
    }
}

/// Which configuration is meant.
#[derive(Args, Clone, Debug)]
pub struct ConfigArguments {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "/etc/roger/roger.toml")]
    pub config: PathBuf,
    /// Set one value, over file and environment: --set timers.t1=100ms
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = parse_override)]
    pub set: Vec<Override>,
}

fn parse_override(text: &str) -> Result<Override, String> {
    Override::from_flag(text).ok_or_else(|| "must look like timers.t1=100ms".to_owned())
}

impl ConfigArguments {
    /// What is set outside the file: environment first, command line last.
    pub fn overrides(&self) -> Vec<Override> {
        config::overrides_from_environment().into_iter().chain(self.set.iter().cloned()).collect()
    }
}

/// The text of a configuration file, or why there is none.
pub(crate) fn read_text(path: &Path) -> Result<String, String> {
    let octets = std::fs::read(path)
        .map_err(|error| format!("cannot read {}: {}", path.display(), plain(&error)))?;
    String::from_utf8(octets).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes().iter().take(at).filter(|&&octet| octet == b'\n').count();
        format!("{}:{line}: this is not UTF-8, as TOML must be", path.display())
    })
}

/// An error of the system without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The exit after the last output: when nobody can read it, `exit` stands only if the reader went
/// away by itself.
pub(crate) fn finish(written: io::Result<()>, exit: Exit) -> Exit {
    match written {
        Ok(()) => exit,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit,
        Err(_) => Exit::CannotCreate,
    }
}

/// Tells people, who may have closed the stream.
pub(crate) fn tell(text: &str) {
    // There is nobody left to tell that nobody can be told.
    let _ = writeln!(io::stderr(), "{text}");
}

/// "1 error", "2 errors".
pub(crate) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
