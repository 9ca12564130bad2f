//! How the domain's named enums stand in text columns.

use crate::domain::effect::Destination;
use crate::domain::gate::{Gate, OutcomeKind};
use crate::domain::job::{JobKind, JobStatus};
use crate::domain::leftover::LeftKind;
use crate::domain::run::{RunOutcome, RunState, StopReason, WorkerState};
use crate::domain::stage::{Role, Stage, TaskState};
use diesel::backend::Backend;
use diesel::deserialize::{FromSql, Queryable, Result as FromResult};
use diesel::expression::AsExpression;
use diesel::serialize::{IsNull, Output, Result as ToResult, ToSql};
use diesel::sql_types::{Nullable, Text};
use diesel::sqlite::Sqlite;

macro_rules! text_column {
    ($($t:ty),+ $(,)?) => { $(
        impl FromSql<Text, Sqlite> for $t {
            fn from_sql(value: <Sqlite as Backend>::RawValue<'_>) -> FromResult<Self> {
                Ok(<String as FromSql<Text, Sqlite>>::from_sql(value)?.parse::<$t>()?)
            }
        }
        impl ToSql<Text, Sqlite> for $t {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Sqlite>) -> ToResult {
                out.set_value(self.as_str());
                Ok(IsNull::No)
            }
        }
        impl Queryable<Text, Sqlite> for $t {
            type Row = Self;
            fn build(row: Self) -> FromResult<Self> {
                Ok(row)
            }
        }
        impl AsExpression<Text> for $t {
            type Expression = <&'static str as AsExpression<Text>>::Expression;
            fn as_expression(self) -> Self::Expression {
                <&'static str as AsExpression<Text>>::as_expression(self.as_str())
            }
        }
        impl AsExpression<Nullable<Text>> for $t {
            type Expression = <&'static str as AsExpression<Nullable<Text>>>::Expression;
            fn as_expression(self) -> Self::Expression {
                <&'static str as AsExpression<Nullable<Text>>>::as_expression(self.as_str())
            }
        }
        impl AsExpression<Nullable<Text>> for &$t {
            type Expression = <&'static str as AsExpression<Nullable<Text>>>::Expression;
            fn as_expression(self) -> Self::Expression {
                <&'static str as AsExpression<Nullable<Text>>>::as_expression(self.as_str())
            }
        }
        impl AsExpression<Text> for &$t {
            type Expression = <&'static str as AsExpression<Text>>::Expression;
            fn as_expression(self) -> Self::Expression {
                <&'static str as AsExpression<Text>>::as_expression(self.as_str())
            }
        }
    )+ };
}

text_column!(
    Stage,
    Role,
    TaskState,
    JobKind,
    JobStatus,
    Gate,
    Destination,
    LeftKind,
    RunState,
    RunOutcome,
    StopReason,
    WorkerState,
    OutcomeKind
);
