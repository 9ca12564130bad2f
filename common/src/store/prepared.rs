//! Statements whose text never changes, compiled once per connection. Diesel compiles a `sql_query` and every `UPDATE`
//! at each call, triggers included, which costs more than the statement itself where that touches one row.

/// Declares a statement: its name, the type of its row where it has one, and its text with the parameters where they
/// belong.
///
/// `prepared! { OldestOf -> BigInt: "SELECT id FROM jobs WHERE kind = " kind: str as Text => " LIMIT 1" }`
macro_rules! prepared {
    ($(#[$doc:meta])* $name:ident $(-> $row:ty)?: $first:literal $($field:ident: $rust:ty as $sql:ty => $next:literal)+) => {
        $(#[$doc])*
        struct $name<'q> {
            $($field: &'q $rust),+
        }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        $(
            impl diesel::query_builder::Query for $name<'_> {
                type SqlType = $row;
            }
        )?

        impl diesel::RunQueryDsl<diesel::SqliteConnection> for $name<'_> {}

        impl diesel::query_builder::QueryFragment<diesel::sqlite::Sqlite> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($first);
                $(
                    out.push_bind_param::<$sql, _>(self.$field)?;
                    out.push_sql($next);
                )+
                Ok(())
            }
        }
    };
}

pub(super) use prepared;
