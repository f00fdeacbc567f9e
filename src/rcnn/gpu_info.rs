//! What is known of a GPU.

/// A GPU that a model runs on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuInfo {
    pub name: String,
    /// The driver's version where the system says it, otherwise the CUDA version that it knows.
    pub driver: String,
    /// Bytes in all, and free ones.
    pub memory: usize,
    pub free_memory: usize,
}

impl std::fmt::Display for GpuInfo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        let (free, all) = (gib(self.free_memory), gib(self.memory));
        write!(f, "{}, driver {}, {free:.1} of {all:.1} GiB free", self.name, self.driver)
    }
}
