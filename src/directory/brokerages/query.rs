//! The configured query. It is checked at start, and runs for one member at a time.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgTypeInfo;
use sqlx::{AssertSqlSafe, Either, Executor, Postgres, SqlSafeStr, Statement, Type};

use super::Member;
use crate::platform::database::limited;
use crate::platform::{BrokerId, TeamId};
use crate::platform::{Limit, Pool};

/// The query cannot write, and the database ends it when it takes too long.
const BEGIN: &str = "begin transaction read only; set local statement_timeout = '2s'";
/// A connection that has not answered by then does not answer any more.
const LIMIT: Limit = Limit {
    longest: Duration::from_secs(4),
    suspect: Duration::from_secs(4),
};
const PARAMETERS: usize = 2;
/// The SQLSTATE class of values that the query cannot convert, such as `$1::uuid` of a user id that
/// is no UUID.
const DATA_EXCEPTION: &str = "22";
/// A user who does not exist. The query runs for this user at start.
const NOBODY: &str = "porchlight start check";

#[derive(Debug, thiserror::Error)]
#[error(
    "PORCHLIGHT_BROKER_QUERY cannot be used: {0}. It must be one SELECT with one column, the id of \
     the brokerage. $1 is the user's id and $2 the id of the first team that the token names, or \
     null; both are text. For example: select t.broker_id from users u join teams t on \
     t.id = u.team_id where u.id::text = $1"
)]
pub struct QueryError(String);

/// A query that was checked.
#[derive(Clone, Debug)]
pub struct BrokerageQuery {
    pool: Pool,
    sql: Arc<str>,
}

impl BrokerageQuery {
    /// Checks that a query can be parsed, has one column, and may be run.
    pub async fn prepare(pool: Pool, query: &str) -> Result<Self, QueryError> {
        let query = query.trim().trim_end_matches(';').trim_end();
        check_shape(&pool, query).await?;
        // The column is converted to text, whatever its type. The line breaks are for a query that ends
        // with a comment.
        let sql = format!(
            "select distinct found.broker::text from (\n{query}\n) as found(broker) \
             where found.broker is not null limit 2"
        );
        let sql = sql.into();
        let checked = Self { pool, sql };
        let (user, team) = (NOBODY.parse().map_err(refused)?, None);
        checked.run(&Member { user, team }).await.map_err(refused)?;
        Ok(checked)
    }

    #[cfg(test)]
    pub(super) fn unchecked(pool: Pool) -> Self {
        let sql = "".into();
        Self { pool, sql }
    }

    /// The brokerage of a member, if the query finds exactly one.
    pub(super) async fn run(&self, member: &Member) -> sqlx::Result<Option<BrokerId>> {
        limited(LIMIT, self.fetch(member)).await
    }

    async fn fetch(&self, member: &Member) -> sqlx::Result<Option<BrokerId>> {
        let mut transaction = self.pool.begin_with(BEGIN).await?;
        let query = sqlx::query_scalar::<_, String>(AssertSqlSafe(Arc::clone(&self.sql)))
            .bind(member.user.as_str())
            .bind(member.team.as_ref().map(TeamId::as_str));
        let found = match query.fetch_all(&mut *transaction).await {
            Err(error) if is_data_exception(&error) => {
                tracing::debug!(%error, "the broker query cannot convert an id");
                Vec::new()
            }
            found => found?,
        };
        transaction.rollback().await?;
        Ok(only_one(&found))
    }
}

/// Of several brokerages, none is chosen.
fn only_one(found: &[String]) -> Option<BrokerId> {
    match found {
        [] => None,
        [broker] => {
            let parsed = broker.parse();
            if let Err(error) = &parsed {
                tracing::warn!(%error, "the broker query returned a value that is no valid brokerage id");
            }
            parsed.ok()
        }
        _ => {
            tracing::warn!("the broker query found more than one brokerage for a user");
            None
        }
    }
}

async fn check_shape(pool: &Pool, query: &str) -> Result<(), QueryError> {
    let text = <str as Type<Postgres>>::type_info();
    let types: [PgTypeInfo; PARAMETERS] = [text.clone(), text];
    let mut connection = pool.acquire().await.map_err(refused)?;
    let sql = AssertSqlSafe(query.to_owned()).into_sql_str();
    let prepared = connection
        .prepare_with(sql, &types)
        .await
        .map_err(refused)?;
    let parameters = match prepared.parameters() {
        Some(Either::Left(types)) => types.len(),
        Some(Either::Right(count)) => count,
        None => 0,
    };
    if parameters > PARAMETERS {
        return Err(QueryError(format!("it has {parameters} parameters")));
    }
    match prepared.columns().len() {
        1 => Ok(()),
        columns => Err(QueryError(format!("it returns {columns} columns"))),
    }
}

fn refused(error: impl std::fmt::Display) -> QueryError {
    QueryError(error.to_string())
}

fn is_data_exception(error: &sqlx::Error) -> bool {
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code.starts_with(DATA_EXCEPTION))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brokerage_is_found_only_where_there_is_one() {
        let found = |ids: &[&str]| {
            let ids: Vec<_> = ids.iter().map(ToString::to_string).collect();
            only_one(&ids).map(|broker| broker.to_string())
        };
        assert_eq!(found(&["b-1"]).as_deref(), Some("b-1"));
        for none in [&[][..], &["b-1", "b-2"], &[""], &["not a broker"]] {
            assert_eq!(found(none), None, "{none:?}");
        }
    }
}
