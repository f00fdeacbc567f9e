//! Which pages a GPU takes together.

use super::{Error, Result};

/// Calls `run` with the numbers of all items whose key is the same, and again with each half of them where memory does not suffice, down to
/// one item, which then has the error. The results are in the items' order.
pub(super) fn in_batches<K: PartialEq, T>(keys: &[K], run: impl Fn(&[usize]) -> Result<Vec<T>>) -> Vec<Result<T>> {
    let mut results: Vec<Result<T>> = keys.iter().map(|_| Err(Error::Stopped)).collect();
    let mut waiting: Vec<Vec<usize>> = vec![];
    for (i, key) in keys.iter().enumerate() {
        match waiting.iter_mut().find(|group| keys[group[0]] == *key) {
            Some(group) => group.push(i),
            None => waiting.push(vec![i]),
        }
    }
    while let Some(group) = waiting.pop() {
        match run(&group) {
            Ok(found) => group.iter().zip(found).for_each(|(&i, found)| results[i] = Ok(found)),
            Err(Error::GpuMemory) if group.len() > 1 => {
                let count = group.len();
                tracing::warn!("the GPU's memory does not suffice for {count} pages at a time: taking half as many");
                let (first, second) = group.split_at(count / 2);
                waiting.extend([first.to_vec(), second.to_vec()]);
            }
            Err(e) => group.iter().for_each(|&i| results[i] = Err(again(&e))),
        }
    }
    results
}

/// The same error, for each page that it concerns.
fn again(error: &Error) -> Error {
    match error {
        Error::Stopped => Error::Stopped,
        Error::GpuMemory => Error::GpuMemory,
        Error::EmptyImage => Error::EmptyImage,
        Error::Gpu(reason) => Error::Gpu(reason.clone()),
        other => Error::Gpu(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// Pages of two sizes, on a GPU that has room for two at a time and none for page 4.
    #[test]
    fn what_does_not_fit_is_halved() {
        let sizes = [1, 1, 2, 1, 2, 1, 1];
        let taken = RefCell::new(vec![]);
        let results = in_batches(&sizes, |group| {
            assert!(group.iter().all(|&i| sizes[i] == sizes[group[0]]), "two sizes in {group:?}");
            if group.len() > 2 || group.contains(&4) {
                return Err(Error::GpuMemory);
            }
            taken.borrow_mut().push(group.to_vec());
            Ok(group.iter().map(|&i| i * 10).collect())
        });
        for (i, result) in results.into_iter().enumerate() {
            match result {
                Ok(found) => assert_eq!((found, i == 4), (i * 10, false)),
                Err(e) => assert!(matches!(e, Error::GpuMemory) && i == 4, "{i}: {e}"),
            }
        }
        assert_eq!(taken.borrow().iter().flatten().count(), 6);
    }

    #[test]
    fn an_error_is_each_page_s_and_said_once() {
        let results = in_batches(&[(), ()], |_| Err::<Vec<()>, _>(Error::Gpu("lost".into())));
        let messages: Vec<String> = results.into_iter().filter_map(|result| Some(result.err()?.to_string())).collect();
        assert_eq!(messages, ["GPU: lost", "GPU: lost"]);
    }
}
