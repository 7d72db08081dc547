//! Runs tasks that wake each other, and lets time pass when none is awake.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake};

use super::clock;

/// How often tasks may run without time passing: more is a busy loop.
const MAX_ROUNDS: usize = 20_000;

#[derive(Clone, Copy, Debug)]
pub struct TaskId(usize);

#[derive(Default)]
pub struct Executor {
    tasks: Vec<Option<Task>>,
}

struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    awake: Arc<Awake>,
}

struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Executor {
    pub fn spawn<T>(&mut self, task: impl Future<Output = T> + 'static) -> TaskId {
        let future = Box::pin(async move {
            task.await;
        });
        self.tasks.push(Some(Task { future, awake: Arc::new(Awake(AtomicBool::new(true))) }));
        TaskId(self.tasks.len() - 1)
    }

    pub fn kill(&mut self, task: TaskId) {
        self.tasks[task.0] = None;
    }

    /// Runs until `end`, or until `done`; says whether it was.
    pub fn run(&mut self, end: u64, mut done: impl FnMut() -> bool) -> bool {
        let mut rounds = 0;
        loop {
            let busy = self.round();
            if done() {
                return true;
            }
            if busy {
                rounds += 1;
                assert!(rounds < MAX_ROUNDS, "the tasks keep each other busy");
            } else if clock::advance(end) {
                rounds = 0;
            } else {
                return false;
            }
        }
    }

    /// Polls each task that is awake, once. Says whether there was one.
    fn round(&mut self) -> bool {
        let mut busy = false;
        for place in &mut self.tasks {
            let Some(Task { future, awake }) = place else { continue };
            if !awake.0.swap(false, Ordering::Relaxed) {
                continue;
            }
            busy = true;
            let waker = Arc::clone(awake).into();
            if let Poll::Ready(()) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                *place = None;
            }
        }
        busy
    }
}
