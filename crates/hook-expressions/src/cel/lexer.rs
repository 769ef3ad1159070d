//! The text of an expression as tokens.

use std::ops::Range;

use crate::text_error::{TextError, shown};

/// A token and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Range<usize>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum TokenKind {
    Name(String),
    Int(i64),
    Float(f64),
    Text(String),
    /// The name of a field, in backquotes.
    Quoted(String),
    /// 2⁶³, which is an integer behind a minus alone.
    Least,
    Symbol(&'static str),
    End,
}

/// The longer ones first.
const SYMBOLS: [&str; 23] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "!", "?", ":", "+", "-", "*", "/", "%", "(", ")", "[", "]", "{", "}",
    ",",
];

/// All tokens of a text, the end last.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, TextError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip();
        let start = lexer.at;
        let kind = lexer.next()?;
        let is_end = kind == TokenKind::End;
        tokens.push(Token { kind, span: start..lexer.at });
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// Passes whitespace and comments.
    fn skip(&mut self) {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with("//") {
                return;
            }
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        }
    }

    fn next(&mut self) -> Result<TokenKind, TextError> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(TokenKind::End) };
        let prefix = rest.len() - rest.trim_start_matches(|c: char| "rRbB".contains(c)).len();
        if prefix <= 2 && rest[prefix..].starts_with(['"', '\'']) {
            return self.string(prefix);
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
            self.at += end;
            return Ok(TokenKind::Name(rest[..end].to_owned()));
        }
        let is_number =
            first.is_ascii_digit() || first == '.' && rest[1..].starts_with(|second: char| second.is_ascii_digit());
        if is_number {
            return self.number();
        }
        if first == '.' {
            self.at += 1;
            return Ok(TokenKind::Symbol("."));
        }
        if first == '`' {
            return self.quoted();
        }
        match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => {
                self.at += symbol.len();
                Ok(TokenKind::Symbol(symbol))
            }
            None => {
                let help = match first {
                    '=' => "equality is written `==`",
                    '&' => "and is written `&&`",
                    '|' => "or is written `||`",
                    _ => "strings stand in quotes",
                };
                Err(self.error(first.len_utf8(), format!("`{first}` means nothing here"), help))
            }
        }
    }

    fn number(&mut self) -> Result<TokenKind, TextError> {
        let rest = self.rest();
        if let Some(hex) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = hex.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(hex.len());
            let number = i64::from_str_radix(&hex[..length], 16);
            let number =
                number.map_err(|_| self.error(2 + length, "this number is too large", "integers have 64 bits"))?;
            self.at += 2 + length;
            return self.after_number(TokenKind::Int(number));
        }
        let digits = |text: &str| text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let mut end = digits(rest);
        let mut is_float = false;
        // `1.size()` calls a function of the integer.
        if rest[end..].starts_with('.') && rest[end + 1..].starts_with(|c: char| c.is_ascii_digit()) {
            is_float = true;
            end += 1 + digits(&rest[end + 1..]);
        }
        if rest[end..].starts_with(['e', 'E']) {
            let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
            let exponent = digits(&rest[end + 1 + sign..]);
            if exponent > 0 {
                is_float = true;
                end += 1 + sign + exponent;
            }
        }
        let number = &rest[..end];
        let kind = match is_float {
            true => number.parse().ok().filter(|float: &f64| float.is_finite()).map(TokenKind::Float),
            false if number == "9223372036854775808" => Some(TokenKind::Least),
            false => number.parse().ok().map(TokenKind::Int),
        };
        let kind = kind.ok_or_else(|| {
            self.error(end, "this number is too large", "integers have 64 bits; write a float such as `1e20`")
        })?;
        self.at += end;
        self.after_number(kind)
    }

    fn after_number(&self, kind: TokenKind) -> Result<TokenKind, TextError> {
        if self.rest().starts_with(['u', 'U']) {
            return Err(self.error(1, "there are no unsigned integers", "leave the `u` out"));
        }
        if self.rest().starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
            return Err(self.error(1, "a number ends before a letter", "strings stand in quotes"));
        }
        Ok(kind)
    }

    fn quoted(&mut self) -> Result<TokenKind, TextError> {
        let rest = &self.rest()[1..];
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_.-/ ".contains(c);
        let length = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        match rest[length..].starts_with('`') && length > 0 {
            true => {
                self.at += length + 2;
                Ok(TokenKind::Quoted(rest[..length].to_owned()))
            }
            false => Err(self.error(1, "this name of a field does not end", "write any other name as [\"name\"]")),
        }
    }

    fn string(&mut self, prefix: usize) -> Result<TokenKind, TextError> {
        let rest = self.rest();
        let is_raw = rest[..prefix].contains(['r', 'R']);
        if rest[..prefix].contains(['b', 'B']) {
            return Err(self.error(prefix, "there are no bytes", "leave the `b` out: a string is text"));
        }
        let quoted = &rest[prefix..];
        let quote = match quoted {
            _ if quoted.starts_with("\"\"\"") => "\"\"\"",
            _ if quoted.starts_with("'''") => "'''",
            _ => &quoted[..1],
        };
        let start = self.at;
        self.at += prefix + quote.len();
        let mut text = String::new();
        loop {
            let rest = self.rest();
            if rest.starts_with(quote) {
                self.at += quote.len();
                return Ok(TokenKind::Text(text));
            }
            match rest.chars().next() {
                Some('\n') if quote.len() == 1 => break,
                Some('\\') if !is_raw => text.push(self.escape()?),
                Some(other) => {
                    self.at += other.len_utf8();
                    text.push(other);
                }
                None => break,
            }
        }
        let length = self.at - start;
        self.at = start;
        Err(self.error(length, "this string does not end", format!("close it with {quote}")))
    }

    fn escape(&mut self) -> Result<char, TextError> {
        let rest = self.rest();
        let after = rest[1..].chars().next().unwrap_or_default();
        let simple = match after {
            'n' => Some('\n'),
            't' => Some('\t'),
            'r' => Some('\r'),
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'v' => Some('\u{b}'),
            '\\' | '"' | '\'' | '`' | '?' => Some(after),
            _ => None,
        };
        if let Some(simple) = simple {
            self.at += 2;
            return Ok(simple);
        }
        let (skipped, length, radix) = match after {
            'x' | 'X' => (2, 2, 16),
            'u' => (2, 4, 16),
            'U' => (2, 8, 16),
            _ => (1, 3, 8),
        };
        let digits = rest.get(skipped..skipped + length).unwrap_or_default();
        match u32::from_str_radix(digits, radix).ok().and_then(char::from_u32) {
            Some(char) if digits.len() == length => {
                self.at += skipped + length;
                Ok(char)
            }
            _ => {
                let message = format!("`{}` is no escape", shown(rest.get(..2).unwrap_or("\\")));
                Err(self.error(1, message, "write `\\\\` for a backslash, or a raw string such as r\"\\d+\""))
            }
        }
    }

    fn error(&self, length: usize, message: impl Into<String>, help: impl Into<String>) -> TextError {
        let end = (self.at + length).min(self.text.len());
        TextError::new(self.text, self.at..end, message, help)
    }
}
