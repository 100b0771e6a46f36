//! A ticket is good while the key that verified its token is there.

use std::sync::Arc;

use jsonwebtoken::Algorithm;

use super::{ann, get};
use crate::support::cluster::TestDatabase;
use crate::support::forge;
use crate::support::sql::run;
use crate::support::tickets::{ticket, with_ticket};
use crate::support::{Answer, Service, Stream};

const OTHER_SECRET: &str = "--jwt-secret=another secret for tests, of fifty characters!";

async fn opens(service: &Service, ticket: &str) {
    let mut stream = Stream::open(with_ticket(service, "/stream", ticket)).await;
    assert_eq!(stream.status, 200);
    assert_eq!(stream.next().await.name, "stream:ready");
}

async fn is_refused(service: &Service, ticket: &str, code: &str) {
    let stream = Stream::open(with_ticket(service, "/stream", ticket)).await;
    assert_eq!(stream.status, 401);
    let answer = Answer::to(with_ticket(service, "/stream", ticket)).await;
    answer.refused(401, code, "a stream");
}

fn pem(name: &str) -> String {
    format!("--jwt-public-key-file={}", forge::key_file(name).display())
}

#[tokio::test]
async fn a_ticket_ends_with_the_secret_of_its_token() {
    let database = Arc::new(TestDatabase::create().await);
    let before = Service::on(Arc::clone(&database), &[]).await;
    let token = ann().signed();
    let ticket = ticket(&before, &token).await;
    opens(&before, &ticket).await;
    before.stop().await;
    let other = Service::on(Arc::clone(&database), &[OTHER_SECRET]).await;
    let answer = Answer::to(get(&other, "/stream", &token)).await;
    answer.refused(401, "token_signature_invalid", "the token");
    is_refused(&other, &ticket, "token_key_unknown").await;
    // With the secret, every instance knows it, whatever others have refused.
    for _ in 0..2 {
        opens(&Service::on(Arc::clone(&database), &[]).await, &ticket).await;
    }
    is_refused(&other, &ticket, "token_key_unknown").await;
    // A public key beside another secret changes nothing.
    let rsa = pem("rsa.public.pem");
    let keys = [rsa.as_str(), OTHER_SECRET];
    let with_key = Service::on(database, &keys).await;
    is_refused(&with_key, &ticket, "token_key_unknown").await;
}

#[tokio::test]
async fn a_ticket_ends_with_the_public_key_of_its_token() {
    let database = Arc::new(TestDatabase::create().await);
    let (rsa, p256) = (pem("rsa.public.pem"), pem("p256.public.pem"));
    let before = Service::on(Arc::clone(&database), &[&rsa]).await;
    let ticket = ticket(&before, &forge::signed_by(Algorithm::RS256, None)).await;
    opens(&before, &ticket).await;
    before.stop().await;
    let other = Service::on(Arc::clone(&database), &[&p256]).await;
    is_refused(&other, &ticket, "token_key_unknown").await;
    // The secret beside the key is not this token's.
    let same = Service::on(database, &[&rsa, OTHER_SECRET]).await;
    opens(&same, &ticket).await;
}

#[tokio::test]
async fn the_table_of_tickets_shows_nothing_of_the_secret() {
    let service = Service::start().await;
    let tickets = [
        ticket(&service, &ann().signed()).await,
        ticket(&service, &ann().signed()).await,
    ];
    let mut sql = service.database.connect().await;
    let keys = sqlx::query_scalar("select key_id from porchlight.tickets");
    let keys: Vec<String> = keys.fetch_all(&mut sql).await.expect("keys");
    // What depends on the secret depends on the ticket, too, which is not stored.
    assert_ne!(keys[0], keys[1]);
    // The key of one ticket is no use for another one.
    let swap = "update porchlight.tickets t set key_id = o.key_id from porchlight.tickets o
        where o.hash <> t.hash";
    run(&mut sql, swap).await;
    for ticket in &tickets {
        is_refused(&service, ticket, "token_key_unknown").await;
    }
}

#[tokio::test]
async fn a_ticket_without_a_key_opens_nothing() {
    let service = Service::start().await;
    let ticket = ticket(&service, &ann().signed()).await;
    let mut sql = service.database.connect().await;
    // Earlier versions left it out for the secret and the PEM key.
    run(&mut sql, "update porchlight.tickets set key_id = null").await;
    is_refused(&service, &ticket, "ticket_invalid").await;
}
