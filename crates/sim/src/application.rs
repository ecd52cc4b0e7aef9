//! The state of the application at one end.

use crate::choices::Choices;
use crate::context::Context;
use crate::receive_model::WholeMessage;
use crate::send_model::Coding;
use crate::settings::MILLISECOND;

/// What an application has sent, and when it acts next.
#[derive(Debug)]
pub(crate) struct Application {
    /// Actions that remain before it closes the connection.
    pub(crate) remaining_actions: usize,
    pub(crate) next_at: Option<u64>,
    /// A request awaits its answer.
    pub(crate) has_request: bool,
    /// The request is not for a WebSocket.
    pub(crate) is_http_request: bool,
    /// Nanoseconds between two actions.
    pub(crate) pace: u64,
    /// The maximum length of a message.
    pub(crate) max_message: usize,
    /// The message that it sends in fragments: the part that was sent, the rest, and how it is coded.
    pub(crate) fragmented: Option<(WholeMessage, Vec<u8>, Option<Coding>)>,
    /// Whole messages that the core accepted.
    pub(crate) sent: Vec<WholeMessage>,
    /// The number of control frames sent, which makes their payloads differ.
    pub(crate) controls: u32,
}

impl Application {
    pub(crate) fn new(choices: &mut Choices<'_>, now: u64) -> Self {
        Self {
            remaining_actions: choices.pick(&[20, 0, 4, 12, 40, 60]),
            next_at: choices.once_in(8).then(|| now + choices.below(60) as u64 * MILLISECOND),
            has_request: false,
            is_http_request: false,
            pace: choices.pick(&[1, 0, 10, 40]) * MILLISECOND,
            max_message: usize::MAX,
            fragmented: None,
            sent: Vec::new(),
            controls: 0,
        }
    }

    /// Schedules the answer to a request, or none.
    pub(crate) fn receive_request(&mut self, cx: &mut Context<'_, '_>) {
        self.has_request = true;
        let late = cx.choices.pick(&[0, 0, 0, 5, 50]) * MILLISECOND;
        self.next_at = (!cx.choices.once_in(24)).then_some(cx.now + late);
    }

    /// Schedules the first action on the open connection.
    pub(crate) fn begin(&mut self, cx: &mut Context<'_, '_>) {
        self.next_at = Some(cx.now + cx.choices.pick(&[0, 1]) * self.pace);
    }
}
