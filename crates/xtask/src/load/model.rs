//! `cargo xtask load --model`: computes the throughput of many event loops from costs that are measured here.
//!
//! It is the universal scalability law with measured coefficients. A message to `m` connections that are spread over
//! `n` loops takes `m * deliver` of processor time, and `post + take` for each of the other `n - 1` loops: so `n` loops
//! have the throughput of `n / (1 + a * (n - 1))` loops, where `a = (post + take) / (m * deliver)`. Besides, a publisher
//! holds the locks of all other mailboxes while it posts, which limits the number of messages per second.
//!
//! The law's other coefficient, for what grows with the square of `n`, is assumed to be zero.

use std::fmt;
use std::iter;
use std::time::Duration;

use anyhow::Result;

use super::costs::{BURST, Costs};
use super::table::grouped;
use super::threads;
use crate::echo::{Cell, Payload, allow_connections};

/// The load of the echo: small messages, one at a time.
const ECHO: Cell = Cell { payload: Payload(20), connections: 256, in_flight: 1 };
/// Connections that receive each published message, over all loops.
const MEMBERS: [usize; 3] = [100, 1_000, 10_000];
const NANOSECONDS: f64 = 1e9;

const ASSUMPTIONS: &str = "\
Assumed, and not verifiable on few cores:
  * each loop has a core, has always work, and has an equal share of the connections
  * the kernel, the memory and the caches serve each core as fast as if the others were idle
  * a message from another core costs no more than from the same processor here
  * publishers wait for locks without further cost, and every message is posted to all loops";

/// Measures, and prints the costs and a table.
///
/// # Errors
///
/// If a server or a connection fails.
pub(super) fn run(loops: usize, duration: Duration) -> Result<()> {
    allow_connections(ECHO.connections)?;
    let echo = NANOSECONDS / threads::measure(1, ECHO, duration)?.per_cpu;
    let model = Model { echo, costs: Costs::measure(duration)? };
    println!("{model}\n\nComputed, not measured:{}", Model::HEAD);
    // powers of two, and the last one whatever it is
    let powers = iter::successors(Some(1), |loops| Some(2 * loops)).take_while(|&power| power < loops);
    for loops in powers.chain([loops]) {
        println!("{}", model.row(loops));
    }
    println!("\n{ASSUMPTIONS}");
    Ok(())
}

/// The costs of messages in nanoseconds.
#[derive(Debug)]
struct Model {
    /// A loop's processor time for an echo.
    echo: f64,
    costs: Costs,
}

impl Model {
    const HEAD: &'static str = "
                       deliveries/s in millions, and in % of as many times those of one loop
                       same loop   members on all loops; messages published 1 at a time and 16 at a time
  loops     echoes/s               100                         1,000                       10,000";

    /// Returns the deliveries per second of messages to connections on all loops, published one at a time or in bursts.
    fn to_all(&self, loops: usize, members: usize, is_burst: bool) -> f64 {
        let Costs { post, take, deliver } = self.costs;
        let index = usize::from(is_burst);
        let (others, members) = ((loops - 1) as f64, members as f64);
        let busy = NANOSECONDS * loops as f64 / (members * deliver[index] + others * (post[index] + take[index]));
        // Posting without a wake-up, which happens without the locks.
        let locked = NANOSECONDS / (others * post[1]);
        busy.min(locked) * members
    }

    /// Returns the deliveries per second of messages to connections of the publisher's loop, one at a time.
    fn to_own(&self, loops: usize) -> f64 {
        NANOSECONDS * loops as f64 / self.costs.deliver[0]
    }

    fn row(&self, loops: usize) -> String {
        let echoes = grouped(NANOSECONDS * loops as f64 / self.echo);
        let mut row = format!("  {loops:>5} {echoes:>12} {:>11.1}", self.to_own(loops) / 1e6);
        for members in MEMBERS {
            for is_burst in [false, true] {
                let deliveries = self.to_all(loops, members, is_burst);
                let share = 100.0 * deliveries / (loops as f64 * self.to_all(1, members, is_burst));
                row += &format!("{:>8.1} {share:>3.0}%", deliveries / 1e6);
            }
            row += "  ";
        }
        row.trim_end().to_owned()
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Measured here, in nanoseconds: an echo of 20 B takes {:.0} of a loop's processor time",
            self.echo
        )?;
        write!(f, "A published message of 128 B takes, one at a time and {BURST} at a time:")?;
        for (name, [one, burst]) in [
            ("to post it to another loop", self.costs.post),
            ("to receive it from another loop", self.costs.take),
            ("to deliver it to a connection", self.costs.deliver),
        ] {
            write!(f, "\n  {name:<32} {one:>7.0} {burst:>7.0}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COSTS: Costs = Costs { post: [100.0, 50.0], take: [300.0, 50.0], deliver: [1000.0, 100.0] };
    const MODEL: Model = Model { echo: 1000.0, costs: COSTS };

    #[test]
    fn one_loop_only_delivers() {
        assert_eq!(MODEL.to_all(1, 100, false), MODEL.to_own(1));
        assert_eq!(MODEL.to_own(64), 64.0 * MODEL.to_own(1));
    }

    #[test]
    fn each_other_loop_costs_a_post_and_a_take() {
        // 4 loops spend 4 s on messages of 100 * 1,000 + 3 * 400 ns.
        let messages = 4e9 / 101_200.0;
        assert!((MODEL.to_all(4, 100, false) / 100.0 - messages).abs() < 1e-6);
    }

    #[test]
    fn the_locks_limit_the_messages() {
        // 63 mailboxes are locked for 50 ns each.
        let messages = 1e9 / 3150.0;
        assert!((MODEL.to_all(64, 1, false) - messages).abs() < 1e-6);
    }
}
