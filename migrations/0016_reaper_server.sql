-- Another server, or the same one started anew, has nobody's lock: a gap in the reapers' looks, however short.
alter table reaper_looks add column server_started_at timestamptz;
