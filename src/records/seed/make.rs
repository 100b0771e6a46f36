//! From templates to records.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::data::{Brokerage, Field, InvalidSeed, Person, RecordRow, Template};
use super::deck::Deck;
use super::value::Scope;
use crate::identity::Caller;
use crate::platform::BrokerId;
use crate::platform::Dice;
use crate::records::Draft;

/// The field that says who makes a record.
const OWNER: &str = "ownerId";
/// The field that others are linked by.
const ID: &str = "id";

/// The records of the example, those that others refer to first.
pub(super) fn drafts(
    brokerage: &Brokerage,
    broker: &BrokerId,
    (now, dice): (OffsetDateTime, Dice),
) -> Result<Vec<Draft>, InvalidSeed> {
    let mut tables = brokerage.tables.clone();
    let mut drafts = Vec::new();
    for template in &brokerage.templates {
        let mut maker = Maker {
            template,
            tables: &tables,
            decks: BTreeMap::new(),
            now,
            dice: &dice,
        };
        let rows: Result<Vec<_>, _> = (1..=template.count).map(|n| maker.record(n)).collect();
        let rows = rows?;
        for row in &rows {
            drafts.push(draft(brokerage, broker, (template, row))?);
        }
        tables.insert(template.name.to_string(), rows);
    }
    Ok(drafts)
}

/// A record as its owner makes it.
fn draft(
    brokerage: &Brokerage,
    broker: &BrokerId,
    (template, row): (&Template, &RecordRow),
) -> Result<Draft, InvalidSeed> {
    let owner = row.get(OWNER).map_or("", String::as_str);
    let author = brokerage.people.iter().find(|p| p.user.as_str() == owner);
    let author = author.ok_or_else(|| InvalidSeed(format!("{owner:?} does not work there")))?;
    let fields = row.iter().filter(|(name, _)| !name.starts_with('_'));
    Ok(Draft {
        author: caller(author, broker),
        module: template.name.clone(),
        fields: fields.map(|(n, v)| (n.clone(), v.clone())).collect(),
    })
}

fn caller(person: &Person, broker: &BrokerId) -> Caller {
    Caller {
        user: person.user.clone(),
        broker: broker.clone(),
        teams: person.teams.clone().into(),
        role: person.role,
        // Nobody waits for the end of a token that was never made.
        expires_at: OffsetDateTime::UNIX_EPOCH,
        token_id: None,
    }
}

/// Makes the records of one module.
struct Maker<'a> {
    template: &'a Template,
    tables: &'a BTreeMap<String, Vec<RecordRow>>,
    decks: BTreeMap<&'a str, Deck>,
    now: OffsetDateTime,
    dice: &'a Dice,
}

impl<'a> Maker<'a> {
    fn record(&mut self, n: usize) -> Result<RecordRow, InvalidSeed> {
        let mut drawn = BTreeMap::new();
        for (name, table) in &self.template.draw {
            drawn.insert(name.as_str(), self.draw(name, table)?);
        }
        let id = format!("{}-{n:02}", self.template.id);
        let mut scope = Scope {
            row: RecordRow::from([(ID.to_owned(), id)]),
            drawn,
            now: self.now,
            dice: self.dice,
        };
        for field in &self.template.field {
            if self.is_there(field, &scope.row) {
                let value = scope.value(&field.value)?;
                scope.row.insert(field.name.clone(), value);
            }
        }
        Ok(scope.row)
    }

    fn draw(&mut self, name: &'a str, table: &str) -> Result<&'a RecordRow, InvalidSeed> {
        let rows = self.tables.get(table).filter(|rows| !rows.is_empty());
        let rows = rows.ok_or_else(|| InvalidSeed(format!("nothing to draw from {table}")))?;
        let deck = self.decks.entry(name).or_default();
        Ok(&rows[deck.draw(self.dice, rows.len())])
    }

    fn is_there(&self, field: &Field, row: &RecordRow) -> bool {
        let mut conditions = field.when.iter();
        let is_so = |(name, values): (&String, &Vec<String>)| {
            row.get(name).is_some_and(|value| values.contains(value))
        };
        conditions.all(is_so) && self.dice.whole(1, 100) <= field.percent
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn made(seed: u64) -> Vec<Draft> {
        let (now, dice) = (datetime!(2025-11-05 18:00 UTC), Dice::seeded(seed));
        let broker = "acme".parse().unwrap();
        drafts(&Brokerage::example().unwrap(), &broker, (now, dice)).unwrap()
    }

    fn texts(drafts: &[Draft]) -> Vec<String> {
        drafts.iter().map(|draft| format!("{draft:?}")).collect()
    }

    #[test]
    fn the_same_dice_make_the_same_records_and_others_make_others() {
        assert_eq!(texts(&made(1)), texts(&made(1)));
        assert_ne!(texts(&made(1)), texts(&made(2)));
    }

    #[test]
    fn whatever_the_dice_say_there_are_as_many_and_all_belong_to_somebody_of_the_team() {
        for seed in 0..20 {
            let drafts = made(seed);
            assert_eq!(drafts.len(), 250);
            for draft in drafts {
                let fields: BTreeMap<_, _> = draft.fields.into_iter().collect();
                assert_eq!(fields[OWNER], draft.author.user.as_str());
                let team = fields["teamId"].parse().ok();
                assert!(team.is_none_or(|team| draft.author.is_on(&team)));
            }
        }
    }

    #[test]
    fn exactly_one_person_is_on_both_teams_and_one_runs_the_place() {
        let people = Brokerage::example().unwrap().people;
        assert_eq!(people.len(), 5);
        assert_eq!(people.iter().filter(|p| p.teams.len() == 2).count(), 1);
        let admins = people
            .iter()
            .filter(|p| p.role == crate::identity::Role::Admin);
        assert_eq!(admins.count(), 1);
    }
}
