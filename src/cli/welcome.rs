//! What `serve` prints on a terminal with a development secret: links and commands to paste.

use std::env;
use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use crate::identity::{MintRequest, Role, TokenSigner};
use crate::platform::Clock;
use crate::platform::InvalidId;
use crate::records::{Brokerage, SeedPerson};

const TTL: Duration = Duration::from_hours(12);

/// It has tokens, so it goes to a terminal and never to a log.
pub(super) fn text(
    signer: &TokenSigner,
    addr: SocketAddr,
    demo: Option<&Brokerage>,
    clock: &Clock,
) -> Result<String, InvalidId> {
    let request = MintRequest {
        user: "ann".parse()?,
        broker: "acme".parse()?,
        teams: vec!["team-a".parse()?],
        role: Role::Service,
        ttl: TTL,
        now: clock.now(),
        name: demo.is_none().then(|| "Ann".to_owned()),
        token_id: None,
    };
    let token = signer.sign(&request);
    let mut text = match demo {
        Some(demo) => consoles(demo, |person| {
            let token = signer.sign(&of(person, demo, request.clone()));
            format!("http://{addr}/#token={token}")
        }),
        None => format!("\nThe console:\n  http://{addr}/#token={token}\n"),
    };
    let program = env::current_exe().unwrap_or_else(|_| "porchlight".into());
    let program = program.display();
    let body = r#"{"type":"listing:sold","audience":{"team":"team-a"},"data":{"price":395000}}"#;
    let _ = write!(
        text,
        "\nTail a stream:\n  curl -N -H 'Authorization: Bearer {token}' http://{addr}/stream/team\n\
         \nPublish an event:\n  curl -H 'Authorization: Bearer {token}' \
         -H 'Content-Type: application/json' -d '{body}' http://{addr}/events\n\
         \nSet URL, TOKEN and more in another terminal:\n  eval \"$({program} seed)\"\n\
         \nOpen the database:\n  {program} psql\n"
    );
    Ok(text)
}

/// Links to the console for an agent and for an admin.
fn consoles(demo: &Brokerage, link: impl Fn(&SeedPerson) -> String) -> String {
    let mut text = String::new();
    for role in [Role::Agent, Role::Admin] {
        let person = demo.people.iter().find(|person| person.role == role);
        if let Some(person) = person {
            let (name, link) = (&person.name, link(person));
            let _ = write!(text, "\nThe console, as {name} ({role}):\n  {link}\n");
        }
    }
    text
}

fn of(person: &SeedPerson, demo: &Brokerage, request: MintRequest) -> MintRequest {
    MintRequest {
        user: person.user.clone(),
        broker: demo.broker.clone(),
        teams: person.teams.clone(),
        role: person.role,
        name: Some(person.name.clone()),
        ..request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{IdentitySettings, Secret, Verifier};

    fn settings() -> IdentitySettings {
        IdentitySettings {
            secret: Some(Secret::new(&"x".repeat(32))),
            issuers: vec!["https://crm".to_owned()],
            audiences: vec!["porchlight".to_owned()],
            max_lifetime: Some(time::Duration::hours(1)),
            ..IdentitySettings::default()
        }
    }

    fn welcome(demo: Option<&Brokerage>) -> String {
        let addr = "127.0.0.1:8080".parse().unwrap();
        let signer = TokenSigner::new(&settings()).unwrap();
        text(&signer, addr, demo, &Clock::system()).unwrap()
    }

    #[test]
    fn the_service_accepts_its_tokens() {
        let verifier = Verifier::new(&settings(), Clock::system()).unwrap();
        let demo = Brokerage::example().unwrap();
        for (demo, count) in [(None, 3), (Some(&demo), 4)] {
            let text = welcome(demo);
            let words = text.split(|c: char| c.is_whitespace() || "='".contains(c));
            let tokens: Vec<_> = words.filter(|word| word.starts_with("ey")).collect();
            assert_eq!(tokens.len(), count);
            for token in tokens {
                verifier.verify(token).unwrap();
            }
        }
    }

    #[test]
    fn the_lines_name_the_address_and_carry_a_token() {
        let text = welcome(None);
        assert!(text.contains("http://127.0.0.1:8080/#token=ey"));
        assert!(text.contains("curl -N -H 'Authorization: Bearer ey"));
        assert!(text.contains(" seed)\"\n") && text.contains(" psql\n"));
    }

    #[test]
    fn a_demo_has_a_link_for_an_agent_and_one_for_an_admin() {
        let text = welcome(Some(&Brokerage::example().unwrap()));
        for who in ["(agent):\n", "(admin):\n"] {
            let (_, rest) = text.split_once(who).unwrap();
            assert!(
                rest.trim_start()
                    .starts_with("http://127.0.0.1:8080/#token=ey")
            );
        }
    }
}
