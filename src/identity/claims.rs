//! Reading claims: the spellings that exist in the wild, and those configured.

use std::sync::Arc;

use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::bearer::Bearer;
use super::caller::{MAX_TEAMS, Role};
use super::error::{TokenError, quoted};
use super::settings::ClaimNames;
use crate::platform::{InvalidId, TeamId};

const USER: &[&str] = &["sub", "id", "user_id", "userId"];
const BROKER: &[&str] = &["broker_id", "brokerId"];
const TEAMS: &[&str] = &["teams", "team_ids", "teamIds", "team_id", "teamId"];
const ROLE: &[&str] = &["role"];
const NAME: &[&str] = &["name"];

/// The longest `jti`: it is kept for as long as the token is revoked.
const MAX_TOKEN_ID_CHARS: usize = 128;

/// Characters of what a user is called; more are cut off.
const MAX_NAME_CHARS: usize = 100;

/// Claims and the names to read them by.
pub(super) struct Claims<'a> {
    claims: &'a Map<String, Value>,
    names: &'a ClaimNames,
}

/// A claim and the name it was found by.
type Found<'a> = (&'a str, &'a Value);

impl<'a> Claims<'a> {
    pub(super) fn new(claims: &'a Map<String, Value>, names: &'a ClaimNames) -> Self {
        Self { claims, names }
    }

    pub(super) fn bearer(&self, expires_at: OffsetDateTime) -> Result<Bearer, TokenError> {
        let user = self.first(&self.names.user, USER);
        let broker = self.first(&self.names.broker, BROKER);
        Ok(Bearer {
            user: id(user.ok_or(TokenError::ClaimMissing("sub"))?)?,
            broker: broker.map(id).transpose()?,
            teams: self.teams()?,
            role: self.role()?,
            expires_at,
            token_id: self.token_id()?,
            name: self.name(),
        })
    }

    /// What the user is called. Nothing depends on it, so whatever is no name is none.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        let (_, value) = self.first(&self.names.name, NAME)?;
        let visible = value.as_str()?.split(|c: char| c.is_control());
        let words = visible.flat_map(str::split_whitespace);
        let name = words.collect::<Vec<_>>().join(" ");
        let name: String = name.chars().take(MAX_NAME_CHARS).collect();
        Some(name.trim_end().into()).filter(|name: &Arc<str>| !name.is_empty())
    }

    fn mapped(&self, names: &'a [String]) -> impl Iterator<Item = Found<'a>> {
        let value = |name: &'a String| lookup(self.claims, name).map(|value| (&**name, value));
        names.iter().filter_map(value)
    }

    fn built_in(&self, names: &'a [&'a str]) -> impl Iterator<Item = Found<'a>> {
        let value = |name: &&'a str| present(self.claims, name).map(|value| (*name, value));
        names.iter().filter_map(value)
    }

    fn first(&self, mapped: &'a [String], built_in: &'a [&'a str]) -> Option<Found<'a>> {
        let found = self.mapped(mapped).next();
        found.or_else(|| self.built_in(built_in).next())
    }

    /// All teams under all spellings. A mapped name replaces the built-in ones, since
    /// those may mean something else to whoever chose another name.
    fn teams(&self) -> Result<Arc<[TeamId]>, TokenError> {
        let mut found: Vec<Found<'_>> = self.mapped(&self.names.teams).collect();
        if found.is_empty() {
            found = self.built_in(TEAMS).collect();
        }
        let mut teams = Vec::new();
        for (name, value) in found {
            add_teams(&mut teams, (name, value))?;
        }
        Ok(teams.into())
    }

    fn role(&self) -> Result<Role, TokenError> {
        let Some((name, value)) = self.first(&self.names.role, ROLE) else {
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
            Some(id) if !id.is_empty() && id.chars().count() <= MAX_TOKEN_ID_CHARS => {
                Ok(Some(id.into()))
            }
            _ => Err(TokenError::invalid("jti", "must be a short string")),
        }
    }
}

/// A name from the configuration: a key as it stands, else a path into objects,
/// whose keys may themselves contain dots (`https://example.com/claims.team`).
fn lookup<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let nested = |(dot, _)| {
        let inner = claims.get(&name[..dot])?.as_object()?;
        lookup(inner, &name[dot + 1..])
    };
    present(claims, name).or_else(|| name.match_indices('.').find_map(nested))
}

/// A claim that is there; `null` is not.
fn present<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    claims.get(name).filter(|value| !value.is_null())
}

/// A string or a whole number as text.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

fn id<T: std::str::FromStr<Err = InvalidId>>((name, value): Found<'_>) -> Result<T, TokenError> {
    let text = text(value)
        .ok_or_else(|| TokenError::invalid(name, "must be a string or a whole number"))?;
    text.parse()
        .map_err(|e: InvalidId| TokenError::invalid(name, e.to_string()))
}

/// Teams come as an array, as one id, or as ids with commas between them.
fn add_teams(teams: &mut Vec<TeamId>, (name, value): Found<'_>) -> Result<(), TokenError> {
    match value {
        Value::Array(values) => values
            .iter()
            .try_for_each(|value| add_team(teams, (name, value))),
        Value::String(list) => list
            .split(',')
            .map(str::trim)
            .filter(|team| !team.is_empty())
            .try_for_each(|team| add_team(teams, (name, &team.into()))),
        one => add_team(teams, (name, one)),
    }
}

fn add_team(teams: &mut Vec<TeamId>, found: Found<'_>) -> Result<(), TokenError> {
    let team = id(found)?;
    if teams.contains(&team) {
        return Ok(());
    }
    if teams.len() == MAX_TEAMS {
        let problem = format!("names more than {MAX_TEAMS} teams");
        return Err(TokenError::invalid(found.0, problem));
    }
    teams.push(team);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_is_what_can_be_read_aloud() {
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
