//! The header fields of a request or response, RFC 9110 section 5.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use httparse::Header;

use super::values::has_element;
use crate::data::redact;
use crate::data::token::{is_field_text, is_token};

/// Header fields in the order in which they arrived. Names are compared without regard to case. Clones are cheap.
///
/// Every value is text: UTF-8 if it is valid UTF-8, otherwise ISO 8859-1, with one character per byte. Blanks around it
/// are removed. `Debug` redacts credentials: the values of `Authorization`, `Cookie`, `Proxy-Authorization` and
/// `Set-Cookie`.
#[derive(Clone, Default)]
pub struct Headers {
    /// The head as it was received. If a value in it is not UTF-8: the names and decoded values, back to back.
    head: Arc<str>,
    /// The fields, then method (as a name) and target (as a value). In the head, a blank and the version follow the
    /// target.
    lines: Arc<[Line]>,
}

/// The positions of a field in the head.
pub(crate) struct Line {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// Stores the result of a parser for this head: `start` has method and target, `version` the text behind the target
    /// (a blank first), `fields` the header fields. Also returns whether every line is known to end in CR LF.
    pub(crate) fn new(head: &[u8], start: Header<'_>, version: &str, fields: &[Header<'_>]) -> (Self, bool) {
        let lines = (0..fields.len() + 1).map(|number| fields.get(number).unwrap_or(&start));
        let Ok(text) = simdutf8::basic::from_utf8(head) else {
            let lines = lines.map(|line| (line.name, line.value));
            return (Self::collect(lines, &[version]), false);
        };
        // names and values are parts of the head: their addresses give their positions in it
        let position = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
            start..start.wrapping_add(part.len())
        };
        // each line begins with a name, so each name must follow a CR LF; the last line is empty
        let mut is_strict = head.ends_with(b"\r\n\r\n");
        let lines = lines.map(|line| {
            let line = Line { name: position(line.name.as_bytes()), value: position(line.value) };
            is_strict &=
                line.name.start == 0 || head.get(..line.name.start).is_some_and(|before| before.ends_with(b"\r\n"));
            line
        });
        let lines = lines.collect();
        (Self { head: text.into(), lines }, is_strict)
    }

    /// Copies fields whose values may not be UTF-8, then method and target, then the text behind the target.
    #[cold]
    fn collect<'a>(lines: impl Iterator<Item = (&'a str, &'a [u8])>, after_target: &[&str]) -> Self {
        let mut text = String::new();
        let mut push = |part: &[u8]| {
            let start = text.len();
            match core::str::from_utf8(part) {
                Ok(part) => text.push_str(part),
                Err(_) => text.extend(part.iter().copied().map(char::from)),
            }
            start..text.len()
        };
        let lines = lines.map(|(name, value)| Line { name: push(name.as_bytes()), value: push(value) }).collect();
        text.extend(after_target.iter().copied());
        Self { lines, head: text.into() }
    }

    /// Copies a start line (method, target, and the text behind the target) and fields, which no parser has checked.
    ///
    /// # Errors
    ///
    /// The first field whose name is not a token, or whose value has CR, LF, NUL or another control character (RFC 9110
    /// section 5.5).
    pub(crate) fn from_parts(
        (method, target, after_target): (&str, &str, &[&str]),
        fields: impl IntoIterator<Item = (impl AsRef<str>, impl AsRef<[u8]>)>,
    ) -> Result<Self, (String, Vec<u8>)> {
        let fields: Vec<_> = fields.into_iter().collect();
        let fields = || fields.iter().map(|(name, value)| (name.as_ref(), trim(value.as_ref())));
        match fields().find(|(name, value)| !is_token(name) || !is_field_text(value)) {
            Some((name, value)) => Err((name.into(), value.into())),
            None => Ok(Self::collect(fields().chain([(method, target.as_bytes())]), after_target)),
        }
    }

    /// Returns the method and the target of a request.
    pub(crate) fn start(&self) -> (&str, &str) {
        self.lines.last().map(|line| (self.read(&line.name), self.read(&line.value))).unwrap_or_default()
    }

    /// Returns whether the method of a request is this one.
    pub(crate) fn has_method(&self, method: &str) -> bool {
        self.lines.last().is_some_and(|line| self.head.as_bytes().get(line.name.clone()) == Some(method.as_bytes()))
    }

    /// Returns the text behind the target and a blank, which begins with the version.
    pub(crate) fn after_target(&self) -> &[u8] {
        let after = self.lines.last().and_then(|line| self.head.as_bytes().get(line.value.end + 1..));
        after.unwrap_or_default()
    }

    pub(crate) fn fields(&self) -> &[Line] {
        self.lines.split_last().map(|(_, fields)| fields).unwrap_or_default()
    }

    /// Returns whether the field has this name. Inlined: a comparison with a constant name takes a few instructions.
    #[inline(always)]
    pub(crate) fn has_name(&self, field: &Line, name: &str) -> bool {
        // most names differ in length, and most other names have the usual case
        let Range { start, end } = field.name;
        end - start == name.len()
            && self
                .head
                .as_bytes()
                .get(start..end)
                .is_some_and(|found| found == name.as_bytes() || found.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub(crate) fn value(&self, field: &Line) -> &str {
        self.read(&field.value)
    }

    /// Returns the value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// Returns the values of all fields of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields().iter().filter(move |field| self.has_name(field, name)).map(|field| self.value(field))
    }

    /// Returns the value of a field that must not be repeated.
    pub(crate) fn single(&self, name: &str) -> Single<'_> {
        let mut single = Single::Missing;
        self.get_all(name).for_each(|value| single.add(value));
        single
    }

    /// Returns whether the list in all fields of this name (RFC 9110 section 5.3) has this element, in any case.
    pub(crate) fn has_element(&self, name: &str, element: &str) -> bool {
        self.get_all(name).any(|list| has_element(list, element))
    }

    /// Returns the fields of this name as one list (RFC 9110 section 5.3).
    pub(crate) fn joined(&self, name: &str) -> Option<Box<str>> {
        self.get_all(name).map(String::from).reduce(|list, value| list + ", " + &value).map(String::into_boxed_str)
    }

    /// Returns the name, as it was sent, and the value of every field.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields().iter().map(|field| (self.read(&field.name), self.value(field)))
    }

    fn read(&self, position: &Range<usize>) -> &str {
        self.head.get(position.clone()).unwrap_or_default()
    }

    /// Returns the number of fields.
    pub fn len(&self) -> usize {
        self.fields().len()
    }

    /// Returns whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.fields().is_empty()
    }
}

/// The value of a field that must not be repeated.
#[derive(Clone, Copy)]
pub(crate) enum Single<'a> {
    Missing,
    Value(&'a str),
    Repeated,
}

impl<'a> Single<'a> {
    /// Adds the value of another field of the same name.
    pub(crate) fn add(&mut self, value: &'a str) {
        *self = match self {
            Self::Missing => Self::Value(value),
            Self::Value(_) | Self::Repeated => Self::Repeated,
        };
    }
}

/// Removes the blanks around a value.
fn trim(value: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().take_while(|byte| is_blank(byte)).count();
    let value = value.get(start..).unwrap_or_default();
    let end = value.iter().rev().take_while(|byte| is_blank(byte)).count();
    value.get(..value.len() - end).unwrap_or_default()
}

/// Equal if names, as they were sent, and values are equal and in the same order.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(name, value)| redact::Field(name, value))).finish()
    }
}
