//! Winograd's transforms of a row: F(4, 3) with the points 0, ±1, ±2, ∞, and F(6, 3) with ±½ besides.

use crate::kernels::simd::Simd;

/// How large the tiles are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// 4 × 4 pixels from 6 × 6.
    Four,
    /// 6 × 6 pixels from 8 × 8: fewer multiplications, larger filters, and about twice the error.
    Six,
}

impl Size {
    /// Output pixels of a tile's side.
    pub const fn out(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Six => 6,
        }
    }

    /// Input pixels of a tile's side.
    pub const fn side(self) -> usize {
        self.out() + 2
    }

    /// Multiplications of a tile, for each pair of channels.
    pub const fn points(self) -> usize {
        self.side() * self.side()
    }
}

/// Times a vector of `FROM` values.
pub(super) trait Matrix<const FROM: usize, const TO: usize> {
    /// # Safety
    /// The processor has `S`.
    unsafe fn times<S: Simd>(x: [S::V; FROM]) -> [S::V; TO];
}

/// Bᵀ of tiles of so many pixels.
pub(super) struct Input<const OUT: usize>;
/// G.
pub(super) struct Filter<const OUT: usize>;
/// Aᵀ.
pub(super) struct Output<const OUT: usize>;

/// `k * a + b`
///
/// # Safety
/// The processor has `S`.
#[inline(always)]
unsafe fn plus<S: Simd>(k: f32, a: S::V, b: S::V) -> S::V {
    // SAFETY: the caller has the instruction set.
    unsafe { S::mul_add(S::splat(k), a, b) }
}

/// # Safety
/// The processor has `S`.
#[inline(always)]
unsafe fn times<S: Simd>(k: f32, a: S::V) -> S::V {
    // SAFETY: the caller has the instruction set.
    unsafe { plus::<S>(k, a, S::splat(0.0)) }
}

/// # Safety
/// The processor has `S`.
#[inline(always)]
unsafe fn sum_and_difference<S: Simd>(a: S::V, b: S::V) -> [S::V; 2] {
    // SAFETY: the caller has the instruction set.
    unsafe { [S::add(a, b), S::sub(a, b)] }
}

impl Matrix<6, 6> for Input<4> {
    #[inline(always)]
    unsafe fn times<S: Simd>(d: [S::V; 6]) -> [S::V; 6] {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let even = plus::<S>(-4.0, d[2], d[4]);
            let odd = plus::<S>(-4.0, d[1], d[3]);
            let c = S::sub(d[4], d[2]);
            let e = S::sub(d[3], d[1]);
            [
                plus::<S>(4.0, d[0], plus::<S>(-5.0, d[2], d[4])),
                S::add(even, odd),
                S::sub(even, odd),
                plus::<S>(2.0, e, c),
                plus::<S>(-2.0, e, c),
                plus::<S>(4.0, d[1], plus::<S>(-5.0, d[3], d[5])),
            ]
        }
    }
}

impl Matrix<3, 6> for Filter<4> {
    #[inline(always)]
    unsafe fn times<S: Simd>(g: [S::V; 3]) -> [S::V; 6] {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let ones = times::<S>(-1.0 / 6.0, S::add(g[0], g[2]));
            let twos = plus::<S>(1.0 / 24.0, g[0], times::<S>(1.0 / 6.0, g[2]));
            [
                times::<S>(0.25, g[0]),
                plus::<S>(-1.0 / 6.0, g[1], ones),
                plus::<S>(1.0 / 6.0, g[1], ones),
                plus::<S>(1.0 / 12.0, g[1], twos),
                plus::<S>(-1.0 / 12.0, g[1], twos),
                g[2],
            ]
        }
    }
}

impl Matrix<6, 4> for Output<4> {
    #[inline(always)]
    unsafe fn times<S: Simd>(y: [S::V; 6]) -> [S::V; 4] {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let [p, q] = sum_and_difference::<S>(y[1], y[2]);
            let [r, s] = sum_and_difference::<S>(y[3], y[4]);
            [S::add(y[0], S::add(p, r)), plus::<S>(2.0, s, q), plus::<S>(4.0, r, p), S::add(y[5], plus::<S>(8.0, s, q))]
        }
    }
}

impl Matrix<8, 8> for Input<6> {
    #[inline(always)]
    unsafe fn times<S: Simd>(d: [S::V; 8]) -> [S::V; 8] {
        // SAFETY: the caller has the instruction set.
        unsafe {
            // Of each pair of points ±p: the even and the odd part.
            let even = |two: f32, four: f32| plus::<S>(two, d[2], plus::<S>(four, d[4], d[6]));
            let odd = |one: f32, five: f32| plus::<S>(one, d[1], plus::<S>(five, d[5], times::<S>(-2.5, d[3])));
            let [a, b] = sum_and_difference::<S>(even(1.0, -4.25), S::add(d[1], plus::<S>(-4.25, d[3], d[5])));
            let [c, e] = sum_and_difference::<S>(even(0.25, -1.25), odd(0.5, 2.0));
            let [f, g] = sum_and_difference::<S>(even(4.0, -5.0), odd(2.0, 0.5));
            [
                plus::<S>(5.25, S::sub(d[4], d[2]), S::sub(d[0], d[6])),
                a,
                b,
                c,
                e,
                f,
                g,
                plus::<S>(5.25, S::sub(d[3], d[5]), S::sub(d[7], d[1])),
            ]
        }
    }
}

impl Matrix<3, 8> for Filter<6> {
    #[inline(always)]
    unsafe fn times<S: Simd>(g: [S::V; 3]) -> [S::V; 8] {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let ones = times::<S>(-2.0 / 9.0, S::add(g[0], g[2]));
            let twos = plus::<S>(1.0 / 90.0, g[0], times::<S>(2.0 / 45.0, g[2]));
            let halves = plus::<S>(32.0 / 45.0, g[0], times::<S>(8.0 / 45.0, g[2]));
            [
                g[0],
                plus::<S>(-2.0 / 9.0, g[1], ones),
                plus::<S>(2.0 / 9.0, g[1], ones),
                plus::<S>(1.0 / 45.0, g[1], twos),
                plus::<S>(-1.0 / 45.0, g[1], twos),
                plus::<S>(16.0 / 45.0, g[1], halves),
                plus::<S>(-16.0 / 45.0, g[1], halves),
                g[2],
            ]
        }
    }
}

impl Matrix<8, 6> for Output<6> {
    #[inline(always)]
    unsafe fn times<S: Simd>(y: [S::V; 8]) -> [S::V; 6] {
        // SAFETY: the caller has the instruction set.
        unsafe {
            let [p, q] = sum_and_difference::<S>(y[1], y[2]);
            let [r, s] = sum_and_difference::<S>(y[3], y[4]);
            let [t, u] = sum_and_difference::<S>(y[5], y[6]);
            [
                S::add(S::add(y[0], p), S::add(r, t)),
                plus::<S>(2.0, s, plus::<S>(0.5, u, q)),
                plus::<S>(4.0, r, plus::<S>(0.25, t, p)),
                plus::<S>(8.0, s, plus::<S>(0.125, u, q)),
                plus::<S>(16.0, r, plus::<S>(0.0625, t, p)),
                plus::<S>(32.0, s, plus::<S>(0.03125, u, S::add(y[7], q))),
            ]
        }
    }
}
