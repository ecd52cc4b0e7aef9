//! `operations`: calls the public methods of `WebSocket` and `Connection` in any order, at any time. None panics, and
//! after each call the contract holds: states only go forward, `Close` comes once and last, failures are permanent, no
//! timer fires before it is due, a closing connection ends unless it makes progress, and the output is exactly what was
//! accepted, unless a deadline, a failed write or the application prevents that.

mod endpoint;
mod operation;
mod run;

use arbitrary::{Result, Unstructured};

use crate::{drive, limits};
use endpoint::Endpoint;
use operation::Operation;
use run::Run;

/// Input: the kind of endpoint (a byte), its configuration (12 bytes), then operations with their arguments.
pub fn run(data: &[u8]) {
    let _ = check(&mut Unstructured::new(data));
}

fn check(u: &mut Unstructured<'_>) -> Result<()> {
    let choice: u8 = u.arbitrary()?;
    let config = limits::all(u)?;
    let endpoint = Endpoint::new(drive::role(choice), choice & 2 != 0, config.clone());
    let mut run = Run::new(endpoint, config);
    while !u.is_empty() {
        let operation = Operation::choose(u)?;
        run.perform(operation, u)?;
        run.check();
    }
    run.finish();
    Ok(())
}
