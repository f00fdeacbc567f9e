//! A web server of somebody else's: it says what it is told to, and remembers what it was asked.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::PATIENCE;

#[derive(Debug, Clone)]
pub struct Asked {
    /// Method and path.
    pub line: String,
    /// Names in lower case.
    pub headers: HashMap<String, String>,
    pub body: String,
}

pub struct Stranger {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Stranger {
    /// Answers the n-th request, counted from 0, with the head's lines and the body that `answer` gives.
    pub async fn start(answer: impl Fn(usize, &Asked) -> (String, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(vec![]));
        let (answer, log) = (Arc::new(answer), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    let _ = serve(stream, &log, |n, asked| answer(n, asked)).await;
                });
            }
        });
        Self { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// Waits for so many requests.
    pub async fn asked_times(&self, times: usize) -> Vec<Asked> {
        let started = Instant::now();
        while self.asked().len() < times {
            assert!(started.elapsed() < PATIENCE, "asked {:?}", self.asked());
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        self.asked()
    }
}

async fn serve(
    stream: TcpStream,
    log: &Mutex<Vec<Asked>>,
    answer: impl Fn(usize, &Asked) -> (String, Vec<u8>),
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = vec![];
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.first().cloned().unwrap_or_default();
    let headers: HashMap<String, String> = (lines.iter().skip(1).filter_map(|l| l.split_once(": ")))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut body = vec![0; headers.get("content-length").map_or(0, |n| n.parse().unwrap())];
    stream.read_exact(&mut body).await?;
    let line = line.trim_end_matches(" HTTP/1.1").to_owned();
    let asked = Asked { line, headers, body: String::from_utf8(body).unwrap() };
    let number = {
        let mut log = log.lock().unwrap();
        log.push(asked.clone());
        log.len() - 1
    };
    let (head, body) = answer(number, &asked);
    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body).await?;
    stream.flush().await
}
