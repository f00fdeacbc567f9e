//! What many ask for at once is looked up once. Nobody gets an answer that is older than his question: who comes while one is being looked up
//! shares the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::web::Bytes;
use tokio::sync::watch;

use super::problem::{Problem, Result};

/// `None` until it is there; an error is told in the log.
type Answer = watch::Receiver<Option<std::result::Result<Bytes, ()>>>;

/// Answers by what was asked.
#[derive(Clone, Default)]
pub struct Together(Arc<Mutex<HashMap<String, Question>>>);

#[derive(Default)]
struct Question {
    /// One answer is looked up at a time.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// The one that is looked up next.
    next: Option<Answer>,
}

impl Together {
    /// The answer to a question; `look_up` is not called where somebody else's is new enough, and dropped when nobody waits for it any more.
    pub async fn ask<F>(&self, question: String, look_up: impl FnOnce() -> F + 'static) -> Result<Bytes>
    where
        F: Future<Output = Result<Bytes>> + 'static,
    {
        let mut answer = self.join(question, look_up);
        let answered = answer.wait_for(Option::is_some).await.ok().and_then(|answer| answer.clone());
        answered.and_then(std::result::Result::ok).ok_or_else(Problem::no_answer)
    }

    fn join<F>(&self, question: String, look_up: impl FnOnce() -> F + 'static) -> Answer
    where
        F: Future<Output = Result<Bytes>> + 'static,
    {
        let mut questions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let asked = questions.entry(question.clone()).or_default();
        if let Some(next) = &asked.next {
            return next.clone();
        }
        let (sender, receiver) = watch::channel(None);
        asked.next = Some(receiver.clone());
        let (turn, own) = (asked.turn.clone(), self.clone());
        actix_web::rt::spawn(async move {
            let _turn = turn.lock().await;
            // Who comes from now on is too late for this one.
            own.change(&question, |asked| drop(asked.next.take()));
            tokio::select! {
                found = look_up() => drop(sender.send(Some(found.map_err(drop)))),
                () = sender.closed() => {}
            }
            own.forget(&question);
        });
        receiver
    }

    fn change(&self, question: &str, change: impl FnOnce(&mut Question)) {
        if let Some(asked) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get_mut(question) {
            change(asked);
        }
    }

    /// Unless somebody else asks it.
    fn forget(&self, question: &str) {
        let mut questions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if questions.get(question).is_some_and(|asked| asked.next.is_none()) {
            questions.remove(question);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;

    #[actix_web::test]
    async fn nobody_gets_an_old_answer() {
        let (together, asked) = (Together::default(), Rc::new(Cell::new(0u8)));
        let ask = || {
            let asked = asked.clone();
            together.ask("q".into(), move || async move {
                asked.set(asked.get() + 1);
                let number = asked.get();
                tokio::time::sleep(Duration::from_millis(50)).await;
                Ok(Bytes::from(vec![number]))
            })
        };
        let (first, later) = (ask(), async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            futures_util::future::join_all((0..100).map(|_| ask())).await
        });
        let (first, later) = tokio::join!(first, later);
        assert_eq!(first.unwrap(), vec![1]);
        assert!(later.into_iter().all(|answer| answer.unwrap() == vec![2]));
        assert_eq!(ask().await.unwrap(), vec![3]);
        assert!(together.0.lock().unwrap().is_empty());
    }

    #[actix_web::test]
    async fn what_nobody_waits_for_is_dropped() {
        let (together, dropped) = (Together::default(), Arc::new(()));
        let held = dropped.clone();
        let asked = together.ask("q".into(), move || async move {
            let _held = held;
            std::future::pending().await
        });
        assert!(tokio::time::timeout(Duration::from_millis(20), asked).await.is_err());
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(Arc::strong_count(&dropped), 1);
        assert!(together.0.lock().unwrap().is_empty());
    }
}
