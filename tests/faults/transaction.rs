//! A transaction whose beginning is given up, as when a client hangs up.

use docreader::documents;

use crate::common::transaction::{give_up_after, is_left_open, pools};

#[tokio::test]
async fn one_that_nobody_waits_for_is_rolled_back() {
    let (pool, observer) = pools().await;
    for polls in 1..=8 {
        give_up_after(polls, documents::begin(&pool)).await;
        assert!(!is_left_open(&observer).await, "given up after {polls} polls");
    }
}
