//! Where PostgreSQL's programs are.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::bail;

/// A folder with `postgres` and `initdb`.
#[derive(Debug, Clone)]
pub struct Binaries {
    pub folder: PathBuf,
    pub major: u32,
}

/// Looks at PG_BIN_DIR, the data folder's own `pgsql/bin`, Debian's places (newest first), `pg_config` and PATH. An existing
/// database decides which major version it takes.
pub fn find(data: &Path, wanted: Option<u32>) -> anyhow::Result<Binaries> {
    let mut other = vec![];
    for folder in candidates(data) {
        let Some(major) = major_version(&folder) else { continue };
        if wanted.is_none_or(|w| w == major) {
            return Ok(Binaries { folder, major });
        }
        other.push(format!("{major} in {}", folder.display()));
    }
    match wanted {
        Some(wanted) => bail!(
            "the database was made by PostgreSQL {wanted}, which is not installed here (found: {}); install postgresql-{wanted}, or set PG_BIN_DIR",
            if other.is_empty() { "none".to_owned() } else { other.join(", ") }
        ),
        None => bail!(
            "no PostgreSQL found; `apt-get install postgresql`, or set PG_BIN_DIR to the folder of initdb and postgres"
        ),
    }
}

fn candidates(data: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::env::var_os("PG_BIN_DIR").map(PathBuf::from).into_iter().collect();
    folders.push(data.join("pgsql/bin"));
    for base in ["/usr/lib/postgresql", "/usr/local/lib/postgresql"] {
        let version = |p: &PathBuf| p.file_name().and_then(|n| n.to_str()?.parse::<u32>().ok());
        let mut versions: Vec<PathBuf> =
            std::fs::read_dir(base).into_iter().flatten().flatten().map(|e| e.path()).collect();
        versions.sort_by_key(|p| std::cmp::Reverse(version(p)));
        folders.extend(versions.into_iter().map(|p| p.join("bin")));
    }
    if let Ok(output) = Command::new("pg_config").arg("--bindir").output() {
        folders.push(String::from_utf8_lossy(&output.stdout).trim().into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Links such as /usr/local/bin/postgres lead to where initdb's companions are.
    let linked =
        std::env::split_paths(&path).filter_map(|d| Some(d.join("postgres").canonicalize().ok()?.parent()?.to_owned()));
    folders.extend(linked);
    folders
}

fn major_version(folder: &Path) -> Option<u32> {
    if !folder.join("initdb").is_file() {
        return None;
    }
    let output = Command::new(folder.join("postgres")).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()))?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
