//! From a text to a program: jaq parses, and every name is resolved here.

use std::sync::Arc;

use jaq_core::{
    load::{
        lex::StrPart,
        parse::{BinaryOp, Def, Pattern as Destructured, Term},
    },
    ops, path,
};

use crate::{
    number::Number,
    pattern::{Dialect, Pattern},
    text_error::{TextError, shown},
    value::Value,
};

use super::{
    format::Format,
    natives::Native,
    parse::{Grouped, guard, parse, place, whole},
    program::{Compare, Fold, FoldKind, Function, Math, Node, Optional, Parameter, Part, Piece, Shape},
    search::{Search, Sought},
    special::Special,
};

/// Definitions in the language itself, before the identity.
const PRELUDE: &str = include_str!("prelude.jq");
/// Filters within each other, at most so many.
const MAX_DEPTH: usize = 100;

/// What a program could use elsewhere, and not here: its result would depend on more than its input.
const IMPURE: [&str; 14] = [
    "env",
    "input",
    "inputs",
    "now",
    "localtime",
    "strflocaltime",
    "debug",
    "stderr",
    "input_filename",
    "input_line_number",
    "halt",
    "halt_error",
    "get_search_list",
    "import",
];

/// Compiles a program.
pub(super) fn compile(text: &str) -> Result<Node, TextError> {
    guard(text)?;
    let term = parse(text)?;
    let mut compiler = Compiler { text, scope: Vec::new(), depth: 0 };
    let Term::Def(prelude, _) = parse(PRELUDE)? else { return compiler.node(&term) };
    let functions = compiler.functions(&prelude)?;
    Ok(Node::Define(functions, Box::new(compiler.node(&term)?)))
}

/// What a binding is called. Each stands for one binding at run time.
enum Name<'s> {
    /// `$x`
    Variable(&'s str),
    /// A parameter. One with `$` is a filter of that name and, behind it, a variable.
    Parameter(&'s str),
    Function(&'s str, usize),
    /// `$x` of `label $x`, which is no variable.
    Label(&'s str),
}

struct Compiler<'s> {
    text: &'s str,
    scope: Vec<Name<'s>>,
    depth: usize,
}

impl<'s> Compiler<'s> {
    fn error(&self, piece: &str, message: String, help: &str) -> TextError {
        TextError::new(self.text, place(self.text, piece), message, help)
    }

    fn node(&mut self, term: &Term<&'s str>) -> Result<Node, TextError> {
        if self.depth == MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} filters stand within each other");
            return Err(whole(self.text, &message));
        }
        self.depth += 1;
        let node = self.term(term);
        self.depth -= 1;
        node
    }

    fn boxed(&mut self, term: &Term<&'s str>) -> Result<Box<Node>, TextError> {
        self.node(term).map(Box::new)
    }

    fn pair(&mut self, left: &Term<&'s str>, right: &Term<&'s str>) -> Result<Box<[Node; 2]>, TextError> {
        Ok(Box::new([self.node(left)?, self.node(right)?]))
    }

    fn term(&mut self, term: &Term<&'s str>) -> Result<Node, TextError> {
        Ok(match term {
            Term::Id => Node::Identity,
            Term::Recurse => Node::Descend,
            Term::Num(number) => Node::Literal(constant(number)),
            Term::Str(format, parts) => self.string(*format, parts)?,
            Term::Arr(inner) => Node::List(inner.as_ref().map(|inner| self.boxed(inner)).transpose()?),
            Term::Obj(entries) => {
                Node::Object(entries.iter().map(|entry| self.entry(entry)).collect::<Result<_, _>>()?)
            }
            Term::Neg(inner) => Node::Negate(self.boxed(inner)?),
            Term::BinOp(left, operator, right) => self.operator(left, operator, right)?,
            Term::Label(name, body) => {
                self.scope.push(Name::Label(name));
                let body = self.boxed(body);
                self.scope.pop();
                Node::Label(body?)
            }
            Term::Break(name) => Node::Variable(self.label(name)?),
            Term::Fold(kind, source, pattern, arguments) => self.fold(kind, source, pattern, arguments)?,
            Term::TryCatch(inner, handler) => {
                let handler = handler.as_ref().map(|handler| self.boxed(handler)).transpose()?;
                Node::Try(self.boxed(inner)?, handler)
            }
            Term::IfThenElse(branches, otherwise) => {
                let branches = branches.iter().map(|(test, then)| Ok((self.node(test)?, self.node(then)?)));
                let branches = branches.collect::<Result<_, _>>()?;
                Node::If(branches, otherwise.as_ref().map(|otherwise| self.boxed(otherwise)).transpose()?)
            }
            Term::Def(definitions, body) => {
                let outside = self.scope.len();
                let functions = self.functions(definitions)?;
                let body = self.boxed(body)?;
                self.scope.truncate(outside);
                Node::Define(functions, body)
            }
            Term::Call(name, arguments) => self.call(name, arguments)?,
            Term::Var(name) => Node::Variable(self.variable(name)?),
            Term::Path(head, path) => {
                let parts = path.0.iter().map(|(part, option)| {
                    let optional = match option {
                        path::Opt::Optional => Optional::Yes,
                        path::Opt::Essential => Optional::No,
                    };
                    Ok((self.part(part)?, optional))
                });
                let parts = parts.collect::<Result<_, _>>()?;
                Node::Path(self.boxed(head)?, parts)
            }
        })
    }

    fn part(&mut self, part: &path::Part<Term<&'s str>>) -> Result<Part, TextError> {
        Ok(match part {
            path::Part::Index(index) => Part::Index(self.node(index)?),
            path::Part::Range(None, None) => Part::Each,
            path::Part::Range(from, upto) => {
                let from = from.as_ref().map(|from| self.node(from)).transpose()?;
                Part::Slice(from, upto.as_ref().map(|upto| self.node(upto)).transpose()?)
            }
        })
    }

    fn string(
        &mut self,
        format: Option<&'s str>,
        parts: &[StrPart<&'s str, Term<&'s str>>],
    ) -> Result<Node, TextError> {
        let format = format.map_or(Ok(Format::Text), |format| self.format(format))?;
        if let Some(text) = constant_text(parts) {
            return Ok(Node::Literal(Value::text(text)));
        }
        let pieces = parts.iter().map(|part| match part {
            StrPart::Str(text) => Ok(Piece::Text((*text).into())),
            StrPart::Char(char) => Ok(Piece::Text(Arc::from(char.to_string()))),
            StrPart::Term(term) => self.node(term).map(Piece::Value),
        });
        Ok(Node::Text(format, pieces.collect::<Result<_, _>>()?))
    }

    fn format(&self, name: &str) -> Result<Format, TextError> {
        Format::of(name).ok_or_else(|| self.error(name, format!("there is no format `{}`", shown(name)), Format::ALL))
    }

    fn entry(
        &mut self,
        (key, value): &(Term<&'s str>, Option<Term<&'s str>>),
    ) -> Result<(Node, Option<Node>), TextError> {
        match (key, value) {
            (key, Some(value)) => Ok((self.node(key)?, Some(self.node(value)?))),
            // `{$x}` is `{x: $x}`.
            (Term::Var(name), None) => {
                let key = Node::Literal(Value::text(name.trim_start_matches('$')));
                Ok((key, Some(Node::Variable(self.variable(name)?))))
            }
            // `{a}` is `{a: .a}`.
            (key, None) => Ok((self.node(key)?, None)),
        }
    }

    fn operator(
        &mut self,
        left: &Term<&'s str>,
        operator: &BinaryOp<&'s str>,
        right: &Term<&'s str>,
    ) -> Result<Node, TextError> {
        if let BinaryOp::Pipe(Some(pattern)) = operator {
            let source = self.node(left)?;
            let outside = self.scope.len();
            let shape = self.shape(pattern)?;
            let body = self.node(right);
            self.scope.truncate(outside);
            return Ok(Node::Bind(Box::new([source, body?]), shape));
        }
        match Grouped::of(left, operator) {
            Grouped::Alternative => return Ok(Node::Alternative(self.pair(left, right)?)),
            Grouped::Remainder(left) => return Ok(Node::Math(Math::Remainder, self.pair(left, right)?)),
            Grouped::Update(update, left) => {
                if let Term::BinOp(inner, operator, _) = left
                    && let Grouped::Update(..) = Grouped::of(inner, operator)
                {
                    return Err(whole(self.text, "what one operator has changed another changes"));
                }
                return Ok(Node::Update(update, self.pair(left, right)?));
            }
            Grouped::Other => {}
        }
        let sides = self.pair(left, right)?;
        Ok(match operator {
            BinaryOp::Pipe(_) => Node::Pipe(sides),
            BinaryOp::Comma => Node::Comma(sides),
            BinaryOp::Or => Node::Or(sides),
            BinaryOp::And => Node::And(sides),
            BinaryOp::Math(operator) => Node::Math(math(*operator), sides),
            BinaryOp::Cmp(operator) => Node::Compare(compare(*operator), sides),
            // These were others before.
            _ => return Err(whole(self.text, "an operator stands where none is understood")),
        })
    }

    fn fold(
        &mut self,
        kind: &str,
        source: &Term<&'s str>,
        pattern: &Destructured<&'s str>,
        arguments: &[Term<&'s str>],
    ) -> Result<Node, TextError> {
        let (init, update, extract) = match (kind, arguments) {
            (_, [init, update]) => (init, update, None),
            ("foreach", [init, update, extract]) => (init, update, Some(extract)),
            _ => {
                let message = format!("`{kind}` takes another number of arguments");
                return Err(self.error(kind, message, "write it like `reduce .[] as $x (0; . + $x)`"));
            }
        };
        let (source, init) = (self.node(source)?, self.node(init)?);
        let outside = self.scope.len();
        let shape = self.shape(pattern)?;
        let update = self.node(update);
        let extract = extract.map(|extract| self.node(extract)).transpose();
        self.scope.truncate(outside);
        let kind = if kind == "reduce" { FoldKind::Reduce } else { FoldKind::Foreach(extract?) };
        Ok(Node::Fold(Box::new(Fold { source, shape, init, update: update?, kind })))
    }

    /// Brings the variables of a pattern into scope, in the order in which they will be bound.
    fn shape(&mut self, pattern: &Destructured<&'s str>) -> Result<Shape, TextError> {
        Ok(match pattern {
            Destructured::Var(name) => {
                self.scope.push(Name::Variable(name));
                Shape::Variable
            }
            Destructured::Arr(items) => {
                Shape::List(items.iter().map(|item| self.shape(item)).collect::<Result<_, _>>()?)
            }
            Destructured::Obj(entries) => {
                let entries = entries.iter().map(|(key, shape)| Ok((self.node(key)?, self.shape(shape)?)));
                Shape::Object(entries.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Brings definitions into scope, each seeing itself and those before it.
    fn functions(&mut self, definitions: &[Def<&'s str, Term<&'s str>>]) -> Result<Vec<Function>, TextError> {
        definitions.iter().map(|definition| self.function(definition)).collect()
    }

    fn function(&mut self, definition: &Def<&'s str, Term<&'s str>>) -> Result<Function, TextError> {
        self.scope.push(Name::Function(definition.name, definition.args.len()));
        let outside = self.scope.len();
        let mut parameters = Vec::new();
        for name in &definition.args {
            self.scope.push(Name::Parameter(name.trim_start_matches('$')));
            if name.starts_with('$') {
                self.scope.push(Name::Variable(name));
                parameters.push(Parameter::Value);
            } else {
                parameters.push(Parameter::Filter);
            }
        }
        let body = self.node(&definition.body);
        self.scope.truncate(outside);
        Ok(Function { parameters, body: body? })
    }

    fn variable(&self, name: &str) -> Result<usize, TextError> {
        let found = self.scope.iter().rev().position(|bound| match bound {
            Name::Variable(bound) => *bound == name,
            _ => false,
        });
        found.ok_or_else(|| match name {
            "$ENV" | "$__prog_args" => self.error(name, format!("there is no `{name}`"), PURE),
            _ => self.error(name, format!("there is no variable `{}`", shown(name)), "bind it with `… as $name | …`"),
        })
    }

    fn label(&self, name: &str) -> Result<usize, TextError> {
        let found = self.scope.iter().rev().position(|bound| matches!(bound, Name::Label(bound) if *bound == name));
        found.ok_or_else(|| {
            self.error(name, format!("there is no label `{}`", shown(name)), "set it with `label $name | …`")
        })
    }

    fn call(&mut self, name: &'s str, arguments: &[Term<&'s str>]) -> Result<Node, TextError> {
        if name.starts_with('@') && arguments.is_empty() {
            return Ok(Node::Text(self.format(name)?, vec![Piece::Value(Node::Identity)]));
        }
        match (name, arguments.len()) {
            ("true", 0) => return Ok(Node::Literal(Value::Bool(true))),
            ("false", 0) => return Ok(Node::Literal(Value::Bool(false))),
            ("null", 0) => return Ok(Node::Literal(Value::Null)),
            _ => {}
        }
        let found = self.scope.iter().rev().position(|bound| match bound {
            Name::Function(bound, arity) => *bound == name && *arity == arguments.len(),
            Name::Parameter(bound) => *bound == name && arguments.is_empty(),
            Name::Variable(_) | Name::Label(_) => false,
        });
        if let Some(back) = found {
            return Ok(Node::Call(back, self.nodes(arguments)?));
        }
        if let Some(node) = self.search(name, arguments)? {
            return Ok(node);
        }
        if let Some(native) = Native::of(name, arguments.len()) {
            return Ok(Node::Native(native, self.nodes(arguments)?));
        }
        if let Some(special) = Special::of(name, arguments.len()) {
            return Ok(Node::Special(special, self.nodes(arguments)?));
        }
        let (message, help) = match IMPURE.contains(&name) {
            true => (format!("there is no `{name}`"), PURE),
            false => {
                let message = format!("there is no function `{}` with {} arguments", shown(name), arguments.len());
                (message, "the guide on filters and transforms lists the functions")
            }
        };
        Err(self.error(name, message, help))
    }

    fn nodes(&mut self, terms: &[Term<&'s str>]) -> Result<Vec<Node>, TextError> {
        terms.iter().map(|term| self.node(term)).collect()
    }

    /// A function whose first argument is a pattern and whose last may be flags.
    fn search(&mut self, name: &'s str, arguments: &[Term<&'s str>]) -> Result<Option<Node>, TextError> {
        let (search, plain) = match (name, arguments.len()) {
            ("test", 1 | 2) => (Search::once(Sought::Test), 1),
            ("match", 1 | 2) => (Search::once(Sought::Match), 1),
            ("capture", 1 | 2) => (Search::once(Sought::Capture), 1),
            ("scan", 1 | 2) => (Search::all(Sought::Scan), 1),
            ("split", 2) => (Search::all(Sought::Split), 1),
            ("splits", 1 | 2) => (Search::all(Sought::Splits), 1),
            ("sub", 2 | 3) => (Search::once(Sought::Substitute), 2),
            ("gsub", 2 | 3) => (Search::all(Sought::Substitute), 2),
            _ => return Ok(None),
        };
        let text = |term: Option<&Term<&'s str>>| match term {
            Some(Term::Str(None, parts)) => constant_text(parts),
            Some(Term::Call("null", _)) => Some(String::new()),
            _ => None,
        };
        let Some(pattern) = text(arguments.first()).filter(|_| matches!(arguments.first(), Some(Term::Str(..)))) else {
            let message = format!("the pattern of `{name}` is no string that stands here");
            return Err(self.error(name, message, "write the pattern in quotes"));
        };
        let flags = match arguments.get(plain) {
            None => String::new(),
            flags => text(flags).ok_or_else(|| {
                self.error(
                    name,
                    format!("the flags of `{name}` are no string that stands here"),
                    "write them in quotes",
                )
            })?,
        };
        let wrong = |reason: String| {
            self.error(
                name,
                format!("this is no pattern: {reason}"),
                "write it in the syntax of RE2, flags as in \"gi\"",
            )
        };
        if let Some(flag) = flags.chars().find(|flag| !"gixspn".contains(*flag)) {
            return Err(wrong(format!("there is no flag `{flag}`")));
        }
        // `s` lets `^` and `$` match at the ends alone, as they do here without it; with `p` a `.` is a new line too.
        let inline: String = flags.chars().filter_map(inline).collect();
        let pattern = if inline.is_empty() { pattern } else { format!("(?{inline}){pattern}") };
        let pattern = Pattern::new(&pattern, Dialect::Jq).map_err(wrong)?;
        let search =
            Search { is_global: search.is_global || flags.contains('g'), takes_empty: !flags.contains('n'), ..search };
        let rest = arguments.get(1..plain).unwrap_or_default();
        Ok(Some(Node::Search(search, pattern, self.nodes(rest)?)))
    }
}

const PURE: &str = "a program sees its input alone, so that it always gives the same result";

/// The text of a string without interpolation.
fn constant_text<T>(parts: &[StrPart<&str, T>]) -> Option<String> {
    let parts = parts.iter().map(|part| match part {
        StrPart::Str(text) => Some((*text).to_owned()),
        StrPart::Char(char) => Some(char.to_string()),
        StrPart::Term(_) => None,
    });
    parts.collect()
}

fn constant(number: &str) -> Value {
    let has_json_form = number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && !number.starts_with('.')
        && !number.ends_with('.')
        && (!number.starts_with('0') || number.starts_with("0.") || number == "0");
    match has_json_form && number.len() <= crate::number::MAX_LENGTH {
        true => Value::Number(Number::of_json(number)),
        false => Value::float(number.parse().unwrap_or(f64::NAN)),
    }
}

/// A flag in the words of the library.
fn inline(flag: char) -> Option<char> {
    match flag {
        'i' | 'x' => Some(flag),
        'p' => Some('s'),
        _ => None,
    }
}

fn math(operator: ops::Math) -> Math {
    match operator {
        ops::Math::Add => Math::Add,
        ops::Math::Sub => Math::Subtract,
        ops::Math::Mul => Math::Multiply,
        ops::Math::Div => Math::Divide,
        ops::Math::Rem => Math::Remainder,
    }
}

fn compare(operator: ops::Cmp) -> Compare {
    match operator {
        ops::Cmp::Eq => Compare::Equal,
        ops::Cmp::Ne => Compare::Unequal,
        ops::Cmp::Lt => Compare::Less,
        ops::Cmp::Le => Compare::LessOrEqual,
        ops::Cmp::Gt => Compare::Greater,
        ops::Cmp::Ge => Compare::GreaterOrEqual,
    }
}
