//! Tokens: those that are revoked count no more, all others do, and fresh ones extend open streams.

use std::collections::BTreeMap;

use super::{Findings, Log, Rule};
use crate::history::{Entry, Line};

/// A revocation counts at every instance after this time, in microseconds: the second that is promised, and one
/// for a slow machine.
const LATE: u64 = 2_000_000;
/// The end of a token is known to a second, in microseconds.
const EARLY: u64 = 1_500_000;

/// The stream of a reader.
#[derive(Debug, Default)]
struct Session<'a> {
    brokerage: &'a str,
    token: Option<&'a str>,
    expires: u64,
}

#[derive(Default)]
struct Tokens<'a> {
    asked: BTreeMap<&'a str, u64>,
    revoked: BTreeMap<&'a str, u64>,
    faults: usize,
    last_fault: u64,
}

impl<'a> Tokens<'a> {
    fn note(&mut self, at: u64, entry: &'a Entry) {
        match entry {
            Entry::FaultBegan { .. } => self.faults += 1,
            Entry::FaultEnded { .. } => {
                self.faults = self.faults.saturating_sub(1);
                self.last_fault = at;
            }
            Entry::RevocationAsked { token } => {
                self.asked.entry(token).or_insert(at);
            }
            Entry::Revoked { token } => {
                self.revoked.entry(token).or_insert(at);
            }
            _ => {}
        }
    }

    /// From when on every instance knows that a token is revoked. While something fails, one may not know it.
    fn refused_from(&self, token: Option<&str>) -> Option<u64> {
        let revoked = self.revoked.get(token?)?;
        let calm = self.faults == 0;
        calm.then(|| revoked.max(&self.last_fault) + LATE)
    }

    fn may_be_revoked(&self, token: Option<&str>) -> bool {
        token.is_some_and(|token| self.asked.contains_key(token))
    }
}

pub(super) fn check(lines: &[Line], log: &Log<'_>, findings: &mut Findings) {
    let mut tokens = Tokens::default();
    let mut sessions: BTreeMap<&str, Session<'_>> = BTreeMap::new();
    for Line { at, entry } in lines {
        tokens.note(*at, entry);
        if let Some((reader, session)) = note(&mut sessions, entry) {
            let seen = Seen {
                at: *at,
                reader,
                session,
                tokens: &tokens,
            };
            seen.check(entry, log, findings);
        }
    }
}

/// Changes the session of the reader that an entry is about, and gives it.
fn note<'s, 'a>(
    sessions: &'s mut BTreeMap<&'a str, Session<'a>>,
    entry: &'a Entry,
) -> Option<(&'a str, &'s Session<'a>)> {
    let (Entry::Joined { reader, .. }
    | Entry::Opened { reader, .. }
    | Entry::Renewed { reader, .. }
    | Entry::Received { reader, .. }
    | Entry::NotOpened { reader, .. }
    | Entry::Closed { reader, .. }) = entry
    else {
        return None;
    };
    let session = sessions.entry(reader).or_default();
    match entry {
        Entry::Joined { interest, .. } => session.brokerage = &interest.brokerage,
        Entry::Opened { expires, token, .. } => {
            (session.token, session.expires) = (token.as_deref(), *expires);
        }
        Entry::Renewed { expires, .. } => session.expires = *expires,
        _ => {}
    }
    Some((reader, session))
}

/// What a reader saw, and what was known then.
struct Seen<'a> {
    at: u64,
    reader: &'a str,
    session: &'a Session<'a>,
    tokens: &'a Tokens<'a>,
}

impl Seen<'_> {
    fn check(&self, entry: &Entry, log: &Log<'_>, findings: &mut Findings) {
        let rule = match entry {
            Entry::Opened { .. } if self.is_revoked_at(self.at) => Rule::AfterRevocation,
            Entry::Received { position, .. } => {
                // What was committed before may be on its way.
                let rows = log.rows.get(self.session.brokerage);
                let logged = rows.and_then(|rows| rows.get(position));
                let known = logged.map_or(0, |logged| logged.at).min(self.at);
                if !self.is_revoked_at(known) {
                    return;
                }
                Rule::AfterRevocation
            }
            Entry::NotOpened { code, token, .. }
                if code != "token_revoked" || !self.tokens.may_be_revoked(token.as_deref()) =>
            {
                Rule::RefusedWithoutCause
            }
            Entry::Closed { reason, .. }
                if reason == "revoked" && !self.tokens.may_be_revoked(self.session.token) =>
            {
                Rule::RefusedWithoutCause
            }
            Entry::Closed { reason, .. }
                if reason == "expired" && self.at + EARLY < self.session.expires =>
            {
                Rule::EndedEarly
            }
            _ => return,
        };
        let (reader, at, session) = (self.reader, self.at, self.session);
        findings.add(rule, format!("{reader} at {at} us, {session:?}: {entry:?}"));
    }

    /// Whether its token counted no more at this time, at any instance.
    fn is_revoked_at(&self, at: u64) -> bool {
        let refused = self.tokens.refused_from(self.session.token);
        refused.is_some_and(|from| at > from)
    }
}
