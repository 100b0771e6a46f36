//! Those who use the service in a run.

mod access;
mod editors;
mod imports;
mod kinds;
mod lockers;
mod outputs;
mod people;
mod polls;
mod presence;
mod publishers;
mod readers;
mod workers;
mod writers;

use std::sync::Arc;

use tokio::task::JoinSet;

use crate::support::Chance;
use crate::world::World;

pub use readers::{Readers, Target};

/// Everyone, while a run lasts.
pub struct Actors {
    pub readers: Readers,
    chance: Chance,
    imports: imports::Imports,
    running: JoinSet<()>,
}

impl Actors {
    /// Starts everyone. All of them end by themselves when everything ends.
    pub async fn start(world: &Arc<World>, mut chance: Chance) -> Self {
        writers::create_table(world).await;
        let mut running = JoinSet::new();
        let revocable = access::Revocable::default();
        let readers = readers::start(world, &mut chance, &revocable, &mut running);
        access::start(world, &mut chance, revocable, &mut running);
        publishers::start(world, &mut chance, &mut running);
        writers::start(world, &mut chance, &mut running);
        editors::start(world, &mut chance, &mut running);
        lockers::start(world, &mut chance, &mut running);
        workers::start(world, &mut chance, &mut running);
        presence::start(world, &mut chance, &mut running);
        let imports = imports::start(world, &mut chance, &mut running);
        Self {
            readers,
            chance,
            imports,
            running,
        }
    }

    /// Whether what was begun is over.
    pub async fn have_finished(&self, world: &World) -> bool {
        workers::have_ended(world).await
    }

    /// Notes what is true when all is calm.
    pub async fn note(&mut self, world: &Arc<World>) {
        presence::note(world, &mut self.chance, &self.readers).await;
        workers::note_states(world).await;
        imports::note(world, &self.imports).await;
    }

    /// Waits for the end of everyone. None of them may panic.
    pub async fn ended(mut self) {
        while let Some(ended) = self.running.join_next().await {
            ended.expect("no actor panics");
        }
    }
}
