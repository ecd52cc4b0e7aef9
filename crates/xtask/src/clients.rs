//! The clients of a server of any workload, for the tasks that measure several: `cost`, `idle` and `load`.

use std::ffi::OsString;

use anyhow::Result;

use crate::compressed;
use crate::echo::{self, Cell, Program, Server, StopAfter, Tally, Workload};
use crate::fan_out;

/// Connections to a server, which close when it is dropped.
#[derive(Debug)]
pub(crate) enum Clients {
    Echo(Box<echo::Generator>),
    FanOut(fan_out::Generator),
    Compressed(Box<compressed::Generator>),
}

impl Clients {
    /// Opens the connections of a cell to a running server.
    pub(crate) fn connect(workload: Workload, server: &Server, cell: Cell) -> Result<Self> {
        match workload {
            Workload::Echo => echo::Generator::connect(server.address(), cell).map(|echo| Self::Echo(Box::new(echo))),
            Workload::Tls => {
                echo::Generator::connect_tls(server.address(), cell).map(|echo| Self::Echo(Box::new(echo)))
            }
            Workload::FanOut => fan_out::Generator::connect(server.address(), cell).map(Self::FanOut),
            Workload::Compressed(compression) => {
                let generator = compressed::Generator::connect(server.address(), cell, compression)?;
                Ok(Self::Compressed(Box::new(generator)))
            }
        }
    }

    /// Sends until `stop`, and waits for everything that the server sends in return.
    pub(crate) fn run(&mut self, stop: StopAfter) -> Result<Tally> {
        match self {
            Self::Echo(generator) => generator.run(stop),
            Self::FanOut(generator) => generator.run(stop),
            Self::Compressed(generator) => generator.run(stop),
        }
    }
}

/// Starts a server with the command `prefix`, receives this many messages from it or a few more, and ends it. Returns
/// how many.
pub(crate) fn receive_messages(program: &Program, prefix: &[OsString], cell: Cell, messages: u64) -> Result<u64> {
    let mut server = Server::start(program, prefix)?;
    let receive = || {
        let mut clients = Clients::connect(program.workload(), &server, cell)?;
        let tally = clients.run(StopAfter::Messages(messages))?;
        anyhow::Ok((clients, tally.messages))
    };
    let (clients, messages) = receive().map_err(|error| server.explain(error))?;
    // While the connections are open: closing them would take a varying number of instructions.
    server.end()?;
    drop(clients);
    Ok(messages)
}
