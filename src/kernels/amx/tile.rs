//! The micro-kernel: 32 rows by 32 columns of C in four tiles.

use std::arch::asm;
use std::marker::PhantomData;
use std::sync::LazyLock;

/// Rows and columns of C that the kernel computes.
pub(in crate::kernels) const SIDE: usize = 32;
/// Values of k in a step.
pub(in crate::kernels) const STEP: usize = 32;
/// bf16 values of a tile.
pub(super) const TILE: usize = 512;

/// What stands for an f32 value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kernels) enum Bf16Layout {
    /// The nearest bf16 and the nearest of what is left.
    HiLo,
    /// The nearest bf16.
    Hi,
}

impl Bf16Layout {
    pub fn of(bf16: bool) -> Self {
        if bf16 { Self::Hi } else { Self::HiLo }
    }

    /// Bytes from one step's values of a row of A to those of the next: the nearest, then what is left.
    pub fn a_step(self) -> usize {
        self.terms() * STEP * size_of::<u16>()
    }

    /// bf16 values of a step's part of B: two tiles of what is nearest, two of what is left.
    pub fn b_step(self) -> usize {
        self.terms() * 2 * TILE
    }

    /// Tile instructions for each tile of C in a step.
    pub fn products(self) -> usize {
        2 * self.terms() - 1
    }

    pub fn terms(self) -> usize {
        if self == Self::HiLo { 2 } else { 1 }
    }
}

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
struct Config {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// The thread's tiles are set up while this lives, which is on this thread.
pub(super) struct Tiles(PhantomData<*const ()>);

impl Tiles {
    /// # Safety
    /// [`is_there`].
    pub unsafe fn new() -> Self {
        let mut config = Config { palette: 1, start_row: 0, reserved: [0; 14], bytes_per_row: [0; 16], rows: [0; 16] };
        config.bytes_per_row[..8].fill(64);
        config.rows[..8].fill(16);
        // SAFETY: the processor has tiles, and these are eight of the largest size.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const config, options(nostack, readonly)) };
        Self(PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: whoever made this has seen to it that the processor has tiles.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

/// Where the kernel's 32 × 32 sums go: rows `pitch` bytes apart.
#[derive(Clone, Copy)]
pub(super) struct Sums {
    pub c: *mut f32,
    pub pitch: usize,
}

/// A with 32 rows that lie `pitch` bytes apart; each step has an offset, in bytes, for all of them.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub a: *const u8,
    pub pitch: usize,
    pub offsets: &'a [usize],
}

/// The loop over steps around `$body`, which multiplies what one step brings and moves `b` on.
macro_rules! sums {
    ($rows:expr, $b:expr, $next:expr, $c:expr; $($body:literal,)*) => {
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
            "tileloadd tmm4, [{p} + {pitch}]",
            "tileloaddt1 tmm6, [{b} + {line}]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloaddt1 tmm7, [{b} + {line} + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{q} + {pitch}]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            $($body,)*
            "prefetcht1 [{next}]",
            "prefetcht1 [{next} + 64]",
            "prefetcht1 [{next} + 128]",
            "prefetcht1 [{next} + 192]",
            "add {next}, 256",
            "dec {n}",
            "jnz 2b",
            "tilestored [{c} + {row}], tmm0",
            "tilestored [{c} + {row} + 64], tmm1",
            "mov {p}, {row}",
            "shl {p}, 4",
            "add {p}, {c}",
            "tilestored [{p} + {row}], tmm2",
            "tilestored [{p} + {row} + 64], tmm3",
            p = out(reg) _,
            q = out(reg) _,
            a = in(reg) $rows.a,
            far = in(reg) 16 * $rows.pitch,
            pitch = in(reg) $rows.pitch,
            offsets = inout(reg) $rows.offsets.as_ptr() => _,
            n = inout(reg) $rows.offsets.len() => _,
            b = inout(reg) $b => _,
            next = inout(reg) $next => _,
            line = in(reg) 64usize,
            c = in(reg) $c.c,
            row = in(reg) $c.pitch,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack),
        )
    };
}

/// C's sums over all steps. `next` is what will be multiplied then, to be brought near, or anything.
///
/// # Safety
/// [`Tiles`] lives on this thread; A is good for [`Bf16Layout::a_step`] bytes at each offset in its rows, `b` for as many times [`Bf16Layout::b_step`] values,
/// C for its rows; there is a step.
pub(super) unsafe fn multiply(
    _: &Tiles,
    form: Bf16Layout,
    rows: Rows<'_>,
    (b, next): (*const u16, *const u16),
    c: Sums,
) {
    // SAFETY: the caller vouches for the operands and the tiles. All tiles are named, and the compiler uses none.
    unsafe {
        match form {
            Bf16Layout::Hi => sums!(rows, b, next, c; "add {b}, 2048",),
            Bf16Layout::HiLo => sums!(rows, b, next, c;
                // A's rest by nearest.
                "tileloadd tmm4, [{p} + {pitch} + 64]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{q} + {pitch} + 64]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                // Nearest by B's rest.
                "tileloadd tmm4, [{p} + {pitch}]",
                "tileloaddt1 tmm6, [{b} + {line} + 2048]",
                "tdpbf16ps tmm0, tmm4, tmm6",
                "tileloaddt1 tmm7, [{b} + {line} + 3072]",
                "tdpbf16ps tmm1, tmm4, tmm7",
                "tileloadd tmm5, [{q} + {pitch}]",
                "tdpbf16ps tmm2, tmm5, tmm6",
                "tdpbf16ps tmm3, tmm5, tmm7",
                "prefetcht1 [{next}]",
                "prefetcht1 [{next} + 64]",
                "prefetcht1 [{next} + 128]",
                "prefetcht1 [{next} + 192]",
                "add {next}, 256",
                "add {b}, 4096",
            ),
        }
    }
}

/// `steps` times the multiplications of a step of pairs, with operands that are there already.
///
/// # Safety
/// [`is_there`].
pub(in crate::kernels) unsafe fn chains(steps: usize) {
    // SAFETY: the caller has AMX.
    let _tiles = unsafe { Tiles::new() };
    // Operands as bits are as in real ones; zeros are faster on some processors.
    let mut seed = 1u32;
    let operand: Vec<u16> = std::iter::repeat_with(|| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0x3f00 | (seed >> 16 & 0x80ff) as u16
    })
    .take(TILE)
    .collect();
    // SAFETY: the operand is a tile of 16 lines, the tiles are set up, all are named, and the compiler uses none.
    unsafe {
        asm!(
            "tilezero tmm0",
            "tilezero tmm1",
            "tilezero tmm2",
            "tilezero tmm3",
            "tileloadd tmm4, [{from} + {line}]",
            "tileloadd tmm5, [{from} + {line}]",
            "tileloadd tmm6, [{from} + {line}]",
            "tileloadd tmm7, [{from} + {line}]",
            "2:",
            ".rept 3",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            ".endr",
            "dec {n}",
            "jnz 2b",
            from = in(reg) operand.as_ptr(),
            line = in(reg) 64usize,
            n = inout(reg) steps.max(1) => _,
            out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
            out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
            options(nostack, readonly),
        );
    }
}
