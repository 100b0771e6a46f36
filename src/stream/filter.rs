//! Filters of a stream: by type and by record. Positions stay the same with a filter.

use std::str::FromStr;

use rustc_hash::FxHashSet;

use crate::fanout::EncodedEvent;
use crate::platform::{EventType, RecordPath};

pub const MOST_PARTS: usize = 100;

/// One type, or all types with the same beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypePattern {
    /// `escrow:updated`.
    Exactly(EventType),
    /// `escrow:*`.
    Beginning(String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    #[error("{0:?} is not an event type like escrow:updated or escrow:*")]
    Type(String),
    #[error("{0:?} is not a record like escrows/123")]
    Record(String),
    #[error("has more than {MOST_PARTS} parts")]
    TooMany,
}

impl FromStr for TypePattern {
    type Err = InvalidFilter;
    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        let refuse = |_| InvalidFilter::Type(text.to_owned());
        match text.strip_suffix('*') {
            Some("") => Ok(Self::Beginning(String::new())),
            Some(beginning) => {
                EventType::parse(beginning).map_err(refuse)?;
                Ok(Self::Beginning(beginning.to_owned()))
            }
            None => EventType::parse(text).map(Self::Exactly).map_err(refuse),
        }
    }
}

/// The events that a stream carries. An empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    types: Vec<TypePattern>,
    records: FxHashSet<RecordPath>,
}

impl Filter {
    /// Parses `types=escrow:*,ai:*` and `records=escrows/123,…`.
    pub fn parse(types: Option<&str>, records: Option<&str>) -> Result<Self, FilterError> {
        for (field, list) in [("types", types), ("records", records)] {
            // The limit counts repetitions and comes before any parsing.
            if parts(list).nth(MOST_PARTS).is_some() {
                let error = InvalidFilter::TooMany;
                return Err(FilterError { field, error });
            }
        }
        let refuse = |field| move |error| FilterError { field, error };
        let types = parts(types).map(str::parse).collect::<Result<_, _>>();
        let records = parts(records).map(record).collect::<Result<_, _>>();
        Ok(Self {
            types: types.map_err(refuse("types"))?,
            records: records.map_err(refuse("records"))?,
        })
    }

    /// Only events of this record pass.
    pub fn limit_to(&mut self, record: &RecordPath) {
        self.records = [record.clone()].into_iter().collect();
    }

    #[must_use]
    pub fn is_open(&self) -> bool {
        self.types.is_empty() && self.records.is_empty()
    }

    #[must_use]
    pub fn passes(&self, event: &EncodedEvent) -> bool {
        let is_mine = |record| self.records.contains(record);
        self.passes_type(event.event_type())
            && (self.records.is_empty() || event.record.as_ref().is_some_and(is_mine))
    }

    #[must_use]
    pub fn passes_type(&self, name: &str) -> bool {
        let of_type = |pattern: &TypePattern| match pattern {
            TypePattern::Exactly(event_type) => name == event_type.as_str(),
            TypePattern::Beginning(text) => name.starts_with(text.as_str()),
        };
        self.types.is_empty() || self.types.iter().any(of_type)
    }

    /// `None` means all records.
    #[must_use]
    pub fn records(&self) -> Option<&FxHashSet<RecordPath>> {
        (!self.records.is_empty()).then_some(&self.records)
    }

    /// The types as `like` patterns.
    #[must_use]
    pub fn like_patterns(&self) -> Option<Vec<String>> {
        let literal = |text: &str| text.replace('_', "\\_");
        let like = |pattern: &TypePattern| match pattern {
            TypePattern::Exactly(event_type) => literal(event_type.as_str()),
            TypePattern::Beginning(text) => format!("{}%", literal(text)),
        };
        (!self.types.is_empty()).then(|| self.types.iter().map(like).collect())
    }

    /// The records as `module/id`.
    #[must_use]
    pub fn record_paths(&self) -> Option<Vec<String>> {
        let records = self.records()?;
        Some(records.iter().map(ToString::to_string).collect())
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    pub field: &'static str,
    pub error: InvalidFilter,
}

fn parts(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter()
        .flat_map(|list| list.split(','))
        .map(str::trim)
}

fn record(text: &str) -> Result<RecordPath, InvalidFilter> {
    let refuse = |_| InvalidFilter::Record(text.to_owned());
    text.parse().map_err(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_match_exactly_or_by_their_beginning() {
        let filter = Filter::parse(Some("escrow:*, listing:sold"), None).unwrap();
        assert_eq!(
            filter.like_patterns().unwrap(),
            ["escrow:%", "listing:sold"]
        );
        let filter = Filter::parse(Some("a_b:*"), Some("escrows/1")).unwrap();
        assert_eq!(filter.like_patterns().unwrap(), ["a\\_b:%"]);
        assert_eq!(filter.record_paths().unwrap(), ["escrows/1"]);
    }

    #[test]
    fn a_bad_filter_is_refused_with_its_name() {
        for bad in ["", "escrow:*:x", "a,,b", "é", "**", "a b"] {
            assert_eq!(
                Filter::parse(Some(bad), None).unwrap_err().field,
                "types",
                "{bad:?}"
            );
        }
        for bad in ["", "escrows", "escrows/", "/1", "a/b/c", "a/b,"] {
            assert_eq!(
                Filter::parse(None, Some(bad)).unwrap_err().field,
                "records",
                "{bad:?}"
            );
        }
    }
}
