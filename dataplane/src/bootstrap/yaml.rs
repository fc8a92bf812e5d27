//! Text to [`Node`]s: the only module that knows the YAML library. JSON is read as the YAML it is.
//!
//! Bounds: bytes, levels and nodes, aliases counted each time they are used, so that a short file
//! cannot stand for a huge one. A text that is no YAML stops the reading with one finding;
//! duplicate keys are collected.

use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::finding::{Finding, Severity};
use super::node::{Content, Entry, Node, Place};

/// Bytes of a file.
pub(super) const BYTES_MAX: usize = 64 << 20;
/// Nodes of a file, aliases counted each time.
pub(super) const NODES_MAX: u64 = 4_000_000;
/// Levels of a file.
pub(super) const DEPTH_MAX: u32 = 64;

/// Something wrong with the text itself.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) place: Place,
    pub(super) reason: String,
    pub(super) remedy: &'static str,
}

impl Fault {
    /// The fault as a finding.
    pub(super) fn into_finding(self, file: &Arc<str>) -> Finding {
        Finding {
            file: Arc::clone(file),
            line: self.place.line,
            column: self.place.column,
            path: String::new(),
            reason: self.reason,
            remedy: self.remedy.to_owned(),
            severity: Severity::Error,
        }
    }
}

/// The tree of a text with one document, and the duplicate keys found in it.
pub(super) fn read(text: &str) -> Result<(Arc<Node>, Vec<Fault>), Fault> {
    if text.len() > BYTES_MAX {
        let reason = format!(
            "the file has {} bytes, over the {BYTES_MAX} allowed",
            text.len()
        );
        return Err(fault(Place { line: 1, column: 1 }, reason, "split it"));
    }
    let mut composer = Composer::default();
    for item in Parser::new_from_str(text) {
        let (event, span) = item.map_err(|error| {
            let place = place_of(error.marker().line(), error.marker().col());
            fault(
                place,
                format!("not valid YAML or JSON: {}", error.info()),
                "correct the syntax",
            )
        })?;
        composer.handle_event(event, span)?;
    }
    let root = composer.root.ok_or_else(|| {
        let reason = "the file is empty".to_owned();
        fault(
            Place { line: 1, column: 1 },
            reason,
            "write at least static_resources",
        )
    })?;
    Ok((root, composer.faults))
}

/// Builds nodes from events, without recursion.
#[derive(Default)]
struct Composer {
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
    nodes: u64,
    documents: u32,
    root: Option<Arc<Node>>,
    faults: Vec<Fault>,
}

/// A collection whose end has not come yet.
struct Open {
    place: Place,
    anchor: usize,
    parts: Parts,
}

enum Parts {
    List(Vec<Arc<Node>>),
    Map(MapParts),
}

#[derive(Default)]
struct MapParts {
    entries: Vec<Entry>,
    seen: HashMap<Arc<str>, Place>,
    /// What stood under `<<`.
    merged: Vec<Arc<Node>>,
    key: Option<Key>,
}

enum Key {
    Text(Arc<str>, Place),
    Merge,
    /// Its value is read and forgotten.
    Invalid,
}

impl Composer {
    fn handle_event(&mut self, event: Event<'_>, span: Span) -> Result<(), Fault> {
        let place = place_of(span.start.line(), span.start.col());
        match event {
            Event::DocumentStart(..) => self.start_document(place),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref();
                check_tag(tag, place)?;
                let quoted = style != ScalarStyle::Plain || tag.is_some_and(is_text_tag);
                let node = Arc::new(Node::scalar(place, text.into(), quoted));
                self.finish(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), place)?;
                self.start(Open {
                    place,
                    anchor,
                    parts: Parts::List(Vec::new()),
                })
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), place)?;
                self.start(Open {
                    place,
                    anchor,
                    parts: Parts::Map(MapParts::default()),
                })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place),
            Event::Alias(anchor) => match self.anchors.get(&anchor).cloned() {
                Some(node) => self.finish(node, 0),
                None => Err(fault(
                    place,
                    "an alias inside what it names".to_owned(),
                    "remove it",
                )),
            },
            _ => Ok(()),
        }
    }

    fn start_document(&mut self, place: Place) -> Result<(), Fault> {
        self.documents += 1;
        if self.documents > 1 {
            let reason = "a second document begins here".to_owned();
            return Err(fault(place, reason, "keep one document per file"));
        }
        Ok(())
    }

    fn start(&mut self, open: Open) -> Result<(), Fault> {
        self.check_depth(open.place, 1)?;
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self, place: Place) -> Result<(), Fault> {
        let Some(open) = self.open.pop() else {
            return Err(fault(
                place,
                "an end without a start".to_owned(),
                "correct the syntax",
            ));
        };
        let node = match open.parts {
            Parts::List(items) => Node::list(open.place, items),
            Parts::Map(parts) => Node::map(open.place, self.merge(parts)),
        };
        self.finish(Arc::new(node), open.anchor)
    }

    /// A node is complete: it goes where its collection wants it.
    fn finish(&mut self, node: Arc<Node>, anchor: usize) -> Result<(), Fault> {
        self.check_depth(node.place, node.depth)?;
        self.nodes = self.nodes.saturating_add(1);
        if self.nodes.max(node.size) > NODES_MAX {
            let reason = format!("the file stands for more than {NODES_MAX} values");
            return Err(fault(node.place, reason, "use fewer aliases or split it"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, Arc::clone(&node));
        }
        match self.open.last_mut().map(|open| &mut open.parts) {
            None => self.root = Some(node),
            Some(Parts::List(items)) => items.push(node),
            Some(Parts::Map(parts)) => parts.take(node, &mut self.faults),
        }
        Ok(())
    }

    fn check_depth(&self, place: Place, more: u32) -> Result<(), Fault> {
        if self.open.len() as u64 + u64::from(more) <= u64::from(DEPTH_MAX) {
            return Ok(());
        }
        let reason = format!("more than {DEPTH_MAX} levels deep");
        Err(fault(
            place,
            reason,
            "no served configuration needs so many",
        ))
    }

    /// Adds what `<<` brought in: own keys win, then the maps in their order.
    fn merge(&mut self, mut parts: MapParts) -> Vec<Entry> {
        for source in std::mem::take(&mut parts.merged) {
            let Content::Map(entries) = &source.content else {
                let reason = format!("`<<` merges maps, but this is {}", source.describe());
                self.faults
                    .push(fault(source.place, reason, "name a map by its alias"));
                continue;
            };
            for entry in entries {
                if let Slot::Vacant(slot) = parts.seen.entry(Arc::clone(&entry.key)) {
                    slot.insert(entry.key_place);
                    parts.entries.push(entry.clone());
                }
            }
        }
        parts.entries
    }
}

impl MapParts {
    /// Takes a key or the value that belongs to it.
    fn take(&mut self, node: Arc<Node>, faults: &mut Vec<Fault>) {
        match self.key.take() {
            None => self.key = Some(self.read_key(&node, faults)),
            Some(Key::Invalid) => {}
            Some(Key::Merge) => match &node.content {
                Content::List(items) => self.merged.extend(items.iter().cloned()),
                _ => self.merged.push(node),
            },
            Some(Key::Text(key, key_place)) => {
                self.entries.push(Entry {
                    key,
                    key_place,
                    value: node,
                });
            }
        }
    }

    fn read_key(&mut self, node: &Node, faults: &mut Vec<Fault>) -> Key {
        let Content::Scalar(scalar) = &node.content else {
            let reason = format!("a key must be a text, but this is {}", node.describe());
            faults.push(fault(node.place, reason, "write a field name"));
            return Key::Invalid;
        };
        if &*scalar.text == "<<" && !scalar.quoted {
            return Key::Merge;
        }
        let key: Arc<str> = Arc::from(&*scalar.text);
        if let Some(first) = self.seen.get(&key) {
            let reason = format!("duplicate key `{key}`, first at line {}", first.line);
            faults.push(fault(node.place, reason, "remove one of them"));
            return Key::Invalid;
        }
        self.seen.insert(Arc::clone(&key), node.place);
        Key::Text(key, node.place)
    }
}

/// Tags of the core schema say nothing new, but `!!str` and `!`, which stand for quotes.
fn check_tag(tag: Option<&Tag>, place: Place) -> Result<(), Fault> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() && tag.original() != "!" => {
            let reason = format!("the tag `{}` means nothing here", tag.original());
            Err(fault(place, reason, "remove it"))
        }
        _ => Ok(()),
    }
}

fn is_text_tag(tag: &Tag) -> bool {
    tag.is_yaml_core_schema_tag("str") || tag.original() == "!"
}

fn fault(place: Place, reason: String, remedy: &'static str) -> Fault {
    Fault {
        place,
        reason,
        remedy,
    }
}

/// The library counts columns from 0.
fn place_of(line: usize, column: usize) -> Place {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Place {
        line: number(line.max(1)),
        column: number(column.saturating_add(1)),
    }
}
