#!/usr/bin/env python3
"""Verifies a pgward journal, or a proof bundle, without pgward.

Written after docs/journal.md, not after pgward's source: a second pair of eyes. Needs Python 3.9 or later and the package
`cryptography` (Debian: python3-cryptography), for Ed25519 and AES-256-GCM.

    verify_journal.py DIR [--region DIR]... [--vkey VKEY]... [--witness VKEY]... [--checkpoint FILE]...
    verify_journal.py --bundle FILE [--vkey VKEY]... [--witness VKEY]...

Prints {"ok", "records", "first_bad", "problem"} as JSON and exits with 0 where all is well, 1 where something is not, 2 where
it was called wrongly. Without --vkey the keys are believed that lie beside the journal: that shows damage, and nothing about
somebody who could write to the directory.
"""

import argparse
import base64
import binascii
import hashlib
import json
import os
import re
import struct
import sys
import zlib

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

ED25519, COSIGNATURE = 1, 4
WIDTH = 256
ENTRY_LENGTH = 77
MAX_FRAME = 1 << 30


class Bad(Exception):
    """Something is not as it should be. `seq` is the record that it is about, where it is about one."""

    def __init__(self, problem, seq=None):
        super().__init__(problem)
        self.problem = problem
        self.seq = seq


def sha256(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.digest()


def unbase64(text, what):
    """Standard base64 with padding, in its one form."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise Bad(f"{what} is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Bad(f"{what} is not base64 in its one form")
    return data


# --- the tree: RFC 6962 -------------------------------------------------------------------------------------------------


def leaf_hash(entry):
    return sha256(b"\x00", entry)


def node_hash(left, right):
    return sha256(b"\x01", left, right)


class Tree:
    """The complete subtrees of a growing tree, largest first, as (height, hash)."""

    def __init__(self):
        self.size = 0
        self.peaks = []

    def append(self, leaf):
        height, digest = 0, leaf
        while self.peaks and self.peaks[-1][0] == height:
            digest = node_hash(self.peaks.pop()[1], digest)
            height += 1
        self.peaks.append((height, digest))
        self.size += 1

    def root(self):
        if not self.peaks:
            return sha256(b"")
        digest = self.peaks[-1][1]
        for _, left in reversed(self.peaks[:-1]):
            digest = node_hash(left, digest)
        return digest


def root_by_inclusion(leaf, index, size, proof):
    """The root that a proof of inclusion leads to: recursively, as RFC 6962 section 2.1.1 makes the proof."""
    if size == 1:
        if proof:
            raise Bad("the proof of inclusion is too long")
        return leaf
    if not proof:
        raise Bad("the proof of inclusion is too short")
    left = 1 << (size - 1).bit_length() - 1
    if index < left:
        return node_hash(root_by_inclusion(leaf, index, left, proof[:-1]), proof[-1])
    return node_hash(proof[-1], root_by_inclusion(leaf, index - left, size - left, proof[:-1]))


# --- notes: C2SP signed-note, tlog-checkpoint, tlog-cosignature -----------------------------------------------------------


class Key:
    """A verifier key: <name>+<8 hexadecimal digits>+<base64 of the type and the public key>."""

    def __init__(self, text):
        parts = text.split("+", 2)
        if len(parts) != 3 or not re.fullmatch("[0-9a-f]{8}", parts[1]) or not is_name(parts[0]):
            raise Bad(f"{text!r} is not a verifier key")
        self.name, digits, data = parts
        data = unbase64(data, "a verifier key")
        if len(data) != 33 or data[0] not in (ED25519, COSIGNATURE):
            raise Bad(f"{text!r} is not an Ed25519 verifier key")
        self.text, self.kind, self.public = text, data[0], data[1:]
        self.id = sha256(self.name.encode(), b"\n", data)[:4]
        if self.id.hex() != digits:
            raise Bad(f"{text!r}: its id is not that of its key")

    def verifies(self, message, signature):
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
            return True
        except (InvalidSignature, ValueError):
            return False


def is_name(name):
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


class Note:
    """A text, an empty line, and lines of signatures over the text."""

    def __init__(self, text, what):
        self.what = what
        if any(ord(c) < 32 and c != "\n" for c in text) or "\n\n" not in text or not text.endswith("\n"):
            raise Bad(f"{what} is not a signed note")
        body, signatures = text[: text.rindex("\n\n") + 1], text[text.rindex("\n\n") + 2 : -1]
        self.body = body.encode()
        self.signatures = [self.signature(line) for line in signatures.split("\n")]

    def signature(self, line):
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
            raise Bad(f"{self.what} has a line that is no signature")
        data = unbase64(parts[2], f"a signature in {self.what}")
        if len(data) < 5:
            raise Bad(f"{self.what} has a signature that is too short")
        return parts[1], data[:4], data[4:]

    def is_signed_by(self, key):
        """Whether the key signed: all that is in its name and id must be its."""
        found = [signature for name, id_, signature in self.signatures if (name, id_) == (key.name, key.id)]
        for signature in found:
            message = self.body
            if key.kind == COSIGNATURE:
                time = int.from_bytes(signature[:8], "big")
                message = f"cosignature/v1\ntime {time}\n".encode() + self.body
                signature = signature[8:]
            if not key.verifies(message, signature):
                raise Bad(f"{self.what}: a signature in the name of {key.name} is not by that key")
        return bool(found)


class Checkpoint(Note):
    """A signed note whose text is origin, size and root."""

    def __init__(self, text, what):
        super().__init__(text, what)
        lines = self.body.decode().split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or not re.fullmatch("0|[1-9][0-9]{0,18}", lines[1]):
            raise Bad(f"{what} is not a checkpoint")
        self.origin, self.size = lines[0], int(lines[1])
        self.root = unbase64(lines[2], f"the root in {what}")
        if len(self.root) != 32:
            raise Bad(f"the root in {what} has not 32 bytes")

    def check(self, logs):
        """Signed by one of the log's keys, which is called what the log is."""
        if not any(key.name == self.origin and self.is_signed_by(key) for key in logs):
            raise Bad(f"{self.what} is not signed by a known key of the log {self.origin!r}")


def keys_of(texts, kind, what):
    keys = [Key(text) for text in texts]
    if any(key.kind != kind for key in keys):
        raise Bad(f"a key that is given as {what} is of another type")
    return keys


# --- a record: its entry, its key, its text --------------------------------------------------------------------------------


class Entry:
    """What the log commits to of a record: 77 bytes."""

    def __init__(self, data, index):
        seq = index + 1
        if len(data) != ENTRY_LENGTH or data[0] != 1:
            raise Bad("its entry in the log is not of the form that is known", seq)
        self.seq, self.bucket = struct.unpack(">QI", data[1:13])
        self.digest, self.key_id = data[13:45], data[45:77]
        if self.seq != seq:
            raise Bad(f"its entry in the log says that it is record {self.seq}", seq)


def record_key(bucket_key, seq):
    return sha256(b"pgward record\0", bucket_key, struct.pack(">Q", seq))


def key_id_of(key):
    return sha256(b"pgward key id\0", key)


def open_sealed(key, seq, bucket, sealed):
    """The record's text."""
    try:
        plain = AESGCM(key).decrypt(bytes(12), sealed, struct.pack(">QI", seq, bucket))
    except (InvalidTag, ValueError):
        raise Bad("it does not open with its key", seq) from None
    try:
        text = plain.decode()
        record = json.loads(text, object_pairs_hook=no_doubles)
    except (ValueError, RecursionError) as error:
        raise Bad(f"it is not a record: {error}", seq) from None
    if not isinstance(record, dict) or "\n" in text:
        raise Bad("it is not a record: one JSON object on one line", seq)
    if record.get("seq") != seq:
        raise Bad(f"it says that it is record {record.get('seq')}", seq)
    return text, record


def no_doubles(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


# --- the files -------------------------------------------------------------------------------------------------------------


def read(path, what, limit=1 << 26):
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except OSError as error:
        raise Bad(f"{what} cannot be read: {error.strerror}") from None
    if len(data) > limit:
        raise Bad(f"{what} is too long")
    return data


def read_text(path, what):
    try:
        return read(path, what, 1 << 16).decode()
    except UnicodeDecodeError:
        raise Bad(f"{what} is not text") from None


class Tiles:
    """The tree's files: C2SP tlog-tiles."""

    def __init__(self, directory, size):
        self.directory, self.size = directory, size

    def load(self, row, index, width):
        """A tile, which a log that has grown since may have only wider."""
        number, name = index, ""
        while True:
            name = f"{number % 1000:03}" + (f"/{name}" if name else "")
            number //= 1000
            if number == 0:
                break
        parts = name.split("/")
        full = os.path.join(self.directory, "tile", row, *[f"x{part}" for part in parts[:-1]], parts[-1])
        if width == WIDTH:
            return read(full, f"tile/{row}/{name}")
        wider = []
        if os.path.isdir(full + ".p"):
            wider = sorted(int(entry) for entry in os.listdir(full + ".p") if re.fullmatch("[1-9][0-9]{0,2}", entry))
        for path in [f"{full}.p/{found}" for found in [width] + [found for found in wider if found > width]] + [full]:
            if os.path.exists(path):
                return read(path, f"tile/{row}/{name}")
        raise Bad(f"tile/{row}/{name}.p/{width} is missing")

    def entries(self):
        """Every entry with its index; each bundle is compared with the tiles that it grows."""
        levels = []
        for index in range((self.size + WIDTH - 1) // WIDTH):
            width = min(WIDTH, self.size - index * WIDTH)
            bundle = self.load("entries", index, width)
            at, entries = 0, []
            for place in range(width):
                length = int.from_bytes(bundle[at : at + 2], "big")
                entry = bundle[at + 2 : at + 2 + length]
                if len(bundle) < at + 2 or len(entry) != length:
                    raise Bad("its entry bundle ends before it", index * WIDTH + place + 1)
                entries.append(entry)
                at += 2 + length
            self.grow(levels, 0, [leaf_hash(entry) for entry in entries])
            for place, entry in enumerate(entries):
                yield index * WIDTH + place, entry
        for level, (done, hashes) in enumerate(levels):
            self.compare(level, done, hashes)

    def grow(self, levels, level, hashes):
        if len(levels) == level:
            levels.append((0, []))
        done, pending = levels[level]
        pending = pending + hashes
        if len(pending) == WIDTH:
            self.compare(level, done, pending)
            tree = Tree()
            for digest in pending:
                tree.append(digest)
            levels[level] = (done + 1, [])
            self.grow(levels, level + 1, [tree.root()])
        else:
            levels[level] = (done, pending)

    def compare(self, level, index, hashes):
        if not hashes:
            return
        tile = self.load(str(level), index, len(hashes))
        for place, digest in enumerate(hashes):
            if tile[place * 32 : place * 32 + 32] != digest:
                seq = index * WIDTH + place + 1 if level == 0 else None
                raise Bad(f"tile/{level}, tile {index} does not hold the hashes of what lies below it", seq)


class Buckets:
    """keys/: the keys of a directory's buckets."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "keys")
        self.known = {}

    def find(self, bucket):
        if bucket not in self.known:
            path = os.path.join(self.path, f"{bucket:010}.key")
            self.known[bucket] = self.parse(path, bucket) if os.path.exists(path) else None
        return self.known[bucket]

    @staticmethod
    def parse(path, bucket):
        what = f"keys/{bucket:010}.key"
        try:
            document = json.loads(read(path, what))
        except ValueError:
            raise Bad(f"{what} is not JSON") from None
        if not isinstance(document, dict) or document.get("bucket") != bucket:
            raise Bad(f"{what} is not of that bucket")
        bare = json.dumps({**document, "check": ""}, separators=(",", ":"), ensure_ascii=False)
        if document.get("check") != hashlib.sha256(bare.encode()).hexdigest():
            raise Bad(f"{what} is not as it was written")
        if ("key" in document) == ("destroyed" in document):
            raise Bad(f"{what} says neither a key nor that it was destroyed, or both")
        return document

    def record_key(self, bucket, seq):
        """The record's key; None where it is destroyed; an error where it should be here and is not."""
        document = self.find(bucket)
        if document is None:
            raise Bad(f"the key of its bucket {bucket} is missing, and nothing says that it was destroyed", seq)
        if "key" in document:
            return record_key(unbase64(document["key"], f"the key of bucket {bucket}"), seq)
        held = document.get("held", {}).get(str(seq))
        return None if held is None else unbase64(held, f"the held key of record {seq}")

    def is_erased(self, bucket, seq):
        """Whether the record's key is gone for good: its bucket's is, and no hold keeps its own."""
        document = self.find(bucket)
        return document is not None and "destroyed" in document and str(seq) not in document.get("held", {})


class Frame:
    def __init__(self, body):
        self.place, self.seq, self.bucket = struct.unpack(">BQI", body[:13])
        rest = body[13:]
        if self.place == 1:
            self.sealed, self.digest, self.key_id = rest, sha256(rest), None
        elif self.place == 2 and len(rest) == 64:
            self.sealed, self.digest, self.key_id = None, rest[:32], rest[32:]
        else:
            raise Bad("its frame is not of the form that is known")


class Segments:
    """The frames of a directory, in the order of their numbers, read as they are asked for."""

    def __init__(self, directory, journal=None, gaps=False):
        self.directory, self.journal, self.gaps = directory, journal, gaps
        names = [name for name in os.listdir(directory) if re.fullmatch("journal-[0-9]{20}\\.log", name)]
        self.names = sorted(names)
        self.last = 0
        self.frames = self.all()
        self.next = self.bad = None
        self.advance()

    def advance(self):
        """What is wrong with the next frame is told when it is asked for, not while the one before is looked at."""
        try:
            self.next = next(self.frames, None)
        except Bad as bad:
            self.next, self.bad = None, bad

    def peek(self):
        if self.bad is not None:
            raise self.bad
        return self.next

    def all(self):
        for position, name in enumerate(self.names):
            first = int(name[8:28])
            with open(os.path.join(self.directory, name), "rb") as file:
                header = file.readline(200)
                found = re.fullmatch(rb"pgward-journal 2 ([0-9a-f]{32}) ([0-9]+)\n", header)
                is_last = position + 1 == len(self.names)
                if not header.endswith(b"\n") and is_last and len(header) < 200:
                    return  # Torn: nothing was in it yet.
                if not found or int(found[2]) != first:
                    raise Bad(f"the header of {name} is damaged", first)
                if self.journal not in (None, found[1]):
                    raise Bad(f"{name} is of another journal", first)
                self.journal = found[1]
                yield from self.of(file, name, is_last, first)

    def of(self, file, name, is_last, first):
        expected = first
        while True:
            head = file.read(8)
            if not head:
                return
            length, crc = struct.unpack(">II", head) if len(head) == 8 else (0, 0)
            body = file.read(length) if 0 < length <= MAX_FRAME else b""
            if len(head) < 8 or len(body) < length:
                if is_last and length <= MAX_FRAME:
                    return  # What was being written when the machine stopped: no checkpoint covers it.
                raise Bad(f"{name} ends in the middle of a frame", max(self.last + 1, first))
            if length < 13 or zlib.crc32(body) != crc:
                raise Bad("its frame is damaged", max(self.last + 1, first))
            try:
                frame = Frame(body)
            except Bad as bad:
                raise Bad(bad.problem, max(self.last + 1, first)) from None
            if frame.seq < expected or frame.seq <= self.last:
                raise Bad(f"record {frame.seq} stands where it comes next", max(self.last + 1, first))
            if frame.seq != expected and not self.gaps:
                raise Bad(f"it is missing: record {frame.seq} stands in its place", expected)
            self.last, expected = frame.seq, frame.seq + 1
            yield frame

    def should_have(self, seq):
        """Whole segments go when nothing in them can be read any more; nothing goes behind the last."""
        return self.peek() is None and bool(self.names) and seq >= int(self.names[-1][8:28])

    def take(self, seq):
        """The frame of this number; None where there is none."""
        frame = self.peek()
        if frame is None or frame.seq > seq:
            return None
        if frame.seq < seq:
            raise Bad("no record of that number belongs here", frame.seq)
        self.advance()
        return frame


# --- what must hold between records ----------------------------------------------------------------------------------------


class Sessions:
    """Records of a session are numbered without a gap, and every end names a statement before it. Records that nobody can
    read any more may have been any session's."""

    def __init__(self):
        self.open = {}
        self.unread = []
        self.unread_set = set()
        self.since = 0

    def skip(self, seq):
        self.unread.append(seq)
        self.unread_set.add(seq)

    def take(self, record):
        seq, event, session = record["seq"], record.get("event"), record.get("session")
        if event == "journal_opened":
            self.open.clear()
            self.since = len(self.unread)
        if session is None:
            return
        state = self.open.get(session)
        number = record.get("session_seq")
        if number is not None:
            if state is None:
                state = self.open[session] = {"last": 0, "unread": self.since, "statements": set()}
            missing = number - state["last"] - 1
            if missing < 0 or missing > len(self.unread) - state["unread"]:
                raise Bad(f"it is number {number} of session {session}, where {state['last'] + 1} comes next", seq)
            state["last"], state["unread"] = number, len(self.unread)
        if event == "statement":
            if state is None:
                state = self.open[session] = {"last": 0, "unread": self.since, "statements": set()}
            state["statements"].add(seq)
        elif event == "statement_end":
            named = record.get("statement_seq", 0)
            if state is not None and named in state["statements"]:
                state["statements"].discard(named)
            elif named in self.unread_set:
                self.unread_set.discard(named)
            else:
                raise Bad(f"it ends statement {named}, which session {session} did not begin or has ended", seq)
        elif event in ("session_close", "login_denied", "startup_refused"):
            self.open.pop(session, None)


# --- a journal ---------------------------------------------------------------------------------------------------------------


class Journal:
    def __init__(self, arguments):
        self.directory = arguments.directory
        self.good = 0
        self.logs = self.log_keys(arguments.vkey)
        self.witnesses = keys_of(arguments.witness, COSIGNATURE, "a witness's")
        self.checkpoint = self.read_checkpoint(os.path.join(self.directory, "checkpoint"), "checkpoint")
        self.others = self.other_checkpoints(arguments.checkpoint)
        self.segments = Segments(self.directory)
        self.regions = [(Segments(path, self.segments.journal, gaps=True), Buckets(path)) for path in arguments.region]
        self.buckets = Buckets(self.directory)
        self.sessions = Sessions()
        self.elsewhere = 0
        self.erased = {}
        self.purged = set()

    def log_keys(self, pinned):
        if pinned:
            return self.follow(keys_of(pinned, ED25519, "a log's"))
        text = read_text(os.path.join(self.directory, "log.vkey"), "log.vkey")
        return keys_of(text.split(), ED25519, "a log's")

    def follow(self, known):
        """The keys that the log changed to since: each named by the one before, in a note that both signed."""
        names = sorted(name for name in os.listdir(self.directory) if re.fullmatch("rotation-[0-9a-f]{8}", name))
        notes = [Note(read_text(os.path.join(self.directory, name), name), name) for name in names]
        newest = list(known)
        while newest:
            newest = [new for old in newest for new in (self.successor(note, old) for note in notes) if new is not None]
            newest = [new for new in newest if new.text not in [key.text for key in known]]
            known = known + newest
        return known

    @staticmethod
    def successor(note, old):
        lines = note.body.decode().split("\n")
        if len(lines) != 4 or lines[:2] != ["pgward key rotation 1", old.text]:
            return None
        new = Key(lines[2])
        fits = new.name == old.name and new.kind == ED25519
        return new if fits and note.is_signed_by(old) and note.is_signed_by(new) else None

    def read_checkpoint(self, path, what):
        checkpoint = Checkpoint(read_text(path, what), what)
        checkpoint.check(self.logs)
        return checkpoint

    def other_checkpoints(self, paths):
        """Those that were kept: this tree must have each of them as its beginning."""
        beside = os.path.join(self.directory, "checkpoint.witnessed")
        paths = ([beside] if os.path.exists(beside) else []) + paths
        others = [self.read_checkpoint(path, os.path.basename(path)) for path in paths]
        for witness in self.witnesses:
            if not any(checkpoint.is_signed_by(witness) for checkpoint in [self.checkpoint, *others]):
                raise Bad(f"no checkpoint here is cosigned by {witness.name}")
        for other in others:
            if other.origin != self.checkpoint.origin:
                raise Bad(f"{other.what} is of another log")
            if other.size > self.checkpoint.size:
                raise Bad(f"{other.what} covers {other.size} records: the journal's end was cut off",
                          self.checkpoint.size + 1)
        return others

    def verify(self):
        size, tree = self.checkpoint.size, Tree()
        marks = {other.size: other for other in self.others}
        for index, data in Tiles(self.directory, size).entries():
            self.compare_root(marks.get(index), tree)
            tree.append(leaf_hash(data))
            self.record(Entry(data, index))
            self.good = index + 1
        self.compare_root(marks.get(size), tree)
        if tree.root() != self.checkpoint.root:
            raise Bad("the entries do not add up to the root that is signed")
        self.tail(size)
        self.purges()

    @staticmethod
    def compare_root(checkpoint, tree):
        if checkpoint is not None and tree.root() != checkpoint.root:
            raise Bad(f"{checkpoint.what} is not a beginning of this log: it was written anew")

    def record(self, entry):
        frame = self.segments.take(entry.seq)
        payload, buckets = self.payload(entry.seq, entry.bucket, frame)
        if frame is not None and (frame.bucket != entry.bucket or frame.digest != entry.digest):
            raise Bad("it is not what the log committed to", entry.seq)
        if frame is not None and frame.key_id not in (None, entry.key_id):
            raise Bad("its key is not the one that the log committed to", entry.seq)
        if payload is not None and sha256(payload) != entry.digest:
            raise Bad("it is not what the log committed to", entry.seq)
        if frame is None and self.segments.should_have(entry.seq):
            raise Bad("it is missing from the journal's last segment", entry.seq)
        if payload is None and buckets is not None and not buckets.is_erased(entry.bucket, entry.seq):
            raise Bad("it is missing, though its key was not destroyed", entry.seq)
        if payload is None and buckets is None:
            if frame is None:
                raise Bad("it is missing, and no key file here says that its key was destroyed", entry.seq)
            if self.regions:
                raise Bad("it is missing where its region keeps it", entry.seq)
            self.elsewhere += 1
        self.read_record(entry.seq, entry.bucket, payload, buckets, entry.key_id)

    def payload(self, seq, bucket, frame):
        """The sealed record, and whose keys open it; (None, keys) where it should lie with those keys and does not."""
        found = []
        for segments, buckets in self.regions:
            there = segments.take(seq)
            if there is not None:
                if there.place != 1 or there.bucket != bucket:
                    raise Bad("its frame in its region is not of the form that is known", seq)
                found.append((there.sealed, buckets))
        if frame is not None and frame.place == 1:
            found.append((frame.sealed, self.buckets))
        if len(found) > 1:
            raise Bad("it lies in two places", seq)
        if found:
            return found[0]
        candidates = [buckets for _, buckets in self.regions] + ([self.buckets] if frame is None else [])
        return None, next((buckets for buckets in candidates if buckets.find(bucket) is not None), None)

    def read_record(self, seq, bucket, payload, buckets, key_id):
        key = None if payload is None else buckets.record_key(bucket, seq)
        if key is None:
            self.sessions.skip(seq)
            if buckets is not None:
                self.erased.setdefault(bucket, seq)
            return
        if key_id is not None and key_id_of(key) != key_id:
            raise Bad("its key is not the one that the log committed to", seq)
        record = open_sealed(key, seq, bucket, payload)[1]
        if record.get("event") == "records_purged":
            # The newest names all that the ones before it did, as ranges.
            found = re.match("buckets ([0-9, -]+):", record.get("detail", ""))
            ranges = [part.partition("-") for part in found[1].split(", ")] if found else []
            self.purged = [range(int(first), int(last or first) + 1) for first, _, last in ranges]
        self.sessions.take(record)

    def purges(self):
        """Every erasure is recorded."""
        unsaid = {bucket: seq for bucket, seq in self.erased.items() if not any(bucket in one for one in self.purged)}
        if unsaid:
            bucket = min(unsaid, key=unsaid.get)
            raise Bad(f"its key was destroyed with that of bucket {bucket}, and no record says so", unsaid[bucket])

    def tail(self, size):
        """What was written after the checkpoint: whole, in order, and proved by nothing yet."""
        seq = size
        while self.segments.peek() is not None:
            seq += 1
            frame = self.segments.take(seq)
            if frame is None:
                raise Bad(f"it is missing: record {self.segments.peek().seq} follows", seq)
            payload, buckets = self.payload(seq, frame.bucket, frame)
            if payload is not None and sha256(payload) != frame.digest:
                raise Bad("what lies in its region is another", seq)
            self.read_record(seq, frame.bucket, payload, buckets, frame.key_id)
            self.good = seq
        # What a region has beyond the journal's end was being written when the copy was made.
        for segments, _ in self.regions:
            if segments.peek() is not None and segments.peek().seq <= seq:
                raise Bad("a region has it, and the journal itself has not", segments.peek().seq)


# --- a bundle -----------------------------------------------------------------------------------------------------------------


def verify_bundle(arguments):
    try:
        bundle = json.loads(read(arguments.bundle, arguments.bundle), object_pairs_hook=no_doubles)
    except ValueError as error:
        raise Bad(f"{arguments.bundle} is not JSON: {error}") from None
    if not isinstance(bundle, dict) or bundle.get("format") != "pgward-proof-1":
        raise Bad(f"{arguments.bundle} is not a proof of a pgward journal")
    logs = keys_of(arguments.vkey or [bundle["vkey"]], ED25519, "a log's")
    checkpoint = Checkpoint(bundle["checkpoint"], "the checkpoint")
    checkpoint.check(logs)
    for witness in keys_of(arguments.witness, COSIGNATURE, "a witness's"):
        if not checkpoint.is_signed_by(witness):
            raise Bad(f"the checkpoint is not cosigned by {witness.name}")
    index, data = bundle["index"], unbase64(bundle["entry"], "the entry")
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < checkpoint.size:
        raise Bad("the entry's index is outside of the log")
    entry = Entry(data, index)
    proof = [unbase64(text, "a hash of the proof") for text in bundle["proof"]]
    if len(proof) > 64 or any(len(digest) != 32 for digest in proof):
        raise Bad("the proof is not of hashes", entry.seq)
    if root_by_inclusion(leaf_hash(data), index, checkpoint.size, proof) != checkpoint.root:
        raise Bad("the proof does not lead to the root that is signed", entry.seq)
    verify_opened(bundle, entry)


def verify_opened(bundle, entry):
    """The record itself, as far as the bundle shows it."""
    sealed, key, record = bundle.get("sealed"), bundle.get("key"), bundle.get("record")
    if sealed is not None:
        sealed = unbase64(sealed, "the sealed record")
        if sha256(sealed) != entry.digest:
            raise Bad("the sealed record is not what the log committed to", entry.seq)
    if key is not None:
        key = unbase64(key, "the record's key")
        if key_id_of(key) != entry.key_id:
            raise Bad("the key is not the one that the log committed to", entry.seq)
    if record is not None:
        if sealed is None or key is None:
            raise Bad("a record without its sealed form and its key is proved by nothing", entry.seq)
        if open_sealed(key, entry.seq, entry.bucket, sealed)[0] != record:
            raise Bad("the record is not the one that the log committed to", entry.seq)


# --- the command ----------------------------------------------------------------------------------------------------------------


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", nargs="?", metavar="DIR", help="the journal's directory")
    parser.add_argument("--bundle", metavar="FILE", help="verify a proof of one record instead")
    parser.add_argument("--region", action="append", default=[], metavar="DIR", help="a region's own directory")
    parser.add_argument("--vkey", action="append", default=[], help="a key that the log is known by")
    parser.add_argument("--witness", action="append", default=[], metavar="VKEY", help="a witness that must have cosigned")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="FILE", help="a checkpoint kept elsewhere")
    arguments = parser.parse_args()
    if (arguments.directory is None) == (arguments.bundle is None):
        parser.error("give a directory, or --bundle FILE")
    return arguments


def main():
    arguments = parse_arguments()
    if not arguments.vkey:
        print("warning: no --vkey: the keys beside the journal are believed", file=sys.stderr)
    good, first_bad, problem, journal = 0, None, None, None
    try:
        if arguments.bundle is not None:
            verify_bundle(arguments)
            good = 1
        else:
            journal = Journal(arguments)
            journal.verify()
    except Bad as bad:
        first_bad, problem = bad.seq, bad.problem
    except (KeyError, TypeError, AttributeError, OSError, RecursionError) as error:
        problem = f"not of the form that is known: {error!r}"
    if journal is not None:
        good = journal.good
        if problem is None and journal.elsewhere:
            print(f"note: {journal.elsewhere} records lie in regions that were not given", file=sys.stderr)
    answer = {"ok": problem is None, "records": good, "first_bad": first_bad, "problem": problem}
    print(json.dumps(answer))
    return 0 if problem is None else 1


if __name__ == "__main__":
    sys.exit(main())
