//! Entry point of the program: arguments in, exit code out.

use std::process::ExitCode;

fn main() -> ExitCode {
    groundplan::cli::main()
}
