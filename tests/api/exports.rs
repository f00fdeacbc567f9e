//! Exports of large documents.

use std::io::{Cursor, Read};

use reqwest::{Method, Response};
use serde_json::Value;
use sqlx::PgPool;

use super::client::Api;
use crate::common::TestApp;

const PAGES: i64 = 1500;
const ON_PAGE: i64 = 40;

/// A document of 1,500 pages with 60,000 masks of a kilobyte each.
async fn fill(pool: &PgPool) {
    let sql = "insert into models (name, sha256, classes) values ('default', repeat('ab', 32), '{text,title}');
        insert into documents (title, object_key) values ('Large & <larger>', 'media/1.pdf');
        update documents set status = 'processing', model_id = 1, page_count = PAGES, started_at = now() where id = 1;
        insert into pages (document_id, model_id, number, width_pt, height_pt, width_px, height_px, overlay_key, render_ms, detect_ms)
        select 1, 1, g, 612, 792, 1700, 2200, 'results/1/page-' || g || '/overlay.png', 1, 1 from generate_series(1, PAGES) g;
        insert into detections (page_id, ordinal, class_id, label, score, x0_pt, y0_pt, x1_pt, y1_pt, x0_px, y0_px, x1_px, y1_px, mask_rle)
        select p.id, o, o % 2, case o % 2 when 0 then 'text' else 'title' end, 0.9, 1, 2, 3, 4, 10, 20, 30 + o, 40,
            jsonb_build_object('size', array[2200, 1700], 'counts', repeat('0', 1000))
        from pages p cross join generate_series(0, ON_PAGE - 1) o;
        analyze;";
    let sql = sql.replace("ON_PAGE", &ON_PAGE.to_string()).replace("PAGES", &PAGES.to_string());
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(pool).await.unwrap();
}

async fn export(api: &Api, format: &str) -> Response {
    api.send(Method::GET, &format!("/documents/1/export?format={format}")).await
}

#[tokio::test]
async fn large_ones_are_sent_bit_by_bit() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    fill(&app.pool).await;
    api.get("/documents/1/export?page=1").await;
    let small = api.server.peak_rss_mb();

    // Clients that do not read hold nobody up.
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(export(&api, "coco").await);
    }
    let coco: Value = export(&api, "coco").await.json().await.unwrap();
    let (annotations, images) = (coco["annotations"].as_array().unwrap(), coco["images"].as_array().unwrap());
    assert_eq!((annotations.len() as i64, images.len() as i64), (PAGES * ON_PAGE, PAGES));
    assert_eq!((&annotations[59_999]["id"], &annotations[59_999]["image_id"]), (&60_000.into(), &1500.into()));
    assert_eq!(coco["categories"][1]["name"], "title");
    let csv = export(&api, "csv").await.text().await.unwrap();
    assert_eq!(csv.lines().count() as i64, PAGES * ON_PAGE + 1);
    assert_eq!(csv.lines().last(), Some("1500,39,\"title\",0.9,1,2,3,4,10,20,69,40"));
    let lines = export(&api, "jsonl").await.text().await.unwrap();
    assert!(lines.lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|l| l["document"] == 1)));
    assert_eq!(lines.lines().count() as i64, PAGES * ON_PAGE);
    let hocr = export(&api, "hocr").await.text().await.unwrap();
    assert_eq!(hocr.matches("class=\"ocr_page\"").count() as i64, PAGES);
    assert!(hocr.contains("<title>Large &amp; &lt;larger&gt;</title>") && hocr.ends_with("</body></html>\n"));
    for (format, last, expected) in
        [("labelme", "page-1500.json", "\"shapes\""), ("pagexml", "page-1500.xml", "<Coords ")]
    {
        let bytes = export(&api, format).await.bytes().await.unwrap();
        let mut zip = zip::ZipArchive::new(Cursor::new(bytes)).unwrap();
        assert_eq!(zip.len() as i64, PAGES);
        let mut text = String::new();
        zip.by_name(last).unwrap().read_to_string(&mut text).unwrap();
        assert!(text.contains(expected), "{text}");
    }
    let grown = api.server.peak_rss_mb() - small;
    println!("five readers of 60,000 masks, and five other formats: {grown} MiB more");
    assert!(grown < 24, "{grown} MiB");
    app.finish_except(&["document without file"]).await;
}

#[tokio::test]
async fn results_that_vanish_end_it_early() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    fill(&app.pool).await;
    let mut reader = export(&api, "jsonl").await;
    assert!(reader.chunk().await.unwrap().is_some());
    sqlx::raw_sql("delete from pages where number > 1000").execute(&app.pool).await.unwrap();
    let error = loop {
        match reader.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a file that is not whole ends as if it were"),
            Err(error) => break error,
        }
    };
    println!("the client sees: {error:?}");
    assert!(api.server.log().contains("its results were removed or replaced meanwhile"));
    app.finish_except(&["document without file"]).await;
}
