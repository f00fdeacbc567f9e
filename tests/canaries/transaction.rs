//! sqlx by itself; should this fail one day, `documents::begin` may go.

use crate::common::transaction::{give_up_after, is_left_open, pools};

#[tokio::test]
async fn one_that_nobody_waits_for_stays_open() {
    let (pool, observer) = pools().await;
    // On a busy machine it takes some tries to give up at that moment.
    for polls in (1..=8).cycle().take(400) {
        give_up_after(polls, pool.begin()).await;
        if is_left_open(&observer).await {
            return;
        }
    }
    panic!("mended?");
}
