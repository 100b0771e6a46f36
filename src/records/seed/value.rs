//! The values of a record: each is made from its template and the values before it.

use std::collections::BTreeMap;

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime, Time, Weekday};

use super::data::{InvalidSeed, SeedRow, ValueTemplate};
use crate::platform::Dice;

/// What a value may refer to.
pub(super) struct RecordScope<'a> {
    pub(super) row: SeedRow,
    pub(super) drawn: BTreeMap<&'a str, &'a SeedRow>,
    /// Days are counted from here.
    pub(super) now: OffsetDateTime,
    pub(super) dice: &'a Dice,
}

impl RecordScope<'_> {
    pub(super) fn value(&self, value: &ValueTemplate) -> Result<String, InvalidSeed> {
        Ok(match value {
            ValueTemplate::Text(text) => self.expand(text)?,
            ValueTemplate::Pick(texts) => self.expand(self.pick(texts)?)?,
            ValueTemplate::Mix(mix) => self.mix(mix),
            ValueTemplate::Amount([least, most, step]) => {
                let steps = self.dice.whole(0, (most - least) / step);
                (least + steps * step).to_string()
            }
            ValueTemplate::Sum([one, other]) => {
                (self.number(one)? + self.number(other)?).to_string()
            }
            ValueTemplate::Share { of, permille, step } => {
                let share = self.number(of)? * self.between(permille) / 1_000;
                (share / step * step).to_string()
            }
            ValueTemplate::Day(days) => workday(self.day(days)).to_string(),
            ValueTemplate::Later { than, days } => {
                workday(self.date(than)? + Duration::days(self.between(days))).to_string()
            }
            ValueTemplate::Moment { days, hours } => self.moment(days, hours)?,
            ValueTemplate::Until { start, minutes } => self.until(start, minutes)?,
        })
    }

    fn between(&self, [least, most]: &[i64; 2]) -> i64 {
        self.dice.whole(*least, *most)
    }

    fn pick<'a, T>(&self, from: &'a [T]) -> Result<&'a T, InvalidSeed> {
        let last = i64::try_from(from.len()).unwrap_or_default() - 1;
        let picked = usize::try_from(self.dice.whole(0, last));
        let picked = picked.ok().and_then(|at| from.get(at));
        picked.ok_or_else(|| InvalidSeed("nothing to pick from".to_owned()))
    }

    /// A value, with the number as its weight.
    fn mix(&self, mix: &BTreeMap<String, i64>) -> String {
        let mut left = self.dice.whole(1, mix.values().sum());
        let mut kinds = mix.iter();
        let picked = kinds.find(|(_, often)| {
            left -= **often;
            left <= 0
        });
        picked.map(|(kind, _)| kind.clone()).unwrap_or_default()
    }

    fn day(&self, days: &[i64; 2]) -> Date {
        self.now.date() + Duration::days(self.between(days))
    }

    fn moment(&self, days: &[i64; 2], [first, last]: &[i64; 2]) -> Result<String, InvalidSeed> {
        let quarters = self.dice.whole(first * 4, last * 4 - 1);
        let midnight = self.day(days).with_time(Time::MIDNIGHT).assume_utc();
        written(midnight + Duration::minutes(quarters * 15))
    }

    fn until(&self, start: &str, minutes: &[i64]) -> Result<String, InvalidSeed> {
        let at = OffsetDateTime::parse(self.field(start)?, &Rfc3339);
        let at = at.map_err(|error| InvalidSeed(format!("{start}: {error}")))?;
        written(at + Duration::minutes(*self.pick(minutes)?))
    }

    fn field(&self, name: &str) -> Result<&str, InvalidSeed> {
        let value = self.row.get(name).map(String::as_str);
        value.ok_or_else(|| InvalidSeed(format!("there is no {name} to refer to")))
    }

    fn number(&self, name: &str) -> Result<i64, InvalidSeed> {
        let number = self.field(name)?.parse();
        number.map_err(|error| InvalidSeed(format!("{name}: {error}")))
    }

    fn date(&self, name: &str) -> Result<Date, InvalidSeed> {
        let date = Date::parse(
            self.field(name)?,
            format_description!("[year]-[month]-[day]"),
        );
        date.map_err(|error| InvalidSeed(format!("{name}: {error}")))
    }

    /// Replaces `{draw.column}` and `{field}` by their values.
    fn expand(&self, text: &str) -> Result<String, InvalidSeed> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| InvalidSeed(format!("a brace is open in {text:?}")))?;
            expanded.push_str(before);
            expanded.push_str(self.reference(name)?);
            rest = after;
        }
        Ok(expanded + rest)
    }

    fn reference(&self, name: &str) -> Result<&str, InvalidSeed> {
        let Some((draw, column)) = name.split_once('.') else {
            return self.field(name);
        };
        let value = self.drawn.get(draw).and_then(|row| row.get(column));
        let value = value.map(String::as_str);
        value.ok_or_else(|| InvalidSeed(format!("there is no {name} to refer to")))
    }
}

/// The day itself, or the Monday after it.
fn workday(day: Date) -> Date {
    match day.weekday() {
        Weekday::Saturday => day + Duration::days(2),
        Weekday::Sunday => day + Duration::days(1),
        _ => day,
    }
}

fn written(at: OffsetDateTime) -> Result<String, InvalidSeed> {
    at.format(&Rfc3339)
        .map_err(|error| InvalidSeed(error.to_string()))
}
