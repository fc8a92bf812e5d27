//! Configurations with marks between @, filled in for one run.

use std::fmt::Write;
use std::path::Path;

/// What the marks of a configuration stand for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks<'a> {
    /// `@PORT@`: where the subject listens.
    pub(super) port: u16,
    /// `@ORIGIN_PORT@`.
    pub(super) origin_port: u16,
    /// `@DIR@`: a folder of its own.
    pub(super) folder: &'a Path,
    /// `@FILE@`: its configuration.
    pub(super) file: &'a Path,
    /// `@MODULES@`: modules of nginx.
    pub(super) modules: &'a str,
    /// Lines with `@ORIGIN_IP@` or `@NUMBER@` are repeated so often, with an address each.
    pub(super) upstreams: u32,
}

impl Marks<'_> {
    /// `text` with all marks filled in.
    pub(super) fn fill(&self, text: &str) -> String {
        let mut filled = String::new();
        for line in text.split_inclusive('\n') {
            match line.contains("@ORIGIN_IP@") || line.contains("@NUMBER@") {
                true => (0..self.upstreams).for_each(|number| {
                    let line = line.replace("@ORIGIN_IP@", &address(number));
                    filled.push_str(&line.replace("@NUMBER@", &number.to_string()));
                }),
                false => filled.push_str(line),
            }
        }
        filled
            .replace("@PORT@", &self.port.to_string())
            .replace("@ORIGIN_PORT@", &self.origin_port.to_string())
            .replace("@DIR@", &self.folder.display().to_string())
            .replace("@FILE@", &self.file.display().to_string())
            .replace("@MODULES@", self.modules)
    }
}

/// Address of an upstream: every one in 127.0.0.0/8 is this machine.
fn address(number: u32) -> String {
    let mut text = String::from("127.0.");
    // Writing to a string cannot fail.
    let _ = write!(text, "{}.{}", number / 250, number % 250 + 1);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_upstreams_are_repeated() {
        let marks = Marks {
            port: 1,
            origin_port: 2,
            folder: Path::new("/d"),
            file: Path::new("/d/f"),
            modules: "/m",
            upstreams: 2,
        };
        let text = "listen @PORT@;\n  server @ORIGIN_IP@:@ORIGIN_PORT@ s@NUMBER@;\nin @DIR@\n";
        let filled = "listen 1;\n  server 127.0.0.1:2 s0;\n  server 127.0.0.2:2 s1;\nin /d\n";
        assert_eq!(marks.fill(text), filled);
        assert_eq!(address(999), "127.0.3.250");
    }
}
