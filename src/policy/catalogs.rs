//! The catalog relations that any grant lets one read: what psql, drivers and ORMs need. What holds data, statistics,
//! secrets, the sources of functions or the doings of other sessions is not among them.

use crate::catalog::Columns;

/// Whether a relation is one of the server's own catalogs.
#[must_use]
pub fn is_catalog(schema: &str) -> bool {
    matches!(schema, "pg_catalog" | "information_schema")
}

/// Which columns of a catalog may be read.
enum Readable {
    All,
    Only(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

/// Whether these columns of `schema.name` may be read; the first that may not be, where a column is the matter.
pub(super) fn may_read(schema: &str, name: &str, columns: &Columns) -> Result<(), Option<String>> {
    let readable = match schema {
        "pg_catalog" => in_pg_catalog(name),
        "information_schema" => in_information_schema(name),
        _ => None,
    };
    let Some(readable) = readable else { return Err(None) };
    let allowed = |column: &str| match readable {
        Readable::All => true,
        Readable::Only(names) => names.contains(&column),
        Readable::AllBut(names) => !names.contains(&column),
    };
    match columns {
        Columns::None => Ok(()),
        Columns::Named(names) => match names.iter().find(|column| !allowed(column)) {
            None => Ok(()),
            Some(column) => Err(Some(column.clone())),
        },
        Columns::WholeRow => match readable {
            Readable::All => Ok(()),
            Readable::Only(_) | Readable::AllBut(_) => Err(Some("*".to_owned())),
        },
    }
}

fn in_pg_catalog(name: &str) -> Option<Readable> {
    Some(match name {
        "pg_proc" => Readable::AllBut(&["prosrc", "probin", "prosqlbody"]),
        // What a column that was added holds in the rows from before: data.
        "pg_attribute" => Readable::AllBut(&["attmissingval"]),
        "pg_foreign_server" => Readable::AllBut(&["srvoptions"]),
        "pg_foreign_data_wrapper" => Readable::AllBut(&["fdwoptions"]),
        "pg_user_mappings" => Readable::AllBut(&["umoptions"]),
        "pg_sequences" => Readable::AllBut(&["last_value"]),
        // `rolpassword` is a row of asterisks there; what settings of roles hold may be secrets of applications.
        "pg_roles" => Readable::AllBut(&["rolconfig"]),
        "pg_user" => Readable::AllBut(&["useconfig"]),
        "pg_subscription" => Readable::AllBut(&["subconninfo"]),
        // Some clients find comments through these views: their names of tables, not their numbers.
        "pg_statio_all_tables" | "pg_statio_user_tables" | "pg_stat_all_tables" | "pg_stat_user_tables" => {
            Readable::Only(&["relid", "schemaname", "relname"])
        }
        "pg_db_role_setting" => Readable::Only(&["setdatabase", "setrole"]),
        "pg_settings" => Readable::Only(&[
            "name",
            "unit",
            "category",
            "short_desc",
            "extra_desc",
            "context",
            "vartype",
            "min_val",
            "max_val",
            "enumvals",
        ]),
        _ if PLAIN.binary_search(&name).is_ok() => Readable::All,
        _ => return None,
    })
}

fn in_information_schema(name: &str) -> Option<Readable> {
    Some(match name {
        "routines" => Readable::AllBut(&["routine_definition"]),
        "user_mapping_options"
        | "_pg_user_mappings"
        | "foreign_server_options"
        | "_pg_foreign_servers"
        | "foreign_data_wrapper_options"
        | "_pg_foreign_data_wrappers" => return None,
        _ => Readable::All,
    })
}

/// Sorted: catalogs that hold nothing but the description of the database.
#[rustfmt::skip]
const PLAIN: &[&str] = &[
    "pg_aggregate", "pg_am", "pg_amop", "pg_amproc", "pg_attrdef", "pg_auth_members", "pg_available_extension_versions",
    "pg_available_extensions", "pg_cast", "pg_class", "pg_collation", "pg_constraint", "pg_conversion", "pg_cursors",
    "pg_database", "pg_default_acl", "pg_depend", "pg_description", "pg_enum", "pg_event_trigger", "pg_extension",
    "pg_foreign_table", "pg_group", "pg_index", "pg_indexes", "pg_inherits", "pg_init_privs", "pg_language",
    "pg_largeobject_metadata",
    "pg_matviews", "pg_namespace", "pg_opclass", "pg_operator", "pg_opfamily", "pg_parameter_acl",
    "pg_partitioned_table", "pg_policies", "pg_policy", "pg_prepared_statements", "pg_publication",
    "pg_publication_namespace", "pg_publication_rel", "pg_publication_tables", "pg_range", "pg_rewrite", "pg_rules",
    "pg_seclabel", "pg_seclabels", "pg_sequence", "pg_shdepend", "pg_shdescription", "pg_shseclabel", "pg_statistic_ext",
    "pg_subscription_rel", "pg_tables", "pg_tablespace", "pg_timezone_abbrevs", "pg_timezone_names", "pg_transform",
    "pg_trigger", "pg_ts_config", "pg_ts_config_map", "pg_ts_dict", "pg_ts_parser", "pg_ts_template", "pg_type",
    "pg_views", "pg_wait_events",
];

#[cfg(test)]
mod tests {
    use super::{PLAIN, may_read};
    use crate::catalog::Columns;

    #[test]
    fn the_list_is_sorted() {
        assert!(PLAIN.is_sorted_by(|left, right| left < right));
    }

    #[test]
    fn secrets_data_and_sources_are_not_readable() {
        let named = |column: &str| Columns::Named(vec![column.to_owned()]);
        let check = |schema: &str, name: &str, columns: Columns, expected: bool| {
            assert_eq!(may_read(schema, name, &columns).is_ok(), expected, "{schema}.{name} {columns:?}");
        };
        for name in [
            "pg_authid",
            "pg_shadow",
            "pg_statistic",
            "pg_stats",
            "pg_stats_ext",
            "pg_stats_ext_exprs",
            "pg_largeobject",
            "pg_statistic_ext_data",
            "pg_user_mapping",
            "pg_hba_file_rules",
            "pg_file_settings",
            "pg_stat_activity",
            "pg_locks",
            "pg_prepared_xacts",
            "pg_replication_slots",
            "pg_config",
            "unheard_of",
        ] {
            check("pg_catalog", name, Columns::None, false);
        }
        check("pg_catalog", "pg_class", Columns::WholeRow, true);
        check("pg_catalog", "pg_proc", named("proname"), true);
        check("pg_catalog", "pg_proc", named("prosrc"), false);
        check("pg_catalog", "pg_proc", Columns::WholeRow, false);
        check("pg_catalog", "pg_subscription", named("subconninfo"), false);
        check("pg_catalog", "pg_settings", named("setting"), false);
        check("pg_catalog", "pg_statio_all_tables", named("relid"), true);
        check("pg_catalog", "pg_statio_all_tables", named("heap_blks_read"), false);
        check("information_schema", "columns", Columns::WholeRow, true);
        check("information_schema", "routines", named("routine_definition"), false);
    }
}
