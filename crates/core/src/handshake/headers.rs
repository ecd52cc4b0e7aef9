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
        let mut text = Vec::with_capacity(size);
        let mut ends = Vec::with_capacity(fields.len());
        for field in fields {
            text.extend_from_slice(field.name.as_bytes());
            let name_end = text.len();
            text.extend_from_slice(field.value);
            ends.push(Field { name_end, value_end: text.len() });
        }
        // names are ASCII, so that what is valid together is so by itself
        match String::from_utf8(text) {
            Ok(text) => Self { text, fields: ends },
            Err(_) => Self::with_other_text(fields),
        }
    }

    /// The same where some value is not UTF-8.
    #[cold]
    fn with_other_text(fields: &[httparse::Header<'_>]) -> Self {
        let mut headers = Self::default();
        for field in fields {
            headers.text.push_str(field.name);
            let name_end = headers.text.len();
            match core::str::from_utf8(field.value) {
                Ok(value) => headers.text.push_str(value),
                Err(_) => headers.text.extend(field.value.iter().copied().map(char::from)),
            }
            headers.fields.push(Field { name_end, value_end: headers.text.len() });
        }
        headers
    }

    /// The value of the first field of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_all(name).next()
    }

    /// The values of all fields of this name, in order.
    pub fn get_all(&self, name: &str) -> impl Iterator<Item = &str> {
        // most names are of another length, which is seen without looking at them
        let fields = self.fields().filter(|(start, field)| field.name_end - start == name.len());
        fields
            .map(|(start, field)| self.read(start, field))
            .filter(move |(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Names, as they were sent, and values of all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields().map(|(start, field)| self.read(start, field))
    }

    /// Fields, and where they begin.
    fn fields(&self) -> impl Iterator<Item = (usize, &Field)> {
        self.fields.iter().scan(0, |end, field| Some((core::mem::replace(end, field.value_end), field)))
    }

    fn read(&self, start: usize, field: &Field) -> (&str, &str) {
        let part = |from, to| self.text.get(from..to).unwrap_or_default();
        (part(start, field.name_end), part(field.name_end, field.value_end))
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
