//! Roots and proofs.

use proptest::prelude::*;

use super::*;
use crate::tlog::{Frontier, ProofError, verify_consistency, verify_inclusion};

/// The tree of Certificate Transparency's reference implementation.
#[test]
fn roots_are_those_of_certificate_transparency() {
    let inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
    let roots = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let mut frontier = Frontier::new();
    assert_eq!(frontier.root().0.to_vec(), hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    for (input, root) in inputs.into_iter().zip(roots) {
        frontier.append(leaf_hash(&hex(input)));
        assert_eq!(frontier.root().0.to_vec(), hex(root), "at {}", frontier.size());
    }
}

#[test]
fn an_entry_hashes_alike_short_or_long() {
    for length in [0, 1, 77, 126, 127, 128, 129, 5000] {
        let entry = vec![9; length];
        assert_eq!(leaf_hash(&entry), Hash::of(&[&[0], entry.as_slice()].concat()), "{length} bytes");
    }
}

#[test]
fn every_size_has_the_root_of_the_definition() {
    let leaves = leaves(600);
    let mut frontier = Frontier::new();
    for (size, leaf) in leaves.iter().enumerate() {
        assert_eq!(frontier.root(), naive_root(&leaves[..size]), "at {size}");
        frontier.append(*leaf);
    }
}

#[test]
fn every_right_proof_of_small_trees_is_accepted_and_every_other_root_refused() {
    let leaves = leaves(70);
    for size in 1..=leaves.len() {
        let (root, tree) = (naive_root(&leaves[..size]), &leaves[..size]);
        for index in 0..size {
            let proof = naive_inclusion(index, tree);
            let check = |leaf, at, of, root| verify_inclusion(leaf, at as u64, of as u64, &proof, root);
            assert_eq!(check(leaves[index], index, size, root), Ok(()));
            assert!(check(leaves[(index + 1) % 70], index, size, root).is_err());
            assert!(check(leaves[index], index, size, Hash::of(b"another")).is_err());
            assert_eq!(
                check(leaves[index], size, size, root),
                Err(ProofError::OutOfRange { index: size as u64, size: size as u64 })
            );
        }
        for old in 1..=size {
            let old_root = naive_root(&leaves[..old]);
            let proof = naive_consistency(old, tree, true);
            let check = |a, b| verify_consistency(old as u64, a, size as u64, b, &proof);
            assert_eq!(check(old_root, root), Ok(()), "{old} to {size}");
            assert!(check(Hash::of(b"another"), root).is_err());
            assert!(check(old_root, Hash::of(b"another")).is_err());
        }
    }
}

#[test]
fn the_empty_tree_begins_every_tree_and_no_tree_shrinks() {
    let (empty, root) = (Hash::of_nothing(), naive_root(&leaves(5)));
    assert_eq!(verify_consistency(0, empty, 5, root, &[]), Ok(()));
    assert_eq!(verify_consistency(0, empty, 0, empty, &[]), Ok(()));
    assert_eq!(verify_consistency(5, root, 5, root, &[]), Ok(()));
    assert!(verify_consistency(0, empty, 5, root, &[root]).is_err());
    assert!(verify_consistency(0, root, 5, root, &[]).is_err());
    assert!(verify_consistency(0, empty, 0, root, &[]).is_err());
    assert!(verify_consistency(5, root, 5, empty, &[]).is_err());
    assert!(verify_consistency(3, root, 5, root, &[]).is_err());
    assert_eq!(verify_consistency(6, root, 5, root, &[]), Err(ProofError::Shrunk { old: 6, new: 5 }));
}

/// What may be done to a proof without its being right any more.
#[derive(Clone, Copy, Debug)]
enum Change {
    FlipBit,
    DropLast,
    DropFirst,
    Append,
    Swap,
}

fn changed(proof: &[Hash], change: Change, place: usize) -> Vec<Hash> {
    let mut other = proof.to_vec();
    match change {
        Change::FlipBit if !other.is_empty() => {
            let at = place % other.len();
            other[at].0[place % 32] ^= 1 << (place % 8);
        }
        Change::DropLast => drop(other.pop()),
        Change::DropFirst if !other.is_empty() => drop(other.remove(0)),
        Change::Swap if other.len() > 1 => other.swap(0, 1 + place % (proof.len() - 1)),
        Change::Append | Change::FlipBit | Change::DropFirst | Change::Swap => other.push(Hash::of(b"more")),
    }
    other
}

fn changes() -> impl Strategy<Value = Change> {
    prop_oneof![
        Just(Change::FlipBit),
        Just(Change::DropLast),
        Just(Change::DropFirst),
        Just(Change::Append),
        Just(Change::Swap)
    ]
}

proptest! {
    #[test]
    fn a_changed_proof_proves_nothing(
        (size, index) in (1..700u64).prop_flat_map(|size| (Just(size), 0..size)),
        change in changes(),
        place in any::<usize>(),
    ) {
        let leaves = leaves(size);
        let root = naive_root(&leaves);
        let at = usize::try_from(index).unwrap();

        let proof = naive_inclusion(at, &leaves);
        prop_assert_eq!(verify_inclusion(leaves[at], index, size, &proof, root), Ok(()));
        let other = changed(&proof, change, place);
        prop_assert_eq!(verify_inclusion(leaves[at], index, size, &other, root).is_ok(), other == proof);

        let (old, old_root) = (index + 1, naive_root(&leaves[..=at]));
        let proof = naive_consistency(at + 1, &leaves, true);
        prop_assert_eq!(verify_consistency(old, old_root, size, root, &proof), Ok(()));
        let other = changed(&proof, change, place);
        prop_assert_eq!(verify_consistency(old, old_root, size, root, &other).is_ok(), other == proof);
    }
}
