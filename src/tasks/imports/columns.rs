//! Which column is which field.

use super::params::Params;
use super::refusal::Refusal;
use super::stop::{Stop, refused};
use crate::records::{Field, Kind, Writer};

/// Characters of a header that are shown.
const SHOWN_CHARS: usize = 100;

/// The columns of a file.
#[derive(Debug)]
pub(super) struct Columns {
    /// As they are shown, in order.
    pub(super) headers: Vec<String>,
    /// The names of their fields; none where a column is ignored.
    pub(super) fields: Vec<Option<String>>,
    pub(super) ignored: Vec<String>,
}

impl Columns {
    /// Matches a header with the fields of a module.
    pub(super) fn of(header: &[String], (kind, params): (&Kind, &Params)) -> Result<Self, Stop> {
        let mapped = mapped(header, params)?;
        let is_used = used(header, params)?;
        let headers: Vec<_> = header.iter().enumerate().map(shown).collect();
        let mut fields = Vec::new();
        for (n, title) in header.iter().enumerate() {
            let field = match &mapped[n] {
                Mapped::To(field) => Some(field.as_str()),
                Mapped::Away => None,
                Mapped::No => matching(kind, title),
            };
            fields.push(field.filter(|_| is_used[n]).map(ToOwned::to_owned));
        }
        refuse_twice(&headers, &fields)?;
        refuse_without(kind, &fields)?;
        let unused = headers.iter().zip(&fields);
        let ignored = unused.filter(|(_, field)| field.is_none());
        let ignored = ignored.map(|(header, _)| header.clone()).collect();
        Ok(Self {
            headers,
            fields,
            ignored,
        })
    }

    /// The header of a field's column.
    pub(super) fn header_of(&self, field: &str) -> Option<&str> {
        let at = self.fields.iter().position(|f| f.as_deref() == Some(field));
        at.map(|at| &*self.headers[at])
    }
}

/// What the mapping says of a column.
#[derive(Clone)]
enum Mapped {
    /// Nothing: its header says what it is.
    No,
    To(String),
    Away,
}

/// Letters and digits only: `List Price`, `list_price` and `LIST-PRICE` are `listPrice`.
pub(super) fn bare(text: &str) -> String {
    let plain = text.chars().filter(|c| c.is_alphanumeric());
    plain.flat_map(char::to_lowercase).collect()
}

fn may_write(field: &Field) -> bool {
    field.writer != Writer::Database
}

fn matching<'a>(kind: &'a Kind, title: &str) -> Option<&'a str> {
    let title = bare(title);
    let mut fields = kind.fields.iter().filter(|field| may_write(field));
    let found = fields.find(|field| bare(&field.name) == title);
    found.map(|field| &*field.name)
}

/// A header as people are shown it.
fn shown((n, title): (usize, &String)) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let title: String = title.trim().chars().take(SHOWN_CHARS).map(plain).collect();
    if title.is_empty() {
        format!("#{}", n + 1)
    } else {
        title
    }
}

/// Which column somebody means by this header.
fn column_of(header: &[String], meant: &str) -> Result<usize, Stop> {
    let is_it = |title: &&String| title.trim() == meant.trim();
    let exactly = header.iter().position(|title| is_it(&title));
    let about = || header.iter().position(|title| bare(title) == bare(meant));
    exactly.or_else(about).ok_or_else(|| {
        let titles: Vec<_> = header.iter().enumerate().map(shown).collect();
        let titles = titles.join(", ");
        let sentence = format!("There is no column \"{meant}\". The header has: {titles}.");
        refused("unknown_column", sentence)
    })
}

/// The mapping names fields that there are.
pub(super) fn refuse_unknown_fields(kind: &Kind, params: &Params) -> Result<(), Refusal> {
    let names = params.mapping.values().flatten();
    let is_known = |name: &str| kind.field(name).is_some_and(may_write);
    match names.into_iter().find(|name| !is_known(name)) {
        None => Ok(()),
        Some(name) => {
            let known = kind.names(may_write);
            let module = &kind.module;
            let sentence = format!(
                "mapping: \"{name}\" is no field of {module} that can be written. There are: {known}."
            );
            Err(Refusal::at("mapping", "unknown_column", sentence))
        }
    }
}

/// By column, what the mapping says of it.
fn mapped(header: &[String], params: &Params) -> Result<Vec<Mapped>, Stop> {
    let mut mapped = vec![Mapped::No; header.len()];
    for (title, name) in &params.mapping {
        mapped[column_of(header, title)?] = name.clone().map_or(Mapped::Away, Mapped::To);
    }
    Ok(mapped)
}

fn used(header: &[String], params: &Params) -> Result<Vec<bool>, Stop> {
    let Some(only) = &params.only else {
        return Ok(vec![true; header.len()]);
    };
    let mut used = vec![false; header.len()];
    for title in only {
        used[column_of(header, title)?] = true;
    }
    Ok(used)
}

fn refuse_twice(headers: &[String], fields: &[Option<String>]) -> Result<(), Stop> {
    for (n, field) in fields.iter().enumerate() {
        let Some(name) = field else { continue };
        if let Some(first) = fields[..n].iter().position(|before| before == field) {
            let (one, other) = (&headers[first], &headers[n]);
            let sentence = format!(
                "The columns \"{one}\" (no. {}) and \"{other}\" (no. {}) are both {name}. Say \
                 which with mapping: {{\"{other}\": null}} leaves one alone.",
                first + 1,
                n + 1
            );
            return Err(refused("duplicate_column", sentence));
        }
    }
    Ok(())
}

fn refuse_without(kind: &Kind, fields: &[Option<String>]) -> Result<(), Stop> {
    let is_missing = |field: &&Field| {
        let mut there = fields.iter().flatten();
        field.is_required && !there.any(|name| *name == field.name)
    };
    match kind.fields.iter().find(is_missing) {
        None => Ok(()),
        Some(field) => {
            let (module, name) = (&kind.module, &field.name);
            let sentence = format!(
                "No column is {name}, which {module} must have. Name it in the header, or with \
                 mapping."
            );
            Err(refused("missing_column", sentence))
        }
    }
}
