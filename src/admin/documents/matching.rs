//! Which regions of two runs are the same, by their overlap.

/// Regions that overlap less are different ones.
const MATCH: f32 = 0.5;
/// From here on a region has not moved.
const SAME: f32 = 0.9;

/// A region as far as comparing needs it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outline<'a> {
    pub label: &'a str,
    /// x0, y0, x1, y1
    pub bounds: [f32; 4],
}

/// Two regions, by their places in the lists, that are taken for one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    pub earlier: usize,
    pub shown: usize,
    pub kind: Kind,
    /// Intersection over union, from 0.5 to 1.
    pub overlap: f32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Same,
    Moved,
    /// It has another label.
    Relabeled,
}

/// Pairs regions greedily, the best overlap first; those of the same label have precedence. Each is in one pair at most.
pub fn pairs(earlier: &[Outline], shown: &[Outline]) -> Vec<Pair> {
    let mut candidates: Vec<Pair> = vec![];
    for (i, a) in earlier.iter().enumerate() {
        for (j, b) in shown.iter().enumerate() {
            let overlap = iou(a.bounds, b.bounds);
            let kind = match (a.label == b.label, overlap >= SAME) {
                (false, _) => Kind::Relabeled,
                (true, true) => Kind::Same,
                (true, false) => Kind::Moved,
            };
            if overlap >= MATCH {
                candidates.push(Pair { earlier: i, shown: j, kind, overlap });
            }
        }
    }
    let is_other = |pair: &Pair| pair.kind == Kind::Relabeled;
    candidates.sort_by(|a, b| is_other(a).cmp(&is_other(b)).then(b.overlap.total_cmp(&a.overlap)));
    let (mut taken_earlier, mut taken_shown) = (vec![false; earlier.len()], vec![false; shown.len()]);
    candidates.retain(|pair| {
        let is_free = !taken_earlier[pair.earlier] && !taken_shown[pair.shown];
        if is_free {
            (taken_earlier[pair.earlier], taken_shown[pair.shown]) = (true, true);
        }
        is_free
    });
    candidates
}

/// Intersection over union.
fn iou(a: [f32; 4], b: [f32; 4]) -> f32 {
    let area = |r: [f32; 4]| (r[2] - r[0]).max(0.0) * (r[3] - r[1]).max(0.0);
    let common = area([a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let union = area(a) + area(b) - common;
    if union > 0.0 { common / union } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outline(label: &str, x0: f32, x1: f32) -> Outline<'_> {
        Outline { label, bounds: [x0, 0.0, x1, 10.0] }
    }

    fn kinds(earlier: &[Outline], shown: &[Outline]) -> Vec<(usize, usize, Kind)> {
        pairs(earlier, shown).into_iter().map(|pair| (pair.earlier, pair.shown, pair.kind)).collect()
    }

    #[test]
    fn overlaps() {
        assert_eq!(iou([0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]), 1.0);
        assert_eq!(iou([0.0, 0.0, 10.0, 10.0], [5.0, 0.0, 15.0, 10.0]), 1.0 / 3.0);
        assert_eq!(iou([0.0, 0.0, 10.0, 10.0], [20.0, 0.0, 30.0, 10.0]), 0.0);
        assert_eq!(iou([0.0; 4], [0.0; 4]), 0.0);
    }

    #[test]
    fn labels_come_before_overlap() {
        // The table overlaps the text perfectly, and the other table well.
        let earlier = [outline("table", 0.0, 100.0)];
        let shown = [outline("text", 0.0, 100.0), outline("table", 0.0, 80.0)];
        assert_eq!(kinds(&earlier, &shown), [(0, 1, Kind::Moved)]);
        assert_eq!(kinds(&earlier, &shown[..1]), [(0, 0, Kind::Relabeled)]);
    }

    #[test]
    fn the_best_pairs_come_first_and_each_region_once() {
        let earlier = [outline("text", 0.0, 100.0), outline("text", 10.0, 110.0)];
        let shown = [outline("text", 9.0, 109.0)];
        assert_eq!(kinds(&earlier, &shown), [(1, 0, Kind::Same)]);
        assert_eq!(kinds(&shown, &earlier), [(0, 1, Kind::Same)]);
        assert_eq!(kinds(&earlier, &[outline("text", 90.0, 200.0)]), []);
        assert_eq!(kinds(&[], &shown), []);
    }
}
