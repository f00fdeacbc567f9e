//! Every kernel against plain loops in f64, over random shapes, in each instruction set that this processor has.

#[path = "../common/skip.rs"]
mod skip;

use docreader::kernels::{self, Conv, FeatureMap, Filters, Image, Isa, Options, PostOps, Stem, Workspace};
use rayon::prelude::*;

/// What f32 may lose, relative to the largest sum.
const PLAIN: f64 = 2e-6;
/// What a sum of two bf16 may lose: 2⁻¹⁷ of each product.
const PAIRS: f64 = 7.6e-6;
const WINOGRAD: f64 = 4e-5;
/// What bf16 may lose: 2⁻⁸ of each product.
const BF16: f64 = 4e-3;

/// For scripts/check-memory.sh, maps that a checker sees the bounds of.
fn pool() -> Workspace {
    if std::env::var_os("WITHOUT_ARENA").is_some() { Workspace::without_arena() } else { Workspace::default() }
}

/// What processors of this architecture may have.
const ISAS: &[Isa] = if cfg!(target_arch = "x86_64") {
    &[Isa::Amx, Isa::Avx512, Isa::Avx2, Isa::Portable]
} else if cfg!(target_arch = "aarch64") {
    &[Isa::Neon, Isa::Portable]
} else {
    &[Isa::Portable]
};

/// All instruction sets of this processor; for an emulator, one (`ONLY=avx512`, scripts/check-avx512.sh).
fn isas() -> Vec<Isa> {
    let only = std::env::var("ONLY").ok();
    let wanted = ISAS.iter().filter(|isa| only.as_ref().is_none_or(|name| name == isa.name()));
    let (isas, missing): (Vec<Isa>, Vec<Isa>) = wanted.copied().partition(|isa| Isa::available().contains(isa));
    missing.iter().for_each(|isa| skip::skip_isa(isa.name()));
    assert!(!isas.is_empty(), "this processor has no {only:?}");
    isas
}

/// How many shapes of so many: for an emulator, fewer (`FEWER=16`: a sixteenth).
fn some(count: usize) -> usize {
    count.div_ceil(std::env::var("FEWER").map_or(1, |by| by.parse().unwrap()))
}

/// The same numbers in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn within(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + self.next() as usize % (range.end() - range.start() + 1)
    }

    fn value(&mut self) -> f32 {
        self.next() as f32 / (1u64 << 30) as f32 - 1.0
    }

    fn values(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.value()).collect()
    }

    /// A map of random values, also in the padding of its channels.
    fn map(&mut self, pool: &Workspace, count: usize, height: usize, width: usize, channels: usize) -> FeatureMap {
        let mut map = pool.map(count, height, width, channels);
        map.data_mut().iter_mut().for_each(|v| *v = self.value());
        map
    }
}

fn at(map: &FeatureMap, image: usize, y: usize, x: usize, c: usize) -> f32 {
    map.data()[((image * map.height() + y) * map.width() + x) * map.stride() + c]
}

/// One value of a convolution's result, before what comes then.
fn convolved(x: &FeatureMap, f: &Filters<'_>, image: usize, y: usize, column: usize, o: usize) -> f64 {
    let (pad, mut sum) = (f.kernel / 2, f.bias.get(o).map_or(0.0, |b| f64::from(*b)));
    for ky in 0..f.kernel {
        for kx in 0..f.kernel {
            let (iy, ix) = ((y * f.stride + ky).wrapping_sub(pad), (column * f.stride + kx).wrapping_sub(pad));
            if iy < x.height() && ix < x.width() {
                for c in 0..f.input {
                    let weight = f.weight[((o * f.input + c) * f.kernel + ky) * f.kernel + kx];
                    sum += f64::from(weight) * f64::from(at(x, image, iy, ix, c));
                }
            }
        }
    }
    sum
}

/// Compares all values; the tolerance is relative to the largest that a sum of so many products may have. Returns the worst.
fn assert_close(
    what: &str,
    got: &FeatureMap,
    scale: f64,
    tolerance: f64,
    want: impl Fn(usize, usize, usize, usize) -> f64,
) -> f64 {
    let mut worst = 0f64;
    for image in 0..got.count() {
        for y in 0..got.height() {
            for x in 0..got.width() {
                for c in 0..got.channels() {
                    worst = worst.max((f64::from(at(got, image, y, x, c)) - want(image, y, x, c)).abs() / scale);
                }
            }
        }
    }
    assert!(worst <= tolerance, "{what}: {worst:.1e}");
    worst
}

/// By what a layer says of itself.
fn tolerance(layer: &impl std::fmt::Debug, bf16: bool) -> f64 {
    match format!("{layer:?}") {
        kind if kind.ends_with("Winograd") => WINOGRAD,
        kind if kind.ends_with("tiles") && bf16 => BF16,
        kind if kind.ends_with("tiles") => PAIRS,
        _ => PLAIN,
    }
}

#[test]
fn convolutions_of_any_shape() {
    let (mut random, pool) = (Random(1), pool());
    for isa in isas() {
        let mut worst_bf16 = 0f64;
        for _ in 0..some(1000) {
            let (kernel, stride) = [(1, 1), (1, 2), (3, 1), (3, 1), (3, 2)][random.within(0..=4)];
            let (input, output) = (random.within(1..=70), random.within(1..=140));
            let (count, height, width) = (random.within(1..=2), random.within(1..=13), random.within(1..=13));
            let x = random.map(&pool, count, height, width, input);
            let weight = random.values(output * input * kernel * kernel);
            let bias = if random.within(0..=3) == 0 { vec![] } else { random.values(output) };
            let filters = Filters { weight: &weight, bias: &bias, input, output, kernel, stride };
            let (winograd, bf16) = (random.within(0..=1) == 1, random.within(0..=2) == 0);
            let conv = Conv::new(Options { isa, winograd, keep: random.within(0..=1) == 1, bf16 }, &filters);
            let (relu, add) = (random.within(0..=1) == 1, random.within(0..=1) == 1);
            let plain = conv.forward(&x, PostOps::default());
            let other = random.map(&pool, count, plain.height(), plain.width(), output);
            let add_to = add.then(|| other.duplicate());
            let got = conv.forward(&x, PostOps { relu, add_to, split: false });
            let what = format!("{} {conv:?} of {x:?}, relu {relu}, add {add}", isa.name());
            let scale = ((input * kernel * kernel) as f64).sqrt() + 1.0;
            let allowed = tolerance(&conv, bf16);
            let worst = assert_close(&what, &got, scale, allowed, |n, y, column, o| {
                let sum = convolved(&x, &filters, n, y, column, o)
                    + if add { f64::from(at(&other, n, y, column, o)) } else { 0.0 };
                if relu { sum.max(0.0) } else { sum }
            });
            if allowed == BF16 {
                worst_bf16 = worst_bf16.max(worst);
            }
            // The padding of the channels is fit to be read by the next layer.
            assert!(got.data().iter().all(|v| v.is_finite()), "{what}");
        }
        assert!(isa != Isa::Amx || worst_bf16 > 10.0 * PAIRS, "bf16 is f32: {worst_bf16:.1e}");
    }
}

/// Maps so large that strips, their last ones and stores past the caches come into play, filters that outgrow a cache, and sums in parts.
#[test]
fn large_maps() {
    let (mut random, pool) = (Random(2), pool());
    let cases = [
        (97, 130, 32, 80, (3, 1)),
        (151, 203, 16, 144, (3, 1)),
        (151, 203, 32, 144, (3, 1)),
        (23, 40, 256, 160, (3, 1)),
        (31, 40, 2100, 40, (1, 1)),
        (151, 203, 70, 144, (1, 1)),
        (301, 405, 5, 144, (1, 2)),
        (301, 405, 70, 144, (3, 2)),
    ];
    for isa in isas() {
        for ((height, width, input, output, (kernel, stride)), add) in
            cases.iter().flat_map(|&c| [(c, false), (c, true)])
        {
            let x = random.map(&pool, 1, height, width, input);
            let (height, width) = (height.div_ceil(stride), width.div_ceil(stride));
            let (weight, bias) = (random.values(output * input * kernel * kernel), random.values(output));
            let filters = Filters { weight: &weight, bias: &bias, input, output, kernel, stride };
            let conv = Conv::new(Options { isa, winograd: true, keep: add, bf16: false }, &filters);
            let other = random.map(&pool, 1, height, width, output);
            let got = conv.forward(&x, PostOps { relu: true, add_to: add.then(|| other.duplicate()), split: false });
            let mut worst = 0f64;
            for _ in 0..10_000 {
                let (y, column, o) =
                    (random.within(0..=height - 1), random.within(0..=width - 1), random.within(0..=output - 1));
                let sum = convolved(&x, &filters, 0, y, column, o);
                let want = (sum + if add { f64::from(at(&other, 0, y, column, o)) } else { 0.0 }).max(0.0);
                worst = worst.max((f64::from(at(&got, 0, y, column, o)) - want).abs());
            }
            let scale = ((input * kernel * kernel) as f64).sqrt() + 1.0;
            let what = format!("{} {conv:?} of {x:?}, add {add}", isa.name());
            assert!(worst <= tolerance(&conv, false) * scale, "{what}: {:.1e}", worst / scale);
        }
    }
}

/// What a layer on tiles hands on split is what the next one would have split itself, so a chain's result is the same; but what is added is rounded.
#[test]
fn split_maps() {
    let (mut random, pool) = (Random(7), pool());
    for _ in 0..some(500) {
        let (kernel, stride) = [(1, 1), (1, 2), (3, 1), (3, 2)][random.within(0..=3)];
        let (input, between, output) = (random.within(32..=140), random.within(32..=140), random.within(32..=140));
        let (count, height, width) = (random.within(1..=2), random.within(1..=13), random.within(1..=13));
        let options = Options { isa: Isa::best(), winograd: false, keep: false, bf16: random.within(0..=1) == 1 };
        let mut conv = |input: usize, output: usize, kernel: usize, stride: usize| {
            let (weight, bias) = (random.values(output * input * kernel * kernel), random.values(output));
            Conv::new(options, &Filters { weight: &weight, bias: &bias, input, output, kernel, stride })
        };
        let (first, last) = (conv(input, between, 1, 1), conv(between, output, kernel, stride));
        if !first.uses_amx() {
            return skip::skip_isa("amx");
        }
        let x = random.map(&pool, count, height, width, input);
        let split = kernels::split(&x, options).unwrap();
        let relu = random.within(0..=1) == 1;
        let plain = last.forward(&first.forward(&x, PostOps { relu, ..PostOps::default() }), PostOps::default());
        let handed_on = first.forward(&split, PostOps { relu, split: true, ..PostOps::default() });
        let same = last.forward(&handed_on, PostOps::default());
        let what = format!("{first:?}, {last:?} of {x:?}, {options:?}");
        assert_close(&what, &same, 1.0, 0.0, |n, y, column, o| f64::from(at(&plain, n, y, column, o)));

        let other = random.map(&pool, count, plain.height(), plain.width(), output);
        let wanted = last.forward(&handed_on, PostOps { relu: true, add_to: Some(other.duplicate()), split: false });
        let add_to = kernels::split(&other, options).map(|other| other.duplicate());
        let got = last.forward(&handed_on, PostOps { relu: true, add_to, split: true });
        // Read by a layer that changes nothing.
        let identity: Vec<f32> = (0..output * output).map(|i| f32::from(i % (output + 1) == 0)).collect();
        let filters = Filters { weight: &identity, bias: &[], input: output, output, kernel: 1, stride: 1 };
        let got = Conv::new(options, &filters).forward(&got, PostOps::default());
        // Of the largest result, and of what is added.
        let scale = 1.0 + wanted.data().iter().fold(0f32, |most, v| most.max(v.abs()));
        let tolerance = if options.bf16 { BF16 } else { PAIRS };
        assert_close(&what, &got, f64::from(scale), tolerance, |n, y, column, o| {
            f64::from(at(&wanted, n, y, column, o))
        });
    }
}

#[test]
fn fully_connected_of_any_shape() {
    let (mut random, pool) = (Random(3), pool());
    for isa in isas() {
        // The last two have weights so large that they are read in another order.
        let mut shapes: Vec<_> =
            (0..some(60)).map(|_| (random.within(0..=50), random.within(1..=1500), random.within(1..=200))).collect();
        shapes.extend([(9, 2100, 1030), (70, 2100, 1030)].into_iter().take(some(2)));
        for (rows, input, output) in shapes {
            let x = random.map(&pool, rows, 1, 1, input);
            let (weight, bias) = (random.values(output * input), random.values(output));
            let (relu, bf16) = (random.within(0..=1) == 1, random.within(0..=2) == 0);
            let options = Options { isa, winograd: false, keep: false, bf16 };
            let linear = Conv::linear(options, input, output, &bias, |k, o| weight[o * input + k]);
            let got = linear.forward(&x, PostOps { relu, ..PostOps::default() });
            let what = format!("{} {rows} rows, {linear:?}", isa.name());
            let filters = Filters { weight: &weight, bias: &bias, input, output, kernel: 1, stride: 1 };
            assert_close(&what, &got, (input as f64).sqrt() + 1.0, tolerance(&linear, bf16), |n, y, column, o| {
                let sum = convolved(&x, &filters, n, y, column, o);
                if relu { sum.max(0.0) } else { sum }
            });
        }
    }
}

#[test]
fn the_first_layer() {
    let (mut random, pool) = (Random(4), pool());
    for isa in isas() {
        for _ in 0..some(40) {
            let (height, width, output) = (random.within(1..=40), random.within(1..=40), random.within(1..=70));
            let (weight, bias) = (random.values(output * 147), random.values(output));
            let filters = Filters { weight: &weight, bias: &bias, input: 3, output, kernel: 7, stride: 2 };
            let pixels = random.map(&pool, 1, height, width, 3);
            let mut image = Image::new(&pool, height, width);
            image.par_rows_mut().enumerate().for_each(|(y, row)| {
                for (column, pixel) in row.chunks_exact_mut(3).enumerate() {
                    (0..3).for_each(|c| pixel[c] = at(&pixels, 0, y, column, c));
                }
            });
            let bf16 = random.within(0..=2) == 0;
            let stem = Stem::new(Options { isa, winograd: true, keep: true, bf16 }, &filters);
            let got = stem.forward(&image, false);
            let what = format!("{} {stem:?}, {height} × {width}, bf16 {bf16}", isa.name());
            let size = |side: usize| side.div_ceil(2);
            let near = |v: usize, limit: usize| (2 * v).saturating_sub(1)..(2 * v + 2).min(limit);
            assert_eq!((got.height(), got.width()), (size(size(height)), size(size(width))));
            assert_close(&what, &got, 13.0, tolerance(&stem, bf16), |n, y, column, o| {
                let all = near(y, size(height)).flat_map(|y| near(column, size(width)).map(move |x| (y, x)));
                all.map(|(y, x)| convolved(&pixels, &filters, n, y, x, o).max(0.0)).fold(0.0, f64::max)
            });
        }
    }
}

#[test]
fn pooling_and_the_pyramid() {
    let (mut random, pool) = (Random(5), pool());
    for _ in 0..some(200) {
        let (count, height, width) = (random.within(1..=2), random.within(1..=20), random.within(1..=20));
        let channels = random.within(1..=40);
        let x = random.map(&pool, count, height, width, channels);
        let sampled = kernels::subsample(&x);
        assert_close("subsample", &sampled, 1.0, 0.0, |n, y, column, c| f64::from(at(&x, n, 2 * y, 2 * column, c)));
        for average in [false, true] {
            let mut sum = x.duplicate();
            kernels::add_upsampled(&mut sum, &sampled, average);
            assert_close("upsample", &sum, 1.0, 1e-6, |n, y, column, c| {
                let both = f64::from(at(&x, n, y, column, c)) + f64::from(at(&sampled, n, y / 2, column / 2, c));
                if average { both / 2.0 } else { both }
            });
        }
    }
}

/// torchvision's `roi_align` with `aligned=True`, sample by sample.
fn sampled(x: &FeatureMap, roi: [f32; 4], op: &kernels::RoiAlign, cell: (usize, usize), c: usize) -> f64 {
    let corner = roi.map(|v| v * op.scale - 0.5);
    let grid = |side: f32| match op.sampling_ratio {
        0 => (side / op.resolution as f32).ceil().max(0.0) as usize,
        ratio => ratio,
    };
    let axis = |low: f32, high: f32, cell: usize, limit: usize| -> Vec<Option<(usize, usize, f64)>> {
        let (bin, grid) = ((high - low) / op.resolution as f32, grid(high - low));
        let place = |i: usize| low + cell as f32 * bin + (i as f32 + 0.5) * bin / grid as f32;
        let tap = |v: f32| {
            let below = (v.max(0.0) as usize).min(limit - 1);
            let weight = if below == limit - 1 { 0.0 } else { f64::from(v.max(0.0)) - below as f64 };
            (-1.0..=limit as f32).contains(&v).then_some((below, (below + 1).min(limit - 1), weight))
        };
        (0..grid).map(place).map(tap).collect()
    };
    let (ys, xs) = (axis(corner[1], corner[3], cell.0, x.height()), axis(corner[0], corner[2], cell.1, x.width()));
    let mut sum = 0.0;
    for &(y0, y1, v) in ys.iter().flatten() {
        for &(x0, x1, u) in xs.iter().flatten() {
            let value = |y, x_: usize| f64::from(at(x, 0, y, x_, c));
            sum += (1.0 - v) * ((1.0 - u) * value(y0, x0) + u * value(y0, x1));
            sum += v * ((1.0 - u) * value(y1, x0) + u * value(y1, x1));
        }
    }
    sum / (ys.len() * xs.len()).max(1) as f64
}

#[test]
fn regions_are_pooled() {
    let (mut random, pool) = (Random(6), pool());
    for isa in isas() {
        for _ in 0..some(100) {
            let (height, width, channels) = (random.within(1..=30), random.within(1..=30), random.within(1..=150));
            let x = random.map(&pool, 1, height, width, channels);
            let mut rois = vec![];
            for _ in 0..random.within(1..=4) {
                let [x0, y0] = [width, height].map(|side| (random.value() + 0.8) * 4.0 * side as f32);
                let [w, h] = [width, height].map(|side| (random.value() + 0.9) * 3.0 * side as f32);
                rois.push([x0, y0, x0 + w, y0 + h]);
            }
            let (resolution, sampling_ratio) = (random.within(1..=7), random.within(0..=3));
            let op = kernels::RoiAlign { rois: rois.clone(), scale: 0.25, resolution, sampling_ratio };
            let rows: Vec<usize> = (0..rois.len()).rev().collect();
            let mut got = random.map(&pool, rois.len(), resolution, resolution, channels);
            kernels::roi_align(isa, &x, &op, &rows, &mut got);
            let what = format!("{} {x:?}, {rois:?}, {resolution} of {sampling_ratio}", isa.name());
            let last = rois.len() - 1;
            assert_close(&what, &got, 1.0, 1e-5, |n, y, column, c| sampled(&x, rois[last - n], &op, (y, column), c));
        }
    }
}
