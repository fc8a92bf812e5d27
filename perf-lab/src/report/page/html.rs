//! Text as HTML, and the frame of a page: one file, no script, nothing from a network.

/// The look of all pages.
const STYLE: &str = include_str!("style.css");

/// Text with nothing in it that HTML would read.
pub(crate) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Control characters have no place in a page; a configuration may hold some.
            c if c.is_control() && c != '\n' && c != '\t' => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// A whole page around its body.
pub(crate) fn page(title: &str, body: &str) -> String {
    let title = escape(title);
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n\
         <body>\n<main>\n{body}</main>\n</body>\n</html>\n"
    )
}

/// Names and values, one beside the other. Values are text.
pub(crate) fn facts(facts: &[(&str, String)]) -> String {
    let rows = facts.iter().filter(|(_, value)| !value.is_empty());
    let rows: String = rows
        .map(|(name, value)| {
            let (name, value) = (escape(name), escape(value));
            format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
        })
        .collect();
    format!("<dl class=\"facts\">\n{rows}</dl>\n")
}

/// Something long that opens when it is asked for. The body is HTML.
pub(crate) fn folded(title: &str, body: &str) -> String {
    let title = escape(title);
    format!("<details>\n<summary>{title}</summary>\n{body}</details>\n")
}

/// Text in its own lines; long ones scroll inside their box.
pub(crate) fn listing(text: &str) -> String {
    format!("<pre tabindex=\"0\">{}</pre>\n", escape(text.trim_end()))
}

/// A command as a shell would take it.
pub(crate) fn command(words: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,<>".contains(c);
    let quoted = words.iter().map(|word| {
        if !word.is_empty() && word.chars().all(plain) {
            word.clone()
        } else {
            format!("'{}'", word.replace('\'', "'\\''"))
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// A table in a box of its own, which scrolls where it is wider than the page. Heads and cells
/// are HTML; the first cell of a row names it.
pub(crate) fn table(caption: &str, heads: &[String], rows: &[Vec<String>]) -> String {
    let heads: String = heads
        .iter()
        .map(|head| format!("<th scope=\"col\">{head}</th>"))
        .collect();
    let rows: String = rows.iter().map(|row| table_row(row)).collect();
    let label = escape(caption);
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{label}\" tabindex=\"0\">\n<table>\n\
         <thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n"
    )
}

fn table_row(cells: &[String]) -> String {
    let mut text = String::from("<tr>");
    for (at, cell) in cells.iter().enumerate() {
        text += &match at {
            0 => format!("<th scope=\"row\">{cell}</th>"),
            _ => format!("<td>{cell}</td>"),
        };
    }
    text + "</tr>\n"
}

#[cfg(test)]
mod tests {
    use super::{command, escape};

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escape("<b a=\"1\">&'\u{7}"),
            "&lt;b a=&quot;1&quot;&gt;&amp;&#39;\u{fffd}"
        );
    }

    #[test]
    fn commands_can_be_pasted() {
        let words = ["perf-lab", "run", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(command(&words), "perf-lab run 'a b' 'it'\\''s' ''");
    }
}
