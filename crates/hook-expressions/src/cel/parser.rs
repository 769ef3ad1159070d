//! From tokens to a program. Precedence climbs by one function a level; names are resolved on the way.

use std::{ops::Range, sync::Arc};

use crate::{
    number::Number,
    pattern::{Dialect, Pattern},
    text_error::{TextError, shown},
    value::Value,
};

use super::{
    functions::Function,
    lexer::{self, Token, TokenKind},
    syntax::{Arithmetic, Field, Kind, Macro, MacroName, Node, Program, Relation, Root},
};

/// Brackets, calls and operators within each other, at most so many.
const MAX_DEPTH: usize = 40;
/// Macros within each other, at most so many: each multiplies the work by the size of a list.
const MAX_MACROS: usize = 3;

const VARIABLES: &str = "there are `source`, `type`, `payload` and `meta`";
const KEYWORDS: [&str; 4] = ["false", "in", "null", "true"];
const RESERVED: [&str; 19] = [
    "in",
    "as",
    "break",
    "const",
    "continue",
    "else",
    "for",
    "function",
    "if",
    "import",
    "let",
    "loop",
    "package",
    "namespace",
    "return",
    "var",
    "void",
    "while",
    "null",
];

/// Parses a text that is one expression.
pub(super) fn parse(text: &str) -> Result<Program, TextError> {
    let tokens = lexer::tokens(text)?;
    let mut parser = Parser { text, tokens, at: 0, depth: 0, locals: Vec::new(), fields: Vec::new() };
    let root = parser.expression()?;
    match &parser.peek().kind {
        TokenKind::End => Ok(Program { root, fields: parser.fields }),
        _ => Err(parser.unexpected("the end of the expression")),
    }
}

struct Parser<'t> {
    text: &'t str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// Variables of the macros around, the outermost first.
    locals: Vec<String>,
    fields: Vec<Field>,
}

type Parsed = Result<Node, TextError>;

impl Parser<'_> {
    fn expression(&mut self) -> Parsed {
        self.deeper(|parser| {
            let condition = parser.any()?;
            if !parser.takes("?") {
                return Ok(condition);
            }
            let then = parser.any()?;
            parser.expect(":")?;
            let otherwise = parser.expression()?;
            let span = condition.span.start..otherwise.span.end;
            parser.node(Kind::Conditional(Box::new([condition, then, otherwise])), span)
        })
    }

    fn any(&mut self) -> Parsed {
        self.chain("||", Self::all, Kind::Any)
    }

    fn all(&mut self) -> Parsed {
        self.chain("&&", Self::relation, Kind::All)
    }

    fn chain(&mut self, symbol: &str, part: fn(&mut Self) -> Parsed, kind: fn(Vec<Node>) -> Kind) -> Parsed {
        let first = part(self)?;
        if !self.is_at(symbol) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.takes(symbol) {
            parts.push(part(self)?);
        }
        let span = span_of(&parts);
        self.node(kind(parts), span)
    }

    fn relation(&mut self) -> Parsed {
        let relations = [
            ("==", Relation::Equal),
            ("!=", Relation::Unequal),
            ("<=", Relation::LessOrEqual),
            (">=", Relation::GreaterOrEqual),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        let mut left = self.sum()?;
        for _ in 0..MAX_DEPTH {
            let found = relations.iter().find(|(symbol, _)| self.is_at(symbol)).map(|(_, relation)| *relation);
            let relation = match (found, &self.peek().kind) {
                (Some(relation), _) => relation,
                (None, TokenKind::Name(name)) if name == "in" => Relation::In,
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.sum()?;
            let span = left.span.start..right.span.end;
            left = self.node(Kind::Relation(relation, Box::new([left, right])), span)?;
        }
        Err(self.too_deep())
    }

    fn sum(&mut self) -> Parsed {
        let operators = [("+", Arithmetic::Add), ("-", Arithmetic::Subtract)];
        self.arithmetic(&operators, Self::product)
    }

    fn product(&mut self) -> Parsed {
        let operators = [("*", Arithmetic::Multiply), ("/", Arithmetic::Divide), ("%", Arithmetic::Remainder)];
        self.arithmetic(&operators, Self::unary)
    }

    fn arithmetic(&mut self, operators: &[(&str, Arithmetic)], part: fn(&mut Self) -> Parsed) -> Parsed {
        let mut left = part(self)?;
        for _ in 0..MAX_DEPTH {
            let found = operators.iter().find(|(symbol, _)| self.is_at(symbol)).map(|(_, operator)| *operator);
            let Some(operator) = found else { return Ok(left) };
            self.at += 1;
            let right = part(self)?;
            let span = left.span.start..right.span.end;
            left = self.node(Kind::Arithmetic(operator, Box::new([left, right])), span)?;
        }
        Err(self.too_deep())
    }

    fn unary(&mut self) -> Parsed {
        let start = self.peek().span.start;
        if self.takes("!") {
            let inner = self.deeper(Self::unary)?;
            let span = start..inner.span.end;
            return self.node(Kind::Not(Box::new(inner)), span);
        }
        // The least integer has no positive of its own.
        if self.is_at("-") && self.tokens.get(self.at + 1).is_some_and(|next| next.kind == TokenKind::Least) {
            let end = self.tokens[self.at + 1].span.end;
            self.at += 2;
            return self.node(Kind::Literal(Value::int(i64::MIN)), start..end);
        }
        if self.takes("-") {
            let inner = self.deeper(Self::unary)?;
            let span = start..inner.span.end;
            let kind = match inner.kind {
                Kind::Literal(Value::Number(Number::Int(int))) if int > i64::MIN => Kind::Literal(Value::int(-int)),
                Kind::Literal(Value::Number(Number::Float(float))) => Kind::Literal(Value::float(-float)),
                _ => Kind::Negate(Box::new(inner)),
            };
            return self.node(kind, span);
        }
        self.member()
    }

    fn member(&mut self) -> Parsed {
        let mut node = self.primary()?;
        for _ in 0..MAX_DEPTH {
            node = if self.takes(".") {
                let (name, span) = self.selector()?;
                match self.is_at("(") {
                    true => self.method(node, &name, span)?,
                    false => self.select(node, &name, span.end)?,
                }
            } else if self.takes("[") {
                let index = self.expression()?;
                let end = self.expect("]")?.end;
                self.index(node, index, end)?
            } else {
                return Ok(node);
            };
        }
        Err(self.too_deep())
    }

    /// A field of a field at a fixed place stands at a fixed place too.
    fn select(&mut self, node: Node, name: &str, end: usize) -> Parsed {
        let span = node.span.start..end;
        let kind = match node.kind {
            Kind::Field(at) => self.field_of(at, name),
            _ => Kind::Select(Box::new(node), name.into()),
        };
        self.node(kind, span)
    }

    fn index(&mut self, node: Node, index: Node, end: usize) -> Parsed {
        let span = node.span.start..end;
        // A JSON pointer does not tell `["0"]` from `[0]`.
        let is_name = |text: &str| !text.is_empty() && !text.bytes().all(|byte| byte.is_ascii_digit());
        let kind = match (&node.kind, &index.kind) {
            (Kind::Field(at), Kind::Literal(Value::Text(name))) if is_name(name) => self.field_of(*at, name),
            _ => Kind::Index(Box::new(node), Box::new(index)),
        };
        self.node(kind, span)
    }

    fn field_of(&mut self, at: usize, name: &str) -> Kind {
        let Field { root, pointer } = &self.fields[at];
        let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
        self.field(*root, pointer)
    }

    fn field(&mut self, root: Root, pointer: String) -> Kind {
        let field = Field { root, pointer };
        let at = self.fields.iter().position(|known| *known == field).unwrap_or_else(|| {
            self.fields.push(field);
            self.fields.len() - 1
        });
        Kind::Field(at)
    }

    fn method(&mut self, receiver: Node, name: &str, span: Range<usize>) -> Parsed {
        if let Some(name) = MacroName::of(name) {
            return self.comprehension(receiver, name);
        }
        let start = receiver.span.start;
        let mut arguments = vec![receiver];
        let end = self.arguments(&mut arguments)?;
        self.call(name, span, arguments, start..end)
    }

    fn comprehension(&mut self, range: Node, name: MacroName) -> Parsed {
        self.expect("(")?;
        let (variable, at) = self.name("the name of a variable, such as `item`")?;
        if matches!(variable.as_str(), "source" | "type" | "payload" | "meta") || self.locals.contains(&variable) {
            let message = format!("`{variable}` is taken");
            return Err(TextError::new(self.text, at, message, "give the macro's variable another name"));
        }
        if self.locals.len() == MAX_MACROS {
            let message = format!("more than {MAX_MACROS} macros stand within each other");
            return Err(TextError::new(self.text, at, message, "each multiplies the work: write it with fewer"));
        }
        self.expect(",")?;
        self.locals.push(variable);
        let body = self.expression();
        let result = match (name, body.is_ok() && self.takes(",")) {
            (MacroName::Map, true) => Some(self.expression()),
            _ => None,
        };
        self.locals.pop();
        let (body, result) = (body?, result.transpose()?);
        let end = self.expect(")")?.end;
        let span = range.span.start..end;
        self.node(Kind::Macro(Box::new(Macro { name, range, body, result })), span)
    }

    fn primary(&mut self) -> Parsed {
        let Token { kind, span } = self.peek().clone();
        match kind {
            TokenKind::Symbol("(") => {
                self.at += 1;
                let inner = self.expression()?;
                self.expect(")")?;
                Ok(inner)
            }
            TokenKind::Symbol("[") => self.list(span.start),
            TokenKind::Symbol("{") => self.map(span.start),
            // A leading dot names the outermost scope, which is the only one.
            TokenKind::Symbol(".") => {
                self.at += 1;
                self.named()
            }
            TokenKind::Name(_) => self.named(),
            TokenKind::Int(int) => self.literal(Value::int(int), span),
            TokenKind::Float(float) => self.literal(Value::float(float), span),
            TokenKind::Text(text) => self.literal(Value::text(text), span),
            _ => Err(self.unexpected("a value")),
        }
    }

    fn literal(&mut self, value: Value, span: Range<usize>) -> Parsed {
        self.at += 1;
        self.node(Kind::Literal(value), span)
    }

    fn list(&mut self, start: usize) -> Parsed {
        self.at += 1;
        let mut items = Vec::new();
        while !self.is_at("]") {
            items.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        let span = start..self.expect("]")?.end;
        self.node(Kind::List(items), span)
    }

    fn map(&mut self, start: usize) -> Parsed {
        self.at += 1;
        let mut entries = Vec::new();
        while !self.is_at("}") {
            let key = self.expression()?;
            self.check_key(&key, &entries)?;
            self.expect(":")?;
            entries.push((key, self.expression()?));
            if !self.takes(",") {
                break;
            }
        }
        let span = start..self.expect("}")?.end;
        self.node(Kind::Map(entries), span)
    }

    /// A key that stands here is a string, and stands here once.
    fn check_key(&self, key: &Node, entries: &[(Node, Node)]) -> Result<(), TextError> {
        let text = |node: &Node| match &node.kind {
            Kind::Literal(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        let (message, help) = match (&key.kind, text(key)) {
            (Kind::Literal(_), None) => ("the keys of a map are strings, as in JSON", "write the key in quotes"),
            (_, Some(own)) if entries.iter().any(|(other, _)| text(other).as_ref() == Some(&own)) => {
                ("a key stands twice in a map", "leave one out")
            }
            _ => return Ok(()),
        };
        Err(TextError::new(self.text, key.span.clone(), message, help))
    }

    fn named(&mut self) -> Parsed {
        let (name, span) = self.name("a variable")?;
        if self.is_at("(") {
            return self.function(&name, span);
        }
        let kind = match name.as_str() {
            "true" => Kind::Literal(Value::Bool(true)),
            "false" => Kind::Literal(Value::Bool(false)),
            "null" => Kind::Literal(Value::Null),
            "source" => Kind::Source,
            "type" => Kind::Type,
            "payload" => self.field(Root::Payload, String::new()),
            "meta" => self.field(Root::Meta, String::new()),
            name => match self.locals.iter().position(|local| local == name) {
                Some(at) => Kind::Local(at),
                None => {
                    let message = format!("there is no variable `{}`", shown(name));
                    return Err(TextError::new(self.text, span, message, VARIABLES));
                }
            },
        };
        self.node(kind, span)
    }

    fn function(&mut self, name: &str, span: Range<usize>) -> Parsed {
        let mut arguments = Vec::new();
        let start = span.start;
        let end = self.arguments(&mut arguments)?;
        if name == "has" {
            return self.has(arguments, start..end);
        }
        self.call(name, span, arguments, start..end)
    }

    fn arguments(&mut self, arguments: &mut Vec<Node>) -> Result<usize, TextError> {
        self.expect("(")?;
        while !self.is_at(")") {
            arguments.push(self.expression()?);
            if !self.takes(",") {
                break;
            }
        }
        Ok(self.expect(")")?.end)
    }

    fn call(&self, name: &str, at: Range<usize>, mut arguments: Vec<Node>, span: Range<usize>) -> Parsed {
        let refuse = |message: String, help: &str| Err(TextError::new(self.text, at.clone(), message, help));
        let Some(function) = Function::of(name) else {
            let help = match name {
                "timestamp" | "duration" => {
                    "there are no times: texts of one form, such as RFC 3339 in UTC, compare as they are"
                }
                _ => Function::ALL,
            };
            return refuse(format!("there is no function `{}`", shown(name)), help);
        };
        if arguments.len() != function.arity() {
            let help = format!("write it like `{}`", function.example());
            return refuse(format!("`{name}` takes another number of arguments"), &help);
        }
        if function != Function::Matches {
            return self.node(Kind::Call(function, arguments), span);
        }
        // A pattern out of a payload could be any; one that is written here is compiled once.
        let Some(Node { kind: Kind::Literal(Value::Text(pattern)), span: place, .. }) = arguments.pop() else {
            return refuse("the pattern of `matches` is no string that stands here".into(), "write it in quotes");
        };
        let subject = arguments.pop().ok_or_else(|| self.too_deep())?;
        let pattern = Pattern::new(&pattern, Dialect::Cel).map_err(|reason| {
            TextError::new(self.text, place, format!("this is no pattern: {reason}"), "write it in the syntax of RE2")
        })?;
        self.node(Kind::Matches(Box::new(subject), pattern), span)
    }

    fn has(&mut self, mut arguments: Vec<Node>, span: Range<usize>) -> Parsed {
        let refuse = TextError::new(
            self.text,
            span.clone(),
            "`has` takes one field",
            "write it like `has(payload.pull_request)`",
        );
        let (Some(node), true) = (arguments.pop(), arguments.is_empty()) else { return Err(refuse) };
        match node.kind {
            Kind::Select(inner, name) => self.node(Kind::Has(inner, name), span),
            Kind::Field(at) => {
                let Field { root, pointer } = self.fields[at].clone();
                let Some((parent, name)) = pointer.rsplit_once('/') else { return Err(refuse) };
                let name: Arc<str> = name.replace("~1", "/").replace("~0", "~").into();
                let parent = self.field(root, parent.to_owned());
                let parent = self.node(parent, node.span)?;
                self.node(Kind::Has(Box::new(parent), name), span)
            }
            _ => Err(refuse),
        }
    }

    /// Whoever walks a node recurses as deep as it is.
    fn node(&self, kind: Kind, span: Range<usize>) -> Parsed {
        let depth = 1 + kind.parts().iter().map(|part| part.depth).max().unwrap_or_default();
        if depth > MAX_DEPTH { Err(self.too_deep()) } else { Ok(Node { kind, span, depth }) }
    }

    /// A field may be called what no variable may, but for the words of the language itself; one in backquotes has any name.
    fn selector(&mut self) -> Result<(String, Range<usize>), TextError> {
        let Token { kind, span } = self.peek().clone();
        match kind {
            TokenKind::Quoted(name) => {
                self.at += 1;
                Ok((name, span))
            }
            TokenKind::Name(name) if !KEYWORDS.contains(&name.as_str()) => {
                self.at += 1;
                Ok((name, span))
            }
            TokenKind::Name(word) => {
                let message = format!("`{word}` is a word of the language");
                Err(TextError::new(self.text, span, message, format!("write the field as [\"{word}\"]")))
            }
            _ => Err(self.unexpected("a field or a function")),
        }
    }

    fn name(&mut self, expected: &str) -> Result<(String, Range<usize>), TextError> {
        let Token { kind, span } = self.peek().clone();
        match kind {
            TokenKind::Name(name) if name == "null" || !RESERVED.contains(&name.as_str()) => {
                self.at += 1;
                Ok((name, span))
            }
            _ => Err(self.unexpected(expected)),
        }
    }

    fn deeper(&mut self, parse: impl FnOnce(&mut Self) -> Parsed) -> Parsed {
        if self.depth == MAX_DEPTH {
            return Err(self.too_deep());
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn is_at(&self, symbol: &str) -> bool {
        matches!(&self.peek().kind, TokenKind::Symbol(found) if *found == symbol)
    }

    fn takes(&mut self, symbol: &str) -> bool {
        let is_at = self.is_at(symbol);
        self.at += usize::from(is_at);
        is_at
    }

    fn expect(&mut self, symbol: &'static str) -> Result<Range<usize>, TextError> {
        let span = self.peek().span.clone();
        match self.takes(symbol) {
            true => Ok(span),
            false => Err(self.unexpected(&format!("`{symbol}`"))),
        }
    }

    fn unexpected(&self, expected: &str) -> TextError {
        let Token { kind, span } = self.peek();
        let found = match kind {
            TokenKind::End => "the end".to_owned(),
            _ => format!("`{}`", shown(&self.text[span.clone()])),
        };
        TextError::new(
            self.text,
            span.clone(),
            format!("expected {expected}, found {found}"),
            "mend the expression here",
        )
    }

    fn too_deep(&self) -> TextError {
        let message = format!("more than {MAX_DEPTH} operations stand within each other");
        TextError::new(self.text, self.peek().span.clone(), message, "write a shorter expression, or several")
    }
}

fn span_of(parts: &[Node]) -> Range<usize> {
    let start = parts.first().map_or(0, |first| first.span.start);
    start..parts.last().map_or(start, |last| last.span.end)
}
