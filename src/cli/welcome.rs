//! The first words to somebody who tries Porchlight on a terminal: lines to paste.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::clock::Clock;
use crate::identity::{MintRequest, Role, Secret, mint};
use crate::ids::InvalidId;

/// How long the tokens in the greeting last.
const TTL: Duration = Duration::from_hours(12);

/// Where to look and what to paste, with tokens of a development secret.
///
/// It goes to a person's terminal and never to a log.
pub(super) fn text(secret: &Secret, addr: SocketAddr, clock: &Clock) -> Result<String, InvalidId> {
    let token = mint(
        secret,
        &MintRequest {
            user: "ann".parse()?,
            broker: "acme".parse()?,
            teams: vec!["team-a".parse()?],
            role: Role::Service,
            ttl: TTL,
            now: clock.now(),
            name: Some("Ann".to_owned()),
            token_id: None,
            issuer: None,
            audience: None,
        },
    );
    let mut text = String::new();
    let body = r#"{"type":"listing:sold","audience":{"team":"team-a"},"data":{"price":395000}}"#;
    let _ = write!(
        text,
        "\nThe console:\n  http://{addr}/#token={token}\n\
         \nTail a stream:\n  curl -N -H 'Authorization: Bearer {token}' http://{addr}/stream/team\n\
         \nPublish an event:\n  curl -H 'Authorization: Bearer {token}' \
         -H 'Content-Type: application/json' -d '{body}' http://{addr}/events\n"
    );
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_name_the_address_and_carry_a_token() {
        let addr = "127.0.0.1:8080".parse().unwrap();
        let text = text(&Secret::new(&"x".repeat(32)), addr, &Clock::system()).unwrap();
        assert!(text.contains("http://127.0.0.1:8080/#token=ey"));
        assert!(text.contains("curl -N -H 'Authorization: Bearer ey"));
    }
}
