// SPDX-License-Identifier: MIT

// Model `tokio`: async Rust; a task for each connection, whose future holds the
// suspended request. The same handling as service/http.c. With "blocking", /cpu
// runs on tokio's threads for blocking work, tokio's way out for CPU work; with
// "redis", the backend is Redis, to which all clients share some connections.
//
//     tokio PORT BACKEND_PORT [blocking] [redis]
//
// service/language.c takes the crate's manifest and lock file from the comments
// at the end.
use std::hint::black_box;
use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

const HTTP_MAX: usize = 4096;
const HTTP_MAX_MS: u32 = 60000;
const BACKENDS: u32 = 4; // loopback addresses that the built-in backend listens on
const POOL: usize = 64; // connections to Redis

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n";
const OK_TELL: &str = // HTTP/1.0
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive\r\n\r\nok\n";
const OK_CLOSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
const BAD: &str =
    "HTTP/1.1 400 Bad Request\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbad\n";
const MISSING: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Length: 8\r\nConnection: close\r\n\r\nno such\n";
const LARGE: &str = "HTTP/1.1 431 Request Header Fields Too Large\r\n\
                     Content-Length: 4\r\nConnection: close\r\n\r\nbig\n";

/// What becomes of the connection after the answer.
#[derive(Clone, Copy, PartialEq)]
enum After {
    Keep,
    TellKeep, // HTTP/1.0
    Close,
}

impl After {
    fn answer(self) -> &'static str {
        match self {
            After::Keep => OK,
            After::TellKeep => OK_TELL,
            After::Close => OK_CLOSE,
        }
    }
}

enum Route {
    Now,
    Wait(u32),
    Cpu(u32),
}

fn parse_ms(s: &[u8]) -> Result<u32, &'static str> {
    let digits = !s.is_empty() && s.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(s).map_err(|_| BAD)?;
    match text.parse() {
        Ok(ms) if digits && ms <= HTTP_MAX_MS => Ok(ms),
        _ => Err(BAD),
    }
}

fn parse_line(line: &[u8]) -> Result<(After, Result<Route, &'static str>), &'static str> {
    let rest = line.strip_prefix(b"GET ").ok_or(BAD)?;
    let (path, after) = match rest.strip_suffix(b" HTTP/1.1") {
        Some(path) => (path, After::Keep),
        None => (rest.strip_suffix(b" HTTP/1.0").ok_or(BAD)?, After::Close),
    };
    if path.first() != Some(&b'/') || !path.iter().all(u8::is_ascii_graphic) {
        return Err(BAD);
    }
    let route = if path == b"/" {
        Ok(Route::Now)
    } else if let Some(ms) = path.strip_prefix(b"/wait?ms=") {
        Ok(Route::Wait(parse_ms(ms)?))
    } else if let Some(ms) = path.strip_prefix(b"/cpu?ms=") {
        Ok(Route::Cpu(parse_ms(ms)?))
    } else {
        Err(MISSING)
    };
    Ok((after, route))
}

fn is_token(c: &u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(c)
}

fn trim(s: &[u8]) -> &[u8] {
    let from = s.iter().position(|c| !b" \t".contains(c)).unwrap_or(s.len());
    let to = s.iter().rposition(|c| !b" \t".contains(c)).map_or(from, |i| i + 1);
    &s[from..to]
}

// A request here has no body; what announces one is malformed.
fn has_body(name: &[u8], value: &[u8]) -> bool {
    let value = trim(value);
    name.eq_ignore_ascii_case(b"transfer-encoding")
        || name.eq_ignore_ascii_case(b"content-length")
            && (value.is_empty() || value.iter().any(|&c| c != b'0'))
}

fn lists(list: &[u8], word: &[u8]) -> bool {
    list.split(|&c| c == b',').any(|item| trim(item).eq_ignore_ascii_case(word))
}

fn find(s: &[u8], what: &[u8]) -> Option<usize> {
    s.windows(what.len()).position(|w| w == what)
}

/// The fields between the request line and the empty line. "close" wins.
fn parse_fields(mut s: &[u8], mut after: After) -> Result<After, &'static str> {
    let mut must_close = false;
    while let Some(end) = find(s, b"\r\n") {
        let line = &s[..end];
        let n = line.iter().position(|c| !is_token(c)).ok_or(BAD)?;
        let (name, value) = (&line[..n], &line[n + 1..]);
        let bad = |&c: &u8| c != b'\t' && (c < 0x20 || c == 0x7f);
        if n == 0 || line[n] != b':' || has_body(name, value) || value.iter().any(bad) {
            return Err(BAD);
        }
        if name.eq_ignore_ascii_case(b"connection") {
            must_close |= lists(value, b"close");
            if after == After::Close && lists(value, b"keep-alive") {
                after = After::TellKeep;
            }
        }
        s = &s[end + 2..];
    }
    Ok(if must_close { After::Close } else { after })
}

/// Of a whole head, with its empty line; the error is its answer.
fn parse(head: &[u8]) -> Result<(After, Route), &'static str> {
    let line = find(head, b"\r\n").ok_or(BAD)?;
    let (after, route) = parse_line(&head[..line])?;
    let after = parse_fields(&head[line + 2..head.len() - 2], after)?;
    Ok((after, route?))
}

// The same rounds as in service/http.c, counted once per ms of CPU.
fn spin(mut x: u32, rounds: u64) -> u32 {
    for _ in 0..rounds {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
    }
    x
}

fn calibrate() -> u64 {
    const ROUNDS: u64 = 500_000;
    let took = |_| {
        let begin = cpu_ns();
        black_box(spin(black_box(1), ROUNDS));
        cpu_ns() - begin
    };
    ROUNDS * 1_000_000 / (0..9).map(took).min().unwrap_or(1).max(1)
}

/// CPU time of this thread.
fn cpu_ns() -> u64 {
    extern "C" {
        fn clock_gettime(clock: i32, time: *mut [i64; 2]) -> i32;
    }
    const THREAD: i32 = 3; // CLOCK_THREAD_CPUTIME_ID
    let mut time = [0; 2]; // struct timespec of a 64-bit system
    unsafe { clock_gettime(THREAD, &mut time) };
    time[0] as u64 * 1_000_000_000 + time[1] as u64
}

fn burn(ms: u32) {
    black_box(spin(black_box(1), settings().rounds_per_ms * u64::from(ms)));
}

struct Settings {
    backend_port: u16,
    blocking: bool,
    redis: bool,
    rounds_per_ms: u64,
}

static SETTINGS: OnceLock<Settings> = OnceLock::new();
static OPENED: AtomicU32 = AtomicU32::new(0);
static FREE: Mutex<Vec<TcpStream>> = Mutex::new(Vec::new());
static IN_POOL: Semaphore = Semaphore::const_new(POOL);

fn settings() -> &'static Settings {
    SETTINGS.get().expect("set by main")
}

async fn ask_on(backend: &mut Option<TcpStream>, ms: u32) -> io::Result<()> {
    let s = settings();
    if backend.is_none() {
        let nth = if s.redis { 1 } else { 1 + OPENED.fetch_add(1, Ordering::Relaxed) % BACKENDS };
        let stream = TcpStream::connect((Ipv4Addr::new(127, 0, 0, nth as u8), s.backend_port)).await?;
        stream.set_nodelay(true)?;
        *backend = Some(stream);
    }
    let value = ms.to_string();
    let key = format!("urt:{value}");
    let (text, length) = if s.redis {
        let (k, v) = (key.len(), value.len());
        let text = format!(
            "*3\r\n$3\r\nSET\r\n${k}\r\n{key}\r\n${v}\r\n{value}\r\n*2\r\n$3\r\nGET\r\n${k}\r\n{key}\r\n"
        );
        (text, 5 + 4 + v + 2)
    } else {
        (format!("{value}\n"), 3)
    };
    let mut reply = [0; 32];
    let stream = backend.as_mut().expect("opened above");
    stream.write_all(text.as_bytes()).await?;
    stream.read_exact(&mut reply[..length]).await?;
    if reply[0] == b'-' { Err(io::ErrorKind::ConnectionRefused.into()) } else { Ok(()) }
}

async fn ask(own: &mut Option<TcpStream>, ms: u32) -> io::Result<()> {
    if !settings().redis {
        return ask_on(own, ms).await;
    }
    let _permit = IN_POOL.acquire().await.expect("never closed");
    let mut backend = FREE.lock().expect("never poisoned").pop();
    let result = ask_on(&mut backend, ms).await;
    if let (Ok(()), Some(stream)) = (&result, backend) {
        FREE.lock().expect("never poisoned").push(stream);
    }
    result
}

/// Drops what the client still sends: a close would reset the connection.
async fn refuse(mut client: TcpStream, answer: &str) -> io::Result<()> {
    let mut buf = [0; HTTP_MAX];
    client.write_all(answer.as_bytes()).await?;
    client.shutdown().await?;
    while client.read(&mut buf).await? > 0 {}
    Ok(())
}

/// Answers until the client has said all, or the last answer is given.
async fn serve(mut client: TcpStream) -> io::Result<()> {
    let mut buf = [0; HTTP_MAX];
    let mut backend = None;
    let mut n = 0;
    loop {
        let Some(end) = find(&buf[..n], b"\r\n\r\n") else {
            if n == HTTP_MAX {
                return refuse(client, LARGE).await;
            }
            match client.read(&mut buf[n..]).await? {
                0 => return Ok(()),
                got => n += got,
            }
            continue;
        };
        let (after, route) = match parse(&buf[..end + 4]) {
            Ok(request) => request,
            Err(answer) => return refuse(client, answer).await,
        };
        match route {
            Route::Now => (),
            Route::Wait(ms) => ask(&mut backend, ms).await?,
            Route::Cpu(ms) if settings().blocking => spawn_blocking(move || burn(ms)).await?,
            Route::Cpu(ms) => burn(ms),
        }
        client.write_all(after.answer().as_bytes()).await?;
        if after == After::Close {
            return Ok(());
        }
        buf.copy_within(end + 4..n, 0);
        n -= end + 4;
    }
}

async fn listen(port: u16) -> io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_nodelay(true)?; // accepted sockets inherit it
    socket.bind(([127, 0, 0, 1], port).into())?;
    let listener = socket.listen(4096)?;
    loop {
        match listener.accept().await {
            Ok((client, _)) => drop(tokio::spawn(serve(client))),
            // No descriptor is left.
            Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let port = |i: usize| args.get(i).and_then(|s| s.parse().ok()).ok_or(io::ErrorKind::InvalidInput);
    let told = |word: &str| args.iter().skip(3).any(|s| s == word);
    let _ = SETTINGS.set(Settings {
        backend_port: port(2)?,
        blocking: told("blocking"),
        redis: told("redis"),
        rounds_per_ms: calibrate(),
    });
    // One worker for each CPU that it may use, as tokio does by itself.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(listen(port(1)?))
}

/* Cargo.toml
[package]
name = "server"
version = "0.0.0"
edition = "2021"

[dependencies]
tokio = { version = "1", features = ["net", "rt", "rt-multi-thread", "io-util", "sync", "time"] }

[workspace] # none above

[profile.release]
lto = true
codegen-units = 1
panic = "abort"
*/

/* Cargo.lock
version = 3

[[package]]
name = "bytes"
version = "1.12.2"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "776dfebd015e2d8732c684a2c71003674ccb49457b539b9e82151ba38e96dd7c"

[[package]]
name = "libc"
version = "0.2.191"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "65cd87c9a6d60536580b316ad985726104730a5151c99845f2490428ef91240a"

[[package]]
name = "mio"
version = "1.2.5"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "20521a903f02b0a573cd6840e9d0a5a0cc043d361fe924092cd70f8556cc9c4a"
dependencies = [
 "libc",
 "wasi",
 "windows-sys",
]

[[package]]
name = "pin-project-lite"
version = "0.2.18"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "c938015719552d665fd0553b90d96cd7ff58e83e4c061ca99e6bb78865a72752"

[[package]]
name = "server"
version = "0.0.0"
dependencies = [
 "tokio",
]

[[package]]
name = "socket2"
version = "0.6.5"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "c3d1e2c7f27f8d4cb10542a02c49005dbd6e93095799d6f3be745fae9f8fedd4"
dependencies = [
 "libc",
 "windows-sys",
]

[[package]]
name = "tokio"
version = "1.54.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "b52fd3255258d26fac7264ab5a76b53c13367136dc011d3d6ad4f8ed070396a3"
dependencies = [
 "bytes",
 "libc",
 "mio",
 "pin-project-lite",
 "socket2",
 "windows-sys",
]

[[package]]
name = "wasi"
version = "0.11.1+wasi-snapshot-preview1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "ccf3ec651a847eb01de73ccad15eb7d99f80485de043efb2f370cd654f4ea44b"

[[package]]
name = "windows-link"
version = "0.2.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "f0805222e57f7521d6a62e36fa9163bc891acd422f971defe97d64e70d0a4fe5"

[[package]]
name = "windows-sys"
version = "0.61.2"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "ae137229bcbd6cdf0f7b80a31df61766145077ddf49416a728b02cb3921ff3fc"
dependencies = [
 "windows-link",
]
*/
