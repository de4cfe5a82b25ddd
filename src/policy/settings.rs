//! The settings that a client may set and show. Everything else stays as the proxy opened the session with it.

/// Why a setting may not be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SettingRefused {
    /// No grant lets anyone set it.
    Name,
    /// It may be set, not to this.
    Value,
}

/// What says why, for the statements that follow.
pub(super) const REASON: &str = "pgward.reason";
/// Bytes of a reason: every record that follows repeats it.
const LONGEST_REASON: usize = 4_000;

/// Whether `name` may be set to `values`; `None` is DEFAULT. `search_paths` spell the one that the session is pinned
/// to; who `may_write` may also say that transactions do.
pub(super) fn may_set(
    name: &str,
    values: Option<&[String]>,
    search_paths: &[String],
    may_write: bool,
) -> Result<(), SettingRefused> {
    let name = name.to_ascii_lowercase();
    if name == REASON {
        let length = values.into_iter().flatten().map(String::len).sum::<usize>();
        return if length <= LONGEST_REASON { Ok(()) } else { Err(SettingRefused::Value) };
    }
    if may_write && READ_ONLY.contains(&name.as_str()) {
        return Ok(());
    }
    if name == "search_path" {
        // DEFAULT is what the session was opened with.
        let same = values.is_none_or(|values| search_paths.iter().any(|path| is_path(values, path)));
        return if same { Ok(()) } else { Err(SettingRefused::Value) };
    }
    let Ok(at) = SETTABLE.binary_search_by(|(known, _)| (*known).cmp(name.as_str())) else {
        return Err(SettingRefused::Name);
    };
    let allowed = SETTABLE.get(at).map(|(_, allowed)| allowed);
    let Some(values) = values else {
        // What is pinned is not left to a default.
        let pinned = PINNED.contains(&name.as_str());
        return if pinned { Err(SettingRefused::Value) } else { Ok(()) };
    };
    let only = match values {
        [only] => Some(only.trim().to_ascii_lowercase()),
        _ => None,
    };
    let fits = match allowed {
        Some(Allowed::Any) => true,
        Some(Allowed::Memory) => only.is_some_and(|value| kilobytes(&value).is_some_and(|size| size <= MOST_MEMORY)),
        Some(Allowed::OneOf(choices)) => only.is_some_and(|value| choices.contains(&value.as_str())),
        None => false,
    };
    if fits { Ok(()) } else { Err(SettingRefused::Value) }
}

/// Whether `name` may be set whatever the value.
pub(super) fn may_set_to_anything(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let found = SETTABLE.binary_search_by(|(known, _)| (*known).cmp(name.as_str()));
    let allowed = found.ok().and_then(|at| SETTABLE.get(at)).map(|(_, allowed)| allowed);
    match allowed {
        Some(Allowed::Any) => true,
        Some(Allowed::Memory | Allowed::OneOf(_)) | None => false,
    }
}

/// What one sort or hash of a session may take: kilobytes.
const MOST_MEMORY: u64 = 256 * 1024;

/// An amount of memory as PostgreSQL reads it, without a unit in kilobytes. Bytes and fractions are not read.
fn kilobytes(value: &str) -> Option<u64> {
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (amount, unit) = value.split_at(digits);
    let factor = match unit.trim() {
        "" | "kb" => 1,
        "mb" => 1024,
        "gb" => 1024 * 1024,
        _ => return None,
    };
    amount.parse::<u64>().ok()?.checked_mul(factor)
}

/// Whether `name` may be reset by itself. RESET goes back to what the session was opened with.
pub(super) fn may_reset(name: &str, may_write: bool) -> bool {
    may_set(name, None, &[], may_write).is_ok()
}

/// Whether `name` may be shown, by SHOW or `current_setting`.
pub(super) fn may_show(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("pgward.")
        || SHOWABLE.binary_search(&name.as_str()).is_ok()
        || SETTABLE.binary_search_by(|(known, _)| (*known).cmp(name.as_str())).is_ok()
}

/// Whether a list of schemas is the pinned one. Clients send it as a list of names or as one text.
fn is_path(values: &[String], pinned: &str) -> bool {
    let pinned = schemas(pinned);
    let listed = values.iter().map(|value| value.trim().trim_matches('"').to_owned());
    let as_list: Vec<String> = listed.collect();
    as_list == pinned || matches!(values, [text] if schemas(text) == pinned)
}

fn schemas(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().trim_matches('"').to_owned()).filter(|part| !part.is_empty()).collect()
}

enum Allowed {
    Any,
    /// An amount of memory up to [`MOST_MEMORY`].
    Memory,
    OneOf(&'static [&'static str]),
}

const ON: Allowed = Allowed::OneOf(&["on", "true", "yes", "1", "t", "y"]);

/// May be set to what they are pinned to, and not be reset by themselves.
const PINNED: &[&str] =
    &["client_encoding", "default_transaction_read_only", "standard_conforming_strings", "transaction_read_only"];

/// Who may write may set these to anything.
const READ_ONLY: [&str; 2] = ["default_transaction_read_only", "transaction_read_only"];

/// Sorted by name. None of these changes what a text means, who one is, what one may do, or what is logged.
#[rustfmt::skip]
const SETTABLE: &[(&str, Allowed)] = &[
    ("application_name", Allowed::Any),
    ("bytea_output", Allowed::Any),
    ("client_encoding", Allowed::OneOf(&["utf8", "utf-8", "unicode"])),
    ("client_min_messages", Allowed::OneOf(&["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"])),
    ("constraint_exclusion", Allowed::Any),
    ("cpu_index_tuple_cost", Allowed::Any),
    ("cpu_operator_cost", Allowed::Any),
    ("cpu_tuple_cost", Allowed::Any),
    ("cursor_tuple_fraction", Allowed::Any),
    ("datestyle", Allowed::Any),
    ("default_statistics_target", Allowed::Any),
    ("default_text_search_config", Allowed::Any),
    ("default_transaction_deferrable", Allowed::Any),
    ("default_transaction_isolation", Allowed::Any),
    ("default_transaction_read_only", ON),
    ("effective_cache_size", Allowed::Any),
    ("enable_async_append", Allowed::Any),
    ("enable_bitmapscan", Allowed::Any),
    ("enable_distinct_reordering", Allowed::Any),
    ("enable_gathermerge", Allowed::Any),
    ("enable_group_by_reordering", Allowed::Any),
    ("enable_hashagg", Allowed::Any),
    ("enable_hashjoin", Allowed::Any),
    ("enable_incremental_sort", Allowed::Any),
    ("enable_indexonlyscan", Allowed::Any),
    ("enable_indexscan", Allowed::Any),
    ("enable_material", Allowed::Any),
    ("enable_memoize", Allowed::Any),
    ("enable_mergejoin", Allowed::Any),
    ("enable_nestloop", Allowed::Any),
    ("enable_parallel_append", Allowed::Any),
    ("enable_parallel_hash", Allowed::Any),
    ("enable_partition_pruning", Allowed::Any),
    ("enable_partitionwise_aggregate", Allowed::Any),
    ("enable_partitionwise_join", Allowed::Any),
    ("enable_presorted_aggregate", Allowed::Any),
    ("enable_self_join_elimination", Allowed::Any),
    ("enable_seqscan", Allowed::Any),
    ("enable_sort", Allowed::Any),
    ("enable_tidscan", Allowed::Any),
    ("escape_string_warning", Allowed::Any),
    ("extra_float_digits", Allowed::Any),
    ("from_collapse_limit", Allowed::Any),
    ("geqo", Allowed::Any),
    ("geqo_effort", Allowed::Any),
    ("geqo_generations", Allowed::Any),
    ("geqo_pool_size", Allowed::Any),
    ("geqo_seed", Allowed::Any),
    ("geqo_selection_bias", Allowed::Any),
    ("geqo_threshold", Allowed::Any),
    ("idle_in_transaction_session_timeout", Allowed::Any),
    ("idle_session_timeout", Allowed::Any),
    ("intervalstyle", Allowed::Any),
    ("jit", Allowed::Any),
    ("jit_above_cost", Allowed::Any),
    ("jit_inline_above_cost", Allowed::Any),
    ("jit_optimize_above_cost", Allowed::Any),
    ("join_collapse_limit", Allowed::Any),
    ("lc_monetary", Allowed::Any),
    ("lc_numeric", Allowed::Any),
    ("lc_time", Allowed::Any),
    ("lock_timeout", Allowed::Any),
    ("max_parallel_workers", Allowed::Any),
    ("max_parallel_workers_per_gather", Allowed::Any),
    ("min_parallel_index_scan_size", Allowed::Any),
    ("min_parallel_table_scan_size", Allowed::Any),
    ("parallel_leader_participation", Allowed::Any),
    ("parallel_setup_cost", Allowed::Any),
    ("parallel_tuple_cost", Allowed::Any),
    ("plan_cache_mode", Allowed::Any),
    ("quote_all_identifiers", Allowed::Any),
    ("random_page_cost", Allowed::Any),
    ("row_security", ON),
    ("seq_page_cost", Allowed::Any),
    ("standard_conforming_strings", ON),
    ("statement_timeout", Allowed::Any),
    ("synchronize_seqscans", Allowed::Any),
    ("timezone", Allowed::Any),
    ("transaction_deferrable", Allowed::Any),
    ("transaction_isolation", Allowed::Any),
    ("transaction_read_only", ON),
    ("work_mem", Allowed::Memory),
    ("xmlbinary", Allowed::Any),
    ("xmloption", Allowed::Any),
];

/// Sorted. What may be shown beyond what may be set.
const SHOWABLE: &[&str] = &[
    "block_size",
    "data_checksums",
    "deadlock_timeout",
    "default_table_access_method",
    "default_toast_compression",
    "in_hot_standby",
    "integer_datetimes",
    "is_superuser",
    "lc_collate",
    "lc_ctype",
    "lc_messages",
    "maintenance_work_mem",
    "max_connections",
    "max_identifier_length",
    "max_index_keys",
    "port",
    "role",
    "search_path",
    "server_encoding",
    "server_version",
    "server_version_num",
    "session_authorization",
    "shared_buffers",
    "ssl",
    "synchronous_commit",
    "timezone_abbreviations",
    "unix_socket_directories",
    "wal_level",
];

#[cfg(test)]
mod tests {
    use super::{SETTABLE, SHOWABLE, may_reset, may_set, may_show};

    #[test]
    fn the_lists_are_sorted() {
        assert!(SETTABLE.is_sorted_by(|left, right| left.0 < right.0));
        assert!(SHOWABLE.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn only_harmless_settings_may_be_set() {
        let check = |name: &str, value: &str, expected: bool| {
            let values = [value.to_owned()];
            let paths = ["\"$user\", public".to_owned(), "public".to_owned()];
            assert_eq!(may_set(name, Some(&values), &paths, false).is_ok(), expected, "{name} = {value}");
        };
        check("application_name", "psql", true);
        check("DateStyle", "ISO", true);
        check("statement_timeout", "5s", true);
        check("client_encoding", "UTF8", true);
        check("client_encoding", "SJIS", false);
        check("standard_conforming_strings", "off", false);
        check("standard_conforming_strings", "on", true);
        check("default_transaction_read_only", "off", false);
        check("transaction_read_only", "0", false);
        check("search_path", "hr", false);
        check("search_path", "\"$user\", public", true);
        check("search_path", "public", true);
        check("search_path", "public, hr", false);
        check("role", "postgres", false);
        check("session_replication_role", "replica", false);
        check("row_security", "off", false);
        check("default_statistics_target", "1", true);
        check("backslash_quote", "on", false);
        check("log_statement", "none", false);
        check("work_mem", "1TB", false);
        check("work_mem", "1GB", false);
        check("work_mem", "300000", false);
        check("work_mem", "64MB", true);
        check("work_mem", "4096", true);
        check("work_mem", "-1", false);
        check("pgward.reason", "an incident", true);
    }

    #[test]
    fn what_is_pinned_is_not_reset() {
        for name in ["client_encoding", "default_transaction_read_only", "role"] {
            assert!(!may_reset(name, false), "{name}");
        }
        // Goes back to what the session was opened with, as RESET ALL does.
        assert!(may_reset("statement_timeout", false) && may_reset("search_path", false));
    }

    #[test]
    fn who_may_write_says_whether_transactions_do() {
        let off = ["off".to_owned()];
        for name in ["default_transaction_read_only", "Transaction_Read_Only"] {
            assert!(may_set(name, Some(&off), &[], true).is_ok() && may_reset(name, true), "{name}");
            assert!(may_set(name, Some(&off), &[], false).is_err() && !may_reset(name, false), "{name}");
        }
        assert!(!may_reset("client_encoding", true) && !may_reset("role", true));
    }

    #[test]
    fn a_reason_has_its_bound() {
        let set = |length: usize| may_set("pgward.reason", Some(&["x".repeat(length)]), &[], false);
        assert!(set(4_000).is_ok() && set(4_001).is_err());
    }

    #[test]
    fn secrets_are_not_shown() {
        for name in ["primary_conninfo", "ssl_key_file", "hba_file", "data_directory", "archive_command", "all"] {
            assert!(!may_show(name), "{name}");
        }
        assert!(may_show("TimeZone") && may_show("server_version") && may_show("pgward.grants"));
    }
}
