//! A JSON reader that fails in the words of Python's `json` module (3.11), which DRF passes on to clients.

/// A value, as far as the serializer tells values apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Bool,
    /// A number as Python's `str()` writes it.
    Number(Number),
    Str(String),
    List,
    /// In the order of the text; the last of several equal keys counts.
    Dict(Vec<(String, Value)>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Number {
    Int(String),
    Float(f64),
}

impl Value {
    /// The name of the Python type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "NoneType",
            Self::Bool => "bool",
            Self::Number(Number::Int(_)) => "int",
            Self::Number(Number::Float(_)) => "float",
            Self::Str(_) => "str",
            Self::List => "list",
            Self::Dict(_) => "dict",
        }
    }
}

/// Deeper than this is nobody's form; Python stops at its recursion limit with an error of its own.
const MAX_DEPTH: usize = 200;

/// Parses a body, or says what Python would say.
pub fn parse(body: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(body).map_err(|e| {
        let at = e.valid_up_to();
        let byte = body[at];
        let reason = match e.error_len() {
            None => "unexpected end of data",
            Some(_) if matches!(byte, 0xc2..=0xf4) => "invalid continuation byte",
            Some(_) => "invalid start byte",
        };
        format!("'utf-8' codec can't decode byte 0x{byte:02x} in position {at}: {reason}")
    })?;
    let chars: Vec<char> = text.chars().collect();
    if chars.first() == Some(&'\u{feff}') {
        return Err(at(&chars, 0, "Unexpected UTF-8 BOM (decode using utf-8-sig)"));
    }
    let mut parser = Parser { chars: &chars };
    let start = parser.skip_space(0);
    let (value, end) = parser.value(start, 0)?;
    let end = parser.skip_space(end);
    if end != chars.len() {
        return Err(at(&chars, end, "Extra data"));
    }
    Ok(value)
}

/// `message: line L column C (char N)`
fn at(chars: &[char], position: usize, message: &str) -> String {
    let before = &chars[..position.min(chars.len())];
    let line = before.iter().filter(|c| **c == '\n').count() + 1;
    let column = before.iter().rev().take_while(|c| **c != '\n').count() + 1;
    format!("{message}: line {line} column {column} (char {position})")
}

struct Parser<'a> {
    chars: &'a [char],
}

type Parsed<T> = Result<(T, usize), String>;

impl Parser<'_> {
    fn peek(&self, i: usize) -> Option<char> {
        self.chars.get(i).copied()
    }

    fn skip_space(&self, mut i: usize) -> usize {
        while matches!(self.peek(i), Some(' ' | '\t' | '\n' | '\r')) {
            i += 1;
        }
        i
    }

    fn fail<T>(&self, position: usize, message: &str) -> Result<T, String> {
        Err(at(self.chars, position, message))
    }

    fn starts_with(&self, i: usize, word: &str) -> bool {
        word.chars().enumerate().all(|(k, c)| self.peek(i + k) == Some(c))
    }

    fn value(&mut self, i: usize, depth: usize) -> Parsed<Value> {
        if depth > MAX_DEPTH {
            return Err("maximum recursion depth exceeded while decoding a JSON object from a unicode string".into());
        }
        match self.peek(i) {
            Some('"') => self.string(i + 1).map(|(s, end)| (Value::Str(s), end)),
            Some('{') => self.dict(i + 1, depth),
            Some('[') => self.list(i + 1, depth),
            Some('n') if self.starts_with(i, "null") => Ok((Value::Null, i + 4)),
            Some('t') if self.starts_with(i, "true") => Ok((Value::Bool, i + 4)),
            Some('f') if self.starts_with(i, "false") => Ok((Value::Bool, i + 5)),
            _ if ["NaN", "Infinity", "-Infinity"].iter().any(|w| self.starts_with(i, w)) => {
                Err("Out of range float values are not JSON compliant".into())
            }
            _ => self.number(i),
        }
    }

    fn digits(&self, mut i: usize) -> usize {
        while self.peek(i).is_some_and(|c| c.is_ascii_digit()) {
            i += 1;
        }
        i
    }

    fn number(&self, start: usize) -> Parsed<Value> {
        let sign = usize::from(self.peek(start) == Some('-'));
        let whole = match self.peek(start + sign) {
            Some('0') => start + sign + 1,
            Some('1'..='9') => self.digits(start + sign),
            _ => return self.fail(start, "Expecting value"),
        };
        let mut end = whole;
        if self.peek(end) == Some('.') && self.digits(end + 1) > end + 1 {
            end = self.digits(end + 1);
        }
        if matches!(self.peek(end), Some('e' | 'E')) {
            let digits = end + 1 + usize::from(matches!(self.peek(end + 1), Some('+' | '-')));
            if self.digits(digits) > digits {
                end = self.digits(digits);
            }
        }
        let text: String = self.chars[start..end].iter().collect();
        let number = if end == whole {
            Number::Int(if text == "-0" { "0".into() } else { text })
        } else {
            Number::Float(text.parse().unwrap_or(f64::INFINITY))
        };
        Ok((Value::Number(number), end))
    }

    fn list(&mut self, i: usize, depth: usize) -> Parsed<Value> {
        let mut i = self.skip_space(i);
        if self.peek(i) == Some(']') {
            return Ok((Value::List, i + 1));
        }
        loop {
            let (_, end) = self.value(i, depth + 1)?;
            i = self.skip_space(end);
            match self.peek(i) {
                Some(']') => return Ok((Value::List, i + 1)),
                Some(',') => i = self.skip_space(i + 1),
                _ => return self.fail(i, "Expecting ',' delimiter"),
            }
        }
    }

    fn dict(&mut self, i: usize, depth: usize) -> Parsed<Value> {
        const NAME: &str = "Expecting property name enclosed in double quotes";
        let mut items: Vec<(String, Value)> = vec![];
        let mut i = self.skip_space(i);
        if self.peek(i) == Some('}') {
            return Ok((Value::Dict(items), i + 1));
        }
        loop {
            if self.peek(i) != Some('"') {
                return self.fail(i, NAME);
            }
            let (key, end) = self.string(i + 1)?;
            i = self.skip_space(end);
            if self.peek(i) != Some(':') {
                return self.fail(i, "Expecting ':' delimiter");
            }
            let (value, end) = self.value(self.skip_space(i + 1), depth + 1)?;
            items.push((key, value));
            i = self.skip_space(end);
            match self.peek(i) {
                Some('}') => return Ok((Value::Dict(items), i + 1)),
                Some(',') => i = self.skip_space(i + 1),
                _ => return self.fail(i, "Expecting ',' delimiter"),
            }
        }
    }

    /// The string whose first character is at `i`.
    fn string(&self, mut i: usize) -> Parsed<String> {
        let quote = i - 1;
        let mut text = String::new();
        loop {
            match self.peek(i) {
                None => return self.fail(quote, "Unterminated string starting at"),
                Some('"') => return Ok((text, i + 1)),
                Some('\\') => {
                    let (c, end) = self.escape(i, quote)?;
                    text.push(c);
                    i = end;
                }
                Some(c) if c < ' ' => return self.fail(i, "Invalid control character at"),
                Some(c) => {
                    text.push(c);
                    i += 1;
                }
            }
        }
    }

    fn escape(&self, i: usize, quote: usize) -> Parsed<char> {
        let c = match self.peek(i + 1) {
            None => return self.fail(quote, "Unterminated string starting at"),
            Some('u') => return self.unicode_escape(i),
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some(_) => return self.fail(i, "Invalid \\escape"),
        };
        Ok((c, i + 2))
    }

    fn hex(&self, i: usize) -> Result<u32, String> {
        let digits: Option<String> = self.chars.get(i..i + 4).map(|d| d.iter().collect());
        let valid = digits.filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()));
        match valid.and_then(|d| u32::from_str_radix(&d, 16).ok()) {
            Some(n) => Ok(n),
            None => self.fail(i - 1, "Invalid \\uXXXX escape"),
        }
    }

    /// `\uXXXX`, two of them where they are a surrogate pair. A lone surrogate, which Rust's strings cannot hold, becomes U+FFFD.
    fn unicode_escape(&self, i: usize) -> Parsed<char> {
        let high = self.hex(i + 2)?;
        if (0xd800..0xdc00).contains(&high)
            && self.starts_with(i + 6, "\\u")
            && let low @ 0xdc00..0xe000 = self.hex(i + 8)?
        {
            let code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            return Ok((char::from_u32(code).unwrap_or('\u{fffd}'), i + 12));
        }
        Ok((char::from_u32(high).unwrap_or('\u{fffd}'), i + 6))
    }
}

impl std::fmt::Display for Number {
    /// As Python's `str()`: the shortest digits that read back the same, with an exponent outside 1e-4 … 1e16.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(text) => f.write_str(text),
            Self::Float(v) if v.is_infinite() => f.write_str(if *v > 0.0 { "inf" } else { "-inf" }),
            Self::Float(v) if *v != 0.0 && !(1e-4..1e16).contains(&v.abs()) => {
                let text = format!("{v:e}");
                let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
                let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
                write!(f, "{digits}e{sign}{size:0>2}")
            }
            Self::Float(v) => write!(f, "{v:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_in_pythons_words() {
        for (body, expected) in [
            ("{\"a\":", "Expecting value: line 1 column 6 (char 5)"),
            ("", "Expecting value: line 1 column 1 (char 0)"),
            ("{", "Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
            ("{\"a\":1,}", "Expecting property name enclosed in double quotes: line 1 column 8 (char 7)"),
            ("{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)"),
            ("{\"a\":1 \"b\"", "Expecting ',' delimiter: line 1 column 8 (char 7)"),
            ("[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)"),
            ("[1,]", "Expecting value: line 1 column 4 (char 3)"),
            ("{}\n x", "Extra data: line 2 column 2 (char 4)"),
            ("\"abc", "Unterminated string starting at: line 1 column 1 (char 0)"),
            ("\"a\nb\"", "Invalid control character at: line 1 column 3 (char 2)"),
            ("\"\\x\"", "Invalid \\escape: line 1 column 2 (char 1)"),
            ("\"\\u12g4\"", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
            ("NaN", "Out of range float values are not JSON compliant"),
        ] {
            assert_eq!(parse(body.as_bytes()), Err(expected.to_owned()), "{body}");
        }
        let invalid = "'utf-8' codec can't decode byte 0xff in position 1: invalid start byte";
        assert_eq!(parse(b"\"\xff\""), Err(invalid.to_owned()));
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn numbers_read_as_python_prints_them() {
        for (text, expected) in [
            ("5", "5"),
            ("-0", "0"),
            ("5.0", "5.0"),
            ("1e3", "1000.0"),
            ("1e16", "1e+16"),
            ("1.5e-7", "1.5e-07"),
            ("1e400", "inf"),
        ] {
            let Ok(Value::Number(n)) = parse(text.as_bytes()) else { panic!("{text}") };
            assert_eq!(n.to_string(), expected);
        }
    }
}
