//! PDFs made for a purpose.

/// Writes objects 1, 2, … with a cross-reference table; object 1 is the catalog.
pub fn build(objects: &[String]) -> Vec<u8> {
    let mut pdf = b"%PDF-1.7\n".to_vec();
    let mut offsets = vec![];
    for (i, object) in objects.iter().enumerate() {
        offsets.push(pdf.len());
        pdf.extend_from_slice(format!("{} 0 obj\n{object}\nendobj\n", i + 1).as_bytes());
    }
    let table = pdf.len();
    pdf.extend_from_slice(format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1).as_bytes());
    for offset in offsets {
        pdf.extend_from_slice(format!("{offset:010} 00000 n \n").as_bytes());
    }
    let trailer = format!("trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{table}\n%%EOF\n", objects.len() + 1);
    pdf.extend_from_slice(trailer.as_bytes());
    pdf
}

fn stream(dictionary: &str, content: &str) -> String {
    format!("<< {dictionary} /Length {} >>\nstream\n{content}\nendstream", content.len())
}

/// One page of the given size with the given content; `extra` objects start at number 5.
pub fn one_page(media_box: &str, content: &str, resources: &str, extra: Vec<String>) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        format!("<< /Type /Page /Parent 2 0 R /MediaBox [{media_box}] /Contents 4 0 R /Resources << {resources} >> >>"),
        stream("", content),
    ];
    objects.extend(extra);
    build(&objects)
}

/// So many pages with a line each.
pub fn pages(count: usize) -> Vec<u8> {
    let kids: Vec<String> = (0..count).map(|i| format!("{} 0 R", 3 + 2 * i)).collect();
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!("<< /Type /Pages /Kids [{}] /Count {count} >>", kids.join(" ")),
    ];
    for i in 0..count {
        let content = 4 + 2 * i;
        objects.push(format!("<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 500] /Contents {content} 0 R >>"));
        objects.push(stream("", &format!("50 {} m 350 250 l S", 50 + i)));
    }
    build(&objects)
}

pub fn no_pages() -> Vec<u8> {
    build(&["<< /Type /Catalog /Pages 2 0 R >>".to_owned(), "<< /Type /Pages /Kids [] /Count 0 >>".to_owned()])
}

/// A page of 200 inches square, the most that the format allows, and then some.
pub fn huge() -> Vec<u8> {
    one_page("0 0 200000 200000", "0 0 m 100 100 l S", "", vec![])
}

/// Of forms in forms.
const DEPTH: usize = 9;

/// Forms that draw forms that draw forms: a small file that keeps a renderer busy for hours.
pub fn endless() -> Vec<u8> {
    let form = |level: usize| {
        let content = match level {
            0 => "0 0 m 150 150 l S 0 0 100 100 re f ".repeat(20),
            _ => "/X Do ".repeat(20),
        };
        let resources = match level {
            0 => String::new(),
            _ => format!("/Resources << /XObject << /X {} 0 R >> >>", 5 + level - 1),
        };
        stream(&format!("/Type /XObject /Subtype /Form /BBox [0 0 200 200] {resources}"), &content)
    };
    let top = 5 + DEPTH - 1;
    one_page("0 0 200 200", "/X Do", &format!("/XObject << /X {top} 0 R >>"), (0..DEPTH).map(form).collect())
}

/// Four pages: an ordinary one, one that is too large, one that keeps a renderer busy for hours, and an ordinary one.
pub fn two_bad_pages() -> Vec<u8> {
    let hostile = String::from_utf8_lossy(&endless()).into_owned();
    let forms: Vec<String> = (5..5 + DEPTH).map(|n| object(&hostile, n)).collect();
    let top = 5 + DEPTH - 1;
    let page = |media_box: &str, content: usize, resources: &str| {
        format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [{media_box}] /Contents {content} 0 R /Resources << {resources} >> >>"
        )
    };
    let first = 5 + DEPTH;
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        format!(
            "<< /Type /Pages /Kids [{}] /Count 4 >>",
            (0..4).map(|i| format!("{} 0 R", first + i)).collect::<Vec<_>>().join(" ")
        ),
        stream("", "50 50 m 350 250 l S"),
        stream("", "/X Do"),
    ];
    objects.extend(forms);
    objects.push(page("0 0 400 500", 3, ""));
    objects.push(page("0 0 200000 200000", 3, ""));
    objects.push(page("0 0 200 200", 4, &format!("/XObject << /X {top} 0 R >>")));
    objects.push(page("0 0 400 500", 3, ""));
    build(&objects)
}

/// An object of a file that was made here.
fn object(pdf: &str, number: usize) -> String {
    let start = pdf.find(&format!("\n{number} 0 obj\n")).unwrap() + format!("\n{number} 0 obj\n").len();
    pdf[start..start + pdf[start..].find("\nendobj").unwrap()].to_owned()
}
