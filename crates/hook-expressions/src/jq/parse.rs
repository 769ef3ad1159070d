//! From a text to terms: what the parser would recurse on without bound is refused before.

use std::ops::Range;

use jaq_core::{
    load::{
        Lexer, Parser,
        lex::{StrPart, Tok, Token},
        parse::{BinaryOp, Term},
    },
    ops,
};

use crate::text_error::{TextError, shown};

use super::{
    MAX_LENGTH,
    program::{Math, Update},
};

/// Brackets and quotes within each other, at most so many.
const MAX_BRACKETS: usize = 40;
/// Words after which the parser goes deeper, at most so many in a program: it has no bound of its own.
const MAX_WORDS: usize = 100;
/// Signs after which it does.
const MAX_SIGNS: usize = 400;
/// Refuses what the parser would recurse on without bound. Strings are not told from the rest: a limit that counts too much
/// is still a limit.
pub(super) fn guard(text: &str) -> Result<(), TextError> {
    let refuse = |at: usize, what: String| Err(TextError::new(text, at..at + 1, what, "write a shorter program"));
    if text.len() > MAX_LENGTH {
        return refuse(MAX_LENGTH, format!("the program is longer than {MAX_LENGTH} bytes"));
    }
    let (mut brackets, mut signs, mut minuses) = (0_usize, 0, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' | b'[' | b'{' => brackets += 1,
            b')' | b']' | b'}' => brackets = brackets.saturating_sub(1),
            b'|' | b'/' | b'=' | b'-' => signs += 1,
            _ => {}
        }
        minuses = match byte {
            b'-' => minuses + 1,
            _ if byte.is_ascii_whitespace() => minuses,
            _ => 0,
        };
        if brackets > MAX_BRACKETS || minuses > MAX_BRACKETS {
            return refuse(at, format!("more than {MAX_BRACKETS} brackets or signs stand within each other"));
        }
        if signs > MAX_SIGNS {
            return refuse(at, format!("the program has more than {MAX_SIGNS} operators"));
        }
    }
    let is_word = |word: &&str| matches!(*word, "def" | "if" | "try" | "catch" | "reduce" | "foreach" | "label" | "as");
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(is_word).count();
    match words > MAX_WORDS {
        true => refuse(0, format!("the program has more than {MAX_WORDS} words such as `if` and `def`")),
        false => Ok(()),
    }
}

pub(super) fn parse(text: &str) -> Result<Term<&str>, TextError> {
    let tokens = Lexer::new(text).lex().map_err(|errors| {
        let (expected, rest) = errors.first().map_or(("something else", ""), |(what, rest)| (what.as_str(), *rest));
        let start = text.len() - rest.len().min(text.len());
        TextError::new(text, start..text.len(), format!("expected a {expected}"), "mend the program here")
    })?;
    // What is wrong is told in the words of the text.
    parsed(text, &tokens)?;
    parsed(text, &regrouped(&tokens))
}

fn parsed<'s>(text: &'s str, tokens: &[Token<&'s str>]) -> Result<Term<&'s str>, TextError> {
    Parser::new(tokens).parse(Parser::term).map_err(|errors| {
        let Some((expected, found)) = errors.first() else { return whole(text, "this is no program") };
        let (span, found) = match found {
            Some(token) => (place(text, token.0), format!("`{}`", shown(token.0))),
            None => (text.len()..text.len(), "the end".to_owned()),
        };
        let message = format!("expected {}, found {found}", expected.as_str());
        TextError::new(text, span, message, "mend the program here")
    })
}

/// The operators `%`, `//` and those that change something, in the words of others: jaq groups them in another way than jq.
///
/// | text | for the parser | so that |
/// |---|---|---|
/// | `a % b` | `a * mark * b` | `%` is as close as `*` and `/` |
/// | `a = b` | `a // mark // b` | it is closer than `//` |
/// | `a // b` | `a = b` | it is less close than `=` |
///
/// The mark is a word that nobody can write. [`Grouped`] is the way back.
fn regrouped<'s>(tokens: &[Token<&'s str>]) -> Vec<Token<&'s str>> {
    let mut grouped = Vec::with_capacity(tokens.len());
    for Token(text, kind) in tokens {
        let marked = |sign: &'static str| [Token(sign, Tok::Sym), Token(*text, Tok::Word), Token(sign, Tok::Sym)];
        match (kind, *text) {
            (Tok::Sym, "%") => grouped.extend(marked("*")),
            (Tok::Sym, "//") => grouped.push(Token("=", Tok::Sym)),
            (Tok::Sym, sign) if update_of(sign).is_some() => grouped.extend(marked("//")),
            (kind, text) => grouped.push(Token(text, regrouped_within(kind))),
        }
    }
    grouped
}

fn regrouped_within<'s>(kind: &Tok<&'s str>) -> Tok<&'s str> {
    match kind {
        Tok::Word => Tok::Word,
        Tok::Var => Tok::Var,
        Tok::Fmt => Tok::Fmt,
        Tok::Num => Tok::Num,
        Tok::Sym => Tok::Sym,
        Tok::Block(tokens) => Tok::Block(regrouped(tokens)),
        Tok::Str(parts) => Tok::Str(
            parts
                .iter()
                .map(|part| match part {
                    StrPart::Str(text) => StrPart::Str(*text),
                    StrPart::Char(char) => StrPart::Char(*char),
                    StrPart::Term(Token(text, kind)) => StrPart::Term(Token(*text, regrouped_within(kind))),
                })
                .collect(),
        ),
    }
}

/// What an operator was before it was regrouped.
pub(super) enum Grouped<'t, 's> {
    Alternative,
    Remainder(&'t Term<&'s str>),
    Update(Update, &'t Term<&'s str>),
    /// As it stands.
    Other,
}

impl<'t, 's> Grouped<'t, 's> {
    /// The operator that stands behind a term.
    pub(super) fn of(left: &'t Term<&'s str>, operator: &BinaryOp<&'s str>) -> Self {
        let marked = |is_sign: fn(&BinaryOp<&'s str>) -> bool| match left {
            Term::BinOp(target, sign, mark) if is_sign(sign) => match &**mark {
                Term::Call(mark, _) => Some((*mark, &**target)),
                _ => None,
            },
            _ => None,
        };
        match operator {
            BinaryOp::Assign => Self::Alternative,
            BinaryOp::Math(ops::Math::Mul) => match marked(|sign| matches!(sign, BinaryOp::Math(ops::Math::Mul))) {
                Some(("%", left)) => Self::Remainder(left),
                _ => Self::Other,
            },
            BinaryOp::Alt => match marked(|sign| matches!(sign, BinaryOp::Alt)) {
                Some((mark, left)) => update_of(mark).map_or(Self::Other, |update| Self::Update(update, left)),
                None => Self::Other,
            },
            _ => Self::Other,
        }
    }
}

fn update_of(sign: &str) -> Option<Update> {
    Some(match sign {
        "=" => Update::Assign,
        "|=" => Update::Modify,
        "//=" => Update::Alternative,
        "+=" => Update::Calculate(Math::Add),
        "-=" => Update::Calculate(Math::Subtract),
        "*=" => Update::Calculate(Math::Multiply),
        "/=" => Update::Calculate(Math::Divide),
        "%=" => Update::Calculate(Math::Remainder),
        _ => return None,
    })
}

pub(super) fn whole(text: &str, message: &str) -> TextError {
    TextError::new(text, 0..text.len(), message, "mend the program")
}

/// Where a piece stands that was borrowed from a text.
pub(super) fn place(text: &str, piece: &str) -> Range<usize> {
    let start = piece.as_ptr().addr().wrapping_sub(text.as_ptr().addr());
    if start + piece.len() <= text.len() { start..start + piece.len() } else { 0..text.len() }
}
