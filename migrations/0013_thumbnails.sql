-- A small picture of each page, for lists of documents and pages.

-- null for pages from before
alter table pages add column thumbnail_key text;
