//! Reads settings out of the file, the environment and the command line, and remembers for each
//! where it came from and what was wrong with it.
//!
//! A [`Section`] is asked for the keys that it may have; what it was not asked for is reported
//! when it is finished. Nothing stops at the first error: a value that is not understood is
//! reported once, and what depends on it is left alone.

use core::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::diagnosis::{Diagnosis, Origin};
use crate::config::value::{Complaint, Raw, Value, nearest};

/// Prefix of the environment variables that set a value: `ROGER__TIMERS__T1=100ms`.
pub const ENVIRONMENT_PREFIX: &str = "ROGER__";

/// A value that is set from outside the file.
#[derive(Clone, Debug)]
pub struct Override {
    /// Section and key: `timers.t1`.
    pub path: String,
    /// The value, always as text.
    pub text: String,
    /// The environment variable or the command line option.
    pub origin: Origin,
}

impl Override {
    /// From an environment variable, if it is one of ours.
    pub fn from_environment(name: &str, text: &str) -> Option<Self> {
        let path = name.strip_prefix(ENVIRONMENT_PREFIX)?.replace("__", ".").to_ascii_lowercase();
        Some(Self { path, text: text.to_owned(), origin: Origin::Environment(name.to_owned()) })
    }

    /// From `SECTION.KEY=VALUE` on the command line.
    pub fn from_flag(flag: &str) -> Option<Self> {
        let (path, text) = flag.split_once('=')?;
        let (path, text) = (path.trim().to_owned(), text.trim().to_owned());
        let origin = Origin::Flag(format!("--set {path}"));
        Some(Self { path, text, origin })
    }
}

/// One setting as it takes effect.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The header it stands under: empty, `[timers]`, `[[peer]]`.
    pub header: String,
    /// Which of several sections with that header.
    pub number: usize,
    /// Its key.
    pub key: &'static str,
    /// Its value in TOML.
    pub value: String,
    /// Where it comes from.
    pub origin: Origin,
    /// What else is worth knowing.
    pub remark: String,
}

/// A value with its origin, and whether it may be relied upon.
#[derive(Clone, Debug)]
pub(super) struct Setting<T> {
    pub(super) value: T,
    pub(super) origin: Origin,
    /// False when what was written was wrong and `value` only stands in for it.
    pub(super) sound: bool,
}

impl<T> Setting<T> {
    pub(super) const fn is_default(&self) -> bool {
        matches!(self.origin, Origin::Default)
    }
}

/// Collects what is wrong and what takes effect.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) diagnoses: Vec<Diagnosis>,
    pub(super) effective: Vec<Effective>,
    overrides: Vec<(Override, bool)>,
    known: Vec<String>,
}

impl Reader {
    pub(super) fn new(overrides: &[Override]) -> Self {
        Self {
            diagnoses: Vec::new(),
            effective: Vec::new(),
            overrides: overrides.iter().map(|one| (one.clone(), false)).collect(),
            known: Vec::new(),
        }
    }

    pub(super) fn report(&mut self, diagnosis: Diagnosis) {
        self.diagnoses.push(diagnosis);
    }

    /// The last override of `path`: later ones win, and all count as used.
    fn take_override(&mut self, path: &str) -> Option<Override> {
        self.known.push(path.to_owned());
        let mut last = None;
        for (one, used) in self.overrides.iter_mut().filter(|(one, _)| one.path == path) {
            *used = true;
            last = Some(one.clone());
        }
        last
    }

    /// Reports every override that no section asked for.
    pub(super) fn finish(&mut self) {
        let unused: Vec<Override> =
            self.overrides.iter().filter(|(_, used)| !used).map(|(one, _)| one.clone()).collect();
        for one in unused {
            let mut diagnosis =
                Diagnosis::error(format!("there is no setting `{}`", one.path), one.origin, "");
            if one.path.starts_with("peer.") || one.path.starts_with("listen.") {
                diagnosis =
                    diagnosis.because("peers and listeners are lists: set them in the file");
            } else if let Some(path) = nearest(&one.path, self.known.iter().map(String::as_str)) {
                diagnosis = diagnosis.suggest(format!("did you mean `{path}`?"));
            }
            self.diagnoses.push(diagnosis);
        }
    }
}

/// One table of the file, or its absence.
pub(super) struct Section<'r, 't> {
    pub(super) reader: &'r mut Reader,
    table: Option<&'t DeTable<'t>>,
    /// Where the section begins, for what is missing in it.
    origin: Origin,
    header: String,
    number: usize,
    /// Prefix of its paths; none where overrides cannot reach.
    path: Option<String>,
    known: Vec<&'static str>,
}

impl<'r, 't> Section<'r, 't> {
    /// The file outside all sections.
    pub(super) fn root(reader: &'r mut Reader, table: &'t DeTable<'t>) -> Self {
        let (header, path) = (String::new(), Some(String::new()));
        let origin = Origin::Default;
        Self { reader, table: Some(table), origin, header, number: 0, path, known: Vec::new() }
    }

    /// The section `[name]`, whether it is there or not.
    pub(super) fn inner(&mut self, name: &'static str) -> Section<'_, 't> {
        self.known.push(name);
        let found = self.table.and_then(|table| table.get_key_value(name));
        let (mut table, mut origin) = (None, Origin::Default);
        if let Some((key, value)) = found {
            origin = Origin::File(key.span());
            table = value.get_ref().as_table();
            if table.is_none() {
                let message = format!("`{name}` is one section");
                self.reader.report(
                    Diagnosis::error(message, origin.clone(), "not a value or a list")
                        .suggest(format!("write [{name}] on a line of its own")),
                );
            }
        }
        Section {
            reader: self.reader,
            table,
            origin,
            header: format!("[{name}]"),
            number: 0,
            path: Some(format!("{name}.")),
            known: Vec::new(),
        }
    }

    /// The tables of `[[name]]`, each with its place.
    pub(super) fn list(&mut self, name: &'static str) -> Vec<(&'t DeTable<'t>, Origin)> {
        self.known.push(name);
        let Some((key, value)) = self.table.and_then(|table| table.get_key_value(name)) else {
            return Vec::new();
        };
        let Some(array) = value.get_ref().as_array() else {
            self.reader.report(
                Diagnosis::error(
                    format!("there can be several `{name}`, so each is an element of a list"),
                    Origin::File(key.span()),
                    "one pair of brackets is not enough",
                )
                .suggest(format!("write [[{name}]]")),
            );
            return Vec::new();
        };
        let mut tables = Vec::new();
        for item in array {
            let at = Origin::File(item.span());
            match item.get_ref().as_table() {
                Some(table) => tables.push((table, at)),
                None => self.reader.report(
                    Diagnosis::error(format!("every `{name}` is a section"), at, "not a value")
                        .suggest(format!("write [[{name}]] on a line of its own")),
                ),
            }
        }
        tables
    }

    /// One of the tables that [`Section::list`] found.
    pub(super) fn element(
        reader: &'r mut Reader,
        name: &str,
        number: usize,
        (table, origin): (&'t DeTable<'t>, Origin),
    ) -> Self {
        let header = format!("[[{name}]]");
        Self { reader, table: Some(table), origin, header, number, path: None, known: Vec::new() }
    }

    /// Where the section begins.
    pub(super) fn origin(&self) -> Origin {
        self.origin.clone()
    }

    /// Whether the file has this key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.lookup(key).is_some()
    }

    /// The place of a key and its value. One with a dot in it is the key of an inner table.
    fn lookup(&self, key: &str) -> Option<(Range<usize>, &'t Spanned<DeValue<'t>>)> {
        let (key, inner) = key.split_once('.').map_or((key, None), |(key, one)| (key, Some(one)));
        let (mut key, mut value) = self.table?.get_key_value(key)?;
        if let Some(inner) = inner {
            (key, value) = value.get_ref().as_table()?.get_key_value(inner)?;
        }
        Some((key.span(), value))
    }

    /// The value of `key`, if anybody set it.
    pub(super) fn read_optional<T: Value>(&mut self, key: &'static str) -> Option<Setting<T>> {
        self.read_optional_or(key, None)
    }

    /// The value of `key`, or what stands in for it where nobody set it.
    pub(super) fn read_optional_or<T: Value>(
        &mut self,
        key: &'static str,
        instead: Option<Setting<T>>,
    ) -> Option<Setting<T>> {
        let setting = match self.find(key) {
            Some(found) => found,
            None => instead,
        }?;
        self.remember(key, &setting);
        Some(setting)
    }

    /// The value of `key`, or `default`.
    pub(super) fn read<T: Value>(&mut self, key: &'static str, default: T) -> Setting<T> {
        let setting = match self.find(key) {
            None => Setting { value: default, origin: Origin::Default, sound: true },
            Some(None) => Setting { value: default, origin: Origin::Default, sound: false },
            Some(Some(setting)) => setting,
        };
        self.remember(key, &setting);
        setting
    }

    /// The value of `key`, which cannot be left out, for that `reason`.
    pub(super) fn require<T: Value>(
        &mut self,
        key: &'static str,
        reason: &str,
        suggestion: &str,
    ) -> Option<Setting<T>> {
        let Some(found) = self.find(key) else {
            let section = self.header.trim_matches(['[', ']']).to_owned();
            self.reader.report(
                Diagnosis::error(
                    format!("`{key}` is missing in this `{section}`"),
                    self.origin(),
                    format!("has no `{key}`"),
                )
                .because(reason)
                .suggest(suggestion),
            );
            return None;
        };
        let setting = found?;
        self.remember(key, &setting);
        Some(setting)
    }

    /// Shows another default for the setting that was read last.
    pub(super) fn default_is<T: Value>(&mut self, value: &T) {
        if let Some(last) = self.reader.effective.last_mut() {
            last.value = value.to_toml();
        }
    }

    /// Says more about the setting that was read last.
    pub(super) fn remark(&mut self, remark: &str) {
        if let Some(last) = self.reader.effective.last_mut() {
            remark.clone_into(&mut last.remark);
        }
    }

    /// Reports those of `keys` that are there: each would be without effect, because it `is_about`
    /// something else.
    pub(super) fn misplaced(&mut self, keys: &[&'static str], is_about: &str) {
        for &key in keys {
            self.known.push(key);
            let Some((at, _)) = self.lookup(key) else { continue };
            let message = format!("`{key}` has no effect on this side");
            let diagnosis = Diagnosis::error(message, Origin::File(at), "not here");
            self.reader.report(diagnosis.because(format!("it {is_about}")));
        }
    }

    fn remember<T: Value>(&mut self, key: &'static str, setting: &Setting<T>) {
        self.reader.effective.push(Effective {
            header: self.header.clone(),
            number: self.number,
            key,
            value: setting.value.to_toml(),
            origin: setting.origin.clone(),
            remark: String::new(),
        });
    }

    /// `None`: nobody set it; `Some(None)`: somebody did, wrongly, and it was reported.
    fn find<T: Value>(&mut self, key: &'static str) -> Option<Option<Setting<T>>> {
        self.known.push(key);
        let in_file = self.lookup(key);
        let from_file = in_file.map(|(_, value)| {
            self.understand(&Raw::of(value.get_ref()), Origin::File(value.span()))
        });
        let path = self.path.as_ref().map(|path| format!("{path}{key}"));
        match path.and_then(|path| self.reader.take_override(&path)) {
            Some(one) => Some(self.understand(&Raw::Loose(&one.text), one.origin)),
            None => from_file,
        }
    }

    fn understand<T: Value>(&mut self, raw: &Raw<'_>, origin: Origin) -> Option<Setting<T>> {
        match T::from_raw(raw) {
            Ok(mut value) => {
                let complaints = value.complaints();
                let sound = complaints.is_empty();
                for complaint in complaints {
                    self.complain(complaint, &origin);
                }
                Some(Setting { value, origin, sound })
            }
            Err(complaint) => {
                self.complain(complaint, &origin);
                None
            }
        }
    }

    fn complain(&mut self, complaint: Complaint, whole: &Origin) {
        let Complaint { message, label, reason, suggestion, at } = complaint;
        let mut diagnosis = Diagnosis::error(message, place(at.as_ref(), whole), label);
        diagnosis.reason = reason.map(str::to_owned);
        diagnosis.suggestion = suggestion;
        self.reader.report(diagnosis);
    }

    /// Reports the keys that nobody asked for.
    pub(super) fn finish(mut self) {
        let Some(table) = self.table else { return };
        for (key, value) in table {
            let name: &str = key.get_ref();
            if self.known.contains(&name) {
                continue;
            }
            let prefix = format!("{name}.");
            let inner = value.get_ref().as_table();
            let inner = inner.filter(|_| self.known.iter().any(|one| one.starts_with(&prefix)));
            let Some(inner) = inner else {
                self.unknown(name, key.span());
                continue;
            };
            for key in inner.keys() {
                let name = format!("{prefix}{}", key.get_ref());
                if !self.known.contains(&name.as_str()) {
                    self.unknown(&name, key.span());
                }
            }
        }
    }

    fn unknown(&mut self, name: &str, at: Range<usize>) {
        let place = match self.header.as_str() {
            "" => "outside the sections".to_owned(),
            header => format!("in {header}"),
        };
        let mut diagnosis = Diagnosis::error(
            format!("there is no `{}` {place}", name.escape_default()),
            Origin::File(at),
            "unknown",
        );
        match nearest(name, self.known.iter().copied()) {
            Some(known) => diagnosis = diagnosis.suggest(format!("did you mean `{known}`?")),
            None => {
                let known: Vec<_> = self.known.iter().map(|key| format!("`{key}`")).collect();
                diagnosis = diagnosis.suggest(format!("known here: {}", known.join(", ")));
            }
        }
        self.reader.report(diagnosis);
    }
}

/// The place of one element of a list, or of the whole list where that is not known.
pub(super) fn place(at: Option<&Range<usize>>, whole: &Origin) -> Origin {
    at.map_or_else(|| whole.clone(), |at| Origin::File(at.clone()))
}

/// Every environment variable that sets a value, in the order of their names.
pub fn overrides_from_environment() -> Vec<Override> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let variables = std::env::vars_os().map(|(name, value)| (text(name), text(value)));
    let mut overrides: Vec<Override> =
        variables.filter_map(|(name, value)| Override::from_environment(&name, &value)).collect();
    overrides.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    overrides
}
