//! An independent parser for RFC 9112, RFC 9110 and RFC 6455 section 4, as strict as the core: lines end in CR LF, and
//! it repairs only what a user agent must repair.

/// The head of a message.
#[derive(Debug)]
pub(crate) enum Head {
    /// More bytes are needed.
    More,
    /// The bytes are not a head.
    Broken,
    /// The lines without the empty ones, and the size in bytes.
    Whole { lines: Vec<Vec<u8>>, size: usize },
}

/// The limits on a head: the defaults of the core's `Config`.
const MAX_SIZE: usize = 16 * 1024;
const MAX_LINES: usize = 100;

/// Parses up to the empty line. `before` bytes count against the limit already.
pub(crate) fn head(bytes: &[u8], before: usize) -> Head {
    let mut lines = Vec::new();
    let mut line = Vec::new();
    for (at, &byte) in bytes.iter().enumerate() {
        if before + at >= MAX_SIZE {
            return Head::Broken;
        }
        if lines.is_empty() && line.is_empty() && !matches!(byte, b'\r' | b'\n') && !is_token(&[byte]) {
            return Head::Broken;
        }
        line.push(byte);
        if byte != b'\n' {
            continue;
        }
        let Some(content) = line.strip_suffix(b"\r\n") else { return Head::Broken };
        match (content.is_empty(), lines.is_empty()) {
            // RFC 9112 2.2: empty lines before the start line are ignored
            (true, true) => {}
            (true, false) => return Head::Whole { lines, size: at + 1 },
            (false, _) => lines.push(content.to_vec()),
        }
        if lines.len() > MAX_LINES + 1 {
            return Head::Broken;
        }
        line.clear();
    }
    Head::More
}

/// The names and values of header fields.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Parses fields (RFC 9112 section 5). Returns `None` if a line is not a field.
    pub(crate) fn parse(lines: &[Vec<u8>]) -> Option<Self> {
        let field = |line: &Vec<u8>| {
            let colon = line.iter().position(|&byte| byte == b':')?;
            let (name, value) = (&line[..colon], &line[colon + 1..]);
            let is_value = |byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
            (is_token(name) && value.iter().all(is_value)).then_some(())?;
            let text = match std::str::from_utf8(value) {
                Ok(text) => text.to_owned(),
                Err(_) => value.iter().map(|&byte| char::from(byte)).collect(),
            };
            let name = name.iter().map(|&byte| char::from(byte)).collect();
            Some((name, text.trim_matches([' ', '\t']).to_owned()))
        };
        lines.iter().map(field).collect::<Option<_>>().map(Self)
    }

    /// Parses the fields of a response, where a line that begins with a blank continues the value before it (RFC 9112
    /// section 5.2).
    pub(crate) fn parse_folded(lines: &[Vec<u8>]) -> Option<Self> {
        let mut unfolded: Vec<Vec<u8>> = Vec::new();
        for line in lines {
            if line.starts_with(b" ") || line.starts_with(b"\t") {
                let field = unfolded.last_mut()?;
                let value = |byte: &u8| !matches!(byte, b' ' | b'\t');
                field.truncate(field.iter().rposition(value).map_or(0, |at| at + 1));
                field.push(b' ');
                field.extend(line.iter().skip_while(|byte| !value(byte)));
            } else {
                unfolded.push(line.clone());
            }
        }
        Self::parse(&unfolded)
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(each, _)| each.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str()).collect()
    }

    /// Returns the value of a field, or an error if it occurs several times.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ()> {
        match self.all(name)[..] {
            [] => Ok(None),
            [value] => Ok(Some(value)),
            _ => Err(()),
        }
    }

    /// Returns the members of a list, which may span several lines (RFC 9110 section 5.6.1).
    pub(crate) fn list(&self, name: &str) -> Vec<&str> {
        let members = self.all(name).into_iter().flat_map(|value| value.split(','));
        members.map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty()).collect()
    }

    pub(crate) fn lists(&self, name: &str, member: &str) -> bool {
        self.list(name).iter().any(|each| each.eq_ignore_ascii_case(member))
    }
}

pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// An authority without user information: `host [":" port]` (RFC 3986 section 3.2).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    /// An IP literal includes its brackets.
    pub(crate) host: &'a str,
    pub(crate) port: Result<Option<u16>, ()>,
}

pub(crate) fn authority(text: &str) -> Option<Authority<'_>> {
    let end = match text.starts_with('[') {
        true => text.find(']')? + 1,
        false => text.find(':').unwrap_or(text.len()),
    };
    let (host, port) = text.split_at(end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => Ok(None),
        Some("") => Ok(None),
        Some(digits) if digits.bytes().all(|digit| digit.is_ascii_digit()) => digits.parse().map(Some).map_err(|_| ()),
        _ => return None,
    };
    let is_host = match host.strip_prefix('[') {
        Some(literal) => is_ip_literal(literal.strip_suffix(']')?),
        None => is_encoded(host, b"-._~!$&'()*+,;="),
    };
    is_host.then_some(Authority { host, port })
}

fn is_ip_literal(literal: &str) -> bool {
    match literal.strip_prefix(['v', 'V']) {
        // IPvFuture
        Some(future) => future.split_once('.').is_some_and(|(version, address)| {
            let is_address = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:".contains(&byte);
            !version.is_empty()
                && version.bytes().all(|digit| digit.is_ascii_hexdigit())
                && !address.is_empty()
                && address.bytes().all(is_address)
        }),
        None => literal.parse::<std::net::Ipv6Addr>().is_ok(),
    }
}

/// Returns whether a text consists of letters, digits, the bytes in `others`, and percent encoding.
pub(crate) fn is_encoded(text: &str, others: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let is_hex = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_hexdigit());
        let is_valid = match byte {
            b'%' => is_hex(bytes.next()) && is_hex(bytes.next()),
            byte => byte.is_ascii_alphanumeric() || others.contains(&byte),
        };
        if !is_valid {
            return false;
        }
    }
    true
}

/// An element of a list of extensions: its name, and its parameters with their values.
pub(crate) type Extension = (String, Vec<(String, Option<String>)>);

/// Parses a list of extensions (RFC 6455 section 9.1). Returns `None` if it breaks the grammar.
pub(crate) fn extensions(values: &[&str]) -> Option<Vec<Extension>> {
    let mut extensions = Vec::new();
    for value in values {
        let words = words(value)?;
        for element in words.split(|word| *word == Word::Mark(',')).filter(|element| !element.is_empty()) {
            let mut parts = element.split(|word| *word == Word::Mark(';'));
            let Some([Word::Token(name)]) = parts.next() else { return None };
            let param = |part: &[Word]| {
                use Word::{Mark, Quoted, Token};
                match part {
                    [Token(name)] => Some((name.clone(), None)),
                    [Token(name), Mark('='), Token(value)] => Some((name.clone(), Some(value.clone()))),
                    [Token(name), Mark('='), Quoted(value)] if is_token(value.as_bytes()) => {
                        Some((name.clone(), Some(value.clone())))
                    }
                    _ => None,
                }
            };
            extensions.push((name.clone(), parts.map(param).collect::<Option<_>>()?));
        }
    }
    Some(extensions)
}

#[derive(Debug, PartialEq)]
enum Word {
    Token(String),
    Quoted(String),
    Mark(char),
}

fn words(value: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = value.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            ' ' | '\t' => {}
            ',' | ';' | '=' => words.push(Word::Mark(next)),
            '"' => {
                let mut quoted = String::new();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '\\' => quoted.push(rest.next()?),
                        other => quoted.push(other),
                    }
                }
                words.push(Word::Quoted(quoted));
            }
            _ => {
                let mut token = String::from(next);
                while let Some(&next) = rest.peek().filter(|next| !matches!(next, ' ' | '\t' | ',' | ';' | '=' | '"')) {
                    token.push(next);
                    rest.next();
                }
                if !is_token(token.as_bytes()) {
                    return None;
                }
                words.push(Word::Token(token));
            }
        }
    }
    Some(words)
}
