//! Boxes, masks and labels drawn over a page.

use ab_glyph::{Font, FontRef, PxScale, PxScaleFont, ScaleFont};
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
        let font = font.as_scaled(PxScale::from((page.width() as f32 / 70.0).clamp(11.0, 40.0)));
        let mut tags: Vec<([i32; 4], String, [u8; 3])> = vec![];
        for d in detections {
            let text = format!("{} {:.0}%", label(d), d.score * 100.0);
            let width: f32 = text.chars().map(|c| font.h_advance(font.glyph_id(c))).sum();
            let size = [(width + 2.0 * padding(&font)).ceil() as i32, font.height().ceil() as i32];
            let place = place(page, d.box_px.map(|v| v.round() as i32), size, tags.iter().map(|(place, ..)| place));
            tags.push((place, text, color(d)));
        }
        for (place, text, color) in tags.iter().rev() {
            canvas.tag(&font, *place, text, *color);
        }
    }
    canvas.image
}

/// Left and right of a tag's text.
fn padding(font: &PxScaleFont<&FontRef>) -> f32 {
    font.scale().x * 0.25
}

/// Where a box's tag hides least of the page and of other tags: above its corners, beside it, or below; inside where there is no room.
fn place<'a>(
    page: &RgbImage,
    [x0, y0, x1, y1]: [i32; 4],
    [w, h]: [i32; 2],
    others: impl Iterator<Item = &'a [i32; 4]> + Clone,
) -> [i32; 4] {
    let (width, height) = (page.width() as i32, page.height() as i32);
    let light = |x: i32, y: i32| {
        let Rgb([r, g, b]) = *page.get_pixel(x as u32, y as u32);
        (i32::from(r) + 2 * i32::from(g) + i32::from(b)) / 4
    };
    // Letters are where lightness changes along a line.
    let hidden = |&[left, top, right, bottom]: &[i32; 4]| {
        let meets = |o: &&[i32; 4]| left < o[2] && o[0] < right && top < o[3] && o[1] < bottom;
        let line = |y: i32| (left + 1..right).map(|x| (light(x, y) - light(x - 1, y)).abs()).sum::<i32>();
        let ink = (top..bottom).map(line).sum::<i32>() / (w * h).max(1);
        (others.clone().filter(meets).count(), ink)
    };
    [[x0, y0 - h], [x1 - w, y0 - h], [x0 - w, y0], [x1, y0], [x0, y1], [x1 - w, y1]]
        .map(|[left, top]| [left, top, left + w, top + h])
        .into_iter()
        .filter(|&[left, top, right, bottom]| left >= 0 && top >= 0 && right <= width && bottom <= height)
        .min_by_key(hidden)
        .unwrap_or_else(|| {
            let (left, top) = (x0.min(width - w).max(0), y0.max(0));
            [left, top, left + w, top + h]
        })
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

    /// White text on the class's colour.
    fn tag(&mut self, font: &PxScaleFont<&FontRef>, place: [i32; 4], text: &str, color: [u8; 3]) {
        self.fill(place, color, 0.9);
        let mut pen = place[0] as f32 + padding(font);
        for c in text.chars() {
            let id = font.glyph_id(c);
            let at = ab_glyph::point(pen, place[1] as f32 + font.ascent());
            if let Some(outline) = font.outline_glyph(id.with_scale_and_position(font.scale(), at)) {
                let bounds = outline.px_bounds();
                let (gx, gy) = (bounds.min.x as i32, bounds.min.y as i32);
                outline.draw(|x, y, coverage| self.blend(gx + x as i32, gy + y as i32, [255; 3], coverage.min(1.0)));
            }
            pen += font.h_advance(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_keeps_clear_of_letters_and_tags() {
        let mut page = RgbImage::from_pixel(200, 200, Rgb([255; 3]));
        let bounds = [50, 100, 150, 130];
        let at = |page: &RgbImage, others: &[[i32; 4]]| place(page, bounds, [30, 10], others.iter());
        let above = [50, 90, 80, 100];
        assert_eq!(at(&page, &[]), above);
        assert_eq!(at(&page, &[above]), [120, 90, 150, 100], "another tag");
        (50..150).step_by(3).for_each(|x| (85..99).for_each(|y| page.put_pixel(x, y, Rgb([0; 3]))));
        assert_eq!(at(&page, &[]), [20, 100, 50, 110], "a line of text above");
        assert_eq!(place(&page, [0, 0, 200, 200], [30, 10], [].iter()), [0, 0, 30, 10], "no room outside");
    }
}
