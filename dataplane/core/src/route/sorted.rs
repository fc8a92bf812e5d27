//! A sorted list of byte strings that finds every member a text begins with, in one binary search.
//!
//! Each member knows the longest other member that it begins with. All members that begin a text
//! are on one such chain, which starts at the last member not above the text; so a search takes as
//! many steps for the first member as for the last.

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// How letters compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum Case {
    /// `a` is not `A`.
    #[default]
    Sensitive,
    /// `a` is `A`; members are in lower case.
    Ignored,
}

/// The list, with a value for each member.
#[derive(Debug)]
pub(super) struct Sorted<T> {
    case: Case,
    bytes: Vec<u8>,
    members: Vec<Member<T>>,
}

#[derive(Debug)]
struct Member<T> {
    start: u32,
    len: u32,
    /// The longest other member that this one begins with.
    parent: Option<u32>,
    value: T,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::build(Case::Sensitive, BTreeMap::new())
    }
}

impl<T> Sorted<T> {
    /// Builds the list; with [`Case::Ignored`] the members must be in lower case.
    pub(super) fn build(case: Case, members: BTreeMap<Vec<u8>, T>) -> Self {
        let mut sorted = Self {
            case,
            bytes: Vec::new(),
            members: Vec::with_capacity(members.len()),
        };
        for (text, value) in members {
            sorted.push(&text, value);
        }
        sorted
    }

    fn push(&mut self, text: &[u8], value: T) {
        let last = self.members.len().checked_sub(1).map(|index| index as u32);
        let parent = self
            .chain(last)
            .find(|&index| text.starts_with(self.text(index)));
        self.members.push(Member {
            start: self.bytes.len() as u32,
            len: text.len() as u32,
            parent,
            value,
        });
        self.bytes.extend_from_slice(text);
    }

    /// True if it has no member.
    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Length and value of every member that `text` begins with, the longest first.
    pub(super) fn prefixes_of(&self, text: &[u8]) -> impl Iterator<Item = (usize, &T)> {
        let above = self
            .members
            .partition_point(|member| self.compare(self.slice(member), text) != Ordering::Greater);
        let last = above.checked_sub(1).map(|index| index as u32);
        let common = last.map_or(0, |index| self.common(self.text(index), text));
        self.chain(last)
            .map(|index| &self.members[index as usize])
            .skip_while(move |member| member.len as usize > common)
            .map(|member| (member.len as usize, &member.value))
    }

    /// The value of the member equal to `text`.
    pub(super) fn value(&self, text: &[u8]) -> Option<&T> {
        let (len, value) = self.prefixes_of(text).next()?;
        (len == text.len()).then_some(value)
    }

    /// A member, its parent, the parent's parent and so on.
    fn chain(&self, first: Option<u32>) -> impl Iterator<Item = u32> {
        std::iter::successors(first, |&index| self.members[index as usize].parent)
    }

    fn text(&self, index: u32) -> &[u8] {
        self.slice(&self.members[index as usize])
    }

    fn slice(&self, member: &Member<T>) -> &[u8] {
        &self.bytes[member.start as usize..(member.start + member.len) as usize]
    }

    fn compare(&self, member: &[u8], text: &[u8]) -> Ordering {
        match self.case {
            Case::Sensitive => member.cmp(text),
            Case::Ignored => {
                let text = text.iter().map(u8::to_ascii_lowercase);
                member.iter().copied().cmp(text)
            }
        }
    }

    /// Length of the common beginning.
    fn common(&self, member: &[u8], text: &[u8]) -> usize {
        let same = |&(&member, &text): &(&u8, &u8)| match self.case {
            Case::Sensitive => member == text,
            Case::Ignored => member == text.to_ascii_lowercase(),
        };
        member.iter().zip(text).take_while(same).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(case: Case, members: &[&str], text: &str, expect: &[&str]) {
        let members = members.iter().map(|text| (text.as_bytes().to_vec(), *text));
        let sorted = Sorted::build(case, members.collect());
        let found: Vec<_> = sorted.prefixes_of(text.as_bytes()).collect();
        let expect: Vec<_> = expect.iter().map(|text| (text.len(), text)).collect();
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn finds_all_beginnings_longest_first() {
        let members = ["", "/", "/a", "/ab", "/abc/d", "/b", "/b/c", "x"];
        check(Case::Sensitive, &members, "/abc/e", &["/ab", "/a", "/", ""]);
        check(
            Case::Sensitive,
            &members,
            "/abc/d",
            &["/abc/d", "/ab", "/a", "/", ""],
        );
        check(Case::Sensitive, &members, "/c", &["/", ""]);
        check(Case::Sensitive, &members, "/A", &["/", ""]);
        check(Case::Ignored, &members, "/ABz", &["/ab", "/a", "/", ""]);
        check(Case::Sensitive, &members, "", &[""]);
        check(Case::Sensitive, &["b"], "a", &[]);
        check(Case::Sensitive, &[], "a", &[]);
    }
}
