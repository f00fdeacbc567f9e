use std::process::ExitCode;

fn main() -> ExitCode {
    docreader::commands::main()
}
