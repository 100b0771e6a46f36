//! What has really happened, as far as a client can know: of every sign of life, when
//! each instance must know of it, and until when it may at the most.

use std::sync::{Mutex, MutexGuard};

use tokio::time::Instant;

/// Milliseconds since the test began.
pub type Ms = i64;

/// A sign that others see no change in is written within a second and read within another;
/// the rest is for a busy machine.
pub const LAG: Ms = 3_000;
/// From when something happened to when it was noticed by a client, on a busy machine.
pub const TOLERANCE: Ms = 1_500;
/// What an instance has not written by then dies with it.
const UNWRITTEN: Ms = 1_800;
#[derive(Clone, Copy)]
pub struct Times {
    pub grace: Ms,
    pub timeout: Ms,
    pub drain: Ms,
}

impl Times {
    /// A killed instance counts as alive for so long at the most, as does a session after a
    /// heartbeat.
    pub fn lease(self) -> Ms {
        self.timeout.min(10_000)
    }

    /// The lease is renewed when a third of it is over; the rest is for a busy machine.
    fn lease_left(self) -> Ms {
        self.lease() / 3
    }
}

/// One instance, from its start to its end.
#[derive(Clone, Copy, Default)]
pub struct Site {
    /// It was asked to stop.
    pub stopped_at: Option<Ms>,
    /// It was killed between these.
    pub killed_in: Option<(Ms, Ms)>,
}

/// What a client did for an end.
#[derive(Clone, Copy)]
pub struct End {
    pub asked: Ms,
    pub done: Ms,
    pub site: usize,
    /// It was understood, as far as one can know.
    pub is_known: bool,
}

/// A heartbeat, or an open stream.
pub struct Sign {
    pub user: usize,
    pub site: usize,
    pub session: Option<usize>,
    pub asked: Ms,
    pub answered: Ms,
    pub is_known: bool,
    pub end: Option<End>,
    /// The connection of a stream ended by itself.
    pub cut: Option<Ms>,
}

pub type Span = (Ms, Ms);

/// Everything that is known of signs and instances.
pub struct History {
    began: Instant,
    pub times: Times,
    signs: Mutex<Vec<Sign>>,
    sites: Mutex<Vec<Site>>,
}

impl History {
    pub fn new(times: Times) -> Self {
        Self {
            began: Instant::now(),
            times,
            signs: Mutex::default(),
            sites: Mutex::default(),
        }
    }

    pub fn now(&self) -> Ms {
        i64::try_from(self.began.elapsed().as_millis()).expect("a short test")
    }

    pub fn signs(&self) -> MutexGuard<'_, Vec<Sign>> {
        self.signs.lock().expect("no panic")
    }

    pub fn sites(&self) -> MutexGuard<'_, Vec<Site>> {
        self.sites.lock().expect("no panic")
    }

    pub fn add_site(&self) -> usize {
        let mut sites = self.sites();
        sites.push(Site::default());
        sites.len() - 1
    }

    /// One more sign; gives its place.
    pub fn add_sign(&self, sign: Sign) -> usize {
        let mut signs = self.signs();
        signs.push(sign);
        signs.len() - 1
    }

    /// A user has said goodbye for a session.
    pub fn left(&self, user: usize, session: usize, end: End) {
        let mut signs = self.signs();
        let of_session = signs
            .iter_mut()
            .filter(|sign| sign.user == user && sign.session == Some(session));
        for sign in of_session {
            sign.end.get_or_insert(end);
        }
    }

    /// When a user is certainly here, as the instance `seen_at` must know.
    pub fn certain(&self, user: usize, seen_at: usize) -> Vec<Span> {
        self.spans(user, |sign, sites| self.certain_of(sign, sites, seen_at))
    }

    /// When a user may be here, and not beyond.
    pub fn possible(&self, user: usize) -> Vec<Span> {
        self.spans(user, |sign, sites| Some(self.possible_of(sign, sites)))
    }

    fn spans(&self, user: usize, of: impl Fn(&Sign, &[Site]) -> Option<Span>) -> Vec<Span> {
        let (signs, sites) = (self.signs(), self.sites());
        let mine = signs.iter().filter(|sign| sign.user == user);
        union(mine.filter_map(|sign| of(sign, &sites)).collect())
    }

    fn certain_of(&self, sign: &Sign, sites: &[Site], seen_at: usize) -> Option<Span> {
        let site = sites[sign.site];
        let is_elsewhere = sign.site != seen_at;
        let killed_at = site.killed_in.map(|(from, _)| from);
        let is_written = killed_at.is_none_or(|at| sign.answered + UNWRITTEN < at);
        if !sign.is_known || is_elsewhere && !is_written {
            return None;
        }
        let from = sign.answered + if is_elsewhere { LAG } else { 0 };
        let ends = [
            sign.session.map(|_| sign.asked + self.times.timeout),
            killed_at
                .filter(|_| sign.session.is_none())
                .map(|at| at + self.times.lease_left()),
            site.stopped_at
                .filter(|_| sign.session.is_none())
                .map(|at| at + self.times.drain),
            sign.end.map(|end| end.asked),
        ];
        let end = ends.into_iter().flatten().min().unwrap_or(Ms::MAX / 2);
        // Clocks are read one after the other.
        let until = end + self.times.grace - 100;
        (from < until).then_some((from, until))
    }

    fn possible_of(&self, sign: &Sign, sites: &[Site]) -> Span {
        let site = sites[sign.site];
        let was_heard = |end: &End| {
            let killed = sites[end.site].killed_in;
            end.is_known && killed.is_none_or(|(from, _)| end.done + UNWRITTEN < from)
        };
        let end = sign.end.filter(was_heard).map(|end| end.done);
        let over = if sign.session.is_some() {
            let overdue = sign.answered + self.times.timeout;
            end.map_or(overdue, |end| end.min(overdue))
        } else {
            let end = end.or((!sign.is_known).then_some(sign.answered));
            let drained = |at: Ms| match site.stopped_at {
                Some(stopped) if stopped <= at + TOLERANCE => at + self.times.drain,
                _ => at,
            };
            match (end, site.killed_in, sign.cut) {
                (Some(end), None, _) => drained(end),
                (Some(end), Some((from, _)), _) if end + UNWRITTEN < from => drained(end),
                (_, Some((_, killed)), _) => killed + self.times.lease(),
                (None, None, Some(cut)) => drained(cut),
                (None, None, None) => Ms::MAX / 2,
            }
        };
        (sign.asked, over + self.times.grace + LAG + TOLERANCE)
    }
}

fn union(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_unstable();
    let mut union: Vec<Span> = Vec::new();
    for (from, until) in spans {
        match union.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(until),
            _ => union.push((from, until)),
        }
    }
    union
}

/// Whether all of `span` is in one of `spans`.
pub fn covers(spans: &[Span], span: Span) -> bool {
    spans
        .iter()
        .any(|(from, until)| *from <= span.0 && span.1 <= *until)
}

/// The longest that `span` and `spans` have in common.
pub fn overlap(spans: &[Span], span: Span) -> Ms {
    let common = |(from, until): &Span| until.min(&span.1) - from.max(&span.0);
    spans.iter().map(common).max().unwrap_or(0).max(0)
}
