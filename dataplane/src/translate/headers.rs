//! Header changes of one level.

use penstock_core::config::route::{AppendAction, HeaderAddition, HeaderChanges, HeaderEdits};
use penstock_core::format::Format;
use penstock_proto::envoy::config::core::v3::HeaderValueOption;
use penstock_proto::envoy::config::core::v3::header_value_option::HeaderAppendAction;

use super::draft::Draft;

/// The four lists that every level has.
pub(super) struct Lists<'a> {
    pub(super) request_add: &'a [HeaderValueOption],
    pub(super) request_remove: &'a [String],
    pub(super) response_add: &'a [HeaderValueOption],
    pub(super) response_remove: &'a [String],
}

impl Draft<'_> {
    /// The changes of a level; names are checked when the route table is compiled.
    pub(super) fn header_changes(&mut self, lists: &Lists<'_>) -> HeaderChanges {
        HeaderChanges {
            request: HeaderEdits {
                remove: lower_case(lists.request_remove),
                add: self.additions("request_headers_to_add", lists.request_add),
            },
            response: HeaderEdits {
                remove: lower_case(lists.response_remove),
                add: self.additions("response_headers_to_add", lists.response_add),
            },
        }
    }

    fn additions(&mut self, field: &str, options: &[HeaderValueOption]) -> Vec<HeaderAddition> {
        self.each(field, options, |draft, option| draft.addition(option))
    }

    fn addition(&mut self, option: &HeaderValueOption) -> HeaderAddition {
        let header = option.header.clone().unwrap_or_else(|| {
            self.error("header", "is missing", "write header with key and value");
            Default::default()
        });
        let value = self.field("header", |draft| {
            draft.header_text("value", &header.value);
            draft.checked("value", Format::parse(&header.value))
        });
        HeaderAddition {
            name: header.key.to_ascii_lowercase().into(),
            value,
            action: self.append_action(option),
            keep_empty: option.keep_empty_value,
        }
    }

    fn append_action(&mut self, option: &HeaderValueOption) -> AppendAction {
        if option.append.is_some() && option.append_action != 0 {
            self.error(
                "append",
                "excludes append_action, which is set too",
                "keep append_action",
            );
        }
        match option.append_action() {
            HeaderAppendAction::AppendIfExistsOrAdd if option.append == Some(false) => {
                AppendAction::OverwriteOrAdd
            }
            HeaderAppendAction::AppendIfExistsOrAdd => AppendAction::AppendOrAdd,
            HeaderAppendAction::AddIfAbsent => AppendAction::AddIfAbsent,
            HeaderAppendAction::OverwriteIfExistsOrAdd => AppendAction::OverwriteOrAdd,
            HeaderAppendAction::OverwriteIfExists => AppendAction::OverwriteIfExists,
        }
    }
}

fn lower_case(names: &[String]) -> Vec<Box<str>> {
    names
        .iter()
        .map(|name| name.to_ascii_lowercase().into())
        .collect()
}
