//! Whether the server has room for the connections of this instance.

use sqlx::PgConnection;

/// The connections of a server.
#[derive(Clone, Copy, Debug)]
struct ServerRoom {
    /// `max_connections`.
    most: i32,
    /// Of those, only a superuser gets the last ones.
    reserved: i32,
    in_use: i32,
}

impl ServerRoom {
    async fn read(connection: &mut PgConnection) -> sqlx::Result<Self> {
        sqlx::query_as!(
            Self,
            r#"select current_setting('max_connections')::int as "most!",
                   current_setting('superuser_reserved_connections')::int
                       + coalesce(current_setting('reserved_connections', true), '0')::int as "reserved!",
                   (select count(*)::int from pg_stat_activity where datname is not null) as "in_use!""#
        )
        .fetch_one(connection)
        .await
    }

    /// What `max_connections` must be at least, so that `more` connections can be opened. `None`: it is enough.
    fn needed_for(self, more: u32) -> Option<i32> {
        let needed = self.in_use.saturating_add_unsigned(more) + self.reserved;
        (needed > self.most).then_some(needed)
    }
}

/// Warns when an instance that will open `more` connections will not get all of them.
pub(super) async fn warn_if_small(connection: &mut PgConnection, more: u32) {
    let room = match ServerRoom::read(connection).await {
        Ok(room) => room,
        Err(error) => {
            return tracing::warn!(%error, "it is unknown how many connections the database has");
        }
    };
    if let Some(needed) = room.needed_for(more) {
        tracing::warn!(
            max_connections = room.most,
            reserved = room.reserved,
            in_use = room.in_use,
            more,
            "Postgres has too few connections for this instance: raise max_connections to {needed} at least, \
             or lower PORCHLIGHT_DATABASE_CONNECTIONS. Instances that start later need more: \
             docs/TROUBLESHOOTING.md"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_instance_with_the_default_of_postgres_has_too_few() {
        let room = |in_use| ServerRoom {
            most: 100,
            reserved: 3,
            in_use,
        };
        assert_eq!(room(34).needed_for(34), None);
        assert_eq!(room(63).needed_for(34), None);
        assert_eq!(room(64).needed_for(34), Some(101));
        assert_eq!(room(68).needed_for(34), Some(105));
    }
}
