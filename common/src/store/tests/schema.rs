//! `schema.rs` says of the tables what the migrations make of them.

use super::*;
use std::collections::BTreeMap;

#[derive(QueryableByName, Debug)]
struct Column {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
    #[diesel(sql_type = diesel::sql_types::Text)]
    kind: String,
    #[diesel(sql_type = diesel::sql_types::Bool)]
    required: bool,
    #[diesel(sql_type = diesel::sql_types::Integer)]
    key: i32,
}

#[derive(QueryableByName)]
struct Name {
    #[diesel(sql_type = diesel::sql_types::Text)]
    name: String,
}

type Tables = BTreeMap<String, (Vec<String>, Vec<(String, String)>)>;

/// Table -> (primary key, columns with their diesel type) as the database has them.
fn migrated(conn: &mut Conn, declared: &Tables) -> Tables {
    let tables: Vec<Name> = diesel::sql_query(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' AND name NOT LIKE '\\_\\_diesel%' ESCAPE '\\'",
    )
    .load(conn)
    .unwrap();
    let mut all = Tables::new();
    for Name { name: table } in tables {
        let columns: Vec<Column> = diesel::sql_query(format!(
            "SELECT name, type AS kind, \"notnull\" <> 0 AS required, pk AS key FROM pragma_table_info('{table}') ORDER BY cid"
        ))
        .load(conn)
        .unwrap();
        let mut keys: Vec<(i32, String)> =
            columns.iter().filter(|c| c.key > 0).map(|c| (c.key, c.name.clone())).collect();
        keys.sort();
        let columns = columns.into_iter().map(|c| {
            let declared_bool =
                declared.get(&table).is_some_and(|(_, d)| d.iter().any(|(n, t)| *n == c.name && t.contains("Bool")));
            let base = match c.kind.as_str() {
                "INTEGER" if declared_bool => "Bool",
                // A row id is wider than other integers of the table.
                "INTEGER" if c.key > 0 => "BigInt",
                "INTEGER" => "Integer",
                "BIGINT" => "BigInt",
                "TEXT" => "Text",
                "BLOB" => "Binary",
                "DOUBLE" => "Double",
                other => panic!("{table}.{}: {other}", c.name),
            };
            (c.name, if c.required { base.to_owned() } else { format!("Nullable<{base}>") })
        });
        let columns = columns.collect();
        all.insert(table, (keys.into_iter().map(|(_, name)| name).collect(), columns));
    }
    all
}

/// The same as `schema.rs` declares it.
fn declared() -> Tables {
    let mut all = Tables::new();
    let mut table: Option<String> = None;
    for line in include_str!("../schema.rs").lines().map(str::trim) {
        if let Some((column, kind)) = line.trim_end_matches(',').split_once(" -> ") {
            let name = table.clone().unwrap();
            all.get_mut(&name).unwrap().1.push((column.to_owned(), kind.to_owned()));
        } else if let Some((name, key)) = line.strip_suffix(") {").and_then(|l| l.split_once(" (")) {
            let key = key.split(", ").map(str::to_owned).collect();
            all.insert(name.to_owned(), (key, Vec::new()));
            table = Some(name.to_owned());
        }
    }
    all
}

#[test]
fn the_declared_tables_are_the_migrated_ones() {
    let scratch = Scratch::new();
    let declared = declared();
    assert!(declared.len() >= 10 && declared.contains_key("jobs"), "{declared:?}");
    assert_eq!(migrated(&mut scratch.store.connection().unwrap(), &declared), declared);
}

#[test]
fn every_boolean_column_is_held_to_zero_and_one() {
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    for (table, (_, columns)) in declared() {
        let sql: Vec<Name> = diesel::sql_query(format!("SELECT sql AS name FROM sqlite_schema WHERE name = '{table}'"))
            .load(&mut *conn)
            .unwrap();
        let sql = &sql[0].name;
        for (column, _) in columns.iter().filter(|(_, kind)| kind.contains("Bool")) {
            assert!(sql.contains(&format!("CHECK ({column} IN (0, 1))")), "{table}.{column}");
        }
    }
}

#[test]
fn the_names_in_the_checks_are_those_of_the_enums() {
    use crate::domain::job::JobStatus;
    use crate::domain::stage::{Role, Stage, TaskState};
    let scratch = Scratch::new();
    let mut conn = scratch.store.connection().unwrap();
    let one_of = |column: &str, names: Vec<&str>| {
        let each: Vec<String> = names.iter().map(|name| format!("{column} = '{name}'")).collect();
        format!("CHECK ({})", each.join(" OR "))
    };
    let rows = [
        ("tasks", one_of("stage", Stage::ALL.iter().map(|v| v.as_str()).collect())),
        ("tasks", one_of("state", TaskState::ALL.iter().map(|v| v.as_str()).collect())),
        ("jobs", one_of("kind", JobKind::ALL.iter().map(|v| v.as_str()).collect())),
        ("jobs", one_of("status", JobStatus::ALL.iter().map(|v| v.as_str()).collect())),
        ("jobs", one_of("role", Role::ALL.iter().map(|v| v.as_str()).collect())),
        ("runs", one_of("role", Role::ALL.iter().map(|v| v.as_str()).collect())),
    ];
    for (table, names) in rows {
        let n = number(
            &mut conn,
            &format!(
                "SELECT instr(sql, '{}') > 0 AS n FROM sqlite_schema WHERE name = '{table}'",
                names.replace('\'', "''")
            ),
        );
        assert_eq!(n, 1, "{table} lacks {names}");
    }
}
