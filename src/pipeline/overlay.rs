//! Boxes, masks and labels drawn over a page.

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use image::{Rgb, RgbImage};

use crate::rcnn::Detection;

const FONT: &[u8] = include_bytes!("../../assets/DejaVuSans-Bold-subset.ttf");
const MASK_OPACITY: f32 = 0.28;

/// One colour a class, told apart by people with colour-blindness too (after Okabe and Ito), dark enough for white text.
const COLORS: [[u8; 3]; 8] = [
    [0, 114, 178],
    [213, 94, 0],
    [0, 128, 96],
    [170, 51, 119],
    [148, 103, 0],
    [46, 134, 193],
    [90, 90, 90],
    [130, 60, 180],
];

/// Draws detections over a copy of the page; `label` names one.
pub fn draw(page: &RgbImage, detections: &[Detection], label: impl Fn(&Detection) -> String) -> RgbImage {
    let mut canvas = Canvas { image: page.clone() };
    let color = |d: &Detection| COLORS[d.class_id % COLORS.len()];
    for d in detections {
        if let Some(mask) = &d.mask {
            mask.for_each_run(|x, y0, y1| {
                (y0..y1).for_each(|y| canvas.blend(x as i32, y as i32, color(d), MASK_OPACITY))
            });
        }
    }
    // The best come last, so that they lie on top.
    let thickness = (page.width().max(page.height()) / 600).max(2) as i32;
    for d in detections.iter().rev() {
        canvas.frame(d.box_px.map(|v| v.round() as i32), thickness, color(d));
    }
    if let Ok(font) = FontRef::try_from_slice(FONT) {
        let size = (page.width() as f32 / 70.0).clamp(11.0, 40.0);
        for d in detections.iter().rev() {
            let text = format!("{} {:.0}%", label(d), d.score * 100.0);
            canvas.tag(&font, size, d.box_px.map(|v| v.round() as i32), &text, color(d));
        }
    }
    canvas.image
}

struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// Mixes a colour into a pixel; outside the image nothing happens.
    fn blend(&mut self, x: i32, y: i32, color: [u8; 3], opacity: f32) {
        let (Ok(x), Ok(y)) = (u32::try_from(x), u32::try_from(y)) else { return };
        if let Some(Rgb(pixel)) = self.image.get_pixel_mut_checked(x, y) {
            for (p, c) in pixel.iter_mut().zip(color) {
                *p = (f32::from(*p) * (1.0 - opacity) + f32::from(c) * opacity).round() as u8;
            }
        }
    }

    fn fill(&mut self, [x0, y0, x1, y1]: [i32; 4], color: [u8; 3], opacity: f32) {
        let (width, height) = (self.image.width() as i32, self.image.height() as i32);
        let ([x0, x1], [y0, y1]) = ([x0, x1].map(|x| x.clamp(0, width)), [y0, y1].map(|y| y.clamp(0, height)));
        for y in y0..y1 {
            (x0..x1).for_each(|x| self.blend(x, y, color, opacity));
        }
    }

    fn frame(&mut self, [x0, y0, x1, y1]: [i32; 4], t: i32, color: [u8; 3]) {
        for side in
            [[x0, y0, x1, y0 + t], [x0, y1 - t, x1, y1], [x0, y0 + t, x0 + t, y1 - t], [x1 - t, y0 + t, x1, y1 - t]]
        {
            self.fill(side, color, 1.0);
        }
    }

    /// White text on the class's colour, above the box's left corner, or inside where there is no room above.
    fn tag(&mut self, font: &FontRef, size: f32, [x0, y0, _, _]: [i32; 4], text: &str, color: [u8; 3]) {
        let font = font.as_scaled(PxScale::from(size));
        let width: f32 = text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum();
        let (pad, height) = (size * 0.25, font.height().ceil() as i32);
        let (w, h) = ((width + 2.0 * pad).ceil() as i32, height);
        let left = x0.min(self.image.width() as i32 - w).max(0);
        let top = if y0 >= h { y0 - h } else { y0.max(0) };
        self.fill([left, top, left + w, top + h], color, 0.9);
        let mut pen = left as f32 + pad;
        for c in text.chars() {
            let id = font.glyph_id(c);
            let glyph = id.with_scale_and_position(size, ab_glyph::point(pen, top as f32 + font.ascent()));
            if let Some(outline) = font.outline_glyph(glyph) {
                let bounds = outline.px_bounds();
                let (gx, gy) = (bounds.min.x as i32, bounds.min.y as i32);
                outline.draw(|x, y, coverage| self.blend(gx + x as i32, gy + y as i32, [255; 3], coverage.min(1.0)));
            }
            pen += font.h_advance(id);
        }
    }
}
