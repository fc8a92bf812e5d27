//! A file as a tree of texts with their places: what it says, not yet what it means.
//!
//! Plain scalars keep their text, since the kind of the field decides what `on`, `010` and `1.10`
//! are.

use std::sync::Arc;

/// A place in a file; both from 1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value with its place. An aliased one is shared.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    /// Nodes in it, itself included, aliases counted each time.
    pub(super) size: u64,
    /// Levels in it, itself included.
    pub(super) depth: u32,
    pub(super) content: Content,
}

#[derive(Debug)]
pub(super) enum Content {
    Scalar(Scalar),
    List(Vec<Arc<Node>>),
    Map(Vec<Entry>),
}

/// A text and whether it stood in quotes (or in a block, or under `!!str`).
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: Box<str>,
    pub(super) quoted: bool,
}

/// One key of a map; keys are unique.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Arc<str>,
    pub(super) key_place: Place,
    pub(super) value: Arc<Node>,
}

impl Node {
    pub(super) fn scalar(place: Place, text: Box<str>, quoted: bool) -> Self {
        Self {
            place,
            size: 1,
            depth: 1,
            content: Content::Scalar(Scalar { text, quoted }),
        }
    }

    pub(super) fn list(place: Place, items: Vec<Arc<Node>>) -> Self {
        let (size, depth) = measure(items.iter());
        Self {
            place,
            size,
            depth,
            content: Content::List(items),
        }
    }

    pub(super) fn map(place: Place, entries: Vec<Entry>) -> Self {
        let (size, depth) = measure(entries.iter().map(|entry| &entry.value));
        Self {
            place,
            size,
            depth,
            content: Content::Map(entries),
        }
    }

    /// `null`, `~` or nothing at all: the field is not set.
    pub(super) fn is_null(&self) -> bool {
        let Content::Scalar(scalar) = &self.content else {
            return false;
        };
        !scalar.quoted && matches!(&*scalar.text, "" | "~" | "null" | "Null" | "NULL")
    }

    /// What it is, for people.
    pub(super) fn describe(&self) -> String {
        match &self.content {
            Content::Scalar(_) if self.is_null() => "nothing".to_owned(),
            Content::Scalar(scalar) => format!("`{}`", shorten(&scalar.text)),
            Content::List(_) => "a list".to_owned(),
            Content::Map(_) => "a map".to_owned(),
        }
    }

    /// The child under a key or an index, as in a field path.
    pub(super) fn child(&self, step: &Step<'_>) -> Option<(Place, &Arc<Node>)> {
        match (&self.content, step) {
            (Content::List(items), Step::Index(index)) => {
                items.get(*index).map(|item| (item.place, item))
            }
            (Content::Map(entries), Step::Field(name)) => entries
                .iter()
                .find(|entry| *entry.key == **name || camel_case(name) == *entry.key)
                .map(|entry| (entry.key_place, &entry.value)),
            (Content::Map(entries), Step::Key(key)) => entries
                .iter()
                .find(|entry| *entry.key == **key)
                .map(|entry| (entry.key_place, &entry.value)),
            _ => None,
        }
    }
}

/// One step of a field path.
#[derive(PartialEq, Eq, Debug)]
pub(crate) enum Step<'a> {
    /// A field by its name in the `.proto` file; the file may have it in camel case.
    Field(&'a str),
    /// A key of a map field.
    Key(&'a str),
    /// An element of a list.
    Index(usize),
}

fn measure<'a>(children: impl Iterator<Item = &'a Arc<Node>>) -> (u64, u32) {
    let (size, depth) = children.fold((0u64, 0), |(size, depth), child| {
        (size.saturating_add(child.size), child.depth.max(depth))
    });
    (size.saturating_add(1), depth + 1)
}

/// The name of a field in JSON: `typed_config` becomes `typedConfig`.
pub(super) fn camel_case(name: &str) -> String {
    let mut upper = false;
    let mut text = String::with_capacity(name.len());
    for letter in name.chars() {
        match letter {
            '_' => upper = true,
            _ if upper => {
                text.push(letter.to_ascii_uppercase());
                upper = false;
            }
            _ => text.push(letter),
        }
    }
    text
}

/// The beginning of a text that is too long for a message.
pub(super) fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let clean = |text: &str| text.escape_debug().to_string().replace("\\\"", "\"");
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", clean(&text[..end])),
        None => clean(text),
    }
}
