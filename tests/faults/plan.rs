//! Which faults happen, in which order: from a seed, so that a run can be repeated.

use std::time::Duration;

use crate::support::{Chance, proxy::Flow};

/// Something that fails for a while. Numbers are instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// All connections of clients to an instance end.
    CutClients(usize),
    /// The same of all instances at once.
    CutAllClients,
    /// Connections take data and answer nothing, until they are cut.
    SilenceClients(usize),
    SlowClients(usize, Flow),
    /// Nobody can connect to an instance.
    RefuseClients(usize),
    CutDatabase(usize),
    SilenceDatabase(usize),
    SlowDatabase(usize, Flow),
    /// An instance does not reach the database.
    RefuseDatabase(usize),
    /// SIGKILL, and a new process later.
    Kill(usize),
    /// SIGSTOP, and SIGCONT later.
    Pause(usize),
    /// SIGTERM, the end of the process, and a new one.
    Drain(usize),
    /// A second SIGTERM does not wait for the streams.
    Hurry(usize),
    /// Connections that listen for notices end again and again.
    CutListeners,
    KillPostgres,
    StopPostgres,
    /// Postgres cannot write.
    FillDisk,
}

impl Fault {
    pub fn kind(self) -> &'static str {
        match self {
            Self::CutClients(_) => "clients cut",
            Self::CutAllClients => "all clients cut",
            Self::SilenceClients(_) => "clients silent",
            Self::SlowClients(_, Flow::Throttled(_)) => "clients throttled",
            Self::SlowClients(..) => "clients delayed",
            Self::RefuseClients(_) => "clients refused",
            Self::CutDatabase(_) => "database cut",
            Self::SilenceDatabase(_) => "database silent",
            Self::SlowDatabase(_, Flow::Throttled(_)) => "database throttled",
            Self::SlowDatabase(..) => "database delayed",
            Self::RefuseDatabase(_) => "database refused",
            Self::Kill(_) => "killed",
            Self::Pause(_) => "paused",
            Self::Drain(_) => "drained",
            Self::Hurry(_) => "stopped in a hurry",
            Self::CutListeners => "listeners cut",
            Self::KillPostgres => "Postgres killed",
            Self::StopPostgres => "Postgres stopped",
            Self::FillDisk => "disk full",
        }
    }
}

/// A fault, how long it lasts, and how long nothing happens after it at least.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    pub fault: Fault,
    /// A second one at the same time.
    pub with: Option<Fault>,
    pub lasts: Duration,
    pub calm: Duration,
}

impl Step {
    pub fn kind(self) -> String {
        match self.with {
            Some(with) => format!("{} + {}", self.fault.kind(), with.kind()),
            None => self.fault.kind().to_owned(),
        }
    }
}

/// The faults of a run, without an end.
pub struct Plan {
    chance: Chance,
    instances: usize,
    /// Kinds that are left of this round: each comes once before one comes again.
    round: Vec<usize>,
}

/// Kinds of faults. Some come twice as often.
const KINDS: usize = 22;
/// One step of so many has two faults.
const PARTS_DOUBLE: usize = 5;

impl Plan {
    pub fn new(seed: u64, instances: usize) -> Self {
        Self {
            chance: Chance::of_seed(seed),
            instances,
            round: Vec::new(),
        }
    }

    pub fn next_step(&mut self) -> Step {
        if self.round.is_empty() {
            self.round = (0..KINDS).collect();
        }
        let place = self.chance.below(self.round.len());
        let kind = self.round.swap_remove(place);
        // All are drawn for every step, so that a plan does not depend on what is done with it.
        let instance = self.chance.below(self.instances);
        // The first instance never ends, so that its memory can be measured over the whole run.
        let mortal = 1 + self.chance.below(self.instances.max(2) - 1);
        let lasts = Duration::from_millis(200 + 100 * self.draw(20));
        let calm = Duration::from_millis(500 + 100 * self.draw(10));
        let is_double = self.chance.below(PARTS_DOUBLE) == 0;
        let delay = Flow::Delayed(Duration::from_millis(20 + 10 * self.draw(15)));
        let throttle = Flow::Throttled(8_192 << self.draw(4));
        let fault = match kind {
            0 => Fault::CutClients(instance),
            1 => Fault::CutAllClients,
            2 => Fault::SilenceClients(instance),
            3 => Fault::SlowClients(instance, delay),
            4 => Fault::SlowClients(instance, throttle),
            5 => Fault::RefuseClients(instance),
            6 | 7 => Fault::CutDatabase(instance),
            8 => Fault::SilenceDatabase(instance),
            9 => Fault::SlowDatabase(instance, delay),
            10 => Fault::SlowDatabase(instance, throttle),
            11 => Fault::RefuseDatabase(instance),
            12..=14 => Fault::Kill(mortal),
            15 | 16 => Fault::Pause(instance),
            17 => Fault::Drain(mortal),
            18 => Fault::Hurry(mortal),
            19 => Fault::CutListeners,
            20 => [Fault::KillPostgres, Fault::StopPostgres][self.chance.below(2)],
            _ => Fault::FillDisk,
        };
        let with = is_double.then(|| companion(fault, instance, delay));
        Step {
            fault,
            with: with.flatten(),
            lasts,
            calm,
        }
    }

    fn draw(&mut self, below: usize) -> u64 {
        u64::try_from(self.chance.below(below)).expect("a small number")
    }
}

/// A fault that can happen at the same time, on the other side of the instances.
fn companion(fault: Fault, instance: usize, delay: Flow) -> Option<Fault> {
    match fault {
        Fault::Kill(_) | Fault::Pause(_) | Fault::KillPostgres => Some(Fault::CutAllClients),
        Fault::CutDatabase(_) | Fault::SilenceDatabase(_) | Fault::RefuseDatabase(_) => {
            Some(Fault::SlowClients(instance, delay))
        }
        Fault::SilenceClients(_) | Fault::RefuseClients(_) => {
            Some(Fault::SlowDatabase(instance, delay))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(seed: u64) -> Vec<Step> {
        let mut plan = Plan::new(seed, 3);
        (0..100).map(|_| plan.next_step()).collect()
    }

    #[test]
    fn a_seed_repeats_its_plan_and_another_has_another() {
        assert_eq!(steps(7), steps(7));
        assert_ne!(steps(7), steps(8));
    }

    #[test]
    fn every_kind_of_fault_comes_and_the_first_instance_never_ends() {
        let steps = steps(1);
        let kinds: std::collections::BTreeSet<_> =
            steps.iter().map(|step| step.fault.kind()).collect();
        assert_eq!(kinds.len(), 19, "{kinds:?}");
        for step in steps {
            let is_end = matches!(
                step.fault,
                Fault::Kill(0) | Fault::Drain(0) | Fault::Hurry(0)
            );
            assert!(!is_end, "{step:?}");
        }
    }
}
