-- The results that readers saw before those they see are kept for comparing, and so is the threshold that each was made with.

alter table documents
    -- of the pages in the making: detections with lower scores were not kept; null if that is not known
    add column pages_score_threshold real,
    -- of the results that readers see meanwhile
    add column shown_score_threshold real,
    -- the results that readers saw before; null if there are none
    add column earlier_run integer,
    add column earlier_model_id bigint references models (id),
    add column earlier_score_threshold real,
    add constraint documents_earlier_check check ((earlier_run is null) = (earlier_model_id is null));
