//! A page's small picture, for lists of documents and pages.

use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, ImageResult, RgbImage};

use crate::rcnn::input::resample::resize_bilinear;

/// Pixels that it has at most: receipts and banners are narrower or lower.
const MAX_WIDTH: u32 = 200;
const MAX_HEIGHT: u32 = 400;
const QUALITY: u8 = 75;

/// A JPEG, no larger than the page.
pub fn encode(page: &RgbImage) -> ImageResult<Vec<u8>> {
    let (width, height) = fit(page.dimensions());
    let small = resize_bilinear(page, width, height);
    let mut bytes = vec![];
    let encoder = JpegEncoder::new_with_quality(&mut bytes, QUALITY);
    match gray(&small) {
        Some(gray) => gray.write_with_encoder(encoder)?,
        None => small.write_with_encoder(encoder)?,
    }
    Ok(bytes)
}

/// Most pages have no colours, and empty chroma takes a fifth of a JPEG.
fn gray(image: &RgbImage) -> Option<GrayImage> {
    let level = |pixel: &image::Rgb<u8>| pixel.0.iter().all(|v| *v == pixel.0[0]).then_some(pixel.0[0]);
    GrayImage::from_raw(image.width(), image.height(), image.pixels().map(level).collect::<Option<_>>()?)
}

fn fit((width, height): (u32, u32)) -> (u32, u32) {
    let [w, h] = [width, height].map(f64::from);
    let scale = (f64::from(MAX_WIDTH) / w).min(f64::from(MAX_HEIGHT) / h).min(1.0);
    let [width, height] = [w, h].map(|side| ((side * scale).round() as u32).max(1));
    (width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fits_and_keeps_its_shape() {
        for (page, wanted) in [
            ((893, 1263), (200, 283)),
            ((1263, 893), (200, 141)),
            ((500, 4000), (50, 400)),
            ((120, 80), (120, 80)),
            ((10_000, 10), (200, 1)),
            ((1, 10_000), (1, 400)),
        ] {
            assert_eq!(fit(page), wanted, "{page:?}");
        }
    }

    #[test]
    fn it_looks_like_the_page() {
        let page = RgbImage::from_fn(400, 200, |x, _| image::Rgb(if x < 200 { [250, 20, 20] } else { [20, 20, 250] }));
        let small = image::load_from_memory(&encode(&page).unwrap()).unwrap().to_rgb8();
        assert_eq!(small.dimensions(), (200, 100));
        for (x, wanted) in [(50, [250, 20, 20]), (150, [20, 20, 250])] {
            let pixel = small.get_pixel(x, 50).0;
            assert!(pixel.iter().zip(wanted).all(|(&a, b): (&u8, u8)| a.abs_diff(b) < 12), "{pixel:?} at {x}");
        }
        let text = RgbImage::from_fn(400, 200, |x, y| image::Rgb([if (x / 7 + y / 9) % 2 == 0 { 255 } else { 40 }; 3]));
        let small = image::load_from_memory(&encode(&text).unwrap()).unwrap();
        assert_eq!((small.color(), small.width()), (image::ColorType::L8, 200));
    }
}
