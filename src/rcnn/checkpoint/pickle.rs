//! A reader of Python pickles (protocol 2 to 5) that builds inert values and can run nothing.
//!
//! Globals stay names, calls stay a pair of callable and arguments. Values live in one arena and refer to each other by
//! index, so shared and cyclic values cost nothing and dropping a deeply nested file cannot overflow the stack.
//! Opcodes follow CPython's `Lib/pickletools.py`.

use std::collections::HashMap;

/// Index of a value in [`Pickle::nodes`].
pub type Id = usize;

#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Str(String),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// `module name`
    Global(String),
    Call {
        callable: Id,
        args: Id,
    },
    /// An object kept outside the pickle, by what identifies it.
    Persistent(Id),
}

pub struct Pickle {
    nodes: Vec<Node>,
    root: Id,
}

impl Pickle {
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut machine =
            Machine { input: bytes, at: 0, nodes: vec![], stack: vec![], marks: vec![], memo: HashMap::new() };
        let root = machine.run().map_err(|e| format!("broken pickle at byte {}: {e}", machine.at))?;
        Ok(Self { nodes: machine.nodes, root })
    }

    pub fn root(&self) -> Id {
        self.root
    }

    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    pub fn str(&self, id: Id) -> Option<&str> {
        match self.node(id) {
            Node::Str(s) => Some(s),
            _ => None,
        }
    }

    pub fn int(&self, id: Id) -> Option<usize> {
        match self.node(id) {
            Node::Int(n) => usize::try_from(*n).ok(),
            _ => None,
        }
    }

    pub fn tuple(&self, id: Id) -> Option<&[Id]> {
        match self.node(id) {
            Node::Tuple(items) => Some(items),
            _ => None,
        }
    }

    pub fn dict(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.node(id) {
            Node::Dict(items) => Some(items),
            _ => None,
        }
    }

    /// A call as the name of its callable (`module name`) and its arguments.
    pub fn call(&self, id: Id) -> Option<(&str, &[Id])> {
        let Node::Call { callable, args } = self.node(id) else { return None };
        let Node::Global(name) = self.node(*callable) else { return None };
        Some((name, self.tuple(*args)?))
    }
}

struct Machine<'a> {
    input: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl Machine<'_> {
    fn run(&mut self) -> Result<Id, String> {
        loop {
            let [op] = self.array()?;
            match op {
                b'.' => return self.pop(),
                0x80 => {
                    let [_protocol] = self.array()?;
                }
                0x95 => {
                    self.take(8)?; // FRAME: a length that only helps readers of streams
                }
                b'(' => self.marks.push(self.stack.len()),
                b'0' => {
                    self.pop()?;
                }
                b'1' => {
                    self.pop_mark()?;
                }
                b'2' => self.stack.push(*self.top()?),
                b'q' | b'r' | 0x94 | b'h' | b'j' => self.memoize(op)?,
                b'N' => self.push(Node::None),
                0x88 | 0x89 => self.push(Node::Bool(op == 0x88)),
                b'K' | b'M' | b'J' | 0x8a | b'G' => self.number(op)?,
                b'X' | 0x8c | 0x8d | b'U' | b'T' | b'C' | b'B' | 0x8e => self.text(op)?,
                b')' | 0x85 | 0x86 | 0x87 | b't' => self.tuple(op)?,
                b']' => self.push(Node::List(vec![])),
                b'}' => self.push(Node::Dict(vec![])),
                0x8f => self.push(Node::List(vec![])), // EMPTY_SET
                b'a' | b'e' | 0x90 => self.append(op)?,
                b's' | b'u' => self.set_items(op)?,
                b'c' | 0x93 => self.global(op)?,
                b'R' | 0x81 => self.call()?,
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Node::Persistent(id));
                }
                b'b' => {
                    self.pop()?; // BUILD: attributes of an object, such as a state_dict's version notes
                }
                other => return Err(format!("opcode 0x{other:02x} has no place in a checkpoint")),
            }
        }
    }

    fn memoize(&mut self, op: u8) -> Result<(), String> {
        let key = match op {
            b'q' | b'h' => u8::from_le_bytes(self.array()?) as usize,
            b'r' | b'j' => u32::from_le_bytes(self.array()?) as usize,
            _ => self.memo.len(),
        };
        if matches!(op, b'h' | b'j') {
            self.stack.push(*self.memo.get(&key).ok_or("reference to nothing")?);
        } else {
            let top = *self.top()?;
            self.memo.insert(key, top);
        }
        Ok(())
    }

    fn number(&mut self, op: u8) -> Result<(), String> {
        let node = match op {
            b'K' => Node::Int(u8::from_le_bytes(self.array()?).into()),
            b'M' => Node::Int(u16::from_le_bytes(self.array()?).into()),
            b'J' => Node::Int(i32::from_le_bytes(self.array()?).into()),
            b'G' => Node::Float(f64::from_be_bytes(self.array()?)),
            _ => {
                let [len] = self.array()?;
                let bytes = self.take(len.into())?;
                if bytes.len() > 8 {
                    // Beyond 64 bits only seeds of random generators are stored, which nothing here reads.
                    Node::None
                } else {
                    let fill = if bytes.last().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
                    let mut le = [fill; 8];
                    le[..bytes.len()].copy_from_slice(bytes);
                    Node::Int(i64::from_le_bytes(le))
                }
            }
        };
        self.push(node);
        Ok(())
    }

    fn text(&mut self, op: u8) -> Result<(), String> {
        let len = match op {
            0x8c | b'U' | b'C' => u8::from_le_bytes(self.array()?) as usize,
            0x8d | 0x8e => usize::try_from(u64::from_le_bytes(self.array()?)).map_err(|e| e.to_string())?,
            _ => u32::from_le_bytes(self.array()?) as usize,
        };
        let bytes = self.take(len)?;
        let node = match op {
            b'C' | b'B' | 0x8e => Node::Bytes,
            _ => Node::Str(String::from_utf8_lossy(bytes).into_owned()),
        };
        self.push(node);
        Ok(())
    }

    fn tuple(&mut self, op: u8) -> Result<(), String> {
        let items = match op {
            b't' => self.pop_mark()?,
            b')' => vec![],
            _ => {
                let len = (op - 0x84) as usize;
                let start = self.stack.len().checked_sub(len).ok_or("tuple of nothing")?;
                self.stack.split_off(start)
            }
        };
        self.push(Node::Tuple(items));
        Ok(())
    }

    fn append(&mut self, op: u8) -> Result<(), String> {
        let items = if op == b'a' { vec![self.pop()?] } else { self.pop_mark()? };
        let list = *self.top()?;
        match &mut self.nodes[list] {
            Node::List(list) => list.extend(items),
            Node::Call { .. } => {} // a list subclass, which no weights are in
            _ => return Err("append to what is no list".into()),
        }
        Ok(())
    }

    fn set_items(&mut self, op: u8) -> Result<(), String> {
        let items = match op {
            b's' => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_mark()?,
        };
        if items.len() % 2 != 0 {
            return Err("a key without a value".into());
        }
        let dict = *self.top()?;
        match &mut self.nodes[dict] {
            Node::Dict(dict) => dict.extend(items.chunks_exact(2).map(|kv| (kv[0], kv[1]))),
            Node::Call { .. } => {} // a dict subclass, such as collections.Counter
            _ => return Err("item of what is no dictionary".into()),
        }
        Ok(())
    }

    fn global(&mut self, op: u8) -> Result<(), String> {
        let name = if op == b'c' {
            let module = self.line()?;
            format!("{module} {}", self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.nodes[module], &self.nodes[name]) {
                (Node::Str(module), Node::Str(name)) => format!("{module} {name}"),
                _ => return Err("a global without a name".into()),
            }
        };
        self.push(Node::Global(name));
        Ok(())
    }

    /// An ordered dictionary becomes a dictionary; every other call is only written down.
    fn call(&mut self) -> Result<(), String> {
        let (args, callable) = (self.pop()?, self.pop()?);
        let ordered = matches!(&self.nodes[callable], Node::Global(name) if name == "collections OrderedDict");
        self.push(if ordered { Node::Dict(vec![]) } else { Node::Call { callable, args } });
        Ok(())
    }

    fn push(&mut self, node: Node) {
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
    }

    fn top(&self) -> Result<&Id, String> {
        self.stack.last().ok_or_else(|| "empty stack".into())
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "empty stack".into())
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|&m| m <= self.stack.len()).ok_or("no mark")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, len: usize) -> Result<&[u8], String> {
        let rest = &self.input[self.at..];
        if len > rest.len() {
            return Err("the file ends too early".into());
        }
        self.at += len;
        Ok(&rest[..len])
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| "the file ends too early".into())
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = &self.input[self.at..];
        let end = rest.iter().position(|&b| b == b'\n').ok_or("the file ends too early")?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_dictionaries_are_one() {
        // {'a': d, 'b': d} where d is filled after it was memoized: both must see the entry.
        let bytes = b"\x80\x02}q\x00(X\x01\x00\x00\x00a}q\x01X\x01\x00\x00\x00kK\x07sX\x01\x00\x00\x00bh\x01u.";
        let p = Pickle::parse(bytes).unwrap();
        let root = p.dict(p.root()).unwrap();
        for (_, value) in root {
            let inner = p.dict(*value).unwrap();
            assert_eq!((p.str(inner[0].0), p.int(inner[0].1)), (Some("k"), Some(7)));
        }
        assert_eq!(root.len(), 2);
    }

    #[test]
    fn a_call_stays_a_name() {
        // os.system("true") as a malicious checkpoint would have it
        let p = Pickle::parse(b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.").unwrap();
        let (name, args) = p.call(p.root()).unwrap();
        assert_eq!((name, p.str(args[0])), ("os system", Some("true")));
    }

    #[test]
    fn broken_input_is_an_error() {
        for bytes in
            [&b""[..], b".", b"\x80", b"(t", b"X\xff\xff\xff\xffa.", b"h\x00.", b"}K\x01s.", b"c\n", b"\x85.", b"(0t."]
        {
            assert!(Pickle::parse(bytes).is_err(), "{bytes:?}");
        }
        let deep: Vec<u8> = std::iter::once(b']').chain(std::iter::repeat_n(0x85, 2_000_000)).chain([b'.']).collect();
        assert!(Pickle::parse(&deep).is_ok(), "nesting costs no stack");
    }
}
