//! `json_format`: an object whose values are filled in per request.

use super::escape::Escape;
use super::parse::{FormatError, pieces};
use super::{Absent, Piece, write_pieces};
use crate::access_log::Facts;
use crate::format::operator::Operator;
use crate::format::value::Value;
use crate::limits::{FORMAT_BYTES_MAX, FORMAT_DEPTH_MAX};

/// A value of a JSON format as configured.
#[derive(Clone, PartialEq, Debug)]
pub enum JsonValue {
    /// Text with operators; a single operator that yields a number stays a number, and one that
    /// yields nothing is `null`.
    Text(String),
    /// Copied.
    Number(f64),
    /// Copied.
    Bool(bool),
    /// Copied.
    Null,
    /// Fields in order.
    Object(Vec<(String, JsonValue)>),
    /// Elements in order.
    List(Vec<JsonValue>),
}

/// A value ready to be written.
#[derive(Debug)]
pub(super) enum Node {
    /// JSON text.
    Fixed(Box<[u8]>),
    /// One operator alone.
    Value(Operator),
    /// A string with operators in it.
    Text(Vec<Piece>),
    /// Fields; the keys are JSON text with their colon.
    Object(Vec<(Box<[u8]>, Node)>),
    /// Elements.
    List(Vec<Node>),
}

/// Parses the outermost object.
pub(super) fn parse(fields: Vec<(String, JsonValue)>) -> Result<Node, FormatError> {
    let mut bytes_left = FORMAT_BYTES_MAX;
    object(fields, FORMAT_DEPTH_MAX, &mut bytes_left)
}

fn object(
    fields: Vec<(String, JsonValue)>,
    depth_left: usize,
    bytes_left: &mut usize,
) -> Result<Node, FormatError> {
    let fields = fields.into_iter().map(|(key, value)| {
        take(key.len() + 1, bytes_left)?;
        match node(value, depth_left, bytes_left) {
            Ok(node) => Ok((quoted(&key, ":"), node)),
            Err(error) => Err(below(&key, error)),
        }
    });
    fields.collect::<Result<_, _>>().map(Node::Object)
}

fn node(value: JsonValue, depth_left: usize, bytes_left: &mut usize) -> Result<Node, FormatError> {
    match value {
        JsonValue::Text(text) => {
            take(text.len() + 1, bytes_left)?;
            text_node(&text)
        }
        JsonValue::Number(number) if !number.is_finite() => {
            Err(FormatError::at(0, "JSON has no such number"))
        }
        // `{}` of a float is its shortest exact decimal form, without exponent.
        JsonValue::Number(number) => Ok(fixed(&number.to_string())),
        JsonValue::Bool(value) => Ok(fixed(if value { "true" } else { "false" })),
        JsonValue::Null => Ok(fixed("null")),
        JsonValue::Object(_) | JsonValue::List(_) if depth_left == 0 => {
            let reason = format!("objects and lists may be {FORMAT_DEPTH_MAX} levels deep");
            Err(FormatError::at(0, reason))
        }
        JsonValue::Object(fields) => object(fields, depth_left - 1, bytes_left),
        JsonValue::List(elements) => {
            let elements = elements.into_iter().enumerate().map(|(index, element)| {
                take(1, bytes_left)?;
                let node = node(element, depth_left - 1, bytes_left);
                node.map_err(|error| below(&format!("[{index}]"), error))
            });
            elements.collect::<Result<_, _>>().map(Node::List)
        }
    }
}

fn text_node(text: &str) -> Result<Node, FormatError> {
    let mut pieces = pieces(text)?;
    match (pieces.pop(), pieces.is_empty()) {
        (None, _) => Ok(fixed("\"\"")),
        (Some(Piece::Operator(operator)), true) => Ok(Node::Value(operator)),
        (Some(Piece::Text(text)), true) => {
            let text = String::from_utf8_lossy(&text);
            Ok(Node::Fixed(quoted(&text, "")))
        }
        (Some(last), false) => {
            pieces.push(last);
            Ok(Node::Text(pieces))
        }
    }
}

fn take(bytes: usize, bytes_left: &mut usize) -> Result<(), FormatError> {
    match bytes_left.checked_sub(bytes) {
        Some(left) => *bytes_left = left,
        None => {
            let reason = format!("a JSON format may have {FORMAT_BYTES_MAX} bytes");
            return Err(FormatError::at(0, reason));
        }
    }
    Ok(())
}

fn below(step: &str, error: FormatError) -> FormatError {
    FormatError {
        place: format!("{step}: {}", error.place),
        ..error
    }
}

fn fixed(text: &str) -> Node {
    Node::Fixed(text.as_bytes().into())
}

fn quoted(text: &str, end: &str) -> Box<[u8]> {
    let mut out = vec![b'"'];
    Escape::Json.append(text.as_bytes(), &mut out);
    out.push(b'"');
    out.extend_from_slice(end.as_bytes());
    out.into()
}

/// Appends the value. The depth of the recursion is that of the format.
pub(super) fn write(node: &Node, facts: &Facts<'_>, absent: Absent, out: &mut Vec<u8>) {
    match node {
        Node::Fixed(text) => out.extend_from_slice(text),
        Node::Value(operator) => write_value(operator, facts, out),
        Node::Text(pieces) => {
            out.push(b'"');
            write_pieces(pieces, facts, (Escape::Json, absent), out);
            out.push(b'"');
        }
        Node::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(_, node)| !is_omitted(node, facts, absent));
            out.push(b'{');
            for (index, (key, node)) in kept.enumerate() {
                separate(index, out);
                out.extend_from_slice(key);
                write(node, facts, absent, out);
            }
            out.push(b'}');
        }
        Node::List(elements) => {
            let kept = elements
                .iter()
                .filter(|node| !is_omitted(node, facts, absent));
            out.push(b'[');
            for (index, node) in kept.enumerate() {
                separate(index, out);
                write(node, facts, absent, out);
            }
            out.push(b']');
        }
    }
}

fn separate(index: usize, out: &mut Vec<u8>) {
    if index > 0 {
        out.push(b',');
    }
}

fn is_omitted(node: &Node, facts: &Facts<'_>, absent: Absent) -> bool {
    match node {
        Node::Value(operator) if absent == Absent::Omitted => operator.value(facts).is_absent(),
        _ => false,
    }
}

fn write_value(operator: &Operator, facts: &Facts<'_>, out: &mut Vec<u8>) {
    match operator.value(facts) {
        Value::Absent => out.extend_from_slice(b"null"),
        number @ Value::Number(_) => number.write(None, Escape::Json, out),
        value => {
            out.push(b'"');
            value.write(operator.bytes_max, Escape::Json, out);
            out.push(b'"');
        }
    }
}
