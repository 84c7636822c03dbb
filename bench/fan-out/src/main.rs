//! Event streams under load: `load` runs one scenario against a server and prints one JSON object, `bare` is the server
//! that does nothing but what the kernel asks of it, `compare` has all servers do all rows by turns and tells what came of it.

mod bare;
mod compare;
mod load;
mod options;
mod request;

use std::process::ExitCode;

const USAGE: &str = "usage:
  eric-bench-fan-out load SCENARIO --dialect FILE --addr 127.0.0.1:PORT [--pid PID] [--NAME VALUE | --NAME]...
  eric-bench-fan-out bare PORT [--join]
  eric-bench-fan-out compare [--rounds N] [--only ROWS] [--peers NAMES] [--out DIR] [--patience S] [--write]
scenarios: idle fan-out-closed fan-out-open unicast churn slow storm connects elsewhere; a wrong NAME tells the right ones";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["load", scenario, options @ ..] => load::run(scenario, options),
        ["bare", port] => bare::run(port, false).map(|()| true),
        ["bare", port, "--join"] => bare::run(port, true).map(|()| true),
        ["compare", options @ ..] => compare::run(options).map(|()| true),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
