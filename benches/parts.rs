//! What the parts cost, apart from each other: finding the frames of a stream, counting rows by their headers, reading a
//! statement, a client's SCRAM. Verdicts and records have benchmarks of their own (`verdict`, `journal`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

#[path = "support/work.rs"]
mod work;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use pgward::sql::{self, Limits};
use pgward::wire::frame;

/// The allocator of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Headers only: the bodies are skipped by their length.
fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frames");
    for (name, row) in [("rows of 80 bytes", 80), ("rows of 1 KB", 1000)] {
        let stream = work::rows(row, 256 * 1024);
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(format!("{name}, found"), |bencher| bencher.iter(|| work::count(&stream)));
    }
    let messages = work::prepared_transactions(64);
    group.throughput(Throughput::Bytes(messages.len() as u64));
    group.bench_function("messages of 64 prepared transactions, taken", |bencher| {
        bencher.iter_batched(|| messages.clone(), work::take, BatchSize::SmallInput);
    });
    group.finish();
}

/// As the answers of a server are counted on their way to a client.
fn rows(criterion: &mut Criterion) {
    for row in [80, 1000] {
        let stream = work::rows(row, 256 * 1024);
        let (rows, bytes) = frame::rows(&stream);
        assert_eq!((rows as usize, bytes), (work::count(&stream), stream.len()));
        let mut group = criterion.benchmark_group(format!("rows of {row} bytes, counted"));
        for (name, throughput) in
            [("by bytes", Throughput::Bytes(bytes as u64)), ("by rows", Throughput::Elements(rows))]
        {
            group.throughput(throughput);
            group.bench_function(name, |bencher| bencher.iter(|| frame::rows(black_box(&stream))));
        }
        group.finish();
    }
}

fn statements(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read");
    for (name, text) in work::STATEMENTS {
        group.bench_function(name, |bencher| bencher.iter(|| sql::read(text, &Limits::default()).unwrap().len()));
    }
    group.finish();
}

fn scram(criterion: &mut Criterion) {
    let exchange = work::Scram::new();
    let mut group = criterion.benchmark_group("SCRAM");
    group.bench_function("a client's proof, checked", |bencher| bencher.iter(|| exchange.check()));
    group.bench_function("a verifier, derived", |bencher| bencher.iter(|| exchange.derive()));
    group.finish();
}

criterion_group!(benches, frames, rows, statements, scram);
criterion_main!(benches);
