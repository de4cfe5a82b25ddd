//! The tree as files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::tlog::{TileReader, TileWriter, settle, settled, verify_consistency, verify_inclusion};

fn extend(writer: &mut TileWriter, to: u64) {
    while writer.size() < to {
        writer.push(&entry(writer.size()));
    }
}

/// Every file below `dir`, by its path from there.
fn files(dir: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            } else {
                found.insert(entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    found
}

fn check_all(dir: &Path, size: u64) {
    let reader = TileReader::new(dir, size);
    let leaves = leaves(size);
    assert_eq!(reader.root().unwrap(), naive_root(&leaves), "root at {size}");
    let read: Vec<_> = reader.entries(0).map(Result::unwrap).collect();
    assert_eq!(read, (0..size).map(|index| (index, entry(index))).collect::<Vec<_>>());
}

/// The example of the specification, smaller by a level of tiles: names and lengths.
#[test]
fn the_files_are_those_of_the_specification() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    extend(&mut writer, 256);
    writer.flush(true).unwrap();
    writer.tidy().unwrap();
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(files(dir.path()), names(&["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]));

    extend(&mut writer, 70_000);
    writer.flush(false).unwrap();
    writer.tidy().unwrap();
    let found = files(dir.path());
    assert_eq!(found.len(), 273 + 1 + 1 + 1 + 1 + 273 + 1);
    for (name, length) in [
        ("tile/0/272", 8192),
        ("tile/0/273.p/112", 112 * 32),
        ("tile/1/000", 8192),
        ("tile/1/001.p/17", 17 * 32),
        ("tile/2/000.p/1", 32),
        ("tile/entries/272", 256 * 79),
        ("tile/entries/273.p/112", 112 * 79),
    ] {
        assert_eq!(fs::metadata(dir.path().join(name)).unwrap().len(), length, "{name}");
    }
    let reader = TileReader::new(dir.path(), 70_000);
    assert_eq!(reader.root().unwrap(), writer.root());
    assert_eq!(reader.entry(69_999).unwrap(), entry(69_999));
    let proof = reader.inclusion(12_345).unwrap();
    verify_inclusion(leaf_hash(&entry(12_345)), 12_345, 70_000, &proof, writer.root()).unwrap();
}

/// Between a flush and the tidying behind the next checkpoint, both sizes can be read.
#[test]
fn the_size_before_can_be_read_until_its_tiles_are_tidied_away_and_its_hashes_after() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    for (before, after) in [(10, 20), (20, 256), (300, 511), (511, 513), (600, 1100)] {
        extend(&mut writer, before);
        writer.flush(false).unwrap();
        writer.tidy().unwrap();
        extend(&mut writer, after);
        check_all(dir.path(), before);
        writer.flush(false).unwrap();
        check_all(dir.path(), before);
        check_all(dir.path(), after);
        writer.tidy().unwrap();
        // By wider tiles.
        check_all(dir.path(), before);
        check_all(dir.path(), after);
        let partial: Vec<_> = files(dir.path()).into_iter().filter(|name| name.contains(".p/")).collect();
        assert!(partial.len() <= 3, "{partial:?}");
    }
}

#[test]
fn tidying_behind_a_push_leaves_what_the_flushed_size_needs() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    extend(&mut writer, 250);
    writer.flush(false).unwrap();
    extend(&mut writer, 260);
    writer.tidy().unwrap();
    check_all(dir.path(), 250);
}

#[test]
fn a_writer_goes_on_from_a_size_that_others_had_gone_past() {
    for (kept, lost) in [(10, 20), (250, 256), (250, 300), (256, 300), (700, 1000), (0, 5)] {
        let dir = TempDir::new().unwrap();
        let mut writer = TileWriter::open(dir.path(), 0).unwrap();
        extend(&mut writer, kept);
        writer.flush(false).unwrap();
        // Entries that no checkpoint came to cover: other ones than will be there.
        for _ in kept..lost {
            writer.push(b"lost");
        }
        writer.flush(false).unwrap();
        drop(writer);

        let mut writer = TileWriter::open(dir.path(), kept).unwrap();
        assert_eq!(writer.root(), naive_root(&leaves(kept)));
        for size in [kept, lost, lost + 1, 1200] {
            extend(&mut writer, size);
            writer.flush(false).unwrap();
            writer.tidy().unwrap();
            check_all(dir.path(), size);
        }
        let partial: Vec<_> = files(dir.path()).into_iter().filter(|name| name.contains(".p/")).collect();
        assert_eq!(partial.len(), 3, "{partial:?}");
    }
}

#[test]
fn a_writer_goes_on_from_full_tiles_alone() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    extend(&mut writer, 66_400);
    writer.flush(false).unwrap();
    // What stands above full tiles was lost, and all that came after them.
    for name in files(dir.path()).into_iter().filter(|name| name.contains(".p/")) {
        fs::write(dir.path().join(name), "lost").unwrap();
    }
    for from in [0, 256, 65_280, 65_536, 66_304] {
        let mut writer = TileWriter::resume(dir.path(), from).unwrap();
        assert_eq!((writer.size(), writer.root()), (from, naive_root(&leaves(from))));
        extend(&mut writer, 66_400);
        writer.flush(false).unwrap();
        writer.tidy().unwrap();
        check_all(dir.path(), 66_400);
        assert_eq!(TileWriter::open(dir.path(), 66_400).unwrap().root(), naive_root(&leaves(66_400)));
    }
    TileWriter::resume(dir.path(), 100).unwrap_err();
    fs::remove_file(dir.path().join("tile/0/100")).unwrap();
    TileWriter::resume(dir.path(), 65_536 + 256).unwrap();
    TileWriter::resume(dir.path(), 65_280).unwrap_err();
}

#[test]
fn a_marked_size_is_flushed_whatever_came_after_it() {
    for (marked, grown) in [(10, 20), (250, 256), (250, 300), (256, 300), (255, 70_000), (300, 300)] {
        let dir = TempDir::new().unwrap();
        let mut writer = TileWriter::open(dir.path(), 0).unwrap();
        extend(&mut writer, 5);
        writer.flush(false).unwrap();
        extend(&mut writer, marked);
        writer.mark();
        extend(&mut writer, grown);
        writer.flush_full().unwrap();
        writer.flush(false).unwrap();
        writer.tidy().unwrap();
        check_all(dir.path(), marked);
        let beyond = files(dir.path()).into_iter().filter(|name| name.contains(".p/"));
        let widths: BTreeSet<u64> = beyond.map(|name| name.rsplit('/').next().unwrap().parse().unwrap()).collect();
        assert!(widths.iter().all(|width| [marked % 256, marked / 256].contains(width)), "{widths:?}");
        writer.flush(false).unwrap();
        check_all(dir.path(), grown);
    }
}

#[test]
fn how_far_tiles_are_on_disk_is_said_in_whole_tiles() {
    let dir = TempDir::new().unwrap();
    assert_eq!(settled(dir.path()).unwrap(), None);
    assert_eq!(settle(dir.path(), 700).unwrap(), 512);
    assert_eq!(settled(dir.path()).unwrap(), Some(512));
    // What cannot be read vouches for nothing.
    fs::write(dir.path().join("tiles.settled"), "51").unwrap();
    assert_eq!(settled(dir.path()).unwrap(), Some(0));
}

#[test]
fn a_writer_does_not_go_on_without_the_tiles_of_its_size() {
    for missing in ["tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/001.p/44"] {
        let dir = TempDir::new().unwrap();
        let mut writer = TileWriter::open(dir.path(), 0).unwrap();
        extend(&mut writer, 300);
        writer.flush(false).unwrap();
        let path = dir.path().join(missing);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        TileWriter::open(dir.path(), 300).expect_err(missing);
        fs::remove_file(&path).unwrap();
        TileWriter::open(dir.path(), 300).expect_err(missing);
    }
}

#[test]
fn a_flush_that_failed_is_made_good_by_the_next() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    extend(&mut writer, 600);
    // A file where a directory should be.
    fs::create_dir(dir.path().join("tile")).unwrap();
    fs::write(dir.path().join("tile/0"), "").unwrap();
    writer.flush(true).unwrap_err();
    extend(&mut writer, 700);
    writer.flush(true).unwrap_err();
    fs::remove_file(dir.path().join("tile/0")).unwrap();
    writer.flush(true).unwrap();
    writer.tidy().unwrap();
    check_all(dir.path(), 700);
}

#[test]
fn an_entry_that_fits_no_bundle_stops_the_log() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    writer.push(&vec![0; 65_535]);
    writer.flush(false).unwrap();
    assert_eq!(TileReader::new(dir.path(), 1).entry(0).unwrap().len(), 65_535);
    writer.push(&vec![0; 65_536]);
    writer.flush(false).unwrap_err();
    writer.flush(false).unwrap_err();
}

#[test]
fn what_is_outside_of_the_tree_is_not_read() {
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    extend(&mut writer, 300);
    writer.flush(false).unwrap();
    let reader = TileReader::new(dir.path(), 290);
    reader.entry(289).unwrap();
    reader.leaf(289).unwrap();
    reader.entry(290).unwrap_err();
    reader.leaf(290).unwrap_err();
    reader.inclusion(290).unwrap_err();
    reader.consistency(291).unwrap_err();
    reader.node(8, 1).unwrap_err();
    reader.node(63, u64::MAX).unwrap_err();
    assert_eq!(reader.entries(290).count(), 0);
}

#[test]
fn the_files_are_the_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = TempDir::new().unwrap();
    let mut writer = TileWriter::open(dir.path(), 0).unwrap();
    extend(&mut writer, 3);
    writer.flush(false).unwrap();
    let mode = |name: &str| fs::metadata(dir.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("tile"), mode("tile/0/000.p"), mode("tile/0/000.p/3")), (0o700, 0o700, 0o600));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a log came to its size, its files, roots and proofs are those of the definition.
    #[test]
    fn any_history_gives_the_tree_of_the_definition(
        steps in proptest::collection::vec((0..400u64, any::<bool>(), any::<bool>()), 1..6),
        places in proptest::collection::vec(any::<u64>(), 8),
    ) {
        let dir = TempDir::new().unwrap();
        let mut writer = TileWriter::open(dir.path(), 0).unwrap();
        let mut sizes = Vec::new();
        for (more, tidy, reopen) in steps {
            let next = writer.size() + more;
            extend(&mut writer, next);
            writer.flush(false).unwrap();
            if tidy {
                writer.tidy().unwrap();
            }
            sizes.push(writer.size());
            if reopen {
                writer = TileWriter::open(dir.path(), writer.size()).unwrap();
            }
        }
        let size = writer.size();
        let leaves = leaves(size);
        let root = naive_root(&leaves);
        prop_assert_eq!(writer.root(), root);
        check_all(dir.path(), size);
        let reader = TileReader::new(dir.path(), size);
        for index in places.iter().filter_map(|place| place.checked_rem(size)) {
            let at = usize::try_from(index).unwrap();
            let proof = reader.inclusion(index).unwrap();
            prop_assert_eq!(&proof, &naive_inclusion(at, &leaves));
            prop_assert_eq!(verify_inclusion(reader.leaf(index).unwrap(), index, size, &proof, root), Ok(()));
        }
        for old in sizes.into_iter().chain(places.iter().filter_map(|place| place.checked_rem(size))) {
            let at = usize::try_from(old).unwrap();
            let proof = reader.consistency(old).unwrap();
            prop_assert_eq!(verify_consistency(old, naive_root(&leaves[..at]), size, root, &proof), Ok(()));
            prop_assert_eq!(proof, if at == 0 { Vec::new() } else { naive_consistency(at, &leaves, true) });
        }
    }
}
