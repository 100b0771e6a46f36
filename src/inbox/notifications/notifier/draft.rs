//! From causes to what is said: those of one matter are said together. Pure, but for the names.

use std::collections::{BTreeMap, BTreeSet};

use super::cause::Cause;
use super::subject::Subject;
use crate::directory::Modules;
use crate::inbox::activity::Names;
use crate::inbox::notifications::Kind;
use crate::inbox::notifications::notification::Said;
use crate::inbox::notifications::sequence::{Draft, Times};
use crate::log::{Audience, Event};
use crate::platform::{ModuleName, RecordId, RecordPath, UserId};

/// What a notification leads to.
type Link = Option<(ModuleName, Option<RecordId>)>;

/// Records that somebody may change at once before they are only counted.
const MOST_BY_NAME: usize = 20;

/// What one user is told of in one notification: at least one cause, the newest last.
#[derive(Debug)]
pub(super) struct Matter<'a> {
    causes: Vec<Cause<'a>>,
    /// More records than are told of one by one.
    many: Option<i64>,
}

/// Those of the same user, kind and subject together; and where one user changed many
/// records of another, all of these.
pub(super) fn gathered(causes: Vec<Cause<'_>>) -> Vec<Matter<'_>> {
    type By = (UserId, Option<UserId>);
    let by = |cause: &Cause<'_>| (cause.to.clone(), cause.event.told.user.clone());
    let mut changed: BTreeMap<By, BTreeSet<Subject>> = BTreeMap::new();
    for cause in causes.iter().filter(|c| c.kind == Kind::RecordChanged) {
        let subjects = changed.entry(by(cause)).or_default();
        subjects.insert(cause.subject.clone());
    }
    changed.retain(|_, subjects| subjects.len() > MOST_BY_NAME);
    let mut places: BTreeMap<(UserId, Kind, Subject), usize> = BTreeMap::new();
    let mut matters: Vec<Matter<'_>> = Vec::new();
    for cause in causes {
        let many = changed
            .get(&by(&cause))
            .filter(|_| cause.kind == Kind::RecordChanged);
        let many = many.map(|subjects| i64::try_from(subjects.len()).unwrap_or(i64::MAX));
        let subject = match many {
            Some(_) => Subject::ManyBy(cause.event.told.user.clone()),
            None => cause.subject.clone(),
        };
        let key = (cause.to.clone(), cause.kind, subject);
        let place = *places.entry(key).or_insert(matters.len());
        match matters.get_mut(place) {
            Some(matter) => matter.causes.push(cause),
            None => matters.push(Matter {
                causes: vec![cause],
                many,
            }),
        }
    }
    matters
}

impl Matter<'_> {
    /// The newest event of it.
    pub(super) fn newest(&self) -> &Event {
        self.newest_cause().event
    }

    fn newest_cause(&self) -> &Cause<'_> {
        self.causes.last().expect("made with a cause")
    }

    /// What is said of it.
    pub(super) fn draft(&self, names: &Names, modules: &Modules) -> Draft {
        let Cause {
            to, kind, level, ..
        } = self.newest_cause();
        let event = self.newest();
        let who = names.user(event.told.user.as_ref()).to_owned();
        let record = event.told.record_path();
        let label = record.as_ref().map(|record| names.record(record, modules));
        let label = label.unwrap_or_else(|| "a record".to_owned());
        let title = match kind {
            Kind::LockTakenOver => format!("{who} took over your lock on {label}"),
            Kind::LockRequested => format!("{who} asks for your lock on {label}"),
            // As it is kept, without what is private: the words stay when the record is another's.
            Kind::TaskEnded | Kind::RecordChanged => names.text(event, modules),
        };
        let (subject, count, times, record) = if let Some(many) = self.many {
            self.counted(many, who)
        } else {
            let count = i64::try_from(self.causes.len()).unwrap_or(i64::MAX);
            let times = match kind {
                Kind::RecordChanged => Times::Newest,
                _ => Times::Unsaid,
            };
            let record = record.map(|RecordPath { module, id }| (module, Some(id)));
            (self.newest_cause().subject.clone(), count, times, record)
        };
        Draft {
            said: Said {
                audience: Audience::User(to.clone()),
                level: *level,
                kind: Some(*kind),
                system: None,
                title,
                body: None,
                record,
                user: event.told.user.clone(),
            },
            count,
            subject: Some(subject.to_string()),
            times,
        }
    }

    /// What is said of so many records that they are only counted.
    fn counted(&self, many: i64, who: String) -> (Subject, i64, Times, Link) {
        let module = self.module();
        let of = module.as_ref().map_or("records", ModuleName::as_str);
        let of = of.to_owned();
        let link = module.map(|module| (module, None));
        let subject = Subject::ManyBy(self.newest().told.user.clone());
        (subject, many, Times::Number { who, of }, link)
    }

    /// The module of all of it, if there is only one.
    fn module(&self) -> Option<ModuleName> {
        let mut modules = self.causes.iter().map(|cause| cause.event.told.module());
        let first = modules.next()??.clone();
        modules
            .all(|module| module == Some(&first))
            .then_some(first)
    }
}
