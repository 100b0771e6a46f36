//! Lists of records: a page at a time, true at one position of the log.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;

use super::error::RecordsError;
use super::fields::{Field, Kind};
use super::marker::Marker;
use super::parse::Given;
use super::record::Record;
use super::row::{self, Page};
use super::{Records, value};
use crate::directory::rights;
use crate::identity::Caller;
use crate::log::Cursor;
use crate::platform::{PageItems, PageLimit};
use crate::platform::{TeamId, UserId};

pub const LIMIT_DEFAULT: usize = 50;
/// Records that a page can have.
pub const LIMIT_MOST: usize = 200;
/// Characters and words of a search.
const MOST_SEARCHED_CHARS: usize = 200;
const MOST_WORDS: usize = 20;
/// How lists are sorted where nobody says: the newest first.
const SORT: &str = "-createdAt";

/// Which records are wanted, in which order.
#[derive(Clone, Debug)]
pub struct RecordListQuery {
    /// Only those of this status.
    pub status: Option<String>,
    /// Only those with all of these words.
    pub search: Option<String>,
    /// Only those of this owner.
    pub owner: Option<UserId>,
    /// Only those of this team of the caller's.
    pub team: Option<TeamId>,
    /// Only those that are put away, or are not; none: both.
    pub is_archived: Option<bool>,
    /// A field; with a `-` before it from the greatest to the least.
    pub sort: Option<String>,
    /// How long the page may be.
    pub limit: PageLimit,
    /// Where the page before ended.
    pub cursor: Option<String>,
}

#[derive(Debug)]
pub struct Listed {
    /// Where the log stood when they were so.
    pub position: Cursor,
    pub records: PageItems,
    /// What to ask for the next page with, if there is more.
    pub next: Option<String>,
}

/// How a list is sorted.
struct Order<'a> {
    text: &'a str,
    field: &'a Field,
    descending: bool,
}

impl Records {
    /// Lists the records that the caller may see.
    pub async fn list(
        &self,
        caller: &Caller,
        kind: &Kind,
        wanted: &RecordListQuery,
    ) -> Result<Listed, RecordsError> {
        let order = order(kind, wanted.sort.as_deref().unwrap_or(SORT))?;
        let page = Page {
            broker: &caller.broker,
            kind,
            teams: &caller.teams,
            wanted: asked(kind, (caller, wanted), &order)?,
            limit: wanted.limit,
        };
        let mut connection = self.pool.acquire().await?;
        let mut seen = row::page(&mut connection, &page).await?;
        if seen.is_none() {
            self.begin_log(&mut connection, &caller.broker).await?;
            seen = row::page(&mut connection, &page).await?;
        }
        let seen = seen.ok_or(RecordsError::Busy)?;
        let reader = rights::of(caller);
        let records = seen.rows.iter().map(|row| Record::of(row, kind, &reader));
        let records = records.collect::<sqlx::Result<Vec<_>>>()?;
        let mut page = PageItems::new(wanted.limit);
        let filled = page.fill(&records, |record| record.json.get().to_owned());
        let has_more = filled.has_more || seen.has_more;
        let last = filled.last.filter(|_| has_more);
        Ok(Listed {
            position: seen.position,
            next: last.and_then(|last| next(kind, &order, last)),
            records: page,
        })
    }
}

fn next(kind: &Kind, order: &Order<'_>, last: &Record) -> Option<String> {
    let value = last.written(&order.field.name);
    let marker = Marker::new((kind, order.text), last.id.parse().ok()?, value);
    Some(marker.text())
}

fn order<'a>(kind: &'a Kind, text: &'a str) -> Result<Order<'a>, RecordsError> {
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
    Ok(Order {
        text,
        field,
        descending: name.is_some(),
    })
}

/// What the database is asked for.
fn asked(
    kind: &Kind,
    (caller, wanted): (&Caller, &RecordListQuery),
    order: &Order<'_>,
) -> Result<String, RecordsError> {
    let searched: Vec<_> = kind
        .fields
        .iter()
        .filter(|field| field.is_searched())
        .collect();
    let searched: Vec<_> = searched.iter().map(|field| &field.column).collect();
    let mut asked = json!({
        "equal": equal(kind, (caller, wanted))?,
        "words": words(wanted.search.as_deref().unwrap_or_default())?,
        "searched": searched,
        "sort": order.field.column,
        "descending": order.descending,
    });
    if let Some(is_archived) = wanted.is_archived {
        asked["is_away"] = json!(is_archived);
    }
    if let Some(cursor) = &wanted.cursor {
        let marker = Marker::read(cursor, (kind, order.text), order.field);
        let marker = marker.ok_or_else(|| RecordsError::Parameter {
            field: "cursor",
            reason: "must be the `next` of a page of this list, sorted alike".to_owned(),
        })?;
        asked["after"] = json!(marker.value);
        asked["after_id"] = json!(marker.id);
    }
    Ok(asked.to_string())
}

fn equal<'a>(
    kind: &'a Kind,
    (caller, wanted): (&Caller, &'a RecordListQuery),
) -> Result<BTreeMap<&'a str, &'a str>, RecordsError> {
    let mut equal = BTreeMap::new();
    if let Some(status) = &wanted.status {
        let field = kind.field("status").filter(|field| !field.is_private);
        let parsed = field.ok_or("is not a field of these".to_owned());
        let parsed = parsed.and_then(|field| value::parse(field, Given::Text(status)));
        parsed.map_err(|reason| RecordsError::Parameter {
            field: "status",
            reason,
        })?;
        equal.insert("status", status.as_str());
    }
    if let Some(owner) = &wanted.owner {
        equal.insert("owner_id", owner.as_str());
    }
    if let Some(team) = &wanted.team {
        if !caller.is_on(team) {
            return Err(RecordsError::UnknownTeam(team.clone()));
        }
        equal.insert("team_id", team.as_str());
    }
    Ok(equal)
}

/// The words of a search, as patterns that mean them and no more.
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

/// A regular expression that means this word, in small or large letters. It names both, because
/// what letters are depends on the database's locale.
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

/// The letter, where it is one.
fn one(mut letters: impl ExactSizeIterator<Item = char>) -> Option<char> {
    letters.next().filter(|_| letters.len() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_its_word_and_no_more() {
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
