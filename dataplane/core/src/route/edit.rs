//! Header edits of one level. Values are formatted first, from the head as it was after the
//! removals, and then put in place: overwrites before additions, as Envoy does.

use super::Around;
use crate::access_log::Facts;
use crate::config::route::{AppendAction, HeaderAddition, HeaderEdits};
use crate::fault::Cause;
use crate::http::{Fields, Refusal, RequestHead, ResponseHead};
use crate::limits::EDIT_BYTES_MAX;

/// Marks an addition that is left out, in place of the length of its value.
const LEFT_OUT: u32 = u32::MAX;

/// Edits a request head on the way to the origin; `names` are those of route and virtual host.
pub(super) fn edit_request(
    edits: &HeaderEdits,
    request: &mut RequestHead,
    (around, names): (&Around<'_>, (&str, &str)),
    scratch: &mut Vec<u8>,
) -> Result<(), Cause> {
    remove(edits, &mut request.fields);
    if edits.add.is_empty() {
        return Ok(());
    }
    let facts = request_facts(request, around, names);
    if !format_values(edits, &request.fields, &facts, scratch) {
        return Err(Cause::Malformed(Refusal::HeadBytes));
    }
    put_in_place(edits, scratch, &mut request.fields);
    Ok(())
}

/// Edits a response head on the way to the client.
pub(super) fn edit_response(
    edits: &HeaderEdits,
    response: &mut ResponseHead,
    facts: &Facts<'_>,
    scratch: &mut Vec<u8>,
) {
    remove(edits, &mut response.fields);
    if edits.add.is_empty() {
        return;
    }
    let facts = Facts {
        response: Some(response),
        ..*facts
    };
    if format_values(edits, &response.fields, &facts, scratch) {
        put_in_place(edits, scratch, &mut response.fields);
    }
}

fn request_facts<'a>(
    request: &'a RequestHead,
    around: &Around<'a>,
    (route, virtual_host): (&'a str, &'a str),
) -> Facts<'a> {
    Facts {
        request,
        original_target: request.target(),
        response: None,
        trailers: None,
        record: around.record,
        listener: around.listener,
        route,
        virtual_host,
        cluster: around.cluster,
        hostname: around.hostname,
    }
}

fn remove(edits: &HeaderEdits, fields: &mut Fields) {
    for name in &edits.remove {
        fields.remove_by_name(name.as_bytes());
    }
}

/// Writes length and value of every addition one after the other; false if that is too much.
fn format_values(
    edits: &HeaderEdits,
    fields: &Fields,
    facts: &Facts<'_>,
    scratch: &mut Vec<u8>,
) -> bool {
    scratch.clear();
    for addition in &edits.add {
        let start = scratch.len();
        scratch.extend_from_slice(&LEFT_OUT.to_le_bytes());
        if !is_wanted(addition, fields) {
            continue;
        }
        addition.value.write_header_value(facts, scratch);
        let len = scratch.len() - start - size_of::<u32>();
        if scratch.len() > EDIT_BYTES_MAX {
            return false;
        }
        if len > 0 || addition.keep_empty {
            scratch[start..start + size_of::<u32>()].copy_from_slice(&(len as u32).to_le_bytes());
        }
    }
    true
}

fn is_wanted(addition: &HeaderAddition, fields: &Fields) -> bool {
    let exists = || fields.value_by_name(addition.name.as_bytes()).is_some();
    match addition.action {
        AppendAction::AppendOrAdd | AppendAction::OverwriteOrAdd => true,
        AppendAction::AddIfAbsent => !exists(),
        AppendAction::OverwriteIfExists => exists(),
    }
}

fn overwrites(addition: &HeaderAddition) -> bool {
    matches!(
        addition.action,
        AppendAction::OverwriteOrAdd | AppendAction::OverwriteIfExists
    )
}

fn put_in_place(edits: &HeaderEdits, values: &[u8], fields: &mut Fields) {
    for pass_overwrites in [true, false] {
        let mut rest = values;
        for addition in &edits.add {
            let value = next_value(&mut rest);
            let (Some(value), true) = (value, overwrites(addition) == pass_overwrites) else {
                continue;
            };
            if pass_overwrites {
                fields.remove_by_name(addition.name.as_bytes());
            }
            fields.push(addition.name.as_bytes(), value);
        }
    }
}

/// Takes the next value off what [`format_values`] wrote.
fn next_value<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (len, after) = rest.split_first_chunk()?;
    let len = u32::from_le_bytes(*len);
    if len == LEFT_OUT {
        *rest = after;
        return None;
    }
    let (value, after) = after.split_at_checked(len as usize)?;
    *rest = after;
    Some(value)
}
