-- Writes docs/schema.sql: what the catalogue of a migrated database holds of ours. It asks the catalogue in words of its own, since
-- pg_dump's differ from version to version.
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
set search_path = public;

select '-- What a migrated database holds: made by `make schema`, compared by `make lint`. The text of functions and views is in';
select '-- src/documents/sql and src/queue/sql, what it is for in docs/QUEUE.md.';

select e'\n-- Types';
select format('create type %s as enum (%s);', t.typname, string_agg(quote_literal(e.enumlabel), ', ' order by e.enumsortorder))
from pg_type t join pg_enum e on e.enumtypid = t.oid
where t.typnamespace = 'public'::regnamespace
group by t.typname order by t.typname collate "C";
select format('create domain %s as %s %s;', t.typname, format_type(t.typbasetype, t.typtypmod), pg_get_constraintdef(c.oid))
from pg_type t join pg_constraint c on c.contypid = t.oid
where t.typnamespace = 'public'::regnamespace and t.typtype = 'd'
order by t.typname collate "C";

select e'\n-- Tables\n' || string_agg(definition, e'\n' order by relname collate "C")
from (
    select c.relname,
        format(e'create table %s (\n    %s\n);\n', c.relname, (
            select string_agg(line, e',\n    ' order by kind, place collate "C")
            from (
                select 1, a.attnum::text, lpad(a.attnum::text, 4, '0'), concat_ws(' ', a.attname, format_type(a.atttypid, a.atttypmod),
                    case when a.attnotnull then 'not null' end,
                    case a.attidentity when 'a' then 'generated always as identity' end,
                    'default ' || pg_get_expr(d.adbin, d.adrelid))
                from pg_attribute a left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                union all
                select 2, k.conname, k.conname, format('constraint %s %s', k.conname, pg_get_constraintdef(k.oid))
                from pg_constraint k where k.conrelid = c.oid and k.contype <> 'n'
            ) lines (kind, name, place, line)
        )) || coalesce((
            select string_agg(pg_get_indexdef(i.indexrelid) || ';', e'\n' order by ic.relname collate "C") || e'\n'
            from pg_index i join pg_class ic on ic.oid = i.indexrelid
            where i.indrelid = c.oid and not exists (select 1 from pg_constraint k where k.conindid = i.indexrelid and k.contype <> 'f')
        ), '') || coalesce((
            select string_agg(pg_get_triggerdef(t.oid) || ';', e'\n' order by t.tgname collate "C") || e'\n'
            from pg_trigger t where t.tgrelid = c.oid and not t.tgisinternal
        ), '') as definition
    from pg_class c
    where c.relkind = 'r' and c.relnamespace = 'public'::regnamespace and c.relname <> '_sqlx_migrations'
) tables;

select '-- What is ours of apalis'' tables';
select pg_get_indexdef(c.oid) || ';' from pg_class c
where c.relkind = 'i' and c.relnamespace = 'apalis'::regnamespace and c.relname like 'docreader%' order by c.relname collate "C";
select pg_get_statisticsobjdef(oid) || ';' from pg_statistic_ext where stxname like 'docreader%' order by stxname collate "C";
select pg_get_triggerdef(oid) || ';' from pg_trigger
where tgrelid = 'apalis.jobs'::regclass and tgname like 'docreader%' order by tgname collate "C";

select e'\n-- Views and their columns';
select format(e'-- %s: %s', c.relname, string_agg(format('%s %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum))
from pg_class c join pg_attribute a on a.attrelid = c.oid
where c.relkind = 'v' and c.relnamespace = 'public'::regnamespace and a.attnum > 0
    and not exists (select 1 from pg_depend d where d.objid = c.oid and d.deptype = 'e')
group by c.relname order by c.relname collate "C";

select e'\n-- Functions';
select format('-- %s(%s) returns %s', p.proname, pg_get_function_arguments(p.oid), pg_get_function_result(p.oid))
from pg_proc p
where p.pronamespace = 'public'::regnamespace
    and not exists (select 1 from pg_depend d where d.objid = p.oid and d.deptype = 'e')
order by p.proname collate "C";
