//! The API's description is true; scripts/check-api.sh asks more.

use reqwest::Method;
use serde_json::Value;

use super::client::Api;
use crate::common::TestApp;

#[tokio::test]
async fn every_path_is_there_with_its_methods_only() {
    let app = TestApp::new().await;
    let api = Api::start(&app, &[]).await;
    let description = api.get("/openapi.json").await;
    assert!(description["openapi"].as_str().unwrap().starts_with("3.1."));
    let host = api.base.trim_end_matches("/api/v1").to_owned();
    let mut ids = vec![];
    for (path, item) in description["paths"].as_object().unwrap() {
        let url = path.replace("{id}", "1").replace("{number}", "1").replace("{ordinal}", "0");
        let methods: Vec<String> = item.as_object().unwrap().keys().map(|m| m.to_uppercase()).collect();
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let response = api.client.request(method.clone(), format!("{host}{url}")).send().await.unwrap();
            let status = response.status().as_u16();
            if methods.contains(&method.to_string()) {
                let body: Value = response.json().await.unwrap();
                let detail = body["detail"].as_str().unwrap_or_default();
                assert!(
                    status != 405 && !detail.starts_with("There is nothing at"),
                    "{method} {url}: {status} {detail}"
                );
            } else {
                assert_eq!(status, 405, "{method} {url}");
                assert!(methods.iter().all(|m| response.headers()["allow"].to_str().unwrap().contains(m.as_str())));
            }
        }
        ids.extend(item.as_object().unwrap().values().map(|o| o["operationId"].as_str().unwrap().to_owned()));
    }
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), count), (21, 21), "{ids:?}");
    let page = api.client.get(format!("{}/docs/", api.base)).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("swagger-ui-bundle.js"));
    let script = api.client.get(format!("{}/docs/swagger-ui-bundle.js", api.base)).send().await.unwrap();
    assert!(script.bytes().await.unwrap().len() > 500_000);
    app.finish().await;
}
