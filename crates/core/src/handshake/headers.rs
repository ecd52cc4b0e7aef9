//! The header fields of a request or response, RFC 9110 section 5.

use alloc::string::String;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

use httparse::Header;

/// Header fields in the order in which they came. Names are compared without regard to case. To clone them is cheap.
///
/// Every value is text: UTF-8 if it is valid UTF-8, otherwise taken as ISO 8859-1, one character for a byte. Blanks around
/// it are gone.
#[derive(Clone, Default)]
pub struct Headers {
    /// The head that they came in. Where some value is not UTF-8: its start line, then names and values back to back.
    head: Arc<str>,
    fields: Arc<[Field]>,
}

/// Where in the head a field lies.
pub(crate) struct Field {
    name: Range<usize>,
    value: Range<usize>,
}

impl Headers {
    /// The fields that were found in this head.
    pub(crate) fn new(head: &[u8], fields: &[Header<'_>]) -> Self {
        let Ok(text) = simdutf8::basic::from_utf8(head) else { return Self::with_other_text(head, fields) };
        // names and values are parts of the head, so that their addresses say where in it they lie
        let place = |part: &[u8]| {
            let start = part.as_ptr().addr().wrapping_sub(head.as_ptr().addr());
            start..start.wrapping_add(part.len())
        };
        let fields = fields.iter().map(|field| Field { name: place(field.name.as_bytes()), value: place(field.value) });
        Self { head: text.into(), fields: fields.collect() }
    }

    /// The same where some value is not UTF-8.
    #[cold]
    fn with_other_text(head: &[u8], fields: &[Header<'_>]) -> Self {
        let start_line = head.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let mut text: String = start_line.iter().copied().map(char::from).collect();
        let mut push = |part: &[u8]| {
            let start = text.len();
            match core::str::from_utf8(part) {
                Ok(part) => text.push_str(part),
                Err(_) => text.extend(part.iter().copied().map(char::from)),
            }
            start..text.len()
        };
        let fields = fields.iter().map(|field| Field { name: push(field.name.as_bytes()), value: push(field.value) });
        Self { fields: fields.collect(), head: text.into() }
    }

    /// The head that they came in: its start line at least.
    pub(crate) fn head(&self) -> &str {
        &self.head
    }

    /// Whether every line of the head is known to end in CR LF: every field begins a line, and the last one is empty.
    pub(crate) fn have_strict_lines(&self) -> bool {
        let head = self.head.as_bytes();
        let is_line = |field: &Field| head.get(..field.name.start).is_some_and(|before| before.ends_with(b"\r\n"));
        head.ends_with(b"\r\n\r\n") && self.fields.iter().all(is_line)
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn has_name(&self, field: &Field, name: &str) -> bool {
        // most names are of another length, and most others in the usual case
        field.name.end - field.name.start == name.len()
            && self
                .head
                .as_bytes()
                .get(field.name.clone())
                .is_some_and(|found| found == name.as_bytes() || found.eq_ignore_ascii_case(name.as_bytes()))
    }

    pub(crate) fn value(&self, field: &Field) -> &str {
        self.read(&field.value)
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.fields.iter().filter(move |field| self.has_name(field, name)).map(|field| self.value(field))
    }

    /// Names, as they were sent, and values of all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|field| (self.read(&field.name), self.value(field)))
    }

    fn read(&self, place: &Range<usize>) -> &str {
        self.head.get(place.clone()).unwrap_or_default()
    }

    /// The number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

/// The same names, as they were sent, and values in the same order.
impl PartialEq for Headers {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Headers {}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
