//! An upstream that only looks like PostgreSQL: it trusts everybody, answers every statement with one row, and can hold
//! more sessions than this machine has memory for real backends. What pgward asks on connections of its own (the catalogs)
//! goes to the real server.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BufMut as _, BytesMut};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::process::{Program, Stage, free_port, myself};

/// Starts one before the real server at `upstream`; answers its port.
///
/// # Errors
/// Where it does not start.
pub fn start(stage: &Stage, upstream: u16) -> Result<(u16, Program)> {
    let port = free_port()?;
    let mut command = stage.command(myself()?.get_program());
    command.arg("stand-in").arg(port.to_string()).arg(upstream.to_string());
    let mut program = stage.start("stand-in", command, Signal::TERM)?;
    program.wait_for_port(port)?;
    Ok((port, program))
}

/// Who is connected, to be ended by a request to cancel, as PostgreSQL would end a statement.
type Cancels = Rc<RefCell<HashMap<u32, oneshot::Sender<()>>>>;

/// The stand-in itself: `stand-in PORT UPSTREAM-PORT`.
///
/// # Errors
/// Where it cannot listen.
pub fn serve(arguments: &[String]) -> Result<()> {
    let [port, upstream] = arguments else { bail!("stand-in PORT UPSTREAM") };
    let (port, upstream): (u16, u16) = (port.parse()?, upstream.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, async move {
        let socket = tokio::net::TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(([127, 0, 0, 1], port).into())?;
        let listener: TcpListener = socket.listen(4096)?;
        let cancels = Cancels::default();
        let mut next = 1_u32;
        loop {
            let (stream, _) = listener.accept().await?;
            next += 1;
            let (number, cancels) = (next, Rc::clone(&cancels));
            tokio::task::spawn_local(async move {
                drop(connection(stream, upstream, number, &cancels).await);
                cancels.borrow_mut().remove(&number);
            });
        }
    })
}

const SSL: i32 = 80_877_103;
const CANCEL: i32 = 80_877_102;

async fn connection(mut stream: TcpStream, upstream: u16, number: u32, cancels: &Cancels) -> Result<()> {
    stream.set_nodelay(true)?;
    let startup = loop {
        let length = stream.read_u32().await? as usize;
        let mut body = vec![0; length.checked_sub(4).filter(|length| *length < 10_000).context("a startup packet")?];
        stream.read_exact(&mut body).await?;
        match body.get(..4).map(|mut code| code.get_i32()) {
            Some(SSL) => stream.write_all(b"N").await?,
            Some(CANCEL) => {
                let process = body.get(4..8).map(|mut number| number.get_u32());
                drop(process.and_then(|process| cancels.borrow_mut().remove(&process)));
                return Ok(());
            }
            Some(_) => break body,
            None => bail!("no startup packet"),
        }
    };
    if startup.windows(7).any(|window| window == b"pgward ") {
        return forward(stream, upstream, &startup).await;
    }
    let (sender, cancelled) = oneshot::channel();
    cancels.borrow_mut().insert(number, sender);
    session(stream, number, cancelled).await
}

async fn forward(mut stream: TcpStream, upstream: u16, startup: &[u8]) -> Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", upstream)).await?;
    server.set_nodelay(true)?;
    server.write_u32(u32::try_from(startup.len())? + 4).await?;
    server.write_all(startup).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut server).await?;
    Ok(())
}

async fn session(mut stream: TcpStream, number: u32, mut cancelled: oneshot::Receiver<()>) -> Result<()> {
    let mut output = BytesMut::new();
    message(&mut output, b'R', &[0, 0, 0, 0]);
    for (name, value) in [
        ("server_version", "15.0"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("integer_datetimes", "on"),
        ("DateStyle", "ISO, MDY"),
        ("TimeZone", "UTC"),
        ("is_superuser", "off"),
    ] {
        message(&mut output, b'S', format!("{name}\0{value}\0").as_bytes());
    }
    let mut key = number.to_be_bytes().to_vec();
    key.extend_from_slice(&[1, 2, 3, 4]);
    message(&mut output, b'K', &key);
    message(&mut output, b'Z', b"I");
    stream.write_all(&output).await?;
    drop(output);
    let mut input = BytesMut::new();
    loop {
        if input.is_empty() {
            // A session that idles holds no buffer.
            input = BytesMut::new();
            tokio::select! {
                ready = stream.readable() => ready?,
                _ = &mut cancelled => {}
            }
        }
        if stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
        let mut output = BytesMut::new();
        while input.len() >= 5 {
            let length = u32::from_be_bytes([input[1], input[2], input[3], input[4]]) as usize + 1;
            if input.len() < length {
                break;
            }
            let tag = input[0];
            let of_statement = input.get(5) == Some(&b'S');
            input.advance(length);
            if tag == b'X' {
                return Ok(());
            }
            answer(tag, of_statement, &mut output);
        }
        stream.write_all(&output).await?;
    }
}

fn answer(tag: u8, of_statement: bool, output: &mut BytesMut) {
    match tag {
        b'Q' => {
            describe(output);
            row(output);
            message(output, b'Z', b"I");
        }
        b'P' => message(output, b'1', b""),
        b'B' => message(output, b'2', b""),
        b'C' => message(output, b'3', b""),
        b'D' => {
            if of_statement {
                message(output, b't', &[0, 1, 0, 0, 0, 23]);
            }
            describe(output);
        }
        b'E' => row(output),
        b'S' => message(output, b'Z', b"I"),
        _ => {}
    }
}

/// One column, `abalance`, of type `integer`.
fn describe(output: &mut BytesMut) {
    let mut body = vec![0, 1];
    body.extend_from_slice(b"abalance\0");
    body.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 23, 0, 4, 255, 255, 255, 255, 0, 0]);
    message(output, b'T', &body);
}

fn row(output: &mut BytesMut) {
    message(output, b'D', &[0, 1, 0, 0, 0, 1, b'0']);
    message(output, b'C', b"SELECT 1\0");
}

fn message(output: &mut BytesMut, tag: u8, body: &[u8]) {
    output.put_u8(tag);
    output.put_u32(u32::try_from(body.len()).unwrap_or(0) + 4);
    output.put_slice(body);
}
