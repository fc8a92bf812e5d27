//! Reads `http_safety.cases`, the attack table; what its keys mean stands at the top of that
//! file. Tests of several crates include this file by path.

/// One row of the table.
#[allow(
    dead_code,
    reason = "each test that includes the file reads other keys"
)]
#[derive(Clone, Debug, Default)]
pub(crate) struct Case {
    /// `<id>_<what>`.
    pub(crate) name: String,
    /// The listener that serves it.
    pub(crate) profile: String,
    /// False if the row holds for the codec alone, too.
    pub(crate) needs_gateway: bool,
    /// Sent at once.
    pub(crate) client: Vec<u8>,
    /// Sent when what was due has been answered.
    pub(crate) client_then: Vec<u8>,
    /// The client shuts down its sending side.
    pub(crate) client_ends: bool,
    /// The answer to the first request; `None` for the usual one.
    pub(crate) origin: Option<Vec<u8>>,
    /// Sent after the answer is complete.
    pub(crate) origin_late: Vec<u8>,
    /// The origin closes after its bytes.
    pub(crate) origin_ends: bool,
    /// Alternatives, each a list of final statuses.
    pub(crate) statuses: Vec<Vec<u16>>,
    /// Does the gateway close the client's connection? `None`: either.
    pub(crate) closed: Option<bool>,
    /// Received by the origin.
    pub(crate) seen: Vec<Vec<u8>>,
    /// Not received by the origin.
    pub(crate) unseen: Vec<Vec<u8>>,
    /// The origin received nothing.
    pub(crate) untouched: bool,
    /// Received by the client.
    pub(crate) answer: Vec<Vec<u8>>,
    /// Not received by the client.
    pub(crate) no_answer: Vec<Vec<u8>>,
    /// The gateway closes its connection to the origin.
    pub(crate) origin_closed: bool,
}

impl Case {
    /// The part of the name before the first underscore, for example `f08`.
    #[allow(dead_code, reason = "not every test asks for it")]
    pub(crate) fn id(&self) -> &str {
        self.name.split('_').next().unwrap_or_default()
    }
}

/// All rows in order.
///
/// # Panics
/// If the table is malformed; the message has the line.
pub(crate) fn all() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    for (index, line) in include_str!("http_safety.cases").lines().enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case {
                name: name.into(),
                profile: "default".into(),
                ..Case::default()
            });
            continue;
        }
        let case = cases
            .last_mut()
            .expect("a key stands before the first case");
        let (key, text) = line.split_once(' ').unwrap_or((line, ""));
        set(case, key, text).unwrap_or_else(|| panic!("line {}: {line}", index + 1));
    }
    cases
}

fn set(case: &mut Case, key: &str, text: &str) -> Option<()> {
    match key {
        "profile" => case.profile = text.into(),
        "layer" => case.needs_gateway = one_of(text, "gateway", "codec")?,
        ">" => case.client.extend(unescape(text)?),
        ">>" => case.client_then.extend(unescape(text)?),
        "end" => case.client_ends = true,
        "<" => case.origin.get_or_insert_default().extend(unescape(text)?),
        "<<" => case.origin_late.extend(unescape(text)?),
        "origin-end" => case.origin_ends = true,
        "status" => case.statuses = text.split('|').map(statuses).collect::<Option<_>>()?,
        "closed" => case.closed = Some(one_of(text, "yes", "no")?),
        "seen" => case.seen.push(unescape(text)?),
        "unseen" => case.unseen.push(unescape(text)?),
        "untouched" => case.untouched = true,
        "answer" => case.answer.push(unescape(text)?),
        "no-answer" => case.no_answer.push(unescape(text)?),
        "origin-closed" => case.origin_closed = true,
        _ => return None,
    }
    Some(())
}

fn one_of(text: &str, yes: &str, no: &str) -> Option<bool> {
    (text == yes || text == no).then_some(text == yes)
}

fn statuses(text: &str) -> Option<Vec<u16>> {
    match text.trim() {
        "-" => Some(Vec::new()),
        list => list.split(' ').map(|status| status.parse().ok()).collect(),
    }
}

/// `\r \n \t \0 \\ \{ \xHH` and `{text*N}`.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '\\' => unescape_one(&rest[1..], &mut out)?,
            '{' => {
                let (group, behind) = rest[1..].split_once('}')?;
                let (group, count) = group.rsplit_once('*')?;
                out.extend(unescape(group)?.repeat(count.parse().ok()?));
                behind
            }
            _ => {
                out.extend_from_slice(&rest.as_bytes()[..next.len_utf8()]);
                &rest[next.len_utf8()..]
            }
        };
    }
    Some(out)
}

fn unescape_one<'a>(text: &'a str, out: &mut Vec<u8>) -> Option<&'a str> {
    let (byte, len) = match text.as_bytes().first()? {
        b'r' => (b'\r', 1),
        b'n' => (b'\n', 1),
        b't' => (b'\t', 1),
        b'0' => (0, 1),
        b'\\' => (b'\\', 1),
        b'{' => (b'{', 1),
        b'x' => (u8::from_str_radix(text.get(1..3)?, 16).ok()?, 3),
        _ => return None,
    };
    out.push(byte);
    Some(&text[len..])
}
