-- `listed_jobs('runs', …)` looks at what workers have, not through all that waits: who has a job is in docreader_held_jobs_idx.
create or replace function listed_jobs(which text, document bigint, most bigint) returns setof text language plpgsql stable as $$
begin
    if document is not null then
        return query select j.id from apalis.jobs j
            where j.job_type like 'documents%' and job_document(j.job) = document
            order by j.status in ('Running', 'Queued') desc, j.run_at desc limit most;
    elsif which = 'runs' then
        return query select j.id from apalis.jobs j
            where j.lock_by is not null and j.status in ('Running', 'Queued') order by j.priority desc, j.run_at limit most;
    elsif which = 'live' then
        return query
            select r.id from listed_jobs('runs', null, most) r (id)
            union all
            (select j.id from apalis.jobs j
            where (j.status in ('Pending', 'Queued', 'Running') or (j.status = 'Failed' and j.attempts < j.max_attempts))
                and j.status not in ('Running', 'Queued') order by j.priority desc, j.run_at limit most);
    elsif which = 'dead' then
        return query select j.id from apalis.jobs j
            where j.status = 'Killed' or (j.status = 'Failed' and j.attempts >= j.max_attempts) order by j.run_at desc limit most;
    elsif which = 'done' then
        return query select j.id from apalis.jobs j where j.status = 'Done' order by j.run_at desc limit most;
    else
        return query
            select l.id from listed_jobs('live', null, most) l (id)
            union all select d.id from listed_jobs('dead', null, most) d (id)
            union all select d.id from listed_jobs('done', null, most) d (id);
    end if;
end $$;
