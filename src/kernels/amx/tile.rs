//! The micro-kernel: 32 rows by 32 columns of C in four tiles.

use std::arch::asm;
use std::sync::LazyLock;

/// Rows and columns of C that the kernel computes.
pub(super) const SIDE: usize = 32;
/// Values of k in a step.
pub(super) const STEP: usize = 32;
/// bf16 values of a step's part of B: two tiles of what is nearest, two of what is left.
pub(super) const B_STEP: usize = 4 * TILE;
/// bf16 values of a tile.
pub(super) const TILE: usize = 512;
/// Bytes from one step's values of a row of A to those of the next: the nearest, then what is left.
pub(super) const A_STEP: usize = 128;

/// Whether the processor has AMX with bf16, and the system lets this process use it.
pub(in crate::kernels) fn is_there() -> bool {
    static THERE: LazyLock<bool> = LazyLock::new(|| {
        is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512bf16")
            && has_tiles()
            && is_permitted()
    });
    *THERE
}

fn has_tiles() -> bool {
    const BF16: u32 = 1 << 22;
    const TILES: u32 = 1 << 24;
    let leaf = std::arch::x86_64::__cpuid_count(7, 0);
    leaf.edx & (BF16 | TILES) == BF16 | TILES
}

/// Linux keeps a thread's tiles only for processes that asked for it.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    const ARCH_REQ_XCOMP_PERM: libc::c_long = 0x1023;
    const XFEATURE_XTILEDATA: libc::c_long = 18;
    // SAFETY: a system call that changes what this process may do, and no memory.
    unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0 }
}

#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// What `ldtilecfg` reads.
#[repr(C, align(64))]
struct Shape {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// The thread's tiles are set up while this lives.
pub(super) struct Tiles(());

impl Tiles {
    /// # Safety
    /// [`is_there`].
    pub unsafe fn new() -> Self {
        let mut shape = Shape { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row: [0; 16], rows: [0; 16] };
        shape.bytes_per_row[..8].fill(64);
        shape.rows[..8].fill(16);
        // SAFETY: the processor has tiles, and these are eight of the largest size.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const shape, options(nostack, readonly)) };
        Self(())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: whoever made this has seen to it that the processor has tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// 32 × 32 sums.
#[repr(C, align(64))]
pub(super) struct Sums(pub [[f32; SIDE]; SIDE]);

/// C's sums over `steps`, of which each has an offset in A, in bytes, for all rows; A's rows lie `pitch` bytes apart.
///
/// # Safety
/// [`Tiles`] lives on this thread; `a` is good for [`A_STEP`] bytes at each offset in 32 rows, `b` for as many times [`B_STEP`] values; there is a
/// step.
pub(super) unsafe fn multiply(_: &Tiles, a: *const u8, pitch: usize, offsets: &[usize], b: *const u16, c: &mut Sums) {
    // SAFETY: as above. All tiles are named, and the compiler uses none.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "2:",
            "mov {p}, [{offsets}]",
            "add {offsets}, 8",
            "add {p}, {a}",
            "lea {q}, [{p} + {far}]",
            // Nearest by nearest.
            "tileloadd tmm4, [{p} + {pitch}]",
            "tileloadd tmm6, [{b} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{q} + {pitch}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // A's rest by nearest.
            "tileloadd tmm4, [{p} + {pitch} + 64]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{q} + {pitch} + 64]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            // Nearest by B's rest.
            "tileloadd tmm4, [{p} + {pitch}]",
            "tileloadd tmm6, [{b} + {line} + 2048]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{b} + {line} + 3072]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{q} + {pitch}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {b}, 4096",
            "dec {n}",
            "jnz 2b",
            "tilestored [{c} + {row}], tmm0",
            "tilestored [{c} + {row} + 64], tmm1",
            "tilestored [{c} + {row} + 2048], tmm2",
            "tilestored [{c} + {row} + 2112], tmm3",
            p = out(reg) _,
            q = out(reg) _,
            a = in(reg) a,
            far = in(reg) 16 * pitch,
            pitch = in(reg) pitch,
            offsets = inout(reg) offsets.as_ptr() => _,
            n = inout(reg) offsets.len() => _,
            b = inout(reg) b => _,
            line = in(reg) 64usize,
            c = in(reg) c,
            row = in(reg) SIDE * size_of::<f32>(),
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        );
    }
}
