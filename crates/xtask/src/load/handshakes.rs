//! `cargo xtask load --handshakes`: opening handshakes over TLS, full ones and those that resume a session.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};
use sansocket_mio::tls::ClientTls;
use sansocket_mio::tls::rustls::client::Resumption;
use sansocket_mio::{Connection, Connections, Connector, DialError, Error, EventLoop, Handler, Open, Target};

use super::run::{Cores, MIN_WARM_UP};
use super::table::grouped;
use crate::echo::{Program, SILENCE_MAX, Server};

/// The connections that are made at the same time: a client of rustls keeps as many tickets for a server.
const AT_A_TIME: usize = 8;

/// The two kinds of handshakes.
const KINDS: [(&str, bool); 2] = [("full handshakes", false), ("resumed handshakes", true)];

/// Measures the servers in turn, and prints the medians of handshakes per second of the server's processor time.
pub(super) fn run(programs: &[Program], cores: &Cores, passes: usize, duration: Duration) -> Result<()> {
    for (kind, is_resumed) in KINDS {
        println!("\n{kind}, TCP and the opening handshake included: {AT_A_TIME} at a time");
        let mut rates = vec![Vec::new(); programs.len()];
        for _ in 0..passes {
            for (rates, program) in rates.iter_mut().zip(programs) {
                rates.push(measure(program, cores, is_resumed, duration)?);
            }
        }
        let medians: Vec<_> = rates.iter_mut().map(|rates| median(rates)).collect();
        for (program, rate) in programs.iter().zip(&medians) {
            println!("  {program:<24} {:>11} per CPU second {:>8.2}x", grouped(*rate), medians[0] / rate);
        }
    }
    Ok(())
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Returns the handshakes per second of the server's processor time.
fn measure(program: &Program, cores: &Cores, is_resumed: bool, duration: Duration) -> Result<f64> {
    let mut server = Server::start(program, &cores.prefix())?;
    let rate = rate(&server, is_resumed, duration).map_err(|error| server.explain(error))?;
    server.end()?;
    Ok(rate)
}

fn rate(server: &Server, is_resumed: bool, duration: Duration) -> Result<f64> {
    let tls = ClientTls::builder().dangerous_accept_any_certificate().build()?;
    let tls = if is_resumed {
        tls
    } else {
        let mut config = (**tls.config()).clone();
        config.resumption = Resumption::disabled();
        ClientTls::from_config(Arc::new(config))?
    };
    let target: Target = format!("wss://{}/", server.address()).parse()?;
    let connector = Connector::new().tls(tls);
    let clients =
        Clients { connector: connector.clone(), target: target.clone(), opened: 0, resumed: 0, failure: None };
    let mut event_loop = EventLoop::new(clients)?;
    for _ in 0..AT_A_TIME {
        event_loop.connect_with(&connector, target.clone(), ())?;
    }
    turn_for(&mut event_loop, MIN_WARM_UP.max(duration / 10))?;
    let before = (server.cpu_time()?, event_loop.handler().opened, event_loop.handler().resumed);
    turn_for(&mut event_loop, duration)?;
    let cpu = server.cpu_time()? - before.0;
    let clients = event_loop.handler();
    let (opened, resumed) = (clients.opened - before.1, clients.resumed - before.2);
    let expected = if is_resumed { opened } else { 0 };
    ensure!(resumed == expected, "{resumed} of {opened} handshakes have resumed a session");
    Ok(opened as f64 / cpu.as_secs_f64())
}

fn turn_for(event_loop: &mut EventLoop<Clients>, duration: Duration) -> Result<()> {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        event_loop.turn(Some(SILENCE_MAX))?;
        if let Some(failure) = event_loop.handler().failure.take() {
            return Err(failure);
        }
    }
    Ok(())
}

/// Clients that connect, close, and connect again.
struct Clients {
    connector: Connector,
    target: Target,
    opened: u64,
    resumed: u64,
    failure: Option<anyhow::Error>,
}

impl Handler for Clients {
    type Data = ();
    type Event = ();

    fn on_open(&mut self, connection: &mut Connection<'_, Self>, _: Open) {
        self.opened += 1;
        self.resumed += u64::from(connection.tls().and_then(|tls| tls.is_resumed()) == Some(true));
        connection.abort();
        if let Err(error) = connection.connections().connect_with(&self.connector, self.target.clone(), ()) {
            self.failure = Some(error.into());
        }
    }

    fn on_error(&mut self, _: &mut Connection<'_, Self>, error: Error) {
        self.failure = Some(anyhow!(error));
    }

    fn on_connect_error(&mut self, _: &mut Connections<Self>, (): (), error: DialError) {
        self.failure = Some(anyhow!(error));
    }
}
