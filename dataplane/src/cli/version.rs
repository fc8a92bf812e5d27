//! `penstock version`: what this binary is and which drivers work on this kernel.

use penstock_runtime::{Choice, Preference, UringOptions, driver};

use super::Exit;
use super::options::VersionOptions;

/// The revision that the build was told, if any.
pub(crate) const REVISION: Option<&str> = option_env!("PENSTOCK_REVISION");
/// Version of the package.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) fn run(options: &VersionOptions) -> Exit {
    let uring = UringOptions::default();
    let drivers = [
        ("epoll", driver::choose(Preference::Epoll, &uring)),
        ("uring", driver::choose(Preference::Uring, &uring)),
    ];
    if options.json {
        println!("{}", json(&drivers));
    } else {
        text(&drivers);
    }
    Exit::Success
}

type Drivers = [(&'static str, Result<Choice, String>)];

fn text(drivers: &Drivers) {
    match REVISION {
        Some(revision) => println!("penstock {VERSION} ({revision})"),
        None => println!("penstock {VERSION}"),
    }
    for (name, choice) in drivers {
        match choice {
            Ok(_) => println!("  {name}: works here"),
            Err(why) => println!("  {name}: {why}"),
        }
    }
}

fn json(drivers: &Drivers) -> String {
    let drivers: Vec<String> = drivers.iter().map(driver_json).collect();
    format!(
        "{{\"version\":{},\"revision\":{},\"drivers\":{{{}}}}}",
        quoted(VERSION),
        REVISION.map_or("null".to_owned(), quoted),
        drivers.join(",")
    )
}

fn driver_json((name, choice): &(&'static str, Result<Choice, String>)) -> String {
    let reason = match choice {
        Ok(_) => "null".to_owned(),
        Err(why) => quoted(why),
    };
    format!(
        "\"{name}\":{{\"works\":{},\"reason\":{reason}}}",
        choice.is_ok()
    )
}

/// A JSON string.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json() {
        assert_eq!(quoted("a\"b\\c\n"), r#""a\"b\\c\u000a""#);
        let drivers = [("epoll", Err("no \"x\"".to_owned()))];
        let expect = format!(
            r#"{{"version":"{VERSION}","revision":{},{}}}"#,
            REVISION.map_or("null".to_owned(), quoted),
            r#""drivers":{"epoll":{"works":false,"reason":"no \"x\""}}"#
        );
        assert_eq!(json(&drivers), expect);
    }
}
