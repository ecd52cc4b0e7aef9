//! The grammar of extensions, RFC 6455 section 9.1.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;

use crate::data::token::{is_token, is_token_byte};

/// An extension, offered or agreed on: its name and its parameters (RFC 6455 section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// The name, a token.
    pub name: String,
    /// The parameters in order: tokens, with a value or without. Quotes around values are removed.
    pub params: Vec<(String, Option<String>)>,
}

/// The list of extensions does not follow the grammar.
#[derive(Debug)]
pub(crate) struct ListError;

/// Parses the fields of a message as one list, in linear time. Skips the rest of a field behind an error.
pub(crate) fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Result<Extension, ListError>> {
    fields.flat_map(|field| {
        let mut list = List::new(field);
        core::iter::from_fn(move || {
            let mut params = Vec::new();
            let name = list.element(|name, value| params.push((name.to_owned(), value.map(Cow::into_owned))));
            name.map(|name| Some(Extension { name: name?.to_owned(), params })).transpose()
        })
    })
}

/// Returns whether the fields have no extension. Fails if one does not follow the grammar.
pub(crate) fn is_empty<'a>(fields: impl Iterator<Item = &'a str>) -> Result<bool, ListError> {
    let mut is_empty = true;
    for field in fields {
        let mut list = List::new(field);
        while list.element(|_, _| ())?.is_some() {
            is_empty = false;
        }
    }
    Ok(is_empty)
}

/// A field that is being parsed.
struct List<'a> {
    rest: &'a str,
    has_ended: bool,
}

impl<'a> List<'a> {
    const fn new(field: &'a str) -> Self {
        Self { rest: field, has_ended: false }
    }

    /// Parses the next element: passes its parameters to `param`, and returns its name. Skips empty elements (RFC 9110
    /// section 5.6.1.2).
    fn element(&mut self, param: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Result<Option<&'a str>, ListError> {
        loop {
            self.skip_blanks();
            if self.has_ended || self.rest.is_empty() {
                return Ok(None);
            }
            if !self.eat(',') {
                break;
            }
        }
        let name = self.extension(param);
        self.has_ended = name.is_err();
        name.map(Some)
    }

    fn extension(&mut self, mut param: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Result<&'a str, ListError> {
        let name = self.token()?;
        self.skip_blanks();
        while self.eat(';') {
            self.skip_blanks();
            let (name, value) = self.param()?;
            param(name, value);
            self.skip_blanks();
        }
        if self.rest.is_empty() || self.eat(',') { Ok(name) } else { Err(ListError) }
    }

    fn param(&mut self) -> Result<(&'a str, Option<Cow<'a, str>>), ListError> {
        let name = self.token()?;
        self.skip_blanks();
        if !self.eat('=') {
            return Ok((name, None));
        }
        self.skip_blanks();
        let value = if self.eat('"') { Cow::Owned(self.quoted()?) } else { Cow::Borrowed(self.token()?) };
        Ok((name, Some(value)))
    }

    fn token(&mut self) -> Result<&'a str, ListError> {
        let size = self.rest.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(size).ok_or(ListError)?;
        self.rest = rest;
        if token.is_empty() { Err(ListError) } else { Ok(token) }
    }

    /// Parses the rest of a quoted string. 9.1: "the value after quoted-string unescaping MUST conform to the 'token'
    /// ABNF"
    fn quoted(&mut self) -> Result<String, ListError> {
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next().ok_or(ListError)? {
                '"' => break,
                '\\' => value.push(characters.next().ok_or(ListError)?),
                character => value.push(character),
            }
        }
        self.rest = characters.as_str();
        if is_token(&value) { Ok(value) } else { Err(ListError) }
    }

    fn skip_blanks(&mut self) {
        while self.eat(' ') || self.eat('\t') {}
    }

    /// Removes this character from the front, if it is there, and returns whether it was.
    fn eat(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}
