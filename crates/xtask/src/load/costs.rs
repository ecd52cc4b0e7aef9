//! The costs of messages between event loops, measured in this process.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use sansocket_mio::{
    Config, Connection, Connections, Connector, EncodedMessage, Handler, Keepalive, Message, Open, Options, Threads,
};

use crate::echo::running_time;

/// The payload of a published message, in bytes.
const PAYLOAD: usize = 128;
/// The connections to which deliveries are measured.
const MEMBERS: usize = 100;
/// Loops among which posting is measured; each costs the same.
const LOOPS: u16 = 8;
/// Messages published at once, if a loop is not woken for each.
pub(super) const BURST: usize = 16;
/// The maximum time until all messages have arrived.
const LIMIT: Duration = Duration::from_secs(30);

/// Costs in nanoseconds, each with one message at a time, and with [`BURST`]. The receiving loops are busy: they take
/// messages once in a turn, and the first one causes a system call of the publisher.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Costs {
    /// The publisher's time to post a message to one loop.
    pub(super) post: [f64; 2],
    /// A loop's processor time to receive a published message.
    pub(super) take: [f64; 2],
    /// A loop's processor time to deliver it to one connection.
    pub(super) deliver: [f64; 2],
}

impl Costs {
    /// Measures six times for this long.
    pub(super) fn measure(duration: Duration) -> Result<Self> {
        let mut costs = Self { post: [0.0; 2], take: [0.0; 2], deliver: [0.0; 2] };
        for (index, burst) in [1, BURST].into_iter().enumerate() {
            let one = Publisher::start(1, 0)?.publish(burst, duration)?;
            let all = Publisher::start(LOOPS, 0)?.publish(burst, duration)?;
            let members = Publisher::start(1, MEMBERS)?.publish(burst, duration)?;
            costs.post[index] = (all.post - one.post).max(0.0) / f64::from(LOOPS - 1);
            costs.take[index] = all.loops / f64::from(LOOPS);
            costs.deliver[index] = (members.loops - costs.take[index]).max(0.0) / MEMBERS as f64;
        }
        Ok(costs)
    }
}

/// The times of one message, in nanoseconds.
struct Times {
    /// The publisher's: the median, since other threads interrupt it.
    post: f64,
    /// The processor time of all loops together.
    loops: f64,
}

/// Event loops, and the clients that receive what they publish.
struct Publisher {
    loops: Threads<Member>,
    clients: Threads<Member>,
    /// The system's numbers of the loops' threads.
    tasks: Vec<i32>,
    reports: mpsc::Receiver<i32>,
    members: usize,
    received: Arc<AtomicUsize>,
}

impl Publisher {
    fn start(count: u16, members: usize) -> Result<Self> {
        let received = Arc::new(AtomicUsize::new(0));
        let (loops, reports) = start(count, &received)?;
        let (clients, opened) = start(1, &received)?;
        let tasks = (0..count).map(|_| next(&reports)).collect::<Result<_>>()?;
        next(&opened)?;
        let address = loops.local_addr();
        for _ in 0..members {
            clients.handle().connect(&Connector::new(), format!("ws://{address}").parse()?, ())?;
            // both ends are open
            next(&reports)?;
            next(&opened)?;
        }
        Ok(Self { loops, clients, tasks, reports, members, received })
    }

    /// Publishes messages in bursts for this long, half of the time bursts of none: the difference is their cost.
    fn publish(self, burst: usize, duration: Duration) -> Result<Times> {
        let (_, idle) = self.rounds(0, duration / 2)?;
        let (mut posts, busy) = self.rounds(burst, duration / 2)?;
        self.loops.handle().stop()?;
        self.loops.join()?;
        self.clients.handle().stop()?;
        self.clients.join()?;
        posts.sort_by(f64::total_cmp);
        let burst = burst as f64;
        Ok(Times { post: posts[posts.len() / 2] / burst, loops: (busy - idle).max(0.0) / burst })
    }

    /// Publishes a burst in each round, while all loops are held. Returns the publisher's times, and the mean processor
    /// time of all loops together, each for one round.
    fn rounds(&self, burst: usize, duration: Duration) -> Result<(Vec<f64>, f64)> {
        let handle = self.loops.handle();
        let message = EncodedMessage::new(&[0; PAYLOAD][..], &Config::default());
        let (mut posts, expected) = (Vec::new(), self.received.load(Relaxed));
        let (start, before) = (Instant::now(), self.cpu_time()?);
        while start.elapsed() < duration {
            let mut held = Vec::new();
            for thread in 0..self.tasks.len() {
                let (release, until) = mpsc::channel();
                handle.post(thread, until).map_err(|error| error.map(drop))?;
                held.push(release);
            }
            self.tasks.iter().try_for_each(|_| next(&self.reports).map(drop))?;
            let began = Instant::now();
            for _ in 0..burst {
                handle.broadcast_encoded(&message)?;
            }
            posts.push(began.elapsed().as_nanos() as f64);
            drop(held);
            let expected = expected + posts.len() * burst * self.members;
            while handle.pending() > 0 || self.received.load(Relaxed) < expected {
                ensure!(began.elapsed() < LIMIT, "messages have not arrived for {} s", LIMIT.as_secs());
                thread::yield_now();
            }
        }
        let mean = (self.cpu_time()? - before).as_nanos() as f64 / posts.len() as f64;
        Ok((posts, mean))
    }

    fn cpu_time(&self) -> Result<Duration> {
        self.tasks.iter().map(|task| running_time(format!("/proc/self/task/{task}").as_ref())).sum()
    }
}

/// Starts loops that report to the receiver.
fn start(count: u16, received: &Arc<AtomicUsize>) -> Result<(Threads<Member>, mpsc::Receiver<i32>)> {
    let (report, reports) = mpsc::channel();
    let member = |_| Member { report: report.clone(), received: Arc::clone(received) };
    let mut config = Config::default();
    config.keepalive = Keepalive::Off;
    Ok((Threads::start(count, &Options::new().config(config), "127.0.0.1:0", member)?, reports))
}

/// Waits for a report of a loop.
fn next(reports: &mpsc::Receiver<i32>) -> Result<i32> {
    reports.recv_timeout(LIMIT).context("an event loop does not answer")
}

/// The handler of both ends: counts the messages that clients receive.
struct Member {
    /// Reports the system's number of the thread: when the loop starts, when a connection is open, and when the loop is
    /// held.
    report: mpsc::Sender<i32>,
    received: Arc<AtomicUsize>,
}

impl Member {
    fn report(&self) {
        // Nothing receives it if the measurement has failed.
        let _ = self.report.send(rustix::thread::gettid().as_raw_pid());
    }
}

impl Handler for Member {
    type Data = ();
    /// Holds the loop until the sender is dropped.
    type Event = mpsc::Receiver<()>;

    fn on_start(&mut self, _: &mut Connections<Self>) {
        self.report();
    }

    fn on_open(&mut self, _: &mut Connection<'_, Self>, _: Open) {
        self.report();
    }

    fn on_event(&mut self, _: &mut Connections<Self>, until: mpsc::Receiver<()>) {
        self.report();
        let _ = until.recv_timeout(LIMIT);
    }

    fn on_message(&mut self, _: &mut Connection<'_, Self>, _: Message<'_>) {
        self.received.fetch_add(1, Relaxed);
    }
}
