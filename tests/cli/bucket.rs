//! `app migrate --create-bucket` against servers that are not ours.

use std::time::{Duration, Instant};

use crate::common::TestApp;
use crate::common::http::Stranger;

async fn create_bucket(app: &TestApp, endpoint: &str, region: &str) -> (bool, String, Duration) {
    let started = Instant::now();
    let settings = [("AWS_S3_ENDPOINT_URL", endpoint), ("AWS_REGION", region)];
    let mut migrate = app.start(&["migrate", "--create-bucket"], &settings);
    (migrate.exit().await.success(), migrate.log(), started.elapsed())
}

/// Amazon refuses us-east-1 as the place of a bucket, and needs all others.
#[tokio::test]
async fn the_place_of_a_bucket_is_named_where_it_must_be() {
    let app = TestApp::new().await;
    for (region, named) in [("us-east-1", false), ("eu-central-1", true)] {
        let s3 = Stranger::start(|_, asked| match asked.line.starts_with("PUT ") {
            true => ("200 OK".into(), vec![]),
            false => ("404 Not Found".into(), b"<Error><Code>NoSuchBucket</Code></Error>".to_vec()),
        })
        .await;
        let (made, log, _) = create_bucket(&app, &s3.url, region).await;
        assert!(made, "{log}");
        let asked = s3.asked();
        let put = asked.iter().find(|a| a.line.starts_with("PUT /bkt")).unwrap();
        assert_eq!(put.body.contains(&format!("<LocationConstraint>{region}</LocationConstraint>")), named, "{put:?}");
        assert!(named || put.body.is_empty(), "{put:?}");
    }
}

#[tokio::test]
async fn a_refusal_is_not_asked_again() {
    let app = TestApp::new().await;
    let s3 =
        Stranger::start(|_, _| ("403 Forbidden".into(), b"<Error><Code>AccessDenied</Code></Error>".to_vec())).await;
    let (made, log, took) = create_bucket(&app, &s3.url, "us-east-1").await;
    assert!(!made && log.contains("AccessDenied") && log.contains("may this user create buckets?"), "{log}");
    assert!(took < Duration::from_secs(10) && s3.asked().len() <= 2, "{took:?} {:?}", s3.asked());
}
