//! `roger check`: everything that is wrong with a configuration, and what it comes to.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use crate::cli::{ConfigArguments, Exit, Terminal, counted, finish, read_text, tell};
use crate::config::{
    Blame, Config, Diagnosis, Effective, Examination, Large, Machine, Severity, Sources,
    SystemNames, examine, origin_name, render_effective,
};
use crate::limits::REMEMBERED_SIZE;

/// What `roger check` takes.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The configuration file, as --config
    #[arg(value_name = "FILE", conflicts_with = "config")]
    pub file: Option<PathBuf>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArguments,
    /// How it is printed.
    #[command(flatten)]
    pub style: Style,
}

/// How the result is printed.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Style {
    /// Print every setting with its origin: default, file and line, environment or command line
    #[arg(long)]
    pub effective: bool,
    /// Treat warnings as errors
    #[arg(long)]
    pub strict: bool,
    /// For people or for programs
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// For whom.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Checks the configuration that the command line names.
pub fn main(arguments: &Arguments, terminal: Terminal) -> Exit {
    let path = arguments.file.as_ref().unwrap_or(&arguments.config.config);
    let text = match read_text(path) {
        Ok(text) => text,
        Err(error) => {
            tell(&format!("roger: {error}"));
            return Exit::Config;
        }
    };
    let overrides = arguments.config.overrides();
    let machine = Machine::this();
    let name = path.display().to_string();
    let sources = Sources { name: &name, text: &text, overrides: &overrides, machine: &machine };
    let examination = examine(sources, &mut SystemNames);
    let (mut output, mut error) = (io::stdout().lock(), io::stderr().lock());
    let streams = Streams { output: &mut output, error: &mut error, terminal };
    let written = report(&examination, sources, arguments.style, streams);
    finish(written, verdict(&examination, arguments.style.strict))
}

/// What the exit code says about an examination.
pub fn verdict(examination: &Examination, strict: bool) -> Exit {
    let bad = |one: &&Diagnosis| strict || one.severity == Severity::Error;
    let mut bad = examination.diagnoses.iter().filter(bad).peekable();
    if bad.peek().is_none() {
        Exit::Ok
    } else if bad.all(|one| one.blame == Blame::Surroundings) {
        Exit::Unavailable
    } else {
        Exit::Config
    }
}

/// Where a report goes.
pub struct Streams<'a> {
    /// Results.
    pub output: &'a mut dyn Write,
    /// Everything else.
    pub error: &'a mut dyn Write,
    /// Which of them may have colours.
    pub terminal: Terminal,
}

/// Prints what was found.
///
/// # Errors
///
/// When it cannot be written.
pub fn report(
    examination: &Examination,
    sources: Sources<'_>,
    style: Style,
    streams: Streams<'_>,
) -> io::Result<()> {
    let Streams { output, error, terminal } = streams;
    if style.format == Format::Json {
        let json = to_json(examination, sources, style);
        return writeln!(output, "{json:#}");
    }
    if style.effective {
        // The result is a document that can be kept; what is wrong stands beside it.
        diagnoses(examination, sources, error, terminal.error)?;
        output.write_all(render_effective(&examination.effective, sources).as_bytes())?;
        return writeln!(error, "{}", summary(examination, sources.name));
    }
    diagnoses(examination, sources, output, terminal.output)?;
    writeln!(output, "{}", summary(examination, sources.name))
}

/// The diagnoses as people read them.
pub(crate) fn diagnoses(
    examination: &Examination,
    sources: Sources<'_>,
    to: &mut dyn Write,
    colour: bool,
) -> io::Result<()> {
    for one in &examination.diagnoses {
        writeln!(to, "{}", one.render(sources.text, colour))?;
    }
    Ok(())
}

fn summary(examination: &Examination, name: &str) -> String {
    let errors = examination.count(Severity::Error);
    let warnings = counted(examination.count(Severity::Warning), "warning");
    match &examination.config {
        Some(config) => format!("{name}: ok, {warnings}; {}", described(config)),
        None => format!("{name}: {}, {warnings}", counted(errors, "error")),
    }
}

fn described(config: &Config) -> String {
    let sms = config.peers.iter().filter(|peer| peer.side.is_sms()).count();
    let im = config.peers.iter().filter(|peer| peer.side.is_im()).count();
    let mut each = String::new();
    if config.workers.count() > 1 {
        each = format!(", each {}", config.per_worker());
    }
    let state = match &config.state_directory {
        Some(path) => format!("state in {}", path.display()),
        None => "no state directory: a new secret at each start".to_owned(),
    };
    let remembered = usize::try_from(config.gateway.remembered_max).unwrap_or(usize::MAX);
    let large = config.large.as_ref();
    let large = large.map_or_else(String::new, |large| sessions(large, config.workers.count()));
    format!(
        "{}, {} ({sms} SMS side, {im} IM side), {} open and {} finished at {}/s, {} remembered \
         ({} MiB); {}{each}{large}; {state}",
        counted(config.listeners.len(), "listener"),
        counted(config.peers.len(), "peer"),
        config.capacity.open,
        config.finished_max(),
        config.capacity.rate,
        config.gateway.remembered_max,
        (remembered * REMEMBERED_SIZE) >> 20,
        counted(config.workers.count(), "worker"),
    )
}

/// Where MSRP is listened for, and for how much.
fn sessions(large: &Large, workers: usize) -> String {
    let places: Vec<String> = large.listeners.iter().map(ToString::to_string).collect();
    let each = if workers > 1 { ", each worker at that port and its number" } else { "" };
    let whole = |count| usize::try_from(count).unwrap_or(usize::MAX);
    let carried = large.carry.map_or_else(String::new, |carry| {
        let messages = counted(whole(carry.messages), "message");
        format!(", {messages} at once from session to session")
    });
    format!(
        "; MSRP at {}{each}, {} of up to {} octets{carried}",
        places.join(" and "),
        counted(whole(large.sessions), "session"),
        large.message_size,
    )
}

fn to_json(examination: &Examination, sources: Sources<'_>, style: Style) -> Json {
    let mut json = json!({
        "file": sources.name,
        "ok": verdict(examination, style.strict) == Exit::Ok,
        "errors": examination.count(Severity::Error),
        "warnings": examination.count(Severity::Warning),
        "diagnoses":
            examination.diagnoses.iter().map(Diagnosis::to_json).collect::<Vec<_>>(),
    });
    if style.effective {
        let entry = |one: &Effective| {
            let remark = (!one.remark.is_empty()).then_some(&one.remark);
            json!({
                "section": one.header.trim_matches(['[', ']']),
                "number": one.header.starts_with("[[").then_some(one.number),
                "key": one.key,
                "toml": one.value,
                "origin": origin_name(&one.origin, sources),
                "remark": remark,
            })
        };
        json["effective"] = examination.effective.iter().map(entry).collect();
    }
    json
}
