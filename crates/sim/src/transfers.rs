//! Reading and writing: moves bytes between the driver and the transport, and reports to the driver what happened.

use std::io::{ErrorKind, IoSlice};

use sansocket::{ReadyState, bytes::Buf};

use crate::context::{Context, Short};
use crate::endpoint::{Endpoint, WriteMode};
use crate::network::{Network, Read};
use crate::settings::MILLISECOND;

/// The maximum number of bytes that are taken and not written.
const WINDOW: usize = 20_000;

fn is_disconnect(kind: ErrorKind) -> bool {
    sansocket_drive::is_disconnect(&kind.into())
}

impl Endpoint {
    /// Returns whether there are bytes to write.
    pub(crate) fn has_outgoing(&self) -> bool {
        match &self.write_mode {
            WriteMode::Direct => self.wait.write,
            WriteMode::Taking(taken) => self.wait.write || !taken.queue.is_empty(),
        }
    }

    /// Returns when to report written bytes as delivered.
    pub(crate) fn reports_at(&self) -> Option<u64> {
        match &self.write_mode {
            WriteMode::Taking(taken) if taken.unreported > 0 => Some(taken.report_at),
            _ => None,
        }
    }

    /// Reads some of the bytes that have arrived. Returns whether there was anything to read.
    pub(crate) fn read(&mut self, network: &mut Network, cx: &mut Context<'_, '_>) -> bool {
        let max = match (self.pace, cx.choices.below(4)) {
            (Some((max, pause)), _) => {
                self.reads_at = cx.now + pause;
                max
            }
            (None, 0 | 1) => usize::MAX,
            (None, 2) => cx.choices.between(1, 16),
            (None, _) => cx.choices.between(1, 20_000),
        };
        let mut bytes = Vec::new();
        match network.read(self.index, max, cx.now) {
            Read::Nothing => return false,
            Read::Bytes(read) => {
                if self.is_encrypted {
                    cx.trace.line(self.name, format_args!("reads {} bytes", read.len()));
                } else {
                    cx.trace.line(self.name, format_args!("reads {}", Short(&read)));
                }
                bytes = read;
            }
            Read::End => {
                cx.trace.line(self.name, format_args!("reads the end of the stream"));
                self.engine.eof();
                self.note_truncation();
            }
            Read::Failed(kind) => {
                cx.trace.line(self.name, format_args!("cannot read: {kind}"));
                let now = self.clock(cx);
                self.engine.read_lost(kind.into(), now);
                self.note_write_lost(kind);
            }
        }
        self.turn(bytes, network, cx);
        true
    }

    /// Writes as much as the transport accepts, or less. Returns whether bytes moved or writing failed.
    pub(crate) fn write(&mut self, is_all: bool, network: &mut Network, cx: &mut Context<'_, '_>) -> bool {
        let max = if is_all { usize::MAX } else { cx.choices.pick(&[usize::MAX, usize::MAX, 1, 20, 5000]) };
        let (count, failure) = self.write_and_report(max, network, cx);
        if cx.choices.once_in(4) {
            self.engine.websocket_mut().detach_scratch(&mut self.scratch);
        }
        if failure.is_some() {
            self.turn(Vec::new(), network, cx);
        } else {
            self.run_actions(network, cx);
        }
        count > 0 || failure.is_some()
    }

    /// Writes up to `max` bytes, and reports to the driver if writing fails. Returns how many bytes were written, and the
    /// failure.
    pub(crate) fn write_and_report(
        &mut self,
        max: usize,
        network: &mut Network,
        cx: &mut Context<'_, '_>,
    ) -> (usize, Option<ErrorKind>) {
        let result = match &self.write_mode {
            WriteMode::Taking(_) => self.write_taken(max, network, cx),
            WriteMode::Direct => self.write_direct(max, network, cx),
        };
        let (count, failure) = match result {
            Ok(count) => (count, None),
            Err(kind) => (0, Some(kind)),
        };
        cx.trace.line(self.name, format_args!("writes {count} bytes: {failure:?}"));
        if self.is_layered && count > 0 {
            self.deadlines.note_delivered(cx.now);
        }
        self.note_layer(cx.now);
        if let Some(kind) = failure {
            let now = self.clock(cx);
            self.engine.write_lost(kind.into(), now);
            self.note_write_lost(kind);
        }
        (count, failure)
    }

    /// Writes the driver's output, one chunk or several at a time.
    fn write_direct(
        &mut self,
        max: usize,
        network: &mut Network,
        cx: &mut Context<'_, '_>,
    ) -> Result<usize, ErrorKind> {
        let mut written = Vec::new();
        let mut result = Ok(());
        let is_vectored = cx.choices.once_in(3);
        let mut outgoing = self.engine.to_write();
        while outgoing.has_remaining() && written.len() < max {
            let mut bytes = outgoing.chunk().to_vec();
            assert!(!bytes.is_empty(), "bytes remain, but the chunk is empty");
            if is_vectored {
                let mut slices = [IoSlice::new(&[]); 5];
                let room = cx.choices.between(1, slices.len());
                let count = outgoing.chunks_vectored(&mut slices[..room]);
                bytes = slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect();
                assert!(bytes.starts_with(outgoing.chunk()) && bytes.len() <= outgoing.remaining());
            }
            bytes.truncate(max - written.len());
            match network.write(self.index, &bytes, cx.now, cx.choices) {
                Ok(0) => break,
                Ok(count) => {
                    // advancing by more than there is takes everything
                    let is_all = count == outgoing.remaining() && !self.is_layered;
                    outgoing.advance(if is_all { cx.choices.pick(&[count, usize::MAX / 2]) } else { count });
                    written.extend_from_slice(&bytes[..count]);
                }
                Err(kind) => {
                    result = Err(kind);
                    break;
                }
            }
        }
        drop(outgoing);
        if !self.is_layered && !written.is_empty() {
            self.model.send.take(&written);
            self.model.deliver(written.len());
            self.deadlines.note_delivered(cx.now);
        }
        result.map(|()| written.len())
    }

    /// Takes bytes from the driver, and writes bytes that were taken.
    fn write_taken(&mut self, max: usize, network: &mut Network, cx: &mut Context<'_, '_>) -> Result<usize, ErrorKind> {
        let WriteMode::Taking(taken) = &mut self.write_mode else { return Ok(0) };
        let mut queued: usize = taken.queue.iter().map(|bytes| bytes.len()).sum();
        while queued < WINDOW && !self.engine.has_write_ended() {
            let bytes = self.engine.take_bytes(cx.choices.pick(&[WINDOW, 1000, 1, 10]));
            if bytes.is_empty() {
                break;
            }
            queued += bytes.len();
            self.model.send.take(&bytes);
            taken.queue.push_back(bytes);
        }
        let mut written = 0;
        while let Some(bytes) = taken.queue.front_mut()
            && written < max
        {
            let count = bytes.len().min(max - written);
            let count = network.write(self.index, &bytes[..count], cx.now, cx.choices)?;
            if count == 0 {
                break;
            }
            if taken.unreported == 0 {
                taken.report_at = cx.now + cx.choices.pick(&[0, 0, 5, 30]) * MILLISECOND;
            }
            taken.unreported += count;
            written += count;
            bytes.advance(count);
            if bytes.is_empty() {
                taken.queue.pop_front();
            }
        }
        Ok(written)
    }

    /// Reports some or all of the written bytes as delivered.
    pub(crate) fn report(&mut self, is_all: bool, network: &mut Network, cx: &mut Context<'_, '_>) {
        let WriteMode::Taking(taken) = &mut self.write_mode else { return };
        // the choice 0 reports all of them: single bytes would exceed the steps of a run
        let count = if is_all { taken.unreported } else { taken.unreported - cx.choices.below(taken.unreported) };
        if count == 0 {
            return;
        }
        taken.unreported -= count;
        cx.trace.line(self.name, format_args!("reports {count} bytes as delivered"));
        self.engine.delivered(count);
        self.model.deliver(count);
        self.deadlines.note_delivered(cx.now);
        self.run_actions(network, cx);
    }

    /// Handles a deadline: reads and writes once more, then calls the driver's `timeout` if the deadline has passed.
    pub(crate) fn timeout(&mut self, is_early: bool, network: &mut Network, cx: &mut Context<'_, '_>) {
        if self.wait.read {
            self.read(network, cx);
        }
        if !self.is_done && self.has_outgoing() {
            self.write(true, network, cx);
        }
        if !self.is_done {
            self.report(true, network, cx);
        }
        if self.is_done || (!is_early && self.wait.until.is_none_or(|until| until > cx.now)) {
            return;
        }
        self.observe_acks(network);
        let now = self.clock(cx);
        let outstanding = self.knows_acks.then_some(self.outstanding);
        cx.trace.line(self.name, format_args!("handles its deadline, {outstanding:?} bytes outstanding"));
        self.engine.timeout(outstanding, now);
        self.is_timed_out = true;
        self.turn(Vec::new(), network, cx);
        let until = self.wait.until;
        assert!(self.is_done || until.is_none_or(|until| until > cx.now), "the driver waits for a past deadline");
    }

    /// Notes that writing has failed.
    fn note_write_lost(&mut self, kind: ErrorKind) {
        if let WriteMode::Taking(taken) = &mut self.write_mode {
            taken.queue.clear();
            taken.unreported = 0;
        }
        if !self.model.write_lost {
            self.model.lose_write();
        }
        if !is_disconnect(kind) && !self.has_reported_failure {
            self.unreported_io_failure.get_or_insert(kind);
        }
    }

    /// Notes that the stream has ended too early for the layer. The driver must report it, unless the peer's Close frame
    /// has arrived or the connection has failed or ended.
    fn note_truncation(&mut self) {
        let is_over = self.has_reported_failure || self.model.received.is_some() || self.state == ReadyState::Closed;
        self.has_missed_close_message = self.engine.awaits_close_message();
        if self.has_missed_close_message && !is_over {
            self.is_truncated = true;
            self.unreported_io_failure.get_or_insert(ErrorKind::InvalidData);
        }
    }

    /// Notes whether the layer ended the stream because the peer broke its rules.
    pub(crate) fn note_layer_failure(&mut self) {
        if self.engine.layer_has_failed() {
            self.model.is_disturbed = true;
            if !self.has_reported_failure {
                self.unreported_io_failure.get_or_insert(ErrorKind::InvalidData);
            }
        }
    }

    /// Passes to the model what the layer has taken and delivered.
    pub(crate) fn note_layer(&mut self, now: u64) {
        let Some(progress) = self.engine.take_layer_progress() else { return };
        if !progress.taken.is_empty() {
            self.model.send.take(&progress.taken);
        }
        // before its close message, a layer may hold ciphertext of output that the connection has dropped
        if progress.delivered > 0 && !self.engine.has_closed_layer() {
            self.model.deliver(progress.delivered);
            self.deadlines.note_delivered(now);
        }
    }
}
