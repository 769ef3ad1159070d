//! Formats such as `@csv`: how a value is written into a string.

use std::fmt::Write as _;

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig, general_purpose::STANDARD},
};

use crate::{budget::Budget, json, value::Value};

use super::machine::{Flow, Halt};

/// Takes what others have written with or without padding, as jq does.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// How a value is written into a string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
    Html,
    Uri,
    UriDecoded,
    Csv,
    Tsv,
    Sh,
    Base64,
    Base64Decoded,
    Base32,
    Base32Decoded,
}

impl Format {
    pub(super) const ALL: &'static str = "there are @text, @json, @html, @uri, @urid, @csv, @tsv, @sh, @base64, \
                                     @base64d, @base32 and @base32d";

    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "@text" => Self::Text,
            "@json" => Self::Json,
            "@html" => Self::Html,
            "@uri" => Self::Uri,
            "@urid" => Self::UriDecoded,
            "@csv" => Self::Csv,
            "@tsv" => Self::Tsv,
            "@sh" => Self::Sh,
            "@base64" => Self::Base64,
            "@base64d" => Self::Base64Decoded,
            "@base32" => Self::Base32,
            "@base32d" => Self::Base32Decoded,
            _ => return None,
        })
    }

    pub(super) fn apply(self, value: &Value, budget: &Budget) -> Flow<String> {
        // What is written is at most six times as long as what is read, and is paid for too.
        budget.spend_bytes(value.bytes())?;
        let text = || plain(value, budget);
        let written = match self {
            Self::Text => text(),
            Self::Json => Ok(json::write(value, budget)?),
            Self::Html => Ok(escape(&text()?, html)),
            Self::Uri => Ok(uri(&text()?)),
            Self::UriDecoded => uri_decoded(&text()?),
            Self::Csv => row(value, ",", budget, |text| format!("\"{}\"", text.replace('"', "\"\""))),
            Self::Tsv => row(value, "\t", budget, |text| escape(text, tsv)),
            Self::Sh => shell(value, budget),
            Self::Base64 => Ok(STANDARD.encode(text()?)),
            Self::Base64Decoded => base64_decoded(&text()?),
            Self::Base32 => Ok(base32(text()?.as_bytes())),
            Self::Base32Decoded => base32_decoded(&text()?),
        }?;
        budget.spend_bytes(written.len())?;
        Ok(written)
    }
}

fn plain(value: &Value, budget: &Budget) -> Flow<String> {
    match value {
        Value::Text(text) => Ok(text.to_string()),
        value => Ok(json::write(value, budget)?),
    }
}

fn row(value: &Value, by: &str, budget: &Budget, of_text: fn(&str) -> String) -> Flow<String> {
    let Value::List(items) = value else { return Err(Halt::raised("a row is an array")) };
    let cell = |item: &Value| match item {
        Value::Null => Ok(String::new()),
        Value::Number(number) if number.as_f64().is_nan() => Ok(String::new()),
        Value::Text(text) => Ok(of_text(text)),
        Value::Number(_) | Value::Bool(_) => Ok(json::write(item, budget)?),
        _ => Err(Halt::raised("a row has strings, numbers and booleans only")),
    };
    Ok(items.iter().map(cell).collect::<Flow<Vec<_>>>()?.join(by))
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

fn escape(text: &str, replacement: fn(char) -> Option<&'static str>) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match replacement(char) {
            Some(replacement) => escaped.push_str(replacement),
            None => escaped.push(char),
        }
    }
    escaped
}

fn html(char: char) -> Option<&'static str> {
    Some(match char {
        '<' => "&lt;",
        '>' => "&gt;",
        '&' => "&amp;",
        '\'' => "&#39;",
        '"' => "&quot;",
        _ => return None,
    })
}

fn tsv(char: char) -> Option<&'static str> {
    Some(match char {
        '\t' => "\\t",
        '\n' => "\\n",
        '\r' => "\\r",
        '\\' => "\\\\",
        '\0' => "\\0",
        _ => return None,
    })
}

fn uri(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => {
                // Writing to a string does not fail.
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

fn uri_decoded(text: &str) -> Flow<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte =
            digits.filter(|digits| !digits.starts_with('+')).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.ok_or_else(|| Halt::raised("a string is no encoded URI"))?);
        rest = &after[2..];
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn shell(value: &Value, budget: &Budget) -> Flow<String> {
    let word = |word: &Value| match word {
        Value::Text(text) => Ok(quoted(text)),
        Value::List(_) | Value::Map(_) => Err(Halt::raised("a word of a shell is no array and no object")),
        word => Ok(json::write(word, budget)?),
    };
    match value {
        Value::List(items) => Ok(items.iter().map(word).collect::<Flow<Vec<_>>>()?.join(" ")),
        value => word(value),
    }
}

fn base64_decoded(text: &str) -> Flow<String> {
    // What is left of a group that is cut short says nothing.
    let digits = text.trim_end_matches('=');
    let digits = if digits.len() % 4 == 1 { digits.get(..digits.len() - 1).unwrap_or(digits) } else { digits };
    match LENIENT.decode(digits) {
        Ok(bytes) if !bytes.is_empty() || text.is_empty() => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        _ => Err(Halt::raised("a string is no base64")),
    }
}

fn base32(bytes: &[u8]) -> String {
    let mut encoded = String::with_capacity(bytes.len().div_ceil(5) * 8);
    for group in bytes.chunks(5) {
        let bits = (0..5).fold(0_u64, |bits, at| bits << 8 | u64::from(group.get(at).copied().unwrap_or_default()));
        let used = (group.len() * 8).div_ceil(5);
        for at in 0..8 {
            let digit = BASE32[(bits >> (35 - 5 * at) & 31) as usize];
            encoded.push(if at < used { char::from(digit) } else { '=' });
        }
    }
    encoded
}

fn base32_decoded(text: &str) -> Flow<String> {
    let mut bytes = Vec::with_capacity(text.len() / 8 * 5);
    let (mut bits, mut count) = (0_u64, 0);
    for char in text.trim_end_matches('=').bytes() {
        let digit = BASE32.iter().position(|digit| *digit == char);
        let digit = digit.ok_or_else(|| Halt::raised("a string is no base32"))?;
        bits = (bits << 5 | digit as u64) & 0xffff;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
