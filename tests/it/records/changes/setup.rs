//! The service, a connection and the viewers.

use serde_json::{Value, json};
use sqlx::PgConnection;

use super::super::{Call, admin, agent, body, run};
use super::By;
use super::life::{Change, Effect, Life};
use crate::support::psql::psql;
use crate::support::{Answer, Service, Token};

pub struct Setup {
    pub service: Service,
    pub sql: PgConnection,
    pub viewers: Vec<Token>,
}

impl Setup {
    pub async fn new() -> Self {
        let service = Service::with(&["--relay-poll-ms=5"]).await;
        let mut sql = service.database.connect().await;
        run(&mut sql, "create table public.audit (n int)").await;
        let viewers = vec![
            agent("bob"),
            Token::user("zoe", &["z"]),
            Token::user("ann", &["a", "z"]),
            admin(&["a"]),
            Token::user("lone", &[]),
            agent("spy").of("c"),
        ];
        Self {
            service,
            sql,
            viewers,
        }
    }

    /// Makes a change that is rolled back or refused.
    pub async fn undo(&mut self, life: &Life<'_>, change: &Change) {
        if life.by != By::Endpoint {
            let sql = format!("begin; {}; rollback", change.sql);
            return run(&mut self.sql, &sql).await;
        }
        let mut refused = change.body.clone();
        if matches!(change.effect, Effect::Created) {
            refused["colour"] = json!("red");
        }
        let answer = self.request(life, change, "0", &refused).await;
        assert!((400..500).contains(&answer.status), "{}", answer.text);
    }

    pub async fn make(&mut self, life: &Life<'_>, change: &Change) {
        let sql = &change.sql;
        match life.by {
            By::Endpoint => {
                let answer = self.request(life, change, "*", &change.body).await;
                assert!((200..300).contains(&answer.status), "{}", answer.text);
            }
            By::Psql => psql(&self.service.database.url(), sql),
            By::Statement => run(&mut self.sql, sql).await,
            By::Script => run(&mut self.sql, &format!("do $$ begin {sql}; end $$")).await,
            By::Transaction => {
                let sql = format!(
                    "begin; set local porchlight.user_id = 'carl'; insert into public.audit values (1);
                     {sql}; update public.audit set n = n + 1; commit"
                );
                run(&mut self.sql, &sql).await;
            }
        }
    }

    async fn request(
        &self,
        life: &Life<'_>,
        change: &Change,
        version: &str,
        fields: &Value,
    ) -> Answer {
        let ann = Token::user("ann", &["a", "z"]);
        let call = Call::by(&self.service, &ann).with("If-Match", version);
        let path = match change.effect {
            Effect::Created => format!("/records/{}", life.module),
            _ => format!("/records/{}/{}{}", life.module, life.id, change.path),
        };
        call.send(change.method.clone(), &path, fields).await
    }

    /// The record as each of the viewers sees it now.
    pub async fn seen(&self, life: &Life<'_>) -> Vec<Value> {
        let mut seen = Vec::new();
        for who in &self.viewers {
            let path = format!("{}/{}", life.module, life.id);
            let answer = Call::by(&self.service, who).get(&path).await;
            seen.push(match answer.status {
                404 => Value::Null,
                _ => body(&answer, 200),
            });
        }
        seen
    }
}
