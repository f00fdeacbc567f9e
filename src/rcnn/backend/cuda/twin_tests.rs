//! Kernels against the code for the CPU that they follow, over random shapes.

mod detections;
mod maps;
mod proposals;

/// Numbers that are the same each time.
pub struct Random(u32);

impl Random {
    /// In 0..1.
    fn value(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as f32 / (1 << 24) as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + self.value() * (high - low)
    }

    /// `low` to `high`, both included.
    fn integer(&mut self, low: usize, high: usize) -> usize {
        low + (self.value() * (high - low + 1) as f32) as usize
    }

    fn is(&mut self, probability: f32) -> bool {
        self.value() < probability
    }

    /// Mostly ordinary.
    fn odd_value(&mut self, low: f32, high: f32) -> f32 {
        let odd = [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, 0.0, f32::MAX, f32::MIN_POSITIVE];
        if self.is(0.01) { odd[self.integer(0, odd.len() - 1)] } else { self.between(low, high) }
    }
}

/// Memory as a GPU's: aligned, full of nonsense at first, and with something behind it that stays as it is.
pub struct Buffer {
    memory: Vec<u128>,
    bytes: usize,
}

const GUARD: u128 = 0x5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a;

impl Buffer {
    fn new<T: Copy>(count: usize) -> Self {
        let bytes = count * size_of::<T>();
        let mut memory = vec![u128::MAX; bytes.div_ceil(16)];
        memory.extend([GUARD; 4]);
        Self { memory, bytes }
    }

    fn of<T: Copy>(values: &[T]) -> Self {
        let mut buffer = Self::new::<T>(values.len());
        // SAFETY: there is room for the values, which are plain numbers.
        unsafe {
            std::ptr::copy_nonoverlapping(values.as_ptr(), buffer.memory.as_mut_ptr().cast::<T>(), values.len());
        }
        buffer
    }

    fn address(&mut self) -> u64 {
        self.memory.as_mut_ptr() as u64
    }

    fn read<T: Copy>(&self) -> Vec<T> {
        assert!(self.memory.ends_with(&[GUARD; 4]), "something was written behind a buffer");
        // SAFETY: any bytes are numbers of the types that are read.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<T>(), self.bytes / size_of::<T>()) }.to_vec()
    }
}

/// As bits, of which each is compared.
fn bits<const N: usize>(boxes: &[[f32; N]]) -> Vec<[u32; N]> {
    boxes.iter().map(|b| b.map(f32::to_bits)).collect()
}
