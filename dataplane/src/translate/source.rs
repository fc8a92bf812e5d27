//! Data from files and the environment, remembered so that a change of it is a change of the
//! resource.

use std::path::{Path, PathBuf};
use std::{env, fs};

use penstock_proto::envoy::config::core::v3::DataSource;
use penstock_proto::envoy::config::core::v3::data_source::Specifier;

use super::draft::Draft;

/// Bytes of one piece of data.
const BYTES_MAX: u64 = 4 << 20;

/// What was read from outside the configuration file.
#[derive(Debug, Default)]
pub(super) struct Inputs(Vec<(Origin, Vec<u8>)>);

#[derive(Clone, Debug)]
enum Origin {
    File(PathBuf),
    Variable(String),
}

impl Inputs {
    /// Whether everything still reads the same.
    pub(super) fn unchanged(&self) -> bool {
        self.0
            .iter()
            .all(|(origin, bytes)| origin.read().is_ok_and(|now| now == *bytes))
    }
}

impl Origin {
    fn read(&self) -> Result<Vec<u8>, String> {
        match self {
            Origin::File(path) => read_file(path),
            Origin::Variable(name) => env::var(name)
                .map(String::into_bytes)
                .map_err(|error| format!("the variable `{name}` cannot be read: {error}")),
        }
    }
}

impl Draft<'_> {
    /// The bytes of a data source; none if it is not set.
    pub(super) fn data(&mut self, source: &DataSource) -> Vec<u8> {
        let origin = match &source.specifier {
            None => {
                self.error(
                    "",
                    "says nothing",
                    "write inline_string, inline_bytes or filename",
                );
                return Vec::new();
            }
            Some(Specifier::InlineBytes(bytes)) => return bytes.clone(),
            Some(Specifier::InlineString(text)) => return text.clone().into_bytes(),
            Some(Specifier::Filename(name)) => Origin::File(name.into()),
            Some(Specifier::EnvironmentVariable(name)) => Origin::Variable(name.clone()),
        };
        match origin.read() {
            Ok(bytes) => {
                self.inputs.0.push((origin, bytes.clone()));
                bytes
            }
            Err(reason) => {
                self.error("", reason, "name something that this process can read");
                Vec::new()
            }
        }
    }

    /// The text of a data source.
    pub(super) fn data_text(&mut self, source: &DataSource) -> String {
        String::from_utf8(self.data(source)).unwrap_or_else(|_| {
            self.error("", "is not UTF-8", "write text");
            String::new()
        })
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let name = path.display();
    let wrong = |error| format!("the file `{name}` cannot be read: {error}");
    let facts = fs::metadata(path).map_err(wrong)?;
    if !facts.is_file() || facts.len() > BYTES_MAX {
        return Err(format!("`{name}` is no file of at most {BYTES_MAX} bytes"));
    }
    fs::read(path).map_err(wrong)
}
