//! The statements of a world: every form in which rows are written.

use rand::RngExt;

use super::world::World;

impl World {
    /// Any statement, calls of functions that write among them.
    pub(super) fn statement(&mut self) -> String {
        let Some(function) = self
            .function()
            .filter(|_| self.random.random_range(0..5) == 0)
        else {
            return self.plain_statement();
        };
        let (table, a, b) = (self.table(), self.number(), self.number());
        match self.random.random_range(0..5) {
            // In PL/pgSQL a SELECT must have a place for its result.
            0 => format!("insert into {table} select {function}({a}), 'f', {b}"),
            1 => format!("update {table} set v = v || 'r' where id between {a} and {a} + 2 and {function}(id) > 0"),
            2 => format!("delete from {table} where id = {function}({a})"),
            3 => format!(
                "with r as (update {table} set w = {a} where id < {b} returning {function}(id) as x)
                 insert into {} select x, 'r', {a} from r on conflict do nothing",
                self.table()
            ),
            _ => format!(
                "with r as (insert into {table} values ({a}, 'r', {b}) returning {function}(id) as x)
                 update {table} set v = v || 'x' where id in (select x from r)"
            ),
        }
    }

    /// A statement without functions that write (triggers fire all the same).
    pub(super) fn plain_statement(&mut self) -> String {
        match self
            .random
            .random_range(0..if self.moving_ctes { 9 } else { 7 })
        {
            0 | 1 => self.insert(),
            2..=4 => self.update(),
            5 => self.delete(),
            6 => self.merge(),
            _ => self.cte(),
        }
    }

    fn insert(&mut self) -> String {
        let table = self.table();
        let (a, b, c) = (self.number(), self.number(), self.number());
        if table.ends_with(".c") && self.one_in(2) {
            let parent = table.replace(".c", ".t");
            // Rows that have their parents.
            let id = if self.twice { "x.id".to_owned() } else { a };
            return format!(
                "insert into {table} select {id}, 'p', y.id from {parent} x, {parent} y where x.id >= {b} and y.id >= {c}
                 order by 1, 3 limit 3 on conflict do nothing"
            );
        }
        match self.random.random_range(0..10) {
            0 | 1 => format!("insert into {table} values ({a}, 'i{b}', {c})"),
            2 => format!("insert into {table} select i, 'g{b}', {c} from generate_series({a}, {a} + {b} % 3) i"),
            3 => format!("insert into {table} values ({a}, 'c', {b}), ({b} + 10, 'c', {b}) on conflict do nothing"),
            4 => format!("copy {table} from program 'printf \"%s\\\\tcopied\\\\t%s\\\\n\" {a} {b} 1{c} {c}'"),
            5 if table.ends_with(".p") => format!(
                "insert into {table} as x values ({a}, 'c', {b}), ({a} + 1, 'd', {c}) on conflict (id, w) do update
                 set v = x.v || 'u', id = x.id + {c} where x.id < 9"
            ),
            6 => format!("insert into {table} select id + {a}, v, w from {table} where id < {b}"),
            7 => {
                let view = self.target();
                format!("insert into {view} values ({a}, 'v{b}', {c})")
            }
            8 => {
                let other = self.table();
                format!(
                    "with a as (insert into {table} values ({a}, 'w', {b}) returning id)
                     insert into {other} select {c}, 'w', id from a"
                )
            }
            5 if !table.ends_with(".c") => format!(
                "insert into {table} as x values ({a}, 'c', {b}), ({a} + 1, 'd', {c}) on conflict (id) do update
                 set v = x.v || 'u', w = excluded.w"
            ),
            _ => format!("insert into {table} values ({a}, repeat('{b}', 3000), {c}) on conflict do nothing"),
        }
    }

    fn update(&mut self) -> String {
        let table = self.target();
        let (a, b, c) = (self.number(), self.number(), self.number());
        match self.random.random_range(0..10) {
            0 | 1 => {
                format!("update {table} set v = v || '{c}' where id between {a} and {a} + {b}")
            }
            2 => format!("update {table} set id = {a} where id = {b}"),
            3 => format!("update {table} set id = id + 10 where id < {a}"),
            4 => format!("update {table} set id = id - 10 where id > 10"),
            5 => format!("update {table} set w = {a} where id > {b}"),
            6 => format!("update {table} set id = {a} + {b} - id where id in ({a}, {b})"),
            7 => format!(
                "update {table} x set v = y.v from {} y where x.id = y.id",
                self.table()
            ),
            8 => {
                let table = self.table();
                format!("update only {table} set v = v || 'o', w = {a} where id > {b}")
            }
            _ => format!("update {table} set w = w, id = id"),
        }
    }

    fn delete(&mut self) -> String {
        let table = self.target();
        let (a, b) = (self.number(), self.number());
        match self.random.random_range(0..5) {
            0 | 1 => format!("delete from {table} where id = {a}"),
            2 => format!("delete from {table} where id between {a} and {a} + 2"),
            3 => format!("delete from only {} where id < {b}", self.table()),
            _ => format!(
                "delete from {table} x using {} y where x.id = y.w and y.id > {b}",
                self.table()
            ),
        }
    }

    /// Through a cursor, row by row.
    pub(super) fn by_cursor(&mut self) -> String {
        let (table, a, b) = (self.table(), self.number(), self.number());
        format!(
            "do $$ declare k cursor for select x.id from {table} x where x.id > {b} for update; n numeric; begin
                open k; fetch k into n; update {table} set v = v || 'k', id = {a} where current of k;
                fetch k into n; delete from {table} where current of k; close k; end $$"
        )
    }

    /// As a prepared statement, or as one that a block executes.
    pub(super) fn prepared(&mut self) -> String {
        let (one, two) = (self.update(), self.delete());
        if self.one_in(2) {
            format!("deallocate all; prepare q as {one}; execute q; {two}; execute q")
        } else {
            format!(
                "do $$ begin execute $q${one}$q$; execute $q${two}$q$; execute $q${one}$q$; end $$"
            )
        }
    }

    fn merge(&mut self) -> String {
        if self.version < 15 {
            return self.update();
        }
        let (table, from) = (self.table(), self.table());
        let (a, b, c) = (self.number(), self.number(), self.number());
        let by_source = if self.one_in(2) && self.version >= 17 {
            "when not matched by source and x.id > 12 then delete"
        } else {
            ""
        };
        match self.random.random_range(0..3) {
            0 => format!(
                "merge into {table} x using (values ({a}, 'm'), ({b} + 10, 'n')) s (id, v) on x.id = s.id
                 when matched and s.v = 'n' then delete when matched then update set v = x.v || s.v
                 when not matched then insert values (s.id, s.v, {c}) {by_source}"
            ),
            1 => format!(
                "merge into {table} x using {from} s on x.id = s.w when matched then update set id = x.id + {a}
                 when not matched then do nothing"
            ),
            _ => format!(
                "merge into {table} x using (select id from {from} where id > {b}) s on x.id = s.id
                 when matched then delete when not matched then insert values (s.id, 'm', {c}) {by_source}"
            ),
        }
    }

    /// Parts of one WITH that move keys between each other.
    fn cte(&mut self) -> String {
        let table = self.table();
        let (a, b) = (self.number(), self.number());
        if self.one_in(2) {
            format!(
                "with d as (delete from {table} where id < {a} returning *)
                 insert into {} select id + {b}, v, w from d",
                self.table()
            )
        } else {
            format!(
                "with d as (update {table} set id = id + 1 where id = {a} returning *),
                      e as (delete from {} where id = {b})
                 insert into {} select * from d",
                self.table(),
                self.table()
            )
        }
    }
}
