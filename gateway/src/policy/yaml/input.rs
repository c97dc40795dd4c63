//! Text for the scanner: only what may stand in YAML. The scanner keeps every token of a bracket that might be a key
//! until it is closed, so the text ends when that takes too much memory.

use super::{Fault, Position, fault};
use saphyr_parser::{Input, StrInput};
use std::cell::Cell;
use std::rc::Rc;

/// The most indicators that may be read for one event; each makes up to two tokens of some 100 to 200 octets.
pub(super) const MAX_AHEAD: usize = 1 << 20;

/// The octets as text without byte order mark, if every character may stand in YAML (1.2.2, section 5.1).
pub(super) fn printable(octets: &[u8]) -> Result<&str, Fault> {
    let octets = octets.strip_prefix(b"\xef\xbb\xbf").unwrap_or(octets);
    let text = str::from_utf8(octets).map_err(|error| {
        let offset = error.valid_up_to();
        let value = octets.get(offset).map_or(String::new(), |octet| format!("octet {octet:#04x}"));
        fault(Position::of(octets, offset), value, "is not UTF-8 text", "save the file as UTF-8")
    })?;
    match text.char_indices().find(|&(_, c)| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}')) {
        None => Ok(text),
        Some((offset, c)) => {
            let value = format!("U+{:04X}", u32::from(c));
            Err(fault(Position::of(octets, offset), value, "is a control character", "remove it"))
        }
    }
}

/// Text, and the count of indicators taken from it since somebody set it to zero.
pub(super) struct Bounded<'a> {
    text: StrInput<'a>,
    ahead: Rc<Cell<usize>>,
}

impl<'a> Bounded<'a> {
    /// Text that ends where `ahead` exceeds [`MAX_AHEAD`].
    pub(super) fn new(text: &'a str, ahead: Rc<Cell<usize>>) -> Self {
        Self { text: StrInput::new(text), ahead }
    }

    fn count(&mut self) {
        let next = self.text.peek();
        let begins = match next {
            ',' | '[' | ']' | '{' | '}' | ':' | '?' => true,
            // These go on as one name.
            '&' | '*' | '!' => self.text.peek_nth(1) != next,
            _ => false,
        };
        self.ahead.set(self.ahead.get() + usize::from(begins));
        if self.ahead.get() > MAX_AHEAD {
            self.text = StrInput::new("");
        }
    }
}

impl Input for Bounded<'_> {
    fn lookahead(&mut self, count: usize) {
        self.text.lookahead(count);
    }

    fn buflen(&self) -> usize {
        self.text.buflen()
    }

    fn bufmaxlen(&self) -> usize {
        self.text.bufmaxlen()
    }

    fn buf_is_empty(&self) -> bool {
        self.text.buf_is_empty()
    }

    fn raw_read_ch(&mut self) -> char {
        self.text.raw_read_ch()
    }

    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        self.text.raw_read_non_breakz_ch()
    }

    fn skip(&mut self) {
        self.count();
        self.text.skip();
    }

    fn skip_n(&mut self, count: usize) {
        self.count();
        self.text.skip_n(count);
    }

    fn peek(&self) -> char {
        self.text.peek()
    }

    fn peek_nth(&self, n: usize) -> char {
        self.text.peek_nth(n)
    }

    fn peek_opt(&self) -> Option<char> {
        self.text.peek_opt()
    }

    fn skip_while_non_breakz(&mut self) -> usize {
        self.text.skip_while_non_breakz()
    }
}
