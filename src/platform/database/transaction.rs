//! A transaction that keeps its turn at the pool until it has ended.

use std::ops::{Deref, DerefMut};

use sqlx::{Connection, PgConnection, Postgres};

use super::turns::Turn;

#[derive(Debug)]
pub struct Transaction<'c> {
    transaction: sqlx::Transaction<'c, Postgres>,
    // Dropped after the transaction.
    turn: Option<Turn>,
}

impl<'c> Transaction<'c> {
    pub(super) fn with_turn(
        transaction: sqlx::Transaction<'c, Postgres>,
        turn: Option<Turn>,
    ) -> Self {
        Self { transaction, turn }
    }

    /// Begins on a connection that needs no turn, or has it already.
    pub async fn begin(connection: &'c mut PgConnection) -> sqlx::Result<Self> {
        let transaction = connection.begin().await?;
        Ok(Self::with_turn(transaction, None))
    }

    pub async fn commit(self) -> sqlx::Result<()> {
        let committed = self.transaction.commit().await;
        drop(self.turn);
        committed
    }

    pub async fn rollback(self) -> sqlx::Result<()> {
        let rolled_back = self.transaction.rollback().await;
        drop(self.turn);
        rolled_back
    }
}

impl Deref for Transaction<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.transaction
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }
}
