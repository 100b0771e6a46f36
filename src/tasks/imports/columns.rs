//! Maps the columns of a file to fields.

use super::params::ImportParams;
use super::refusal::ParamsRefusal;
use super::stop::{Stop, refused};
use crate::records::{Field, FieldWriter, RecordKind};

/// Characters of a header that are shown.
const SHOWN_CHARS: usize = 100;

/// The columns of a file.
#[derive(Debug)]
pub(super) struct CsvColumns {
    /// The headers as they are shown.
    pub(super) headers: Vec<String>,
    /// The field of each column. None if the column is ignored.
    pub(super) fields: Vec<Option<String>>,
    pub(super) ignored: Vec<String>,
}

impl CsvColumns {
    pub(super) fn of(
        header: &[String],
        kind: &RecordKind,
        params: &ImportParams,
    ) -> Result<Self, Stop> {
        let mapped = mapped(header, params)?;
        let is_used = used(header, params)?;
        let headers = shown(header);
        let mut fields = Vec::new();
        for (n, title) in header.iter().enumerate() {
            let field = match &mapped[n] {
                ColumnMapping::To(field) => Some(field.as_str()),
                ColumnMapping::Ignored => None,
                ColumnMapping::ByHeader => matching(kind, title),
            };
            fields.push(field.filter(|_| is_used[n]).map(ToOwned::to_owned));
        }
        refuse_duplicates(&headers, &fields)?;
        refuse_missing(kind, &fields)?;
        let unused = headers.iter().zip(&fields);
        let ignored = unused.filter(|(_, field)| field.is_none());
        let ignored = ignored.map(|(header, _)| header.clone()).collect();
        Ok(Self {
            headers,
            fields,
            ignored,
        })
    }

    pub(super) fn header_of(&self, field: &str) -> Option<&str> {
        let at = self.fields.iter().position(|f| f.as_deref() == Some(field));
        at.map(|at| &*self.headers[at])
    }
}

/// How a column is mapped.
#[derive(Clone)]
enum ColumnMapping {
    /// To the field that its header names.
    ByHeader,
    To(String),
    Ignored,
}

/// Letters and digits only: `List Price`, `list_price` and `LIST-PRICE` are `listPrice`.
pub(super) fn bare(text: &str) -> String {
    let plain = text.chars().filter(|c| c.is_alphanumeric());
    plain.flat_map(char::to_lowercase).collect()
}

fn may_write(field: &Field) -> bool {
    field.writer != FieldWriter::Database
}

fn matching<'a>(kind: &'a RecordKind, title: &str) -> Option<&'a str> {
    let title = bare(title);
    let mut fields = kind.fields.iter().filter(|field| may_write(field));
    let found = fields.find(|field| bare(&field.name) == title);
    found.map(|field| &*field.name)
}

/// The headers as they are shown to users.
fn shown(header: &[String]) -> Vec<String> {
    let numbered = header.iter().zip(1..);
    numbered.map(|(title, n)| shown_title(title, n)).collect()
}

fn shown_title(title: &str, n: usize) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let title: String = title.trim().chars().take(SHOWN_CHARS).map(plain).collect();
    if title.is_empty() {
        format!("#{n}")
    } else {
        title
    }
}

/// The column with this header.
fn column_of(header: &[String], wanted: &str) -> Result<usize, Stop> {
    let is_it = |title: &&String| title.trim() == wanted.trim();
    let exactly = header.iter().position(|title| is_it(&title));
    let about = || header.iter().position(|title| bare(title) == bare(wanted));
    exactly.or_else(about).ok_or_else(|| {
        let titles = shown(header).join(", ");
        let sentence = format!("There is no column \"{wanted}\". The header has: {titles}.");
        refused("unknown_column", sentence)
    })
}

/// Refuses a mapping to a field that does not exist or cannot be written.
pub(super) fn refuse_unknown_fields(
    kind: &RecordKind,
    params: &ImportParams,
) -> Result<(), ParamsRefusal> {
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
            Err(ParamsRefusal::at("mapping", "unknown_column", sentence))
        }
    }
}

/// How each column is mapped.
fn mapped(header: &[String], params: &ImportParams) -> Result<Vec<ColumnMapping>, Stop> {
    let mut mapped = vec![ColumnMapping::ByHeader; header.len()];
    for (title, name) in &params.mapping {
        mapped[column_of(header, title)?] = name
            .clone()
            .map_or(ColumnMapping::Ignored, ColumnMapping::To);
    }
    Ok(mapped)
}

/// Whether each column is used.
fn used(header: &[String], params: &ImportParams) -> Result<Vec<bool>, Stop> {
    let Some(only) = &params.only else {
        return Ok(vec![true; header.len()]);
    };
    let mut used = vec![false; header.len()];
    for title in only {
        used[column_of(header, title)?] = true;
    }
    Ok(used)
}

fn refuse_duplicates(headers: &[String], fields: &[Option<String>]) -> Result<(), Stop> {
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

fn refuse_missing(kind: &RecordKind, fields: &[Option<String>]) -> Result<(), Stop> {
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
