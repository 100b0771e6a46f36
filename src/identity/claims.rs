//! Reads claims, by their usual names and by configured ones.

use std::sync::Arc;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::bearer::Bearer;
use super::caller::{MAX_TEAMS, Role};
use super::credential::{Credential, KeyId};
use super::error::{TokenError, quoted};
use super::settings::ClaimNames;
use crate::platform::{InvalidId, TeamId};

const USER: &[&str] = &["sub", "id", "user_id", "userId"];
const BROKER: &[&str] = &["broker_id", "brokerId"];
const TEAMS: &[&str] = &["teams", "team_ids", "teamIds", "team_id", "teamId"];
const ROLE: &[&str] = &["role"];
const NAME: &[&str] = &["name"];

const MAX_TOKEN_ID_CHARS: usize = 128;

/// The rest of a longer name is cut off.
const MAX_NAME_CHARS: usize = 100;

pub(super) struct Claims<'a> {
    claims: &'a Map<String, Value>,
    names: &'a ClaimNames,
}

/// What is known of a token before its other claims are read.
pub(super) struct TokenLifetime {
    /// The claim `iat`.
    pub(super) issued_at: Option<OffsetDateTime>,
    /// The claim `exp`.
    pub(super) expires_at: OffsetDateTime,
    /// The key that verified the token.
    pub(super) key: KeyId,
}

/// A claim, and the name under which it was found.
#[derive(Clone, Copy)]
struct FoundClaim<'a> {
    name: &'a str,
    value: &'a Value,
}

impl<'a> Claims<'a> {
    pub(super) fn new(claims: &'a Map<String, Value>, names: &'a ClaimNames) -> Self {
        Self { claims, names }
    }

    pub(super) fn bearer(&self, lifetime: TokenLifetime) -> Result<Bearer, TokenError> {
        let user = self.first(&self.names.user, USER);
        let broker = self.first(&self.names.broker, BROKER);
        Ok(Bearer {
            user: id(user.ok_or(TokenError::ClaimMissing("sub"))?)?,
            broker: broker.map(id).transpose()?,
            teams: self.teams()?,
            role: self.role()?,
            expires_at: lifetime.expires_at,
            credential: Arc::new(Credential {
                token_id: self.token_id()?,
                issued_at: lifetime.issued_at,
                names_teams: !self.team_claims().is_empty(),
                key: Some(lifetime.key),
                name: self.name(),
            }),
        })
    }

    /// The user's name. Nothing depends on it, so an invalid one is ignored.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        let claim = self.first(&self.names.name, NAME)?;
        let visible = claim.value.as_str()?.split(|c: char| c.is_control());
        let words = visible.flat_map(str::split_whitespace);
        let name = words.collect::<Vec<_>>().join(" ");
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        Some(name.trim_end().into()).filter(|name: &Arc<str>| !name.is_empty())
    }

    fn mapped(&self, names: &'a [String]) -> impl Iterator<Item = FoundClaim<'a>> {
        let claim = |name: &'a String| {
            let value = lookup(self.claims, name)?;
            Some(FoundClaim { name, value })
        };
        names.iter().filter_map(claim)
    }

    fn built_in(&self, names: &'a [&'a str]) -> impl Iterator<Item = FoundClaim<'a>> {
        let claim = |name: &&'a str| {
            let value = present(self.claims, name)?;
            Some(FoundClaim { name, value })
        };
        names.iter().filter_map(claim)
    }

    fn first(&self, mapped: &'a [String], built_in: &'a [&'a str]) -> Option<FoundClaim<'a>> {
        let found = self.mapped(mapped).next();
        found.or_else(|| self.built_in(built_in).next())
    }

    /// The teams of all claims. Configured names replace the built-in ones, which may mean something
    /// else in such tokens.
    fn teams(&self) -> Result<Arc<[TeamId]>, TokenError> {
        let mut teams = Vec::new();
        for claim in self.team_claims() {
            add_teams(&mut teams, claim)?;
        }
        Ok(teams.into())
    }

    fn team_claims(&self) -> Vec<FoundClaim<'a>> {
        let found: Vec<_> = self.mapped(&self.names.teams).collect();
        if found.is_empty() {
            self.built_in(TEAMS).collect()
        } else {
            found
        }
    }

    fn role(&self) -> Result<Role, TokenError> {
        let Some(FoundClaim { name, value }) = self.first(&self.names.role, ROLE) else {
            return Ok(Role::default());
        };
        let role = value.as_str();
        let role = role.ok_or_else(|| TokenError::invalid(name, "must be a string"))?;
        role.parse()
            .map_err(|e| TokenError::invalid(name, format!("{e}, not {}", quoted(role))))
    }

    fn token_id(&self) -> Result<Option<Arc<str>>, TokenError> {
        let Some(value) = present(self.claims, "jti") else {
            return Ok(None);
        };
        match text(value) {
            Some(id) if is_token_id(&id) => Ok(Some(id.into())),
            _ => Err(TokenError::invalid("jti", "must be a short string")),
        }
    }
}

/// Whether a text can be the `jti` of a token.
#[must_use]
pub fn is_token_id(text: &str) -> bool {
    (1..=MAX_TOKEN_ID_CHARS).contains(&text.chars().count()) && !text.contains(char::is_control)
}

/// Finds a configured name: as a key, or else as a path into objects. The keys themselves can contain
/// dots (`https://example.com/claims.team`).
fn lookup<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let nested = |(dot, _)| {
        let inner = claims.get(&name[..dot])?.as_object()?;
        lookup(inner, &name[dot + 1..])
    };
    present(claims, name).or_else(|| name.match_indices('.').find_map(nested))
}

/// A claim that is not `null`.
fn present<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).filter(|value| !value.is_null())
}

/// The text of a string or of a whole number.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

fn id<T: std::str::FromStr<Err = InvalidId>>(claim: FoundClaim<'_>) -> Result<T, TokenError> {
    let FoundClaim { name, value } = claim;
    let text = text(value)
        .ok_or_else(|| TokenError::invalid(name, "must be a string or a whole number"))?;
    text.parse()
        .map_err(|e: InvalidId| TokenError::invalid(name, e.to_string()))
}

/// Teams are an array, one id, or ids with commas between them.
fn add_teams(teams: &mut Vec<TeamId>, claim: FoundClaim<'_>) -> Result<(), TokenError> {
    let mut add = |value: &Value| {
        let FoundClaim { name, .. } = claim;
        add_team(teams, FoundClaim { name, value })
    };
    match claim.value {
        Value::Array(values) => values.iter().try_for_each(add),
        Value::String(list) => list
            .split(',')
            .map(str::trim)
            .filter(|team| !team.is_empty())
            .try_for_each(|team| add(&team.into())),
        one => add(one),
    }
}

fn add_team(teams: &mut Vec<TeamId>, claim: FoundClaim<'_>) -> Result<(), TokenError> {
    let team = id(claim)?;
    if teams.contains(&team) {
        return Ok(());
    }
    if teams.len() == MAX_TEAMS {
        let problem = format!("names more than {MAX_TEAMS} teams");
        return Err(TokenError::invalid(claim.name, problem));
    }
    teams.push(team);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_has_only_visible_characters_and_single_spaces() {
        let long = "x".repeat(MAX_NAME_CHARS + 1);
        let names = ClaimNames {
            name: vec!["profile.full".to_owned()],
            ..ClaimNames::default()
        };
        for (claims, expected) in [
            (json!({"name": "Josh"}), "Josh"),
            (json!({"name": "  Ann\n\u{0}\u{7}  Lee "}), "Ann Lee"),
            (
                json!({"name": "Josh", "profile": {"full": "Josh Lee"}}),
                "Josh Lee",
            ),
            (json!({"name": &long}), &long[..MAX_NAME_CHARS]),
            (json!({"name": "\u{0}"}), ""),
            (json!({"name": 7}), ""),
            (json!({"name": null}), ""),
            (json!({}), ""),
        ] {
            let map = claims.as_object().unwrap();
            let name = Claims::new(map, &names).name();
            assert_eq!(name.as_deref().unwrap_or_default(), expected, "{claims}");
        }
    }
}
