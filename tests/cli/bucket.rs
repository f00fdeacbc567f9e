//! `app migrate --create-bucket` against servers that are not ours.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::common::http::Stranger;
use crate::common::{TestApp, fixture};

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
    app.finish().await;
}

#[tokio::test]
async fn a_refusal_is_not_asked_again() {
    let app = TestApp::new().await;
    let s3 =
        Stranger::start(|_, _| ("403 Forbidden".into(), b"<Error><Code>AccessDenied</Code></Error>".to_vec())).await;
    let (made, log, took) = create_bucket(&app, &s3.url, "us-east-1").await;
    assert!(!made && log.contains("AccessDenied") && log.contains("may this user create buckets?"), "{log}");
    assert!(took < Duration::from_secs(10) && s3.asked().len() <= 2, "{took:?} {:?}", s3.asked());
    app.finish().await;
}

/// The bucket's server behind TLS, with a certificate of a root that nobody knows.
async fn behind_tls(endpoint: &str) -> String {
    let certificate = CertificateDer::from_pem_file(fixture("tls/server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(fixture("tls/server.key")).unwrap();
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let server = endpoint.trim_start_matches("http://").to_owned();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                let mut client = acceptor.accept(client).await?;
                copy_bidirectional(&mut client, &mut TcpStream::connect(server).await?).await
            });
        }
    });
    url
}

#[tokio::test]
async fn a_root_of_ones_own_is_trusted_by_name_only() {
    let app = TestApp::new().await;
    let url = behind_tls(&app.s3.as_ref().unwrap().endpoint()).await;
    let root = fixture("tls/root.pem");
    for (root, trusted) in [(None, false), (Some(("SSL_CERT_FILE", root.to_str().unwrap())), true)] {
        let settings: Vec<_> = [("AWS_S3_ENDPOINT_URL", url.as_str())].into_iter().chain(root).collect();
        let mut check = app.start(&["check"], &settings);
        let (succeeds, log) = (check.exit().await.success(), check.log());
        assert_eq!(succeeds, trusted, "{log}");
        assert!(trusted || log.contains("UnknownIssuer") && log.contains("SSL_CERT_FILE"), "{log}");
    }
    app.finish().await;
}
