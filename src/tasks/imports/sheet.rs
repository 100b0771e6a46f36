//! A file, opened: its columns are known, its rows are counted.

use super::cell::Cell;
use super::columns::Columns;
use super::params::Params;
use super::rows::{MOST_COLUMNS, OutputPosition, Rows, TaskRow, Unread};
use super::stop::{Stop, refused};
use super::text;
use super::text_output::RowFault;
use crate::identity::Caller;
use crate::records::{Fields, Kind, Records, RecordsError};

/// Rows that an import may have.
const MOST_ROWS: i32 = 100_000;
/// Faults of one row that are named.
const MOST_FAULTS: usize = 10;

/// What becomes of a row whose quote is never closed.
const OPEN_QUOTE: &str =
    "opens a quote that is never closed, so nothing from here on could be read";

#[derive(Debug)]
pub(super) struct Sheet {
    text: String,
    delimiter: u8,
    team: Option<String>,
    pub(super) columns: Columns,
    /// How many there are, without the header.
    pub(super) rows: i32,
    /// Where the first one is.
    first: OutputPosition,
    /// Where the first one is that has not been done with.
    next: OutputPosition,
}

impl Sheet {
    /// Opens a file, of which so many rows are done with.
    pub(super) fn open(
        content: Vec<u8>,
        (kind, params): (&Kind, &Params),
        done: i32,
    ) -> Result<Self, Stop> {
        let text = text::decode(content, params.encoding)?;
        let mut rows = Rows::new(&text, params.delimiter, OutputPosition::FIRST);
        let header = rows.next_of_all().map(|row| row.cells);
        let header = header.ok_or_else(|| refused("empty_csv", "The file is empty."))?;
        let header = header.map_err(|what| match what {
            Unread::Cells => {
                let sentence = format!("The header has more than {MOST_COLUMNS} columns.");
                refused("too_many_columns", sentence)
            }
            Unread::Bytes => refused("too_many_columns", "The header is longer than 1 MiB."),
            Unread::OpenQuote => refused(
                "open_quote",
                "The header opens a quote and never closes it.",
            ),
        })?;
        let columns = Columns::of(&header, (kind, params))?;
        let (first, mut next, mut count) = (rows.place(), rows.place(), 0);
        while rows.next().is_some() {
            count += 1;
            if count == done {
                next = rows.place();
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

    pub(super) fn all(&self) -> Rows<'_> {
        Rows::new(&self.text, self.delimiter, self.first)
    }

    /// Those that have not been done with.
    pub(super) fn undone(&self) -> Rows<'_> {
        Rows::new(&self.text, self.delimiter, self.next)
    }

    /// What a row's record begins with, or what is wrong with it.
    pub(super) fn read(
        &self,
        row: &TaskRow,
        (records, caller, kind): (&Records, &Caller, &Kind),
    ) -> Result<Fields, Vec<RowFault>> {
        let cells = match &row.cells {
            Ok(cells) if cells.len() == self.columns.headers.len() => cells,
            Ok(cells) => return Err(vec![self.ragged(row.line, &cells.len().to_string())]),
            Err(Unread::Cells) => {
                return Err(vec![self.ragged(row.line, &format!("over {MOST_COLUMNS}"))]);
            }
            Err(Unread::Bytes) => {
                return Err(vec![RowFault::of_row(row.line, "is longer than 1 MiB")]);
            }
            Err(Unread::OpenQuote) => {
                return Err(vec![RowFault::of_row(row.line, OPEN_QUOTE)]);
            }
        };
        let named = self.columns.fields.iter().zip(cells);
        let values = named.filter_map(|(name, cell)| {
            let field = kind.field(name.as_deref()?)?;
            Some((&*field.name, Cell::read(field, cell)?))
        });
        let mut values: Vec<_> = values.collect();
        if let Some(team) = &self.team
            && !values.iter().any(|(name, _)| *name == "teamId")
        {
            values.push(("teamId", Cell::Text(team.clone())));
        }
        let given = values.iter().map(|(name, cell)| (*name, cell.given()));
        let fields = records.new_record(caller, kind, given);
        fields.map_err(|error| self.faults(row.line, &error))
    }

    /// What a refusal of a record says of its row.
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
            // What is no fault of the row does not come here.
            _ => vec![RowFault::of_row(line, "cannot be kept")],
        }
    }

    fn ragged(&self, line: i32, cells: &str) -> RowFault {
        let columns = self.columns.headers.len();
        let reason = format!("has {cells} values where the header has {columns}");
        RowFault::of_row(line, &reason)
    }
}
