//! Makes drafts of notifications from causes; the causes of one subject become one draft. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::cause::Cause;
use super::subject::Subject;
use crate::directory::Modules;
use crate::directory::people::KnownTeams;
use crate::inbox::activity::Names;
use crate::inbox::notifications::NotificationKind;
use crate::inbox::notifications::notification::{NotificationContent, RecordLink};
use crate::inbox::notifications::send::{NotificationDraft, Repetition};
use crate::log::{Audience, Event};
use crate::platform::{ModuleName, RecordPath, TeamId, UserId};

/// When a user changes more records of another user at once, one notification counts them.
const MOST_BY_NAME: usize = 20;

/// The causes of one notification: at least one, the newest last.
#[derive(Debug)]
pub(super) struct CauseGroup<'a> {
    causes: Vec<Cause<'a>>,
    /// The number of records, if there are too many to name.
    many: Option<i64>,
}

/// What differs between a notification that names its subject and one that counts records.
struct DraftTarget {
    subject: Subject,
    count: i64,
    repetition: Repetition,
    record: Option<RecordLink>,
}

/// Groups causes of the same user, kind and subject. Where one user changed many records of another,
/// these changes are one group.
pub(super) fn group(causes: Vec<Cause<'_>>) -> Vec<CauseGroup<'_>> {
    type By = (UserId, Option<UserId>);
    let by = |cause: &Cause<'_>| (cause.to.clone(), cause.event.body.user.clone());
    let mut changed: BTreeMap<By, BTreeSet<Subject>> = BTreeMap::new();
    for cause in causes
        .iter()
        .filter(|c| c.kind == NotificationKind::RecordChanged)
    {
        let subjects = changed.entry(by(cause)).or_default();
        subjects.insert(cause.subject.clone());
    }
    changed.retain(|_, subjects| subjects.len() > MOST_BY_NAME);
    let mut indexes: BTreeMap<(UserId, NotificationKind, Subject), usize> = BTreeMap::new();
    let mut groups: Vec<CauseGroup<'_>> = Vec::new();
    for cause in causes {
        let many = changed
            .get(&by(&cause))
            .filter(|_| cause.kind == NotificationKind::RecordChanged);
        let many = many.map(|subjects| i64::try_from(subjects.len()).unwrap_or(i64::MAX));
        let subject = match many {
            Some(_) => Subject::ManyBy(cause.event.body.user.clone()),
            None => cause.subject.clone(),
        };
        let key = (cause.to.clone(), cause.kind, subject);
        let index = *indexes.entry(key).or_insert(groups.len());
        match groups.get_mut(index) {
            Some(group) => group.causes.push(cause),
            None => groups.push(CauseGroup {
                causes: vec![cause],
                many,
            }),
        }
    }
    groups
}

/// Groups for readers who see the same records by name, each with the audiences whose events they may have read.
/// The groups of one reader stay in order.
pub(super) fn by_reader<'a>(
    groups: Vec<CauseGroup<'a>>,
    teams: &KnownTeams,
) -> Vec<(Vec<Audience>, Vec<CauseGroup<'a>>)> {
    let mut readers: BTreeMap<BTreeSet<TeamId>, Vec<CauseGroup<'_>>> = BTreeMap::new();
    for group in groups {
        let mut known: BTreeSet<_> = teams.of(&group.newest_cause().to).iter().cloned().collect();
        // Where the reader's teams are not known, the event's team counts.
        if let Audience::Team(team) = &group.newest().body.audience {
            known.insert(team.clone());
        }
        readers.entry(known).or_default().push(group);
    }
    let audiences = |teams: BTreeSet<TeamId>| {
        let teams = teams.into_iter().map(Audience::Team);
        [Audience::Broker].into_iter().chain(teams).collect()
    };
    let readers = readers.into_iter();
    readers
        .map(|(teams, groups)| (audiences(teams), groups))
        .collect()
}

impl CauseGroup<'_> {
    pub(super) fn newest(&self) -> &Event {
        self.newest_cause().event
    }

    fn newest_cause(&self) -> &Cause<'_> {
        self.causes.last().expect("a group has a cause")
    }

    pub(super) fn draft(&self, names: &Names, modules: &Modules) -> NotificationDraft {
        let Cause {
            to, kind, level, ..
        } = self.newest_cause();
        let event = self.newest();
        let who = names.user(event.body.user.as_ref()).to_owned();
        let record = event.body.record_path();
        let label = record.as_ref().map(|record| names.record(record, modules));
        let label = label.unwrap_or_else(|| "a record".to_owned());
        let title = match kind {
            NotificationKind::LockTakenOver => format!("{who} took over your lock on {label}"),
            NotificationKind::LockRequested => format!("{who} asks for your lock on {label}"),
            // Without private fields: the text stays when the record gets another owner.
            NotificationKind::TaskEnded | NotificationKind::RecordChanged => {
                names.text(event, modules)
            }
        };
        let target = match self.many {
            Some(many) => self.counted(many, who),
            None => self.named(record),
        };
        NotificationDraft {
            content: NotificationContent {
                audience: Audience::User(to.clone()),
                level: *level,
                kind: Some(*kind),
                system: None,
                title,
                body: None,
                record: target.record,
                user: event.body.user.clone(),
            },
            count: target.count,
            subject: Some(target.subject.to_string()),
            repetition: target.repetition,
            posted_by: None,
        }
    }

    fn named(&self, record: Option<RecordPath>) -> DraftTarget {
        let cause = self.newest_cause();
        let link = |record: RecordPath| RecordLink {
            module: record.module,
            record: Some(record.id),
        };
        DraftTarget {
            subject: cause.subject.clone(),
            count: i64::try_from(self.causes.len()).unwrap_or(i64::MAX),
            repetition: match cause.kind {
                NotificationKind::RecordChanged => Repetition::Newest,
                _ => Repetition::Unsaid,
            },
            record: record.map(link),
        }
    }

    fn counted(&self, count: i64, who: String) -> DraftTarget {
        let module = self.module();
        let things = module.as_ref().map_or("records", ModuleName::as_str);
        let things = things.to_owned();
        DraftTarget {
            subject: Subject::ManyBy(self.newest().body.user.clone()),
            count,
            repetition: Repetition::Number { who, things },
            record: module.map(|module| RecordLink {
                module,
                record: None,
            }),
        }
    }

    /// The module of all records, if there is only one.
    fn module(&self) -> Option<ModuleName> {
        let mut modules = self.causes.iter().map(|cause| cause.event.body.module());
        let first = modules.next()??.clone();
        modules
            .all(|module| module == Some(&first))
            .then_some(first)
    }
}
