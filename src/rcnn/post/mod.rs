//! What follows the network: masks on the page, edges at the ink.

pub mod mask;
pub mod snap_to_ink;
