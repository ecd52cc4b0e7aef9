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

/// The list does not follow the grammar.
#[derive(Debug)]
pub(crate) struct Malformed;

/// Parses the fields of a message, together one list, in linear time. An error skips the rest of its field.
pub(crate) fn parse<'a>(fields: impl Iterator<Item = &'a str>) -> impl Iterator<Item = Result<Extension, Malformed>> {
    fields.flat_map(|field| {
        let mut list = List::new(field);
        core::iter::from_fn(move || {
            let mut params = Vec::new();
            let name = list.element(|name, value| params.push((name.to_owned(), value.map(Cow::into_owned))));
            name.map(|name| Some(Extension { name: name?.to_owned(), params })).transpose()
        })
    })
}

/// Returns whether the fields name no extension, if all follow the grammar.
pub(crate) fn is_empty<'a>(fields: impl Iterator<Item = &'a str>) -> Result<bool, Malformed> {
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
    fn element(&mut self, param: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Result<Option<&'a str>, Malformed> {
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

    fn extension(&mut self, mut param: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Result<&'a str, Malformed> {
        let name = self.token()?;
        self.skip_blanks();
        while self.eat(';') {
            self.skip_blanks();
            let (name, value) = self.param()?;
            param(name, value);
            self.skip_blanks();
        }
        if self.rest.is_empty() || self.eat(',') { Ok(name) } else { Err(Malformed) }
    }

    fn param(&mut self) -> Result<(&'a str, Option<Cow<'a, str>>), Malformed> {
        let name = self.token()?;
        self.skip_blanks();
        if !self.eat('=') {
            return Ok((name, None));
        }
        self.skip_blanks();
        let value = if self.eat('"') { Cow::Owned(self.quoted()?) } else { Cow::Borrowed(self.token()?) };
        Ok((name, Some(value)))
    }

    fn token(&mut self) -> Result<&'a str, Malformed> {
        let size = self.rest.bytes().position(|byte| !is_token_byte(byte)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at_checked(size).ok_or(Malformed)?;
        self.rest = rest;
        if token.is_empty() { Err(Malformed) } else { Ok(token) }
    }

    /// 9.1: "the value after quoted-string unescaping MUST conform to the 'token' ABNF"
    fn quoted(&mut self) -> Result<String, Malformed> {
        let mut value = String::new();
        let mut characters = self.rest.chars();
        loop {
            match characters.next().ok_or(Malformed)? {
                '"' => break,
                '\\' => value.push(characters.next().ok_or(Malformed)?),
                character => value.push(character),
            }
        }
        self.rest = characters.as_str();
        if is_token(&value) { Ok(value) } else { Err(Malformed) }
    }

    fn skip_blanks(&mut self) {
        while self.eat(' ') || self.eat('\t') {}
    }

    fn eat(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}
