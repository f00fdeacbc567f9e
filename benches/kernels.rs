//! `cargo bench --bench kernels [FILTER [WAY]]`: the layers that a Mask R-CNN R50-FPN spends its time in, in each instruction set in turns (and in bf16), as share of
//! the peak that was measured in the same minute. Names that begin with FILTER only.

use std::time::Instant;

use docreader::kernels::{Conv, FeatureMap, Filters, Isa, Options, PostOps, Workspace, peak, split};

struct Case {
    name: &'static str,
    kernel: usize,
    stride: usize,
    input: usize,
    output: usize,
    /// Of the input: images, rows, columns.
    size: (usize, usize, usize),
    /// With a map that is added.
    add: bool,
}

const fn case(
    name: &'static str,
    (kernel, stride): (usize, usize),
    (input, output): (usize, usize),
    size: (usize, usize, usize),
    add: bool,
) -> Case {
    Case { name, kernel, stride, input, output, size, add }
}

const CASES: &[Case] = &[
    case("1x1 64 to 256, res2", (1, 1), (64, 256), (1, 200, 264), true),
    case("1x1 256 to 64, res2", (1, 1), (256, 64), (1, 200, 264), false),
    case("1x1 512 to 128, res3", (1, 1), (512, 128), (1, 100, 132), false),
    case("1x1 256 to 1024, res4", (1, 1), (256, 1024), (1, 50, 66), true),
    case("1x1 2048 to 512, res5", (1, 1), (2048, 512), (1, 25, 33), false),
    case("1x1 256 to 256, lateral", (1, 1), (256, 256), (1, 200, 264), false),
    case("3x3 64, res2", (3, 1), (64, 64), (1, 200, 264), false),
    case("3x3 256, p2", (3, 1), (256, 256), (1, 200, 264), false),
    case("3x3 256, res4", (3, 1), (256, 256), (1, 50, 66), false),
    case("3x3 512, res5", (3, 1), (512, 512), (1, 25, 33), false),
    case("3x3 256, masks", (3, 1), (256, 256), (20, 14, 14), false),
    case("3x3 s2 128", (3, 2), (128, 128), (1, 200, 264), false),
    case("3x3 s2 512", (3, 2), (512, 512), (1, 50, 66), false),
    case("FC 12544 to 1024", (0, 0), (12544, 1024), (504, 1, 1), false),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let filter = args.first().map_or("", String::as_str);
    let wanted = |way: &Way| args.get(1).map_or(way.options.isa != Isa::Portable, |name| way.name() == name);
    let ways: Vec<Way> = Way::all().filter(wanted).collect();
    println!("{:<26} {:<11} {:>8} {:>9} {:>7}", "layer", "", "ms", "GFLOP/s", "of peak");
    for case in CASES.iter().filter(|c| c.name.starts_with(filter)) {
        let pool = Workspace::default();
        let layers: Vec<_> = ways.iter().map(|way| (case.layer(way), case.maps(&pool, way))).collect();
        let mut best = vec![f64::MAX; layers.len()];
        let peaks: Vec<f64> = ways.iter().map(Way::peak).collect();
        let mut by_crate = case.by_crate();
        let mut product_by_crate = by_crate.as_ref().map(|_| f64::MAX);
        let mut work = 0;
        for _ in 0..7 {
            if let (Some(by_crate), Some(best)) = (&mut by_crate, &mut product_by_crate) {
                *best = best.min(by_crate());
            }
            for ((layer, (x, other)), best) in layers.iter().zip(&mut best) {
                let add_to = other.as_ref().map(FeatureMap::duplicate);
                let before = pool.work();
                let started = Instant::now();
                drop(layer(x, add_to));
                *best = best.min(started.elapsed().as_secs_f64());
                work = pool.work() - before;
            }
        }
        let line = |name: &str, best: f64, peak: f64| {
            let rate = work as f64 / best;
            let (ms, share) = (best * 1e3, 100.0 * rate / peak);
            println!("{:<26} {name:<11} {ms:>8.2} {:>9.0} {share:>5.0} %", case.name, 2e-9 * rate);
        };
        for (way, (best, peak)) in ways.iter().zip(best.iter().zip(&peaks)) {
            line(way.name(), *best, *peak);
        }
        if let (Some(seconds), Some(peak)) = (product_by_crate, peaks.last()) {
            line("crate gemm", seconds, *peak);
        }
    }
}

struct Way {
    options: Options,
    /// Maps are split already, and the result will be.
    split: bool,
}

impl Way {
    fn all() -> impl Iterator<Item = Self> {
        let f32 = Isa::available().iter().map(|&isa| Options { isa, winograd: true, keep: false, bf16: false });
        let bf16 = Isa::available().first().filter(|isa| **isa == Isa::Amx);
        let bf16 = bf16.map(|&isa| Options { isa, winograd: false, keep: false, bf16: true });
        bf16.into_iter().chain(f32).flat_map(|options| {
            let splits = if options.isa == Isa::Amx { &[true, false][..] } else { &[false] };
            splits.iter().map(move |&split| Self { options, split })
        })
    }

    fn name(&self) -> &'static str {
        match (self.options.bf16, self.split) {
            (true, true) => "bf16, split",
            (true, false) => "bf16",
            (false, true) => "amx, split",
            (false, false) => self.options.isa.name(),
        }
    }

    /// An f32 product takes AMX three instructions.
    fn peak(&self) -> f64 {
        peak(self.options.isa) * if self.options.bf16 { 3.0 } else { 1.0 }
    }
}

type Layer = Box<dyn Fn(&FeatureMap, Option<FeatureMap>) -> FeatureMap>;

impl Case {
    fn layer(&self, way: &Way) -> Layer {
        let &Way { options, split } = way;
        let &Case { kernel, stride, input, output, .. } = self;
        let mut values = values();
        let mut take = |count: usize| -> Vec<f32> { values.by_ref().take(count).collect() };
        if kernel == 0 {
            let (weight, bias) = (take(input * output), take(output));
            let linear = Conv::linear(options, input, output, &bias, |k, o| weight[o * input + k]);
            return Box::new(move |x, _| linear.forward(x, PostOps::relu()));
        }
        let (weight, bias) = (take(output * input * kernel * kernel), take(output));
        let conv = Conv::new(options, &Filters { weight: &weight, bias: &bias, input, output, kernel, stride });
        Box::new(move |x, add_to| conv.forward(x, PostOps { relu: true, add_to, split }))
    }

    /// What layers that are plain products take the crate that candle multiplies with, in seconds, without a bias, an addition or a ReLU.
    fn by_crate(&self) -> Option<impl FnMut() -> f64 + use<>> {
        if self.kernel > 1 {
            return None;
        }
        let (count, height, width) = self.size;
        let (m, n, k) = (count * height * width, self.output, self.input);
        let take = |count: usize| -> Vec<f32> { values().take(count).collect() };
        let (a, b, mut c) = (take(m * k), take(k * n), vec![0f32; m * n]);
        Some(move || {
            let started = Instant::now();
            let (rows_of_a, rows_of_b) = (k as isize, n as isize);
            // SAFETY: three matrices of these sizes, row by row.
            unsafe {
                let (a, b, c) = (a.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                let all = gemm::Parallelism::Rayon(0);
                let no = false;
                gemm::gemm(m, n, k, c, 1, rows_of_b, no, a, 1, rows_of_a, b, 1, rows_of_b, 0.0, 1.0, no, no, no, all);
            }
            started.elapsed().as_secs_f64()
        })
    }

    /// The layer's input, and what is added to its result.
    fn maps(&self, pool: &Workspace, way: &Way) -> (FeatureMap, Option<FeatureMap>) {
        let (count, height, width) = self.size;
        let fill = |mut map: FeatureMap| {
            map.data_mut().iter_mut().zip(values()).for_each(|(to, v)| *to = v);
            if way.split && self.kernel > 0 { split(&map, way.options).unwrap_or(map) } else { map }
        };
        let other = self.add.then(|| fill(pool.map(count, height, width, self.output)));
        (fill(pool.map(count, height, width, self.input)), other)
    }
}

/// From -1 to 1, the same each time.
fn values() -> impl Iterator<Item = f32> {
    let mut seed = 1u32;
    std::iter::repeat_with(move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) as f32 / (1 << 23) as f32 - 1.0
    })
}
