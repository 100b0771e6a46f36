//! Makes records from templates.

use std::collections::BTreeMap;

use time::OffsetDateTime;

use super::data::{Brokerage, FieldTemplate, InvalidSeed, RecordTemplate, SeedPerson, SeedRow};
use super::deck::Deck;
use super::value::RecordScope;
use crate::identity::Caller;
use crate::platform::BrokerId;
use crate::platform::Dice;
use crate::records::RecordDraft;

/// The field with the user who creates the record.
const OWNER: &str = "ownerId";
/// The field that other records refer to.
const ID: &str = "id";

/// The records of the example. Records come before those that refer to them.
pub(super) fn drafts(
    brokerage: &Brokerage,
    broker: &BrokerId,
    now: OffsetDateTime,
    dice: &Dice,
) -> Result<Vec<RecordDraft>, InvalidSeed> {
    let mut tables = brokerage.tables.clone();
    let mut drafts = Vec::new();
    for template in &brokerage.templates {
        let mut maker = RecordMaker {
            template,
            tables: &tables,
            decks: BTreeMap::new(),
            now,
            dice,
        };
        let rows: Result<Vec<_>, _> = (1..=template.count).map(|n| maker.record(n)).collect();
        let rows = rows?;
        for row in &rows {
            drafts.push(draft(brokerage, broker, template, row)?);
        }
        tables.insert(template.name.to_string(), rows);
    }
    Ok(drafts)
}

/// A record that its owner creates.
fn draft(
    brokerage: &Brokerage,
    broker: &BrokerId,
    template: &RecordTemplate,
    row: &SeedRow,
) -> Result<RecordDraft, InvalidSeed> {
    let owner = row.get(OWNER).map_or("", String::as_str);
    let author = brokerage.people.iter().find(|p| p.user.as_str() == owner);
    let author = author.ok_or_else(|| InvalidSeed(format!("{owner:?} does not work there")))?;
    let fields = row.iter().filter(|(name, _)| !name.starts_with('_'));
    Ok(RecordDraft {
        author: caller(author, broker),
        module: template.name.clone(),
        fields: fields.map(|(n, v)| (n.clone(), v.clone())).collect(),
    })
}

fn caller(person: &SeedPerson, broker: &BrokerId) -> Caller {
    Caller {
        user: person.user.clone(),
        broker: broker.clone(),
        teams: person.teams.clone().into(),
        role: person.role,
        // There is no token, so its end does not matter.
        expires_at: OffsetDateTime::UNIX_EPOCH,
        credential: std::sync::Arc::default(),
    }
}

/// Makes the records of one module.
struct RecordMaker<'a> {
    template: &'a RecordTemplate,
    tables: &'a BTreeMap<String, Vec<SeedRow>>,
    decks: BTreeMap<&'a str, Deck>,
    now: OffsetDateTime,
    dice: &'a Dice,
}

impl<'a> RecordMaker<'a> {
    fn record(&mut self, n: usize) -> Result<SeedRow, InvalidSeed> {
        let mut drawn = BTreeMap::new();
        for (name, table) in &self.template.draw {
            drawn.insert(name.as_str(), self.draw(name, table)?);
        }
        let id = format!("{}-{n:02}", self.template.id);
        let mut scope = RecordScope {
            row: SeedRow::from([(ID.to_owned(), id)]),
            drawn,
            now: self.now,
            dice: self.dice,
        };
        for field in &self.template.field {
            if self.is_present(field, &scope.row) {
                let value = scope.value(&field.value)?;
                scope.row.insert(field.name.clone(), value);
            }
        }
        Ok(scope.row)
    }

    fn draw(&mut self, name: &'a str, table: &str) -> Result<&'a SeedRow, InvalidSeed> {
        let rows = self.tables.get(table).filter(|rows| !rows.is_empty());
        let rows = rows.ok_or_else(|| InvalidSeed(format!("nothing to draw from {table}")))?;
        let deck = self.decks.entry(name).or_default();
        Ok(&rows[deck.draw(self.dice, rows.len())])
    }

    fn is_present(&self, field: &FieldTemplate, row: &SeedRow) -> bool {
        let mut conditions = field.when.iter();
        let is_met = |(name, values): (&String, &Vec<String>)| {
            row.get(name).is_some_and(|value| values.contains(value))
        };
        conditions.all(is_met) && self.dice.whole(1, 100) <= field.percent
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    fn made(seed: u64) -> Vec<RecordDraft> {
        let (now, dice) = (datetime!(2025-11-05 18:00 UTC), Dice::seeded(seed));
        let broker = "acme".parse().unwrap();
        drafts(&Brokerage::example().unwrap(), &broker, now, &dice).unwrap()
    }

    fn texts(drafts: &[RecordDraft]) -> Vec<String> {
        drafts.iter().map(|draft| format!("{draft:?}")).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_records_and_others_give_others() {
        assert_eq!(texts(&made(1)), texts(&made(1)));
        assert_ne!(texts(&made(1)), texts(&made(2)));
    }

    #[test]
    fn every_seed_gives_as_many_records_and_each_belongs_to_a_member_of_its_team() {
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
    fn exactly_one_person_is_on_both_teams_and_one_is_an_admin() {
        let people = Brokerage::example().unwrap().people;
        assert_eq!(people.len(), 5);
        assert_eq!(people.iter().filter(|p| p.teams.len() == 2).count(), 1);
        let admins = people
            .iter()
            .filter(|p| p.role == crate::identity::Role::Admin);
        assert_eq!(admins.count(), 1);
    }
}
