//! What is wrong with a configuration, where, why, and what would be right.

use core::fmt;
use core::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::{Value as Json, json};

/// How bad it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Severity {
    /// Nothing starts with this.
    Error,
    /// It starts, but somebody should know.
    Warning,
}

impl Severity {
    /// Its name as tools print it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// Whether a diagnosis blames the text or the world around it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Blame {
    /// The text has to change.
    Text,
    /// The same text may be right another time: a name that does not resolve.
    Surroundings,
}

/// Where a value comes from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// These octets of the file.
    File(Range<usize>),
    /// This environment variable.
    Environment(String),
    /// This command line option.
    Flag(String),
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// How bad it is.
    pub severity: Severity,
    /// What has to change.
    pub blame: Blame,
    /// What is wrong, in one line.
    pub message: String,
    /// Which value is meant.
    pub origin: Origin,
    /// A few words to stand beside it.
    pub label: String,
    /// Another place in the file that matters, with a few words.
    pub beside: Option<(Range<usize>, String)>,
    /// Why it is wrong.
    pub reason: Option<String>,
    /// What would be right.
    pub suggestion: Option<String>,
    /// The name of the file.
    pub file: String,
    /// Line of the value in the file, from 1; 0 when it is not in the file.
    pub line: usize,
    /// Column in characters, from 1; 0 when it is not in the file.
    pub column: usize,
}

impl Diagnosis {
    /// An error at `origin`.
    pub fn error(message: impl Into<String>, origin: Origin, label: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            blame: Blame::Text,
            message: message.into(),
            origin,
            label: label.into(),
            beside: None,
            reason: None,
            suggestion: None,
            file: String::new(),
            line: 0,
            column: 0,
        }
    }

    /// A warning at `origin`.
    pub fn warning(message: impl Into<String>, origin: Origin, label: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message, origin, label) }
    }

    /// The same, with the reason.
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The same, with what would be right.
    pub fn suggest(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// The same, with another place that matters, if that is in the file.
    pub fn beside(mut self, origin: &Origin, label: impl Into<String>) -> Self {
        if let Origin::File(span) = origin {
            self.beside = Some((span.clone(), label.into()));
        }
        self
    }

    /// The same, blaming the surroundings.
    pub const fn of_surroundings(mut self) -> Self {
        self.blame = Blame::Surroundings;
        self
    }

    /// Fills in file, line and column.
    pub(super) fn locate(&mut self, file: &str, text: &str) {
        file.clone_into(&mut self.file);
        if let Origin::File(span) = &self.origin {
            (self.line, self.column) = line_and_column(text, span.start);
        }
    }

    /// As one object of the output for programs.
    pub fn to_json(&self) -> Json {
        let (environment, flag) = match &self.origin {
            Origin::Default | Origin::File(_) => (None, None),
            Origin::Environment(name) => (Some(name), None),
            Origin::Flag(flag) => (None, Some(flag)),
        };
        let in_file = |number: usize| (number > 0).then_some(number);
        json!({
            "severity": self.severity.name(),
            "file": self.file,
            "line": in_file(self.line),
            "column": in_file(self.column),
            "environment": environment,
            "flag": flag,
            "message": self.message,
            "label": self.label,
            "reason": self.reason,
            "suggestion": self.suggestion,
        })
    }

    /// With the lines of the file that it is about, as compilers show it.
    pub fn render(&self, text: &str, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut message = self.message.clone();
        match &self.origin {
            Origin::Environment(name) => message = format!("{name}: {message}"),
            Origin::Flag(flag) => message = format!("{flag}: {message}"),
            Origin::File(_) | Origin::Default => {}
        }
        let mut group = Group::with_title(level.primary_title(message));
        if let Origin::File(span) = &self.origin {
            let mut snippet = Snippet::source(text)
                .path(self.file.as_str())
                .annotation(AnnotationKind::Primary.span(span.clone()).label(self.label.as_str()));
            if let Some((span, label)) = &self.beside {
                snippet = snippet
                    .annotation(AnnotationKind::Context.span(span.clone()).label(label.as_str()));
            }
            group = group.element(snippet);
        }
        if let Some(reason) = &self.reason {
            group = group.element(Level::NOTE.message(reason.as_str()));
        }
        if let Some(suggestion) = &self.suggestion {
            group = group.element(Level::HELP.message(suggestion.as_str()));
        }
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut rendered = renderer.render(&[group]);
        rendered.push('\n');
        rendered
    }
}

impl fmt::Display for Diagnosis {
    /// On one line, as editors and log files like it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(_) => write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?,
            Origin::Default => write!(f, "{}: ", self.file)?,
            Origin::Environment(place) | Origin::Flag(place) => write!(f, "{place}: ")?,
        }
        write!(f, "{}: {}", self.severity.name(), self.message)?;
        if let Some(reason) = &self.reason {
            write!(f, " ({reason})")?;
        }
        if let Some(suggestion) = &self.suggestion {
            write!(f, "; {suggestion}")?;
        }
        Ok(())
    }
}

/// Line and column, both from 1, of an octet of `text`.
pub(super) fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_not_octets() {
        assert_eq!(line_and_column("a = 1\nü = 2", 9), (2, 3));
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("ab", 99), (1, 3));
    }
}
