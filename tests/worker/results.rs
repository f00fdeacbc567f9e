//! What a processed document leaves.

use docreader::documents::{self, DetectionRow, JobLease, PageOf, PageResult, RegisteredModel, Saved};
use docreader::storage::ObjectKey;
use serde_json::{Value, json};

use crate::common::{DocumentState, TestApp, fixture, sample};

#[derive(sqlx::FromRow)]
struct Row {
    ordinal: i32,
    class_id: i32,
    label: String,
    score: f32,
    x0_pt: f32,
    y1_pt: f32,
    x0_px: f32,
    y0_px: f32,
    y1_px: f32,
    mask_rle: Value,
    crop_key: Option<String>,
}

async fn picture(app: &TestApp, key: &str) -> image::DynamicImage {
    let copy = app.folder.path().join(key.rsplit('/').next().unwrap());
    app.storage.fetch(&ObjectKey::parse(key).unwrap(), &copy, 1 << 30).await.unwrap();
    image::open(&copy).unwrap()
}

#[tokio::test]
async fn rows_and_objects_are_those_of_app_detect() {
    let app = TestApp::new().await;
    let id = app.insert("handbook", &sample()).await;
    let _worker = app.work(&[("CROP_MIN_SCORE", "0.9")]);
    assert_eq!(app.finished(id).await, DocumentState::done(1));

    let mut detect = app.start(&["detect", "samples/amt_handbook_sample.pdf", "--json"], &[]);
    assert!(detect.exit().await.success());
    let report: Value = serde_json::from_str(&detect.log()).unwrap();
    let expected = report["pages"][0]["detections"].as_array().unwrap();

    let page: (i32, i32, f32, f32, String) =
        sqlx::query_as("select width_px, height_px, width_pt, height_pt, overlay_key from pages")
            .fetch_one(&app.pool)
            .await
            .unwrap();
    assert_eq!(report["pages"][0]["width_px"], page.0);
    assert_eq!(report["pages"][0]["height_px"], page.1);
    assert!((page.0 as f32 / page.2 - 1.5).abs() < 0.01 && (page.1 as f32 / page.3 - 1.5).abs() < 0.01);

    let rows: Vec<Row> =
        sqlx::query_as("select * from detections order by ordinal").fetch_all(&app.pool).await.unwrap();
    assert_eq!(rows.len(), expected.len());
    assert!(!rows.is_empty());
    let thumbnail = page.4.replace("overlay.png", "thumbnail.jpg");
    let mut keys =
        vec![page.4.clone(), page.4.replace("overlay", "page"), thumbnail.clone(), "media/handbook.pdf".to_owned()];
    for (i, (row, want)) in rows.iter().zip(expected).enumerate() {
        let close = |got: f32, want: &Value| (f64::from(got) - want.as_f64().unwrap()).abs() < 1e-3;
        assert_eq!((row.ordinal, row.class_id), (i as i32, want["class_id"].as_i64().unwrap() as i32));
        assert_eq!(row.label, want["label"].as_str().unwrap());
        assert!(close(row.score, &want["score"]));
        assert!(close(row.x0_px, &want["box_px"][0]) && close(row.y1_px, &want["box_px"][3]));
        assert!(close(row.x0_pt, &want["box_pt"][0]) && close(row.y1_pt, &want["box_pt"][3]));
        assert_eq!(row.mask_rle, want["mask_rle"]);
        assert_eq!(row.crop_key.is_some(), row.score >= 0.9);
        keys.extend(row.crop_key.clone());
    }
    assert!(keys.len() > 4, "no crop to look at");
    keys.sort();
    assert_eq!(app.storage.list("").await.unwrap(), keys);

    // A crop is the region that its row says, and the thumbnail is the whole page.
    let first = &rows[0];
    let crop = picture(&app, first.crop_key.as_deref().unwrap()).await;
    assert_eq!(crop.height(), first.y1_px.ceil() as u32 - first.y0_px as u32);
    let small = picture(&app, &thumbnail).await;
    assert_eq!(small.width(), 200);
    assert_eq!(small.height(), (page.1 as f32 * 200.0 / page.0 as f32).round() as u32);
    let job: (String, Value) =
        sqlx::query_as("select status, last_result from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    assert_eq!(job.0, "Done");
    assert_eq!(job.1["Ok"]["detections"], rows.len());
    app.finish().await;
}

#[tokio::test]
async fn a_long_document_does_not_make_the_worker_grow() {
    let app = TestApp::new().await;
    let id = app.insert("bytefield", &std::fs::read(fixture("bytefield.pdf")).unwrap()).await;
    let worker = app.work(&[]);
    app.until(id, |d| d.pages_done >= 15).await;
    let early = worker.rss_mb();
    assert_eq!(app.finished(id).await, DocumentState::done(58));
    let late = worker.rss_mb();
    println!("app work after 15 pages: {early} MiB, after 58: {late} MiB");
    assert!(late <= early + early / 5, "{early} MiB after 15 pages, {late} after 58");
    assert!(worker.log().contains("Running for page 3 of 58"));
    assert_eq!(app.count("select count(distinct number) from pages").await, 58);
    app.finish().await;
}

#[tokio::test]
async fn workers_that_race_for_a_page_record_it_once() {
    let app = TestApp::new().await;
    let id = app.insert("race", &sample()).await;
    let classes = ["text".to_owned()];
    let model = RegisteredModel::register(&app.pool, "m", &"0".repeat(64), &classes).await.unwrap();
    let other = RegisteredModel::register(&app.pool, "m", &"1".repeat(64), &classes).await.unwrap();
    documents::claim(&app.pool, id, model.id, 0.5, None).await.unwrap().unwrap();
    let hold =
        "insert into apalis.workers (id, worker_type, storage_name, layers) values ('1:w', 'documents', 's', 'l');
                update apalis.jobs set status = 'Running', lock_by = '1:w', lock_at = now()";
    sqlx::raw_sql(hold).execute(&app.pool).await.unwrap();
    let job: String = sqlx::query_scalar("select id from apalis.jobs").fetch_one(&app.pool).await.unwrap();
    let detection = DetectionRow {
        class_id: 0,
        label: "text".into(),
        score: 0.5,
        box_pt: [0.0, 0.0, 1.0, 1.0],
        box_px: [0.0, 0.0, 1.5, 1.5],
        mask_rle: None,
        crop_key: None,
    };
    let page = PageResult {
        width_pt: 100.0,
        height_pt: 100.0,
        width_px: 150,
        height_px: 150,
        overlay_key: "o".into(),
        image_key: "i".into(),
        thumbnail_key: "t".into(),
        render_ms: 1,
        detect_ms: 1,
        detections: vec![detection.clone()],
    };
    let hold = |worker: &str| JobLease { job: job.clone(), worker: worker.to_owned(), last_attempt: false };
    let (ours, others) = (hold("1:w"), hold("2:w"));
    let of =
        |hold, model: &RegisteredModel, number| PageOf { hold, document_id: id, model_id: model.id, run: 1, number };
    for number in 1..=20 {
        let save = || documents::save_page(&app.pool, of(&ours, &model, number), &page);
        let (a, b) = tokio::join!(save(), save());
        let mut both = [format!("{:?}", a.unwrap()), format!("{:?}", b.unwrap())];
        both.sort();
        assert_eq!(both, ["Before", "Now"]);
    }
    assert_eq!(app.count("select count(*) from detections").await, 20);
    assert_eq!(app.state(id).await.pages_done, 20);
    // A late worker with another model neither counts nor finishes.
    assert_eq!(documents::save_page(&app.pool, of(&ours, &other, 21), &page).await.unwrap(), Saved::Unwanted);
    // Nor does one that has the job no more.
    assert_eq!(documents::save_page(&app.pool, of(&others, &model, 21), &page).await.unwrap(), Saved::Lost);
    documents::finish(&app.pool, id, other.id, 1).await.unwrap();
    assert_eq!(app.state(id).await.status, "processing");
    app.abandon("a job is held by a worker that never was");
}

#[tokio::test]
async fn an_image_is_one_page() {
    let app = TestApp::new().await;
    let id = app.insert("picture", &std::fs::read(fixture("tiny_mask/page1.png")).unwrap()).await;
    let _worker = app.work(&[("MODEL_PATH", "tests/fixtures/tiny_mask")]);
    assert_eq!(app.finished(id).await, DocumentState::done(1));
    let want: Value = serde_json::from_slice(&std::fs::read(fixture("tiny_mask/page1.json")).unwrap()).unwrap();
    let size: (i32, i32, f32) =
        sqlx::query_as("select height_px, width_px, width_pt from pages").fetch_one(&app.pool).await.unwrap();
    assert_eq!((json!([size.0, size.1]), size.2), (want["image_size"].clone(), size.1 as f32));
    assert_eq!(app.count("select count(*) from detections").await, want["boxes"].as_array().unwrap().len() as i64);
    app.finish().await;
}
