//! Errors of the command line. A value may have come from a variable, which the parser does not say.

use std::env;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, Command, CommandFactory};

use super::{Cli, run};

/// Prints the error. If the value came from the environment, the message names the variable.
pub(super) fn print(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    let of_environment = |name: &str| env::var_os(name)?.into_string().ok();
    if let Some(variable) = variable(error, &of_environment) {
        run::fail(&format!(
            "this value comes from the environment variable {variable}"
        ));
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// The variable that has the value of which the error complains.
fn variable(
    error: &clap::Error,
    of_environment: &dyn Fn(&str) -> Option<String>,
) -> Option<String> {
    let argument = text(error, ContextKind::InvalidArg)?;
    let value = text(error, ContextKind::InvalidValue)?;
    // `--addr <ADDR:PORT>` or `--with-worker[=<BOOL>]`
    let flag = argument.split([' ', '=', '[']).next()?.strip_prefix("--")?;
    let command = Cli::command();
    let commands = std::iter::once(&command).chain(command.get_subcommands());
    let args = commands.flat_map(Command::get_arguments);
    let mut variables = args
        .filter(|arg| arg.get_long() == Some(flag))
        .filter_map(Arg::get_env)
        .filter_map(|name| name.to_str());
    // Of a list, the error has one part.
    let has_value = |given: String| given == value || given.split(',').any(|part| part == value);
    let found = variables.find(|name| of_environment(name).is_some_and(has_value));
    found.map(ToOwned::to_owned)
}

fn text(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn named(flags: &[&str], set: &str, value: &str) -> Option<String> {
        let arguments = ["porchlight"].iter().chain(flags);
        let error = Cli::try_parse_from(arguments).unwrap_err();
        let of_environment = |name: &str| (name == set).then(|| value.to_owned());
        variable(&error, &of_environment)
    }

    #[test]
    fn the_variable_that_has_the_value_is_named() {
        for (flag, variable, value) in [
            ("--addr=localhost:80", "PORCHLIGHT_ADDR", "localhost:80"),
            ("--addr=", "PORCHLIGHT_ADDR", ""),
            ("--with-worker=2", "PORCHLIGHT_WITH_WORKER", "2"),
            (
                "--cors-origins=https://a.example,crm",
                "PORCHLIGHT_CORS_ORIGINS",
                "https://a.example,crm",
            ),
        ] {
            let found = named(&["serve", flag], variable, value);
            assert_eq!(found.as_deref(), Some(variable), "{flag}");
        }
        let tail = named(&["tail", "--token=a b"], "PORCHLIGHT_TOKEN", "a b");
        assert_eq!(tail.as_deref(), Some("PORCHLIGHT_TOKEN"));
    }

    #[test]
    fn a_variable_with_another_value_is_not_named() {
        let flags = ["serve", "--addr=localhost:80"];
        assert_eq!(named(&flags, "PORCHLIGHT_ADDR", "127.0.0.1:9999"), None);
    }
}
