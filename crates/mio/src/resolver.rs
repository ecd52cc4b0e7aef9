//! Resolver: looks up names in threads, since the system's resolver blocks.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The most threads. Further lookups wait: a name that takes long delays at most the others of its thread.
const THREADS: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// Looks up names for event loops. Has no threads while it has nothing to do.
#[derive(Default)]
pub(crate) struct Resolver {
    shared: Arc<Mutex<Jobs>>,
}

#[derive(Default)]
struct Jobs {
    queue: VecDeque<Job>,
    threads: usize,
}

impl Resolver {
    /// Runs a job in one of the threads.
    ///
    /// # Errors
    ///
    /// The system has no thread, and none of the resolver's runs. The job is dropped.
    pub(crate) fn run(&self, job: impl FnOnce() + Send + 'static) -> io::Result<()> {
        let mut jobs = lock(&self.shared);
        jobs.queue.push_back(Box::new(job));
        if jobs.threads < THREADS {
            let shared = Arc::clone(&self.shared);
            let thread = thread::Builder::new().name("sansocket resolver".into());
            match thread.spawn(move || work(&shared)) {
                Ok(_) => jobs.threads += 1,
                Err(error) if jobs.threads == 0 => {
                    jobs.queue.pop_back();
                    return Err(error);
                }
                Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Runs jobs until there are none.
fn work(shared: &Mutex<Jobs>) {
    loop {
        let mut jobs = lock(shared);
        let Some(job) = jobs.queue.pop_front() else {
            jobs.threads -= 1;
            return;
        };
        drop(jobs);
        job();
    }
}

fn lock(jobs: &Mutex<Jobs>) -> MutexGuard<'_, Jobs> {
    jobs.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}
