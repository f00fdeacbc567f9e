//! What a user may choose.

use std::path::Path;

/// How much memory a model may take to be faster. Winograd's weights of a ResNet-50 take 100 MB more than plain ones where maps are small, and
/// save a tenth of the time there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Memory {
    /// Fast, unless the machine or its container has less than a gibibyte
    Auto,
    Low,
    Fast,
}

/// What products are made of; sums are f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Dtype {
    F32,
    /// The RPN, the box and the mask head in bf16 on processors with AMX, f32 on others; boxes move by less than a pixel, scores by less than 0.02
    Bf16,
    /// The backbone and the pyramid, too: faster still, but boxes move by some pixels, and regions near a threshold come and go
    Bf16All,
}

impl Memory {
    pub(super) fn is_ample(self) -> bool {
        match self {
            Self::Auto => limit().is_none_or(|bytes| bytes >= 1 << 30),
            Self::Low => false,
            Self::Fast => true,
        }
    }
}

/// Bytes that this process may have: the machine's, or its container's. `None` where the system does not say.
fn limit() -> Option<u64> {
    let number = |path: &str| std::fs::read_to_string(Path::new(path)).ok()?.trim().parse::<u64>().ok();
    let container =
        ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"].into_iter().find_map(number);
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|l| l.strip_prefix("MemTotal:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib << 10)
    });
    container.into_iter().chain(machine).min()
}
