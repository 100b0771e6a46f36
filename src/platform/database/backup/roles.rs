//! Roles belong to a server, not to a database, so a dump names them and does not have them.

use std::collections::BTreeSet;

use embedded_postgres::EmbeddedPostgres;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::BackupError;

/// The roles that own something in the database, have rights in it, or that a policy is for. Those that every
/// server has are not among them.
pub(super) async fn of_database(server: &EmbeddedPostgres) -> sqlx::Result<BTreeSet<String>> {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await?;
    let roles = sqlx::query_scalar!(
        r#"select distinct r.rolname::text as "name!" from pg_catalog.pg_shdepend d
           join pg_catalog.pg_database b on b.oid = d.dbid and b.datname = current_database()
           join pg_catalog.pg_roles r on r.oid = d.refobjid
           where d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass"#
    );
    let roles = roles.fetch_all(&mut connection).await?;
    connection.close().await?;
    Ok(roles.into_iter().collect())
}

/// Creates those that the server does not have, without the right to log in, and returns them.
pub(super) async fn create_missing(
    server: &EmbeddedPostgres,
    roles: &[String],
) -> Result<Vec<String>, BackupError> {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await?;
    let existing =
        sqlx::query_scalar!(r#"select rolname::text as "name!" from pg_catalog.pg_roles"#);
    let existing = existing.fetch_all(&mut connection).await?;
    let existing: BTreeSet<_> = existing.into_iter().collect();
    let missing: BTreeSet<_> = roles
        .iter()
        .filter(|role| !existing.contains(*role))
        .collect();
    for role in &missing {
        create(&mut connection, role).await?;
    }
    connection.close().await?;
    Ok(missing.into_iter().cloned().collect())
}

async fn create(connection: &mut PgConnection, role: &str) -> Result<(), BackupError> {
    let statement = format!("create role {} nologin", quoted(role));
    let created = sqlx::raw_sql(AssertSqlSafe(statement)).execute(connection);
    match created.await {
        Ok(_) => Ok(()),
        Err(source) => Err(BackupError::Role {
            role: role.to_owned(),
            source,
        }),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_one_name_whatever_is_in_it() {
        assert_eq!(quoted("Ann; \"x\""), "\"Ann; \"\"x\"\"\"");
    }
}
