//! A process that a test starts. It is killed when the test ends.

use std::process::{Child, Command, ExitStatus};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub struct ChildProcess(Child);

impl ChildProcess {
    pub fn spawn(command: &mut Command) -> std::io::Result<Self> {
        command.spawn().map(Self)
    }

    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Its standard input, if that is a pipe.
    pub fn stdin(&mut self) -> std::process::ChildStdin {
        self.0.stdin.take().expect("a pipe")
    }

    /// Its standard error, if that is a pipe.
    pub fn stderr(&mut self) -> std::process::ChildStderr {
        self.0.stderr.take().expect("a pipe")
    }

    /// Its standard output, if that is a pipe.
    pub fn stdout(&mut self) -> std::process::ChildStdout {
        self.0.stdout.take().expect("a pipe")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it runs");
    }

    /// Kills it with SIGKILL. It must still run.
    pub fn kill(mut self) {
        self.0.kill().expect("it runs");
        self.0.wait().expect("it ran");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        self.0.wait().expect("it was started")
    }

    /// How it ended, or `None` while it runs.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("it was started")
    }
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
