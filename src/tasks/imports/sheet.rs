//! An open file: its columns are mapped, and its rows are counted.

use super::cell::CsvCell;
use super::columns::CsvColumns;
use super::decode::decode;
use super::params::ImportParams;
use super::rows::{CsvPosition, CsvRow, CsvRows, MOST_COLUMNS, UnreadableRow};
use super::stop::{Stop, refused};
use super::summary::RowFault;
use crate::identity::Caller;
use crate::records::{RecordFields, RecordKind, Records, RecordsError};

/// The most rows of a file.
const MOST_ROWS: i32 = 100_000;
/// The most faults of one row that are reported.
const MOST_FAULTS: usize = 10;

const OPEN_QUOTE: &str =
    "opens a quote that is never closed, so nothing from here on could be read";

#[derive(Debug)]
pub(super) struct Sheet {
    text: String,
    delimiter: u8,
    team: Option<String>,
    pub(super) columns: CsvColumns,
    /// Their number, without the header.
    pub(super) rows: i32,
    first: CsvPosition,
    /// The first row that is not done.
    next: CsvPosition,
}

impl Sheet {
    /// Opens a file. `done` rows of it are done.
    pub(super) fn open(
        content: Vec<u8>,
        kind: &RecordKind,
        params: &ImportParams,
        done: i32,
    ) -> Result<Self, Stop> {
        let text = decode(content, params.encoding)?;
        let mut rows = CsvRows::new(&text, params.delimiter, CsvPosition::FIRST);
        let header = rows.next_row().map(|row| row.cells);
        let header = header.ok_or_else(|| refused("empty_csv", "The file is empty."))?;
        let header = header.map_err(|what| match what {
            UnreadableRow::Cells => {
                let sentence = format!("The header has more than {MOST_COLUMNS} columns.");
                refused("too_many_columns", sentence)
            }
            UnreadableRow::Bytes => refused("too_many_columns", "The header is longer than 1 MiB."),
            UnreadableRow::OpenQuote => refused(
                "open_quote",
                "The header opens a quote and never closes it.",
            ),
        })?;
        let columns = CsvColumns::of(&header, kind, params)?;
        let first = rows.position();
        let (mut next, mut count) = (first, 0);
        while rows.next().is_some() {
            count += 1;
            if count == done {
                next = rows.position();
            }
            if count > MOST_ROWS {
                let sentence = "The file has more than 100,000 rows. Send it in parts.";
                return Err(refused("too_many_rows", sentence));
            }
        }
        if count == 0 {
            return Err(refused("empty_csv", "The file has a header and no rows."));
        }
        Ok(Self {
            delimiter: params.delimiter,
            team: params.team.as_ref().map(|team| team.as_str().to_owned()),
            columns,
            rows: count,
            first,
            next,
            text,
        })
    }

    pub(super) fn all(&self) -> CsvRows<'_> {
        CsvRows::new(&self.text, self.delimiter, self.first)
    }

    /// The rows that are not done.
    pub(super) fn remaining(&self) -> CsvRows<'_> {
        CsvRows::new(&self.text, self.delimiter, self.next)
    }

    /// The fields of a row's record, or what is wrong with it.
    pub(super) fn read(
        &self,
        row: &CsvRow,
        records: &Records,
        caller: &Caller,
        kind: &RecordKind,
    ) -> Result<RecordFields, Vec<RowFault>> {
        let cells = match &row.cells {
            Ok(cells) if cells.len() == self.columns.headers.len() => cells,
            Ok(cells) => return Err(vec![self.ragged(row.line, &cells.len().to_string())]),
            Err(UnreadableRow::Cells) => {
                return Err(vec![self.ragged(row.line, &format!("over {MOST_COLUMNS}"))]);
            }
            Err(UnreadableRow::Bytes) => {
                return Err(vec![RowFault::of_row(row.line, "is longer than 1 MiB")]);
            }
            Err(UnreadableRow::OpenQuote) => {
                return Err(vec![RowFault::of_row(row.line, OPEN_QUOTE)]);
            }
        };
        let named = self.columns.fields.iter().zip(cells);
        let values = named.filter_map(|(name, cell)| {
            let field = kind.field(name.as_deref()?)?;
            Some((&*field.name, CsvCell::read(field, cell)?))
        });
        let mut values: Vec<_> = values.collect();
        if let Some(team) = &self.team
            && !values.iter().any(|(name, _)| *name == "teamId")
        {
            values.push(("teamId", CsvCell::Text(team.clone())));
        }
        let inputs = values.iter().map(|(name, cell)| (*name, cell.input()));
        let fields = records.new_record(caller, kind, inputs);
        fields.map_err(|error| self.faults(row.line, &error))
    }

    /// The faults of a row whose record was refused.
    pub(super) fn faults(&self, line: i32, error: &RecordsError) -> Vec<RowFault> {
        let of_field = |field: &str, reason: &str| RowFault {
            line,
            column: self.columns.header_of(field).map(ToOwned::to_owned),
            field: Some(field.to_owned()),
            reason: reason.to_owned(),
        };
        match error {
            RecordsError::Invalid(errors) => {
                let errors = errors.iter().take(MOST_FAULTS);
                errors.map(|e| of_field(&e.field, &e.reason)).collect()
            }
            RecordsError::IdTaken => vec![of_field(
                "id",
                "cannot be used; choose another, or leave it empty",
            )],
            RecordsError::NotYourTeam(_) => {
                vec![of_field("teamId", "is a team that you are not on")]
            }
            RecordsError::Parameter { reason, .. } => vec![RowFault::of_row(line, reason)],
            // Other errors are not faults of a row, and end the import.
            _ => vec![RowFault::of_row(line, "cannot be stored")],
        }
    }

    fn ragged(&self, line: i32, cells: &str) -> RowFault {
        let columns = self.columns.headers.len();
        let reason = format!("has {cells} values where the header has {columns}");
        RowFault::of_row(line, &reason)
    }
}
