use crate::render::{ChildArgs, run_child};

/// Renders for a parent that talks to it over a pipe.
pub fn run(args: &ChildArgs) -> anyhow::Result<()> {
    Ok(run_child(args)?)
}
