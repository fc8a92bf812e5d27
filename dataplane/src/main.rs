//! Service-mesh gateway: the binary. Everything is in the library; this is the way in.

#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    penstock::cli::main()
}
