//! The settings of a command as they stand.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use crate::config::{Setting, Source};

/// All that have an environment variable, in the order of `--help`; values of secrets are left out.
pub fn settings(command: &Command, matches: &ArgMatches) -> Vec<Setting> {
    let arguments = command.get_arguments().filter_map(|argument| Some((argument, argument.get_env()?)));
    arguments
        .map(|(argument, variable)| {
            let id = argument.get_id().as_str();
            let is_secret = argument.is_hide_env_values_set();
            let source = match matches.value_source(id) {
                Some(ValueSource::DefaultValue) => Source::Default,
                Some(ValueSource::EnvVariable) => Source::Environment,
                Some(_) => Source::Flag,
                None => Source::Unset,
            };
            let values = matches.get_raw(id).into_iter().flatten().map(|value| value.to_string_lossy());
            let value = if is_secret { String::new() } else { values.collect::<Vec<_>>().join(" ") };
            let defaults = argument.get_default_values().iter().map(|value| value.to_string_lossy());
            Setting {
                group: argument.get_help_heading().unwrap_or("Other").to_owned(),
                name: variable.to_string_lossy().into_owned(),
                help: argument.get_help().map(ToString::to_string).unwrap_or_default(),
                value,
                default: defaults.collect::<Vec<_>>().join(" "),
                is_secret,
                source,
            }
        })
        .collect()
}
