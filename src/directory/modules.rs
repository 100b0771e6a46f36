//! The modules of the CRM: the kinds of records, their private fields, and the verbs of their events.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::Deserialize;

use crate::log::PrivateFields;
use crate::platform::{EventType, ModuleName};

/// Characters of a singular, a verb or a field. Together they must still be a valid event type.
const WORD_CHARS: usize = 32;
const MOST_MODULES: usize = 64;
/// Verbs of a module, or fields of one kind.
const MOST_WORDS: usize = 64;
/// The verbs of every module, each with the word for people.
const USUAL_VERBS: [(&str, &str); 5] = [
    ("created", "created"),
    ("updated", "changed"),
    ("archived", "archived"),
    ("restored", "restored"),
    ("deleted", "deleted"),
];

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// For example `escrows`.
    pub name: ModuleName,
    /// The name of one record, for example `escrow`.
    singular: EventType,
    /// The field by which people know a record.
    pub label: Option<String>,
    /// Fields that only the record's owner and the brokerage's admins get.
    #[serde(default)]
    pub private: BTreeSet<String>,
    /// Fields that are amounts of money.
    #[serde(default)]
    pub money: BTreeSet<String>,
    /// Further verbs, each with the word for people.
    #[serde(default)]
    verbs: BTreeMap<String, String>,
}

impl Module {
    #[must_use]
    pub fn singular(&self) -> &str {
        self.singular.as_str()
    }

    /// The type of an event about a record: `escrow:locked`.
    #[must_use]
    pub fn event_type(&self, verb: &str) -> EventType {
        Self::joined(self.singular.as_str(), verb)
    }

    /// The type of an event about a user and a record: `user:viewing:escrow`.
    #[must_use]
    pub fn user_event_type(&self, verb: &str) -> EventType {
        Self::joined(&format!("user:{verb}"), self.singular.as_str())
    }

    /// All verbs, each with the word for people: `updated`, `changed`.
    pub fn verbs(&self) -> impl Iterator<Item = (&str, &str)> {
        let own = self.verbs.iter().map(|(verb, word)| (&**verb, &**word));
        USUAL_VERBS.into_iter().chain(own)
    }

    fn joined(first: &str, last: &str) -> EventType {
        EventType::parse(&format!("{first}:{last}")).expect("checked names are short enough")
    }

    fn check(&self) -> Result<(), String> {
        let words = [self.singular.as_str()].into_iter();
        let words = words.chain(self.verbs.keys().map(String::as_str));
        for word in words
            .chain(self.private.iter().map(String::as_str))
            .chain(self.money.iter().map(String::as_str))
            .chain(self.label.as_deref())
        {
            let is_short = word.len() <= WORD_CHARS && !word.contains(':');
            if !is_short || EventType::parse(word).is_err() {
                return Err(format!(
                    "{word:?} must be 1 to {WORD_CHARS} characters from A-Z a-z 0-9 _ - ."
                ));
            }
        }
        let counts = [self.verbs.len(), self.private.len(), self.money.len()];
        if counts.iter().any(|count| *count > MOST_WORDS) {
            return Err(format!("more than {MOST_WORDS} verbs or fields of a kind"));
        }
        Ok(())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidModules(String);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules(Arc<[Module]>);

impl PrivateFields for Modules {
    /// The fields of the event's module. Without one, the type's first part decides.
    fn of(&self, module: Option<&ModuleName>, event_type: &EventType) -> Option<&BTreeSet<String>> {
        let singular = event_type.as_str().split(':').next()?;
        let named = module.and_then(|name| self.get(name));
        let module = named.or_else(|| self.iter().find(|module| module.singular() == singular))?;
        (!module.private.is_empty()).then_some(&module.private)
    }
}

impl Modules {
    pub fn read(file: &Path) -> Result<Self, InvalidModules> {
        let text = std::fs::read_to_string(file);
        text.map_err(|error| InvalidModules(format!("{}: {error}", file.display())))?
            .parse()
    }

    #[must_use]
    pub fn get(&self, name: &ModuleName) -> Option<&Module> {
        self.0.iter().find(|module| module.name == *name)
    }

    /// In the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = &Module> {
        self.0.iter()
    }

    /// Their names, for error messages.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|module| module.name.as_str()).collect();
        names.join(", ")
    }
}

impl Default for Modules {
    /// The modules of a real-estate CRM.
    fn default() -> Self {
        let text = include_str!("modules/default.toml");
        text.parse()
            .expect("the file beside this one is well formed")
    }
}

impl FromStr for Modules {
    type Err = InvalidModules;

    fn from_str(text: &str) -> Result<Self, InvalidModules> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            module: Vec<Module>,
        }
        let file: File = toml::from_str(text).map_err(|e| InvalidModules(e.to_string()))?;
        let (mut names, mut singulars) = (BTreeSet::new(), BTreeSet::new());
        for module in &file.module {
            let invalid = |why: &str| InvalidModules(format!("module {}: {why}", module.name));
            module.check().map_err(|why| invalid(&why))?;
            if let Some(owner) = module.event_type("created").reserved_for() {
                return Err(invalid(&format!(
                    "types that begin with its singular are reserved for {owner}"
                )));
            }
            if !names.insert(&module.name) || !singulars.insert(module.singular()) {
                return Err(invalid("its name or singular is another's too"));
            }
        }
        if !(1..=MOST_MODULES).contains(&file.module.len()) {
            return Err(InvalidModules(format!(
                "1 to {MOST_MODULES} modules are needed"
            )));
        }
        Ok(Self(file.module.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_makes_the_types_of_its_events() {
        let modules = Modules::default();
        let escrows = modules.get(&"escrows".parse().unwrap()).unwrap();
        assert_eq!(escrows.event_type("locked").as_str(), "escrow:locked");
        assert_eq!(
            escrows.user_event_type("viewing").as_str(),
            "user:viewing:escrow"
        );
        assert!(escrows.verbs().any(|verb| verb == ("updated", "changed")));
        assert!(
            escrows
                .verbs()
                .any(|verb| verb == ("fell_through", "called off"))
        );
        assert_eq!(modules.get(&"escrow".parse().unwrap()), None);
        let names = "escrows, listings, clients, appointments, leads";
        assert_eq!(modules.names(), names);
    }

    #[test]
    fn a_module_needs_no_more_than_its_two_names() {
        let modules: Modules = "[[module]]\nname = 'boats'\nsingular = 'boat'"
            .parse()
            .unwrap();
        let boats = modules.iter().next().unwrap();
        assert_eq!((boats.singular(), boats.label.as_deref()), ("boat", None));
        assert_eq!(boats.verbs().count(), USUAL_VERBS.len());
    }

    #[test]
    fn the_type_of_an_event_without_module_decides_what_is_private() {
        let modules = Modules::default();
        let leads = "leads".parse().unwrap();
        for (name, event_type, field) in [
            (None, "escrow:closed", Some("commission")),
            (Some(&leads), "escrow:closed", Some("notes")),
            (
                Some(&"boats".parse().unwrap()),
                "escrow:closed",
                Some("commission"),
            ),
            (None, "boat:sunk", None),
            (None, "user:viewing:escrow", None),
        ] {
            let fields = modules.of(name, &EventType::parse(event_type).unwrap());
            assert_eq!(
                fields.map(|all| all.contains(field.unwrap())),
                field.map(|_| true)
            );
        }
    }

    #[test]
    fn invalid_files_are_refused_with_the_reason() {
        let long = format!("name = 'a'\nsingular = '{}'", "x".repeat(33));
        let twice = "name = 'a'\nsingular = 'b'\n[[module]]\nname = 'a'\nsingular = 'c'";
        for (bad, word) in [
            ("", "name"),
            ("name = 'a'", "singular"),
            ("name = 'a b'\nsingular = 'a'", "name"),
            ("name = 'a'\nsingular = 'b:c'", "b:c"),
            (&long, "xxx"),
            ("name = 'a'\nsingular = 'b'\ncolour = 'red'", "colour"),
            ("name = 'a'\nsingular = 'b'\nprivate = ['fee', '']", "\"\""),
            ("name = 'a'\nsingular = 'b'\nverbs = { 's o' = 'x' }", "s o"),
            (twice, "another"),
            ("name = 'a'\nsingular = 'stream'", "streams"),
            ("name = 'a'\nsingular = 'notification'", "notifications"),
        ] {
            let error = format!("[[module]]\n{bad}").parse::<Modules>().unwrap_err();
            assert!(error.to_string().contains(word), "{bad:?}: {error}");
        }
        assert!("module = []".parse::<Modules>().is_err());
        assert!(Modules::read(Path::new("no-such.toml")).is_err());
    }
}
