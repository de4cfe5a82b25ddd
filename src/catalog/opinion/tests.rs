//! Stored bodies, cut from what servers of several versions gave.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::{Opinion, Use, body};
use crate::access::Operation;

fn read(text: &str) -> Result<Opinion, body::NotUnderstood> {
    let mut opinion = Opinion::default();
    body::read(text, &mut opinion).map(|()| opinion)
}

fn used(relation: u32, operation: Operation, columns: &[i16]) -> Use {
    Use { relation, operation, columns: columns.to_vec() }
}

#[test]
fn privileges_in_the_range_table() {
    let text = r"(({QUERY :commandType 1 :rtable ({RTE :alias {ALIAS :aliasname s :colnames <>} :rtekind 0 :relid 16423 :relkind r
        :tablesample <> :requiredPerms 2 :checkAsUser 0 :selectedCols (b 7 8) :insertedCols (b) :updatedCols (b)} {RANGETBLENTRY
        :rtekind 0 :relid 16435 :relkind v :requiredPerms 5 :selectedCols (b 9) :insertedCols (b 8 9) :updatedCols (b 10)} {RTE
        :rtekind 2 :jointype 0 :requiredPerms 0}) :jointree <>}))";
    let opinion = read(text).unwrap();
    assert_eq!((opinion.statements, opinion.relations.as_slice()), (1, &[16423, 16435][..]));
    let expected = [
        used(16423, Operation::Select, &[0, 1]),
        used(16435, Operation::Insert, &[1, 2]),
        used(16435, Operation::Update, &[3]),
    ];
    assert_eq!(opinion.uses, expected);
}

#[test]
fn privileges_beside_the_range_table() {
    // The second entry is the row that ON CONFLICT could not insert: its privileges are of no table.
    let text = r"(({QUERY :rtable ({RANGETBLENTRY :rtekind 0 :relid 7 :inh false :relkind r :perminfoindex 1} {RANGETBLENTRY
        :rtekind 0 :relid 7 :relkind c :perminfoindex 2} {RANGETBLENTRY :rtekind 1 :subquery {QUERY :rtable ({RANGETBLENTRY
        :rtekind 0 :relid 9 :relkind r :perminfoindex 1}) :rteperminfos ({RTEPERMISSIONINFO :relid 9 :requiredPerms 8})}
        :relid 0 :perminfoindex 0}) :rteperminfos ({RTEPERMISSIONINFO :relid 7 :inh false :requiredPerms 3 :selectedCols (b 8)
        :insertedCols (b 8 9) :updatedCols (b)} {RTEPERMISSIONINFO :relid 7 :requiredPerms 2 :selectedCols (b 9)}) :x <>}))";
    let opinion = read(text).unwrap();
    let expected =
        [used(9, Operation::Delete, &[]), used(7, Operation::Insert, &[1, 2]), used(7, Operation::Select, &[1])];
    assert_eq!((opinion.uses.as_slice(), opinion.statements), (&expected[..], 1));
}

#[test]
fn privileges_that_nothing_refers_to_count_too() {
    let text =
        "(({QUERY :rtable <> :rteperminfos ({RTEPERMISSIONINFO :relid 7 :requiredPerms 2 :selectedCols (b 6)})}))";
    assert_eq!(read(text).unwrap().uses, [used(7, Operation::Select, &[-1])]);
}

#[test]
fn functions_domains_and_constants() {
    let text = r"(({QUERY :targetList ({TARGETENTRY :expr {FUNCEXPR :funcid 20000 :funcresulttype 23 :funcformat 0 :args ({OPEXPR :opno 96
        :opfuncid 65 :opresulttype 16} {FUNCEXPR :funcid 481 :funcformat 2})}} {AGGREF :aggfnoid 2803} {WINDOWFUNC :winfnoid 3100}
        {COERCETODOMAIN :arg {CONST :consttype 23 :constvalue 4 [ 1 0 0 0 0 0 0 0 ]} :resulttype 16421} {CONST :consttype 2205 :constvalue
        4 [ 57 64 0 0 0 0 0 0 ]} {CONST :consttype 24 :constvalue 4 [ -1 -1 0 0 ]} {PARAM :paramid 1 :paramtype 16500})}))";
    let opinion = read(text).unwrap();
    assert_eq!(opinion.functions, [65, 481, 20000, 2803, 3100]);
    assert_eq!(opinion.calls, [20000, 2803, 3100]);
    assert_eq!(opinion.domains, [16421, 16500]);
    assert!(opinion.named.contains(&16441) && opinion.named.contains(&65535), "{:?}", opinion.named);
    assert!(!opinion.named.contains(&1));
}

#[test]
fn a_statement_s_own_words_are_never_labels() {
    let text = r"(({QUERY :rtable ({RANGETBLENTRY :alias {ALIAS :aliasname :relid :colnames (\{RTE\ :relid\ 5 ':requiredPerms')} :rtekind 0
        :relid 7 :relkind r :requiredPerms 2 :selectedCols (b 8)}) :targetList ({TARGETENTRY :resname :rtekind :resno 1}
        {TARGETENTRY :resname \} :resno 2} {CONST :consttype 25 :constvalue 9 [ 36 0 0 0 58 114 101 108 105 ]})}))";
    let opinion = read(text).unwrap();
    assert_eq!(opinion.uses, [used(7, Operation::Select, &[1])]);
    assert!(opinion.named.is_empty() && opinion.relations == [7]);
}

#[test]
fn statements_are_counted() {
    assert_eq!(read("(({QUERY :a <>} {QUERY :a {QUERY :b 1}}))").unwrap().statements, 2);
}

#[test]
fn what_is_written_otherwise_is_not_understood() {
    for text in [
        "",
        "<>",
        "(())",
        "(({QUERY :a <>})",
        "(({QUERY :a <>}))}",
        "(({QUERY :a (}))",
        "(({INSERT :a <>}))",
        "(({QUERY :rtable ({RANGETBLENTRY :relid 5})}))",
        "(({QUERY :rtable ({RANGETBLENTRY :rtekind 0})}))",
        "(({QUERY :rtable ({RANGETBLENTRY :rtekind x :relid 5})}))",
        "(({QUERY :rtable ({RANGETBLENTRY :rtekind 0 :relid -5})}))",
        "(({QUERY :rtable ({RANGETBLENTRY :rtekind 0 :relid 5 :perminfoindex 1})}))",
        "(({QUERY :rtable ({RANGETBLENTRY :rtekind 0 :relid 5 :selectedCols (b x)})}))",
        "({RTEPERMISSIONINFO :relid 5 :requiredPerms 2})",
        "(({COERCETODOMAIN :arg 1}))",
    ] {
        assert!(read(text).is_err(), "{text}");
    }
}

proptest::proptest! {
    #[test]
    fn no_body_is_too_strange(text in "[(){}: a-zA-Z0-9\\\\<>-]{0,80}") {
        let _understood_or_not = read(&text);
    }

    #[test]
    fn a_body_that_is_cut_short_is_not_understood(at in 0..300_usize) {
        let text = "(({QUERY :rtable ({RANGETBLENTRY :rtekind 0 :relid 7 :relkind r :requiredPerms 2 :selectedCols (b 8)})}))";
        if at < text.len() {
            assert!(read(&text[..at]).is_err());
        }
    }
}
