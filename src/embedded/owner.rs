//! Whom the database belongs to.

use std::fs::{DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::Path;

use anyhow::Context;
use nix::unistd::{Gid, Uid, User};

/// PostgreSQL refuses to run as root, so root runs it as somebody else.
#[derive(Debug, Clone, Copy)]
pub struct Owner {
    pub uid: Uid,
    pub gid: Gid,
}

impl Owner {
    /// Ourselves unless we are root; then whoever owns the database already, or `postgres`, or `nobody`.
    pub fn choose(data: &Path) -> anyhow::Result<Self> {
        if !Uid::effective().is_root() {
            return Ok(Self { uid: Uid::effective(), gid: Gid::effective() });
        }
        if let Ok(existing) = std::fs::metadata(data)
            && existing.uid() != 0
        {
            return Ok(Self { uid: Uid::from_raw(existing.uid()), gid: Gid::from_raw(existing.gid()) });
        }
        for name in ["postgres", "nobody"] {
            if let Some(user) = User::from_name(name)? {
                return Ok(Self { uid: user.uid, gid: user.gid });
            }
        }
        anyhow::bail!("PostgreSQL does not run as root, and there is neither a user postgres nor nobody to run it as")
    }

    /// Makes a folder that only the owner may enter.
    pub fn make_folder(&self, path: &Path) -> anyhow::Result<()> {
        let name = || path.display().to_string();
        DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(name)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o700)).with_context(name)?;
        chown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw())).with_context(name)
    }
}
