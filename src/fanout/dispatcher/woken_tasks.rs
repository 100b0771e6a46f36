//! Wakes tasks of a worker thread through its mailbox.
//!
//! A task that another thread wakes costs a system call, however many are woken with it. The mailbox wakes the
//! thread once, also for the topics that have changed.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use super::Mailbox;

struct MailedWaker {
    mailbox: Arc<Mailbox>,
    task: Waker,
}

impl Wake for MailedWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.wake_task(&self.task);
    }
}

impl Mailbox {
    /// Waits for `future`, which other threads complete, in a task of this mailbox's worker thread.
    pub async fn wait_for<F: Future>(self: &Arc<Self>, future: F) -> F::Output {
        let mut future = pin!(future);
        let mut mailed: Option<(Waker, Waker)> = None;
        poll_fn(|context| {
            let task = context.waker();
            let known = mailed.take().filter(|(known, _)| known.will_wake(task));
            let (_, waker) = mailed.insert(known.unwrap_or_else(|| {
                let (mailbox, task) = (Arc::clone(self), task.clone());
                let waker = MailedWaker { mailbox, task };
                (context.waker().clone(), Arc::new(waker).into())
            }));
            future.as_mut().poll(&mut Context::from_waker(waker))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Poll;

    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_task_is_woken_when_the_worker_thread_takes_its_mail() {
        let mailbox = Arc::<Mailbox>::default();
        let counted = Arc::<Wakes>::default();
        let woken = || counted.0.load(Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&counted));
        let mut context = Context::from_waker(&waker);
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel()).unzip();
        let waits = receivers.into_iter().map(|answer| mailbox.wait_for(answer));
        let mut waits: Vec<_> = waits.map(Box::pin).collect();
        for wait in &mut waits {
            assert_eq!(wait.as_mut().poll(&mut context), Poll::Pending);
        }
        assert!(mailbox.take(false).now_or_never().is_none());
        for (n, sender) in senders.into_iter().enumerate() {
            sender.send(n).unwrap();
        }
        assert_eq!(woken(), 0);
        let mail = mailbox.take(false).now_or_never().expect("mail");
        assert_eq!(mail.tasks.len(), 3);
        mail.tasks.into_iter().for_each(Waker::wake);
        assert_eq!(woken(), 3);
        for (n, wait) in waits.iter_mut().enumerate() {
            assert_eq!(wait.as_mut().poll(&mut context), Poll::Ready(Ok(n)));
        }
    }
}
