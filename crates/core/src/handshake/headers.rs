//! The header fields of a request or response, RFC 9110 section 5.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Header fields in the order in which they came. Names are compared without regard to case.
///
/// Every value is text: UTF-8 if it is valid UTF-8, otherwise taken as ISO 8859-1, one character for a byte. Blanks around
/// it are gone.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Headers {
    /// Names and values, back to back.
    text: String,
    fields: Vec<Field>,
}

/// Where in the text a field ends: its value begins where its name ends, its name where the field before ends.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Field {
    name_end: usize,
    value_end: usize,
}

impl Headers {
    pub(crate) fn new(fields: &[httparse::Header<'_>]) -> Self {
        let size = fields.iter().map(|field| field.name.len() + field.value.len()).sum();
        let mut headers = Self { text: String::with_capacity(size), fields: Vec::with_capacity(fields.len()) };
        for field in fields {
            headers.push(field.name, field.value);
        }
        headers
    }

    fn push(&mut self, name: &str, value: &[u8]) {
        self.text.push_str(name);
        let name_end = self.text.len();
        match core::str::from_utf8(value) {
            Ok(value) => self.text.push_str(value),
            Err(_) => self.text.extend(value.iter().copied().map(char::from)),
        }
        self.fields.push(Field { name_end, value_end: self.text.len() });
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.iter().filter(move |(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Names, as they were sent, and values of all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let starts = core::iter::once(0).chain(self.fields.iter().map(|field| field.value_end));
        self.fields.iter().zip(starts).map(|(field, start)| {
            let part = |from, to| self.text.get(from..to).unwrap_or_default();
            (part(start, field.name_end), part(field.name_end, field.value_end))
        })
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

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
