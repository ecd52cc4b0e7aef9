//! Extensions as they are offered and agreed, RFC 6455 section 9.1. What one of them means is not decided here.

use alloc::borrow::{Cow, ToOwned};
use alloc::string::String;
use alloc::vec::Vec;

use crate::handshake::syntax::{is_token, is_token_byte};

/// An extension, offered or agreed: its name and its parameters (RFC 6455 section 9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Extension {
    /// The name, a token.
    pub name: String,
    /// The parameters in order: tokens, with a value or without. A value that was quoted is so no longer.
    pub params: Vec<(String, Option<String>)>,
}

/// The list does not follow the grammar.
#[derive(Debug)]
pub(crate) struct Malformed;

/// Reads the fields of a message, together one list. Each byte is looked at a bounded number of times. After an error
/// nothing more is read of that field.
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

/// Whether the fields name no extension, if all of them follow the grammar.
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

/// What is left of a field.
struct List<'a> {
    rest: &'a str,
    is_over: bool,
}

impl<'a> List<'a> {
    const fn new(field: &'a str) -> Self {
        Self { rest: field, is_over: false }
    }

    /// The name of the next element, and its parameters one by one; empty elements are skipped (RFC 9110 section
    /// 5.6.1.2).
    fn element(&mut self, param: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Result<Option<&'a str>, Malformed> {
        loop {
            self.blanks();
            if self.is_over || self.rest.is_empty() {
                return Ok(None);
            }
            if !self.eat(',') {
                break;
            }
        }
        let name = self.extension(param);
        self.is_over = name.is_err();
        name.map(Some)
    }

    fn extension(&mut self, mut param: impl FnMut(&'a str, Option<Cow<'a, str>>)) -> Result<&'a str, Malformed> {
        let name = self.token()?;
        self.blanks();
        while self.eat(';') {
            self.blanks();
            let (name, value) = self.param()?;
            param(name, value);
            self.blanks();
        }
        if self.rest.is_empty() || self.eat(',') { Ok(name) } else { Err(Malformed) }
    }

    fn param(&mut self) -> Result<(&'a str, Option<Cow<'a, str>>), Malformed> {
        let name = self.token()?;
        self.blanks();
        if !self.eat('=') {
            return Ok((name, None));
        }
        self.blanks();
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

    fn blanks(&mut self) {
        while self.eat(' ') || self.eat('\t') {}
    }

    fn eat(&mut self, character: char) -> bool {
        let rest = self.rest.strip_prefix(character);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }
}
