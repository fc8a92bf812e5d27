//! The query of a request: `name=value` pairs, percent-decoded.

/// Pairs in the order in which they came.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

/// Pairs beyond these are ignored.
const PAIRS_MAX: usize = 32;

impl Query {
    /// Takes the part after `?` apart.
    pub(super) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.take(PAIRS_MAX).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        Self(pairs.collect())
    }

    /// Value of the first pair of this name; empty if it came without one.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(known, _)| known == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// True if there is a pair of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// True for `format=json`.
    pub(super) fn json(&self) -> bool {
        self.value("format") == Some("json")
    }
}

/// What is not a percent sign with two digits stays as it is; bytes that are not UTF-8 are
/// replaced.
fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        match (first, escape(after)) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape(after: &[u8]) -> Option<u8> {
    let digit = |index: usize| char::from(*after.get(index)?).to_digit(16);
    u8::try_from(digit(0)? * 16 + digit(1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_decoded() {
        let query = Query::parse("usedonly&filter=a%5C.b%2B+c&&x=%zz%4&filter=2&=e");
        assert_eq!(query.value("usedonly"), Some(""));
        assert_eq!(query.value("filter"), Some("a\\.b+ c"));
        assert_eq!(query.value("x"), Some("%zz%4"));
        assert_eq!(query.value("none"), None);
        assert_eq!(Query::parse("a=%ff").value("a"), Some("\u{fffd}"));
        assert_eq!(Query::parse(&"a&".repeat(1000)).0.len(), PAIRS_MAX);
    }
}
