//! The modules of the CRM: whose records there are, and what one of them is called.

use std::str::FromStr;
use std::sync::Arc;

use crate::ids::{EventType, ModuleName};

/// Characters of a singular; with a verb it must still be a type of an event.
const SINGULAR_CHARS: usize = 32;

/// One module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// What it is called: `escrows`.
    pub name: ModuleName,
    /// What one record of it is called: `escrow`.
    singular: EventType,
}

impl Module {
    /// The type of the event that this happened to a record: `escrow:locked`.
    #[must_use]
    pub fn told(&self, verb: &str) -> EventType {
        Self::joined(self.singular.as_str(), verb)
    }

    /// The type of the event that a user does this with a record: `user:viewing:escrow`.
    #[must_use]
    pub fn done_by_user(&self, verb: &str) -> EventType {
        Self::joined(&format!("user:{verb}"), self.singular.as_str())
    }

    fn joined(first: &str, last: &str) -> EventType {
        EventType::parse(&format!("{first}:{last}")).expect("checked names are short enough")
    }
}

/// A text that names no modules.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected modules with what one record is called, like escrows=escrow,leads=lead; \
     {0:?} is not one"
)]
pub struct InvalidModule(String);

/// All modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modules(Arc<[Module]>);

impl Modules {
    /// The module of this name.
    #[must_use]
    pub fn get(&self, name: &ModuleName) -> Option<&Module> {
        self.0.iter().find(|module| module.name == *name)
    }

    /// Their names, for whoever has to choose one.
    #[must_use]
    pub fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|module| module.name.as_str()).collect();
        names.join(", ")
    }
}

impl FromStr for Modules {
    type Err = InvalidModule;
    fn from_str(text: &str) -> Result<Self, InvalidModule> {
        text.split(',')
            .map(module)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

fn module(text: &str) -> Result<Module, InvalidModule> {
    let invalid = || InvalidModule(text.to_owned());
    let (name, singular) = text.trim().split_once('=').ok_or_else(invalid)?;
    if singular.len() > SINGULAR_CHARS || singular.contains(':') {
        return Err(invalid());
    }
    Ok(Module {
        name: name.parse().map_err(|_| invalid())?,
        singular: singular.parse().map_err(|_| invalid())?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_says_what_happens_to_one_of_its_records() {
        let modules: Modules = "escrows=escrow, leads=lead".parse().unwrap();
        let escrows = modules.get(&"escrows".parse().unwrap()).unwrap();
        assert_eq!(escrows.told("locked").as_str(), "escrow:locked");
        assert_eq!(
            escrows.done_by_user("viewing").as_str(),
            "user:viewing:escrow"
        );
        assert_eq!(modules.get(&"escrow".parse().unwrap()), None);
        assert_eq!(modules.names(), "escrows, leads");
    }

    #[test]
    fn rubbish_names_no_modules() {
        let long = format!("a={}", "x".repeat(33));
        for bad in ["", "escrows", "a=", "=a", "a=b,", "a=b:c", "a b=c", &long] {
            assert!(bad.parse::<Modules>().is_err(), "{bad:?}");
        }
    }
}
