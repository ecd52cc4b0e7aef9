//! What is measured by default.

use crate::echo::{Cell, Compression, Payload, Takeover, Workload};

/// The arguments of a task that measures servers that compress.
#[derive(clap::Args, Debug)]
pub(crate) struct Options {
    /// Measure echo servers that compress
    #[arg(long, conflicts_with = "fan_out")]
    compress: bool,

    /// With --compress, only these levels, from 0 to 9
    #[arg(long, value_name = "LEVEL", value_delimiter = ',', default_values_t = [1, 6], requires = "compress")]
    #[arg(value_parser = clap::value_parser!(u8).range(..=9))]
    level: Vec<u8>,

    /// With --compress, only with takeover, or only without [all: both]
    #[arg(long, value_name = "BOOL", requires = "compress")]
    takeover: Option<bool>,

    /// With --compress, the window in both directions, in bits
    #[arg(long, value_name = "BITS", default_value_t = 12, requires = "compress")]
    #[arg(value_parser = clap::value_parser!(u8).range(9..=15))]
    window: u8,
}

impl Options {
    /// Returns the workloads with compression, if it was chosen: each level with takeover, and without.
    pub(crate) fn workloads(&self) -> Option<Vec<Workload>> {
        let is_chosen = |takeover: &Takeover| self.takeover.is_none_or(|on| on == (*takeover == Takeover::On));
        let takeovers = |&level| {
            let takeovers = [Takeover::On, Takeover::Off].into_iter().filter(is_chosen);
            takeovers
                .map(move |takeover| Workload::Compressed(Compression { level, window_bits: self.window, takeover }))
        };
        self.compress.then(|| self.level.iter().flat_map(takeovers).collect())
    }
}

const PAYLOADS: [usize; 3] = [200, 1 << 10, 16 << 10];
/// Numbers of connections, and of messages in flight per connection.
const SHAPES: [(usize, usize); 3] = [(1, 1), (32, 1), (32, 16)];

/// Returns the cells.
pub(crate) fn cells() -> impl Iterator<Item = Cell> {
    PAYLOADS.into_iter().flat_map(|bytes| {
        SHAPES.map(|(connections, in_flight)| Cell { payload: Payload(bytes), connections, in_flight })
    })
}
