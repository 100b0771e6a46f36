//! Pages of records, each with the position of the log in the same snapshot.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use super::cursor::RecordCursor;
use super::error::RecordsError;
use super::fields::{Field, RecordKind};
use super::parse::InputValue;
use super::record::Record;
use super::row::{self, RecordPageQuery};
use super::{Records, value};
use crate::directory::rights;
use crate::identity::Caller;
use crate::log::Cursor;
use crate::platform::{PageItems, PageLimit};
use crate::platform::{TeamId, UserId};

pub const LIMIT_DEFAULT: usize = 50;
/// The most records of a page.
pub const LIMIT_MOST: usize = 200;
/// The most characters and words of a search.
const MOST_SEARCHED_CHARS: usize = 200;
const MOST_WORDS: usize = 20;
/// The default order: the newest first.
const DEFAULT_SORT: &str = "-createdAt";

/// Filters, the order, and where the page begins.
#[derive(Clone, Debug)]
pub struct RecordListQuery {
    pub status: Option<String>,
    /// Words that a record must have.
    pub search: Option<String>,
    pub owner: Option<UserId>,
    /// One of the caller's teams.
    pub team: Option<TeamId>,
    /// Only archived records, or only others. None for both.
    pub is_archived: Option<bool>,
    /// A field. With a `-` before it, the highest value comes first.
    pub sort: Option<String>,
    pub limit: PageLimit,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

#[derive(Debug)]
pub struct RecordPage {
    /// The position of the log in the same snapshot.
    pub position: Cursor,
    pub records: PageItems,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
}

pub(super) struct SortOrder<'a> {
    /// As the request has it.
    pub(super) text: &'a str,
    pub(super) field: &'a Field,
    descending: bool,
}

impl Records {
    /// Lists the records that the caller may see.
    pub async fn list(
        &self,
        caller: &Caller,
        kind: &RecordKind,
        query: &RecordListQuery,
    ) -> Result<RecordPage, RecordsError> {
        let order = order(kind, query.sort.as_deref().unwrap_or(DEFAULT_SORT))?;
        let page = RecordPageQuery {
            broker: &caller.broker,
            kind,
            teams: &caller.teams,
            conditions: conditions(caller, kind, query, &order)?,
            limit: query.limit,
        };
        let mut connection = self.pool.acquire().await?;
        let mut found = row::page(&mut connection, &page).await?;
        if found.is_none() {
            self.begin_log(&mut connection, &caller.broker).await?;
            found = row::page(&mut connection, &page).await?;
        }
        let found = found.ok_or(RecordsError::Busy)?;
        let reader = rights::of(caller);
        let records = found.rows.iter().map(|row| Record::of(row, kind, &reader));
        let records = records.collect::<sqlx::Result<Vec<_>>>()?;
        let mut page = PageItems::new(query.limit);
        let filled = page.fill(&records, |record| record.json.get().to_owned());
        let has_more = filled.has_more || found.has_more;
        let last = filled.last.filter(|_| has_more);
        Ok(RecordPage {
            position: found.position,
            next: last.and_then(|last| next(kind, &order, last)),
            records: page,
        })
    }
}

fn next(kind: &RecordKind, order: &SortOrder<'_>, last: &Record) -> Option<String> {
    let value = last.plain_value(&order.field.name);
    let cursor = RecordCursor::new(kind, order, last.id.parse().ok()?, value);
    Some(cursor.text())
}

fn order<'a>(kind: &'a RecordKind, text: &'a str) -> Result<SortOrder<'a>, RecordsError> {
    let name = text.strip_prefix('-');
    let field = kind
        .field(name.unwrap_or(text))
        .filter(|field| field.is_sorted());
    let field = field.ok_or_else(|| RecordsError::Parameter {
        field: "sort",
        reason: format!(
            "must be one of {}, with a - before it for the greatest first",
            kind.names(Field::is_sorted)
        ),
    })?;
    Ok(SortOrder {
        text,
        field,
        descending: name.is_some(),
    })
}

/// The conditions as the SQL function expects them.
fn conditions(
    caller: &Caller,
    kind: &RecordKind,
    query: &RecordListQuery,
    order: &SortOrder<'_>,
) -> Result<String, RecordsError> {
    let searched: Vec<_> = kind
        .fields
        .iter()
        .filter(|field| field.is_searched())
        .collect();
    let searched: Vec<_> = searched.iter().map(|field| &field.column).collect();
    let mut conditions = json!({
        "equal": equal(caller, kind, query)?,
        "words": words(query.search.as_deref().unwrap_or_default())?,
        "searched": searched,
        "sort": order.field.column,
        "descending": order.descending,
    });
    if let Some(is_archived) = query.is_archived {
        conditions["is_away"] = json!(is_archived);
    }
    if let Some(text) = &query.cursor {
        let cursor = RecordCursor::read(text, kind, order);
        let cursor = cursor.ok_or_else(|| RecordsError::Parameter {
            field: "cursor",
            reason: "must be the `next` of a page of this list, sorted alike".to_owned(),
        })?;
        conditions["after"] = json!(cursor.value);
        conditions["after_id"] = json!(cursor.id);
    }
    Ok(conditions.to_string())
}

/// Columns that must have these values.
fn equal<'a>(
    caller: &Caller,
    kind: &'a RecordKind,
    query: &'a RecordListQuery,
) -> Result<BTreeMap<&'a str, &'a str>, RecordsError> {
    let mut equal = BTreeMap::new();
    if let Some(status) = &query.status {
        let field = kind.field("status").filter(|field| !field.is_private);
        let parsed = field.ok_or("is not a field of these".to_owned());
        let parsed = parsed.and_then(|field| value::parse(field, InputValue::Text(status)));
        parsed.map_err(|reason| RecordsError::Parameter {
            field: "status",
            reason,
        })?;
        equal.insert("status", status.as_str());
    }
    if let Some(owner) = &query.owner {
        equal.insert("owner_id", owner.as_str());
    }
    if let Some(team) = &query.team {
        if !caller.is_on(team) {
            return Err(RecordsError::UnknownTeam(team.clone()));
        }
        equal.insert("team_id", team.as_str());
    }
    Ok(equal)
}

/// A pattern for each word of a search.
fn words(search: &str) -> Result<Vec<String>, RecordsError> {
    let refused = |reason: String| Err(RecordsError::Parameter { field: "q", reason });
    if search.chars().count() > MOST_SEARCHED_CHARS || search.contains('\0') {
        return refused(format!(
            "must be a text of {MOST_SEARCHED_CHARS} characters at the most"
        ));
    }
    let words: Vec<_> = search.split_whitespace().map(pattern).collect();
    if words.len() > MOST_WORDS {
        return refused(format!("must have {MOST_WORDS} words at the most"));
    }
    Ok(words)
}

/// A regular expression that matches exactly this word in any case. It lists both cases, because
/// case folding in the database depends on its locale.
fn pattern(word: &str) -> String {
    let mut pattern = String::new();
    for letter in word.chars() {
        let others = [one(letter.to_lowercase()), one(letter.to_uppercase())];
        let others = others.into_iter().flatten();
        let others: String = others.filter(|other| *other != letter).collect();
        if !others.is_empty() {
            let _ = write!(pattern, "[{letter}{others}]");
            continue;
        }
        if letter.is_ascii_punctuation() {
            pattern.push('\\');
        }
        pattern.push(letter);
    }
    pattern
}

/// The letter, if it is a single one.
fn one(mut letters: impl ExactSizeIterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.len() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_matches_its_word_only() {
        for (word, expected) in [
            ("Ab", "[Aa][bB]"),
            ("äß", "[äÄ]ß"),
            ("Я", "[Яя]"),
            ("1%_\\", "1\\%\\_\\\\"),
            ("***:(?i)[^]-a", "\\*\\*\\*\\:\\(\\?[iI]\\)\\[\\^\\]\\-[aA]"),
            ("🏠東", "🏠東"),
        ] {
            assert_eq!(pattern(word), expected);
        }
    }
}
