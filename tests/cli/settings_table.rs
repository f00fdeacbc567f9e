//! docs/SETTINGS.md: all settings, as the commands describe them.

use std::fmt::Write;
use std::path::Path;

use clap::{Arg, Command};

const HEAD: &str = "# Settings

Each setting is an environment variable and a flag of the commands that read it.
A flag comes before the environment, the environment before `.env`.
`app up` hands its environment on to the server and the workers that it starts.
This file is generated from the program: `make settings` writes it, `make test` compares it.
";

/// What other parts of the program read from the environment.
const OTHERS: [(&str, &str); 4] = [
    ("RUST_LOG", "What is logged, such as `docreader=debug`; warnings, and what docreader tells of itself, by default"),
    (
        "DOCREADER_ISA",
        "Best instruction set that the kernels may use: `amx`, `avx512`, `avx2`, `neon` or `portable`; the best there is by default",
    ),
    ("PG_BIN_DIR", "Folder with PostgreSQL's programs, for `app up`; found by itself in the usual places"),
    ("SSL_CERT_FILE", "Root certificates to trust instead of the system's, in PEM"),
];

struct Setting {
    heading: String,
    variable: String,
    flag: String,
    default: String,
    help: String,
    commands: Vec<String>,
}

impl Setting {
    fn new(arg: &Arg, variable: &str, command: &str) -> Self {
        let defaults: Vec<_> = arg.get_default_values().iter().map(|v| v.to_string_lossy()).collect();
        let default = defaults.join(", ");
        assert!(default.is_empty() || !arg.is_hide_env_values_set(), "{variable}: a secret has no default");
        let mut help = arg.get_help().unwrap_or_else(|| panic!("{variable} has no description")).to_string();
        let values: Vec<_> = arg.get_possible_values().iter().map(|v| format!("`{}`", v.get_name())).collect();
        if !values.is_empty() && arg.get_action().takes_values() {
            write!(help, " ({})", values.join(", ")).unwrap();
        }
        if arg.is_hide_env_values_set() {
            help += " (secret)";
        }
        Self {
            heading: arg.get_help_heading().unwrap_or("Other").to_owned(),
            variable: variable.to_owned(),
            flag: arg.get_long().map(|long| format!("`--{long}`")).unwrap_or_default(),
            default: if default.is_empty() { String::new() } else { format!("`{default}`") },
            help,
            commands: vec![command.to_owned()],
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.variable, &self.flag, &self.default, &self.help)
            == (&other.variable, &other.flag, &other.default, &other.help)
    }
}

/// Adds the settings of a command and of those below it.
fn collect(command: &Command, path: &str, settings: &mut Vec<Setting>) {
    for arg in command.get_arguments() {
        let Some(variable) = arg.get_env() else { continue };
        let setting = Setting::new(arg, &variable.to_string_lossy(), path);
        match settings.iter_mut().find(|known| known.is_same(&setting)) {
            Some(known) => known.commands.push(path.to_owned()),
            None => settings.push(setting),
        }
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        collect(sub, format!("{path} {}", sub.get_name()).trim_start(), settings);
    }
}

fn table() -> String {
    let mut settings = vec![];
    collect(&docreader::commands::command(), "", &mut settings);
    let mut headings: Vec<&str> = vec![];
    for setting in &settings {
        if !headings.contains(&setting.heading.as_str()) {
            headings.push(&setting.heading);
        }
    }
    let cell = |text: &str| text.replace('|', "\\|");
    let mut text = HEAD.to_owned();
    for heading in headings {
        writeln!(text, "\n## {heading}\n\n| Setting | Flag | Default | What it is | Commands |").unwrap();
        writeln!(text, "| --- | --- | --- | --- | --- |").unwrap();
        for s in settings.iter().filter(|s| s.heading == heading) {
            let help = cell(&s.help);
            let commands = s.commands.join(", ");
            writeln!(text, "| `{}` | {} | {} | {help} | {commands} |", s.variable, s.flag, s.default).unwrap();
        }
    }
    text += "\n## In the environment only\n\n| Setting | What it is |\n| --- | --- |\n";
    for (variable, help) in OTHERS {
        writeln!(text, "| `{variable}` | {help} |").unwrap();
    }
    text
}

#[test]
fn settings_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/SETTINGS.md");
    let table = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == table, "docs/SETTINGS.md is not what the commands say; run `make settings`");
}
